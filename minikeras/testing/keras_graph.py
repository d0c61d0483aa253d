"""Which layer of a model of Keras is called on what, between the model's inputs and outputs."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class KerasCall(NamedTuple):
    """One call of one layer.

    Attributes:
        name: the layer's, with those of the models around it before it: `"encoder/dense"`.
        layer: who is called.
        inputs, outputs: the positions of what goes in and comes out.
        node: Keras's own record of the call.
    """

    name: str
    layer: Any
    inputs: list[int]
    outputs: list[int]
    node: Any


class KerasGraph(NamedTuple):
    """A model as a list of calls, each after those that it needs.

    Attributes:
        calls: in the order they can be run; models inside the model are calls of their layers.
        outputs: the positions of the model's outputs; those of its inputs are 0, 1, ...
        size: the number of positions.
    """

    calls: list[KerasCall]
    outputs: list[int]
    size: int

    @property
    def layers(self) -> list[Any]:
        """The layers that are called, each once, in the order of their first calls."""
        return list({id(call.layer): call.layer for call in self.calls}.values())


def keras_graph(model: Any) -> KerasGraph:
    """Return the calls that a built model's outputs depend on."""
    calls: list[KerasCall] = []
    size = len(model.inputs)

    def follow(model: Any, positions: dict[int, int], around: str) -> list[int]:
        nonlocal size
        for layer, node in _sorted(model.inputs, model.outputs):
            inputs = [positions[id(s)] for s in node.input_tensors]
            if _is_graph(layer):
                inner = {id(s): position for s, position in zip(layer.inputs, inputs, strict=True)}
                outputs = follow(layer, inner, f"{around}{layer.name}/")
            else:
                outputs = list(range(size, size + len(node.output_tensors)))
                size += len(outputs)
                calls.append(KerasCall(around + layer.name, layer, inputs, outputs, node))
            positions.update((id(s), position) for s, position in zip(node.output_tensors, outputs, strict=True))
        return [positions[id(s)] for s in model.outputs]

    outputs = follow(model, {id(s): i for i, s in enumerate(model.inputs)}, "")
    used, kept = set(outputs), []
    for call in reversed(calls):  # those to outputs of inner models that nobody uses are left out, as `Graph` does
        if not used.isdisjoint(call.outputs):
            used.update(call.inputs)
            kept.append(call)
    return KerasGraph(kept[::-1], outputs, size)


def _is_graph(layer: Any) -> bool:
    try:
        return hasattr(layer, "layers") and bool(layer.inputs) and bool(layer.outputs)
    except (AttributeError, ValueError):  # a subclass that computes by a method of its own
        return False


def _sorted(inputs: Iterable[Any], outputs: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return the layers and nodes that made the outputs, each after those that it depends on itself."""
    order: dict[int, tuple[Any, Any]] = {}
    known = {id(s) for s in inputs}
    stack = [(symbol, False) for symbol in reversed(list(outputs))]
    while stack:
        symbol, inputs_done = stack.pop()
        layer = symbol._keras_history.operation
        node = None if layer is None else layer._inbound_nodes[symbol._keras_history.node_index]
        if id(symbol) in known or node is None or not node.input_tensors or id(node) in order:
            continue
        if inputs_done:
            order[id(node)] = layer, node
        else:
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(node.input_tensors))
    return list(order.values())
