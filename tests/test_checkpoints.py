"""Checkpoints: what is written when, and that kills, full disks and failing ones cost nothing."""

import errno
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from typing import ClassVar

import h5py
import keras
import numpy as np
import pytest
from test_console import Stream, printing_to

import minikeras
from minikeras import callbacks, layers, saving
from minikeras.callbacks import backup, checkpoints
from minikeras.common import files

ROOT = pathlib.Path(__file__).parents[1]
LIBRARIES = [keras, minikeras]

#: How often the tests kill; the environment may ask for more.
KILLS = int(os.environ.get("MINIKERAS_KILLS", "12"))

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def small(k=minikeras, units=3):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(units, activation="relu"), k.layers.Dense(2)], name="small")
    model.compile("adam", "mse", metrics=["mae"])
    return model


# ModelCheckpoint ---------------------------------------------------------------------------------------------------

LOGS = [
    {"loss": 1.0, "mae": 0.5, "val_loss": 0.9},
    {"loss": 0.8, "mae": 0.6, "val_loss": 0.95},
    {"loss": 0.7, "mae": 0.7, "val_loss": 0.5},
    {"loss": 0.6, "mae": 0.2, "val_loss": 0.5},
    {"loss": 0.6, "mae": 0.9, "val_loss": float("nan")},
    {"loss": 0.6, "mae": 0.9, "val_loss": 0.4},
]


class Recorder:
    """A model that notes where it was saved."""

    def __init__(self):
        self.saved, self.optimizer, self.stop_training, self.metrics = [], None, False, []
        self.compiled = False

    def save(self, path, overwrite=True):
        self.saved.append(("save", path, overwrite))

    def save_weights(self, path, overwrite=True):
        self.saved.append(("save_weights", path, overwrite))


def drive(k, folder, name, batches=3, **options):
    """Call a checkpoint as `fit` would; return what it saved, printed and warned of."""
    model = Recorder()
    with printing_to(Stream()) as stream, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback = k.callbacks.ModelCheckpoint(os.path.join(folder, name), **options)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, logs in enumerate(LOGS):
            callback.on_epoch_begin(epoch)
            for batch in range(batches):
                callback.on_train_batch_end(batch, {"loss": logs["loss"] + batch, "mae": logs["mae"]})
            callback.on_epoch_end(epoch, logs)
        callback.on_train_end()
    return model.saved, stream.getvalue(), len(caught), callback.best


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"save_best_only": True},
        {"save_best_only": True, "mode": "max"},
        {"save_best_only": True, "monitor": "mae", "mode": "max"},
        {"save_best_only": True, "monitor": "loss", "initial_value_threshold": 0.75},
        {"save_best_only": True, "monitor": "val_los", "mode": "min"},
        {"save_weights_only": True},
        {"save_weights_only": True, "save_best_only": True, "monitor": "mae", "mode": "min"},
        {"save_freq": 1},
        {"save_freq": 2},
        {"save_freq": 4},
        {"save_freq": 7},
        {"save_freq": 2, "save_best_only": True, "monitor": "loss", "mode": "min"},
    ],
    ids=str,
)
@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("name", ["model", "new/{epoch:02d}-{mae:.2f}", "{epoch}-{loss:.3f}"])
def test_names_and_messages_are_those_of_keras(options, verbose, name, tmp_path):
    suffix = ".weights.h5" if options.get("save_weights_only") else ".keras"
    late_direction = options.get("save_freq") == 2 and options.get("save_best_only")
    seen = []
    for k in LIBRARIES:
        if late_direction and k is keras:  # Keras knows the direction only after an epoch; tell it
            original = keras.callbacks.ModelCheckpoint.on_train_begin
            keras.callbacks.ModelCheckpoint.on_train_begin = lambda self, logs=None: self._set_monitor_op()
        try:
            seen.append(drive(k, tmp_path, name + suffix, verbose=verbose, **options))
        finally:
            if late_direction and k is keras:
                keras.callbacks.ModelCheckpoint.on_train_begin = original
    assert seen[1] == seen[0]
    assert seen[0][0]


def test_a_batch_in_the_name(tmp_path):
    seen = [drive(k, tmp_path, "{epoch}-{batch}.keras", save_freq=2) for k in LIBRARIES]
    assert seen[1] == seen[0]
    with pytest.raises(KeyError, match="Failed to format this callback filepath"):
        drive(minikeras, tmp_path, "{epoch}-{val_acc}.keras")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("m.keras", {"save_weights_only": True}),
        ("m.h5", {"save_weights_only": True}),
        ("m", {}),
        ("m.pkl", {}),
        ("m.keras", {"save_freq": "batch"}),
        ("m.keras", {"save_freq": 1.5}),
    ],
)
def test_what_keras_refuses_is_refused(name, options):
    for k in LIBRARIES:
        with pytest.raises(ValueError, match=r"end in|save_freq"):
            k.callbacks.ModelCheckpoint(name, **options)


