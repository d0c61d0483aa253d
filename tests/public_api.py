"""The public names of the package as text, a line each: what a user's script may rely on.

python tests/public_api.py             print them all, to compare two versions of the package
python tests/public_api.py --write     keep those of public_api.txt, with which test_public_api.py compares
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
import types
from pathlib import Path

KEPT = Path(__file__).with_suffix(".txt")

#: Classes whose methods and attributes are listed once, and not again for those that derive from them.
BASES = (
    "Callback",
    "Constraint",
    "Initializer",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Variable",
)


def signature(function):
    """Return (x, y=1, ...) of a function or class."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    bare = inspect.Signature([p.replace(annotation=p.empty) for p in parameters])
    return re.sub(r" at 0x[0-9a-f]+", "", str(bare))


def set_by_methods(cls):
    """Return the names that a class's own methods give to `self`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return set()
    targets = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return {n.attr for n in targets if isinstance(n.value, ast.Name) and n.value.id == "self"}


def of_class(cls, path, everything):
    """Yield the lines of a class: how it is made, and what it has beside its base: methods, attributes."""
    own = [c for c in cls.__mro__ if c.__module__.startswith("minikeras")]
    base = next((c for c in own[1:] if c.__name__ in BASES), None)
    yield f"{path}{signature(cls)}{f': {base.__name__}' if base else ''}"
    own = [c for c in own if base is None or c not in base.__mro__]
    names = set().union(*(vars(c) for c in own), *(set_by_methods(c) for c in own), *map(inspect.get_annotations, own))
    for name in sorted(n for n in names if not n.startswith("_")):
        value = inspect.getattr_static(cls, name, None)
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if everything or (inspect.isroutine(value) and cls.__name__ == "Model"):
            yield f"{path}.{name}{signature(value) if inspect.isroutine(value) else ''}"


def of_room(module, path, everything):
    """Yield the lines of a module: all names that it exports."""
    yield path
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    for name in sorted(names):
        value, place = getattr(module, name), f"{path}.{name}"
        if inspect.isclass(value):
            yield from of_class(value, place, everything)
        elif not isinstance(value, types.ModuleType):
            yield f"{place}{signature(value) if callable(value) else ''}"
        elif value.__name__.startswith("minikeras"):
            yield from of_room(value, place, everything)


def lines(everything=False):
    """Return the public names, sorted; of classes' members only the methods of `Model`, or all."""
    return sorted(set(of_room(importlib.import_module("minikeras"), "keras", everything)))


if __name__ == "__main__":
    if "--write" in sys.argv:
        KEPT.write_text("\n".join(lines()) + "\n", encoding="utf-8")
    else:
        print("\n".join(lines(everything=True)))
