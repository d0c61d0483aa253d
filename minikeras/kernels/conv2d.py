"""Two-dimensional convolution: each output cell is a weighted sum of the input cells under a small window.

| name    | shape            | meaning                                                               |
|---------|------------------|-----------------------------------------------------------------------|
| x, dx   | (N, H, W, C)     | input: N images of H rows, W columns, C channels; d loss / d x        |
| w, dw   | (KH, KW, C, F)   | kernel: F filters, each a window of KH rows and KW columns; its d     |
| b       | (F,)             | bias, one number per filter                                           |
| y, dy   | (N, OH, OW, F)   | output: OH rows, OW columns, a channel per filter; d loss / d y       |
| strides, padding, dilation | (2,) | cells between windows; zeros before the first row and column; cells |
|         |                  | between a kernel's neighbours (1: none left out)                      |

Everywhere n counts images, (p, q) output cells, (i, j) kernel cells, c channels, f filters, and

    y[n, p, q, f] = b[f] + sum over i, j, c of x[n, h, v, c] * w[i, j, c, f]
    with h = p * strides[0] + i * dilation[0] - padding[0],  v = q * strides[1] + j * dilation[1] - padding[1]

where x counts as zero outside the image.  (Mathematicians call this a cross-correlation.)

Called by `layers.conv`; calls nobody but, for the references, NumPy.  All loops run single-threaded and add
in one fixed order, so that equal inputs give equal bits.  Four terms are added at a time: the innermost loop,
over neighbours in memory, then reads and writes its sums once per four products, and the compiler can turn it
into vector instructions.
"""

from collections.abc import Iterator

import numpy as np

from . import twin

Pair = tuple[int, int]


def padded(x: np.ndarray, reach: Pair, padding: Pair, fill: float = 0.0) -> np.ndarray:
    """Return a copy of the images with `padding` cells of `fill` before them, and as many after as windows reach."""
    N, H, W, C = x.shape
    top, left = padding
    frame = np.full((N, max(reach[0], top + H), max(reach[1], left + W), C), fill, x.dtype)
    frame[:, top : top + H, left : left + W] = x
    return frame


