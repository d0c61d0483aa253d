"""Epochs: passes through the data, batch by batch, for any number of times.

Keras's counterpart: `keras.src.trainers.epoch_iterator`.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from .. import random
from .checks import Triple

DEFAULT_BATCH_SIZE = 32
FEW_BYTES = 2**20  # of an array that is shuffled as a whole: about what a core's own cache holds


class Batches:
    """Batches for any number of epochs: `for x, y, w in batches.epoch()`.

    A *pass* goes once through the data.  Where `steps` was asked for, an epoch is that many batches of the running
    pass, and the next epoch goes on from there; otherwise an epoch is a pass.

    Attributes:
        steps: batches per epoch; None while unknown, which ends with the first epoch.
        batch_size: samples per batch, None for streams.
        arrays: the whole (x, y, sample_weight), None for streams.
        exhausted: a stream that cannot start again has ended; further epochs warn and are empty.
        initial_batch: how many batches of the coming epoch `go_to` has left behind.
        check: what each batch of a stream goes through before it is handed on; arrays are checked as a whole.
    """

    batch_size: Any = None
    arrays: Any = None
    exhausted = False
    initial_batch = 0
    check: Callable[..., Triple] | None = None
    _one_shot = False
    _made = 0  # batches of the running epoch
    _began: Any = None  # the random state at the beginning of the running pass

    def __init__(self, asked: int | None, total: int | None):
        self._asked, self._total = asked, total
        self._pass: Any = None  # an iterator
        self._seen = 0  # batches taken from the running pass

    @property
    def steps(self) -> int | None:
        """Batches per epoch."""
        return self._asked or self._total

    def __iter__(self) -> Iterator[Triple]:
        return self.epoch()

    def epoch(self) -> Iterator[Triple]:
        """Yield the batches of one epoch; UserWarning where the data end before `steps` batches."""
        limit = self.steps
        self._made, self.initial_batch = self.initial_batch, 0
        if not self._made:
            self._resume()
        try:
            for batch in islice(self._pass, None if limit is None else limit - self._made):
                self._made += 1
                self._seen += 1
                yield self._finish(batch)
        finally:
            made, self._made = self._made, 0
            if not self._one_shot and (self._asked is None or self._seen == self._total):
                self._pass = None
        if limit is None or made < limit:
            self._ended(made, limit)
        self._on_epoch_end()

    def position(self) -> dict[str, Any]:
        """Return how far the running epoch and the running pass are, and from which random state the pass began."""
        began = None if self._pass is None else self._began
        return {"made": self._made, "seen": self._seen, "began": began}

    def go_to(self, position: dict[str, Any]) -> None:
        """Go to where `position` was taken, with data of another process that are the same.

        Begins the pass anew, from its random state (which stays changed), and runs through what was seen.
        """
        if position["began"] is None:
            return
        if not self._one_shot:
            self._pass = None
        random.set_random_state(position["began"])
        self._resume()
        for _ in islice(self._pass, position["seen"]):
            pass
        self._seen, self.initial_batch = position["seen"], position["made"]

    def peek(self) -> Triple:
        """Return a batch like the first one without consuming anything: it shows the shapes."""
        raise NotImplementedError

    def _begin_pass(self) -> Iterator[Any]:
        raise NotImplementedError

    def _finish(self, batch: Any) -> Triple:
        return batch

    def _on_epoch_end(self) -> None:
        pass

    def _resume(self) -> None:
        if self._pass is None or not self._seen:
            self._began = random.random_state()
        if self._pass is None:
            self._pass, self._seen = self._begin_pass(), 0
        elif self._total is None and self._seen and not self._one_shot:
            # The last epoch may have taken exactly the last batch; where the length is unknown, only trying shows it.
            first = next(self._pass, None)
            if first is None:
                self._total, self._began = self._seen, random.random_state()
                self._pass, self._seen = self._begin_pass(), 0
            else:
                self._pass = chain([first], self._pass)

    def _ended(self, made: int, limit: int | None) -> None:
        if self._total is None:
            self._total = self._seen
        self.exhausted = self._one_shot
        if not self._one_shot:
            self._pass = None
        if limit is not None or not made:
            warnings.warn(
                f"The input ran out of data after {made} batches, expected {limit or 'at least one'}; the epoch ends "
                "here. A generator needs steps_per_epoch * epochs batches, or to loop for ever with steps_per_epoch "
                "given; an iterable that can start again is restarted.",
                stacklevel=3,
            )


class ArrayBatches(Batches):
    """Batches of whole arrays; `batches` makes it from what the user gave.

    Unshuffled batches are views of the arrays, shuffled ones copies of rows, or views of a shuffled copy.
    """

    arrays: Triple
    batch_size: int

    def __init__(self, arrays: Triple, batch_size: int | None, steps: int | None, shuffle: bool | str):
        n = len(arrays[0])
        self.arrays, self.shuffle = arrays, shuffle
        self.batch_size = int(batch_size or (math.ceil(n / steps) if steps else DEFAULT_BATCH_SIZE))
        super().__init__(steps, math.ceil(n / self.batch_size))

    def peek(self) -> Triple:
        """Return the first batch of the unshuffled arrays."""
        x, y, weights = (None if a is None else a[: self.batch_size] for a in self.arrays)
        return x, y, weights

    def _begin_pass(self) -> Iterator[Triple]:
        order = epoch_order(len(self.arrays[0]), self.batch_size, self.shuffle)
        return zip(*(self._batches_of(array, order) for array in self.arrays), strict=False)

    def _batches_of(self, array: Any, order: np.ndarray | None) -> Iterator[Any]:
        if array is None:
            return repeat(None)
        size = self.batch_size
        if order is not None and isinstance(array, np.ndarray) and array.nbytes <= FEW_BYTES:
            array, order = array.take(order, 0), None  # all at once is sooner done than batch by batch
        rows = [slice(start, start + size) for start in range(0, len(array), size)]
        if order is None:
            return map(array.__getitem__, rows)
        return map(array.take, map(order.__getitem__, rows), repeat(0))


def epoch_order(n: int, batch_size: int, shuffle: bool | str) -> np.ndarray | None:
    """Return the order in which an epoch visits n samples; None for the order they stand in.

    With `"batch"`, samples stay in their batch.
    """
    if not shuffle:
        return None
    if shuffle == "batch":
        starts, step = range(0, n, batch_size), random.blocks_to_shuffle(batch_size)
        return np.concatenate([s + random.shuffled(min(batch_size, n - s), i * step) for i, s in enumerate(starts)])
    return random.shuffled(n)
