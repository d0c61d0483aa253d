"""The mathematics of the engine, as NumPy functions; and the door behind which machine code does the same faster.

    room         states
    dense        products of matrices with biases, and their gradients
    conv2d       convolutions, with the rectifier and the pooling after them, and their gradients
    depthwise2d  convolutions of each channel by itself
    pool2d       the largest or the mean cell under a window
    windows      what convolutions and poolings share: padded images, and the cells that windows see
    activations  rectifier, sigmoid, hyperbolic tangent, softmax, each with its derivative
    crossentropy of a softmax, with its gradient
    updates      the rules of the optimizers
    philox       random numbers from a counter
    normal       how many normal numbers are smaller than x

Each function fills arrays that it is given; its gradient stands directly under it.  Where a function is decorated with
`fast`, loops of the same name in the room of the same name of `kernels` do its work, as machine code: it is made at the
first call that needs it, numba being imported for that, and kept on disk.  What is `elementwise` needs no loops of its
own: they are made of the function itself.  The NumPy function answers instead

- for float64 arrays, so that gradient checks need no second compilation,
- where it gives the same bits, until something else has imported numba, and
- for everything, where the environment says `MINIKERAS_KERNELS=numpy`, or nothing can be compiled.

`python -m minikeras.kernels` compiles everything ahead of time.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, cast, get_args

import numpy as np

from .. import config, kernels
from ..kernels import Unfit, threads
from ..kernels.threads import computing, one_blas_thread
from ..kernels.undisturbed import undisturbed

if TYPE_CHECKING:
    from . import activations, conv2d, crossentropy, dense, depthwise2d, philox, pool2d, updates

__all__ = [
    "Filters", "Images", "Matrix", "Operation", "Pair", "Vector", "activations", "computing", "conv2d", "crossentropy",
    "dense", "depthwise2d", "elementwise", "fast", "one_blas_thread", "philox", "pool2d", "ready", "reference",
    "updates",
]  # fmt: skip

threads.number = config.num_threads

#: The rooms whose functions have machine code.
ROOMS = ("activations", "conv2d", "crossentropy", "dense", "depthwise2d", "philox", "pool2d", "updates")
FLOAT32, FLOAT64 = np.dtype("float32"), np.dtype("float64")

#: Arrays of one, two and four axes: machine code is made for one number of them.
Vector = Annotated[np.ndarray, 1]
Matrix = Annotated[np.ndarray, 2]
Images = Annotated[np.ndarray, 4]
Filters = Annotated[np.ndarray, 4]
Pair = tuple[int, int]

P = ParamSpec("P")
R = TypeVar("R")

#: All operations, by "room.name".
operations: dict[str, "Operation"] = {}


def fast(*, writes: str = "", same_bits: bool = False, **dtypes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a NumPy function for which there is machine code.

    Where NumPy shall do everything, it stays the function that it is, and nothing stands between it and who calls it.

    Args:
        writes: names of the arrays that are written to; else the first is.
        same_bits: whether both give the same to the last bit; then the NumPy function serves until numba is loaded.
        **dtypes: by name, of the arrays that don't hold floats.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        return function if kernels.numpy_only else cast(Any, Operation(function, writes, same_bits, dtypes))

    return decorate


def elementwise(*, writes: str) -> Callable[[Callable[P, Any]], Callable[P, None]]:
    """Decorate a function that NumPy runs on vectors, and of whose own lines machine code is made, for single numbers.

    It returns what is new.  Whoever calls it gets nothing: that stands in the vectors, written last to first.

    Args:
        writes: names of the vectors for what it returns; all vectors come before the numbers.
    """
    names = writes.split()

    def decorate(function: Callable[..., Any]) -> Callable[..., None]:
        parameters = list(inspect.signature(function).parameters)
        places = [parameters.index(name) for name in names]

        @functools.wraps(function)
        def written(*arguments: Any) -> None:
            new = function(*arguments)
            for place, values in reversed(list(zip(places, new if len(places) > 1 else [new], strict=True))):
                arguments[place][...] = values

        return written if kernels.numpy_only else Operation(written, writes, False, {}, function)

    return decorate


def reference(function: Callable[P, R]) -> Callable[P, R]:
    """Return the NumPy function of an operation."""
    return function.reference if isinstance(function, Operation) else function


def ready(calls: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]] | None:
    """Return what has to be called, and with what, to do the same without a line of Python inside; None where it can't.

    For whoever must not be interrupted between two calls, or within one.

    Args:
        calls: functions, each with its arguments.
    """
    found = []
    for call in calls:
        function = call[0]
        if type(function) is Operation:
            code = function.machine_code
            if code is None or call[1].dtype is not function.dtype:
                return None
            call = (code, threads.team(), *call[1:]) if function.has_team else (code, *call[1:])
        elif isinstance(function, (FunctionType, MethodType)):
            return None
        found.append(call)
    return found


class Operation:
    """A NumPy function, and the machine code that does the same.

    Machine code believes what it was compiled for: an array of another form (float type, order in memory, alignment)
    is no array of its own, and is refused before anything is read.  Then the arguments are brought to the right form,
    and what was written is copied back.  The usual call pays nothing for that.

    Attributes:
        reference: the NumPy function.
        name: "room.name"; the loops have the same in `kernels`, where they aren't made of a formula.
        formula: a function of single numbers to make the loops of, or None.
        parameters: of the function: by name, what each argument shall be (an array, a number, numbers).
        writes: names of the arrays that are written to.
        dtypes: by name, of the arrays that don't hold floats.
        machine_code: what numba has made of the loops; None until the first call.
        has_team: whether its first argument are the threads that share its work (see `kernels.team`).
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        writes: str,
        same_bits: bool,
        dtypes: dict[str, str],
        formula: Callable[..., Any] | None = None,
    ):
        functools.update_wrapper(self, reference)
        self.reference, self.same_bits, self.formula = reference, same_bits, formula
        self.name = f"{reference.__module__.rpartition('.')[2]}.{reference.__name__}"
        self.parameters = {name: p.annotation for name, p in inspect.signature(reference).parameters.items()}
        first = next(iter(self.parameters))
        self.writes = frozenset(writes.split() or [first])
        self.dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self.dtype = self.dtypes.get(first, FLOAT32)
        self.machine_code: Callable[..., Any] | None = None
        self.has_team = False
        operations[self.name] = self

    def __call__(self, *arguments: Any) -> Any:
        """Run the machine code, or the NumPy function where that is asked for (see above).

        Raises:
            TypeError: An argument is of a type that can't become the right one without loss.
            ValueError: The shapes don't go together, or an array to be written to is read-only.
        """
        code = self.machine_code
        if code is not None:
            try:
                if arguments[0].dtype is self.dtype:  # the usual case
                    return code(threads.team(), *arguments) if self.has_team else code(*arguments)
            except (Unfit, AttributeError):
                pass
        given, copies = self._brought(arguments)
        if given[0].dtype == FLOAT64 or kernels.numpy_only or (self.same_bits and "numba" not in sys.modules):
            result = self._by_reference(given)
        else:
            result = self._by_machine_code(given)
        return _finished(result, copies)

    def compiled(self, *arguments: Any) -> Any:
        """Run the machine code, made at the first use and kept on disk between runs."""
        given, copies = self._brought(arguments, FLOAT32)
        return _finished(self._by_machine_code(given), copies)

    def _by_reference(self, arguments: list[Any]) -> Any:
        # On some processors BLAS also computes with lanes that it throws away, and NumPy warns of what they held.
        with np.errstate(invalid="ignore"):
            return self.reference(*arguments)

    def _by_machine_code(self, arguments: list[Any]) -> Any:
        if self.machine_code is None:
            _prepared(self.compile)
        if self.machine_code is None:
            return self._by_reference(arguments)
        try:
            return self.machine_code(*((threads.team(),) if self.has_team else ()), *arguments)
        except Unfit:
            pairs = zip(self.parameters, arguments, strict=True)
            received = ", ".join(f"{n} {a.shape if isinstance(a, np.ndarray) else a}" for n, a in pairs)
            raise ValueError(f"{self.name}: the shapes don't go together. Received: {received}.") from None

    def compile(self) -> None:
        """Make the machine code, or take it from the disk; where that fails, NumPy computes from now on."""
        room, _, name = self.name.partition(".")
        if self.formula is None:
            loops = getattr(importlib.import_module(f"{kernels.__name__}.{room}"), name)
        else:
            from ..kernels.elementwise import looped

            vectors = [name for name, kind in self.parameters.items() if _is_array(kind)]
            loops = looped(self.formula, vectors, [name for name in vectors if name in self.writes])
        from ..kernels.cache import kept_on_disk, specialised

        if kernels.numpy_only:
            return  # the import itself compiles some functions, and may have failed in that
        try:
            self.has_team = next(iter(inspect.signature(loops).parameters)) == "team"
            board = (threads.NOBODY,) if self.has_team else ()
            self.machine_code = specialised(kept_on_disk(loops), (*board, *map(self._example, self.parameters)))
        except MemoryError:
            raise
        except Exception as error:
            kernels.do_without(error)

    def _example(self, parameter: str) -> Any:
        """Return an argument of the one type that machine code is made for."""
        kind = self.parameters[parameter]
        if _is_array(kind):
            axes = get_args(kind)[1] if get_args(kind) else 1
            return np.empty((0,) * axes, self.dtypes.get(parameter, FLOAT32))
        return (0, 0) if kind == Pair else _plain(0, np.float32, kind)

    def _brought(
        self, arguments: Iterable[Any], floats: "np.dtype[Any] | None" = None
    ) -> tuple[list[Any], list[tuple[np.ndarray, np.ndarray]]]:
        """Return the arguments in the form that machine code takes, and what has to be copied back afterwards.

        As pairs: an array of the caller's, and what was written in its place.  Floats of 64 bits are asked for by an
        array of such to write to.
        """
        first = next(iter(arguments), None)
        if not isinstance(first, np.ndarray):
            raise TypeError(f"{self.name}: expected an array to write to, received {type(first).__name__}.")
        if floats is None:
            floats = FLOAT64 if self.dtype is FLOAT32 and first.dtype == FLOAT64 else FLOAT32
        given, copies = [], []
        for (name, kind), argument in zip(self.parameters.items(), arguments, strict=True):
            if not _is_array(kind):
                given.append(_plain(argument, floats.type, kind))
                continue
            dtype = self.dtypes.get(name, floats)
            array, written = np.asarray(argument), name in self.writes
            if written and not (isinstance(argument, np.ndarray) and argument.flags.writeable):
                raise ValueError(f"{self.name}: {name} is read-only, and is to be written to.")
            if array.dtype == dtype and array.flags.carray:
                given.append(array)
                continue
            if not _can_become(array.dtype, dtype, written):
                raise TypeError(f"{self.name}: {name} of {array.dtype} can't stand for {dtype}.")
            given.append(np.array(array, dtype, order="C", subok=False))
            if dtype.kind != "f" and not np.array_equal(given[-1], array):
                raise ValueError(f"{self.name}: {name} of {array.dtype} holds numbers that {dtype} doesn't.")
            if written:
                copies.append((argument, given[-1]))
        return given, copies


