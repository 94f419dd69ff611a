"""Float weights → integer impacts: the quantization rules in common use, by name.

A rule defines how documents and queries are quantized. The rule is recorded in the manifests of pseudo-documents and
indexes, so queries are quantized to match automatically.

==============  =============  ============  ======================================================================
rule            documents      queries       used by
==============  =============  ============  ======================================================================
``naver``       w x 100        w x 100       naver/splade; Anserini's DistilSPLADE-max corpora and topics;
                half to even   half to even  in float32, as NumPy computes it there
``splade-pp``   w x 100        w x 1000      Anserini's published SPLADE++ ED/SD topics (queries); naver/splade
                half to even   half to even  (documents)
``pyserini``    w / 5 x 256    w / 5 x 256   Pyserini's encoders and on-the-fly queries; SPLADE-v3
                half to even   half to even
``anserini``    w / 5 x 256    w / 5 x 256   Anserini's ONNX encoders, in float32 as Java computes it
                half up        half up
``pyt-splade``  int(w x 100)   w x 1000      pyt_splade: truncated documents and float queries, approximated here by
                truncated      half to even  thousandths because Lucene impacts are integers
==============  =============  ============  ======================================================================

Terms whose weight rounds to 0 are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import check_choice
from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import InputError
from splade_lucene.files.typed_data import make

if TYPE_CHECKING:
    from torch import Tensor

Rounding = Literal["half-even", "half-up", "truncate"]
Precision = Literal["float32", "float64"]
Side = Literal["document", "query"]


@dataclass(frozen=True)
class Scaling:
    """One side of a rule: ``round(w / divisor * multiplier)``.

    The two factors are kept apart because the order of operations affects the last bit, and thus the rounding.

    Attributes:
        multiplier: Applied after the divisor.
        divisor: Applied first.
        rounding: How the result is rounded.
        precision: The floating-point type of the arithmetic.
    """

    multiplier: float
    divisor: float = 1.0
    rounding: Rounding = "half-even"
    precision: Precision = "float64"

    def __post_init__(self) -> None:
        check_choice(self.rounding, Rounding, "rounding")
        check_choice(self.precision, Precision, "precision")
        if not (0 < self.multiplier < math.inf and 0 < self.divisor < math.inf and 0 < self.scale < math.inf):
            raise InputError(
                f"multiplier and divisor must be positive numbers, got {self.multiplier} and {self.divisor}",
                remedy="Use the numbers of the rule's source",
            )

    @property
    def scale(self) -> float:
        """Impacts per unit of weight."""
        return self.multiplier / self.divisor


@dataclass(frozen=True)
class Quantizer:
    """A named rule for documents and queries.

    Attributes:
        name: The rule's name.
        document: Scaling of documents.
        query: Scaling of queries.
        max_impact: Largest impact; larger ones are clipped.

    Example:
        >>> from splade_lucene import Quantizer
        >>> Quantizer.named("naver").quantize(np.array([0.004, 0.015, 1.234]), "document").tolist()
        [0, 2, 123]
    """

    name: str
    document: Scaling
    query: Scaling
    max_impact: int = MAX_IMPACT

    def __post_init__(self) -> None:
        if not 1 <= self.max_impact <= MAX_IMPACT:
            raise InputError(f"max_impact must be 1 to {MAX_IMPACT}, got {self.max_impact}")

    @classmethod
    def named(cls, name: str, scale: float | None = None) -> Quantizer:
        """Looks up a rule by name.

        Args:
            name: A key of :data:`RULES`.
            scale: Impacts per unit of weight for both sides, overriding the rule's own.

        Raises:
            InputError: The rule is unknown, or the scale is not positive.
        """
        rule = RULES.get(name)
        if rule is None:
            raise InputError(f"unknown quantizer {name!r}", remedy=f"Choose one of: {', '.join(RULES)}")
        if scale is None:
            return rule
        if not (np.isfinite(scale) and scale > 0):
            raise InputError(
                f"scale must be a positive number, got {scale}", remedy="Leave out scale=… for the rule's own"
            )
        return replace(
            rule,
            document=replace(rule.document, multiplier=float(scale), divisor=1.0),
            query=replace(rule.query, multiplier=float(scale), divisor=1.0),
        )

    @overload
    def quantize(self, weights: NDArray[Any], side: Side) -> NDArray[np.int32]: ...
    @overload
    def quantize(self, weights: Tensor, side: Side) -> Tensor: ...
    def quantize(self, weights: Any, side: Side) -> Any:
        """Quantizes weights.

        Args:
            weights: An array, or a tensor on any device, of any shape; every weight finite and at least 0.
            side: Which side of the rule applies.

        Returns:
            Impacts of the same type and shape as ``weights``, int32, 0 to ``max_impact``; 0 means that the term is dropped.

        Raises:
            InputError: A weight is negative or not finite, or the side is unknown.
        """
        if side not in ("document", "query"):
            raise InputError(f"unknown side {side!r}", remedy="Choose document or query")
        xp: Any = np if isinstance(weights, np.ndarray) else import_module("torch")
        if not (bool(xp.isfinite(weights).all()) and bool((weights >= 0).all())):
            raise InputError("weights must be finite and at least 0", remedy="Check the model, or use dtype=float32")
        scaling = self.document if side == "document" else self.query
        values = _as(weights, getattr(xp, scaling.precision))
        values = values / scaling.divisor * scaling.multiplier  # Python scalars take the array's precision
        if scaling.rounding == "half-even":
            values = xp.round(values)
        elif scaling.rounding == "half-up":
            values = xp.floor(_as(values, xp.float64) + 0.5)  # java.lang.Math.round(float)
        else:
            values = xp.trunc(values)
        return _as(_as(values, xp.float64).clip(max=self.max_impact), xp.int32)

    def quantize_vector(self, weights: Mapping[str, float], side: Side) -> dict[str, int]:
        """Quantizes a vector.

        Args:
            weights: Term → weight; each finite and at least 0.
            side: Which side of the rule applies.

        Returns:
            Term → impact, in the same order, without terms whose impact is 0.

        Raises:
            InputError: A weight is negative, not finite or not a number, or the side is unknown.

        Example:
            >>> Quantizer.named("naver").quantize_vector({"heart": 2.4, "the": 0.001}, "query")
            {'heart': 240}
        """
        if not isinstance(weights, Mapping):
            raise InputError(f"expected a mapping of terms to weights, got {type(weights).__name__}")
        for term, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, Real):
                raise InputError(f"term {term!r} has weight {weight!r}, which is not a number")
        impacts = self.quantize(np.array([float(weight) for weight in weights.values()]), side).tolist()
        return {term: impact for term, impact in zip(weights, impacts, strict=True) if impact}

    def to_json(self) -> dict[str, Any]:
        """The rule as plain data, for manifests."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Quantizer:
        """Restores a rule from :meth:`to_json`.

        Raises:
            ValueError: A value has the wrong type.
            InputError: A value is invalid.
        """
        return make(cls, data)


def _as(values: Any, dtype: Any) -> Any:
    return values.astype(dtype) if isinstance(values, np.ndarray) else values.to(dtype)


_HUNDREDTHS = Scaling(100.0, precision="float32")
_THOUSANDTHS = Scaling(1000.0)
_FIFTHS_OF_256 = Scaling(256.0, divisor=5.0)
_JAVA = Scaling(256.0, divisor=5.0, rounding="half-up", precision="float32")

RuleName = Literal["naver", "splade-pp", "pyserini", "anserini", "pyt-splade"]
"""The names of the rules."""

RULES: dict[str, Quantizer] = {
    rule.name: rule
    for rule in (
        Quantizer("naver", _HUNDREDTHS, _HUNDREDTHS),
        Quantizer("splade-pp", _HUNDREDTHS, _THOUSANDTHS),
        Quantizer("pyserini", _FIFTHS_OF_256, _FIFTHS_OF_256),
        Quantizer("anserini", _JAVA, _JAVA),
        Quantizer("pyt-splade", Scaling(100.0, rounding="truncate"), _THOUSANDTHS),
    )
}
"""All rules by name."""

DEFAULT_RULE = "naver"
