"""Depthwise convolution: as `conv2d`, but each channel is seen by filters of its own, and by no others.

| name    | shape             | meaning                                                              |
|---------|-------------------|----------------------------------------------------------------------|
| x, dx   | (N, H, W, C)      | input: N images of H rows, W columns, C channels; d loss / d x       |
| w, dw   | (KH, KW, C, M)    | kernel: M windows of KH rows and KW columns for each channel; its d  |
| b       | (C M,)            | bias, one number per output channel                                  |
| y, dy   | (N, OH, OW, C M)  | output: OH rows, OW columns; d loss / d y                            |
| strides, padding, dilation | (2,) | see `conv2d`                                                   |

With h and v as in `conv2d`, c counting channels and m a channel's windows,

    y[n, p, q, c M + m] = b[c M + m] + sum over i, j of x[n, h, v, c] * w[i, j, c, m]
"""

import numpy as np

from . import Filters, Images, Pair, Vector, fast
from .windows import cropped, padded, reach, seen_cells


@fast()
def forward(y: Images, x: Images, w: Filters, b: Vector, strides: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill y: y[p, q] = b + sum over i, j of x[h, v] w[i, j], channel by channel."""
    outputs, window = y.shape[1:3], w.shape[:2]
    x = padded(x, reach(outputs, window, strides, dilation), padding)
    y[...] = b
    for i, j, cells in seen_cells(x, outputs, window, strides, dilation):
        y += (cells[..., None] * w[i, j]).reshape(y.shape)


@fast()
def weight_gradient(dw: Filters, x: Images, dy: Images, strides: Pair, padding: Pair, dilation: Pair) -> None:
    """Forward was y[p, q] += x[h, v] w[i, j], so now dw[i, j] += x[h, v] dy[p, q], over all images and cells.

    Adds into dw.
    """
    outputs, window = dy.shape[1:3], dw.shape[:2]
    x = padded(x, reach(outputs, window, strides, dilation), padding)
    by_channel = dy.reshape(*dy.shape[:3], *dw.shape[2:])
    for i, j, cells in seen_cells(x, outputs, window, strides, dilation):
        dw[i, j] += (cells[..., None] * by_channel).sum(axis=2).sum(axis=1).sum(axis=0)


@fast()
def input_gradient(dx: Images, dy: Images, w: Filters, strides: Pair, padding: Pair, dilation: Pair) -> None:
    """Forward was y[p, q] += x[h, v] w[i, j], so now dx[h, v] += sum over m of dy[p, q] w[i, j].

    Fills dx; what falls on the padding is dropped.
    """
    outputs, window = dy.shape[1:3], w.shape[:2]
    within = padded(np.zeros_like(dx), reach(outputs, window, strides, dilation), padding)
    by_channel = dy.reshape(*dy.shape[:3], *w.shape[2:])
    for i, j, cells in seen_cells(within, outputs, window, strides, dilation):
        cells += (by_channel * w[i, j]).sum(axis=-1)
    dx[...] = cropped(within, padding, dx.shape)
