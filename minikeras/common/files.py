"""Renaming and removing files that another program may hold open for a moment: a scanner, an indexer, a backup.

Windows refuses both until the other has closed the file; so they are tried again, for about two seconds in all.
"""

import os
import time
from collections.abc import Callable
from typing import Any

ATTEMPTS = 9
PAUSE = 0.008  # seconds before the second attempt; doubled before each further one


def replace(source: str, target: str) -> None:
    """Do as `os.replace`.

    Raises:
        PermissionError: the system still refuses after `ATTEMPTS`; it says so.
        OSError: any other refusal, at once.
    """
    _persistently(os.replace, source, target)


def remove(path: str) -> None:
    """Do as `os.unlink`; likewise."""
    _persistently(os.unlink, path)


def _persistently(act: Callable[..., None], *paths: str) -> None:
    for attempt in range(ATTEMPTS):
        try:
            return act(*paths)
        except PermissionError as error:
            if attempt == ATTEMPTS - 1:
                raise _refused(error, paths[-1]) from error
        time.sleep(PAUSE * 2**attempt)


def _refused(error: PermissionError, path: str) -> Any:
    reason = f"{error.strerror or error}, {ATTEMPTS} times; another program may hold the file open"
    return PermissionError(error.errno, reason, path)
