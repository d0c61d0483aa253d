"""Graphs to configs and back, in the form of Keras 3's functional models.

    layers          each layer's config, with its calls: inbound_nodes, [{args, kwargs}, ...]
    input_layers    [layer, number of the call, number of the output] of each input, in the form that the user gave
    output_layers   likewise; a tuple becomes a list in JSON, as in Keras

A symbol within `args` is a `__keras_tensor__` with such a triple as its `keras_history`.  Where a functional model is
itself the layer, `output_layers` counts its calls from 1: Keras once gave it a call of its own.

A config may come from a stranger: see `saving.untrusted`.
"""

from collections import deque
from typing import Any

from ..common.serialization import deserialize, serialize
from ..common.tree import flatten
from ..layers.base import Layer
from ..layers.core import InputLayer
from ..layers.symbols import Node, Symbol
from .graph import Graph
from .unrolling import MAX_STEPS

# Writing -----------------------------------------------------------------------------------------------------------


def graph_config(graph: Graph, inputs: Any, outputs: Any) -> dict[str, Any]:
    """Return the config of a graph.

    Args:
        graph: what to describe.
        inputs, outputs: its symbols, in the form that the user gave.
    """
    calls: dict[Layer, list[Node]] = {layer: [] for layer in graph.layers}
    for node in sorted((c for c in graph.calls if isinstance(c, Node)), key=lambda node: node.number):
        calls[node.layer].append(node)
    index = {node: i for nodes in calls.values() for i, node in enumerate(nodes)}
    entrances = set(flatten(inputs))

    def place(symbol: Symbol) -> list[Any]:
        node = symbol.node
        if symbol in entrances or node is None:
            return [symbol.layer.name, 0, 0]
        return [symbol.layer.name, index[node], node.outputs.index(symbol)]

    def tensor(symbol: Symbol) -> dict[str, Any]:
        described = {"shape": list(symbol.shape), "dtype": symbol.dtype, "keras_history": place(symbol)}
        return {"class_name": "__keras_tensor__", "config": described}

    def end(symbol: Symbol) -> list[Any]:
        name, call, output = place(symbol)
        return [name, call + _counts_from(symbol.layer), output]

    layers = [
        {
            **serialize(layer),
            "name": layer.name,
            "inbound_nodes": [
                {"args": [_mapped(node.given, tensor)], "kwargs": _arguments(layer, node)} for node in nodes
            ],
        }
        for layer, nodes in calls.items()
    ]
    return {
        "layers": layers,
        "input_layers": _mapped(inputs, end, tuple),
        "output_layers": _mapped(outputs, end, tuple),
    }


def _counts_from(layer: Layer) -> int:
    return 1 if getattr(layer, "is_functional", False) else 0


def _arguments(layer: Layer, node: Node) -> dict[str, Any]:
    """Return what a call says besides its inputs, and the absent masks that Keras adds for functional models."""
    said = {} if node.training is None else {"training": node.training}
    return {**said, "mask": _mapped(node.given, lambda symbol: None)} if _counts_from(layer) else said


