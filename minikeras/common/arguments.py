"""What public constructors and methods take: Keras's arguments, of the right kind; all else is refused by its name.

Python itself binds `Sequential(Flatten(), Dense(10))` to `layers` and `trainable`, and goes on.  `checked` compares
each argument with its annotation before anything is made: the annotation is the rule, and no class needs a check of its
own for what it says.  `serialization.Configurable` and `callbacks.Callback` have the constructors of this package
checked; methods and functions that people misread say `@checked`.
"""

import functools
import inspect
import os
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast, get_args, get_origin

import numpy as np

from .names import did_you_mean, is_built_in
from .openings import open_with

Function = TypeVar("Function", bound=Callable[..., Any])


class ArgumentError(TypeError, ValueError):
    """An argument that is unknown, one too many, or of the wrong kind; Keras raises now the one, now the other."""


#: What NumPy's numbers are; those without axes may also be arrays.
NUMPYS = (np.generic, np.ndarray)


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number, of Python or NumPy; True and False are none."""
    return hasattr(value, "__index__") and not isinstance(value, (bool, np.bool_)) and np.ndim(value) == 0


def is_number(value: Any) -> bool:
    """Whether a value is a number, of Python or NumPy; True, False and texts are none."""
    return hasattr(value, "__float__") and not isinstance(value, (bool, np.bool_)) and np.ndim(value) == 0


def plain(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's, which leaves the float type of arrays alone; all else as it is."""
    return value.item() if isinstance(value, NUMPYS) and np.ndim(value) == 0 else value


def _is_series(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) > 0


def _is_dtype(value: Any) -> bool:
    if value is None or isinstance(value, dict) or type(value).__name__ == "DTypePolicy":  # the last two as in Keras 3
        return True
    try:
        return np.dtype(value).kind in "biuf"
    except (TypeError, ValueError):
        return False


#: What an annotation stands for: how errors call it, and what belongs to it.
KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("an integer", is_integer),
    float: ("a number", is_number),
    bool: ("True or False", lambda value: isinstance(value, (bool, np.bool_))),
    str: ("a string", lambda value: isinstance(value, str)),
    type(None): ("None", lambda value: value is None),
    tuple: ("a tuple", _is_series),
    list: ("a list", _is_series),
    Sequence: ("a list", _is_series),
    Callable: ("a function", callable),
    os.PathLike: ("a path", lambda value: hasattr(value, "__fspath__")),
    np.dtype: ("a type of numbers, such as 'float32',", _is_dtype),
}


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the keys of `KINDS` that an annotation allows; none where it says something that can't be checked."""
    members = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    kinds = tuple(get_origin(member) or member for member in members)
    return kinds if all(kind in KINDS for kind in kinds) else ()


