"""Seeds, and the random numbers that follow from them.

    (seed, counter) -> stream of random numbers

A seed that nobody gave is drawn once, when the object that needs it is made.  State has only a
`SeedGenerator`; one of them, which `set_random_seed` drops, serves calls without a seed.  Keras's counterparts:
`keras.random` and `keras.utils.set_random_seed`.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import config
from .common.names import auto_name, refuse_other_names
from .common.serialization import Configurable, keras_class
from .functional import philox
from .variables import Variable

__all__ = ["SeedGenerator", "dropout", "normal", "randint", "shuffle", "truncated_normal", "uniform"]

_SEED_MODULUS = 2**31 - 2  # TensorFlow's operations take 32-bit seeds; Keras reduces them by this number

_SCRAMBLE_KEY = np.array([0x3EC8F720, 0x02461E29], np.uint32)
_TRUNCATED_STRETCH = 256  # blocks set aside for each group of four truncated normal numbers

_global_seed: int | None = None
_global_generator: "SeedGenerator | None" = None


def set_random_seed(seed: int) -> None:
    """Restart every source of random numbers: Python's `random`, `np.random`, and this engine's own.

    Args:
        seed: 0 <= seed < 2^32.

    Raises:
        ValueError: not such an integer.
    """
    import random

    global _global_seed, _global_generator
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed: expected an integer from 0 to 2**32 - 1, received {seed!r}.")
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)
    _global_seed, _global_generator = seed, None


def random_state() -> dict[str, Any]:
    """Return the states of Python's and NumPy's global random numbers, in plain values."""
    from random import getstate

    return {"python": getstate(), "numpy": np.random.get_state()}


def set_random_state(state: dict[str, Any]) -> None:
    """Go back to what `random_state` returned."""
    from random import setstate

    setstate(state["python"])
    np.random.set_state(state["numpy"])


def is_random_state(state: Any) -> bool:
    """Tell whether a value from a file is such a state.  NumPy itself believes a position outside its table."""
    if not (isinstance(state, dict) and set(state) == {"python", "numpy"}):
        return False
    ours, numpys = state["python"], state["numpy"]
    if not (isinstance(ours, tuple) and len(ours) == 3 and isinstance(numpys, tuple) and len(numpys) == 5):
        return False
    version, words, gauss = ours
    kind, key, position, has_gauss, number = numpys
    return (
        (version == 3 and isinstance(words, tuple) and len(words) == 625)
        and all(type(w) is int and 0 <= w < 2**32 for w in words)
        and words[-1] <= 624
        and (gauss is None or type(gauss) is float)
        and (kind == "MT19937" and isinstance(key, np.ndarray) and key.shape == (624,) and key.dtype == np.uint32)
        and (type(position) is int and 0 <= position <= 624 and type(has_gauss) is int and has_gauss in (0, 1))
        and type(number) is float
    )


def make_seed() -> int:
    """Draw a seed for an object that was given none: one number of Python's global `random`."""
    import random

    return random.randint(1, 10**9)


class SeedState(Variable):
    """The two numbers of a `SeedGenerator`, [seed, counter]."""

    def copy(self) -> np.ndarray:
        return self.value.copy()

    def tolist(self) -> list[int]:
        return self.value.tolist()

    def __setitem__(self, place: Any, numbers: Any) -> None:
        self.value[place] = numbers


@keras_class("keras.random")
class SeedGenerator(Configurable):
    """A seed that differs at each use: the state is [seed, counter].

    Args:
        seed: an integer; drawn now where None.
        name: automatic where None.

    Raises:
        ValueError: the seed is no integer.
    """

    tracked_as = "seed_generators"  # of a layer

    def __init__(self, seed: int | None = None, name: str | None = None):
        if seed is not None:
            seed = check_seed(seed, "SeedGenerator")
        self.seed = seed
        self.name = name or auto_name(type(self).__name__)
        start = np.array([make_seed() if seed is None else seed, 0], np.int64)
        self.state = SeedState(start, dtype="int64", trainable=False, name="seed_generator_state")
        self.state.path = f"{self.name}/{self.state.name}"

    def next(self, ordered: bool = True) -> np.ndarray:
        """Return the state, and move on: the counter by one, or (`ordered=False`) both numbers to another place."""
        numbers = self.state.value
        state = numbers.copy()
        if ordered:
            numbers[1] += 1
        else:
            numbers[:] = (state + 1) * 5387 % 933199
        return state


