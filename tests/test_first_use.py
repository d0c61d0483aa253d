"""Interruptions of a process's first fit, by real signals, at times spread over its first second."""

import functools
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from minikeras.kernels import undisturbed as room
from minikeras.kernels.undisturbed import undisturbed

PROGRAM = Path(__file__).with_name("first_use.py")
INTERRUPTIONS = int(os.environ.get("MINIKERAS_INTERRUPTIONS", "6"))  # 200 for all
needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals can't be sent to a thread")


def first_fit(seconds, kind, **environment):
    """Return what the program says: whether it was interrupted, how many fits, and the numbers of a fit after that."""
    command = [sys.executable, str(PROGRAM), str(seconds), kind]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, f"after {seconds} s: {result.stderr}"
    interrupted, fits, numbers = result.stdout.strip().split(" ", 2)
    return interrupted, int(fits), numbers


@functools.cache
def undisturbed_numbers():
    return first_fit(0.0, "nothing")[2]


@needs_signals
@pytest.mark.parametrize("kind", ["interrupt", "memory", "evaluate"])
def test_whatever_a_signal_does_in_the_first_second_the_process_goes_on(kind):
    times = np.linspace(0, 1, INTERRUPTIONS)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda seconds: first_fit(seconds, kind), times))
    assert {numbers for _, _, numbers in runs} == {undisturbed_numbers()}
    if kind != "evaluate":
        assert any(interrupted == "yes" for interrupted, _, _ in runs)


@needs_signals
def test_an_interrupted_compilation_is_done_all_the_same(tmp_path):
    times = np.linspace(0.5, 8, max(INTERRUPTIONS // 6, 1))
    for seconds in times:
        folder = tmp_path / str(seconds)
        assert first_fit(seconds, "interrupt", NUMBA_CACHE_DIR=str(folder))[2] == undisturbed_numbers()


FAULTY_IMPORT = """
import importlib, itertools, sys
import numpy as np
from minikeras import functional
from minikeras.kernels.undisturbed import undisturbed

place, count, fired = int(sys.argv[1]), itertools.count(), []

# The release of a lock that is refused leaves it locked, in Python's imports as in numba: no line of ours can help.
LOCKS = {"__enter__", "__exit__", "acquire", "release", "_release_save", "_acquire_restore"}

def trace(frame, event, argument):
    if frame.f_code.co_name in LOCKS or "importlib" in frame.f_code.co_filename:
        return None
    if event == "line" and not fired and next(count) == place:
        fired.append(place)
        raise MemoryError
    return trace

def load():
    sys.settrace(trace)
    try:
        importlib.import_module("minikeras.kernels.dense")
    finally:
        sys.settrace(None)

try:
    undisturbed(load)
except BaseException:
    pass
z = np.empty((4, 3), "f")
functional.dense.forward(z, np.ones((4, 5), "f"), np.ones((5, 3), "f"), np.ones(3, "f"), True)
assert fired and (z == 6).all()
"""


def test_memory_that_runs_out_at_any_line_of_the_imports_leaves_no_halves():
    places = np.random.default_rng(4).integers(0, 1_500_000, max(INTERRUPTIONS // 2, 1))
    with ThreadPoolExecutor(2) as pool:

        def run(place):
            command = [sys.executable, "-c", FAULTY_IMPORT, str(place)]
            return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

        for place, result in zip(places, pool.map(run, places), strict=True):
            assert result.returncode == 0, f"line {place}: {result.stderr}"


def test_what_fails_is_raised_and_its_halves_are_forgotten(tmp_path, monkeypatch):
    package = tmp_path / "half_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("from . import first\nfrom . import second\n")
    (package / "first.py").write_text("")
    (package / "second.py").write_text("raise MemoryError('none left')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def load():
        import half_a_package  # noqa: F401

    with pytest.raises(MemoryError, match="none left"):
        undisturbed(load)
    assert not [name for name in sys.modules if name.startswith("half_a_package")]
    (package / "second.py").write_text("")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        undisturbed(load)
    finally:
        sys.dont_write_bytecode = before
    assert hasattr(sys.modules["half_a_package"], "second")


def test_first_uses_within_first_uses_and_without_threads(monkeypatch):
    assert undisturbed(lambda: undisturbed(threading.get_ident) != threading.main_thread().ident)

    def refuse(*arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(room._thread, "start_new_thread", refuse)
    assert undisturbed(lambda a, b: a + b, 2, 3) == 5
    assert not room._at_work


def test_the_end_of_a_process_does_not_wait_for_a_long_first_use():
    code = (
        "import signal, threading, time\n"
        "from minikeras.kernels.undisturbed import undisturbed\n"
        "def slow():\n"
        "    for _ in range(10000):\n"
        "        time.sleep(0.01)\n"
        "threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()\n"
        "try:\n"
        "    undisturbed(slow)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted\n", "")
