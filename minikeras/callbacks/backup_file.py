"""The file of a backup: an HDF5 file with a state made of plain values, and a checksum behind it."""

import hashlib
import os
from typing import Any, BinaryIO

import numpy as np

from ..saving import ModelFileError
from ..saving.untrusted import parse_config

_DIGEST = hashlib.sha256().digest_size


def check_whole(file: BinaryIO) -> None:
    """Raise ModelFileError unless a file ends in the checksum of all that is before."""
    left, digest = os.fstat(file.fileno()).st_size - _DIGEST, hashlib.sha256()
    while left > 0 and (piece := file.read(min(left, 2**20))):
        digest.update(piece)
        left -= len(piece)
    if left or file.read() != digest.digest():
        raise ModelFileError("its checksum is wrong or missing: it is damaged, or holds no state of a training.")
    file.seek(0)


def encode(value: Any, arrays: list[np.ndarray] | None) -> Any:
    """Return the JSON form of a value; arrays go to the list and are named by their place, or stand inside as bytes."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        form = {"dtype": value.dtype.str, "scalar": isinstance(value, np.generic)}
        if arrays is None:
            return {**form, "shape": value.shape, "bytes": value.tobytes()}
        arrays.append(np.asarray(value, order="C"))
        return {**form, "array": len(arrays) - 1}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [encode(v, arrays) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(k, arrays), encode(v, arrays)] for k, v in value.items()]}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode(form: Any, arrays: Any) -> Any:
    """Return the value of a JSON form."""
    if isinstance(form, list):
        return [decode(f, arrays) for f in form]
    if not isinstance(form, dict):
        return form
    if set(form) == {"tuple"}:
        return tuple(decode(f, arrays) for f in form["tuple"])
    if set(form) == {"dict"}:
        return {decode(k, arrays): decode(v, arrays) for k, v in form["dict"]}
    require("state", set(form) == {"dtype", "scalar", "array"})
    array = arrays(form["array"])
    if array.dtype == np.uint8 and form["dtype"] == "|b1":
        array = array != 0
    require("state", array.dtype.str == form["dtype"] and form["scalar"] in (False, array.ndim == 0))
    return array[()] if form["scalar"] else array


def write(group: Any, state: dict[str, Any]) -> None:
    """Write a state into a group of an HDF5 file: a text, and the arrays that it names."""
    import json

    arrays: list[np.ndarray] = []
    text = json.dumps(encode(state, arrays)).encode()
    group["state"] = np.frombuffer(text, np.uint8)
    for i, array in enumerate(arrays):
        group[f"arrays/{i}"] = array.view(np.uint8) if array.dtype.kind == "b" else array


def read(source: Any) -> dict[str, Any]:
    """Return the state that a file holds."""
    group = source.group(source.root, "training")
    if group is None:
        raise ModelFileError("it holds weights, but no state of a training.")
    text = source.numbers(group, "state")[()].tobytes()
    form = parse_config(text, 512 * len(text))  # as long as it is: a history may be
    state = decode(form, lambda i: np.asarray(source.numbers(group, f"arrays/{int(i)}")[()]))
    require("state", isinstance(state, dict))
    return state


def require(field: str, is_right: bool) -> None:
    """Raise ModelFileError unless a field is right."""
    if not is_right:
        raise ModelFileError(f"its field {field!r} is missing, or not what a training of this model leaves.")
