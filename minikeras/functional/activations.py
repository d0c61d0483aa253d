"""Activations that have machine code, each with its derivative directly under it; `activations` has all of them.

| name  | shape        | meaning                                                |
|-------|--------------|--------------------------------------------------------|
| x, dx | (n,), (N, C) | what the activation is applied to; d loss / d x        |
| y, dy | (n,), (N, C) | what comes out; d loss / d y                           |

Softmax works on rows of C scores; the others on single numbers.
"""

import numpy as np
from numpy import where  # machine code has another for single numbers, by this name

from . import Matrix, Vector, elementwise, fast

ZERO, ONE = np.float32(0), np.float32(1)  # of a type that turns no vector into another


@elementwise(writes="y")
def relu(y: Vector, x: Vector) -> Vector:
    """y = max(x, 0)."""
    return np.maximum(x, ZERO)


@elementwise(writes="dx")
def relu_gradient(dx: Vector, dy: Vector, x: Vector) -> Vector:
    """dx = dy where x > 0, else 0."""
    return where(x > ZERO, dy, ZERO)


@fast()
def sigmoid(y: Vector, x: Vector) -> None:
    """y = 1 / (1 + exp(-x))."""
    # sigmoid(-87) = 1.6e-38 is about the smallest normal float32: as good as 0, and exp(87) is still finite.
    y[...] = 1 / (1 + np.exp(np.minimum(-x, 87)))


@elementwise(writes="dx")
def sigmoid_gradient(dx: Vector, dy: Vector, y: Vector) -> Vector:
    """dx = dy y (1 - y)."""
    return dy * y * (ONE - y)


@fast()
def tanh(y: Vector, x: Vector) -> None:
    """y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    np.tanh(x, out=y)


@elementwise(writes="dx")
def tanh_gradient(dx: Vector, dy: Vector, y: Vector) -> Vector:
    """dx = dy (1 - y^2)."""
    return dy * (ONE - y * y)


@fast()
def softmax(y: Matrix, x: Matrix) -> None:
    """y[n, c] = exp(x[n, c]) / sum over k of exp(x[n, k]).

    The largest score of a row is taken out of the exponents first, so that nothing overflows.
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)


@fast()
def softmax_gradient(dx: Matrix, dy: Matrix, y: Matrix) -> None:
    """Since dy[i] / dx[j] = y[i] ([i = j] - y[j]), dx = y (dy - sum over the row of dy y)."""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))
