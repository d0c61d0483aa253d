"""The formulas: each loss with its gradient directly under it.

    values = f(y_true, y_pred, **options)                 one number per sample, shape y_pred.shape[:-1]
    gradient = f.gradient(y_true, y_pred, **options)      d values[i] / d y_pred[i], shape y_pred.shape

In them t is a sample's target, p its prediction (probabilities), z its logits (p = softmax(z) or sigmoid(z)), C the
number of outputs, e = 1e-7 (`config.epsilon()`).
"""

from typing import Any

import numpy as np

from .. import config
from ..activations import as_floats, sigmoid, softmax
from ..common.differentiable import differentiable
from .targets import refuse_labels

# Operands ----------------------------------------------------------------------------------------------------------


def same_rank(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add or remove a last axis of size 1 where the ranks differ by one: (n,) beside (n, 1) becomes (n, 1)."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return (y_true[:, None], y_pred) if y_true.ndim == 1 else (y_true, y_pred[..., 0])
    if y_pred.ndim == y_true.ndim - 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred[:, None]) if y_pred.ndim == 1 else (y_true[..., 0], y_pred)
    return y_true, y_pred


def operands(y_true: Any, y_pred: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Return t and p as arrays of one float type and shape; ValueError where the shapes don't fit."""
    y_pred = as_floats(y_pred)
    y_true, y_pred = same_rank(np.asarray(y_true, y_pred.dtype), y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{owner}: y_true and y_pred must have the same shape, received {y_true.shape} and {y_pred.shape}."
        )
    return y_true, y_pred


def clip(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p within [e, 1 - e], so that its logarithm is finite, and where it was there already.

    The derivative of a clipped number is 0.
    """
    low, high = config.epsilon(), 1 - config.epsilon()
    return np.clip(p, low, high), (p >= low) & (p <= high)


# Regression --------------------------------------------------------------------------------------------------------


@differentiable
def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean((p - t)^2) over the last axis."""
    t, p = operands(y_true, y_pred, "mean_squared_error")
    return np.square(p - t).mean(-1)


@mean_squared_error.derivative
def mean_squared_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """2 (p - t) / C."""
    t, p = operands(y_true, y_pred, "mean_squared_error")
    return ((p - t) * (2 / p.shape[-1])).reshape(np.shape(y_pred))


@differentiable
def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(|p - t|) over the last axis."""
    t, p = operands(y_true, y_pred, "mean_absolute_error")
    return np.abs(p - t).mean(-1)


@mean_absolute_error.derivative
def mean_absolute_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """sign(p - t) / C."""
    t, p = operands(y_true, y_pred, "mean_absolute_error")
    return (np.sign(p - t) / p.shape[-1]).reshape(np.shape(y_pred))


@differentiable
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """The mean of d^2 / 2 where d = |p - t| <= delta, and of its tangent delta d - delta^2 / 2 beyond (Huber 1964)."""
    t, p = operands(y_true, y_pred, "huber")
    d = np.abs(p - t)
    near = np.minimum(d, delta)
    return (near * (d - near / 2)).mean(-1)  # both pieces in one, and nothing to overflow in the piece not taken


@huber.derivative
def huber_gradient(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """(p - t) / C, with p - t clipped to [-delta, delta]."""
    t, p = operands(y_true, y_pred, "huber")
    return (np.clip(p - t, -delta, delta) / p.shape[-1]).reshape(np.shape(y_pred))


# Crossentropies ----------------------------------------------------------------------------------------------------


def _log_sum_exp(z: np.ndarray, axis: int = -1) -> np.ndarray:
    """log(sum(exp(z))), with the largest z taken out so that nothing overflows."""
    top = z.max(axis, keepdims=True)
    return np.log(np.exp(z - top).sum(axis, keepdims=True)) + top


@differentiable
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """mean(-t log(p) - (1 - t) log(1 - p)) over `axis`, with p clipped to [e, 1 - e].

    From logits: mean(log(1 + exp(z)) - t z), without clipping.

    Args:
        y_true: targets in [0, 1].
        y_pred: probabilities, or logits with `from_logits`.
        from_logits: whether `y_pred` has not yet gone through a sigmoid.
        label_smoothing: draws the targets this far towards 1/2, t -> t (1 - s) + s/2.
        axis: what the mean is taken over.
    """
    t, p = operands(y_true, y_pred, "binary_crossentropy")
    t = smooth(t, label_smoothing, 2)
    if from_logits:
        z = p
        return (np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))).mean(axis)
    p, _ = clip(p)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis)


@binary_crossentropy.derivative
def binary_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """((1 - t) / (1 - p) - t / p) / C, 0 where p was clipped; from logits (sigmoid(z) - t) / C."""
    t, p = operands(y_true, y_pred, "binary_crossentropy")
    t = smooth(t, label_smoothing, 2)
    if from_logits:
        dp = sigmoid(p) - t
    else:
        p, inside = clip(p)
        dp = ((1 - t) / (1 - p) - t / p) * inside
    return (dp / p.shape[axis]).reshape(np.shape(y_pred))


@differentiable
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """-sum(t log(q)) over `axis`, q = p / sum(p) clipped to [e, 1 - e].

    From logits: sum(t (log(sum(exp(z))) - z)), without clipping.

    Args:
        y_true: one-hot targets, or probabilities that sum to 1.
        y_pred: probabilities, or logits with `from_logits`.
        from_logits: whether `y_pred` has not yet gone through a softmax.
        label_smoothing: draws the targets this far towards 1/C, t -> t (1 - s) + s/C.
        axis: the axis of the classes.
    """
    t, p = operands(y_true, y_pred, "categorical_crossentropy")
    t = smooth(t, label_smoothing, t.shape[-1])
    if from_logits:
        z = p
        return (t * (_log_sum_exp(z, axis) - z)).sum(axis)
    q, _ = clip(p / p.sum(axis, keepdims=True))
    return -(t * np.log(q)).sum(axis)


@categorical_crossentropy.derivative
def categorical_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """(g - sum(g q)) / sum(p) with g = dL/dq = -t / q, 0 where q was clipped; from logits softmax(z) - t.

    Like TensorFlow, the second takes the targets to sum to 1.
    """
    t, p = operands(y_true, y_pred, "categorical_crossentropy")
    t = smooth(t, label_smoothing, t.shape[-1])
    if from_logits:
        return softmax(p, axis) - t
    total = p.sum(axis, keepdims=True)
    q = p / total
    clipped, inside = clip(q)
    g = -t / clipped * inside
    return (g - (g * q).sum(axis, keepdims=True)) / total


@differentiable
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """log(sum(p)) - log(p[t]) for the class t, with p clipped to [e, 1 - e].

    From logits: log(sum(exp(z))) - z[t], without clipping.

    Args:
        y_true: classes as integers in [0, C), shape y_pred.shape[:-1], or with a last axis of size 1.
        y_pred: probabilities, or logits with `from_logits`.
        from_logits: whether `y_pred` has not yet gone through a softmax.
        ignore_class: samples of this class get loss and gradient 0.
        axis: the last one.

    Raises:
        ValueError: a class outside [0, C); another axis than the last.
    """
    t, z, ignored = labels_and_scores(y_true, y_pred, ignore_class, axis)
    if not from_logits:
        z = np.log(clip(z)[0])
    values = _log_sum_exp(z)[:, 0] - z[np.arange(len(t)), t]
    if ignored is not None:
        values[ignored] = 0
    return values.reshape(np.shape(y_pred)[:-1])


@sparse_categorical_crossentropy.derivative
def sparse_categorical_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """1 / sum(p) - [j = t] / p[t], 0 where p was clipped; from logits softmax(z) - [j = t]."""
    t, z, ignored = labels_and_scores(y_true, y_pred, ignore_class, axis)
    rows = np.arange(len(t))
    if from_logits:
        dz = softmax(z, -1)
        dz[rows, t] -= 1
    else:
        p, inside = clip(z)
        dz = np.repeat(1 / p.sum(-1, keepdims=True), p.shape[-1], -1)
        dz[rows, t] -= 1 / p[rows, t]
        dz *= inside
    if ignored is not None:
        dz[ignored] = 0
    return dz.reshape(np.shape(y_pred))


def labels_and_scores(
    y_true: Any,
    y_pred: Any,
    ignore_class: int | None = None,
    axis: int = -1,
    owner: str = "sparse_categorical_crossentropy",
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the classes as a vector, the predictions as a row per sample, and which rows to ignore."""
    scores, labels = as_floats(y_pred), np.asarray(y_true)
    if axis not in (-1, scores.ndim - 1):
        raise ValueError(f"{owner}: the classes must be on the last axis (axis=-1), received axis={axis}.")
    samples, classes = scores.shape[:-1], scores.shape[-1]
    if labels.shape not in (samples, (*samples, 1)):
        raise ValueError(
            f"{owner}: y_pred of shape {scores.shape} needs one class per sample, y_true of shape {samples}; "
            f"received {labels.shape}."
        )
    labels = labels.reshape(-1).astype(np.intp)
    ignored = None
    if ignore_class is not None:
        ignored = labels == ignore_class
        labels[ignored] = 0
    # Read as unsigned numbers, negative classes are huge: one comparison finds both kinds.
    if labels.size and labels.view(np.uintp).max() >= classes:
        refuse_labels(labels, (labels < 0) | (labels >= classes), classes, owner)
    return labels, scores.reshape(-1, classes), ignored


def smooth(t: np.ndarray, amount: float, classes: int) -> np.ndarray:
    """Return t drawn towards 1 / classes."""
    return t * (1 - amount) + amount / classes if amount else t
