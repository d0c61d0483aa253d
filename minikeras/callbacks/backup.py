"""A training that goes on after it was killed: `BackupAndRestore`."""

import contextlib
import hashlib
import os
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import random, saving
from ..common.files import remove_leftovers, replacing
from ..metrics import Mean, Sum
from .backup_file import check_whole, encode, read, require, write
from .base import Callback, Logs
from .checkpoints import EveryFewBatches
from .keeping import Check, fields, is_count, is_number, or_none
from .reporting import ProgbarLogger


class BackupAndRestore(EveryFewBatches, Callback):
    """Let a training that was killed go on where it was, when the same script is run again.

        model.fit(x, y, epochs=100, callbacks=[keras.callbacks.BackupAndRestore("backup")])

    The last weights are those of a training that was never killed, bit for bit.  One file holds everything that
    changes while a model trains: weights, the optimizer, metrics, the epoch and the batch, what the other callbacks
    remember, and the state of every source of random numbers.  It is written in one step, after all other callbacks.
    What is outside this library is not in it: files that other callbacks write (`CSVLogger` needs `append=True`), and
    data sets with a state of their own.  A generator is run forward to where it was.  Of callbacks of one's own it
    holds the numbers, arrays, and lists and dictionaries of them that are there when `fit` begins and are no arguments
    of the constructor; a class attribute `backed_up` may name more.

    A backup is data: it is checked as a whole, and then field by field, before anything changes.

    Args:
        backup_dir: the folder for the backup; made where missing.
        save_freq: `"epoch"`, or a number of batches; False for never.
        double_checkpoint: keep the backup before the last, too, and use it where the last can't be read.
        delete_checkpoint: remove the backup when `fit` ends.

    Raises:
        ValueError: no folder, or an unknown `save_freq`.
        ModelFileError: (when `fit` begins) a backup that is damaged, forged, or of another model or training; model,
            optimizer, callbacks and random numbers are as they were.
    """

    runs_last: ClassVar[bool] = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int | bool = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        if not backup_dir:
            raise ValueError("BackupAndRestore: Empty `backup_dir` argument passed; expected the name of a folder.")
        self.backup_dir, self.save_freq = os.fspath(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._check_frequency()
        self.others: list[Any] = []
        self._kept: list[_Kept] = []
        self._epoch = 0
        self._restored: _Restoration | None = None

    @property
    def path(self) -> str:
        """The backup: a file of weights in Keras's layout, with the rest in a group `training`."""
        return os.path.join(self.backup_dir, "latest.weights.h5")

    @property
    def _previous(self) -> str:
        return f"{self.path}.bkp"

    @property
    def _batches(self) -> tuple[Any, ...]:
        running = self.model.running
        return () if running is None else (running.batches, running.validation)

    # ---- when ----

    def on_train_begin(self, logs: Logs = None) -> None:
        self._check_frequency()
        self._restored = None
        self._kept = [_Kept(c) for c in self.others if not isinstance(c, ProgbarLogger)]
        found = self._load()
        if found is None:
            return
        begins_epoch, epochs = found.state["batch"] is None, self.params["epochs"]
        is_over = found.state["stopped"] or found.state["epoch"] >= epochs
        self._set(found, go_to_batch=begins_epoch and not is_over)
        self.model.running.initial_epoch = epochs if is_over else found.state["epoch"]
        if not begins_epoch:
            self._restored = found

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch
        if self._restored is not None:
            # Once more: the other callbacks have begun this epoch a second time.
            found, self._restored = self._restored, None
            self._set(found, go_to_batch=True)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq is not False and self._is_due(batch):
            self._save(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, None)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint:
            remove_leftovers(self.backup_dir)
            for path in (f"{self._previous}.new", self._previous, self.path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(self.backup_dir)

    # ---- writing ----

    def _save(self, epoch: int, batch: int | None) -> None:
        generator = random._global_generator
        state = {
            "epoch": epoch,
            "batch": batch,
            "stopped": self.model.stop_training,
            "positions": [b.position() if b else None for b in self._batches],
            "random": random.random_state(),
            "seed": random._global_seed,
            "global_generator": None if generator is None else generator.state.copy(),
            "since_last": (self._batches_seen_since_last_saving, self._last_batch_seen),
            "callbacks": [(kept.name, kept.changed()) for kept in self._kept],
            "metrics": [(_Kept(m).now(), [v.value for v in m.variables]) for m in self.model.metrics],
        }
        os.makedirs(self.backup_dir, exist_ok=True)
        stored = saving.weights.image(self.model, lambda file: write(file.create_group("training"), state))
        if self.double_checkpoint and os.path.exists(self.path):
            self._keep_previous()
        with replacing(self.path) as file:
            file.write(stored)
            file.write(hashlib.sha256(stored).digest())

    def _keep_previous(self) -> None:
        """Give the last backup a second name; a new one replaces the first name only."""
        spare = f"{self._previous}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(spare)
        try:
            os.link(self.path, spare)
        except OSError:  # a file system without hard links
            with open(self.path, "rb") as old, replacing(self._previous) as copy:
                copy.write(old.read())
        else:
            os.replace(spare, self._previous)

    # ---- reading: everything is checked before anything changes ----

    def _load(self) -> "_Restoration | None":
        """Return what a backup holds, checked; None where there is none."""
        remove_leftovers(self.backup_dir)
        paths = [p for p in (self.path, self._previous) if os.path.exists(p)]
        for path in paths:
            try:
                with saving.untrusted.reading(path), saving.untrusted.open_file(path) as file:
                    check_whole(file)
                    with saving.hdf5.Source(file) as source:
                        return self._checked(read(source), _assignments(self.model, source))
            except saving.ModelFileError as error:
                if path == paths[-1]:
                    raise saving.ModelFileError(
                        f"{error} This backup can't be restored; to start anew, remove {self.backup_dir!r}, or pass "
                        "another `backup_dir`."
                    ) from error
        return None

    def _checked(self, state: dict[str, Any], assignments: list[tuple[Any, np.ndarray]]) -> "_Restoration":
        names = ("epoch", "batch", "stopped", "positions", "random", "seed", "global_generator", "since_last",
                 "callbacks", "metrics")  # fmt: skip
        if set(state) != set(names):
            raise saving.ModelFileError("its state of a training lacks fields, or has others.")
        epoch, batch, stopped, positions, numbers, seed, generator, since_last, others, metrics = (
            state[name] for name in names
        )
        require("epoch", is_count(self, epoch))
        require("batch", or_none(is_count)(self, batch))
        require("stopped", isinstance(stopped, bool))
        running = self._batches
        require("positions", isinstance(positions, list) and len(positions) == len(running))
        for batches, position in zip(running, positions, strict=True):
            require("positions", _is_position(batches, position, epoch))
        require("random", random.is_random_state(numbers))
        require("seed", seed is None or (type(seed) is int and 0 <= seed < 2**32))
        require("global_generator", generator is None or _is_like(generator, np.zeros(2, np.int64)))
        require("since_last", isinstance(since_last, tuple) and len(since_last) == 2)
        require("since_last", is_count(self, since_last[0]) and or_none(is_count)(self, since_last[1]))

        waiting, attributes = list(self._kept), []
        for name, values in others:
            found = next((kept for kept in waiting if kept.name == name), None)
            if found is not None:
                waiting.remove(found)
                attributes.append((found.thing, found.checked(values)))
        require("metrics", len(metrics) == len(self.model.metrics))
        for metric, (values, arrays) in zip(self.model.metrics, metrics, strict=True):
            kept, variables = _Kept(metric), list(metric.variables)
            attributes.append((metric, kept.checked(values)))
            require(f"metrics of {kept.name}", len(arrays) == len(variables))
            for v, array in zip(variables, arrays, strict=True):
                require(f"metrics of {kept.name}", _is_like(array, v.value))
                assignments.append((v, array))
        return _Restoration(state, assignments, attributes)

    def _set(self, found: "_Restoration", go_to_batch: bool) -> None:
        """Bring everything to where it was."""
        state, before = found.state, [np.array(v.value) for v, _ in found.assignments]
        try:
            for v, value in found.assignments:
                v.assign(value)
        except BaseException:
            for (v, _), value in zip(found.assignments, before, strict=True):
                v.assign(value)
            raise
        for thing, values in found.attributes:
            vars(thing).update(values)
        self._batches_seen_since_last_saving, self._last_batch_seen = state["since_last"]
        if state["global_generator"] is None:
            random._global_generator = None
        else:
            random._global_generator = random.SeedGenerator(0)
            random._global_generator.state[:] = state["global_generator"]
        random._global_seed = state["seed"]
        for batches, position in zip(self._batches, state["positions"], strict=True):
            if go_to_batch and batches is not None and position is not None:
                batches.go_to(position)
        random.set_random_state(state["random"])


# What a backup holds, and what it may hold --------------------------------------------------------------------------


class _Restoration(NamedTuple):
    """What a backup holds, once it is known to fit."""

    state: dict[str, Any]
    assignments: list[tuple[Any, np.ndarray]]  # variables of layers, optimizer and metrics, and their values
    attributes: list[tuple[Any, dict[str, Any]]]  # callbacks and metrics, and what they remember


#: What `Mean`, `Sum` and the metrics made of them count in; others hold their state in variables.
_SUMS: dict[str, Check] = {"total": is_number, "count": is_number}


class _Kept:
    """Those attributes of a callback or a metric that a backup keeps, and what they are when `fit` begins."""

    def __init__(self, thing: Any):
        self.thing, self.name = thing, type(thing).__name__
        self.fields = fields(thing, _SUMS if isinstance(thing, (Mean, Sum)) else getattr(thing, "backed_up", {}))
        self.fresh = {name: encode(value, None) for name, value in self.now().items()}

    def now(self) -> dict[str, Any]:
        """Return the values that can be kept."""
        values = {name: getattr(self.thing, name) for name in self.fields if hasattr(self.thing, name)}
        return {name: value for name, value in values.items() if self._fits(name, value)}

    def changed(self) -> dict[str, Any]:
        """Return the values that training has changed; what it hasn't stays what the script says."""
        return {name: value for name, value in self.now().items() if self.fresh.get(name) != encode(value, None)}

    def checked(self, values: Any) -> dict[str, Any]:
        """Return values from a file, if they can be those of the attributes; ModelFileError else."""
        require(f"state of {self.name}", isinstance(values, dict))
        for name, value in values.items():
            require(f"state of {self.name}", name in self.fields)
            require(f"{name} of {self.name}", self._fits(name, value))
        return values

    def _fits(self, name: str, value: Any) -> bool:
        now = getattr(self.thing, name, None)
        if isinstance(now, np.generic) and type(value) is not type(now):
            return False
        return bool(self.fields[name](self.thing, value))


def _is_like(value: Any, array: np.ndarray) -> bool:
    return isinstance(value, np.ndarray) and value.shape == array.shape and value.dtype == array.dtype


def _is_position(batches: Any, position: Any, epoch: int) -> bool:
    """Tell whether batches could be there in this epoch; going there takes no longer than training did."""
    if batches is None or position is None:
        return batches is None and position is None
    if not isinstance(position, dict) or set(position) != {"made", "seen", "began"}:
        return False
    made, seen, began = position["made"], position["seen"], position["began"]
    if not (is_count(None, made) and is_count(None, seen)):
        return False
    if batches.steps is not None and not (made <= batches.steps and seen <= (epoch + 1) * batches.steps):
        return False
    return began is None or random.is_random_state(began)


def _assignments(model: Any, source: Any) -> list[tuple[Any, np.ndarray]]:
    """Return the variables of a model and its optimizer, each with its value in the backup: all of them, as stored."""
    optimizer = model.optimizer
    groups = [(entry.path, entry.variables) for entry in saving.weights.entries(model)]
    groups += [] if optimizer is None else [("optimizer", optimizer.variables)]
    found = []
    for path, variables in groups:
        group = source.group(source.root, f"{path}/vars")
        if group is None or len(group) != len(variables):
            raise saving.ModelFileError(
                f"{path or '/'} has other weights than this model. Is it the same, compiled alike?"
            )
        for i, v in enumerate(variables):
            data = source.numbers(group, str(i), v.shape)
            require(f"{path}/vars/{i}", data.dtype == np.dtype(v.dtype))
            found.append((v, np.asarray(data[()])))
    for v, value in found if optimizer is not None else ():
        if v is optimizer.variables[0]:
            require("iteration of the optimizer", bool(value >= 0))
        if v is optimizer.learning_rate:
            require("learning rate of the optimizer", bool(0 <= value < np.inf))
    return found
