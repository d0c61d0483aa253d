"""Six more rules: what each does with the gradient g of the weights w.

AdamW      Adam that also shrinks the weights
Nadam      Adam that looks a step ahead
Adamax     w = w - lr m / largest |g|            Adam in units of the largest recent gradient
Adagrad    w = w - lr g / sqrt(sum of g^2)       each weight in units of all its gradients
Adadelta   w = w - lr s                          of its recent ones and its recent steps
Lion       w = w - lr sign(m)                    the sign of momentum alone
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from .. import functional
from ..common.names import auto_name
from ..variables import Scalar, Variable
from .base import Optimizer
from .refinements import Call
from .rules import Adam, entered


@entered
class AdamW(Adam):
    """Adam, with weight decay from the start: w = w - w * weight_decay * lr before each of its steps.

    The decay stands apart from the gradient, so that it isn't divided by the gradient's size as an L2 penalty would be
    (Loshchilov & Hutter, 2019).

    Args:
        learning_rate: see `Optimizer`.
        weight_decay: the fraction, times the learning rate, that weights shrink by.
        beta_1, beta_2, epsilon, amsgrad: see `Adam`.
        **options: `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range, or no weight decay.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ):
        if weight_decay is None:
            raise ValueError("AdamW: expected `weight_decay` to be a number, received None; Adam is AdamW without it.")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)


class Moments(Optimizer):
    """Base of the two below, which have Adam's arguments but for `amsgrad`."""

    limits = Adam.limits

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        super().__init__(learning_rate, **options)


@entered
class Nadam(Moments):
    """Adam that looks a step ahead, as SGD does with `nesterov` (Dozat, 2016).

    m and v as Adam's;  u_t = beta_1 (1 - 0.96^t / 2),  U_t = u_1 u_2 ... u_t
    m^ = u_t+1 m / (1 - U_t+1) + (1 - u_t) g / (1 - U_t)
    w = w - lr m^ / (sqrt(v / (1 - beta_2^t)) + epsilon)                         at step t = 1, 2, ...

    Args:
        learning_rate: see `Optimizer`.
        beta_1: 0 <= beta_1 < 1: what is kept of the old mean.
        beta_2: 0 <= beta_2 < 1: the same for the squares.
        epsilon: positive.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    own_numbers = 1

    def slots(self) -> list[tuple[str, ...]]:
        """m and v together."""
        return [("momentum", "velocity")]

    def build(self, variables: Iterable[Variable]) -> None:
        variables = list(variables)
        if not self.built:
            dtype = variables[0].dtype if variables and isinstance(variables[0], Variable) else None
            self._product = Scalar(1, auto_name("Variable"), dtype)  # U
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's state, in Keras's order: iteration, learning rate (unless scheduled), slots, U."""
        return [*super().variables, *([self._product] if self.built else [])]

    def counting(self) -> list[Call]:
        product = self._product.value
        following = self._next_product(product.dtype.type, int(self.iterations) + 1)
        return [*super().counting(), (product.__setitem__, (), following)]

    def _next_product(self, number: Any, t: int) -> np.floating:
        return number(self._product.value) * self._factor(number, t)

    def _factor(self, number: Any, t: int) -> np.floating:
        return number(self.beta_1) * (number(1) - number(0.5) * number(0.96) ** number(t))

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        number, t = w.dtype.type, int(self.iterations) + 1
        one, beta_1, beta_2 = number(1), number(self.beta_1), number(self.beta_2)
        u, u_next, product = self._factor(number, t), self._factor(number, t + 1), self._next_product(number, t)
        look, now = u_next / (one - product * u_next), (one - u) / (one - product)
        # Here Keras takes the complements in the weights' own float type.
        rests = one - beta_1, one - beta_2, look, now, one - beta_2 ** number(t)
        return [(functional.updates.nadam, w, g, *slots, learning_rate, *rests, number(self.epsilon))]


@entered
class Adamax(Moments):
    """Adam with the largest gradient in the place of the root mean square (Kingma & Ba, 2015, section 7).

    m = beta_1 m + (1 - beta_1) g
    u = max(beta_2 u, |g|)
    w = w - lr m / ((1 - beta_1^t)(u + epsilon))        at step t = 1, 2, ...

    Args:
        learning_rate: see `Optimizer`.
        beta_1: 0 <= beta_1 < 1: what is kept of the old mean.
        beta_2: 0 <= beta_2 < 1: what is kept of the largest gradient.
        epsilon: positive.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    def slots(self) -> list[tuple[str, ...]]:
        """m and u together."""
        return [("momentum", "norm")]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        number = w.dtype.type
        rest_t = number(1) - number(self.beta_1) ** number(int(self.iterations) + 1)
        numbers = number(1 - self.beta_1), number(self.beta_2), rest_t, number(self.epsilon)
        return [(functional.updates.adamax, w, g, *slots, learning_rate, *numbers)]


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

    limits: ClassVar = {"initial_accumulator_value": "[0, inf)", "epsilon": "(0, inf)"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ):
        self.initial_accumulator_value = self.slot_start = initial_accumulator_value
        self.epsilon = epsilon
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """a."""
        return [("accumulator",)]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        return [(functional.updates.adagrad, w, g, *slots, learning_rate, w.dtype.type(self.epsilon))]


@entered
class Adadelta(Optimizer):
    """Steps in units of past steps, over gradients in units of past gradients (Zeiler, 2012).

    a = rho a + (1 - rho) g^2
    s = g sqrt(d + epsilon) / sqrt(a + epsilon)
    d = rho d + (1 - rho) s^2
    w = w - lr s

    The paper has no learning rate: that is `learning_rate=1.0`.

    Args:
        learning_rate: see `Optimizer`.
        rho: from 0 to 1: what is kept of the old means.
        epsilon: positive; it decides how large the first steps are.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    limits: ClassVar = {"rho": "[0, 1]", "epsilon": "(0, inf)"}

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Any):
        self.rho, self.epsilon = rho, epsilon
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """a and d together."""
        return [("accumulated_grad", "accumulated_delta_var")]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        number = w.dtype.type
        numbers = number(self.rho), number(1 - self.rho), number(self.epsilon)
        return [(functional.updates.adadelta, w, g, *slots, learning_rate, *numbers)]


@entered
class Lion(Optimizer):
    """Every weight moves by the same amount, in the direction of momentum (Chen et al., 2023).

    w = w - lr sign(beta_1 m + (1 - beta_1) g)
    m = beta_2 m + (1 - beta_2) g

    Its steps are larger than Adam's: the learning rate is 3 to 10 times smaller as a rule.

    Args:
        learning_rate: see `Optimizer`.
        beta_1: 0 < beta_1 <= 1: the share of m in the direction.
        beta_2: from 0 to 1: what is kept of m.
        **options: `weight_decay`, `clipnorm`, ... of `Optimizer`.

    Raises:
        ValueError: a number out of range.
    """

    limits: ClassVar = {"beta_1": "(0, 1]", "beta_2": "[0, 1]"}

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Any):
        self.beta_1, self.beta_2 = beta_1, beta_2
        super().__init__(learning_rate, **options)

    def slots(self) -> list[tuple[str, ...]]:
        """m."""
        return [("momentum",)]

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        one, beta_1, beta_2 = (w.dtype.type(x) for x in (1, self.beta_1, self.beta_2))
        # Here Keras takes the complements in the weights' own float type.
        return [(functional.updates.lion, w, g, *slots, learning_rate, beta_1, one - beta_1, beta_2, one - beta_2)]
