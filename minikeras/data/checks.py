"""What data must be before anything is learned from it: numbers, finite, of one length, in the model's float type.

Everything that can be wrong with the data is found here, before training changes anything.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..common.names import quoted
from ..common.tree import Bundle

#: One batch or one whole data set: x, y, sample_weight; each an array, or a `tree.Bundle` of them, the latter two None
#: where there is none.
Triple = tuple[Any, Any, Any]

_CODES = np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"
#: The types of numbers, of Python and NumPy, among objects.
NUMBERS = {bool, int, float, *(np.dtype(code).type for code in _CODES)}

#: Makes bundles of what a user gives; see `batches`.
Arrange = Callable[[Any, Any, Any], tuple[Any, Any, Any]] | None


def standardize(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: dict[int, float] | None = None,
    dtype: str = "float32",
    where: str = "",
    arrange: Arrange = None,
    finite: bool = True,
) -> Triple:
    """Check and convert one batch or a whole data set; arrays that fit already are not copied.

    x, float targets and weights become C-contiguous arrays of `dtype`, booleans among the targets 0 and 1; integer
    targets stay what they are.  `where` follows the argument's name in errors; `finite` is False where NaN and
    infinity may pass, as for predictions.  Raises as `batches` does.
    """
    if x is None:
        raise ValueError("x is None: expected an array, or a stream of batches.")
    if arrange is not None:
        x, y, sample_weight = arrange(x, y, sample_weight)
    if sample_weight is not None and class_weight is not None:
        raise ValueError(
            "class_weight and sample_weight exclude each other: multiply the class weights into sample_weight."
        )
    x = each(_converted, x, "x" + where, dtype, False, finite)
    if y is not None or sample_weight is not None:
        y = each(_converted, y, "y" + where, dtype, True)
        sample_weight = each(_converted, sample_weight, "sample_weight" + where, dtype)
    check_lengths(x, y, sample_weight, where)
    if class_weight is not None:
        if y is None:
            raise ValueError(f"class_weight needs targets, but there is no y{where}.")
        if isinstance(y, Bundle):
            raise ValueError("class_weight works for models with a single output: give sample_weight for each.")
        sample_weight = class_to_sample_weights(y, class_weight, dtype)
    return x, y, sample_weight


def class_to_sample_weights(y: np.ndarray, class_weight: dict[int, float], dtype: str = "float32") -> np.ndarray:
    """Return the weight of each sample's class, shape (n,); 1 for classes that `class_weight` does not name.

    Args:
        y: class ids (n,) or (n, 1), or one-hot rows (n, classes), whose class is the argmax.

    Raises:
        ValueError: targets of more axes.
    """
    if y.ndim > 2:
        raise ValueError(f"class_weight needs one class per sample, and y has shape {y.shape}. Use sample_weight.")
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    classes, index = np.unique(np.round(y).astype(np.int64), return_inverse=True)
    return np.array([class_weight.get(int(c), 1.0) for c in classes], dtype=dtype)[index]


def each(function: Callable[..., Any], value: Any, name: str, *arguments: Any) -> Any:
    """Return what a function makes of an array, or of each array of a bundle, given with its name; None for None."""
    if isinstance(value, Bundle):
        return Bundle(each(function, a, f"{name}[{i}]", *arguments) for i, a in enumerate(value))
    return None if value is None else function(value, name, *arguments)


def arrays_of(x: Any, y: Any, sample_weight: Any) -> list[tuple[str, np.ndarray]]:
    """Return all arrays of a batch or a data set with their names."""
    arrays: list[tuple[str, np.ndarray]] = []
    for name, value in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        each(lambda a, name: arrays.append((name, a)), value, name)
    return arrays


def check_count(name: str, value: Any) -> None:
    """Raise TypeError or ValueError where a count is neither None nor a positive integer."""
    if value is None:
        return
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a positive integer, received {value!r} ({type(value).__name__}).")
    if value < 1:
        raise ValueError(f"{name}: expected a positive integer, received {value}.")


def check_lengths(x: Any, y: Any, sample_weight: Any, where: str = "") -> None:
    """Raise ValueError where arrays have different numbers of samples."""
    if y is None and sample_weight is None and not isinstance(x, Bundle):
        return
    lengths = {name: len(a) for name, a in arrays_of(x, y, sample_weight)}
    if len(set(lengths.values())) > 1:
        stated = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"The numbers of samples differ{where}: {stated}. Each sample needs one of each.")


def to_array(value: Any, name: str) -> np.ndarray:
    """Return a numeric array with a batch axis and at least one number, not yet of the model's type."""
    if isinstance(value, (list, tuple)) and value and all(getattr(part, "ndim", 0) for part in value):
        if len(value) > 1:
            raise ValueError(
                f"{name} is a {type(value).__name__} of {len(value)} arrays, which means several inputs or outputs, "
                "but one array was expected. If they are the samples of one array, pass np.stack(...); "
                "x and y are two arguments."
            )
        value = value[0]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: its rows differ in length or depth ({error}). Pad or cut them.") from None
    if array.dtype.kind == "O" and array.ndim and set(map(type, array.flat)) <= NUMBERS:
        array = np.array(array.tolist())  # as a table has them whose columns are of several kinds
    if array.dtype.kind not in "biuf":
        kind, hint = type(value).__name__, _hint(value, array)
        raise TypeError(f"{name}: expected numbers, received a {kind} of dtype {array.dtype}.{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name}: expected an array with the samples along its first axis, received {array[()]!r}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    return array


def _hint(value: Any, array: np.ndarray) -> str:
    """Return what may be done about an array of something else than numbers, and where the first of it stands."""
    if array.dtype.kind == "U":
        return " Encode text as numbers first."
    if array.dtype.kind != "O":
        return ""
    if array.ndim == 0:
        return " For a sparse matrix: x.toarray()." if hasattr(value, "toarray") else ""
    place, found = next((i, found) for i, found in np.ndenumerate(array) if type(found) not in NUMBERS)
    columns = getattr(value, "columns", None)
    where = f"index {place}" if columns is None else f"column {columns[place[1]]!r}, row {place[0]},"
    if getattr(found, "ndim", 0) or isinstance(found, (list, tuple)):
        shape = np.shape(found) if isinstance(found, np.ndarray) else f"length {len(found)}"
        return (
            f" At {where} there is a {type(found).__name__} of {shape}: np.stack makes one array of arrays that are of "
            "one shape; pad or cut others."
        )
    return f" At {where} there is {quoted(found)} ({type(found).__name__})."


def _converted(value: Any, name: str, dtype: str, keep_integers: bool = False, finite: bool = True) -> np.ndarray:
    array = original = to_array(value, name)
    kind = original.dtype.kind
    if keep_integers and kind in "biu":
        return np.ascontiguousarray(original, dtype=np.uint8 if kind == "b" else original.dtype.newbyteorder("="))
    if original.dtype != np.dtype(dtype) or not original.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.ascontiguousarray(original, dtype=dtype)
    if kind == "f" and finite:
        check_finite(name, array, original)
    return array


def check_finite(name: str, array: np.ndarray, original: np.ndarray) -> None:
    """Raise ValueError where an array, converted from `original`, has NaN or infinite numbers."""
    if array.dtype.kind != "f":
        return
    if math.isfinite(np.vdot(array, array)):  # any other number would have spoilt this sum
        return
    finite = np.isfinite(array)
    bad = finite.size - int(np.count_nonzero(finite))
    if bad:
        place = tuple(int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
        first = original[place]
        what = f"too large for {array.dtype}" if np.isfinite(first) else "NaN or infinite"
        raise ValueError(
            f"{name} contains {bad} value{'s' * (bad > 1)} that {'are' if bad > 1 else 'is'} {what}, "
            f"the first at index {place}: {first}. No loss can be computed with them: remove them, or replace them "
            "(np.nan_to_num)."
        )
