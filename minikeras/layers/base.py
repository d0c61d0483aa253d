"""What every layer is: weights declared by `build`, and a pair of functions, `forward` and `backward`.

    y, cache = layer.forward(x, training)        # y = f(x, weights)
    dx       = layer.backward(dy, cache)         # dx = d loss / d x; weights' gradients are added to their views

`dy` stands for d loss / d y, in the shape of y.  What `backward` needs of `forward` travels in the cache and is
never kept on the layer, so that one layer may be used twice, from two threads, or by a validation in mid-training.

`graph` runs the pair.
"""

import functools
from typing import Any, ClassVar

import numpy as np

from ..common.arguments import ArgumentError, as_truth
from ..common.names import auto_name
from ..common.results import returned
from .described import Described
from .options import WeightOptions
from .shapes import Shape, checked_dtype, first_shape, fixed_shape
from .symbols import Node, Symbol
from .tracking import named_within


class Layer(Described, WeightOptions):
    """A function with weights and a derivative.  To write one of your own:

        class Scale(keras.layers.Layer):
            def build(self, input_shape):
                self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

            def forward(self, x, training):
                return x * self.factor.value, x                           # y, and what backward will need

            def backward(self, dy, x):
                self.factor.gradient += (dy * x).sum(axis=0)              # add, never assign
                return dy * self.factor.value                             # dx

    and let `minikeras.testing.check_gradients(Scale(), input_shape=(5,))` tell whether `backward` is right.
    A layer whose output has another shape than its input also writes `compute_output_shape`.

    Args:
        name: unique in a model; `dense`, `dense_1`, ... where None.
        trainable: whether optimizers may change its weights.
        dtype: `"float32"` or `"float64"`; `config.floatx()` where None.
        **options: `input_shape` (or `batch_input_shape`, `input_dim`) on the first layer of a Sequential model, as
            Keras 2 spells it.

    Raises:
        ValueError, TypeError: an option that is misspelt or not supported.
    """

    not_in_config: ClassVar[dict[str, Any]] = {"autocast": True, "activity_regularizer": None}

    lends: ClassVar[dict[str, int]] = {"forward": 1, "backward": 1, "backward_weights": 1}

    #: What a layer asks of its input's rank; None where any will do.
    ndim: int | None = None
    min_ndim: int | None = None

    #: Whether the layer waits for a shape to be built, and Keras's configs tell that shape.
    has_build_config: ClassVar[bool] = False

    #: Whether the layer takes a list of inputs: `forward` gets a list of arrays then, `backward` returns one, and
    #: wherever a shape is meant there is a list of shapes.
    joins: ClassVar[bool] = False

    #: Whether it computes with NumPy's matrix products, whose bits depend on the number of threads.
    uses_blas: ClassVar[bool] = False

    #: Whether a frozen layer (`trainable = False`) does in training what it does outside, as BatchNormalization.
    rests_when_frozen: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _recording_shape(cls.build)  # type: ignore[method-assign]
            if "has_build_config" not in cls.__dict__:
                cls.has_build_config = True

    def __init__(self, *, name: str | None = None, trainable: bool = True, dtype: Any = None, **options: Any):
        owner = type(self).__name__ if name is None else f"{type(self).__name__} layer {name!r}"
        if name is not None and "/" in name:
            raise ValueError(f"A layer's name is a string without '/', received {name!r}.")
        self.dtype = checked_dtype(dtype, owner)
        self.batch_input_shape = first_shape(options, owner)
        self.refuse_options(options, owner)
        self.name = auto_name(type(self).__name__) if name is None else name
        self.built = not self.has_build_config
        self.build_input_shape: Shape | None = None
        #: Sizes of axes that the weights were made for; other inputs are refused.
        self.expected_axes: dict[int, int] = {}
        self.nodes: list[Node] = []
        self._kept("variables")
        self._trainable = bool(trainable)

    # ---- what a layer writes ----

    def build(self, input_shape: Shape) -> None:
        """Declare the weights, now that the shape of the input is known; `input_shape[0]`, the batch, is None."""
        self._build_inside(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output for a shape of the input."""
        return tuple(input_shape)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """Return the output, and whatever `backward` will need."""
        raise TypeError(f"Layer {self.name!r}: class {type(self).__name__} has no `forward(self, x, training)`.")

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Add d loss / d weight to each weight's `gradient`, and return d loss / d x."""
        raise TypeError(f"Layer {self.name!r}: class {type(self).__name__} has no `backward(self, dy, cache)`.")

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        """Do as `backward` where nobody needs dx, as in the first layer."""
        self.backward(dy, cache)

    # ---- what errors say ----

    @property
    def _owner(self) -> str:
        return f"{type(self).__name__} layer {self.name!r}"

    def _positive(self, argument: str, value: Any) -> int:
        """Return an argument as int; ValueError where it isn't a positive integer."""
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
            raise ValueError(f"{self._owner}: `{argument}` is a positive integer, received {value!r}.")
        return int(value)

    def _last_axis(self, input_shape: Shape) -> int:
        """Return the size of the last axis, which must be known, and is expected from now on."""
        size = input_shape[-1]
        if size is None:
            raise ValueError(f"{self._owner}: the last axis of its input must be known, received {input_shape}.")
        self.expected_axes = {-1: size}
        return size

    def check_gradient(self, dy: np.ndarray, shape: tuple[int, ...]) -> None:
        """Raise ValueError where d loss / d y hasn't the shape of y: machine code would not notice."""
        if dy.shape != shape:
            raise ValueError(
                f"{self._owner}: expected a gradient of the shape of its output, {shape}, received {dy.shape}. Does "
                "the `backward` of the layer after it return dx in the shape of x?"
            )

    # ---- calling ----

    def __call__(self, inputs: Any, *others: Any, training: bool | None = None, **arguments: Any) -> Any:
        """Compute the output of an array; on a symbol, draw a node of a graph instead.

        Args:
            inputs: an array or a symbol; a list of them where the layer joins several.
            training: whether Dropout and its like are active; False where None.  On a symbol: what holds where the
                model is called without saying it, as `model(x)`; `fit`, `evaluate` and `predict` always say it.
            *others, **arguments: taken to be refused by name.

        Raises:
            ValueError: an input of a rank or size that this layer can't take, or another number of inputs; something
                besides them that is not given by its name.
            TypeError: an argument that this layer doesn't have.
        """
        self._refuse(others, arguments, training)
        xs = self._listed(inputs)
        if any(isinstance(a, Symbol) for a in xs):
            shape = self._as_given([a.shape for a in xs])
            self.ensure_built(shape)
            node = Node(self, tuple(xs), self.compute_output_shape(shape), training=training)
            self.nodes.append(node)
            return node.output
        xs = [np.require(np.asarray(a), self.dtype, ["C", "W"]) for a in xs]  # "W": see `graph.Graph.forward`
        self.check_input(self._as_given([a.shape for a in xs]))
        self.ensure_built(self._as_given([(None, *a.shape[1:]) for a in xs]))
        with np.errstate(all="ignore"), named_within(self):  # what overflows is inf, as everywhere in floating point
            return returned(self.forward(self._as_given(xs), self.is_active(training))[0], xs)

    @property
    def passes_on(self) -> bool:
        """Whether the layer returns its very input, in training too, as a Dropout that drops nothing."""
        return False

    def is_active(self, training: bool | None) -> bool:
        """Return what `forward` is told where a call says `training`: False also for a frozen layer that rests."""
        return bool(training) and not (self.rests_when_frozen and not self.trainable)

    def _refuse(self, others: tuple[Any, ...], arguments: dict[str, Any], training: Any) -> None:
        """Raise where a call has more than the inputs and `training`, or that is neither true nor false nor None."""
        if training is not None:
            as_truth(self._owner, "training", training)
        who = f"{type(self).__name__} layer {self.name!r}"
        if others:
            raise ValueError(
                f"{who}: only inputs are given without a name, and several of them in a list; received {others[0]!r} "
                "besides. Write training=..., if that is meant."
            )
        if arguments:
            raise TypeError(f"{who}: got an unexpected keyword argument {next(iter(arguments))!r}; it has `training`.")

    def _listed(self, x: Any) -> list[Any]:
        """Return the inputs as a list, of one where the layer doesn't join."""
        several = isinstance(x, (list, tuple)) and (self.joins or any(isinstance(a, Symbol) for a in x))
        if several != self.joins:
            found = f"a list of {len(x)}" if several else f"{x!r}" if isinstance(x, Symbol) else type(x).__name__
            expected = "a list of inputs, such as [a, b]" if self.joins else "1 input"
            raise ValueError(f"{self._owner}: expected {expected}, received {found}.")
        xs = list(x) if several else [x]
        if len({isinstance(a, Symbol) for a in xs}) > 1:
            raise ValueError(f"Layer {self.name!r}: its inputs are symbols or arrays, not some of each.")
        return xs

    def _as_given(self, values: list[Any]) -> Any:
        """Return the list where the layer joins, else its only element."""
        return values if self.joins else values[0]

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for this shape if that hasn't happened; check that the shape fits either way."""
        self.check_input(input_shape)
        if not self.built:
            self.build(fixed_shape(input_shape))
            self.build_input_shape = fixed_shape(input_shape)
            self.built = True

    def check_input(self, shape: Shape) -> None:
        """Raise ValueError where the rank or an axis of the input doesn't fit this layer."""
        problem = None
        if self.ndim is not None and len(shape) != self.ndim:
            problem = f"expected ndim={self.ndim}, found ndim={len(shape)}"
        elif self.min_ndim is not None and len(shape) < self.min_ndim:
            problem = f"expected min_ndim={self.min_ndim}, found ndim={len(shape)}"
        else:
            for axis, size in self.expected_axes.items():
                if shape[axis] not in (size, None):
                    problem = f"expected axis {axis} of input shape to have value {size}"
        if problem:
            raise ValueError(
                f"Input 0 of layer '{self.name}' is incompatible with the layer: {problem}. "
                f"Full shape received: {tuple(shape)}.{self._advice(shape)}"
            )

    def _advice(self, shape: Shape) -> str:
        if self.ndim == 4 and len(shape) == 3:
            return " Images need a channel axis: x.reshape(-1, height, width, channels)."
        if len(shape) == 1:
            return " Give a batch of samples: x[None] for a single one."
        if self.built and self.build_input_shape is not None:
            return f" The layer was built for inputs of shape {self.build_input_shape}."
        return ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _recording_shape(build: Any) -> Any:
    """Wrap a class's `build`: a direct call, too, marks the layer as built; one that fails leaves it as it was."""

    @functools.wraps(build)
    def wrapped(self: Layer, input_shape: Shape | None = None) -> None:
        if isinstance(input_shape, (str, int)):
            raise ArgumentError(f"{self._owner}: build needs a shape, such as (None, 784), received {input_shape!r}.")
        shape = None if input_shape is None else fixed_shape(input_shape)
        with self._whole_or_not(), named_within(self):  # half of its weights would otherwise be declared twice
            build(self, shape)
            self.build_input_shape = shape
            self.built = True
        if type(self).build is wrapped:  # else a derived class goes on
            self._lock_state()

    return wrapped


Layer.build = _recording_shape(Layer.build)  # type: ignore[method-assign]
