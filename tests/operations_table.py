"""One row for each operation of `functional`: how to draw arguments that go together, how near results must be."""

import importlib
from typing import get_args

import numpy as np

from minikeras import functional
from minikeras.layers.windows import window_geometry


def _floats(*shape):
    return np.zeros(shape, np.float32)


def _words(*shape):
    return np.ones(shape, np.uint32)


_ONE, _NONE, _TWO = (1, 1), (0, 0), (2, 2)
_X, _W, _B, _Z, _Y = (2, 6, 6, 3), (3, 3, 3, 5), (5,), (2, 4, 4, 5), (2, 2, 2, 5)
_GEOMETRY = (_ONE, _NONE, _ONE)
_POOLED = (*_GEOMETRY, _TWO, (4, 4), True)  # with a pooling of 2 x 2
_ARGUMENTS = {
    "conv2d.forward": lambda: (_floats(*_Y), _floats(*_Y), _floats(*_X), _floats(*_W), _floats(*_B), *_POOLED),
    "conv2d.backward": lambda: (
        _floats(*_W), _floats(*_B), _floats(*_X), _floats(*_Y), _floats(*_Y), _floats(*_Y), _floats(*_X), _floats(*_W),
        *_POOLED, False,
    ),
    "conv2d.input_gradient": lambda: (_floats(*_X), _floats(*_Z), _floats(*_W), *_GEOMETRY),
    "dense.forward": lambda: (_floats(2, 4), _floats(2, 3), _floats(3, 4), _floats(4), True),
    "dense.backward": lambda: (
        _floats(3, 4), _floats(4), _floats(2, 3), _floats(2, 4), _floats(2, 4), _floats(2, 3), _floats(3, 4), True,
        False,
    ),
    "depthwise2d.forward": lambda: (_floats(2, 4, 4, 6), _floats(*_X), _floats(3, 3, 3, 2), _floats(6), *_GEOMETRY),
    "depthwise2d.weight_gradient": lambda: (_floats(3, 3, 3, 2), _floats(*_X), _floats(2, 4, 4, 6), *_GEOMETRY),
    "depthwise2d.input_gradient": lambda: (_floats(*_X), _floats(2, 4, 4, 6), _floats(3, 3, 3, 2), *_GEOMETRY),
    **{f"activations.{name}": lambda: (_floats(3), _floats(3)) for name in ("relu", "sigmoid", "tanh")},
    **{
        f"activations.{name}_gradient": lambda: tuple(_floats(3) for _ in range(3))
        for name in ("relu", "sigmoid", "tanh")
    },
    "activations.softmax": lambda: (_floats(2, 3), _floats(2, 3)),
    "activations.softmax_gradient": lambda: tuple(_floats(2, 3) for _ in range(3)),
    "crossentropy.softmax_crossentropy": lambda: (
        _floats(2), *(_floats(2, 3) for _ in range(3)), np.zeros(2, np.int64),
    ),
    "pool2d.max_forward": lambda: (_floats(2, 3, 3, 3), _floats(*_X), _TWO, _TWO, _NONE),
    "pool2d.max_backward": lambda: (
        _floats(*_X), _floats(2, 3, 3, 3), _floats(*_X), _floats(2, 3, 3, 3), _TWO, _TWO, _NONE,
    ),
    "pool2d.average_forward": lambda: (_floats(2, 3, 3, 3), _floats(*_X), _TWO, _TWO, _NONE),
    "pool2d.average_backward": lambda: (_floats(*_X), _floats(2, 3, 3, 3), _TWO, _TWO, _NONE),
    "philox.stream": lambda: (_words(1, 4), _words(2), _words(4), np.zeros(1, np.uint64)),
    "philox.uniform": lambda: (_floats(4), _words(4), np.float32(0), np.float32(1)),
    "philox.normal": lambda: (_floats(4), _words(4), np.float32(0), np.float32(1)),
    "philox.kept": lambda: (_floats(1, 4), _floats(1, 16), np.float32(0), np.float32(1)),
    "philox.permutation": lambda: (np.arange(5), _words(4)),
}  # fmt: skip


def example(operation):
    """Return small arguments of the one type that is compiled; a rule's follow from what it says of them."""
    if not operation.name.startswith("updates."):
        return _ARGUMENTS[operation.name]()
    return tuple(
        _floats(16) if np.ndarray in (kind, *get_args(kind)) else False if kind is bool else np.float32(0.5)
        for kind in operation.parameters.values()
    )


def examples():
    """Return (name, operation, arguments) of all."""
    for room in functional.ROOMS:
        importlib.import_module(f"minikeras.functional.{room}")
    return [(name, operation, example(operation)) for name, operation in functional.operations.items()]


# Random shapes --------------------------------------------------------------------------------------------------------

