"""Arrays and streams to batches: what `fit`, `evaluate` and `predict` iterate over.

    arrays   x, y, sample_weight of one length  -> `ArrayBatches`: converted once, shuffled, cut into batches
    streams  a generator, an iterable of batches, a `PyDataset`  -> `StreamBatches`: converted batch by batch

Everything that can be wrong with the data is found here, before training changes anything.  Keras's counterpart:
`keras.src.trainers.data_adapters` and `epoch_iterator`.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, count, islice, repeat
from typing import Any

import numpy as np

from .. import config, random
from ..common.tree import Bundle

#: One batch or one whole data set: x, y, sample_weight; each an array, or a `several.Bundle` of them.
Triple = tuple[Any, Any, Any]  # x, y, sample_weight; the latter two may be None

#: Makes bundles of what a user gives; see `batches`.
Arrange = Callable[[Any, Any, Any], tuple[Any, Any, Any]] | None

DEFAULT_BATCH_SIZE = 32
LARGE = 10**6  # numbers: a truth for each of so many is memory to be spared
FEW_BYTES = 2**20  # of an array that is shuffled as a whole: about what a core's own cache holds


def batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: dict[int, float] | None = None,
    dtype: str | None = None,
    arrange: Arrange = None,
) -> "Batches":
    """Return the batches of some data, ready for any number of epochs.

    Args:
        x: an array or anything NumPy can make one of (lists of numbers, pandas and `__array__` objects), with the
            samples along its first axis; or a stream: a generator, an iterable of batches, a `PyDataset`.  A batch is
            x, (x,), (x, y) or (x, y, sample_weight).
        y: targets, one per sample of x; part of the batches where x is a stream.
        sample_weight: weights, one per sample.
        batch_size: samples per batch; the last one holds the rest.  By default 32, or ceil(n / steps) where `steps`
            is given.  Streams decide for themselves.
        steps: batches per epoch; by default all there are.
        shuffle: True for a new order in each epoch, `"batch"` to shuffle only within batches.  Of the streams, only
            objects with a length and an index are shuffled: the order of their batches.
        class_weight: class id -> weight, turned into sample weights; classes not named weigh 1.
        dtype: of x, of float targets and of the weights; `config.floatx()` by default.  Integer targets stay integers.
        arrange: makes arrays, or bundles, of (x, y, sample_weight) in the forms that a model's users give them in.

    Raises:
        ValueError: empty, ragged, NaN or infinite data, lengths that differ, impossible counts, arguments that
            exclude each other.
        TypeError: data that are not numbers, counts that are not integers.
    """
    dtype = dtype or config.floatx()
    check_count("batch_size", batch_size)
    check_count("steps", steps)
    if not isinstance(shuffle, (bool, np.bool_)) and shuffle != "batch":
        raise ValueError(f"shuffle: expected True, False or 'batch', received {shuffle!r}.")
    if class_weight is not None and not isinstance(class_weight, dict):
        raise TypeError(
            f"class_weight: expected a dictionary from class id to weight, received {type(class_weight).__name__}. "
            "For an array of weights in the order of the classes: dict(enumerate(weights))."
        )
    if is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"{name} was given beside a stream of batches (x is a {type(x).__name__}): "
                    "leave it out, and let each batch be (x, y) or (x, y, sample_weight)."
                )
        return StreamBatches(x, steps, bool(shuffle), class_weight, dtype, arrange)
    triple = standardize(x, y, sample_weight, class_weight=class_weight, dtype=dtype, arrange=arrange)
    return ArrayBatches(triple, batch_size, steps, shuffle)


def unpack(data: Any) -> tuple[Any, Any, Any]:
    """Return (x, y, sample_weight) of x, (x,), (x, y) or (x, y, sample_weight); None for what is missing.

    Used for `validation_data` and for single batches.  A stream of batches is an x.

    Raises:
        ValueError: a list or tuple of another length.
    """
    if is_stream(data) or not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"Expected x, (x, y) or (x, y, sample_weight), received a {type(data).__name__} of {len(data)}."
        )
    return (*data, None, None)[:3]


def train_validation_split(
    x: Any, y: Any, sample_weight: Any, fraction: float, arrange: Arrange = None
) -> tuple[Triple, Triple]:
    """Split arrays: the first floor(n (1 - fraction)) samples train, the rest validate; nothing is shuffled.

    Args:
        x, y, sample_weight: as for `batches`, but no streams.
        fraction: between 0 and 1, exclusive.
        arrange: see `batches`.

    Raises:
        ValueError: an impossible fraction, or one that leaves a part empty; a stream; lengths that differ;
            NaN or infinite numbers.
        TypeError: data that are not numbers.
    """
    if not isinstance(fraction, (int, float, np.number)) or not 0 < fraction < 1:
        raise ValueError(f"validation_split: expected a fraction between 0 and 1, received {fraction!r}.")
    if is_stream(x):
        raise ValueError(
            f"validation_split needs arrays, and x is a stream of batches ({type(x).__name__}): use validation_data."
        )
    if arrange is not None:
        x, y, sample_weight = arrange(x, y, sample_weight)
    arrays = [None if a is None else _to_array(a, n) for n, a in _named(x, y, sample_weight)]
    _check_lengths(*arrays)
    for name, array in _named(*arrays):
        for part, numbers in _parts(name, array):
            _check_finite(part, numbers, numbers)
    n = len(arrays[0])
    split = math.floor(n * (1.0 - fraction))
    if split in (0, n):
        raise ValueError(
            f"validation_split={fraction} of {n} samples leaves {split} to train and {n - split} to validate; "
            "both parts need one. Give more data or another fraction."
        )
    return tuple(tuple(None if a is None else a[part] for a in arrays) for part in (slice(split), slice(split, None)))


def standardize(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: dict[int, float] | None = None,
    dtype: str = "float32",
    where: str = "",
    arrange: Arrange = None,
) -> Triple:
    """Check and convert one batch or a whole data set; arrays that fit already are not copied.

    x, float targets and weights become C-contiguous arrays of `dtype`, booleans among the targets 0 and 1; integer
    targets stay what they are.  `where` follows the argument's name in errors.  Raises as `batches` does.
    """
    if x is None:
        raise ValueError("x is None: expected an array, or a stream of batches.")
    if arrange is not None:
        x, y, sample_weight = arrange(x, y, sample_weight)
    x = _convert(x, "x" + where, dtype)
    if y is not None:
        y = _convert(y, "y" + where, dtype, keep_integers=True)
    if sample_weight is not None:
        if class_weight is not None:
            raise ValueError(
                "class_weight and sample_weight exclude each other: multiply the class weights into sample_weight."
            )
        sample_weight = _convert(sample_weight, "sample_weight" + where, dtype)
    _check_lengths(x, y, sample_weight, where)
    if class_weight is not None:
        if y is None:
            raise ValueError(f"class_weight needs targets, but there is no y{where}.")
        if isinstance(y, Bundle):
            raise ValueError("class_weight works for models with a single output: give sample_weight for each.")
        sample_weight = class_to_sample_weights(y, class_weight, dtype)
    return x, y, sample_weight


def class_to_sample_weights(y: np.ndarray, class_weight: dict[int, float], dtype: str = "float32") -> np.ndarray:
    """Return the weight of each sample's class, shape (n,); 1 for classes that `class_weight` does not name.

    Args:
        y: class ids (n,) or (n, 1), or one-hot rows (n, classes), whose class is the argmax.

    Raises:
        ValueError: targets of more axes.
    """
    if y.ndim > 2:
        raise ValueError(f"class_weight needs one class per sample, and y has shape {y.shape}. Use sample_weight.")
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    classes, index = np.unique(np.round(y).astype(np.int64), return_inverse=True)
    return np.array([class_weight.get(int(c), 1.0) for c in classes], dtype=dtype)[index]


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

    batch_size: int | None = None
    arrays: Triple | None = None
    exhausted = False
    initial_batch = 0
    check: Callable[..., Triple] | None = None
    _one_shot = False
    _made = 0  # batches of the running epoch
    _began: Any = None  # the random state at the beginning of the running pass

    def __init__(self, asked: int | None, total: int | None):
        self._asked, self._total = asked, total
        self._pass: Iterator[Any] | None = None
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

    def __init__(self, arrays: Triple, batch_size: int | None, steps: int | None, shuffle: bool | str):
        n = len(arrays[0])
        self.arrays, self.shuffle = arrays, shuffle
        self.batch_size = int(batch_size or (math.ceil(n / steps) if steps else DEFAULT_BATCH_SIZE))
        super().__init__(steps, math.ceil(n / self.batch_size))

    def peek(self) -> Triple:
        """Return the first batch of the unshuffled arrays."""
        return tuple(None if a is None else a[: self.batch_size] for a in self.arrays)

    def _begin_pass(self) -> Iterator[Triple]:
        order = epoch_order(len(self.arrays[0]), self.batch_size, self.shuffle)
        return zip(*(self._batches_of(array, order) for array in self.arrays), strict=False)

    def _batches_of(self, array: Any, order: np.ndarray | None) -> Iterator[Any]:
        if array is None:
            return repeat(None)
        size, starts = self.batch_size, range(0, len(array), self.batch_size)
        if order is not None and isinstance(array, np.ndarray) and array.nbytes <= FEW_BYTES:
            array, order = array.take(order, 0), None  # all at once is sooner done than batch by batch
        if order is None:
            return (array[start : start + size] for start in starts)
        return (array.take(order[start : start + size], 0) for start in starts)


class StreamBatches(Batches):
    """Batches that a generator, an iterable or a `PyDataset` yields; `batches` makes it.

    A generator (any iterator) goes on over the epochs; everything else starts again.  Objects with an index and a
    length, other than lists, are read by index; `shuffle` shuffles their batches with Python's `random`, and their
    `on_epoch_begin` and `on_epoch_end` are called where they exist.

    Raises:
        ValueError: there is no batch at all, or one of an unknown form.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None,
        shuffle: bool,
        class_weight: dict[int, float] | None,
        dtype: str,
        arrange: Arrange = None,
    ):
        self.source, self.shuffle, self.class_weight, self.dtype = source, shuffle, class_weight, dtype
        self.arrange = arrange
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
        weights = self.class_weight
        return standardize(x, y, w, class_weight=weights, dtype=self.dtype, where=where, arrange=self.arrange)


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


