"""Dense layers: every output sums every input.

| name  | shape  | meaning                                                  |
|-------|--------|----------------------------------------------------------|
| x, dx | (N, I) | N samples of I inputs; d loss / d x                      |
| w, dw | (I, O) | the weight of each input for each of O outputs; its d    |
| b, db | (O,)   | bias, one number per output; its d                       |
| z, dz | (N, O) | output; d loss / d z                                     |

    z[n, o] = b[o] + sum over i of x[n, i] w[i, o]

A dense layer is a convolution over images of one pixel, so `products` does the work here too.  Rows of its table are
shared out to the team in whole tiles.  Called by `layers.core` and `fusion`; calls `products` and `team`.
"""

import numpy as np

from . import twin
from .products import NO_FLOOR, TILE_COLUMNS, grid, product
from .team import part, share_out, shared
from .vectors import TILE_ROWS

ZERO = np.float32(0)


def _forward(z: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray, rectified: bool) -> None:
    """z = x w + b, or max(x w + b, 0) where `rectified`."""
    np.matmul(x, w, out=z)
    z += b
    if rectified:
        np.maximum(z, 0, out=z)


@twin(_forward)
def forward(team, z, x, w, b, rectified):
    """Do the same, tile by tile."""
    share_out(team, _forward_share, (z, x, w, b, ZERO if rectified else NO_FLOOR))


@shared
def _forward_share(share, z, x, w, b, floor):
    (N, I), O = x.shape, w.shape[1]
    heights, widths = (N + TILE_ROWS - 1) // TILE_ROWS, (O + TILE_COLUMNS - 1) // TILE_COLUMNS
    first, last = part(share, heights * widths)
    to, at = grid(N, O, 1, 0), grid(N, I, 1, 0)
    while first < last:  # from here to the lower end of this column of tiles, or of the share
        top, column = first % heights, first // heights
        bottom = min(heights, top + last - first)
        n, o = top * TILE_ROWS, column * TILE_COLUMNS
        size = min(N, bottom * TILE_ROWS) - n, min(O, o + TILE_COLUMNS) - o
        product(
            (z.reshape(z.size), n * O + o), to, (b, o), False, (x.reshape(x.size), n * I), at, (0, 0, 1),
            (w.reshape(w.size), o), (0, 0, O), (1, 1, I), floor, size,
        )  # fmt: skip
        first += bottom - top


def _weight_gradient(dw: np.ndarray, x: np.ndarray, dz: np.ndarray) -> None:
    """Forward was z[n, o] = sum of x[n, i] w[i, o], so now dw[i, o] += sum over n of x[n, i] dz[n, o].

    (The bias was added to every sample: db is the sum of dz over n.)
    """
    dw += x.T @ dz


@twin(_weight_gradient)
def weight_gradient(team, dw, x, dz):
    """Do the same, tile by tile."""
    share_out(team, weight_gradient_share, (dw, x, dz, True))


@shared
def weight_gradient_share(share, dw, x, dz, add):
    """Do a share of the rows; they overwrite dw unless `add`."""
    (N, I), O = x.shape, dz.shape[1]
    tiles = (I + TILE_ROWS - 1) // TILE_ROWS
    first, last = part(share, tiles)
    i = first * TILE_ROWS
    rows = min(I, last * TILE_ROWS) - i
    product(
        (dw.reshape(dw.size), i * O), grid(rows, O, 1, 0), (np.zeros(O, dw.dtype), 0), add,
        (x.reshape(x.size), i), grid(rows, 1, 1, 0), (0, 0, I), (dz.reshape(dz.size), 0), (0, 0, O), (1, 1, N),
        NO_FLOOR, (rows, O),
    )  # fmt: skip


def _input_gradient(dx: np.ndarray, dz: np.ndarray, w: np.ndarray) -> None:
    """Forward was z[n, o] = sum of x[n, i] w[i, o], so now dx[n, i] = sum over o of dz[n, o] w[i, o]."""
    np.matmul(dz, w.T, out=dx)


@twin(_input_gradient)
def input_gradient(team, dx, dz, w):
    """Do the same, tile by tile."""
    share_out(team, input_gradient_share, (dx, w, np.ascontiguousarray(dz.T)))


@shared
def input_gradient_share(share, dx, w, dzt):
    """Do a share of the inputs: rows of w times dz^T give rows of dx^T, which are turned on the way to dx."""
    (N, I), O = dx.shape, w.shape[1]
    tiles = (I + TILE_ROWS - 1) // TILE_ROWS
    turned, zeros = np.empty(TILE_ROWS * N, dx.dtype), np.zeros(N, dx.dtype)
    to, at = grid(TILE_ROWS, N, 1, 0), grid(TILE_ROWS, O, 1, 0)
    for tile in range(*part(share, tiles)):
        i = tile * TILE_ROWS
        rows = min(TILE_ROWS, I - i)
        product(
            (turned, 0), to, (zeros, 0), False, (w.reshape(w.size), i * O), at, (0, 0, 1),
            (dzt.reshape(dzt.size), 0), (0, 0, N), (1, 1, O), NO_FLOOR, (rows, N),
        )  # fmt: skip
        for n in range(N):
            for row in range(rows):
                dx[n, i + row] = turned[row * N + n]


def _backward(
    dw: np.ndarray, db: np.ndarray, dx: np.ndarray, dy: np.ndarray, y: np.ndarray, x: np.ndarray, w: np.ndarray,
    rectified: bool, add: bool,
) -> None:  # fmt: skip
    """All three gradients, of y = max(z, 0) where `rectified`: then dz is dy where y > 0, and 0 elsewhere.

    The weights' are added to dw and db where `add`, else written there; dx is left out where it has no elements.
    """
    dz = dy * (y > 0) if rectified else dy
    if not add:
        dw[...], db[...] = 0, 0
    _weight_gradient(dw, x, dz)
    db += dz.sum(axis=0)
    if dx.size:
        _input_gradient(dx, dz, w)


@twin(_backward)
def backward(team, dw, db, dx, dy, y, x, w, rectified, add):
    """Do the same, with the shares of the separate kernels."""
    N, O = dy.shape
    dz, dzt = np.empty_like(dy), np.empty((O, N), dy.dtype)
    if not add:
        db[:] = 0
    for n in range(N):
        for o in range(O):
            d = dy[n, o] if (not rectified) | (y[n, o] > 0) else ZERO
            dz[n, o] = d
            db[o] += d
    share_out(team, weight_gradient_share, (dw, x, dz, add))
    if dx.size:
        for n in range(N):
            for o in range(O):
                dzt[o, n] = dz[n, o]
        share_out(team, input_gradient_share, (dx, w, dzt))
