"""What a file may make the engine take: one budget for everything that is built from it, claimed before it is taken.

    with Budget(max_bytes).counting():        saving does this
        ...
        claim(n * 8, "AUC: `num_thresholds`")      and whoever takes memory, or a loop, by a number from a config this

Outside such a block nothing is counted: a user's own program may take what it likes.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

#: What a file may make us allocate for weights and optimizer state, unless the caller says otherwise.
MAX_BYTES = 2 << 30

OBJECT = 4096  # bytes: about what a layer or a metric takes besides its numbers
_ASIDE = 32 << 20  # bytes besides numbers that any file may take

_open: contextvars.ContextVar["Budget | None"] = contextvars.ContextVar("budget", default=None)


class Budget:
    """Counts what one file takes.

    Args:
        max_bytes: for the numbers: weights, optimizer state, what metrics hold.  Names, texts and objects may take an
            eighth of it besides, or 32 MB.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self.max_bytes = max_bytes
        self.numbers = 0
        self.aside = 0
        self.max_aside = max(max_bytes // 8, _ASIDE)

    def claim(self, size: int, what: str) -> None:
        """Count bytes of numbers; ValueError where all in all they exceed the limit."""
        self.numbers += size
        self._check(self.numbers, self.max_bytes, f"{what} would take {size:,} bytes, {self.numbers:,} in all:")

    def claim_aside(self, size: int, what: str) -> None:
        """Count bytes of names, texts and objects; ValueError where all in all they exceed theirs."""
        self.aside += size
        said = f"{what} and what came before would take {self.aside:,} bytes besides the weights,"
        self._check(self.aside, self.max_aside, said)

    def _check(self, total: int, limit: int, said: str) -> None:
        if total > limit:
            raise ValueError(
                f"{said} more than the limit of {limit:,}. Where you trust the file, pass a larger `max_bytes`."
            )

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is claimed in this block."""
        token = _open.set(self)
        try:
            yield
        finally:
            _open.reset(token)


def claim(size: int, what: str) -> None:
    """Count bytes against the budget of the file that is being read, if one is."""
    budget = _open.get()
    if budget is not None:
        budget.claim(size, what)


def claim_array(shape: Sequence[Any], itemsize: int, what: str) -> None:
    """Likewise for an array that is about to be made."""
    if _open.get() is not None:
        claim(math.prod(shape) * itemsize, f"{what} of shape {tuple(shape)}")


def claim_object(what: str) -> None:
    """Count an object that a config describes."""
    budget = _open.get()
    if budget is not None:
        budget.claim_aside(OBJECT, what)
