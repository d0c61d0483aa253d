"""Activations that have machine code, each with its derivative directly under it; `activations` has all of them.

| name  | shape        | meaning                                                |
|-------|--------------|--------------------------------------------------------|
| x, dx | (n,), (N, C) | what the activation is applied to; d loss / d x        |
| y, dy | (n,), (N, C) | what comes out; d loss / d y                           |

Softmax works on rows of C scores; the others on single numbers.
"""

import numpy as np

from . import Matrix, Vector, fast


@fast()
def relu(y: Vector, x: Vector) -> None:
    """y = max(x, 0)."""
    np.maximum(x, 0, out=y)


@fast()
def relu_gradient(dx: Vector, dy: Vector, x: Vector) -> None:
    """dx = dy where x > 0, else 0."""
    dx[...] = np.where(x > 0, dy, 0)


@fast()
def sigmoid(y: Vector, x: Vector) -> None:
    """y = 1 / (1 + exp(-x))."""
    # sigmoid(-87) = 1.6e-38 is about the smallest normal float32: as good as 0, and exp(87) is still finite.
    y[...] = 1 / (1 + np.exp(np.minimum(-x, 87)))


@fast()
def sigmoid_gradient(dx: Vector, dy: Vector, y: Vector) -> None:
    """dx = dy y (1 - y)."""
    dx[...] = dy * y * (1 - y)


@fast()
def tanh(y: Vector, x: Vector) -> None:
    """y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    np.tanh(x, out=y)


@fast()
def tanh_gradient(dx: Vector, dy: Vector, y: Vector) -> None:
    """dx = dy (1 - y^2)."""
    dx[...] = dy * (1 - y * y)


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
