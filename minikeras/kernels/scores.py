"""A classifier's end: probabilities, their crossentropy with the true classes, and its gradient, in one pass.

| name     | shape  | meaning                                                       |
|----------|--------|---------------------------------------------------------------|
| z, dz    | (N, C) | scores of C classes for N samples; d loss / d z, per sample   |
| p        | (N, C) | probabilities                                                 |
| t        | (N,)   | the true classes, integers in [0, C)                          |
| values   | (N,)   | the losses                                                    |

    p[n, c] = exp(z[n, c]) / sum over k of exp(z[n, k])            softmax
    values[n] = log(sum over k of exp(z[n, k])) - z[n, t[n]]       crossentropy: -log p[n, t[n]]
    dz[n, c] = p[n, c] - [c = t[n]]                                as d log(sum exp z) / d z[c] = p[c]

The largest score of a sample is taken out of the exponents first, so that nothing overflows.  A class outside [0, C)
gives NaN.  Called by `fusion`; calls `team` and `vectors`.
"""

import numpy as np

from . import twin
from .team import part, share_out, shared
from .vectors import inner


def _softmax(p: np.ndarray, z: np.ndarray) -> None:
    """Fill p."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p[...] = e / e.sum(axis=1, keepdims=True)


@twin(_softmax)
def softmax(team, *arguments):
    """Do the same in loops."""
    share_out(team, _softmax_share, arguments)


@shared
def _softmax_share(share, p, z):
    for n in range(*part(share, len(z))):
        _probabilities(p[n], z[n])


@inner
def _probabilities(p, z):
    """Fill p for one sample; return the largest score, and the sum of the exponentials of what is below it."""
    top = z[0]
    for c in range(z.size):
        if z[c] > top or z[c] != z[c]:
            top = z[c]
    total = np.float32(0)
    for c in range(z.size):
        p[c] = np.exp(z[c] - top)
        total += p[c]
    for c in range(z.size):
        p[c] /= total
    return top, total


def _softmax_crossentropy(values: np.ndarray, p: np.ndarray, dz: np.ndarray, z: np.ndarray, t: np.ndarray) -> None:
    """Fill values, p and dz."""
    C = z.shape[1]
    known = (t >= 0) & (t < C)
    rows, t = np.arange(len(z)), np.where(known, t, 0)
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    total = e.sum(axis=1, keepdims=True)
    p[...] = e / total
    dz[...] = p
    dz[rows, t] -= 1
    values[...] = (np.log(total) + top)[:, 0] - z[rows, t]
    values[~known], dz[~known] = np.nan, np.nan


@twin(_softmax_crossentropy)
def softmax_crossentropy(team, *arguments):
    """Do the same in loops."""
    share_out(team, _softmax_crossentropy_share, arguments)


@shared
def _softmax_crossentropy_share(share, values, p, dz, z, t):
    for n in range(*part(share, len(z))):
        top, total = _probabilities(p[n], z[n])
        if 0 <= t[n] < z.shape[1]:
            for c in range(z.shape[1]):
                dz[n, c] = p[n, c]
            dz[n, t[n]] -= np.float32(1)
            values[n] = np.log(total) + top - z[n, t[n]]
        else:
            dz[n] = np.nan
            values[n] = np.nan