def _mapped(structure: Any, function: Any, kind_of_tuples: type = list) -> Any:
    """Return what a function makes of each leaf, in the form of the structure."""
    if isinstance(structure, dict):
        return {key: _mapped(value, function, kind_of_tuples) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        kind = kind_of_tuples if isinstance(structure, tuple) else list
        return kind([_mapped(value, function, kind_of_tuples) for value in structure])
    return function(structure)


# Reading -----------------------------------------------------------------------------------------------------------


class _Rebuilding:
    """The layers of a config, and their calls as far as they have been repeated."""

    def __init__(self, config: dict[str, Any], custom_objects: dict[str, type] | None):
        self.layers: dict[str, Layer] = {}
        self.calls: dict[str, list[Any]] = {}
        self.nodes: dict[str, list[Node]] = {}
        size = 0
        for data in _checked(config.get("layers"), list, "layers"):
            _checked(data, dict, "a layer")
            layer = deserialize(data, custom_objects)
            if not isinstance(layer, Layer):
                raise ValueError(f"the config of the model lists {type(layer).__name__} among its layers.")
            name = _checked(data.get("name", layer.name), str, "a layer's name")
            if name in self.layers:
                raise ValueError(f"the config of the model has several layers of the name {name!r}.")
            self.layers[name], self.nodes[name] = layer, []
            calls = self.calls[name] = _checked(data.get("inbound_nodes", []), list, "inbound_nodes")
            if calls and isinstance(layer, InputLayer):
                raise ValueError(f"the config of the model calls its input {name!r} like a layer.")
            size += _size(layer) * max(1, len(calls))
            if size > MAX_STEPS:
                raise ValueError(f"the model has more than {MAX_STEPS:,} steps, those of the models inside included.")
        self._repeat_calls()

    def _repeat_calls(self) -> None:
        """Call the layers on each other's symbols; a call waits where an input of it doesn't exist yet."""
        waiting: dict[tuple[str, int], list[str]] = {}
        queue = deque(self.layers)
        while queue:
            name = queue.popleft()
            made, calls = self.nodes[name], self.calls[name]
            while len(made) < len(calls):
                given, training, missing = self._given(calls[len(made)], self.layers[name].joins)
                if missing is not None:
                    waiting.setdefault(missing, []).append(name)
                    break
                layer = self.layers[name]
                layer(given, training=training)
                made.append(layer.nodes[-1])
                queue.extend(waiting.pop((name, len(made) - 1), ()))
        if waiting:
            (source, _), names = next(iter(waiting.items()))
            raise ValueError(f"its layers form a loop, or {names[0]!r} needs a call of {source!r} that isn't there.")

    def _given(self, call: Any, joins: bool) -> tuple[Any, bool | None, tuple[str, int] | None]:
        """Return what a layer was called on, its `training`, and the first (layer, call) that must come before."""
        missing: list[tuple[str, int]] = []

        def symbol(history: Any) -> Symbol | None:
            name, number, output = _triple(history)
            if name not in self.layers:
                raise ValueError(f"Missing node: {name}, a layer that the config of the model names and doesn't have.")
            if isinstance(self.layers[name], InputLayer):
                return self.layers[name].output
            made = self.nodes[name]
            if not 0 <= number < len(made):
                missing.append((name, number))
                return None
            return _one_of(made[number].outputs, output, name)

        def value(described: Any) -> Any:
            if isinstance(described, list):
                return [value(v) for v in described]
            kind = described.get("class_name") if isinstance(described, dict) else None
            if kind == "__tuple__":
                return [value(v) for v in _checked(described.get("items"), list, "items")]
            if kind == "__keras_tensor__":
                return symbol(_checked(described.get("config"), dict, "config").get("keras_history"))
            if isinstance(described, dict) and kind is None:
                return {key: value(v) for key, v in described.items()}
            raise ValueError(f"a layer is called on {described!r}, which is no output of another.")

        if isinstance(call, list):  # Keras 2: [[layer, call, output, kwargs], ...]
            inputs = [_checked(part, list, "a call") for part in call]
            training = _training([kwargs for part in inputs for kwargs in part[3:]])
            symbols = [symbol(part[:3]) for part in inputs]
            given: Any = symbols if joins or len(symbols) > 1 else symbols[0]
        else:
            args = _checked(_checked(call, dict, "a call").get("args"), list, "args")
            training = _training([call.get("kwargs", {})])
            if len(args) != 1:
                raise ValueError(f"a layer is called with {len(args)} arguments; only its inputs are supported.")
            given = value(args[0])
        return given, training, (missing[0] if missing else None)

    def end(self, place: Any) -> Any:
        """Return the symbols that an entry of `input_layers` or `output_layers` means."""
        if isinstance(place, dict):
            return {key: self.end(value) for key, value in place.items()}
        if isinstance(place, tuple):  # which JSON doesn't keep
            return tuple(map(self.end, place))
        _checked(place, list, "input_layers and output_layers")
        if not (len(place) == 3 and isinstance(place[0], str)):
            return [self.end(part) for part in place]
        name, number, output = _triple(place)
        layer = self.layers.get(name)
        if layer is None:
            raise ValueError(f"Missing node: {name}, a layer that the config of the model names and doesn't have.")
        if isinstance(layer, InputLayer):
            return layer.output
        node = _one_of(self.nodes[name], number - _counts_from(layer), name)
        return _one_of(node.outputs, output, name)


def symbols_of(config: dict[str, Any], custom_objects: dict[str, type] | None = None) -> tuple[Any, Any, set[Layer]]:
    """Build the layers that a config describes, and repeat their calls.

    Returns:
        The inputs and outputs in the form that they were given, and all layers.

    Raises:
        ValueError: an unknown class; layers, calls or outputs that are not there; a loop.
    """
    rebuilt = _Rebuilding(config, custom_objects)
    layers = set(rebuilt.layers.values())
    return rebuilt.end(config.get("input_layers")), rebuilt.end(config.get("output_layers")), layers


def _size(layer: Any) -> int:
    """Return how many steps a layer's graph has, and those of the models inside; 1 for a layer without."""
    graph = getattr(layer, "graph", None)
    return 1 if graph is None else len(graph.steps) + sum(_size(inner) for inner in layer.layers)


def _checked(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"the config of the model: {what}: expected a {kind.__name__}, found {value!r:.80}.")
    return value


def _triple(value: Any) -> tuple[str, int, int]:
    if not (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(n, int) and not isinstance(n, bool) for n in value[1:])
    ):
        raise ValueError(f"the config of the model: expected [layer, call, output], found {value!r:.80}.")
    return value[0], value[1], value[2]


def _one_of(values: list[Any], number: int, name: str) -> Any:
    if not 0 <= number < len(values):
        raise ValueError(f"the config of the model: layer {name!r} has no call or output number {number}.")
    return values[number]


def _training(calls: list[Any]) -> bool | None:
    """Return what the arguments of a call say of `training`; refuse other arguments."""
    training = None
    for kwargs in calls:
        for name, value in _checked(kwargs, dict, "kwargs").items():
            if name == "training" and isinstance(value, bool):
                training = value
            elif any(leaf is not None for leaf in flatten(value)):  # Keras writes the absent masks of inner models
                raise ValueError(f"a layer is called with {name}={value!r:.40}, which is not supported.")
    return training
