"""Layers that move, repeat or pass on numbers: Permute, RepeatVector, UpSampling2D, Identity.

Flatten and Reshape stand in `core`; `cropping` puts zeros around images, or cuts.

Notation: N images of H rows, W columns and C channels; d stands for the derivative of the loss.
"""

from typing import Any

import numpy as np

from ... import config
from ...common.names import did_you_mean
from ...common.serialization import keras_class
from ..base import Layer
from ..shapes import Shape
from ..windows import Pair, pair


@keras_class("keras.layers")
class Permute(Layer):
    """Change the order of the axes: with dims (2, 1), y[n, j, i] = x[n, i, j].

    Args:
        dims: for each axis of y the axis of x that it was, counted from 1; the batch's stays.
        **options: those of `Layer`.

    Raises:
        ValueError: not a permutation of 1, ..., n.
    """

    has_build_config = True

    def __init__(self, dims: tuple[int, ...], **options: Any):
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self._owner}: Invalid permutation argument `dims`: it holds each of 1, ..., n once, received {dims}."
            )
        self.ndim = len(self.dims) + 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, a, b, ...) -> (N, and the others in the new order)."""
        return (input_shape[0], *(input_shape[d] for d in self.dims))

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        return np.ascontiguousarray(x.transpose(0, *self.dims)), None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward moved axis dims[i] to i, so now axis i goes back to dims[i]."""
        return np.ascontiguousarray(dy.transpose(np.argsort((0, *self.dims))))


@keras_class("keras.layers")
class RepeatVector(Layer):
    """The same vector n times: (N, C) -> (N, n, C).

    Args:
        n: how often.
        **options: those of `Layer`.

    Raises:
        TypeError: `n` is no integer.
        ValueError: `n` is not positive.
    """

    ndim = 2
    has_build_config = True

    def __init__(self, n: int, **options: Any):
        super().__init__(**options)
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"{self._owner}: `n` is an integer, received {n!r}.")
        if n <= 0:
            raise ValueError(f"{self._owner}: `n` should be a positive integer, received {n!r}.")
        self.n = int(n)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y[:, i] = x for each i."""
        return np.repeat(x[:, None], self.n, axis=1), None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward used x n times, so dx is the sum over them."""
        return dy.sum(axis=1)


@keras_class("keras.layers")
class UpSampling2D(Layer):
    """Larger images: (N, H, W, C) -> (N, H sh, W sw, C).

    `"nearest"` repeats each cell.  `"bilinear"` draws a line between the centres of neighbouring cells: output row p
    lies at u = (p + 1/2) / sh - 1/2 of the input, and with f = floor(u)

        y[p] = (1 - (u - f)) x[f] + (u - f) x[f + 1]       indices below 0 or above H - 1 mean the row at the edge

    and likewise for columns.

    Args:
        size: sh and sw; one integer for both.
        data_format: `"channels_last"`.
        interpolation: `"nearest"` or `"bilinear"`.
        **options: those of `Layer`.

    Raises:
        ValueError: an impossible size, or another interpolation.
    """

    uses_blas = True
    ndim = 4
    has_build_config = True

    def __init__(
        self,
        size: int | Pair = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Any,
    ):
        super().__init__(**options)
        self.size = pair(size, "size", self._owner)
        self.data_format = config.check_data_format(data_format, self._owner)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"{self._owner}: `interpolation` is 'nearest' or 'bilinear' here, received {interpolation!r}. "
                f"{did_you_mean(interpolation, ('nearest', 'bilinear'))}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        rows, columns = (None if n is None else n * s for n, s in zip((H, W), self.size, strict=True))
        return (N, rows, columns, C)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y repeats cells, or mixes neighbouring ones: y = R x S^T for each channel, R and S from `mixing`."""
        if self.interpolation == "nearest":
            return x.repeat(self.size[0], axis=1).repeat(self.size[1], axis=2), x.shape
        R, S = (mixing(n, s, x.dtype) for n, s in zip(x.shape[1:3], self.size, strict=True))
        return _mixed(x, R, S), x.shape

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward used a cell at several places, so dx is the sum over them; of mixed ones dx = R^T dy S."""
        N, H, W, C = cache
        if self.interpolation == "nearest":
            return dy.reshape(N, H, self.size[0], W, self.size[1], C).sum(axis=4).sum(axis=2)
        R, S = (mixing(n, s, dy.dtype) for n, s in zip((H, W), self.size, strict=True))
        return _mixed(dy, R.T, S.T)


def mixing(n: int, s: int, dtype: Any) -> np.ndarray:
    """Return the matrix (n s, n) whose row p holds what output cell p takes from each of n input cells."""
    p = np.arange(n * s)
    u = (p + 0.5) / s - 0.5
    f = np.floor(u).astype(int)
    matrix = np.zeros((n * s, n), dtype)
    np.add.at(matrix, (p, f.clip(0)), 1 - (u - f))
    np.add.at(matrix, (p, (f + 1).clip(max=n - 1)), u - f)
    return matrix


def _mixed(x: np.ndarray, R: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Return R x S^T for each image and channel."""
    N, H, W, C = x.shape
    rows = (R @ x.reshape(N, H, W * C)).reshape(N * len(R), W, C)
    return (S @ rows).reshape(N, len(R), len(S), C)


@keras_class("keras.layers")
class Identity(Layer):
    """y = x: a place that is named, or kept free.

    Args:
        **options: those of `Layer`.
    """

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        return x, None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x, so dx = dy."""
        return dy