def _named(x: Any, y: Any, sample_weight: Any) -> tuple[tuple[str, Any], ...]:
    return ("x", x), ("y", y), ("sample_weight", sample_weight)


def _parts(name: str, value: Any) -> list[tuple[str, np.ndarray]]:
    """Return the arrays of an argument with their names; none for None."""
    if isinstance(value, Bundle):
        return [(f"{name}[{i}]", a) for i, a in enumerate(value) if a is not None]
    return [] if value is None else [(name, value)]


def check_count(name: str, value: Any) -> None:
    """Raise TypeError or ValueError where a count is neither None nor a positive integer."""
    if value is None:
        return
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a positive integer, received {value!r} ({type(value).__name__}).")
    if value < 1:
        raise ValueError(f"{name}: expected a positive integer, received {value}.")


def _check_lengths(x: Any, y: Any, sample_weight: Any, where: str = "") -> None:
    if y is None and sample_weight is None and not isinstance(x, Bundle):
        return
    named = _named(x, y, sample_weight)
    if isinstance(x, Bundle) or isinstance(y, Bundle):
        named = [part for name, value in named for part in _parts(name, value)]
    lengths = {name: len(a) for name, a in named if a is not None}
    if len(set(lengths.values())) > 1:
        stated = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"The numbers of samples differ{where}: {stated}. Each sample needs one of each.")


