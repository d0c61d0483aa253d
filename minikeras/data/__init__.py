"""Arrays and streams to batches: what `fit`, `evaluate` and `predict` iterate over.

    arrays   x, y, sample_weight of one length  -> `ArrayBatches`: converted once, shuffled, cut into batches
    streams  a generator, an iterable of batches, a `PyDataset`  -> `StreamBatches`: converted batch by batch

Keras's counterpart: `keras.src.trainers.data_adapters`.
"""

import math
from typing import Any

import numpy as np

from .. import config
from .checks import Arrange, Triple, arrays_of, check_count, check_finite, check_lengths, each, standardize, to_array
from .epochs import ArrayBatches, Batches
from .streams import PyDataset, StreamBatches, is_stream


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
    finite: bool = True,
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
        class_weight: class id -> weight, turned into sample weights; classes not named weigh 1.  A pandas Series is
            taken by its index.
        dtype: of x, of float targets and of the weights; `config.floatx()` by default.  Integer targets stay integers.
        arrange: makes arrays, or bundles, of (x, y, sample_weight) in the forms that a model's users give them in.
        finite: whether x with NaN or infinite numbers is refused.

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
    class_weight = getattr(class_weight, "to_dict", lambda: class_weight)()
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
        return StreamBatches(x, steps, bool(shuffle), class_weight, dtype, arrange, finite)
    options: dict[str, Any] = {"class_weight": class_weight, "dtype": dtype, "arrange": arrange, "finite": finite}
    triple = standardize(x, y, sample_weight, **options)
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
    arrays = each(to_array, x, "x"), each(to_array, y, "y"), each(to_array, sample_weight, "sample_weight")
    check_lengths(*arrays)
    for name, array in arrays_of(*arrays):
        check_finite(name, array, array)
    n = len(arrays[0])
    split = math.floor(n * (1.0 - fraction))
    if split in (0, n):
        raise ValueError(
            f"validation_split={fraction} of {n} samples leaves {split} to train and {n - split} to validate; "
            "both parts need one. Give more data or another fraction."
        )
    first, last = ([None if a is None else a[part] for a in arrays] for part in (slice(split), slice(split, None)))
    return (first[0], first[1], first[2]), (last[0], last[1], last[2])


__all__ = [
    "ArrayBatches",
    "Batches",
    "PyDataset",
    "StreamBatches",
    "batches",
    "check_count",
    "is_stream",
    "standardize",
    "train_validation_split",
    "unpack",
]
