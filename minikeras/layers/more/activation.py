"""Activations with options, each as a layer: ReLU, LeakyReLU, PReLU, ELU, Softmax.

The formulas and derivatives are those of `activations`; here they get a name and a config.  Each may also be
given to another layer as its `activation=`.
"""

from typing import Any

import numpy as np

from ... import activations
from ...common.serialization import keras_class
from ..activated import ActivatedLayer
from ..base import Layer
from ..shapes import Shape


class ActivationLayer(ActivatedLayer):
    """A layer that only applies its activation, and so can serve other layers as theirs."""

    def _non_negative(self, argument: str, value: Any) -> float:
        if value is None or value < 0:
            raise ValueError(
                f"{self._owner}: {argument} of a {type(self).__name__} layer cannot be a negative value or None; "
                f"received {value!r}."
            )
        return float(value)


@keras_class("keras.layers")
class ReLU(ActivationLayer):
    """Rectifier: y = min(max(x, 0), max_value), with a slope below the threshold; see `activations.relu`.

    Args:
        max_value: where the output saturates; None for nowhere.
        negative_slope: of the line below the threshold.
        threshold: below it a unit counts as off.
        **options: those of `Layer`.
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **options: Any
    ):
        super().__init__(**options)
        self.max_value = None if max_value is None else self._non_negative("max_value", max_value)
        self.negative_slope = self._non_negative("negative_slope", negative_slope)
        self.threshold = self._non_negative("threshold", threshold)
        self.activation = activations.relu.bind(
            negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )


@keras_class("keras.layers")
class LeakyReLU(ActivationLayer):
    """Rectifier that lets a little through: y = x for x > 0, negative_slope x otherwise.

    Args:
        negative_slope: 0.3 by default (the function `activations.leaky_relu` has 0.2).
        **options: those of `Layer`.
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any):
        super().__init__(**options)
        self.negative_slope = self._non_negative("negative_slope", negative_slope)
        self.activation = activations.leaky_relu.bind(negative_slope=self.negative_slope)


@keras_class("keras.layers")
class ELU(ActivationLayer):
    """Exponential linear unit: y = x for x > 0, alpha (exp(x) - 1) otherwise.

    Args:
        alpha: minus the limit of y for large negative x.
        **options: those of `Layer`.
    """

    def __init__(self, alpha: float = 1.0, **options: Any):
        super().__init__(**options)
        self.alpha = alpha
        self.activation = activations.elu.bind(alpha=alpha)


@keras_class("keras.layers")
class Softmax(ActivationLayer):
    """Scores to probabilities: y_i = exp(x_i) / sum_j exp(x_j).

    Args:
        axis: along which the y sum to 1.
        **options: those of `Layer`.
    """

    def __init__(self, axis: int = -1, **options: Any):
        super().__init__(**options)
        self.axis = axis
        self.activation = activations.softmax if axis == -1 else activations.softmax.bind(axis=axis)


@keras_class("keras.layers")
class PReLU(Layer):
    """Rectifier that learns its slope: y = max(x, 0) + alpha min(x, 0), one alpha for each unit.

    (He et al., "Delving deep into rectifiers", 2015.)

    Args:
        alpha_initializer: of the slopes.
        alpha_regularizer: its penalty on the slopes is added to the loss.
        alpha_constraint: where the slopes are put back to after each step; see `constraints`.
        shared_axes: axes along which units share one slope, such as `[1, 2]` for one slope per channel of an image.
        **options: those of `Layer`.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | list[int] | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self._store_options("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes and list(shared_axes)

    def build(self, input_shape: Shape) -> None:
        """Declare alpha, of the shape of a sample; 1 along the shared axes."""
        shape: list[Any] = [1 if i in (self.shared_axes or ()) else n for i, n in enumerate(input_shape)][1:]
        self.expected_axes = {i: n for i, n in enumerate(shape, 1) if n is not None and n > 1}
        self.alpha = self._declare_weight("alpha", tuple(shape))

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = max(x, 0) + alpha min(x, 0)."""
        return np.maximum(x, 0) + self.alpha.value * np.minimum(x, 0), x

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = max(x, 0) + alpha min(x, 0), so dalpha = sum dy min(x, 0); dx = dy, or alpha dy below 0."""
        x = cache
        dalpha = (dy * np.minimum(x, 0)).sum(axis=0)
        shared = tuple(i - 1 for i in self.shared_axes or ())
        self.alpha.gradient += dalpha.sum(axis=shared, keepdims=True)
        return np.where(x > 0, dy, self.alpha.value * dy)
