"""Who computes: during a fit NumPy's products run on one thread, and the team's threads sleep and wake alone."""

import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import minikeras
from minikeras import functional
from minikeras.kernels import threads
from minikeras.kernels.team import ASLEEP, TAKEN
from minikeras.kernels.threads import one_blas_thread


def blas_threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_inside_and_the_users_number_after():
    before = blas_threads()

    @one_blas_thread
    def outer():
        assert min(blas_threads()) == 1
        one_blas_thread(int)("5")
        assert min(blas_threads()) == 1
        return "done"

    assert outer() == "done"
    assert outer.__name__ == "outer"
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

    def inner():
        assert len(threads.team()) == 0

    def outer():
        inner()
        threads.computing(inner, alone=True)
        inner()
        other = threading.Thread(target=lambda: boards.append(threads.team()))
        other.start()
        other.join()

    threads.computing(outer, alone=True)
    assert len(boards[0]) > 0
    assert len(threads.team()) > 0
    minikeras.config.set_num_threads(None)


def test_who_goes_to_sleep_and_who_wakes_him_need_no_interpreter():
    minikeras.config.set_num_threads(2)
    x, w = np.ones((64, 512), np.float32), np.ones((512, 64), np.float32)
    z, bias = np.empty((64, 64), np.float32), np.zeros(64, np.float32)
    before = sys.getswitchinterval()
    try:
        functional.dense.forward(z, x, w, bias, False)
        board = threads.team()
        sys.setswitchinterval(100)  # this thread keeps the interpreter
        deadline = time.perf_counter() + 20
        while not board[ASLEEP] and time.perf_counter() < deadline:
            pass
        assert board[ASLEEP] == 1
        # Seen awake once is enough: on a busy machine he may sleep again before this thread looks.
        while board[ASLEEP] and time.perf_counter() < deadline:
            functional.dense.forward(z, x, w, bias, False)
        assert board[ASLEEP] == 0
    finally:
        sys.setswitchinterval(before)
        minikeras.config.set_num_threads(None)
    assert (z == 512).all()


# several at once, and steps that are whole


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


def steps(w, g, count):
    """Do steps of gradient descent of length 1."""
    for _ in range(count):
        functional.updates.sgd.compiled(w, g, np.float32(1))


@two_threads
def test_several_threads_may_compute_at_once():
    vectors = [np.zeros(SIZE + 1000 * i, np.float32) for i in range(4)]
    gradients = [np.full_like(w, -(i + 1)) for i, w in enumerate(vectors)]
    workers = [threading.Thread(target=steps, args=(w, g, 200)) for w, g in zip(vectors, gradients, strict=True)]
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
@pytest.mark.parametrize("optimizer", [minikeras.optimizers.Adam, minikeras.optimizers.SGD])
def test_weights_after_an_epoch_are_those_of_single_steps(optimizer):
    model, _, x, y = wide_model(optimizer(0.05))
    model.fit(x, y, verbose=0, shuffle=False)
    ours = model.get_weights()
    model, _, x, y = wide_model(optimizer(0.05))
    for expected, w in zip(by_hand(model, x, y, 10), ours, strict=True):
        np.testing.assert_array_equal(w, expected)


@two_threads
def test_an_interruption_leaves_whole_steps():
    model, fragile, x, y = wide_model()
    fragile.most = 7
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, shuffle=False)
    ours = model.get_weights()
    model, _, x, y = wide_model()
    for expected, w in zip(by_hand(model, x, y, 7), ours, strict=True):
        np.testing.assert_array_equal(w, expected)


# interruptions


class Interruption(BaseException):
    pass


def raising_at(place, function, *arguments):
    """Call a function, and raise at the instruction of that number in `threads`; return whether there was one."""
    count, done = itertools.count(), []

    def trace(frame, event, argument):
        if frame.f_code.co_filename != threads.__file__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not done and next(count) == place:
            done.append(place)
            raise Interruption
        return trace

    sys.settrace(trace)
    try:
        function(*arguments)
    except Interruption:
        pass
    finally:
        sys.settrace(None)
    return bool(done)


def two_steps(w, g):
    @one_blas_thread
    def computes():
        assert min(blas_threads()) == 1
        with np.errstate(all="ignore"):
            functional.updates.sgd(w, g, np.float32(1))
            threads.computing(len, w, alone=True)
            functional.updates.sgd(w, g, np.float32(1))

    computes()


