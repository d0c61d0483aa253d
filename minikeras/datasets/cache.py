"""Files in Keras's cache: found where Keras keeps them, downloaded where they are missing.

    $KERAS_HOME/datasets/fashion-mnist/train-images-idx3-ubyte.gz      (~/.keras without KERAS_HOME)

A download is checked before it takes its place in one step, see `files`.  Keras's counterpart: `keras.utils.get_file`.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

from ..common.files import PartialFile, replacing

BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

TIMEOUT = 30.0  # seconds without an answer
ATTEMPTS = 3
BACKOFF = 1.0  # seconds before the second attempt; doubled before each further one
CHUNK = 1 << 18  # bytes


class DownloadError(OSError):
    """A file is neither in the cache nor to be had; the message says which file to put where."""


class _Failure(Exception):
    """A download that failed; `passes` tells whether another attempt may succeed."""

    def __init__(self, message: str, passes: bool = True):
        super().__init__(message)
        self.passes = passes


def home() -> str:
    """Return Keras's folder: the environment variable KERAS_HOME, or `~/.keras`."""
    return os.path.expanduser(os.environ.get("KERAS_HOME") or os.path.join("~", ".keras"))


def fetch(wanted: Sequence[tuple[str, str, str]]) -> None:
    """Download those files of a data set that are not in the cache; DownloadError where that fails.

    Args:
        wanted: (path in the cache, URL, SHA-256 that a download must have) of each.  A file that is there is taken as
            it is: whoever reads it checks its contents.
    """
    for path, url, sha256 in wanted:
        if os.path.exists(path):
            continue
        try:
            download(url, path, sha256)
        except OSError as error:
            missing = [f"Get {u}\nand put it at {p}\n" for p, u, _ in wanted if not os.path.exists(p)]
            raise DownloadError(
                f"{os.path.basename(path)} is not in the cache, and downloading it failed: {error}\n"
                f"{''.join(missing)}or let the environment variable KERAS_HOME name a folder with a filled cache."
            ) from error


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | None = "auto",
    cache_dir: str | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a cached file, downloading it where it is missing (Keras: `keras.utils.get_file`).

    The path is `cache_dir/cache_subdir/fname`.  A cached file whose hash is not `file_hash` is downloaded again, and
    replaced only by a file that has it.

    Args:
        fname: the file's name; the last part of `origin` where None.
        origin: the URL.
        untar, extract, archive_format: unpacking is not supported; use `shutil.unpack_archive`.
        md5_hash: older spelling of `file_hash` with `hash_algorithm="md5"`.
        file_hash: the expected hash in hexadecimal.
        cache_subdir: the folder under `cache_dir`.
        hash_algorithm: `"sha256"`, `"md5"`, or `"auto"`, which goes by the hash's length.
        cache_dir: `home()` where None.
        force_download: download even what is cached.

    Raises:
        ValueError: no origin, a path as `fname`, an option that is not supported.
        DownloadError: the download failed.
    """
    if untar or extract:
        raise ValueError("get_file: untar and extract are not supported; use shutil.unpack_archive(path, folder).")
    if not origin:
        raise ValueError("get_file: expected the URL of the file as `origin`.")
    fname = os.fspath(fname) if fname else origin.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    if os.path.basename(fname) != fname or fname in ("", ".", "..") or "\0" in fname:
        raise ValueError(f"get_file: expected the name of a file, without folders, received {fname!r}; see cache_dir.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    if hash_algorithm not in ("auto", "sha256", "md5"):
        raise ValueError(f"get_file: hash_algorithm must be 'auto', 'sha256' or 'md5', received {hash_algorithm!r}.")
    if hash_algorithm == "auto":
        hash_algorithm = "md5" if file_hash and len(file_hash) == 32 else "sha256"
    folder = os.path.join(os.path.expanduser(cache_dir) if cache_dir else home(), cache_subdir)
    path = os.path.join(folder, fname)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"get_file: {path} is no file. Give another `fname`, or remove it.")
    if (
        not force_download
        and os.path.exists(path)
        and (not file_hash or _hash(path, hash_algorithm) == file_hash.lower())
    ):
        return path
    try:
        download(origin, path, file_hash, hash_algorithm)
    except OSError as error:
        raise DownloadError(f"Could not download {fname}: {error}\nGet {origin}\nand put it at {path}") from error
    return path


def download(url: str, path: str, file_hash: str | None = None, algorithm: str = "sha256") -> None:
    """Download a file; `path` changes only once all of it has arrived and has the expected hash.

    Failures that may pass (no connection, a broken transfer, a server error) are tried again, `ATTEMPTS` times in all.

    Raises:
        OSError: the last failure; `path` is as it was.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for attempt in range(ATTEMPTS):
        try:
            with replacing(path) as file:
                _transfer(url, file, file_hash, algorithm)
            return
        except _Failure as error:
            if not error.passes:
                raise DownloadError(str(error)) from error
            if attempt == ATTEMPTS - 1:
                raise DownloadError(f"{error} ({ATTEMPTS} attempts)") from error
        time.sleep(BACKOFF * 2**attempt)


def unreadable(path: str, reason: object) -> ValueError:
    """Return the error for a cached file with wrong contents."""
    return ValueError(f"The cached file {path} is damaged: {reason}. Delete it, and the next call downloads it again.")


def _transfer(url: str, file: PartialFile, file_hash: str | None, algorithm: str) -> None:
    from hashlib import new
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    digest = new(algorithm, usedforsecurity=False)
    arrived, expected = 0, None
    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length") or ""
            expected = int(length) if length.isdigit() else None
            report = _progress(url.rsplit("/", 1)[-1], expected)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                arrived += len(chunk)
                report(arrived)
    except HTTPError as error:
        error.close()
        passes = error.code >= 500 or error.code in (408, 429)
        raise _Failure(f"{url} answered {error.code} {error.reason}", passes) from error
    except URLError as error:
        raise _Failure(f"{url}: {error.reason}") from error
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise _Failure(f"{url}: {error or type(error).__name__}") from error
    if expected is not None and arrived != expected:
        raise _Failure(f"{url}: the transfer broke off after {arrived} of {expected} bytes")
    if file_hash and digest.hexdigest() != file_hash.lower():
        raise _Failure(f"{url}: the {algorithm} hash is {digest.hexdigest()}, expected {file_hash}")


def _progress(name: str, size: int | None) -> Callable[[int], None]:
    """Return a function that shows how many bytes have arrived, on a terminal only."""
    if not sys.stderr or not sys.stderr.isatty():
        return lambda arrived: None
    shown = 0.0

    def report(arrived: int) -> None:
        nonlocal shown
        done = arrived == size
        if not done and time.monotonic() - shown < 0.1:
            return
        shown = time.monotonic()
        of = f" of {size / 1e6:.1f} MB ({100 * arrived // size}%)" if size else " MB"
        sys.stderr.write(f"\rDownloading {name}: {arrived / 1e6:.1f}{of}" + "\n" * done)
        sys.stderr.flush()

    return report


def _hash(path: str, algorithm: str) -> str:
    from hashlib import file_digest, new

    with open(path, "rb") as file:
        return file_digest(file, lambda: new(algorithm, usedforsecurity=False)).hexdigest()
