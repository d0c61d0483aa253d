"""Initializers: the numbers that weights start from.

    initializer(shape, dtype) -> array

A layer that adds z = sum over `fan_in` inputs of w x makes the variance of z fan_in times that of w.  So that signals
neither die out nor blow up through many layers, the variance of w is chosen near 1 / fan_in (`VarianceScaling` and
the six after it).

Layers call them when they are built.  Keras's counterpart: `keras.initializers`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from . import config as settings
from . import random
from .common.names import refuse_other_names
from .common.serialization import Configurable, Table, deserializer, keras_class, serialize

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize", "get", "glorot_normal",
    "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform", "ones", "orthogonal",
    "random_normal", "random_uniform", "serialize", "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip

Seed = int | random.SeedGenerator | None
Axes = Sequence[int] | None

entered = keras_class("keras.initializers")


@entered
class Initializer(Configurable):
    """Base class: an initializer of one's own writes `__call__(self, shape, dtype=None)`."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        """Return first values.

        Args:
            shape: of the weight.
            dtype: `"float32"` or `"float64"`; `config.floatx()` where None.
        """
        raise NotImplementedError(f"{type(self).__name__}: write `__call__(self, shape, dtype=None)`.")

    def clone(self) -> "Initializer":
        """Return a new one of the same config; one without a seed draws another."""
        return self.from_config(self.get_config())


# Fixed values -------------------------------------------------------------------------------------------------------


@entered
class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return np.zeros(tuple(shape), dtype or settings.floatx())


@entered
class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return np.ones(tuple(shape), dtype or settings.floatx())


@entered
class Constant(Initializer):
    """All `value`.

    Args:
        value: a number.
    """

    def __init__(self, value: float = 0.0):
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return np.full(tuple(shape), self.value, dtype or settings.floatx())


@entered
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Args:
        gain: a number.

    Raises:
        ValueError: (at the call) the shape is not that of a matrix.
    """

    left_out_at: ClassVar[dict[str, Any]] = {"gain": 1}

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, (rows, columns), received {tuple(shape)}.")
        return self.gain * np.eye(shape[0], shape[1], dtype=dtype or settings.floatx())


# Random values, whatever the shape ----------------------------------------------------------------------------------


class RandomInitializer(Initializer):
    """Base of the random ones: with an integer seed, or none, each call returns the same numbers.

    Args:
        seed: an integer, or a `random.SeedGenerator` for new numbers at each call; where None, a seed is drawn now.

    Attributes:
        drawn_seed: the seed in use.

    Raises:
        ValueError: another kind of seed.
    """

    def __init__(self, seed: Seed = None):
        self.seed = seed
        if seed is None:
            self.drawn_seed: int | random.SeedGenerator = random.make_seed()
        elif isinstance(seed, random.SeedGenerator):
            self.drawn_seed = seed
        else:
            self.seed = self.drawn_seed = random.check_seed(seed, type(self).__name__)


@entered
class RandomNormal(RandomInitializer):
    """Normal numbers.

    Args:
        mean: their mean.
        stddev: their standard deviation.
        seed: see `RandomInitializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return random.normal(shape, self.mean, self.stddev, dtype, self.drawn_seed)


@entered
class RandomUniform(RandomInitializer):
    """Numbers drawn evenly from [minval, maxval).

    Args:
        minval: the smallest possible number.
        maxval: the end of the range.
        seed: see `RandomInitializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None):
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.drawn_seed)


@entered
class TruncatedNormal(RandomInitializer):
    """Normal numbers, those further than 2 `stddev` from the mean drawn again.

    Args:
        mean: their mean.
        stddev: the standard deviation before the truncation.
        seed: see `RandomInitializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.drawn_seed)


# Random values that suit the shape ----------------------------------------------------------------------------------


