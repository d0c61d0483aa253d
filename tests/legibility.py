"""What an eye would object to in a figure: text that is cut off or overlaps, axes without labels, empty pictures."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def draw(figure):
    if not hasattr(figure.canvas, "buffer_rgba"):
        FigureCanvasAgg(figure)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # it has done its work; the next drawing is a quick one


def pixels(figure):
    draw(figure)
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def texts(figure):
    """Return what is written: visible, not empty, and not a tick label outside its axis."""
    draw(figure)
    hidden = set()
    for axes in figure.findobj(lambda a: hasattr(a, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axes.axison or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
            if not axes.axison:
                hidden |= {axis.label, axis.offsetText}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


def assert_legible(figure, background=255):
    """Nothing is clipped, nothing is written over something else, and there is something to see."""
    image = pixels(figure)
    frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (frame == background).all(), "something touches the edge of the picture"
    assert (image != background).any(axis=-1).mean() > 0.005, "the picture is empty"
    box = figure.bbox
    extents = []
    for text in texts(figure):
        extent = text.get_window_extent()
        low, high = (extent.x0, extent.y0), (extent.x1, extent.y1)
        inside = np.all(np.array(low) >= (-1, -1)) and np.all(np.array(high) <= (box.width + 1, box.height + 1))
        assert inside, f"{text.get_text()!r} is cut off"
        if not text.get_rotation() % 90:  # a slanted text's box is larger than what it covers
            extents.append((text.get_text(), extent))
        assert text.get_fontsize() >= 4.5, f"{text.get_text()!r} is too small to read"
    for (a, first), (b, second) in itertools.combinations(extents, 2):
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert width <= 1 or height <= 1, f"{a!r} and {b!r} overlap"


def words(figure):
    return [t.get_text() for t in texts(figure)]


def assert_labelled(figure):
    """Axes with numbers on them say what the numbers are."""
    draw(figure)
    for axes in figure.findobj(lambda a: hasattr(a, "xaxis")):
        if not axes.axison or not axes.get_visible() or axes.get_label() == "<colorbar>":
            continue
        for axis in (axes.xaxis, axes.yaxis):
            if len(axis.get_majorticklocs()) and axis.get_visible():
                assert axis.get_label_text(), f"an axis of {axes.get_title()!r} has no label"
