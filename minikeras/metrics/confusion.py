"""Metrics that count hits and misses: Precision, Recall, AUC, F1Score, FBetaScore.

A prediction p says "positive" where it exceeds a threshold.  With the true label there are four cases,

    | says \\ is | positive            | negative            |
    |-----------|---------------------|---------------------|
    | positive  | TP, true positives  | FP, false positives |
    | negative  | FN, false negatives | TN, true negatives  |

    precision = TP / (TP + FP)     how much of what was said to be positive is so
    recall    = TP / (TP + FN)     how much of what is positive was found

and these are added up over all batches, weighted where there are weights.  Elements of all axes count alike.

Keras's counterpart: `keras.metrics`, confusion and F-score metrics.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations, config
from ..common.budget import claim
from ..common.names import did_you_mean
from ..common.serialization import keras_class
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
    """
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred, dtype))
    if y_true.shape != y_pred.shape:
        raise ValueError(f"Metric: labels of shape {y_true.shape} don't fit predictions of shape {y_pred.shape}.")
    weights = _weights(sample_weight, y_pred, dtype)
    if top_k is not None:
        best = np.argsort(-y_pred, axis=-1, kind="stable")[..., :top_k]
        within = np.full_like(y_pred, NOTHING)
        np.put_along_axis(within, best, np.take_along_axis(y_pred, best, -1), -1)
        y_pred = within
    if class_id is not None:
        if y_pred.ndim == 1:
            raise ValueError(
                f"Metric: class_id={class_id} needs predictions of shape (n, classes), found {y_pred.shape}."
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


def _weights(sample_weight: Any, y_pred: np.ndarray, dtype: str) -> np.ndarray:
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
        said: Any = thresholds
        given = [said] if np.ndim(said) == 0 else list(said)
        wrong = [] if thresholds is None else [t for t in given if t is None or not 0 <= t <= 1]
        if wrong:
            raise ValueError(f"{type(self).__name__}: `thresholds` are numbers from 0 to 1, received {wrong}.")
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = given if thresholds is not None else [0.5 if top_k is None else NOTHING]
        self.true_positives = self.add_variable((len(self.thresholds),), "zeros", name="true_positives")
        self._beside = self.add_variable((len(self.thresholds),), "zeros", name=self.others)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        TP, FP, _, FN = confusion(
            y_true, y_pred, np.array(self.thresholds, "float64"), sample_weight, self.top_k, self.class_id, self.dtype
        )
        self.true_positives.assign_add(TP)
        self._beside.assign_add(FP if self.others == "false_positives" else FN)

    def result(self) -> float | np.ndarray:
        """Return the share; an array where there are several thresholds."""
        share = ratio(self.true_positives.value, self.true_positives.value + self._beside.value)
        return float(share[0]) if len(share) == 1 else share

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


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
        multi_label, num_labels, label_weights: not supported; all elements count alike.
        from_logits: whether predictions come before their sigmoid.

    Raises:
        ValueError: an unknown curve or method, fewer than 2 thresholds, or an option that is not supported.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
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
        for option, value in {
            "multi_label": multi_label,
            "num_labels": num_labels,
            "label_weights": label_weights,
        }.items():
            if value is not None and value is not False:
                raise ValueError(f"AUC: {option}={value!r} is not supported; use one AUC for each label.")
        super().__init__(name=name, dtype=dtype)
        self.multi_label, self.num_labels, self.label_weights = False, None, None
        self.curve = _one_of("curve", curve, ("ROC", "PR", "PRGAIN"), str.upper)
        self.summation_method = _one_of(
            "summation_method", summation_method, ("interpolation", "minoring", "majoring"), str.lower
        )
        self._given = thresholds is not None
        if thresholds is None:
            if isinstance(num_thresholds, bool) or not hasattr(num_thresholds, "__index__") or num_thresholds <= 1:
                raise ValueError(f"AUC: `num_thresholds` is an integer above 1, received {num_thresholds!r}.")
            claim(8 * num_thresholds, f"AUC: num_thresholds={num_thresholds}")
            inner: Any = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        else:
            inner = sorted(thresholds)
        # The ends lie a little outside, so that every prediction exceeds the first and none the last.
        self._thresholds = np.concatenate([[0 - config.epsilon()], inner, [1 + config.epsilon()]])
        self.num_thresholds, self.from_logits = len(self._thresholds), from_logits
        for kind in ("true_positives", "false_positives", "true_negatives", "false_negatives"):
            setattr(self, kind, self.add_variable((self.num_thresholds,), "zeros", name=kind))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, ascending."""
        return list(self._thresholds)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = np.asarray(y_pred, self.dtype)
        if self.from_logits:
            y_pred = activations.sigmoid(y_pred)
        counts = confusion(y_true, y_pred, self._thresholds, sample_weight, dtype=self.dtype)
        for variable, new in zip(self.variables, counts, strict=True):
            variable.assign_add(new)

    def result(self) -> float:
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
        return float(np.sum((x[:-1] - x[1:]) * height))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        given = config.pop("thresholds")
        return {**config, "thresholds": given[1:-1]} if self._given else config


def _area_of_hyperbolas(TP: np.ndarray, FP: np.ndarray, FN: np.ndarray) -> float:
    """Return the sum over neighbouring thresholds A, B of slope (dTP + (TP_B - slope S_B) log(S_A / S_B)) / P.

    S = TP + FP is what is said to be positive, slope = dTP / dS.
    """
    said = TP + FP
    d_TP = TP[:-1] - TP[1:]
    slope = ratio(d_TP, np.maximum(said[:-1] - said[1:], 0))
    both = (said[:-1] > 0) & (said[1:] > 0)
    log = np.log(np.divide(said[:-1], said[1:], out=np.ones_like(slope), where=both))
    return float(np.sum(ratio(slope * (d_TP + (TP[1:] - slope * said[1:]) * log), TP[1:] + FN[1:])))


def _one_of(argument: str, value: Any, known: tuple[str, ...], spell: Any) -> str:
    if not isinstance(value, str) or spell(value) not in known:
        raise ValueError(f"AUC: `{argument}` is one of {known}, received {value!r}. {did_you_mean(value, known)}")
    return spell(value)


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
        owner = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"{owner}: `average` is None, 'micro', 'macro' or 'weighted', received {average!r}.")
        if not isinstance(beta, float) or beta <= 0:
            raise ValueError(f"{owner}: `beta` is a float above 0, received {beta!r}.")
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(f"{owner}: `threshold` is a float above 0, and 1 at most; received {threshold!r}.")
        self.average, self.beta, self.threshold = average, beta, threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = np.asarray(y_true, self.dtype), np.asarray(y_pred, self.dtype)
        if y_true.ndim == 1 and y_pred.shape == (len(y_true), 1):
            y_true = y_true[:, None]
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"{type(self).__name__}: labels and predictions have the shape (n, classes), received {y_true.shape} "
                f"and {y_pred.shape}. Integer labels: keras.utils.to_categorical(y)."
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
        weights = _weights(sample_weight, y_pred, self.dtype)
        counts = said * y_true, said * (1 - y_true), (1 - said) * y_true, y_true
        for variable, count in zip(self.variables, counts, strict=True):
            variable.assign_add(np.sum(count * weights, axis=None if self.average == "micro" else 0))

    def result(self) -> float | np.ndarray:
        """Return the score; an array where `average` is None."""
        if not self._variables:
            return 0.0
        TP, FP, FN, occurrences = (v.value for v in self.variables)
        tiny, square = config.epsilon(), self.beta**2
        precision, recall = TP / (TP + FP + tiny), TP / (TP + FN + tiny)
        score = precision * recall / (square * precision + recall + tiny) * (1 + square)
        if self.average is None:
            return score
        if self.average == "weighted":
            return float(np.sum(score * (occurrences / (occurrences.sum() + tiny))))
        return float(np.mean(score))


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


__all__ = ["AUC", "F1Score", "FBetaScore", "Precision", "Recall"]
