"""F-scores: precision and recall in one number.

Keras's counterpart: `keras.metrics`, F-score metrics.
"""

from typing import Any

import numpy as np

from .. import config
from ..common.results import as_result
from ..common.serialization import keras_class
from .base import Metric
from .confusion import element_weights


@keras_class("keras.metrics")
class FBetaScore(Metric):
    """Precision and recall in one number for each class: (1 + beta^2) precision recall / (beta^2 precision + recall).

    Args:
        average: None: an array, a number for each class; `"micro"`: one number, of the counts of all classes;
            `"macro"`: the mean of the classes' numbers; `"weighted"`: that mean, weighted with how often they occur.
        beta: a float above 0: how much recall counts beside precision.
        threshold: predictions above it say "positive"; None: the largest prediction of each sample does.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ValueError: an impossible value; in use, labels or predictions that are not (n, classes).
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: {None, 'micro', 'macro', 'weighted'}. "
                f"Received: average={average}"
            )
        if not isinstance(beta, float):
            raise ValueError(
                f"Invalid `beta` argument value. It should be a Python float. Received: beta={beta} of type "
                f"'{type(beta)}'"
            )
        if beta <= 0:
            raise ValueError(f"Invalid `beta` argument value. It should be > 0. Received: beta={beta}")
        if threshold is not None and not isinstance(threshold, float):
            raise ValueError(
                f"Invalid `threshold` argument value. It should be a Python float. Received: threshold={threshold} of "
                f"type '{type(threshold)}'"
            )
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(
                f"Invalid `threshold` argument value. It should verify 0 < threshold <= 1. Received: "
                f"threshold={threshold}"
            )
        self.average, self.beta, self.threshold = average, beta, threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype)
        if y_true.ndim == 1 and y_pred.shape == (len(y_true), 1):
            y_true = y_true[:, None]
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                "FBetaScore expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
                f"y_pred.shape={y_pred.shape} and y_true.shape={y_true.shape}. Integer labels: "
                "keras.utils.to_categorical(y)."
            )
        if not self._variables:
            shape = () if self.average == "micro" else y_pred.shape[1:]
            for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
                setattr(self, name, self.add_variable(shape, "zeros", name=name))
        if self.threshold is None:
            said = (y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            said = y_pred > self.threshold
        said = said.astype(self.dtype)
        weights = element_weights(sample_weight, y_pred, self.dtype)
        counts = said * y_true, said * (1 - y_true), (1 - said) * y_true, y_true
        for variable, count in zip(self.variables, counts, strict=True):
            variable.assign_add(np.sum(count * weights, axis=None if self.average == "micro" else 0))

    def result(self) -> Any:
        """Return the score; an array where `average` is None."""
        if not self._variables:
            return as_result(0.0, self.dtype)
        TP, FP, FN, occurrences = (v.value for v in self.variables)
        tiny, square = config.epsilon(), self.beta**2
        precision, recall = TP / (TP + FP + tiny), TP / (TP + FN + tiny)
        score = precision * recall / (square * precision + recall + tiny) * (1 + square)
        if self.average is None:
            return as_result(score)
        if self.average == "weighted":
            return as_result(np.sum(score * (occurrences / (occurrences.sum() + tiny))), self.dtype)
        return as_result(np.mean(score), self.dtype)


@keras_class("keras.metrics")
class F1Score(FBetaScore):
    """FBetaScore with beta = 1, the harmonic mean: 2 precision recall / (precision + recall)."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | None = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)
