"""A graph of layers as a layer: what a model is before it is trained.

Between the symbols where data enter and those that it computes, a network runs all layers forward and backward; it has
their weights, and may be a layer of another network.
"""

import math
import warnings
from typing import Any, ClassVar

import numpy as np

from ..common.arguments import checked
from ..common.names import did_you_mean
from ..common.results import returned
from ..common.tree import flatten, flatten_like, is_nested, pack
from ..layers.base import Layer
from ..layers.core import InputLayer
from ..layers.shapes import Shape
from ..layers.symbols import Node, Symbol
from ..variables import Parameters
from .calls import WrittenAsCall, symbols_like
from .graph import Graph


class Network(WrittenAsCall):
    """The layers between input symbols and output symbols, as one layer; see `models.Model`, which users make."""

    lends: ClassVar[dict[str, int]] = {**Layer.lends, "call": 1}

    not_tracked: ClassVar[frozenset[str]] = Layer.not_tracked | {
        "_chain", "_graph", "_input_layer", "_inputs", "_layers", "_outputs", "_trace",
    }  # fmt: skip

    _kind: ClassVar[str] = "Model"

    _has_several_inputs = _has_several_outputs = False  # settled where the graph is made

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **options: Any):
        super().__init__(name=name, **options)
        self._graph: Graph | None = None
        self._inputs: Any = None  # the symbols, in the form that the user gave
        self._outputs: Any = None
        if inputs is not None or outputs is not None:
            for argument, symbols in (("inputs", inputs), ("outputs", outputs)):
                if not (flatten(symbols) and all(isinstance(s, Symbol) for s in flatten(symbols))):
                    raise TypeError(
                        f"Model: `{argument}` are symbols, as `keras.Input(...)` and calls of layers return them, or a "
                        f"list or dictionary of symbols; received {symbols!r}."
                    )
            kinds = [s.dtype for s in flatten(inputs) if s.dtype.startswith("float")]
            if "dtype" not in options and kinds:
                self.dtype = kinds[0]
            self._connect(*_from_inputs(inputs, outputs))
            if not options.get("trainable", True):
                self.trainable = False

    def _connect(self, inputs: Any, outputs: Any) -> None:
        self._inputs, self._outputs = inputs, outputs
        entrances, exits = flatten(inputs), flatten(outputs)
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
                if isinstance(node, Node) and isinstance(node.layer, Network):
                    expected = [s.shape for s in node.outputs]
                    found = node.layer.inner_graph and node.layer._shapes_of([s.shape for s in node.inputs])
                    if found != expected:
                        raise ValueError(
                            f"Model {self.name!r}: its layer {node.layer.name!r} has changed, and now returns shape "
                            f"{found} in the place of {expected}. Make the model anew from its layers."
                        )
            graph = self._graph = Graph(graph.inputs, graph.outputs)
        return graph

    # ---- as a layer ----

    def build(self, input_shape: Shape) -> None:
        """Check that the model is connected, as it is from the start; of one that writes `call`, build the layers."""
        if self.graph is None and self._writes_call:
            self._build_by_call(input_shape)
        elif self.graph is None:
            raise ValueError(
                f"Model {self.name!r} has no layers yet: give `inputs` and `outputs`, use keras.Sequential, or write "
                "`call`."
            )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Compute the outputs of a batch; derived classes may write their own, of calls of layers."""
        return self(inputs, training=training)

    @property
    def _writes_call(self) -> bool:
        return type(self).call is not Network.call

    @property
    def inner_graph(self) -> Graph | None:
        """The graph that stands for the model where it is part of another; None where a class runs in its own way."""
        methods, cls = ("forward", "backward", "backward_weights"), type(self)
        if any(getattr(cls, m) is not getattr(Network, m) for m in methods):
            return None
        return self.graph or (self._traced() if self._writes_call else None)

    def check_input(self, shape: Any) -> None:
        """Raise ValueError where a batch of this shape doesn't fit the model; a list of shapes for several inputs."""
        graph = self.graph
        if graph is None:
            return
        only = graph.inputs
        if type(shape) is tuple and isinstance(only, Symbol) and shape[1:] == only.shape[1:]:  # the usual case
            return
        shapes = shape if isinstance(shape, list) else [shape]
        for i, (found, symbol) in enumerate(zip(shapes, graph.entrances, strict=True)):
            expected = symbol.shape
            agrees = len(found) == len(expected) and all(
                None in (n, e) or n == e for n, e in zip(found[1:], expected[1:], strict=True)
            )
            if not agrees and not self._takes_too(found):
                first = symbol.layer.name if len(shapes) > 1 else self._first_layer_name
                raise ValueError(
                    f"Input {i} of model {self.name!r} (layer {first!r}) is incompatible with it: "
                    f"expected shape={expected}, found shape={tuple(found)}.{_reshape_advice(found, expected)}"
                )

    def _takes_too(self, shape: Shape) -> bool:
        """Whether a batch of this shape fits, though it isn't that of the input."""
        return False

    def _output_shapes(self, x: Any) -> list[Shape]:
        """Return the shapes of the outputs for inputs like x."""
        return [s.shape for s in self.outputs]

    @property
    def _first_layer_name(self) -> str:
        return next((layer.name for layer in self.layers if not isinstance(layer, InputLayer)), self.name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, in the form of the outputs; of `input_shape` the form of the inputs."""
        if self.graph is None and self._writes_call:
            return self._followed(symbols_like(input_shape, self.dtype), None)[1]
        if self.graph is None:
            raise ValueError(f"Model {self.name!r}: the shape of its output is not known; it has no graph.")
        several = isinstance(input_shape, (list, dict)) or (input_shape and isinstance(input_shape[0], (list, tuple)))
        shapes = self._shapes_of(input_shape if several else [input_shape])
        return shapes[0] if not is_nested(self._outputs) else pack(self._outputs, shapes)

    def _shapes_of(self, input_shapes: Any) -> list[Shape]:
        """Return the shapes of all outputs."""
        if isinstance(input_shapes, dict):
            input_shapes = [input_shapes[k] for k in sorted(input_shapes)]
        shapes: list[Any] = [tuple(s) for s in input_shapes]
        graph = self.inner_graph or self._built_graph()
        for layer, places in graph.steps:
            given: Any = [shapes[p] for p in places] if layer.joins else shapes[places[0]]
            shapes.append(layer.compute_output_shape(given))
        return [shapes[end] for end in graph.ends]

    def forward(self, x: Any, training: bool | None) -> tuple[Any, Any]:
        """Run all layers; the cache holds theirs."""
        if self.graph is None:
            return self._call(x, training), None
        caches: list[Any] = []
        return self.graph.forward(x, training, caches), caches

    def backward(self, dy: Any, cache: Any) -> Any:
        """Run all layers' `backward` in reverse order."""
        self._check_differentiable()
        graph = self._built_graph()
        return graph.backward(dy, cache, graph.needed(wants_dx=True))

    def backward_weights(self, dy: Any, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self._check_differentiable()
        graph = self._built_graph()
        graph.backward(dy, cache, graph.needed())

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
            return self._called(x, training, arguments)
        if self.graph is None:
            return super().__call__(x, training=training)
        single = not (self._has_several_inputs or is_nested(x))
        xs = [x] if single else self._flat_inputs(x, f"Model {self.name!r}")
        kinds = {isinstance(a, Symbol) for a in xs}
        if len(kinds) > 1:
            raise ValueError(f"Model {self.name!r}: its inputs are symbols or arrays, not some of each.")
        if kinds == {True}:
            self.check_input([a.shape for a in xs])
            node = Node(self, tuple(xs), self._shapes_of([a.shape for a in xs]), x, training)
            self.nodes.append(node)
            return pack(self._outputs, node.outputs) if is_nested(self._outputs) else node.output
        entrances = self.graph.entrances
        with np.errstate(all="ignore"):
            xs = [self._ranked(np.require(a, self.dtype, ["C", "W"]), s) for a, s in zip(xs, entrances, strict=True)]
            self.check_input([a.shape for a in xs])
            y = returned(self.forward(xs if len(xs) > 1 else xs[0], training)[0], xs)
        return self._as_outputs(y)

    # ---- what is inside ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs included, as Keras lists them: those farthest from the outputs first.

        Of a Sequential model: in the order they run, without the input's.  Of a class with a `call` of its own: the
        layers among its attributes, also in lists and dictionaries.
        """
        return self._listed_layers()

    @layers.setter
    def layers(self, layers: Any) -> None:
        instead = "Use `add()` and `pop()` to change the layers in this model." if hasattr(self, "add") else ""
        raise AttributeError(
            f"`{'Sequential' if instead else 'Model'}.layers` attribute is reserved and should not be used. "
            f"{instead or 'Please use another name.'}"
        )

    def _listed_layers(self) -> list[Layer]:
        return list(self._inside() if self.graph is None else self.graph.layers)

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

    def _inside(self) -> list[Layer]:
        own = self._all_kept().get("layers", [])
        return own if self.graph is None else list(dict.fromkeys([*self.graph.layers, *own]))

    def _lock_state(self) -> None:
        if self.graph is None:
            super()._lock_state()

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

    # ---- data in the form of the inputs and outputs ----

    @staticmethod
    def _ranked(x: np.ndarray, symbol: Any) -> np.ndarray:
        expected = symbol.shape
        if x.ndim == len(expected) - 1 and expected[-1] == 1:
            return x[..., None]
        if x.ndim == len(expected) + 1 and x.shape[-1] == 1:
            return x[..., 0]
        return x

    def _flat_inputs(self, x: Any, owner: str) -> list[Any]:
        """Return the inputs in one order, of the form that the model has or of one that leaves no doubt.

        Raises:
            ValueError: another number of inputs, or names that are none of theirs.
        """
        expected = "The structure of `inputs` doesn't match the expected structure."
        try:
            xs = flatten_like(self._inputs, x, self._input_names, owner)
        except ValueError as error:
            raise ValueError(f"{expected} {error}") from None
        if is_nested(x) and isinstance(self._inputs, dict) and (not isinstance(x, dict) or len(x) > len(xs)):
            names = pack(self._inputs, [symbol.name for symbol in self.inputs])
            found = list(x) if isinstance(x, dict) else f"a {type(x).__name__} of {len(x)}"
            warnings.warn(f"{expected}\nExpected: {names}\nReceived: {found}", stacklevel=4)
        for value, symbol in zip(xs, self.inputs, strict=True):
            if value is None:
                raise ValueError(f"The input {symbol.name!r} is not optional, but None was passed. {owner} needs all.")
        return xs

    def _as_outputs(self, y: Any) -> Any:
        """Return what the graph computed in the form of the model's outputs."""
        return pack(self._outputs, y) if self._has_several_outputs else y


def _from_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Return symbols between which a graph begins with inputs.

    For a symbol from the middle of another graph, an input of the same shape takes its place, and the calls up to the
    outputs are repeated from there: the layers are the same, and their weights.
    """
    entrances, exits = flatten(inputs), flatten(outputs)
    if all(symbol.node is None for symbol in entrances):
        return inputs, outputs
    calls = Graph(entrances, exits).calls
    twin = {
        s: s if s.node is None else InputLayer(batch_shape=s.shape, dtype=s.dtype, name=f"{s.name}CLONE").output
        for s in entrances
    }
    for node in calls:
        if isinstance(node, Node):
            given = pack(node.given, [twin[s] for s in flatten(node.given)])
            shapes = [s.shape for s in node.outputs]
            again = Node(node.layer, tuple(twin[s] for s in node.inputs), shapes, given, node.training)
            node.layer.nodes.append(again)
            twin.update(zip(node.outputs, again.outputs, strict=True))
    return pack(inputs, [twin[s] for s in entrances]), pack(outputs, [twin[s] for s in exits])


def _reshape_advice(shape: Shape, expected: Shape) -> str:
    """Say how a batch of one shape becomes one of the other, where a reshape is all it takes."""
    inner, wanted = shape[1:], expected[1:]
    if None in inner or None in wanted:
        return ""
    if math.prod(n or 1 for n in inner) == math.prod(n or 1 for n in wanted):
        return f" The sizes agree: x.reshape(-1, {', '.join(map(str, wanted))}) fits."
    if tuple(shape) == wanted:
        return " That is a single sample; give a batch: x[None]."
    return ""
