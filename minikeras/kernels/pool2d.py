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

The kernels take a register of channels at a time; images are shared out to the team.
"""

import numpy as np

from . import twin
from .conv2d import Pair, padded, reach, seen_cells
from .team import part, share_out, shared
from .vectors import LANES, agree, either, equal, fill, greater, inner, load, missing, store, where

ZERO = np.float32(0)


@inner
def under(p, q, pool, strides, padding, H, W):
    """Return which rows and columns of the image lie under window (p, q): (first row, end), (first column, end)."""
    top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
    return (max(top, 0), min(top + pool[0], H)), (max(left, 0), min(left + pool[1], W))


def _max_forward(y: np.ndarray, x: np.ndarray, pool: Pair, strides: Pair, padding: Pair) -> None:
    """Fill y with the largest cell under each window."""
    outputs = y.shape[1:3]
    frame = padded(x, reach(outputs, pool, strides), padding, fill=-np.inf)
    y[...] = -np.inf
    for _, _, cells in seen_cells(frame, outputs, pool, strides):
        np.maximum(y, cells, out=y)


@twin(_max_forward)
def max_forward(team, y, x, pool, strides, padding):
    """Do the same, window by window."""
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_forward_share, (y, x, pool, strides, padding))


@shared
def _max_forward_share(share, y, x, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, results = x.reshape(x.size), y.reshape(y.size)
    for n in range(*part(share, len(x))):
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                for c in range(0, C, LANES):
                    best = fill(np.float32(-np.inf))
                    for h in range(*rows):
                        for v in range(*columns):
                            value = load(cells, ((n * H + h) * W + v) * C + c, C - c)
                            best = where(either(greater(value, best), missing(value)), value, best)
                    store(results, ((n * OH + p) * OW + q) * C + c, C - c, best)


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
def max_backward(team, dx, dy, x, y, pool, strides, padding):
    """Do the same, window by window."""
    agree(dx.shape == x.shape and dy.shape == y.shape and len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_backward_share, (dx, dy, x, y, pool, strides, padding))


@shared
def _max_backward_share(share, dx, dy, x, y, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, largest = x.reshape(x.size), y.reshape(y.size)
    given, got = dy.reshape(dy.size), dx.reshape(dx.size)
    zero = fill(ZERO)
    for n in range(*part(share, len(x))):
        got[n * H * W * C : (n + 1) * H * W * C] = 0
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                for c in range(0, C, LANES):
                    place = ((n * OH + p) * OW + q) * C + c
                    best, rest = load(largest, place, C - c), load(given, place, C - c)
                    for h in range(*rows):
                        for v in range(*columns):
                            here = ((n * H + h) * W + v) * C + c
                            value = load(cells, here, C - c)
                            wins = either(equal(value, best), missing(value))
                            store(got, here, C - c, load(got, here, C - c) + where(wins, rest, zero))
                            rest = where(wins, zero, rest)  # what is given is gone: the next of equals gets nothing


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
def average_forward(team, y, x, pool, strides, padding):
    """Do the same, window by window."""
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _average_forward_share, (y, x, pool, strides, padding))


@shared
def _average_forward_share(share, y, x, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, results = x.reshape(x.size), y.reshape(y.size)
    for n in range(*part(share, len(x))):
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                for c in range(0, C, LANES):
                    total = fill(ZERO)
                    for h in range(*rows):
                        for v in range(*columns):
                            total = total + load(cells, ((n * H + h) * W + v) * C + c, C - c)
                    store(results, ((n * OH + p) * OW + q) * C + c, C - c, total / count)


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
def average_backward(team, dx, dy, pool, strides, padding):
    """Do the same, window by window."""
    agree(len(dy) == len(dx) and dy.shape[3] == dx.shape[3])
    share_out(team, _average_backward_share, (dx, dy, pool, strides, padding))


@shared
def _average_backward_share(share, dx, dy, pool, strides, padding):
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    given, got = dy.reshape(dy.size), dx.reshape(dx.size)
    for n in range(*part(share, len(dx))):
        got[n * H * W * C : (n + 1) * H * W * C] = 0
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                for c in range(0, C, LANES):
                    d = load(given, ((n * OH + p) * OW + q) * C + c, C - c) / count
                    for h in range(*rows):
                        for v in range(*columns):
                            here = ((n * H + h) * W + v) * C + c
                            store(got, here, C - c, load(got, here, C - c) + d)