def checked(function: Function) -> Function:
    """Decorate a method, or a constructor, so that its arguments are compared with its annotations before it runs.

    Raises:
        ArgumentError: an argument that it doesn't have, or has twice; one too many by position; one of another kind
            than its annotation says.  A truth value is True or False by position; by name, 0 and 1 will do.

    NumPy's numbers become Python's: a float64 would make float32 arrays of a model float64.
    """
    code = function.__code__
    skipped = int(code.co_varnames[:1] == ("self",))
    in_order = code.co_varnames[skipped : code.co_argcount]
    names = code.co_varnames[skipped : code.co_argcount + code.co_kwonlyargcount]
    rules = {name: _kinds(np.dtype if name == "dtype" else function.__annotations__.get(name)) for name in names}
    is_constructor = function.__name__ == "__init__"
    takes_more = bool(code.co_flags & inspect.CO_VARKEYWORDS)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        given = args[skipped:]
        try:
            problem = misplaced(given, kwargs) or misnamed(kwargs)
            if problem:
                owner = type(args[0]).__name__ if is_constructor else function.__name__
                hint = getattr(args[0], "misread", "") if is_constructor and given else ""
                raise ArgumentError(f"{owner}: {problem}{hint and ' ' + hint}")
            if any(isinstance(value, NUMPYS) for value in (*given, *kwargs.values())):
                args = args[:skipped] + tuple(map(plain, given))
                kwargs = {name: plain(value) for name, value in kwargs.items()}
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:  # TypeError: an ArgumentError, or Python's where none has the new name
            today = in_spelling_of_today(args, kwargs) if kwargs and isinstance(error, TypeError) else None
            if today is None:
                if is_constructor:
                    open_with(error, type(args[0]), {**dict(zip(in_order, given, strict=False)), **kwargs})
                raise
        return wrapper(*args, **today)

    def in_spelling_of_today(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Return the arguments that were given by name, if some of them have names of Keras 2; see there."""
        from . import keras2

        if not is_constructor:
            return keras2.renewed(function, names, kwargs)
        cls = type(args[0])
        outermost = next((c for c in cls.__mro__ if is_built_in(c) and "__init__" in c.__dict__), None)
        return keras2.renewed(cls, names, kwargs) if outermost and outermost.__init__ is wrapper else None  # type: ignore[misc]

    def misplaced(given: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Say what is wrong with the arguments given by position."""
        problem = ""
        for place, (name, value) in enumerate(zip(in_order, given, strict=False)):
            if not _fits(value, rules[name], by_position=True):
                problem = _wrong(name, rules[name], *given[place:])
                break
            if name in kwargs:
                problem = f"`{name}` is given twice, as {shown(value)} by position, and by name."
        if len(given) > len(in_order) and not problem:
            problem = f"received {len(given)} arguments by position; {shown(given[len(in_order)])} is one too many."
        return problem and f"{problem} By position it takes {', '.join(in_order) or 'nothing'}."

    def misnamed(kwargs: dict[str, Any]) -> str:
        """Say what is wrong with the arguments given by name."""
        for name, value in kwargs.items():
            if name in rules and not _fits(value, rules[name]):
                return _wrong(name, rules[name], value)
            if name not in rules and not takes_more:
                return unknown(name, value, names)
        return ""

    return cast(Function, wrapper)


def check_constructor(cls: Any) -> None:
    """Have the constructor of a class of this package checked; a user's own class takes what it likes."""
    constructor = cls.__dict__.get("__init__")
    if constructor is not None and is_built_in(cls):
        cls.__init__ = checked(constructor)


def unknown(name: str, value: Any, known: Iterable[str]) -> str:
    """Say that there is no argument of a name, in Keras's words to begin with."""
    return f"Unrecognized keyword arguments: {{{name!r}: {shown(value)}}}. {did_you_mean(name, known)}"


def check_options(owner: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise ArgumentError where options that are kept for a function's calls are none of its arguments."""
    parameters = inspect.signature(getattr(function, "function", function)).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in options:
            if name not in parameters:
                raise ArgumentError(f"{owner}: {unknown(name, options[name], parameters)}")


def as_truth(owner: str, name: str, value: Any) -> bool:
    """Return True or False, also for 1 and 0; ArgumentError for all else, such as `"no"`."""
    if not _fits(value, (bool,)):
        raise ArgumentError(f"{owner}: {_wrong(name, (bool,), value)}")
    return bool(value)


def shown(value: Any, width: int = 80) -> str:
    """Return the `repr` of a value, shortened where it is long."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _fits(value: Any, kinds: tuple[Any, ...], by_position: bool = False) -> bool:
    truth_by_name = bool in kinds and not by_position and is_integer(value) and value in (0, 1)
    return not kinds or truth_by_name or any(KINDS[kind][1](value) for kind in kinds)


def _wrong(name: str, kinds: tuple[Any, ...], value: Any, *others: Any) -> str:
    """Say that a value is of no kind that the argument has; numbers where a tuple belongs are shown as one."""
    meant = (value, *others) if all(map(is_integer, (value, *others))) else (value,)
    example = f", such as {meant}," if tuple in kinds and is_integer(value) else ""
    return f"`{name}` is {' or '.join(KINDS[kind][0] for kind in kinds)}{example}, received {shown(value)}."
