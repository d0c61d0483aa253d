"""Errors of regression that are measured in other ways than by squares or magnitudes alone."""

from typing import Any, ClassVar

import numpy as np

from .. import config
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .functions import operands
from .targets import check_finite
from .wrapper import LossFunctionWrapper


@differentiable
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """100 mean(|p - t| / max(|t|, e)) over the last axis."""
    t, p = operands(y_true, y_pred, "mean_absolute_percentage_error")
    return 100 * np.abs((p - t) / np.maximum(np.abs(t), config.epsilon())).mean(-1)


@mean_absolute_percentage_error.derivative
def mean_absolute_percentage_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """100 sign(p - t) / max(|t|, e) / C."""
    t, p = operands(y_true, y_pred, "mean_absolute_percentage_error")
    dp = np.sign(p - t) / np.maximum(np.abs(t), config.epsilon())
    return (dp * (100 / p.shape[-1])).reshape(np.shape(y_pred))


@keras_class("keras.losses")
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """How many percent of their targets predictions are off: see `mean_absolute_percentage_error`."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


@differentiable
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean((log(1 + p) - log(1 + t))^2) over the last axis; both at least e."""
    t, p = operands(y_true, y_pred, "mean_squared_logarithmic_error")
    return np.square(_log1p(p) - _log1p(t)).mean(-1)


@mean_squared_logarithmic_error.derivative
def mean_squared_logarithmic_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """2 (log(1 + p) - log(1 + t)) / (1 + p) / C, 0 where p < e."""
    t, p = operands(y_true, y_pred, "mean_squared_logarithmic_error")
    positive = p >= config.epsilon()
    dp = (_log1p(p) - _log1p(t)) / (1 + np.where(positive, p, 0)) * positive
    return (dp * (2 / p.shape[-1])).reshape(np.shape(y_pred))


def _log1p(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.maximum(x, config.epsilon()))


@keras_class("keras.losses")
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Squared errors of the order of magnitude: see `mean_squared_logarithmic_error`."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


@differentiable
def log_cosh(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(log(cosh(p - t))) over the last axis: a parabola near 0, |p - t| - log(2) far from it."""
    t, p = operands(y_true, y_pred, "log_cosh")
    d = np.abs(p - t)
    return (d + np.log1p(np.exp(-2 * d)) - float(np.log(2))).mean(-1)


@log_cosh.derivative
def log_cosh_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """tanh(p - t) / C."""
    t, p = operands(y_true, y_pred, "log_cosh")
    return (np.tanh(p - t) / p.shape[-1]).reshape(np.shape(y_pred))


@keras_class("keras.losses")
class LogCosh(LossFunctionWrapper):
    """A smooth |p - t|: see `log_cosh`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: str | None = None
    ):
        super().__init__(log_cosh, reduction, name, dtype)


@differentiable
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """-sum(u v) with u = t / |t| and v = p / |p|, lengths along `axis` and at least e: -1 where both point one way."""
    t, p = operands(y_true, y_pred, "cosine_similarity")
    return -(t / _length(t, axis) * (p / _length(p, axis))).sum(axis)


@cosine_similarity.derivative
def cosine_similarity_gradient(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """(v sum(u v) - u) / |p|, 0 where |p| <= e: there p has no direction."""
    t, p = operands(y_true, y_pred, "cosine_similarity")
    length = _length(p, axis)
    u, v = t / _length(t, axis), p / length
    dp = (v * (u * v).sum(axis, keepdims=True) - u) / length
    return (dp * (length > config.epsilon())).reshape(np.shape(y_pred))


def _length(x: np.ndarray, axis: int) -> np.ndarray:
    return np.maximum(np.sqrt(np.square(x).sum(axis, keepdims=True)), config.epsilon())


@keras_class("keras.losses")
class CosineSimilarity(LossFunctionWrapper):
    """How far predictions point another way than their targets: see `cosine_similarity`, and `Loss`."""

    targets_checker = staticmethod(check_finite)
    left_out_at: ClassVar[dict[str, Any]] = {"axis": -1}

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: str | None = None,
    ):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