def test_training_with_checkpoints(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(30, 4)), np.ones((30, 2))
    names = []
    for k in LIBRARIES:
        folder, model = tmp_path / k.__name__, small(k)
        model.fit(
            x, y, epochs=3, verbose=0, validation_split=0.2,
            callbacks=[
                k.callbacks.ModelCheckpoint(folder / "all-{epoch:02d}.keras"),
                k.callbacks.ModelCheckpoint(folder / "best.weights.h5", save_best_only=True, save_weights_only=True),
                k.callbacks.ModelCheckpoint(folder / "old-{epoch}-{batch}.h5", save_freq=2),
            ],
        )  # fmt: skip
        names.append(sorted(p.name for p in folder.iterdir()))
    assert names[1] == names[0]
    loaded = minikeras.models.load_model(folder / "all-03.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    (folder / "folder.keras").mkdir()
    with pytest.raises(OSError, match="non-directory"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.ModelCheckpoint(folder / "folder.keras")])


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_the_best_value_is_that_of_the_file(written, kind, tmp_path, monkeypatch):
    model, x, y = small(), np.ones((8, 4)), np.ones((8, 2))
    best = callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", monitor="loss", save_best_only=True, save_weights_only=True
    )
    model.fit(x, y, verbose=0, callbacks=[best])
    first, save = best.best, model.save_weights

    def fail(*arguments, **options):
        if written:
            save(*arguments, **options)
        raise kind

    monkeypatch.setattr(model, "save_weights", fail)
    with pytest.raises(kind):
        model.fit(x, y, verbose=0, callbacks=[best])
    assert (best.best < first) is written


# Writes that fail --------------------------------------------------------------------------------------------------


def failing(monkeypatch, call, error, after=0):
    """Let a call to the system fail, the first time after so many."""
    original, count = getattr(os, call), [0]

    def replacement(*arguments, **options):
        count[0] += 1
        if count[0] > after:
            raise OSError(error, os.strerror(error))
        return original(*arguments, **options)

    monkeypatch.setattr(os, call, replacement)


SAVES = {
    "model.keras": lambda model, path: model.save(path),
    "model.h5": lambda model, path: model.save(path),
    "w.weights.h5": lambda model, path: model.save_weights(path),
    "w.h5": lambda model, path: model.save_weights(path),
}


@pytest.mark.parametrize("name", SAVES)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize(("call", "after"), [("write", 0), ("write", 1), ("fsync", 0), ("replace", 0), ("open", 0)])
def test_a_failed_write_leaves_the_old_file(name, error, call, after, tmp_path, monkeypatch):
    path, model = tmp_path / name, small()
    SAVES[name](model, path)
    before = path.read_bytes()
    if call == "write" and after and not name.endswith(".keras"):
        pytest.skip("this file is written in one call")
    model.set_weights([w + 1 for w in model.get_weights()])
    with monkeypatch.context() as patch:
        failing(patch, call, error, after)
        with pytest.raises(OSError, match="the file that was there before is intact") as caught:
            SAVES[name](model, path)
    assert caught.value.errno == error
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with monkeypatch.context() as patch:
        failing(patch, call, error, after)
        with pytest.raises(OSError, match="no file was made"):
            SAVES[name](model, tmp_path / f"new_{name}")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_writes_in_pieces(tmp_path, monkeypatch):
    """The system may take less than it was given."""
    original = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: original(fd, data[:1000]))
    model = small()
    model.save(tmp_path / "m.keras")
    loaded = minikeras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_a_folder_that_cannot_be_synced_says_that_the_file_is_there(tmp_path, monkeypatch):
    failing(monkeypatch, "fsync", errno.EIO, after=1)
    with pytest.raises(OSError, match="in place and whole"):
        small().save(tmp_path / "m.keras")
    monkeypatch.undo()
    assert minikeras.models.load_model(tmp_path / "m.keras").built


