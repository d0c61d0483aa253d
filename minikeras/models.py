"""Models: layers put together.  `Model` is a graph between two symbols, `Sequential` a chain of layers.

What a model can do with data (compile, fit, evaluate, predict) stands in `training`.  Users call this room; it
calls `graph`, `training`, `layers`, `parameters`, `saving`, `console`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import saving
from .graph import Graph
from .layers.base import Layer, Shape, checked_shape, dtype_policy, set_all
from .layers.core import InputLayer
from .names import did_you_mean, missing_attribute
from .parameters import Parameters, Variable
from .serialization import deserialize, keras_class, serialize
from .symbolic import Symbol
from .training import Trainer


@keras_class("keras")
class Model(Trainer, Layer):
    """The layers between an input symbol and an output symbol, trained and used as one.

        inputs = keras.Input((784,))
        outputs = keras.layers.Dense(10, activation="softmax")(inputs)
        model = keras.Model(inputs, outputs)

    Being a layer itself, a model can be part of another one.

    Args:
        inputs: the symbol where data enters.
        outputs: the symbol that the model computes.
        name: None for `model`, `model_1`, ...
        **options: those of `Layer`.
    """

    def __init__(self, inputs: Symbol | None = None, outputs: Symbol | None = None, name: str | None = None, **options):
        super().__init__(name=name, **options)
        self._forget_compile()
        self.graph: Graph | None = None
        if inputs is not None or outputs is not None:
            if not (isinstance(inputs, Symbol) and isinstance(outputs, Symbol)):
                raise TypeError(
                    f"Model: `inputs` and `outputs` are symbols, as `keras.Input(...)` and calls of layers return "
                    f"them; received {inputs!r} and {outputs!r}."
                )
            self._connect(inputs, outputs)

    def _connect(self, inputs: Symbol, outputs: Symbol) -> None:
        self.graph = Graph(inputs, outputs)
        self.built, self.build_input_shape = True, inputs.shape
        for layer in self.layers:
            if not isinstance(layer, Model):  # whose weights have their paths already
                for v in layer.variables:
                    v.path = f"{self.name}/{layer.name}/{v.name}"

    # ---- as a layer ----

    def build(self, input_shape: Shape) -> None:
        """Check that the model is connected; it is from the start."""
        if self.graph is None:
            raise ValueError(
                f"Model {self.name!r} has no layers yet: give `inputs` and `outputs`, or use keras.Sequential. "
                "A subclass with a `call` of its own needs automatic differentiation, which this engine has not."
            )

    def check_input(self, shape: Shape) -> None:
        """Raise ValueError where a batch of this shape doesn't fit the model."""
        if self.graph is None:
            return
        expected = self.graph.inputs.shape
        agrees = len(shape) == len(expected) and all(
            None in (n, e) or n == e for n, e in zip(shape, expected, strict=True)
        )
        if not agrees:
            first = self.layers[0].name if self.layers else self.name
            raise ValueError(
                f"Input 0 of model {self.name!r} (layer {first!r}) is incompatible with it: "
                f"expected shape={expected}, found shape={tuple(shape)}.{_reshape_advice(shape, expected)}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return (input_shape[0], *self.graph.outputs.shape[1:])

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """Run all layers; the cache is the list of theirs."""
        caches: list[Any] = []
        return self.graph.forward(x, training, caches), caches

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Run all layers' `backward` in reverse order."""
        return self.graph.backward(dy, cache, self.graph.needed(wants_dx=True))

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self.graph.backward(dy, cache, self.graph.needed())

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Compute the output of a batch; on a symbol, become a node of another model's graph."""
        if not isinstance(x, Symbol):
            x = self._adapted(np.asarray(x))
        return super().__call__(x, training)

    # ---- what is inside ----

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order they run, without the input's."""
        steps = self.graph.steps if self.graph else ()
        return list(dict.fromkeys(layer for layer, _ in steps))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by index.

        Raises:
            ValueError: there is none of that name or index, or not just one of the two is given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer: expected either a name or an index.")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"get_layer: no layer {index}; the model has {len(layers)} layers.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(f"No such layer: {name}. Existing layers are: {names}. {did_you_mean(name, names)}")

    @property
    def weights(self) -> list[Variable]:
        """The weights of all layers, layer by layer."""
        return self._declared()

    def _declared(self) -> list[Variable]:
        return list(dict.fromkeys(v for layer in self.layers for v in layer.weights))

    @property
    def trainable(self) -> bool:
        """Whether optimizers may change the weights; setting it sets that of every layer."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = value

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Copy the weights in, in the order of `weights`.

        Raises:
            ValueError: another number of arrays, or another shape; nothing has changed then.
        """
        set_all(self.weights, weights, f"Model {self.name!r}")

    def count_params(self) -> int:
        """Return the number of weights."""
        if not self.built:
            return super().count_params()
        return sum(v.value.size for v in self.weights)

    def gather(self) -> None:
        """Move the weights that live nowhere yet into one vector, so that an optimizer is one loop."""
        homeless = [v for v in self.weights if v.home is None]
        if homeless:
            Parameters(homeless)

    @property
    def inputs(self) -> list[Symbol]:
        """The symbols where data enters."""
        return [self._built_graph().inputs]

    @property
    def outputs(self) -> list[Symbol]:
        """The symbols that the model computes."""
        return [self._built_graph().outputs]

    @property
    def input_shape(self) -> Shape:
        """The shape of a batch, with None for its size."""
        return self._built_graph().inputs.shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the output of a batch."""
        return self._built_graph().outputs.shape

    def _built_graph(self) -> Graph:
        if self.graph is None:
            raise AttributeError(
                f"Model '{self.name}' isn't built yet, so its shapes are not known. Start it with "
                "`keras.Input(shape)`, call `build(input_shape)`, or fit it."
            )
        return self.graph

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | None = None,
    ) -> None:
        """Print the table of layers, their output shapes and numbers of weights."""
        from . import console

        console.summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def explain(self, x: Any, y: Any = None, print_fn: Callable[[str], Any] | None = None) -> Any:
        """Follow one sample through the layers, print shapes, weights, costs and numbers, and return them as rows.

        Args:
            x: one sample, with or without a batch axis; a list where the model has several inputs.
            y: its target; where given, the way back is explained too, with the norm of every gradient.
            print_fn: receives the text in one call, instead of standard output.

        Returns:
            An `explaining.Explanation`: `rows`, and sums over them.

        Raises:
            ValueError: the model isn't built, or a target for a model without a loss; several samples, another shape.
        """
        from . import explaining

        return explaining.explain(self, x, y, print_fn)

    # ---- as text ----

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the model; so far only Sequential models have that."""
        raise TypeError(f"Model {self.name!r}: only keras.Sequential models have a config.")

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture and the compile arguments, without the weights, as Keras 3's JSON."""
        import json

        return json.dumps(serialize(self), **kwargs)

    # ---- as a file ----

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Write the whole model to a `.keras` file, or a `.h5` file of Keras 2; see `saving.save_model`."""
        saving.save_model(self, filepath, overwrite, zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write weights and optimizer state to a `.weights.h5` file; see `saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite, max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Fill the model from a file of weights; see `saving.load_weights`."""
        saving.load_weights(self, filepath, skip_mismatch, **kwargs)


@keras_class("keras")
class Sequential(Model):
    """A chain of layers, each fed by the one before.

        model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])

    The shape of the input comes from an `Input` in front, from `input_shape=` on the first layer, from
    `build(input_shape)`, or from the first batch of data.

    Args:
        layers: a list of layers, or one layer; None to `add` them later.
        trainable: whether optimizers may change the weights.
        name: None for `sequential`, `sequential_1`, ...

    Raises:
        TypeError, ValueError: something that is no layer, or a name that occurs twice.
    """

    def __init__(
        self, layers: Iterable[Layer] | Layer | None = None, trainable: bool = True, name: str | None = None, **options
    ):
        super().__init__(name=name, **options)
        self._layers: list[Layer] = []
        self._input_layer: InputLayer | None = None
        for layer in [layers] if isinstance(layers, (Layer, Symbol)) else layers or ():
            self._append(layer)
        if not trainable:
            self.trainable = False
        self._rebuild()

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Append a layer.

        Raises:
            ValueError: something that is no layer, or a name that is taken.
        """
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer, and return it."""
        if not self._layers:
            raise ValueError(f"Sequential model {self.name!r} has no layer to pop.")
        layer = self._layers.pop()
        self.built, self.graph = False, None
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Symbol) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            hint = " Did you forget the parentheses?" if isinstance(layer, type) else ""
            raise ValueError(
                f"Only layers can be added to a Sequential model, received {layer!r} "
                f"(of type {type(layer).__name__}).{hint}"
            )
        if isinstance(layer, InputLayer):
            if self._layers or self._input_layer:
                raise ValueError(f"Sequential model {self.name!r}: an Input comes first and only once.")
            self._input_layer = layer
            return
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(
                f"All layers of a Sequential model have names of their own; {layer.name!r} is there already. "
                "Pass another `name`."
            )
        if not self._layers and self._input_layer is None and layer.batch_input_shape is not None:
            self._input_layer = InputLayer(batch_shape=layer.batch_input_shape, dtype=layer.dtype)
        self._layers.append(layer)

    def _rebuild(self) -> None:
        """Chain the layers, if the shape of the input is known."""
        if self._input_layer is not None and self._layers:
            self.build(self._input_layer.batch_shape)

    def build(self, input_shape: Shape | None = None) -> None:
        """Chain the layers for inputs of this shape, batch axis first: `build((None, 784))`.

        Raises:
            ValueError: a layer doesn't fit the output of the one before.
        """
        if input_shape is None:
            raise ValueError(f"Sequential model {self.name!r}: build needs the input's shape, such as (None, 784).")
        if not self._layers:
            raise ValueError(f"Sequential model {self.name!r} has no layers yet; call `add` first.")
        shape = checked_shape(input_shape, f"Sequential model {self.name!r}", "input_shape")
        if self._input_layer is None or self._input_layer.batch_shape != shape:
            self._input_layer = InputLayer(batch_shape=shape, dtype=self._layers[0].dtype)
        symbol = self._input_layer.output
        for layer in self._layers:
            symbol = layer(symbol)
        self._connect(self._input_layer.output, symbol)

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order they run, without the input's."""
        return list(self._layers)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output of the last layer."""
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the layers' configs in a list, as Keras 3 writes them."""
        layers = ([self._input_layer] if self._input_layer else []) + self._layers
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policy(self.dtype),
            "layers": [serialize(layer) for layer in layers],
        }
        if self.built:
            config["build_input_shape"] = self._input_layer.batch_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> "Sequential":
        """Build the model that `get_config` described, with fresh weights."""
        layers = [deserialize(layer, custom_objects) for layer in config["layers"]]
        model = cls(layers, trainable=config.get("trainable", True), name=config.get("name"), dtype=config.get("dtype"))
        shape = config.get("build_input_shape")
        if shape and not model.built:
            model.build(tuple(shape))
        return model


def model_from_json(text: str, custom_objects: dict[str, type] | None = None) -> Model:
    """Build the model that `to_json` described, with fresh weights; compiled, if it was."""
    import json

    config = json.loads(text)
    if config.get("class_name") != "Sequential":
        raise ValueError(f"model_from_json: expected a Sequential model, received {config.get('class_name')!r}.")
    model = Sequential.from_config(config["config"], custom_objects)
    if config.get("compile_config"):
        model.compile_from_config(config["compile_config"])
    return model


def clone_model(model: Model) -> Model:
    """Return a new model of the same architecture, with fresh weights."""
    return type(model).from_config(model.get_config())


def _reshape_advice(shape: Shape, expected: Shape) -> str:
    """Say how a batch of one shape becomes one of the other, where a reshape is all it takes."""
    inner, wanted = shape[1:], expected[1:]
    if None in inner or None in wanted:
        return ""
    if int(np.prod(inner)) == int(np.prod(wanted)):
        return f" The sizes agree: x.reshape(-1, {', '.join(map(str, wanted))}) fits."
    if tuple(shape) == wanted:
        return " That is a single sample; give a batch: x[None]."
    return ""


load_model, save_model = saving.load_model, saving.save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

__getattr__ = missing_attribute(__name__, __all__)