#: An integer gives the same numbers each time, a generator new ones; None asks the global generator.
Seed = int | SeedGenerator | None


def check_seed(seed: Any, owner: str) -> int:
    """Return a seed as int; ValueError naming `owner` where it is none."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise ValueError(f"{owner}: `seed` must be an integer or None, received {seed!r}.")
    return operator.index(seed)


def draw_seed(seed: Seed) -> np.ndarray:
    """Return the pair [seed, counter] that one use of a seed stands for.

    An integer is always [seed, 0], so that equal seeds give equal numbers; a generator moves on; None asks the global
    generator, which is made at its first use.
    """
    global _global_generator
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is not None:
        return np.array([check_seed(seed, "random"), 0], np.int64)
    if _global_generator is None:
        _global_generator = SeedGenerator()
    return _global_generator.next(ordered=False)


def _words(key: np.ndarray, counter: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return blocks of a stream, a row of four words each."""
    words = np.empty((len(blocks), 4), np.uint32)
    philox.stream(words, key, counter, np.ascontiguousarray(blocks, np.uint64))
    return words


def _halves(number: int) -> tuple[int, int]:
    """Return the low and the high word of a 64-bit number; of a negative one, its two's complement."""
    return number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF


def _stream_of(seed: Seed) -> tuple[np.ndarray, np.ndarray]:
    """Return the key and the counter of one use of a seed.

    Neighbouring seeds must not give related streams, so the pair is scrambled first: as the counter of one block,
    whose words become the key and the upper half of the counter.
    """
    first, second = (int(s) % _SEED_MODULUS for s in draw_seed(seed))
    counter = np.array([*_halves(first), *_halves(second)], np.uint32)
    mix = _words(_SCRAMBLE_KEY, counter, np.zeros(1))[0]
    return mix[:2], np.array([0, 0, mix[2], mix[3]], np.uint32)


