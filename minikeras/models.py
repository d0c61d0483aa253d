"""Models: layers put together.  `Model` is a graph between symbols, `Sequential` a chain of layers.

What a model can do with data (compile, fit, evaluate, predict) stands in `training`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from . import saving
from .common.arguments import checked
from .common.keras2 import OldMethods
from .common.names import auto_name, refuse_other_names
from .common.serialization import constructor_arguments, deserialize, keras_class, serialize
from .engine.cloning import clone_model
from .engine.graph_config import graph_config, symbols_of
from .engine.state_tree import get_state_tree, set_state_tree
from .engine.training import Trainer
from .layers.base import Layer
from .layers.core import InputLayer
from .layers.shapes import Shape, checked_shape, dtype_policy
from .layers.symbols import Node, Symbol
from .layers.tracking import named_within
from .saving.keras2 import completed, new_form


@keras_class("keras")
class Model(Trainer, OldMethods):
    """The layers between input symbols and output symbols, trained and used as one.

        inputs = keras.Input((784,))
        outputs = keras.layers.Dense(10, activation="softmax")(inputs)
        model = keras.Model(inputs, outputs)

    Several inputs or outputs are a list, tuple or dictionary of symbols; data, targets and predictions then have the
    same form.  Symbols may come from the middle of another model: both models share the layers in between.  Being a
    layer itself, a model can be part of another one.

    A class derived from it either builds its graph in `__init__` and ends with `super().__init__(inputs, outputs)`; or
    it writes `call(self, x)`, and then computes but can't be trained: that needs automatic differentiation.

    Args:
        inputs: the symbols where data enter.
        outputs: the symbols that the model computes.
        name: None for `functional`, `functional_1`, ...
        **options: those of `Layer`.

    Raises:
        TypeError: something that is no symbol.
        ValueError: outputs that need further inputs; two layers of one name.
    """

    #: Whether configs describe the graph between the symbols.
    is_functional: ClassVar[bool] = False

    misread = "It is made from symbols: Model(inputs, outputs)."

    def __new__(cls, *args: Any, **kwargs: Any) -> "Model":
        """Make a `Functional` of a plain `Model(inputs, outputs)`, as Keras does."""
        return super().__new__(Functional if cls is Model and (args or "inputs" in kwargs) else cls, *args, **kwargs)

    @checked
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
        from .inspecting.summary import summary

        summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def explain(self, x: Any, y: Any = None, print_fn: Callable[[str], Any] | None = None) -> Any:
        """Follow one sample through the layers, print shapes, weights, costs and numbers, and return them as rows.

        Args:
            x: one sample, with or without a batch axis; a list or a dictionary where the model has several inputs.
            y: its target; where given, the way back is explained too, with the norm of every gradient.
            print_fn: receives the text in one call, instead of standard output.

        Returns:
            An `explaining.Explanation`: `rows`, and sums over them.

        Raises:
            ValueError: the model isn't built, or a target for a model without a loss; several samples, another shape.
        """
        from .inspecting import explaining

        return explaining.explain(self, x, y, print_fn)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return all numbers of the model by the paths of their variables; see `engine.state_tree`."""
        return get_state_tree(self, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Take over the numbers of such a tree, or of a part of it."""
        set_state_tree(self, state_tree)

    # ---- as text ----

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the model: the graph; or, of a class of one's own, its constructor's arguments.

        Raises:
            NotImplementedError: arguments that no config can hold.
        """
        if self.graph is not None and self.is_functional:
            graph = graph_config(self.graph, self._inputs, self._outputs)
            return {"name": self.name, "trainable": self.trainable, **graph}
        if type(self) is Model:
            raise TypeError(f"Model {self.name!r} has no config: it has no graph, and its class no constructor.")
        return super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> "Model":
        """Build the model that `get_config` described, with fresh weights."""
        if "input_layers" not in config:
            return super().from_config(config)
        inputs, outputs, layers = symbols_of(completed(config), custom_objects)
        rest = {k: v for k, v in config.items() if k not in ("layers", "input_layers", "output_layers", "dtype")}
        if cls is not Model and cls is not Functional:
            rest = {k: v for k, v in rest.items() if k in constructor_arguments(cls)}
        model = (Functional if cls is Model else cls)(inputs=inputs, outputs=outputs, **rest)
        unused = layers - set(model.layers)
        if unused:
            names = ", ".join(sorted(repr(layer.name) for layer in unused))
            raise ValueError(f"the config of the model has layers that its outputs don't depend on: {names}.")
        return model

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture and the compile arguments, without the weights, as Keras 3's JSON."""
        import json

        return json.dumps(serialize(self), **kwargs)

    # ---- as a file ----

    @checked
    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Write the whole model to a `.keras` file, or a `.h5` file of Keras 2; see `saving.save_model`."""
        saving.save_model(self, filepath, overwrite, zipped, **kwargs)

    @checked
    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write weights and optimizer state to a `.weights.h5` file; see `saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite, max_shard_size)

    @checked
    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Fill the model from a file of weights; see `saving.load_weights`."""
        saving.load_weights(self, filepath, skip_mismatch, **kwargs)


@keras_class("keras.src.models.functional")
class Functional(Model):
    """What `Model(inputs, outputs)` makes; see there."""

    is_functional = True

    def extra_config(self) -> dict[str, Any]:
        """Return what Keras writes beside the config."""
        return {"registered_name": "Functional", **super().extra_config()}


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

    _is_deferred = False  # whether the first batch has said what the input is, and no Input

    misread = "Several layers are given in a list: Sequential([Flatten(), Dense(10)])."

    def __init__(
        self,
        layers: Iterable[Layer | Symbol] | Layer | None = None,
        trainable: bool = True,
        name: str | None = None,
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self._layers: list[Layer] = []
        self._input_layer: InputLayer | None = None
        self._chain: list[Node] = []
        self._extend([layers] if isinstance(layers, (Layer, Symbol)) else layers or ())
        if not trainable:
            self.trainable = False
        self._rebuild()

    @checked
    def add(self, layer: Layer | Symbol, rebuild: bool = True) -> None:
        """Append a layer.

        Raises:
            ValueError: something that is no layer, or a name that is taken.
        """
        with self._changing_layers():
            self._extend([layer])
            if rebuild:
                self._rebuild()

    @checked
    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer, and return it."""
        if not self._layers:
            raise ValueError(f"Sequential model {self.name!r} has no layer to pop.")
        layer = self._layers[-1]
        with self._changing_layers():
            self._layers.pop()
            if rebuild:
                self._rebuild()
        return layer

    def _extend(self, layers: Iterable[Any]) -> None:
        names = {layer.name for layer in self._layers}
        for layer in layers:
            self._append(layer, names)

    @contextlib.contextmanager
    def _changing_layers(self) -> Iterator[None]:
        """Begin the block without a graph; where it fails, the model is left as it was."""
        before = {**vars(self), "_layers": list(self._layers)}
        try:
            self.built, self._graph = False, None
            yield
        except BaseException:
            vars(self).update(before)
            raise

    def _append(self, layer: Any, names: set[str]) -> None:
        """Append a layer whose name is none of `names`, and add it there."""
        if isinstance(layer, Symbol) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            hint = " Did you forget the parentheses?" if isinstance(layer, type) else ""
            raise ValueError(
                f"Only instances of `keras.Layer` can be added to a Sequential model. Received: {layer!r} "
                f"(of type {type(layer).__name__}). Several layers are given in a list.{hint}"
            )
        if isinstance(layer, InputLayer):
            if self._layers or self._input_layer:
                raise ValueError(
                    f"Sequential model {self.name!r} has already been configured: an Input comes first and only once."
                )
            self._input_layer = layer
            return
        if layer.name in names:
            raise ValueError(
                f"All layers of a Sequential model have names of their own; {layer.name!r} is there already. "
                "Pass another `name`."
            )
        if not self._layers and self._input_layer is None and layer.batch_input_shape is not None:
            self._input_layer = InputLayer(batch_shape=layer.batch_input_shape, dtype=layer.dtype)
        self._layers.append(layer)
        names.add(layer.name)

    def _rebuild(self) -> None:
        """Chain the layers, if the shape of the input is known: from an Input, or from a model in the first place."""
        if self._input_layer is not None and self._layers:
            self.build(self._input_layer.batch_shape)
        elif len(self._layers) > 1 and isinstance(self._layers[0], Model) and self._layers[0].graph is not None:
            shape = self._layers[0].input_shape
            if isinstance(shape, tuple):
                self.build(shape)

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
        self._is_deferred = self._is_deferred or self._input_layer is None
        if self._input_layer is None or self._input_layer.batch_shape != shape:
            self._input_layer = InputLayer(batch_shape=shape, dtype=self._layers[0].dtype)
        before = set(self._chain)
        for layer in self._layers:  # of the chain as it was, nothing stays
            layer.nodes = [node for node in layer.nodes if node not in before]
        symbol = self._input_layer.output
        self._chain = []
        with named_within(self):
            for layer in self._layers:
                symbol = layer(symbol)
                self._chain.append(symbol.node)
        auto_name("Functional")  # Keras makes a functional model here: the next one's name is the same
        self._connect(self._input_layer.output, symbol)
        self.build_input_shape = self._input_layer.batch_shape
        for layer in self._layers:
            for v in layer.weights:
                if v.path.partition("/")[0] == layer.name:  # it was built before it came here
                    v.path = f"{self.name}/{v.path}"

    def _inside(self) -> list[Layer]:
        return vars(self).get("_layers", [])

    def _listed_layers(self) -> list[Layer]:
        return list(self._layers)

    def _lock_state(self) -> None:
        """Go on taking layers: `add` may come at any time."""

    def _takes_too(self, shape: Shape) -> bool:
        """Whether the layers take this shape: other sizes, as in Keras; without an Input also another rank."""
        if len(shape) != len(self.input_shape) and not self._is_deferred:
            return False
        try:
            for layer in self._layers:
                layer.check_input(shape)
                shape = layer.compute_output_shape(shape)
        except ValueError:
            return False
        return True

    def _output_shapes(self, x: Any) -> list[Shape]:
        usual = super()._output_shapes(x)
        return usual if x.shape[1:] == self.input_shape[1:] else [self.compute_output_shape((None, *x.shape[1:]))]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output of the last layer."""
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the layers' configs in a list, as Keras 3 writes them."""
        layers = ([self._input_layer] if self._input_layer else []) + self._layers
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policy(self.dtype),
            "layers": [serialize(layer) for layer in layers],
        }
        if self.built:
            config["build_input_shape"] = self.input_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> "Sequential":
        """Build the model that `get_config` described, with fresh weights."""
        config = completed(config)
        layers = [deserialize(layer, custom_objects) for layer in config["layers"]]
        model = cls(layers, trainable=config.get("trainable", True), name=config.get("name"), dtype=config.get("dtype"))
        shape = config.get("build_input_shape")
        if shape and not model.built:
            model.build(tuple(shape))
        return model


@checked
def model_from_json(json_string: str, custom_objects: dict[str, type] | None = None) -> Model:
    """Build the model that `to_json` described, with fresh weights; compiled, if it was."""
    import json

    config = json.loads(json_string)
    if isinstance(config, dict) and "module" not in config:
        config = new_form(config)
    model = deserialize(config, custom_objects)
    if not isinstance(model, Model):
        kind = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise ValueError(f"model_from_json: expected a model, received {kind!r}.")
    if config.get("compile_config"):
        model.compile_from_config(config["compile_config"])
    return model


load_model, save_model = saving.load_model, saving.save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

refuse_other_names(__name__, __all__)
