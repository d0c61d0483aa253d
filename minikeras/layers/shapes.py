"""Shapes and float types as layers are given them, checked."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import config
from ..common.arguments import ArgumentError, shown
from .policies import DTypePolicy

Shape = tuple[int | None, ...]


def dtype_policy(dtype: str) -> dict[str, Any]:
    """Return a float type in the form of Keras 3's configs."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}, "registered_name": None}


def checked_dtype(dtype: Any, owner: str) -> str:
    """Return the name of a float type, also one of a config; ValueError for any other."""
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    given = dtype.name if isinstance(dtype, DTypePolicy) else dtype
    name = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    if name not in ("float32", "float64"):
        raise ValueError(f"{owner}: expected dtype 'float32' or 'float64', received {dtype!r}.")
    return name


def first_shape(options: dict[str, Any], owner: str) -> Shape | None:
    """Take the Keras-2 spellings of a first layer's input shape out of `options`; return it with the batch axis."""
    given = {name: options.pop(name) for name in ("input_shape", "batch_input_shape", "input_dim") if name in options}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"{owner}: the input's shape is given once, received {', '.join(given)}.")
    for name, value in given.items():
        if name == "batch_input_shape":
            return checked_shape(value, owner, name)
        shape = checked_shape((value,) if name == "input_dim" else value, owner, name)
        return checked_shape((options.pop("batch_size", None),), owner, "batch_size") + shape
    return None


def checked_shape(shape: Any, owner: str, argument: str) -> Shape:
    """Return a shape as a tuple; an error where it isn't a sequence of positive integers (or None)."""
    if isinstance(shape, (int, np.integer)):
        raise ValueError(f"{owner}: {argument} is a tuple, such as ({shape},), received {shape!r}.")
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise ArgumentError(f"{owner}: {argument} is a tuple, received {shown(shape)}.")
    shape = tuple(shape)
    if not all(n is None or (isinstance(n, (int, np.integer)) and n > 0) for n in shape):
        raise ValueError(f"{owner}: {argument} consists of positive integers (or None), received {shape}.")
    return tuple(None if n is None else int(n) for n in shape)


def fixed_shape(shape: Any) -> Any:
    """Return a shape as a tuple, a list or dictionary of shapes as one of tuples."""
    if isinstance(shape, dict):
        return {key: fixed_shape(value) for key, value in shape.items()}
    several = len(shape) > 0 and isinstance(shape[0], (list, tuple))
    return [tuple(s) for s in shape] if several else tuple(shape)
