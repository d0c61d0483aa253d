"""Several arrays where a simple model has one: a list, tuple or dictionary of them, also one inside another.

    flatten  the arrays in one order: dictionaries by their sorted keys, as Keras does
    pack     the same in the form that the user gave or expects

Inside the engine several arrays travel as a `Bundle`, in the order of the model's inputs or outputs.  `data` cuts and
shuffles bundles without looking into them.  Keras's counterpart: `keras.tree`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .names import did_you_mean


class Bundle:
    """Arrays with the same samples: one for each input, or each output, of a model; None for an output without a loss.

    It is cut like an array: `bundle[0:32]`, `bundle.take(rows, 0)`, and its length is the number of samples.
    """

    def __init__(self, arrays: Iterable[Any]):
        self.arrays = list(arrays)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return next((len(a) for a in self.arrays if a is not None), 0)

    def __getitem__(self, rows: Any) -> "Bundle":
        return self.map(lambda a: a[rows])

    def take(self, rows: np.ndarray, axis: int = 0) -> "Bundle":
        """Return the bundle of these rows."""
        return self.map(lambda a: a.take(rows, axis))

    def map(self, function: Callable[[Any], Any]) -> "Bundle":
        """Return the bundle of what a function makes of each array."""
        return Bundle(None if a is None else function(a) for a in self.arrays)

    @property
    def shape(self) -> list[Any]:
        """The shapes of the arrays."""
        return [None if a is None else a.shape for a in self.arrays]


def flatten(structure: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dictionaries; of the latter by sorted keys."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flatten(part)]
    return [structure]


def pack(structure: Any, leaves: Iterable[Any]) -> Any:
    """Return the leaves in the form of a structure: what `flatten` takes apart."""
    leaves = iter(leaves)
    if isinstance(structure, dict):
        filled = {key: pack(structure[key], leaves) for key in sorted(structure)}
        return {key: filled[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        parts = [pack(part, leaves) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return next(leaves)


def paths(structure: Any) -> list[tuple[Any, ...]]:
    """Return the keys and indices that lead to each of the leaves, in the order of `flatten`."""
    if isinstance(structure, dict):
        return [(key, *path) for key in sorted(structure) for path in paths(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [(i, *path) for i, part in enumerate(structure) for path in paths(part)]
    return [()]


def is_nested(structure: Any) -> bool:
    """Tell a list, tuple or dictionary from a leaf."""
    return isinstance(structure, (list, tuple, dict))


def flatten_like(
    structure: Any, given: Any, names: Sequence[Sequence[str]], owner: str, optional: Sequence[bool] | None = None
) -> list[Any]:
    """Return the leaves of what was given, in the order of `flatten(structure)`.

    Args:
        structure: of the model's inputs or outputs.
        given: the same structure; or a list in the order of the leaves; or a dictionary by name; or, where all
            leaves but one may be missing, that one.
        names: of each leaf, the names by which a dictionary may call it.
        owner: what an error calls the whole, such as `"Model 'm', x"`.
        optional: which leaves may be missing in a dictionary, or be left out of a list; they become None.

    Raises:
        ValueError: another number of leaves, a name that is missing; where all may be missing, one that means nothing.
    """
    count = len(names)
    optional = [False] * count if optional is None else optional
    if isinstance(given, dict):
        if isinstance(structure, dict) and _is_deep(structure):
            return _in_form(structure, given, owner)
        if isinstance(structure, dict):
            names = [(key,) for key in sorted(structure)]
        if all(optional):
            _check_known(names, given, owner)
        return [_named(given, known, owner, missing) for known, missing in zip(names, optional, strict=True)]
    if count == 1:  # of which a list may be the numbers
        alone = is_nested(given) and len(given) == 1 and getattr(given[0], "ndim", 0) > 0
        return [given[0] if alone else given]
    if not is_nested(given):
        if sum(optional) == count - 1:
            return [None if missing else given for missing in optional]
        raise ValueError(
            f"{owner}: expected {count} arrays, for {_listed(names)}; received one. Give a list of them, or a "
            f"dictionary {{{names[0][0]!r}: ..., {names[1][0]!r}: ...}}."
        )
    if isinstance(structure, dict) and list(structure) != sorted(structure):
        raise ValueError(f"{owner}: expected a dictionary with the keys {list(structure)}, as no order is implied.")
    is_flat = len(given) == count and not any(map(is_nested, given))
    leaves = _in_form(structure, given, owner) if _is_deep(structure) and not is_flat else list(given)
    if len(leaves) == count - sum(optional) < count:
        rest = iter(leaves)
        return [None if missing else next(rest) for missing in optional]
    if len(leaves) != count:
        raise ValueError(f"{owner}: expected {count} arrays, for {_listed(names)}; received {len(leaves)}.")
    return leaves


def _is_deep(structure: Any) -> bool:
    parts = structure.values() if isinstance(structure, dict) else structure if is_nested(structure) else ()
    return any(map(is_nested, parts))


def _in_form(structure: Any, given: Any, owner: str) -> list[Any]:
    """Return the leaves of what has the form of a structure; lists and tuples count as the same."""
    if isinstance(structure, dict):
        _check_keys(structure, given, owner)
        return [leaf for k in sorted(structure) for leaf in _in_form(structure[k], given[k], f"{owner}[{k!r}]")]
    if isinstance(structure, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(structure):
            found = len(given) if isinstance(given, (list, tuple)) else type(given).__name__
            raise ValueError(f"{owner}: expected a list of {len(structure)}, received {found}.")
        return [leaf for i, part in enumerate(structure) for leaf in _in_form(part, given[i], f"{owner}[{i}]")]
    return [given]


def _check_keys(structure: dict[str, Any], given: Any, owner: str) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{owner}: expected a dictionary with the keys {list(structure)}.")
    for key in structure:
        if key not in given:
            raise ValueError(f"{owner}: {key!r} is missing among {list(given)}. {did_you_mean(key, map(str, given))}")


def _check_known(names: Sequence[Sequence[str]], given: dict[str, Any], owner: str) -> None:
    """Where any name may be missing, one that is misspelt would count for nothing."""
    known = [name for several in names for name in several]
    for name in given:
        if name not in known:
            raise ValueError(f"{owner}: nothing is called {name!r}. {did_you_mean(name, known)}")


def _named(given: dict[str, Any], names: Sequence[str], owner: str, optional: bool) -> Any:
    for name in names:
        if name in given:
            return given[name]
    if optional:
        return None
    hint = did_you_mean(names[0], map(str, given))
    raise ValueError(f"{owner}: {names[0]!r} is missing among the keys {list(given)}. {hint}")


def _listed(names: Sequence[Sequence[str]]) -> str:
    return ", ".join(known[0] for known in names)


__all__ = ["Bundle", "flatten", "flatten_like", "is_nested", "pack", "paths"]
