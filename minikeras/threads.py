"""Who owns the processor's cores while a model computes: one team of threads, and NumPy's products run on one thread.

The team is as many threads as `config.num_threads()` says, the calling one included; the others sleep until there is
work, and go to sleep again some tenths of a millisecond after the last.  What they do is `kernels.team`'s.

NumPy's matrix products run on one thread within `one_blas_thread`, for two reasons: their sums come out a little
different on another number of threads, and one seed shall give one result on any machine; and the threads of a BLAS
library wait by spinning, so that on a busy machine a small product takes twenty times as long.

`kernels` and `training` call; calls `config`, `kernels.team`, and threadpoolctl.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import config

#: For how many seconds a thread looks for work before it goes to sleep: longer than Python needs between two kernels.
PATIENCE = 4e-4


class Team:
    """Threads that work on what appears on a board (see `kernels.team`).

    Args:
        size: how many, with the one that writes on the board.

    Attributes:
        board: what they look at; of no fields where there is nobody to look.
        open_board: the same, as one to leave work on.
    """

    def __init__(self, size: int):
        from .kernels.team import dismiss, new_board, settle, watch, work

        self.size, self._dismiss, self._settle = size, dismiss, settle
        self.bell = _bells.pop() if _bells else os.pipe()
        board = new_board(size, self.bell)
        self.board, self.open_board = (board[:-1], board) if size > 1 else (board[:0], board[:0])
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
        for thread in self.threads:
            thread.start()

    def settle(self) -> None:
        """Finish the work that was left."""
        if self.size > 1:
            self._settle(self.board)

    def dismiss(self) -> None:
        """Let the threads end."""
        self.settle()
        while any(thread.is_alive() for thread in self.threads):
            self._dismiss(self.board)
            time.sleep(PATIENCE)
        _bells.append(self.bell)  # never closed: a file that is opened later would get its number, and hear a late ring


_bells: list[tuple[int, int]] = []  # of teams that were dismissed
_team: Team | None = None
_forming = threading.Lock()


class _OfThisThread(threading.local):
    board: np.ndarray | None = None  # what the kernels get that this thread calls; None: the team's board
    left_to: Team | None = None  # whom it leaves work to


_of_this_thread = _OfThisThread()
_nobody = np.zeros(0, np.int64)


@contextlib.contextmanager
def _giving(board: np.ndarray) -> Iterator[None]:
    """Give this board to all kernels that this thread calls in the block."""
    before, _of_this_thread.board = _of_this_thread.board, board
    try:
        yield
    finally:
        _of_this_thread.board = before


def alone() -> contextlib.AbstractContextManager[None]:
    """Let the kernels that this thread calls in the block run on it alone: for less work than waking others takes."""
    return _giving(_nobody)


@contextlib.contextmanager
def leaving_work() -> Iterator[None]:
    """Let kernels that can do so (see `kernels.team`) come back while the team is still at it; at the end, all is done.

    Whoever wants to see what such a kernel writes calls `settle` first.
    """
    team, mine = _formed(), _of_this_thread
    before, mine.left_to = mine.left_to, team
    try:
        with _giving(team.open_board):
            yield
    finally:
        mine.left_to = before
        team.settle()


def settle() -> None:
    """Finish the work that this thread has left, if there is any."""
    team = _of_this_thread.left_to
    if team is not None:
        team.settle()


def team() -> np.ndarray:
    """Return the team's board; a board of no fields where there shall be no team."""
    board = _of_this_thread.board
    return _formed().board if board is None else board


def _formed() -> Team:
    team = _team
    return _form() if team is None or team.size != config.num_threads() else team


def _form() -> Team:
    global _team
    with _forming:
        size = config.num_threads()
        if _team is not None and _team.size != size:
            _team.dismiss()
            _team = None
        if _team is None:
            _team = Team(size)
        return _team


def _forget_team() -> None:
    """In a child process that was forked off, none of the threads exists, and the parent's sleep at the same bells."""
    global _team, _forming
    _team, _forming = None, threading.Lock()
    _bells.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)

_lock = threading.Lock()
_users = 0  # how many blocks are running, in all of Python's threads
_libraries: Any = None
_limit: Any = None


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep matrix products on one thread within the block; the last block to end restores the number before."""
    global _users, _libraries, _limit
    with _lock:
        if _users == 0:
            if _libraries is None:
                import threadpoolctl

                _libraries = threadpoolctl.ThreadpoolController().select(user_api="blas")
            _limit = _libraries.limit(limits=1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
