"""Losses: each formula with its gradient directly under it, as a function and as a class.

    values = f(y_true, y_pred, **options)                 one number per sample, shape y_pred.shape[:-1]
    gradient = f.gradient(y_true, y_pred, **options)      d values[i] / d y_pred[i], shape y_pred.shape

In the formulas t is a sample's target, p its prediction (probabilities), z its logits (p = softmax(z) or sigmoid(z)),
C the number of outputs, e = 1e-7 (`config.epsilon()`).  A class adds sample weights and the reduction to one number.

The trainer calls `as_loss`, then `check_targets`, then `value_and_gradient` for each batch.  Calls `activations`,
`config`, `differentiable` and `serialization`.  Keras's counterpart: `keras.losses`, whose numbers these are.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from . import config
from .activations import as_floats, sigmoid, softmax
from .differentiable import Differentiable, differentiable
from .names import auto_name, missing_attribute
from .serialization import Configurable, Table, keras_class
from .serialization import deserialize as _deserialize
from .serialization import serialize as _serialize

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "as_loss",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_crossentropy",
]  # fmt: skip

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


# Operands ----------------------------------------------------------------------------------------------------------


def same_rank(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add or remove a last axis of size 1 where the ranks differ by one: (n,) beside (n, 1) becomes (n, 1)."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        return (y_true[:, None], y_pred) if y_true.ndim == 1 else (y_true, y_pred[..., 0])
    if y_pred.ndim == y_true.ndim - 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred[:, None]) if y_pred.ndim == 1 else (y_true[..., 0], y_pred)
    return y_true, y_pred


def _operands(y_true: Any, y_pred: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    y_pred = as_floats(y_pred)
    y_true, y_pred = same_rank(np.asarray(y_true, y_pred.dtype), y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{owner}: y_true and y_pred must have the same shape, received {y_true.shape} and {y_pred.shape}."
        )
    return y_true, y_pred


def _clip(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p within [e, 1 - e], so that its logarithm is finite, and where it was there already.

    The derivative of a clipped number is 0.
    """
    low, high = config.epsilon(), 1 - config.epsilon()
    return np.clip(p, low, high), (p >= low) & (p <= high)


# Regression --------------------------------------------------------------------------------------------------------


@differentiable
def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean((p - t)^2) over the last axis."""
    t, p = _operands(y_true, y_pred, "mean_squared_error")
    return np.square(p - t).mean(-1)


@mean_squared_error.derivative
def mean_squared_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """2 (p - t) / C."""
    t, p = _operands(y_true, y_pred, "mean_squared_error")
    return ((p - t) * (2 / p.shape[-1])).reshape(np.shape(y_pred))


@differentiable
def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(|p - t|) over the last axis."""
    t, p = _operands(y_true, y_pred, "mean_absolute_error")
    return np.abs(p - t).mean(-1)


@mean_absolute_error.derivative
def mean_absolute_error_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """sign(p - t) / C."""
    t, p = _operands(y_true, y_pred, "mean_absolute_error")
    return (np.sign(p - t) / p.shape[-1]).reshape(np.shape(y_pred))


@differentiable
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """The mean of d^2 / 2 where d = |p - t| <= delta, and of its tangent delta d - delta^2 / 2 beyond (Huber 1964)."""
    t, p = _operands(y_true, y_pred, "huber")
    d = np.abs(p - t)
    near = np.minimum(d, delta)
    return (near * (d - near / 2)).mean(-1)  # both pieces in one, and nothing to overflow in the piece not taken


@huber.derivative
def huber_gradient(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """(p - t) / C, with p - t clipped to [-delta, delta]."""
    t, p = _operands(y_true, y_pred, "huber")
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
    t, p = _operands(y_true, y_pred, "binary_crossentropy")
    t = _smooth(t, label_smoothing, 2)
    if from_logits:
        z = p
        return (np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))).mean(axis)
    p, _ = _clip(p)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis)


@binary_crossentropy.derivative
def binary_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """((1 - t) / (1 - p) - t / p) / C, 0 where p was clipped; from logits (sigmoid(z) - t) / C."""
    t, p = _operands(y_true, y_pred, "binary_crossentropy")
    t = _smooth(t, label_smoothing, 2)
    if from_logits:
        dp = sigmoid(p) - t
    else:
        p, inside = _clip(p)
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
    t, p = _operands(y_true, y_pred, "categorical_crossentropy")
    t = _smooth(t, label_smoothing, t.shape[-1])
    if from_logits:
        z = p
        return (t * (_log_sum_exp(z, axis) - z)).sum(axis)
    q, _ = _clip(p / p.sum(axis, keepdims=True))
    return -(t * np.log(q)).sum(axis)


