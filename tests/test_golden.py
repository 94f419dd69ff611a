"""Weights that others published for checkpoints on the model hub. Run with SPLADE_LUCENE_TEST_HUB=1.

Sources, by repository and path:

- castorini/anserini @81e3414,
  ``src/test/java/io/anserini/encoder/sparse/{SpladeV3,SpladePlusPlusEnsembleDistil,SpladePlusPlusSelfDistil}``
  ``EncoderInferenceTest.java``: whole maps, of the three short texts of each. Impacts are Math.round(w / 5 * 256), the
  tokens [PAD], [CLS] and [SEP] are dropped, and entries that round to 0 are kept (here they are no terms).
- castorini/pyserini @0a0be29, ``tests/base/encoder/test_encoder_model_splade.py``: five impacts, half to even.
- qdrant/fastembed @c48247f, ``tests/test_sparse_embeddings.py``: a whole map of token ids to weights.
- huggingface/sentence-transformers @cad21198, ``sentence_transformers/base/modules/router.py``: an example.
"""

from __future__ import annotations

import pytest

from splade_lucene import Quantizer, SpladeEncoder, SpladeQueryEncoder

pytestmark = [
    pytest.mark.hub,
    pytest.mark.skipif("not __import__('os').environ.get('SPLADE_LUCENE_TEST_HUB')", reason="needs the model hub"),
]

ANSERINI = {
    "naver/splade-v3": {
        "what is paula deen's brother": {
            "he": 32, "she": 34, "who": 53, "##n": 56, "family": 24, "father": 29, "son": 14, "brother": 138,
            "friend": 18, "husband": 6, "whom": 3, "actor": 18, "brothers": 113, "sons": 7, "cousin": 8,
            "celebrity": 4, "dee": 107, "paula": 138,
        },
        "Androgen receptor define": {
            "and": 108, "is": 25, "##r": 22, "alex": 16, "plus": 86, "gene": 3, "alan": 28, "emma": 4,
            "definition": 98, "lily": 30, "biology": 42, "pedro": 8, "enzyme": 7, "substance": 21, "gage": 7,
            "receptor": 123, "receptors": 106, "ser": 27, "ant": 1, "pill": 27, "hormone": 83, "##rogen": 98,
            "gland": 8,
        },
        "treating tension headaches without medication": {
            "no": 9, "without": 129, "pain": 16, "step": 37, "treatment": 72, "medicine": 13, "relief": 13,
            "avoid": 1, "stress": 5, "tension": 123, "comfort": 14, "therapy": 22, "treat": 39, "cure": 16,
            "prevention": 53, "anxiety": 3, "heal": 23, "treatments": 10, "medication": 65, "headache": 98,
            "mig": 62, "med": 3, "medications": 24,
        },
    },
    "naver/splade-cocondenser-ensembledistil": {
        "what is paula deen's brother": {
            "##n": 71, "actor": 46, "boy": 4, "boyfriend": 21, "brother": 125, "brothers": 99, "celebrity": 3,
            "cousin": 60, "dad": 12, "dee": 126, "family": 32, "father": 34, "founder": 27, "friend": 7, "he": 32,
            "her": 22, "his": 23, "husband": 17, "parents": 9, "paula": 151, "relationship": 6, "s": 16, "she": 42,
            "siblings": 12, "sister": 2, "son": 85, "sons": 4, "wife": 26,
        },
        "Androgen receptor define": {
            "##rogen": 109, "abbreviation": 32, "alexander": 1, "and": 94, "barrett": 20, "beck": 24,
            "biological": 2, "biology": 56, "bp": 0, "brain": 10, "brian": 1, "burke": 4, "buzz": 1, "cell": 4,
            "chemical": 20, "davis": 21, "definition": 52, "detection": 7, "disorder": 15, "drug": 1, "fisher": 2,
            "function": 11, "gage": 42, "gene": 50, "gland": 14, "hart": 0, "helen": 11, "henry": 15, "hormone": 93,
            "hormones": 2, "ian": 16, "ion": 8, "is": 2, "leslie": 4, "lilly": 23, "milan": 3, "plus": 76,
            "receptor": 114, "receptors": 104, "regulation": 4, "sensor": 6, "sex": 15, "signal": 8, "spencer": 6,
            "stimulation": 5, "wilson": 13,
        },
        "treating tension headaches without medication": {
            "##raine": 1, "addiction": 18, "alternative": 4, "anxiety": 8, "avoid": 33, "brace": 4, "clinic": 0,
            "comfort": 6, "counseling": 17, "cure": 48, "dose": 2, "drug": 43, "emergency": 2, "fix": 14, "for": 1,
            "headache": 109, "heal": 24, "help": 34, "lack": 33, "massage": 24, "med": 24, "medical": 0,
            "medication": 91, "medicine": 34, "mig": 86, "no": 17, "not": 7, "outside": 5, "pain": 24,
            "prescribed": 12, "prevention": 4, "relief": 13, "remedy": 51, "solution": 5, "spray": 17, "tense": 46,
            "tension": 104, "therapy": 40, "treat": 46, "treated": 33, "treating": 7, "treatment": 81, "warning": 3,
            "with": 11, "withdrawal": 2, "without": 120,
        },
    },
    "naver/splade-cocondenser-selfdistil": {
        "what is paula deen's brother": {
            "##e": 2, "##n": 62, "actor": 22, "biography": 3, "brother": 119, "brothers": 101, "carlos": 0,
            "celebrity": 34, "character": 11, "cousin": 17, "dad": 22, "dee": 115, "family": 23, "father": 2,
            "friend": 14, "girlfriend": 6, "gun": 4, "harry": 9, "he": 36, "her": 32, "his": 9, "husband": 9,
            "landon": 9, "lover": 18, "marriage": 6, "partner": 14, "paula": 145, "presley": 18, "relationship": 1,
            "ruth": 0, "s": 33, "she": 55, "son": 26, "sons": 24, "who": 49, "whom": 27, "wife": 8,
        },
        "Androgen receptor define": {
            "##rogen": 114, "acronym": 26, "alan": 21, "albert": 11, "alex": 4, "alexander": 4, "alpha": 15,
            "and": 99, "antigen": 20, "barrett": 6, "beck": 18, "biology": 30, "brain": 12, "brooke": 5, "cell": 18,
            "chemical": 9, "definition": 56, "drug": 4, "earl": 6, "eli": 6, "emma": 12, "fisher": 8, "gage": 36,
            "gay": 2, "gene": 32, "gland": 30, "hart": 4, "hc": 2, "henry": 15, "hormone": 88, "ion": 13, "jude": 25,
            "ken": 7, "lilly": 27, "lily": 15, "lucy": 0, "marcus": 1, "marshall": 5, "medical": 19, "michael": 22,
            "one": 11, "pill": 38, "plus": 77, "rat": 1, "receptor": 118, "receptors": 102, "rod": 1, "russell": 6,
            "sensor": 23, "ser": 15, "signal": 19, "spencer": 10, "steven": 3, "stud": 8, "substance": 19, "test": 4,
            "victor": 3,
        },
        "treating tension headaches without medication": {
            "##s": 17, "alternative": 2, "anxiety": 13, "avoid": 25, "calming": 5, "cold": 1, "combat": 2,
            "comfort": 0, "cope": 7, "cure": 28, "depression": 14, "distraction": 27, "dose": 5, "dressing": 24,
            "drug": 14, "exercise": 9, "fix": 3, "for": 10, "headache": 110, "heal": 24, "help": 13, "injection": 8,
            "intervention": 10, "med": 28, "medication": 100, "medications": 62, "medicine": 47, "mig": 81,
            "minimal": 54, "monk": 0, "no": 15, "pain": 36, "pill": 10, "prescription": 1, "prevention": 44,
            "relief": 17, "relieve": 11, "remedy": 22, "remove": 3, "sans": 8, "solution": 5, "spray": 18,
            "stress": 11, "supplement": 5, "surgery": 0, "tension": 119, "therapy": 36, "treat": 49, "treating": 17,
            "treatment": 76, "treatments": 9, "warning": 9, "without": 115,
        },
    },
}  # fmt: skip


