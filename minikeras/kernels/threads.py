"""Who owns the processor's cores while a model computes: one team of threads, and NumPy's products run on one thread.

The team is as many threads as `number` says, the calling one included; the others sleep until there is work, and go to
sleep again some tenths of a millisecond after the last.  What they do is `kernels.team`'s.

NumPy's matrix products run on one thread within `one_blas_thread`, for two reasons: their sums come out a little
different on another number of threads, and one seed shall give one result on any machine; and the threads of a BLAS
library wait by spinning, so that on a busy machine a small product takes twenty times as long.

Whatever is raised, wherever, things are afterwards as they were (see `Visit`); and nothing here waits for a lock that
the same thread may hold, as the handler of a signal may call anything in the midst of anything.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import kernels
from .undisturbed import undisturbed

#: For how many seconds a thread looks for work before it goes to sleep: longer than Python needs between two kernels.
PATIENCE = 4e-4

#: The board of no fields: where there is nobody to look at it.
NOBODY = np.zeros(0, np.int64)


def number() -> int:
    """Return how many threads shall compute; whoever uses kernels puts another function in this one's place."""
    return 1


class Team:
    """Threads that work on what appears on a board (see `kernels.team`).

    Args:
        size: how many, with the one that writes on the board.

    Attributes:
        board: what they look at; of no fields where there is nobody to look.
    """

    def __init__(self, size: int):
        self.size, self.threads = size, []
        self.board = NOBODY
        if kernels.numpy_only or size == 1:
            return
        from .cache import specialised
        from .team import dismiss, new_board, new_lock, watch, work

        while len(_locks) < size - 1:
            _locks.append(new_lock())
        board = new_board([_locks.pop() for _ in range(size - 1)])
        for function, arguments in ((watch, (0, 1)), (work, (0, 1)), (dismiss, ())):
            specialised(function, (board, *arguments))  # that nothing is compiled later, where it may be interrupted
        self._dismiss = dismiss
        watch(board, 0, 1)

        def seconds(looks: int) -> float:
            start = time.perf_counter()
            watch(board, 0, looks)
            return time.perf_counter() - start

        # On a busy machine others run in the midst of some of these; a thread with too little patience would sleep
        # whenever a kernel does something alone.
        looks = int(200 * PATIENCE / min(seconds(200) for _ in range(20)))
        self.threads = [
            threading.Thread(target=work, args=(board, i, looks), name=f"minikeras-{i}", daemon=True)
            for i in range(1, size)
        ]
        self.board = board
        for thread in self.threads:
            thread.start()

    def dismiss(self) -> None:
        """Let the threads end."""
        from .team import LINE, LOCK

        while any(thread.is_alive() for thread in self.threads):
            self._dismiss(self.board)
            time.sleep(PATIENCE)
        # Never freed: somebody may still be unlocking one that let its thread end.
        _locks.extend(map(int, self.board[LOCK + LINE :: LINE]))


_locks: list[int] = []  # that nobody sleeps at (see `kernels.team`)
_team: Team | None = None
_forming = threading.Lock()  # held by first uses alone


class _OfThisThread(threading.local):
    board: np.ndarray | None = None  # what the kernels get that this thread calls; None: the team's board


_of_this_thread = _OfThisThread()


try:  # what NumPy does about errors, without the dictionary that takes it longer than a small kernel
    from numpy._core.umath import _extobj_contextvar

    _errors: Callable[[], Any] = _extobj_contextvar.get
    _set_errors: Callable[[Any], Any] = _extobj_contextvar.set
except ImportError:
    _errors, _set_errors = np.geterr, lambda errors: np.seterr(**errors)


