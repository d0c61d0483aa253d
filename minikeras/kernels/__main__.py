"""Compile all kernels ahead of time: `python -m minikeras.kernels`.

For images of containers, and for a classroom that shall not wait: afterwards every program of this user starts with
machine code from the disk.  Every kernel is called once, on small arrays of the types that training uses.
"""

import importlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import _ROOMS, Kernel


def examples() -> Iterator[tuple[str, Kernel, tuple[Any, ...]]]:
    """Yield the name of each kernel, the kernel, and arguments for it."""
    for name in _ROOMS:
        room = importlib.import_module(f".{name}", __package__)
        for kernel_name, kernel in vars(room).items():
            if isinstance(kernel, Kernel):
                yield f"{name}.{kernel_name}", kernel, example(kernel)


def example(kernel: Kernel) -> tuple[Any, ...]:
    """Return arguments of the one form that a kernel is compiled for."""
    by_name = _ARGUMENTS.get(kernel.room)
    return _update_arguments(kernel) if by_name is None else by_name[kernel.loops.__name__]()


def _floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _update_arguments(kernel: Kernel) -> tuple[Any, ...]:
    """Return vectors where the reference wants arrays, else numbers."""
    return tuple(
        _floats(16) if kind is np.ndarray else False if kind is bool else np.float32(0.5)
        for kind in kernel.parameters.values()
    )


_ONE, _NONE, _TWO = (1, 1), (0, 0), (2, 2)
_X, _W, _B, _Y = (2, 6, 6, 3), (3, 3, 3, 5), (5,), (2, 4, 4, 5)  # a convolution's input, kernel, bias and output
_GEOMETRY = (_ONE, _NONE, _ONE)
_BLOCK = (*_GEOMETRY, _TWO, (4, 4), True)  # with a pooling of 2 x 2
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "conv2d": {
        "forward": lambda: (_floats(*_Y), _floats(*_X), _floats(*_W), _floats(*_B), *_GEOMETRY),
        "weight_gradient": lambda: (_floats(*_W), _floats(*_X), _floats(*_Y), *_GEOMETRY),
        "input_gradient": lambda: (_floats(*_X), _floats(*_Y), _floats(*_W), *_GEOMETRY),
    },
    "blocks2d": {
        "forward": lambda: (
            _floats(2, 2, 2, 5), _floats(2, 2, 2, 5), _floats(*_X), _floats(*_W), _floats(*_B), *_BLOCK,
        ),
        "backward": lambda: (
            _floats(*_W), _floats(*_B), _floats(*_X), _floats(2, 2, 2, 5), _floats(2, 2, 2, 5), _floats(2, 2, 2, 5),
            _floats(*_X), _floats(*_W), *_BLOCK, False,
        ),
    },
    "dense": {
        "forward": lambda: (_floats(2, 4), _floats(2, 3), _floats(3, 4), _floats(4), True),
        "weight_gradient": lambda: (_floats(3, 4), _floats(2, 3), _floats(2, 4)),
        "input_gradient": lambda: (_floats(2, 3), _floats(2, 4), _floats(3, 4)),
        "backward": lambda: (
            _floats(3, 4), _floats(4), _floats(2, 3), _floats(2, 4), _floats(2, 4), _floats(2, 3), _floats(3, 4), True,
            False,
        ),
    },
    "depthwise2d": {
        "forward": lambda: (_floats(2, 4, 4, 6), _floats(*_X), _floats(3, 3, 3, 2), _floats(6), *_GEOMETRY),
        "weight_gradient": lambda: (_floats(3, 3, 3, 2), _floats(*_X), _floats(2, 4, 4, 6), *_GEOMETRY),
        "input_gradient": lambda: (_floats(*_X), _floats(2, 4, 4, 6), _floats(3, 3, 3, 2), *_GEOMETRY),
    },
    "elementwise": {
        **{name: lambda: (_floats(3), _floats(3)) for name in ("relu", "sigmoid", "tanh")},
        **{f"{name}_gradient": lambda: tuple(_floats(3) for _ in range(3)) for name in ("relu", "sigmoid", "tanh")},
    },
    "pool2d": {
        "max_forward": lambda: (_floats(2, 3, 3, 3), _floats(*_X), _TWO, _TWO, _NONE),
        "max_backward": lambda: (
            _floats(*_X), _floats(2, 3, 3, 3), _floats(*_X), _floats(2, 3, 3, 3), _TWO, _TWO, _NONE,
        ),
        "average_forward": lambda: (_floats(2, 3, 3, 3), _floats(*_X), _TWO, _TWO, _NONE),
        "average_backward": lambda: (_floats(*_X), _floats(2, 3, 3, 3), _TWO, _TWO, _NONE),
    },
    "scores": {
        "softmax": lambda: (_floats(2, 3), _floats(2, 3)),
        "softmax_gradient": lambda: tuple(_floats(2, 3) for _ in range(3)),
        "softmax_crossentropy": lambda: (
            _floats(2), *(_floats(2, 3) for _ in range(3)), np.zeros(2, np.int64),
        ),
    },
    "philox": {
        "stream": lambda: (_words(1, 4), _words(2), _words(4), np.zeros(1, np.uint64)),
        "uniform": lambda: (_floats(4), _words(4), np.float32(0), np.float32(1)),
        "normal": lambda: (_floats(4), _words(4), np.float32(0), np.float32(1)),
        "kept": lambda: (_floats(1, 4), _floats(1, 16), np.float32(0), np.float32(1)),
        "permutation": lambda: (np.arange(5), _words(4)),
    },
}  # fmt: skip


def _words(*shape: int) -> np.ndarray:
    return np.ones(shape, np.uint32)


def compile_all() -> None:
    """Compile every kernel, and say how long it took."""
    total = 0.0
    for name, kernel, arguments in examples():
        start = time.perf_counter()
        kernel.compiled(*arguments)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:30} {seconds:6.2f} s", flush=True)
    print(f"{'all kernels are on disk':30} {total:6.2f} s")


if __name__ == "__main__":
    compile_all()