def test_a_limit_on_the_size_of_files(tmp_path):
    """As on a full disk, but from the system itself: the first part of the file is written."""
    path, model = tmp_path / "m.keras", small(units=50_000)
    model.save(path)
    code = (
        "import resource, signal, sys, minikeras\n"
        "model = minikeras.models.load_model(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: model.save(sys.argv[1])\n"
        "except OSError as error: print(error)\n"
    )
    before = path.read_bytes()
    result = python(code, path)
    assert "the file that was there before is intact" in result.stdout, result.stderr
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_links_and_permissions_stay(tmp_path):
    (tmp_path / "deep").mkdir()
    path, link, model = tmp_path / "deep" / "m.keras", tmp_path / "link.keras", small()
    model.save(path)
    path.chmod(0o640)
    link.symlink_to(path)
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(minikeras.models.load_model(path).get_weights()[0], model.get_weights()[0])


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path):
    dead = tmp_path / f".m.keras.{'0' * 16}{files.SUFFIX}"
    living = tmp_path / f".m.keras.{'1' * 16}{files.SUFFIX}"
    stranger = tmp_path / ".other.partial"
    for path in (dead, living, stranger):
        path.write_bytes(b"half")
    descriptor = os.open(living, os.O_RDWR)
    assert files._lock(descriptor)
    small().save(tmp_path / "m.keras")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([living.name, stranger.name, "m.keras"])
    os.close(descriptor)
    with pytest.raises(saving.ModelFileError):
        minikeras.models.load_model(living)


def test_two_writers_at_once(tmp_path):
    import threading

    models, path = [small() for _ in range(2)], tmp_path / "m.weights.h5"
    threads = [threading.Thread(target=lambda m=m: [m.save_weights(path) for _ in range(20)]) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = small()
    loaded.load_weights(path)
    kernels = [m.get_weights()[0].tobytes() for m in models]
    assert loaded.get_weights()[0].tobytes() in kernels
    assert [p.name for p in tmp_path.iterdir()] == ["m.weights.h5"]


def test_no_writer_takes_anothers_file_for_a_leftover(tmp_path):
    import threading

    from minikeras.common import files

    failed = []

    def write():
        for _ in range(400):
            try:
                with files.replacing(str(tmp_path / "m")) as file:
                    file.write(b"whole")
            except OSError as error:
                failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


# Kills -------------------------------------------------------------------------------------------------------------


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=300, env=environment(),
    )  # fmt: skip


def killed_after(command, seconds):
    """Run a command, and kill it with SIGKILL when it has said "ready" and some seconds have passed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        first = process.stdout.readline()
        assert first.strip() == "ready", process.stderr.read()
        time.sleep(seconds)
        ended = process.poll() is not None
        process.kill()
        _, errors = process.communicate()
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return ended


SAVER = """
import sys, itertools, numpy, minikeras
folder, kind = sys.argv[1], sys.argv[2]
model = minikeras.Sequential([minikeras.Input((300,)), minikeras.layers.Dense(400), minikeras.layers.Dense(2)])
model.compile("sgd", "mse")
print("ready", flush=True)
for i in itertools.count(1):
    model.set_weights([numpy.full(w.shape, i, "float32") for w in model.get_weights()])
    if kind == "weights.h5":
        model.save_weights(f"{folder}/model.weights.h5")
    else:
        model.save(f"{folder}/model.{kind}")
"""


@pytest.mark.parametrize("kind", ["keras", "weights.h5", "h5"])
def test_a_kill_in_mid_save_leaves_a_readable_file(kind, tmp_path):
    draw, path = random.Random(kind), tmp_path / f"model.{kind}"
    model = minikeras.Sequential([minikeras.Input((300,)), layers.Dense(400), layers.Dense(2)])
    last = leftovers = 0
    for _ in range(-(-KILLS // 3)):
        killed_after([sys.executable, "-c", SAVER, str(tmp_path), kind], 0.02 + draw.random() * 0.15)
        leftovers += len([p for p in tmp_path.iterdir() if p != path])
        if not path.exists():
            assert last == 0
            continue
        if kind == "weights.h5":
            model.load_weights(path)
            weights = model.get_weights()
        else:
            weights = minikeras.models.load_model(path).get_weights()
        numbers = {float(n) for w in weights for n in np.unique(w)}
        assert len(numbers) == 1  # all of one save, nothing of another
        last = numbers.pop()
    print(f"{kind}: {-(-KILLS // 3)} kills, {leftovers} left-overs seen, last save {last:.0f}")
    assert last > 0
    if kind == "weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# BackupAndRestore --------------------------------------------------------------------------------------------------

TRAINING = """
import os, sys, numpy, minikeras as keras
from minikeras import layers
backup, save_freq, out = sys.argv[1], sys.argv[2], sys.argv[3]
keras.utils.set_random_seed(5)
numpy.random.seed(7)
generator = numpy.random.default_rng(0)
x, y = generator.normal(size=(120, 6)).astype("float32"), generator.integers(0, 3, 120)
model = keras.Sequential([
    keras.Input((6,)), layers.Dense(16, activation="relu"), layers.Dropout(0.4), layers.Dropout(0.2, seed=3),
    layers.Dense(3, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])

class Noise(keras.callbacks.Callback):
    '''Uses every global source of random numbers, so that losing one of them shows.'''

    seen = 0

    def on_train_batch_end(self, batch, logs=None):
        import random
        self.seen += 1
        kernel = self.model.layers[0].kernel
        kernel.assign_add(1e-3 * (numpy.random.normal(size=kernel.shape) + random.random()))
        kernel.assign_add(1e-3 * keras.random.normal(kernel.shape))

noise = Noise()
early = keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True)
callbacks = [early, keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.7), noise,
             keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.99)]
