"""What a variable carries besides its numbers: who keeps them small, and who puts them back where they belong."""

from typing import Any

import numpy as np

from .arguments import ArgumentError
from .names import did_you_mean

#: What Keras's variables take for machines of several devices and for half precision, neither of which is here.
_FOR_OTHER_MACHINES = {
    "autocast": (True, False),
    "aggregation": (None, "none", "mean", "sum", "only_first_replica"),
    "synchronization": (None, "none", "on_read", "on_write", "auto"),
}


class VariableAttributes(np.lib.mixins.NDArrayOperatorsMixin):
    """The attributes of a variable that are not its numbers; see `Variable`, which derives from here.

    Attributes:
        regularizer: its penalty is added to the model's loss; a function, or None.
        constraint: gives the numbers that the variable is set to after each step; a function, or None.
        overwrite_with_gradient: whether an optimizer puts the gradient in the place of the numbers.
    """

    value: np.ndarray
    assign: Any
    regularizer: Any = None
    constraint: Any = None
    overwrite_with_gradient = False
    autocast = True
    aggregation: str | None = "none"
    synchronization: str | None = "auto"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("regularizer", "constraint") and not (value is None or callable(value)):
            raise ValueError(
                f"Invalid value for attribute `{name}`. Expected a callable (such as a "
                f"`keras.{name}s.{name.capitalize()}` instance) or `None`. Received: {name}={value}"
            )
        if name == "overwrite_with_gradient" and not isinstance(value, bool):
            raise TypeError(f"`overwrite_with_gradient` must be a boolean. Received: {value}")
        super().__setattr__(name, value)

    def _store_attributes(self, options: dict[str, Any]) -> None:
        """Store what a constructor was given besides the numbers.

        Raises:
            ArgumentError: an option that there isn't.
            ValueError: a value that an option can't have.
        """
        for name, value in options.items():
            if name != "constraint" and name not in _FOR_OTHER_MACHINES:
                first = ["initializer", "shape", "dtype", "trainable", "name", "regularizer", "constraint"]
                known = [*first, *_FOR_OTHER_MACHINES]
                raise ArgumentError(f"Variable: unknown argument {name!r}. {did_you_mean(name, known)}")
            if value not in _FOR_OTHER_MACHINES.get(name, (value,)):
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected one of {_FOR_OTHER_MACHINES[name]}. "
                    f"Received: {name}={value}"
                )
            if value is not None:
                setattr(self, name, value)

    def assign_add(self, value: Any) -> Any:
        """Add to the values in place."""
        return self.assign(self.value + np.asarray(value))

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the values in place."""
        return self.assign(self.value - np.asarray(value))

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)


for _operator in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"):
    # As in Keras, `v *= 2` makes v an array, and leaves the variable as it is; `optimizer.learning_rate *= 2` sets it.
    setattr(VariableAttributes, f"__i{_operator}__", getattr(VariableAttributes, f"__{_operator}__"))
