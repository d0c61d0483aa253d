"""Metrics that count hits and misses at given thresholds: Precision, Recall, TruePositives and its kin.

A prediction p says "positive" where it exceeds a threshold.  With the true label there are four cases,

    | says \\ is | positive            | negative            |
    |-----------|---------------------|---------------------|
    | positive  | TP, true positives  | FP, false positives |
    | negative  | FN, false negatives | TN, true negatives  |

    precision = TP / (TP + FP)     how much of what was said to be positive is so
    recall    = TP / (TP + FN)     how much of what is positive was found

and these are added up over all batches, weighted where there are weights.  Elements of all axes count alike.

The curves through all thresholds stand in `areas`, points on them in `operating_points`, F-scores in `f_scores`.
Keras's counterpart: `keras.metrics`, confusion metrics.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import config
from ..common.results import as_result
from ..common.serialization import keras_class, serialize
from ..losses.functions import same_rank
from .base import Metric

NOTHING = -1e10  # a threshold that only predictions outside the top k don't exceed


def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)


def confusion(
    y_true: Any,
    y_pred: Any,
    thresholds: np.ndarray,
    sample_weight: Any = None,
    top_k: int | None = None,
    class_id: int | None = None,
    dtype: str = "float32",
    label_weights: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return TP, FP, TN, FN of one batch, each with a number for every threshold.

    Args:
        y_true: labels; whatever is not 0 is positive.
        y_pred: predictions, of the same shape.
        thresholds: in any order.
        sample_weight: one number, one per sample, or one per element.
        top_k: only the k largest predictions of a sample may say "positive".
        class_id: count this column only.
        dtype: that predictions are compared in, and of the result.
        label_weights: one for each column.
    """
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred, dtype))
    if y_true.shape != y_pred.shape:
        raise ValueError(f"Metric: labels of shape {y_true.shape} don't fit predictions of shape {y_pred.shape}.")
    weights = element_weights(sample_weight, y_pred, dtype)
    if label_weights is not None:
        weights = weights * np.asarray(label_weights, dtype)
    if top_k is not None:
        best = np.argsort(-y_pred, axis=-1, kind="stable")[..., :top_k]
        within = np.full_like(y_pred, NOTHING)
        np.put_along_axis(within, best, np.take_along_axis(y_pred, best, -1), -1)
        y_pred = within
    if class_id is not None:
        if y_pred.ndim == 1:
            raise ValueError(
                "When class_id is provided, y_pred must be a 2D array with shape (num_samples, num_classes), found "
                f"shape: {y_pred.shape}"
            )
        y_true, y_pred, weights = y_true[..., class_id], y_pred[..., class_id], weights[..., class_id]
    positive, p, weights = (y_true != 0).reshape(-1), y_pred.reshape(-1), weights.reshape(-1)
    order = np.argsort(thresholds, kind="stable")
    exceeded = _exceeded(p, thresholds[order].astype(dtype), thresholds)
    counts = []
    for labels in (positive, ~positive):
        # Those that exceed i thresholds, no more, stand in cell i; so threshold i is exceeded by the cells after i.
        cells = np.bincount(exceeded, weights * labels, minlength=len(thresholds) + 1)
        said = np.empty(len(thresholds))
        said[order] = cells[::-1].cumsum()[::-1][1:]
        counts.append((said.astype(dtype), (cells.sum() - said).astype(dtype)))
    (TP, FN), (FP, TN) = counts
    return TP, FP, TN, FN


