"""What every callback is: hooks that are called while a model trains, evaluates or predicts."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

import numpy as np

from ..common.arguments import check_constructor
from ..common.names import did_you_mean
from .keeping import Check

Logs = dict[str, Any] | None


class Callback:
    """The base of all callbacks: every hook exists and does nothing.

        class StopAt(keras.callbacks.Callback):
            def __init__(self, accuracy):
                super().__init__()
                self.accuracy = accuracy

            def on_epoch_end(self, epoch, logs=None):
                if logs["accuracy"] >= self.accuracy:
                    self.model.stop_training = True

    `epoch` and `batch` count from 0.  `logs` maps names to numbers: at the end of a batch the means over the
    epoch so far, at the end of an epoch those of the whole epoch and, under `val_...`, of the validation.

    Attributes:
        params: `{"verbose": ..., "epochs": ..., "steps": ...}`; steps is None where unknown.
        model: the model that is being trained.
    """

    #: Whether the batch hooks also take logs in the form of a function that computes them.
    lazy_logs: ClassVar[bool] = False

    #: Whether it is called after all others, whom it then finds in `self.others`.
    runs_last: ClassVar[bool] = False

    #: What `BackupAndRestore` keeps of it: attribute -> tells whether a value from a file can be that; see `keeping`.
    backed_up: ClassVar[Mapping[str, Check]] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        check_constructor(cls)

    params: Any = None
    _model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    @property
    def model(self) -> Any:
        return self._model

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called when `fit` ends, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch of `fit` begins."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch of `fit` ends, after its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of `fit`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of `fit`."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when `evaluate` or a validation begins."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called when `evaluate` or a validation ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of `evaluate` or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of `evaluate` or of a validation."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of `predict`; `logs["outputs"]` are its predictions."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def plain_logs(logs: Any) -> dict[str, Any]:
    """Return logs with their names sorted and their numbers as Python floats, in a dictionary of its own.

    Dictionaries inside are flattened; what is not a number stays as it is.
    """
    logs = logs() if callable(logs) else logs
    plain: dict[str, Any] = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            plain.update(plain_logs(value))
            continue
        try:
            plain[name] = value if isinstance(value, np.ndarray) and value.ndim else float(value)
        except (TypeError, ValueError):
            plain[name] = value
    return plain


class LambdaCallback(Callback):
    """A callback made of functions.

        LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs["loss"]))

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs).
        **kwargs: functions for the other hooks of `Callback`; all else becomes an attribute, for code of one's own.

    Raises:
        TypeError: a name that is nearly that of a hook, which nothing would call.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ):
        given = {**locals(), **kwargs}
        del given["self"], given["kwargs"]
        for hook, function in given.items():
            if hook not in HOOKS and get_close_matches(hook, HOOKS, cutoff=0.9):
                raise TypeError(f"LambdaCallback: Callback has no hook {hook!r}. {did_you_mean(hook, HOOKS)}")
            if function is not None:
                setattr(self, hook, function)
