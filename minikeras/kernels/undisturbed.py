"""What is done whole or not at all: an import, or a compilation, that Ctrl-C ends halfway would break the process.

Python keeps the halves: a package whose import fails is forgotten, but not the modules that it had imported by then,
and the next import takes these for whole.  Ctrl-C and what else a signal's handler raises meet the main thread alone.
So first uses are done by another thread, for which the main one waits: what is raised ends the waiting, but not the
work.
"""

import _thread
import atexit
import sys
import time
from collections.abc import Callable
from typing import Any

_at_work: set[int] = set()  # the threads that do first uses
PATIENCE = 30.0  # seconds that the end of the process waits for them


def undisturbed(work: Callable[..., Any], *arguments: Any, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """Return work(*arguments), done by a thread that no interruption meets.

    Args:
        work: may be called again before its end, by another thread, where the waiting has been interrupted.
        *arguments: for it.
        meanwhile: called in each second of waiting.

    Raises:
        BaseException: what `work` raises; modules that it has imported by halves are then forgotten.
    """
    if _thread.get_ident() in _at_work:
        return work(*arguments)
    outcome: list[tuple[Any, BaseException | None]] = []
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            _at_work.add(_thread.get_ident())
            known = set(sys.modules)
            try:
                outcome.append((work(*arguments), None))
            except BaseException as error:
                _forget_halves(known)
                outcome.append((None, error))
        finally:
            _at_work.discard(_thread.get_ident())
            done.release()

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError:  # there can be no more threads
        run()
    while not done.acquire(timeout=1.0):
        meanwhile()
    result, error = outcome.pop()
    try:
        if error is not None:
            raise error
        return result
    finally:
        del error  # it knows this frame


def _forget_halves(known: set[str]) -> None:
    """Take modules out of Python's table that were imported for a package that has failed since."""
    for name in set(sys.modules) - known:
        parts = name.split(".")
        if any(".".join(parts[:n]) not in sys.modules for n in range(1, len(parts))):
            sys.modules.pop(name, None)


def _stop() -> None:
    """At the process's end nobody waits for first uses any more; but threads in the midst of one might crash it."""
    if not _at_work:
        return
    import ctypes

    for thread in tuple(_at_work):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(SystemExit))
    deadline = time.monotonic() + PATIENCE
    while _at_work and time.monotonic() < deadline:
        time.sleep(0.01)


atexit.register(_stop)