EPSILON = float(np.finfo(np.float32).eps)


def integers(rng, *shape):
    """Whole numbers: their products and sums are exact in float32, so that two orders of adding must agree exactly."""
    return rng.integers(-3, 4, shape).astype("float32")


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def unset(*shape):
    """Return an array of which nothing must be read."""
    return np.full(shape, np.nan, np.float32)


def some(rng, small, *large):
    """Return a number below `small` or, in one case of four, one of the large ones."""
    return int(rng.choice(large)) if large and rng.random() < 0.25 else int(rng.integers(1, small))


def pair(rng, small):
    return some(rng, small), some(rng, small)


def windows(rng, window, strides, dilation=(1, 1), pool=(1, 1)):
    """Draw the size of images for a window; return it, the outputs', and the zeros before the first row and column."""
    padding = rng.choice(["valid", "same"])
    image = tuple(
        (p - 1) * s + 1 + ((k - 1) * d if padding == "valid" else 0) + int(rng.integers(0, 8))
        for p, s, k, d in zip(pool, strides, window, dilation, strict=True)
    )
    outputs, before = zip(*map(window_geometry, image, window, strides, (padding,) * 2, dilation), strict=True)
    return image, outputs, before


def dense(rng):
    N, I, O = some(rng, 71, 256, 257, 530, 600), some(rng, 301, 1023, 1025), some(rng, 71, 96, 100, 128, 150)
    return integers(rng, N, I), integers(rng, I, O), integers(rng, O), integers(rng, N, O), bool(rng.integers(2))


def dense_forward(rng):
    x, w, b, y, rectified = dense(rng)
    return y, x, w, b, rectified


def dense_backward(rng):
    x, w, b, dy, rectified = dense(rng)
    wants_dx, add = rng.integers(2, size=2).astype(bool).tolist()
    dx = unset(*(x if wants_dx else x[:, :0]).shape)
    return w.copy(), b, dx, dy, integers(rng, *dy.shape), x, w, rectified, add


