"""Callbacks, driven beside those of Keras with the same logs."""

import functools
import io
import itertools
import math
import os
import sys
import warnings
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_console import Clock, Stream, printing_to

import minikeras
from minikeras import callbacks, config
from minikeras.callbacks import steering

LIBRARIES = (keras.callbacks, callbacks)


class Optimizer:
    """Keeps its learning rate in float32, as the optimizers of both libraries do."""

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate

    @property
    def learning_rate(self):
        return float(self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = np.float32(value)


class Model:
    """What callbacks use of a model: the weights are a count of the epochs it was trained."""

    def __init__(self):
        self.optimizer = Optimizer()
        self.stop_training = False
        self.weights = 0
        self.metrics = []

    def get_weights(self):
        return [np.float32(self.weights)]

    def set_weights(self, weights):
        self.weights = int(weights[0])


def fit(callback, epochs, model=None):
    """Call a callback as `fit` would with these logs; return the learning rate and the state after each epoch."""
    model = model or Model()
    model.stop_training = False
    callback.set_model(model)
    callback.set_params({"verbose": 0, "epochs": len(epochs), "steps": 1})
    trace = []
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        model.weights = epoch + 1
        logs = dict(logs)
        callback.on_epoch_end(epoch, logs)
        trace.append((model.optimizer.learning_rate, model.stop_training, state(callback), logs))
        if model.stop_training:
            break
    callback.on_train_end()
    return model, trace


STATE = ("wait", "best", "stopped_epoch", "best_epoch", "cooldown_counter", "best_weights", "monitor", "mode")


def state(callback):
    """The public state; NaN in a form that equals itself."""
    return {name: repr(getattr(callback, name)) for name in STATE if hasattr(callback, name)}


def same_behaviour(name, fits, **options):
    """Drive both callbacks through several calls of `fit`, and compare all that can be seen of them."""
    seen = []
    for module in LIBRARIES:
        with printing_to(Stream()) as stream, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback = getattr(module, name)(**options)
            results = [fit(callback, epochs) for epochs in fits]
        traces = [trace for _, trace in results]
        after = [(model.weights, model.stop_training) for model, _ in results]
        seen.append((traces, after, state(callback), stream.getvalue(), len(caught)))
    theirs, ours = seen
    assert ours == theirs
    return ours


loss = st.one_of(
    st.floats(0, 10, width=32, allow_subnormal=False),  # TensorFlow takes subnormal numbers for zeros
    st.sampled_from([0.5, 0.5 + 1e-9, 0.5 + 1e-4, 0.5 - 1e-4, 0.51, math.nan, math.inf]),
)
runs = st.lists(st.lists(loss, max_size=12), min_size=1, max_size=2)


@settings(deadline=None)
@given(
    runs,
    st.fixed_dictionaries(
        {},
        optional={
            "min_delta": st.sampled_from([0, 1e-4, -0.01, 0.5]),
            "patience": st.integers(0, 4),
            "mode": st.sampled_from(["auto", "min", "max"]),
            "baseline": st.sampled_from([None, 0.5, 3.0]),
            "restore_best_weights": st.booleans(),
            "start_from_epoch": st.integers(0, 3),
            "verbose": st.sampled_from([0, 1]),
        },
    ),
)
def test_early_stopping_is_keras(losses, options):
    same_behaviour("EarlyStopping", [[{"val_loss": v} for v in run] for run in losses], **options)


def test_early_stopping_option_grid():
    losses = [[0.9, 0.7, 0.71, 0.69, 0.70, 0.72, 0.6, 0.8, 0.8, 0.8, 0.8]]
    stopped = 0
    for patience, delta, baseline, restore, start in itertools.product(
        [0, 1, 3], [0, 0.05], [None, 0.65], [False, True], [0, 2]
    ):
        result = same_behaviour(
            "EarlyStopping",
            [[{"val_loss": v} for v in run] for run in losses],
            patience=patience,
            min_delta=delta,
            baseline=baseline,
            restore_best_weights=restore,
            start_from_epoch=start,
            verbose=1,
        )
        stopped += result[1][0][1]
    assert stopped > 20


def test_early_stopping_restores_without_having_stopped():
    callback = callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    model, _ = fit(callback, [{"val_loss": v} for v in (3, 1, 2)])
    assert not model.stop_training
    assert (callback.stopped_epoch, callback.best_epoch, model.weights) == (0, 1, 2)


def test_early_stopping_messages():
    with printing_to(Stream()) as stream:
        fit(callbacks.EarlyStopping(verbose=1, restore_best_weights=True), [{"val_loss": v} for v in (1, 2)])
    assert stream.getvalue() == (
        "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


def test_comparisons_are_in_the_models_float_type():
    def stopped():
        return fit(callbacks.EarlyStopping(), [{"val_loss": 0.5}, {"val_loss": 0.5 - 1e-12}])[0].stop_training

    assert stopped()
    config.set_floatx("float64")
    try:
        assert not stopped()
    finally:
        config.set_floatx("float32")


@settings(deadline=None)
@given(
    runs,
    st.fixed_dictionaries(
        {},
        optional={
            "factor": st.sampled_from([0.1, 0.5, 0.9]),
            "patience": st.integers(0, 3),
            "mode": st.sampled_from(["auto", "min", "max"]),
            "min_delta": st.sampled_from([0, 1e-4, 0.5]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0, 0.01, 0.1, 1]),
            "verbose": st.sampled_from([0, 1]),
        },
    ),
)
def test_reduce_lr_is_keras(losses, options):
    same_behaviour("ReduceLROnPlateau", [[{"val_loss": v} for v in run] for run in losses], **options)


def test_reduce_lr_reduces_and_cools_down():
    _, trace = fit(callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=2), [{"val_loss": 1.0}] * 9)
    rates = [round(rate, 6) for rate, *_ in trace]
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125]
    assert all(logs["learning_rate"] > 0 for *_, logs in trace)