def _is_array(kind: Any) -> bool:
    return kind is np.ndarray or np.ndarray in get_args(kind)


def _finished(result: Any, copies: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Return the result once what was written stands where it belongs."""
    for array, copy in copies:
        array[...] = copy
    return result


def _can_become(there: "np.dtype[Any]", here: "np.dtype[Any]", and_back: bool) -> bool:
    """Return whether numbers of a type mean the same in another; floats may lose digits."""
    if here.kind == "f":
        return there.kind == "f" or (there.kind in "iub" and not and_back)
    return there.kind in "iub" and (not and_back or np.can_cast(here, there, "safe"))


def _plain(argument: Any, number: Callable[[Any], Any], kind: Any) -> Any:
    """Return numbers as machine code takes them."""
    if kind is bool:
        return bool(argument)
    if isinstance(kind, type) and issubclass(kind, np.floating):
        return number(np.asarray(argument).item())
    return tuple(map(int, argument))


_noticed = False


def _notice() -> None:
    """Tell, once, what the user waits for."""
    global _noticed
    cache = sys.modules.get(f"{kernels.__name__}.cache")
    if not _noticed and getattr(cache, "compiling", False):  # else it only loads, or `cache` itself does
        _noticed = True
        kernels.tell("compiling its kernels for this processor, once; some seconds ...")


def _prepared(work: Callable[[], Any]) -> Any:
    """Return work(), which may compile: undisturbed, and announced where it takes more than a second."""
    return undisturbed(work, meanwhile=_notice)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> ModuleType:
        if name in ROOMS:
            return importlib.import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
