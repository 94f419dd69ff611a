"""The screened decoder: no term above 0 is missed, whatever the weights, and the weights are those of the whole decoder."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import tiny_checkpoint

from splade_lucene import DocumentSettings, SpladeEncoder
from splade_lucene.encoder import network, screened
from splade_lucene.encoder.pooling import without_padding
from splade_lucene.encoder.screened import ScreenedDecoder, can_screen, choose_screen

SCREENS = [
    pytest.param(screen, marks=pytest.mark.skipif(not can_screen(screen, 64), reason="this PyTorch lacks the product"))
    for screen in ("bfloat16", "int8")
]
TEXTS = [f"document number {i} about {'cats and ' * (i * 5 % 13)}dogs" for i in range(40)]


def pools(hidden, mask, weight, bias, screen, step=100):
    """Largest logits by the screened decoder, and by all products in float64; the smallest difference that rounding makes."""
    found = ScreenedDecoder(weight, bias, screen, step).pool(without_padding(hidden, mask), mask)
    logits = hidden.double() @ weight.double().t() + (0 if bias is None else bias.double())
    expected = logits.masked_fill(~mask.unsqueeze(-1), 0).amax(dim=1).clamp_min(0)
    size = hidden.norm(dim=2).max() * weight.norm(dim=1).max()
    return found.double(), expected, float(size) * 1e-5


@pytest.mark.parametrize("screen", SCREENS)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 1 << 30), texts=st.integers(1, 4), tokens=st.integers(1, 9), width=st.sampled_from([4, 7, 64]),
    size=st.sampled_from([1e-6, 1.0, 1e4]), outlier=st.booleans(), shift=st.sampled_from([-3.0, -1.0, 0.0, 2.0]),
)  # fmt: skip
def test_the_largest_logits_are_those_of_all_products(screen, seed, texts, tokens, width, size, outlier, shift):
    random = torch.Generator().manual_seed(seed)
    hidden = size * torch.randn(texts, tokens, width, generator=random)
    if outlier:
        hidden[..., 0] *= 100
    weight = torch.randn(257, width, generator=random)
    bias = shift * size * width**0.5 * torch.rand(257, generator=random)
    mask = torch.rand(texts, tokens, generator=random) < 0.7
    found, expected, tolerance = pools(hidden, mask, weight, bias, screen)
    assert float((found - expected).abs().max()) <= tolerance


@pytest.mark.parametrize("screen", SCREENS)
def test_a_term_that_the_cheap_product_puts_below_0_is_found(screen):
    """All rounding errors of a row point the same way: the cheap product is far below the true one."""
    hidden = torch.ones(1, 1, 64)
    weight = torch.full((1, 64), 1.0 + 2**-9 - 2**-16)  # bfloat16 rounds it down to 1
    weight[0, :2] = torch.tensor([127.0, -127.0])  # and so does int8 with a scale of 1
    bias = torch.tensor([-62.05])
    found, expected, _ = pools(hidden, torch.ones(1, 1, dtype=torch.bool), weight, bias, screen)
    rounded = weight.bfloat16().float() if screen == "bfloat16" else weight.round()
    assert float(hidden[0] @ rounded.t() + bias) < 0 < float(expected)
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("screen", SCREENS)
def test_many_terms_are_projected_without_copying_their_rows(screen):
    weight = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    decoder = ScreenedDecoder(weight, None, screen, 200)
    assert list(decoder._split(torch.arange(500))) == [slice(0, 200), slice(200, 400), slice(400, 600)]
    assert [part.tolist() for part in decoder._split(torch.tensor([3, 499]))] == [[3, 499]]


@pytest.mark.parametrize("screen", SCREENS)
def test_a_text_with_nearly_all_terms_is_not_screened(screen, monkeypatch):
    """It costs what the whole decoder costs; those beside it are screened, and have the weights that they have alone."""
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(3000, 64, generator=random)
    weight[:, 0] = 1.0
    hidden = 0.1 * torch.randn(4, 3, 64, generator=random)
    hidden[:, :, 0] = torch.tensor([-9.0, 9.0, -9.0, -9.0]).unsqueeze(1)  # the second has all terms
    hidden[0, 1, 1:] *= 6
    mask = torch.ones(4, 3, dtype=torch.bool)
    mask[1, 2] = False
    decoder = ScreenedDecoder(weight, None, screen, 700)
    screened_texts = []
    bounds_of = decoder._bounds.of
    monkeypatch.setattr(decoder._bounds, "of", lambda states: screened_texts.append(states.texts) or bounds_of(states))
    hidden = without_padding(hidden, mask)
    found = decoder.pool(hidden, mask)
    assert screened_texts == [3]
    expected = (hidden.double() @ weight.double().t()).amax(dim=1).clamp_min(0)
    assert float((found - expected).abs().max()) < 1e-4
    assert int((found[1] > 0).sum()) == 3000
    assert 0 < int((found[0] > 0).sum()) < 3000 / 8
    screened_texts.clear()
    assert torch.equal(decoder.pool(hidden[1:2], mask[1:2])[0], found[1])
    assert screened_texts == []
    assert torch.equal(decoder.pool(hidden[:1], mask[:1])[0], found[0])
    mask[1] = False
    assert not decoder.pool(hidden, mask)[1].any()


@pytest.mark.parametrize("screen", SCREENS)
def test_without_tokens_or_weights_there_are_no_terms(screen):
    mask = torch.tensor([[True, True], [False, False]])
    found, expected, _ = pools(torch.zeros(2, 2, 64), mask, torch.zeros(300, 64), torch.full((300,), 0.5), screen)
    assert torch.equal(found[0], expected[0])
    assert not found[1].any()


@pytest.mark.parametrize("screen", SCREENS)
def test_an_encoder_has_the_weights_of_the_whole_decoder(screen, tmp_path, monkeypatch):
    folder = tiny_checkpoint(tmp_path / "tiny", "bert")
    encoded = []
    for chosen in (None, screen):
        monkeypatch.setattr(network, "choose_screen", lambda chosen=chosen: chosen)
        encoder = SpladeEncoder(folder, device="cpu", dtype="float32")
        encoded.append(list(encoder.encode_documents(TEXTS)))
        assert (encoder.document_network._screened_decoder is not None) == (chosen is not None)
    assert sum(map(len, encoded[0])) > 100
    for found, expected in zip(*encoded, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("pooling", "dtype"), [("sum", "float32"), ("max", "bfloat16")])
def test_only_max_pooling_in_float32_is_screened(pooling, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "choose_screen", lambda: "int8")
    monkeypatch.setattr(network, "can_screen", lambda *_: True)
    monkeypatch.setattr(ScreenedDecoder, "pool", None)  # a call fails
    folder, documents = tiny_checkpoint(tmp_path / "tiny", "bert"), DocumentSettings(pooling=pooling)
    assert any(SpladeEncoder(folder, documents, device="cpu", dtype=dtype).encode_documents(TEXTS))


@pytest.mark.parametrize(
    ("names", "screen"),
    [({"amx_bf16", "avx512_vnni", "avx512_bf16"}, "bfloat16"), ({"avx512_vnni", "avx512_bf16"}, "int8"), ({"avx2"}, None)],
)  # fmt: skip
def test_the_processor_s_instructions_decide(names, screen, monkeypatch):
    monkeypatch.setattr(screened, "instruction_sets", lambda: names)
    assert {choose_screen() for _ in range(6)} == {screen}