def test_reduce_lr_refuses_a_factor_of_one():
    for module in LIBRARIES:
        with pytest.raises(ValueError, match=r"does not support a factor >= 1.0. Received factor=1.5"):
            module.ReduceLROnPlateau(factor=1.5)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch, rate: rate * 0.5,
        lambda epoch: 0.1 / (epoch + 1),
        lambda epoch, rate=None: np.float32(0.25) if rate is None else np.float64(rate + 1),
        lambda *arguments: float(sum(arguments)),
    ],
)
@pytest.mark.parametrize("verbose", [0, 1])
def test_learning_rate_scheduler_is_keras(schedule, verbose):
    same_behaviour("LearningRateScheduler", [[{"loss": 1.0}] * 4], schedule=schedule, verbose=verbose)


@pytest.mark.parametrize("value", [1, "0.1", None, np.zeros(1)])
def test_learning_rate_scheduler_wants_a_float(value):
    for module in LIBRARIES:
        with pytest.raises(ValueError, match="should be a float"):
            fit(module.LearningRateScheduler(lambda epoch, rate: value), [{"loss": 1.0}])


def test_an_error_inside_a_schedule_is_not_hidden():
    def schedule(epoch, rate):
        return rate + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        fit(callbacks.LearningRateScheduler(schedule), [{"loss": 1.0}])


def test_learning_rate_scheduler_wants_an_optimizer_with_a_rate():
    for module in LIBRARIES:
        model = Model()
        model.optimizer = object()
        with pytest.raises(ValueError, match='must have a "learning_rate" attribute'):
            fit(module.LearningRateScheduler(lambda epoch: 0.1), [{}], model)


# ---- what to monitor ----


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
class TestMonitor:
    def test_missing_name_warns_and_suggests(self, name):
        for module in LIBRARIES:
            callback = getattr(module, name)("val_acuracy", mode="max")
            with pytest.warns(UserWarning, match=r"`val_acuracy` which is not available. Available metrics") as caught:
                fit(callback, [{"accuracy": 0.5, "val_accuracy": 0.5}])
        assert "are: accuracy,val_accuracy" in str(caught[0].message)
        assert "Did you mean 'val_accuracy'?" in str(caught[0].message)

    def test_missing_name_without_any_logs(self, name):
        for module in LIBRARIES:
            with pytest.warns(UserWarning, match="which is not available"):
                fit(getattr(module, name)(), [{}])

    def test_unknown_mode_warns(self, name):
        for module in LIBRARIES:
            with pytest.warns(UserWarning, match=f"{name} mode 'mx' is unknown, fallback to auto mode.") as caught:
                callback = getattr(module, name)(mode="mx")
            assert callback.mode == "auto"
        assert "Did you mean 'max'?" in str(caught[0].message)

    def test_auto_refuses_to_guess(self, name):
        for module in LIBRARIES:
            with pytest.raises(ValueError, match=f"{name} callback received monitor=val_mine"):
                fit(getattr(module, name)("val_mine"), [{"val_mine": 1.0}])

    def test_auto_suggests_the_name_that_was_meant(self, name):
        with pytest.raises(ValueError, match="Did you mean 'val_accuracy'"):
            fit(getattr(callbacks, name)("val_acuracy"), [{"val_accuracy": 1.0}])

    @pytest.mark.parametrize(("metric", "sign"), [("up", 1), ("down", -1)])
    def test_auto_asks_the_metric(self, name, metric, sign):
        model = Model()
        model.metrics = [SimpleNamespace(name="loss"), SimpleNamespace(name="mine", _direction=metric)]
        callback = getattr(callbacks, name)("val_mine")
        fit(callback, [{"val_mine": v} for v in (2.0, 2.0 + sign)], model)
        assert callback.best == 2.0 + sign


