"""What belongs to a layer: the weights it declares, and what is set as an attribute of it.

    self.head = Dense(3)             the head's weights are the layer's, too: trained, saved and counted with it
    self.blocks = [Dense(3)]         likewise in lists, tuples, dictionaries and sets, ...
    self.blocks.append(Dense(4))     ... also what is put there later
    self.scale = Variable(1.0)       a weight; metrics and generators of seeds belong to the layer likewise

The order is Keras's: the layer's own weights, then those of the layers inside, in the order in which they came.
Keras's counterpart: `keras.src.utils.tracking`.
"""

import contextlib
import contextvars
import functools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from .. import constraints, initializers, regularizers
from ..common.arguments import ArgumentError, as_truth, checked
from ..variables import Variable, postponed
from .constructed import Constructed
from .containers import CONTAINERS, members

LOCKED = (
    "You cannot add new elements of state (variables or sub-layers) to a layer that is already built. All state must "
    "be created in the `__init__()` method or in the `build()` method."
)


def as_shapes(config: Any) -> Any:
    """Return the shapes of a config as tuples, in the form that they were given."""
    if isinstance(config, dict):
        return {key: as_shapes(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        is_shape = all(n is None or isinstance(n, int) for n in config)
        return tuple(config) if is_shape else [as_shapes(shape) for shape in config]
    return config


def example(shapes: Any, dtype: str) -> Any:
    """Return zeros of a shape, with 1 for what isn't known; of a list of shapes, a list of arrays."""
    if isinstance(shapes, list):
        return [example(shape, dtype) for shape in shapes]
    return np.zeros([n or 1 for n in shapes], dtype)


# Names of weights ----------------------------------------------------------------------------------------------------

_around: contextvars.ContextVar[tuple[Any, ...]] = contextvars.ContextVar("around", default=())


@contextlib.contextmanager
def named_within(layer: Any) -> Iterator[None]:
    """Let the paths of the weights that are declared in the block begin with this layer's, `"net/block/dense/kernel"`.

    A block within that of the same layer changes nothing.
    """
    around = _around.get()
    token = _around.set(around if around and around[-1] is layer else (*around, layer))
    try:
        yield
    finally:
        _around.reset(token)


def path_of(layer: Any) -> str:
    """Return the names of the layers that are at work, and of this one, `"net/block/dense"`."""
    with named_within(layer):
        return "/".join(around.name for around in _around.get())


def _shape_first(add_weight: Any) -> Any:
    """Refuse a name in the place of the shape, as Keras 2 had it, and what is given twice."""

    @functools.wraps(add_weight)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        if args and isinstance(args[0], str):
            raise ArgumentError(
                f"`name` must be passed as a keyword argument. Received: add_weight({args[0]!r}, ...). "
                f"Use: add_weight(shape=..., name={args[0]!r})."
            )
        for name in ("shape", "initializer", "dtype")[: len(args)]:
            if options.get(name) is not None:
                raise ArgumentError(f"`{name}` was passed both positionally and as a keyword argument.")
        return add_weight(self, *args, **options)

    return wrapper


# Layers --------------------------------------------------------------------------------------------------------------


class Tracking(Constructed):
    """A layer, as far as it has weights: its own, and those of what is set as an attribute; see `Layer`."""

    #: What belongs to the layer is kept under this name, kind by kind.
    tracked_as: ClassVar[str] = "layers"

    #: Attributes of the engine's own, in which nothing belongs to the layer.
    not_tracked: ClassVar[frozenset[str]] = frozenset(
        {"nodes", "expected_axes", "_arguments", "_belongings", "_weights"}
    )

    name: str
    built: bool
    dtype: str
    build: Any
    forward: Any
    ensure_built: Any
    has_build_config: ClassVar[bool]
    build_input_shape: Any
    _owner: Any
    _trainable: bool = True
    _weights: list[Variable]
    _locked: bool = False

    def __setattr__(self, name: str, value: Any) -> None:
        if not (value is None or isinstance(value, (str, int, float)) or name in self.not_tracked):
            value = self._taken(value)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        locked = vars(self).pop("_locked", None)
        for name, value in state.items():  # copies of containers are plain
            if name not in self.not_tracked and not isinstance(value, Tracking):
                vars(self)[name] = self._taken(value)
        if locked is not None:
            self._locked = locked

    # ---- what comes and goes ----

    def _kept(self, kind: str) -> list[Any]:
        """Return all of one kind that belongs to the layer: `"layers"`, `"metrics"`, `"seed_generators"`, weights."""
        if kind == "variables":
            return vars(self).setdefault("_weights", [])
        return self._all_kept().setdefault(kind, [])

    def _all_kept(self) -> dict[str, list[Any]]:
        return vars(self).setdefault("_belongings", {})

    def _taken(self, value: Any) -> Any:
        """Take over what is set as an attribute, or put into one; return it, as a tracked container where it is one."""
        kind = "variables" if isinstance(value, Variable) else getattr(type(value), "tracked_as", None)
        if kind is not None:
            self._add(kind, value)
        elif type(value) in CONTAINERS:
            return CONTAINERS[type(value)](value, self)
        elif isinstance(value, tuple):
            taken = [self._taken(v) for v in value]
            if any(new is not old for new, old in zip(taken, value, strict=True)):
                return type(value)(*taken) if hasattr(value, "_fields") else type(value)(taken)
        elif isinstance(value, (list, dict, set)):
            for v in members(value):
                self._taken(v)
        return value

    def _add(self, kind: str, value: Any) -> None:
        kept = self._kept(kind)
        if any(value is k for k in kept):
            return
        if self._locked:
            raise ValueError(LOCKED)
        kept.append(value)
        if kind == "variables":
            value.trainable = value.declared_trainable and self._trainable
        elif kind == "layers" and not value.built:
            self._holds_unbuilt()

    def _let_go(self, values: Iterable[Any]) -> None:
        """Give back what was taken out of a container, unless another attribute has it."""
        gone = [m for v in values for m in members(v) if isinstance(m, Variable) or hasattr(type(m), "tracked_as")]
        attributes = [v for name, v in vars(self).items() if name not in self.not_tracked] if gone else []
        left = {id(m) for m in members(attributes)}
        for value in gone:
            kept = self._kept("variables" if isinstance(value, Variable) else type(value).tracked_as)
            kept[:] = [k for k in kept if k is not value or id(k) in left]

    def _holds_unbuilt(self) -> None:
        """Wait for a shape, as a layer came that does, and nothing else builds it."""
        if not self.has_build_config:
            self.built = False

    def _build_inside(self, input_shape: Any) -> None:
        """Build the layers inside of a class that has no `build`: by a look at what `forward` does."""
        if all(layer.built for layer in self._inside()):
            return
        problem: Any = ""
        try:
            with postponed(False), np.errstate(all="ignore"), named_within(self):
                self.forward(example(input_shape, self.dtype), False)
        except Exception as error:
            problem = f" Exception encountered: '{error}'"
        unbuilt = [layer.name for layer in self._inside() if not layer.built]
        if unbuilt:
            warnings.warn(
                f"Layer {self.name!r} looks like it has unbuilt state ({', '.join(unbuilt)}), but a look at what "
                "`forward` does did not build it. Implement `build(self, input_shape)` and build the layers inside "
                f"there.{problem}",
                stacklevel=4,
            )

    def _inside(self) -> list[Any]:
        """Return the layers whose weights are this one's, too."""
        return self._all_kept().get("layers", [])

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Any]:
        """Return the layer and those inside, at any depth."""
        found = {id(self): self}
        waiting = list(self._inside())
        while waiting:
            layer = waiting.pop(0)
            if id(layer) not in found:
                found[id(layer)] = layer
                waiting[:0] = layer._inside() if recursive else []
        return list(found.values())[not include_self :]

    def _lock_state(self) -> None:
        """Let nothing come any more: the layer is built."""
        self._locked = True

    @contextlib.contextmanager
    def _whole_or_not(self) -> Iterator[None]:
        """Leave the layer as it was where the block fails."""
        lists = [v for v in vars(self).values() if isinstance(v, list)]
        kept = {kind: list(values) for kind, values in self._all_kept().items()}
        before, contents = dict(vars(self)), [list(v) for v in lists]
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before, _belongings=kept)
            for v, content in zip(lists, contents, strict=True):
                list.__setitem__(v, slice(None), content)
            raise

    # ---- weights ----

    @_shape_first
    @checked
    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        *,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Declare a weight.

        Args:
            shape: a tuple; None for a single number.
            initializer: makes its first values; None for `"glorot_uniform"`, or `"zeros"` where it holds integers.
            dtype: that of the layer where None.
            trainable: whether optimizers change it.
            regularizer: its penalty on the weight is added to the loss.
            name: such as `"kernel"`.
            autocast, aggregation: for Keras's sake; they change nothing on one processor and with one float type.
            constraint: where the weight is put back to after each step.
            overwrite_with_gradient: whether an optimizer puts the gradient in the weight's place.

        Raises:
            ValueError, TypeError: something else in the place of the shape; an option that is not supported.
        """
        if not (shape is None or isinstance(shape, Iterable)):
            raise ArgumentError(f"add_weight: `shape` is a tuple or None, such as ({shape!r},), received {shape!r}.")
        default = "glorot_uniform" if np.dtype(dtype or self.dtype).kind == "f" else "zeros"
        variable = Variable(
            initializers.get(default if initializer is None else initializer),
            shape=() if shape is None else tuple(shape),
            dtype=dtype or self.dtype,
            trainable=trainable,
            name=name or f"variable_{len(self._weights)}",
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.overwrite_with_gradient = overwrite_with_gradient
        variable.path = f"{path_of(self)}/{variable.name}"
        self._add("variables", variable)
        return variable

    def add_variable(self, shape: Any, initializer: Any, dtype: Any = None, **options: Any) -> Variable:
        """The same as `add_weight`."""
        return self.add_weight(shape, initializer, dtype, **options)

    @property
    def weights(self) -> list[Variable]:
        """All weights: the layer's own, first those that optimizers change; then those of the layers inside."""
        own = sorted(self._weights, key=lambda v: not v.declared_trainable)
        inside = self._inside()
        return list(dict.fromkeys([*own, *(v for layer in inside for v in layer.weights)])) if inside else own

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that optimizers change; none where `trainable` is False."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that optimizers leave alone."""
        return [v for v in self.weights if not (v.trainable and self._trainable)]

    @property
    def variables(self) -> list[Variable]:
        """The weights, and the states of the generators of seeds."""
        own = sorted(self._weights, key=lambda v: not v.declared_trainable)
        seeds = [generator.state for generator in self._all_kept().get("seed_generators", ())]
        inside = (v for layer in self._inside() for v in layer.variables)
        return list({id(v): v for v in (*own, *seeds, *inside)}.values())

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that optimizers leave alone, the states of the generators of seeds among them."""
        return [v for v in self.variables if not (v.trainable and self._trainable)]

    @property
    def trainable(self) -> bool:
        """Whether optimizers may change the weights; set it before `compile`.  It sets that of the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = as_truth(self._owner, "trainable", value)
        for v in self._weights:
            v.trainable = v.declared_trainable and self._trainable
        for layer in self._inside():
            layer.trainable = self._trainable

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights, in the order of `weights`."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Copy the weights in, in the order of `weights`.

        Raises:
            ValueError: another number of arrays, or another shape; nothing has changed then.
        """
        set_all(self.weights, weights, f"{self._kind} {self.name!r}")

    _kind: ClassVar[str] = "Layer"

    def count_params(self) -> int:
        """Return the number of weights.

        Raises:
            ValueError: the layer isn't built, so nobody knows yet.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. "
                f"Call `build(input_shape)`, or the layer itself on some data, first."
            )
        return sum(v.value.size for v in self.weights)

    # ---- in files ----

    def extra_config(self) -> dict[str, Any]:
        """Return the shape that the layer was built for, as Keras 3 writes it."""
        if not (self.built and (self.has_build_config or self._all_kept().get("layers"))):
            return {}
        return {"build_config": self.get_build_config()}

    def get_build_config(self) -> dict[str, Any] | None:
        """Return what `build_from_config` will need."""
        return {"input_shape": self.build_input_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer as it was when it was saved, so that it has its weights."""
        if config and config.get("input_shape") is not None:
            self.ensure_built(as_shapes(config["input_shape"]))

    # ---- metrics and penalties ----

    @property
    def metrics(self) -> list[Any]:
        """The metrics that were set as attributes, here and of the layers inside."""
        own = self._all_kept().get("metrics", [])
        return [*own, *(metric for layer in self._inside() for metric in layer.metrics)]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The variables of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def losses(self) -> list[Any]:
        """The penalties of the regularizers on the weights that are trained."""
        return [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]


def set_all(variables: list[Variable], values: list[np.ndarray], owner: str) -> None:
    """Copy a list of arrays into as many variables; ValueError, and nothing changed, where they don't fit."""
    values = [np.asarray(v) for v in values]
    if len(values) != len(variables):
        raise ValueError(f"{owner}: expected {len(variables)} arrays of weights, received {len(values)}.")
    for variable, value in zip(variables, values, strict=True):
        if value.shape != variable.shape:
            raise ValueError(
                f"{owner}: weight {variable.path!r} has shape {variable.shape}, "
                f"received an array of shape {value.shape}."
            )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
