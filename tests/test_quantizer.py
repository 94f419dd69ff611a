"""Each named rule against hand-computed values and against the arithmetic of the program that it is named after."""

import json
import math
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import InputError
from splade_lucene.quantizer import DEFAULT_RULE, RULES, Quantizer, Scaling

SIDES = ("document", "query")
weights_float32 = st.floats(0, 1000, width=32)
weights_float64 = st.floats(0, 1000)


def quantize_one(rule, side, weight, dtype=np.float64):
    return int(Quantizer.named(rule).quantize(np.array([weight], dtype=dtype), side)[0])


# ---- hand-computed values ----


@pytest.mark.parametrize(
    ("rule", "side", "weight", "impact"),
    [
        ("naver", "document", 1.234, 123),
        ("naver", "query", 1.236, 124),
        ("naver", "document", 0.005, 0),  # 0.5 goes to the even neighbour
        ("naver", "document", 0.015, 2),  # 1.5
        ("naver", "document", 0.025, 2),  # 2.5
        ("naver", "document", 0.125, 12),  # 12.5, exact in binary
        ("naver", "document", 0.375, 38),  # 37.5, exact in binary
        ("splade-pp", "document", 1.2345, 123),
        ("splade-pp", "query", 1.2344, 1234),
        ("splade-pp", "query", 0.0625, 62),  # 62.5, exact in binary
        ("splade-pp", "query", 0.1875, 188),  # 187.5, exact in binary
        ("pyserini", "document", 2.5, 128),
        ("pyserini", "query", 1.0, 51),  # 51.2
        ("pyserini", "query", 1.25 * 5 / 2**7, 2),  # 2.5
        ("pyserini", "query", 1.75 * 5 / 2**7, 4),  # 3.5
        ("anserini", "document", 2.5, 128),
        ("anserini", "query", 1.0, 51),
        ("anserini", "query", 1.25 * 5 / 2**7, 3),  # 2.5 goes up
        ("anserini", "query", 1.75 * 5 / 2**7, 4),  # 3.5
        ("anserini", "query", 0.25 * 5 / 2**7, 1),  # 0.5
        ("pyt-splade", "document", 1.239, 123),  # truncated, where naver gives 124
        ("pyt-splade", "document", 0.0099, 0),
        ("pyt-splade", "document", 0.375, 37),  # 37.5
        ("pyt-splade", "query", 1.2344, 1234),
    ],
)
def test_rule_by_hand(rule, side, weight, impact):
    assert quantize_one(rule, side, weight) == impact


def test_the_three_roundings_differ_on_one_half():
    half = np.array([0.5, 1.5, 2.5, 0.999])
    got = {}
    for rounding in ("half-even", "half-up", "truncate"):
        scaling = Scaling(1.0, rounding=rounding)
        got[rounding] = Quantizer("x", scaling, scaling).quantize(half, "document").tolist()
    assert got == {"half-even": [0, 2, 2, 1], "half-up": [1, 2, 3, 1], "truncate": [0, 1, 2, 0]}


def test_document_and_query_sides_are_not_confused():
    rule = Quantizer("x", Scaling(10.0), Scaling(1000.0))
    weights = np.array([1.0])
    assert rule.quantize(weights, "document").tolist() == [10]
    assert rule.quantize(weights, "query").tolist() == [1000]


def test_table_has_the_rules_of_the_field():
    scales = {name: (rule.document.scale, rule.query.scale) for name, rule in RULES.items()}
    assert scales == {
        "naver": (100, 100),
        "splade-pp": (100, 1000),
        "pyserini": (51.2, 51.2),
        "anserini": (51.2, 51.2),
        "pyt-splade": (100, 1000),
    }
    assert {rule.name: rule for rule in RULES.values()} == RULES
    assert DEFAULT_RULE in RULES


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("side", SIDES)
def test_shape_and_type_are_kept_and_zero_stays_zero(rule, side):
    impacts = Quantizer.named(rule).quantize(np.array([[0.0, 1.0], [1e-9, 3.5]], dtype=np.float32), side)
    assert impacts.dtype == np.int32
    assert impacts.shape == (2, 2)
    assert impacts[0, 0] == 0
    assert impacts[1, 0] == 0  # rounds to 0: the term is left out
    assert impacts[0, 1] > 0
    assert Quantizer.named(rule).quantize(np.zeros((0,), dtype=np.float32), side).tolist() == []


