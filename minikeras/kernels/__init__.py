"""The hot loops, each twice: a NumPy reference that states the mathematics, and a numba kernel that runs it.

Layers and optimizers call `kernels.conv2d.forward(...)` and the like.  numba is imported, and a kernel
compiled, at the first call that needs it; a reference answers instead

- for float64 arrays, so that gradient checks need no second compilation,
- where it gives the same bits, until something else has imported numba, and
- for everything, where the environment says `MINIKERAS_KERNELS=numpy`.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

_ROOMS = ("conv2d", "philox", "pool2d", "updates")
_NUMPY_ONLY = os.environ.get("MINIKERAS_KERNELS") == "numpy"


class Kernel:
    """One operation and its twin.

    Attributes:
        reference: the NumPy function.
        loops: the same function written as loops that numba can compile.
        same_bits: whether both give the same to the last bit; then the reference serves until numba is loaded.
    """

    def __init__(self, reference: Callable[..., Any], loops: Callable[..., Any], same_bits: bool = False):
        self.reference, self.loops, self.same_bits = reference, loops, same_bits
        self.__name__, self.__doc__ = reference.__name__, reference.__doc__
        self._compiled: Callable[..., Any] | None = None

    @property
    def compiled(self) -> Callable[..., Any]:
        """The machine code, made at the first use and kept on disk between runs."""
        if self._compiled is None:
            import numba

            self._compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(self.loops)
        return self._compiled

    def __call__(self, *arguments: Any) -> Any:
        """Run the machine code, or the reference where that is asked for (see above)."""
        early = self.same_bits and "numba" not in sys.modules
        if early or _NUMPY_ONLY or arguments[0].dtype == np.float64:
            # On some processors BLAS also computes with lanes that it throws away, and NumPy warns of what they held.
            with np.errstate(invalid="ignore"):
                return self.reference(*arguments)
        return self.compiled(*arguments)


def twin(reference: Callable[..., Any], same_bits: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate loops that compute the same as `reference`, with the same arguments; see `Kernel`."""
    return lambda loops: Kernel(reference, loops, same_bits)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
