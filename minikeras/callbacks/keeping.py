"""What a backup keeps of an object: which of its attributes, and which values it takes back from a file.

A backup is data, whoever made it: a text in it must not become a path that is written to, or stand where a method
stood.  So each class says what training changes, and how to tell whether a value can be that:

    backed_up = {"wait": is_count, "best": is_number}

Of classes of the user's own also those attributes are kept that hold numbers (arrays, or lists and dictionaries of
them), are there when `fit` begins, keep their form, and are no arguments of the constructor: those are options, and
stay what the script says.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..common.names import is_built_in

#: Tells whether a value from a file can be this attribute of an owner: (owner, value) -> bool.
Check = Callable[[Any, Any], bool]

_MOST = 2**63
_KINDS = {f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)} | {"bool"}


def is_count(owner: Any, value: Any) -> bool:
    """Tell whether the value is a number of epochs or batches."""
    return type(value) is int and 0 <= value < 2**31


def or_none(check: Check) -> Check:
    """Return a check that also takes None."""
    return lambda owner, value: value is None or check(owner, value)


def are_counts(owner: Any, value: Any) -> bool:
    """Tell whether the value is a list of numbers of epochs."""
    return isinstance(value, list) and all(is_count(owner, v) for v in value)


def is_number(owner: Any, value: Any) -> bool:
    """Tell whether the value is one number, or None before there was one."""
    if isinstance(value, int):
        return -_MOST <= value < _MOST
    return value is None or isinstance(value, float) or (isinstance(value, np.generic) and value.dtype.name in _KINDS)


def are_numbers(owner: Any, value: Any) -> bool:
    """Tell whether the value is a number, None, an array, or lists, tuples and dictionaries of such."""
    if isinstance(value, dict):
        names = all(isinstance(k, str) or is_number(owner, k) for k in value)
        return names and all(are_numbers(owner, v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return all(are_numbers(owner, v) for v in value)
    return (isinstance(value, np.ndarray) and value.dtype.name in _KINDS) or is_number(owner, value)


def is_record(owner: Any, value: Any) -> bool:
    """Tell whether the value is such as `{"loss": [0.5, 0.4]}`; what logs hold may also be texts."""
    return isinstance(value, dict) and all(
        isinstance(name, str)
        and isinstance(values, list)
        and all(isinstance(v, str) or are_numbers(owner, v) for v in values)
        for name, values in value.items()
    )


def are_names(owner: Any, value: Any) -> bool:
    """Tell whether the value is a list of texts, or None."""
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def are_weights(owner: Any, value: Any) -> bool:
    """Tell whether the value can be the weights of the owner's model, or is None."""
    if value is None:
        return True
    weights = owner.model.get_weights()
    return (
        isinstance(value, list)
        and len(value) == len(weights)
        and all(np.shape(v) == w.shape and getattr(v, "dtype", None) == w.dtype for v, w in zip(value, weights))  # noqa: B905
    )


def fields(thing: Any, declared: Mapping[str, Check]) -> dict[str, Check]:
    """Return the attributes of a callback or a metric that a backup keeps, each with its check."""
    known = dict(declared)
    if is_built_in(type(thing)):
        return known
    options = _options(type(thing))
    written: dict[str, Any] = {}
    for c in reversed(type(thing).__mro__):
        if not is_built_in(c) and c.__module__ != "builtins":
            written.update(vars(c))
    for name, value in {**written, **vars(thing)}.items():
        if not (name.startswith("__") or name in options) and are_numbers(thing, value):
            known.setdefault(name, _are_numbers_like(value))
    return known


def _are_numbers_like(now: Any) -> Check:
    """Return a check: numbers in the form that is there now (a list for a list); any where that is None."""
    if now is None:
        return are_numbers
    form = next((form for form in (dict, list, tuple, np.ndarray) if isinstance(now, form)), None)
    if form is None:
        return is_number
    return lambda owner, value: value is None or (isinstance(value, form) and are_numbers(owner, value))


def _options(cls: type) -> set[str]:
    """Return the names of all arguments of the constructors of a class and its bases; those are not restored."""
    names = {"params", "_model", "others"}
    for c in cls.__mro__[:-1]:
        if "__init__" in vars(c):
            names.update(inspect.signature(vars(c)["__init__"]).parameters)
    return names
