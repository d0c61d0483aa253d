"""What all optimizers share: the learning rate, clipping, weight decay, and the vectors a rule remembers.

    g = clip(g);  w = w - w * weight_decay * learning_rate;  w = rule(w, g)

An optimizer knows `variables` and their vectors, and nothing of layers or models.  Keras's counterpart:
`keras.optimizers.Optimizer`.
"""

import functools
import operator
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import config, functional
from ..common.names import auto_name
from ..common.serialization import keras_class, serialize
from ..variables import Parameters, Scalar, Variable, aligned_zeros
from .clipping import clip
from .refinements import Call, Refined, Refinements
from .schedules import LearningRateSchedule


class Segments(NamedTuple):
    """The contiguous parts of vectors that hold some variables: what a step goes over."""

    variables: list[Variable]
    moves: int  # what `Variable.moves` was: the variables may live elsewhere after the next
    homes: list[tuple[Parameters, frozenset[Variable]]]  # where they live, and which of them
    stepped: list[tuple[Any, np.ndarray, np.ndarray, list[np.ndarray]]]  # of each: type, weights, gradients, slots
    decayed: list[np.ndarray]  # weights that `weight_decay` applies to
    gradients: list[np.ndarray]  # one by one, for clipping
    refinements: Refinements | None  # what there is to do besides the rule


