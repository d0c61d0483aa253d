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

from . import twin
from .team import part, share_out, shared
from .vectors import LANES, agree, exp, fill, greater, inner, inside, largest, load, multiplied, store, total, where

ZERO, INFINITY = np.float32(0), np.float32(np.inf)
WORK = 20  # for each number: about as many multiplications


def _softmax(p: np.ndarray, z: np.ndarray) -> None:
    """Fill p."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p[...] = e / e.sum(axis=1, keepdims=True)


@twin(_softmax)
def softmax(team, p, z):
    """Do the same in registers."""
    agree(p.shape == z.shape)
    share_out(team, _softmax_share, (p, z), WORK * p.size)


@shared
def _softmax_share(share, p, z):
    C, probabilities, scores = z.shape[1], p.reshape(p.size), z.reshape(z.size)
    for n in range(*part(share, len(z))):
        _probabilities(probabilities, scores, n * C, C)


@inner
def _probabilities(p, z, start, C):
    """Fill p for the sample that begins at `start`; return the largest score, and the sum of the exponentials."""
    most = fill(-INFINITY)
    for c in range(0, C, LANES):
        scores = inside(C - c, load(z, start + c, C - c), most)
        most = where(greater(scores, most), scores, most)
    top = largest(most)
    sums = fill(ZERO)
    for c in range(0, C, LANES):
        e = inside(C - c, exp(load(z, start + c, C - c) - fill(top)), fill(ZERO))
        store(p, start + c, C - c, e)
        sums = sums + e
    sum_of_all = total(sums)
    for c in range(0, C, LANES):
        store(p, start + c, C - c, load(p, start + c, C - c) / fill(sum_of_all))
    return top, sum_of_all


def _softmax_gradient(dz: np.ndarray, dp: np.ndarray, p: np.ndarray) -> None:
    """Fill dz: since dp_i / dz_j = p_i ([i = j] - p_j), dz = p (dp - sum of dp p)."""
    dz[...] = p * (dp - (dp * p).sum(axis=1, keepdims=True))


@twin(_softmax_gradient)
def softmax_gradient(team, dz, dp, p):
    """Do the same in registers."""
    agree(dz.shape == dp.shape == p.shape)
    share_out(team, _softmax_gradient_share, (dz, dp, p), WORK * p.size)


@shared
def _softmax_gradient_share(share, dz, dp, p):
    C, result, gradients, probabilities = p.shape[1], dz.reshape(dz.size), dp.reshape(dp.size), p.reshape(p.size)
    for n in range(*part(share, len(p))):
        sums = fill(ZERO)
        for c in range(0, C, LANES):
            sums = multiplied(load(gradients, n * C + c, C - c), load(probabilities, n * C + c, C - c), sums)
        mean = fill(total(sums))
        for c in range(0, C, LANES):
            i, left = n * C + c, C - c
            store(result, i, left, load(probabilities, i, left) * (load(gradients, i, left) - mean))


def _softmax_crossentropy(values: np.ndarray, p: np.ndarray, dz: np.ndarray, z: np.ndarray, t: np.ndarray) -> float:
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


@twin(_softmax_crossentropy, writes="values p dz", t="int64")
def softmax_crossentropy(team, values, p, dz, z, t):
    """Do the same in registers."""
    agree(p.shape == dz.shape == z.shape and len(z) == values.size == t.size)
    share_out(team, _softmax_crossentropy_share, (values, p, dz, z, t), WORK * p.size)
    sum_of_values = 0.0
    for value in values:
        sum_of_values += value
    return sum_of_values / max(len(values), 1)


@shared
def _softmax_crossentropy_share(share, values, p, dz, z, t):
    (N, C), probabilities, gradients, scores = z.shape, p.reshape(p.size), dz.reshape(dz.size), z.reshape(z.size)
    scale = np.float32(1 / N)
    for n in range(*part(share, len(z))):
        top, sum_of_all = _probabilities(probabilities, scores, n * C, C)
        if 0 <= t[n] < C:
            for c in range(0, C, LANES):
                store(gradients, n * C + c, C - c, fill(scale) * load(probabilities, n * C + c, C - c))
            dz[n, t[n]] -= scale
            values[n] = np.log(sum_of_all) + top - z[n, t[n]]
        else:
            dz[n] = np.nan
            values[n] = np.nan
