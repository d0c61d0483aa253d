"""What targets fit what outputs: said before the first step, with the first wrong number and a likely fix."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def kind_of_targets(y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> str:
    """Return `"binary"`, `"sparse"` or `"categorical"`, read off the shapes as Keras's `compile` does."""
    if y_pred_shape[-1] == 1:
        return "binary"
    return "sparse" if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1 else "categorical"


def refuse_labels(labels: np.ndarray, wrong: np.ndarray, classes: int, owner: str) -> None:
    """Raise ValueError with the first wrong label, and what to do where it is an integer."""
    fix = ""
    if float(labels[wrong][0]).is_integer():
        largest = int(labels.max())
        fix = f" Give the last layer {largest + 1} units, or shift the labels." if largest >= classes else (
            " Shift the labels, or name the one to skip: SparseCategoricalCrossentropy(ignore_class=...)."
        )  # fmt: skip
    raise ValueError(
        f"{owner}: the labels must be integers in [0, {classes}), the number of outputs; "
        f"received {_first(labels, wrong)}.{fix}"
    )


def _first(values: np.ndarray, wrong: np.ndarray) -> str:
    """Describe the first wrong value and its place."""
    place = np.unravel_index(np.argmax(wrong), wrong.shape)
    index = place[0] if values.ndim == 1 or values[0].size == 1 else tuple(int(i) for i in place)
    return f"{values[place].item()} (at index {index})"


def _check_same_shape(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any, hint: str = "") -> None:
    expected = tuple(output_shape[1:])
    shapes = [expected, (*expected, 1)] + ([expected[:-1]] if expected[-1:] == (1,) else [])
    if not any(_fits(y_true, shape) for shape in shapes):
        raise ValueError(f"{loss.fn.__name__}: the targets must have the shape of the outputs, {(None, *expected)}; "
                         f"received {y_true.shape}.{hint}")  # fmt: skip


def _fits(y_true: np.ndarray, shape: tuple[int | None, ...]) -> bool:
    """Tell whether each sample's target has this shape, where None is any size."""
    return y_true.ndim == len(shape) + 1 and all(e in (None, n) for e, n in zip(shape, y_true.shape[1:], strict=True))


def check_finite(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any) -> None:
    """Targets of the outputs' shape, all finite."""
    _check_same_shape(y_true, output_shape, loss)
    if y_true.dtype.kind == "f" and not np.isfinite(y_true).all():
        raise ValueError(f"{loss.fn.__name__}: the targets must be finite numbers, "
                         f"received {_first(y_true, ~np.isfinite(y_true))}.")  # fmt: skip


def _check_probabilities(y_true: np.ndarray, owner: str, hint: str) -> None:
    within = (y_true >= 0) & (y_true <= 1)
    if not within.all():
        raise ValueError(f"{owner}: the targets must lie in [0, 1], received {_first(y_true, ~within)}.{hint}")


def check_binary(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any) -> None:
    """Targets of the outputs' shape, in [0, 1]."""
    hint = ""
    if y_true.ndim == 1 or y_true.shape[-1] == 1:
        hint = " Labels of several classes go with sparse_categorical_crossentropy."
    _check_same_shape(y_true, output_shape, loss, hint)
    hint = ""
    if y_true.size and np.isin(y_true, (-1, 1)).all():
        hint = " Turn -1 and 1 into 0 and 1 by (y + 1) / 2."
    elif y_true.size and np.nanmax(y_true) > 1:
        hint = " Labels of several classes go with one output per class and sparse_categorical_crossentropy."
    _check_probabilities(y_true, loss.fn.__name__, hint)


def _check_several_classes(classes: int, owner: str) -> None:
    if classes == 1:
        raise ValueError(f"{owner}: one output cannot tell classes apart. Use binary_crossentropy with a sigmoid, "
                         "or give the last layer one unit per class.")  # fmt: skip