@keras_class("keras.optimizers")
class Optimizer(Refined):
    """Base class of optimizers.

    A rule of one's own says what it remembers, and what it does:

    class Lion(Optimizer):
        def slots(self): return [("momentum",)]
        def update(self, w, g, learning_rate, momentum):       # vectors over all weights, changed in place
            w -= learning_rate * np.sign(0.9 * momentum + np.float32(0.1) * g)
            momentum += np.float32(0.01) * (g - momentum)

    Args:
        learning_rate: a number >= 0, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: each step first shrinks the weights by the fraction weight_decay * learning_rate.
        clipnorm: gradients of a larger norm are scaled down to this norm, variable by variable.
        clipvalue: elements of the gradient are limited to [-clipvalue, clipvalue].
        global_clipnorm: like `clipnorm`, for the norm of all gradients together.
        use_ema, ema_momentum, ema_overwrite_frequency: whether weights are averaged over the steps, and how; see
            `refinements`.
        loss_scale_factor: see `scale_loss`.
        gradient_accumulation_steps: how many batches make one step, whose gradient is their mean.
        name: automatic where None.
        **options: taken to be refused by name.

    Attributes:
        iterations: the number of steps done, a step of several batches counted once.
        built: whether it knows its variables.

    Raises:
        ValueError: a number out of range, more than one kind of clipping, or an option that is not supported.
        TypeError: an unknown argument.
    """

    slot_start: float = 0.0  # what slots hold before the first step
    _has_calls: ClassVar[bool] = True  # whether a rule is written as `calls`, or as an `update` of its own
    own_numbers: ClassVar[int] = 0  # how many single numbers the built rule adds at the end of `variables`

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        cls._has_calls = cls.update is Optimizer.update

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule | Callable[[], float],
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **options: Any,
    ):
        owner = type(self).__name__
        self.refuse_options(options, owner)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency, self.loss_scale_factor = ema_overwrite_frequency, loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_options()
        rate = self._checked_rate(learning_rate)
        self.name = name or auto_name(owner)
        self.iterations = self._counted()
        self._rate = rate if callable(rate) else Scalar(rate, f"{self.name}/learning_rate")
        self.built = False
        self._trainable: list[Variable] = []
        self._slots: dict[Variable, dict[str, Variable]] = {}
        self._slots_in_order: list[Variable] = []
        self._not_decayed: tuple[set[Variable], list[str]] = set(), []
        self._vectors: dict[Parameters, dict[str, np.ndarray]] = {}
        self._packed_homes: list[Parameters | None] = []
        self._segments: Segments | None = None

    # ---- what a rule defines ----

    def slots(self) -> list[tuple[str, ...]]:
        """Return the names of what the rule remembers for each weight.

        A group stands together in `variables`: all of it for the first weight, then for the second, ...
        """
        return []

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> None:
        """Change the weights `w` in place, given the gradients `g` and the slots in the order of `slots()`.

        All are vectors of one float type, and so is the learning rate.
        """
        for function, *arguments in self.calls(w, g, learning_rate, *slots):
            function(*arguments)

    def calls(self, w: np.ndarray, g: np.ndarray, learning_rate: np.floating, *slots: np.ndarray) -> list[Call]:
        """Return what `update` calls: functions that change arrays in place, each with its arguments.

        So the built-in rules are written: a step does these calls without a line of Python in between.
        """
        raise NotImplementedError(f"{type(self).__name__}: write `update(self, w, g, learning_rate, *slots)`.")

    # ---- the learning rate ----

    @property
    def learning_rate(self) -> Scalar:
        """The current learning rate: `float(...)`, comparisons, formatting, `.numpy()` and `.assign(...)` work on it.

        Set it to a number, or to a schedule.

        Raises:
            TypeError: (setting) a number, where the learning rate follows a schedule.
            ValueError: (setting) a negative or infinite number, or no number at all.
        """
        if isinstance(self._rate, Scalar):
            return self._rate
        rate = Scalar(self._current_rate(), f"{self.name}/learning_rate")
        rate.value.flags.writeable = False  # `assign` would be forgotten: better an error
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        rate = self._checked_rate(value)
        if callable(rate):
            self._rate = rate
        elif isinstance(self._rate, Scalar):
            self._rate.assign(rate)
        else:
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` constructor "
                "argument, hence its learning rate is not settable. Create it with a number as `learning_rate` instead."
            )

    lr = learning_rate  # Keras 2's name

    def _checked_rate(self, value: Any) -> Any:
        """Return a number as float, a schedule or function as it is; ValueError for anything else."""
        if callable(value) and not isinstance(value, type):
            return value
        if hasattr(value, "__float__") and not isinstance(value, bool) and np.ndim(value) == 0:
            self.check_number("learning_rate", float(value))
            return float(value)
        raise ValueError(
            f"{type(self).__name__}: expected `learning_rate` to be a number, a LearningRateSchedule or a function "
            f"without arguments, received {value!r}."
        )

    def _current_rate(self) -> float:
        if isinstance(self._rate, Scalar):
            return self._rate.value.item()
        rate = self._rate(int(self._iterations)) if isinstance(self._rate, LearningRateSchedule) else self._rate()
        return np.dtype(config.floatx()).type(rate).item()

    # ---- variables ----

    def build(self, variables: Iterable[Variable]) -> None:
        """Take charge of these variables, and make the slots for them.

        Variables of no model are moved into a vector.  Building again for the same, or some of them, changes nothing.

        Raises:
            ValueError: built for other variables before, or a variable without gradient.
            TypeError: not a `Variable`.
        """
        variables = list(variables)
        if self.built:
            self._check_known(variables)
            return
        for v in variables:
            if not isinstance(v, Variable):
                raise TypeError(f"{type(self).__name__}: expected a Variable, received {type(v).__name__}.")
            if not v.declared_trainable:
                raise ValueError(f"{type(self).__name__}: variable {v.path!r} is not trainable and has no gradient.")
        Parameters(v for v in dict.fromkeys(variables) if v.home is None)

        slots: dict[Variable, dict[str, Variable]] = {v: {} for v in variables}
        in_order = []
        first_values = functools.partial(np.full, fill_value=self.slot_start)
        for group in self.slot_groups():
            for v in variables:
                for name in () if v.overwrite_with_gradient and group != ("gradient_accumulator",) else group:
                    first = first_values if group in self.slots() else np.zeros
                    slot = Variable(first, v.shape, v.dtype, trainable=False)
                    slot.name = f"{v.path.replace('/', '_')}_{name}"
                    slot.path = f"{self.name}/{slot.name}"
                    slots[v][name] = slot
                    in_order.append(slot)
        vars(self).update(_trainable=variables, _slots=slots, _slots_in_order=in_order, built=True)

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's state, in Keras's order: iteration, learning rate (unless scheduled), slots."""
        rate = [self._rate] if isinstance(self._rate, Scalar) else []
        return [self._iterations, *rate, *self._slots_in_order]

    def _check_known(self, variables: Iterable[Variable]) -> None:
        for v in variables:
            if v not in self._slots:
                raise ValueError(
                    f"Unknown variable {getattr(v, 'path', v)!r}: optimizer {self.name!r} was built for others. "
                    "Use a new optimizer for a new model, and call `compile` again after unfreezing layers."
                )

    def _segments_of(self, variables: Sequence[Variable]) -> Segments:
        """Return where these variables live; found anew where they or their homes are others than last time."""
        segments = self._segments
        if segments is not None and segments.moves == Variable.moves and segments.variables == variables:
            return segments
        variables = list(variables)
        self._check_known(variables)
        names = [name for group in self.slots() for name in group]
        self._pack_slots([name for group in self.slot_groups() for name in group])
        stepped, decayed, followed = [], [], [v for v in variables if not v.overwrite_with_gradient]
        by_home = _by_home(followed)
        for home, here in by_home.items():
            for run in home.runs(here):
                slots = [self._vectors[home][name][run] for name in names]
                stepped.append((home.values.dtype.type, home.values[run], home.gradients[run], slots))
            decayed += [home.values[run] for run in home.runs(v for v in here if self._decays(v))]
        homes = [(home, frozenset(here)) for home, here in _by_home(variables).items()]
        gradients, refinements = [v.gradient for v in followed], Refinements.of(self, variables, self._vectors)
        self._segments = Segments(variables, Variable.moves, homes, stepped, decayed, gradients, refinements)
        return self._segments

    def _pack_slots(self, names: Sequence[str]) -> None:
        """Lay the slots out like the gradients; anew where variables have moved, as when a model grows."""
        homes = [v.home for v in self._trainable]
        if homes == self._packed_homes:
            return
        by_home = _by_home(self._trainable)
        vectors = {h: {n: aligned_zeros(h.gradients.size, h.dtype) for n in names} for h in by_home}
        for home, variables in by_home.items():
            for v in variables:
                for name, slot in self._slots[v].items():
                    slot.move(home.view(vectors[home][name], v))
        self._packed_homes, self._vectors = homes, vectors

    # ---- a step ----

    def step(
        self, variables: Sequence[Variable] | None = None, changed: Mapping[Variable, np.ndarray] | None = None
    ) -> None:
        """Update the variables (all, where None) from their `gradient`; clipping changes the gradients in place.

        Weights, slots and counter change together: an exception, Ctrl-C included, comes before all of it or after.

        Args:
            variables: those to update.
            changed: new values of other variables, which change with them: moving averages, say.

        Raises:
            ValueError: not built, or built for other variables.
        """
        if not self.built:
            raise ValueError(f"Optimizer {self.name!r} is not built; call `build(variables)` first.")
        variables = self._trainable if variables is None else variables
        calls: list[Call] = [(np.copyto, v.value, new) for v, new in changed.items()] if changed else []
        if variables:
            segments = self._segments_of(variables)
            for home, here in segments.homes:
                home.settle_gradients(here)
            refinements = segments.refinements
            if refinements is None or refinements.begin(self, calls):
                rate = self._current_rate()
                if self.clipnorm or self.global_clipnorm or self.clipvalue:
                    clip(segments.gradients, self.clipnorm, self.global_clipnorm, self.clipvalue)
                if self.weight_decay is not None:
                    for w in segments.decayed:
                        calls.append((functional.updates.decay, w, *map(w.dtype.type, (self.weight_decay, rate))))
                for number, w, g, slots in segments.stepped:
                    given = w, g, number(rate), *slots
                    calls += self.calls(*given) if self._has_calls else [(self.update, *given)]
                calls += self.counting()
            if refinements is not None:
                refinements.end(self, calls)
        _do_all(calls)

    def counting(self) -> list[Call]:
        """Return the calls that end a step: they count it."""
        count = self._iterations.value
        return [(count.__setitem__, (), count.item() + 1)]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Copy gradients into the variables' own, and do one step.

        Args:
            grads: an array per variable; variables whose gradient is None are left alone, with a warning.
            trainable_variables: those the optimizer was built for, where None.

        Raises:
            ValueError: the numbers or shapes do not fit, nothing has a gradient, or the optimizer is not built.
        """
        grads = list(grads)
        if not grads:
            return
        if trainable_variables is None and not self.built:
            raise ValueError(f"Optimizer {self.name!r} is not built; call `build(variables)` first, or pass variables.")
        variables = self._trainable if trainable_variables is None else list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(f"Optimizer {self.name!r}: {len(grads)} gradients for {len(variables)} variables.")
        pairs = [(np.asarray(g), v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            raise ValueError("No gradients provided for any variable.")
        for g, v in pairs:
            if g.shape != v.shape:
                raise ValueError(f"The gradient of variable {v.path!r} has shape {g.shape}, expected {v.shape}.")
        self.build(variables)
        if len(pairs) < len(variables):
            missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warnings.warn(f"Gradients do not exist for variables {missing}.", stacklevel=2)
        for g, v in pairs:
            v.gradient = g if self.loss_scale_factor is None else g / self.loss_scale_factor
        # A loss that explodes is reported by the loss, not by a warning from here.
        with np.errstate(all="ignore"):
            self.step([v for _, v in pairs])

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Scalar:
        """Do what `apply` does, with pairs (gradient, variable); return how often that was done."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Set the variables to their averages, where there are any; `fit` does it at its end."""
        variables = list(var_list) if self.use_ema and self.built else []
        self._check_known(variables)
        averages = [(v, self._slots[v]["average"].value) for v in variables if not v.overwrite_with_gradient]
        _do_all([(np.copyto, v.value, average) for v, average in averages])

    # ---- copies and configs ----

    def __getstate__(self) -> dict[str, Any]:
        # A copied view is no view any more; the copy lays its slots out anew.
        return {**self.__dict__, "_segments": None, "_vectors": {}, "_packed_homes": []}

    def get_config(self) -> dict[str, Any]:
        rate = float(self._rate) if isinstance(self._rate, Scalar) else serialize(self._rate)
        return {**super().get_config(), "learning_rate": rate}


def _by_home(variables: Iterable[Variable]) -> dict[Parameters, list[Variable]]:
    homes: dict[Parameters, list[Variable]] = {}
    for v in variables:
        if v.home is not None:
            homes.setdefault(v.home, []).append(v)
    return homes


def _do_all(calls: list[Call]) -> None:
    """Do all of these calls, or none; what they change are arrays among the arguments, or whose methods they are."""
    # One after the other without a line of Python in between, at which Ctrl-C could be noticed.
    ready = functional.ready(calls)
    if ready is not None:
        deque(starmap(operator.call, ready), 0)
        return
    arrays = [a for call in calls for a in (*call[1:], getattr(call[0], "__self__", None)) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in arrays]
    try:
        for function, *arguments in calls:
            function(*arguments)
    except BaseException:
        for a, values in zip(arrays, before, strict=True):
            a[...] = values
        raise
