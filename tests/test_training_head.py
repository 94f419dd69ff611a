"""The memory-cheap head against the formula written down naively."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_lucene.encoder.screened import can_screen
from splade_lucene.training import head
from splade_lucene.training.head import pooled_weights


def naive(hidden, weight, bias, mask, pooling):
    logits = hidden @ weight.T + bias
    weights = logits.relu().log1p().masked_fill(~mask.unsqueeze(-1), 0)
    return weights.amax(dim=1) if pooling == "max" else weights.sum(dim=1)


def inputs(texts, tokens, width, terms, seed, dtype=torch.float64):
    source = torch.Generator().manual_seed(seed)
    hidden = torch.randn(texts, tokens, width, generator=source, dtype=dtype, requires_grad=True)
    weight = torch.randn(terms, width, generator=source, dtype=dtype, requires_grad=True)
    bias = torch.randn(terms, generator=source, dtype=dtype, requires_grad=True)
    lengths = torch.randint(1, tokens + 1, (texts,), generator=source)
    return hidden, weight, bias, torch.arange(tokens) < lengths.unsqueeze(1)


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_gradients_are_those_of_finite_differences(pooling):
    hidden, weight, bias, mask = inputs(3, 5, 4, 17, seed=1)
    assert torch.autograd.gradcheck(
        lambda h, w, b: pooled_weights([h], w, b, [mask], pooling, step=6), (hidden, weight, bias)
    )


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**20),
       st.sampled_from(["max", "sum"]))  # fmt: skip
def test_weights_and_gradients_equal_the_naive_head(texts, tokens, terms, step, seed, pooling):
    hidden, weight, bias, mask = inputs(texts, tokens, 6, terms, seed)
    target = torch.randn(texts, terms, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ours = pooled_weights([hidden], weight, bias, [mask], pooling, step=step)
    expected = naive(hidden, weight, bias, mask, pooling)
    assert torch.allclose(ours, expected, atol=1e-12)
    got = torch.autograd.grad((ours * target).sum(), (hidden, weight, bias))
    wanted = torch.autograd.grad((expected * target).sum(), (hidden, weight, bias))
    for mine, theirs in zip(got, wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize("entries", [1 << 22, 7])
def test_buckets_of_several_lengths_give_what_the_naive_head_gives_for_each(monkeypatch, pooling, entries):
    monkeypatch.setattr(head, "_ENTRIES", entries)
    sizes = [(2, 3), (1, 7), (3, 5)]
    _, weight, bias, _ = inputs(1, 1, 6, 40, seed=8)
    parts = [inputs(texts, tokens, 6, 1, seed=10 + tokens) for texts, tokens in sizes]
    buckets, masks = [part[0] for part in parts], [part[3] for part in parts]
    ours = pooled_weights(buckets, weight, bias, masks, pooling, step=16)
    expected = torch.cat(
        [naive(hidden, weight, bias, mask, pooling) for hidden, mask in zip(buckets, masks, strict=True)]
    )
    assert torch.allclose(ours, expected, atol=1e-12)
    target = torch.randn(6, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    got = torch.autograd.grad((ours * target).sum(), (*buckets, weight, bias))
    wanted = torch.autograd.grad((expected * target).sum(), (*buckets, weight, bias))
    for mine, theirs in zip(got, wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize("screen", ["bfloat16", "int8"])
def test_screened_logits_give_the_same_weights_and_gradients(monkeypatch, screen):
    if not can_screen(screen, 64):
        pytest.skip(f"this PyTorch has no products in {screen}")
    hidden, weight, bias, mask = inputs(6, 20, 64, 3000, seed=12, dtype=torch.float32)
    bias = (bias.detach() - 27).requires_grad_()  # some twenty terms a text
    target = torch.rand(6, 3000, generator=torch.Generator().manual_seed(4))
    found = []
    for least in (1 << 30, 1):
        monkeypatch.setattr(head, "_SCREENED_TOKENS", least)
        monkeypatch.setattr(head, "_choose_screen", lambda _: screen)
        seen = watch_screens(monkeypatch)
        weights = pooled_weights([hidden[:2], hidden[2:]], weight, bias, [mask[:2], mask[2:]], "max", step=512)
        assert len(seen) == (2 if least == 1 else 0)
        found.append((weights, *torch.autograd.grad((weights * target).sum(), (hidden, weight, bias))))
    assert 2 < float((found[0][0] > 0).sum(dim=1).float().mean()) < 200
    for plain, screened in zip(*found, strict=True):
        assert torch.equal(plain != 0, screened != 0)
        assert torch.allclose(plain, screened, rtol=1e-4, atol=1e-4)


def watch_screens(monkeypatch):
    """Records each bucket that had few candidates."""
    seen = []
    original = head._pool_screened

    def watched(*arguments):
        result = original(*arguments)
        if result is not None:
            seen.append(len(result))
        return result

    monkeypatch.setattr(head, "_pool_screened", watched)
    return seen


def test_a_dense_text_is_not_screened(monkeypatch):
    monkeypatch.setattr(head, "_SCREENED_TOKENS", 1)
    monkeypatch.setattr(head, "_choose_screen", lambda _: "int8")
    hidden, weight, bias, mask = inputs(3, 5, 64, 300, seed=13, dtype=torch.float32)
    seen = watch_screens(monkeypatch)
    weights = pooled_weights([hidden], weight, bias, [mask], "max")
    assert not seen
    assert torch.allclose(weights, naive(hidden, weight, bias, mask, "max"), atol=1e-4)


def test_padding_has_no_part_in_weights_and_gradients():
    hidden, weight, bias, _ = inputs(2, 4, 4, 9, seed=3)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    changed = hidden.detach().clone()
    changed[0, 2:] = 1e6
    changed.requires_grad_()
    weights = pooled_weights([changed], weight, bias, [mask], "max")
    assert torch.equal(weights, pooled_weights([hidden], weight, bias, [mask], "max"))
    weights.sum().backward()
    assert not changed.grad[0, 2:].any()
    assert changed.grad[0, :2].any()


def test_a_text_without_active_terms_gets_no_gradient():
    hidden, weight, bias, mask = inputs(2, 3, 4, 9, seed=4)
    weights = pooled_weights([hidden], weight, bias - 1e3, [mask], "max")
    assert not weights.any()
    weights.sum().backward()
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_a_decoder_without_bias():
    hidden, weight, _, mask = inputs(2, 3, 4, 9, seed=5)
    zero = torch.zeros(9, dtype=torch.float64)
    assert torch.allclose(
        pooled_weights([hidden], weight, None, [mask], "sum"), naive(hidden, weight, zero, mask, "sum")
    )


def test_a_shared_maximum_gives_its_gradient_to_the_first_token():
    hidden = torch.ones(1, 3, 2, requires_grad=True)
    weight = torch.ones(1, 2, requires_grad=True)
    pooled_weights([hidden], weight, None, [torch.ones(1, 3, dtype=torch.bool)], "max").sum().backward()
    assert hidden.grad[0].tolist() == [[pytest.approx(1 / 3)] * 2, [0, 0], [0, 0]]


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_products_in_bfloat16_are_near_those_in_float32(pooling):
    hidden, weight, bias, mask = inputs(3, 6, 32, 200, seed=6, dtype=torch.float32)
    expected = pooled_weights([hidden], weight, bias, [mask], pooling)
    wanted = torch.autograd.grad(expected.sum(), weight)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = pooled_weights([hidden], weight, bias, [mask], pooling)
    assert got.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(got.flatten(), expected.flatten(), dim=0) > 0.999
    gradient = torch.autograd.grad(got.sum(), weight)[0]
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), wanted.flatten(), dim=0) > 0.99


def test_no_tensor_of_all_logits_is_ever_made():
    texts, tokens, terms = 16, 64, 20_000
    hidden, weight, bias, mask = inputs(texts, tokens, 8, terms, seed=7, dtype=torch.float32)
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for each in torch.utils._pytree.tree_leaves(result):
                if isinstance(each, torch.Tensor) and each.layout == torch.strided:
                    seen.append(each.numel())
            return result

    with Watch():
        pooled_weights([hidden], weight, bias - 8, [mask], "max", step=1024).sum().backward()
    assert max(seen) <= texts * tokens * 1024 < texts * tokens * terms / 10
