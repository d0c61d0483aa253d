"""Copies of models: the same architecture with layers, and so weights, of their own."""

from collections.abc import Callable, Iterator
from typing import Any

from ..common.arguments import checked
from ..common.names import is_built_in
from ..common.serialization import Configurable, custom_objects_known, known_class, registered_name
from ..common.tree import flatten, is_nested, pack
from ..layers.base import Layer
from ..layers.core import Input, InputLayer
from ..layers.symbols import Node, Symbol
from .network import Network

Clone = Callable[[Any], Any]


@checked
def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """Return a new model of the same architecture, with fresh weights; compiled with the same arguments, if it was.

    Args:
        model: to copy.
        input_tensors: symbols to build the copy on, in the form of the model's inputs; new ones where None.
        clone_function: returns the layer that takes the place of one; by default a new one of the same config.
        call_function: called as `call_function(layer, inputs)` for each call in the copy of a functional model, and
            returns its outputs; by default what the layer returns.
        recursive: whether models inside are copied in this way too, instead of by `clone_function`.

    Raises:
        TypeError: something that is no model.
        ValueError: an argument that this kind of model has no use for; `input_tensors` of another form.
    """
    if not isinstance(model, Network):
        raise TypeError(f"clone_model: expected a model, received {model!r}.")
    sequential = known_class("keras", "Sequential")
    if isinstance(model, sequential):
        if call_function is not None:
            raise ValueError(
                "`call_function` argument is not supported with Sequential models. In a Sequential model, layers "
                f"aren't called at model-construction time. Received model of type {type(model).__name__!r}."
            )
        return _copy_of_chain(model, _remembering(clone_function, None, recursive), input_tensors, sequential)
    if getattr(model, "is_functional", False):
        return _copy_of_graph(
            model, _remembering(clone_function, call_function, recursive), input_tensors, call_function
        )
    if clone_function or input_tensors is not None or call_function:
        raise ValueError(
            "Arguments `clone_function`, `call_function` and `input_tensors` are only supported for Sequential models "
            f"or Functional models. Received model of type {type(model).__name__!r}."
        )
    return _compiled_as(model, same_config(model))


def same_config(layer: Any) -> Any:
    """Return a new layer of the same config; classes of the user's own need not be registered."""
    with custom_objects_known({registered_name(type(inner)): type(inner) for inner in _own_layers(layer)}):
        return type(layer).from_config(layer.get_config())


def _own_layers(layer: Any) -> Iterator[Any]:
    if not is_built_in(type(layer)):
        yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _own_layers(inner)


def _remembering(clone: Clone | None, call: Callable[..., Any] | None, recursive: bool) -> Clone:
    """Return the function that clones each layer once, as often as it is used."""
    clones: dict[int, Any] = {}

    def cloned(layer: Any) -> Any:
        if id(layer) not in clones:
            is_graph = getattr(layer, "is_functional", False)
            if recursive and (is_graph or isinstance(layer, known_class("keras", "Sequential"))):
                calling = call if is_graph else None
                clones[id(layer)] = clone_model(layer, None, clone, calling, True)
            else:
                clones[id(layer)] = (clone or same_config)(layer)
        return clones[id(layer)]

    return cloned


def _copy_of_chain(model: Any, clone: Clone, given: Any, sequential: Any) -> Any:
    layers = [clone(layer) for layer in model.layers]
    first: InputLayer | None = model._input_layer
    if given is not None:
        given = flatten(given)
        if len(given) != 1 or not isinstance(given[0], Symbol):
            raise ValueError(f"Argument `input_tensors` must contain a single tensor. Received: {given}")
        first = given[0].layer if isinstance(given[0].layer, InputLayer) else InputLayer(batch_shape=given[0].shape)
    elif first is not None:
        first = Input(batch_shape=first.batch_shape, dtype=first.dtype, name=first.name).layer
    head = [] if first is None else [first]
    return _compiled_as(model, sequential([*head, *layers], name=model.name, trainable=model.trainable))


def _copy_of_graph(model: Any, clone: Clone, given: Any, call: Callable[..., Any] | None) -> Any:
    inputs = model.input
    if given is None:
        fresh: list[Any] = [Input(batch_shape=s.shape, dtype=s.dtype, name=s.name) for s in flatten(inputs)]
    else:
        fresh = flatten(given)
        if len(fresh) != len(flatten(inputs)) or is_nested(given) != is_nested(inputs):
            raise ValueError(
                "`input_tensors` must have the same structure as model.input\n"
                f"Reference structure: {inputs}\nReceived structure: {given}"
            )
        if not all(isinstance(symbol, Symbol) for symbol in fresh):
            raise ValueError(f"All entries in `input_tensors` must be KerasTensors. Received: {given}")
    copies: dict[Symbol, Any] = dict(zip(flatten(inputs), fresh, strict=True))
    clones: dict[Layer, Any] = {
        layer: clone(layer) for layer in model.graph.layers if not isinstance(layer, InputLayer)
    }
    for node in model.graph.calls:
        if not isinstance(node, Node) or isinstance(node.layer, InputLayer):
            continue
        arguments = {} if node.training is None else {"training": node.training}
        inner = _mapped(node.given, copies)
        layer = clones[node.layer]
        outputs = layer(inner, **arguments) if call is None else call(layer, inner, **arguments)
        copies.update(zip(node.outputs, flatten(outputs), strict=True))
    cls = type(model)
    if not is_built_in(next(c for c in cls.__mro__ if "__init__" in c.__dict__)):  # it may take other arguments
        cls = known_class("keras.src.models.functional", "Functional")
    ends = _mapped(model.output, copies)
    return _compiled_as(model, cls(pack(inputs, fresh) if is_nested(inputs) else fresh[0], ends, name=model.name))


def _mapped(structure: Any, copies: dict[Symbol, Any]) -> Any:
    if not is_nested(structure):
        return copies[structure]
    return pack(structure, [copies[symbol] for symbol in flatten(structure)])


def _compiled_as(model: Any, copy: Any) -> Any:
    """Compile a copy as the model was, with an optimizer and metrics of its own."""
    if model.compiled:
        objects = [a for a in flatten(model._compile_arguments) if callable(a) or isinstance(a, Configurable)]
        things = [a if hasattr(a, "__name__") else type(a) for a in objects]
        with custom_objects_known({registered_name(thing): thing for thing in things if not is_built_in(thing)}):
            copy.compile_from_config(model.get_compile_config())
    return copy
