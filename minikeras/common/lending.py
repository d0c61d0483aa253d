"""What code of the user's own is handed: arrays to read, none to write to.

A tensor can't be written to.  An array can, and `y_pred[y_pred > 0.5] = 1` in a metric would change what the next
metric sees, `x *= 2` in a layer what another layer goes on using, or what the user gave to `fit`.  A class says in
`lends` which of its methods take such arrays, and how many; those that users write get views that are read-only.
`serialization.Configurable` asks for it where a class is made, so that this package's own classes pay nothing.  `owned`
is for the other direction: what users are handed to keep.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .names import is_built_in
from .tree import Bundle


def lent(value: Any) -> Any:
    """Return a view of an array, or of each in a list or dictionary, that can't be written to; all else as it is."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            value = value.view()
            value.flags.writeable = False
        return value
    if isinstance(value, Bundle):
        return value.map(lent)
    if type(value) in (list, tuple):
        return type(value)(map(lent, value))
    if type(value) is dict:
        return {name: lent(v) for name, v in value.items()}
    return value


def owned(values: Any, given: Any) -> Any:
    """Return arrays that a caller may write to: copies of those that are lent, or share memory with what was given."""
    others = [given] if isinstance(given, np.ndarray) else list(given)
    if type(values) is np.ndarray and values.base is None and values.flags.writeable:  # the usual case
        return values.copy() if any(values is other or other.base is values for other in others) else values
    several = isinstance(values, list)
    for i, value in enumerate(values := values if several else [values]):
        if not value.flags.writeable or any(np.may_share_memory(value, other) for other in others):
            values[i] = value.copy()
        others.append(values[i])
    return values if several else values[0]


def call_lending(function: Callable[..., Any], who: str, *arguments: Any, **options: Any) -> Any:
    """Call a function with arguments that are lent; ValueError naming `who` where it writes to one of them."""
    try:
        return function(*map(lent, arguments), **options)
    except ValueError as error:
        _explain(error, who)
        raise


def lending(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of the user's own one whose arguments are lent; one of this package stays as it is."""
    if is_built_in(function):
        return function

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return call_lending(function, f"Function {getattr(function, '__name__', function)!r}", *arguments, **options)

    return wrapper


def lend_to_methods(cls: Any) -> None:
    """Have the methods of a user's class that its `lends` names called with lent arguments."""
    if is_built_in(cls):
        return
    for name, count in cls.lends.items():
        if inspect.isfunction(method := cls.__dict__.get(name)):
            setattr(cls, name, _lending_method(method, count))


def _lending_method(method: Callable[..., Any], count: int) -> Callable[..., Any]:
    names = method.__code__.co_varnames[1 : count + 1]

    @functools.wraps(method)
    def wrapper(self: Any, *arguments: Any, **named: Any) -> Any:
        for name in names:
            if name in named:
                named[name] = lent(named[name])
        try:
            return method(self, *map(lent, arguments[:count]), *arguments[count:], **named)
        except ValueError as error:
            _explain(error, f"{type(self).__name__} {getattr(self, 'name', '')!r}: `{method.__name__}`")
            raise

    return wrapper


def _explain(error: ValueError, who: str) -> None:
    """Raise an error with the name of whoever wrote to an array, where NumPy's says that this is not allowed."""
    if "read-only" in str(error):
        raise ValueError(
            f"{who} writes to an array that it was given, and that is in use elsewhere. Make a new one: "
            "`x = x * 2` in place of `x *= 2`, or begin with `x = x.copy()`."
        ) from error
