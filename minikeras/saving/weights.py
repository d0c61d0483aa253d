"""The layout of Keras 3's `.weights.h5`: a group for each layer, an array for each weight.

    layers/conv2d/vars/0            the kernel of the first Conv2D; the group `vars` has the layer's name as attribute
    layers/conv2d_1/vars/0          that of the second: groups are named by class and order, not by the layer's name
    layers/sequential/layers/...    a model inside the model
    encoder/vars, blocks/dense/vars     of a class with a `call`: layers in attributes whose names come before "layers"
    layers/dense/activation/vars    a layer that serves another as its activation
    layers/dropout/seed_generator/vars/0    [seed, counter]; Keras 3.15 neither writes nor looks at it
    optimizer/vars/0, 1, ...        iteration, learning rate (unless scheduled), slots
    vars                            the model itself, with its name

`archive` and `saving` call; reads through `untrusted`, and a model's layers by their public attributes.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..names import snake_case
from ..parameters import Variable
from ..random import SeedGenerator
from .untrusted import MAX_BYTES, ModelFileError, Source, check_total


class Entry(NamedTuple):
    """What one group of the file holds: the arrays of one object."""

    path: str  # of the group, without its `vars`
    name: str
    owner: Any
    variables: list[Any]


class _SeedState:
    """The two numbers of a `SeedGenerator`, in the form of a variable."""

    def __init__(self, generator: SeedGenerator):
        self.value, self.path = generator.state, generator.name

    shape, dtype = (2,), "int64"

    def assign(self, value: np.ndarray) -> None:
        """Copy the numbers in."""
        self.value[...] = value


def entries(model: Any) -> list[Entry]:
    """Return the groups that a model's file has, the optimizer's apart."""
    return list(_entries(model, "", set()))


def _entries(layer: Any, path: str, seen: set[int]) -> Iterator[Entry]:
    if id(layer) in seen:  # used twice, stored once
        return
    seen.add(id(layer))
    if isinstance(layer, SeedGenerator):
        yield Entry(path, layer.name, layer, [_SeedState(layer)])
        return
    own = sorted(layer._weights, key=lambda v: not v.declared_trainable)
    yield Entry(path, layer.name, layer, own)
    prefix = f"{path}/" if path else ""
    for place, child in _layers_inside(layer):
        yield from _entries(child, f"{prefix}{place}", seen)
    activation = getattr(layer, "activation", None)
    if hasattr(activation, "_weights"):
        yield from _entries(activation, f"{prefix}activation", seen)
    for name, value in sorted(vars(layer).items()):
        if isinstance(value, SeedGenerator):
            yield from _entries(value, f"{prefix}{name}", seen)


def _layers_inside(layer: Any) -> Iterator[tuple[str, Any]]:
    """Return the groups of the layers inside a layer; of a layer with several places, the first counts."""
    places = [("layers", getattr(layer, "layers", ()))]
    if getattr(layer, "_writes_call", False):
        attributes = sorted(vars(layer).items())
        places = [(name, v) for name, v in attributes if name < "layers" and not name.startswith("_")] + places
    for name, value in places:
        if hasattr(value, "_weights"):
            yield name, value
            continue
        used: dict[str, int] = {}
        children = list(value.values()) if isinstance(value, dict) else value
        for child in children if isinstance(children, (list, tuple)) else ():
            if hasattr(child, "_weights"):
                kind = snake_case(type(child).__name__)
                count = used[kind] = used.get(kind, -1) + 1
                yield f"{name}/{kind}_{count}" if count else f"{name}/{kind}", child


# Writing -----------------------------------------------------------------------------------------------------------


def image(model: Any, extra: Any = None) -> memoryview:
    """Return the bytes of a `.weights.h5` file; `extra(file)` may write more into it."""
    import io

    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for entry in entries(model):
            _write(file, entry)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            _write(file, Entry("optimizer", optimizer.name, optimizer, optimizer.variables))
        if extra is not None:
            extra(file)
    return buffer.getbuffer()


def _write(file: Any, entry: Entry) -> None:
    group = file.create_group(f"{entry.path}/vars" if entry.path else "vars")
    group.attrs["name"] = entry.name
    for i, v in enumerate(entry.variables):
        group[str(i)] = v.value


# Reading -----------------------------------------------------------------------------------------------------------

#: A variable and what it will hold; data sets are checked first, and read when all are known to fit.
Assignments = list[tuple[Any, Any]]


def load(model: Any, source: Source, skip_mismatch: bool = False, max_bytes: int = MAX_BYTES) -> None:
    """Fill a built model, and its optimizer if it has one, from a file of this layout.

    Everything is compared before anything changes.  State that the file hasn't, such as that of an optimizer, is left
    as it is.

    Args:
        model: built; compiled, where the optimizer is to be restored too.
        source: the file.
        skip_mismatch: leave layers alone, with a warning, whose weights differ in number or shape from the file's.
        max_bytes: of weights and optimizer state together.

    Raises:
        ModelFileError: the file does not fit, or isn't what it seems.
    """
    check_total(((v.shape, _item_size(v)) for v in model.weights), max_bytes, "the weights")
    assignments, problems = [], []
    for entry in entries(model):
        try:
            assignments += _matched(source, entry)
        except ModelFileError as error:
            problems.append((entry, error))
    raise_or_warn(problems, skip_mismatch)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not problems:
        assignments += optimizer_assignments(model, _optimizer_arrays(source), max_bytes)
    assign(assignments)


def raise_or_warn(problems: list[tuple[Entry, ModelFileError]], skip_mismatch: bool) -> None:
    """Say which layers could not be loaded: in a warning where they are to be skipped, else in an error."""
    if not problems:
        return
    names = ", ".join(repr(entry.name) for entry, _ in problems)
    text = f"{len(problems)} of the model's layers do not fit the file ({names}). The first: {problems[0][1]}"
    if not skip_mismatch:
        raise ModelFileError(f"{text} Is it the same architecture? `skip_mismatch=True` loads the others.")
    warnings.warn(f"{text} They keep their weights.", stacklevel=5)


def _matched(source: Source, entry: Entry) -> Assignments:
    group = source.group(source.root, f"{entry.path}/vars")
    if group is None and entry.path.startswith("layers"):
        # Keras 2.13 ... 2.15 wrote these files too, with another word for `layers`.
        group = source.group(source.root, f"{entry.path}/vars".replace("layers", "_layer_checkpoint_dependencies", 1))
    found = 0 if group is None else len(group)
    if found == 0 and isinstance(entry.owner, SeedGenerator):
        return []
    if found != len(entry.variables):
        raise ModelFileError(
            f"layer {entry.name!r} has {len(entry.variables)} weights, the file has {found} "
            f"at {entry.path or '/'}/vars."
        )
    return [(v, source.numbers(group, str(i), v.shape)) for i, v in enumerate(entry.variables)]


def _optimizer_arrays(source: Source) -> list[Any]:
    group = source.group(source.root, "optimizer/vars")
    return [] if group is None else [source.numbers(group, str(i)) for i in range(min(len(group), 1_000_000))]


def optimizer_assignments(model: Any, arrays: list[Any], max_bytes: int) -> Assignments:
    """Match an optimizer's state with that of a file; build the optimizer where the file's has made steps.

    Where they differ in number or shape, Keras warns and leaves the optimizer as it is; so here.
    """
    optimizer = model.optimizer
    if not arrays:
        return []
    trainable = model.trainable_weights
    if not optimizer.built and len(arrays) > len(optimizer.variables):
        slots = optimizer.slots()
        shapes = [v.shape for group in slots for v in trainable for _ in group] + [()] * optimizer.own_numbers
        if len(optimizer.variables) + len(shapes) == len(arrays) and all(
            a.shape == shape for a, shape in zip(arrays[-len(shapes) :], shapes, strict=True)
        ):
            sizes = [(v.shape, _item_size(v) * (1 + sum(map(len, slots)))) for v in trainable]
            check_total(sizes, max_bytes, "the weights and the optimizer's state")
            model.gather()
            optimizer.build(trainable)
    variables = optimizer.variables
    if [tuple(a.shape) for a in arrays] != [v.shape for v in variables]:
        warnings.warn(
            f"Optimizer {optimizer.name!r} keeps its own state: it has {len(variables)} variables, the saved one "
            f"{len(arrays)}, or of other shapes.",
            stacklevel=6,
        )
        return []
    return list(zip(variables, arrays, strict=True))


def assign(assignments: Assignments) -> None:
    """Read all arrays, then copy them in: an error on the way leaves everything as it was."""
    values = [np.asarray(a[()]) for _, a in assignments]
    for (v, _), value in zip(assignments, values, strict=True):
        if isinstance(v, Variable):
            v.settle(value)
        else:
            v.assign(value)


def _item_size(variable: Any) -> int:
    return np.dtype(variable.dtype).itemsize


__all__ = ["Entry", "assign", "entries", "image", "load", "optimizer_assignments", "raise_or_warn"]
