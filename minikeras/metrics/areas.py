"""The area under a curve through all thresholds.

Keras's counterpart: `keras.metrics.AUC`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations, config
from ..common.arguments import ArgumentError
from ..common.budget import claim
from ..common.names import did_you_mean
from ..common.results import as_result
from ..common.serialization import keras_class, serialize
from .base import Metric
from .confusion import confusion, element_weights, ratio


@keras_class("keras.metrics")
class AUC(Metric):
    """The area under a curve that runs through all thresholds; 1 is perfect.

    | curve    | x                           | y                           |
    |----------|-----------------------------|-----------------------------|
    | "ROC"    | FP / (FP + TN)              | recall                      |
    | "PR"     | recall                      | precision                   |
    | "PRGAIN" | 1 - FN (P / N) / TP, or 0   | 1 - FP (P / N) / TP         |

    P = TP + FN and N = FP + TN count what is positive and negative.  The area is a sum over neighbouring thresholds of
    |x_i - x_i+1| times a height: the mean of both y ("interpolation"), the smaller ("minoring") or the larger one
    ("majoring").  For "PR" with "interpolation", TP and TP + FP are taken for lines between the thresholds, which
    makes precision a hyperbola (Davis & Goadrich, 2006).

    Args:
        num_thresholds: how many, spread evenly over [0, 1].
        curve: one of the three.
        summation_method: one of the three.
        name: see `Metric`.
        dtype: see `Metric`.
        thresholds: between 0 and 1, instead of `num_thresholds`; the ends are added.
        multi_label: whether each column is a label with a curve of its own; the result is the mean of their areas.
        num_labels: how many with `multi_label`; else the first batch tells.
        label_weights: one for each label: of its area in that mean; without `multi_label`, of its elements.
        from_logits: whether predictions come before their sigmoid.

    Raises:
        ValueError: an unknown curve or method, fewer than 2 thresholds, `num_labels` without `multi_label`; in use,
            predictions that don't fit the labels.
    """

    def __init__(
        self,
        num_thresholds: int | None = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ):
        super().__init__(name=name, dtype=dtype)
        self.curve = _one_of("curve", curve, ("ROC", "PR", "PRGAIN"), str.upper)
        self.summation_method = _one_of(
            "summation method", summation_method, ("interpolation", "minoring", "majoring"), str.lower
        )
        self._given = thresholds is not None
        if thresholds is None:
            if num_thresholds is None or num_thresholds <= 1:
                raise ValueError(
                    f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}"
                )
            claim(8 * num_thresholds, f"AUC: num_thresholds={num_thresholds}")
            inner: Any = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        else:
            inner = sorted(thresholds)
        # The ends lie a little outside, so that every prediction exceeds the first and none the last.
        self._thresholds = np.concatenate([[0 - config.epsilon()], inner, [1 + config.epsilon()]])
        self.num_thresholds, self.from_logits = len(self._thresholds), from_logits
        self.multi_label, self.num_labels = multi_label, num_labels
        if isinstance(label_weights, (dict, str)):
            raise ArgumentError(f"AUC: `label_weights` is a list of numbers, received {label_weights!r}.")
        self.label_weights = None if label_weights is None else np.array(label_weights, self.dtype)
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        if num_labels or not multi_label:
            self._build((num_labels,) if num_labels else ())

    def _build(self, labels: tuple[int, ...]) -> None:
        for kind in ("true_positives", "false_positives", "true_negatives", "false_negatives"):
            setattr(self, kind, self.add_variable((self.num_thresholds, *labels), "zeros", name=kind))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, ascending."""
        return list(self._thresholds)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = np.asarray(y_pred, self.dtype)
        if self.from_logits:
            y_pred = activations.sigmoid(y_pred)
        counts: Sequence[np.ndarray]
        if self.multi_label:
            counts = self._counts_by_label(y_true, y_pred, sample_weight)
        else:
            counts = confusion(
                y_true, y_pred, self._thresholds, sample_weight, dtype=self.dtype, label_weights=self.label_weights
            )
        for variable, new in zip(self.variables, counts, strict=True):
            variable.assign_add(new)

    def _counts_by_label(self, y_true: Any, y_pred: np.ndarray, sample_weight: Any) -> list[np.ndarray]:
        """Return TP, FP, TN, FN with a row for each threshold and a column for each label."""
        if y_pred.ndim != 2:
            raise ValueError(
                f"`y_pred` must have rank 2 when `multi_label=True`. Found rank {y_pred.ndim}. Full shape received for "
                f"`y_pred`: {y_pred.shape}"
            )
        labels = y_pred.shape[1]
        if not self._variables:
            self._build((labels,))
        y_true = np.asarray(y_true)
        expected = self._variables[0].shape[1]
        if labels != expected or y_true.shape != y_pred.shape:
            raise ValueError(
                f"AUC: labels and predictions must have the shape (n, {expected}), received {y_true.shape} and "
                f"{y_pred.shape}."
            )
        weights = element_weights(sample_weight, y_pred, self.dtype)
        columns = [
            confusion(y_true[:, i], y_pred[:, i], self._thresholds, weights[:, i], dtype=self.dtype)
            for i in range(labels)
        ]
        return [np.stack(counts, axis=-1) for counts in zip(*columns, strict=True)]

    def result(self) -> Any:
        return as_result(self._area() if self._variables else 0.0, self.dtype)

    def _area(self) -> Any:
        areas = self._areas()
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return areas.mean()
        total = self.label_weights.sum()
        return (areas * self.label_weights).sum() / total if total else 0.0

    def _areas(self) -> np.ndarray:
        """Return the area, or one for each label."""
        TP, FP, TN, FN = (v.value for v in self.variables)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _area_of_hyperbolas(TP, FP, FN)
        if self.curve == "ROC":
            x, y = ratio(FP, FP + TN), ratio(TP, TP + FN)
        elif self.curve == "PR":
            x, y = ratio(TP, TP + FN), ratio(TP, TP + FP)
        else:
            odds = ratio(TP + FN, TN + FP)
            x = np.where(TP == 0, 0, np.maximum(1 - odds * ratio(FN, TP), 0))
            y = np.where(TP == 0, 1, 1 - odds * ratio(FP, TP))
        low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
        height = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": low, "majoring": high}[self.summation_method]
        return np.asarray(((x[:-1] - x[1:]) * height).sum(axis=0))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        given = config.pop("thresholds", self.thresholds)
        return {**config, "thresholds": serialize(given[1:-1])} if self._given else config


def _area_of_hyperbolas(TP: np.ndarray, FP: np.ndarray, FN: np.ndarray) -> np.ndarray:
    """Return the sum over neighbouring thresholds A, B of slope (dTP + (TP_B - slope S_B) log(S_A / S_B)) / P.

    S = TP + FP is what is said to be positive, slope = dTP / dS.
    """
    said = TP + FP
    d_TP = TP[:-1] - TP[1:]
    slope = ratio(d_TP, np.maximum(said[:-1] - said[1:], 0))
    both = (said[:-1] > 0) & (said[1:] > 0)
    log = np.log(np.divide(said[:-1], said[1:], out=np.ones_like(slope), where=both))
    return np.asarray(ratio(slope * (d_TP + (TP[1:] - slope * said[1:]) * log), TP[1:] + FN[1:]).sum(axis=0))


def _one_of(called: str, value: Any, known: tuple[str, ...], spell: Any) -> str:
    if not isinstance(value, str) or spell(value) not in known:
        expected = ", ".join(f'"{name}"' for name in known)
        hint = did_you_mean(value, known)
        raise ValueError(f'Invalid AUC {called} value: "{value}". Expected values are [{expected}]. {hint}')
    return spell(value)
