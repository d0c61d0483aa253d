"""Conv2D, which slides a learned window over images, and what it shares with the other convolutions.

Models chain them; `depthwise` and `transposed` hold the other convolutions.
The loops are `functional.conv2d`; the sizes come from `windows`.

Notation: N images of H rows, W columns and C channels; a kernel of KH rows, KW columns and F filters; the output
has OH rows and OW columns; d stands for the derivative of the loss.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from .. import activations, config, functional
from ..common.serialization import keras_class
from .activated import ActivatedLayer
from .base import Layer
from .shapes import Shape
from .windows import Geometry, Pair, image_geometry, padding_mode, pair


class Convolution(ActivatedLayer):
    """What all convolutions share: the window and where it goes, a bias, an activation."""

    ndim = 4
    only_default: ClassVar[dict[str, Any]] = {"activity_regularizer": None}
    filters: int
    use_bias: bool
    _last_window: tuple[Any, Any, Any] = (None, None, None)

    def _set_window(
        self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any, exclusive: bool = True
    ) -> None:
        """Store how the window lies and moves; `exclusive` where strides and dilation can't both be above 1."""
        owner = self._owner
        self.kernel_size = pair(kernel_size, "kernel_size", owner)
        self.strides = pair(strides, "strides", owner)
        self.padding = padding_mode(padding, owner)
        self.data_format = config.check_data_format(data_format, owner)
        self.dilation_rate = pair(dilation_rate, "dilation_rate", owner)
        if exclusive and max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: strides > 1 and dilation_rate > 1 exclude each other, received strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}."
            )

    def geometry(self, shape: Shape) -> tuple[Any, Pair]:
        """Return (OH, OW), and how many zeros stand before the first row and column, for a shape of the input."""
        return image_geometry(
            tuple(shape), self.kernel_size, self.strides, self.padding, self.dilation_rate, self._owner, "kernel_size"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, OH, OW, F)."""
        return (input_shape[0], *self.geometry(input_shape)[0], self.filters)

    def window(self, shape: tuple[int, ...], pool: Pair = (1, 1)) -> tuple[tuple[int, ...], Geometry]:
        """Return the output's shape for that of a batch, and how the window goes over it, as `functional` asks for it.

        That is: strides, zeros before the first row and column, dilation, the pooling afterwards, and (OH, OW).
        """
        known, output, geometry = self._last_window
        if known != (shape, pool):
            (OH, OW), padding = self.geometry(shape)
            output = (shape[0], OH // pool[0], OW // pool[1], self.compute_output_shape(shape)[3])
            geometry = (self.strides, padding, self.dilation_rate, pool, (OH, OW))
            self._last_window = (shape, pool), output, geometry
        return output, geometry

    def _declare_bias(self, size: int) -> None:
        if self.use_bias:
            self.bias = self._declare_weight("bias", (size,))

    def _add_bias_gradient(self, dz: np.ndarray) -> None:
        if self.bias is not None:
            # Axis by axis: short sums of sums lose fewer digits than one long sum.
            self.bias.gradient += dz.sum(axis=2).sum(axis=1).sum(axis=0)


@keras_class("keras.layers")
class Conv2D(Convolution):
    """Every filter looks at every place of the image through the same small window: y = activation(x * w + b).

        z[n,p,q,f] = b[f] + sum over i, j, c of x[n, p sh + i dh - top, q sw + j dw - left, c] w[i,j,c,f]

    | symbol | shape          | is                            |
    |--------|----------------|-------------------------------|
    | x      | (N, H, W, C)   | the input                     |
    | w      | (KH, KW, C, F) | `kernel`                      |
    | b      | (F,)           | `bias`                        |
    | z, y   | (N, OH, OW, F) | the sum above, and the output |

    Args:
        filters: F.
        kernel_size: KH and KW; one integer for both.
        strides: sh and sw, cells from one window to the next.
        padding: `"valid"`: windows stay inside the image; `"same"`: zeros around it, so that with strides of 1
            OH = H and OW = W.
        data_format: `"channels_last"`.
        dilation_rate: dh and dw, cells from one kernel cell to the next.
        groups: into how many stretches of equal length the channels and the filters are cut; a filter sees only the
            channels of its own stretch, so that w has the shape (KH, KW, C / groups, F).
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
        ValueError: an impossible value; strides and dilation both above 1; an input smaller than the kernel;
            channels or filters that can't be cut into that many groups.
    """

    rectifies = True
    not_in_config: ClassVar[dict[str, Any]] = {**Layer.not_in_config, "lora_rank": None, "lora_alpha": None}

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Pair = (1, 1),
        groups: int = 1,
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
        self.groups = self._positive("groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{self._owner}: `filters` is a multiple of `groups`, received filters={filters} and groups={groups}."
            )
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_options("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        """Declare w and b; the number of channels must be known, and the kernel must fit."""
        self.geometry(input_shape)
        channels = self._last_axis(input_shape)
        if channels % self.groups:
            raise ValueError(f"{self._owner}: {channels} channels can't be cut into groups={self.groups}.")
        self.kernel = self._declare_weight("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self._declare_bias(self.filters)

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """Return z, the sum above."""
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        shape, geometry = self.window(x.shape)
        z, w, b = np.empty(shape, x.dtype), self.kernel.value, self.bias_value(self.filters)
        winner = np.empty((0, 0, 0, 0), x.dtype)  # of the pooling, which isn't there
        if self.groups == 1:
            functional.conv2d.forward(z, winner, x, w, b, *geometry, rectified)
            return z, x
        for c, f in self._stretches():
            functional.conv2d.forward(z[..., f], winner, x[..., c], w[..., f], b[f], *geometry, rectified)
        return z, x

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """Each weight was used at every place (n,p,q), so its gradient is the sum over them: dw of x dz, db of dz.

        Each cell of x was seen by several windows, so dx is the sum of dz w over them.
        """
        x, dz = cache, np.ascontiguousarray(dz)
        y = dz if rectified is None else rectified
        _, geometry = self.window(x.shape)
        dw, db, add = self.gradients_to_write(self.kernel)
        dx = np.empty(x.shape if wants_dx else (0, *x.shape[1:]), x.dtype)
        w, winner, options = self.kernel.value, np.empty((0, 0, 0, 0), x.dtype), (*geometry, rectified is not None, add)
        if self.groups == 1:
            functional.conv2d.backward(dw, db, dx, dz, y, winner, x, w, *options)
            return dx if wants_dx else None
        for c, f in self._stretches():
            functional.conv2d.backward(
                dw[..., f], db[f], dx[..., c], dz[..., f], y[..., f], winner, x[..., c], w[..., f], *options
            )
        return dx if wants_dx else None

    def _stretches(self) -> Iterator[tuple[slice, slice]]:
        """Yield which channels of x each group sees, and which filters are its own."""
        channels = self.kernel.shape[2]
        filters = self.filters // self.groups
        for g in range(self.groups):
            yield slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters)


Convolution2D = Conv2D


__all__ = ["Conv2D", "Convolution2D"]
