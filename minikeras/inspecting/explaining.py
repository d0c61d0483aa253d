"""One sample followed through a model, layer by layer: every shape, weight and multiplication accounted for.

    model.explain(x_train[0], y_train[0])

A layer that `costs` doesn't know still gets its weights counted (from their shapes), its memory and its numbers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..common import console
from ..common.tree import Bundle, flatten_like
from ..engine.compile_arguments import losses_of
from ..engine.graph import Graph
from ..engine.objective import Objective
from .costs import Shape, cost
from .run import Call, Run, one_sample, unfused, without_gradients


class Row(NamedTuple):
    """One call of one layer.  Shapes are those of one sample, without the batch axis.

    Attributes:
        name: of the layer, with those of the models around it.
        class_name: its class.
        input_shapes: of what goes in.
        output_shape: of what comes out.
        arithmetic: how the output's shape comes about, such as `"rows and columns: (28 - 3) // 1 + 1 = 26"`.
        parameters: the number of weights; 0 where an earlier row has counted them.
        parameters_formula: such as `"3*3*1*32 + 32 = 320"`.
        multiply_adds: products of an input with a weight, or of two inputs, each added to a sum.
        multiply_adds_formula: such as `"28*28*3*3*1*32 = 225,792"`.
        bytes: the memory of the output.
        low, mean, high: the smallest number of the output, their mean, the largest.
        dy_norm: |dy|, the length of d loss / d output; None where nobody needs it, and without a backward pass.
        dx_norm: |dx|, likewise.
        gradient_norms: weight -> |d loss / d weight|.
        weight_norms: weight -> |weight|.
        backward_multiply_adds: of the backward pass: once for the weights' gradients, once more for each dx.
    """

    name: str
    class_name: str
    input_shapes: list[Shape]
    output_shape: Shape
    arithmetic: str
    parameters: int
    parameters_formula: str
    multiply_adds: int
    multiply_adds_formula: str
    bytes: int
    low: float
    mean: float
    high: float
    dy_norm: float | None = None
    dx_norm: float | None = None
    gradient_norms: dict[str, float] | None = None
    weight_norms: dict[str, float] | None = None
    backward_multiply_adds: int | None = None


class Explanation:
    """What `explain` found out; `print` shows it again.

    Attributes:
        model_name: of the model.
        rows: in the order the layers run.
        loss: of the sample, without the penalties of regularizers; None without a target.
        loss_name: the loss's class; several, of several outputs.
        paired: the names of layers whose activation the loss took over, as in training: it starts from z, what enters
            the activation, and dy of these rows is d loss / d z.
        parameters, multiply_adds: the number of all layers' weights, and of the products of one sample's way forward.
        bytes: the memory of all outputs of one sample; training keeps them for the way back.
    """

    def __init__(
        self,
        model_name: str,
        rows: list[Row],
        loss: float | None = None,
        loss_name: str = "",
        paired: Sequence[str] = (),
    ):
        self.model_name, self.rows, self.loss, self.loss_name = model_name, rows, loss, loss_name
        self.paired = list(paired)
        self.parameters = sum(row.parameters for row in rows)
        self.multiply_adds = sum(row.multiply_adds for row in rows)
        self.bytes = sum(row.bytes for row in rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def __str__(self) -> str:
        return console.as_text(_parts(self), WIDTH)

    def __repr__(self) -> str:
        return f"<Explanation of {self.model_name!r}: {len(self.rows)} layers, {self.multiply_adds:,} multiply-adds>"


def explain(model: Any, x: Any, y: Any = None, print_fn: Callable[[str], Any] | None = None) -> Explanation:
    """Follow one sample through a model, print what happens in each layer, and return it; see `Model.explain`."""
    if model.graph is None:
        raise ValueError(f"explain: model {model.name!r} isn't built; start it with keras.Input, or call build.")
    if y is not None and not (model.compiled and model.loss is not None):
        raise ValueError(f"explain: a target needs a loss: call compile(loss=...) on model {model.name!r}.")
    names = [(symbol.layer.name, symbol.name) for symbol in model.inputs]
    xs = flatten_like(model.input, x, names, f"explain: model {model.name!r}, x")
    xs = [one_sample(symbol, value, "explain") for symbol, value in zip(model.inputs, xs, strict=True)]
    graph = unfused(model)
    with np.errstate(all="ignore"):
        run = Run(graph, xs)
        firsts = {call.layer: call for call in reversed(run.calls)}
        rows = [_row(call, run, call is firsts[call.layer]) for call in run.calls]
        explanation = Explanation(model.name, rows, *(() if y is None else _backward(model, graph, xs, y, rows)))
    console.show(_parts(explanation), WIDTH, print_fn)
    return explanation


def _row(call: Call, run: Run, first_time: bool) -> Row:
    layer, y = call.layer, run.values[call.output]
    inputs, output = [run.values[p].shape[1:] for p in call.inputs], y.shape[1:]
    arithmetic, products = cost(layer, inputs, output)
    multiply_adds = sum(map(math.prod, products))
    shapes = [v.shape for v in layer.weights]
    parameters = sum(map(math.prod, shapes))
    return Row(
        call.name,
        type(layer).__name__,
        inputs,
        output,
        arithmetic,
        parameters if first_time else 0,
        _sum_of_products(shapes, parameters) if first_time else "shared: counted above",
        multiply_adds,
        _sum_of_products(products, multiply_adds),
        y.nbytes,
        *((float(y.min()), float(y.mean()), float(y.max())) if y.size else (0.0, 0.0, 0.0)),
    )


def _sum_of_products(terms: Iterable[Sequence[int]], total: int) -> str:
    formula = " + ".join("*".join(map(str, factors)) or "1" for factors in terms)
    return f"{total:,}" if formula in ("", str(total)) else f"{formula} = {total:,}"


def _backward(model: Any, graph: Graph, xs: list[np.ndarray], y: Any, rows: list[Row]) -> tuple[float, str, list[str]]:
    """Run the losses and all layers backward, and add the norms to the rows.

    Returns:
        The loss, the names of its parts, and those of the layers that were left without their activation.
    """
    names, shapes = model.output_names, [symbol.shape for symbol in model.outputs]
    given = losses_of(model.loss, model.output, names)
    ys = flatten_like(model.output, y, [(name,) for name in names], f"explain: model {model.name!r}, y",
                      [i not in given for i in range(len(names))])  # fmt: skip
    ys = [_as_batch(ys[i], len(shape)) if i in given else None for i, shape in enumerate(shapes)]
    several = isinstance(graph.outputs, list)
    arguments = {**model._compile_arguments, "metrics": None, "weighted_metrics": None}
    objective = Objective(arguments, model.output, names, Bundle(ys) if several else ys[0], shapes).paired(graph)

    run = Run(graph, xs, logits=objective.logits)
    loss, dz, _ = objective.value_and_gradient(Bundle(ys) if several else ys[0], run.result, None)
    if several:
        dz = [np.zeros_like(z) if d is None else d for z, d in zip(run.result, dz, strict=True)]
    needed = graph.needed()
    with without_gradients(call.layer for call in run.calls):
        run.backward(dz, needed)
        gradients = {v: _norm([v.gradient]) for call in run.calls for v in call.layer.trainable_weights}

    for i, call in enumerate(run.calls):
        trained = call.layer.trainable_weights
        rows[i] = rows[i]._replace(
            dy_norm=None if run.dy[i] is None else _norm([run.dy[i]]),
            dx_norm=None if run.dx[i] is None else _norm(run.dx[i]),
            gradient_norms={v.name: gradients[v] for v in trained},
            weight_norms={v.name: _norm([v.value]) for v in trained},
            backward_multiply_adds=rows[i].multiply_adds * (bool(trained) + sum(needed[p] for p in call.inputs)),
        )
    kinds = ", ".join(type(loss).__name__ for loss in objective.losses.values())
    return loss, kinds, [call.name for call in run.calls if call.output in objective.logits]


def _as_batch(y: Any, ndim: int) -> np.ndarray:
    """Return a target, for an output of so many axes, as a batch of one."""
    y = np.asarray(y)
    y = y[None] if y.ndim < ndim else y
    if y.shape[0] != 1:
        raise ValueError(f"explain: expected the target of one sample, received an array of shape {y.shape}.")
    return y


def _norm(arrays: Sequence[np.ndarray | None] | None) -> float:
    """Return the square root of the sum of all squares."""
    return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays or () if a is not None))


# ---- printed ----

WIDTH = 120


def _parts(explanation: Explanation) -> list[Any]:
    from rich.markup import escape
    from rich.table import Column, Table

    rows = explanation.rows
    forward = Table(
        Column("Layer (type)", overflow="fold"),
        Column("Output, its memory,\nand how its shape comes about"),
        Column("Weights", justify="right"),
        Column("Multiply-adds", justify="right"),
        Column("Min\nmean\nmax", justify="right", no_wrap=True),
        width=WIDTH,
        show_lines=True,
    )
    cells = [
        (
            f"{row.name}\n({row.class_name})",
            _on_lines(row.parameters_formula),
            _on_lines(row.multiply_adds_formula),
            f"{row.low:.3g}\n{row.mean:.3g}\n{row.high:.3g}",
        )
        for row in rows
    ]
    columns = zip(("Layer (type)", "Weights", "Multiply-adds", "mean"), *cells, strict=True)
    taken = sum(max(len(line) for cell in column for line in cell.split("\n")) for column in columns)
    room = WIDTH - 16 - taken  # what the other columns leave, lines and spaces deducted
    for row, (name, *others) in zip(rows, cells, strict=True):
        shape = f"{' × '.join(map(str, row.output_shape))}, {_memory(row.bytes)}"
        arithmetic = f"\n[dim]{escape(_broken(row.arithmetic, room))}[/]" if row.arithmetic else ""
        forward.add_row(escape(name), shape + arithmetic, *others)
    parts = [f'[bold]One sample through model "{escape(explanation.model_name)}", forward[/]', forward]
    parts.append(
        f"[bold] Sums:[/] {explanation.parameters:,} weights, {explanation.multiply_adds:,} multiply-adds, "
        f"{_memory(explanation.bytes)} of outputs"
    )
    if explanation.loss is None:
        return parts

    backward = Table(
        Column("Layer (type)", overflow="fold"),
        Column("|dy|", justify="right"),
        Column("Weights: |dw| (|dw| / |w|)"),
        Column("|dx|", justify="right"),
        Column("Multiply-adds", justify="right"),
        width=WIDTH,
        show_lines=True,
    )
    for row in reversed(rows):
        lines = []
        for name, norm in (row.gradient_norms or {}).items():
            size = (row.weight_norms or {})[name]
            lines.append(f"{escape(name)}: {norm:.3g}" + (f"  ({norm / size:.2g})" if size else ""))
        backward.add_row(
            f"{escape(row.name)} ({escape(row.class_name)})",
            _number(row.dy_norm),
            "\n".join(lines) or "-",
            _number(row.dx_norm),
            f"{row.backward_multiply_adds:,}",
        )
    start = f"loss = {explanation.loss:.4g} ({explanation.loss_name})"
    if explanation.paired:
        start += f", from z, what enters the activation of {escape(' and '.join(explanation.paired))}; dy there is dz"
    parts += ["", f"[bold]And backward:[/] {start}", backward]
    return parts


def _number(norm: float | None) -> str:
    return "not needed" if norm is None else f"{norm:.3g}"


def _on_lines(formula: str) -> str:
    """Break a formula before its result, and a long sum before each term, so that columns stay narrow."""
    terms, equals, result = formula.replace(" = ", "\n= ").partition("\n")
    return (terms.replace(" + ", "\n+ ") if len(terms) > 18 else terms) + equals + result


def _broken(text: str, room: int) -> str:
    """Break long lines where a reader would: after what is computed, and before a remark."""
    return "\n".join(
        line if len(line) <= room else line.replace(": ", ":\n").replace("; ", ";\n") for line in text.split("\n")
    )


def _memory(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size / 1024:.1f} KiB" if size < 1024**2 else f"{size / 1024**2:.1f} MiB"