def test_input_is_not_changed():
    weights = np.array([1.0, 2.0])
    Quantizer.named("anserini").quantize(weights, "query")
    assert weights.tolist() == [1.0, 2.0]


# ---- the ceiling ----


@pytest.mark.parametrize("rule", RULES)
def test_impacts_stop_at_the_largest_frequency_of_lucene(rule):
    assert quantize_one(rule, "document", 1e12) == 2**31 - 1 == MAX_IMPACT


def test_max_impact_is_a_ceiling():
    rule = Quantizer("x", Scaling(100.0), Scaling(100.0), max_impact=255)
    assert rule.quantize(np.array([2.54, 2.55, 2.56, 99.0]), "document").tolist() == [254, 255, 255, 255]


# ---- against the programs that the rules are named after ----


@given(st.lists(weights_float32, min_size=1, max_size=50))
def test_pyserini_rule_is_pyserinis_python_expression(weights):
    # pyserini/encode/_splade.py: round(weight / weight_range * quant_range), weight a Python float
    expected = [round(weight / 5 * 256) for weight in weights]
    got = Quantizer.named("pyserini").quantize(np.array(weights, dtype=np.float32), "query")
    assert got.tolist() == expected


@given(st.lists(weights_float32, min_size=1, max_size=50))
def test_anserini_rule_is_javas_float_arithmetic(weights):
    # Anserini: Math.round(weight / weightRange * quantRange), a float and two ints: each step rounds to float,
    # and Math.round is the floor of the exact x + 1/2.
    expected = []
    for weight in weights:
        scaled = np.float32(np.float32(np.float32(weight) / np.float32(5)) * np.float32(256))
        expected.append(math.floor(Fraction(float(scaled)) + Fraction(1, 2)))
    got = Quantizer.named("anserini").quantize(np.array(weights, dtype=np.float32), "document")
    assert got.tolist() == expected


def test_anserini_and_pyserini_rules_differ_where_their_arithmetic_does():
    weights = ((np.arange(2000) + 0.5) / 51.2).astype(np.float32)  # at or beside every half
    java = np.floor((weights / np.float32(5) * np.float32(256)).astype(np.float64) + 0.5)
    python = np.array([round(weight / 5 * 256) for weight in weights.tolist()])
    assert (java != python).any()
    assert (Quantizer.named("anserini").quantize(weights, "query") == java).all()
    assert (Quantizer.named("pyserini").quantize(weights, "query") == python).all()


def test_naver_rule_is_navers_arithmetic_on_float32_weights():
    # naver/splade, create_anserini_collection.py and tasks/transformer_evaluator.py: rep is model output as a float32
    # array, np.rint(rep * quantization_factor) with an int factor, which NumPy computes in float32.
    weights = ((np.arange(2000) + 0.5) / 100).astype(np.float32)
    product = weights * 100
    assert product.dtype == np.float32
    assert Quantizer.named("naver").quantize(weights, "document").tolist() == np.rint(product).astype(int).tolist()


@given(weights_float64)
def test_pyt_splade_documents_are_int_of_the_hundredfold(weight):
    assert quantize_one("pyt-splade", "document", weight) == int(weight * 100)


# ---- against exact arithmetic ----