@pytest.mark.parametrize(
    "metric", [name for name in minikeras.metrics.__all__ if isinstance(getattr(minikeras.metrics, name), type)]
)
def test_directions_are_those_of_keras(metric):
    needed = {
        "IoU": (2, [0]), "OneHotIoU": (2, [0]), "MeanIoU": (2,), "OneHotMeanIoU": (2,), "MeanRelativeError": ([1.0],),
        **dict.fromkeys(("PrecisionAtRecall", "RecallAtPrecision"), (0.5,)),
        **dict.fromkeys(("SensitivityAtSpecificity", "SpecificityAtSensitivity"), (0.5,)),
    }.get(metric, ())  # fmt: skip
    theirs, ours = (
        None if metric in ("Metric", "MeanMetricWrapper") else getattr(k.metrics, metric)(*needed)
        for k in (keras, minikeras)
    )
    assert steering._direction(ours) == getattr(theirs, "_direction", None)


def test_direction_of_a_wrapped_loss():
    wrapped = minikeras.metrics.MeanMetricWrapper(minikeras.losses.huber, name="h")
    assert steering._direction(wrapped) == keras.metrics.MeanMetricWrapper(keras.losses.huber, name="h")._direction
    assert steering._direction(minikeras.metrics.MeanMetricWrapper(lambda y_true, y_pred: y_pred, name="mine")) is None


# ---- the same script in both libraries ----

NAN, INF = math.nan, math.inf
X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


