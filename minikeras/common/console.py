"""What a user sees: the progress line of an epoch, and the table of `model.summary()`.

The engine itself never prints:  `callbacks`, `models` and `datasets` hand their words to this room.  Keras's
counterparts: `keras.utils.Progbar`, `Model.summary`.

A terminal and a notebook get colours and a line that is redrawn in place; a file or a pipe gets finished lines of
plain text and no control characters; an encoding without the bar's signs gets ASCII ones.
"""

import math
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, TextIO

import numpy as np

from .names import did_you_mean, missing_attribute

__all__ = ["Progbar", "ProgressLine", "as_text", "say", "show", "summary", "verbosity"]

BAR = "━"
BOLD, GREEN, WHITE, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"
CONTROL = re.compile(r"\x1b\[\d+m")


def say(message: str, end: str = "\n", stream: TextIO | None = None) -> None:
    """Write a message to `stream` (standard output where None), in whatever characters its encoding has."""
    stream = stream or sys.stdout
    if stream is None:  # a program without a console (pythonw)
        return
    text = message + end
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.replace(BAR, "=").encode(encoding, "replace").decode(encoding))
    stream.flush()


def verbosity(verbose: int | str) -> int:
    """Return 0 (silent), 1 (a moving line) or 2 (a line per epoch); `"auto"` means 1.

    Raises:
        ValueError: any other word.
    """
    if verbose == "auto":
        return 1
    if isinstance(verbose, str):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', received {verbose!r}.")
    return int(verbose)


