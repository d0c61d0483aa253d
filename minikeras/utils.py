"""Small things that scripts use around a model: one-hot labels, the seed, files from the network, its picture.

Keras's counterpart: `keras.utils`.
"""

from typing import Any

import numpy as np

from .common.console import Progbar
from .common.names import clear_session, refuse_other_names
from .data import PyDataset
from .datasets.cache import get_file
from .plotting.drawing import model_to_dot, plot_model
from .random import set_random_seed
from .saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "model_to_dot",
    "normalize",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]

__path__: list[str] = []  # Keras 2 had modules in here; see `common.keras2`

#: The name of `PyDataset` before Keras 3.
Sequence = PyDataset


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Return one-hot rows of class ids: `out[..., k] = 1 where x == k, else 0` (Keras: `to_categorical`).

    Args:
        x: class ids 0, 1, ..., of any shape; a last axis of size 1 is dropped.
        num_classes: the size of the new last axis; max(x) + 1 where None.

    Returns:
        A float64 array of shape x.shape + (num_classes,).

    Raises:
        ValueError: a label that is negative, not an integer, or not below `num_classes`; no labels and no
            `num_classes`.
    """
    given = np.asarray(x)
    with np.errstate(invalid="ignore"):
        labels = given.astype(np.int64)
    if given.dtype.kind == "f" and not np.array_equal(labels, given):
        raise ValueError(f"to_categorical: expected integer labels, received {given[labels != given][0]}.")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if not labels.size:
            raise ValueError("to_categorical: there are no labels to count the classes of; pass num_classes.")
        num_classes = int(labels.max()) + 1
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if outside.size:
        hint = f"pass num_classes={labels.max() + 1} or more" if labels.min() >= 0 else "labels count from 0"
        raise ValueError(f"to_categorical: label {outside[0]} is not in 0..{num_classes - 1}; {hint}.")
    rows = np.zeros((labels.size, num_classes))
    rows[np.arange(labels.size), labels.ravel()] = 1
    return rows.reshape(*labels.shape, num_classes)


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> np.ndarray:
    """Return x divided by its norms along an axis: `x / ||x||`, where a norm of 0 counts as 1.

    Args:
        x: an array.
        axis: the axis along which the norm is taken.
        order: which norm: 2 (Euclidean), 1 (sum of magnitudes), np.inf (largest magnitude), ...
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


refuse_other_names(__name__, __all__)
