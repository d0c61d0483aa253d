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

Called by `layers.pooling`; the references walk windows as those of `conv2d` do.
"""

import numpy as np

from . import twin
from .conv2d import Pair, padded, reach, seen_cells


def _max_forward(y: np.ndarray, x: np.ndarray, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Fill y with the largest cell under each window."""
    outputs = y.shape[1:3]
    frame = padded(x, reach(outputs, pool, strides), padding, fill=-np.inf)
    y[...] = -np.inf
    for _, _, cells in seen_cells(frame, outputs, pool, strides):
        np.maximum(y, cells, out=y)


@twin(_max_forward)
def max_forward(y, x, pool, strides, padding):
    """Do the same in loops."""
    N, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    for n in range(N):
        for p in range(OH):
            for q in range(OW):
                for c in range(C):
                    y[n, p, q, c] = -np.inf
                top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
                for h in range(max(top, 0), min(top + pool[0], H)):
                    for v in range(max(left, 0), min(left + pool[1], W)):
                        for c in range(C):
                            value = x[n, h, v, c]
                            # Only NaN differs from itself; nothing is larger than a NaN once it is in y.
                            wins = (value > y[n, p, q, c]) | (value != value)
                            y[n, p, q, c] = value if wins else y[n, p, q, c]


def _max_backward(
    dx: np.ndarray, dy: np.ndarray, x: np.ndarray, y: np.ndarray, pool: Pair, strides: Pair, padding: Pair
) -> None:
    """Forward was y[p, q] = x at the largest cell of a window, so now dx at that cell += dy[p, q].  Fills dx."""
    outputs = y.shape[1:3]
    size = reach(outputs, pool, strides)
    frame, gradient = padded(x, size, padding, fill=-np.inf), padded(np.zeros_like(dx), size, padding)
    # argmax returns the first of equals, and the first NaN before any number.
    winner = np.stack([cells for _, _, cells in seen_cells(frame, outputs, pool, strides)]).argmax(axis=0)
    for i, j, cells in seen_cells(gradient, outputs, pool, strides):
        cells += np.where(winner == i * pool[1] + j, dy, 0)
    (top, left), (_, H, W, _) = padding, dx.shape
    dx[...] = gradient[:, top : top + H, left : left + W]


@twin(_max_backward)
def max_backward(dx, dy, x, y, pool, strides, padding):
    """Do the same in loops."""
    N, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    taken = np.empty(C, np.bool_)
    for n in range(N):
        dx[n] = 0
        for p in range(OH):
            for q in range(OW):
                taken[:] = False
                top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
                for h in range(max(top, 0), min(top + pool[0], H)):
                    for v in range(max(left, 0), min(left + pool[1], W)):
                        for c in range(C):
                            value = x[n, h, v, c]
                            winner = ((value == y[n, p, q, c]) | (value != value)) & (not taken[c])
                            dx[n, h, v, c] += dy[n, p, q, c] if winner else np.float32(0)
                            taken[c] |= winner


def _average_forward(y: np.ndarray, x: np.ndarray, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Fill y with the mean of the cells under each window, of those inside the image."""
    outputs = y.shape[1:3]
    size = reach(outputs, pool, strides)
    frame, inside = padded(x, size, padding), padded(np.ones_like(x[:1, :, :, :1]), size, padding)
    total, count = np.zeros_like(y), np.zeros_like(y[:1, :, :, :1])
    for (_, _, cells), (_, _, real) in zip(
        seen_cells(frame, outputs, pool, strides), seen_cells(inside, outputs, pool, strides), strict=True
    ):
        total += cells
        count += real
    y[...] = total / count


@twin(_average_forward)
def average_forward(y, x, pool, strides, padding):
    """Do the same in loops."""
    N, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    for n in range(N):
        for p in range(OH):
            for q in range(OW):
                top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
                bottom, right = min(top + pool[0], H), min(left + pool[1], W)
                top, left = max(top, 0), max(left, 0)
                for c in range(C):
                    y[n, p, q, c] = 0
                for h in range(top, bottom):
                    for v in range(left, right):
                        for c in range(C):
                            y[n, p, q, c] += x[n, h, v, c]
                count = np.float32((bottom - top) * (right - left))
                for c in range(C):
                    y[n, p, q, c] /= count


def _average_backward(dx: np.ndarray, dy: np.ndarray, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Forward was y[p, q] = sum of x[h, v] / count, so now dx[h, v] += dy[p, q] / count, window by window.

    Fills dx."""
    outputs = dy.shape[1:3]
    size = reach(outputs, pool, strides)
    frame, inside = padded(np.zeros_like(dx), size, padding), padded(np.ones_like(dx[:1, :, :, :1]), size, padding)
    count = sum(real for _, _, real in seen_cells(inside, outputs, pool, strides))
    for _, _, cells in seen_cells(frame, outputs, pool, strides):
        cells += dy / count
    (top, left), (_, H, W, _) = padding, dx.shape
    dx[...] = frame[:, top : top + H, left : left + W]


@twin(_average_backward)
def average_backward(dx, dy, pool, strides, padding):
    """Do the same in loops."""
    N, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    for n in range(N):
        dx[n] = 0
        for p in range(OH):
            for q in range(OW):
                top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
                bottom, right = min(top + pool[0], H), min(left + pool[1], W)
                top, left = max(top, 0), max(left, 0)
                count = np.float32((bottom - top) * (right - left))
                for h in range(top, bottom):
                    for v in range(left, right):
                        for c in range(C):
                            dx[n, h, v, c] += dy[n, p, q, c] / count