def compute_fans(shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None) -> tuple[int, int]:
    """Return (fan_in, fan_out): how many inputs each output adds up, and how many outputs each input goes to.

    (inputs, outputs) of a dense kernel; (KH KW C, KH KW F) of a convolution's, (KH, KW, C, F).  Where both lists of
    axes are given, the products of their sizes.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[i] for i in input_axes), math.prod(shape[i] for i in output_axes)
    if len(shape) < 2:
        return (int(shape[0]),) * 2 if len(shape) else (1, 1)
    window = math.prod(shape[:-2])
    return int(window * shape[-2]), int(window * shape[-1])


@entered
class VarianceScaling(RandomInitializer):
    """Numbers of mean 0 and variance scale / n, where n is the fan that `mode` names (at least 1).

    Args:
        scale: positive.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`, the mean of the two.
        distribution: `"truncated_normal"` (also `"normal"`), `"untruncated_normal"` or `"uniform"`, between
            -sqrt(3 scale / n) and sqrt(3 scale / n).
        seed: see `RandomInitializer`.
        input_axes: the axes that make up the fan in; see `compute_fans`.
        output_axes: those that make up the fan out.

    Raises:
        ValueError: a scale that is not positive, or an unknown name.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ):
        name = type(self).__name__
        distributions = ("truncated_normal", "untruncated_normal", "uniform")
        if not scale > 0:
            raise ValueError(f"{name}: Argument `scale` must be positive float. Received: scale={scale!r}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(
                f"{name}: Invalid `mode` argument: {mode!r}. Please use one of 'fan_in', 'fan_out', 'fan_avg'."
            )
        self.distribution = str(distribution).lower()
        if self.distribution == "normal":
            self.distribution = "truncated_normal"
        if self.distribution not in distributions:
            raise ValueError(
                f"{name}: Invalid `distribution` argument: {distribution!r}. Please use one of {distributions}."
            )
        self.scale, self.mode = scale, mode
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(shape, -limit, limit, dtype, self.drawn_seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.drawn_seed)
        return random.truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED, dtype, self.drawn_seed)


_TRUNCATED = 0.87962566103423978  # standard deviation of a normal distribution cut off at -2 and 2


class Scaled(VarianceScaling):
    """Base of those that fix the scale, the mode and the distribution.

    Args:
        seed: see `RandomInitializer`.
        input_axes: see `compute_fans`.
        output_axes: see `compute_fans`.
    """

    fixed: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: Seed = None, input_axes: Axes = None, output_axes: Axes = None):
        super().__init__(*self.fixed, seed, input_axes, output_axes)


@entered
class GlorotUniform(Scaled):
    """Variance 2 / (fan_in + fan_out), uniform: for tanh and softmax; Keras's default (Glorot & Bengio, 2010)."""

    fixed = (1.0, "fan_avg", "uniform")


@entered
class GlorotNormal(Scaled):
    """Variance 2 / (fan_in + fan_out), truncated normal; see `GlorotUniform`."""

    fixed = (1.0, "fan_avg", "truncated_normal")


@entered
class HeUniform(Scaled):
    """Variance 2 / fan_in, uniform: for relu, which passes half of the variance on (He et al., 2015)."""

    fixed = (2.0, "fan_in", "uniform")


@entered
class HeNormal(Scaled):
    """Variance 2 / fan_in, truncated normal; see `HeUniform`."""

    fixed = (2.0, "fan_in", "truncated_normal")


@entered
class LecunUniform(Scaled):
    """Variance 1 / fan_in, uniform (LeCun et al., 1998)."""

    fixed = (1.0, "fan_in", "uniform")


@entered
class LecunNormal(Scaled):
    """Variance 1 / fan_in, truncated normal: for selu (Klambauer et al., 2017); see `LecunUniform`."""

    fixed = (1.0, "fan_in", "truncated_normal")


@entered
class Orthogonal(RandomInitializer):
    """`gain` times a random matrix whose columns (or rows, if they are fewer) are orthogonal and of length 1.

    It is the Q of A = Q R for normal A; a kernel of more axes is that of the matrix (product of the others, last).
    (Saxe et al., 2014)

    Args:
        gain: a number.
        seed: see `RandomInitializer`.

    Raises:
        ValueError: (at the call) a shape of fewer than two axes.
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None):
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a shape of at least two axes, received {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        a = random.normal((max(rows, columns), min(rows, columns)), dtype=dtype, seed=self.drawn_seed)
        q, r = np.linalg.qr(a)
        q *= np.sign(np.diag(r))  # the signs of Q are a convention of the algorithm; so each Q is equally likely
        return np.ascontiguousarray(self.gain * (q if rows >= columns else q.T)).reshape(shape)


# Names --------------------------------------------------------------------------------------------------------------

constant, identity, ones, orthogonal, zeros = Constant, Identity, Ones, Orthogonal, Zeros
glorot_normal, he_normal, lecun_normal = GlorotNormal, HeNormal, LecunNormal
glorot_uniform, he_uniform, lecun_uniform = GlorotUniform, HeUniform, LecunUniform
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal

_TABLE = Table(
    "initializer",
    "keras.initializers",
    Initializer,
    [
        Constant, Identity, Ones, Zeros, GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform,
        Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling,
    ],
    {
        "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal, "normal": RandomNormal,
        "uniform": RandomUniform, "one": Ones, "zero": Zeros,
    },
)  # fmt: skip


def get(identifier: Any) -> Callable[..., np.ndarray] | None:
    """Return an initializer from a name, a config, a class, an object, an array, or a function of (shape, dtype).

    Raises:
        ValueError: anything else, or an unknown name.
    """
    if identifier is None:
        return None
    if isinstance(identifier, (np.ndarray, np.generic)):
        return _given(np.array(identifier))
    found = _TABLE.get(identifier)
    if not callable(found):
        raise ValueError(f"Could not interpret initializer identifier: {identifier!r}")
    return found


def _given(values: np.ndarray) -> Callable[..., np.ndarray]:
    """Return an initializer of these very values."""

    def given_values(shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        if tuple(shape) != values.shape:
            raise ValueError(
                f"Expected `shape` to be {values.shape}, as the initializer's array; received {tuple(shape)}."
            )
        return values.astype(dtype or settings.floatx())

    return given_values


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