def _bits(seed: Seed, n: int) -> np.ndarray:
    """Return the first n words of one use of a seed, and a few more to the end of a block."""
    return _words(*_stream_of(seed), np.arange(-(-n // 4))).reshape(-1)


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> np.ndarray:
    """Return numbers drawn evenly from [minval, maxval): u (maxval - minval) + minval, u in [0, 1).

    Args:
        shape: of the result.
        minval: the smallest possible number.
        maxval: the end of the range.
        dtype: `"float32"` or `"float64"` (of numbers drawn in float32); `config.floatx()` where None.
        seed: an integer gives the same numbers each time, a `SeedGenerator` new ones.
    """
    out = np.empty(math.prod(shape), np.float32)
    philox.uniform(out, _bits(seed, out.size)[: out.size], np.float32(minval), np.float32(maxval))
    return out.reshape(shape).astype(dtype or config.floatx(), copy=False)


def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> np.ndarray:
    """Return numbers drawn from the normal distribution of this mean and standard deviation; see `uniform`."""
    out = np.empty(math.prod(shape), np.float32)
    philox.normal(out, _bits(seed, out.size), np.float32(mean), np.float32(stddev))
    return out.reshape(shape).astype(dtype or config.floatx(), copy=False)


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> np.ndarray:
    """Return normal numbers of which those further than 2 `stddev` from the mean were drawn again; see `uniform`.

    What is left spreads less: its standard deviation is 0.8796 `stddev`.  Numbers are made in groups of four, each
    from a stretch of the stream of its own, of which it takes what it needs.
    """
    size = math.prod(shape)
    groups = -(-size // 4)
    out = np.empty((groups, 4), np.float32)
    key, counter = _stream_of(seed)
    tries = 4  # blocks per group: 16 numbers, of which hardly ever fewer than four lie inside
    while True:
        blocks = _TRUNCATED_STRETCH * np.arange(groups)[:, None] + np.arange(tries)
        v = np.empty(groups * tries * 4, np.float32)
        philox.normal(v, _words(key, counter, blocks.reshape(-1)).reshape(-1), np.float32(0), np.float32(1))
        counts = philox.kept(out, v.reshape(groups, -1), np.float32(mean), np.float32(stddev))
        if counts.min(initial=4) == 4:
            return out.reshape(-1)[:size].reshape(shape).astype(dtype or config.floatx(), copy=False)
        tries *= 2


def randint(shape: Sequence[int], minval: int, maxval: int, dtype: str = "int32", seed: Seed = None) -> np.ndarray:
    """Return integers drawn evenly from minval, ..., maxval - 1; see `uniform`.

    Raises:
        ValueError: there is no integer in the range.
    """
    if not minval < maxval:
        raise ValueError(f"randint: expected minval < maxval, received {minval} and {maxval}.")
    n = math.prod(shape)
    return (minval + (_bits(seed, n)[:n] % np.uint32(maxval - minval)).astype(np.int64)).astype(dtype).reshape(shape)


def shuffle(x: Any, axis: int = 0, seed: Seed = None) -> np.ndarray:
    """Return x with its slices along an axis in random order: that of as many numbers from `uniform`.

    Raises:
        ValueError: x has no such axis.
    """
    slices = np.moveaxis(np.asarray(x), axis, 0)
    order = np.argsort(uniform((len(slices),), dtype="float32", seed=seed), kind="stable")
    return np.ascontiguousarray(np.moveaxis(slices[order], 0, axis))


def dropout(inputs: np.ndarray, rate: float, noise_shape: Sequence[int] | None = None, seed: Seed = None) -> np.ndarray:
    """Return the inputs with a share `rate` of them silenced and the others scaled up; see `layers.Dropout`."""
    return inputs * dropout_mask(inputs.shape if noise_shape is None else noise_shape, rate, inputs.dtype, seed)


def dropout_mask(shape: Sequence[int], rate: float, dtype: np.dtype, seed: Seed = None) -> np.ndarray:
    """Return 1 / (1 - rate) where u >= rate, and 0 elsewhere, u drawn evenly from [0, 1)."""
    kept = uniform(shape, dtype="float32", seed=seed) >= np.float32(rate)
    return kept * np.dtype(dtype).type(1 / (1 - rate))


def shuffled(n: int, first_block: int = 0) -> np.ndarray:
    """Return 0, ..., n - 1 in the order in which `fit` visits n samples.

    After `set_random_seed` it is the same order every time, as in tf.keras, whose operation restarts with every epoch;
    without it, a new one.  It takes (n - 1) / 4 blocks of the stream, rounded up, from `first_block` on.
    """
    order = np.arange(n)
    if _global_seed is None:
        return np.random.permutation(order)
    seed = _global_seed % (2**31 - 1)
    # Both seeds 0 would mean "any": TensorFlow then takes this pair.
    first, second = (seed, 0) if seed else (0, 2**31 - 1)
    counter = np.array([0, 0, *_halves(second)], np.uint32)
    blocks = first_block + np.arange(blocks_to_shuffle(n))
    bits = _words(np.array(_halves(first), np.uint32), counter, blocks).reshape(-1)
    philox.permutation(order, bits)
    return order


def blocks_to_shuffle(n: int) -> int:
    """Return how many blocks of the stream `shuffled` takes."""
    return -(-max(n - 1, 0) // 4)


refuse_other_names(__name__, __all__)
