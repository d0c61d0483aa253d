"""One row for each operation of `functional`: arguments that go together, of the one type that is compiled."""

import importlib
from typing import get_args

import numpy as np

from minikeras import functional


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
    """Return arguments for an operation; an update rule's follow from what its function says of them."""
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
