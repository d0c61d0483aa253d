"""From symbols to steps: the calls of layers that lead to a graph's outputs, in an order in which they can run."""

import itertools
from collections import Counter

from ..layers.base import Layer
from ..layers.symbols import Node, Symbol

MAX_STEPS = 100_000  # a bound for models inside models inside models, each used several times
Call = Symbol | Node  # an input, or a layer's call
Step = tuple[Layer, tuple[int, ...]]  # and the positions of its inputs


def walk(entrances: list[Symbol], exits: list[Symbol]) -> tuple[list[Call], dict[Layer, int]]:
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


def by_distance(entrances: list[Symbol], calls: list[Call], met: dict[Layer, int]) -> list[Layer]:
    """Return the layers, those with the longest way to an output first; of equal ones, those met first."""
    known = set(entrances)
    distance: dict[Call, int] = {}
    farthest: dict[Layer, int] = {}
    for call in reversed(calls):
        d = farthest[call.layer] = max(distance.get(call, 0), farthest.get(call.layer, 0))
        for symbol in call.inputs if isinstance(call, Node) else ():
            before = symbol if symbol in known else symbol.node
            if before is not None:
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


def unrolled(
    entrances: list[Symbol], exits: list[Symbol], calls: list[Call]
) -> tuple[list[Step], list[bool | None], list[tuple[Layer, ...]], list[int]]:
    """Return the steps of a graph, what each was told, the models around each, and the positions of the outputs.

    The steps of inner models stand in their place.
    """
    places: dict[Symbol, int] = {symbol: i for i, symbol in enumerate(entrances)}
    steps: list[Step] = []
    told: list[bool | None] = []
    within: list[tuple[Layer, ...]] = []
    several = False
    for node in calls:
        if not isinstance(node, Node):
            continue
        at = [places[s] for s in node.inputs]
        inner = getattr(node.layer, "inner_graph", None)
        if inner is None:
            steps.append((node.layer, tuple(at)))
            told.append(node.training)
            within.append(())
            places[node.output] = len(entrances) + len(steps) - 1
            continue
        for layer, inner_places in inner.steps:
            steps.append((layer, tuple(at[p] for p in inner_places)))
            at.append(len(entrances) + len(steps) - 1)
        told += inner.told if node.training is None else [node.training] * len(inner.steps)
        within += [(node.layer, *models) for models in inner.within]
        places.update((symbol, at[end]) for symbol, end in zip(node.outputs, inner.ends, strict=True))
        several = several or len(inner.ends) > 1
        if len(steps) > MAX_STEPS:
            raise ValueError(f"The model has more than {MAX_STEPS:,} steps, those of the models inside it included.")
    ends = [places[symbol] for symbol in exits]
    if not several:
        return steps, told, within, ends
    used = _used(steps, ends, len(entrances))
    moved = {place: new for new, place in enumerate(itertools.compress(itertools.count(), used))}
    used = used[len(entrances) :]
    kept = [(layer, tuple(moved[p] for p in at)) for layer, at in itertools.compress(steps, used)]
    told, within = list(itertools.compress(told, used)), list(itertools.compress(within, used))
    return kept, told, within, [moved[end] for end in ends]


def _used(steps: list[Step], ends: list[int], inputs: int) -> list[bool]:
    """Return for each position whether an output depends on it: not on the outputs of inner models that nobody uses."""
    used = set(ends)
    for place in range(inputs + len(steps) - 1, inputs - 1, -1):
        if place in used:
            used.update(steps[place - inputs][1])
    return [place < inputs or place in used for place in range(inputs + len(steps))]
