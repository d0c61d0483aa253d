"""The hot loops, each twice: a NumPy reference that states the mathematics, and a numba kernel that runs it.

Layers and optimizers call `kernels.conv2d.forward(...)` and the like.  A room of kernels is imported, numba with it,
and a kernel compiled, at the first call that needs it; the machine code is kept on disk.  A reference answers instead

- for float64 arrays, so that gradient checks need no second compilation,
- where it gives the same bits, until something else has imported numba, and
- for everything, where the environment says `MINIKERAS_KERNELS=numpy`.

    room        computes
    conv2d      convolutions and their gradients
    depthwise2d convolutions of each channel by itself
    blocks2d    a convolution, its rectifier and its pooling in one
    dense       products of matrices with biases, and their gradients
    elementwise activations and their derivatives
    finite      whether all numbers of a data set are finite
    pool2d      the largest or the mean cell under a window
    scores      softmax, and its crossentropy with the gradient
    updates     the rules of the optimizers
    philox      random numbers
    vectors     what the processor's vector registers do
    products    the one kernel that multiplies
    team        threads that share work

`python -m minikeras.kernels` compiles all of them ahead of time.
"""

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import threads

_ROOMS = (
    "blocks2d", "conv2d", "dense", "depthwise2d", "elementwise", "finite", "philox", "pool2d", "scores", "updates",
)  # fmt: skip
FLOAT32 = np.dtype("float32")
_NUMPY_ONLY = os.environ.get("MINIKERAS_KERNELS") == "numpy"


class Kernel:
    """One operation and its twin.

    Attributes:
        reference: the NumPy function.
        loops: the same function in the form that numba compiles; where its first argument is `team`, it hands shares
            of its work to the threads of the team.
        same_bits: whether both give the same to the last bit; then the reference serves until numba is loaded.
    """

    def __init__(self, reference: Callable[..., Any], loops: Callable[..., Any], same_bits: bool = False):
        self.reference, self.loops, self.same_bits = reference, loops, same_bits
        self.__name__, self.__doc__ = reference.__name__, reference.__doc__
        self.has_team = next(iter(inspect.signature(loops).parameters)) == "team"
        self.machine_code: Callable[..., Any] | None = None

    def compiled(self, *arguments: Any) -> Any:
        """Run the machine code, made at the first use and kept on disk between runs."""
        if self.has_team:
            arguments = (threads.team(), *arguments)
        if self.machine_code is not None:
            return self.machine_code(*arguments)
        with notice_of_compilation():
            from .cache import kept_on_disk

            machine_code = kept_on_disk(self.loops)
            result = machine_code(*arguments)
        self.machine_code = machine_code
        return result

    def ready(self, *arguments: Any) -> tuple[Any, ...] | None:
        """Return the machine code and what it is called with, where it is there already and would be run; else None.

        For whoever must not be interrupted between two calls: this one has no line of Python inside.
        """
        code = self.machine_code
        if code is None or arguments[0].dtype is not FLOAT32:
            return None
        return (code, threads.team(), *arguments) if self.has_team else (code, *arguments)

    def __call__(self, *arguments: Any) -> Any:
        """Run the machine code, or the reference where that is asked for (see above)."""
        code = self.machine_code
        if code is not None and arguments[0].dtype is FLOAT32:  # the usual case
            return code(threads.team(), *arguments) if self.has_team else code(*arguments)
        if _NUMPY_ONLY or arguments[0].dtype.char == "d" or (self.same_bits and "numba" not in sys.modules):
            # On some processors BLAS also computes with lanes that it throws away, and NumPy warns of what they held.
            with np.errstate(invalid="ignore"):
                return self.reference(*arguments)
        return self.compiled(*arguments)


def twin(reference: Callable[..., Any], same_bits: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate loops that compute the same as `reference`, with the same arguments; see `Kernel`."""
    return lambda loops: Kernel(reference, loops, same_bits)


_noticed = False


@contextlib.contextmanager
def notice_of_compilation() -> Iterator[None]:
    """Tell, once and on one line, what the user waits for where the block compiles and takes more than a second."""
    if _noticed:
        yield
        return
    import threading

    def tell() -> None:
        global _noticed
        while not (done.wait(1.0) or _noticed):
            cache = sys.modules.get(f"{__name__}.cache")
            if getattr(cache, "compiling", False):  # else it only loads, or `cache` itself does, on a slow machine
                _noticed = True
                print("minikeras: compiling its kernels for this processor, once; some seconds ...", file=sys.stderr)

    done = threading.Event()
    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        with notice_of_compilation():  # of `products`
            return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
