"""The executor: the layers between input and output symbols, sorted once, then run forward and backward.

A Sequential model is a chain; a layer with several inputs takes a list of arrays and returns a list of gradients.  A
model inside the model is unrolled: its layers are steps like all others.
"""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers.base import Layer
from ..layers.symbols import Node, Symbol
from .blocks import fused
from .borders import Bordered, JoinOfOne, is_ours
from .unrolling import by_distance, unrolled, walk

Arrays = list[Any] | None  # what a run fills, where it is wanted
CACHE = 2**24  # bytes: about what the cores' common cache holds
SMALLEST_PIECE = 64  # samples: with less, a kernel's threads have too little to share


class Graph:
    """All the calls that lead from input symbols to output symbols.

    Positions count the arrays of a run: first the inputs, then the output of each step.

    Args:
        inputs: where the data enters: a symbol, or a list of them.
        outputs: what the graph computes, likewise.
        fuse: False to run each layer by itself: every array between two layers is then one of a run.

    Attributes:
        entrances, exits: these symbols, each in a list.
        calls: inputs and nodes, in an order in which each is computed before it is used.
        layers: in the order in which Keras lists them: those farthest from the outputs first.
        inner: the models among the layers, each with the graph that it had when it was unrolled here.
        steps: (layer, positions of its inputs), in the order of the calls.
        told: of each step, what its call says of `training`, or a call around it; None where none does.
        within: of each step, the models around it, the outermost first; the graph's own is not among them.
        ends: the positions of the outputs.
        operations: as `steps`, for what is run: (layer or block, positions of its inputs), with positions of their own.

    Raises:
        ValueError: an output needs something that is not computed from the inputs; two layers of one name.
    """

    def __init__(self, inputs: Symbol | list[Symbol], outputs: Symbol | list[Symbol], fuse: bool = True):
        self.inputs, self.outputs = inputs, outputs
        self.entrances = entrances = [inputs] if isinstance(inputs, Symbol) else list(inputs)
        self.exits = exits = [outputs] if isinstance(outputs, Symbol) else list(outputs)
        self.calls, first = walk(entrances, exits)
        self.layers = by_distance(entrances, self.calls, first)
        self.inner = [
            (node.layer, inner)
            for node in self.calls
            if isinstance(node, Node) and (inner := getattr(node.layer, "inner_graph", None)) is not None
        ]
        self.steps, self.told, self.within, self.ends = unrolled(entrances, exits, self.calls)
        count = len(entrances)
        steps: list[tuple[Any, tuple[int, ...]]] = [
            (JoinOfOne(f) if f.joins and len(p) == 1 else f, p) for f, p in self.steps
        ]
        kept = set(self.ends if fuse else range(count + len(steps)))
        operations, moved = fused(steps, kept, count)
        self.operations = [(f if is_ours(f) else Bordered(f), p) for f, p in operations]
        #: The same for who won't go backward.
        self._only_forward = [(f.only_forward() if hasattr(f, "only_forward") else f, p) for f, p in self.operations]
        self._told = [False] * len(self.operations)
        for place, training in enumerate(self.told, count):
            if training and place in moved:  # else it is fused with the next, and neither asks
                self._told[moved[place] - count] = True
        self._can_rest = any(operation.rests_when_frozen for operation, _ in self.operations)
        self._count, self._one_input = count, isinstance(inputs, Symbol)
        self._moved = moved  # the positions of steps among those of operations
        places = [moved[end] for end in self.ends]
        #: Where the outputs are among the arrays of a run; None for one output that is the last of them.
        self._places = None if isinstance(outputs, Symbol) and places == [count + len(self.operations) - 1] else places

    @property
    def is_outdated(self) -> bool:
        """Whether a model within has another graph now than when it was unrolled."""
        return any(model.inner_graph is not graph for model, graph in self.inner)

    @functools.cached_property
    def lasts(self) -> list[Layer | None]:
        """The layer that computes each output; None where its numbers are also used within the graph, or twice."""
        return [None if place is None else self.steps[place - self._count][0] for place in self._computed_at]

    @functools.cached_property
    def _computed_at(self) -> list[int | None]:
        """Where each output is computed, before layers that pass it on; None as for `lasts`."""
        uses = Counter([*self.ends, *(p for _, places in self.steps for p in places)])
        found: list[int | None] = []
        for place in self.ends:
            while place >= self._count and uses[place] == 1:
                layer, places = self.steps[place - self._count]
                if not (is_ours(layer) and layer.passes_on):
                    break
                place = places[0]
            found.append(place if place >= self._count and uses[place] == 1 else None)
        return found

    def without_activation(self, chosen: Sequence[bool]) -> tuple[int, ...]:
        """Return what tells `forward` to leave out the last activation of the chosen outputs."""
        places = zip(self._computed_at, chosen, strict=True)
        return tuple(self._moved[place] for place, yes in places if yes and place is not None)

    def forward(
        self, x: Any, training: Any = False, caches: Arrays = None, logits: tuple[int, ...] = (), seen: Arrays = None
    ) -> Any:
        """Run all layers.

        Args:
            x: the batch; several arrays where there are several inputs.
            training: whether Dropout and its like are active; None: where their calls were told so; or what `active`
                returned.
            caches: what `backward` will need is appended here; None where it won't be called.
            logits: leave out these activations; see `without_activation`.
            seen: all arrays of the run are appended here, in the order of their positions.

        Returns:
            The output; a list where the graph was made for a list of outputs.
        """
        # Machine code is made for arrays that may be written to; for others numba would compile all of it again.
        if self._one_input:
            values = [x if x.flags.writeable else x.copy()]
        else:
            values = [a if a.flags.writeable else a.copy() for a in x]
        if self._can_rest and type(training) is not list:
            training = self.active(training)
        each = self._told if training is None else training if type(training) is list else itertools.repeat(training)
        operations = self._only_forward if caches is None else self.operations
        for (operation, places), active in zip(operations, each, strict=False):
            x = values[places[0]] if len(places) == 1 else [values[i] for i in places]
            if logits and len(values) in logits:
                y, cache = operation.forward_logits(x)
            else:
                y, cache = operation.forward(x, active)
            values.append(y)
            if caches is not None:
                caches.append(cache)
        if seen is not None:
            seen += values
        return values[-1] if self._places is None else self._outputs(values)

    def active(self, training: bool | None = True) -> bool | list[bool] | None:
        """Return what each operation is told of `training`: False also for a frozen layer that rests.

        The same for all where no layer can rest.
        """
        if training is False or not self._can_rest:
            return training
        each = self._told if training is None else itertools.repeat(training)
        return [
            t and not (operation.rests_when_frozen and not operation.trainable)
            for t, (operation, _) in zip(each, self.operations, strict=False)
        ]

    def _outputs(self, values: list[np.ndarray]) -> Any:
        outputs = [values[place] for place in self._places or ()]
        return outputs[0] if isinstance(self.outputs, Symbol) else outputs

    def backward(
        self, dy: Any, caches: list[Any], needed: list[bool], seen: dict[int, tuple[Any, Any]] | None = None
    ) -> Any:
        """Run the `backward` of all operations in reverse order: the chain rule.

        Where an array was used by several layers, its gradient is the sum of theirs.  Layers that nothing
        trainable leads to are not asked for dx, or not run at all.

        Args:
            dy: d loss / d output; of several outputs a list, with None for those that the loss does not depend on.
            caches: filled by `forward`.
            needed: see `needed`.
            seen: dy and dx of each operation that is run are entered here, by its number; dx is None if not wanted.

        Returns:
            d loss / d x where that is needed, else None; a list of them where there are several inputs.
        """
        gradients: list[Any] = [None] * len(needed)
        if self._places is None:
            gradients[-1] = dy
        else:
            for place, d in zip(self._places, [dy] if isinstance(self.outputs, Symbol) else dy, strict=True):
                gradients[place] = _sum(gradients[place], d)
        count = self._count
        for i in range(len(self.operations) - 1, -1, -1):
            operation, places = self.operations[i]
            dy, gradients[count + i] = gradients[count + i], None
            wants_dx = needed[places[0]] if len(places) == 1 else any(needed[p] for p in places)
            if dy is None or not (wants_dx or needed[count + i]):
                continue
            if wants_dx:
                dx = operation.backward(dy, caches[i])
            else:
                operation.backward_weights(dy, caches[i])
            if seen is not None:
                seen[i] = dy, (dx if wants_dx else None)
            if wants_dx and len(places) == 1:
                place = places[0]
                gradients[place] = dx if gradients[place] is None else gradients[place] + dx
            elif wants_dx:
                for place, d in zip(places, dx, strict=True):
                    gradients[place] = d if gradients[place] is None else gradients[place] + d
        return gradients[0] if self._one_input else gradients[:count]

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
    def multiply_adds(self) -> int:
        """About how many a sample takes: each weight of a matrix or a kernel has one at each place of the output."""
        return sum(
            math.prod(v.shape) * max(math.prod(n or 1 for n in node.output.shape[1:-1]) for node in layer.nodes)
            for layer, _ in self.steps
            for v in layer.weights
            if len(v.shape) > 1
        )

    @functools.cached_property
    def independent_samples(self) -> bool:
        """Whether each sample is treated by itself: so do all built-in layers, and others may not."""
        return all(is_ours(layer) for layer, _ in self.steps)

    @functools.cached_property
    def uses_blas(self) -> bool:
        """Whether a layer may compute with NumPy's matrix products."""
        return not self.independent_samples or any(layer.uses_blas for layer, _ in self.steps)

    def needed(self, wants_dx: bool = False) -> list[bool]:
        """Return for each position whether a gradient there reaches anything that wants one.

        That is a trainable weight, or one of the graph's inputs where `wants_dx`.
        """
        needed = [wants_dx] * self._count
        for operation, places in self.operations:
            needed.append(any(needed[p] for p in places) or bool(operation.trainable_weights))
        return needed


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return a if b is None else b if a is None else a + b
