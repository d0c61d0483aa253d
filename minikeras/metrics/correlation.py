"""Correlations of each sample's targets t and predictions p along an axis; both are 1 where the two agree.

Keras's counterpart: `keras.metrics`, correlation metrics.
"""

from typing import Any

import numpy as np

from .. import config
from ..activations import as_floats
from ..common.serialization import keras_class
from ..losses.functions import same_rank
from .functions import FUNCTIONS
from .means import MeanMetricWrapper


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """mean((t - mean(t)) (p - mean(p))) / (std(t) std(p)) along `axis`; NaN where one of them is constant."""
    p = as_floats(y_pred)
    t, p = same_rank(np.asarray(y_true, p.dtype), p)
    t, p = t - t.mean(axis, keepdims=True), p - p.mean(axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (t / t.std(axis, keepdims=True) * (p / p.std(axis, keepdims=True))).mean(axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2 + e) along `axis`: another offset or scale costs, too.

    cov(t, p) is the mean of (t - mean(p)) (p - mean(p)).
    """
    p = as_floats(y_pred)
    t, p = same_rank(np.asarray(y_true, p.dtype), p)
    mean_t, mean_p = t.mean(axis, keepdims=True), p.mean(axis, keepdims=True)
    below = t.var(axis, keepdims=True) + p.var(axis, keepdims=True) + np.square(mean_t - mean_p)
    return (2 * (t - mean_p) * (p - mean_p) / (below + config.epsilon())).mean(axis)


FUNCTIONS.enter([pearson_correlation, concordance_correlation])


@keras_class("keras.metrics")
class PearsonCorrelation(MeanMetricWrapper):
    """The mean of `pearson_correlation`."""

    def __init__(self, name: str | None = "pearson_correlation", dtype: str | None = None, axis: int = -1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


@keras_class("keras.metrics")
class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of `concordance_correlation`."""

    def __init__(self, name: str | None = "concordance_correlation", dtype: str | None = None, axis: int = -1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)
