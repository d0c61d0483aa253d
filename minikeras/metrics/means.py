"""Running means, of numbers and of what a function says about targets and predictions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..common.arguments import check_options
from ..common.lending import call_lending
from ..common.names import is_built_in
from ..common.results import as_result
from ..common.serialization import Configurable, function_config, keras_class, serialize
from ..losses import LossFunctionWrapper
from ..losses.functions import same_rank
from .base import Metric
from .functions import CROSSENTROPIES, FUNCTIONS, categorical_accuracy, sparse_categorical_accuracy

#: Functions that count, 0 or 1 for each sample of a matrix.
COUNTING = (categorical_accuracy, sparse_categorical_accuracy)
BUFFER_SIZE = 2**16  # numbers


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
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = np.asarray(values, self._dtype)
        if sample_weight is not None:
            values, _ = _per_sample(values, np.asarray(sample_weight, self._dtype), np.sum)
        _add(self.total, values.sum())

    def result(self) -> Any:
        return as_result(self.total.value[()])

    def reset_state(self) -> None:
        self.total.assign(0)


def _add(variable: Any, number: Any) -> None:
    """Add to the one number that a variable holds: what `assign_add` does, in a third of the time."""
    value = variable.value
    value[()] = value[()] + number


@keras_class("keras.metrics")
class Mean(Metric):
    """The (weighted) mean of all values seen: sum(w v) / sum(w), 0 before any; each sample's values are averaged."""

    def __init__(self, name: str | None = "mean", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = np.asarray(values, self._dtype)
        if sample_weight is None:
            if values.ndim > 1:
                values = values.mean(tuple(range(1, values.ndim)))
            _add(self.total, values.sum())
            _add(self.count, values.dtype.type(len(values) if values.ndim else 1))
        else:
            weights = np.asarray(sample_weight, self._dtype)
            if values.ndim > 1 or weights.shape != values.shape:
                values, weights = _per_sample(values, weights, np.mean)
            else:
                values = values * weights
            _add(self.total, values.sum())
            _add(self.count, weights.sum())

    def add(self, value: float, count: int) -> None:
        """Do what `update_state` does with the mean of `count` values."""
        total, counted = self.total.value, self.count.value
        kind = total.dtype.type
        number = kind(count)
        total[()] = total[()] + kind(value) * number
        counted[()] = counted[()] + number

    def result(self) -> Any:
        total, count = self.total.value[()], self.count.value[()]
        return as_result(total / count if count else 0.0, self._dtype)

    def reset_state(self) -> None:
        self.total.assign(0)
        self.count.assign(0)


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
        self._buffer: list[tuple[np.ndarray, np.ndarray]] = []
        super().__init__(name=name, dtype=dtype)
        self.fn, self.options, self._is_built_in = fn, options, is_built_in(fn)
        self._counts = fn in COUNTING and type(self).update_state is MeanMetricWrapper.update_state
        vars(self).update(options)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self._is_built_in:
            values = self.fn(y_true, y_pred, **self.options)
        else:
            values = call_lending(self.fn, f"Metric {self.name!r}", y_true, y_pred, **self.options)
        super().update_state(values, sample_weight)

    def look_behind_activation(self, possible: bool, dtype: str | None = None) -> None:
        """As in tf.keras, a crossentropy is computed from what enters a softmax or sigmoid: nothing is clipped then."""
        crossentropy = self.fn if isinstance(self.fn, LossFunctionWrapper) else None
        if self.fn in CROSSENTROPIES and is_built_in(type(self).update_state):
            crossentropy = LossFunctionWrapper(self.fn, **self.options)
        loss = crossentropy.behind_activation(dtype) if possible and crossentropy is not None else None
        self._from_logits: Any = loss and (loss if crossentropy is self.fn else loss.call)
        self.takes_logits = loss is not None

    def update_from_logits(self, y_true: Any, z: np.ndarray, sample_weight: Any = None) -> None:
        """Add the values of one batch, given what enters the last activation."""
        super().update_state(self._from_logits(y_true, z), sample_weight)

    def update_buffered(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in many batches at once, where that gives the same bits: sums of zeros and ones are exact."""
        if y_pred.ndim != 2 or not self._counts:
            self.update_state(y_true, y_pred)
            return
        self._buffer.append((y_true, y_pred))
        if len(self._buffer) * y_pred.size > BUFFER_SIZE:
            self.apply_buffered()

    def apply_buffered(self) -> None:
        if self._buffer:
            batches, self._buffer = self._buffer, []
            self.update_state(*(np.concatenate(part) for part in zip(*batches, strict=True)))

    def result(self) -> Any:
        self.apply_buffered()
        return super().result()

    def reset_state(self) -> None:
        self._buffer = []
        super().reset_state()

    def get_config(self) -> dict[str, Any]:
        arguments = super().get_config()
        if type(self) is MeanMetricWrapper:
            fn = serialize(self.fn) if isinstance(self.fn, Configurable) else function_config(self.fn)
            arguments.update(fn=fn, **serialize(self.options))
        return arguments

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        fn = config.get("fn")
        if isinstance(fn, dict) and fn.get("class_name") == "function":
            config = {**config, "fn": FUNCTIONS.find(fn["config"])}
        return super().from_config(config)
