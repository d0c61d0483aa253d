"""What may happen beside training: a record of it, a progress line, stopping early, another learning rate.

`base` says what a callback is, `calling` how they are called; those in `reporting` tell what happens, those in
`steering` change its course.  A callback looks back at the model (`self.model`) through its public face only:
`stop_training`, `optimizer.learning_rate`, `metrics`, `get_weights` and `set_weights`.  Keras's counterpart:
`keras.callbacks`.
"""

from typing import TYPE_CHECKING, Any

from ..common.names import missing_attribute
from .base import Callback, LambdaCallback
from .calling import CallbackList
from .reporting import CSVLogger, History, ProgbarLogger
from .steering import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau, TerminateOnNaN

if TYPE_CHECKING:
    from .backup import BackupAndRestore
    from .checkpoints import ModelCheckpoint

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

_missing = missing_attribute(__name__, __all__)

if not TYPE_CHECKING:  # to a checker, a module with `__getattr__` has any name

    def __getattr__(name: str) -> Any:
        if name == "BackupAndRestore":  # which needs files
            from .backup import BackupAndRestore

            return BackupAndRestore
        if name == "ModelCheckpoint":
            from .checkpoints import ModelCheckpoint

            return ModelCheckpoint
        return _missing(name)
