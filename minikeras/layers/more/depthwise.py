"""Convolutions that look at each channel by itself: DepthwiseConv2D; and SeparableConv2D, which mixes them afterwards.

A Conv2D of F filters multiplies KH KW C F times per place; a separable one KH KW C M times for the windows, and C M F
times to mix, which is far less.  Models chain them.  The loops are `functional.depthwise2d` and `functional.conv2d`.

Notation: that of `conv`; M windows for each channel; d stands for the derivative of the loss.
"""

from typing import Any

import numpy as np

from ... import activations, functional
from ...common.serialization import keras_class
from ..conv import Convolution
from ..core import as_matrix
from ..shapes import Shape
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
        depthwise_constraint: where w is put back to after each step; see `constraints`.
        bias_constraint: the same for b.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; an input smaller than the kernel.
    """

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
        *,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.depth_multiplier = self._positive("depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, exclusive=False)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._store_options("bias", bias_initializer, bias_regularizer, bias_constraint)

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

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """Return z, the sum above."""
        x = np.ascontiguousarray(x)
        shape, (*moves, _, _) = self.window(x.shape)
        z = np.empty(shape, x.dtype)
        functional.depthwise2d.forward(z, x, self.kernel.value, self.bias_value(shape[3]), *moves)
        return z, x

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """Each weight was used at every place (n,p,q), so its gradient is the sum over them: dw of x dz, db of dz.

        Each cell of x was seen by several windows, so dx is the sum of dz w over them.
        """
        x, dz = cache, np.ascontiguousarray(dz)
        _, (*moves, _, _) = self.window(x.shape)
        functional.depthwise2d.weight_gradient(self.kernel.gradient, x, dz, *moves)
        self._add_bias_gradient(dz)
        if not wants_dx:
            return None
        dx = np.empty(x.shape, x.dtype)
        functional.depthwise2d.input_gradient(dx, dz, self.kernel.value, *moves)
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
        depthwise_constraint, pointwise_constraint, bias_constraint: where they are put back to after each step.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; an input smaller than the kernel.
    """

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
        *,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.filters = self._positive("filters", filters)
        self.depth_multiplier = self._positive("depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, exclusive=False)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._store_options("pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self._store_options("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        """Declare w, P and b; the number of channels must be known, and the kernel must fit."""
        self.geometry(input_shape)
        channels = self._last_axis(input_shape)
        w_shape = (*self.kernel_size, channels, self.depth_multiplier)
        P_shape = (1, 1, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self._declare_weight("depthwise", w_shape, name="depthwise_kernel")
        self.pointwise_kernel = self._declare_weight("pointwise", P_shape, name="pointwise_kernel")
        self._declare_bias(self.filters)

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """Return z, and in the cache u, which the gradients need again."""
        x = np.ascontiguousarray(x)
        shape, (*moves, _, _) = self.window(x.shape)
        w, P = self.depthwise_kernel.value, self.pointwise_kernel.value
        u, z = np.empty((*shape[:3], P.shape[2]), x.dtype), np.empty(shape, x.dtype)
        functional.depthwise2d.forward(u, x, w, np.zeros(P.shape[2], x.dtype), *moves)
        functional.dense.forward(as_matrix(z), as_matrix(u), P[0, 0], self.bias_value(self.filters), rectified)
        return z, (x, u)

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """Forward was z = u P + b, u = x * w; so dP = u^T dz, db = dz, du = dz P^T, and then dw and dx of u = x * w."""
        (x, u), dz = cache, np.ascontiguousarray(dz)
        _, (*moves, _, _) = self.window(x.shape)
        P = self.pointwise_kernel
        dP, db, add = self.gradients_to_write(P)
        du = np.empty(u.shape, u.dtype)
        rows = as_matrix(dz)
        functional.dense.backward(
            dP[0, 0], db, as_matrix(du), rows, rows, as_matrix(u), P.value[0, 0], rectified is not None, add
        )
        functional.depthwise2d.weight_gradient(self.depthwise_kernel.gradient, x, du, *moves)
        if not wants_dx:
            return None
        dx = np.empty(x.shape, x.dtype)
        functional.depthwise2d.input_gradient(dx, du, self.depthwise_kernel.value, *moves)
        return dx


SeparableConvolution2D = SeparableConv2D

__all__ = ["DepthwiseConv2D", "SeparableConv2D", "SeparableConvolution2D"]
