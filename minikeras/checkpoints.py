"""Callbacks that write files while a model trains: `ModelCheckpoint` keeps models, `BackupAndRestore` a whole training.

Both write through `saving`: a kill in mid-write leaves the file before it.  Users reach them as `callbacks`;
`CallbackList` calls them.  Calls `saving`, `callbacks`, `data`, `random`.
"""

import contextlib
import os
import warnings
from typing import Any, ClassVar

import numpy as np

from . import random, saving
from .callbacks import Callback, ProgbarLogger
from .callbacks.base import Logs
from .callbacks.steering import Monitor
from .console import say
from .names import missing_attribute

__all__ = ["BackupAndRestore", "ModelCheckpoint"]


class _EveryFewBatches:
    """Says after which batches it is time to save, where `save_freq` is a number of batches."""

    save_freq: Any

    def _check_frequency(self) -> None:
        if self.save_freq != "epoch" and not isinstance(self.save_freq, int):
            raise ValueError(
                f"{type(self).__name__}: unrecognized save_freq={self.save_freq!r}; expected 'epoch', or a number of "
                "batches."
            )
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen: int | None = None

    def _is_due(self, batch: int) -> bool:
        if self.save_freq == "epoch" or not self.save_freq:
            return False
        last = self._last_batch_seen
        self._batches_seen_since_last_saving += batch + 1 if last is None or batch <= last else batch - last
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving < self.save_freq:
            return False
        self._batches_seen_since_last_saving = 0
        return True


