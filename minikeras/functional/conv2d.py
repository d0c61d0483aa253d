"""Two-dimensional convolution: each cell is a weighted sum of the input cells under a small window.

| name   | shape            | meaning                                                                |
|--------|------------------|------------------------------------------------------------------------|
| x, dx  | (N, H, W, C)     | input: N images of H rows, W columns, C channels; d loss / d x         |
| w, dw  | (KH, KW, C, F)   | kernel: F filters, each a window of KH rows and KW columns; its d      |
| b, db  | (F,)             | bias, one number per filter; its d                                     |
| z, dz  | (N, OH, OW, F)   | feature map: OH rows, OW columns, a channel per filter; d loss / d z   |
| y, dy  | (N, PH, PW, F)   | output: the maximum of each window of the map; d loss / d y            |
| winner | (N, PH, PW, F)   | which of the window's cells it was, by rows; -1 where the rectifier was off |
| strides, padding, dilation | (2,) | cells between windows; zeros before the first row and column; cells |
|        |                  | between a kernel's neighbours (1: none left out)                       |
| pool   | (2,)             | rows and columns of the map's windows, which touch; (1, 1): no pooling |
| outputs | (2,)            | OH and OW                                                              |

Everywhere n counts images, (p, q) cells of the map, (i, j) kernel cells, c channels, f filters, and

    z[n, p, q, f] = b[f] + sum over i, j, c of x[n, h, v, c] * w[i, j, c, f]
    with h = p * strides[0] + i * dilation[0] - padding[0],  v = q * strides[1] + j * dilation[1] - padding[1]

    a = max(z, 0)                   where `rectified`
    y = max of a under each window  (see `pool2d`)

where x counts as zero outside the image.  (Mathematicians call this a cross-correlation.)  The maximum of rectified
numbers is the rectified maximum: rectifier and pooling are part of the function, as machine code then need not write
the map to memory, which is far larger than what goes in and comes out.
"""

import numpy as np

from . import Filters, Images, Pair, Vector, fast, pool2d, reference
from .windows import cropped, padded, reach, seen_cells


@fast(writes="y winner")
def forward(
    y: Images, winner: Images, x: Images, w: Filters, b: Vector,
    strides: Pair, padding: Pair, dilation: Pair, pool: Pair, outputs: Pair, rectified: bool,
) -> None:  # fmt: skip
    """Fill y; and `winner`, where it has elements and something is pooled.

    z[p, q] = b + sum over i, j of x[h, v] @ w[i, j], for all images at once.
    """
    window = w.shape[:2]
    z = np.empty((len(x), *outputs, w.shape[3]), x.dtype)
    z[...] = b
    x = padded(x, reach(outputs, window, strides, dilation), padding)
    for i, j, cells in seen_cells(x, outputs, window, strides, dilation):
        z += cells @ w[i, j]
    a = np.maximum(z, 0) if rectified else z
    reference(pool2d.max_forward)(y, a, pool, pool, (0, 0))
    if winner.size and pool != (1, 1):
        winner[...] = np.argmax([cells for _, _, cells in seen_cells(a, y.shape[1:3], pool, pool)], axis=0)
        if rectified:
            winner[y == 0] = -1


@fast(writes="dw db dx")
def backward(
    dw: Filters, db: Vector, dx: Images, dy: Images, y: Images, winner: Images, x: Images, w: Filters,
    strides: Pair, padding: Pair, dilation: Pair, pool: Pair, outputs: Pair, rectified: bool, add: bool,
) -> None:  # fmt: skip
    """Forward was y = a[winner], so dz is dy in the winner's place, and 0 elsewhere and where the rectifier was off.

    It was z[p, q] = b + sum of x[h, v] @ w[i, j], so over all images and cells

        dw[i, j] = sum of x[h, v].T @ dz[p, q],  db = sum of dz[p, q],  dx as in `input_gradient`

    The weights' gradients are added to dw and db where `add`, else written there; dx is left out where it has no
    elements.  Where nothing was pooled, `winner` is not read, and y says where the rectifier was on.
    """
    dz = np.zeros((len(x), *outputs, w.shape[3]), x.dtype)
    if pool != (1, 1):
        for i, j, cells in seen_cells(dz, dy.shape[1:3], pool, pool):
            cells += np.where(winner == i * pool[1] + j, dy, 0)
    else:
        dz[...] = dy * (y > 0) if rectified else dy
    if dx.size:
        reference(input_gradient)(dx, dz, w, strides, padding, dilation)
    if not add:
        dw[...], db[...] = 0, 0
    window = w.shape[:2]
    x = padded(x, reach(outputs, window, strides, dilation), padding)
    for i, j, cells in seen_cells(x, outputs, window, strides, dilation):
        dw[i, j] += np.tensordot(cells, dz, axes=([0, 1, 2], [0, 1, 2]))
    db += dz.sum(axis=(0, 1, 2))


@fast()
def input_gradient(dx: Images, dz: Images, w: Filters, strides: Pair, padding: Pair, dilation: Pair) -> None:
    """Forward was z[p, q] = b + sum of x[h, v] @ w[i, j], so now dx[h, v] = sum of dz[p, q] @ w[i, j].T.

    The sum is over all windows that saw cell (h, v); what falls on the padding is dropped.
    """
    outputs, window = dz.shape[1:3], w.shape[:2]
    within = padded(np.zeros_like(dx), reach(outputs, window, strides, dilation), padding)
    for i, j, cells in seen_cells(within, outputs, window, strides, dilation):
        cells += dz @ w[i, j].T
    dx[...] = cropped(within, padding, dx.shape)