@functools.cache
def model_of(k, rate):
    rate = k.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9) if rate == "schedule" else rate
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, activation="sigmoid")])
    model.compile(k.optimizers.SGD(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def log(k, values):
    """Put a number of a list into the logs after each epoch; `...` puts none."""

    class Log(k.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if values[epoch % len(values)] is not ...:
                logs["score"] = values[epoch % len(values)]

    return Log()


def stop(k, hook):
    def stopping(self, *arguments, **options):
        self.model.stop_training = True

    return type("Stop", (k.callbacks.Callback,), {hook: stopping})()


def kernel_in(path):
    """The kernel of the Dense layer in a file, which tells when the file was written."""
    stored = path.read_bytes()
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            stored = archive.read("model.weights.h5")
    found = []
    with h5py.File(io.BytesIO(stored)) as file:
        file.visititems(lambda name, data: found.append(data[()]) if getattr(data, "shape", 0) == (3, 1) else None)
    return rounded(found[0].ravel())


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        return [rounded(v) for v in value]
    try:
        return f"{float(value):.3f}"
    except (TypeError, ValueError):
        return value


def run_script(k, script, folder, rate=0.5, fits=1, **options):
    """Train with the callbacks of a script; return all that can be seen afterwards, and the error's text."""
    folder.mkdir()
    model, seen, text = model_of(k, rate), {"history": []}, ""
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    model.optimizer.iterations.assign(0)
    if rate != "schedule":
        model.optimizer.learning_rate = rate
    options = {"batch_size": 5, "epochs": 4, "validation_split": 0.5, **options}
    with warnings.catch_warnings(record=True) as caught, printing_to(Stream()) as stream:
        warnings.simplefilter("always")
        try:
            listed = script(k, folder)
            for _ in range(fits):
                history = model.fit(X, Y, shuffle=False, verbose=0, callbacks=listed, **options)
                seen["history"].append((rounded(history.history), history.epoch))
        except Exception as error:
            seen["error"], text = type(error), str(error)
    seen["weights"], seen["rate"] = rounded(model.get_weights()[0]), rounded(model.optimizer.learning_rate)
    seen["printed"] = stream.getvalue().replace(str(folder), "")
    seen["warnings"] = [str(w.message)[:30] for w in caught if issubclass(w.category, UserWarning)]
    seen["files"] = {
        str(p.relative_to(folder)): kernel_in(p) if p.suffix in (".h5", ".keras") else
        [rounded(line.split(",")) for line in p.read_text().splitlines()]
        for p in sorted(folder.rglob("*")) if p.is_file()
    }  # fmt: skip
    return seen, text


def checkpoint(k, folder, name="best.keras", **options):
    return k.callbacks.ModelCheckpoint(folder / name, **options)


def watching(values, name, **options):
    """A script with one callback that watches these numbers."""

    def script(k, folder):
        first = [folder / "best.keras"] if name == "ModelCheckpoint" else []
        callback = getattr(k.callbacks, name)(*first, **{"monitor": "score", **options})
        return [log(k, values), callback]

    return script


LOGGED = {
    "missing": [...],
    "sometimes": [1.0, ..., 0.5, ...],
    "nan first": [NAN, 1.0, 0.5, 2.0],
    "nan later": [1.0, NAN, 0.5, 2.0],
    "inf": [INF, 1.0, -INF, 0.0],
    "None": [None],
    "an array of one": [np.array([1.0]), np.array([0.5]), np.array([2.0])],
    "no axis": [np.array(1.0), np.float32(0.5), 2, True],
}
WATCHERS = {
    "best": ("ModelCheckpoint", {"save_best_only": True}),
    "all": ("ModelCheckpoint", {}),
    "early": ("EarlyStopping", {"restore_best_weights": True}),
    "plateau": ("ReduceLROnPlateau", {"patience": 1}),
}
SCRIPTS = {
    f"{what} {mode} {who}": (watching(values, name, **options, mode=mode), {})
    for what, values in LOGGED.items()
    for mode in ("min", "max", "auto", "mx")
    for who, (name, options) in WATCHERS.items()
    if mode in ("min", "max") or what in ("missing", "nan first")
}
SCRIPTS |= {
    f"monitor {monitor} {who}": (watching([...], name, **{**options, "monitor": monitor}), fit_options)
    for monitor, fit_options in [
        ("val_acc", {}), ("acc", {}), ("accuracy", {}), ("val_accuracy", {}), ("loss", {}), ("val_val_loss", {}),
        ("", {}), ("val_loss", {"validation_split": 0.0}), ("val_loss", {"validation_freq": 2}),
    ]
    for who, (name, options) in WATCHERS.items()
}  # fmt: skip
SCRIPTS |= {
    f"early {options}": (watching([...], "EarlyStopping", monitor="val_loss", restore_best_weights=True, **options), {})
    for options in (
        {"baseline": NAN}, {"baseline": 0.0}, {"baseline": INF}, {"min_delta": -1}, {"min_delta": NAN},
        {"min_delta": INF}, {"patience": -1},
        {"start_from_epoch": 10}, {"start_from_epoch": 2}, {"start_from_epoch": -3},
        {"min_delta": 9.0, "patience": 1, "verbose": 1},
    )
}  # fmt: skip
SCRIPTS |= {
    f"plateau {options}": (
        watching([...], "ReduceLROnPlateau", **{"monitor": "val_loss", "patience": 1, "min_delta": 9.0, **options}), {}
    )
    for options in (
        {"factor": 0}, {"factor": -1}, {"factor": 1}, {"min_lr": 1}, {"min_lr": NAN}, {"min_lr": -1}, {"cooldown": -1},
        {"cooldown": 2}, {"patience": 0}, {"patience": -1}, {"min_delta": INF}, {"min_delta": NAN},
        {"verbose": 1},
    )
}  # fmt: skip
SCRIPTS |= {
    f"save_freq={frequency} {options}": (
        functools.partial(
            checkpoint, name="{epoch}.weights.h5", save_weights_only=True, save_freq=frequency, **options
        ),
        {"fits": 2},
    )
    for frequency in (1, 2, 3, 8, 100, 0, -1, 1.0, None, "batch", "epoch")
    for options in ({}, {"save_best_only": True})
}
SCRIPTS |= {
    f"threshold {value}": (functools.partial(checkpoint, save_best_only=True, initial_value_threshold=value), {})
    for value in (0.45, NAN, -INF, INF)
}
SCRIPTS |= {
    f"rate {rate!r}": (lambda k, _, rate=rate: k.callbacks.LearningRateScheduler(lambda e, old: rate), {})
    for rate in (1, "0.1", None, True, np.float16(0.5), np.float64(0.5), np.float32(0.0), np.array(0.5), np.zeros(1))
}
SCRIPTS |= {
    "late": (lambda k, _: k.callbacks.LearningRateScheduler(lambda e: 1 if e == 2 else 0.5), {}),
    "no arguments": (lambda k, _: k.callbacks.LearningRateScheduler(lambda: 0.5), {}),
    "no function": (lambda k, _: k.callbacks.LearningRateScheduler(0.5), {}),
    "scheduled twice": (lambda k, _: k.callbacks.LearningRateScheduler(lambda e: 0.5), {"rate": "schedule"}),
    "plateau of a schedule": (
        lambda k, _: k.callbacks.ReduceLROnPlateau(patience=1, min_delta=9.0), {"rate": "schedule"},
    ),
    "no plateau of a schedule": (lambda k, _: k.callbacks.ReduceLROnPlateau(), {"rate": "schedule"}),
    "a list in a list": (lambda k, _: [[k.callbacks.EarlyStopping(patience=1, min_delta=9.0)]], {}),
    "a dictionary": (lambda k, _: {"early": k.callbacks.EarlyStopping(patience=1, min_delta=9.0)}, {}),
    "an empty dictionary": (lambda k, _: {}, {}),
    "a log in no folder": (lambda k, folder: k.callbacks.CSVLogger(folder / "no" / "log.csv"), {}),
    "a folder for a log": (lambda k, folder: k.callbacks.CSVLogger(folder), {}),
    "history": (lambda k, _: k.callbacks.History(), {"fits": 2}),
}  # fmt: skip
SCRIPTS |= {
    f"log of {values} append={append}": (
        lambda k, folder, values=values, append=append: [
            log(k, values), k.callbacks.CSVLogger(folder / "log.csv", append=append)
        ],
        {"validation_freq": 2, "fits": 2},
    )
    for values in ([..., 1.0, 2.0], [1.0, ..., np.arange(2.0), "a b", None])
    for append in (False, True)
}  # fmt: skip
SCRIPTS |= {
    f"nan raise_error={flag}": (
        lambda k, folder, flag=flag: [
            k.callbacks.TerminateOnNaN(raise_error=flag), k.callbacks.CSVLogger(folder / "log.csv"),
            checkpoint(k, folder, "{epoch}.weights.h5", save_weights_only=True),
        ],
        {"rate": 1e38},
    )
    for flag in (False, True)
}  # fmt: skip
SCRIPTS |= {
    f"again {who}": (watching([1.0, 0.5, 2.0, 0.7], name, **{**options, "mode": "min", "patience": 1})
                     if "best" not in who and who != "all"
                     else watching([1.0, 0.5, 2.0, 0.7], name, **options, mode="min"), {"fits": 3})
    for who, (name, options) in WATCHERS.items()
}  # fmt: skip
SCRIPTS |= {
    f"stop {hook}": (
        lambda k, folder, hook=hook: [stop(k, hook), k.callbacks.EarlyStopping(restore_best_weights=True),
                                      k.callbacks.CSVLogger(folder / "log.csv")],
        {},
    )
    for hook in ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_begin",
                 "on_test_batch_end", "on_test_end", "on_epoch_end")
}  # fmt: skip
SCRIPTS |= {
    f"name {name}": (functools.partial(checkpoint, name=name), {})
    for name in ("{epoch}", "{foo}.keras", "{}.keras", "{epoch:d}-{loss:d}.keras", "{batch}.keras", "{.keras",
                 "sub/{epoch}/m.keras", "{val_loss:.2f}.keras")
}  # fmt: skip


#: A third of the scripts, unless the environment asks for all.
EVERY = 1 if "MINIKERAS_SCRIPTS" in os.environ else 3


@pytest.mark.parametrize("name", [*SCRIPTS][::EVERY])
def test_a_script_does_what_it_does_with_keras(name, tmp_path):
    script, options = SCRIPTS[name]
    theirs, ours = (run_script(k, script, tmp_path / k.__name__, **options) for k in (keras, minikeras))
    assert issubclass(ours[0].pop("error", type(None)), theirs[0].pop("error", type(None)))
    assert ours[0] == theirs[0]
    if "callback received monitor=" in theirs[1]:
        assert ours[1].partition(", but")[0] == theirs[1].partition(", but")[0]


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (watching([np.arange(2.0)], "EarlyStopping", mode="min"), ValueError, "one number under the name 'score'"),
        (watching([np.arange(2.0)], "ReduceLROnPlateau", mode="min"), ValueError, "one number under the name 'score'"),
        (watching(["good"], "EarlyStopping", mode="min"), TypeError, "one number under the name 'score'"),
        (watching(["good"], "ReduceLROnPlateau", mode="min"), TypeError, "one number under the name 'score'"),
        (watching(["good"], "ModelCheckpoint", mode="min", save_best_only=True), TypeError, "'score' in the logs"),
        (watching([...], "EarlyStopping", monitor="val_loss", baseline="0"), TypeError, "baseline"),
        (lambda k, _: k.callbacks.LearningRateScheduler(lambda e: NAN), ValueError, "learning_rate"),
        (lambda k, _: k.callbacks.LearningRateScheduler(lambda e: -0.1), ValueError, "learning_rate"),
        (lambda k, _: [None], TypeError, "expected a Callback"),
        (lambda k, _: ["EarlyStopping"], TypeError, "expected a Callback"),
        (lambda k, _: {"early": k.callbacks.EarlyStopping}, TypeError, "make one"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_at_once(script, error, message, tmp_path):
    """Where Keras trains on with NaN, fails an epoch later, or with an AttributeError."""
    seen, text = run_script(minikeras, script, tmp_path / "here")
    assert issubclass(seen["error"], error)
    assert message in text
    assert not seen["files"]


@pytest.mark.parametrize("frequency", [1, "epoch"])
def test_the_best_checkpoint_of_an_unknown_monitor_is_never_written(frequency, tmp_path):
    script = functools.partial(checkpoint, monitor="val_acc", save_best_only=True, save_freq=frequency)
    seen, text = run_script(minikeras, script, tmp_path / "here")
    assert seen["error"] is ValueError
    assert "Did you mean 'val_accuracy'?" in text or frequency == 1
    assert not seen["files"]


# ---- records ----


def values(*more):
    return st.one_of(st.floats(allow_nan=False), st.integers(-5, 5), st.text(max_size=3), *more)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["loss", "acc", "val_loss", "a b"]), values(), max_size=3), max_size=4),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.sampled_from([None, "", "epoch,loss\r\n0,1\r\n"]),
)
def test_csv_logger_writes_keras_bytes(epochs, separator, append, before):
    import tempfile
    from pathlib import Path

    written = []
    with tempfile.TemporaryDirectory() as folder:
        for module in LIBRARIES:
            path = Path(folder, module.__name__)
            if before is not None:
                path.write_bytes(before.encode())
            callback = module.CSVLogger(path, separator, append)
            for _ in range(2):
                fit(callback, epochs)
            written.append(path.read_bytes())
    assert written[1] == written[0]


