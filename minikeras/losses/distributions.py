"""Losses of predicted distributions: how improbable the targets are, and how far one distribution is from another."""

from typing import Any, ClassVar

import numpy as np

from .. import config
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .functions import labels_and_scores, operands
from .targets import check_finite, check_labels
from .wrapper import LossFunctionWrapper


@differentiable
def kl_divergence(y_true: Any, y_pred: Any) -> np.ndarray:
    """sum(t log(t / p)) over the last axis, with t and p clipped to [e, 1] (Kullback and Leibler 1951)."""
    t, p = operands(y_true, y_pred, "kl_divergence")
    t, p = np.clip(t, config.epsilon(), 1), np.clip(p, config.epsilon(), 1)
    return (t * np.log(t / p)).sum(-1)


@kl_divergence.derivative
def kl_divergence_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """-t / p, 0 where p was clipped."""
    t, p = operands(y_true, y_pred, "kl_divergence")
    low, high = config.epsilon(), 1
    dp = -np.clip(t, low, high) / np.clip(p, low, high) * ((p >= low) & (p <= high))
    return dp.reshape(np.shape(y_pred))


@keras_class("keras.losses")
class KLDivergence(LossFunctionWrapper):
    """t log(t / p): see `kl_divergence`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: str | None = None,
    ):
        super().__init__(kl_divergence, reduction, name, dtype)


@differentiable
def poisson(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(p - t log(p + e)) over the last axis, for counts t and rates p > 0."""
    t, p = operands(y_true, y_pred, "poisson")
    return (p - t * np.log(p + config.epsilon())).mean(-1)


@poisson.derivative
def poisson_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """(1 - t / (p + e)) / C."""
    t, p = operands(y_true, y_pred, "poisson")
    return ((1 - t / (p + config.epsilon())) / p.shape[-1]).reshape(np.shape(y_pred))


@keras_class("keras.losses")
class Poisson(LossFunctionWrapper):
    """p - t log(p): see `poisson`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: str | None = None
    ):
        super().__init__(poisson, reduction, name, dtype)


@differentiable
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> np.ndarray:
    """(1 - p[t]^q) / q for the class t: between the crossentropy (q -> 0) and 1 - p[t] (q = 1) (Zhang et al., 2018).

    The larger q, the less do samples count that are labelled wrong.

    Args:
        y_true: classes as integers in [0, C), shape y_pred.shape[:-1], or with a last axis of size 1.
        y_pred: probabilities.
        q: between 0 and 1.

    Raises:
        ValueError: a class outside [0, C).
    """
    t, p, _ = labels_and_scores(y_true, y_pred, owner="categorical_generalized_cross_entropy")
    return ((1 - p[np.arange(len(t)), t] ** q) / q).reshape(np.shape(y_pred)[:-1])


@categorical_generalized_cross_entropy.derivative
def categorical_generalized_cross_entropy_gradient(y_true: Any, y_pred: Any, q: float) -> np.ndarray:
    """-[j = t] p[t]^(q - 1), p[t] at least e: at 0 there is no derivative."""
    t, p, _ = labels_and_scores(y_true, y_pred, owner="categorical_generalized_cross_entropy")
    rows, dp = np.arange(len(t)), np.zeros_like(p)
    dp[rows, t] = -(np.maximum(p[rows, t], config.epsilon()) ** (q - 1))
    return dp.reshape(np.shape(y_pred))


@keras_class("keras.losses")
class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """(1 - p[t]^q) / q: see `categorical_generalized_cross_entropy`, and `Loss` for the other arguments.

    Raises:
        ValueError: q is not between 0 and 1.
    """

    targets_checker = staticmethod(check_labels)
    ignore_class: ClassVar[None] = None

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: str | None = None,
    ):
        if not 0 < q < 1:
            raise ValueError(f"CategoricalGeneralizedCrossEntropy: q must be in the interval (0, 1), received {q}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
