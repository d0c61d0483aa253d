"""The pictures of a run: how many times as fast as tf.keras, and cost against batch, side, channels and threads.

    python benchmarks/pictures.py                         # once more, from benchmarks/results/speed.json

`run.py` calls `draw`.  The colours are Okabe and Ito's, which all eyes tell apart; each library has a marker, too.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from work import CURVES, KERAS, LABELS, OURS, TABLE

COLOURS = {
    "minikeras": "#D55E00",
    "keras-tensorflow": "#0072B2",
    "keras-jax": "#009E73",
    "keras-torch": "#E69F00",
    "torch": "#CC79A7",
    "torch-compile": "#56B4E9",
    "scikit-learn": "#000000",
}
MARKERS = dict(zip(COLOURS, "osD^vPX", strict=True))
AXES = {
    "batch": "batch size",
    "side": "image side (convolution 3x3, 32 to 32 channels, forward and backward)",
    "channels": "channels in and out (convolution 3x3, 14x14, forward and backward)",
    "threads": "threads",
}
FOOTNOTE = {"color": "#888888", "fontsize": 9}


def draw(result: dict[str, Any], directory: Path) -> list[str]:
    """Draw what the measured rows allow; return the names of the files."""
    rows = [row for row in result["rows"] if KERAS in row["libraries"] and OURS in row["libraries"]]
    layers = [row for row in rows if row["group"] == "layers"]
    others = [row for row in rows if row["group"] not in ("layers", *CURVES)]
    ways = {way: [row for row in layers if row["work"].endswith(way)] for way in ("forward", "both ways")}
    figures = {"ratio": _ratios({"": others}), "ratio-layers": _ratios(ways)}
    for group in CURVES:
        figures[group] = _curves([row for row in result["rows"] if row["group"] == group], group)
    names = []
    for name, figure in figures.items():
        if figure is None:
            continue
        if any(row["flags"] for row in result["rows"]):
            mark = "hollow" if name in CURVES else "*"
            figure.text(0.99, -0.01, f"{mark}: too noisy to be a result", ha="right", va="top", **FOOTNOTE)
        figure.savefig(directory / f"{name}.png", dpi=120, bbox_inches="tight", facecolor="white")
        plt.close(figure)
        names.append(f"{name}.png")
    return names


def _ratios(panels: dict[str, list[dict[str, Any]]]) -> Any:
    """Draw a bar for minikeras and a mark for each peer per row, on a scale on which tf.keras is 1."""
    panels = {title: rows for title, rows in panels.items() if rows}
    if not panels:
        return None
    labels = {row["work"]: row["work"].removesuffix(f", {title}") for title, rows in panels.items() for row in rows}
    lines = list(dict.fromkeys(labels[work] for work in TABLE if work in labels))  # a panel may lack some of them
    height = 1.5 + 0.34 * len(lines)
    size = (9 + 2 * (len(panels) - 1), height)
    figure, grid = plt.subplots(1, len(panels), figsize=size, layout="constrained", sharex=True, squeeze=False)
    drawn: dict[str, Any] = {}
    nearest, farthest = 0.8, 1.0
    for axes, (title, rows) in zip(grid.flat, panels.items(), strict=True):
        for row in rows:
            place = lines.index(labels[row["work"]])
            medians = {library: result["median"] for library, result in row["libraries"].items()}
            speed = {library: medians[KERAS] / median for library, median in medians.items() if library != KERAS}
            nearest, farthest = min(nearest, *speed.values()), max(farthest, *speed.values())
            ours = speed.pop(OURS)
            drawn[OURS] = axes.barh(place, ours - 1, left=1, height=0.62, color=COLOURS[OURS])
            text = (f"{ours:,.0f}x" if ours >= 100 else f"{ours:.2f}x") + " *" * bool(row["flags"])
            _write_beside(axes, max(ours, 1, *speed.values()), place, text)
            for library, value in speed.items():
                style = {"color": COLOURS[library], "markersize": 7, "markeredgecolor": "white", "zorder": 3}
                (drawn[library],) = axes.plot(value, place, MARKERS[library], **style)
        drawn[KERAS] = axes.axvline(1, color=COLOURS[KERAS], linewidth=2)
        axes.set(xscale="log", title=title, ylim=(len(lines) - 0.5, -0.5))
        axes.set_yticks(range(len(lines)), lines)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if axes is not grid.flat[0]:
            axes.tick_params(labelleft=False)
    axes.set_xlim(nearest / 1.3, farthest * (1.6 if farthest < 20 else 2.5))
    _plain_numbers(axes.xaxis, (1, 2, 5) if farthest < 100 else (1,))
    memory = " (memory: times as little)" if any(row["group"] == "memory" for row in rows) else ""
    figure.supxlabel(f"times as fast as tf.keras{memory}, logarithmic", fontsize="medium")
    _legend(figure, drawn)
    return figure


def _write_beside(axes: Any, x: float, y: float, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.7}
    style = {"va": "center", "fontweight": "bold", "color": COLOURS[OURS], "bbox": box, "zorder": 4}
    axes.annotate(text, (x, y), xytext=(7, 0), textcoords="offset points", **style)


def _legend(figure: Any, drawn: dict[str, Any]) -> None:
    shown = [library for library in LABELS if library in drawn]
    labels = [LABELS[library] for library in shown]
    handles = [drawn[library] for library in shown]
    figure.legend(handles, labels, loc="outside upper center", ncols=len(shown), frameon=False)


def _curves(rows: list[dict[str, Any]], group: str) -> Any:
    """Draw a panel per curve: cost per sample, a line per library."""
    curves = list(dict.fromkeys(TABLE[row["work"]].curve for row in rows))
    if not curves:
        return None
    columns = min(2, len(curves))
    lines = -(-len(curves) // columns)
    size = (4.6 * columns, 3.4 * lines + 0.5) if columns > 1 else (7, 4.6)
    figure, grid = plt.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in grid.flat[len(curves) :]:
        axes.remove()
    drawn = {}
    for axes, curve in zip(grid.flat, curves, strict=False):
        points = [row for row in rows if TABLE[row["work"]].curve == curve]
        for library in reversed(LABELS):  # ours last, on top
            mine = [row for row in points if library in row["libraries"]]
            if mine:
                style = {"marker": MARKERS[library], "markersize": 7 if library == OURS else 5}
                style |= {"color": COLOURS[library], "linewidth": 3 if library == OURS else 1.5}
                (drawn[library],) = axes.plot(*_places(mine, library), **style)
                noisy = [row for row in mine if row["flags"]]
                axes.plot(*_places(noisy, library), **style | {"linestyle": "none", "markerfacecolor": "white"})
        _label(axes, group, [TABLE[row["work"]].at for row in points])
        if len(curves) > 1:
            axes.set_title(curve)
    _legend(figure, drawn)
    return figure


def _places(rows: list[dict[str, Any]], library: str) -> tuple[list[int], list[float]]:
    return [TABLE[row["work"]].at for row in rows], [_microseconds_per_sample(row, library) for row in rows]


def _label(axes: Any, group: str, places: list[int]) -> None:
    axes.set_xlabel(AXES[group])
    axes.set_ylabel("microseconds per sample")
    if group == "threads":
        axes.set_ylim(bottom=0)
    else:
        axes.set(xscale="log", yscale="log")
        low, high = axes.get_ylim()
        _plain_numbers(axes.yaxis, (1,) if high / low > 50 else (1, 2, 5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [str(place) for place in places])
    axes.grid(color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)


def _plain_numbers(axis: Any, steps: tuple[int, ...]) -> None:
    """Write 0.5, 1, 2, 10 on a logarithmic axis, not powers."""
    axis.set_major_locator(LogLocator(10, subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _microseconds_per_sample(row: dict[str, Any], library: str) -> float:
    work = TABLE[row["work"]]
    samples = {"fit": work.options.get("batch"), "layer": work.options.get("shape", (1,))[0]}.get(work.kind, 1)
    return row["libraries"][library]["median"] / samples * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="where speed.json is")
    directory = parser.parse_args().out
    print(*draw(json.loads((directory / "speed.json").read_text()), directory))


if __name__ == "__main__":
    main()
