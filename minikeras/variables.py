"""All the numbers of a model in one vector, and named views of it.

    values     [ kernel | bias | kernel | bias | ... | state such as moving averages ]
    gradients  [ kernel | bias | kernel | bias | ... ]          the trainable prefix

An optimizer is then one loop over one vector, whatever the layers are.  Each variable starts on a 64-byte
boundary (a cache line, and the widest vector register); the padding stays zero.

Layers declare variables, models gather them here, optimizers step over them.
"""

import contextlib
import contextvars
import functools
import math
import operator
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from . import config
from .common.arguments import checked
from .common.attributes import VariableAttributes
from .common.budget import claim_array

ALIGNMENT = 64  # bytes

_postponed: contextvars.ContextVar[bool] = contextvars.ContextVar("postponed", default=False)


@contextlib.contextmanager
def postponed(yes: bool = True) -> Iterator[None]:
    """Let the variables made in this block have a shape but no memory until `Variable.settle`; or again memory at once.

    Loading a model compares shapes with a file's before it believes either.
    """
    token = _postponed.set(yes)
    try:
        yield
    finally:
        _postponed.reset(token)


class _OfThisThread(threading.local):
    changed: "dict[Variable, np.ndarray] | None" = None  # new values of the step under way


_of_this_thread = _OfThisThread()


class Changes:
    """Collects what `Variable.change` is given in a `with` block, for whoever lets all of it take effect at once."""

    def __enter__(self) -> "dict[Variable, np.ndarray]":
        changed: dict[Variable, np.ndarray] = {}
        _of_this_thread.changed = changed
        return changed

    def __exit__(self, *exception: object) -> None:
        _of_this_thread.changed = None


