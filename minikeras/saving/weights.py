"""The layout of Keras 3's `.weights.h5`: a group for each layer, an array for each weight.

layers/conv2d/vars/0            the kernel of the first Conv2D; the group `vars` has the layer's name as attribute
layers/conv2d_1/vars/0          that of the second: groups are named by class and order, not by the layer's name
layers/sequential/layers/...    a model inside the model
layers/block/hidden/vars        a layer in the attribute `hidden` of another; `activation` is one of them
layers/block/parts/dense/vars   a layer in a list, tuple or dictionary; in one within that, parts/container/dense
encoder/vars                    of a class with a `call`: an attribute whose name comes before "layers"
layers/dropout/seed_generator/vars/0    [seed, counter]; Keras 3.15 neither writes nor looks at it
optimizer/vars/0, 1, ...        iteration, learning rate (unless scheduled), slots
vars                            the model itself, with its name
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..common.names import is_built_in, quoted, snake_case
from ..variables import Scalar, Variable, postponed
from . import hdf5
from .hdf5 import Source
from .untrusted import ModelFileError, warn

_MOST = 2**62  # of a counter, a seed, a learning rate


class Entry(NamedTuple):
    """What one group of the file holds: the arrays of one object, a layer, a generator of seeds or a metric."""

    path: str  # of the group, without its `vars`
    name: str
    owner: Any
    variables: list[Any]


def entries(model: Any) -> list[Entry]:
    """Return the groups that a model's file has, the optimizer's apart."""
    return list(_entries(model, "", set()))


def _entries(layer: Any, path: str, seen: set[int]) -> Iterator[Entry]:
    if id(layer) in seen:  # used twice, stored once
        return
    seen.add(id(layer))
    kind = type(layer).tracked_as
    if kind != "layers":
        yield Entry(path, layer.name, layer, [layer.state] if kind == "seed_generators" else list(layer.variables))
        return
    yield Entry(path, layer.name, layer, sorted(layer._weights, key=lambda v: not v.declared_trainable))
    for place, child in _attributes(layer):
        yield from _entries(child, f"{path}/{place}" if path else place, seen)


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    """Return what belongs to a layer, with the groups of the attributes in which it is, in the order of Keras.

    That is alphabetical, names with an underscore in front last; the layers of a graph or a chain come before all.
    """
    cls: Any = type(layer)
    known = _engines_own(cls)
    names = [name for name in dir(layer) if not (name in known or name.startswith("__"))]
    names.sort(key=lambda name: f"~{name}" if name.startswith("_") else name)
    is_chain_or_graph = getattr(layer, "graph", None) is not None or hasattr(layer, "add")
    for name in ["layers", *names] if is_chain_or_graph else names:
        try:
            value = getattr(layer, name)
        except Exception:  # a property that isn't ready
            continue
        yield from _belonging(name, value)


@functools.cache
def _engines_own(cls: Any) -> set[str]:
    """Return the names of attributes that the engine's own classes have; `layers` of a model is for all to see."""
    names = {name for base in cls.__mro__ if is_built_in(base) for name in vars(base)} - {"layers"}
    return names | {"_belongings", "_compile_arguments", "_input_layer", "_loss_tracker"}