def reach(outputs: Pair, window: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Return how many padded rows and columns the windows cover, from the first cell of the first to the last."""
    rows, columns = (
        (o - 1) * s + (k - 1) * d + 1 for o, k, s, d in zip(outputs, window, strides, dilation, strict=True)
    )
    return rows, columns


def seen_cells(
    frame: np.ndarray, outputs: Pair, window: Pair, strides: Pair, dilation: Pair = (1, 1)
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield, for each window cell (i, j), the padded input cells that lie under it: a view (N, OH, OW, C)."""
    (OH, OW), (sh, sw), (dh, dw) = outputs, strides, dilation
    for i in range(window[0]):
        for j in range(window[1]):
            rows = slice(i * dh, i * dh + (OH - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (OW - 1) * sw + 1, sw)
            yield i, j, frame[:, rows, columns]


def _forward(
    y: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray, strides: Pair, padding: Pair, dilation: Pair
) -> None:
    """Fill y: y[p, q] = b + sum over i, j of x[h, v] @ w[i, j], for all images at once."""
    outputs, window = y.shape[1:3], w.shape[:2]
    frame = padded(x, reach(outputs, window, strides, dilation), padding)
    y[...] = b
    for i, j, cells in seen_cells(frame, outputs, window, strides, dilation):
        y += cells @ w[i, j]


@twin(_forward)
def forward(y, x, w, b, strides, padding, dilation):
    """Do the same in loops."""
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    _, OH, OW, _ = y.shape
    for n in range(N):
        for p in range(OH):
            for q in range(OW):
                for f in range(F):
                    y[n, p, q, f] = b[f]
            for i in range(KH):
                h = p * strides[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= H:
                    continue  # zeros
                for j in range(KW):
                    shift = j * dilation[1] - padding[1]
                    # The q whose column v = q * stride + shift lies in the image: 0 <= v <= W - 1.
                    first, last = max(0, -(shift // strides[1])), min(OW, (W - 1 - shift) // strides[1] + 1)
                    for c in range(0, C - 3, 4):
                        for q in range(first, last):
                            v = q * strides[1] + shift
                            x0, x1, x2, x3 = x[n, h, v, c], x[n, h, v, c + 1], x[n, h, v, c + 2], x[n, h, v, c + 3]
                            for f in range(F):
                                y[n, p, q, f] += (x0 * w[i, j, c, f] + x1 * w[i, j, c + 1, f]) + (
                                    x2 * w[i, j, c + 2, f] + x3 * w[i, j, c + 3, f]
                                )
                    for c in range(C - C % 4, C):
                        for q in range(first, last):
                            x0 = x[n, h, q * strides[1] + shift, c]
                            for f in range(F):
                                y[n, p, q, f] += x0 * w[i, j, c, f]


def _weight_gradient(
    dw: np.ndarray, x: np.ndarray, dy: np.ndarray, strides: Pair, padding: Pair, dilation: Pair
) -> None:
    """Forward was y[p, q] += x[h, v] @ w[i, j], so now dw[i, j] += x[h, v].T @ dy[p, q], over all images and cells.

    Adds into dw.  (The bias stood alone: its gradient is the sum of dy over images and cells.)
    """
    outputs, window = dy.shape[1:3], dw.shape[:2]
    frame = padded(x, reach(outputs, window, strides, dilation), padding)
    for i, j, cells in seen_cells(frame, outputs, window, strides, dilation):
        dw[i, j] += np.tensordot(cells, dy, axes=([0, 1, 2], [0, 1, 2]))


@twin(_weight_gradient)
def weight_gradient(dw, x, dy, strides, padding, dilation):
    """Do the same in loops."""
    N, H, W, C = x.shape
    KH, KW, _, F = dw.shape
    _, OH, OW, _ = dy.shape
    stride = strides[1]
    for n in range(N):
        for i in range(KH):
            for j in range(KW):
                shift = j * dilation[1] - padding[1]
                first, last = max(0, -(shift // stride)), min(OW, (W - 1 - shift) // stride + 1)
                fours = max(0, last - first) // 4 * 4
                for p in range(OH):
                    h = p * strides[0] + i * dilation[0] - padding[0]
                    if h < 0 or h >= H:
                        continue
                    for q in range(first, first + fours, 4):
                        v = q * stride + shift
                        for c in range(C):
                            x0, x1 = x[n, h, v, c], x[n, h, v + stride, c]
                            x2, x3 = x[n, h, v + 2 * stride, c], x[n, h, v + 3 * stride, c]
                            for f in range(F):
                                dw[i, j, c, f] += (x0 * dy[n, p, q, f] + x1 * dy[n, p, q + 1, f]) + (
                                    x2 * dy[n, p, q + 2, f] + x3 * dy[n, p, q + 3, f]
                                )
                    for q in range(first + fours, last):
                        for c in range(C):
                            x0 = x[n, h, q * stride + shift, c]
                            for f in range(F):
                                dw[i, j, c, f] += x0 * dy[n, p, q, f]


def _input_gradient(
    dx: np.ndarray, dy: np.ndarray, w: np.ndarray, strides: Pair, padding: Pair, dilation: Pair
) -> None:
    """Forward was y[p, q] += x[h, v] @ w[i, j], so now dx[h, v] += dy[p, q] @ w[i, j].T, from each window over (h, v).

    Fills dx; what falls on the padding is dropped.
    """
    outputs, window = dy.shape[1:3], w.shape[:2]
    frame = padded(np.zeros_like(dx), reach(outputs, window, strides, dilation), padding)
    for i, j, cells in seen_cells(frame, outputs, window, strides, dilation):
        cells += dy @ w[i, j].T
    (top, left), (_, H, W, _) = padding, dx.shape
    dx[...] = frame[:, top : top + H, left : left + W]


@twin(_input_gradient)
def input_gradient(dx, dy, w, strides, padding, dilation):
    """Do the same in loops."""
    N, H, W, C = dx.shape
    KH, KW, _, F = w.shape
    _, OH, OW, _ = dy.shape
    # The innermost loop now runs over c, so c has to become the axis of neighbours.
    wt = np.empty((KH, KW, F, C), w.dtype)
    for i in range(KH):
        for j in range(KW):
            for c in range(C):
                for f in range(F):
                    wt[i, j, f, c] = w[i, j, c, f]
    for n in range(N):
        dx[n] = 0
        for p in range(OH):
            for i in range(KH):
                h = p * strides[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= H:
                    continue
                for j in range(KW):
                    shift = j * dilation[1] - padding[1]
                    first, last = max(0, -(shift // strides[1])), min(OW, (W - 1 - shift) // strides[1] + 1)
                    for f in range(0, F - 3, 4):
                        for q in range(first, last):
                            v = q * strides[1] + shift
                            d0, d1, d2, d3 = dy[n, p, q, f], dy[n, p, q, f + 1], dy[n, p, q, f + 2], dy[n, p, q, f + 3]
                            for c in range(C):
                                dx[n, h, v, c] += (d0 * wt[i, j, f, c] + d1 * wt[i, j, f + 1, c]) + (
                                    d2 * wt[i, j, f + 2, c] + d3 * wt[i, j, f + 3, c]
                                )
                    for f in range(F - F % 4, F):
                        for q in range(first, last):
                            d0 = dy[n, p, q, f]
                            for c in range(C):
                                dx[n, h, q * strides[1] + shift, c] += d0 * wt[i, j, f, c]