def encoder(name: str) -> SpladeEncoder:
    return SpladeEncoder(name, device="cpu", dtype="float32")


@pytest.mark.parametrize("name", ANSERINI)
def test_anserinis_maps(name):
    """Term by term; one weight of a text may be so close to a half that another runtime rounds it the other way."""
    query_encoder = SpladeQueryEncoder(encoder(name), Quantizer.named("anserini"))
    for text, golden in ANSERINI[name].items():
        found = query_encoder.encode(text)
        for dropped in ("[PAD]", "[CLS]", "[SEP]"):
            found.pop(dropped, None)
        differences = [abs(found.get(term, 0) - golden.get(term, 0)) for term in found.keys() | golden.keys()]
        assert max(differences) <= 1
        assert sum(differences) <= 1
        assert 0 not in found.values()


def test_pyserinis_impacts():
    golden = {"retrieval": 151, "information": 139, "retrieve": 107, "retrieved": 92, "archive": 53}
    impacts = SpladeQueryEncoder(encoder("naver/splade-v3"), Quantizer.named("pyserini")).encode(
        "information retrieval"
    )
    assert {term: impacts.get(term) for term in golden} == golden


def test_fastembeds_weights():
    golden = {
        2040: 0.42195320, 2047: 0.43200725, 2088: 2.76658010, 2299: 0.33145747, 2748: 1.39517212, 3011: 0.02159592,
        3376: 0.43770671, 3795: 0.00083709, 4774: 0.51872098, 5304: 0.17124654, 5798: 0.14742017, 6160: 0.81428194,
        7592: 2.80326271, 7632: 2.19043493, 8484: 1.05314457,
    }  # fmt: skip
    weights = encoder("prithivida/Splade_PP_en_v1").encode_documents(["Hello World"])
    found = dict(zip(weights.term_ids.tolist(), weights.weights.tolist(), strict=True))
    for term_id in found.keys() | golden.keys():
        assert found.get(term_id, 0.0) == pytest.approx(golden.get(term_id, 0.0), abs=2e-3), term_id


def test_sentence_transformers_example_of_opensearch():
    """Its model is doc-v3-distill; the weights of the terms that query and document share."""
    model = encoder("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill")
    query = model.encode_queries(["What's the weather in ny now?"])[0]
    document = model.encode_documents(["Currently New York is rainy."])[0]
    golden = {
        "ny": (5.7729, 0.8049), "weather": (4.5684, 0.9710), "now": (3.5895, 0.4720), "?": (3.3313, 0.0286),
        "what": (2.7699, 0.0787), "in": (0.4989, 0.0417),
    }  # fmt: skip
    assert query.keys() & document.keys() == golden.keys()
    for term, (in_query, in_document) in golden.items():
        assert query[term] == pytest.approx(in_query, abs=1e-3)
        assert document[term] == pytest.approx(in_document, abs=2e-3)
    assert sum(query[term] * document[term] for term in golden) == pytest.approx(11.1105, abs=2e-2)
