"""Who computes: during a fit NumPy's products run on one thread, and the team's threads sleep and wake alone."""

import sys
import threading
import time

import numpy as np
import threadpoolctl

import minikeras
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
    from minikeras import threads

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
    from minikeras import kernels, threads
    from minikeras.kernels.team import ASLEEP

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
