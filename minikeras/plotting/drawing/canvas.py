"""A picture of a model drawn by matplotlib, where Graphviz is missing."""

from typing import Any

from .boxes import Box, Frame, Picture
from .layout import FRAME_TITLE, everything, lay_out

TITLE_HEIGHT, ROW_HEIGHT, PADDING, TITLE_SIZE, TEXT_SIZE, SPACE = 26.0, 24.0, 11.0, 12.0, 10.5, 0.32


def draw(picture: Picture, to_file: str, extension: str) -> None:
    """Lay the picture out, and write it."""
    figure = as_figure(picture)
    width, height = figure.get_size_inches()
    most = 60_000 / max(width, height)  # pixels along a side, of 65,535 that can be drawn
    dpi = min(picture.options.dpi, most, (2e8 / (width * height)) ** 0.5)
    figure.savefig(to_file, format=extension, dpi=dpi)


def as_figure(picture: Picture) -> Any:
    """Return the picture as a matplotlib Figure; its boxes then know their places."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "plot_model draws with Graphviz (https://graphviz.org) or with matplotlib, and found neither: "
            "pip install matplotlib"
        ) from None
    for box in picture.frame.boxes():
        box.size = _box_size(box)
    direction, lines = picture.options.rankdir, lay_out(picture)
    corners = [picture.frame.size, *(point for line in lines.values() for point in line)]
    width, height = (max(along) + 4 for along in zip(*corners, strict=True))

    def seen(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (width - x if direction == "RL" else x, height - y if direction == "BT" else y)

    figure = Figure(figsize=(width / 72, height / 72), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for member in everything(picture.frame):
        if isinstance(member, Frame):
            _draw_frame(axes, member, seen, title_below=direction == "BT")
    for line in lines.values():
        _draw_arrow(axes, [seen(point) for point in line])
    for box in picture.frame.boxes():
        _draw_box(axes, box, seen(box.at))
    return figure


def _text_width(text: str, size: float, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    ink = text_to_path.get_text_width_height_descent(text.strip(), font, False)[0] if text.strip() else 0.0
    return ink + SPACE * size * (len(text) - len(text.strip()))  # the ink doesn't tell of spaces at the ends


def _cell_width(cell: tuple[str, str, str | None]) -> float:
    what, value, _ = cell
    return _text_width(what, TEXT_SIZE, False) + _text_width(value, TEXT_SIZE, True) + 2 * PADDING


def _box_size(box: Box) -> tuple[float, float]:
    name, kind = box.title
    title = _text_width(name, TITLE_SIZE, True) + _text_width(kind, TITLE_SIZE, False) + 2 * PADDING
    widest = max([title, *(sum(map(_cell_width, row)) for row in box.rows)])
    return widest, TITLE_HEIGHT + ROW_HEIGHT * len(box.rows)


def _draw_frame(axes: Any, frame: Frame, seen: Any, title_below: bool) -> None:
    from matplotlib.patches import Rectangle

    x, y = seen(frame.at)
    width, height = frame.size
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(Rectangle(corner, width, height, fill=False, linestyle="--", linewidth=1.2, edgecolor="#555555"))
    title = corner[1] + (height - FRAME_TITLE / 2 - 3 if title_below else FRAME_TITLE / 2 + 3)
    axes.text(corner[0] + 8, title, frame.name, fontsize=TEXT_SIZE, va="center", ha="left", color="#333333")


def _draw_arrow(axes: Any, points: list[tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    look: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 13,
        "linewidth": 1.5,
        "color": "black",
        "joinstyle": "round",
    }
    axes.add_patch(FancyArrowPatch(path=Path(points), shrinkA=0, shrinkB=0, **look))


def _draw_box(axes: Any, box: Box, middle: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    width, height = box.size
    left, top = middle[0] - width / 2, middle[1] - height / 2
    axes.add_patch(Rectangle((left, top), width, TITLE_HEIGHT, facecolor="black", edgecolor="black", linewidth=1.2))
    name, kind = box.title
    _write(axes, left + width / 2, top + TITLE_HEIGHT / 2, [(name, True), (kind, False)], TITLE_SIZE, "white")
    for i, row in enumerate(box.rows):
        y = top + TITLE_HEIGHT + i * ROW_HEIGHT
        natural = [_cell_width(cell) for cell in row]
        x = left
        for (what, value, colour), wide in zip(row, natural, strict=True):
            cell = wide * width / sum(natural)
            axes.add_patch(
                Rectangle((x, y), cell, ROW_HEIGHT, facecolor=colour or "white", edgecolor="black", linewidth=1.2)
            )
            ink = "white" if colour else "black"
            _write(axes, x + cell / 2, y + ROW_HEIGHT / 2, [(what, False), (value, True)], TEXT_SIZE, ink)
            x += cell


def _write(axes: Any, x: float, y: float, parts: list[tuple[str, bool]], size: float, colour: str) -> None:
    """Write two words, plain or bold, together centred at x; they part from one point, so that they never meet."""
    written = [(text, bold) for text, bold in parts if text]
    widths = [_text_width(text, size, bold) for text, bold in written]
    look = {"fontsize": size, "color": colour, "va": "center_baseline", "parse_math": False}
    if len(written) == 2:
        x += (widths[0] - widths[1]) / 2
    for (text, bold), side, gap in zip(written, ("right", "left"), (-SPACE / 2, SPACE / 2), strict=False):
        at, ha = (x + gap * size, side) if len(written) == 2 else (x, "center")
        axes.text(at, y, text.strip(), ha=ha, fontweight="bold" if bold else "normal", **look)
