"""Max pooling of the vocabulary projection, computed in float32 only for terms that a text may have.

A text has about a hundred of thirty thousand terms: the largest logits of all others are below 0. So a cheap product, in
bfloat16 or int8, computes an upper bound of each text's largest logit for each term, and only terms whose bound is above 0
are projected in float32. With hidden states ``x`` and a row ``w`` of the decoder, rounded to ``x'`` and ``w'``:

    x·w = x'·w' + (x - x')·w + x'·(w - w')  ≤  x'·w' + |x - x'| |w| + |x'| |w - w'|

by Cauchy and Schwarz. No term above 0 is ever missed, whatever the model; the largest errors of a text's tokens bound all of
them, so that the bound is added after pooling. The weights are those of the whole float32 projection, up to the order of
additions.

Some networks give nearly all terms a weight, and screening them would only cost time. So the bounds of a sample of terms are
computed first; if many of them may have a weight, the text is projected in full.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import torch

from splade_lucene.encoder.linear import PackedLinear, can_pack
from splade_lucene.encoder.precision import instruction_sets

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)
_LEVELS = 127  # quantization levels of int8, on each side of 0
_DENSE_DIVISOR = 8  # a text with candidates for at least 1/8 of all terms is dense
_SAMPLE = 1024  # terms
_BFLOAT16_OUTPUT = 1.01 * 2.0**-8  # relative error of a product that is rounded to bfloat16, with a margin
_FLOAT32_SUM = 2.0**-23  # relative error of a float32 sum per addend, with a margin

Screen = Literal["bfloat16", "int8"]


def choose_screen() -> Screen | None:
    """The product whose instructions the processor names and that is much faster than float32; None without any."""
    names = instruction_sets()
    if "amx_bf16" in names:
        return "bfloat16"
    return "int8" if "avx512_vnni" in names else None


class ScreenedDecoder:
    """A decoder whose products are screened.

    Args:
        weight: Shape [terms, width], float32.
        bias: Shape [terms], or None.
        screen: The type of the cheap products.
        step: Terms projected at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, screen: Screen, step: int) -> None:
        self._weight = weight.detach()
        self._bias = torch.zeros(len(weight)) if bias is None else bias.detach()
        self._screen, self._step = screen, step
        self._bounds = _Bounds(self._weight, self._bias, screen, step)
        sample = slice(None, None, max(1, len(weight) // _SAMPLE))
        self._sample = _Bounds(self._weight[sample], self._bias[sample], screen, step)

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The largest logit of each term, or 0 if it is below.

        Args:
            hidden: Output of the masked-LM head's transform, shape [texts, tokens, width], float32. Tokens outside the mask
                repeat another token of their text.
            mask: Shape [texts, tokens]; true for tokens to pool over.

        Returns:
            Shape [texts, terms], float32.
        """
        states = _States(hidden, self._screen)
        shares = (~(self._sample.of(states) <= 0)).float().mean(dim=1)  # NaN is a candidate, too
        is_dense = shares * _DENSE_DIVISOR >= 1
        pooled = torch.zeros(len(hidden), len(self._weight))
        if bool(is_dense.any()):
            pooled[is_dense] = self._project(hidden[is_dense], mask[is_dense])
        if bool(is_dense.all()):
            return pooled
        if bool(is_dense.any()):
            states = _States(hidden[~is_dense], self._screen)
        bounds = self._bounds.of(states)
        for row, text in enumerate((~is_dense).nonzero()[:, 0].tolist()):
            # NaN counts as a candidate, so that it raises an error instead of dropping terms
            candidates = (~(bounds[row] <= 0)).nonzero()[:, 0]
            states_of_text = hidden[text][mask[text]]
            for part in self._split(candidates):
                if len(states_of_text):
                    logits = torch.mm(states_of_text, self._weight[part].t()).amax(dim=0) + self._bias[part]
                    pooled[text, part] = logits.relu_()
        return pooled

    def candidates(self, hidden: Tensor) -> list[Tensor] | None:
        """The terms that each text may have.

        Args:
            hidden: As for :meth:`pool`.

        Returns:
            Ascending terms for each text; None if one of the texts may have many.
        """
        states = _States(hidden, self._screen)
        shares = (~(self._sample.of(states) <= 0)).float().mean(dim=1)  # NaN is a candidate, too
        if bool((shares * _DENSE_DIVISOR >= 1).any()):
            return None
        return [(~(bounds <= 0)).nonzero()[:, 0] for bounds in self._bounds.of(states)]

    def _project(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The same without a screen."""
        texts, tokens, width = hidden.shape
        rows = hidden.reshape(texts * tokens, width)
        pooled = torch.empty(texts, len(self._weight))
        for part in self._slices():
            logits = torch.mm(rows, self._weight[part].t()).view(texts, tokens, -1)
            pooled[:, part] = logits.amax(dim=1).add_(self._bias[part]).relu_()
        pooled[~mask.any(dim=1)] = 0
        return pooled

    def _split(self, candidates: Tensor) -> Iterable[Tensor | slice]:
        """The terms to project, some at a time; all of them if they are many, because slices need no copy of the matrix."""
        return (
            torch.split(candidates, self._step)
            if _DENSE_DIVISOR * len(candidates) < len(self._weight)
            else self._slices()
        )

    def _slices(self) -> list[slice]:
        return [slice(start, start + self._step) for start in range(0, len(self._weight), self._step)]


class _States:
    """Hidden states in the type of the cheap products, with their errors.

    Args:
        hidden: Shape [texts, tokens, width].
        screen: The type.

    Attributes:
        rows: The rounded states of all tokens; shape [texts * tokens, width].
        scales: The scale of each text; shape [texts, 1].
        norms: The largest norm of a text's rounded states; shape [texts, 1].
        errors: The largest error of a text's states; shape [texts, 1].
    """

    def __init__(self, hidden: Tensor, screen: Screen) -> None:
        self.texts, self.tokens, width = hidden.shape
        if screen == "bfloat16":
            rounded, self.scales = hidden.bfloat16(), torch.ones(self.texts, 1)
        else:
            self.scales = (hidden.abs().amax(dim=(1, 2)) / _LEVELS).clamp_min(1e-30).view(-1, 1)
            levels = (hidden / self.scales.view(-1, 1, 1)).round().clamp(-_LEVELS, _LEVELS)
            rounded = levels.to(torch.int8)
        restored = rounded.float() * self.scales.view(-1, 1, 1)
        states = hidden.norm(dim=2).amax(dim=1, keepdim=True)
        self.errors = (hidden - restored).norm(dim=2).amax(dim=1, keepdim=True) + width * _FLOAT32_SUM * states
        self.norms = restored.norm(dim=2).amax(dim=1, keepdim=True)
        self.rows = rounded.reshape(self.texts * self.tokens, width)


class _Bounds:
    """Upper bounds of the largest logits of some terms.

    Args:
        weight: Their rows of the decoder, shape [terms, width].
        bias: Shape [terms].
        screen: The type of the products.
        step: Terms projected at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor, screen: Screen, step: int) -> None:
        self._bias, self._screen, self._step = bias, screen, step
        self._norms = _norms(weight)
        self._scales = torch.ones(len(weight))
        self._errors = torch.empty(len(weight))
        self._products = [self._prepare(weight, slice(start, start + step)) for start in range(0, len(weight), step)]

    def of(self, states: _States) -> Tensor:
        """The bounds of each text; shape [texts, terms]."""
        bounds = torch.empty(states.texts, len(self._norms))
        for number, product in enumerate(self._products):
            terms = slice(number * self._step, (number + 1) * self._step)
            largest = product(states.rows).view(states.texts, states.tokens, -1).amax(dim=1).float()
            bounds[:, terms] = (
                largest * (1 + _BFLOAT16_OUTPUT * largest.sign()) if self._screen == "bfloat16" else largest
            )
        bounds *= states.scales * self._scales
        bounds += self._bias
        bounds += states.errors * self._norms
        bounds += states.norms * self._errors
        return bounds

    def _prepare(self, weight: Tensor, terms: slice) -> Callable[[Tensor], Tensor]:
        weight = weight[terms]
        if self._screen == "bfloat16":
            rounded = weight.bfloat16()
            self._errors[terms] = _norms(weight - rounded.float())
            return PackedLinear(rounded, None)
        scales = (weight.abs().amax(dim=1) / _LEVELS).clamp_min(1e-30)
        levels = (weight / scales.unsqueeze(1)).round().clamp(-_LEVELS, _LEVELS).to(torch.int8)
        self._scales[terms] = scales
        self._errors[terms] = _norms(weight - levels.float() * scales.unsqueeze(1))
        transposed = levels.t().contiguous()
        int_mm: Callable[[Tensor, Tensor], Tensor] = torch._int_mm
        return lambda rows: int_mm(rows, transposed)


def _norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms


def can_screen(screen: Screen, width: int) -> bool:
    """Whether this PyTorch has the cheap product, with the accuracy that the bound assumes."""
    generator = torch.Generator().manual_seed(0)
    try:
        if screen == "bfloat16":
            return can_pack(torch.randn(64, width, generator=generator).bfloat16())
        rows, weight = (torch.randint(-_LEVELS, _LEVELS + 1, (n, width), generator=generator) for n in (48, 64))
        rows[0], weight[0], weight[1] = _LEVELS, _LEVELS, -_LEVELS
        found = torch._int_mm(rows.to(torch.int8), weight.to(torch.int8).t().contiguous())
        return bool((found == rows @ weight.t()).all())
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        _log.info("cannot screen the decoder: %s", error)
        return False
