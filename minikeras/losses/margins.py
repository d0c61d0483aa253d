"""Hinges: losses that are 0 once a prediction is on the right side by a margin of 1."""

from typing import Any

import numpy as np

from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .functions import operands
from .targets import check_finite
from .wrapper import LossFunctionWrapper


@differentiable
def hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(max(1 - t p, 0)) over the last axis, for targets -1 and 1; if all are 0 or 1, they become these."""
    t, p = _signs_and_scores(y_true, y_pred, "hinge")
    return np.maximum(1 - t * p, 0).mean(-1)


@hinge.derivative
def hinge_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """-t / C where t p <= 1."""
    t, p = _signs_and_scores(y_true, y_pred, "hinge")
    return (-t * (t * p <= 1) / p.shape[-1]).reshape(np.shape(y_pred))


@keras_class("keras.losses")
class Hinge(LossFunctionWrapper):
    """max(1 - t p, 0): see `hinge`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: str | None = None
    ):
        super().__init__(hinge, reduction, name, dtype)


@differentiable
def squared_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(max(1 - t p, 0)^2) over the last axis, for the targets of `hinge`."""
    t, p = _signs_and_scores(y_true, y_pred, "squared_hinge")
    return np.square(np.maximum(1 - t * p, 0)).mean(-1)


@squared_hinge.derivative
def squared_hinge_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """-2 t max(1 - t p, 0) / C."""
    t, p = _signs_and_scores(y_true, y_pred, "squared_hinge")
    return (-t * np.maximum(1 - t * p, 0) * (2 / p.shape[-1])).reshape(np.shape(y_pred))


def _signs_and_scores(y_true: Any, y_pred: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    t, p = operands(y_true, y_pred, owner)
    return (2 * t - 1 if np.all((t == 0) | (t == 1)) else t), p


@keras_class("keras.losses")
class SquaredHinge(LossFunctionWrapper):
    """max(1 - t p, 0)^2: see `squared_hinge`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: str | None = None,
    ):
        super().__init__(squared_hinge, reduction, name, dtype)


@differentiable
def categorical_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """max(1 + r - s, 0) with the score s = sum(t p) of the right class, and r = max((1 - t) p) of the best other one.

    Over the last axis, for one-hot t.
    """
    t, p = operands(y_true, y_pred, "categorical_hinge")
    return np.maximum(1 + ((1 - t) * p).max(-1) - (t * p).sum(-1), 0)


@categorical_hinge.derivative
def categorical_hinge_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """(1 - t) [j = r's] - t where the loss isn't cut to 0; several equally good others share the first."""
    t, p = operands(y_true, y_pred, "categorical_hinge")
    others = (1 - t) * p
    r = others.max(-1, keepdims=True)
    best = others == r
    active = 1 + r - (t * p).sum(-1, keepdims=True) >= 0
    dp = ((1 - t) * (best / best.sum(-1, keepdims=True, dtype=p.dtype)) - t) * active
    return dp.reshape(np.shape(y_pred))


@keras_class("keras.losses")
class CategoricalHinge(LossFunctionWrapper):
    """max(1 + r - s, 0): see `categorical_hinge`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: str | None = None,
    ):
        super().__init__(categorical_hinge, reduction, name, dtype)
