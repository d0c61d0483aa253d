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
gives NaN.  Called by `fusion`; calls `team`.
"""

import numpy as np

from . import twin
from .team import part, share_out, shared


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
    C = z.shape[1]
    for n in range(*part(share, len(z))):
        score, probability, d, true = z[n], p[n], dz[n], t[n]
        top = score[0]
        for c in range(C):
            if score[c] > top or score[c] != score[c]:
                top = score[c]
        total = np.float32(0)
        for c in range(C):
            e = np.exp(score[c] - top)
            probability[c] = e
            total += e
        for c in range(C):
            probability[c] /= total
            d[c] = probability[c]
        if 0 <= true < C:
            d[true] -= np.float32(1)
            values[n] = np.log(total) + top - score[true]
        else:
            d[:] = np.nan
            values[n] = np.nan
