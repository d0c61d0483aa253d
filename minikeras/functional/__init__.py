"""The door between the engine and what makes it fast: each function here is run by NumPy, or by machine code for it."""

from typing import Any

from .. import kernels
from ..kernels import Kernel
from ..kernels.threads import computing, leaving_work, one_blas_thread, settle
from ..kernels.undisturbed import undisturbed

__all__ = ["Kernel", "computing", "leaving_work", "one_blas_thread", "settle", "undisturbed"]


def __getattr__(name: str) -> Any:
    return getattr(kernels, name)