@two_threads
def test_an_exception_at_any_instruction_leaves_nothing_behind():
    w, g = np.full(SIZE, 5, np.float32), np.ones(SIZE, np.float32)
    two_steps(w, g)
    before, errors, mine = blas_threads(), np.geterr(), threads._of_this_thread
    place = 0
    while raising_at(place, two_steps, w, g):
        place += 1
        assert blas_threads() == before
        assert np.geterr() == errors
        assert mine.board is None
        assert threads.team()[TAKEN] == 0
        assert not threads._visits
        assert not threads._changing
    assert place > 200
    free = threading.Thread(target=one_blas_thread(int), args=("5",))
    free.start()
    free.join(20)
    assert not free.is_alive()


@two_threads
def test_an_exception_within_an_outer_call_leaves_it_as_it_was():
    w, g = np.full(SIZE, 5, np.float32), np.ones(SIZE, np.float32)
    two_steps(w, g)
    mine = threads._of_this_thread

    @one_blas_thread
    def outer():
        threads.computing(raised_everywhere, alone=True)

    def raised_everywhere():
        place, outside = 0, mine.board
        while raising_at(place, two_steps, w, g):
            place += 1
            assert set(blas_threads()) == {1}
            assert mine.board is outside
        assert place > 200

    before = blas_threads()
    outer()
    assert blas_threads() == before
    assert mine.board is None


HANDLER = """
import itertools, signal, sys
import numpy as np
import minikeras

layers = minikeras.layers

def network():
    steps = layers.Dense(400), layers.BatchNormalization(), layers.Dense(3)
    model = minikeras.Sequential([minikeras.Input((400,)), *steps])
    model.compile("sgd", "mse")
    return model

x, y = np.ones((64, 400), "float32"), np.ones((64, 3), "float32")
other, calls, inside = network(), itertools.count(), []

def handler(number, frame):
    if not inside:
        inside.append(1)
        minikeras.config.set_num_threads(2 + next(calls) % 2)  # the team is formed anew
        other.evaluate(x, y, verbose=0)
        other.predict(x, verbose=0)
        inside.clear()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.0071)
for _ in range(60):
    network().fit(x, y, verbose=0)
signal.setitimer(signal.ITIMER_REAL, 0)
import threadpoolctl
print(next(calls) > 10, {library["num_threads"] for library in threadpoolctl.threadpool_info()} == {int(sys.argv[1])})
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such alarms")
def test_a_handler_may_compute_wherever_it_comes():
    numbers = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
    command = [sys.executable, "-c", HANDLER, str(max(blas_threads()))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout == "True True\n", (result.stderr, numbers)


# sleep

IDLE = """
import sys, time
import numpy as np
import minikeras
from minikeras import functional
from minikeras.kernels import threads
from minikeras.kernels import team
from numba import cfunc

@cfunc("int32(intp, int32)")
def never_locks(lock, waits):
    return 0

if sys.argv[1] == "broken":
    team._entry_of = lambda name: never_locks.address
    sound = team.new_board
    def broken(locks):
        board = sound(locks)
        board[team.UNLOCKING] = 0  # nobody may wake who could not sleep
        return board
    team.new_board = broken
minikeras.config.set_num_threads(3)
x, w = np.ones((64, 512), np.float32), np.ones((512, 64), np.float32)
z, bias = np.empty((64, 64), np.float32), np.zeros(64, np.float32)
for _ in range(3):
    functional.dense.forward(z, x, w, bias, False)
    assert (z == 512).all()
    time.sleep(0.2)
start = time.process_time()
time.sleep(2)
spent = time.process_time() - start
z[...] = 0
functional.dense.forward(z, x, w, bias, False)
assert (z == 512).all()
print(spent < 0.1, sum(thread.is_alive() for thread in threads._team.threads))
minikeras.config.set_num_threads(2)
functional.dense.forward(z, x, w, bias, False)
"""


@pytest.mark.parametrize(("bell", "alive"), [("sound", 2), ("broken", 0)])
def test_who_waits_costs_nothing_even_where_he_cannot_sleep(bell, alive):
    result = subprocess.run(
        [sys.executable, "-c", IDLE, bell], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout == f"True {alive}\n", result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system forks no processes")
def test_a_child_process_forks_off_in_the_midst_of_it():
    code = (
        "import os, threading, time\n"
        "import threadpoolctl\n"
        "from minikeras.kernels.threads import one_blas_thread\n"
        "def numbers():\n"
        "    return {l['num_threads'] for l in threadpoolctl.threadpool_info() if l['user_api'] == 'blas'}\n"
        "import numpy; before = numbers()\n"
        "threading.Thread(target=one_blas_thread(time.sleep), args=(3,)).start()\n"
        "time.sleep(1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    one_blas_thread(int)('5')\n"
        "    os._exit(0 if numbers() == before else 1)\n"
        "print(os.waitpid(child, 0)[1])\n"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout == "0\n", result.stderr
