"""What a step can do besides its rule: sum gradients over batches, average weights over steps, constrain weights.

    s = s + g;  every k-th step: g = s / k, the rule, s = 0         gradient_accumulation_steps = k
    a = mu a + (1 - mu) w                                           use_ema, mu = ema_momentum; at the first step a = w
    w = a                                                           every ema_overwrite_frequency steps, and at the end
    w = constraint(w)                                               of each weight that has one

An optimizer without any of that never gets here: see `Optimizer.step`.  Keras's counterpart: `BaseOptimizer`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import functional
from ..common.serialization import Configurable
from ..variables import Parameters, Scalar, Variable
from .clipping import clip

Call = tuple[Any, ...]  # a function, and what it is called with


class Refined(Configurable):
    """The options of an optimizer that leave its rule as it is; see `Optimizer`, which derives from here."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str
    built: bool
    iterations: Scalar
    variables: Any
    _iterations: Scalar
    _trainable: list[Variable]
    _slots: dict[Variable, dict[str, Variable]]
    _not_decayed: tuple[set[Variable], list[str]]

    limits: ClassVar[dict[str, str]] = {}  # name -> interval, of numbers that a rule has stored by now

    def _check_options(self) -> None:
        """Raise ValueError where options are out of range, or exclude each other."""
        clips = {"clipnorm": self.clipnorm, "clipvalue": self.clipvalue, "global_clipnorm": self.global_clipnorm}
        if sum(value is not None for value in clips.values()) > 1:
            received = ", ".join(f"{k}={v}" for k, v in clips.items())
            raise ValueError(
                f"Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: {received}"
            )
        for option, value in {**clips, "weight_decay": self.weight_decay}.items():
            if value is not None:
                self.check_number(option, value)
        for option, interval in self.limits.items():
            self.check_number(option, getattr(self, option), interval)
        if self.loss_scale_factor is not None:
            self.check_number("loss_scale_factor", self.loss_scale_factor, "(0, inf)")
        steps, often = self.gradient_accumulation_steps, self.ema_overwrite_frequency
        if steps and steps < 2:
            raise ValueError(
                f"`gradient_accumulation_steps` must be an integer >= 2. Received: gradient_accumulation_steps={steps}"
            )
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={self.ema_momentum}")
        if self.use_ema and often and often < 1:
            raise ValueError(
                f"`ema_overwrite_frequency` must be an integer >= 1 or None. Received: ema_overwrite_frequency={often}"
            )

    @classmethod
    def check_number(cls, name: str, value: Any, interval: str = "[0, inf)") -> None:
        """Raise ValueError unless `value` is a finite number in an interval such as `"[0, 1)"`, 1 excluded."""
        low, high = map(float, interval[1:-1].split(","))
        good = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)
        excluded = ([low] if interval[0] == "(" else []) + ([high] if interval[-1] == ")" else [])
        if not (good and low <= value <= high and value not in excluded):
            raise ValueError(f"{cls.__name__}: expected `{name}` to be a number in {interval}, received {value!r}.")

    # ---- what is remembered, and counted ----

    def slots(self) -> list[tuple[str, ...]]:
        """Return the names of what the rule remembers for each weight."""
        raise NotImplementedError

    def slot_groups(self) -> list[tuple[str, ...]]:
        """Return the names of all that is remembered for each weight: averages, sums, and the rule's own."""
        averages = [("average",)] if self.use_ema else []
        sums = [("gradient_accumulator",)] if self.gradient_accumulation_steps else []
        return [*averages, *sums, *self.slots()]

    def _slots_of(self, name: str) -> list[Variable]:
        return [slots[name] for v in self._trainable if name in (slots := self._slots[v])]

    @property
    def _model_variables_moving_average(self) -> list[Variable]:
        return self._slots_of("average")

    @property
    def _accumulated_gradients(self) -> list[Variable]:
        return self._slots_of("gradient_accumulator")

    def _counted(self) -> Scalar:
        """Return what `iterations` is: the steps done; where gradients are summed, those that moved the weights."""
        self._iterations = Scalar(0, f"{self.name}/iteration", "int64")
        steps = self.gradient_accumulation_steps
        return Quotient(self._iterations, steps) if steps else self._iterations

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Copy the state in, in the order of `variables`.

        Raises:
            ValueError: not built, another number of arrays, or another shape; nothing has changed then.
        """
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. Please call "
                "`optimizer.build(trainable_variables)` to create the optimizer weights before calling `set_weights()`."
            )
        values = [np.asarray(w) for w in weights]
        if len(values) != len(self.variables):
            raise ValueError(f"Optimizer {self.name!r}: {len(values)} arrays for {len(self.variables)} variables.")
        for variable, value in zip(self.variables, values, strict=True):
            if variable.shape != value.shape:
                raise ValueError(
                    f"Optimizer variable {variable.path} has shape {variable.shape} not compatible with provided "
                    f"weight shape {value.shape}."
                )
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    # ---- losses and gradients of one's own loop ----

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times `loss_scale_factor`, by which `apply` divides the gradients.

        `fit` does neither: in float32 nothing underflows that a factor could save.
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def _clip_gradients(self, grads: Iterable[Any]) -> list[np.ndarray]:
        gradients = [np.array(g) for g in grads]
        clip(gradients, self.clipnorm, self.global_clipnorm, self.clipvalue)
        return gradients

    # ---- weight decay ----

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of `weight_decay`; call it before the first step.

        Args:
            var_list: these variables.
            var_names: those in whose path one of these regular expressions is found, such as `"bias"`.

        Raises:
            ValueError: the optimizer is built.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is built; call it earlier."
            )
        self._not_decayed = set(var_list or ()), list(var_names or ())

    def _decays(self, variable: Variable) -> bool:
        listed, patterns = self._not_decayed
        return variable not in listed and not any(re.search(p, variable.path) for p in patterns)


class Quotient(Scalar):
    """A number that follows another: how often `divisor` goes into what is counted."""

    count: Scalar
    divisor: int

    def __init__(self, count: Scalar, divisor: int):
        self.count, self.divisor = count, divisor
        super().__init__(0, count.path, count.dtype)

    @property
    def value(self) -> np.ndarray:  # type: ignore[override]
        """count // divisor, as an array that can't be written to."""
        found = np.asarray(self.count.value // self.divisor)
        found.flags.writeable = False
        return found


Pairs = list[tuple[np.ndarray, np.ndarray]]


class Refinements(NamedTuple):
    """The arrays of what a step over some variables does besides the rule."""

    replaced: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]  # values; gradients to put there; largest so far
    summed: Pairs  # sums of gradients, and the gradients
    sums: list[np.ndarray]  # all of them, also of variables that this step leaves out
    averaged: Pairs  # averages of all weights, and the weights
    constrained: list[tuple[np.ndarray, Callable[[np.ndarray], Any]]]  # values, and where to put them

    @classmethod
    def of(
        cls,
        optimizer: Refined,
        variables: Sequence[Variable],
        vectors: Mapping[Parameters, dict[str, np.ndarray]],
    ) -> "Refinements | None":
        """Return those of a step over these variables; None where it is the rule's alone."""

        def pairs(name: str, chosen: Iterable[Variable], vector: str) -> Pairs:
            found = []
            for home in vectors:
                own = [v for v in chosen if v.home is home and not v.overwrite_with_gradient]
                found += [(vectors[home][name][run], getattr(home, vector)[run]) for run in home.runs(own)]
            return found

        known, sums = optimizer._trainable, optimizer._accumulated_gradients
        replaced = [
            (v.value, v.gradient, optimizer._slots[v]["gradient_accumulator"].value if sums else None)
            for v in variables
            if v.overwrite_with_gradient
        ]
        summed = pairs("gradient_accumulator", variables, "gradients") if sums else []
        averaged = pairs("average", known, "values") if optimizer.use_ema else []
        constrained = [(v.value, v.constraint) for v in variables if v.constraint and not v.overwrite_with_gradient]
        found = cls(replaced, summed, [s.value for s in sums], averaged, constrained)
        return found if any(found) else None

    def begin(self, optimizer: Refined, calls: list[Call]) -> bool:
        """Add the calls that come before the rule; return whether it is its turn."""
        steps, count = optimizer.gradient_accumulation_steps, optimizer._iterations.value
        due = not steps or (count.item() + 1) % steps == 0
        for value, g, largest in self.replaced:
            if largest is None:
                calls.append((np.copyto, value, g))
            else:
                calls.append((np.copyto, value if due else largest, np.maximum(g, largest)))
        for total, g in self.summed:
            if due:
                g += total
                g /= g.dtype.type(steps or 1)
            else:
                calls.append((np.add, g, total, total))
        calls += [(total.fill, 0) for total in self.sums] if due else [(count.__setitem__, (), count.item() + 1)]
        return due

    def end(self, optimizer: Refined, calls: list[Call]) -> None:
        """Add the calls that come after the rule."""
        if self.averaged:
            t, often = optimizer.iterations.value.item(), optimizer.ema_overwrite_frequency
            for average, w in self.averaged:
                mu = w.dtype.type(optimizer.ema_momentum if t else 0)
                calls.append((functional.updates.average, average, w, mu, 1 - mu))
            if often and (t + 1) % often == 0:
                calls += [(np.copyto, w, average) for average, w in self.averaged]
        calls += [(_constrain, value, constraint) for value, constraint in self.constrained]


def _constrain(w: np.ndarray, constraint: Callable[[np.ndarray], Any]) -> None:
    """w = constraint(w), in place."""
    new = np.asarray(constraint(w.copy()))
    if new.shape != w.shape:
        raise ValueError(f"A constraint returned an array of shape {new.shape} for a weight of shape {w.shape}.")
    w[...] = new
