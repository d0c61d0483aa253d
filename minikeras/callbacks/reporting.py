"""Callbacks that tell what happens: a record of it, a progress line, a file."""

import errno
import os
from typing import Any, ClassVar

import numpy as np

from ..common.console import ProgressLine, say, verbosity
from .base import Callback, Logs, plain_logs
from .keeping import are_counts, are_names, is_record


class History(Callback):
    """The record that `fit` returns.

    Attributes:
        history: name -> its value after each epoch, such as `{"accuracy": [...], "loss": [...]}`.
        epoch: the numbers of the epochs, from 0.
    """

    backed_up: ClassVar = {"history": is_record, "epoch": are_counts}

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []  # while the record of an earlier `fit` goes on

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class ProgbarLogger(Callback):
    """Show how far `fit`, `evaluate` or `predict` has come.  They add one by themselves unless `verbose=0`.

    Within `fit`, validations are silent.
    """

    lazy_logs = True

    def __init__(self) -> None:
        self.verbose, self.epochs = 1, 1
        self.target: int | None = None
        self.seen = 0
        self._line: Any = None  # a ProgressLine
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self._in_fit = False  # where an earlier one was interrupted
        self.verbose = verbosity(params["verbose"])
        self.epochs, self.target = params["epochs"], params["steps"]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._begin()
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._in_fit:
            self._begin()

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._begin()

    def on_predict_end(self, logs: Logs = None) -> None:
        self._finish(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._line is None:  # a loop of the user's own, that began no epoch
            self._begin()
        self.seen = batch + 1
        if self.verbose == 1 and self._line.due(self.seen):
            self._line.draw(plain_logs(logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._in_fit:
            self.on_train_batch_end(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_train_batch_end(batch)  # without the predictions

    def _begin(self) -> None:
        self.seen = 0
        self._line = ProgressLine(self.target, self.verbose)

    def _finish(self, logs: Logs) -> None:
        if self.target is None:  # the first epoch has shown how many steps there are
            self.target = self._line.target = self.seen
        self._line.finish(logs)


class CSVLogger(Callback):
    """Write a line of numbers per epoch to a CSV file: `epoch`, then the logs in the order of their names.

    Each line is written at once, and the file closed between epochs: it is whole whenever training is interrupted.

    Args:
        filename: where to write.
        separator: between the numbers.
        append: go on with an existing file, instead of writing it anew.
    """

    backed_up: ClassVar = {"keys": are_names}

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.keys = None
        with open(self.filename, "a" if self.append else "w", encoding="utf-8"):
            pass

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        if self.keys is None:
            keys = sorted(logs)
            # The first epoch may be one without validation (`validation_freq`): leave room for it.
            has_validation = any(key.startswith("val_") for key in keys)
            self.keys = keys if has_validation else keys + [f"val_{key}" for key in keys]
        with open(self.filename, "ab", buffering=0) as file:  # so that nothing waits to be written
            rows: list[list[Any]] = [] if file.tell() else [["epoch", *self.keys]]
            rows.append([epoch, *(_csv_value(logs.get(key, "NA")) for key in self.keys)])
            text = self._as_text(rows).encode()
            if file.write(text) != len(text):
                raise OSError(errno.ENOSPC, "CSVLogger: the last line is not whole", self.filename)

    def _as_text(self, rows: list[list[Any]]) -> str:
        import csv
        import io

        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.sep).writerows(rows)
        return text.getvalue()


def _csv_value(value: Any) -> Any:
    if isinstance(value, str) or not hasattr(value, "__iter__") or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
