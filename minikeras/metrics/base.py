"""What every metric is: something that takes in batches and has a result at any time."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import config
from ..common.arguments import checked
from ..common.names import auto_name
from ..common.serialization import Configurable


def as_number(result: Any, name: str) -> float | np.ndarray:
    """Return the result of a metric as a float, or as an array of its own: a `Variable` would go on changing.

    Raises:
        TypeError: something else than numbers.
    """
    if type(result) is float:
        return result
    numbers = np.array(result)
    if numbers.dtype.kind not in "buif":
        raise TypeError(f"Metric {name!r}: `result` must return numbers, or a dictionary of them; received {result!r}.")
    return numbers if numbers.ndim else float(numbers)


class Metric(Configurable):
    """The base of all metrics; derive from it to write your own (Keras: `keras.Metric`).

        class Largest(Metric):
            def __init__(self, name="largest", **kwargs):
                super().__init__(name=name, **kwargs)
                self.largest = self.add_variable((), "zeros", name="largest")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.largest.assign(max(self.largest, y_pred.max()))

            def result(self):
                return self.largest

    Args:
        dtype: the float type of the state; `config.floatx()` where None.
        name: the key in logs and History; made from the class name where None.
    """

    lends: ClassVar[dict[str, int]] = {"update_state": 3}

    def __init__(self, dtype: str | None = None, name: str | None = None):
        self.name = name or auto_name(type(self).__name__)
        numbers = np.dtype(dtype or config.floatx())
        if numbers.kind not in "fiu":  # "V1000000000" is a dtype, too, each element of which takes a gigabyte
            raise ValueError(f"{type(self).__name__}: expected `dtype` to be a type of numbers, received {dtype!r}.")
        self.dtype = numbers.name
        self._variables: list[Any] = []

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take in one batch: (y_true, y_pred, sample_weight=None)."""
        raise NotImplementedError(
            f"{type(self).__name__}: write update_state(self, y_true, y_pred, sample_weight=None)."
        )

    def update_buffered(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Do what `update_state` does, now or before somebody asks for a result; the arrays stay as they are."""
        self.update_state(y_true, y_pred)

    def apply_buffered(self) -> None:
        """Take in the batches that are still in the buffer."""

    #: Whether the trainer calls `update_from_logits` in place of `update_state`.
    takes_logits = False

    def look_behind_activation(self, possible: bool, dtype: str | None = None) -> None:
        """Settle `takes_logits`, given whether the model leaves out its last softmax or sigmoid."""

    def result(self) -> Any:
        """Return the value over all batches since the last `reset_state`."""
        raise NotImplementedError(f"{type(self).__name__}: write result(self), which returns a number.")

    def reset_state(self) -> None:
        """Forget all batches: set every variable to 0."""
        for variable in self._variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    @checked
    def add_variable(
        self, shape: Sequence[int], initializer: Any, dtype: Any = None, *, name: str | None = None
    ) -> Any:
        """Return a new array of state, a `parameters.Variable` that `reset_state` sets to 0."""
        from .. import initializers
        from ..variables import Variable

        variable = Variable(
            initializers.get(initializer or "zeros"), tuple(shape), dtype or self.dtype, trainable=False, name=name
        )
        self._variables.append(variable)
        return variable

    @checked
    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Any:
        """Do the same, as Keras 2 spells it; the initializer is `"zeros"` where None."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Any]:
        """The state, as far as it was made by `add_variable`."""
        return list(self._variables)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take in one batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