class Visit:
    """What a call changes while it runs, and gives back: this thread's board, NumPy's errors, the limit of BLAS.

    Python may raise between any two of its instructions, when a key or an alarm says so: a `with` statement, too, ends
    a few instructions after what it restores was changed.  Therefore the change is made within `try`, and `leave` may
    be called again, or after half of a change.  What interrupts the first `leave` is followed by the second.
    """

    def __init__(self) -> None:
        self.thread, self.board = threading.get_ident(), _of_this_thread.board
        self.errors, self.is_over = _errors(), False

    def enter(self, alone: bool, one_blas_thread: bool) -> None:
        """Change what is asked for."""
        if alone:
            _of_this_thread.board = NOBODY
        if one_blas_thread:
            _blas()  # takes long at first
            _visits.add(self)
            _limit_blas()

    def leave(self) -> None:
        """Let everything be as it was."""
        if self.is_over:
            return
        _of_this_thread.board = self.board
        if _errors() != self.errors:
            _set_errors(self.errors)
        _visits.discard(self)
        if _before is not None:
            _limit_blas()
        self.is_over = True


def computing(function: Callable[..., Any], *arguments: Any, alone: bool = False, one_blas_thread: bool = False) -> Any:
    """Return function(*arguments).

    Args:
        function: what computes.
        *arguments: for it.
        alone: whether its kernels run on this thread alone: for less work than waking others takes.
        one_blas_thread: whether NumPy's products do; the last such call to end restores the number before.
    """
    visit = Visit()
    try:
        try:
            visit.enter(alone, one_blas_thread)
            return function(*arguments)
        finally:
            visit.leave()
    finally:
        visit.leave()


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that keeps NumPy's products on one thread."""

    @functools.wraps(function)
    def limited(*arguments: Any, **named: Any) -> Any:  # one frame, as warnings count them
        visit = Visit()
        try:
            try:
                visit.enter(alone=False, one_blas_thread=True)
                return function(*arguments, **named)
            finally:
                visit.leave()
        finally:
            visit.leave()

    return limited


def team() -> np.ndarray:
    """Return the team's board; a board of no fields where there shall be no team."""
    board = _of_this_thread.board
    if board is not None:
        return board
    team = _team
    return (undisturbed(_form) if team is None or team.size != number() else team).board


def _form() -> Team:
    global _team
    with _forming:
        size = number()
        if _team is not None and _team.size != size:
            _team.dismiss()
            _team = None
        if _team is None:
            _team = Team(size)
        return _team


_visits: set[Visit] = set()  # to the one thread of BLAS, by all of Python's threads
_before: list[tuple[Any, int]] | None = None  # the libraries, and their numbers of threads before
_changing: dict[str, int] = {}  # the thread that is setting them


@functools.cache
def _blas() -> list[Any]:
    """Return the libraries that compute NumPy's products."""

    def look() -> list[Any]:
        import threadpoolctl

        return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers

    return undisturbed(look)


def _limit_blas() -> None:
    """Let the number of threads be 1 where there are visits, and what it was before where there are none.

    One thread at a time sets it, for microseconds.  A lock would stay locked after an interruption, and a handler on
    the same thread would wait for itself.  So the thread's number is the lock, and a handler passes: no step minds that
    another, on the same thread, has done all of them in the meantime.
    """
    global _before
    me = threading.get_ident()
    is_nested = _changing.get("thread") == me
    try:
        try:
            while _changing.setdefault("thread", me) != me:
                time.sleep(0)
            if _visits:
                if _before is None:
                    numbers = [(library, library.num_threads) for library in _blas()]
                    if _before is None:
                        _before = numbers
                for library in _blas():
                    library.set_num_threads(1)
            elif (before := _before) is not None:
                for library, number in before:
                    library.set_num_threads(number)
                _before = None
        finally:
            _let_change(me, is_nested)
    finally:
        _let_change(me, is_nested)


def _let_change(me: int, is_nested: bool) -> None:
    if not is_nested and _changing.get("thread") == me:
        del _changing["thread"]


def _forget_threads() -> None:
    """In a child process that was forked off, no other thread exists, and the parent's sleep at the same locks."""
    global _team, _forming
    _team, _forming = None, threading.Lock()
    _locks.clear()
    me = threading.get_ident()
    _visits.difference_update([visit for visit in _visits if visit.thread != me])
    _changing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
