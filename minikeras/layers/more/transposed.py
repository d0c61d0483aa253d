"""Conv2DTranspose: a convolution run backwards, from small images to larger ones.

What Conv2D does to a gradient on its way back, this layer does to its input: so each of its three loops is one of
`functional.conv2d`, in another role.  Models chain it.
"""

from typing import Any

import numpy as np

from ... import activations, functional
from ...common.serialization import keras_class
from ...variables import to_write
from ..conv import Convolution
from ..shapes import Shape
from ..windows import Pair, pair, window_geometry


@keras_class("keras.layers")
class Conv2DTranspose(Convolution):
    """Every input cell paints its window onto the output: y = activation(z).

        z[n, p sh + i dh - top, q sw + j dw - left, f] = b[f] + sum over such p, q, i, j, and c of x[n,p,q,c] w[i,j,f,c]

    | symbol | shape            | is                                                                  |
    |--------|------------------|---------------------------------------------------------------------|
    | x      | (N, H, W, C)     | the input                                                           |
    | w      | (KH, KW, F, C)   | `kernel`: of a convolution that takes y to x                        |
    | b      | (F,)             | `bias`                                                              |
    | z, y   | (N, OH, OW, F)   | the sum above, and the output                                       |

    With KH' = (KH - 1) dh + 1, OH is (H - 1) sh + max(KH', sh) for `"valid"`, and H sh for `"same"`; where
    `output_padding` is given, (H - 1) sh + KH' + it, or for `"same"` (H - 1) sh + KH' mod 2 + it.

    Args:
        filters: F.
        kernel_size: KH and KW; one integer for both.
        strides: sh and sw, cells of the output from one window to the next.
        padding: `"valid"`: the whole of every window is kept; `"same"`: what hangs over the edges is dropped.
        output_padding: rows and columns more, less than the strides; None for the sizes above.
        data_format: `"channels_last"`.
        dilation_rate: dh and dw, cells from one kernel cell to the next.
        activation: a name or function of `activations`; None for none.
        use_bias: whether b is there.
        kernel_initializer: of w.
        bias_initializer: of b.
        kernel_regularizer: its penalty on w is added to the loss.
        bias_regularizer: its penalty on b.
        kernel_constraint: where w is put back to after each step; see `constraints`.
        bias_constraint: the same for b.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; strides and dilation both above 1; an `output_padding` that gives a size
            which the convolution would not take back to that of the input.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        output_padding: int | Pair | None = None,
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        *,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.filters = self._positive("filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = pair(output_padding, "output_padding", self._owner, at_least=0)
            if any(more >= s for more, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{self._owner}: `output_padding` is less than `strides`, received "
                    f"output_padding={self.output_padding} and strides={self.strides}."
                )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_options("bias", bias_initializer, bias_regularizer, bias_constraint)

    def _output_size(self, n: int | None, axis: int) -> int | None:
        if n is None:
            return None
        s, span = self.strides[axis], (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1
        more = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return (n - 1) * s + (max(span, s) if more is None else span + more)
        return n * s if more is None else (n - 1) * s + span % 2 + more

    def geometry(self, shape: Shape) -> tuple[Any, Pair]:
        """Return (OH, OW), and how many rows and columns of the windows hang over the top and the left."""
        sizes, before = [], []
        for axis, n in enumerate(shape[1:3]):
            size = self._output_size(n, axis)
            windows, zeros = (
                (n, 0)
                if size is None
                else window_geometry(
                    size, self.kernel_size[axis], self.strides[axis], self.padding, self.dilation_rate[axis]
                )
            )
            if windows != n:
                raise ValueError(
                    f"{self._owner}: an output of {size} {('rows', 'columns')[axis]} is not what a convolution with "
                    f"strides={self.strides} takes to the {n} of the input, of shape {tuple(shape)}. Use another "
                    f"output_padding than {self.output_padding}, or None."
                )
            sizes.append(size)
            before.append(zeros)
        return tuple(sizes), (before[0], before[1])

    def build(self, input_shape: Shape) -> None:
        """Declare w and b; the number of channels must be known."""
        self.geometry(input_shape)
        self.kernel = self._declare_weight("kernel", (*self.kernel_size, self.filters, self._last_axis(input_shape)))
        self._declare_bias(self.filters)

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """Return z: what the input gradient of a convolution would be if x were its output's."""
        x = np.ascontiguousarray(x)
        shape, (*moves, _, _) = self.window(x.shape)
        z = np.empty(shape, x.dtype)
        functional.conv2d.input_gradient(z, x, self.kernel.value, *moves)
        if self.bias is not None:
            z += self.bias.value
        return z, x

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """Forward was a convolution backwards, so now it runs forwards, from dz to dx = dz * w.

        In that convolution each weight meets the same pairs of cells, so dw is its weight gradient.
        """
        x, dz = cache, np.ascontiguousarray(dz)
        _, (strides, padding, dilation, pool, _) = self.window(x.shape)
        geometry = (strides, padding, dilation, pool, (x.shape[1], x.shape[2]))
        w, no_pooling = self.kernel.value, np.empty((0, 0, 0, 0), x.dtype)
        (dw,), add = to_write(self.kernel)
        nobody, none = np.zeros(x.shape[3], x.dtype), np.empty((0, *dz.shape[1:]), x.dtype)
        functional.conv2d.backward(dw, nobody, none, x, x, no_pooling, dz, w, *geometry, False, add)
        self._add_bias_gradient(dz)
        if not wants_dx:
            return None
        dx = np.empty(x.shape, x.dtype)
        functional.conv2d.forward(dx, no_pooling, dz, w, np.zeros_like(nobody), *geometry, False)
        return dx


Convolution2DTranspose = Conv2DTranspose

__all__ = ["Conv2DTranspose", "Convolution2DTranspose"]
