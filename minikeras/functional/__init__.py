"""The door between the engine and what makes it fast: each function here is run by NumPy, or by machine code for it."""

from types import SimpleNamespace
from typing import Any

from .. import kernels
from ..kernels import Kernel
from ..kernels.threads import computing, one_blas_thread
from ..kernels.undisturbed import undisturbed

__all__ = ["Kernel", "computing", "one_blas_thread", "undisturbed"]


def __getattr__(name: str) -> Any:
    if name == "conv2d":
        blocks, single = kernels.blocks2d, kernels.conv2d
        return SimpleNamespace(forward=blocks.forward, backward=blocks.backward, input_gradient=single.input_gradient)
    return getattr(kernels, name)
