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

from ..common.lending import is_built_in
from ..layers.base import Layer
from ..layers.symbols import Node, Symbol
from ..variables import Variable
from .blocks import Block, Step, fused

MAX_STEPS = 100_000  # a bound for models inside models inside models, each used several times
CACHE = 2**24  # bytes: about what the cores' common cache holds
SMALLEST_PIECE = 64  # samples: with less, a kernel's threads have too little to share


class Graph:
    """All the calls that lead from input symbols to output symbols.

    Positions count the arrays of a run: first the inputs, then the output of each step.

    Args:
        inputs: where the data enters: a symbol, or a list of them.
        outputs: what the graph computes, likewise.

    Attributes:
        entrances, exits: these symbols, each in a list.
        calls: inputs and nodes, in an order in which each is computed before it is used.
        layers: in the order in which Keras lists them: those farthest from the outputs first.
        inner: the models among the layers, each with the graph that it had when it was unrolled here.
        steps: (layer, positions of its inputs), in the order of the calls.
        told: of each step, what its call says of `training`, or a call around it; None where none does.
        ends: the positions of the outputs.
        operations: as `steps`, for what is run: (layer or block, positions of its inputs), with positions of their own.

    Raises:
        ValueError: an output needs something that is not computed from the inputs; two layers of one name.
    """

    def __init__(self, inputs: Symbol | list[Symbol], outputs: Symbol | list[Symbol]):
        self.inputs, self.outputs = inputs, outputs
        self.entrances = entrances = [inputs] if isinstance(inputs, Symbol) else list(inputs)
        self.exits = exits = [outputs] if isinstance(outputs, Symbol) else list(outputs)
        self.calls, first = _walk(entrances, exits)
        self.layers = _by_distance(entrances, self.calls, first)
        self.inner = [
            (node.layer, inner)
            for node in self.calls
            if isinstance(node, Node) and (inner := getattr(node.layer, "inner_graph", None)) is not None
        ]
        self.steps, self.told, self.ends = _unrolled(entrances, exits, self.calls)
        count = len(entrances)
        steps = [(_JoinOfOne(f) if f.joins and len(p) == 1 else f, p) for f, p in self.steps]
        operations, moved = fused(steps, set(self.ends), count)
        self.operations = [(f if isinstance(f, Block) or _is_built_in(f) else _Bordered(f), p) for f, p in operations]
        self._used_once = _used_once(self.operations)
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

    @property
    def is_chain(self) -> bool:
        """Whether each call takes just what the one before it gave, and no layer is called twice."""
        follows = (
            isinstance(call, Node) and [s if s in self.entrances else s.node for s in call.inputs] == [before]
            for before, call in itertools.pairwise(self.calls)
        )
        return len(self.entrances) == 1 and len(self.layers) == len(self.calls) and all(follows)

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
                if not (_is_built_in(layer) and layer.passes_on):
                    break
                place = places[0]
            found.append(place if place >= self._count and uses[place] == 1 else None)
        return found

    def without_activation(self, chosen: Sequence[bool]) -> tuple[int, ...]:
        """Return what tells `forward` to leave out the last activation of the chosen outputs."""
        return tuple(self._moved[place] for place, yes in zip(self._computed_at, chosen, strict=True) if yes)

    def forward(
        self, x: Any, training: bool | None = False, caches: list[Any] | None = None, logits: tuple[int, ...] = ()
    ) -> Any:
        """Run all layers.

        Args:
            x: the batch; several arrays where there are several inputs.
            training: whether Dropout and its like are active; None: where their calls were told so; or what `active`
                returned.
            caches: what `backward` will need is appended here; None where it won't be called.
            logits: leave out these activations; see `without_activation`.

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
        for (operation, places), active in zip(self.operations, each, strict=False):
            x = values[places[0]] if len(places) == 1 else [values[i] for i in places]
            if logits and len(values) in logits:
                y, cache = operation.forward_logits(x)
            elif caches is None and isinstance(operation, Block):
                y, cache = operation.forward(x, active, keep=False)
            else:
                y, cache = operation.forward(x, active)
            values.append(y)
            if caches is not None:
                caches.append(cache)
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
        outputs = [values[place] for place in self._places]
        return outputs[0] if isinstance(self.outputs, Symbol) else outputs

    def backward(self, dy: Any, caches: list[Any], needed: list[bool], fresh: bool = False) -> Any:
        """Run the `backward` of all operations in reverse order: the chain rule.

        Where an array was used by several layers, its gradient is the sum of theirs.  Layers that nothing
        trainable leads to are not asked for dx, or not run at all.

        Args:
            dy: d loss / d output; of several outputs a list, with None for those that the loss does not depend on.
            caches: filled by `forward`.
            needed: see `needed`.
            fresh: whether the weights `written` may be written over, as nothing of this step is in them yet.

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
            if isinstance(operation, Block):
                dx = operation.backward(dy, caches[i], not (fresh and self._used_once[i]), wants_dx)
            elif wants_dx:
                dx = operation.backward(dy, caches[i])
            else:
                operation.backward_weights(dy, caches[i])
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
        return all(_is_built_in(layer) for layer, _ in self.steps)

    @functools.cached_property
    def begins_in_kernel(self) -> bool:
        """Whether the first to read weights is a block: its kernel finishes what was left to the threads by itself."""
        first = next((operation for operation, _ in self.operations if _weights(operation)), None)
        return self.independent_samples and isinstance(first, Block)

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
    weights = [_weights(operation) for operation, _ in operations]
    for group in weights:
        for v in group:
            users[v] = users.get(v, 0) + 1
    return [all(users[v] == 1 for v in group) for group in weights]


