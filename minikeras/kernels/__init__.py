"""The hot loops, each twice: a NumPy reference that states the mathematics, and a numba kernel that runs it.

A room of kernels is imported, numba with it, and a kernel compiled, at the first call that needs it; the machine code
is kept on disk.  A reference answers instead

- for float64 arrays, so that gradient checks need no second compilation,
- where it gives the same bits, until something else has imported numba, and
- for everything, where the environment says `MINIKERAS_KERNELS=numpy`, or nothing can be compiled.

    room        computes
    conv2d      convolutions and their gradients
    depthwise2d convolutions of each channel by itself
    blocks2d    a convolution, its rectifier and its pooling in one
    dense       products of matrices with biases, and their gradients
    elementwise activations and their derivatives
    pool2d      the largest or the mean cell under a window
    scores      softmax, and its crossentropy with the gradient
    updates     the rules of the optimizers
    philox      random numbers
    vectors     what the processor's vector registers do
    products    the one kernel that multiplies
    team        threads that share work

`python -m minikeras.kernels` compiles all of them ahead of time.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import threads
from .undisturbed import undisturbed

_ROOMS = (
    "blocks2d", "conv2d", "dense", "depthwise2d", "elementwise", "philox", "pool2d", "scores", "updates",
)  # fmt: skip
FLOAT32, FLOAT64 = np.dtype("float32"), np.dtype("float64")
_NUMPY_ONLY = os.environ.get("MINIKERAS_KERNELS") == "numpy" or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


class Unfit(ValueError):
    """Arguments that machine code must not get; raised by its dispatcher and by `agree`."""


class Kernel:
    """One operation and its twin.

    Machine code believes what it was compiled for: an array of another form (float type, order in memory, alignment)
    is no array of its own, and is refused before anything is read.  Then the arguments are brought to the right form,
    and what was written is copied back.  The usual call pays nothing for that.

    Attributes:
        reference: the NumPy function.
        loops: the same function in the form that numba compiles; where its first argument is `team`, it hands shares
            of its work to the threads of the team.
        same_bits: whether both give the same to the last bit; then the reference serves until numba is loaded.
        parameters: of the reference: by name, what each argument shall be (`np.ndarray`, a number, numbers).
        writes: names of the arrays that are written to.
        dtypes: by name, of the arrays that don't hold floats.
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        loops: Callable[..., Any],
        same_bits: bool = False,
        writes: str = "",
        **dtypes: str,
    ):
        self.reference, self.loops, self.same_bits = reference, loops, same_bits
        self.__name__, self.__doc__ = reference.__name__, reference.__doc__
        self.room = loops.__module__.rpartition(".")[2]
        self.has_team = next(iter(inspect.signature(loops).parameters)) == "team"
        self.parameters = {name: p.annotation for name, p in inspect.signature(reference).parameters.items()}
        first = next(iter(self.parameters))
        self.writes = frozenset(writes.split() or [first])
        self.dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self.dtype = self.dtypes.get(first, FLOAT32)
        self.machine_code: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the machine code, or the reference where that is asked for (see above).

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
        if given[0].dtype == FLOAT64 or _NUMPY_ONLY or (self.same_bits and "numba" not in sys.modules):
            result = self._by_reference(given)
        else:
            result = self._by_machine_code(given)
        return _finished(result, copies)

    def compiled(self, *arguments: Any) -> Any:
        """Run the machine code, made at the first use and kept on disk between runs."""
        given, copies = self._brought(arguments, FLOAT32)
        return _finished(self._by_machine_code(given), copies)

    def ready(self, *arguments: Any) -> tuple[Any, ...] | None:
        """Return the machine code and what it is called with, where it is there already and would be run; else None.

        For whoever must not be interrupted between two calls: this one has no line of Python inside.
        """
        code = self.machine_code
        if code is None or arguments[0].dtype is not self.dtype:
            return None
        return (code, threads.team(), *arguments) if self.has_team else (code, *arguments)

    def _by_reference(self, arguments: list[Any]) -> Any:
        # On some processors BLAS also computes with lanes that it throws away, and NumPy warns of what they held.
        with np.errstate(invalid="ignore"):
            return self.reference(*arguments)

    def _by_machine_code(self, arguments: list[Any]) -> Any:
        board = (threads.team(),) if self.has_team else ()
        try:
            if self.machine_code is None:
                _prepared(self._compile, board, arguments)
            if self.machine_code is None:
                return self._by_reference(arguments)
            return self.machine_code(*board, *arguments)
        except Unfit:
            raise ValueError(f"{self._called}: the shapes don't go together. {self._received(arguments)}") from None

    def _compile(self, board: tuple[Any, ...], arguments: list[Any]) -> None:
        if _NUMPY_ONLY:
            return
        from .__main__ import example

        if list(map(np.ndim, arguments)) != list(map(np.ndim, example(self))):
            raise Unfit
        try:
            from .cache import kept_on_disk, specialised

            self.machine_code = specialised(kept_on_disk(self.loops), (*board, *arguments))
        except (Unfit, MemoryError):
            raise
        except Exception as error:
            do_without(error)

    def _brought(
        self, arguments: Iterable[Any], floats: np.dtype | None = None
    ) -> tuple[list[Any], list[tuple[np.ndarray, np.ndarray]]]:
        """Return the arguments in the form that machine code takes, and what has to be copied back afterwards.

        As pairs: an array of the caller's, and what was written in its place.  Floats of 64 bits are asked for by an
        array of such to write to.
        """
        first = next(iter(arguments), None)
        if not isinstance(first, np.ndarray):
            raise TypeError(f"{self._called}: expected an array to write to, received {type(first).__name__}.")
        if floats is None:
            floats = FLOAT64 if self.dtype is FLOAT32 and first.dtype == FLOAT64 else FLOAT32
        given, copies = [], []
        for (name, kind), argument in zip(self.parameters.items(), arguments, strict=True):
            if kind is not np.ndarray:
                given.append(_plain(argument, floats.type, kind))
                continue
            dtype = self.dtypes.get(name, floats)
            array, written = np.asarray(argument), name in self.writes
            if written and not (isinstance(argument, np.ndarray) and argument.flags.writeable):
                raise ValueError(f"{self._called}: {name} is read-only, and is to be written to.")
            if array.dtype == dtype and array.flags.carray:
                given.append(array)
                continue
            if not _can_become(array.dtype, dtype, written):
                raise TypeError(f"{self._called}: {name} of {array.dtype} can't stand for {dtype}.")
            given.append(np.array(array, dtype, order="C", subok=False))
            if dtype.kind != "f" and not np.array_equal(given[-1], array):
                raise ValueError(f"{self._called}: {name} of {array.dtype} holds numbers that {dtype} doesn't.")
            if written:
                copies.append((argument, given[-1]))
        return given, copies

    @property
    def _called(self) -> str:
        return f"{self.room}.{self.loops.__name__}"

    def _received(self, arguments: Iterable[Any]) -> str:
        pairs = zip(self.parameters, arguments, strict=True)
        return "Received: " + ", ".join(f"{n} {a.shape if isinstance(a, np.ndarray) else a}" for n, a in pairs) + "."


