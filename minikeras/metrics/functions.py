"""What metrics average: one value per sample, of targets t and predictions p."""

from typing import Any

import numpy as np

from .. import config
from ..activations import as_floats
from ..common.serialization import Table
from ..losses import binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy
from ..losses.functions import same_rank
from ..losses.wrapper import TABLE as LOSSES


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[t = p], element by element."""
    y_true, y_pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    return (y_true == y_pred).astype(config.floatx())


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """[t = [p > threshold]], element by element, for targets 0 and 1."""
    y_true, y_pred = same_rank(np.asarray(y_true), as_floats(y_pred))
    return (y_true == (y_pred > threshold)).astype(config.floatx())


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[argmax(t) = argmax(p)] over the last axis; the first of several largest counts."""
    return (np.asarray(y_true).argmax(-1) == np.asarray(y_pred).argmax(-1)).astype(config.floatx())


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """[t = argmax(p)] over the last axis, for integer classes t of shape (n,) or (n, 1)."""
    best = np.asarray(y_pred).argmax(-1)
    return (_labels(y_true, best.ndim) == best).astype(config.floatx())


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """[fewer than k scores exceed that of class argmax(t)]: the class is among the k best."""
    return sparse_top_k_categorical_accuracy(np.asarray(y_true).argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> np.ndarray:
    """[fewer than k scores exceed that of class t], for integer classes t of shape (n,) or (n, 1).

    Ties with the k-th score count as right; a class outside [0, C) or scores that are not finite, as wrong.

    Args:
        y_true: the classes.
        y_pred: scores, or with `from_sorted_ids` classes, the most probable first.
        k: how many of the best to look at.
        from_sorted_ids: what `y_pred` holds.
    """
    y_pred = np.asarray(y_pred)
    t = _labels(y_true, y_pred.ndim - 1)[..., None]
    if from_sorted_ids:
        hits = (y_pred[..., :k] == t).any(-1)
    else:
        t = t.astype(np.intp)
        known = (t >= 0) & (t < y_pred.shape[-1])
        score = np.take_along_axis(y_pred, np.where(known, t, 0), -1)
        hits = ((y_pred > score).sum(-1) < k) & known[..., 0] & np.isfinite(y_pred).all(-1)
    return hits.astype(config.floatx())


def _labels(y_true: Any, ndim: int) -> np.ndarray:
    y_true = np.asarray(y_true)
    return y_true[..., 0] if y_true.ndim == ndim + 1 and y_true.shape[-1] == 1 else y_true


CROSSENTROPIES = (binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy)
FUNCTIONS = Table(
    "metric function",
    "keras.metrics",
    None,
    [
        accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy,
        sparse_top_k_categorical_accuracy, *(f for f in LOSSES.entries.values() if not isinstance(f, type)),
    ],
)  # fmt: skip
