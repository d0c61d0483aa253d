"""The rules of every course: what each does with the gradient g of the weights w.

    SGD        w = w - lr g                          the slope
               w = w + m                             with momentum: a ball that rolls down it
    RMSprop    w = w - lr g / sqrt(mean of g^2)      each weight in units of its own recent gradients
    Adam       w = w - lr m / sqrt(mean of g^2)      and momentum

Six others are in `more`.  The arithmetic is in `functional.updates`.  Keras's counterparts: `keras.optimizers.SGD` and
so on.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import functional
from ..common.serialization import keras_class
from .base import Optimizer
from .refinements import Call

entered = keras_class("keras.optimizers")


@entered
class SGD(Optimizer):
    """Stochastic gradient descent.

    w = w - lr g                                     momentum = 0
    m = momentum m - lr g;  w = w + m                momentum > 0
    m = momentum m - lr g;  w = w + momentum m - lr g            nesterov

    Args:
        learning_rate: see `Optimizer`.
        momentum: from 0 to 1: what is kept of the last step.
        nesterov: whether to look one step ahead.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    limits: ClassVar = {"momentum": "[0, 1]"}

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any):
        self.momentum, self.nesterov = momentum, nesterov
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """m, where there is momentum."""
        return [("momentum",)] if self.momentum else []

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        if self.momentum:
            rule = functional.updates.nesterov if self.nesterov else functional.updates.momentum
            return [(rule, w, g, *slots, learning_rate, w.dtype.type(self.momentum))]
        return [(functional.updates.sgd, w, g, learning_rate)]


@entered
class RMSprop(Optimizer):
    """Each weight's step is in units of its recent gradients' root mean square (Hinton, lecture 6e, 2012).

    v = rho v + (1 - rho) g^2                  mean of the squares
    a = rho a + (1 - rho) g                    centered: mean, to subtract; otherwise a = 0
    s = lr g / sqrt(v - a^2 + epsilon)
    w = w - s                                  momentum = 0
    m = momentum m + s;  w = w - m             momentum > 0

    Args:
        learning_rate: see `Optimizer`.
        rho: from 0 to 1: what is kept of the old mean.
        momentum: from 0 to 1: what is kept of the last step.
        epsilon: positive.
        centered: whether to divide by the standard deviation instead.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    limits: ClassVar = {"rho": "[0, 1]", "momentum": "[0, 1]", "epsilon": "(0, inf)"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ):
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """v, then m where there is momentum, then a where centered."""
        names = ["velocity", *["momentum"] * bool(self.momentum), *["average_gradient"] * bool(self.centered)]
        return [(name,) for name in names]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        rule: Callable[..., None]
        updates, numbers = functional.updates, [w.dtype.type(x) for x in (self.rho, 1 - self.rho, self.epsilon)]
        if self.momentum:
            rule = updates.rmsprop_centered_momentum if self.centered else updates.rmsprop_momentum
            numbers.append(w.dtype.type(self.momentum))
        else:
            rule = updates.rmsprop_centered if self.centered else updates.rmsprop
        return [(rule, w, g, *slots, learning_rate, *numbers)]


@entered
class Adam(Optimizer):
    """Momentum, in units of each weight's recent gradients (Kingma & Ba, 2015).

    m = beta_1 m + (1 - beta_1) g              mean of the gradients
    v = beta_2 v + (1 - beta_2) g^2            mean of the squares
    w = w - alpha m / (sqrt(v) + epsilon)      alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t = 1, 2, ...

    alpha makes up for m and v starting at zero.  With `amsgrad`, the largest v so far stands in the place of v.

    Args:
        learning_rate: see `Optimizer`.
        beta_1: 0 <= beta_1 < 1: what is kept of the old mean.
        beta_2: 0 <= beta_2 < 1: the same for the squares.
        epsilon: positive.
        amsgrad: (Reddi et al., 2018).
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    # At beta_1 = 1, alpha would divide by 0.
    limits: ClassVar = {"beta_1": "[0, 1)", "beta_2": "[0, 1)", "epsilon": "(0, inf)"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """m and v together, then the largest v where `amsgrad`."""
        return [("momentum", "velocity"), *[("velocity_hat",)] * bool(self.amsgrad)]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        rule = functional.updates.amsgrad if self.amsgrad else functional.updates.adam
        number: Any = type(learning_rate)
        t = number(self.iterations.value.item() + 1)
        return [(rule, w, g, *slots, learning_rate, t, *_numbers(number, self.beta_1, self.beta_2, self.epsilon))]


@functools.lru_cache
def _numbers(number: Any, beta_1: float, beta_2: float, epsilon: float) -> tuple[np.floating, ...]:
    """Return these, and 1 - beta_1 and 1 - beta_2, in the weights' float type."""
    return tuple(map(number, (beta_1, beta_2, 1 - beta_1, 1 - beta_2, epsilon)))