def test_csv_logger_of_sequences(tmp_path):
    epochs = [{"loss": np.float32(0.1), "list": [1, 2], "array": np.arange(3), "zero": np.array(2.0), "word": "a,b"}]
    for module in LIBRARIES:
        fit(module.CSVLogger(str(tmp_path / module.__name__)), epochs)
    theirs, ours = sorted(tmp_path.iterdir(), key=lambda p: p.name != keras.callbacks.__name__)
    assert ours.read_bytes() == theirs.read_bytes()
    assert b"0, 1, 2" in ours.read_bytes()


def test_csv_logger_is_whole_after_every_epoch(tmp_path):
    callback = callbacks.CSVLogger(tmp_path / "log.csv")
    callback.on_train_begin()
    callback.on_epoch_end(0, {"val_loss": 0.5})
    assert (tmp_path / "log.csv").read_bytes() == b"epoch,val_loss\r\n0,0.5\r\n"


def test_csv_logger_fails_before_training_where_it_cannot_write(tmp_path):
    with pytest.raises(FileNotFoundError):
        callbacks.CSVLogger(tmp_path / "nowhere" / "log.csv").on_train_begin()


def test_history_is_keras():
    for module in LIBRARIES:
        history = module.History()
        for _ in range(2):
            model, _ = fit(history, [{"loss": 1.0}, {"loss": 0.5, "val_loss": 2.0}])
        assert history.epoch == [0, 1]
        assert history.history == {"loss": [1.0, 0.5, 1.0, 0.5], "val_loss": [2.0, 2.0]}
        assert history.params == {"verbose": 0, "epochs": 2, "steps": 1}
        assert model.history is history


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32(math.nan)])
def test_terminate_on_nan_is_keras(bad):
    printed = []
    for module in LIBRARIES:
        model, callback = Model(), module.TerminateOnNaN()
        callback.set_model(model)
        with printing_to(Stream()) as stream:
            for logs in (None, {}, {"loss": 1.0}):
                callback.on_batch_end(0, logs)
            assert not model.stop_training
            callback.on_train_batch_end(7, {"loss": bad})
        assert model.stop_training
        printed.append(stream.getvalue())
        with pytest.raises(RuntimeError, match=r"encountered at batch 3. Loss value"):
            module.TerminateOnNaN(raise_error=True).on_batch_end(3, {"loss": bad})
    assert printed[0] == printed[1] == "Batch 7: Invalid loss, terminating training\n"


