"""Intersection over union: how far the places said to be of a class cover those that are.

A confusion matrix M counts, for each pair of classes, the (weighted) elements that are of the one, its row, and were
said to be of the other, its column.  For class c

    IoU = M[c, c] / (sum of row c + sum of column c - M[c, c])      intersection / union = TP / (TP + FP + FN)

and the result is the mean over the classes asked for, without those that nothing is or was said to be.

Keras's counterpart: `keras.metrics`, IoU metrics.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config
from ..common.results import as_result
from ..common.serialization import keras_class
from .base import Metric


@keras_class("keras.metrics")
class IoU(Metric):
    """The mean intersection over union of some classes.

    Args:
        num_classes: how many there are; elements of others, in labels or predictions, do not count.
        target_class_ids: whose mean the result is.
        name: see `Metric`.
        dtype: the type of the matrix; integers where None, so that weights lose their fractions.
        ignore_class: elements with this label do not count.
        sparse_y_true: whether labels are integers; else they are one-hot vectors along `axis`.
        sparse_y_pred: whether predictions are integers; else they are scores along `axis`, and the largest says which.
        axis: of the vectors.

    Raises:
        ValueError: a class outside [0, num_classes); in use, shapes that don't fit.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(name=name, dtype=dtype or "int")
        self.total_cm = self.add_variable((num_classes, num_classes), "zeros", name="total_confusion_matrix")
        target_class_ids = list(target_class_ids)
        if not target_class_ids:
            raise ValueError(f"{type(self).__name__}: expected at least one class, received none.")
        for wrong in (c for c in target_class_ids if not 0 <= c < num_classes):
            raise ValueError(f"Target class id {wrong} is out of range, which is [0, {num_classes}).")
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, target_class_ids, ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, p = np.asarray(y_true), np.asarray(y_pred)
        t = (t if self.sparse_y_true else t.argmax(self.axis)).reshape(-1).astype(np.intp)
        p = (p if self.sparse_y_pred else p.argmax(self.axis)).reshape(-1).astype(np.intp)
        if t.shape != p.shape:
            raise ValueError(
                f"{type(self).__name__}: y_true and y_pred must say one class for each element, received shapes "
                f"{np.shape(y_true)} and {np.shape(y_pred)}. One-hot vectors: sparse_y_true=False, sparse_y_pred=False."
            )
        counts = (t >= 0) & (t < self.num_classes) & (p >= 0) & (p < self.num_classes)
        if self.ignore_class is not None:
            counts &= t != self.ignore_class
        cells = np.bincount(
            (t * self.num_classes + p)[counts], self._weights(sample_weight, t)[counts], self.num_classes**2
        )
        self.total_cm.assign_add(cells.reshape(self.num_classes, -1).astype(self.dtype))

    def _weights(self, sample_weight: Any, t: np.ndarray) -> np.ndarray:
        weights = np.asarray(1 if sample_weight is None else sample_weight)
        if weights.dtype.kind == "f" and np.dtype(self.dtype).kind != "f":
            warnings.warn(
                "You are passing weight as `float`, but dtype is `int`. This may result in an incorrect weight due to "
                "type casting Consider using integer weights.",
                stacklevel=3,
            )
        weights = weights.astype(self.dtype).reshape(-1)
        if weights.size not in (1, t.size):
            raise ValueError(
                f"{type(self).__name__}: sample_weight has one weight for each of the {t.size} elements, received the "
                f"shape {np.shape(sample_weight)}."
            )
        return np.broadcast_to(weights, t.shape)

    def result(self) -> Any:
        matrix = self.total_cm.value
        hits = np.diag(matrix)
        union = (matrix.sum(axis=0) + matrix.sum(axis=1) - hits)[self.target_class_ids].astype("float32")
        hits, seen = hits[self.target_class_ids].astype("float32"), union > 1e-9
        # As in Keras, both divisors are a little larger: a perfect score may be 0.9999999.
        scores = np.where(seen, hits / (union + np.float32(config.epsilon())), np.float32(0))
        return as_result(scores.sum() / (np.float32(seen.sum()) + np.float32(config.epsilon())))


@keras_class("keras.metrics")
class BinaryIoU(IoU):
    """IoU of the classes 0 and 1, where predictions of at least `threshold` say 1.

    Args:
        target_class_ids: one of the two, or both.
        threshold: see above.
        name: see `Metric`.
        dtype: see `IoU`.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | None = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, np.asarray(y_pred, "float32") >= np.float32(self.threshold), sample_weight)


@keras_class("keras.metrics")
class MeanIoU(IoU):
    """The mean IoU of all classes that occur.  Arguments: see `IoU`."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        everyone = range(num_classes)
        super().__init__(num_classes, everyone, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


@keras_class("keras.metrics")
class OneHotIoU(IoU):
    """IoU where labels are one-hot vectors, and predictions scores of the classes.  Arguments: see `IoU`."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@keras_class("keras.metrics")
class OneHotMeanIoU(MeanIoU):
    """The mean IoU of all classes where labels are one-hot vectors, and predictions scores.  Arguments: see `IoU`."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