if backup != "none":
    callbacks.insert(0, keras.callbacks.BackupAndRestore(backup, save_freq if save_freq == "epoch" else int(save_freq)))
print("ready", flush=True)
history = model.fit(x, y, batch_size=8, epochs=12, verbose=0, callbacks=callbacks, validation_split=0.2)
numpy.savez(out + ".tmp.npz", *model.get_weights(), *[v.numpy() for v in model.optimizer.variables],
            history.history["loss"], history.history["val_loss"], history.epoch, [noise.seen, early.wait],
            numpy.random.random(3))
os.replace(out + ".tmp.npz", out)
"""


@pytest.mark.parametrize("save_freq", ["epoch", "1", "4"])
def test_a_killed_training_ends_bit_equal(save_freq, tmp_path):
    def command(backup, out):
        return [sys.executable, "-c", TRAINING, str(backup), save_freq, str(out)]

    def compare():
        with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as killed:
            assert whole.files == killed.files
            for name in whole.files:
                assert whole[name].tobytes() == killed[name].tobytes(), name
        assert not backup.exists()

    subprocess.run(command("none", tmp_path / "whole.npz"), check=True, env=environment(), capture_output=True)
    draw, kills, trainings, backup = random.Random(save_freq), 0, 0, tmp_path / "backup"
    while kills < -(-KILLS // 3):
        if killed_after(command(backup, tmp_path / "killed.npz"), draw.random() * 0.25):
            compare()
            trainings += 1
        else:
            kills += 1
    subprocess.run(command(backup, tmp_path / "killed.npz"), check=True, env=environment(), capture_output=True)
    compare()
    print(f"save_freq={save_freq}: {kills} kills in {trainings + 1} trainings")


class Interrupt(callbacks.Callback):
    """Stop with an error after so many batches.  The count is kept where no backup reaches it, or it would go on."""

    def __init__(self, after):
        self.left = iter(range(after - 1))

    def on_train_batch_end(self, batch, logs=None):
        if next(self.left, None) is None:
            raise KeyboardInterrupt


def fit(*more, seed=1, kind="arrays", **options):
    minikeras.utils.clear_session()
    minikeras.utils.set_random_seed(seed)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 4)).astype("float32"), generator.normal(size=(50, 2)).astype("float32")
    model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(6), layers.Dropout(0.3), layers.Dense(2)])
    model.compile(minikeras.optimizers.RMSprop(0.01, momentum=0.5), "mse", metrics=["mae"])
    if kind == "generator":
        data = (((x[i % 45 : i % 45 + 5], y[i % 45 : i % 45 + 5])) for i in range(10_000))
        options["steps_per_epoch"] = 7
    elif kind == "dataset":

        class Data(minikeras.utils.PyDataset if hasattr(minikeras.utils, "PyDataset") else minikeras.data.PyDataset):
            def __len__(self):
                return 8

            def __getitem__(self, i):
                return x[i * 6 : i * 6 + 6], y[i * 6 : i * 6 + 6]

        data = Data()
    else:
        data = None
    arguments = (data,) if data is not None else (x, y)
    if data is None:
        options.setdefault("batch_size", 8)
    history = model.fit(*arguments, epochs=5, verbose=0, callbacks=list(more), validation_data=(x, y), **options)
    return [w.tobytes() for w in model.get_weights()], history.history, history.epoch


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("arrays", {}),
        ("arrays", {"shuffle": "batch"}),
        ("arrays", {"shuffle": False}),
        ("arrays", {"steps_per_epoch": 3, "batch_size": 9}),  # a pass through the data goes over several epochs
        ("arrays", {"steps_per_epoch": 7, "validation_steps": 2, "validation_batch_size": 5}),
        ("generator", {}),
        ("dataset", {}),
    ],
    ids=str,
)
def test_interruptions_anywhere_change_nothing(save_freq, kind, options, tmp_path):
    whole = fit(kind=kind, **options)
    for step in (2, 9):
        backup, tries = tmp_path / "backup", 0
        while True:
            try:
                interrupt = Interrupt(step + 9 * bool(tries))
                got = fit(callbacks.BackupAndRestore(backup, save_freq), interrupt, kind=kind, **options)
                break
            except KeyboardInterrupt:
                tries += 1
                assert tries < 60
        assert tries
        assert got == whole
        assert not backup.exists()


def test_a_stopped_training_stays_stopped(tmp_path):
    """Killed between the backup of the last epoch and the end: nothing is trained further."""

    class Fail(callbacks.Callback):
        def on_train_end(self, logs=None):
            raise KeyboardInterrupt

    def stopping():
        return callbacks.EarlyStopping("loss", patience=0, min_delta=10.0, restore_best_weights=True)

    whole = fit(stopping())
    with pytest.raises(KeyboardInterrupt):
        fit(Fail(), stopping(), callbacks.BackupAndRestore(tmp_path / "b"))
    assert fit(stopping(), callbacks.BackupAndRestore(tmp_path / "b")) == whole


def test_options_are_those_of_the_script(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks.BackupAndRestore(tmp_path), callbacks.EarlyStopping(patience=50), Interrupt(9))
    stopping = callbacks.EarlyStopping(patience=1)
    fit(callbacks.BackupAndRestore(tmp_path), stopping)
    assert stopping.patience == 1


def test_delete_checkpoint_and_double_checkpoint(tmp_path):
    (tmp_path / "mine.txt").write_text("stays")
    fit(callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.weights.h5", "latest.weights.h5.bkp", "mine.txt"]
    fit(callbacks.BackupAndRestore(tmp_path, double_checkpoint=True))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    whole = fit()
    for damage in (lambda p: p.write_bytes(p.read_bytes()[:5000]), lambda p: p.write_bytes(b"x" * 5000), os.unlink):
        with pytest.raises(KeyboardInterrupt):
            fit(callbacks.BackupAndRestore(tmp_path, double_checkpoint=True), Interrupt(25))
        damage(tmp_path / "latest.weights.h5")
        assert fit(callbacks.BackupAndRestore(tmp_path)) == whole


def test_a_damaged_backup_says_what_to_do(tmp_path):
    (tmp_path / "latest.weights.h5").write_bytes(b"nothing")
    with pytest.raises(saving.ModelFileError, match="to start anew, remove"):
        fit(callbacks.BackupAndRestore(tmp_path))
    small().save_weights(tmp_path / "latest.weights.h5")
    with pytest.raises(saving.ModelFileError, match="no state of a training"):
        fit(callbacks.BackupAndRestore(tmp_path))


def test_keras_reads_the_weights_of_a_backup(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks.BackupAndRestore(tmp_path), Interrupt(9))
    start = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dropout(0.3), keras.layers.Dense(2)]
    )
    start.load_weights(tmp_path / "latest.weights.h5")
    assert np.abs(start.get_weights()[0]).max() > 0


@pytest.mark.parametrize("options", [{"backup_dir": ""}, {"backup_dir": "b", "save_freq": "batch"}])
def test_backup_refuses_what_keras_refuses(options):
    for k in LIBRARIES:
        with pytest.raises(ValueError, match=r"backup_dir|save_freq"):
            k.callbacks.BackupAndRestore(**options)


# Damaged and forged backups ----------------------------------------------------------------------------------------

#: How many damaged backups are tried; the environment may ask for more.
DAMAGED = int(os.environ.get("MINIKERAS_FUZZ", "60"))

HOSTILE = [
    "/tmp/elsewhere.keras", "../../elsewhere", "on_epoch_end", "__class__", "x" * 100_000, "\0\x1b[2J",
    -1, 2**31, 2**64, 10**30, 1e308, float("nan"), float("inf"), True, None, [], {}, [[[[[0]]]]],
    {"tuple": []}, {"tuple": 5}, {"dict": []}, {"dict": [[[], 1]]}, {"dict": [["__class__", 1]]}, {"list": 1},
    {"dtype": "<f4", "scalar": True, "array": 0}, {"dtype": "|O", "scalar": False, "array": 0},
    {"dtype": "<f4", "scalar": False, "array": 10**9}, {"dtype": "<f4", "scalar": False, "array": "../state"},
]  # fmt: skip
ATTRIBUTES = ["filepath", "filename", "on_epoch_end", "_save", "save_freq", "monitor", "schedule", "_model", "patience",
              "__class__", "__dict__", "others", "append", "sep", "wait", "limit", "name", "params"]  # fmt: skip


class Counting(callbacks.Callback):
    """A callback of a user's own, whose numbers a backup keeps, and whose option it does not."""

    total = 0

    def __init__(self, limit=3):
        self.limit, self.losses = limit, []

    def on_epoch_end(self, epoch, logs=None):
        self.total += 1
        self.losses.append(logs["loss"])