class ModelCheckpoint(_EveryFewBatches, Monitor):
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

    Raises:
        ValueError: a suffix that doesn't fit, or an unknown `save_freq`; (when saving) `mode="auto"` and a metric of
            unknown direction.
        KeyError: (when saving) `filepath` names what isn't among the logs.
        OSError: (when saving) the file could not be written; the one before is intact.
    """

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
        """Remember the epoch."""
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, where `save_freq` is a number of batches and it is time."""
        if self._is_due(batch):
            self._save(self._current_epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, where `save_freq` is `"epoch"`."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = logs or {}
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
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
        self.find_direction(logs)
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self.improved(current, self.best):
            if self.verbose > 0:
                say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {before}")
            return False
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
        self.best = current
        return True


class BackupAndRestore(_EveryFewBatches, Callback):
    """Let a training that was killed go on where it was, when the same script is run again.

        model.fit(x, y, epochs=100, callbacks=[keras.callbacks.BackupAndRestore("backup")])

    The last weights are those of a training that was never killed, bit for bit.  One file holds everything that
    changes while a model trains: weights, the optimizer, metrics, the epoch and the batch, what the other callbacks
    remember, and the state of every source of random numbers.  It is written in one step, after all other callbacks.
    What is outside this library is not in it: files that other callbacks write (`CSVLogger` needs `append=True`), and
    data sets with a state of their own.  A generator is run forward to where it was.

    Args:
        backup_dir: the folder for the backup; made where missing.
        save_freq: `"epoch"`, or a number of batches; False for never.
        double_checkpoint: keep the backup before the last, too, and use it where the last can't be read.
        delete_checkpoint: remove the backup when `fit` ends.

    Raises:
        ValueError: no folder, or an unknown `save_freq`; (when restoring) a backup of another model.
    """

    runs_last: ClassVar[bool] = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        if not backup_dir:
            raise ValueError("BackupAndRestore: expected `backup_dir`, the name of a folder.")
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._check_frequency()
        self.others: list[Any] = []
        self._fresh: list[dict[str, Any]] = []  # what the other callbacks hold at the beginning of a training
        self._epoch = 0
        self._restored: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """The backup: a file of weights in Keras's layout, with the rest in a group `training`."""
        return os.path.join(self.backup_dir, "latest.weights.h5")

    @property
    def _previous(self) -> str:
        return f"{self.path}.bkp"

    # ---- when ----

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore, if there is a backup."""
        self._check_frequency()
        self._restored = None
        self._fresh = [_attributes(other, frozen=True) for other in self._callbacks()]
        state = self._load()
        if state is None:
            return
        self._set(state, go_to_batch=state["batch"] is None)
        self.model._initial_epoch = self.params["epochs"] if state["stopped"] else state["epoch"]
        if state["batch"] is not None:
            self._restored = state

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember the epoch; in the one that was interrupted, go to the batch."""
        self._epoch = epoch
        if self._restored is not None:
            # Once more: the other callbacks have begun this epoch a second time.
            state, self._restored = self._restored, None
            self._load()
            self._set(state, go_to_batch=True)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, where `save_freq` is a number of batches and it is time."""
        if self._is_due(batch):
            self._save(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, where `save_freq` is `"epoch"`."""
        if self.save_freq == "epoch":
            self._save(epoch + 1, None)

    def on_train_end(self, logs: Logs = None) -> None:
        """Remove the backup, and the folder if nothing else is in it."""
        if self.delete_checkpoint:
            saving.atomic.remove_leftovers(self.backup_dir)
            for path in (self._previous, self.path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(self.backup_dir)

    # ---- what ----

    def _callbacks(self) -> list[Any]:
        return [other for other in self.others if not isinstance(other, ProgbarLogger)]

    def _save(self, epoch: int, batch: int | None) -> None:
        generator = random._global_generator
        state = {
            "epoch": epoch,
            "batch": batch,
            "stopped": self.model.stop_training,
            "positions": [b.position() if b else None for b in self.model._running or ()],
            "random": random.random_state(),
            "seed": random._global_seed,
            "global_generator": None if generator is None else generator.state,
            "since_last": (self._batches_seen_since_last_saving, self._last_batch_seen),
            "callbacks": [
                (type(other).__name__, _changed(other, fresh))
                for other, fresh in zip(self._callbacks(), self._fresh, strict=True)
            ],
            "metrics": [(_attributes(m), [v.value for v in m.variables]) for m in self.model.metrics],
        }
        os.makedirs(self.backup_dir, exist_ok=True)
        stored = saving.weights.image(self.model, lambda file: _write(file.create_group("training"), state))
        if self.double_checkpoint and os.path.exists(self.path):
            self._keep_previous()
        with saving.atomic.replacing(self.path) as file:
            file.write(stored)

    def _keep_previous(self) -> None:
        """Give the last backup a second name; a new one replaces the first name only."""
        spare = f"{self._previous}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(spare)
        try:
            os.link(self.path, spare)
        except OSError:  # a file system without hard links
            with open(self.path, "rb") as old, saving.atomic.replacing(self._previous) as copy:
                copy.write(old.read())
        else:
            os.replace(spare, self._previous)

    def _load(self) -> dict[str, Any] | None:
        """Load weights and optimizer into the model, and return the rest; None where there is no backup."""
        saving.atomic.remove_leftovers(self.backup_dir)
        paths = [p for p in (self.path, self._previous) if os.path.exists(p)]
        for path in paths:
            try:
                with saving.reading(path), saving.open_file(path) as file, saving.Source(file) as source:
                    state = _read(source)
                    saving.weights.load(self.model, source)
                return state
            except saving.ModelFileError as error:
                if path == paths[-1]:
                    raise saving.ModelFileError(
                        f"{error} This backup can't be restored; to start anew, remove {self.backup_dir!r}."
                    ) from error
        return None

    def _set(self, state: dict[str, Any], go_to_batch: bool) -> None:
        """Bring everything but weights and optimizer to where it was."""
        waiting = list(self._callbacks())
        for name, attributes in state["callbacks"]:
            found = next((c for c in waiting if type(c).__name__ == name), None)
            if found is not None:
                waiting.remove(found)
                vars(found).update(attributes)
        for metric, (attributes, values) in zip(self.model.metrics, state["metrics"], strict=True):
            vars(metric).update(attributes)
            for v, value in zip(metric.variables, values, strict=True):
                v.assign(value)
        self._batches_seen_since_last_saving, self._last_batch_seen = state["since_last"]
        if state["global_generator"] is None:
            random._global_generator = None
        else:
            random._global_generator = random.SeedGenerator(0)
            random._global_generator.state[:] = state["global_generator"]
        random._global_seed = state["seed"]
        for batches, position in zip(self.model._running or (), state["positions"], strict=True):
            if go_to_batch and batches is not None and position is not None:
                batches.go_to(position)
        random.set_random_state(state["random"])


# Python values in a file of arrays ----------------------------------------------------------------------------------


def _attributes(thing: Any, frozen: bool = False) -> dict[str, Any]:
    """Return the attributes of an object that a file can hold; frozen: in a form that later changes don't reach."""
    found = {}
    for name, value in vars(thing).items():
        if name in ("_model", "params", "others"):
            continue
        with contextlib.suppress(TypeError):
            form = _encode(value, None)
            found[name] = form if frozen else value
    return found


def _changed(thing: Any, fresh: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that a training has changed: options stay what the script says."""
    now = _attributes(thing, frozen=True)
    return {name: value for name, value in _attributes(thing).items() if fresh.get(name) != now[name]}


def _encode(value: Any, arrays: list[np.ndarray] | None) -> Any:
    """Return the JSON form of a value; arrays go to the list and are named by their place, or stand inside as bytes.

    Raises:
        TypeError: not made of None, booleans, numbers, texts, lists, tuples, dictionaries and arrays.
    """
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        form = {"dtype": value.dtype.str, "scalar": isinstance(value, np.generic)}
        if arrays is None:
            return {**form, "shape": value.shape, "bytes": value.tobytes()}
        arrays.append(np.asarray(value, order="C"))
        return {**form, "array": len(arrays) - 1}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_encode(v, arrays) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, arrays), _encode(v, arrays)] for k, v in value.items()]}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode(form: Any, arrays: Any) -> Any:
    """Return the value of a JSON form."""
    if isinstance(form, list):
        return [_decode(f, arrays) for f in form]
    if not isinstance(form, dict):
        return form
    if "tuple" in form:
        return tuple(_decode(f, arrays) for f in form["tuple"])
    if "dict" in form:
        return {_decode(k, arrays): _decode(v, arrays) for k, v in form["dict"]}
    array = arrays(form["array"]).view(form["dtype"])
    return array[()] if form["scalar"] else array


def _write(group: Any, state: dict[str, Any]) -> None:
    import json

    arrays: list[np.ndarray] = []
    text = json.dumps(_encode(state, arrays)).encode()
    group["state"] = np.frombuffer(text, np.uint8)
    for i, array in enumerate(arrays):
        group[f"arrays/{i}"] = array.view(np.uint8) if array.dtype.kind == "b" else array


def _read(source: Any) -> dict[str, Any]:
    group = source.group(source.root, "training")
    if group is None:
        raise saving.ModelFileError("it holds weights, but no state of a training.")
    text = source.numbers(group, "state")[()].tobytes()
    state = saving.untrusted.parse_config(text)
    return _decode(state, lambda i: np.asarray(source.numbers(group, f"arrays/{int(i)}")[()]))


__getattr__ = missing_attribute(__name__, __all__)
