"""Who computes: during a fit NumPy's products run on one thread, and the team's threads sleep and wake alone."""

import functools
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import minikeras
from minikeras import kernels, threads
from minikeras.kernels.team import ASLEEP, LEFT, NO, TAKEN, YES
from minikeras.threads import one_blas_thread


def blas_threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_inside_and_the_users_number_after():
    before = blas_threads()
    with one_blas_thread():
        assert min(blas_threads()) == 1
        with one_blas_thread():
            pass
        assert min(blas_threads()) == 1
    assert blas_threads() == before


def test_fit_runs_on_one_thread():
    seen = []
    note = minikeras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(min(blas_threads())))
    model = minikeras.Sequential([minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = blas_threads()
    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[note])
    assert seen == [1, 1]
    assert blas_threads() == before


def test_predictions_from_several_threads_agree():
    model = minikeras.Sequential(
        [
            minikeras.Input((8, 8, 1)),
            minikeras.layers.Conv2D(4, 3),
            minikeras.layers.Flatten(),
            minikeras.layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(100, 8, 8, 1)).astype("float32")
    expected, before, results = model.predict(x, verbose=0), blas_threads(), []

    def work():
        results.extend(model.predict(x, verbose=0) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    for result in results:
        np.testing.assert_array_equal(result, expected)
    assert blas_threads() == before


def test_who_computes_alone_does_not_hinder_others():
    minikeras.config.set_num_threads(2)
    boards = []
    with threads.alone():
        with threads.alone():
            assert len(threads.team()) == 0
        assert len(threads.team()) == 0
        other = threading.Thread(target=lambda: boards.append(threads.team()))
        other.start()
        other.join()
    assert len(boards[0]) > 0
    assert len(threads.team()) > 0
    minikeras.config.set_num_threads(None)


def test_who_goes_to_sleep_and_who_wakes_him_need_no_interpreter():
    minikeras.config.set_num_threads(2)
    x, w = np.ones((64, 512), np.float32), np.ones((512, 64), np.float32)
    z, bias = np.empty((64, 64), np.float32), np.zeros(64, np.float32)
    before = sys.getswitchinterval()
    try:
        kernels.dense.forward(z, x, w, bias, False)
        board = threads.team()
        sys.setswitchinterval(100)  # this thread keeps the interpreter
        deadline = time.perf_counter() + 20
        while not board[ASLEEP] and time.perf_counter() < deadline:
            pass
        assert board[ASLEEP] == 1
        # Seen awake once is enough: on a busy machine he may sleep again before this thread looks.
        while board[ASLEEP] and time.perf_counter() < deadline:
            kernels.dense.forward(z, x, w, bias, False)
        assert board[ASLEEP] == 0
    finally:
        sys.setswitchinterval(before)
        minikeras.config.set_num_threads(None)
    assert (z == 512).all()


# work that is left to the team


SIZE = 2**18  # numbers: more than LITTLE work


def two_threads(function):
    """Decorate a test that needs a team."""

    @functools.wraps(function)
    def wrapped(*arguments, **named):
        minikeras.config.set_num_threads(2)
        try:
            return function(*arguments, **named)
        finally:
            minikeras.config.set_num_threads(None)

    return wrapped


def steps_left(w, g, count):
    """Do steps of gradient descent of length 1, each of which is left."""
    with threads.leaving_work():
        for _ in range(count):
            kernels.updates.sgd.compiled(w, g, np.float32(1))


@two_threads
def test_work_is_left_until_somebody_settles():
    w, g = np.full(SIZE, 5, np.float32), np.ones(SIZE, np.float32)
    with threads.leaving_work():
        kernels.updates.sgd.compiled(w, g, np.float32(1))
        assert threads.team()[LEFT] == YES
        threads.settle()
        assert threads.team()[LEFT] == NO
        assert threads.team()[TAKEN] == 0
        assert (w == 4).all()
        kernels.updates.sgd.compiled(w, g, np.float32(1))
    assert (w == 3).all()
    kernels.updates.sgd.compiled(w, g, np.float32(1))
    assert threads.team()[LEFT] == NO
    assert (w == 2).all()


@two_threads
def test_what_comes_next_finishes_what_was_left():
    w, g = np.full(SIZE, 8, np.float32), np.ones(SIZE, np.float32)
    with threads.leaving_work():
        kernels.updates.sgd.compiled(w, g, np.float32(1))
        kernels.updates.sgd.compiled(w, g, np.float32(1))
        kernels.updates.decay.compiled(w, np.float32(0.5), np.float32(1))
        assert (w == 3).all()
        kernels.updates.sgd.compiled(w, g, np.float32(1))
        kernels.updates.decay.compiled(w[:16], np.float32(0.5), np.float32(1))  # so little that it isn't shared out
        assert (w[:16] == 1).all()
        assert (w[16:] == 2).all()


@two_threads
def test_another_team_finds_nothing_left_undone():
    w, g = np.full(SIZE, 5, np.float32), np.ones(SIZE, np.float32)
    with threads.leaving_work():
        kernels.updates.sgd.compiled(w, g, np.float32(1))
        minikeras.config.set_num_threads(3)
        other = threading.Thread(target=threads.team)
        other.start()
        other.join()
        assert (w == 4).all()
        kernels.updates.sgd.compiled(w, g, np.float32(1))  # nobody looks at the old board any more
        threads.settle()
        assert (w == 3).all()


@two_threads
def test_several_threads_leave_work_and_finish_that_of_others():
    vectors = [np.zeros(SIZE + 1000 * i, np.float32) for i in range(4)]
    gradients = [np.full_like(w, -(i + 1)) for i, w in enumerate(vectors)]
    workers = [threading.Thread(target=steps_left, args=(w, g, 200)) for w, g in zip(vectors, gradients, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, w in enumerate(vectors):
        assert (w == 200 * (i + 1)).all()


class Fragile(minikeras.layers.Layer):
    """Hands on what it gets, until it was asked too often."""

    calls, most = 0, 10**9

    def call(self, x):
        return x

    def forward(self, x, training=False):
        self.calls += 1
        if self.calls > self.most:
            raise KeyboardInterrupt
        return x, None

    def backward(self, dy, cache):
        return dy


class Timid(minikeras.optimizers.SGD):
    """Looks at the weights directly after the step."""

    def update(self, w, g, learning_rate, *slots):
        super().update(w, g, learning_rate, *slots)
        np.clip(w, -0.03, 0.03, out=w)


def wide_model(optimizer="adam", metrics=("accuracy",), first=Fragile):
    minikeras.utils.set_random_seed(3)
    fragile = first()
    dense = minikeras.layers.Dense
    model = minikeras.Sequential([minikeras.Input((400,)), fragile, dense(400, "relu"), dense(10, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics))
    rng = np.random.default_rng(0)
    x, y = rng.random((320, 400), dtype=np.float32), rng.integers(0, 10, 320)
    return model, fragile, x, y


def by_hand(model, x, y, batches):
    for i in range(batches):
        model.train_on_batch(x[32 * i : 32 * i + 32], y[32 * i : 32 * i + 32])
    return model.get_weights()


@two_threads
@pytest.mark.parametrize("optimizer", [minikeras.optimizers.Adam, minikeras.optimizers.SGD, Timid])
def test_weights_after_an_epoch_are_those_of_single_steps(optimizer):
    model, _, x, y = wide_model(optimizer(0.05))
    model.fit(x, y, verbose=0, shuffle=False)
    ours = model.get_weights()
    model, _, x, y = wide_model(optimizer(0.05))
    for expected, w in zip(by_hand(model, x, y, 10), ours, strict=True):
        np.testing.assert_array_equal(w, expected)
    if optimizer is Timid:
        assert max(abs(w).max() for w in ours) == np.float32(0.03)


@two_threads
@pytest.mark.parametrize(
    ("first", "begins_in_kernel"),
    [(minikeras.layers.Flatten, True), (minikeras.layers.BatchNormalization, False), (Fragile, False)],
)
def test_a_layer_without_a_kernel_sees_the_weights_after_the_step(first, begins_in_kernel):
    model, _, x, y = wide_model(first=first)
    model.fit(x, y, verbose=0, shuffle=False)
    assert model.graph.begins_in_kernel is begins_in_kernel
    ours = model.get_weights()
    model, _, x, y = wide_model(first=first)
    for expected, w in zip(by_hand(model, x, y, 10), ours, strict=True):
        np.testing.assert_array_equal(w, expected)


@two_threads
def test_an_interruption_leaves_whole_steps():
    model, fragile, x, y = wide_model()
    fragile.most = 7
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, shuffle=False)
    ours = model.get_weights()
    assert threads.team()[LEFT] == NO
    model, _, x, y = wide_model()
    for expected, w in zip(by_hand(model, x, y, 7), ours, strict=True):
        np.testing.assert_array_equal(w, expected)


@two_threads
def test_a_metric_and_a_callback_see_the_weights_after_the_step():
    seen = []

    def note(y_true, y_pred):
        seen.append(model.get_weights())
        return np.zeros(len(y_pred), np.float32)

    def note_batch(batch, logs):
        seen.append(model.get_weights())

    expected = []
    model, _, x, y = wide_model()
    for i in range(10):
        model.train_on_batch(x[32 * i : 32 * i + 32], y[32 * i : 32 * i + 32])
        expected.append(model.get_weights())
    for metrics, callbacks in (
        ([note], []),
        (["accuracy"], [minikeras.callbacks.LambdaCallback(on_train_batch_end=note_batch)]),
    ):
        seen.clear()
        model, _, x, y = wide_model(metrics=metrics)
        model.fit(x, y, verbose=0, shuffle=False, callbacks=callbacks)
        assert len(seen) == 10
        for ours, theirs in zip(seen, expected, strict=True):
            for w, v in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(w, v)
