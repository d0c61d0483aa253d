"""Machine code that is kept on disk between runs, as long as no kernel's source has changed.

numba keeps what it compiles beside the source, or in the user's cache folder, and takes it to be up to date while the
file that holds the function is.  But kernels call functions of other files: what is kept is therefore also marked with
a digest of all of them.  Called by `Kernel`.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any

from llvmlite import binding
from numba import njit, types
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc


@functools.cache
def _digest() -> str:
    """Return a digest of the sources of all kernels."""
    folder = os.path.dirname(__file__)
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


compiling = False  # whether this process has had to compile anything


class _Cache(FunctionCache):
    """The machine code of one function for several types of arguments and processors.

    Args:
        function: what was compiled.
        name: stands for what the function has in its closure, which numba can't recognize in another process where
            it is compiled functions.
    """

    def __init__(self, function: Callable[..., Any], name: str = ""):
        super().__init__(function)
        self._known_as = name

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is on the disk, or None: then numba compiles."""
        global compiling
        found = super().load_overload(sig, target_context)
        compiling = compiling or found is None
        return found

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        if self._known_as:
            return sig, codegen.magic_tuple(), self._known_as, _digest()
        return (*super()._index_key(sig, codegen), _digest())


def kept_on_disk(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, or take what an earlier run has compiled."""
    dispatcher = njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


def called_by_name(name: str, function: Callable[..., Any], *arguments: str) -> Any:
    """Compile a function of plain numbers now, or take it from the disk; return what stands for it in others.

    Others are linked to it by its name when they are loaded: they would otherwise contain, and compile, a copy of it.

    Args:
        name: unique.
        function: it returns nothing.
        *arguments: the names of numba's types for them.
    """
    signature = types.void(*(getattr(types, argument) for argument in arguments))
    compiled = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    compiled._cache = _Cache(function, name)
    compiled.compile()
    _kept_alive.append(compiled)
    binding.add_symbol(f"minikeras.{name}", compiled.address)
    return types.ExternalFunction(f"minikeras.{name}", signature)


_kept_alive: list[CFunc] = []
