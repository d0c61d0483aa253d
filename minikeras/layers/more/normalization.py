"""Layers that bring numbers to mean 0 and variance 1, then to a mean and a spread that are learned.

Both standardize; what differs is over what the mean and the variance are taken: BatchNormalization
takes one pair per channel, over all samples; LayerNormalization one pair per sample, over its channels.

    x^ = (x - m) r,   r = 1 / sqrt(v + epsilon)        m, v: mean and variance
    y  = gamma x^ + beta

Notation: d stands for the derivative of the loss, so that dy has the shape of y.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ... import initializers
from ...common.serialization import keras_class
from ..base import Layer
from ..shapes import Shape


def total(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Return the sum over some axes, which stay with size 1."""
    for axis in sorted(axes, reverse=True):  # short sums of sums lose fewer digits than one long sum
        x = x.sum(axis=axis, keepdims=True)
    return x


def moments(x: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, variance and x - mean over some axes, which stay with size 1."""
    count = np.prod([x.shape[a] for a in axes], dtype=x.dtype)
    mean = total(x, axes) / count
    centered = x - mean
    return mean, total(centered * centered, axes) / count, centered


def standardized_gradient(dx_hat: np.ndarray, x_hat: np.ndarray, r: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Forward was x^ = (x - m) r, where m and r came from the same x; so now

        dx = r (dx^ - mean(dx^) - x^ mean(dx^ x^))

    The first mean is what x did through m, the second what it did through r = 1 / sqrt(v + epsilon).
    """
    count = np.prod([x_hat.shape[a] for a in axes], dtype=x_hat.dtype)
    return r * (dx_hat - total(dx_hat, axes) / count - x_hat * (total(dx_hat * x_hat, axes) / count))


class Normalization(Layer):
    """What the two share: gamma and beta, `scale` and `center`, along the axes of the layer."""

    axis: int | Sequence[int]
    center: bool
    scale: bool
    gamma: Any = None
    beta: Any = None

    @property
    def _axes(self) -> Sequence[int]:
        return [self.axis] if isinstance(self.axis, int) else self.axis

    def _along(self, ndim: int) -> tuple[int, ...]:
        """Return the axes that gamma and beta have numbers for, counted from the front."""
        return tuple(sorted(a % ndim for a in self._axes))

    def _others(self, ndim: int) -> tuple[int, ...]:
        return tuple(a for a in range(ndim) if a not in self._along(ndim))

    def _declare(self, input_shape: Shape) -> tuple[int, ...]:
        """Declare gamma and beta; return their shape."""
        ndim, axes = len(input_shape), self._axes
        if any(not -ndim <= a < ndim for a in axes):
            raise ValueError(
                f"{self._owner}: axis={self.axis} is out of bounds for inputs of shape {tuple(input_shape)}."
            )
        sizes = [input_shape[a] for a in self._along(ndim)]
        shape = tuple(n for n in sizes if n is not None)
        if None in sizes:
            raise ValueError(
                f"{self._owner}: the size of axis {self.axis} must be known, received "
                f"inputs of shape {tuple(input_shape)}."
            )
        self.ndim, self.expected_axes = ndim, dict(zip(self._along(ndim), shape, strict=True))
        if self.scale:
            self.gamma = self._declare_weight("gamma", shape)
        if self.center:
            self.beta = self._declare_weight("beta", shape)
        return shape

    def _spread(self, numbers: np.ndarray, ndim: int) -> np.ndarray:
        """Return numbers of gamma's shape in one that goes with x: size 1 along the other axes."""
        shape, along = [1] * ndim, self._along(ndim)
        for axis, size in zip(along, numbers.shape, strict=True):
            shape[axis] = size
        return numbers.reshape(shape)

    def _scaled(self, x_hat: np.ndarray) -> np.ndarray:
        """Return y = gamma x^ + beta."""
        y = x_hat
        if self.gamma is not None:
            y = y * self._spread(self.gamma.value, y.ndim)
        if self.beta is not None:
            y = y + self._spread(self.beta.value, y.ndim)
        return y

    def _scaled_gradient(self, dy: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
        """Forward was y = gamma x^ + beta, so dgamma = sum dy x^ and dbeta = sum dy; returns dx^ = gamma dy."""
        others = self._others(dy.ndim)
        if self.beta is not None:
            self.beta.gradient += total(dy, others).reshape(self.beta.shape)
        if self.gamma is None:
            return dy
        self.gamma.gradient += total(dy * x_hat, others).reshape(self.gamma.shape)
        return dy * self._spread(self.gamma.value, dy.ndim)


@keras_class("keras.layers")
class BatchNormalization(Normalization):
    """Standardize each channel over the batch: y = gamma (x - m) / sqrt(v + epsilon) + beta.

    In training m and v are the mean and the variance of the channel in this batch, and the moving averages follow:

        moving_mean     = momentum moving_mean     + (1 - momentum) m
        moving_variance = momentum moving_variance + (1 - momentum) v

    Outside training the moving averages stand for m and v; and also in training where the layer is frozen
    (`trainable = False`).  (Ioffe & Szegedy, "Batch normalization", 2015.)

    | symbol | shape                                | is                              |
    |--------|--------------------------------------|---------------------------------|
    | x, y   | (N, ..., C)                          | input and output                |
    | gamma, beta, moving_mean, moving_variance, m, v | (C,) | one number per channel |

    Args:
        axis: the axis of the channels; means go over all others.
        momentum: what moving averages keep of themselves in a step.
        epsilon: added to the variance, so that nothing is divided by 0.
        center: whether beta is there.
        scale: whether gamma is there.
        beta_initializer, gamma_initializer: of the two.
        moving_mean_initializer, moving_variance_initializer: of the moving averages.
        beta_regularizer, gamma_regularizer: their penalties are added to the loss.
        beta_constraint, gamma_constraint: where they are put back to after each step; see `constraints`.
        **options: those of `Layer`.

    Raises:
        ValueError: an axis that the input hasn't, or whose size is unknown.
    """

    rests_when_frozen = True
    only_default: ClassVar[dict[str, Any]] = {
        "renorm": False,
        "renorm_clipping": None,
        "renorm_momentum": 0.99,
        "synchronized": False,
    }

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.axis = int(axis)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        self._store_options("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._store_options("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        shape = self._declare(input_shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def _follow(self, average: Any, new: np.ndarray) -> None:
        average.change(average.latest * self.momentum + new.reshape(average.shape) * (1 - self.momentum))

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = gamma (x - m) r + beta; the moving averages move on in training."""
        if training:
            m, v, centered = moments(x, self._others(x.ndim))
            self._follow(self.moving_mean, m)
            self._follow(self.moving_variance, v)
        else:
            m, v = (self._spread(w.value, x.ndim) for w in (self.moving_mean, self.moving_variance))
            centered = x - m
        r = 1 / np.sqrt(v + self.epsilon)
        x_hat = centered * r
        return self._scaled(x_hat), (x_hat, r, training)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = gamma x^ + beta, x^ = (x - m) r; m and r were constants unless they came from the batch."""
        x_hat, r, from_batch = cache
        dx_hat = self._scaled_gradient(dy, x_hat)
        return standardized_gradient(dx_hat, x_hat, r, self._others(dy.ndim)) if from_batch else dx_hat * r


@keras_class("keras.layers")
class LayerNormalization(Normalization):
    """Standardize each sample over its channels: y = gamma (x - m) / sqrt(v + epsilon) + beta.

    m and v are the mean and the variance of the sample along `axis`, in training and outside; so that, unlike with
    BatchNormalization, samples of a batch don't see each other.  (Ba, Kiros & Hinton, "Layer normalization", 2016.)

    | symbol      | shape               | is                                             |
    |-------------|---------------------|------------------------------------------------|
    | x, y        | (N, ..., C)         | input and output                               |
    | gamma, beta | (C,)                | one number for each element along `axis`       |
    | m, v        | (N, ..., 1)         | one number for each place across `axis`        |

    Args:
        axis: along which the mean is taken; one or several.
        epsilon: added to the variance, so that nothing is divided by 0.
        center: whether beta is there.
        scale: whether gamma is there.
        beta_initializer, gamma_initializer: of the two.
        beta_regularizer, gamma_regularizer: their penalties are added to the loss.
        beta_constraint, gamma_constraint: where they are put back to after each step; see `constraints`.
        **options: those of `Layer`.

    Raises:
        TypeError: `axis` is no integer, nor a list of them.
        ValueError: an axis that the input hasn't, or whose size is unknown.
    """

    only_default: ClassVar[dict[str, Any]] = {"rms_scaling": False}

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(
                f"{self._owner}: Expected an int or a list/tuple of ints for the argument 'axis', received {axis!r}."
            )
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self._store_options("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._store_options("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)

    def build(self, input_shape: Shape) -> None:
        """Declare gamma and beta; from now on `axis` is a list, as in Keras."""
        self._declare(input_shape)
        self.axis = sorted(self._axes)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = gamma (x - m) r + beta."""
        _, v, centered = moments(x, self._along(x.ndim))
        r = 1 / np.sqrt(v + self.epsilon)
        x_hat = centered * r
        return self._scaled(x_hat), (x_hat, r)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = gamma x^ + beta, x^ = (x - m) r; m and r came from the same x."""
        x_hat, r = cache
        return standardized_gradient(self._scaled_gradient(dy, x_hat), x_hat, r, self._along(dy.ndim))
