"""A loss as a function with its derivative, made an object: what all built-in classes derive from."""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..common.arguments import check_options
from ..common.differentiable import Differentiable
from ..common.lending import call_lending
from ..common.names import is_built_in
from ..common.serialization import Table, function_config, keras_class, serialize
from .base import Loss
from .functions import binary_crossentropy, categorical_crossentropy, same_rank, sparse_categorical_crossentropy

#: The losses that have a name; the room enters them.
TABLE = Table("loss", "keras.losses", Loss, [])

_PAIRS = {
    binary_crossentropy: "sigmoid",
    categorical_crossentropy: "softmax",
    sparse_categorical_crossentropy: "softmax",
}

HOW_TO_WRITE_ONE = (
    "derive a class from keras.losses.Loss and write call(self, y_true, y_pred) and gradient(self, y_true, y_pred), "
    "or write a function with @differentiable and its @name.derivative"
)


def check_trainable(loss: Loss) -> None:
    """Raise TypeError for a loss that has values only: they can be evaluated, not trained with."""
    kind = type(loss)
    if kind.value_and_gradient is not Loss.value_and_gradient:
        return
    if kind.gradient is Loss.gradient:
        problem = f"Loss {kind.__name__}: gradient(self, y_true, y_pred) is missing."
    elif isinstance(loss, LossFunctionWrapper) and kind.gradient is LossFunctionWrapper.gradient:
        if getattr(loss.fn, "gradient", None) is not None:
            return
        name = getattr(loss.fn, "__name__", repr(loss.fn))
        problem = f"Loss {name!r}: a bare function cannot be trained with, its gradient is needed too."
    else:
        return
    raise TypeError(f"{problem} A loss is a value and a gradient: {HOW_TO_WRITE_ONE}.")


@keras_class("keras.losses")
class LossFunctionWrapper(Loss):
    """A function as a loss.

    Args:
        fn: f(y_true, y_pred, **options), and to train with it `differentiable`, with its `derivative`.
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
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ):
        self.fn: Any = fn
        if type(self) is LossFunctionWrapper:
            check_options("LossFunctionWrapper", fn, options)
        super().__init__(name, reduction, dtype)
        self.options = options
        #: A function of the user's own gets targets of the predictions' rank, as in Keras; those here see to that.
        self._fits_ranks = not is_built_in(fn)
        vars(self).update(options)

    def call(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        if not self._fits_ranks:
            return self.fn(y_true, y_pred, **self.options)
        if isinstance(self.fn, Differentiable):
            return self.fn(*same_rank(np.asarray(y_true), y_pred), **self.options)
        operands = same_rank(np.asarray(y_true, y_pred.dtype), y_pred)
        return call_lending(self.fn, f"Loss {self.name!r}", *operands, **self.options)

    def gradient(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        if not self._fits_ranks:
            return self.fn.gradient(y_true, y_pred, **self.options)
        check_trainable(self)
        t, p = same_rank(np.asarray(y_true), y_pred)
        dp = self.fn.gradient(t, p, **self.options)
        return np.reshape(dp, y_pred.shape) if p.shape != y_pred.shape and np.shape(dp) == p.shape else dp

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
            config = {**config, "fn": TABLE.find(config["fn"]["config"])}
        return super().from_config(config)