class ProgressLine:
    """One line that tells how far an epoch has come, redrawn in place.

        32/100 ━━━━━━━━━━━━━━━━━━━━ 4s 60ms/step - accuracy: 0.5312 - loss: 1.2345

    Steps done of all steps, the bar, the time left (after the last step: the time taken), the mean time of a step
    without the first one, and the logs.  (Keras: `keras.utils.Progbar`, which `ProgbarLogger` uses.)

    Args:
        target: the number of steps; None where nobody knows.
        verbose: 0 draws nothing, 1 or `"auto"` the line, 2 a bare line at the end.
        stream: where to write; standard output where None.
        width: of the bar, in characters.
        interval: the least number of seconds between two drawings.
        unit_name: what the time is counted per.

    A loop asks `due(step)`, which costs a look at the clock, and calls `draw` only where it says so.
    """

    def __init__(
        self,
        target: int | None,
        verbose: int | str = 1,
        stream: TextIO | None = None,
        *,
        width: int = 20,
        interval: float = 0.05,
        unit_name: str = "step",
    ):
        self.target = target
        self.verbose = verbosity(verbose)
        self.stream = stream or sys.stdout
        self.width, self.interval, self.unit_name = width, interval, unit_name
        self.live = _redraws(self.stream)
        self.step = 0
        self._values: dict[str, Any] = {}
        self._start = perf_counter()
        self._first_step_end: float | None = None
        # Where nothing is ever redrawn, the last drawing lies in an infinite future.
        self._drawn_at = -math.inf if self.verbose == 1 and self.live else math.inf
        self._drawn_width = 0

    def due(self, step: int) -> bool:
        """Note that `step` steps are done; return whether the line should be drawn again."""
        self.step = step
        now = perf_counter()
        if step == 1:
            self._first_step_end = now
        return now - self._drawn_at >= self.interval

    def update(self, step: int, logs: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Note that `step` steps are done, and draw the line where it is due.

        Args:
            step: counted from 1.
            logs: name -> number, or a function that returns them, called only where they are drawn.
        """
        if self.due(step):
            self.draw(logs() if callable(logs) else logs)

    def draw(self, logs: Mapping[str, Any] | None = None) -> None:
        """Draw the line as of the last step."""
        self._show(logs, finished=False)

    def finish(self, logs: Mapping[str, Any] | None = None, step: int | None = None) -> None:
        """Draw the line for the last time, and end it.

        Args:
            logs: the results; where they lack a name that was drawn before, its last number stays.
            step: the steps done; all of them where None.
        """
        if step is not None:
            self.step = step
        elif self.target is not None:
            self.step = self.target
        self._show(logs, finished=True)

    def _show(self, logs: Mapping[str, Any] | None, finished: bool) -> None:
        now = perf_counter()
        self._values.update(logs or {})
        if self.verbose == 1 and (self.live or finished):
            self._show_bar(now, finished)
        elif self.verbose == 2 and finished and self.target:
            took = f"{now - self._start:.0f}s - {self._time_per_step(now)}"
            say(f"{self._count()} - {took}{self._numbers()}", stream=self.stream)

    def _show_bar(self, now: float, finished: bool) -> None:
        time_per_step = self._seconds_per_step(now)
        if self.target:
            done = min(int(self.width * self.step / self.target), self.width)
            green = f"{GREEN}{BAR * done}{PLAIN}" if done else ""
            head = f"{BOLD}{self._count()}{PLAIN} {green}{WHITE}{BAR * (self.width - done)}{PLAIN}"
        else:
            head = f"{self.step:7d}/Unknown"
        if self.target and not finished:
            clock = _clock(time_per_step * (self.target - self.step))
        else:
            clock = f"{now - self._start:.0f}s"
        head += f" {BOLD}{clock}{PLAIN} {self._time_per_step(now)}"
        numbers = self._numbers()
        if not self.live:
            say(CONTROL.sub("", head) + numbers, stream=self.stream)
            return

        width = len(CONTROL.sub("", head))
        if not finished:
            # A line that wraps cannot be redrawn: the carriage return would only reach its last row.
            numbers = numbers[: max(_columns(self.stream) - 1 - width, 0)]
        width += len(numbers)
        leftover = " " * (self._drawn_width - width)
        say(f"\r{head}{numbers}{leftover}", end="\n" if finished else "", stream=self.stream)
        self._drawn_width = width
        self._drawn_at = now

    def _count(self) -> str:
        return f"{self.step:{len(str(self.target))}d}/{self.target}"

    def _seconds_per_step(self, now: float) -> float:
        # The first step also pays for compilation and caches: it would spoil the estimate.
        if self.step > 1 and self._first_step_end is not None:
            return (now - self._first_step_end) / (self.step - 1)
        return (now - self._start) / self.step if self.step else 0.0

    def _time_per_step(self, now: float) -> str:
        seconds = self._seconds_per_step(now)
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"

    def _numbers(self) -> str:
        return "".join(f" - {name}: {_number(value)}" for name, value in self._values.items())


class Progbar:
    """A progress bar for loops of one's own (Keras: `keras.utils.Progbar`).

    Args:
        target: the number of steps; None where nobody knows.
        width: of the bar, in characters.
        verbose: 0 draws nothing, 1 the line, 2 a bare line at the end.
        interval: the least number of seconds between two drawings.
        stateful_metrics: names of values that are drawn as they come; all others are averaged over the steps.
        stateless_metrics: instead of `stateful_metrics`: the names that are averaged.
        unit_name: what the time is counted per.

    Raises:
        ValueError: both lists of metrics are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar: pass `stateful_metrics` or `stateless_metrics`, not both.")
        self.target = target
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._line = ProgressLine(target, verbose, width=width, interval=interval, unit_name=unit_name)
        self._means: dict[str, tuple[Any, int]] = {}  # name -> (weighted sum, steps)

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Note that `current` steps are done, and draw the line where it is due.

        Args:
            current: counted from 1.
            values: pairs (name, value of the steps since the last update).
            finalize: end the line; where None, when `current` reaches the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        new_steps = max(current - self._line.step, 1)
        for name, value in values or ():
            if self.stateless_metrics is None:
                averaged = name not in self.stateful_metrics
            else:
                averaged = name in self.stateless_metrics
            if averaged and not finalize:
                total, steps = self._means.get(name, (0, 0))
                self._means[name] = (total + value * new_steps, steps + new_steps)
            else:
                self._means[name] = (value, 1)
        self._line.target = self.target
        due = self._line.due(current)
        if finalize:
            self._line.finish(self._logs(), current)
        elif due:
            self._line.draw(self._logs())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Note that `n` more steps are done."""
        self.update(self._line.step + n, values)

    def _logs(self) -> dict[str, Any]:
        return {name: total if steps == 1 else np.mean(total) / steps for name, (total, steps) in self._means.items()}


def _redraws(stream: TextIO | None) -> bool:
    """Tell whether what was written to the stream can be overwritten: a terminal or a notebook, not a file."""
    if type(stream).__module__.partition(".")[0] == "ipykernel":
        return True
    if stream is None or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty() if hasattr(stream, "isatty") else False


def _columns(stream: TextIO) -> int:
    """Return the width of a terminal; a huge number where it has none (a notebook)."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    except (OSError, ValueError, AttributeError):
        return sys.maxsize


def _clock(seconds: float) -> str:
    """Write a duration as `12s`, `3:04` or `1:02:03`."""
    hours, minutes, rest = int(seconds // 3600), int(seconds % 3600 // 60), int(seconds % 60)
    if seconds > 3600:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{int(seconds // 60)}:{rest:02d}" if seconds > 60 else f"{int(seconds)}s"


def _number(value: Any) -> str:
    """Write a number with four decimals, or in powers of ten where those would be zeros."""
    if isinstance(value, str):
        return value
    value = float(np.mean(value))
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


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
    header, justify = ["Layer (type)", "Output Shape", "Param #"], ["left", "left", "right"]
    graph = getattr(model, "graph", None)
    branches = graph is not None and not graph.is_chain
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


def show(parts: Sequence[Any], width: int | None, print_fn: Callable[[str], Any] | None = None) -> None:
    """Print rich's texts and tables, in colours where the output takes them.

    Args:
        parts: what `rich.console.Console.print` takes.
        width: in characters; the terminal's where None.
        print_fn: receives the whole text in one call, instead of standard output.
    """
    from rich.console import Console

    console = Console(highlight=False, width=width)
    if print_fn is not None:
        print_fn(as_text(parts, width))
    elif _encodable(as_text(parts, width), console.encoding):
        for part in parts:
            console.print(part)
    else:
        say(as_text(parts, width), end="")


def as_text(parts: Sequence[Any], width: int | None = None) -> str:
    """Return rich's texts and tables as plain text."""
    from rich.console import Console

    console = Console(highlight=False, force_terminal=False, color_system=None, width=width)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


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


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


__getattr__ = missing_attribute(__name__, __all__)
