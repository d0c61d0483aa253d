"""Reading files from strangers: what is refused, and the limits that hold before anything is allocated.

A model file is data.  A config names classes of one fixed table (`serialization.KNOWN`) or of the caller's own
`custom_objects`, never code.  Sizes are bounded before they are believed:

    zip     exactly the three members that Keras writes, bounded in number, compressed and uncompressed size
    JSON    bounded in length, depth and number of values; names of a line
    built   one budget for all that a config or an array makes us take (`budget`)
    HDF5    hard links only (no soft, external or user-defined ones), plain numbers in one piece (no external, virtual,
            chunked or compressed data, no references), each array as large as the file says it is, and of the shape
            that the model's config leads to; names and texts count against the budget
"""

import contextlib
import io
import os
import re
import stat
import struct
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..common.budget import MAX_BYTES
from ..common.names import quoted

_CONFIG_BYTES = 4 << 20  # Keras's config of a network with 500 layers has half a megabyte
_CONFIG_DEPTH = 64
_CONFIG_VALUES = 200_000  # dictionaries and lists
_LAYERS = 10_000
_NAME = 1000  # characters
_MESSAGE = 2000
_CHUNK = 1 << 20  # bytes
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ModelFileError(ValueError):
    """A file that is no readable model: damaged, hostile, of another format, or beyond what this engine can do."""


class ModelFileNotFoundError(ModelFileError, FileNotFoundError):
    """There is no file of that name."""

    def __str__(self) -> str:
        return self.args[0]


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a ModelFileError that names the file."""
    try:
        yield
    except ModelFileError as error:
        if str(error).startswith(path):
            raise
        raise ModelFileError(f"{path}: {_shown(error)}") from _if_shown(error)
    except Exception as error:
        raise ModelFileError(f"{path}: this model can't be loaded. {_shown(error)}") from _if_shown(error)


def _shown(error: Exception) -> str:
    """Return an error's message without what a file may have put there to steer a terminal, or to fill it."""
    text = str(error) or type(error).__name__
    text = text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]}..."
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _if_shown(error: Exception) -> Exception | None:
    return error if str(error) in ("", _shown(error)) else None


