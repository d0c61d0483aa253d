"""Activations of single numbers, and their derivatives, at the speed of memory.

| name  | shape | meaning                                                |
|-------|-------|--------------------------------------------------------|
| x, dx | (n,)  | what the activation is applied to; d loss / d x        |
| y, dy | (n,)  | what comes out; d loss / d y                           |

Each is a formula of one register, which the team applies to its shares of the vectors.
"""

import numpy as np

from . import twin
from .team import part, share_out, shared
from .vectors import LANES, agree, exp, fill, greater, inner, load, multiplied, one_size, store, where

ZERO, ONE = np.float32(0), np.float32(1)
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


def _each_pair(formula):
    """Return work: dx = formula(dy, x)."""

    def apply(share, dx, dy, x):
        first, last = part(share, x.size)
        rest = (last - first) % LANES
        for i in range(first, last - rest, LANES):
            store(dx, i, LANES, formula(load(dy, i, LANES), load(x, i, LANES)))
        if rest:
            i = last - rest
            store(dx, i, rest, formula(load(dy, i, rest), load(x, i, rest)))

    apply.__qualname__ = formula.py_func.__qualname__
    return shared(apply)


# Rectifier: y = max(x, 0) -------------------------------------------------------------------------------------------


@inner
def _rectified(x):
    return where(greater(fill(ZERO), x), fill(ZERO), x)  # NaN stays


@inner
def _rectified_gradient(dy, x):
    return where(greater(x, fill(ZERO)), dy, fill(ZERO))


_relu_share, _relu_gradient_share = _each(_rectified), _each_pair(_rectified_gradient)


def _relu(y: np.ndarray, x: np.ndarray) -> None:
    """Fill y."""
    np.maximum(x, 0, out=y)


@twin(_relu)
def relu(team, y, x):
    """Do the same in registers."""
    agree(one_size((y, x)))
    share_out(team, _relu_share, (y, x), WORK * x.size)


def _relu_gradient(dx: np.ndarray, dy: np.ndarray, x: np.ndarray) -> None:
    """dx = dy where x > 0, else 0."""
    dx[...] = np.where(x > 0, dy, 0)


@twin(_relu_gradient)
def relu_gradient(team, dx, dy, x):
    """Do the same in registers."""
    agree(one_size((dx, dy, x)))
    share_out(team, _relu_gradient_share, (dx, dy, x), WORK * x.size)


# Sigmoid: y = 1 / (1 + exp(-x)) -------------------------------------------------------------------------------------


@inner
def _logistic(x):
    return fill(ONE) / (fill(ONE) + exp(fill(ZERO) - x))


@inner
def _logistic_gradient(dy, y):
    return dy * y * (fill(ONE) - y)


_sigmoid_share, _sigmoid_gradient_share = _each(_logistic), _each_pair(_logistic_gradient)


def _sigmoid(y: np.ndarray, x: np.ndarray) -> None:
    """Fill y."""
    # sigmoid(-87) = 1.6e-38 is about the smallest normal float32: as good as 0, and exp(87) is still finite.
    y[...] = 1 / (1 + np.exp(np.minimum(-x, 87)))


@twin(_sigmoid)
def sigmoid(team, y, x):
    """Do the same in registers."""
    agree(one_size((y, x)))
    share_out(team, _sigmoid_share, (y, x), WORK * x.size)


def _sigmoid_gradient(dx: np.ndarray, dy: np.ndarray, y: np.ndarray) -> None:
    """dx = dy y (1 - y)."""
    dx[...] = dy * y * (1 - y)


@twin(_sigmoid_gradient)
def sigmoid_gradient(team, dx, dy, y):
    """Do the same in registers."""
    agree(one_size((dx, dy, y)))
    share_out(team, _sigmoid_gradient_share, (dx, dy, y), WORK * y.size)


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


@inner
def _hyperbolic_gradient(dy, y):
    return dy * (fill(ONE) - y * y)


_tanh_share, _tanh_gradient_share = _each(_hyperbolic), _each_pair(_hyperbolic_gradient)


def _tanh(y: np.ndarray, x: np.ndarray) -> None:
    """Fill y."""
    np.tanh(x, out=y)


@twin(_tanh)
def tanh(team, y, x):
    """Do the same in registers."""
    agree(one_size((y, x)))
    share_out(team, _tanh_share, (y, x), WORK * x.size)


def _tanh_gradient(dx: np.ndarray, dy: np.ndarray, y: np.ndarray) -> None:
    """dx = dy (1 - y^2)."""
    dx[...] = dy * (1 - y * y)


@twin(_tanh_gradient)
def tanh_gradient(team, dx, dy, y):
    """Do the same in registers."""
    agree(one_size((dx, dy, y)))
    share_out(team, _tanh_gradient_share, (dx, dy, y), WORK * y.size)
