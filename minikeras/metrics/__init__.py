"""Metrics: running means of what a batch's targets and predictions say about the model.

    metric.update_state(y_true, y_pred, sample_weight)        after each batch
    metric.result()                                           the mean so far, a float
    metric.reset_state()                                      at the start of an epoch

A function metric gives one value per sample; `MeanMetricWrapper` and the classes average it over all samples seen, as
Keras does: total += sum(w v), count += sum(w), both in the metric's float type.

`base` says what a metric is, `functions` holds the formulas, `means` the running means of them, and `confusion` what
counts hits and misses: Precision, Recall, AUC, F1Score.
Keras's counterpart: `keras.metrics`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..common.names import object_name, refuse_other_names
from ..common.serialization import Table, deserializer, keras_class, serialize
from ..losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
    same_rank,
    sparse_categorical_crossentropy,
)
from ..losses.targets import kind_of_targets
from .base import Metric
from .confusion import AUC, F1Score, FBetaScore, Precision, Recall
from .functions import (
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .means import Mean, MeanMetricWrapper, Sum

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "F1Score", "FBetaScore", "Mean", "MeanAbsoluteError", "MeanMetricWrapper", "MeanSquaredError", "Metric",
    "Precision", "Recall", "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "Sum", "TopKCategoricalAccuracy", "binary_accuracy", "binary_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "deserialize", "get", "huber", "mean_absolute_error",
    "mean_squared_error", "resolve", "serialize", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy",
]  # fmt: skip


# The classes -------------------------------------------------------------------------------------------------------


@keras_class("keras.metrics")
class Accuracy(MeanMetricWrapper):
    """How often predictions equal the targets: see `accuracy`."""

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None):
        super().__init__(accuracy, name, dtype)


@keras_class("keras.metrics")
class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions above `threshold` have target 1, the others 0: see `binary_accuracy`."""

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5):
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@keras_class("keras.metrics")
class CategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the one-hot target: see `categorical_accuracy`."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None):
        super().__init__(categorical_accuracy, name, dtype)


@keras_class("keras.metrics")
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the integer target: see `sparse_categorical_accuracy`."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


@keras_class("keras.metrics")
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot target is among the `k` largest predictions: see `top_k_categorical_accuracy`."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@keras_class("keras.metrics")
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the integer target is among the `k` largest: see `sparse_top_k_categorical_accuracy`."""

    left_out_at: ClassVar[dict[str, Any]] = {"from_sorted_ids": False}

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ):
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)


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
class RootMeanSquaredError(Mean):
    """sqrt(mean((p - t)^2)), the root of the mean over all samples seen."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = same_rank(np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype))
        super().update_state(np.square(y_pred - y_true), sample_weight)

    def result(self) -> float:
        return float(np.sqrt(self.total / self.count)) if self.count else 0.0


@keras_class("keras.metrics")
class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of `losses.binary_crossentropy`."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(binary_crossentropy, name, dtype, **options)


@keras_class("keras.metrics")
class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `losses.categorical_crossentropy`."""

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, name, dtype, **options)


@keras_class("keras.metrics")
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `losses.sparse_categorical_crossentropy`; samples of the class `ignore_class` do not count.

    (In tf.keras they count as zeros, unless there are sample weights.)
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, name, dtype, **options)

    ignore_class: int | None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.ignore_class is not None:
            counts = (np.asarray(y_true) != self.ignore_class).reshape(np.shape(y_pred)[:-1]).astype(self.dtype)
            if sample_weight is None:
                sample_weight = counts
            else:
                counts, weights = same_rank(counts, np.asarray(sample_weight, self.dtype))
                sample_weight = counts * weights
        super().update_state(y_true, y_pred, sample_weight)


# Looking up --------------------------------------------------------------------------------------------------------

_TABLE = Table(
    "metric",
    "keras.metrics",
    Metric,
    [
        Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, Mean, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError, Sum,
        BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy, Precision, Recall, AUC, F1Score,
        FBetaScore,
    ],
    {
        "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError,
        "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy,
    },
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return a metric from its name, class, config, function or other callable, or the object itself.

    None stays None; the class of a callable is called first.

    Raises:
        ValueError: an unknown name.
        TypeError: something that is no metric at all.
    """
    found = _TABLE.get(identifier)
    if isinstance(found, type) and makes_callables(found):
        found = found()
    if found is not None and (not callable(found) or isinstance(found, type)):
        raise TypeError(
            f"Metric: expected a name, a Metric or a function of (y_true, y_pred), received {identifier!r}."
        )
    return found


def makes_callables(kind: type) -> bool:
    """Whether the objects of a class can be called: those of metrics, and of classes with a `__call__`."""
    return any("__call__" in vars(base) for base in kind.__mro__)


def resolve(
    identifier: Any,
    y_true_shape: Sequence[int | None] | None = None,
    y_pred_shape: Sequence[int | None] | None = None,
) -> Metric:
    """Return the `Metric` that a model is compiled with, under the name that the user wrote.

    As `get`, but callables become objects, named in Keras's snake case, and `"accuracy"` or `"acc"`
    (`"crossentropy"` or `"ce"`) is the binary, sparse or categorical kind that fits the shapes.

    Raises:
        ValueError: an unknown name.
        TypeError: no metric.
    """
    kinds = _KINDS.get(identifier.lower()) if isinstance(identifier, str) else None
    if kinds and y_pred_shape is not None:
        return kinds[kind_of_targets(y_true_shape or (), y_pred_shape)](name=identifier)
    found = get(identifier)
    if found is None:
        raise TypeError("Metric: expected a name, a Metric or a function of (y_true, y_pred), received None.")
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=object_name(found))
    if isinstance(identifier, str):
        found.name = identifier
    return found


_ACCURACIES = {
    "binary": BinaryAccuracy, "sparse": SparseCategoricalAccuracy, "categorical": CategoricalAccuracy
}  # fmt: skip
_CROSSENTROPIES = {
    "binary": BinaryCrossentropy, "sparse": SparseCategoricalCrossentropy, "categorical": CategoricalCrossentropy
}  # fmt: skip
_KINDS = {"accuracy": _ACCURACIES, "acc": _ACCURACIES, "crossentropy": _CROSSENTROPIES, "ce": _CROSSENTROPIES}


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