class Accepted(Exception):
    pass


class Probe(callbacks.BackupAndRestore):
    """Notes everything just before and just after a backup is read, and ends the training there."""

    def state(self):
        generator = minikeras.random._global_generator
        values = [*self.model.weights, *self.model.optimizer.variables]
        values += [v for m in self.model.metrics for v in m.variables]
        things = [*self.others, *self.model.metrics]
        return {
            "values": [v.value.tobytes() for v in values],
            "things": [
                {k: repr(v) for k, v in vars(t).items() if k not in ("_model", "params") and "Variable" not in repr(v)}
                for t in things
            ],
            "random": repr((minikeras.random.random_state(), minikeras.random._global_seed)),
            "generator": None if generator is None else generator.state.tolist(),
            "epoch": self.running.initial_epoch,
        }

    def on_train_begin(self, logs=None):
        self.running = self.model.running
        self.before = self.state()
        super().on_train_begin(logs)
        raise Accepted


def training(folder, backup=callbacks.BackupAndRestore, *more):
    """Return a model, a list of callbacks of all kinds, and a function that trains."""
    minikeras.utils.clear_session()
    minikeras.utils.set_random_seed(1)
    model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(3), layers.Dropout(0.3), layers.Dense(2)])
    model.compile(minikeras.optimizers.Adam(0.05), "mse", metrics=["mae", Highest()])
    listed = [
        backup(folder / "backup", save_freq=2, double_checkpoint=True),
        callbacks.EarlyStopping(patience=9, restore_best_weights=True),
        callbacks.ReduceLROnPlateau(patience=1, factor=0.5),
        callbacks.CSVLogger(folder / "log.csv", append=True),
        callbacks.ModelCheckpoint(folder / "best.weights.h5", save_best_only=True, save_weights_only=True),
        Counting(),
        *more,
    ]
    x, y = np.random.default_rng(0).normal(size=(20, 4)), np.random.default_rng(1).normal(size=(20, 2))

    def train():
        return model.fit(x, y, batch_size=5, epochs=4, verbose=0, callbacks=listed, validation_split=0.25)

    return model, listed, train


