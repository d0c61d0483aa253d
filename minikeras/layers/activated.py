"""Layers that end with an activation, as Dense and the convolutions do: y = activation(z), z = linear(x)."""

from typing import Any, ClassVar

import numpy as np

from .. import activations, functional
from ..common.differentiable import Differentiable
from ..variables import Variable, to_write
from .base import Layer


class ActivatedLayer(Layer):
    """A layer whose last act is an activation: y = activation(z), z = linear(x).

    A derived class has an `activation`; where it has weights too, it writes `linear`, and for its derivative
    `gradients`; dz stands for d loss / d z.
    """

    lends: ClassVar[dict[str, int]] = {**Layer.lends, "forward_logits": 1, "linear": 1, "gradients": 1}

    #: Whether `linear` applies a rectifier where it is told so, and `gradients` its derivative: each while it has the
    #: numbers at hand, so that they need not be read once more.
    rectifies: ClassVar[bool] = False

    activation: Any
    bias: Variable | None = None

    @property
    def function(self) -> Differentiable:
        """The activation as a function, also where a layer was given as `activation=`, or None was set later."""
        if type(self.activation) is Differentiable:  # looking in vain for an attribute takes long
            return self.activation
        return getattr(self.activation, "activation", self.activation) or activations.linear

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """Return z, or max(z, 0) where `rectified`, and what `gradients` will need; z is x unless there are weights."""
        return x, None

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """Write the weights' gradients or add to them, and return d loss / d x where that is wanted.

        Args:
            dz: d loss / d z; or d loss / d y, where y is `rectified`.
            cache: what `linear` returned.
            rectified: y = max(z, 0), where `linear` was told so.
            wants_dx: whether anybody needs d loss / d x.
        """
        return dz

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """Return y = activation(linear(x))."""
        function = self.function
        if self.rectifies and function is activations.relu:
            y, cache = self.linear(x, True)
            return y, (None, None, y, cache)
        z, cache = self.linear(x, False)
        y = z if function is activations.linear else _applied(function, z)
        return y, (function, z, y, cache)

    def forward_logits(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return z = linear(x): for a loss that is computed from what enters the activation.

        `backward` then takes d loss / d z, as its cache says that no activation was applied.
        """
        z, cache = self.linear(x, False)
        return z, (activations.linear, z, z, cache)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = activation(z), z = linear(x); so dz = dy * activation'(z), then the gradients of `linear`."""
        return self._backward(dy, cache, True)

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self._backward(dy, cache, False)

    def _backward(self, dy: np.ndarray, cache: Any, wants_dx: bool) -> Any:
        function, z, y, cache = cache
        self.check_gradient(dy, y.shape)
        if function is None:
            return self.gradients(dy, cache, y, wants_dx)
        dz = dy if function is activations.linear else function.gradient(dy, z, y)
        return self.gradients(dz, cache, None, wants_dx)

    def bias_value(self, size: int) -> np.ndarray:
        """Return b, zeros for a layer without."""
        return np.zeros(size, self.dtype) if self.bias is None else self.bias.value

    def gradients_to_write(self, kernel: Variable) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return the arrays for dw and db, and whether to add to them; for a layer without b, one that nobody reads."""
        if self.bias is None:
            (dw,), add = to_write(kernel)
            return dw, np.zeros(kernel.shape[-1], self.dtype), add
        (dw, db), add = to_write(kernel, self.bias)
        return dw, db, add


def _applied(function: Any, z: np.ndarray) -> np.ndarray:
    """Return function(z); the usual softmax without the detour through what users may call it with."""
    if function is not activations.softmax or z.ndim != 2 or z.shape[1] == 1:
        return function(z)
    y = np.empty(z.shape, z.dtype)
    functional.activations.softmax(y, z)
    return y
