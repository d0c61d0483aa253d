"""Models on the disk while they train: `ModelCheckpoint`.

It writes through `saving`: a kill in mid-write leaves the file before it.
"""

import os
import warnings
from typing import Any, ClassVar

import numpy as np

from ..common.console import say
from .base import Logs
from .keeping import is_count, is_number, or_none
from .steering import Monitor


class EveryFewBatches:
    """Says after which batches it is time to save, where `save_freq` is a number of batches."""

    save_freq: Any

    def _check_frequency(self) -> None:
        if self.save_freq != "epoch" and not isinstance(self.save_freq, int):
            raise ValueError(
                f"{type(self).__name__}: Unrecognized save_freq. Invalid value: {self.save_freq!r}; "
                "expected 'epoch', or a number of batches."
            )
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen: int | None = None

    def _is_due(self, batch: int) -> bool:
        if self.save_freq == "epoch":
            return False
        last = self._last_batch_seen
        self._batches_seen_since_last_saving += batch + 1 if last is None or batch <= last else batch - last
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving < self.save_freq:
            return False
        self._batches_seen_since_last_saving = 0
        return True


class ModelCheckpoint(EveryFewBatches, Monitor):
    """Save the model, or its weights, while it trains.

        keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True)
        keras.callbacks.ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.weights.h5", save_weights_only=True)

    Args:
        filepath: may hold `{epoch}` (from 1), `{batch}` and the names of the logs; its folder is made where missing.
        monitor: name in the logs of what `save_best_only` compares.
        verbose: 1 tells about each save.
        save_best_only: save only when `monitor` is better than at the best save.
        save_weights_only: weights (`.weights.h5`) instead of the whole model (`.keras`, `.h5`).
        mode: whether `"min"` or `"max"` is better; `"auto"` asks the metric.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: the best value so far, to be beaten by the first save.

    Attributes:
        best: the value at the best save so far; a save that fails leaves it as it was.

    Raises:
        ValueError: a suffix that doesn't fit, or an unknown `save_freq`; (at the end of the first epoch, or before a
            save) `mode="auto"` and a metric of unknown direction.
        KeyError: (when saving) `filepath` names what isn't among the logs.
        OSError: (when saving) the file could not be written; the one before is intact.
    """

    backed_up: ClassVar = {
        "best": is_number,
        "_batches_seen_since_last_saving": is_count,
        "_last_batch_seen": or_none(is_count),
    }

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int | bool = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        super().__init__(monitor, mode, 0)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_freq = verbose, save_freq
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.best = initial_value_threshold
        self._current_epoch = 0
        self._check_frequency()
        suffixes = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(suffixes):
            raise ValueError(
                f"ModelCheckpoint: with save_weights_only={save_weights_only} the filepath must end in "
                f"{' or '.join(f'`{s}`' for s in suffixes)}. Received: filepath={self.filepath}"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self._is_due(batch):
            self._save(self._current_epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.find_direction(logs)
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = logs or {}
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        best, file = self.best, _identity(path)
        current = logs.get(self.monitor) if self.save_best_only else None
        try:
            if current is not None and np.ndim(current) == 0:
                self.best = current
            self._write(epoch, path)
        except BaseException:
            if _identity(path) == file:
                self.best = best  # which is still that of the file
            raise

    def _write(self, epoch: int, path: str) -> None:
        if os.path.isdir(path):
            raise OSError(
                f"Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an existing "
                f"directory: {path}"
            )
        if folder := os.path.dirname(path):
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Any) -> str:
        names = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(**names)
        except KeyError as error:
            raise KeyError(
                f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}. '
                f"Known names: {', '.join(names)}"
            ) from error

    def _should_save(self, epoch: int, logs: Any, path: str) -> bool:
        self.find_direction(logs)
        if not self.save_best_only:
            if self.verbose > 0:
                say(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"Can save best model only with {self.monitor} available. Available: {', '.join(logs) or 'nothing'}.",
                stacklevel=4,
            )
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. "
                "Falling back to `save_best_only=False`.",
                stacklevel=4,
            )
            return True
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self.improved(current, self.best):
            if self.verbose > 0:
                say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {before}")
            return False
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
        return True


def _identity(path: str) -> tuple[int, ...] | None:
    """Return what differs between two files written to one path; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
