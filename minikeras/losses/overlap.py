"""Losses of segmentations: how little of two masks overlaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .functions import operands
from .targets import check_finite
from .wrapper import LossFunctionWrapper

Axis = int | Sequence[int] | None


def _axes(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, Sequence) else axis


@differentiable
def dice(y_true: Any, y_pred: Any, axis: Axis = None) -> np.ndarray:
    """1 - 2 I / D with I = sum(t p) and D = sum(t) + sum(p) + e, over these axes, or all of the batch."""
    t, p = operands(y_true, y_pred, "dice")
    over = _axes(axis)
    return np.asarray(1 - 2 * (t * p).sum(over) / (t.sum(over) + p.sum(over) + config.epsilon()))


@dice.derivative
def dice_gradient(y_true: Any, y_pred: Any, axis: Axis = None) -> np.ndarray:
    """2 (I / D - t) / D."""
    t, p = operands(y_true, y_pred, "dice")
    over = _axes(axis)
    common = (t * p).sum(over, keepdims=True)
    both = t.sum(over, keepdims=True) + p.sum(over, keepdims=True) + config.epsilon()
    return (2 * (common / both - t) / both).reshape(np.shape(y_pred))


@differentiable
def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> np.ndarray:
    """1 - I / D with I = sum(t p) and D = I + alpha sum(t (1 - p)) + beta sum((1 - t) p) + e (Salehi et al., 2017).

    With alpha = beta = 1/2 that is `dice`.

    Args:
        y_true: masks, 1 for what belongs to the object.
        y_pred: probabilities of the same.
        alpha: what it costs to miss something.
        beta: what it costs to see something that isn't there.
        axis: what the sums are taken over; None for the whole batch.
    """
    common, total, _ = _tversky_parts(*operands(y_true, y_pred, "tversky"), alpha, beta, axis)
    return np.asarray((1 - common / total).squeeze(_axes(axis)))


@tversky.derivative
def tversky_gradient(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> np.ndarray:
    """(I dD / D - t) / D with dD = t - alpha t + beta (1 - t)."""
    t, p = operands(y_true, y_pred, "tversky")
    common, total, slope = _tversky_parts(t, p, alpha, beta, axis)
    return ((common * slope / total - t) / total).reshape(np.shape(y_pred))


def _tversky_parts(
    t: np.ndarray, p: np.ndarray, alpha: float, beta: float, axis: Axis
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return I and D, with all axes, and dD."""
    over = _axes(axis)
    common = (t * p).sum(over, keepdims=True)
    missed, invented = (t * (1 - p)).sum(over, keepdims=True), ((1 - t) * p).sum(over, keepdims=True)
    return common, common + alpha * missed + beta * invented + config.epsilon(), t - alpha * t + beta * (1 - t)


class Overlap(LossFunctionWrapper):
    """A loss whose value may be one for the whole batch; each sample's weight is then a weight of that."""

    def reduced(
        self, values: np.ndarray, sample_weight: Any = None, mask: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray | None, float]:
        if values.ndim:
            return super().reduced(values, sample_weight, mask)
        weights = np.asarray(1 if sample_weight is None else sample_weight, values.dtype)
        if weights.shape[-1:] == (1,):
            weights = weights[..., 0]
        total = float(weights.sum())
        if self.reduction in ("none", None):
            return values * weights, None, total
        if self.averages:
            total /= max(weights.size, 1)
        elif self.reduction == "mean_with_sample_weight" and weights.ndim:
            total = float(total != 0)
        return float(values) * total, None, total


@keras_class("keras.losses")
class Dice(Overlap):
    """1 - 2 I / D: see `dice`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Axis = None,
        dtype: str | None = None,
    ):
        super().__init__(dice, reduction, name, dtype, axis=axis)


@keras_class("keras.losses")
class Tversky(Overlap):
    """1 - I / D: see `tversky`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Axis = None,
        dtype: str | None = None,
    ):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
