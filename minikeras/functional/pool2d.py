"""Pooling: each output cell is the largest, or the mean, of the input cells under a window, channel by channel.

| name    | shape            | meaning                                                          |
|---------|------------------|------------------------------------------------------------------|
| x, dx   | (N, H, W, C)     | input: N images of H rows, W columns, C channels; d loss / d x   |
| y, dy   | (N, OH, OW, C)   | output: OH rows and OW columns; d loss / d y                     |
| pool    | (2,)             | rows and columns of the window                                   |
| strides, padding | (2,)    | cells between windows; cells before the first row and column     |

Everywhere n counts images, (p, q) output cells, (i, j) window cells, c channels; (i, j) lies over the input cell

    h = p * strides[0] + i - padding[0],  v = q * strides[1] + j - padding[1]

    maximum:  y[n, p, q, c] = max  over i, j of x[n, h, v, c]
    average:  y[n, p, q, c] = mean over i, j of x[n, h, v, c]

Cells outside the image are left out: they neither win nor count in the mean (as in TensorFlow).  Every window must
hold at least one cell of the image, as those of "valid" and "same" do.  Of equal largest cells the first one, row by
row, gets the whole gradient (as in TensorFlow, measured on CPU).  A NaN wins, so that it is seen and not lost.
"""

import numpy as np

from . import Images, Pair, fast
from .windows import cropped, padded, reach, seen_cells


@fast()
def max_forward(y: Images, x: Images, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Fill y with the largest cell under each window."""
    outputs = y.shape[1:3]
    x = padded(x, reach(outputs, pool, strides), padding, fill=-np.inf)
    y[...] = -np.inf
    for _, _, cells in seen_cells(x, outputs, pool, strides):
        np.maximum(y, cells, out=y)


@fast()
def max_backward(dx: Images, dy: Images, x: Images, y: Images, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Forward was y[p, q] = x at the largest cell of a window, so now dx at that cell += dy[p, q].  Fills dx."""
    outputs = y.shape[1:3]
    size = reach(outputs, pool, strides)
    x, within = padded(x, size, padding, fill=-np.inf), padded(np.zeros_like(dx), size, padding)
    # argmax returns the first of equals, and the first NaN before any number.
    winner = np.stack([cells for _, _, cells in seen_cells(x, outputs, pool, strides)]).argmax(axis=0)
    for i, j, cells in seen_cells(within, outputs, pool, strides):
        cells += np.where(winner == i * pool[1] + j, dy, 0)
    dx[...] = cropped(within, padding, dx.shape)


@fast()
def average_forward(y: Images, x: Images, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Fill y with the mean of the cells under each window, of those inside the image."""
    outputs = y.shape[1:3]
    total = np.zeros_like(y)
    for _, _, cells in seen_cells(padded(x, reach(outputs, pool, strides), padding), outputs, pool, strides):
        total += cells
    y[...] = total / _count(x, outputs, pool, strides, padding)


@fast()
def average_backward(dx: Images, dy: Images, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Forward was y[p, q] = sum of x[h, v] / count, so now dx[h, v] = sum of dy[p, q] / count.

    The sum is over all windows that saw cell (h, v).
    """
    outputs = dy.shape[1:3]
    within = padded(np.zeros_like(dx), reach(outputs, pool, strides), padding)
    count = _count(dx, outputs, pool, strides, padding)
    for _, _, cells in seen_cells(within, outputs, pool, strides):
        cells += dy / count
    dx[...] = cropped(within, padding, dx.shape)


def _count(x: np.ndarray, outputs: Pair, pool: Pair, strides: Pair, padding: Pair) -> np.ndarray:
    """Return how many cells of the image lie under each window."""
    inside = padded(np.ones_like(x[:1, :, :, :1]), reach(outputs, pool, strides), padding)
    count = np.zeros((1, *outputs, 1), x.dtype)
    for _, _, cells in seen_cells(inside, outputs, pool, strides):
        count += cells
    return count