def _weights(operation: Any) -> list[Variable]:
    return operation.layer.weights if isinstance(operation, Block) else operation.weights


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return a if b is None else b if a is None else a + b


class _Around:
    """What runs in a layer's place, and is it in all that it doesn't write itself."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        if name == "layer" or name.startswith("__"):  # as `copy` and `pickle` ask one that is being made
            raise AttributeError(name)
        return getattr(self.layer, name)


class _JoinOfOne(_Around):
    """A layer that takes lists, given a list of one."""

    joins = True

    def compute_output_shape(self, shape: Any) -> Any:
        return self.layer.compute_output_shape([shape])

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        return self.layer.forward([x], training)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        return self.layer.backward(dy, cache)[0]

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        self.layer.backward_weights(dy, cache)


class _Bordered(_Around):
    """A layer of the user's own, at the border of the engine.

    What it returns is brought to the layer's float type, in one piece, as machine code takes it; an output or a
    gradient of another shape than it says is refused by the layer's name.
    """

    def forward(self, x: Any, training: bool) -> tuple[np.ndarray, Any]:
        return self._taken(x, *self.layer.forward(x, training))

    def forward_logits(self, x: Any) -> tuple[np.ndarray, Any]:
        return self._taken(x, *self.layer.forward_logits(x))

    def _taken(self, x: Any, y: Any, cache: Any) -> tuple[np.ndarray, Any]:
        shapes = [a.shape for a in x] if isinstance(x, list) else x.shape
        expected = tuple(self.layer.compute_output_shape(shapes))
        return self._fitting(y, expected, "forward", "as compute_output_shape says"), (shapes, cache)

    def backward(self, dy: np.ndarray, cache: Any) -> Any:
        shapes, cache = cache
        dx = self.layer.backward(dy, cache)
        if not isinstance(shapes, list):
            return self._fitting(dx, shapes, "backward", "that of x")
        if not isinstance(dx, (list, tuple)) or len(dx) != len(shapes):
            raise ValueError(f"{self._owner}: `backward` returns a list with dx for each of its {len(shapes)} inputs.")
        return [self._fitting(d, s, "backward", "that of its x") for d, s in zip(dx, shapes, strict=True)]

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        self.layer.backward_weights(dy, cache[1])

    def _fitting(self, a: Any, shape: tuple[int | None, ...], method: str, whose: str) -> np.ndarray:
        a = np.asarray(a)
        if a.dtype.kind not in "fiub":
            raise TypeError(f"{self._owner}: `{method}` returns an array of real numbers, received dtype {a.dtype}.")
        if len(a.shape) != len(shape) or any(n not in (m, None) for m, n in zip(a.shape, shape, strict=True)):
            raise ValueError(f"{self._owner}: `{method}` returned shape {a.shape}, expected {shape}, {whose}.")
        return np.require(a, self.layer.dtype, ["C", "W", "A"])


def _is_built_in(layer: Any) -> bool:
    layer = layer.layer if isinstance(layer, _JoinOfOne) else layer
    return is_built_in(type(layer))


# From symbols to steps ---------------------------------------------------------------------------------------------

Call = Symbol | Node  # an input, or a layer's call


def _walk(entrances: list[Symbol], exits: list[Symbol]) -> tuple[list[Call], dict[Layer, int]]:
    """Return the calls that the outputs depend on, each after those that it depends on itself.

    Also when each layer was met first, walking from the outputs to the inputs.
    """
    order: dict[Call, None] = {}
    met: dict[Layer, int] = {}
    known = set(entrances)
    stack = [(symbol, None, False) for symbol in reversed(exits)]
    while stack:
        symbol, user, inputs_done = stack.pop()
        call = symbol if symbol in known else symbol.node
        if call in order:
            continue
        if call is None:
            raise ValueError(_disconnected(symbol, user, entrances))
        if inputs_done:
            order[call] = None
            continue
        met.setdefault(call.layer, len(met))
        stack.append((symbol, user, True))
        if isinstance(call, Node):
            stack.extend((s, call.layer, False) for s in reversed(call.inputs))
    return list(order), met


def _disconnected(symbol: Symbol, user: Layer | None, entrances: list[Symbol]) -> str:
    place = "an output" if user is None else f"layer {user.name!r}"
    names = ", ".join(repr(s.layer.name) for s in entrances)
    return (
        f"Graph disconnected: {place} depends on the input {symbol.layer.name!r} ({symbol!r}), which is not among the "
        f"model's inputs ({names}). Add it to `inputs`."
    )


def _by_distance(entrances: list[Symbol], calls: list[Call], met: dict[Layer, int]) -> list[Layer]:
    """Return the layers, those with the longest way to an output first; of equal ones, those met first."""
    known = set(entrances)
    distance: dict[Call, int] = {}
    farthest: dict[Layer, int] = {}
    for call in reversed(calls):
        d = farthest[call.layer] = max(distance.get(call, 0), farthest.get(call.layer, 0))
        for symbol in call.inputs if isinstance(call, Node) else ():
            before = symbol if symbol in known else symbol.node
            distance[before] = max(d + 1, distance.get(before, 0))
    for symbol in entrances:  # some may be of no use
        farthest.setdefault(symbol.layer, 0)
    layers = sorted(farthest, key=lambda layer: (-farthest[layer], met.get(layer, -1)))
    twice = [name for name, n in Counter(layer.name for layer in layers).items() if n > 1]
    if twice:
        raise ValueError(
            f"The name {twice[0]!r} is used by several layers of the model. All layers have names of their own; "
            "pass another `name`."
        )
    return layers


def _unrolled(
    entrances: list[Symbol], exits: list[Symbol], calls: list[Call]
) -> tuple[list[tuple[Layer, tuple[int, ...]]], list[bool | None], list[int]]:
    """Return the steps of a graph, what they were told, and the positions of its outputs.

    The steps of inner models stand in their place.
    """
    places: dict[Symbol, int] = {symbol: i for i, symbol in enumerate(entrances)}
    steps: list[tuple[Layer, tuple[int, ...]]] = []
    told: list[bool | None] = []
    several = False
    for node in calls:
        if not isinstance(node, Node):
            continue
        at = [places[s] for s in node.inputs]
        inner = getattr(node.layer, "inner_graph", None)
        if inner is None:
            steps.append((node.layer, tuple(at)))
            told.append(node.training)
            places[node.output] = len(entrances) + len(steps) - 1
            continue
        for layer, inner_places in inner.steps:
            steps.append((layer, tuple(at[p] for p in inner_places)))
            at.append(len(entrances) + len(steps) - 1)
        told += inner.told if node.training is None else [node.training] * len(inner.steps)
        places.update((symbol, at[end]) for symbol, end in zip(node.outputs, inner.ends, strict=True))
        several = several or len(inner.ends) > 1
        if len(steps) > MAX_STEPS:
            raise ValueError(f"The model has more than {MAX_STEPS:,} steps, those of the models inside it included.")
    ends = [places[symbol] for symbol in exits]
    return _used(steps, told, ends, len(entrances)) if several else (steps, told, ends)


def _used(
    steps: list[tuple[Layer, tuple[int, ...]]], told: list[bool | None], ends: list[int], inputs: int
) -> tuple[list[tuple[Layer, tuple[int, ...]]], list[bool | None], list[int]]:
    """Leave out the steps that no output depends on: those to the outputs of inner models that nobody uses."""
    used = set(ends)
    for i in range(len(steps) - 1, -1, -1):
        if inputs + i in used:
            used.update(steps[i][1])
    moved = {place: place for place in range(inputs)}
    kept = []
    for i, (layer, places) in enumerate(steps):
        if inputs + i in used:
            moved[inputs + i] = inputs + len(kept)
            kept.append((layer, tuple(moved[p] for p in places)))
    return kept, [t for i, t in enumerate(told) if inputs + i in used], [moved[end] for end in ends]
