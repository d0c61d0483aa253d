"""How far numbers are from numbers: running means of functions, the root of one, and R^2.

Keras's counterpart: `keras.metrics`, regression metrics.
"""

import warnings
from typing import Any, ClassVar

import numpy as np

from ..common.results import as_result
from ..common.serialization import keras_class
from ..losses import cosine_similarity as negative_similarity
from ..losses import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from ..losses.functions import same_rank
from .base import Metric
from .confusion import element_weights
from .means import Mean, MeanMetricWrapper


@keras_class("keras.metrics")
class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|p - t|): see `losses.mean_absolute_error`."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | None = None):
        super().__init__(mean_absolute_error, name, dtype)


@keras_class("keras.metrics")
class MeanSquaredError(MeanMetricWrapper):
    """mean((p - t)^2): see `losses.mean_squared_error`."""

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | None = None):
        super().__init__(mean_squared_error, name, dtype)


@keras_class("keras.metrics")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of |t - p| / |t|, in percent: see `losses.mean_absolute_percentage_error`."""

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: str | None = None):
        super().__init__(mean_absolute_percentage_error, name, dtype)


@keras_class("keras.metrics")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of (log(t + 1) - log(p + 1))^2: see `losses.mean_squared_logarithmic_error`."""

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: str | None = None):
        super().__init__(mean_squared_logarithmic_error, name, dtype)


@keras_class("keras.metrics")
class LogCoshError(MeanMetricWrapper):
    """The mean of log(cosh(p - t)): see `losses.log_cosh`."""

    def __init__(self, name: str | None = "logcosh", dtype: str | None = None):
        super().__init__(log_cosh, name, dtype)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """sum(t / |t| p / |p|) along `axis`: 1 where both point one way; the loss of this name is its negative."""
    return -negative_similarity(y_true, y_pred, axis)


@keras_class("keras.metrics")
class CosineSimilarity(MeanMetricWrapper):
    """The mean of the cosine of the angle between targets and predictions: see `cosine_similarity`."""

    left_out_at: ClassVar[dict[str, Any]] = {"axis": -1}

    def __init__(self, name: str | None = "cosine_similarity", dtype: str | None = None, axis: int = -1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@keras_class("keras.metrics")
class RootMeanSquaredError(Mean):
    """sqrt(mean((p - t)^2)), the root of the mean over all samples seen."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = same_rank(np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype))
        super().update_state(np.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        return as_result(np.sqrt(super().result()))


@keras_class("keras.metrics")
class R2Score(Metric):
    """R^2, which share of the targets' variance the predictions explain: 1 is perfect, 0 what their mean achieves.

    For each output, over all samples, with weights w:

        R^2 = 1 - sum(w (t - p)^2) / (sum(w t^2) - sum(w t)^2 / sum(w))

    0 where that is infinite; NaN before the first batch, and where targets that don't vary are met exactly.

    Args:
        class_aggregation: None: an array, a number for each output; `"uniform_average"`: their mean;
            `"variance_weighted_average"`: their mean, weighted with the targets' variances.
        num_regressors: k > 0 independent variables for n targets: R^2 is adjusted, 1 - (1 - R^2) (n - 1) / (n - k - 1).
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ValueError: an impossible value; in use, targets or predictions that are not (n, outputs).
    """

    squared_sum: Any
    sum: Any
    total_mse: Any
    count: Any

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {known}. Received: "
                f"class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ValueError(
                f"Invalid value for argument `num_regressors`. Expected a value >= 0. Received: "
                f"num_regressors={num_regressors}"
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = same_rank(np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype))
        if t.ndim != 2 or t.shape != p.shape:
            raise ValueError(
                "R2Score expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
                f"y_pred.shape={np.shape(y_pred)} and y_true.shape={np.shape(y_true)}."
            )
        names = {"squared_sum": "squared_sum", "sum": "sum", "total_mse": "residual", "count": "count"}
        if len(self._variables) == 1:
            for attribute, name in names.items():
                setattr(self, attribute, self.add_variable(t.shape[1:], "zeros", name=name))
        w = element_weights(sample_weight, t, self.dtype)
        for attribute, values in zip(names, (w * t * t, w * t, w * np.square(t - p), w), strict=True):
            getattr(self, attribute).assign_add(values.sum(axis=0))
        self.num_samples.assign_add(t.size)

    def result(self) -> Any:
        """Return the score; an array where `class_aggregation` is None."""
        if len(self._variables) == 1:
            return as_result(np.nan, self.dtype)
        total, counted = self.sum.value, self.count.value
        with np.errstate(divide="ignore", invalid="ignore"):
            variation = self.squared_sum.value - total * (total / counted)
            scores = 1 - self.total_mse.value / variation
            scores = np.where(np.isinf(scores), 0, scores).astype(self.dtype)
            if self.class_aggregation == "uniform_average":
                scores = scores.mean()
            elif self.class_aggregation == "variance_weighted_average":
                scores = (variation * scores).sum() / variation.sum()
        if self.num_regressors:
            scores = self._adjusted(scores)
        return as_result(scores, self.dtype)

    def _adjusted(self, scores: Any) -> Any:
        n, k = float(self.num_samples), self.num_regressors
        if k > n - 1:
            problem = "More independent predictors than datapoints in adjusted R2 score."
        elif k == n - 1:
            problem = "Division by zero in Adjusted R2 score."
        else:
            return (1 - (1 - scores) * (n - 1) / (n - k - 1)).astype(self.dtype)
        warnings.warn(f"{problem} Falling back to standard R2 score.", stacklevel=4)
        return scores
