"""The table of a model's layers, their output shapes and numbers of weights: `Model.summary()`."""

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ..common.console import show
from ..common.names import did_you_mean
from ..engine.graph import Graph
from ..layers.symbols import Node


def summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a table of a model's layers, their output shapes and numbers of weights (Keras: `Model.summary`).

    Where a model is no chain of layers, a column tells what each layer is called on: `dense[1][0]` stands for
    output 0 of call 1 of the layer `dense`.

    Args:
        model: built or not; what is unknown before building is shown as `?` and `(unbuilt)`.
        line_length: the table's width in characters; by default 88 or what the terminal holds.
        positions: where each column ends, as a fraction of the width.
        print_fn: receives the whole text in one call, instead of standard output.
        expand_nested: also list the layers of models inside the model.
        show_trainable: add a column that says whether training changes the layer.
        layer_range: regular expressions for the names of the first and the last layer to list.

    Raises:
        ValueError: a `layer_range` that fits no layer, or columns narrower than 4 characters.
    """
    import shutil

    from rich.markup import escape
    from rich.table import Column, Table

    layers = _layers_in_range(model.layers, layer_range)
    header: list[str] = ["Layer (type)", "Output Shape", "Param #"]
    justify: list[Any] = ["left", "left", "right"]
    graph: Any = getattr(model, "graph", None)
    branches = graph is not None and not _is_chain(graph)
    if branches:
        header, justify = [*header, "Connected to"], [*justify, "left"]
    default_positions, default_length = ((0.3, 0.56, 0.74, 1.0), 108) if branches else ((0.45, 0.80, 1.0), 88)
    positions = list(positions or default_positions)
    if show_trainable:
        header, justify = [*header, "Trainable"], [*justify, "center"]
        positions, default_length = [*(0.9 * p for p in positions), 1.0], default_length + 12
    line_length = line_length or min(default_length, shutil.get_terminal_size().columns - 4)
    ends = [int(p * line_length) for p in positions]
    widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    if min(widths) < 4:
        raise ValueError(
            f"Insufficient console width to print summary: {line_length} characters give columns of {widths}. "
            "Pass a larger `line_length`."
        )

    columns = [Column(h, justify=j, width=w) for h, j, w in zip(header, justify, widths, strict=False)]
    table = Table(*columns, width=line_length, show_lines=True)

    nodes = set(graph.calls) if branches else ()

    def add_rows(layers: Iterable[Any], level: int = 0) -> None:
        for layer in layers:
            prefix = "   " * level + "└ " if level else ""
            parameters = f"{layer.count_params():,}" if layer.built else "0"
            cells = [
                f"{escape(prefix + layer.name)} ([color(33)]{escape(type(layer).__name__)}[/])",
                _shape_markup(layer),
                _green(parameters) + ("" if layer.built else " (unbuilt)"),
            ]
            if branches:
                cells.append(_connections(layer, nodes))
            if show_trainable:
                yes_or_no = "[color(34)]Y[/]" if layer.trainable else "[color(9)]N[/]"
                cells.append(f"[bold]{yes_or_no if layer.weights else '-'}[/]")
            table.add_row(*cells)
            if expand_nested:
                add_rows(getattr(layer, "layers", ()), level + 1)

    add_rows(layers)

    sizes = [_count_and_bytes(model.trainable_weights), _count_and_bytes(model.non_trainable_weights)]
    titles = ["Total", "Trainable", "Non-trainable"]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        sizes.append(_count_and_bytes(optimizer.variables))
        titles.append("Optimizer")
    sizes.insert(0, (sum(count for count, _ in sizes), sum(size for _, size in sizes)))
    parts = [f'[bold]Model: "{escape(model.name)}"[/]', table]
    for title, (count, size) in zip(titles, sizes, strict=True):
        parts.append(f"[bold] {title} params: [/]{_green(f'{count:,}')} ({_memory(size)})")

    show(parts, None, print_fn)


def _is_chain(graph: Graph) -> bool:
    """Whether each call takes just what the one before it gave, and no layer is called twice."""
    follows = (
        isinstance(call, Node) and [s if s in graph.entrances else s.node for s in call.inputs] == [before]
        for before, call in itertools.pairwise(graph.calls)
    )
    return len(graph.entrances) == 1 and len(graph.layers) == len(graph.calls) and all(follows)


def _layers_in_range(layers: Sequence[Any], layer_range: Sequence[str] | None) -> Sequence[Any]:
    if layer_range is None:
        return layers
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"summary: layer_range is two names, of the first and the last layer; received {layer_range}.")
    found = []
    for pattern in layer_range:
        matches = [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
        if not matches:
            hint = did_you_mean(pattern, [layer.name for layer in layers])
            raise ValueError(f"summary: layer_range={layer_range}: no layer is named {pattern!r}. {hint}")
        found.append(matches)
    first, last = found
    if min(first) > max(last):
        first, last = last, first
    return layers[min(first) : max(last) + 1]


def _connections(layer: Any, nodes: Collection[Any]) -> str:
    """Name the outputs that a layer is called on, in those of its calls that are among `nodes`."""
    from rich.markup import escape

    texts = []
    for node in layer.nodes:
        for symbol in node.inputs if node in nodes else ():
            source = symbol.layer.nodes.index(symbol.node) if symbol.node else 0
            output = symbol.node.outputs.index(symbol) if symbol.node else 0
            texts.append(f"{escape(symbol.layer.name)}[{_green(source)}][{_green(output)}]")
    return ", ".join(texts) or "-"


def _shape_markup(layer: Any) -> str:
    try:
        nodes = getattr(layer, "nodes", None)
        shape = [symbol.shape for symbol in nodes[-1].outputs] if nodes else layer.output_shape
    except (AttributeError, NotImplementedError, ValueError, RuntimeError):
        shape = None
    if shape is None:
        return "?"

    def markup(shape: Any) -> str:
        if shape is None:
            return "[color(45)]None[/]"
        if isinstance(shape, list):
            return markup(shape[0]) if len(shape) == 1 else f"[{', '.join(map(markup, shape))}]"
        return f"({', '.join(map(markup, shape))})" if isinstance(shape, tuple) else _green(shape)

    return markup(shape)


def _green(text: Any) -> str:
    return f"[color(34)]{text}[/]"


def _count_and_bytes(weights: Iterable[Any]) -> tuple[int, int]:
    count = size = 0
    for weight in {id(w): w for w in weights}.values():
        elements = math.prod(weight.shape)
        count += elements
        size += elements * np.dtype(weight.dtype).itemsize
    return count, size


def _memory(size: float) -> str:
    """Write a number of bytes as `30.66 KB`."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"
