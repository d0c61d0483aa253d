"""What all pictures share: colours, an empty figure, a file to write it to, a grid's number of columns."""

import math
import os
import sys
from typing import Any

import numpy as np

from ..common.names import did_you_mean

#: Told apart by colour-blind readers too (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

#: A number between two extremes around 0, and one from none to much; both in order of lightness as well.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"


def check_matplotlib() -> None:
    """Raise ImportError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("minikeras.plotting needs matplotlib: pip install matplotlib") from None


def new_figure(size: tuple[float, float], title: str | None = None) -> Any:
    """Return an empty figure of this size in inches, which no window belongs to."""
    check_matplotlib()
    if in_notebook():  # whose way to show figures comes with pyplot
        from matplotlib import pyplot  # noqa: F401
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.1, h_pad=0.08)
    if title:
        figure.suptitle(title)
    return figure


def cells(figure: Any, rows: int, columns: int, count: int) -> list[Any]:
    """Return the axes of the first `count` cells of a grid; the others stay empty."""
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_axis_off()
    return grid[:count]


def finished(figure: Any, to_file: Any) -> Any:
    """Write a figure to a file, if there is to be one, and return it."""
    if to_file is not None:
        extension = os.path.splitext(os.fspath(to_file))[1].lstrip(".").lower()
        known = sorted(figure.canvas.get_supported_filetypes())
        if extension and extension not in known:
            raise ValueError(f"Pictures can't be written as {extension!r}, in {os.fspath(to_file)!r}. "
                             f"{did_you_mean(extension, known)}")  # fmt: skip
        figure.savefig(to_file)
    return figure


def columns_for(count: int) -> int:
    """Return how many columns make a grid of so many cells a little wider than high, without a ragged last row."""
    square = math.ceil(math.sqrt(count))
    return next((c for c in range(square, min(count, 2 * square) + 1) if count % c == 0), square)


def at_least_one(value: Any, caller: str, argument: str) -> int:
    """Return a positive integer; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{caller}: `{argument}` is an integer >= 1, received {value!r}.")
    return int(value)


def in_notebook() -> bool:
    """Whether the program runs in a notebook's kernel, which shows pictures between the cells."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