class Highest(minikeras.metrics.Metric):
    """A metric of a user's own."""

    def __init__(self, name="highest"):
        super().__init__(name=name)
        self.seen, self.rows = self.add_variable((), "zeros", name="seen"), 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen.assign(max(self.seen, y_pred.max()))
        self.rows += len(y_pred)

    def result(self):
        return float(self.seen.value)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A folder with what a training leaves that is interrupted within its third epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        training(folder, callbacks.BackupAndRestore, Interrupt(9))[2]()
    os.unlink(folder / "backup" / "latest.weights.h5.bkp")
    return folder


def forged(stored, change):
    """Return the bytes of a backup whose content a function of the open file has changed, with the right checksum."""
    buffer = io.BytesIO(stored[:-32])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


def with_state(stored, change):
    def edit(file):
        state = json.loads(file["training/state"][()].tobytes())
        state = change(state) or state
        del file["training/state"]
        file["training/state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)

    return forged(stored, edit)


def anywhere(draw, state):
    """Return a container of the state and one of its places: any field is as likely as any other."""
    container, place = state, "dict"
    while True:
        inside = container[place]
        if not isinstance(inside, (list, dict)) or not inside or draw.random() < 0.15:
            return container, place
        container, place = inside, draw.choice(range(len(inside)) if isinstance(inside, list) else [*inside])


def damage(draw, stored):
    """Return a damaged or forged backup, and how it was made."""

    def hostile(state):
        container, place = anywhere(draw, state)
        container[place] = draw.choice(HOSTILE)

    def removed(state):
        container, place = anywhere(draw, state)
        del container[place]

    def deep(state):
        container, place = anywhere(draw, state)
        for _ in range(draw.choice([30, 200])):
            container[place] = [container[place]]

    def attribute(state):
        fields = dict(map(tuple, state["dict"]))
        owner = draw.choice(fields["callbacks"] + fields["metrics"])["tuple"]
        values = next(part for part in owner if isinstance(part, dict))
        values["dict"].append([draw.choice(ATTRIBUTES), draw.choice(HOSTILE)])

    def datasets(file):
        found = []
        file.visititems(lambda name, data: found.append(name) if isinstance(data, h5py.Dataset) else None)
        return found

    def array(file):
        name = draw.choice([n for n in datasets(file) if n != "training/state"])
        old = file[name][()]
        del file[name]
        new = draw.choice([
            None, np.zeros((2, *old.shape), old.dtype), np.zeros(old.shape, "float16"),
            np.zeros(old.shape, "complex64"),
            np.full(old.shape, b"x"), h5py.SoftLink("/training/state"), h5py.ExternalLink("/etc/passwd", "/"),
        ])  # fmt: skip
        if new is not None:
            file[name] = new

    def counter(file):
        name, value = draw.choice([("0", -1), ("0", -(2**63)), ("1", np.nan), ("1", -1.0), ("1", np.inf)])
        file[f"optimizer/vars/{name}"][...] = value

    kind = draw.choice(["flip", "flip", "cut", "longer", "zeros", hostile, hostile, hostile, removed, deep, attribute,
                        attribute, array, counter])  # fmt: skip
    if callable(kind):
        made = forged(stored, kind) if kind in (array, counter) else with_state(stored, kind)
        return made, kind.__name__
    made = bytearray(stored)
    if kind == "flip":
        for _ in range(draw.choice([1, 1, 8])):
            made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del made[draw.choice([0, draw.randrange(len(made)), len(made) - 1, len(made) - 32]) :]
    elif kind == "longer":
        made += b"\0" * draw.choice([1, 32, 10_000])
    else:
        start = draw.randrange(len(made))
        made[start : start + 512] = bytes(len(made[start : start + 512]))
    return bytes(made), kind


def test_a_damaged_backup_changes_nothing(interrupted, tmp_path):
    """It is refused with one error, or holds numbers that this training might have left, where they belong."""
    stored = (interrupted / "backup" / "latest.weights.h5").read_bytes()
    draw, refused, accepted = random.Random(0), {}, {}
    (tmp_path / "backup").mkdir()

    def read(content):
        (tmp_path / "backup" / "latest.weights.h5").write_bytes(content)
        _, (probe, *_), train = training(tmp_path, Probe)
        with pytest.raises((Accepted, saving.ModelFileError)) as caught:
            train()
        return probe, caught.value

    whole, error = read(stored)
    assert isinstance(error, Accepted)
    honest = whole.state()
    for _ in range(DAMAGED):
        content, kind = damage(draw, stored)
        probe, error = read(content)
        if isinstance(error, saving.ModelFileError):
            assert "to start anew, remove" in str(error)
            assert str(tmp_path / "backup") in str(error)
            assert len(str(error)) < 1000
            assert probe.state() == probe.before, kind
            refused[kind] = refused.get(kind, 0) + 1
            continue
        assert content == stored or kind not in ("flip", "cut", "longer", "zeros", "array", "counter")
        accepted[kind] = accepted.get(kind, 0) + 1
        after = probe.state()
        n = len(probe.model.weights) + len(probe.model.optimizer.variables)
        assert after["values"][:n] == honest["values"][:n]
        things = [*probe.others, *probe.model.metrics]
        for thing, then, now in zip(things, probe.before["things"], after["things"], strict=True):
            kept = backup._Kept(thing)
            changed = {name for name in {*then, *now} if then.get(name) != now.get(name)}
            assert changed <= {*kept.fields}
            kept.checked({name: getattr(thing, name) for name in changed})
    print(f"{DAMAGED} backups; refused {sum(refused.values())} {refused}; accepted {sum(accepted.values())} {accepted}")
    assert sum(refused.values()) > 0.7 * DAMAGED


def test_a_forged_backup_moves_no_file_and_replaces_no_method(interrupted, tmp_path):
    stored = (interrupted / "backup" / "latest.weights.h5").read_bytes()
    (tmp_path / "backup").mkdir()
    for field in ("filepath", "filename", "on_epoch_end", "_save", "monitor", "save_freq", "_model", "limit"):

        def change(state, field=field):
            for owner in dict(map(tuple, state["dict"]))["callbacks"]:
                owner["tuple"][1]["dict"].append([field, str(tmp_path / "elsewhere.weights.h5")])

        (tmp_path / "backup" / "latest.weights.h5").write_bytes(with_state(stored, change))
        with pytest.raises(saving.ModelFileError, match="not what a training of this model leaves"):
            training(tmp_path)[2]()
        assert not list(tmp_path.glob("elsewhere*"))


@pytest.mark.parametrize("change", ["units", "optimizer", "metrics"])
def test_a_backup_of_another_training_is_refused(change, tmp_path):
    x, y = np.ones((8, 4)), np.ones((8, 2))

    def train(units=3, optimizer="adam", metrics=("mae",), more=()):
        model = small(units=units)
        model.compile(optimizer, "mse", metrics=list(metrics))
        before = [w.copy() for w in model.get_weights()]
        try:
            model.fit(x, y, epochs=9, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "b"), *more])
        finally:
            if not more:
                assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

    with pytest.raises(KeyboardInterrupt):
        train(more=[Interrupt(3)])
    other = {"units": {"units": 5}, "optimizer": {"optimizer": "sgd"}, "metrics": {"metrics": []}}
    with pytest.raises(saving.ModelFileError, match="to start anew, remove"):
        train(**other[change])


