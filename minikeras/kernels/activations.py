"""Activations with exponentials, at the speed of memory; `functional.activations` says what they are.

Each of single numbers is a formula of one register, which the team applies to its shares of the vectors.  What needs no
exponential is made of its NumPy function (see `elementwise`).
"""

import numpy as np

from .team import part, share_out, shared
from .vectors import (
    LANES,
    agree,
    exp,
    fill,
    greater,
    inner,
    inside,
    largest,
    load,
    multiplied,
    one_size,
    store,
    total,
    where,
)  # fmt: skip

ZERO, ONE, INFINITY = np.float32(0), np.float32(1), np.float32(np.inf)
WORK = 20  # for each number: about as many multiplications


def _each(formula):
    """Return work: y = formula(x), register by register; one that is full needs no mask (see `vectors`)."""

    def apply(share, y, x):
        first, last = part(share, x.size)
        rest = (last - first) % LANES
        for i in range(first, last - rest, LANES):
            store(y, i, LANES, formula(load(x, i, LANES)))
        if rest:
            store(y, last - rest, rest, formula(load(x, last - rest, rest)))

    apply.__qualname__ = formula.py_func.__qualname__
    return shared(apply)


# Sigmoid: y = 1 / (1 + exp(-x)) -------------------------------------------------------------------------------------


@inner
def _logistic(x):
    return fill(ONE) / (fill(ONE) + exp(fill(ZERO) - x))


_sigmoid_share = _each(_logistic)


def sigmoid(team, y, x):
    agree(one_size((y, x)))
    share_out(team, _sigmoid_share, (y, x), WORK * x.size)


# Hyperbolic tangent: y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)) ----------------------------------------------------

FLAT = np.float32(7.99881172180175781)  # from here on, tanh rounds to 1
ODD = tuple(np.float32(c) for c in (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
    6.37261928875436e-04, 4.89352455891786e-03,
))  # fmt: skip
EVEN = tuple(
    np.float32(c) for c in (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)


@inner
def _hyperbolic(x):
    """x p(x^2) / q(x^2), as the Eigen library computes it, and so TensorFlow: two polynomials, and no exponential."""
    x = where(greater(x, fill(FLAT)), fill(FLAT), x)
    x = where(greater(fill(-FLAT), x), fill(-FLAT), x)
    odd, even, square = ODD, EVEN, x * x
    p, q = fill(odd[0]), fill(even[0])
    for i in range(1, 7):
        p = multiplied(p, square, fill(odd[i]))
    for i in range(1, 4):
        q = multiplied(q, square, fill(even[i]))
    return x * p / q


_tanh_share = _each(_hyperbolic)


def tanh(team, y, x):
    agree(one_size((y, x)))
    share_out(team, _tanh_share, (y, x), WORK * x.size)


# Softmax: y = exp(x) / sum of exp(x) ---------------------------------------------------------------------------------


def softmax(team, p, z):
    agree(p.shape == z.shape)
    share_out(team, _softmax_share, (p, z), WORK * p.size)


@shared
def _softmax_share(share, p, z):
    C, probabilities, scores = z.shape[1], p.reshape(p.size), z.reshape(z.size)
    for n in range(*part(share, len(z))):
        fill_probabilities(probabilities, scores, n * C, C)


@inner
def fill_probabilities(p, z, start, C):
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


def softmax_gradient(team, dz, dp, p):
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
