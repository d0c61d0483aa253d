"""Optimizers: how weights follow their gradients.

`base` holds what they share, `rules` the formulas, `schedules` learning rates that change.
Training calls `get`, `build` and `step`; Keras's counterpart: `keras.optimizers`.
"""

from typing import Any

from ..names import missing_attribute
from ..serialization import Table
from ..serialization import deserialize as _deserialize
from ..serialization import serialize as _serialize
from . import schedules
from .base import Optimizer
from .rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer", "RMSprop", "deserialize",
    "get", "schedules", "serialize",
]  # fmt: skip

_RULES = {rule.__name__.lower(): rule for rule in (SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop)}
_TABLE = Table("optimizer", "keras.optimizers", [], _RULES)


def get(identifier: Any) -> Optimizer | None:
    """Return an optimizer from a name (in any case), a config, a class or an object; None stays None.

    Raises:
        ValueError: anything else, or an unknown name.
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return _TABLE.get(identifier.lower())
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    raise ValueError(f"Could not interpret optimizer identifier: {identifier!r}")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the config of an optimizer."""
    return _serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """Return the optimizer that a config describes; the user's own classes stand in `custom_objects` by name."""
    known = _RULES.get(str(config.get("class_name")).lower())
    if known is not None:  # older configs name no module, and "adam" for the class
        config = {**config, "module": known.keras_module, "class_name": known.__name__}
    return _deserialize(config, custom_objects)


__getattr__ = missing_attribute(__name__, __all__)
