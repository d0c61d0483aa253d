"""What may happen beside training: a record of it, a progress line, stopping early, another learning rate.

`models` calls a `CallbackList` at every begin and end; it calls the hooks of its callbacks.  A callback looks back
at the model (`self.model`) through its public face only: `stop_training`, `optimizer.learning_rate`, `metrics`,
`get_weights` and `set_weights`.  Calls `config`, `console`, `names`.  Keras's counterpart: `keras.callbacks`.
"""

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import config
from .console import ProgressLine, say, verbosity
from .names import did_you_mean, missing_attribute

if TYPE_CHECKING:
    from .checkpoints import BackupAndRestore, ModelCheckpoint
    from .plotting import TrainingCurves

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
    "TrainingCurves",
]

Logs = Mapping[str, Any] | None


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

    params: Any = None
    _model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `params`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive `model`."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model that is being trained."""
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

#: The hooks called for every batch, each with the names that a callback may write it under.
BATCH_HOOKS = {name: (name,) for name in HOOKS if "_batch_" in name} | {
    "on_train_batch_begin": ("on_train_batch_begin", "on_batch_begin"),
    "on_train_batch_end": ("on_train_batch_end", "on_batch_end"),
}


class CallbackList(Callback):
    """Several callbacks as one: each hook calls that of all.

    For every batch only those callbacks are called that have a hook of their own for it, so that an idle list costs
    next to nothing.  The batch hooks take `logs` as a dictionary or as a function that returns one; the function is
    called only where a callback wants to see the numbers.

    Args:
        callbacks: one callback, or a (nested) list of them.
        add_history: append a `History` unless there is one.
        add_progbar: append a `ProgbarLogger` unless there is one.
        model: given to every callback.
        **params: given to every callback; `verbose`, `epochs` and `steps` in `fit`.

    Raises:
        TypeError: something that is not a callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        self.callbacks: list[Any] = _flat(callbacks)
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self.callbacks.sort(key=lambda c: getattr(c, "runs_last", False))
        self._find_batch_hooks()
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give `params` to every callback."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to every callback, and the history to the model."""
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            if getattr(callback, "runs_last", False):
                callback.others = [other for other in self.callbacks if other is not callback]
            callback.set_model(model)

    @property
    def wants_batches(self) -> bool:
        """Whether a callback looks at single batches of `fit`."""
        return bool(self._batch_hooks["on_train_batch_begin"] or self._batch_hooks["on_train_batch_end"])

    def _find_batch_hooks(self) -> None:
        self._batch_hooks = {
            name: [
                (getattr(callback, name), getattr(callback, "lazy_logs", False))
                for callback in self.callbacks
                if any(_overrides(callback, written) for written in names)
            ]
            for name, names in BATCH_HOOKS.items()
        }

    def _call(self, name: str, *arguments: Any) -> None:
        if name.endswith("_begin"):
            self._find_batch_hooks()  # a callback may have been given a hook since
        *index, logs = arguments
        logs = plain_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(*index, logs)

    def _call_batch(self, hooks: list[tuple[Callable[..., None], bool]], batch: int, logs: Any) -> None:
        plain = None
        for hook, lazy in hooks:
            if lazy:
                hook(batch, logs)
            else:
                if plain is None:
                    plain = plain_logs(logs)
                hook(batch, plain)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_epoch_end", epoch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_test_end", logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Call the hook of all callbacks."""
        self._call("on_predict_end", logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_train_batch_begin"]:
            self._call_batch(hooks, batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_train_batch_end"]:
            self._call_batch(hooks, batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_batch_begin"]:
            self._call_batch(hooks, batch, logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_batch_end"]:
            self._call_batch(hooks, batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_test_batch_begin"]:
            self._call_batch(hooks, batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_test_batch_end"]:
            self._call_batch(hooks, batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_predict_batch_begin"]:
            self._call_batch(hooks, batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the hook of the callbacks that have one."""
        if hooks := self._batch_hooks["on_predict_batch_end"]:
            self._call_batch(hooks, batch, logs)


def _flat(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [c for entry in callbacks for c in _flat(entry)]
    if isinstance(callbacks, type):
        raise TypeError(f"callbacks: received the class {callbacks.__name__}; make one, {callbacks.__name__}(...).")
    if not (hasattr(callbacks, "set_model") and hasattr(callbacks, "on_epoch_end")):
        hint = " Wrap a function: LambdaCallback(on_epoch_end=function)." if callable(callbacks) else ""
        raise TypeError(f"callbacks: expected a Callback or a list of them, received {callbacks!r}.{hint}")
    return [callbacks]


def _overrides(callback: Any, hook: str) -> bool:
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, hook)


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


