"""The best point on a curve that keeps one of its two numbers at least at a given value.

    sensitivity = recall = TP / (TP + FN)      specificity = TN / (TN + FP)      precision = TP / (TP + FP)

    SensitivityAtSpecificity(s) = max over all thresholds with specificity >= s of the sensitivity there, 0 where there
    is none; the others likewise

Keras's counterpart: `keras.metrics`, confusion metrics.
"""

from typing import Any

import numpy as np

from ..common.budget import claim
from ..common.results import as_result
from ..common.serialization import keras_class
from .base import Metric
from .confusion import confusion, ratio


class _BestPoint(Metric):
    """What the four share: TP, FP, TN, FN at thresholds spread evenly over [0, 1], and the search among them."""

    def __init__(
        self,
        argument: str,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= value <= 1:
            raise ValueError(f"Argument `{argument}` must be in the range [0, 1]. Received: {argument}={value}")
        if num_thresholds <= 0:
            raise ValueError(
                f"Argument `num_thresholds` must be an integer > 0. Received: num_thresholds={num_thresholds}"
            )
        claim(8 * num_thresholds, f"{type(self).__name__}: num_thresholds={num_thresholds}")
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        setattr(self, argument, value)
        last = num_thresholds - 1
        self._thresholds = np.arange(num_thresholds) / last if last else np.array([0.5])
        self.true_positives, self.false_positives, self.true_negatives, self.false_negatives = (
            self.add_variable((num_thresholds,), "zeros", name=name)
            for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")
        )

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, ascending."""
        return self._thresholds.tolist()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = confusion(y_true, y_pred, self._thresholds, sample_weight, class_id=self.class_id, dtype=self.dtype)
        for variable, new in zip(self.variables, counts, strict=True):
            variable.assign_add(new)

    def _sensitivity(self) -> np.ndarray:
        return ratio(self.true_positives.value, self.true_positives.value + self.false_negatives.value)

    def _specificity(self) -> np.ndarray:
        return ratio(self.true_negatives.value, self.true_negatives.value + self.false_positives.value)

    def _precision(self) -> np.ndarray:
        return ratio(self.true_positives.value, self.true_positives.value + self.false_positives.value)

    def _best(self, wanted: np.ndarray, kept: np.ndarray) -> Any:
        """Return the largest wanted number among those where the other is kept at `value` or above."""
        return as_result(np.max(wanted[kept >= self.value], initial=0), self.dtype)


@keras_class("keras.metrics")
class SensitivityAtSpecificity(_BestPoint):
    """The best TP / (TP + FN) among the thresholds where TN / (TN + FP) is at least `specificity`.

    Args:
        specificity: in [0, 1].
        num_thresholds: how many, spread evenly over [0, 1]; a prediction above says "positive".
        class_id: count this column of the predictions only.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ValueError: a value outside its range.
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> Any:
        return self._best(self._sensitivity(), self._specificity())


@keras_class("keras.metrics")
class SpecificityAtSensitivity(_BestPoint):
    """The best TN / (TN + FP) among the thresholds where TP / (TP + FN) is at least `sensitivity`.

    Other arguments: see `SensitivityAtSpecificity`.
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> Any:
        return self._best(self._specificity(), self._sensitivity())


@keras_class("keras.metrics")
class PrecisionAtRecall(_BestPoint):
    """The best TP / (TP + FP) among the thresholds where TP / (TP + FN) is at least `recall`.

    Other arguments: see `SensitivityAtSpecificity`.
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)

    def result(self) -> Any:
        return self._best(self._precision(), self._sensitivity())


@keras_class("keras.metrics")
class RecallAtPrecision(_BestPoint):
    """The best TP / (TP + FN) among the thresholds where TP / (TP + FP) is at least `precision`.

    Other arguments: see `SensitivityAtSpecificity`.
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)

    def result(self) -> Any:
        return self._best(self._sensitivity(), self._precision())
