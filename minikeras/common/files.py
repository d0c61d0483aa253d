"""Writing a file so that at every moment either the old one or the new one is there, whole.

    temporary file beside the target -> write -> flush to the disk (fsync) -> rename onto the target -> fsync the folder

A rename within a folder is atomic: a process killed in mid-write, a full disk or a failing one leave the target as it
was; so two processes may also download one file at once.  What a killed write leaves behind is a hidden file,
`.model.keras.<random>.partial`, that nobody loads and the next write into that folder removes.
"""

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

SUFFIX = ".partial"
ATTEMPTS = 9
PAUSE = 0.008  # seconds before the second attempt; doubled before each further one
_SECONDS = 60.0
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{16}\.partial")


class PartialFile:
    """A file opened for writing under a temporary name; every byte goes straight to the system.

    It has what `zipfile` and `h5py` ask of a file: write, tell, seek, flush.
    """

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        total = len(rest)
        while len(rest):  # the system may take it in several pieces
            rest = rest[os.write(self.descriptor, rest) :]
        return total

    def tell(self) -> int:
        return os.lseek(self.descriptor, 0, os.SEEK_CUR)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self.descriptor, offset, whence)

    def seekable(self) -> bool:
        return True

    def flush(self) -> None:
        pass  # there is no buffer


@contextlib.contextmanager
def replacing(path: str) -> Iterator[PartialFile]:
    """Give a file to write to; once the block has ended without an error, it replaces the file at `path`.

    A symbolic link at `path` stays, and what it points to is replaced.  The new file has the old one's permissions.

    Raises:
        FileNotFoundError: the folder does not exist.
        OSError: at `path` is a folder, a pipe or a device; or the system refused (disk full, no permission, ...).  The
            old file is intact then; the message says so.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            errno.ENOENT,
            f"The folder of the file to write does not exist; make it first: os.makedirs({folder!r})",
            path,
        )
    check_target(path)
    if name.endswith(SUFFIX):
        raise ValueError(f"{path}: names that end in {SUFFIX!r} are those of unfinished files; choose another.")
    remove_leftovers(folder)
    partial = None
    try:
        partial, descriptor = _create(folder, name)
        try:
            with contextlib.suppress(OSError, AttributeError):  # a new file, or a system without such permissions
                os.fchmod(descriptor, stat.S_IMODE(os.stat(target).st_mode))
            yield PartialFile(descriptor)
            os.fsync(descriptor)
            if os.name != "nt":  # while it is locked: else another writer might take it for a left-over
                _persistently(os.replace, partial, target)
        finally:
            os.close(descriptor)
        if os.name == "nt":  # where an open file can't be renamed
            _persistently(os.replace, partial, target)
    except BaseException as error:
        if partial is not None:
            with contextlib.suppress(OSError):
                _persistently(os.unlink, partial)
        if isinstance(error, OSError):
            old = "the file that was there before is intact" if os.path.exists(target) else "no file was made"
            reason = error.strerror or str(error)
            raise type(error)(error.errno, f"Could not save ({reason}); {old}", path) from error
        raise
    _sync_folder(folder, path)


def check_target(path: str) -> None:
    """Raise OSError where there is something at `path` that is no file: writing would put a file in its place."""
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "Expected the name of a file to write, this is a folder", path)
        if not stat.S_ISREG(mode):
            kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
            kind = kinds.get(stat.S_IFMT(mode), "a device")
            raise OSError(errno.EINVAL, f"Expected the name of a file to write, this is {kind}", path)


def remove_leftovers(folder: str) -> None:
    """Remove the unfinished files that killed writes have left in a folder; those of living writers stay."""
    try:
        found = [name for name in os.listdir(folder) if _LEFTOVER.fullmatch(name)]
    except OSError:
        return
    for partial in (os.path.join(folder, name) for name in found):
        with contextlib.suppress(OSError):
            descriptor = os.open(partial, os.O_RDWR)
            try:
                if not _lock(descriptor) or _may_live(descriptor):
                    continue
                with contextlib.suppress(PermissionError):  # some systems can't remove an open file
                    os.unlink(partial)
                    continue
            finally:
                os.close(descriptor)
            os.unlink(partial)


def _may_live(descriptor: int) -> bool:
    """Tell whether a file may be one that its writer has closed and is about to rename, on a system without locks."""
    return os.name == "nt" and time.time() - os.fstat(descriptor).st_mtime < _SECONDS


def _create(folder: str, name: str) -> tuple[str, int]:
    """Make the temporary file and lock it: the lock, which dies with its process, tells that its writer lives."""
    while True:
        # Of a long name only the beginning, so that the temporary one is not too long for the file system.
        partial = os.path.join(folder, f".{name[:32]}.{os.urandom(8).hex()}{SUFFIX}")
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        _lock(descriptor, wait=True)  # for another writer, who is about to remove it
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(partial), os.fstat(descriptor)):
                return partial, descriptor
        os.close(descriptor)  # another writer took the file for a left-over, in the moment before it was locked


def _lock(descriptor: int, wait: bool = False) -> bool:
    """Try to lock a file for this process alone, or wait for the lock; True where that worked."""
    try:
        import fcntl
    except ImportError:  # Windows, where an open file can't be removed anyway
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then nothing is known, and nothing is removed
        return False
    return True


def _persistently(act: Callable[..., None], *paths: str) -> None:
    """Rename or remove a file that another program may hold open for a moment: a scanner, an indexer, a backup.

    Windows refuses both until the other has closed the file; so they are tried again, for about two seconds in all.
    """
    for attempt in range(ATTEMPTS):
        try:
            return act(*paths)
        except PermissionError as error:
            if attempt == ATTEMPTS - 1:
                reason = f"{error.strerror or error}, {ATTEMPTS} times; another program may hold the file open"
                raise PermissionError(error.errno, reason, paths[-1]) from error
        time.sleep(PAUSE * 2**attempt)


def _sync_folder(folder: str, path: str) -> None:
    """Make the rename itself last through a power failure."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP):  # file systems that do it by themselves
            return
        raise OSError(
            error.errno,
            f"The new file is in place and whole, but may not survive a power failure ({error.strerror})",
            path,
        ) from error
    finally:
        os.close(descriptor)