def test_a_backup_keeps_the_numbers_of_ones_own_callbacks(tmp_path):
    class Own(callbacks.Callback):
        backed_up: ClassVar = {"words": lambda owner, value: isinstance(value, list)}
        count = 0

        def __init__(self, option=1):
            self.option, self.words, self.best, self.table = option, [], None, {"a": np.zeros(2)}

        def on_epoch_end(self, epoch, logs=None):
            self.count += 0.5
            self.words.append(f"epoch {epoch}")
            self.best, self.option, self.late = logs["loss"], 99, 1
            self.table["a"] += epoch

    with pytest.raises(KeyboardInterrupt):
        fit(callbacks.BackupAndRestore(tmp_path), Own(), Interrupt(23))  # in the fourth epoch
    own = Own(option=5)

    class Stop(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(callbacks.BackupAndRestore(tmp_path), own, Stop())
    assert (own.count, own.words, own.option) == (1.5, ["epoch 0", "epoch 1", "epoch 2"], 5)
    assert own.best > 0
    assert own.table["a"].tolist() == [3.0, 3.0]
    assert not hasattr(own, "late")


def test_a_backup_holds_a_history_of_any_length(tmp_path):
    history = callbacks.History()
    history.history["old"] = (np.arange(400_000) / 3).tolist()
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks.BackupAndRestore(tmp_path), history, Interrupt(9))
    again = callbacks.History()
    fit(callbacks.BackupAndRestore(tmp_path), again)
    assert again.history["old"] == history.history["old"]
    assert len(again.history["loss"]) == 5


