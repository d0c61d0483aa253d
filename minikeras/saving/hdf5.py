"""HDF5 files: written in memory, and those of strangers read through checks; `untrusted` lists what is refused."""

import io
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from ..common.budget import Budget
from ..common.names import quoted
from .untrusted import ModelFileError

_NUMBERS = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
_TEXT = 64  # bytes that a text takes besides its own
_ATTRIBUTE, _CONTINUED, _ELSEWHERE = 0x0C, 0x10, 0x15  # kinds of messages


def image(fill: Callable[[Any], None]) -> memoryview:
    """Return the bytes of an HDF5 file that a function fills."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getbuffer()


class Source:
    """An HDF5 file that is read through checks; `budget` is what its names, texts and arrays may take in all."""

    def __init__(self, file: BinaryIO, budget: Budget | None = None):
        import h5py

        self.budget = budget or Budget()
        self._raw = file
        self._heaps: dict[int, dict[int, memoryview]] = {}
        self._file = h5py.File(file, "r")
        self.root = self._file["/"]
        plan = self._file.id.get_create_plist()
        if plan.get_userblock() or plan.get_sizes() != (8, 8):
            raise ModelFileError("it is an HDF5 file of an unusual form, which Keras does not write.")

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()

    def has(self, group: Any, name: str) -> bool:
        """Tell whether a group has a link of that name, without following it."""
        is_plain = name and "/" not in name and name != "." and "\0" not in name
        return bool(is_plain) and group.id.links.exists(name.encode())

    def has_texts(self, owner: Any, name: str) -> bool:
        """Tell whether a group or an array has an attribute of that name."""
        import h5py

        return h5py.h5a.exists(owner.id, name.encode())

    def group(self, parent: Any, path: str) -> Any:
        """Return the group at a path such as `layers/dense/vars`; None where there is none."""
        import h5py

        for name in filter(None, path.split("/")):
            if not self.has(parent, name):
                return None
            parent = self._child(parent, name, h5py.Group)
        return parent

    def numbers(self, group: Any, path: str, shape: tuple[int, ...] | None = None) -> Any:
        """Return an array's data set, unread: plain numbers in one piece, in this file, of a given shape."""
        import h5py

        where, _, name = path.rpartition("/")
        parent = self.group(group, where)
        if parent is None or not self.has(parent, name):
            raise ModelFileError(f"the array {quoted(_path(group, path))} is missing.")
        data = self._child(parent, name, h5py.Dataset)
        plan, kind, shown = data.id.get_create_plist(), data.id.get_type(), quoted(data.name)
        if plan.get_external_count() or plan.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
            raise ModelFileError(
                f"the array {shown} is external, virtual, chunked or compressed; Keras stores arrays in one piece. "
                "`h5repack -l CONTI -f NONE` makes it so."
            )
        if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or data.dtype.name not in _NUMBERS:
            raise ModelFileError(f"the array {shown} holds no numbers of a usual kind.")
        if data.id.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            raise ModelFileError(f"the array {shown} is empty.")
        if shape is not None and data.shape != tuple(shape):
            raise ModelFileError(
                f"the array {shown} has shape {data.shape}, the model's config leads to {tuple(shape)}."
            )
        declared = math.prod(data.shape) * data.dtype.itemsize
        if data.id.get_storage_size() != declared:
            raise ModelFileError(
                f"the array {shown} declares {declared:,} bytes, the file holds {data.id.get_storage_size():,}."
            )
        return data

    def texts(self, owner: Any, name: str, limit: int) -> list[str] | None:
        """Return the texts of an attribute (one, or a list of them), `limit` at most; None where there is none."""
        import h5py

        if not self.has_texts(owner, name):
            return None
        attribute = h5py.h5a.open(owner.id, name.encode())
        space, kind = attribute.get_space(), attribute.get_type()
        count = space.get_simple_extent_npoints()
        if space.get_simple_extent_type() == h5py.h5s.NULL or count == 0:
            return []
        if count > limit or kind.get_class() != h5py.h5t.STRING:
            raise ModelFileError(f"its attribute {name!r} is no text, or {count:,} of them.")
        if kind.is_variable_str():
            return self._variable_texts(owner, name, count)
        self.budget.claim_aside(count * (kind.get_size() + _TEXT), f"its attribute {name!r}")
        values = np.atleast_1d(np.asarray(owner.attrs[name], dtype=object)).ravel()
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]

    def _child(self, parent: Any, name: str, kind: type) -> Any:
        import h5py

        if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise ModelFileError(f"{quoted(_path(parent, name))} is a link to elsewhere; such files are not read.")
        child = parent[name]
        if not isinstance(child, kind):
            raise ModelFileError(f"{quoted(_path(parent, name))}: expected a {kind.__name__.lower()}.")
        return child

    def _variable_texts(self, owner: Any, name: str, count: int) -> list[str]:
        """Return an attribute's texts of any length, read without HDF5's own functions.

        Each is stored as a length and the place where it stands, in what HDF5 calls a global heap.  Many may point to
        one long text, so that a small file could expand to a huge list; and HDF5 reads some damaged heaps for ever.
        """
        import h5py

        found = []
        for kind, shared, message in self._header(h5py.h5o.get_info(owner.id).addr):
            if kind == _ELSEWHERE or (kind == _ATTRIBUTE and shared):
                break
            if kind != _ATTRIBUTE:
                continue
            version, *lengths = struct.unpack_from("<BxHHH", message)  # of the name, its type and its shape
            begin = 9 if version == 3 else 8
            if message[begin : begin + lengths[0]].rstrip(b"\0") == name.encode():
                values = begin + sum(-(-n // 8) * 8 if version == 1 else n for n in lengths)
                found.append(list(struct.iter_unpack("<LQL", message[values : values + 16 * count])))
        if len(found) != 1 or len(found[0]) != count:
            raise ModelFileError(f"its attribute {name!r} is stored in a way that Keras does not use.")
        self.budget.claim_aside(sum(length + _TEXT for length, *_ in found[0]), f"its attribute {name!r}")
        return [self._text(*place) for place in found[0]]

    def _text(self, length: int, address: int, number: int) -> str:
        if not length:
            return ""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        data = self._heaps[address].get(number, b"")
        if len(data) < length:
            raise ModelFileError("it has a text that is not where it should be.")
        return bytes(data[:length]).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _heap(self, address: int) -> dict[int, memoryview]:
        """Return the objects of a global heap by their numbers."""
        signature, size = struct.unpack("<4s4xQ", self._bytes(address, 16))
        if signature != b"GCOL":
            raise ModelFileError("it has a text that is not where it should be.")
        heap, place, objects = memoryview(self._bytes(address, size)), 16, {}
        while place + 16 <= len(heap):
            number, length = struct.unpack_from("<H6xQ", heap, place)
            if number == 0:  # the rest is free
                break
            objects[number] = heap[place + 16 : place + 16 + length]
            place += 16 + -(-length // 8) * 8
        return objects

    def _header(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Return the messages of a group's header, if it is of version 1: kind, whether shared, contents."""
        version, size = struct.unpack("<B7xI4x", self._bytes(address, 16))
        blocks = [(address + 16, size)] if version == 1 else []
        for start, size in blocks:
            block, place = self._bytes(start, size), 0
            while place + 8 <= len(block):
                kind, length, flags = struct.unpack_from("<HHB", block, place)
                message = block[place + 8 : place + 8 + length]
                place += 8 + length
                if kind == _CONTINUED:
                    blocks.append(struct.unpack_from("<QQ", message))
                yield kind, flags & 2, message

    def _bytes(self, start: int, size: int) -> bytes:
        self.budget.claim_aside(size + _TEXT, "what describes its groups and texts")
        self._raw.seek(start)
        return self._raw.read(size)


def _path(parent: Any, name: str) -> str:
    return f"{parent.name.rstrip('/')}/{name}"
