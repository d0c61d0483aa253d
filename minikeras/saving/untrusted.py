"""Reading files from strangers: what is refused, and the limits that hold before anything is allocated.

A model file is data.  A config names classes of one fixed table (`serialization.KNOWN`) or of the caller's own
`custom_objects`, never code.  Sizes are bounded before they are believed:

    zip     exactly the three members that Keras writes, bounded in number, compressed and uncompressed size
    JSON    bounded in length, depth and number of values
    HDF5    hard links only (no soft, external or user-defined ones), plain numbers in one piece (no external, virtual,
            chunked or compressed data, no references), each array as large as the file says it is, and of the shape
            that the model's config leads to

`archive`, `weights` and `legacy` read through this module; calls nobody.
"""

import contextlib
import math
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

#: What a file may make us allocate for weights and optimizer state, unless the caller says otherwise.
MAX_BYTES = 2 << 30

_CONFIG_BYTES = 4 << 20  # Keras's config of a network with 500 layers has half a megabyte
_CONFIG_DEPTH = 64
_CONFIG_VALUES = 400_000
_LAYERS = 10_000

_NUMBERS = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}


class ModelFileError(ValueError):
    """A file that is no readable model: damaged, hostile, of another format, or beyond what this engine can do."""


class ModelFileNotFoundError(ModelFileError, FileNotFoundError):
    """There is no file of that name."""

    def __str__(self) -> str:
        return self.args[0]


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one kind of error that names the file.

    Raises:
        ModelFileError: always that.
    """
    try:
        yield
    except ModelFileError as error:
        if str(error).startswith(path):
            raise
        raise ModelFileError(f"{path}: {error}") from error
    except Exception as error:
        raise ModelFileError(f"{path}: this model can't be loaded. {error or type(error).__name__}") from error


def open_file(path: str) -> BinaryIO:
    """Open a file that exists and is one.

    Raises:
        ModelFileNotFoundError: there is none.
        ModelFileError: a folder, a device, a pipe.
    """
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


def read_archive(file: BinaryIO, names: tuple[str, ...], max_bytes: int) -> dict[str, bytes]:
    """Return the members of a zip file that has exactly these members.

    Raises:
        ModelFileError: others, too many, too large, encrypted, or in an unusual compression.
    """
    import zipfile

    size = os.fstat(file.fileno()).st_size
    _check_directory(file, size, len(names))
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        found = [m.filename for m in members]
        if sorted(found) != sorted(names):
            raise ModelFileError(f"a .keras file consists of {', '.join(names)}; found {', '.join(map(repr, found))}.")
        for m in members:
            limit = max_bytes + config_limit(max_bytes) if m.filename.endswith(".h5") else config_limit(max_bytes)
            if m.file_size > limit or m.compress_size > size:
                raise ModelFileError(
                    f"{m.filename} declares {m.file_size:,} bytes, more than the limit of {limit:,}. "
                    "Where you trust the file, pass a larger `max_bytes`."
                )
            if m.flag_bits & 0x1 or m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ModelFileError(f"{m.filename} is encrypted or in an unusual compression.")
        contents = {}
        for m in members:
            with archive.open(m) as stream:
                contents[m.filename] = stream.read(m.file_size)
            if len(contents[m.filename]) != m.file_size:
                raise ModelFileError(f"{m.filename} is shorter than declared.")
    return contents


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
    """Return a JSON object, bounded in length, depth and number of values.

    Raises:
        ModelFileError: no JSON, or beyond the bounds.
    """
    import json

    limit = config_limit(max_bytes)
    if len(text) > limit:
        raise ModelFileError(f"its config has {len(text):,} bytes, more than the limit of {limit:,}.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"its config is no JSON ({error or type(error).__name__}).") from error
    if not isinstance(config, dict):
        raise ModelFileError("its config is no JSON object.")
    level, values, layers = [config], 0, 0
    for _ in range(_CONFIG_DEPTH):
        values += len(level)
        layers += sum("class_name" in v for v in level if isinstance(v, dict))
        if values > _CONFIG_VALUES * (limit // _CONFIG_BYTES) or layers > 10 * _LAYERS:
            raise ModelFileError(f"its config has more than {_CONFIG_VALUES:,} values or {10 * _LAYERS:,} objects.")
        for v in level:
            if isinstance(v, dict) and isinstance(v.get("layers"), list) and len(v["layers"]) > _LAYERS:
                raise ModelFileError(f"its config has {len(v['layers']):,} layers, more than {_LAYERS:,}.")
        level = [
            w
            for v in level
            for w in (v.values() if isinstance(v, dict) else v)
            if isinstance(w, (dict, list))
        ]  # fmt: skip
        if not level:
            return config
    raise ModelFileError(f"its config is nested more than {_CONFIG_DEPTH} deep.")


def check_total(shapes_and_sizes: Any, max_bytes: int, what: str) -> None:
    """Raise ModelFileError where arrays of these (shape, bytes per number) would exceed the limit."""
    total = sum(math.prod(shape) * size for shape, size in shapes_and_sizes)
    if total > max_bytes:
        raise ModelFileError(
            f"{what} would take {total:,} bytes, more than the limit of {max_bytes:,}. Where you trust the file, pass "
            "a larger `max_bytes`."
        )


# HDF5 --------------------------------------------------------------------------------------------------------------


class Source:
    """An HDF5 file that is read through checks; a context manager.

    Args:
        file: an open file, or its bytes.
        max_bytes: a limit for what names and texts in the file may expand to.
    """

    def __init__(self, file: BinaryIO | bytes, max_bytes: int = MAX_BYTES):
        import io

        import h5py

        self.max_bytes = max_bytes
        raw = file
        if isinstance(file, bytes):
            raw, file = memoryview(file), io.BytesIO(file)
        self._raw = raw
        self._longest: int | None = None
        self._file = h5py.File(file, "r")
        self.root = self._file["/"]

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()

    def has(self, group: Any, name: str) -> bool:
        """Tell whether a group has a link of that name, without following it."""
        return _is_plain(name) and group.id.links.exists(name.encode())

    def group(self, parent: Any, path: str) -> Any:
        """Return the group at a path such as `layers/dense/vars`; None where there is none.

        Raises:
            ModelFileError: a link that isn't hard on the way, or no group at its end.
        """
        import h5py

        for name in filter(None, path.split("/")):
            if not self.has(parent, name):
                return None
            parent = self._child(parent, name, h5py.Group)
        return parent

    def numbers(self, group: Any, path: str, shape: tuple[int, ...] | None = None) -> Any:
        """Return an array's data set, checked but not read.

        Args:
            group: where to look.
            path: of the data set, from there.
            shape: that it must have; None for any.

        Raises:
            ModelFileError: it is missing, has another shape, or isn't plain numbers in one piece in this file.
        """
        import h5py

        where, _, name = path.rpartition("/")
        parent = self.group(group, where)
        if parent is None or not self.has(parent, name):
            raise ModelFileError(f"the array {group.name.rstrip('/')}/{path} is missing.")
        data = self._child(parent, name, h5py.Dataset)
        plan, kind = data.id.get_create_plist(), data.id.get_type()
        if plan.get_external_count() or plan.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
            raise ModelFileError(
                f"the array {data.name} is external, virtual, chunked or compressed; Keras stores arrays in one piece. "
                "`h5repack -l CONTI -f NONE` makes it so."
            )
        if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or data.dtype.name not in _NUMBERS:
            raise ModelFileError(f"the array {data.name} holds no numbers of a usual kind.")
        if data.id.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            raise ModelFileError(f"the array {data.name} is empty.")
        if shape is not None and data.shape != tuple(shape):
            raise ModelFileError(
                f"the array {data.name} has shape {data.shape}, the model's config leads to {tuple(shape)}."
            )
        declared = math.prod(data.shape) * data.dtype.itemsize
        if data.id.get_storage_size() != declared:
            raise ModelFileError(
                f"the array {data.name} declares {declared:,} bytes, the file holds {data.id.get_storage_size():,}."
            )
        return data

    def texts(self, owner: Any, name: str, limit: int) -> list[str] | None:
        """Return the texts of an attribute (one, or a list of them); None where there is none.

        Raises:
            ModelFileError: it isn't text, or more than `limit` of them.
        """
        import h5py

        if not h5py.h5a.exists(owner.id, name.encode()):
            return None
        attribute = h5py.h5a.open(owner.id, name.encode())
        space, kind = attribute.get_space(), attribute.get_type()
        count = space.get_simple_extent_npoints()
        if space.get_simple_extent_type() == h5py.h5s.NULL or count == 0:
            return []
        if count > limit or kind.get_class() != h5py.h5t.STRING:
            raise ModelFileError(f"its attribute {name!r} is no text, or {count:,} of them.")
        each = self._longest_text() if kind.is_variable_str() else kind.get_size()
        if count * each > max(self.max_bytes, config_limit(self.max_bytes)):
            raise ModelFileError(f"its attribute {name!r} may expand to {count * each:,} bytes.")
        values = np.atleast_1d(np.asarray(owner.attrs[name], dtype=object)).ravel()
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]

    def _child(self, parent: Any, name: str, kind: type) -> Any:
        import h5py

        if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise ModelFileError(f"{parent.name.rstrip('/')}/{name} is a link to elsewhere; such files are not read.")
        child = parent[name]
        if not isinstance(child, kind):
            raise ModelFileError(f"{parent.name.rstrip('/')}/{name}: expected a {kind.__name__.lower()}.")
        return child

    def _longest_text(self) -> int:
        """Return an upper bound for the length of a text in the file: that of its largest heap of texts.

        Many entries may point to the same long text, so that a small file could expand to a huge list.
        """
        if self._longest is None:
            raw, size = self._raw, None
            if not isinstance(raw, memoryview):
                size = os.fstat(raw.fileno()).st_size
                raw = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
            data = raw.obj if isinstance(raw, memoryview) else raw
            size = len(data)
            longest, place = 0, data.find(b"GCOL")
            while place >= 0:
                (length,) = struct.unpack("<Q", data[place + 8 : place + 16].ljust(8, b"\0"))
                if length <= size:
                    longest = max(longest, length)
                place = data.find(b"GCOL", place + 4)
            self._longest = longest
            if isinstance(data, mmap.mmap):
                data.close()
        return self._longest


def _is_plain(name: str) -> bool:
    return bool(name) and "/" not in name and name != "." and "\0" not in name
