"""Who owns the processor's cores while a model computes: NumPy's matrix products run on one thread.

Two reasons.  The sums of a product come out a little different on another number of threads, and one seed shall give
one result on any machine.  And the threads of a BLAS library wait by spinning: on a busy machine a small product then
takes twenty times as long.  `training` calls; calls threadpoolctl.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

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
