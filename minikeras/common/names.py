"""Names: automatic ones for objects, help where a user misspells one, and which modules are this package's."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping

_counters: dict[str, int] = {}


def snake_case(name: str) -> str:
    """Turn a class name into Keras's lower-case form: `Conv2D` -> `conv2d`, `InputLayer` -> `input_layer`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(class_name: str) -> str:
    """Return the next free name of a class: `dense`, then `dense_1`, `dense_2`, ..."""
    prefix = snake_case(class_name)
    count = _counters.get(prefix, 0)
    _counters[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def object_name(found: object) -> str:
    """Return what logs call something that may lack a name: `RMSE` -> `rmse`, a lambda -> `lambda`, as in Keras."""
    if hasattr(found, "name"):
        return found.name
    return snake_case(getattr(found, "__name__", type(found).__name__))


def is_built_in(thing: object) -> bool:
    """Whether a class, a function or an object's class is of this package."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] == __package__.partition(".")[0]


def clear_session(free_memory: bool = True) -> None:
    """Start automatic names anew: the next Dense layer is `dense` again."""
    _counters.clear()


def quoted(value: object, length: int = 100) -> str:
    """Return a value for a message: `repr`, which shows control characters instead of obeying them, cut to a length."""
    if isinstance(value, (str, bytes)) and len(value) > length:
        return f"{value[: length // 2]!r}...{value[-length // 4 :]!r} ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 2 * length else f"{text[:length]}..."


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a sentence that suggests the known name nearest to `name`, or those that it is a word of, or lists all."""
    from difflib import get_close_matches

    known = sorted(set(known))
    lowered = {k.lower(): k for k in known}
    near = get_close_matches(str(name)[:100].lower(), lowered, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {lowered[near[0]]!r}?"
    words = [repr(k) for k in known if str(name).lower() in k.lower().split("_")]
    return f"Did you mean {' or '.join(words)}?" if 0 < len(words) <= 3 else f"Known: {', '.join(known)}."


def missing_attribute(
    module: str, known: Iterable[str], reasons: Mapping[str, str] | None = None
) -> Callable[[str], object]:
    """Return a module-level `__getattr__` that knows the names of Keras 2, and whose error suggests the nearest.

    Or it says why a name is missing, where `reasons` knows it.
    """

    def __getattr__(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        from . import keras2

        if (found := keras2.find(module, name)) is not None:
            return found
        hint = (reasons or {}).get(name) or did_you_mean(name, known)
        raise AttributeError(f"module {module!r} has no attribute {name!r}. {hint}")

    return __getattr__


def refuse_other_names(module: str, known: Iterable[str], reasons: Mapping[str, str] | None = None) -> None:
    """Give a module such a `__getattr__`.

    Not by an assignment in the module: a type checker would take any name for one that the module has.
    """
    sys.modules[module].__dict__["__getattr__"] = missing_attribute(module, known, reasons)