# ---- hooks ----

BEGIN_AND_END = [f"on_{what}_{when}" for what in ("train", "test", "predict") for when in ("begin", "end")]
WITH_INDEX = ["on_epoch_begin", "on_epoch_end"] + [
    f"on_{what}batch_{when}" for what in ("", "train_", "test_", "predict_") for when in ("begin", "end")
]


def test_the_hooks_are_those_of_keras():
    theirs = {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}
    assert set(callbacks.base.HOOKS) == theirs == {*BEGIN_AND_END, *WITH_INDEX}


def recorder(module, hooks, calls):
    def record(name):
        def hook(self, *arguments, **options):
            calls.append((name, arguments, options.get("logs")) if options else (name, arguments[:-1], arguments[-1]))

        return hook

    return type("Recorder", (module.Callback,), {name: record(name) for name in hooks})()


@settings(deadline=None)
@given(st.sets(st.sampled_from([*BEGIN_AND_END, *WITH_INDEX])), st.sets(st.sampled_from([*BEGIN_AND_END, *WITH_INDEX])))
def test_a_list_calls_what_keras_calls(first, second):
    seen = []
    logs = {"loss": np.float32(0.5), "acc": 1, "deep": {"z": np.array(2.0)}, "word": "x"}
    for module in LIBRARIES:
        calls = []
        both = [recorder(module, first, calls), [recorder(module, second, calls)]]
        chain = module.CallbackList(both, model=Model())
        for name in ("on_train_begin", "on_epoch_begin", "on_batch_begin", *BEGIN_AND_END, *WITH_INDEX, "on_train_end"):
            if name == "on_train_end":
                chain._async_train = False  # Keras else runs hooks that do nothing in threads
            getattr(chain, name)(*([3] if name in WITH_INDEX else []), logs)
            if name == "on_train_end" and module is keras.callbacks:
                chain._in_begin_end_block_count += 1
        seen.append(calls)
    assert seen[1] == seen[0]


