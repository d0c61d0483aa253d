"""What every loss is: values per sample, their sample weights, and the reduction to one number."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import config
from ..activations import as_floats
from ..common.names import auto_name
from ..common.results import as_result
from ..common.serialization import Configurable

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
_EXPECTED = f"Expected one of {REDUCTIONS}."


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

    lends: ClassVar[dict[str, int]] = {
        "call": 2, "gradient": 2, "mask": 2, "__call__": 3, "value_and_gradient": 3
    }  # fmt: skip

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ):
        self.name = name or auto_name(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(f"Invalid value for argument `reduction`. {_EXPECTED} Received: reduction={reduction!r}")
        self.reduction = reduction
        self._dtype = None if dtype is None else np.dtype(dtype).name

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
        """Return the reduced loss: a number, or an array with `reduction="none"`."""
        y_pred = self._predictions(y_pred)
        values = self._values(y_true, y_pred)
        return as_result(self.reduced(values, sample_weight, self.mask(y_true, y_pred))[0], values.dtype)

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
        """Return the reduced loss and its derivative by `y_pred`, weights and reduction included.

        The derivative has the shape and the float type of `y_pred`, whatever `gradient` returns.

        Raises:
            TypeError, ValueError: `call` or `gradient` returned no numbers, or another shape.
        """
        model_dtype = as_floats(y_pred).dtype
        y_pred = self._predictions(y_pred)
        values = self._values(y_true, y_pred)
        reduced, weights, scale = self.reduced(values, sample_weight, self.mask(y_true, y_pred))
        gradient = self._numbers("gradient", self.gradient(y_true, y_pred), y_pred)
        if gradient.shape != y_pred.shape:
            raise ValueError(
                f"Loss {self.name!r}: `gradient` must return the shape of y_pred, {y_pred.shape}; received "
                f"{gradient.shape}, for y_true of shape {np.shape(y_true)}."
            )
        gradient = gradient * scale
        if weights is not None:
            weights = np.broadcast_to(weights, values.shape)
            while weights.ndim < gradient.ndim:
                weights = np.expand_dims(weights, getattr(self, "axis", -1))
            gradient *= weights
        return reduced, gradient if gradient.dtype is model_dtype else gradient.astype(model_dtype)

    def _values(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return what `call` returns: a value for each sample or number, or one for the whole batch."""
        values = self._numbers("call", self.call(y_true, y_pred), y_pred)
        may_be = values.shape[:1] == y_pred.shape[:1] and values.size <= y_pred.size
        if not may_be and values.ndim and not hasattr(self, "axis"):  # along axis 0, a mean over samples
            raise ValueError(
                f"Loss {self.name!r}: `call` must return one value per sample, shape {y_pred.shape[:-1]}, or one for "
                f"the batch; received {values.shape}, for y_true of shape {np.shape(y_true)} and y_pred of shape "
                f"{y_pred.shape}."
            )
        return values

    def _numbers(self, method: str, returned: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return what `call` or `gradient` returned as a plain array of the predictions' float type."""
        if type(returned) is np.ndarray and returned.dtype is y_pred.dtype and returned.flags.c_contiguous:
            return returned
        try:
            array = np.asarray(returned)
        except ValueError:
            array = np.empty(0, object)  # a list of lists of unequal lengths
        if array.dtype.kind not in "buif":
            raise TypeError(
                f"Loss {self.name!r}: `{method}` must return an array of numbers, received {type(returned).__name__}"
                f"{'' if array.dtype.kind == 'O' else f' of dtype {array.dtype}'}."
            )
        return np.asarray(array, y_pred.dtype, order="C")

    @property
    def averages(self) -> bool:
        """Whether the loss is a plain mean over the samples of its weighted values."""
        return self.reduction in ("sum_over_batch_size", "mean")

    def reduced(
        self, values: np.ndarray, sample_weight: Any = None, mask: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray | None, float]:
        """Return the loss of these values, the weights w and the scale s that it has: s * sum(w v)."""
        weights, scale = self._weights(values, sample_weight, mask)
        weighted = values if weights is None else values * weights
        return (weighted if self.reduction in ("none", None) else float(weighted.sum()) * scale), weights, scale

    def _predictions(self, y_pred: Any) -> np.ndarray:
        return as_floats(y_pred) if self._dtype is None else np.asarray(y_pred, self._dtype)

    def _weights(self, values: np.ndarray, weights: Any, mask: np.ndarray | None) -> tuple[np.ndarray | None, float]:
        """Return w (broadcastable to the values, or None) and s, so that the loss is s * sum(w v)."""
        if weights is not None:
            weights = self._fitting(values, np.asarray(weights, values.dtype))
        if mask is not None:
            share = np.asarray(mask, values.dtype)
            if self.averages:  # over the samples that count only
                share = share * (share.size / max(int(np.count_nonzero(mask)), 1))
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

    def on_logits(self, activation: str | None, units: int | None = None, dtype: str | None = None) -> "Loss | None":
        """Return the same loss for what enters this last activation, where the two can be merged; else None."""
        return None

    def behind_activation(self, dtype: str | None = None) -> "Loss | None":
        """Return the same loss for what enters a softmax or a sigmoid, where it is a crossentropy; else None."""
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
