"""What a user sees: the progress line of an epoch, and any other text, in what characters and colours the output takes.

The engine itself never prints: others hand their words to this room.  Keras's counterpart: `keras.utils.Progbar`.

A terminal and a notebook get colours and a line that is redrawn in place; a file or a pipe gets finished lines of
plain text and no control characters; an encoding without the bar's signs gets ASCII ones.
"""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, TextIO

import numpy as np

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
    """Return 0 (silent), 1 (a moving line, also for `"auto"`) or 2 (a line per epoch)."""
    if verbose == "auto":
        return 1
    if isinstance(verbose, str):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', received {verbose!r}.")
    return int(verbose)


class ProgressLine:
    """One line that tells how far an epoch has come, redrawn in place.

        32/100 ━━━━━━━━━━━━━━━━━━━━ 4s 60ms/step - accuracy: 0.5312 - loss: 1.2345

    Steps done of all steps, the bar, the time left (after the last step: the time taken), the mean time of a step
    without the first one, and the logs.  The arguments are those of `Progbar`.

    A loop asks `due(step)`, which costs a look at the clock, and calls `draw` only where it says so.
    """

    def __init__(
        self,
        target: int | None,
        verbose: int | str = 1,
        *,
        width: int = 20,
        interval: float = 0.05,
        unit_name: str = "step",
    ):
        self.target, self.verbose, self.stream = target, verbosity(verbose), sys.stdout
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

    def draw(self, logs: Mapping[str, Any] | None = None) -> None:
        """Draw the line as of the last step."""
        self._show(logs, finished=False)

    def finish(self, logs: Mapping[str, Any] | None = None, step: int | None = None) -> None:
        """Draw the line for the last time, with the results, and end it; all steps are done where `step` is None."""
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


class Progbar(ProgressLine):
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
            raise ValueError("Only one of `stateful_metrics` or `stateless_metrics` can be provided to a Progbar.")
        super().__init__(target, verbose, width=width, interval=interval, unit_name=unit_name)
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
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
        new_steps = max(current - self.step, 1)
        for name, value in values or ():
            if self.stateful_metrics is not None:
                averaged = name not in self.stateful_metrics
            else:
                averaged = name in (self.stateless_metrics or ())
            if averaged and not finalize:
                total, steps = self._means.get(name, (0, 0))
                self._means[name] = (total + value * new_steps, steps + new_steps)
            else:
                self._means[name] = (value, 1)
        due = self.due(current)
        if finalize:
            self.finish(self._logs(), current)
        elif due:
            self.draw(self._logs())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Note that `n` more steps are done."""
        self.update(self.step + n, values)

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


def show(parts: Sequence[Any], width: int | None, print_fn: Callable[[str], Any] | None = None) -> None:
    """Print rich's texts and tables, in colours where the output takes them; or give `print_fn` the whole text."""
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


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