def test_logs_are_computed_once_and_only_where_they_are_wanted():
    computed, calls = [], []

    def logs():
        computed.append(1)
        return {"loss": np.float32(0.5)}

    idle = callbacks.CallbackList([callbacks.EarlyStopping(), callbacks.History()], model=Model())
    assert not idle._batch_hooks["on_train_batch_end"]
    idle.on_train_batch_end(0, logs)
    assert not computed

    for hook in ("on_train_batch_end", "on_batch_end"):
        chain = callbacks.CallbackList([recorder(callbacks, [hook], calls), recorder(callbacks, [hook], calls)])
        assert len(chain._batch_hooks["on_train_batch_end"]) == 2
        chain.on_train_batch_end(0, logs)
    assert calls == [("on_train_batch_end", (0,), {"loss": 0.5})] * 2 + [("on_batch_end", (0,), {"loss": 0.5})] * 2
    assert type(calls[0][-1]["loss"]) is float
    assert len(computed) == 2


def test_a_hook_given_to_an_object_counts():
    calls = []
    callback = callbacks.Callback()
    chain = callbacks.CallbackList([callback])
    callback.on_batch_end = lambda batch, logs: calls.append(batch)
    chain.on_train_begin()
    chain.on_train_batch_end(5)
    assert calls == [5]


def test_a_subclass_may_forget_to_call_the_constructor():
    class Mine(callbacks.Callback):
        def __init__(self):
            pass

    mine, model = Mine(), Model()
    assert mine.model is None
    assert mine.params is None
    callbacks.CallbackList([mine], model=model, epochs=3)
    assert mine.model is model
    assert mine.params == {"epochs": 3}


def test_lists_add_what_is_missing():
    for module in LIBRARIES:
        model = Model()
        own = module.History()
        params = {"verbose": 1, "epochs": 1, "steps": 1}
        chain = module.CallbackList(own, add_history=True, add_progbar=True, model=model, **params)
        assert [type(c).__name__ for c in chain.callbacks] == ["History", "ProgbarLogger"]
        assert model.history is own


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (callbacks.History, r"received the class History; make one, History\(...\)"),
        ([print], r"Wrap a function: LambdaCallback"),
        (["EarlyStopping"], "expected a Callback or a list of them, received 'EarlyStopping'"),
    ],
)
def test_what_is_no_callback_is_refused(bad, message):
    with pytest.raises(TypeError, match=message):
        callbacks.CallbackList(bad)


