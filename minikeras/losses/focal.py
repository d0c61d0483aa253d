"""Focal crossentropies: a factor makes samples that are right already count little (Lin et al., 2017)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config
from ..activations import sigmoid, softmax
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .functions import clip, operands, smooth
from .targets import check_binary, check_one_hot
from .wrapper import LossFunctionWrapper


def _power_slope(u: np.ndarray, gamma: float) -> np.ndarray:
    """Return gamma u^(gamma - 1), with u at least e: for gamma < 1 there is no derivative at 0."""
    return gamma * np.maximum(u, config.epsilon()) ** (gamma - 1)


@differentiable
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """mean(a u^gamma h) over `axis`, with h the `binary_crossentropy` of each number and u how wrong it is.

        u = 1 - t p - (1 - t) (1 - p)
        a = t alpha + (1 - t) (1 - alpha)       with `apply_class_balancing`, else 1

    Args:
        y_true: targets in [0, 1].
        y_pred: probabilities, or logits with `from_logits`: p = sigmoid(z).
        apply_class_balancing: whether the two classes have weights.
        alpha: the weight of class 1.
        gamma: the larger, the less do numbers count that are nearly right; 0 gives the crossentropy itself.
        from_logits: whether `y_pred` has not yet gone through a sigmoid.
        label_smoothing: draws the targets this far towards 1/2.
        axis: what the mean is taken over.
    """
    t, p = operands(y_true, y_pred, "binary_focal_crossentropy")
    t = smooth(t, label_smoothing, 2)
    p = sigmoid(p) if from_logits else p
    q, _ = clip(p)
    h = -(t * np.log(q) + (1 - t) * np.log(1 - q))
    u = 1 - (t * p + (1 - t) * (1 - p))
    a = t * alpha + (1 - t) * (1 - alpha) if apply_class_balancing else 1
    return (a * u**gamma * h).mean(axis)


@binary_focal_crossentropy.derivative
def binary_focal_crossentropy_gradient(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """a (gamma u^(gamma - 1) (1 - 2 t) h + u^gamma dh) / C with dh = (1 - t) / (1 - p) - t / p, 0 where p was clipped.

    From logits: times p (1 - p).
    """
    t, p = operands(y_true, y_pred, "binary_focal_crossentropy")
    t = smooth(t, label_smoothing, 2)
    p = sigmoid(p) if from_logits else p
    q, inside = clip(p)
    h, dh = -(t * np.log(q) + (1 - t) * np.log(1 - q)), ((1 - t) / (1 - q) - t / q) * inside
    u = 1 - (t * p + (1 - t) * (1 - p))
    a = t * alpha + (1 - t) * (1 - alpha) if apply_class_balancing else 1
    dp = a * (_power_slope(u, gamma) * (1 - 2 * t) * h + u**gamma * dh)
    if from_logits:
        dp = dp * p * (1 - p)
    return (dp / p.shape[axis]).reshape(np.shape(y_pred))


@keras_class("keras.losses")
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """A crossentropy of hard samples: see `binary_focal_crossentropy`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_binary)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        options |= {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **options)


@differentiable
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """-sum(alpha t (1 - q)^gamma log(q)) over `axis`, q = p / sum(p) clipped to [e, 1 - e].

    Args:
        y_true: one-hot targets, or probabilities that sum to 1.
        y_pred: probabilities, or logits with `from_logits`: p = softmax(z).
        alpha: the weight of all classes, or of each.
        gamma: the larger, the less do samples count that are nearly right.
        from_logits: whether `y_pred` has not yet gone through a softmax.
        label_smoothing: draws the targets this far towards 1/C.
        axis: the axis of the classes.
    """
    t, p = operands(y_true, y_pred, "categorical_focal_crossentropy")
    t = smooth(t, label_smoothing, t.shape[-1])
    p = softmax(p, axis) if from_logits else p
    q, _ = clip(p / p.sum(axis, keepdims=True))
    return -(np.asarray(alpha, p.dtype) * t * (1 - q) ** gamma * np.log(q)).sum(axis)


@categorical_focal_crossentropy.derivative
def categorical_focal_crossentropy_gradient(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """(g - sum(g q)) / sum(p) with g = dL/dq, 0 where q was clipped; from logits p (g - sum(g p)).

    g = alpha t (gamma (1 - q)^(gamma - 1) log(q) - (1 - q)^gamma / q)
    """
    t, p = operands(y_true, y_pred, "categorical_focal_crossentropy")
    t = smooth(t, label_smoothing, t.shape[-1])
    p = softmax(p, axis) if from_logits else p
    total = p.sum(axis, keepdims=True)
    q, inside = clip(p / total)
    g = np.asarray(alpha, p.dtype) * t * (_power_slope(1 - q, gamma) * np.log(q) - (1 - q) ** gamma / q) * inside
    dp = (g - (g * (p / total)).sum(axis, keepdims=True)) / total
    return dp * p if from_logits else dp


@keras_class("keras.losses")
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """A crossentropy of hard samples: see `categorical_focal_crossentropy`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_one_hot)

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma, **options)
