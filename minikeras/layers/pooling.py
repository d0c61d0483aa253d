"""Layers that keep one number of many: the maximum or the mean, of small windows or of whole images.

Models chain them.  The loops over windows are `functional.pool2d`; the sizes come from `windows`.

Notation: N images of H rows, W columns and C channels; the output has OH rows and OW columns; d stands for the
derivative of the loss.  Each channel is pooled by itself.
"""

from typing import Any

import numpy as np

from .. import config, functional
from ..common.serialization import keras_class
from .base import Layer
from .shapes import Shape
from .windows import Pair, image_geometry, padding_mode, pair


class Pooling2D(Layer):
    """What MaxPooling2D and AveragePooling2D share: (N, H, W, C) -> (N, OH, OW, C).

    Args:
        pool_size: rows and columns of the window; one integer for both.
        strides: cells from one window to the next; None for `pool_size`, so that windows touch.
        padding: `"valid"`: windows stay inside the image; `"same"`: they may hang over its edges, where there is
            nothing to pool.
        data_format: `"channels_last"`.
        name: see `Layer`.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible value; an input smaller than the window.
    """

    ndim = 4

    def __init__(
        self,
        pool_size: int | Pair = (2, 2),
        strides: int | Pair | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.pool_size = pair(pool_size, "pool_size", self._owner)
        self.strides = self.pool_size if strides is None else pair(strides, "strides", self._owner)
        self.padding = padding_mode(padding, self._owner)
        self.data_format = config.check_data_format(data_format, self._owner)

    def _geometry(self, shape: Shape) -> tuple[Any, Pair]:
        return image_geometry(
            tuple(shape), self.pool_size, self.strides, self.padding, (1, 1), self._owner, "pool_size"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, OH, OW, C)."""
        return (input_shape[0], *self._geometry(input_shape)[0], input_shape[3])


@keras_class("keras.layers")
class MaxPooling2D(Pooling2D):
    """The largest number of each window: y[n,p,q,c] = max of x[n,:,:,c] under window (p, q).

    Arguments: see `Pooling2D`.
    """

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y is the largest x of each window."""
        x = np.ascontiguousarray(x)
        (OH, OW), padding = self._geometry(x.shape)
        y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
        functional.pool2d.max_forward(y, x, self.pool_size, self.strides, padding)
        return y, (x, y, padding)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = one x of the window, so that x gets dy; the first of equals, as in TensorFlow."""
        x, y, padding = cache
        self.check_gradient(dy, y.shape)
        dx = np.empty_like(x)
        functional.pool2d.max_backward(dx, np.ascontiguousarray(dy), x, y, self.pool_size, self.strides, padding)
        return dx


@keras_class("keras.layers")
class AveragePooling2D(Pooling2D):
    """The mean of each window: y[n,p,q,c] = mean of x[n,:,:,c] under window (p, q), of cells inside the image.

    Arguments: see `Pooling2D`.
    """

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y is the mean x of each window."""
        x = np.ascontiguousarray(x)
        (OH, OW), padding = self._geometry(x.shape)
        y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
        functional.pool2d.average_forward(y, x, self.pool_size, self.strides, padding)
        return y, (x.shape, padding)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = sum of x / count over the window, so each x of it gets dy / count."""
        shape, padding = cache
        self.check_gradient(dy, (shape[0], *self._geometry(shape)[0], shape[3]))
        dx = np.empty(shape, dy.dtype)
        functional.pool2d.average_backward(dx, np.ascontiguousarray(dy), self.pool_size, self.strides, padding)
        return dx


class GlobalPooling2D(Layer):
    """What the global poolings share: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with `keepdims`.

    Args:
        data_format: `"channels_last"`.
        keepdims: whether the axes of rows and columns stay, with size 1.
        **options: those of `Layer`.
    """

    ndim = 4

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Any):
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format, self._owner)
        self.keepdims = keepdims

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, C), or (N, 1, 1, C)."""
        N, _, _, C = input_shape
        return (N, 1, 1, C) if self.keepdims else (N, C)


@keras_class("keras.layers")
class GlobalAveragePooling2D(GlobalPooling2D):
    """The mean of each channel over the whole image: y[n,c] = mean over h, w of x[n,h,w,c].

    Arguments: see `GlobalPooling2D`.  (Lin et al., "Network in network", 2013.)
    """

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = (sum over h, w of x) / (H W)."""
        return x.mean(axis=(1, 2), keepdims=self.keepdims), x.shape

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = sum of x / (H W), so every cell gets dx = dy / (H W)."""
        N, H, W, C = cache
        dx = np.empty(cache, dy.dtype)
        dx[...] = dy.reshape(N, 1, 1, C) / (H * W)
        return dx


@keras_class("keras.layers")
class GlobalMaxPooling2D(GlobalPooling2D):
    """The largest number of each channel in the whole image: y[n,c] = max over h, w of x[n,h,w,c].

    Arguments: see `GlobalPooling2D`.
    """

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = max over h, w of x."""
        return x.max(axis=(1, 2), keepdims=self.keepdims), x

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = max of x, so the largest x gets dy; equals share it evenly, as in TensorFlow's reduce_max."""
        x, (N, _, _, C) = cache, cache.shape
        largest = (x == x.max(axis=(1, 2), keepdims=True)).astype(x.dtype)
        with np.errstate(invalid="ignore"):  # an image with a NaN has no largest: 0 / 0, and dx is NaN
            return largest / largest.sum(axis=(1, 2), keepdims=True) * dy.reshape(N, 1, 1, C)


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D

__all__ = [
    "AveragePooling2D",
    "AvgPool2D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "MaxPool2D",
    "MaxPooling2D",
]
