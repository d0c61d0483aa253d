"""Optimizers: how weights follow their gradients.

`base` holds what they share, `rules` and `more` the formulas, `schedules` learning rates that change.  Keras's
counterpart: `keras.optimizers`.
"""

from typing import Any

from ..common.names import refuse_other_names
from ..common.serialization import Table, deserializer, serialize
from . import schedules
from .base import Optimizer
from .more import Adadelta, Adagrad, Adamax, AdamW, Lion, Nadam
from .rules import SGD, Adam, RMSprop

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer", "RMSprop", "deserialize",
    "get", "schedules", "serialize",
]  # fmt: skip

_RULES = (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop)
_TABLE = Table("optimizer", "keras.optimizers", Optimizer, _RULES, {rule.__name__.lower(): rule for rule in _RULES})


def get(identifier: Any) -> Optimizer | None:
    """Return an optimizer from a name (in any case), a config, a class or an object; None stays None.

    Raises:
        ValueError: anything else, or an unknown name.
    """
    found = _TABLE.get(identifier.lower() if isinstance(identifier, str) else identifier)
    if found is None or isinstance(found, Optimizer):
        return found
    raise ValueError(f"Could not interpret optimizer identifier: {identifier!r}")


deserialize = deserializer(get)
refuse_other_names(
    __name__,
    __all__,
    {"LossScaleOptimizer": "It is for half precision, which is not here; any optimizer takes a `loss_scale_factor`."},
)