@categorical_crossentropy.derivative
def categorical_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """(g - sum(g q)) / sum(p) with g = dL/dq = -t / q, 0 where q was clipped; from logits softmax(z) - t.

    Like TensorFlow, the second takes the targets to sum to 1.
    """
    t, p = _operands(y_true, y_pred, "categorical_crossentropy")
    t = _smooth(t, label_smoothing, t.shape[-1])
    if from_logits:
        return softmax(p, axis) - t
    total = p.sum(axis, keepdims=True)
    q = p / total
    clipped, inside = _clip(q)
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
    t, z, ignored = _labels_and_scores(y_true, y_pred, ignore_class, axis)
    if not from_logits:
        z = np.log(_clip(z)[0])
    values = _log_sum_exp(z)[:, 0] - z[np.arange(len(t)), t]
    if ignored is not None:
        values[ignored] = 0
    return values.reshape(np.shape(y_pred)[:-1])


@sparse_categorical_crossentropy.derivative
def sparse_categorical_crossentropy_gradient(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """1 / sum(p) - [j = t] / p[t], 0 where p was clipped; from logits softmax(z) - [j = t]."""
    t, z, ignored = _labels_and_scores(y_true, y_pred, ignore_class, axis)
    rows = np.arange(len(t))
    if from_logits:
        dz = softmax(z, -1)
        dz[rows, t] -= 1
    else:
        p, inside = _clip(z)
        dz = np.repeat(1 / p.sum(-1, keepdims=True), p.shape[-1], -1)
        dz[rows, t] -= 1 / p[rows, t]
        dz *= inside
    if ignored is not None:
        dz[ignored] = 0
    return dz.reshape(np.shape(y_pred))


def _labels_and_scores(
    y_true: Any, y_pred: Any, ignore_class: int | None, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the classes as a vector, the predictions as a row per sample, and which rows to ignore."""
    owner = "sparse_categorical_crossentropy"
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
        _refuse_labels(labels, (labels < 0) | (labels >= classes), classes, owner)
    return labels, scores.reshape(-1, classes), ignored


def _refuse_labels(labels: np.ndarray, wrong: np.ndarray, classes: int, owner: str) -> None:
    largest = int(labels.max())
    fix = f"Give the last layer {largest + 1} units, or shift the labels." if largest >= classes else (
        "Shift the labels, or name the one to skip: SparseCategoricalCrossentropy(ignore_class=...)."
    )  # fmt: skip
    raise ValueError(
        f"{owner}: the labels must be integers in [0, {classes}), the number of outputs; "
        f"received {_first(labels, wrong)}. {fix}"
    )


def _smooth(t: np.ndarray, amount: float, classes: int) -> np.ndarray:
    return t * (1 - amount) + amount / classes if amount else t


# From values per sample to one number ------------------------------------------------------------------------------


class Loss(Configurable):
    """The base of all losses; derive from it to write your own (Keras: `keras.Loss`).

        class Quartic(Loss):
            def call(self, y_true, y_pred):
                return ((y_pred - y_true) ** 4).mean(-1)

            def gradient(self, y_true, y_pred):
                return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]

    Args:
        name: for reports; made from the class name where None.
        reduction: how values v of N samples with weights w become one number: `"sum_over_batch_size"` or `"mean"`
            sum(w v) / N, `"sum"` sum(w v), `"mean_with_sample_weight"` sum(w v) / sum(w), `"none"` or None: w v itself.
        dtype: the float type predictions are converted to; where None, they keep theirs.

    Raises:
        ValueError: an unknown reduction.
    """

    #: The last activation that `on_logits` can merge with this loss: "softmax", "sigmoid" or None.
    pairs_with: ClassVar[str | None] = None

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ):
        self.name = name or auto_name(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(f"Loss {self.name!r}: reduction must be one of {REDUCTIONS}, received {reduction!r}.")
        self.reduction = reduction
        self._dtype = dtype

    @property
    def dtype(self) -> str:
        """The float type of the computation."""
        return self._dtype or config.floatx()

    def call(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return one value per sample."""
        raise NotImplementedError(f"{type(self).__name__}: write call(self, y_true, y_pred), which returns the loss of "
                                  f"each sample, shape y_pred.shape[:-1].")  # fmt: skip

    def gradient(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return the derivative of each sample's value by its own predictions, in the shape of `y_pred`."""
        raise NotImplementedError(f"{type(self).__name__}: write gradient(self, y_true, y_pred), which returns the "
                                  f"derivative of call's values by y_pred, shape y_pred.shape.")  # fmt: skip

    def mask(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray | None:
        """Return True for the samples that count, in the shape of the values; None where all do."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss: a float, or an array with `reduction="none"`."""
        y_pred = self._predictions(y_pred)
        values = np.asarray(self.call(y_true, y_pred))
        return self._reduced(values, *self._weights(values, sample_weight, self.mask(y_true, y_pred)))

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
        """Return the reduced loss and its derivative by `y_pred`, weights and reduction included."""
        y_pred = self._predictions(y_pred)
        values = np.asarray(self.call(y_true, y_pred))
        weights, scale = self._weights(values, sample_weight, self.mask(y_true, y_pred))
        reduced = self._reduced(values, weights, scale)
        gradient = self.gradient(y_true, y_pred) * scale
        if weights is not None:
            weights = np.broadcast_to(weights, values.shape)
            while weights.ndim < gradient.ndim:
                weights = np.expand_dims(weights, getattr(self, "axis", -1))
            gradient *= weights
        return reduced, gradient

    @property
    def averages(self) -> bool:
        """Whether the loss is a plain mean over the samples of its weighted values."""
        return self.reduction in ("sum_over_batch_size", "mean")

    def reduced(self, values: np.ndarray, sample_weight: Any = None) -> tuple[Any, np.ndarray | None, float]:
        """Return the loss of these values, the weights w and the scale s that it has: s * sum(w v)."""
        weights, scale = self._weights(values, sample_weight, None)
        return self._reduced(values, weights, scale), weights, scale

    def _predictions(self, y_pred: Any) -> np.ndarray:
        return as_floats(y_pred) if self._dtype is None else np.asarray(y_pred, self._dtype)

    def _weights(self, values: np.ndarray, weights: Any, mask: np.ndarray | None) -> tuple[np.ndarray | None, float]:
        """Return w (broadcastable to the values, or None) and s, so that the loss is s * sum(w v)."""
        if weights is not None:
            weights = self._fitting(values, np.asarray(weights, values.dtype))
        if mask is not None:
            share = np.asarray(mask, values.dtype)
            if self.averages:  # over the samples that count only
                share = share * (share.size / max(np.count_nonzero(mask), 1))
            weights = share if weights is None else weights * share
        if self.averages:
            return weights, 1 / max(values.size, 1)
        if self.reduction == "mean_with_sample_weight":
            total = values.size if weights is None else float(weights.sum())
            return weights, 1 / total if total else 0.0
        return weights, 1.0

    def _fitting(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        fitted = weights
        if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
            fitted = weights[..., 0]
        elif weights.ndim == values.ndim - 1 and values.shape[-1] == 1:
            fitted = weights[..., None]
        fits = fitted.ndim in (0, values.ndim) and all(w in (1, v) for w, v in zip(fitted.shape, values.shape))  # noqa: B905
        if not fits:
            example = (*values.shape[:1], *(1 for _ in values.shape[1:]))
            raise ValueError(
                f"Loss {self.name!r}: sample_weight of shape {weights.shape} does not fit the losses of shape "
                f"{values.shape}. Give one weight per sample, shape {example}."
            )
        return fitted

    def _reduced(self, values: np.ndarray, weights: np.ndarray | None, scale: float) -> Any:
        if weights is not None:
            values = values * weights
        if self.reduction in ("none", None):
            return values
        return float(values.sum()) * scale

    def on_logits(self, activation: str | None) -> "Loss | None":
        """Return the same loss for the logits of this last activation, where the two can be merged; else None."""
        return None

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        """Raise ValueError or TypeError where the targets cannot belong to outputs of this shape."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras saves them: without `dtype`."""
        arguments = super().get_config()
        arguments.pop("dtype", None)
        return arguments

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


@keras_class("keras.losses")
class LossFunctionWrapper(Loss):
    """A `differentiable` function as a loss.

    Args:
        fn: f(y_true, y_pred, **options) with its `derivative`.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.
        options: further arguments of `fn`; also attributes of the object.
    """

    #: Called by `check_targets` with (y_true, output_shape, loss); None where any targets will do.
    targets_checker: ClassVar[Callable[..., None] | None] = None

    def __init__(
        self,
        fn: Differentiable,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ):
        super().__init__(name, reduction, dtype)
        self.fn = _differentiable_or_error(fn)
        self.options = options
        vars(self).update(options)

    def call(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return f(y_true, y_pred)."""
        return self.fn(y_true, y_pred, **self.options)

    def gradient(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return f.gradient(y_true, y_pred)."""
        return self.fn.gradient(y_true, y_pred, **self.options)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        """Raise ValueError or TypeError where the targets cannot belong to outputs of this shape."""
        checker = type(self).targets_checker
        if checker is not None:
            y_true = np.asarray(y_true)
            if y_true.dtype.kind not in "buif":
                raise TypeError(f"{self.fn.__name__}: the targets must be numbers, received dtype {y_true.dtype}.")
            checker(y_true, tuple(output_shape), self)

    def on_logits(self, activation: str | None) -> "Loss | None":
        """Return the same loss for the logits of `pairs_with`; None where it is overridden, or of another axis.

        A loss that was made with `from_logits=True` although the model ends in the activation means the same logits.
        """
        kind = type(self)
        original = kind.call is LossFunctionWrapper.call and kind.gradient is LossFunctionWrapper.gradient
        if activation is None or activation != self.pairs_with or not original or self.options["axis"] != -1:
            return None
        if self.from_logits:
            warnings.warn(
                f"Loss {self.name!r} was made with from_logits=True, but the model ends in a {activation} activation: "
                "the loss takes what enters the activation. Drop one of the two.",
                stacklevel=2,
            )
            return self
        twin = copy.copy(self)
        twin.from_logits, twin.options = True, {**self.options, "from_logits": True}
        return twin

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; a wrapped function by its name."""
        if type(self) is not LossFunctionWrapper:
            return super().get_config()
        return {
            "name": self.name, "reduction": self.reduction, "fn": function_config(self.fn), **_serialize(self.options)
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Build a loss from what `get_config` returned."""
        if isinstance(config.get("fn"), dict):
            config = {**config, "fn": get(config["fn"]["config"])}
        return super().from_config(config)


def function_config(function: Any) -> dict[str, Any]:
    """Return the form in which Keras saves a function: by its name."""
    return {"module": "builtins", "class_name": "function", "config": function.__name__, "registered_name": "function"}


# What targets fit what outputs -------------------------------------------------------------------------------------


def _first(values: np.ndarray, wrong: np.ndarray) -> str:
    """Describe the first wrong value and its place."""
    place = np.unravel_index(np.argmax(wrong), wrong.shape)
    index = place[0] if values.ndim == 1 or values[0].size == 1 else tuple(int(i) for i in place)
    return f"{values[place].item()} (at index {index})"


def _check_same_shape(y_true: np.ndarray, output_shape: tuple, loss: Loss, hint: str = "") -> None:
    expected = tuple(output_shape[1:])
    shapes = [expected, (*expected, 1)] + ([expected[:-1]] if expected[-1:] == (1,) else [])
    for shape in shapes:
        if y_true.ndim == len(shape) + 1 and all(e in (None, n) for e, n in zip(shape, y_true.shape[1:], strict=True)):
            return
    raise ValueError(
        f"{loss.fn.__name__}: the targets must have the shape of the outputs, {(None, *expected)}; "
        f"received {y_true.shape}.{hint}"
    )


def _check_finite(y_true: np.ndarray, output_shape: tuple, loss: Loss) -> None:
    _check_same_shape(y_true, output_shape, loss)
    if y_true.dtype.kind == "f" and not np.isfinite(y_true).all():
        raise ValueError(f"{loss.fn.__name__}: the targets must be finite numbers, "
                         f"received {_first(y_true, ~np.isfinite(y_true))}.")  # fmt: skip


def _check_probabilities(y_true: np.ndarray, owner: str, hint: str) -> None:
    within = (y_true >= 0) & (y_true <= 1)
    if not within.all():
        raise ValueError(f"{owner}: the targets must lie in [0, 1], received {_first(y_true, ~within)}.{hint}")


def _check_binary(y_true: np.ndarray, output_shape: tuple, loss: Loss) -> None:
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


def _check_one_hot(y_true: np.ndarray, output_shape: tuple, loss: Loss) -> None:
    owner, classes = loss.fn.__name__, output_shape[loss.axis]
    if classes == 1:
        raise ValueError(f"{owner}: one output cannot tell classes apart. Use binary_crossentropy with a sigmoid, "
                         "or give the last layer one unit per class.")  # fmt: skip
    hint = ""
    if y_true.ndim < len(output_shape) or y_true.shape[-1] == 1:
        hint = (" Integer labels go with sparse_categorical_crossentropy; "
                f"or one-hot encode them: to_categorical(y, {classes}).")  # fmt: skip
    _check_same_shape(y_true, output_shape, loss, hint)
    _check_probabilities(y_true, owner, "")


def _check_labels(y_true: np.ndarray, output_shape: tuple, loss: Loss) -> None:
    owner, classes, samples = loss.fn.__name__, output_shape[-1], tuple(output_shape[1:-1])
    if classes == 1:
        raise ValueError(f"{owner}: one output cannot tell classes apart. Use binary_crossentropy with a sigmoid, "
                         "or give the last layer one unit per class.")  # fmt: skip
    labels = y_true
    if labels.ndim == len(samples) + 2 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.ndim != len(samples) + 1 or not all(
        e in (None, n) for e, n in zip(samples, labels.shape[1:], strict=True)
    ):
        hint = ""
        if y_true.shape[1:] == (*samples, classes):
            hint = " One-hot targets go with categorical_crossentropy; or turn them into labels: y.argmax(-1)."
        raise ValueError(f"{owner}: the labels must be one integer per sample, shape {(None, *samples)} or "
                         f"{(None, *samples, 1)}; received {y_true.shape}.{hint}")  # fmt: skip
    if labels.dtype.kind == "f":
        broken = ~(labels == np.floor(labels)) | np.isinf(labels)
        if broken.any():
            raise ValueError(f"{owner}: the labels must be integers in [0, {classes}), the number of outputs; "
                             f"received {_first(labels, broken)}.")  # fmt: skip
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int8)
    wrong = (labels < 0) | (labels >= classes)
    if loss.ignore_class is not None:
        wrong &= labels != loss.ignore_class
    if wrong.any():
        _refuse_labels(labels, wrong, classes, owner)


# The classes -------------------------------------------------------------------------------------------------------


@keras_class("keras.losses")
class MeanSquaredError(LossFunctionWrapper):
    """mean((p - t)^2): see `mean_squared_error`, and `Loss` for the arguments."""

    targets_checker = staticmethod(_check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


@keras_class("keras.losses")
class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|p - t|): see `mean_absolute_error`, and `Loss` for the arguments."""

    targets_checker = staticmethod(_check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


@keras_class("keras.losses")
class Huber(LossFunctionWrapper):
    """Squares for small errors, straight lines beyond `delta`: see `huber`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(_check_finite)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: str | None = None,
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; `delta`, which Keras forgets, where it is not the default."""
        arguments = super().get_config()
        if self.delta == 1.0:
            del arguments["delta"]
        return arguments


@keras_class("keras.losses")
class BinaryCrossentropy(LossFunctionWrapper):
    """-t log(p) - (1 - t) log(1 - p): see `binary_crossentropy`, and `Loss` for the other arguments."""

    pairs_with = "sigmoid"
    targets_checker = staticmethod(_check_binary)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **options)


@keras_class("keras.losses")
class CategoricalCrossentropy(LossFunctionWrapper):
    """-sum(t log(p)) for one-hot t: see `categorical_crossentropy`, and `Loss` for the other arguments."""

    pairs_with = "softmax"
    targets_checker = staticmethod(_check_one_hot)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **options)


@keras_class("keras.losses")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """-log(p[t]) for the class t: see `sparse_categorical_crossentropy`, and `Loss` for the other arguments.

    Samples of the class `ignore_class` do not count, in means neither.
    """

    pairs_with = "softmax"
    targets_checker = staticmethod(_check_labels)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def mask(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray | None:
        """Return which samples are not of the class to ignore."""
        if self.ignore_class is None:
            return None
        return (np.asarray(y_true) != self.ignore_class).reshape(y_pred.shape[:-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as Keras saves them: without `axis`, which is always the last."""
        arguments = super().get_config()
        arguments.pop("axis")
        return arguments


# Looking up --------------------------------------------------------------------------------------------------------

_CLASS_OF = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
}
_TABLE = Table(
    "loss",
    "keras.losses",
    [*_CLASS_OF, *_CLASS_OF.values()],
    {
        "mse": mean_squared_error, "MSE": mean_squared_error, "mae": mean_absolute_error, "MAE": mean_absolute_error,
        "bce": binary_crossentropy, "BCE": binary_crossentropy,
    },
)  # fmt: skip

_HOW_TO_WRITE_ONE = (
    "derive a class from keras.losses.Loss and write call(self, y_true, y_pred) and gradient(self, y_true, y_pred), "
    "or write a function with @differentiable and its @name.derivative"
)


def _differentiable_or_error(function: Any) -> Differentiable:
    if isinstance(function, Differentiable) and function.gradient is not None:
        return function
    name = getattr(function, "__name__", repr(function))
    raise TypeError(f"Loss {name!r}: a bare function cannot be trained with, its gradient is needed too. "
                    f"A loss is a value and a gradient: {_HOW_TO_WRITE_ONE}.")  # fmt: skip


def get(identifier: Any) -> Any:
    """Return a loss from its name, class, config, function, or the object itself; None stays None.

    The name of a function (`"mse"`) gives the function, the name of a class (`"MeanSquaredError"`) an object.

    Raises:
        ValueError: an unknown name.
        TypeError: a function without a gradient, or something that is no loss at all.
    """
    found = identifier if identifier is None else _TABLE.get(identifier)
    if isinstance(found, type) and issubclass(found, Loss):
        found = found()
    if found is None or isinstance(found, Loss):
        return found
    if callable(found) and not isinstance(found, type) and not hasattr(found, "call"):
        return _differentiable_or_error(found)
    raise TypeError(f"Loss: expected a name, a function with its gradient, or a Loss, received {identifier!r}. "
                    f"For a loss of your own, {_HOW_TO_WRITE_ONE}.")  # fmt: skip


def kind_of_targets(y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> str:
    """Return `"binary"`, `"sparse"` or `"categorical"`, read off the shapes as Keras's `compile` does."""
    if y_pred_shape[-1] == 1:
        return "binary"
    return "sparse" if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1 else "categorical"


def as_loss(
    identifier: Any,
    y_true_shape: Sequence[int | None] | None = None,
    y_pred_shape: Sequence[int | None] | None = None,
) -> Loss | None:
    """Return the `Loss` that a model is compiled with.

    As `get`, but functions become objects named as the user named them, and `"crossentropy"` or `"ce"` is the
    binary, sparse or categorical kind that fits the shapes.

    Raises:
        ValueError: an unknown name.
        TypeError: no loss, or one without `call` or `gradient`.
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce") and y_pred_shape is not None:
        kinds = {"binary": BinaryCrossentropy, "sparse": SparseCategoricalCrossentropy}
        return kinds.get(kind_of_targets(y_true_shape, y_pred_shape), CategoricalCrossentropy)(name=identifier)
    found = get(identifier)
    if isinstance(found, Differentiable):
        name = identifier if isinstance(identifier, str) else found.__name__
        return _CLASS_OF[found](name=name) if found in _CLASS_OF else LossFunctionWrapper(found, name=name)
    if found is not None:
        for method in ("call", "gradient"):
            if getattr(type(found), method) is getattr(Loss, method):
                raise TypeError(f"Loss {type(found).__name__}: {method}(self, y_true, y_pred) is missing. "
                                f"A loss is a value and a gradient: {_HOW_TO_WRITE_ONE}.")  # fmt: skip
    return found


def serialize(loss: Any) -> Any:
    """Return the name of a loss function, or the config of a loss object."""
    return _serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that `serialize` described; `custom_objects` holds the user's own by name."""
    if isinstance(name, str) and name in (custom_objects or {}):
        return get(custom_objects[name])
    return get(_deserialize(name, custom_objects))


__getattr__ = missing_attribute(__name__, __all__)
