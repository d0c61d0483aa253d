"""Regularizers: penalties on large weights, each with its derivative beside it.

    regularizer(w) -> float                   added to the loss
    regularizer.gradient(w) -> array          added to d loss / d w

Layers attach them to their weights, training adds them up.  Keras's counterpart: `keras.regularizers`.
"""

import math
from typing import Any, ClassVar

import numpy as np

from .common.names import refuse_other_names
from .common.serialization import Configurable, Table, deserializer, keras_class, serialize

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip


@keras_class("keras.regularizers")
class Regularizer(Configurable):
    """Base class: a regularizer of one's own writes `__call__` and `gradient`.

    class Lean(Regularizer):
        def __call__(self, x): return 0.1 * float(np.sum(x))
        def gradient(self, x): return np.full_like(x, 0.1)
    """

    lends: ClassVar[dict[str, int]] = {"__call__": 1, "gradient": 1}

    def __call__(self, x: np.ndarray) -> float:
        """Return the penalty on the weights `x`."""
        raise NotImplementedError(f"{type(self).__name__}: write `__call__(self, x)`, which returns the penalty.")

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return d penalty / d x, of the shape of `x`."""
        raise NotImplementedError(f"{type(self).__name__}: write `gradient(self, x)`, the derivative of the penalty.")


@keras_class("keras.regularizers")
class L1(Regularizer):
    """l1 sum |x|, which drives weights to zero exactly.

    Args:
        l1: the factor, not negative.

    Raises:
        ValueError: a negative or infinite factor.
    """

    def __init__(self, l1: float | None = 0.01):
        # Keras keeps this factor, and only this one, as a float32: its configs show 0.009999999776...
        self.l1 = float(np.float32(_factor(0.01 if l1 is None else l1, "l1")))

    def __call__(self, x: np.ndarray) -> float:
        """l1 sum |x|."""
        return float(self.l1 * np.sum(np.abs(x)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """l1 sign(x), and 0 at 0."""
        return self.l1 * np.sign(x)


@keras_class("keras.regularizers")
class L2(Regularizer):
    """l2 sum x^2, which keeps weights small.

    Args:
        l2: the factor, not negative.

    Raises:
        ValueError: a negative or infinite factor.
    """

    def __init__(self, l2: float = 0.01):
        self.l2 = _factor(0.01 if l2 is None else l2, "l2")

    def __call__(self, x: np.ndarray) -> float:
        """l2 sum x^2."""
        return float(self.l2 * np.sum(np.square(x)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """2 l2 x."""
        return 2 * self.l2 * x


@keras_class("keras.regularizers")
class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2.

    Args:
        l1: the factor of the first sum, not negative.
        l2: the factor of the second.

    Raises:
        ValueError: a negative or infinite factor.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1 = _factor(0.0 if l1 is None else l1, "l1")
        self.l2 = _factor(0.0 if l2 is None else l2, "l2")

    def __call__(self, x: np.ndarray) -> float:
        """l1 sum |x| + l2 sum x^2."""
        return float(self.l1 * np.sum(np.abs(x)) + self.l2 * np.sum(np.square(x)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """l1 sign(x) + 2 l2 x."""
        return self.l1 * np.sign(x) + 2 * self.l2 * x


@keras_class("keras.regularizers")
class OrthogonalRegularizer(Regularizer):
    """Keeps the rows (or columns) of a matrix at right angles: factor times the mean of |cos| over all pairs of them.

    P = factor / (n (n - 1)) sum over i != j of |u_i . u_j|,   u_i = x_i / |x_i|

    Args:
        factor: not negative.
        mode: `"rows"` or `"columns"`.

    Raises:
        ValueError: a negative or infinite factor, another mode; (at the call) no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = float(np.float32(_factor(factor, "factor")))  # as Keras keeps it
        if mode not in ("rows", "columns"):
            raise ValueError(
                f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}'
            )
        self.mode = mode

    def _cosines(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return u, |x_i|, u_i . u_j with 0 for i = j, and what the sum is multiplied by."""
        x = np.asarray(x)
        if x.ndim != 2:
            raise ValueError(f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape={x.shape}")
        rows = x if self.mode == "rows" else x.T
        lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        u = rows / np.where(lengths == 0, 1, lengths)
        n = len(rows)
        with np.errstate(divide="ignore"):
            share = float(np.float64(self.factor) / (n * (n - 1)))
        return u, lengths, u @ u.T * (1 - np.eye(n, dtype=x.dtype)), share

    def __call__(self, inputs: np.ndarray) -> float:
        """P."""
        *_, cosines, share = self._cosines(inputs)
        return float(share * np.abs(cosines).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """dP/du_i = 2 factor / (n (n - 1)) sum_j sign(u_i . u_j) u_j;  dx_i = (du_i - u_i (u_i . du_i)) / |x_i|."""
        u, lengths, cosines, share = self._cosines(x)
        du = 2 * share * (np.sign(cosines) @ u)
        dx = (du - u * (u * du).sum(axis=1, keepdims=True)) / np.where(lengths == 0, 1, lengths)
        return dx if self.mode == "rows" else dx.T


def _factor(value: Any, name: str) -> float:
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise ValueError(f"Invalid value for argument {name}: expected a non-negative float, received {name}={value!r}.")


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_TABLE = Table("regularizer", "keras.regularizers", Regularizer, [L1, L2, L1L2, OrthogonalRegularizer])


def get(identifier: Any) -> Any:
    """Return a regularizer from a name (`"l1"`, `"l2"`, `"l1_l2"`), a config, a class or an object; None stays None.

    The name `"l1_l2"` means `L1L2(0.01, 0.01)`, as Keras documents it.

    Raises:
        ValueError: unknown.
        TypeError: a function that has no derivative.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier == "l1_l2":
        return L1L2(0.01, 0.01)
    found = _TABLE.get(identifier)
    if not callable(found):
        raise ValueError(f"Could not interpret regularizer identifier: {identifier!r}")
    if not callable(getattr(found, "gradient", None)):
        raise TypeError(
            f"Regularizer {getattr(found, '__name__', found)!r} has no `gradient`, and this engine derives nothing by "
            "itself. Subclass `regularizers.Regularizer` with `__call__(x)` and `gradient(x)`."
        )
    return found


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
