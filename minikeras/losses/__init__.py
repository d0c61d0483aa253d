"""Losses, as functions and as classes: how far predictions are from their targets, and the gradient of that.

`functions` holds the formulas, each with its gradient under it; `base` what every loss is: values per sample made one
number; `targets` which targets fit which outputs.  Here are the classes, and how they are looked up.

Keras's counterpart: `keras.losses`, whose numbers these are.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..common.arguments import check_options
from ..common.differentiable import Differentiable
from ..common.names import object_name, refuse_other_names
from ..common.serialization import Table, deserializer, function_config, keras_class, serialize
from .base import Loss
from .functions import (
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from .targets import check_binary, check_finite, check_labels, check_one_hot, kind_of_targets

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

    from_logits: bool

    def __init__(
        self,
        fn: Differentiable,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ):
        self.fn = _differentiable_or_error(fn)
        if type(self) is LossFunctionWrapper:
            check_options("LossFunctionWrapper", fn, options)
        super().__init__(name, reduction, dtype)
        self.options = options
        vars(self).update(options)

    def call(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        return self.fn(y_true, y_pred, **self.options)

    def gradient(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        return self.fn.gradient(y_true, y_pred, **self.options)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        checker = type(self).targets_checker
        if checker is not None:
            y_true = np.asarray(y_true)
            if y_true.dtype.kind not in "buif":
                raise TypeError(f"{self.fn.__name__}: the targets must be numbers, received dtype {y_true.dtype}.")
            checker(y_true, tuple(output_shape), self)

    @property
    def pairs_with(self) -> str | None:
        """The activation whose results this loss is made for: "softmax", "sigmoid" or None."""
        return _PAIRS.get(self.fn)

    def on_logits(self, activation: str | None, units: int | None = None, dtype: str | None = None) -> Loss | None:
        """Return the same loss for what enters the last activation; None where it is overridden, or neither of the two.

        As in tf.keras, a crossentropy looks behind a softmax and a sigmoid alike, also behind the one that it isn't
        made for: it is then what it would be with the other.  Not so with `ignore_class`, or a `dtype` of its own.

        Args:
            activation: `"softmax"`, `"sigmoid"`, or another.
            units: how many numbers a softmax makes sum to 1.
            dtype: the float type of the layer's outputs.
        """
        if activation not in _PAIRS.values():
            return None
        behind = self.behind_activation(dtype)
        if behind is self:
            warnings.warn(
                f"Loss {self.name!r} was made with from_logits=True, but the model ends in a {activation} activation: "
                "the loss takes what enters the activation. Drop one of the two.",
                stacklevel=2,
            )
        elif behind is not None and activation != self.pairs_with:
            warnings.warn(self._mismatch(activation, units), stacklevel=2)
        return behind

    def behind_activation(self, dtype: str | None = None) -> Loss | None:
        """Return the same as `on_logits` does for a softmax or a sigmoid, without a word."""
        kind = type(self)
        original = kind.call is LossFunctionWrapper.call and kind.gradient is LossFunctionWrapper.gradient
        if not original or self.pairs_with is None or self._dtype not in (None, dtype):
            return None
        if self.options.get("ignore_class") is not None:
            return None
        if self.options.get("from_logits"):
            return self
        behind = copy.copy(self)
        behind.from_logits, behind.options = True, {**self.options, "from_logits": True}
        return behind

    def _mismatch(self, activation: str | None, units: int | None) -> str:
        meant = "softmax with categorical_crossentropy (or sparse_categorical_crossentropy)"
        other = "sigmoid with binary_crossentropy, where each output is a yes or no of its own"
        if activation == "sigmoid":
            meant = f"softmax with {self.fn.__name__}, for samples of one class each"
        elif units == 1:
            meant, other = "sigmoid with binary_crossentropy", "a softmax of one unit always predicts 1"
        return (
            f"Loss {self.name!r} after a {activation}: as in tf.keras, the loss takes what enters the activation and "
            f"trains as after a {self.pairs_with}, though predictions are those of the {activation}. "
            f"Probably meant: {meant}; {other}."
        )

    def get_config(self) -> dict[str, Any]:
        arguments = super().get_config()
        if type(self) is LossFunctionWrapper:
            arguments.update(fn=function_config(self.fn), **serialize(self.options))
        return arguments

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if isinstance(config.get("fn"), dict):
            config = {**config, "fn": get(config["fn"]["config"])}
        return super().from_config(config)


# The classes -------------------------------------------------------------------------------------------------------


@keras_class("keras.losses")
class MeanSquaredError(LossFunctionWrapper):
    """mean((p - t)^2): see `mean_squared_error`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

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

    targets_checker = staticmethod(check_finite)

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

    targets_checker = staticmethod(check_finite)
    left_out_at: ClassVar[dict[str, Any]] = {"delta": 1.0}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: str | None = None,
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)


@keras_class("keras.losses")
class BinaryCrossentropy(LossFunctionWrapper):
    """-t log(p) - (1 - t) log(1 - p): see `binary_crossentropy`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_binary)

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

    targets_checker = staticmethod(check_one_hot)

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

    targets_checker = staticmethod(check_labels)
    left_out_at: ClassVar[dict[str, Any]] = {"axis": -1}

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

    ignore_class: int | None

    def mask(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray | None:
        if self.ignore_class is None:
            return None
        return (np.asarray(y_true) != self.ignore_class).reshape(y_pred.shape[:-1])


# Looking up --------------------------------------------------------------------------------------------------------

_CLASS_OF = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
}
_PAIRS = {
    binary_crossentropy: "sigmoid",
    categorical_crossentropy: "softmax",
    sparse_categorical_crossentropy: "softmax",
}
_TABLE = Table(
    "loss",
    "keras.losses",
    Loss,
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
    found = _TABLE.get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    if callable(found) and not isinstance(found, type) and not hasattr(found, "call"):
        return _differentiable_or_error(found)
    raise TypeError(f"Loss: expected a name, a function with its gradient, or a Loss, received {identifier!r}. "
                    f"For a loss of your own, {_HOW_TO_WRITE_ONE}.")  # fmt: skip


def is_known(name: str) -> bool:
    """Whether a loss has this name."""
    return name in _TABLE.entries


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
        return kinds.get(kind_of_targets(y_true_shape or (), y_pred_shape), CategoricalCrossentropy)(name=identifier)
    found = get(identifier)
    if isinstance(found, Differentiable):
        name = identifier if isinstance(identifier, str) else object_name(found)
        return _CLASS_OF[found](name=name) if found in _CLASS_OF else LossFunctionWrapper(found, name=name)
    if found is not None:
        for method in ("call", "gradient"):
            if getattr(type(found), method) is getattr(Loss, method):
                raise TypeError(f"Loss {type(found).__name__}: {method}(self, y_true, y_pred) is missing. "
                                f"A loss is a value and a gradient: {_HOW_TO_WRITE_ONE}.")  # fmt: skip
    return found


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