def check_one_hot(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any) -> None:
    """Targets of the outputs' shape, in [0, 1], of two classes or more."""
    owner, classes = loss.fn.__name__, output_shape[loss.axis]
    _check_several_classes(classes, owner)
    hint = ""
    if y_true.ndim < len(output_shape) or y_true.shape[-1] == 1:
        hint = (" Integer labels go with sparse_categorical_crossentropy; "
                f"or one-hot encode them: to_categorical(y, {classes}).")  # fmt: skip
    _check_same_shape(y_true, output_shape, loss, hint)
    _check_probabilities(y_true, owner, "")


def check_labels(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any) -> None:
    """One integer per sample: one of several classes, or the one to ignore."""
    owner, classes, samples = loss.fn.__name__, output_shape[-1], output_shape[1:-1]
    _check_several_classes(classes, owner)
    labels = y_true[..., 0] if y_true.ndim == len(samples) + 2 and y_true.shape[-1] == 1 else y_true
    if not _fits(labels, samples):
        hint = ""
        if y_true.shape[1:] == (*samples, classes):
            hint = " One-hot targets go with categorical_crossentropy; or turn them into labels: y.argmax(-1)."
        raise ValueError(f"{owner}: the labels must be one integer per sample, shape {(None, *samples)} or "
                         f"{(None, *samples, 1)}; received {y_true.shape}.{hint}")  # fmt: skip
    if labels.dtype.kind == "f":
        broken = ~(labels == np.floor(labels)) | np.isinf(labels)
        if broken.any():
            refuse_labels(labels, broken, classes, owner)
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int8)
    wrong = (labels < 0) | (labels >= classes)
    if loss.ignore_class is not None:
        wrong &= labels != loss.ignore_class
    if wrong.any():
        refuse_labels(labels, wrong, classes, owner)


def check_group_labels(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any) -> None:
    """One integer per sample, whichever: samples of one number belong together."""
    if y_true.shape[1:] not in ((), (1,)):
        raise ValueError(f"{loss.fn.__name__}: the labels must be one integer per sample, shape (None,) or (None, 1); "
                         f"received {y_true.shape}.")  # fmt: skip
    if y_true.dtype.kind == "f" and not (y_true == np.floor(y_true)).all():
        raise ValueError(f"{loss.fn.__name__}: the labels must be integers, "
                         f"received {_first(y_true, y_true != np.floor(y_true))}.")  # fmt: skip


def check_sequences(y_true: np.ndarray, output_shape: tuple[Any, ...], loss: Any = None) -> None:
    """Integers in [0, C) for outputs of shape (n, steps, C), with so few before the zeros that the steps can hold them.

    Each label takes a step, and a blank between two equal ones another.
    """
    if y_true.ndim != 2:
        raise ValueError("Targets `y_true` are expected to be a tensor of shape `(batch_size, max_length)` in integer "
                         f"format. Received: y_true.shape={y_true.shape}")  # fmt: skip
    if len(output_shape) != 3:
        raise ValueError("Logits `y_pred` are expected to be a tensor of shape "
                         "`(batch_size, max_length, num_classes)`. "
                         f"Received: y_pred.shape={tuple(output_shape)}")  # fmt: skip
    _, steps, classes = output_shape
    wrong = ~((y_true >= 0) & (y_true < classes) & (y_true == np.floor(y_true)))
    if wrong.any():
        refuse_labels(y_true, wrong, classes, "ctc")
    count = np.count_nonzero(y_true, -1)
    twice = (y_true[:, 1:] == y_true[:, :-1]) & (np.arange(1, y_true.shape[1]) < count[:, None])
    needed = count + twice.sum(-1)
    if steps is not None and (needed > steps).any():
        i = int(np.argmax(needed > steps))
        raise ValueError(f"ctc: the {count[i]} labels of sample {i} take {needed[i]} steps, a blank between equal ones "
                         f"included; the predictions have {steps}.")  # fmt: skip
