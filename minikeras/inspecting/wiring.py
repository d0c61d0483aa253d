"""Which layer is called on what between a model's inputs and outputs: a list to draw, to explain, to run by hand.

`graph` runs a model as fast as it can; here every array on the way stays visible.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Origin(NamedTuple):
    """What made a symbol: the layer, and the symbols that went in and came out of this call of it."""

    node: Any
    layer: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class Call(NamedTuple):
    """One call of one layer.

    Attributes:
        layer: who is called.
        inputs: the places of what goes in.
        outputs: the places of what comes out.
        within: the models around it, the outermost first; the model itself is not among them.
        origin: symbols and node.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    within: tuple[Any, ...]
    origin: Origin

    @property
    def name(self) -> str:
        """The layer's name, with those of the models around it before it: `"encoder/dense"`."""
        return "/".join(part.name for part in (*self.within, self.layer))


class Wiring(NamedTuple):
    """A model as a list of calls, each after those that it needs.

    Attributes:
        inputs: the places of the model's inputs: 0, 1, ...
        calls: in the order they can be run.
        outputs: the places of the model's outputs.
        size: the number of places.
    """

    inputs: tuple[int, ...]
    calls: list[Call]
    outputs: tuple[int, ...]
    size: int


def origin(symbol: Any) -> Origin | None:
    """Return what made a symbol; None for an input."""
    node = symbol.node
    if node is None:
        return None
    return Origin(node, node.layer, tuple(node.inputs), tuple(node.outputs))


def wiring(model: Any, expand_nested: bool = True, origin: Callable[[Any], Origin | None] = origin) -> Wiring:
    """Return the calls that lead from a built model's `inputs` to its `outputs`.

    Args:
        model: anything with these two lists of symbols.
        expand_nested: go into models inside the model, where they become calls of their layers.
        origin: tells what made a symbol.
    """
    calls: list[Call] = []
    size = len(model.inputs)

    def follow(model: Any, places: dict[int, int], within: tuple[Any, ...]) -> list[int]:
        nonlocal size
        for made in _sorted(model.inputs, model.outputs, origin):
            inputs = tuple(places[id(s)] for s in made.inputs)
            if expand_nested and is_wired(made.layer):
                inner = {id(s): place for s, place in zip(made.layer.inputs, inputs, strict=True)}
                outputs = follow(made.layer, inner, (*within, made.layer))
            else:
                outputs = [*range(size, size + len(made.outputs))]
                size += len(outputs)
                calls.append(Call(made.layer, inputs, tuple(outputs), within, made))
            places.update((id(s), place) for s, place in zip(made.outputs, outputs, strict=True))
        return [places[id(s)] for s in model.outputs]

    inputs = tuple(range(size))
    outputs = follow(model, {id(s): i for i, s in enumerate(model.inputs)}, ())
    return Wiring(inputs, calls, tuple(outputs), size)


def is_wired(layer: Any) -> bool:
    """Whether a layer is a model that consists of calls between symbols."""
    if not hasattr(layer, "layers"):
        return False
    try:
        return bool(layer.inputs) and bool(layer.outputs)
    except (AttributeError, ValueError):  # not connected yet, or a subclass that computes by a method of its own
        return False


def _sorted(inputs: Iterable[Any], outputs: Sequence[Any], origin: Callable[[Any], Origin | None]) -> list[Origin]:
    """Return what made the outputs, each call after those that it depends on itself."""
    known = {id(s) for s in inputs}
    order: dict[int, Origin] = {}
    stack = [(s, False) for s in reversed(outputs)]
    while stack:
        symbol, inputs_done = stack.pop()
        made = None if id(symbol) in known else origin(symbol)
        if made is None or id(made.node) in order:
            continue
        if inputs_done:
            order[id(made.node)] = made
        else:
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(made.inputs))
    return list(order.values())