# Interruptions -----------------------------------------------------------------------------------------------------

#: A training is interrupted at so many lines of the callbacks; where the environment says n, at each n-th that runs.
LINES, STRIDE = 40, os.environ.get("MINIKERAS_LINES")
TRACED = [module.__file__ for module in (callbacks.steering, callbacks.reporting, checkpoints, backup)]
PURE = ("_encode", "_decode", "<listcomp>", "<genexpr>", "<dictcomp>")  # thousands of lines that change nothing


class Raise:
    """Raise KeyboardInterrupt at a line of the callbacks, counted from 1 as they run; count them all where 0."""

    def __init__(self, at):
        self.at, self.lines, self.firsts = at, 0, {}

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def trace(self, frame, event, argument):
        if frame.f_code.co_filename not in TRACED or frame.f_code.co_name in PURE:
            return None
        if event == "line":
            self.lines += 1
            self.firsts.setdefault((frame.f_code.co_filename, frame.f_lineno), self.lines)
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self.trace


class Note(callbacks.Callback):
    """Notes the weights by their validation loss."""

    def __init__(self, noted):
        self.noted = noted

    def on_epoch_end(self, epoch, logs=None):
        self.noted[logs["val_loss"]] = self.model.get_weights()


def open_files(folder):
    links = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd")] if os.path.isdir("/proc/self/fd") else []
    return [os.readlink(link) for link in links if os.path.exists(link) and str(folder) in os.readlink(link)]


# Between the end of a `with` block and its `__exit__` it is the end of the frame that closes the file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("resumed", [False, True], ids=["first fit", "resumed fit"])
def test_an_interruption_within_a_callback_leaves_whole_files_and_usable_callbacks(resumed, interrupted, tmp_path):
    def start(name):
        folder = tmp_path / name
        if resumed:
            shutil.copytree(interrupted, folder)
        else:
            folder.mkdir()
        model, listed, train = training(folder)
        listed.insert(0, Note({}))  # before the checkpoint
        return folder, model, listed, train

    _, whole, _, train = start("whole")
    with Raise(0) as counted:
        train()
    last = [w.tobytes() for w in whole.get_weights()]
    assert counted.lines > 500
    firsts = [*counted.firsts.values()]
    chosen = range(1, counted.lines + 1, int(STRIDE)) if STRIDE else random.Random(0).sample(firsts, LINES)
    for at in chosen:
        folder, model, listed, train = start(str(at))
        note, backup, checkpoint = listed[0], listed[1], listed[5]
        with pytest.raises(KeyboardInterrupt), Raise(at):
            train()
        assert open_files(folder) == []
        assert [p.name for p in folder.rglob("*.partial")] == []
        written = (folder / "log.csv").read_text() if (folder / "log.csv").exists() else ""
        assert all(line.count(",") == 7 and line.endswith("\n") for line in written.splitlines(keepends=True))
        best = folder / "best.weights.h5"
        if checkpoint.best in note.noted:
            other = training(folder)[0]
            other.load_weights(best)
            for a, b in zip(other.get_weights(), note.noted[checkpoint.best], strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            assert resumed or not best.exists()
        has_backup = os.path.exists(backup.path)
        train()
        if has_backup:
            assert [w.tobytes() for w in model.get_weights()] == last
        assert sorted(p.name for p in folder.iterdir()) == ["best.weights.h5", "log.csv"]
        shutil.rmtree(folder)
    print(f"{len(chosen)} interruptions of {counted.lines} lines, {len(counted.firsts)} different ones")