def _belonging(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if getattr(type(value), "tracked_as", None) is not None:
        yield place, value
        return
    used: dict[str, int] = {}
    children = list(value.values()) if isinstance(value, dict) else value
    for child in children if isinstance(children, (list, tuple)) else ():
        nested = isinstance(child, (list, tuple, dict))
        if nested or getattr(type(child), "tracked_as", None) is not None:
            kind = "container" if nested else snake_case(type(child).__name__)
            count = used[kind] = used.get(kind, -1) + 1
            yield from _belonging(f"{place}/{kind}_{count}" if count else f"{place}/{kind}", child)


# Writing -----------------------------------------------------------------------------------------------------------


def image(model: Any, extra: Callable[[Any], None] | None = None) -> memoryview:
    """Return the bytes of a `.weights.h5` file; `extra(file)` may write more into it."""

    def fill(file: Any) -> None:
        for entry in entries(model):
            _write(file, entry)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            _write(file, Entry("optimizer", optimizer.name, optimizer, optimizer.variables))
        if extra is not None:
            extra(file)

    return hdf5.image(fill)


def _write(file: Any, entry: Entry) -> None:
    group = file.create_group(f"{entry.path}/vars" if entry.path else "vars")
    group.attrs["name"] = entry.name
    for i, v in enumerate(entry.variables):
        group[str(i)] = v.value


# Reading -----------------------------------------------------------------------------------------------------------

#: A variable and what it will hold; data sets are checked first, and read when all are known to fit.
Assignments = list[tuple[Any, Any]]


def load(model: Any, source: Source, skip_mismatch: bool = False, fresh: bool = False) -> None:
    """Fill a built model, and its optimizer if it has one, from a file of this layout.

    Everything is compared before anything changes: a file that doesn't fit is a ModelFileError.  State that the file
    hasn't, such as that of an optimizer, is left as it is.

    Args:
        skip_mismatch: leave layers alone, with a warning, whose weights differ in number or shape from the file's.
        fresh: whether the model was just made from the file's config, and is thrown away where this fails.
    """
    assignments, problems = [], []
    for entry in entries(model):
        try:
            assignments += _matched(source, entry)
        except ModelFileError as error:
            problems.append((entry, error))
    raise_or_warn(problems, skip_mismatch)
    optimizer = getattr(model, "optimizer", None)
    state = None
    if optimizer is not None and not problems:
        group = source.group(source.root, "optimizer/vars")
        count = 0 if group is None else len(group)
        state = OptimizerState(model, count, lambda i: source.numbers(group, str(i)))
    fill(assignments, state, source, fresh)


def listed(names: Iterable[str]) -> str:
    """Return the first names of many."""
    names = list(names)
    return ", ".join(map(quoted, names[:10])) + ", ..." * (len(names) > 10)


def raise_or_warn(problems: list[tuple[Entry, ModelFileError]], skip_mismatch: bool) -> None:
    """Say which layers could not be loaded: in a warning where they are to be skipped, else in an error."""
    if not problems:
        return
    names = listed(entry.name for entry, _ in problems)
    text = f"{len(problems)} of the model's layers do not fit the file ({names}). The first: {problems[0][1]}"
    if not skip_mismatch:
        raise ModelFileError(f"{text} Is it the same architecture? `skip_mismatch=True` loads the others.")
    warn(f"{text} They keep their weights.")


def _matched(source: Source, entry: Entry) -> Assignments:
    group = source.group(source.root, f"{entry.path}/vars")
    if group is None and entry.path.startswith("layers"):
        # Keras 2.13 ... 2.15 wrote these files too, with another word for `layers`.
        group = source.group(source.root, f"{entry.path}/vars".replace("layers", "_layer_checkpoint_dependencies", 1))
    found = 0 if group is None else len(group)
    if found == 0 and type(entry.owner).tracked_as != "layers":
        return []
    if found != len(entry.variables):
        raise ModelFileError(
            f"layer {quoted(entry.name)} has {len(entry.variables)} weights, the file has {found} "
            f"at {entry.path or '/'}/vars."
        )
    return [(v, source.numbers(group, str(i), v.shape)) for i, v in enumerate(entry.variables)]


class OptimizerState:
    """The state of an optimizer in a file, compared with what the model's optimizer has, or will have once built.

    Where they differ in number or shape, Keras warns and leaves the optimizer as it is; so here.  The file has `count`
    arrays; `array` returns that of a number, as a data set.
    """

    def __init__(self, model: Any, count: int, array: Callable[[int], Any]):
        self.model, self.optimizer = model, model.optimizer
        self.arrays: list[Any] = []
        self.wants_build = False
        if not count:
            return
        variables = self.optimizer.variables
        shapes, slots = [v.shape for v in variables], []
        expected = len(shapes)
        if not self.optimizer.built:
            slots = [v for group in self.optimizer.slot_groups() for v in model.trainable_weights for _ in group]
            after = [v.shape for v in slots] + [()] * self.optimizer.own_numbers
            expected += len(after)
            self.wants_build = count == expected > len(shapes)
            shapes += after if self.wants_build else []
        arrays = [array(i) for i in range(count)] if count == len(shapes) else []
        if [tuple(a.shape) for a in arrays] == shapes:
            self.arrays = arrays
            self.size = sum(v.value.nbytes for v in (slots if self.wants_build else variables))
            return
        self.wants_build = False
        warn(
            f"Skipping variable loading for optimizer {quoted(self.optimizer.name)}, which keeps its own state: for "
            f"{len(model.trainable_weights)} trainable weights it has {expected} variables, whereas the saved one "
            f"has {count}{', of other shapes' if count == expected else ''}. Another kind of optimizer was saved, or "
            "other weights were trainable."
        )


def fill(assignments: Assignments, state: OptimizerState | None, source: Source, fresh: bool) -> None:
    """Read all arrays, then copy them in: an error on the way leaves everything as it was.

    A fresh model has nothing to lose: each array is copied in, or is the weight, as soon as it is read.
    """
    claim = source.budget.claim
    arrays = [] if state is None else state.arrays
    if not fresh:
        claim(sum(v.value.nbytes for v, _ in assignments), "the weights")
    if state is not None and arrays and (state.wants_build or not fresh):
        claim(state.size, "the optimizer's state")
    if state is not None and arrays and state.wants_build:
        state.model.gather()
        with postponed():
            state.optimizer.build(state.model.trainable_weights)
    try:
        if state is not None and arrays:
            assignments = [*assignments, *zip(state.optimizer.variables, arrays, strict=True)]
        values = (_values(v, a) for v, a in assignments)
        for (v, _), value in zip(assignments, values if fresh else list(values), strict=True):
            if isinstance(v, Variable):
                v.settle(value)
            else:
                v.assign(value)
    finally:
        for v in state.optimizer.variables if state is not None and arrays else ():
            v.settle()


def _values(variable: Any, stored: Any) -> np.ndarray:
    """Return what a file holds for a variable, in the variable's own dtype.

    A number that no counter, seed or learning rate can have is a ModelFileError.
    """
    dtype = np.dtype(variable.dtype)
    if dtype.kind == "f" and not isinstance(variable, Scalar):
        values = np.empty(variable.shape, dtype)
        if values.size:
            stored.read_direct(values)
        return values
    found = np.asarray(stored[()])
    with np.errstate(all="ignore"):
        values = found.astype(dtype)
        good = np.array_equal(values, found) if dtype.kind == "i" else np.isfinite(values)
    if not good or (isinstance(variable, Scalar) and not 0 <= values < _MOST):
        kind = "counts, and seeds," if dtype.kind == "i" else "numbers >= 0"
        raise ModelFileError(f"it has {found} for {quoted(variable.path)}; expected {kind} of a usual size.")
    return values
