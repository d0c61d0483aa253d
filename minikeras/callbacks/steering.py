"""Callbacks that change the course of training: stop it early, or set another learning rate."""

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from .. import config
from ..common.console import say
from ..common.names import did_you_mean
from .base import Callback, Logs
from .keeping import are_weights, is_count, is_number


class Monitor(Callback):
    """What callbacks share that watch one number of the logs and ask whether it got better."""

    def __init__(self, monitor: str, mode: str, min_delta: float):
        if mode not in ("auto", "min", "max"):
            hint = did_you_mean(mode, ["auto", "min", "max"])
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode. {hint}", stacklevel=5
            )
            mode = "auto"
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None
        self._sign: Any = None  # +1 where more is better, -1 where less is

    def improved(self, value: float, reference: float | None) -> bool:
        """Tell whether `value` is better than `reference` by more than `min_delta`.

        Raises:
            ValueError, TypeError: `value` is an array of several numbers, or no number at all.
        """
        if isinstance(value, (str, list, tuple, dict)) or np.size(value) != 1:
            kind = ValueError if isinstance(value, np.ndarray) else TypeError
            raise kind(
                f"{type(self).__name__}: expected one number under the name {self.monitor!r} in the logs, received "
                f"{str(value)[:80]!r}. Log its mean, or monitor something else."
            )
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
                    f"{type(self).__name__} callback received monitor={self.monitor}, but isn't able to automatically "
                    "determine whether that metric should be maximized or minimized. Pass `mode='max'` in order to "
                    "monitor based on the highest metric value, or pass `mode='min'` in order to use the lowest "
                    f"value.{known}"
                )
            self._sign = 1 if direction == "up" else -1

    def watched(self, logs: Logs, purpose: str) -> float | None:
        """Return the number of the name `monitor`; warn and return None where the logs have none."""
        self.find_direction(logs)
        current = (logs or {}).get(self.monitor)
        if current is None:
            hint = f" {did_you_mean(self.monitor, logs)}" if logs else ""
            warnings.warn(
                f"{purpose} conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or ())}.{hint}",
                stacklevel=3,
            )
        return current


#: Metrics of `metrics` by class name; a metric of the user's own says `_direction = "up"` or `"down"`, as in Keras.
_DIRECTIONS = {
    **dict.fromkeys(("Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"), "up"),
    **dict.fromkeys(("TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy"), "up"),
    **dict.fromkeys(("Precision", "Recall", "AUC", "FBetaScore", "PrecisionAtRecall", "RecallAtPrecision"), "up"),
    **dict.fromkeys(("SensitivityAtSpecificity", "SpecificityAtSensitivity", "IoU", "MeanIoU"), "up"),
    **dict.fromkeys(("CosineSimilarity", "R2Score", "PearsonCorrelation", "ConcordanceCorrelation"), "up"),
    **dict.fromkeys(("MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"), "down"),
    **dict.fromkeys(("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"), "down"),
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


class EarlyStopping(Monitor):
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

    backed_up: ClassVar = {
        "best": is_number,
        "best_weights": are_weights,
        "best_epoch": is_count,
        "wait": is_count,
        "stopped_epoch": is_count,
    }

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int | bool = 0,
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
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        current = self.watched(logs, "Early stopping")
        if current is None or epoch < self.start_from_epoch:
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
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
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

    backed_up: ClassVar = {"best": is_number, "wait": is_count, "cooldown_counter": is_count}

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int | bool = 0,
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
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = self.watched(logs, "Learning rate reduction is")
        if current is None:
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

    def __init__(self, schedule: Callable[..., float], verbose: int | bool = 0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
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


class TerminateOnNaN(Callback):
    """Stop training when the loss is no longer a finite number.

    Args:
        raise_error: raise RuntimeError at once, instead of stopping in good order.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately."
            )
        say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
