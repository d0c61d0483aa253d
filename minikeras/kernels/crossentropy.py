"""The crossentropy of a softmax, with its gradient; `functional.crossentropy` says what they are."""

import numpy as np

from .activations import WORK, fill_probabilities
from .team import part, share_out, shared
from .vectors import LANES, agree, fill, load, store


def softmax_crossentropy(team, values, p, dz, z, t):
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
        top, sum_of_all = fill_probabilities(probabilities, scores, n * C, C)
        if 0 <= t[n] < C:
            for c in range(0, C, LANES):
                store(gradients, n * C + c, C - c, fill(scale) * load(probabilities, n * C + c, C - c))
            dz[n, t[n]] -= scale
            values[n] = np.log(sum_of_all) + top - z[n, t[n]]
        else:
            dz[n] = np.nan
            values[n] = np.nan