def _exceeded(p: np.ndarray, ascending: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return how many thresholds each prediction exceeds; NaN exceeds none.

    Evenly spread ones aren't compared with, but counted by a product, as in Keras: on a threshold that may round.
    """
    if evenly_spread(thresholds):
        count = np.ceil(p.clip(0, 1) * (len(thresholds) - 1))
        if thresholds[0] < 0:
            count = np.maximum(count, 1)
    else:
        count = np.searchsorted(ascending, p, side="left")
    return np.where(np.isnan(p), 0, count).astype(np.intp)


def evenly_spread(thresholds: np.ndarray) -> bool:
    """Return whether the thresholds are 0, 1/n, 2/n, ..., 1, but for an epsilon."""
    n = len(thresholds)
    return n >= 3 and np.allclose(thresholds, np.arange(n, dtype=np.float32) / (n - 1), atol=2 * config.epsilon())


def element_weights(sample_weight: Any, y_pred: np.ndarray, dtype: str) -> np.ndarray:
    """Return the weight of each element; what a sample has, all its elements have."""
    weights = np.asarray(1 if sample_weight is None else sample_weight, dtype)
    if weights.ndim == y_pred.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    if weights.ndim:
        weights = weights.reshape(*weights.shape, *(1,) * (y_pred.ndim - weights.ndim))
    try:
        return np.broadcast_to(weights, y_pred.shape)
    except ValueError:
        raise ValueError(
            f"Metric: sample_weight of shape {np.shape(sample_weight)} does not fit predictions of {y_pred.shape}."
        ) from None


def given_thresholds(thresholds: Any, default: float = 0.5) -> list[Any]:
    """Return the thresholds as a list; ValueError where one is outside [0, 1]."""
    given = [thresholds] if np.ndim(thresholds) == 0 else list(thresholds)
    wrong = [] if thresholds is None else [t for t in given if t is None or not 0 <= t <= 1]
    if wrong:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return [default] if thresholds is None else given


class _Count(Metric):
    """One of the four numbers, for each threshold."""

    place: ClassVar[int]  # among what `confusion` returns

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: str | None = None
    ):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds, self.thresholds = thresholds, given_thresholds(thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        counts = confusion(y_true, y_pred, np.array(self.thresholds, "float64"), sample_weight, dtype=self.dtype)
        self.accumulator.assign_add(counts[self.place])

    def result(self) -> Any:
        """Return the count; an array where there are several thresholds."""
        return as_result(self.accumulator[0] if len(self.thresholds) == 1 else self.accumulator.numpy())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": serialize(self.init_thresholds)}


@keras_class("keras.metrics")
class TruePositives(_Count):
    """TP, the (weighted) number of positives that were said to be so.

    Args:
        thresholds: a prediction above says "positive"; 0.5 where None.  Of several, the result is an array.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ValueError: a threshold outside [0, 1].
    """

    place = 0


@keras_class("keras.metrics")
class FalsePositives(_Count):
    """FP, the (weighted) number of negatives that were said to be positive.  Arguments: see `TruePositives`."""

    place = 1


@keras_class("keras.metrics")
class TrueNegatives(_Count):
    """TN, the (weighted) number of negatives that were said to be so.  Arguments: see `TruePositives`."""

    place = 2


@keras_class("keras.metrics")
class FalseNegatives(_Count):
    """FN, the (weighted) number of positives that were said to be negative.  Arguments: see `TruePositives`."""

    place = 3


class _Share(Metric):
    """What Precision and Recall share: true positives, and those that they are divided by."""

    others: str  # the name of what stands beside TP below the line

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = given_thresholds(thresholds, 0.5 if top_k is None else NOTHING)
        self.true_positives = self.add_variable((len(self.thresholds),), "zeros", name="true_positives")
        self._beside = self.add_variable((len(self.thresholds),), "zeros", name=self.others)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        TP, FP, _, FN = confusion(
            y_true, y_pred, np.array(self.thresholds, "float64"), sample_weight, self.top_k, self.class_id, self.dtype
        )
        self.true_positives.assign_add(TP)
        self._beside.assign_add(FP if self.others == "false_positives" else FN)

    def result(self) -> Any:
        """Return the share; an array where there are several thresholds."""
        share = ratio(self.true_positives.value, self.true_positives.value + self._beside.value)
        return as_result(share[0] if len(share) == 1 else share)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": serialize(self.init_thresholds)}


@keras_class("keras.metrics")
class Precision(_Share):
    """How much of what was said to be positive is so: TP / (TP + FP), 0 where nothing was.

    Args:
        thresholds: a prediction above says "positive"; 0.5 where None.  Of several, the result is an array.
        top_k: only the k largest predictions of a sample may say "positive"; without `thresholds`, all of them do.
        class_id: count this column of the predictions only.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ValueError: a threshold outside [0, 1].
    """

    others = "false_positives"

    @property
    def false_positives(self) -> Any:
        """FP so far, for each threshold."""
        return self._beside


@keras_class("keras.metrics")
class Recall(_Share):
    """How much of what is positive was found: TP / (TP + FN), 0 where nothing is.  Arguments: see `Precision`."""

    others = "false_negatives"

    @property
    def false_negatives(self) -> Any:
        """FN so far, for each threshold."""
        return self._beside
