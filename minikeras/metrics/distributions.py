"""How far distributions are from distributions: running means of functions in `losses`.

Keras's counterpart: `keras.metrics`, probabilistic metrics.
"""

from typing import Any

import numpy as np

from ..common.serialization import keras_class
from ..losses import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from ..losses.functions import same_rank
from .means import MeanMetricWrapper


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
    """The mean of `losses.sparse_categorical_crossentropy`.

    As in Keras, samples of the class `ignore_class` count as zeros; where there are sample weights, not at all.
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
        if self.ignore_class is not None and sample_weight is not None:
            counts = (np.asarray(y_true) != self.ignore_class).reshape(np.shape(y_pred)[:-1]).astype(self.dtype)
            counts, weights = same_rank(counts, np.asarray(sample_weight, self.dtype))
            sample_weight = counts * weights
        super().update_state(y_true, y_pred, sample_weight)


@keras_class("keras.metrics")
class KLDivergence(MeanMetricWrapper):
    """The mean of sum(t log(t / p)): see `losses.kl_divergence`."""

    def __init__(self, name: str | None = "kl_divergence", dtype: str | None = None):
        super().__init__(kl_divergence, name, dtype)


@keras_class("keras.metrics")
class Poisson(MeanMetricWrapper):
    """The mean of p - t log(p): see `losses.poisson`."""

    def __init__(self, name: str | None = "poisson", dtype: str | None = None):
        super().__init__(poisson, name, dtype)
