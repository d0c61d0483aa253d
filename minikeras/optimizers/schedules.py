"""Learning-rate schedules: the learning rate as a function of the number of steps done.

    schedule(step) -> learning rate

An optimizer that was given one asks it at every step.  `step` may also be an array, for a plot.  Everything is computed
in `config.floatx()`, as in Keras.  Keras's counterpart: `keras.optimizers.schedules`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import config as settings
from ..common.names import refuse_other_names
from ..common.serialization import Configurable, Table, deserializer, keras_class, serialize

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip

entered = keras_class("keras.optimizers.schedules")


@entered
class LearningRateSchedule(Configurable):
    """Base class: a schedule of one's own writes `__call__(self, step)`.

    Give it a constructor that stores each argument under its own name, and it can be saved.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate after `step` steps."""
        raise NotImplementedError(f"Learning rate schedule {type(self).__name__!r} must write `__call__(self, step)`.")


def _numbers(*values: Any) -> list[Any]:
    """Return the values in the default float type."""
    dtype = np.dtype(settings.floatx())
    return [np.asarray(value, dtype)[()] for value in values]


def _check_positive(owner: Any, name: str) -> None:
    value = getattr(owner, name)
    if not value > 0:
        raise ValueError(f"{type(owner).__name__}: `{name}` must be > 0, received {value!r}.")


@entered
class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate ^ (step / decay_steps).

    Args:
        initial_learning_rate: at step 0.
        decay_steps: after so many steps the rate has been multiplied by `decay_rate` once.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down, so that the rate falls in steps.
        name: for Keras's sake.

    Raises:
        ValueError: `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        initial, steps, rate, step = _numbers(self.initial_learning_rate, self.decay_steps, self.decay_rate, step)
        done = np.floor(step / steps) if self.staircase else step / steps
        return initial * rate**done


@entered
class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: at step 0.
        decay_steps: the unit of time.
        decay_rate: how much is added to the divisor in each unit.
        staircase: whether time is rounded down to whole units.
        name: for Keras's sake.

    Raises:
        ValueError: `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        initial, steps, rate, step = _numbers(self.initial_learning_rate, self.decay_steps, self.decay_rate, step)
        done = np.floor(step / steps) if self.staircase else step / steps
        return initial / (1 + rate * done)


@entered
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[k], k being how many boundaries are below `step`: a boundary is the last step of its value.

    Args:
        boundaries: steps, ascending.
        values: one learning rate more than there are boundaries.
        name: for Keras's sake.

    Raises:
        ValueError: the two lengths do not fit, or the boundaries do not ascend.
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: expected one value more than boundaries, received "
                f"{len(boundaries)} boundaries {boundaries!r} and {len(values)} values {values!r}."
            )
        if any(b <= a for a, b in pairwise(boundaries)):
            raise ValueError(f"PiecewiseConstantDecay: the boundaries must ascend, received {boundaries!r}.")
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Any) -> Any:
        return np.asarray(self.values, settings.floatx())[np.searchsorted(self.boundaries, step)]


@entered
class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ^ power + end, and then stays at `end`.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: when `end_learning_rate` is reached.
        end_learning_rate: at the end.
        power: 1 falls in a line, more flattens towards the end.
        cycle: whether the rate then jumps up again and falls anew; `decay_steps` is multiplied so as to exceed `step`.
        name: for Keras's sake.

    Raises:
        ValueError: `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        initial, end, power = _numbers(self.initial_learning_rate, self.end_learning_rate, self.power)
        steps, step = _numbers(self.decay_steps, step)
        if self.cycle:
            steps = steps * np.maximum(np.ceil(step / steps), 1)
        return (initial - end) * (1 - np.minimum(step, steps) / steps) ** power + end


@entered
class CosineDecay(LearningRateSchedule):
    """top * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha): half a wave down, from top to alpha * top.

    The top is `initial_learning_rate`; where `warmup_target` is given, it is that, and a straight line leads up to it
    from `initial_learning_rate` in the first `warmup_steps` steps.  (Loshchilov & Hutter, 2017)

    Args:
        initial_learning_rate: at step 0.
        decay_steps: the length of the way down.
        alpha: the last rate, as a fraction of the top.
        name: for Keras's sake.
        warmup_target: the top, or None for no warmup.
        warmup_steps: the length of the way up.

    Raises:
        ValueError: `decay_steps` is not positive, or `warmup_steps` is negative.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ):
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps
        _check_positive(self, "decay_steps")
        if warmup_steps < 0:
            raise ValueError(f"CosineDecay: `warmup_steps` must be >= 0, received {warmup_steps!r}.")

    def __call__(self, step: Any) -> Any:
        initial, steps, step = _numbers(self.initial_learning_rate, self.decay_steps, step)
        if self.warmup_target is None:
            return self._down(initial, step, steps)
        top, warmup = _numbers(self.warmup_target, self.warmup_steps)
        up = (top - initial) * (step / np.maximum(warmup, 1)) + initial
        return np.where(step < warmup, up, self._down(top, step - warmup, steps))[()]

    def _down(self, top: Any, step: Any, steps: Any) -> Any:
        (pi,) = _numbers(np.pi)
        wave = 0.5 * (1 + np.cos(pi * (np.minimum(step, steps) / steps)))
        return top * ((1 - self.alpha) * wave + self.alpha)


@entered
class CosineDecayRestarts(LearningRateSchedule):
    """Half waves down, one after the other, each `t_mul` times as long as the last, its top `m_mul` times as high.

    initial * ((1 - alpha) * m_mul^i * (1 + cos(pi * part)) / 2 + alpha) in wave i, of which `part` is done.

    (Loshchilov & Hutter, 2017)

    Args:
        initial_learning_rate: at step 0.
        first_decay_steps: the length of the first wave.
        t_mul: how much longer each wave is than the one before.
        m_mul: how much higher.
        alpha: the lowest rate, as a fraction of the initial one.
        name: for Keras's sake.

    Raises:
        ValueError: `first_decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name
        _check_positive(self, "first_decay_steps")

    def __call__(self, step: Any) -> Any:
        initial, first, step = _numbers(self.initial_learning_rate, self.first_decay_steps, step)
        t, m, pi, one = _numbers(self.t_mul, self.m_mul, np.pi, 1)
        done = step / first
        if t == 1:
            wave = np.floor(done)
            part = done - wave
        else:
            wave = np.floor(np.log(one - done * (one - t)) / np.log(t))
            part = (done - (one - t**wave) / (one - t)) / t**wave
        height = 0.5 * m**wave * (1 + np.cos(pi * part))
        return initial * ((1 - self.alpha) * height + self.alpha)


_TABLE = Table(
    "learning rate schedule",
    "keras.optimizers.schedules",
    LearningRateSchedule,
    [CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay],
)
deserialize = deserializer(_TABLE.get)

refuse_other_names(__name__, __all__)
