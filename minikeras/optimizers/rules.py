"""The rules, in order of growing complexity: what each does with the gradient g of the weights w.

    SGD        w = w - lr g                          the slope
               w = w + m                             with momentum: a ball that rolls down it
    Adagrad    w = w - lr g / sqrt(sum of g^2)       each weight in units of its own gradients
    RMSprop    w = w - lr g / sqrt(mean of g^2)      of its recent ones
    Adam       w = w - lr m / sqrt(mean of g^2)      and momentum

The loops are in `kernels.updates`.  Keras's counterparts: `keras.optimizers.SGD` and so on.
"""

from typing import Any

import numpy as np

from .. import kernels
from ..serialization import keras_class
from .base import Optimizer

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

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any):
        self.check_number("momentum", momentum, high=1)
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self) -> list[tuple[str, ...]]:
        """m, where there is momentum."""
        return [("momentum",)] if self.momentum else []

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> None:
        """Do one step; see `Optimizer.update`."""
        if self.momentum:
            kernels.updates.momentum(w, g, *slots, learning_rate, w.dtype.type(self.momentum), bool(self.nesterov))
        else:
            kernels.updates.sgd(w, g, learning_rate)


@entered
class Adagrad(Optimizer):
    """Each weight's step shrinks with the sum of its squared gradients (Duchi et al., 2011).

    a = a + g^2;  w = w - lr g / sqrt(a + epsilon)

    Args:
        learning_rate: see `Optimizer`.
        initial_accumulator_value: what a starts from, >= 0.
        epsilon: positive.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        self.check_number("initial_accumulator_value", initial_accumulator_value)
        self.check_number("epsilon", epsilon, above=True)
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self.slot_start = initial_accumulator_value

    def slots(self) -> list[tuple[str, ...]]:
        """a."""
        return [("accumulator",)]

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> None:
        """Do one step; see `Optimizer.update`."""
        kernels.updates.adagrad(w, g, *slots, learning_rate, w.dtype.type(self.epsilon))


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

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ):
        self.check_number("rho", rho, high=1)
        self.check_number("momentum", momentum, high=1)
        self.check_number("epsilon", epsilon, above=True)
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slots(self) -> list[tuple[str, ...]]:
        """v, then m where there is momentum, then a where centered."""
        names = ["velocity", *["momentum"] * bool(self.momentum), *["average_gradient"] * bool(self.centered)]
        return [(name,) for name in names]

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> None:
        """Do one step; see `Optimizer.update`."""
        number = w.dtype.type
        rho, rest, epsilon = number(self.rho), number(1 - self.rho), number(self.epsilon)
        v, *others = slots
        if not others:
            kernels.updates.rmsprop(w, g, v, learning_rate, rho, rest, epsilon)
            return
        a, s = np.zeros_like(w), np.empty_like(w)
        if self.centered:
            a = others[-1]
            kernels.updates.running_mean(a, g, rho, rest)
        kernels.updates.rmsprop_step(s, g, v, a, learning_rate, rho, rest, epsilon)
        if self.momentum:
            kernels.updates.rolling_step(w, s, others[0], number(self.momentum))
        else:
            w -= s


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

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            self.check_number(name, beta, high=1)
            if beta == 1:
                raise ValueError(f"{type(self).__name__}: expected `{name}` to be less than 1, received {beta!r}.")
        self.check_number("epsilon", epsilon, above=True)
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def slots(self) -> list[tuple[str, ...]]:
        """m and v together, then the largest v where `amsgrad`."""
        return [("momentum", "velocity"), *[("velocity_hat",)] * bool(self.amsgrad)]

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> None:
        """Do one step; see `Optimizer.update`."""
        number = w.dtype.type
        one, t = number(1), number(int(self.iterations) + 1)
        # Powers in the weights' own float type: Keras's first steps show its roundings.
        alpha = learning_rate * np.sqrt(one - number(self.beta_2) ** t) / (one - number(self.beta_1) ** t)
        rule = kernels.updates.amsgrad if self.amsgrad else kernels.updates.adam
        rule(w, g, *slots, alpha, number(1 - self.beta_1), number(1 - self.beta_2), number(self.epsilon))
