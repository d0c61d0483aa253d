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
from .base import ActivatedLayer, Layer, Shape
from .windows import Pair, image_geometry, padding_mode, pair


class Convolution(ActivatedLayer):
    """What all convolutions share: the window and where it goes, a bias, an activation."""

    ndim = 4
    only_default: ClassVar[dict[str, Any]] = {
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    }
    filters: int
    use_bias: bool
    bias: Any = None

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

    def geometry(self, shape: Shape) -> tuple[tuple[int | None, int | None], Pair]:
        """Return (OH, OW), and how many zeros stand before the first row and column, for a shape of the input."""
        return image_geometry(
            tuple(shape), self.kernel_size, self.strides, self.padding, self.dilation_rate, self._owner, "kernel_size"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, OH, OW, F)."""
        return (input_shape[0], *self.geometry(input_shape)[0], self.filters)

    def _moves(self, x: np.ndarray) -> tuple[Pair, Pair, Pair]:
        """Return how the window goes over x, as the kernels ask for it: strides, zeros before x, dilation."""
        return self.strides, self.geometry(x.shape)[1], self.dilation_rate

    def _declare_bias(self, size: int) -> None:
        if self.use_bias:
            self.bias = self._declare_weight("bias", (size,))

    def _bias_value(self, z: np.ndarray) -> np.ndarray:
        return np.zeros(z.shape[-1], z.dtype) if self.bias is None else self.bias.value

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
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; strides and dilation both above 1; an input smaller than the kernel;
            channels or filters that can't be cut into that many groups.
    """

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
        self._store_options("kernel", kernel_initializer, kernel_regularizer)
        self._store_options("bias", bias_initializer, bias_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Declare w and b; the number of channels must be known, and the kernel must fit."""
        self.geometry(input_shape)
        channels = self._last_axis(input_shape)
        if channels % self.groups:
            raise ValueError(f"{self._owner}: {channels} channels can't be cut into groups={self.groups}.")
        self.kernel = self._declare_weight("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self._declare_bias(self.filters)

    def linear(self, x: np.ndarray) -> np.ndarray:
        """Return z, the sum above."""
        (OH, OW), padding = self.geometry(x.shape)
        z = np.empty((len(x), OH, OW, self.filters), x.dtype)
        parts = []
        for z_g, x_g, w_g, b_g in self._groups(z, x, self.kernel.value, self._bias_value(z)):
            functional.conv2d.forward(z_g, x_g, w_g, b_g, self.strides, padding, self.dilation_rate)
            parts.append(z_g)
        return _joined(parts)

    def weight_gradients(self, dz: np.ndarray, x: np.ndarray) -> None:
        """Each weight was used at every place (n,p,q), so its gradient is the sum over them: dw of x dz, db of dz."""
        moves = self._moves(x)
        parts = []
        for dw_g, x_g, dz_g in self._groups(self.kernel.gradient, x, dz):
            functional.conv2d.weight_gradient(dw_g, x_g, dz_g, *moves)
            parts.append(dw_g)
        if self.groups > 1:  # those were copies
            self.kernel.gradient[...] = _joined(parts)
        self._add_bias_gradient(dz)

    def input_gradient(self, dz: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Each cell of x was seen by several windows, so dx is the sum of dz w over them."""
        moves = self._moves(x)
        parts = []
        for dx_g, dz_g, w_g in self._groups(np.empty(x.shape, x.dtype), dz, self.kernel.value):
            functional.conv2d.input_gradient(dx_g, dz_g, w_g, *moves)
            parts.append(dx_g)
        return _joined(parts)

    def _groups(self, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield what each group sees of some arrays: a stretch of their last axis; of one group the arrays themselves.

        The kernel has filters there, x has channels.
        """
        if self.groups == 1:
            yield tuple(map(np.ascontiguousarray, arrays))
            return
        for stretches in zip(*(np.split(a, self.groups, axis=-1) for a in arrays), strict=True):
            yield tuple(map(np.ascontiguousarray, stretches))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


Convolution2D = Conv2D


__all__ = ["Conv2D", "Convolution2D"]