class History(Callback):
    """The record that `fit` returns.

    Attributes:
        history: name -> its value after each epoch, such as `{"accuracy": [...], "loss": [...]}`.
        epoch: the numbers of the epochs, from 0.
    """

    def __init__(self):
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Number the epochs anew; the record of an earlier `fit` goes on."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Append to the record."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class ProgbarLogger(Callback):
    """Show how far `fit`, `evaluate` or `predict` has come.  They add one by themselves unless `verbose=0`."""

    lazy_logs = True

    def __init__(self):
        self.verbose, self.epochs = 1, 1
        self.target: int | None = None
        self.seen = 0
        self._line: ProgressLine | None = None
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `verbose`, `epochs` and `steps`."""
        super().set_params(params)
        self.verbose = verbosity(params["verbose"])
        self.epochs, self.target = params["epochs"], params["steps"]

    def on_train_begin(self, logs: Logs = None) -> None:
        """Remember that validations are silent now."""
        self._in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Let a later `evaluate` be seen again."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin a line."""
        self._begin()
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """End the line."""
        self._finish(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Begin a line, outside `fit`."""
        if not self._in_fit:
            self._begin()

    def on_test_end(self, logs: Logs = None) -> None:
        """End the line, outside `fit`."""
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Begin a line."""
        self._begin()

    def on_predict_end(self, logs: Logs = None) -> None:
        """End the line."""
        self._finish(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Redraw the line where it is due."""
        if self._line is None:  # a loop of the user's own, that began no epoch
            self._begin()
        self.seen = batch + 1
        if self.verbose == 1 and self._line.due(self.seen):
            self._line.draw(plain_logs(logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Redraw the line where it is due, outside `fit`."""
        if not self._in_fit:
            self.on_train_batch_end(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Redraw the line where it is due, without the predictions."""
        self.on_train_batch_end(batch)

    def _begin(self) -> None:
        self.seen = 0
        self._line = ProgressLine(self.target, self.verbose)

    def _finish(self, logs: Logs) -> None:
        if self.target is None:  # the first epoch has shown how many steps there are
            self.target = self._line.target = self.seen
        self._line.finish(logs)


class _Monitor(Callback):
    """What callbacks share that watch one number of the logs and ask whether it got better."""

    def __init__(self, monitor: str, mode: str, min_delta: float):
        if mode not in ("auto", "min", "max"):
            hint = did_you_mean(mode, ["auto", "min", "max"])
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode. {hint}", stacklevel=3
            )
            mode = "auto"
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None
        self._sign: int | None = None  # +1 where more is better, -1 where less is

    def improved(self, value: float, reference: float | None) -> bool:
        """Tell whether `value` is better than `reference` by more than `min_delta`."""
        if reference is None:
            return True
        # In the float type of the model, as Keras: what it can't tell apart is no improvement.
        as_float = np.dtype(config.floatx()).type
        value, reference = as_float(value - self._sign * self.min_delta), as_float(reference)
        return bool(self._sign * value > self._sign * reference)

    def find_direction(self, logs: Logs) -> None:
        """Find out whether more or less is better: from `mode`, or from the metric of that name."""
        if self._sign is not None:
            return
        name = self.monitor.removeprefix("val_")
        if self.mode != "auto":
            self._sign = 1 if self.mode == "max" else -1
        elif name == "loss":
            self._sign = -1
        else:
            direction = {m.name: _direction(m) for m in _metrics(self.model)}.get(name)
            if direction is None:
                known = "" if self.monitor in (logs or {}) else f" {did_you_mean(self.monitor, logs or ['loss'])}"
                raise ValueError(
                    f"{type(self).__name__} callback received monitor={self.monitor}, and can't tell whether that "
                    f"should be maximized or minimized. Pass `mode='max'` or `mode='min'`.{known}"
                )
            self._sign = 1 if direction == "up" else -1

    def warn_missing(self, message: str, logs: Logs) -> None:
        """Warn that `monitor` is not among the logs."""
        hint = f" {did_you_mean(self.monitor, logs)}" if logs else ""
        warnings.warn(
            f"{message} metric `{self.monitor}` which is not available. "
            f"Available metrics are: {','.join(logs or ())}.{hint}",
            stacklevel=3,
        )


#: Metrics of `metrics` by class name; a metric of the user's own says `_direction = "up"` or `"down"`, as in Keras.
_DIRECTIONS = {
    "Accuracy": "up",
    "BinaryAccuracy": "up",
    "CategoricalAccuracy": "up",
    "SparseCategoricalAccuracy": "up",
    "TopKCategoricalAccuracy": "up",
    "SparseTopKCategoricalAccuracy": "up",
    "Precision": "up",
    "Recall": "up",
    "AUC": "up",
    "FBetaScore": "up",
    "MeanAbsoluteError": "down",
    "MeanSquaredError": "down",
    "RootMeanSquaredError": "down",
    "BinaryCrossentropy": "down",
    "CategoricalCrossentropy": "down",
    "SparseCategoricalCrossentropy": "down",
}


def _direction(metric: Any) -> str | None:
    if hasattr(metric, "_direction"):
        return metric._direction
    if hasattr(getattr(metric, "fn", None), "gradient"):  # a loss, watched as a metric
        return "down"
    return next((_DIRECTIONS[c.__name__] for c in type(metric).__mro__ if c.__name__ in _DIRECTIONS), None)


def _metrics(model: Any) -> Iterable[Any]:
    for metric in getattr(model, "metrics", ()):
        yield from getattr(metric, "metrics", (metric,))


class EarlyStopping(_Monitor):
    """Stop training when a number has stopped getting better.

    Args:
        monitor: its name in the logs.
        min_delta: a smaller change is no improvement.
        patience: how many epochs without improvement to bear.
        verbose: 1 tells about stopping and restoring.
        mode: whether `"min"` or `"max"` is better; `"auto"` asks the metric.
        baseline: patience counts down until this value, too, is beaten.
        restore_best_weights: at the end of training go back to the weights of the best epoch, stopped or not.
        start_from_epoch: epochs before this one don't count.

    Attributes:
        best, best_epoch, best_weights: of the best epoch so far; `best_weights` only where they will be restored.
        wait: how many epochs ago that was.
        stopped_epoch: the epoch that was the last, 0 where training was not stopped.

    Raises:
        ValueError: (at the end of the first epoch) `mode="auto"` and a metric of unknown direction.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.best = self.best_weights = None
        self.wait = self.stopped_epoch = self.best_epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier training."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and stop where patience is over."""
        self.find_direction(logs)
        current = (logs or {}).get(self.monitor)
        if current is None:
            self.warn_missing("Early stopping conditioned on", logs)
            return
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.improved(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.improved(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the best weights."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Lower the learning rate when a number has stopped getting better.

        learning rate <- max(learning rate * factor, min_lr)

    Args:
        monitor: its name in the logs.
        factor: below 1.
        patience: how many epochs without improvement to bear.
        verbose: 1 tells about each change.
        mode: whether `"min"` or `"max"` is better; `"auto"` asks the metric.
        min_delta: a smaller change is no improvement.
        cooldown: how many epochs after a change don't count.
        min_lr: the learning rate never goes below.

    Raises:
        ValueError: a factor of 1 or more; (at the end of the first epoch) `mode="auto"` and a metric of unknown
            direction.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor, self.min_lr = factor, min_lr
        self.patience, self.cooldown, self.verbose = patience, cooldown, verbose
        self.wait = self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Tell whether the last change was less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier training."""
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and lower the learning rate where patience is over; add it to the logs."""
        self.find_direction(logs)
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            self.warn_missing("Learning rate reduction is conditioned on", logs)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.wait, self.cooldown_counter = 0, self.cooldown

    def _reduce(self, epoch: int) -> bool:
        old = float(self.model.optimizer.learning_rate)
        if not old > np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Args:
        schedule: a function of (epoch, learning rate), or of the epoch alone, that returns the new rate as a float.
        verbose: 1 tells about each change.

    Raises:
        ValueError: (when an epoch begins) the function returns something else.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the learning rate."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        arguments = (epoch, float(optimizer.learning_rate))
        rate = self.schedule(*arguments) if _takes_two(self.schedule) else self.schedule(epoch)
        if not isinstance(rate, (float, np.float32, np.float64)):
            raise ValueError(f"The output of the `schedule` function should be a float. Got: {rate}")
        optimizer.learning_rate = rate
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a function of C, whose signature nobody knows
        return True
    return True


class CSVLogger(Callback):
    """Write a line of numbers per epoch to a CSV file: `epoch`, then the logs in the order of their names.

    The file is closed between epochs, so that it is whole whenever training is interrupted.

    Args:
        filename: where to write.
        separator: between the numbers.
        append: go on with an existing file, instead of writing it anew.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] | None = None
        self.append_header = True

    def on_train_begin(self, logs: Logs = None) -> None:
        """Make or empty the file, or look whether it has a header."""
        self.keys = None
        with open(self.filename, "a" if self.append else "w", encoding="utf-8") as file:
            self.append_header = file.tell() == 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a line."""
        import csv

        logs = logs or {}
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.sep)
            if self.keys is None:
                self.keys = sorted(logs)
                if not any(key.startswith("val_") for key in self.keys):
                    # The first epoch may be one without validation (`validation_freq`): leave room for it.
                    self.keys += [f"val_{key}" for key in self.keys]
                if self.append_header:
                    writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_csv_value(logs.get(key, "NA")) for key in self.keys)])


def _csv_value(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable) or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'


class TerminateOnNaN(Callback):
    """Stop training when the loss is no longer a finite number.

    Args:
        raise_error: raise RuntimeError at once, instead of stopping in good order.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately."
            )
        say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions.

        LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs["loss"]))

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs).
        **kwargs: functions for the other hooks of `Callback`.

    Raises:
        TypeError: `Callback` has no such hook.
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
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for hook, function in given.items():
            if hook not in HOOKS:
                raise TypeError(f"LambdaCallback: Callback has no hook {hook!r}. {did_you_mean(hook, HOOKS)}")
            if function is not None:
                setattr(self, hook, function)


_missing = missing_attribute(__name__, __all__)


def __getattr__(name: str) -> Any:
    if name in ("BackupAndRestore", "ModelCheckpoint"):  # which need files, and this room
        from . import checkpoints

        return getattr(checkpoints, name)
    if name == "TrainingCurves":
        from .plotting import TrainingCurves

        return TrainingCurves
    return _missing(name)
