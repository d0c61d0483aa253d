"""What convolutions and poolings share: images within a border, and the cells that each cell of a window sees."""

from collections.abc import Iterator

import numpy as np

from . import Pair


def padded(x: np.ndarray, reach: Pair, padding: Pair, fill: float = 0.0) -> np.ndarray:
    """Return a copy of the images with `padding` cells of `fill` before them, and as many after as windows reach."""
    N, H, W, C = x.shape
    top, left = padding
    within = np.full((N, max(reach[0], top + H), max(reach[1], left + W), C), fill, x.dtype)
    within[:, top : top + H, left : left + W] = x
    return within


def cropped(x: np.ndarray, padding: Pair, shape: tuple[int, ...]) -> np.ndarray:
    """Return what lies within the padding: a view of images of that shape."""
    (top, left), (_, H, W, _) = padding, shape
    return x[:, top : top + H, left : left + W]


def reach(outputs: Pair, window: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Return how many padded rows and columns the windows cover, from the first cell of the first to the last."""
    rows, columns = (
        (o - 1) * s + (k - 1) * d + 1 for o, k, s, d in zip(outputs, window, strides, dilation, strict=True)
    )
    return rows, columns


def seen_cells(
    x: np.ndarray, outputs: Pair, window: Pair, strides: Pair, dilation: Pair = (1, 1)
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield, for each window cell (i, j), the padded input cells that lie under it: a view (N, OH, OW, C)."""
    (OH, OW), (sh, sw), (dh, dw) = outputs, strides, dilation
    for i in range(window[0]):
        for j in range(window[1]):
            rows = slice(i * dh, i * dh + (OH - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (OW - 1) * sw + 1, sw)
            yield i, j, x[:, rows, columns]