def test_lambda_callback():
    calls = []
    for module in LIBRARIES:
        calls.clear()
        callback = module.LambdaCallback(
            on_epoch_end=lambda epoch, logs: calls.append((epoch, logs)),
            on_train_batch_end=lambda batch, logs: calls.append((batch, logs)),
            on_test_begin=lambda logs: calls.append(logs),
        )
        chain = module.CallbackList([callback])
        chain.on_train_begin()
        chain.on_epoch_begin(0)
        chain.on_train_batch_end(2, {"loss": 3.0})
        chain.on_test_begin()
        chain.on_epoch_end(1, {"loss": 2.0})
        assert calls == [(2, {"loss": 3.0}), {}, (1, {"loss": 2.0})]


def test_lambda_callback_keeps_what_is_no_hook_and_refuses_a_misspelt_one():
    assert callbacks.LambdaCallback(on_reset=print, best=3).on_reset is print
    with pytest.raises(TypeError, match=r"no hook 'on_epoch_ends'. Did you mean 'on_epoch_end'"):
        callbacks.LambdaCallback(on_epoch_ends=print)


def test_misspelt_names_get_a_suggestion():
    with pytest.raises(AttributeError, match="Did you mean 'EarlyStopping'"):
        callbacks.EarlyStoping  # noqa: B018


# ---- the progress line ----


def epoch_of_lines(module, clock, *, verbose, epochs, steps, told):
    """The text of a fit with validation, an evaluate and a predict, drawn by `ProgbarLogger`."""
    with printing_to(Stream(terminal=True), clock) as stream:
        chain = module.CallbackList(
            None, add_progbar=True, verbose=verbose, epochs=epochs, steps=told and steps, model=Model()
        )
        # Keras calls hooks from threads where only the progress line listens; here time must not run on.
        chain._async_train = chain._async_test = chain._async_predict = False
        chain.on_train_begin()
        for epoch in range(epochs):
            chain.on_epoch_begin(epoch)
            for step in range(steps):
                clock.now += 0.04
                chain.on_train_batch_end(step, {"loss": 1 / (step + 1), "accuracy": np.float32(step / steps)})
            chain.on_test_begin()
            chain.on_test_batch_end(0, {"loss": 100.0})
            chain.on_test_end({"loss": 100.0})
            chain.on_epoch_end(epoch, {"loss": 0.1, "accuracy": 0.9, "val_loss": 1e-5})
        chain.on_train_end()
        for what in ("test", "predict"):
            chain = module.CallbackList(None, add_progbar=True, verbose=verbose, epochs=1, steps=steps, model=Model())
            chain._async_train = chain._async_test = chain._async_predict = False
            getattr(chain, f"on_{what}_begin")()
            for step in range(steps):
                clock.now += 1.5
                getattr(chain, f"on_{what}_batch_end")(
                    step, {"loss": 0.25, "outputs": np.zeros(3)[:0]} and {"loss": 0.25}
                )
            getattr(chain, f"on_{what}_end")({"loss": 0.25})
    return stream.getvalue().replace("\b", "")


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("told", [True, None])
def test_progbar_logger_draws_what_keras_draws(verbose, epochs, steps, told):
    theirs, ours = (
        epoch_of_lines(module, Clock(), verbose=verbose, epochs=epochs, steps=steps, told=told) for module in LIBRARIES
    )
    assert ours == theirs


def test_progbar_logger_in_a_loop_of_ones_own():
    with printing_to(Stream(terminal=True), Clock()) as stream:
        chain = callbacks.CallbackList([callbacks.ProgbarLogger()])
        chain.on_train_batch_end(6, {"loss": 0.5})
    assert stream.getvalue() == "\r      7/Unknown \x1b[1m0s\x1b[0m 0s/step - loss: 0.5000"


def test_an_idle_list_costs_nothing():
    """No callback with a hook for batches: nothing but the call itself may happen."""
    chain = callbacks.CallbackList([callbacks.EarlyStopping(), callbacks.History()], model=Model())
    called = []

    def profiler(frame, event, argument):
        if event == "call":
            called.append(frame.f_code.co_name)

    sys.setprofile(profiler)
    try:
        chain.on_train_batch_end(0, None)
    finally:
        sys.setprofile(None)
    assert len(called) == 1