def _finished(result: Any, copies: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Return the result once what was written stands where it belongs."""
    for array, copy in copies:
        array[...] = copy
    return result


def _can_become(there: np.dtype, here: np.dtype, and_back: bool) -> bool:
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


def twin(reference: Callable[..., Any], *options: Any, **named: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate loops that compute the same as `reference`, with the same arguments; see `Kernel`."""
    return lambda loops: Kernel(reference, loops, *options, **named)


def tell(news: str) -> None:
    """Say on one line what a user should know."""
    print(f"minikeras: {news}", file=sys.stderr)


def do_without(error: Exception) -> None:
    """Let the references compute from now on, as compiling has failed."""
    global _NUMPY_ONLY
    if not _NUMPY_ONLY:
        _NUMPY_ONLY = True
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        tell(f"can't compile its kernels ({reason}); NumPy does their work, several times slower.")


_noticed = False


def _notice() -> None:
    """Tell, once, what the user waits for."""
    global _noticed
    cache = sys.modules.get(f"{__name__}.cache")
    if not _noticed and getattr(cache, "compiling", False):  # else it only loads, or `cache` itself does
        _noticed = True
        tell("compiling its kernels for this processor, once; some seconds ...")


def _prepared(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return work(*arguments), which may compile: undisturbed, and announced where it takes more than a second."""
    return undisturbed(work, *arguments, meanwhile=_notice)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return _prepared(importlib.import_module, f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
