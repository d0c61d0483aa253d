"""Models: layers put together.  `Model` is a graph between symbols, `Sequential` a chain of layers.

What a model can do with data (compile, fit, evaluate, predict) stands in `training`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from . import saving
from .common.arguments import as_truth, checked
from .common.lending import owned
from .common.names import auto_name, did_you_mean, missing_attribute
from .common.serialization import constructor_arguments, deserialize, keras_class, serialize
from .common.tree import aligned, flat, is_nested, packed
from .engine.graph import Graph
from .engine.graph_config import graph_config, symbols_of
from .engine.training import Trainer
from .layers.base import Layer, Shape, checked_shape, dtype_policy, set_all
from .layers.core import InputLayer
from .layers.symbols import Node, Symbol
from .variables import Parameters, Variable


@keras_class("keras")
class Model(Trainer, Layer):
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

    lends: ClassVar[dict[str, int]] = {**Layer.lends, "call": 1, "train_step": 3, "test_step": 3}

    misread = "It is made from symbols: Model(inputs, outputs)."

    def __new__(cls, *args: Any, **kwargs: Any) -> "Model":
        """Make a `Functional` of a plain `Model(inputs, outputs)`, as Keras does."""
        return super().__new__(Functional if cls is Model and (args or "inputs" in kwargs) else cls)

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **options):
        super().__init__(name=name, **options)
        self._forget_compile()
        self._graph: Graph | None = None
        self._inputs: Any = None  # the symbols, in the form that the user gave
        self._outputs: Any = None
        if inputs is not None or outputs is not None:
            for argument, symbols in (("inputs", inputs), ("outputs", outputs)):
                if not (flat(symbols) and all(isinstance(s, Symbol) for s in flat(symbols))):
                    raise TypeError(
                        f"Model: `{argument}` are symbols, as `keras.Input(...)` and calls of layers return them, or a "
                        f"list or dictionary of symbols; received {symbols!r}."
                    )
            kinds = [s.dtype for s in flat(inputs) if s.dtype.startswith("float")]
            if "dtype" not in options and kinds:
                self.dtype = kinds[0]
            self._connect(*_from_inputs(inputs, outputs))
            if not options.get("trainable", True):
                self.trainable = False

    def _connect(self, inputs: Any, outputs: Any) -> None:
        self._inputs, self._outputs = inputs, outputs
        entrances, exits = flat(inputs), flat(outputs)
        alone = len(exits) == 1 and not isinstance(outputs, dict)
        graph = Graph(entrances[0] if len(entrances) == 1 else entrances, exits[0] if alone else exits)
        self._has_several_inputs, self._has_several_outputs = len(entrances) > 1, not alone
        self.build_input_shape = None
        self._graph, self.built = graph, True

    @property
    def graph(self) -> Graph | None:
        """The calls between the model's symbols; None where it has none (yet).

        A model among the layers may have got, or lost, layers of its own: the graph is then made anew.

        Raises:
            ValueError: that model's output has another shape now, for which the layers after it weren't made.
        """
        graph = self._graph
        if graph is None or not graph.inner:  # the usual case
            return graph
        if graph.is_outdated:
            for node in graph.calls:
                if isinstance(node, Node) and isinstance(node.layer, Model):
                    expected = [s.shape for s in node.outputs]
                    found = node.layer.graph and node.layer._shapes_of([s.shape for s in node.inputs])
                    if found != expected:
                        raise ValueError(
                            f"Model {self.name!r}: its layer {node.layer.name!r} has changed, and now returns shape "
                            f"{found} in the place of {expected}. Make the model anew from its layers."
                        )
            graph = self._graph = Graph(graph.inputs, graph.outputs)
        return graph

    # ---- as a layer ----

    def build(self, input_shape: Shape) -> None:
        """Check that the model is connected; it is from the start."""
        if self.graph is None and not self._writes_call:
            raise ValueError(
                f"Model {self.name!r} has no layers yet: give `inputs` and `outputs`, use keras.Sequential, or write "
                "`call`."
            )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute the outputs of a batch; derived classes may write their own, of calls of layers."""
        return self(inputs, training=training)

    @property
    def _writes_call(self) -> bool:
        return type(self).call is not Model.call

    def check_input(self, shape: Any) -> None:
        """Raise ValueError where a batch of this shape doesn't fit the model; a list of shapes for several inputs."""
        graph = self.graph
        if graph is None:
            return
        only = graph.inputs
        if type(shape) is tuple and isinstance(only, Symbol) and (None, *shape[1:]) == only.shape:  # the usual case
            return
        shapes = shape if isinstance(shape, list) else [shape]
        for i, (found, symbol) in enumerate(zip(shapes, graph.entrances, strict=True)):
            expected = symbol.shape
            if found[1:] == expected[1:] and expected[0] is None:
                continue
            agrees = len(found) == len(expected) and all(
                None in (n, e) or n == e for n, e in zip(found, expected, strict=True)
            )
            if not agrees:
                first = symbol.layer.name if len(shapes) > 1 else self._first_layer_name
                raise ValueError(
                    f"Input {i} of model {self.name!r} (layer {first!r}) is incompatible with it: "
                    f"expected shape={expected}, found shape={tuple(found)}.{_reshape_advice(found, expected)}"
                )

    @property
    def _first_layer_name(self) -> str:
        return next((layer.name for layer in self.layers if not isinstance(layer, InputLayer)), self.name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, in the form of the outputs; of `input_shape` the form of the inputs."""
        if self.graph is None:
            raise ValueError(f"Model {self.name!r}: the shape of its output is not known; it has no graph.")
        several = isinstance(input_shape, (list, dict)) or (input_shape and isinstance(input_shape[0], (list, tuple)))
        shapes = self._shapes_of(input_shape if several else [input_shape])
        return shapes[0] if not is_nested(self._outputs) else packed(self._outputs, shapes)

    def _shapes_of(self, input_shapes: Any) -> list[Shape]:
        """Return the shapes of all outputs."""
        if isinstance(input_shapes, dict):
            input_shapes = [input_shapes[k] for k in sorted(input_shapes)]
        shapes: list[Any] = [tuple(s) for s in input_shapes]
        for layer, places in self.graph.steps:
            shapes.append(layer.compute_output_shape([shapes[p] for p in places] if layer.joins else shapes[places[0]]))
        return [shapes[end] for end in self.graph.ends]

    def forward(self, x: Any, training: bool | None) -> tuple[Any, Any]:
        """Run all layers; the cache holds theirs."""
        if self.graph is None:
            return self._call(x, training), None
        caches: list[Any] = []
        return self.graph.forward(x, training, caches), caches

    def backward(self, dy: Any, cache: Any) -> Any:
        """Run all layers' `backward` in reverse order."""
        self._check_differentiable()
        return self.graph.backward(dy, cache, self.graph.needed(wants_dx=True))

    def backward_weights(self, dy: Any, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self._check_differentiable()
        self.graph.backward(dy, cache, self.graph.needed())

    def _check_differentiable(self) -> None:
        if self.graph is None and self._writes_call:
            raise TypeError(
                f"Model {self.name!r}: class {type(self).__name__} writes `call`, whose derivative is not known: this "
                "engine has no automatic differentiation. To train it, build a graph in `__init__` and end with "
                "`super().__init__(inputs, outputs)`; or write what is special about it as a Layer with `forward` and "
                "`backward`."
            )

    def _call(self, x: Any, training: bool | None, **arguments: Any) -> Any:
        """Call the `call` of a derived class, with `training` if it takes that."""
        code = getattr(getattr(self.call, "__wrapped__", self.call), "__code__", None)
        if code is not None and "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            arguments["training"] = training
        return self.call(x, **arguments)

    @property
    def inner_graph(self) -> Graph | None:
        """The graph that stands for the model where it is part of another; None where a class runs in its own way."""
        standard = all(getattr(type(self), m) is getattr(Model, m) for m in ("forward", "backward", "backward_weights"))
        return self.graph if standard else None

    def __call__(self, inputs: Any, *others: Any, training: bool | None = None, **arguments: Any) -> Any:
        """Compute the output of a batch; on symbols, become a node of another model's graph.

        Args:
            inputs: arrays or symbols, in the form of the model's inputs or in a list.
            training: see `Layer.__call__`; what is said here outweighs what the calls within were told.
            **arguments: for the `call` of a derived class; else refused, as `others` are.
        """
        x, writes_call = inputs, self.graph is None and self._writes_call
        self._refuse(others, {} if writes_call else arguments, training)
        if writes_call:
            if any(isinstance(a, Symbol) for a in flat(x)):
                return self._call(x, training, **arguments)  # its layers become part of the graph themselves
            self.built = True
            with np.errstate(all="ignore"):
                return self._call(_as_arrays(x, self.dtype), training, **arguments)
        if self.graph is None:
            return super().__call__(x, training=training)
        single = not (self._has_several_inputs or is_nested(x))
        xs = [x] if single else aligned(self._inputs, x, self._input_names, f"Model {self.name!r}")
        kinds = {isinstance(a, Symbol) for a in xs}
        if len(kinds) > 1:
            raise ValueError(f"Model {self.name!r}: its inputs are symbols or arrays, not some of each.")
        if kinds == {True}:
            self.check_input([a.shape for a in xs])
            node = Node(self, tuple(xs), self._shapes_of([a.shape for a in xs]), x, training)
            self.nodes.append(node)
            return packed(self._outputs, node.outputs) if is_nested(self._outputs) else node.output
        entrances = self.graph.entrances
        xs = [self._ranked(np.require(a, self.dtype, ["C", "W"]), s) for a, s in zip(xs, entrances, strict=True)]
        self.check_input([a.shape for a in xs])
        with np.errstate(all="ignore"):
            y = owned(self.forward(xs if len(xs) > 1 else xs[0], training)[0], xs)
        return self._as_outputs(y)

    # ---- what is inside ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs included, as Keras lists them: those farthest from the outputs first.

        Of a class with a `call` of its own: the layers among its attributes, also in lists and dictionaries.
        """
        if self.graph is not None:
            return list(self.graph.layers)
        return list(dict.fromkeys(a for a in flat([*map(_contents, vars(self).values())]) if isinstance(a, Layer)))

    @checked
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
        self._trainable = as_truth(f"Model {self.name!r}", "trainable", value)
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
        """The symbols where data enter, in a list."""
        return list(self._built_graph().entrances)

    @property
    def outputs(self) -> list[Symbol]:
        """The symbols that the model computes, in a list."""
        return list(self._built_graph().exits)

    @property
    def input(self) -> Any:
        """The symbols where data enter, in the form that they were given in."""
        self._built_graph()
        return self._inputs

    @property
    def output(self) -> Any:
        """The symbols that the model computes, in the form that they were given in."""
        self._built_graph()
        return self._outputs

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs' layers."""
        return [symbol.layer.name for symbol in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that compute the outputs: by these, or a dictionary's keys, losses are given."""
        return [symbol.layer.name for symbol in self.outputs]

    @property
    def _input_names(self) -> list[tuple[str, ...]]:
        return [(symbol.layer.name, symbol.name) for symbol in self.inputs]

    @property
    def input_shape(self) -> Any:
        """The shape of a batch, with None for its size; in a list for several inputs."""
        shapes = [symbol.shape for symbol in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output of a batch; in a list for several outputs."""
        shapes = [symbol.shape for symbol in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def _built_graph(self) -> Graph:
        if self.graph is None:
            raise AttributeError(
                f"Model '{self.name}' isn't built yet, so its shapes are not known. Start it with "
                "`keras.Input(shape)`, call `build(input_shape)`, or fit it."
            )
        return self.graph

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
        from .common import console

        console.summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

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

    # ---- as text ----

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the model: the graph; or, of a class of one's own, its constructor's arguments.

        Raises:
            TypeError: a constructor whose arguments are not kept under their names.
        """
        if self.graph is not None and self.is_functional:
            graph = graph_config(self.graph, self._inputs, self._outputs)
            return {"name": self.name, "trainable": self.trainable, **graph}
        own = [n for n in constructor_arguments(type(self)) if n not in ("inputs", "outputs")]
        missing = [n for n in own if not hasattr(self, n)]
        if missing or type(self) is Model:
            raise TypeError(
                f"Model {self.name!r}: class {type(self).__name__} doesn't keep its constructor's argument "
                f"{', '.join(map(repr, missing))} under that name. Store it, or write `get_config`."
            )
        return {**{name: serialize(getattr(self, name)) for name in own}, "dtype": dtype_policy(self.dtype)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> "Model":
        """Build the model that `get_config` described, with fresh weights."""
        if "input_layers" not in config:
            return super().from_config(config)
        inputs, outputs, layers = symbols_of(config, custom_objects)
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

    misread = "Several layers are given in a list: Sequential([Flatten(), Dense(10)])."

    def __init__(
        self, layers: Iterable[Layer] | Layer | None = None, trainable: bool = True, name: str | None = None, **options
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
    def add(self, layer: Layer, rebuild: bool = True) -> None:
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
                f"Only layers can be added to a Sequential model, received {layer!r} "
                f"(of type {type(layer).__name__}).{hint}"
            )
        if isinstance(layer, InputLayer):
            if self._layers or self._input_layer:
                raise ValueError(f"Sequential model {self.name!r}: an Input comes first and only once.")
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
        if self._input_layer is None or self._input_layer.batch_shape != shape:
            self._input_layer = InputLayer(batch_shape=shape, dtype=self._layers[0].dtype)
        before = set(self._chain)
        for layer in self._layers:  # of the chain as it was, nothing stays
            layer.nodes = [node for node in layer.nodes if node not in before]
        symbol = self._input_layer.output
        self._chain = []
        for layer in self._layers:
            symbol = layer(symbol)
            self._chain.append(symbol.node)
        auto_name("Functional")  # Keras makes a functional model here: the next one's name is the same
        self._connect(self._input_layer.output, symbol)
        self.build_input_shape = self._input_layer.batch_shape
        for layer in self.layers:
            if not isinstance(layer, Model):  # whose weights have their paths already
                for v in layer.variables:
                    v.path = f"{self.name}/{layer.name}/{v.name}"

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
        config: dict[str, Any] = {
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


@checked
def model_from_json(json_string: str, custom_objects: dict[str, type] | None = None) -> Model:
    """Build the model that `to_json` described, with fresh weights; compiled, if it was."""
    import json

    config = json.loads(json_string)
    model = deserialize(config, custom_objects)
    if not isinstance(model, Model):
        kind = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise ValueError(f"model_from_json: expected a model, received {kind!r}.")
    if config.get("compile_config"):
        model.compile_from_config(config["compile_config"])
    return model


@checked
def clone_model(model: Model) -> Model:
    """Return a new model of the same architecture, with fresh weights.

    Raises:
        TypeError: something that is no model.
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model: expected a model, received {model!r}.")
    return type(model).from_config(model.get_config())


def _from_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Return symbols between which a graph begins with inputs.

    For a symbol from the middle of another graph, an input of the same shape takes its place, and the calls up to the
    outputs are repeated from there: the layers are the same, and their weights.
    """
    entrances, exits = flat(inputs), flat(outputs)
    if all(symbol.node is None for symbol in entrances):
        return inputs, outputs
    calls = Graph(entrances, exits).calls
    twin = {
        s: s if s.node is None else InputLayer(batch_shape=s.shape, dtype=s.dtype, name=f"{s.name}CLONE").output
        for s in entrances
    }
    for node in calls:
        if isinstance(node, Node):
            given = packed(node.given, [twin[s] for s in flat(node.given)])
            shapes = [s.shape for s in node.outputs]
            again = Node(node.layer, tuple(twin[s] for s in node.inputs), shapes, given, node.training)
            node.layer.nodes.append(again)
            twin.update(zip(node.outputs, again.outputs, strict=True))
    return packed(inputs, [twin[s] for s in entrances]), packed(outputs, [twin[s] for s in exits])


def _contents(value: Any) -> Any:
    """Return the layers in an attribute; of dictionaries in the order of their entries."""
    if isinstance(value, dict):
        value = list(value.values())
    return [_contents(v) for v in value] if isinstance(value, (list, tuple)) else value


def _as_arrays(x: Any, dtype: str) -> Any:
    """Return a batch for a `call` of the user's own: its arrays, in its form."""
    leaves = flat(x) if isinstance(x, dict) or any(getattr(a, "ndim", 0) for a in x) else [x]
    arrays = [np.ascontiguousarray(np.asarray(a), dtype) for a in leaves]
    return packed(x, arrays) if len(leaves) > 1 or isinstance(x, dict) else arrays[0]


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