class Run:
    """One batch on its way through a wiring, forward and then backward, with all that is computed.

    Args:
        wires: of a model of ours.
        inputs: one array for each of the model's inputs.
        training: whether Dropout and its like are active.
        logits: places that the layers before leave without their activation; see `ActivatedLayer.forward_logits`.

    Attributes:
        values: the array at each place.
        dx: for each call the gradients of what went in, once `backward` has run; None where it needn't.
        dy: for each call the gradients of what came out.
    """

    def __init__(
        self, wires: Wiring, inputs: Sequence[np.ndarray], training: bool = False, logits: Collection[int] = ()
    ):
        self.wires = wires
        self.values: list[Any] = [*inputs, *[None] * (wires.size - len(inputs))]
        self.dx: list[Any] = [None] * len(wires.calls)
        self.dy: list[Any] = [None] * len(wires.calls)
        self._caches = []
        for call in wires.calls:
            x = joined([self.values[p] for p in call.inputs], call.layer)
            if call.outputs[0] in logits:
                y, cache = call.layer.forward_logits(x)
            else:
                y, cache = call.layer.forward(x, call.layer.is_active(training))
            self._caches.append(cache)
            for place, value in zip(call.outputs, separate(y, len(call.outputs)), strict=True):
                self.values[place] = value

    @property
    def outputs(self) -> list[np.ndarray]:
        """What the model computes."""
        return [self.values[p] for p in self.wires.outputs]

    def backward(self, dy: Sequence[np.ndarray]) -> None:
        """Run all layers' `backward` in reverse order; an array that several layers used gets the sum of theirs.

        Weights' gradients are added to their views: the caller zeroes them.

        Args:
            dy: d loss / d output, for each of the model's outputs.
        """
        gradients: list[Any] = [None] * self.wires.size
        for place, d in zip(self.wires.outputs, dy, strict=True):
            gradients[place] = d if gradients[place] is None else gradients[place] + d
        for i in range(len(self.wires.calls) - 1, -1, -1):
            call = self.wires.calls[i]
            self.dy[i] = tuple(gradients[p] for p in call.outputs)
            if all(d is None for d in self.dy[i]):
                continue
            whole = [
                np.zeros_like(self.values[p]) if d is None else d for p, d in zip(call.outputs, self.dy[i], strict=True)
            ]
            dx = call.layer.backward(joined(whole), self._caches[i])
            self.dx[i] = tuple(separate(dx, len(call.inputs)))
            for place, d in zip(call.inputs, self.dx[i], strict=True):
                if d is not None:
                    gradients[place] = d if gradients[place] is None else gradients[place] + d


def joined(arrays: Sequence[Any], layer: Any = None) -> Any:
    """Return several arrays as a layer takes them: one as itself, unless the layer joins; more as a list."""
    return arrays[0] if len(arrays) == 1 and not getattr(layer, "joins", False) else list(arrays)


def separate(arrays: Any, count: int) -> list[Any]:
    """Undo `joined`: return what a layer gave as a list of `count` arrays."""
    if count == 1 and not isinstance(arrays, (list, tuple)):
        return [arrays]
    return [None] * count if arrays is None else list(arrays)


def as_list(value: Any) -> list[Any]:
    """Return one array, or several in a list or tuple, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) and any(hasattr(v, "shape") for v in value) else [value]


def one_sample(symbol: Any, value: Any, caller: str) -> np.ndarray:
    """Return one sample as a batch of one, in the type of the input that it is for.

    Args:
        symbol: the input.
        value: with or without a batch axis of 1; a grey image also without its channel axis.
        caller: named in errors.

    Raises:
        TypeError, ValueError: no numbers; another shape, or several samples.
    """
    expected, x = tuple(symbol.shape), np.asarray(value)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{caller}: expected numbers, received an array of {x.dtype}.")
    if x.ndim < len(expected) and not (x.ndim == len(expected) - 1 and expected[-1] == 1 and len(x) == 1):
        x = x[None]
    if x.ndim == len(expected) - 1 and expected[-1] == 1:
        x = x[..., None]
    fits = x.ndim == len(expected) and all(e in (None, n) for n, e in zip(x.shape[1:], expected[1:], strict=True))
    if not fits or len(x) != 1:
        raise ValueError(
            f"{caller}: expected one sample of shape {expected[1:]}, received an array of shape {np.shape(value)}."
            + (" Take one: x[0]." if fits else "")
        )
    return np.ascontiguousarray(x, dtype=symbol.dtype)
