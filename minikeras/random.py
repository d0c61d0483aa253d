"""Seeds, and the random numbers that follow from them.

    (seed, counter) -> stream of random numbers

Nothing here has a hidden state but one generator, which `set_random_seed` restarts.  A seed that nobody gave is drawn
once, when the object that needs it is made.  `initializers`, random layers and users call; calls `config`.
Keras's counterparts: `keras.random` and `keras.utils.set_random_seed`.
"""

import operator
from typing import Any

import numpy as np

from . import config
from .names import auto_name, missing_attribute
from .serialization import Configurable, keras_class

__all__ = ["SeedGenerator", "normal", "truncated_normal", "uniform"]

_SEED_MODULUS = 2**31 - 2  # TensorFlow's operations take 32-bit seeds; Keras reduces them by this number

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


def get_random_seed() -> int | None:
    """Return what `set_random_seed` was last given, None where it was not called."""
    return _global_seed


def make_seed() -> int:
    """Draw a seed for an object that was given none: one number of Python's global `random`."""
    import random

    return random.randint(1, 10**9)


@keras_class("keras.random")
class SeedGenerator(Configurable):
    """A seed that differs at each use: the state is [seed, counter].

    Args:
        seed: an integer; drawn now where None.
        name: automatic where None.

    Raises:
        ValueError: the seed is no integer.
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        if seed is not None:
            seed = check_seed(seed, "SeedGenerator")
        self.seed = seed
        self.name = name or auto_name(type(self).__name__)
        self.state = np.array([make_seed() if seed is None else seed, 0], np.int64)

    def next(self, ordered: bool = True) -> np.ndarray:
        """Return the state, and move on: the counter by one, or (`ordered=False`) both numbers to another place."""
        state = self.state.copy()
        if ordered:
            self.state[1] += 1
        else:
            self.state[:] = (state + 1) * 5387 % 933199
        return state


def check_seed(seed: Any, owner: str) -> int:
    """Return a seed as int; ValueError naming `owner` where it is none."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise ValueError(f"{owner}: `seed` must be an integer or None, received {seed!r}.")
    return operator.index(seed)


def draw_seed(seed: "int | SeedGenerator | None") -> np.ndarray:
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


def _stream(seed: "int | SeedGenerator | None") -> "np.random.Generator":
    """Return the random numbers that belong to one use of a seed (Philox: Salmon et al., 2011)."""
    return np.random.Generator(np.random.Philox(draw_seed(seed) % _SEED_MODULUS))


def uniform(
    shape: tuple[int, ...],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: str | None = None,
    seed: "int | SeedGenerator | None" = None,
) -> np.ndarray:
    """Return numbers drawn evenly from [minval, maxval): u (maxval - minval) + minval, u in [0, 1).

    Args:
        shape: of the result.
        minval: the smallest possible number.
        maxval: the end of the range.
        dtype: `"float32"` or `"float64"`; `config.floatx()` where None.
        seed: an integer gives the same numbers each time, a `SeedGenerator` new ones.
    """
    dtype = np.dtype(dtype or config.floatx())
    low, high = dtype.type(minval), dtype.type(maxval)
    return _stream(seed).random(tuple(shape), dtype) * (high - low) + low


def normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str | None = None,
    seed: "int | SeedGenerator | None" = None,
) -> np.ndarray:
    """Return numbers drawn from the normal distribution of this mean and standard deviation; see `uniform`."""
    dtype = np.dtype(dtype or config.floatx())
    return _stream(seed).standard_normal(tuple(shape), dtype) * dtype.type(stddev) + dtype.type(mean)


def truncated_normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str | None = None,
    seed: "int | SeedGenerator | None" = None,
) -> np.ndarray:
    """Return normal numbers, those further than 2 `stddev` from the mean drawn again; see `uniform`.

    What is left spreads less: its standard deviation is 0.8796 `stddev`.
    """
    dtype = np.dtype(dtype or config.floatx())
    stream = _stream(seed)
    z = stream.standard_normal(tuple(shape), dtype)
    while np.any(outside := np.abs(z) >= 2):
        z[outside] = stream.standard_normal(int(outside.sum()), dtype)
    return z * dtype.type(stddev) + dtype.type(mean)


__getattr__ = missing_attribute(__name__, __all__)
