"""One batch on its way through a model, with nothing fused: every array between two layers, and every gradient."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine.graph import Graph
from ..layers.base import Layer
from ..layers.symbols import Symbol


class Call(NamedTuple):
    """One call of one layer.

    Attributes:
        name: the layer's, with those of the models around it before it: `"encoder/dense"`.
        layer: who is called.
        inputs: the positions of what goes in.
        output: the position of what comes out.
    """

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    output: int


def calls_of(graph: Graph) -> list[Call]:
    """Return the steps of a graph, with their names."""
    return [
        Call("/".join(part.name for part in (*models, layer)), layer, places, position)
        for position, ((layer, places), models) in enumerate(
            zip(graph.steps, graph.within, strict=True), len(graph.entrances)
        )
    ]


def unfused(model: Any) -> Graph:
    """Return the graph of a built model, each layer by itself."""
    graph = model._built_graph()
    return Graph(graph.inputs, graph.outputs, fuse=False)


class Run:
    """One batch run through a graph, forward and then backward, with all that is computed.

    Args:
        graph: unfused.
        inputs: one array for each of its inputs.
        training: whether Dropout and its like are active.
        logits: see `Graph.forward`.

    Attributes:
        calls: the graph's steps.
        values: the array at each position.
        result: the output, or a list of them, as `Graph.forward` returns it.
        dy: for each call the gradient of what came out, once `backward` has run; None where nobody needs it.
        dx: for each call the gradients of what went in, likewise.
    """

    def __init__(
        self, graph: Graph, inputs: Sequence[np.ndarray], training: bool = False, logits: tuple[int, ...] = ()
    ):
        self.graph, self.calls = graph, calls_of(graph)
        self.values: list[np.ndarray] = []
        self.dy: list[np.ndarray | None] = [None] * len(self.calls)
        self.dx: list[list[Any] | None] = [None] * len(self.calls)
        self._caches: list[Any] = []
        x = inputs[0] if isinstance(graph.inputs, Symbol) else inputs
        self.result = graph.forward(x, training, self._caches, logits, self.values)

    def backward(self, dy: Any, needed: list[bool]) -> None:
        """Run the chain rule; see `Graph.backward`.  Weights' gradients are added to."""
        seen: dict[int, tuple[Any, Any]] = {}
        self.graph.backward(dy, self._caches, needed, seen)
        for i, (d, dx) in seen.items():
            self.dy[i] = d
            self.dx[i] = [dx] if isinstance(dx, np.ndarray) else dx


@contextlib.contextmanager
def without_gradients(layers: Iterable[Layer]) -> Iterator[None]:
    """Begin the block with gradients of 0; give the layers' weights their own back afterwards."""
    kept = {v: v.gradient.copy() for layer in layers for v in layer.weights if v.gradient is not None}
    try:
        for v in kept:
            v.gradient = np.zeros(v.shape)
        yield
    finally:
        for v, gradient in kept.items():
            v.gradient = gradient


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
