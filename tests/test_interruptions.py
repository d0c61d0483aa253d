"""An exception at any line of `fit`, Ctrl-C among them: the model goes on, and nothing it holds disagrees.

A tracer raises at one line of the package after the other, as far apart as `MINIKERAS_LINES` says: 1 for each of them.
Real signals come at random times, as many as `MINIKERAS_INTERRUPTIONS` says.
"""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import minikeras
from minikeras import layers
from minikeras.kernels import threads

PACKAGE = os.path.dirname(minikeras.__file__) + os.sep
EVERY = int(os.environ.get("MINIKERAS_LINES", "149"))  # a prime: other lines in each step


class Interruption(BaseException):
    """What nobody catches."""


class Tracer:
    """Counts the lines of the package that the calling thread runs, and raises at one of them."""

    def __init__(self, at=None):
        self.at, self.lines, self.place = at, 0, None

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def _called(self, frame, event, argument):
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame, event, argument):
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                self.place = f"{frame.f_code.co_filename[len(PACKAGE) :]}:{frame.f_lineno}"
                raise Interruption(self.place)
        return self._line


def mlp():
    model = minikeras.Sequential(
        [layers.Dense(6, activation="relu"), layers.Dropout(0.3), layers.Dense(3, activation="softmax")]
    )
    return model, (24, 5)


def constrained_mlp():
    model, shape = mlp()
    model.layers[0].kernel_constraint = minikeras.constraints.MaxNorm(0.4)
    return model, shape


def cnn():
    model = minikeras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.5),
            layers.MaxPooling2D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ]
    )
    return model, (24, 6, 6, 1)


class Own(minikeras.optimizers.Optimizer):
    def slots(self):
        return [("momentum",)]

    def update(self, w, g, learning_rate, momentum):
        momentum *= np.float32(0.9)
        momentum += g
        w -= learning_rate * momentum


class Averaging(minikeras.optimizers.Adam):
    def finalize_variable_values(self, var_list):
        """Leave the weights as the last step has left them, with which the tests compare."""


VALIDATED = {"validation_split": 1 / 3}
CASES = {
    "MLP, Adam": (mlp, lambda: minikeras.optimizers.Adam(weight_decay=0.01), {}),
    "MLP, Nadam": (mlp, lambda: minikeras.optimizers.Nadam(clipnorm=1.0), {}),
    "MLP, an optimizer of one's own": (mlp, lambda: Own(0.01), {}),
    "MLP, Adam, averages, sums and a constraint": (
        constrained_mlp,
        lambda: Averaging(use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2),
        {},
    ),
    "CNN, RMSprop": (cnn, lambda: minikeras.optimizers.RMSprop(momentum=0.9, centered=True), VALIDATED),
    "CNN, SGD, watched": (
        cnn,
        lambda: minikeras.optimizers.SGD(momentum=0.9),
        {**VALIDATED, "callbacks": lambda: [minikeras.callbacks.LambdaCallback(on_train_batch_end=nothing)]},
    ),
}


def nothing(batch, logs):
    pass


def started(case):
    """Return a compiled model of these weights, and what fits it for two epochs."""
    make, optimizer, options = CASES[case]
    minikeras.utils.clear_session()
    minikeras.utils.set_random_seed(3)
    model, shape = make()
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=shape).astype("float32"), generator.integers(0, 3, shape[0])
    model.compile(optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    given = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, **options}
    if "callbacks" in given:
        given["callbacks"] = given["callbacks"]()
    return model, lambda **more: model.fit(x, y, **{**given, **more})


def state(model):
    """Return weights and optimizer state, less what a build has not made yet."""
    return [v.numpy() for v in variables_of(model)]


def variables_of(model):
    optimizer = [v for v in model.optimizer.variables if "learning_rate" not in v.path] if model.optimizer.built else []
    return [*model.weights, *optimizer]


def states_of_each_step(case):
    model, fit = started(case)
    seen = {}

    def look(batch=None, logs=None):
        seen[int(model.optimizer.variables[0])] = state(model)

    watching = minikeras.callbacks.LambdaCallback(on_train_begin=lambda logs: look(), on_train_batch_end=look)
    callbacks = CASES[case][2].get("callbacks", list)
    fit(callbacks=[*callbacks(), watching])
    return seen


def blas_threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_an_exception_at_any_line_of_a_first_fit_leaves_a_model_that_goes_on(case):
    expected = states_of_each_step(case)
    steps = max(expected)
    model, fit = started(case)
    with Tracer() as tracer:
        fit()
    assert same(state(model), expected[steps])
    count = len(model.weights)
    limit = blas_threads()
    wrong = []
    for at in range(1, tracer.lines, EVERY):
        model, fit = started(case)
        with pytest.raises(Interruption), Tracer(at) as interrupted:
            fit()
        problems = []
        done = int(model.optimizer.variables[0])
        now = state(model)
        if model.optimizer.built and not same(now, expected[done]):
            problems.append(f"weights and slots are not those of step {done}")
        if threads._of_this_thread.board is not None:
            problems.append("the thread's board stayed")
        if blas_threads() != limit:
            problems.append("the limit of NumPy's threads stayed")
        time.sleep(0.0005)
        if not same(state(model), now):
            problems.append("weights went on changing")
        try:
            history = fit(epochs=1)
        except Exception as error:
            problems.append(f"fit again: {type(error).__name__}: {error}")
        else:
            if int(model.optimizer.variables[0]) != done + steps // 2:
                problems.append("fit again: steps were not counted")
            sums = {id(v) for v in model.optimizer.variables if v.name.endswith("accumulator")}  # 0 after some steps
            moved = [id(v) not in sums for v in variables_of(model)]
            pairs = zip(expected[0], state(model), moved, strict=False)
            if any(np.array_equal(v, w) for v, w, moves in pairs if v.ndim > 1 and moves):
                problems.append("fit again: some weights were not trained")
            if not np.isfinite(history.history["loss"]).all():
                problems.append("fit again: the loss is not finite")
            if len(model.weights) != count or len(state(model)) != len(expected[0]):
                problems.append("fit again: another number of weights")
        wrong += [f"{interrupted.place}: {problem}" for problem in problems]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("attempt", range(int(os.environ.get("MINIKERAS_INTERRUPTIONS", "6"))))
def test_ctrl_c_in_the_first_fit_of_a_large_model_leaves_one_that_goes_on(attempt):
    minikeras.utils.clear_session()
    minikeras.utils.set_random_seed(attempt)
    generator = np.random.default_rng(attempt)
    model = minikeras.Sequential(
        [
            layers.Dense(1500, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(1500, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = generator.normal(size=(512, 784)).astype("float32"), generator.integers(0, 10, 512)
    limit = blas_threads()
    interrupt = threading.Timer(generator.uniform(0.005, 0.25), os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, epochs=10**6)
    done, now = int(model.optimizer.variables[0]), [w.copy() for w in model.get_weights()]
    assert blas_threads() == limit
    time.sleep(0.02)
    assert same(model.get_weights(), now)
    history = model.fit(x, y, verbose=0, epochs=1)
    assert int(model.optimizer.variables[0]) == done + 16
    assert len(model.weights) == 10
    assert np.isfinite(history.history["loss"]).all()
    if len(now) == 10:  # else the model was not built yet
        trained = [not np.array_equal(a, b) for a, b in zip(now, model.get_weights(), strict=True)]
        assert all(trained)