def convolution(rng):
    pool = [(1, 1), (2, 2), (2, 3), (3, 1)][rng.integers(4)]
    window, strides, dilation = pair(rng, 5), pair(rng, 4), pair(rng, 3)
    image, outputs, before = windows(rng, window, strides, dilation, pool)
    N, C, F = some(rng, 10, 33, 70), some(rng, 6, 6, 7, 12, 33, 70), some(rng, 38, 64, 70, 130)
    shape = (N, outputs[0] // pool[0], outputs[1] // pool[1], F)
    x, w, b = integers(rng, N, *image, C), integers(rng, *window, C, F), integers(rng, F)
    return x, w, b, shape, (strides, before, dilation, pool, outputs), bool(rng.integers(2))


def conv2d_forward(rng):
    x, w, b, shape, geometry, rectified = convolution(rng)
    winner = unset(*(shape if rng.integers(2) else (0, 0, 0, 0)))
    return unset(*shape), winner, x, w, b, *geometry, rectified


def conv2d_backward(rng):
    x, w, b, shape, geometry, rectified = convolution(rng)
    y, winner = unset(*shape), unset(*(shape if geometry[3] != (1, 1) else (0, 0, 0, 0)))
    functional.reference(functional.conv2d.forward)(y, winner, x, w, b, *geometry, rectified)
    wants_dx, add = rng.integers(2, size=2).astype(bool).tolist()
    dx = unset(*(x if wants_dx else x[:0]).shape)
    return w.copy(), b, dx, integers(rng, *shape), y, winner, x, w, *geometry, rectified, add


def conv2d_input_gradient(rng):
    x, w, _, shape, (*moves, _, outputs), _ = convolution(rng)
    return unset(*x.shape), integers(rng, len(x), *outputs, shape[3]), w, *moves


def depthwise(rng):
    window, strides, dilation = pair(rng, 5), pair(rng, 5), pair(rng, 4)
    image, outputs, before = windows(rng, window, strides, dilation)
    N, C, M = some(rng, 11), some(rng, 10, 33), some(rng, 4)
    x, y, w = integers(rng, N, *image, C), integers(rng, N, *outputs, C * M), integers(rng, *window, C, M)
    return x, y, w, integers(rng, C * M), (strides, before, dilation)


def depthwise2d_forward(rng):
    x, y, w, b, moves = depthwise(rng)
    return y, x, w, b, *moves


def depthwise2d_weight_gradient(rng):
    x, dy, dw, _, moves = depthwise(rng)
    return dw, x, dy, *moves


def depthwise2d_input_gradient(rng):
    dx, dy, w, _, moves = depthwise(rng)
    return dx, dy, w, *moves


def pooling(rng):
    window, strides = pair(rng, 5), pair(rng, 6)
    image, outputs, before = windows(rng, window, strides)
    N, C = some(rng, 10), some(rng, 10, 33)
    x, dy = integers(rng, N, *image, C), integers(rng, N, *outputs, C)  # many ties
    return x, unset(*dy.shape), dy, (window, strides, before)


def pool2d_forward(rng):
    x, y, _, moves = pooling(rng)
    return y, x, *moves


def pool2d_max_backward(rng):
    x, y, dy, moves = pooling(rng)
    functional.reference(functional.pool2d.max_forward)(y, x, *moves)
    return unset(*x.shape), dy, x, y, *moves


def pool2d_average_backward(rng):
    x, _, dy, moves = pooling(rng)
    return unset(*x.shape), dy, *moves


def vectors(count):
    def draw(rng):
        size = some(rng, 200, 1000, 20_000)
        return tuple(normal(rng, size) for _ in range(count))

    return draw


def rows(count):
    def draw(rng):
        shape = some(rng, 40, 70), some(rng, 20, 100, 1000)
        return tuple(normal(rng, *shape) for _ in range(count))

    return draw


def softmax_gradient(rng):
    dx, dy, x = rows(3)(rng)
    y = unset(*x.shape)
    functional.reference(functional.activations.softmax)(y, x)
    return dx, dy, y


def softmax_crossentropy(rng):
    (z,) = rows(1)(rng)
    N, C = z.shape
    return normal(rng, N), unset(*z.shape), unset(*z.shape), z, rng.integers(0, C, N)


def words(rng, *shape):
    return rng.integers(0, 2**32, shape, dtype=np.uint32)


def philox_stream(rng):
    n = some(rng, 20)
    return words(rng, n, 4), words(rng, 2), words(rng, 4), rng.integers(0, 2**64, n, dtype=np.uint64)


def philox_numbers(rng):
    n = some(rng, 100)
    return normal(rng, n), words(rng, n + n % 2), np.float32(0.5), np.float32(2.25)


def philox_kept(rng):
    n = some(rng, 20)
    return normal(rng, n, 4), 2 * normal(rng, n, 16), np.float32(0.5), np.float32(2.25)


def philox_permutation(rng):
    n = some(rng, 100)
    return np.arange(n), words(rng, n)


#: How arguments are drawn, and how near float32 must come to float64: (relative, absolute); 0: exactly.
ROWS = {
    "conv2d.forward": (conv2d_forward, 0, 0),
    "conv2d.backward": (conv2d_backward, 0, 0),
    "conv2d.input_gradient": (conv2d_input_gradient, 0, 0),
    "dense.forward": (dense_forward, 0, 0),
    "dense.backward": (dense_backward, 0, 0),
    "depthwise2d.forward": (depthwise2d_forward, 0, 0),
    "depthwise2d.weight_gradient": (depthwise2d_weight_gradient, 0, 0),
    "depthwise2d.input_gradient": (depthwise2d_input_gradient, 0, 0),
    "pool2d.max_forward": (pool2d_forward, 0, 0),
    "pool2d.max_backward": (pool2d_max_backward, 0, 0),
    "pool2d.average_forward": (pool2d_forward, EPSILON, 0),
    "pool2d.average_backward": (pool2d_average_backward, 8 * EPSILON, 32 * EPSILON),
    "activations.relu": (vectors(2), 0, 0),
    "activations.sigmoid": (vectors(2), 3 * EPSILON, 0),
    "activations.tanh": (vectors(2), 3 * EPSILON, 0),
    **{f"activations.{name}_gradient": (vectors(3), 3 * EPSILON, 4 * EPSILON) for name in ("relu", "sigmoid", "tanh")},
    "activations.softmax": (rows(2), 8 * EPSILON, EPSILON),
    "activations.softmax_gradient": (softmax_gradient, 0, 8 * EPSILON),
    "crossentropy.softmax_crossentropy": (softmax_crossentropy, 2e-6, 2e-6),
    "philox.stream": (philox_stream, 0, 0),
    "philox.uniform": (philox_numbers, EPSILON, EPSILON),
    "philox.normal": (philox_numbers, 1e-5, 1e-5),
    "philox.kept": (philox_kept, EPSILON, EPSILON),
    "philox.permutation": (philox_permutation, 0, 0),
}


def row(operation):
    """Return how arguments are drawn, and the tolerances; an update rule's vectors follow from what it says of them."""
    if not operation.name.startswith("updates."):
        return ROWS[operation.name]

    def draw(rng):
        size = some(rng, 70, 1000)
        return tuple(
            rng.uniform(0.1, 1, size).astype("float32") if isinstance(a, np.ndarray) else a for a in example(operation)
        )

    return draw, 1e-5, 1e-6
