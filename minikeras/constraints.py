"""Constraints: where weights are put back to after each step, by a projection.

    w = constraint(w)                         after the optimizer's rule

Layers attach them to their weights, `optimizers.refinements` applies them.  Keras's counterpart: `keras.constraints`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from . import config as settings
from .common.names import refuse_other_names
from .common.serialization import Configurable, Table, deserializer, keras_class, serialize

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip

Axes = int | Sequence[int] | None

entered = keras_class("keras.constraints")


@entered
class Constraint(Configurable):
    """Base class: a constraint of one's own writes `__call__`.

    class Clipped(Constraint):
        def __call__(self, w): return np.clip(w, -1, 1)
    """

    lends: ClassVar[dict[str, int]] = {"__call__": 1}

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return what the weights `w` shall be, in the same shape; here `w` itself."""
        return w


@entered
class NonNeg(Constraint):
    """w = max(w, 0)."""

    def __call__(self, w: np.ndarray) -> np.ndarray:
        return np.maximum(w, 0)


class _Rescaled(Constraint):
    """Base of those that change lengths and leave directions: w = w d / (e + |w|), d the length that is wanted."""

    axis: Any

    def __call__(self, w: np.ndarray) -> np.ndarray:
        w = np.asarray(w)
        norms = np.sqrt(np.sum(np.square(w), axis=_axes(self.axis), keepdims=True))
        return (w * (self._wanted(norms) / (settings.epsilon() + norms))).astype(w.dtype, copy=False)

    def _wanted(self, norms: np.ndarray) -> Any:
        """Return d for each |w|."""
        raise NotImplementedError


@entered
class MaxNorm(_Rescaled):
    """Vectors longer than `max_value` are shortened to it: w = w min(|w|, max_value) / (e + |w|).

    Args:
        max_value: the greatest length.
        axis: of the sum of squares under |w|: 0 for the inputs of each output of a Dense layer, [0, 1, 2] for those of
            each filter of a Conv2D.
    """

    def __init__(self, max_value: float = 2, axis: Axes = 0):
        self.max_value, self.axis = max_value, axis

    def _wanted(self, norms: np.ndarray) -> Any:
        return np.clip(norms, 0, self.max_value)


@entered
class UnitNorm(_Rescaled):
    """All vectors get length 1: w = w / (e + |w|).

    Args:
        axis: see `MaxNorm`.
    """

    def __init__(self, axis: Axes = 0):
        self.axis = axis

    def _wanted(self, norms: np.ndarray) -> Any:
        return 1


@entered
class MinMaxNorm(_Rescaled):
    """Lengths go to the nearest in [min_value, max_value], by the fraction `rate` of the way in each step.

    d = rate min(max(|w|, min_value), max_value) + (1 - rate) |w|;  w = w d / (e + |w|)

    Args:
        min_value: the smallest length.
        max_value: the greatest.
        rate: 1 enforces it at once.
        axis: see `MaxNorm`.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def _wanted(self, norms: np.ndarray) -> Any:
        return self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_TABLE = Table("constraint", "keras.constraints", Constraint, [Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm])


def get(identifier: Any) -> Any:
    """Return a constraint from a name (`"max_norm"`), a config, a class, an object or a function; None stays None.

    Raises:
        ValueError: anything else, or an unknown name.
    """
    found = None if identifier is None else _TABLE.get(identifier)
    if found is not None and not callable(found):
        raise ValueError(f"Could not interpret constraint identifier: {identifier!r}")
    return found


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