@given(st.integers(0, 16_000))
def test_exact_binary_weights_round_as_decimals_do(sixteenths):
    weight = sixteenths / 16  # w x 100 and w x 1000 are exact, and halves among them
    exact = Decimal(sixteenths) / Decimal(16)
    nearest = int((exact * 100).quantize(Decimal(1), ROUND_HALF_EVEN))
    thousandths = int((exact * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))
    assert quantize_one("naver", "document", weight) == nearest
    assert quantize_one("naver", "query", weight) == nearest
    assert quantize_one("splade-pp", "document", weight) == nearest
    assert quantize_one("splade-pp", "query", weight) == thousandths
    assert quantize_one("pyt-splade", "document", weight) == int((exact * 100).quantize(Decimal(1), ROUND_DOWN))
    assert quantize_one("pyt-splade", "query", weight) == thousandths


@given(st.sampled_from(sorted(RULES)), st.sampled_from(SIDES), weights_float32)
def test_impact_is_within_its_rounding_of_the_exact_product(rule, side, weight):
    scaling = getattr(RULES[rule], side)
    exact = Fraction(weight) * Fraction(scaling.multiplier) / Fraction(scaling.divisor)
    slack = exact / 2**22 + Fraction(1, 2**40)  # what float32 arithmetic may be off
    impact = quantize_one(rule, side, weight, np.float32)
    if scaling.rounding == "truncate":
        assert exact - 1 - slack < impact <= exact + slack
    else:
        assert abs(impact - exact) <= Fraction(1, 2) + slack


@given(st.sampled_from(sorted(RULES)), st.sampled_from(SIDES), st.lists(weights_float32, min_size=2, max_size=50))
def test_larger_weights_never_get_smaller_impacts(rule, side, weights):
    impacts = Quantizer.named(rule).quantize(np.sort(np.array(weights, dtype=np.float32)), side).tolist()
    assert impacts == sorted(impacts)


# ---- another scale ----


def test_scale_replaces_both_sides_and_keeps_the_rounding():
    rule = Quantizer.named("splade-pp", scale=7)
    assert (rule.document.scale, rule.query.scale) == (7.0, 7.0)
    assert rule.quantize(np.array([1.0, 0.5, 1.5]), "query").tolist() == [7, 4, 10]  # 3.5 and 10.5, half to even
    assert Quantizer.named("anserini", scale=1).quantize(np.array([0.5, 2.5]), "query").tolist() == [1, 3]
    assert Quantizer.named("pyserini", scale=200).quantize(np.array([1.234]), "document").tolist() == [247]  # 246.8
    assert RULES["splade-pp"].query.scale == 1000.0  # the table is as it was


@pytest.mark.parametrize("scale", [0, -1, -0.5, math.nan, math.inf, -math.inf])
def test_bad_scale_is_refused(scale):
    with pytest.raises(InputError, match="scale must be a positive number, got") as caught:
        Quantizer.named("naver", scale=scale)
    assert str(scale) in str(caught.value)


def test_unknown_rule_names_the_known_ones():
    with pytest.raises(InputError, match="unknown quantizer 'naverr'") as caught:
        Quantizer.named("naverr")
    for known in ("naver", "splade-pp", "pyserini", "anserini", "pyt-splade"):
        assert known in caught.value.remedy


# ---- manifests ----


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [None, 37.5])
def test_json_round_trip(rule, scale):
    quantizer = Quantizer.named(rule, scale)
    data = json.loads(json.dumps(quantizer.to_json()))
    assert Quantizer.from_json(data) == quantizer
    assert data["name"] == rule
    assert data["query"]["multiplier"] == (quantizer.query.multiplier if scale is None else 37.5)


def test_json_round_trip_keeps_the_ceiling():
    quantizer = Quantizer("own", Scaling(3.0, 2.0, "truncate", "float32"), Scaling(1.0), max_impact=255)
    assert Quantizer.from_json(json.loads(json.dumps(quantizer.to_json()))) == quantizer


def test_weights_that_are_not_a_mapping_are_refused():
    for weights in (np.array([1.0]), [("a", 1.0)], "a"):
        with pytest.raises(InputError, match="expected a mapping of terms to weights, got"):
            Quantizer.named("naver").quantize_vector(weights, "query")  # type: ignore[arg-type]