def warn(text: str) -> None:
    """Warn at the line of the user's program that led here."""
    package, level = __name__.partition(".")[0], 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def open_file(path: str) -> BinaryIO:
    """Open a file that exists and is one; ModelFileError for a folder, a device, a pipe."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ModelFileError(f"{path}: expected a file, this is a folder or a device.")
        return open(path, "rb")
    except FileNotFoundError:
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise ModelFileNotFoundError(f"{path}: not found; the folder {folder} does not exist.") from None
        near = _similar(folder, os.path.basename(path))
        raise ModelFileNotFoundError(f"{path}: File not found.{near}") from None


def _similar(folder: str, name: str) -> str:
    from difflib import get_close_matches

    models = [n for n in os.listdir(folder)[:1000] if n.endswith((".keras", ".h5", ".hdf5"))]
    near = get_close_matches(name, models, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


# Zip ---------------------------------------------------------------------------------------------------------------


class _Part(io.RawIOBase):
    """A stretch of a file, as a file."""

    def __init__(self, file: Any, start: int, size: int):
        self.file, self.start, self.size, self.place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.start + self.place)
        count: int = self.file.readinto(memoryview(buffer)[: max(self.size - self.place, 0)])
        self.place += count
        return count


@contextlib.contextmanager
def open_archive(file: BinaryIO, names: tuple[str, ...], max_bytes: int) -> Iterator[dict[str, BinaryIO]]:
    """Give the members of a zip file that has exactly these members, as open files: nothing is held in memory.

    Too many of them, too large, encrypted or in an unusual compression are a ModelFileError.
    """
    import zipfile

    size = os.fstat(file.fileno()).st_size
    _check_directory(file, size, len(names))
    with zipfile.ZipFile(file) as archive, contextlib.ExitStack() as opened:
        members = archive.infolist()
        found = [m.filename for m in members]
        if sorted(found) != sorted(names):
            raise ModelFileError(
                f"a .keras file consists of {', '.join(names)}; found {', '.join(map(quoted, found))}."
            )
        for m in members:
            limit = config_limit(max_bytes)
            if m.filename.endswith(".h5"):  # the arrays in it are looked at one by one; a copy must not fill the disk
                limit = max_bytes + limit if m.compress_type else size
            if m.file_size > limit or m.compress_size > size:
                raise ModelFileError(
                    f"{m.filename} declares {m.file_size:,} bytes, more than the limit of {limit:,}. "
                    "Where you trust the file, pass a larger `max_bytes`."
                )
            if m.flag_bits & 0x1 or m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelFileError(f"{m.filename} is encrypted or in an unusual compression.")
        yield {m.filename: _open_member(archive, m, file, opened) for m in members}


def _open_member(archive: Any, member: Any, file: BinaryIO, opened: contextlib.ExitStack) -> Any:
    """Return a member as a file: a part of the archive, or where it is compressed, a copy that has no name."""
    import tempfile

    copy = opened.enter_context(tempfile.TemporaryFile()) if member.compress_type else None  # noqa: SIM115
    length = 0
    with archive.open(member) as stream:
        while chunk := stream.read(_CHUNK):  # all of it, for its checksum
            length += len(chunk)
            if length > member.file_size:
                break
            if copy is not None:
                copy.write(chunk)
    if length != member.file_size:
        raise ModelFileError(f"{member.filename} has another length than declared.")
    if copy is not None:
        copy.seek(0)
        return copy
    file.seek(member.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    return _Part(file, member.header_offset + 30 + name + extra, length)


def _check_directory(file: BinaryIO, size: int, members: int) -> None:
    """Look at the end of a zip file: `zipfile` reads the whole table of members that is announced there."""
    tail_length = min(size, 22 + 20 + 56)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    if len(tail) < 22 or tail[-22:-18] != b"PK\x05\x06":
        raise ModelFileError("this is no .keras file: the end of a zip archive is missing. It may be cut off.")
    count, directory_size = struct.unpack("<HL", tail[-12:-6])
    if tail[-42:-38] == b"PK\x06\x07":  # zip64, for archives beyond 4 GB, has a second record
        count, directory_size = struct.unpack("<QQ", tail[-42 - 24 : -42 - 8]) if len(tail) == 98 else (0, 0)
    if count != members or directory_size > 4096 * members:
        raise ModelFileError(f"a .keras file has {members} members, this archive announces {count}.")
    file.seek(0)


# JSON --------------------------------------------------------------------------------------------------------------


def config_limit(max_bytes: int) -> int:
    """Return how many bytes of config are read where `max_bytes` of weights are: 4 MB by default."""
    return max(_CONFIG_BYTES, max_bytes // 512)


def parse_config(text: bytes | str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return a JSON object; ModelFileError where it is none, or too long, too deep, or of too many values."""
    import json

    limit = config_limit(max_bytes)
    if len(text) > limit:
        raise ModelFileError(f"its config has {len(text):,} bytes, more than the limit of {limit:,}.")
    most = _CONFIG_VALUES * (limit // _CONFIG_BYTES)
    brackets: Any = (b"[", b"{") if isinstance(text, bytes) else ("[", "{")
    if sum(map(text.count, brackets)) > 2 * most:  # counted before they are made; some may stand in texts
        raise ModelFileError(f"its config has more than {most:,} values.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"its config is no JSON ({error or type(error).__name__}).") from error
    if not isinstance(config, dict):
        raise ModelFileError("its config is no JSON object.")
    level: list[Any] = [config]
    values = layers = 0
    for _ in range(_CONFIG_DEPTH):
        values += len(level)
        layers += sum("class_name" in v for v in level if isinstance(v, dict))
        if values > most or layers > 10 * _LAYERS:
            raise ModelFileError(f"its config has more than {most:,} values or {10 * _LAYERS:,} objects.")
        for v in level:
            if isinstance(v, dict) and isinstance(v.get("layers"), list) and len(v["layers"]) > _LAYERS:
                raise ModelFileError(f"its config has {len(v['layers']):,} layers, more than {_LAYERS:,}.")
            if isinstance(v, dict):
                check_names(v)
        level = [
            w
            for v in level
            for w in (v.values() if isinstance(v, dict) else v)
            if isinstance(w, (dict, list))
        ]  # fmt: skip
        if not level:
            return config
    raise ModelFileError(f"its config is nested more than {_CONFIG_DEPTH} deep.")


def check_names(config: dict[str, Any]) -> None:
    """Raise ModelFileError where a name in a config is no line of text: it will be printed, and name files' parts."""
    for key in ("name", "class_name", "registered_name", "module"):
        name = config.get(key)
        if isinstance(name, str) and (len(name) > _NAME or _CONTROL.search(name)):
            raise ModelFileError(
                f"its config has {quoted(name)} as `{key}`; expected no control characters, and {_NAME:,} characters "
                "at most."
            )
