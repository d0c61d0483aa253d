"""A classifier's end: probabilities, their crossentropy with the true classes, and its gradient, in one pass.

| name     | shape  | meaning                                                       |
|----------|--------|---------------------------------------------------------------|
| z, dz    | (N, C) | scores of C classes for N samples; d loss / d z               |
| p        | (N, C) | probabilities                                                 |
| t        | (N,)   | the true classes, integers in [0, C)                          |
| values   | (N,)   | the losses, whose mean is the loss of the batch               |

    p[n, c] = exp(z[n, c]) / sum over k of exp(z[n, k])            softmax
    values[n] = log(sum over k of exp(z[n, k])) - z[n, t[n]]       crossentropy: -log p[n, t[n]]
    dz[n, c] = (p[n, c] - [c = t[n]]) / N                          as d log(sum exp z) / d z[c] = p[c]

The largest score of a sample is taken out of the exponents first, so that nothing overflows.  A class outside [0, C)
gives NaN.
"""

import numpy as np

from . import Matrix, Vector, fast


@fast(writes="values p dz", t="int64")
def softmax_crossentropy(values: Vector, p: Matrix, dz: Matrix, z: Matrix, t: Vector) -> float:
    """Fill values, p and dz; return the mean of the values."""
    N, C = z.shape
    known = (t >= 0) & (t < C)
    rows, t = np.arange(N), np.where(known, t, 0)
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    total = e.sum(axis=1, keepdims=True)
    p[...] = e / total
    dz[...] = p
    dz[rows, t] -= 1
    dz /= max(N, 1)
    values[...] = (np.log(total) + top)[:, 0] - z[rows, t]
    values[~known], dz[~known] = np.nan, np.nan
    return float(values.sum(dtype=np.float64)) / max(N, 1)
