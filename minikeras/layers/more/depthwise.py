"""Convolutions that look at each channel by itself: DepthwiseConv2D; and SeparableConv2D, which mixes them afterwards.

A Conv2D of F filters multiplies KH KW C F times per place; a separable one KH KW C M times for the windows, and C M F
times to mix, which is far less.  Models chain them.  The loops are `functional.depthwise2d` and `functional.conv2d`.

Notation: that of `conv`; M windows for each channel; d stands for the derivative of the loss.
"""

from typing import Any, ClassVar

import numpy as np

from ... import activations, functional
from ...common.serialization import keras_class
from ..base import Shape
from ..conv import Convolution
from ..windows import Pair


@keras_class("keras.layers")
class DepthwiseConv2D(Convolution):
    """Each channel is looked at through M windows of its own: y = activation(z).

        z[n,p,q,cM+m] = b[cM+m] + sum over i, j of x[n, p sh + i dh - top, q sw + j dw - left, c] w[i,j,c,m]

    | symbol | shape            | is                            |
    |--------|------------------|-------------------------------|
    | x      | (N, H, W, C)     | the input                     |
    | w      | (KH, KW, C, M)   | `kernel`                      |
    | b      | (C M,)           | `bias`                        |
    | z, y   | (N, OH, OW, C M) | the sum above, and the output |

    Args:
        kernel_size: KH and KW; one integer for both.
        strides: sh and sw, cells from one window to the next.
        padding: `"valid"` or `"same"`, see `Conv2D`.
        depth_multiplier: M.
        data_format: `"channels_last"`.
        dilation_rate: dh and dw, cells from one kernel cell to the next.
        activation: a name or function of `activations`; None for none.
        use_bias: whether b is there.
        depthwise_initializer: of w.
        bias_initializer: of b.
        depthwise_regularizer: its penalty on w is added to the loss.
        bias_regularizer: its penalty on b.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; an input smaller than the kernel.
    """

    only_default: ClassVar[dict[str, Any]] = {
        "activity_regularizer": None,
        "depthwise_constraint": None,
        "bias_constraint": None,
    }

    def __init__(
        self,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.depth_multiplier = self._positive("depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, exclusive=False)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("depthwise", depthwise_initializer, depthwise_regularizer)
        self._store_options("bias", bias_initializer, bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Declare w and b; the number of channels must be known, and the kernel must fit."""
        self.geometry(input_shape)
        channels = self._last_axis(input_shape)
        w_shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._declare_weight("depthwise", w_shape, name="kernel")
        self._declare_bias(channels * self.depth_multiplier)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, OH, OW, C M)."""
        channels = input_shape[-1]
        outputs = None if channels is None else channels * self.depth_multiplier
        return (input_shape[0], *self.geometry(input_shape)[0], outputs)

    def linear(self, x: np.ndarray) -> np.ndarray:
        """Return z, the sum above."""
        z = np.empty(self.compute_output_shape(x.shape), x.dtype)
        depthwise = functional.depthwise2d.forward
        depthwise(z, np.ascontiguousarray(x), self.kernel.value, self._bias_value(z), *self._moves(x))
        return z

    def weight_gradients(self, dz: np.ndarray, x: np.ndarray) -> None:
        """Each weight was used at every place (n,p,q), so its gradient is the sum over them: dw of x dz, db of dz."""
        x, dz = np.ascontiguousarray(x), np.ascontiguousarray(dz)
        functional.depthwise2d.weight_gradient(self.kernel.gradient, x, dz, *self._moves(x))
        self._add_bias_gradient(dz)

    def input_gradient(self, dz: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Each cell of x was seen by several windows, so dx is the sum of dz w over them."""
        dx = np.empty(x.shape, x.dtype)
        functional.depthwise2d.input_gradient(dx, np.ascontiguousarray(dz), self.kernel.value, *self._moves(x))
        return dx


@keras_class("keras.layers")
class SeparableConv2D(Convolution):
    """A depthwise convolution, and a 1x1 convolution that mixes its channels: y = activation((x * w) P + b).

        u[n,p,q,cM+m] = sum over i, j of x[n, p sh + i dh - top, q sw + j dw - left, c] w[i,j,c,m]
        z[n,p,q,f]    = b[f] + sum over k of u[n,p,q,k] P[k,f]

    | symbol | shape            | is                            |
    |--------|------------------|-------------------------------|
    | x      | (N, H, W, C)     | the input                     |
    | w      | (KH, KW, C, M)   | `depthwise_kernel`            |
    | P      | (1, 1, C M, F)   | `pointwise_kernel`            |
    | b      | (F,)             | `bias`                        |
    | z, y   | (N, OH, OW, F)   | the sum above, and the output |

    (Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.)

    Args:
        filters: F.
        kernel_size: KH and KW; one integer for both.
        strides: sh and sw, cells from one window to the next.
        padding: `"valid"` or `"same"`, see `Conv2D`.
        data_format: `"channels_last"`.
        dilation_rate: dh and dw, cells from one kernel cell to the next.
        depth_multiplier: M.
        activation: a name or function of `activations`; None for none.
        use_bias: whether b is there.
        depthwise_initializer, pointwise_initializer, bias_initializer: of w, P and b.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: their penalties are added to the loss.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; an input smaller than the kernel.
    """

    only_default: ClassVar[dict[str, Any]] = {
        "activity_regularizer": None,
        "depthwise_constraint": None,
        "pointwise_constraint": None,
        "bias_constraint": None,
    }

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.filters = self._positive("filters", filters)
        self.depth_multiplier = self._positive("depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, exclusive=False)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("depthwise", depthwise_initializer, depthwise_regularizer)
        self._store_options("pointwise", pointwise_initializer, pointwise_regularizer)
        self._store_options("bias", bias_initializer, bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Declare w, P and b; the number of channels must be known, and the kernel must fit."""
        self.geometry(input_shape)
        channels = self._last_axis(input_shape)
        w_shape = (*self.kernel_size, channels, self.depth_multiplier)
        P_shape = (1, 1, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self._declare_weight("depthwise", w_shape, name="depthwise_kernel")
        self.pointwise_kernel = self._declare_weight("pointwise", P_shape, name="pointwise_kernel")
        self._declare_bias(self.filters)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = activation(u P + b)."""
        z, (_, (x, u), _, _) = self.forward_logits(x)
        y = self.function(z)
        return y, (self.function, (x, u), z, y)

    def forward_logits(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return z, and u in the cache: the gradients need it again."""
        x = np.ascontiguousarray(x)
        (OH, OW), padding = self.geometry(x.shape)
        w, P = self.depthwise_kernel.value, self.pointwise_kernel.value
        u = np.empty((len(x), OH, OW, P.shape[2]), x.dtype)
        functional.depthwise2d.forward(
            u, x, w, np.zeros(P.shape[2], x.dtype), self.strides, padding, self.dilation_rate
        )
        z = np.empty((len(x), OH, OW, self.filters), x.dtype)
        functional.conv2d.forward(z, u, P, self._bias_value(z), (1, 1), (0, 0), (1, 1))
        return z, (activations.linear, (x, u), z, z)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = activation(z), z = u P + b, u = x * w; so dz, then du = dz P^T, then dx."""
        du, (x, _) = self._gradients(dy, cache)
        dx = np.empty(x.shape, x.dtype)
        functional.depthwise2d.input_gradient(dx, du, self.depthwise_kernel.value, *self._moves(x))
        return dx

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self._gradients(dy, cache)

    def _gradients(self, dy: np.ndarray, cache: Any) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Add dP = u^T dz, db = dz and dw = x du, summed over all places; return du, and the pair (x, u)."""
        function, (x, u), z, y = cache
        dz = np.ascontiguousarray(function.gradient(dy, z, y))
        single = (1, 1), (0, 0), (1, 1)  # each place by itself
        functional.conv2d.weight_gradient(self.pointwise_kernel.gradient, u, dz, *single)
        self._add_bias_gradient(dz)
        du = np.empty(u.shape, u.dtype)
        functional.conv2d.input_gradient(du, dz, self.pointwise_kernel.value, *single)
        functional.depthwise2d.weight_gradient(self.depthwise_kernel.gradient, x, du, *self._moves(x))
        return du, (x, u)


SeparableConvolution2D = SeparableConv2D

__all__ = ["DepthwiseConv2D", "SeparableConv2D", "SeparableConvolution2D"]
