"""Machine code that is kept on disk between runs, as long as no kernel's source has changed.

numba keeps what it compiles beside the source, or in the user's cache folder, and takes it to be up to date while the
file that holds the function is.  But kernels call functions of other files: what is kept is therefore also marked with
a digest of all of them.  And numba believes what it reads, whatever a full disk or a power cut has left of it: here
every file begins with a checksum, and what is damaged, or can't be kept, is compiled anew.
"""

import functools
import hashlib
import os
import pickle
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaError
from numba.core.typing.typeof import Purpose, typeof
from numba.extending import intrinsic

from .. import kernels
from . import Unfit, tell


@functools.cache
def _digest(*others: str) -> str:
    """Return a digest of the sources of all kernels, and of other files."""
    folder = os.path.dirname(__file__)
    own = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".py")]
    digest = hashlib.sha256()
    for path in (*own, *others):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


compiling = False  # whether this process has had to compile anything


class _File(IndexDataCacheFile):
    """An index, and the files that it lists, each behind a checksum."""

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return zlib.crc32(data).to_bytes(4, "little") + data

    def _load_index(self) -> dict[Any, str]:
        try:
            with open(self._index_path, "rb") as file:
                if pickle.load(file) != self._version:
                    return {}
                stamp, overloads = _checked(file.read())
        except FileNotFoundError:
            return {}
        return overloads if stamp == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            return _checked(file.read())


def _checked(data: bytes) -> Any:
    if data[:4] != zlib.crc32(data[4:]).to_bytes(4, "little"):
        raise ValueError("its checksum is wrong")
    return pickle.loads(data[4:])


class _Cache(FunctionCache):
    """The machine code of one function for several types of arguments and processors.

    Args:
        function: what was compiled; its `sources`, where it has such, are files that it was made of besides.
        name: stands for what the function has in its closure, which numba can't recognize in another process where
            it is compiled functions.
    """

    def __init__(self, function: Callable[..., Any], name: str = ""):
        super().__init__(function)
        self._known_as, self._sources = name, getattr(function, "sources", ())
        stamp = self._cache_file._source_stamp
        self._cache_file = _File(self._cache_path, f"{self._impl.filename_base}-checked", stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is on the disk, or None: then numba compiles."""
        global compiling
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except MemoryError:
            raise
        except Exception as error:
            _tell_once(f"what it has kept in {self._cache_path} is damaged ({_short(error)}), and is compiled anew.")
            self._leave_out(self.flush)
        compiling = compiling or found is None
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it, if that is possible."""
        self._leave_out(super().save_overload, sig, data)

    def _leave_out(self, keep: Callable[..., Any], *arguments: Any) -> None:
        try:
            keep(*arguments)
        except MemoryError:
            raise
        except Exception as error:
            _tell_once(f"can't keep its kernels in {self._cache_path} ({_short(error)}).")

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        if self._known_as:
            return sig, codegen.magic_tuple(), self._known_as, _digest()
        return (*super()._index_key(sig, codegen), _digest(*self._sources))


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


_told: set[str] = set()


def _tell_once(news: str) -> None:
    kind = news.split("(")[0]
    if kind not in _told:
        _told.add(kind)
        tell(news)


def _cache(function: Callable[..., Any], name: str = "") -> Any:
    try:
        return _Cache(function, name)
    except (RuntimeError, OSError):  # there is no folder to write to
        global compiling
        compiling = True
        _tell_once("finds no folder to keep its kernels in (see NUMBA_CACHE_DIR); each process compiles them anew.")
        return NullCache()


def kept_on_disk(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is compiled by `specialised` alone, or taken from the disk, and refuses all else."""
    dispatcher: Any = njit(nogil=True, error_model="numpy")(function)
    if kernels.numpy_only:  # nobody calls it
        return dispatcher
    dispatcher._cache = _cache(function)
    dispatcher._compile_for_args, dispatcher.typeof_pyval = _refuse, _type_of
    return dispatcher


def _refuse(*arguments: Any) -> Any:
    """Take the place of what numba does where it meets new types."""
    raise Unfit


def _type_of(argument: Any) -> Any:
    """Return numba's type of an argument; asked where numba has not seen its like.

    For numba an array that isn't aligned, or of a subclass, is like any other; and it knows its like again by marks
    that don't tell the order of bytes: numbers in the wrong order would then be taken for right.
    """
    if isinstance(argument, np.ndarray) and not (type(argument) is np.ndarray and argument.flags.carray):
        raise Unfit
    try:
        return typeof(argument, Purpose.argument)
    except (NumbaError, ValueError):  # it has none
        raise Unfit from None


def specialised(dispatcher: Any, arguments: Iterable[Any]) -> Any:
    """Return the dispatcher, which now takes arguments of these types."""
    dispatcher.compile(tuple(map(_type_of, arguments)))
    return dispatcher


def called_by_name(name: str, function: Callable[..., Any], *arguments: types.Type) -> Any:
    """Compile a function of numbers and tuples of them now, or take it from the disk; return what stands for it.

    Others are linked to it by its name when they are loaded: they would otherwise contain, and compile, a copy of it.
    They hand over all arguments as one tuple.

    Args:
        name: unique.
        function: it returns nothing.
        *arguments: numba's types for its arguments.
    """
    if not kernels.numpy_only:
        try:
            compiled: Any = CFunc(function, (arguments, types.void), {}, {"error_model": "numpy"})
            compiled._cache = _cache(function, name)
            compiled.compile()
            _kept_alive.append(compiled)
            binding.add_symbol(f"minikeras.{name}", compiled.address)
        except MemoryError:
            raise
        except Exception as error:
            kernels.do_without(error)

    def emit(context: Any, b: Any, signature: Any, given: Any) -> Any:
        there = ir.FunctionType(ir.VoidType(), [context.get_value_type(argument) for argument in arguments])
        code = cgutils.get_or_insert_function(b.module, there, f"minikeras.{name}")
        b.call(code, cgutils.unpack_tuple(b, given[0]))
        return context.get_dummy_value()

    @intrinsic
    def call(typing: Any, given: Any) -> Any:
        return types.void(types.Tuple(arguments)), emit

    return call


_kept_alive: list[CFunc] = []
