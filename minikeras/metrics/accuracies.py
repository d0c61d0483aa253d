"""Accuracies: running means of the functions in `functions`, which say of each sample whether it is right.

Keras's counterpart: `keras.metrics`, accuracy metrics.
"""

from typing import Any, ClassVar

from ..common.serialization import keras_class
from .functions import (
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .means import MeanMetricWrapper


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
