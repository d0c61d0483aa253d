"""Layers that put a frame around images or cut it off: ZeroPadding2D, Cropping2D; backwards, each is the other.

Notation: N images of H rows, W columns and C channels; d stands for the derivative of the loss.
"""

from typing import Any

import numpy as np

from ... import config
from ...common.serialization import keras_class
from ..base import Layer
from ..shapes import Shape
from ..windows import Pair, pair

Sides = tuple[Pair, Pair]  # ((top, bottom), (left, right))


class Frame(Layer):
    """What the two share: the width of the frame at each side."""

    ndim = 4
    has_build_config = True

    def _sides(self, argument: str, value: Any) -> Sides:
        """Return ((top, bottom), (left, right)), however it was written."""
        sides = value if isinstance(value, (tuple, list)) else (value, value)
        if len(sides) != 2:
            raise ValueError(
                f"{self._owner}: `{argument}` is an integer, (rows, columns) or ((top, bottom), (left, right)), "
                f"received {value!r}."
            )
        rows, columns = (pair(side, argument, self._owner, at_least=0) for side in sides)
        return rows, columns


def framed(x: np.ndarray, sides: Sides) -> np.ndarray:
    """Return images in a frame of zeros."""
    return np.pad(x, ((0, 0), *sides, (0, 0)))


def unframed(x: np.ndarray, sides: Sides) -> np.ndarray:
    """Return images without their frame."""
    (top, bottom), (left, right) = sides
    return np.ascontiguousarray(x[:, top : x.shape[1] - bottom, left : x.shape[2] - right])


@keras_class("keras.layers")
class ZeroPadding2D(Frame):
    """Put a frame of zeros around each image: (N, H, W, C) -> (N, top + H + bottom, left + W + right, C).

    Args:
        padding: one integer for all four sides; (rows, columns) for both of each; or ((top, bottom), (left, right)).
        data_format: `"channels_last"`.
        **options: those of `Layer`.

    Raises:
        ValueError: another form, or a negative number.
    """

    def __init__(self, padding: int | Pair | Sides = (1, 1), data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.padding = self._sides("padding", padding)
        self.data_format = config.check_data_format(data_format, self._owner)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        rows, columns = (None if n is None else n + sum(p) for n, p in zip((H, W), self.padding, strict=True))
        return (N, rows, columns, C)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y is x where x stands, and zero around it."""
        return framed(x, self.padding), None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x in a frame of zeros, so dx is dy without the frame."""
        return unframed(dy, self.padding)


@keras_class("keras.layers")
class Cropping2D(Frame):
    """Cut a frame off each image: (N, H, W, C) -> (N, H - top - bottom, W - left - right, C).

    Args:
        cropping: as `padding` of `ZeroPadding2D`.
        data_format: `"channels_last"`.
        **options: those of `Layer`.

    Raises:
        ValueError: another form, a negative number, or a frame that leaves nothing.
    """

    def __init__(self, cropping: int | Pair | Sides = ((0, 0), (0, 0)), data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.cropping = self._sides("cropping", cropping)
        self.data_format = config.check_data_format(data_format, self._owner)

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        self.compute_output_shape(shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        rows, columns = (None if n is None else n - sum(c) for n, c in zip((H, W), self.cropping, strict=True))
        if any(n is not None and n < 1 for n in (rows, columns)):
            raise ValueError(
                "Values in `cropping` argument should be smaller than the corresponding spatial dimension of the "
                f"input. {self._owner}: cropping={self.cropping} leaves nothing of shape {tuple(input_shape)}."
            )
        return (N, rows, columns, C)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y is x without the frame."""
        return unframed(x, self.cropping), None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward dropped the frame, so dx is dy in a frame of zeros."""
        return framed(dy, self.cropping)
