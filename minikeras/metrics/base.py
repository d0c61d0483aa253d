"""What every metric is: something that takes in batches and has a result at any time."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import config, initializers
from ..common.arguments import checked
from ..common.budget import claim_array
from ..common.names import auto_name, is_built_in
from ..common.results import Result
from ..common.serialization import Configurable, constructor_arguments, serialize
from ..variables import Variable


def as_number(result: Any, name: str) -> float | np.ndarray:
    """Return the result of a metric as a float, or as an array of its own: a `Variable` would go on changing.

    Raises:
        TypeError: something else than numbers.
    """
    if type(result) is float or (type(result) is Result and not result.ndim):
        return float(result)
    numbers = np.array(result)
    if numbers.dtype.kind not in "buif":
        raise TypeError(f"Metric {name!r}: `result` must return numbers, or a dictionary of them; received {result!r}.")
    return numbers if numbers.ndim else float(numbers)


def _parts(value: Any) -> Iterator[Any]:
    """Yield what stands in nested lists, tuples and dictionaries, in order."""
    if isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    else:
        yield value


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

    tracked_as = "metrics"  # of a layer

    def __init__(self, dtype: str | None = None, name: str | None = None):
        self.name = name or auto_name(type(self).__name__)
        numbers = np.dtype(dtype or config.floatx())
        if numbers.kind not in "fiu":  # "V1000000000" is a dtype, too, each element of which takes a gigabyte
            raise ValueError(f"{type(self).__name__}: expected `dtype` to be a type of numbers, received {dtype!r}.")
        self._dtype = numbers.name
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The type of the state's numbers."""
        return self._dtype

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
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

    @checked
    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any,
        dtype: Any = None,
        aggregation: str | None = "sum",
        *,
        name: str | None = None,
    ) -> Any:
        """Return a new array of state, a `Variable` that `reset_state` sets to 0.

        `aggregation` is Keras's, for several devices: there is one.
        """
        self._check_super_called()
        shape, kind = tuple(shape), np.dtype(dtype or self.dtype)
        claim_array(shape, kind.itemsize, f"{type(self).__name__}: the variable {name!r}")
        # An array, which has memory also where a model is being loaded: no file holds a metric's state.
        make: Any = initializers.get("zeros" if initializer is None else initializer)
        variable = Variable(make(shape, dtype=kind.name), dtype=kind.name, trainable=False, name=name)
        variable.path = f"{self.name.replace('/', '>')}/{variable.name}"
        self._variables.append(variable)
        return variable

    @checked
    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Any:
        """Do the same, as Keras 2 spells it; the initializer is `"zeros"` where None."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state: variables and those of metrics that are attributes, or stand in lists or dictionaries there."""
        self.apply_buffered()
        held = list(_parts(list(vars(self).values())))
        found = [*self._variables, *(part for part in held if isinstance(part, Variable))]
        found += [variable for part in held if isinstance(part, Metric) for variable in part.variables]
        return list(dict.fromkeys(found))

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[np.ndarray]:
        """Return the state that `update_state` makes of this one; the metric's own stays as it is."""
        with self._holding(metric_variables):
            self.update_state(*args, **kwargs)
            return [variable.numpy() for variable in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Return the result that belongs to this state; the metric's own stays as it is."""
        with self._holding(metric_variables):
            result = self.result()
            return result.numpy() if isinstance(result, Variable) else result

    def stateless_reset_state(self) -> list[np.ndarray]:
        """Return the state before the first batch; the metric's own stays as it is."""
        with self._holding(self.variables):
            self.reset_state()
            return [variable.numpy() for variable in self.variables]

    @contextlib.contextmanager
    def _holding(self, state: Sequence[Any]) -> Iterator[None]:
        own = self.variables
        if len(state) != len(own):
            raise ValueError(
                "Argument `metric_variables` must be a list of tensors corresponding 1:1 to "
                f"{type(self).__name__}().variables. Received list with length {len(state)}, but expected {len(own)} "
                "variables."
            )
        kept = [variable.numpy() for variable in own]
        try:
            for variable, value in zip(own, [np.array(value) for value in state], strict=True):
                variable.assign(value)
            yield
        finally:
            self.apply_buffered()
            for variable, value in zip(own, kept, strict=True):
                variable.assign(value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take in one batch and return the result so far."""
        self._check_super_called()
        self.update_state(*args, **kwargs)
        return self.result()

    def _check_super_called(self) -> None:
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"You forgot to call `super().__init__()` in the `__init__()` method of {type(self).__name__}. "
                "Go add it!"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the metric; of a class of one's own, those that are attributes."""
        if is_built_in(type(self)):
            return super().get_config()
        return {n: serialize(getattr(self, n)) for n in constructor_arguments(type(self)) if hasattr(self, n)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
