"""The executor: the layers between two symbols, sorted once, then run forward and backward.

`models` builds a graph and `training` runs it; it calls the layers, or the blocks that `fusion` makes of them.  A
Sequential model is a chain; a layer with several inputs takes a list of arrays and returns a list of gradients.
"""

import functools
import math
from typing import Any

import numpy as np

from .fusion import Block, Step, fused
from .layers.base import Layer
from .parameters import Variable
from .symbolic import Node, Symbol

CACHE = 2**20  # bytes: a core's own cache, or about its share of a common one
SMALLEST_PIECE = 32  # samples: with less, a kernel's threads have too little to share


class Graph:
    """All the calls that lead from an input symbol to an output symbol.

    Args:
        inputs: where the data enters.
        outputs: what the graph computes.

    Attributes:
        steps: (layer, positions of its inputs) in an order in which each input is computed before it is used.
            Position 0 is the graph's input, position i + 1 the output of step i.
        operations: the same for what is run: (layer or block, positions of its inputs), with positions of their own.

    Raises:
        ValueError: the output does not depend on the input, or needs another one.
    """

    def __init__(self, inputs: Symbol, outputs: Symbol):
        self.inputs, self.outputs = inputs, outputs
        places: dict[Symbol, int] = {inputs: 0}
        self.steps: list[tuple[Layer, tuple[int, ...]]] = []
        for node in _sorted_nodes(inputs, outputs):
            self.steps.append((node.layer, tuple(places[s] for s in node.inputs)))
            places[node.output] = len(self.steps)
        self.operations, _ = fused(self.steps, kept={places[outputs]})
        self._used_once = _used_once(self.operations)

    @property
    def last(self) -> Layer | None:
        """The layer whose output is the graph's; None in an empty graph."""
        return self.steps[-1][0] if self.steps else None

    def forward(
        self, x: np.ndarray, training: bool = False, caches: list[Any] | None = None, logits: bool = False
    ) -> np.ndarray:
        """Run all layers.

        Args:
            x: the batch.
            training: whether Dropout and its like are active.
            caches: what `backward` will need is appended here; None where it won't be called.
            logits: leave out the last layer's activation.
        """
        # Machine code is made for arrays that may be written to; for others numba would compile all of it again.
        values = [x if x.flags.writeable else x.copy()]
        for operation, places in self.operations:
            x = values[places[0]] if len(places) == 1 else [values[i] for i in places]
            if logits and len(values) == len(self.operations):
                y, cache = operation.forward_logits(x)
            elif caches is None and isinstance(operation, Block):
                y, cache = operation.forward(x, training, keep=False)
            else:
                y, cache = operation.forward(x, training)
            values.append(y)
            if caches is not None:
                caches.append(cache)
        return values[-1]

    def backward(self, dy: np.ndarray, caches: list[Any], needed: list[bool], fresh: bool = False) -> np.ndarray | None:
        """Run the `backward` of all operations in reverse order: the chain rule.

        Where an array was used by several layers, its gradient is the sum of theirs.  Layers that nothing
        trainable leads to are not asked for dx, or not run at all.

        Args:
            dy: d loss / d output.
            caches: filled by `forward`.
            needed: see `needed`.
            fresh: whether the weights `written` may be written over, as nothing of this step is in them yet.

        Returns:
            d loss / d x where that is needed, else None.
        """
        gradients: list[Any] = [None] * len(needed)
        gradients[-1] = dy
        for i in range(len(self.operations) - 1, -1, -1):
            operation, places = self.operations[i]
            dy, gradients[i + 1] = gradients[i + 1], None
            wants_dx = needed[places[0]] if len(places) == 1 else any(needed[p] for p in places)
            if not (wants_dx or needed[i + 1]):
                continue
            if isinstance(operation, Block):
                dx = operation.backward(dy, caches[i], not (fresh and self._used_once[i]), wants_dx)
            elif wants_dx:
                dx = operation.backward(dy, caches[i])
            else:
                operation.backward_weights(dy, caches[i])
            if wants_dx:
                for place, d in zip(places, [dx] if len(places) == 1 else dx, strict=True):
                    gradients[place] = d if gradients[place] is None else gradients[place] + d
        return gradients[0]

    @functools.cached_property
    def samples_in_cache(self) -> int:
        """How many samples to run through the graph at once, so that what layers hand on stays in the cache."""
        largest = 1
        for layer, _ in self.steps:
            for node in layer.nodes:
                sizes = [math.prod(n or 1 for n in symbol.shape[1:]) for symbol in (*node.inputs, node.output)]
                largest = max(largest, sum(sizes))
        return max(SMALLEST_PIECE, CACHE // (4 * largest))

    @functools.cached_property
    def independent_samples(self) -> bool:
        """Whether each sample is treated by itself: so do all built-in layers, and others may not."""
        package = __name__.partition(".")[0]
        return all(
            type(layer).__module__.partition(".")[0] == package
            and (getattr(layer, "graph", None) is None or layer.graph.independent_samples)
            for layer, _ in self.steps
        )

    @functools.cached_property
    def uses_blas(self) -> bool:
        """Whether a layer may compute with NumPy's matrix products."""
        return not self.independent_samples or any(
            layer.uses_blas or (getattr(layer, "graph", None) is not None and layer.graph.uses_blas)
            for layer, _ in self.steps
        )

    def needed(self, wants_dx: bool = False) -> list[bool]:
        """Return for each position whether a gradient there reaches anything that wants one.

        That is a trainable weight, or the graph's input where `wants_dx`.
        """
        needed = [wants_dx]
        for operation, places in self.operations:
            needed.append(any(needed[p] for p in places) or bool(operation.trainable_weights))
        return needed

    def written(self) -> set[Variable]:
        """Return the weights whose gradients a `fresh` backward pass writes; all others are added to."""
        return {
            v
            for (operation, _), once in zip(self.operations, self._used_once, strict=True)
            if once and isinstance(operation, Block)
            for v in operation.trainable_weights
        }


def _used_once(operations: list[Step]) -> list[bool]:
    """Return for each operation whether no other uses its layer's weights, itself or inside a model."""
    users: dict[Variable, int] = {}
    weights = [(operation.layer if isinstance(operation, Block) else operation).weights for operation, _ in operations]
    for group in weights:
        for v in group:
            users[v] = users.get(v, 0) + 1
    return [all(users[v] == 1 for v in group) for group in weights]


def _sorted_nodes(inputs: Symbol, outputs: Symbol) -> list[Node]:
    """Return the nodes that `outputs` depends on, each after those that it depends on itself."""
    order: dict[Node, None] = {}
    stack = [(outputs, False)]
    while stack:
        symbol, inputs_done = stack.pop()
        if symbol is inputs or symbol.node in order:
            continue
        if symbol.node is None:
            raise ValueError(f"The output depends on {symbol!r}, which is not the model's input {inputs!r}.")
        if inputs_done:
            order[symbol.node] = None
        else:
            stack.append((symbol, True))
            stack.extend((s, False) for s in reversed(symbol.node.inputs))
    return list(order)
