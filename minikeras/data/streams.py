"""Streams: batches that a generator, an iterable or a `PyDataset` yields, converted one by one."""

from collections.abc import Iterator
from itertools import chain, count
from typing import Any

import numpy as np

from ..common.tree import Bundle
from .checks import Arrange, Triple, standardize
from .epochs import Batches


class StreamBatches(Batches):
    """Batches that a generator, an iterable or a `PyDataset` yields; `batches` makes it.

    A generator (any iterator) goes on over the epochs; everything else starts again.  Objects with an index and a
    length, other than lists, are read by index; `shuffle` shuffles their batches with Python's `random`, and their
    `on_epoch_begin` and `on_epoch_end` are called where they exist.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None,
        shuffle: bool,
        class_weight: dict[int, float] | None,
        dtype: str,
        arrange: Arrange = None,
        finite: bool = True,
    ):
        self.source, self.shuffle, self.class_weight, self.dtype = source, shuffle, class_weight, dtype
        self.arrange, self.finite = arrange, finite
        self._count = 0
        self._indexed = not isinstance(source, list) and hasattr(source, "__getitem__")
        super().__init__(steps, _batch_count(source))
        if self._total == 0:
            raise ValueError(f"The stream of batches ({type(source).__name__}) is empty.")
        if self._indexed:
            first = source[0]
        else:
            self._pass = iter(source)
            self._one_shot = self._pass is source
            first = next(self._pass, None)
            if first is None:
                raise ValueError(
                    f"The stream of batches ({type(source).__name__}) is empty: it must yield at least one batch."
                )
            self._pass = chain([first], self._pass)
        self._first = self._standardize(first, 0)

    def peek(self) -> Triple:
        """Return the first batch; it is still to come."""
        return self._first

    def _begin_pass(self) -> Iterator[Any]:
        if not self._indexed:
            return iter(self.source)
        if self._total is None:
            return (self.source[i] for i in count())
        order = list(range(self._total))
        if self.shuffle:
            from random import shuffle

            shuffle(order)
        return (self.source[i] for i in order)

    def _resume(self) -> None:
        getattr(self.source, "on_epoch_begin", _nothing)()
        super()._resume()

    def _on_epoch_end(self) -> None:
        getattr(self.source, "on_epoch_end", _nothing)()

    def _finish(self, batch: Any) -> Triple:
        self._count += 1
        finished = self._standardize(batch, self._count - 1)
        return finished if self.check is None else self.check(*finished)

    def _standardize(self, batch: Any, number: int) -> Triple:
        where = f" of batch {number}"
        # A list is (x, y) where it holds arrays, and an x of its own where it holds numbers or rows of numbers.
        is_pair = isinstance(batch, tuple) or (
            isinstance(batch, list) and all(part is None or hasattr(part, "__array__") for part in batch)
        )
        if is_pair and not 1 <= len(batch) <= 3:
            raise ValueError(
                f"Batch {number} of the stream is a {type(batch).__name__} of {len(batch)}: "
                "expected x, (x,), (x, y) or (x, y, sample_weight)."
            )
        x, y, w = (*batch, None, None)[:3] if is_pair else (batch, None, None)
        options: dict[str, Any] = {"dtype": self.dtype, "arrange": self.arrange, "finite": self.finite}
        return standardize(x, y, w, class_weight=self.class_weight, where=where, **options)


class PyDataset:
    """Base class of a data set that makes its batches when they are asked for (Keras: `keras.utils.PyDataset`).

    Write `__len__`, the number of batches, and `__getitem__(index)`, which returns a whole batch: (x,), (x, y) or
    (x, y, sample_weight).  `on_epoch_begin` and `on_epoch_end` may be written too.

    Args:
        workers, use_multiprocessing, max_queue_size: stored for Keras's sake; batches are made in the thread that
            trains.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: write __getitem__(self, index), which returns a batch.")

    def __iter__(self) -> Iterator[Any]:
        n = self.num_batches
        return (self[i] for i in (count() if n is None else range(n)))

    @property
    def num_batches(self) -> int | None:
        """The number of batches: `len(self)`; override it to return None for an endless data set."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__}: write __len__(self), the number of batches.")
        return len(self)

    def on_epoch_begin(self) -> None:
        """Do what is needed before an epoch."""

    def on_epoch_end(self) -> None:
        """Do what is needed after an epoch, such as shuffling the samples."""


def is_stream(data: Any) -> bool:
    """Tell a stream of batches from an array: a list is one where all its items are tuples of arrays."""
    if isinstance(data, list):
        return bool(data) and all(
            isinstance(batch, tuple) and batch and all(part is None or getattr(part, "ndim", 0) for part in batch)
            for batch in data
        )
    if isinstance(data, (np.ndarray, Bundle, tuple, str, bytes, dict, set, frozenset, range)):
        return False
    if hasattr(data, "__array__") or hasattr(data, "toarray"):
        return False
    return hasattr(data, "__iter__") or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def _batch_count(source: Any) -> int | None:
    if hasattr(type(source), "num_batches"):
        return source.num_batches
    try:
        return len(source)
    except TypeError:
        return None


def _nothing() -> None:
    pass
