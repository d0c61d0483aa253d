"""Dense layers: every output sums every input.

| name  | shape  | meaning                                                  |
|-------|--------|----------------------------------------------------------|
| x, dx | (N, I) | N samples of I inputs; d loss / d x                      |
| w, dw | (I, O) | the weight of each input for each of O outputs; its d    |
| b, db | (O,)   | bias, one number per output; its d                       |
| z, dz | (N, O) | the sums; d loss / d z                                   |
| y, dy | (N, O) | z, or max(z, 0) where `rectified`; d loss / d y          |

    z[n, o] = b[o] + sum over i of x[n, i] w[i, o]

A rectifier after the sums is part of the function: so its result is written once.
"""

import numpy as np

from . import Matrix, Vector, fast


@fast()
def forward(y: Matrix, x: Matrix, w: Matrix, b: Vector, rectified: bool) -> None:
    """y = x w + b, or max(x w + b, 0) where `rectified`."""
    np.matmul(x, w, out=y)
    y += b
    if rectified:
        np.maximum(y, 0, out=y)


@fast(writes="dw db dx")
def backward(
    dw: Matrix, db: Vector, dx: Matrix, dy: Matrix, y: Matrix, x: Matrix, w: Matrix, rectified: bool, add: bool
) -> None:
    """Forward was z[n, o] = b[o] + sum of x[n, i] w[i, o], so now

        dw[i, o] = sum over n of x[n, i] dz[n, o]
        db[o]    = sum over n of dz[n, o]
        dx[n, i] = sum over o of dz[n, o] w[i, o]

    with dz = dy where y > 0, and 0 elsewhere, if `rectified`.  The weights' gradients are added to dw and db where
    `add`, else written there; dx is left out where it has no elements.
    """
    dz = dy * (y > 0) if rectified else dy
    if not add:
        dw[...], db[...] = 0, 0
    dw += x.T @ dz
    db += dz.sum(axis=0)
    if dx.size:
        np.matmul(dz, w.T, out=dx)