def _to_array(value: Any, name: str) -> np.ndarray:
    """Return a numeric array with a batch axis and at least one number, not yet of the model's type."""
    if isinstance(value, Bundle):
        return Bundle(None if a is None else _to_array(a, f"{name}[{i}]") for i, a in enumerate(value))
    if isinstance(value, (list, tuple)) and value and all(getattr(part, "ndim", 0) for part in value):
        if len(value) > 1:
            raise ValueError(
                f"{name} is a {type(value).__name__} of {len(value)} arrays, which means several inputs or outputs, "
                "but one array was expected. If they are the samples of one array, pass np.stack(...); "
                "x and y are two arguments."
            )
        value = value[0]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: its rows differ in length or depth ({error}). Pad or cut them.") from None
    if array.dtype.kind not in "biuf":
        kind = type(value).__name__
        hint = {
            "U": " Encode text as numbers first.",
            "O": " One of its elements is not a number (None, text, a list of another length).",
        }.get(array.dtype.kind, "")
        if array.ndim == 0 and array.dtype.kind == "O":
            hint = " For a sparse matrix: x.toarray()." if hasattr(value, "toarray") else ""
        raise TypeError(f"{name}: expected numbers, received a {kind} of dtype {array.dtype}.{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name}: expected an array with the samples along its first axis, received {array[()]!r}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    return array


def _convert(value: Any, name: str, dtype: str, keep_integers: bool = False) -> np.ndarray:
    if isinstance(value, Bundle):
        parts = enumerate(value)
        return Bundle(None if a is None else _convert(a, f"{name}[{i}]", dtype, keep_integers) for i, a in parts)
    original = _to_array(value, name)
    if keep_integers and original.dtype.kind == "b":
        return np.ascontiguousarray(original, dtype=np.uint8)
    if keep_integers and original.dtype.kind in "iu":
        return np.ascontiguousarray(original, dtype=original.dtype.newbyteorder("="))
    array = original
    if original.dtype != np.dtype(dtype) or not original.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.ascontiguousarray(original, dtype=dtype)
    if original.dtype.kind == "f":
        _check_finite(name, array, original)
    return array


def _check_finite(name: str, array: np.ndarray, original: np.ndarray) -> None:
    if array.dtype.kind != "f":
        return
    if array.size > LARGE and np.isfinite(array.min()) and np.isfinite(array.max()):  # NaN would be both
        return
    finite = np.isfinite(array)
    bad = finite.size - int(np.count_nonzero(finite))
    if bad:
        place = tuple(int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
        first = original[place]
        what = f"too large for {array.dtype}" if np.isfinite(first) else "NaN or infinite"
        raise ValueError(
            f"{name} contains {bad} value{'s' * (bad > 1)} that {'are' if bad > 1 else 'is'} {what}, "
            f"the first at index {place}: {first}. Remove or replace them (np.nan_to_num) before training."
        )
