"""What layers, models, losses and metrics of Keras answer with: tensors, which have `.numpy()`."""

from typing import Any

import numpy as np

from .lending import owned


class Result(np.ndarray):
    """An array that can be asked for itself, `y.numpy()`, as Keras's tensors."""

    def numpy(self) -> np.ndarray:
        """Return the numbers as a plain array of its own."""
        return np.array(self, subok=False)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # Also of a single number: NumPy would make a scalar of it, which can't be asked.
        return np.asarray(array).view(Result)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else super().__format__(spec)


def as_result(value: Any, dtype: Any = None) -> Any:
    """Return numbers, or each array of a list, tuple or dictionary, as a `Result`; all else as it is."""
    if isinstance(value, (np.ndarray, np.floating, float)):
        return np.asarray(value, dtype).view(Result)
    if isinstance(value, (list, tuple)):
        return type(value)(as_result(v) for v in value)
    if isinstance(value, dict):
        return {name: as_result(v) for name, v in value.items()}
    return value


def returned(values: Any, given: Any) -> Any:
    """Return what a caller may keep and write to (see `lending.owned`), as results."""
    return as_result(owned(values, given))
