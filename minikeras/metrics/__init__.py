"""Metrics: running means of what a batch's targets and predictions say about the model.

    metric.update_state(y_true, y_pred, sample_weight)        after each batch
    metric.result()                                           the mean so far, a float
    metric.reset_state()                                      at the start of an epoch

A function metric gives one value per sample; `MeanMetricWrapper` and the classes average it over all samples seen, as
Keras does: total += sum(w v), count += sum(w), both in the metric's float type.

`base` says what a metric is, `confusion` holds those that count hits and misses:  Precision, Recall, AUC, F1Score.
Keras's counterpart: `keras.metrics`.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import config
from ..activations import as_floats
from ..common.arguments import check_options
from ..common.lending import call_lending, is_built_in
from ..common.names import missing_attribute, object_name
from ..common.serialization import Table, deserializer, function_config, keras_class, serialize
from ..losses import (
    LossFunctionWrapper,
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from ..losses.functions import same_rank
from ..losses.targets import kind_of_targets
from .base import Metric
from .confusion import AUC, F1Score, FBetaScore, Precision, Recall

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "F1Score", "FBetaScore", "Mean", "MeanAbsoluteError", "MeanMetricWrapper", "MeanSquaredError", "Metric",
    "Precision", "Recall", "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "Sum", "TopKCategoricalAccuracy", "binary_accuracy", "binary_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "deserialize", "get", "huber", "mean_absolute_error",
    "mean_squared_error", "resolve", "serialize", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy",
]  # fmt: skip


# One value per sample: 1 where the prediction is right, else 0 -----------------------------------------------------


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[t = p], element by element."""
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    return (y_true == y_pred).astype(config.floatx())


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """[t = [p > threshold]], element by element, for targets 0 and 1."""
    y_true, y_pred = same_rank(np.asarray(y_true), as_floats(y_pred))
    return (y_true == (y_pred > threshold)).astype(config.floatx())


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[argmax(t) = argmax(p)] over the last axis; the first of several largest counts."""
    return (np.asarray(y_true).argmax(-1) == np.asarray(y_pred).argmax(-1)).astype(config.floatx())


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[t = argmax(p)] over the last axis, for integer classes t of shape (n,) or (n, 1)."""
    best = np.asarray(y_pred).argmax(-1)
    return (_labels(y_true, best.ndim) == best).astype(config.floatx())


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """[fewer than k scores exceed that of class argmax(t)]: the class is among the k best."""
    return sparse_top_k_categorical_accuracy(np.asarray(y_true).argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> np.ndarray:
    """[fewer than k scores exceed that of class t], for integer classes t of shape (n,) or (n, 1).

    Ties with the k-th score count as right; a class outside [0, C) or scores that are not finite, as wrong.

    Args:
        y_true: the classes.
        y_pred: scores, or with `from_sorted_ids` classes, the most probable first.
        k: how many of the best to look at.
        from_sorted_ids: what `y_pred` holds.
    """
    y_pred = np.asarray(y_pred)
    t = _labels(y_true, y_pred.ndim - 1)[..., None]
    if from_sorted_ids:
        hits = (y_pred[..., :k] == t).any(-1)
    else:
        t = t.astype(np.intp)
        known = (t >= 0) & (t < y_pred.shape[-1])
        score = np.take_along_axis(y_pred, np.where(known, t, 0), -1)
        hits = ((y_pred > score).sum(-1) < k) & known[..., 0] & np.isfinite(y_pred).all(-1)
    return hits.astype(config.floatx())


def _labels(y_true: Any, ndim: int) -> np.ndarray:
    y_true = np.asarray(y_true)
    return y_true[..., 0] if y_true.ndim == ndim + 1 and y_true.shape[-1] == 1 else y_true


# Running results ---------------------------------------------------------------------------------------------------


def _per_sample(
    values: np.ndarray, weights: np.ndarray, reduce: Callable[..., np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return values times weights, and the weights, with all axes but the first reduced."""
    values, weights = same_rank(values, weights)
    weight_axes = weights.ndim
    if values.ndim > weight_axes:
        values = reduce(values, axis=tuple(range(weight_axes, values.ndim)))
    try:
        weights = np.broadcast_to(weights, values.shape)
    except ValueError:
        raise ValueError(
            f"Metric: sample_weight of shape {weights.shape} does not fit values of shape {values.shape}."
        ) from None
    values = values * weights
    if weight_axes > 1:
        weights = reduce(weights, axis=tuple(range(1, weight_axes)))
    return (reduce(values, axis=tuple(range(1, values.ndim))) if values.ndim > 1 else values), weights


@keras_class("keras.metrics")
class Sum(Metric):
    """The (weighted) sum of all values seen."""

    def __init__(self, name: str | None = "sum", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)
        self.reset_state()

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add sum(w v)."""
        values = np.asarray(values, self.dtype)
        if sample_weight is not None:
            values, _ = _per_sample(values, np.asarray(sample_weight, self.dtype), np.sum)
        self.total = self.total + values.sum()

    def result(self) -> float:
        """Return the sum."""
        return float(self.total)

    def reset_state(self) -> None:
        """Start again at 0."""
        self.total = np.dtype(self.dtype).type(0)


@keras_class("keras.metrics")
class Mean(Metric):
    """The (weighted) mean of all values seen: sum(w v) / sum(w), 0 before any; each sample's values are averaged."""

    def __init__(self, name: str | None = "mean", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)
        self.reset_state()

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add sum(w v) to the total, sum(w) to the count."""
        values = np.asarray(values, self.dtype)
        if sample_weight is None:
            if values.ndim > 1:
                values = values.mean(tuple(range(1, values.ndim)))
            self.total = self.total + values.sum()
            self.count = self.count + (len(values) if values.ndim else 1)
        else:
            weights = np.asarray(sample_weight, self.dtype)
            if values.ndim > 1 or weights.shape != values.shape:
                values, weights = _per_sample(values, weights, np.mean)
            else:
                values = values * weights
            self.total = self.total + values.sum()
            self.count = self.count + weights.sum()

    def add(self, value: float, count: int) -> None:
        """Do what `update_state` does with the mean of `count` values."""
        kind = type(self.total)
        self.total = self.total + kind(value) * kind(count)
        self.count = self.count + kind(count)

    def result(self) -> float:
        """Return the mean."""
        return float(self.total / self.count) if self.count else 0.0

    def reset_state(self) -> None:
        """Start again at 0."""
        self.total = self.count = np.dtype(self.dtype).type(0)


@keras_class("keras.metrics")
class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred), one value per sample.

    Args:
        fn: any function of (y_true, y_pred, **options); it needs no derivative.
        name: made from the class name where None.
        dtype: the float type of the sums.
        options: further arguments of `fn`; also attributes of the object.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **options: Any):
        if type(self) is MeanMetricWrapper:
            check_options("MeanMetricWrapper", fn, options)
        self._postponed: list[tuple[np.ndarray, np.ndarray]] = []
        super().__init__(name=name, dtype=dtype)
        self.fn, self.options, self._is_built_in = fn, options, is_built_in(fn)
        vars(self).update(options)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the values of one batch."""
        if self._is_built_in:
            values = self.fn(y_true, y_pred, **self.options)
        else:
            values = call_lending(self.fn, f"Metric {self.name!r}", y_true, y_pred, **self.options)
        super().update_state(values, sample_weight)

    def look_behind_activation(self, possible: bool, dtype: str | None = None) -> None:
        """As in tf.keras, a crossentropy is computed from what enters a softmax or sigmoid: nothing is clipped then."""
        crossentropy = self.fn if isinstance(self.fn, LossFunctionWrapper) else None
        if self.fn in CROSSENTROPIES and type(self).update_state in _ORIGINAL_UPDATES:
            crossentropy = LossFunctionWrapper(self.fn, **self.options)
        twin = crossentropy.behind_activation(dtype) if possible and crossentropy is not None else None
        self._from_logits = twin and (twin if crossentropy is self.fn else twin.call)
        self.takes_logits = twin is not None

    def update_from_logits(self, y_true: Any, z: np.ndarray, sample_weight: Any = None) -> None:
        """Add the values of one batch, given what enters the last activation."""
        super().update_state(self._from_logits(y_true, z), sample_weight)

    @property
    def can_wait(self) -> bool:
        """Whether the function counts, and nobody has written another `update_state`."""
        return self.fn in _COUNTING and type(self).update_state is MeanMetricWrapper.update_state

    def postpone(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in many batches at once, where that gives the same bits: sums of zeros and ones are exact."""
        if y_pred.ndim != 2 or not self.can_wait:
            self.update_state(y_true, y_pred)
            return
        self._postponed.append((y_true, y_pred))
        if len(self._postponed) * y_pred.size > AT_ONCE:
            self.catch_up()

    def catch_up(self) -> None:
        """Do what was postponed."""
        if self._postponed:
            batches, self._postponed = self._postponed, []
            self.update_state(*(np.concatenate(part) for part in zip(*batches, strict=True)))

    def result(self) -> float:
        """Return the mean."""
        self.catch_up()
        return super().result()

    def reset_state(self) -> None:
        """Start again at 0."""
        self._postponed = []
        super().reset_state()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; a wrapped function by its name."""
        arguments = super().get_config()
        if type(self) is MeanMetricWrapper:
            arguments.update(fn=function_config(self.fn), **serialize(self.options))
        return arguments

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Build a metric from what `get_config` returned."""
        if isinstance(config.get("fn"), dict):
            config = {**config, "fn": _FUNCTIONS.find(config["fn"]["config"])}
        return super().from_config(config)


CROSSENTROPIES = (binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy)
_COUNTING = (categorical_accuracy, sparse_categorical_accuracy)  # of matrices: 0 or 1 for each sample
AT_ONCE = 2**16  # numbers

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
        """Add the squared errors of one batch."""
        y_true, y_pred = same_rank(np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype))
        super().update_state(np.square(y_pred - y_true), sample_weight)

    def result(self) -> float:
        """Return the root of the mean."""
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

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the losses of one batch; samples to ignore get weight 0."""
        if self.ignore_class is not None:
            counts = (np.asarray(y_true) != self.ignore_class).reshape(np.shape(y_pred)[:-1]).astype(self.dtype)
            if sample_weight is None:
                sample_weight = counts
            else:
                counts, weights = same_rank(counts, np.asarray(sample_weight, self.dtype))
                sample_weight = counts * weights
        super().update_state(y_true, y_pred, sample_weight)


_ORIGINAL_UPDATES = (MeanMetricWrapper.update_state, SparseCategoricalCrossentropy.update_state)

# Looking up --------------------------------------------------------------------------------------------------------

_FUNCTIONS = Table(
    "metric function",
    "keras.metrics",
    None,
    [
        accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy,
        sparse_top_k_categorical_accuracy, binary_crossentropy, categorical_crossentropy,
        sparse_categorical_crossentropy, huber, mean_absolute_error, mean_squared_error,
    ],
)  # fmt: skip
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
        return kinds[kind_of_targets(y_true_shape, y_pred_shape)](name=identifier)
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
__getattr__ = missing_attribute(__name__, __all__)
