"""Layers that disturb their input in training and let it pass otherwise: SpatialDropout2D, GaussianNoise,
GaussianDropout; plain Dropout stands in `core`.

A network that learns under noise relies on no single number.

Notation: d stands for the derivative of the loss, so that dy has the shape of y.
"""

import math
from typing import Any

import numpy as np

from ... import config, random
from ...common.serialization import keras_class
from ..base import Layer
from ..core import Dropout


@keras_class("keras.layers")
class SpatialDropout2D(Dropout):
    """Dropout of whole channels: in training each channel of each image is silenced with probability r.

    y = x m / (1 - r) with m of shape (N, 1, 1, C).  Neighbouring cells of an image say much the same, so silencing
    single ones would hide little.  (Tompson et al., "Efficient object localization using convolutional networks",
    2014.)

    Args:
        rate: r, 0 <= r <= 1.
        data_format: `"channels_last"`.
        seed: makes the masks repeatable.
        name, dtype: see `Layer`.

    Raises:
        ValueError: a rate outside [0, 1].
    """

    ndim = 4

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(rate, noise_shape=(None, 1, 1, None), seed=seed, name=name, dtype=dtype)
        self.data_format = config.check_data_format(data_format, self._owner)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer; the float type as a plain name, as Keras writes it here."""
        return {**super().get_config(), "dtype": self.dtype}


class Gaussian(Layer):
    """What the two share: a stream of normal numbers, unless there is no noise at all."""

    seed: int | None
    seed_generator: random.SeedGenerator | None

    @property
    def passes_on(self) -> bool:
        """Whether there is no noise."""
        return self.seed_generator is None

    def _checked(self, argument: str, value: Any, below_one: bool = False) -> float:
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1 or (below_one and value == 1):
            limits = "0 <= rate < 1" if below_one else "from 0 to 1"
            raise ValueError(f"{self._owner}: `{argument}` is a number {limits}, received {value!r}.")
        self.seed_generator = random.SeedGenerator(self.seed) if value > 0 else None
        return float(value) if isinstance(value, np.number) else value

    def _normal(self, x: np.ndarray, mean: float, stddev: float) -> np.ndarray:
        return random.normal(x.shape, mean, stddev, dtype=x.dtype.name, seed=self.seed_generator)


@keras_class("keras.layers")
class GaussianNoise(Gaussian):
    """Add noise in training: y = x + e, e drawn from the normal distribution of mean 0.

    Args:
        stddev: standard deviation of e, 0 <= stddev <= 1.
        seed: makes the noise repeatable.
        **options: those of `Layer`.

    Raises:
        ValueError: a standard deviation outside [0, 1].
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.seed = seed
        self.stddev = self._checked("stddev", stddev)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = x + e in training, x otherwise."""
        return (x + self._normal(x, 0, self.stddev) if training and not self.passes_on else x), None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x + e, so dx = dy."""
        return dy


@keras_class("keras.layers")
class GaussianDropout(Gaussian):
    """Multiply by noise in training: y = x e, e drawn from the normal distribution of mean 1.

    The standard deviation sqrt(r / (1 - r)) is that of Dropout's mask m / (1 - r).  (Srivastava et al., 2014, sec. 10.)

    Args:
        rate: r, 0 <= r < 1.
        seed: makes the noise repeatable.
        **options: those of `Layer`.

    Raises:
        ValueError: a rate outside [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any):
        super().__init__(**options)
        self.seed = seed
        self.rate = self._checked("rate", rate, below_one=True)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = x e in training, x otherwise."""
        if not training or self.passes_on:
            return x, None
        e = self._normal(x, 1, math.sqrt(self.rate / (1 - self.rate)))
        return x * e, e

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x e, so dx = dy e."""
        return dy if cache is None else dy * cache