class Variable(VariableAttributes):
    """A named array of numbers that a layer owns, with its gradient beside it (Keras: `keras.Variable`).

    Args:
        initializer: an array, a number, or a function of (shape, dtype) that returns the first values.
        shape: needed where `initializer` is a function.
        dtype: `"float32"` or `"float64"`; `config.floatx()` where None.
        trainable: whether optimizers may change it.
        name: such as `"kernel"`.
        regularizer: its penalty is added to the model's loss.
        **options: `constraint`, and what Keras has for other machines; see `VariableAttributes`.

    Attributes:
        value: the array; a view into the model's vector once the model is built.
        gradient: d loss / d value, of the same shape; `backward` passes add to it.  None where not trainable.  After
            `Parameters.zero_gradients` it is filled with 0 when somebody looks at it.
        home: the vector that both are views of; None before the model is built.
        path: the name with those of its layer and model before it, `"sequential/dense/kernel"`.
        moves: how often any variable has moved to other arrays.
    """

    moves: ClassVar = 0

    value: np.ndarray
    home: "Parameters | None"
    _gradient: np.ndarray | None  # made when it is first asked for, which loading a file doesn't

    @checked
    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        *,
        name: str | None = None,
        regularizer: Any = None,
        **options: Any,
    ):
        kind = np.dtype(dtype or config.floatx())
        self._postponed: Any = None  # makes the first values, where `postponed` has put that off
        if callable(initializer):
            if shape is None:
                raise ValueError("Variable: an initializer that is a function needs `shape`.")
            claim_array(shape, kind.itemsize, f"the variable {name!r}")
            make = functools.partial(initializer, tuple(shape), dtype=kind.name)
            if _postponed.get():
                self._postponed = make
                self._live_in(np.broadcast_to(kind.type(0), tuple(shape)))  # every element is the same number
            else:
                initializer = make()
        if self._postponed is None:
            self._live_in(np.array(initializer, dtype=kind, order="C"))
        self.name = name or "variable"
        self.path = self.name
        self.regularizer = regularizer
        self._store_attributes(options)
        self.declared_trainable = bool(trainable)  # what `trainable` returns to when a layer is unfrozen
        self.trainable = bool(trainable)

    @property
    def gradient(self) -> Any:  # so that `v.gradient += ...` needs no check for None
        """d loss / d value, None where not trainable."""
        gradient, home = self._gradient, self.home
        if gradient is None:
            gradient = self._gradient_array()
        if gradient is not None and home is not None and self not in home.written:
            gradient.fill(0)
            home.written.add(self)
        return gradient

    @gradient.setter
    def gradient(self, numbers: Any) -> None:
        self._copy_in("gradient", numbers)

    def _gradient_array(self) -> np.ndarray | None:
        gradient = self._gradient
        if gradient is None and self.declared_trainable:
            home = self.home
            gradient = np.zeros_like(self.value) if home is None else home.view(home.gradients, self)
            self.__dict__["_gradient"] = gradient
        return gradient

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "value":
            self._copy_in(name, value)
        else:
            super().__setattr__(name, value)

    def _copy_in(self, name: str, numbers: Any) -> None:
        """Copy what is assigned into the array, which stays where it is: the model's vector would not see another."""
        array = getattr(self, name)
        if numbers is array:  # as after `v.gradient += 1`
            return
        if array is None:
            raise ValueError(f"Variable {self.path!r} is not trainable: it has no gradient to set.")
        numbers = np.asarray(numbers)
        if numbers.shape != self.shape:
            raise ValueError(
                f"Variable {self.path!r}: expected a {name} of shape {self.shape}, received shape {numbers.shape}."
            )
        array[...] = numbers

    def _live_in(self, value: np.ndarray, home: "Parameters | None" = None) -> None:
        vars(self).update(value=value, home=home, _gradient=None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim

    @property
    def dtype(self) -> str:
        """The name of the float type."""
        return self.value.dtype.name

    def numpy(self) -> np.ndarray:
        """Return a copy of the values; of one without axes, a number."""
        return self.value.copy()[()]

    def assign(self, value: Any) -> "Variable":
        """Copy new values in; the array stays where it is.

        Raises:
            ValueError: the shapes differ.
        """
        self.value = value
        return self

    @property
    def latest(self) -> np.ndarray:
        """The values, those included that the step under way has given by `change`."""
        changed = _of_this_thread.changed
        return self.value if not changed else changed.get(self, self.value)

    def change(self, value: np.ndarray) -> None:
        """Take new values together with the weights of the step under way; at once where there is none.

        For what a layer keeps beside, such as moving averages: a step that is interrupted then leaves them as they
        were.
        """
        changed = _of_this_thread.changed
        if changed is None:
            self.assign(value)
        else:
            changed[self] = value

    def settle(self, value: np.ndarray | None = None) -> None:
        """Take values over; a variable made under `postponed` gets its memory, and its first values where None.

        Args:
            value: an array that nobody else holds.
        """
        if value is None and self._postponed is None:
            return
        value = np.array(self._postponed()) if value is None else value
        if self._postponed is None or self.home is not None:
            self.assign(value)
        else:
            self._live_in(np.require(value, self.value.dtype, ["C", "W"]))
        self._postponed = None

    def move(self, value: np.ndarray, home: "Parameters | None" = None) -> None:
        """Copy the numbers to a new array of the same shape, and live there from now on."""
        value[...] = self.value
        Variable.moves += 1  # first: who is interrupted in between looks once too often
        self._live_in(value, home)

    def __getstate__(self) -> dict[str, Any]:
        # A copy (copy.deepcopy, pickle) is a variable of its own, and lives in nobody's vector until it is gathered.
        return {**self.__dict__, "value": self.value.copy(), "home": None, "_gradient": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # A copy unless refused: a stray `np.asarray(weight) += 1` must not train the model.
        return self.value.view() if copy is False else np.array(self.value, dtype=dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            kwargs["out"] = tuple(x.value if isinstance(x, Variable) else x for x in kwargs["out"])
        inputs = tuple(x.value if isinstance(x, Variable) else x for x in inputs)
        return getattr(ufunc, method)(*inputs, **kwargs)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.value[index].copy()

    # Two variables with equal numbers are still two variables: identity, as a key of a dictionary needs.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self is other if isinstance(other, Variable) else self.value == other

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, value={self.value}>"


class Scalar(Variable):
    """A variable that holds one number, and is formatted, rounded and counted with like one."""

    def __init__(self, value: float, path: str, dtype: str | None = None):
        super().__init__(value, dtype=dtype, trainable=False, name=path.rpartition("/")[2])
        self.path = path

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value[()], spec) if spec else str(self)

    def __round__(self, digits: int | None = None) -> float:
        return round(self.value.item(), digits)

    def __bool__(self) -> bool:
        return bool(self.value)

    # Two rates are equal when their numbers are, unlike two weights.
    __hash__ = Variable.__hash__

    def __eq__(self, other: object) -> Any:
        return self.value == (other.value if isinstance(other, Variable) else other)

    def __index__(self) -> int:
        return operator.index(self.value[()])


class Parameters:
    """One vector that holds the values of many variables, and one that holds their gradients.

    Args:
        variables: in the order of the layers; those declared trainable come first in the vector.

    Attributes:
        values: all numbers, aligned and padded.
        gradients: as long as the trainable prefix of `values`, slice for slice.
        written: variables to whose gradients somebody has written since `zero_gradients` was called.

    Raises:
        ValueError: the variables are of several float types.
    """

    def __init__(self, variables: Iterable[Variable]):
        variables = list(variables)
        kinds = {v.dtype for v in variables}
        if len(kinds) > 1:
            first = {v.dtype: v.path for v in reversed(variables)}
            raise ValueError(
                "All layers of a model share one dtype, received several: "
                + ", ".join(f"{kind} ({path})" for kind, path in sorted(first.items()))
                + ". Pass the same `dtype` to every layer, or call `config.set_floatx` before making them."
            )
        self.dtype = np.dtype(kinds.pop() if kinds else config.floatx())
        self.variables = sorted(variables, key=lambda v: not v.declared_trainable)
        self.slices: dict[Variable, slice] = {}
        end = self._trainable_end = 0
        for v in self.variables:
            self.slices[v] = slice(end, end + v.value.size)
            end = self._padded(end + v.value.size)
            if v.declared_trainable:
                self._trainable_end = end
        self.written: set[Variable] = set()
        self.values = aligned_zeros(end, self.dtype)
        for v, place in self.slices.items():
            v.move(self.values[place].reshape(v.shape), self)

    @functools.cached_property
    def gradients(self) -> np.ndarray:
        """The gradients' vector; made when it is first asked for."""
        return aligned_zeros(self._trainable_end, self.dtype)

    def zero_gradients(self) -> None:
        """Let all gradients be 0 from now on.

        Nothing is filled yet: most are written over in the next backward pass, before anybody looks at them.
        """
        self.written.clear()

    def settle_gradients(self, variables: "frozenset[Variable]") -> None:
        """Fill with 0 those of these variables that nobody has written to since."""
        if not variables <= self.written:
            for v in variables - self.written:
                self.view(self.gradients, v).fill(0)
                self.written.add(v)

    def _padded(self, size: int) -> int:
        step = ALIGNMENT // self.dtype.itemsize
        return math.ceil(size / step) * step

    def runs(self, variables: Iterable[Variable]) -> list[slice]:
        """Return the contiguous stretches of the vector that hold these variables, in order.

        One slice for a whole model; more where layers in the middle are frozen.
        """
        runs: list[slice] = []
        for place in sorted((self.slices[v] for v in variables), key=lambda s: s.start):
            stop = self._padded(place.stop)
            if runs and runs[-1].stop == place.start:
                runs[-1] = slice(runs[-1].start, stop)
            else:
                runs.append(slice(place.start, stop))
        return runs

    def view(self, vector: np.ndarray, variable: Variable) -> np.ndarray:
        """Return the part of a vector laid out like `gradients` that belongs to one variable, in its shape."""
        return vector[self.slices[variable]].reshape(variable.shape)


def to_write(*variables: Variable) -> tuple[list[Any], bool]:
    """Return where the gradients of a layer's variables are to be written, and whether to add to what is there.

    Else they are to be written over: nobody has added anything since `Parameters.zero_gradients`.
    """
    arrays: list[Any] = []
    for v in variables:
        home = v.home
        if home is None or v in home.written:
            return [v.gradient for v in variables], True
        array = v._gradient
        arrays.append(v._gradient_array() if array is None else array)
    for v in variables:
        v.home.written.add(v)  # type: ignore[union-attr]
    return arrays, False


def aligned_zeros(size: int, dtype: np.dtype) -> np.ndarray:
    """Return a zero vector whose first element stands on a 64-byte boundary."""
    raw = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * dtype.itemsize].view(dtype)
