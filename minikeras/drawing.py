"""A model as a picture: a box for each layer, an arrow for each array that goes from one to another.

    model --collect--> boxes and arrows --+--> DOT text --> Graphviz, where it is installed
                                          +--> layered layout --> matplotlib, elsewhere

Users reach this room as `utils.plot_model` and `utils.model_to_dot`.  Calls `wiring` and `names`; matplotlib and
Graphviz's `dot` when a picture is drawn.  Keras's counterpart: `keras.utils.plot_model`, which needs Graphviz.

The layout is Sugiyama's in miniature: a box's rank is the longest path to it, boxes of a rank are ordered by the mean
place of their neighbours, and their coordinates come as near to their neighbours' as the order allows.
"""

import itertools
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from .names import did_you_mean
from .wiring import is_wired, wiring

__all__ = ["Dot", "model_to_dot", "plot_model"]

DIRECTIONS = ("TB", "BT", "LR", "RL")
SPLINES = ("ortho", "curved", "polyline", "spline", "line")
FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "eps", "ps")


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model as a graph of layers into a file.

    Args:
        model: a built model.
        to_file: the file, in the format of its extension: png (also where it has none), svg, pdf, jpg, eps, ps.
        show_shapes: write the shapes of inputs and outputs into the boxes.
        show_dtype: write the type of the output.
        show_layer_names: write the name beside the class.
        rankdir: the direction of the arrows: `"TB"` from top to bottom, `"BT"`, `"LR"` from left to right, `"RL"`.
        expand_nested: draw the layers of models inside the model, in a frame.
        dpi: pixels per inch.
        show_layer_activations: write the activation.
        show_trainable: write whether training changes the layer's weights.
        splines: how arrows run: `"ortho"` in right angles; `"line"`, `"polyline"`, `"curved"` or `"spline"`, which
            all are straight where Graphviz is missing.

    Returns:
        In a notebook the picture, for display; None elsewhere.

    Raises:
        ValueError: the model isn't built; an unknown extension, direction or option.
        ImportError: neither Graphviz nor matplotlib is installed.
    """
    extension = _extension(to_file)
    picture = _collected(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations,
        show_trainable, splines, kwargs, "plot_model",
    )  # fmt: skip
    to_file = os.fspath(to_file)
    if not (shutil.which("dot") and _written_by_graphviz(picture, to_file, extension)):
        _draw(picture, to_file, extension)
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None or extension not in ("png", "jpg", "jpeg", "svg"):
        return None
    from IPython import display

    return display.SVG(filename=to_file) if extension == "svg" else display.Image(filename=to_file)


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> "Dot":
    """Return a model as a graph in Graphviz's language; arguments as in `plot_model`.

    Args:
        subgraph: False.
    """
    if subgraph:
        raise ValueError("model_to_dot: subgraph=True is not supported; leave it at False, its default.")
    picture = _collected(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations,
        show_trainable, splines, kwargs, "model_to_dot",
    )  # fmt: skip
    return Dot(_dot_source(picture))


class Dot:
    """A graph in Graphviz's language, with the methods of `pydot.Dot` that scripts use.

    Args:
        source: the text.
    """

    def __init__(self, source: str):
        self.source = source

    def to_string(self) -> str:
        """Return the text."""
        return self.source

    __str__ = to_string

    def create(self, prog: str = "dot", format: str = "ps") -> bytes:
        """Return the picture, drawn by Graphviz.

        Raises:
            FileNotFoundError: the program isn't installed.
            RuntimeError: it failed.
        """
        import subprocess

        found = shutil.which(prog)
        if found is None:
            raise FileNotFoundError(f"Graphviz's program {prog!r} is not installed; plot_model draws without it.")
        done = subprocess.run([found, f"-T{format}"], input=self.source.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{prog} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def write(self, path: Any, prog: str = "dot", format: str = "raw") -> bool:
        """Write the picture, or with `"raw"` the text, to a file."""
        data = self.source.encode() if format == "raw" else self.create(prog, format)
        with open(path, "wb") as file:
            file.write(data)
        return True


# ---- what is drawn ----


class Box:
    """One layer.

    Attributes:
        title: its class, or its name and class.
        rows: the lines under the title, each a list of cells (what, value, colour or None).
        at: where its middle is, once laid out.
        size: width and height.
    """

    def __init__(self, title: tuple[str, str], rows: list[list[tuple[str, str, str | None]]], key: str):
        self.title, self.rows, self.key = title, rows, key
        self.at, self.size = (0.0, 0.0), (0.0, 0.0)


class Frame:
    """The boxes of one model, and frames of the models in it, in the order they run."""

    def __init__(self, name: str, key: str):
        self.name, self.key = name, key
        self.members: list[Any] = []
        self.marks: list[_Mark] = []  # bends and gaps of the arrows between its members
        self.at, self.size = (0.0, 0.0), (0.0, 0.0)

    @property
    def title_height(self) -> float:
        """The room above its members for its name."""
        return FRAME_TITLE if self.name else 0.0

    def boxes(self) -> Iterable[Box]:
        """Yield all boxes in it."""
        for member in self.members:
            yield from member.boxes() if isinstance(member, Frame) else (member,)


class Picture:
    """All boxes and arrows, and how they are wanted."""

    def __init__(self, options: dict[str, Any]):
        self.options = options
        self.frame = Frame("", "all")
        self.arrows: dict[tuple[Box, Box], None] = {}
        self._made: dict[int, Any] = {}

    def collect(self, model: Any, frame: Frame) -> tuple[list[list[Box]], list[list[Box]]]:
        """Add a model's boxes; return which boxes take each of its inputs, and which give each of its outputs."""
        wires = wiring(model, expand_nested=False)
        givers: dict[int, list[Box]] = {}
        takers: dict[int, list[Box]] = {place: [] for place in wires.inputs}
        if not _is_sequential(model):  # whose entrance Keras doesn't draw
            for place, symbol in zip(wires.inputs, model.inputs, strict=True):
                box = self._input_box(symbol, frame)
                givers[place], takers[place] = [box], [box]
        for call in wires.calls:
            entries, exits = self._member(call, frame)
            for place, entry in zip(call.inputs, entries, strict=True):
                if place in givers:
                    self.arrows.update(dict.fromkeys((a, b) for a in givers[place] for b in entry))
                else:
                    takers[place] += [b for b in entry if b not in takers[place]]
            givers.update(zip(call.outputs, exits, strict=True))
        return [takers[p] for p in wires.inputs], [givers.get(p, []) for p in wires.outputs]

    def _member(self, call: Any, frame: Frame) -> tuple[list[list[Box]], list[list[Box]]]:
        layer = call.layer
        if self.options["expand_nested"] and is_wired(layer):
            if id(layer) not in self._made:
                inner = Frame(layer.name, f"cluster_{len(self._made)}")
                frame.members.append(inner)
                self._made[id(layer)] = self.collect(layer, inner)
            return self._made[id(layer)]
        if id(layer) not in self._made:
            symbols = call.origin
            self._add(layer, layer.name, type(layer).__name__, symbols.inputs, symbols.outputs, frame)
        box = self._made[id(layer)]
        return [[box]] * len(call.inputs), [[box]] * len(call.outputs)

    def _input_box(self, symbol: Any, frame: Frame) -> Box:
        layer = symbol.layer
        is_entrance = type(layer).__name__ == "InputLayer"
        self._add(symbol, layer.name if is_entrance else symbol.name, "InputLayer", (), (symbol,), frame)
        return self._made[id(symbol)]

    def _add(
        self, thing: Any, name: str, kind: str, inputs: Sequence[Any], outputs: Sequence[Any], frame: Frame
    ) -> None:
        wanted, rows = self.options, []
        activation = getattr(thing, "activation", None)
        if wanted["show_layer_activations"] and activation is not None:
            rows.append([("Activation: ", getattr(activation, "__name__", getattr(activation, "name", "?")), None)])
        cells: list[tuple[str, str, str | None]] = []
        if wanted["show_shapes"]:
            if inputs:
                cells.append(("Input shape: ", _shapes(inputs), None))
            cells.append(("Output shape: ", _shapes(outputs), None))
        if wanted["show_dtype"]:
            cells.append(("Output dtype: ", ", ".join(dict.fromkeys(s.dtype for s in outputs)), None))
        if wanted["show_trainable"] and getattr(thing, "weights", None):
            trainable = ("", "Trainable", "forestgreen") if thing.trainable else ("", "Non-trainable", "firebrick")
            cells.append(trainable)
        if cells:
            rows.append(cells)
        title = (name, f" ({kind})") if wanted["show_layer_names"] else (kind, "")
        box = Box(title, rows, f"box_{len(self._made)}")
        self._made[id(thing)] = box
        frame.members.append(box)


def _collected(
    model: Any, show_shapes: bool, show_dtype: bool, show_layer_names: bool, rankdir: str, expand_nested: bool,
    dpi: int, show_layer_activations: bool, show_trainable: bool, splines: str, kwargs: dict[str, Any], caller: str,
) -> Picture:  # fmt: skip
    """Check the arguments, and return the boxes and arrows."""
    if kwargs.pop("layer_range", None) is not None:
        raise ValueError(f"{caller}: Keras 3 has no `layer_range` any more; draw a model of the layers wanted.")
    known = ("show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi",
             "show_layer_activations", "show_trainable", "splines")  # fmt: skip
    if kwargs:
        name = next(iter(kwargs))
        raise ValueError(f"{caller}: unknown argument {name!r}. {did_you_mean(name, known)}")
    for name, value, choices in (("rankdir", rankdir, DIRECTIONS), ("splines", splines, SPLINES)):
        if value not in choices:
            raise ValueError(f"{caller}: `{name}` is one of {', '.join(choices)}, received {value!r}.")
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not dpi > 0:
        raise ValueError(f"{caller}: `dpi` is a positive number, received {dpi!r}.")
    if not hasattr(model, "layers"):
        raise ValueError(f"{caller}: expected a model, received {model!r}.")
    if not is_wired(model):
        raise ValueError(
            f"{caller}: model {model.name!r} isn't built, so its layers are not connected yet. Start it with "
            "keras.Input, or call build(input_shape)."
        )
    picture = Picture(
        {
            "show_shapes": show_shapes,
            "show_dtype": show_dtype,
            "show_layer_names": show_layer_names,
            "rankdir": rankdir,
            "expand_nested": expand_nested,
            "dpi": dpi,
            "show_layer_activations": show_layer_activations,
            "show_trainable": show_trainable,
            "splines": splines,
        }
    )
    picture.collect(model, picture.frame)
    return picture


def _extension(to_file: Any) -> str:
    extension = os.path.splitext(os.fspath(to_file))[1].lstrip(".").lower() or "png"
    if extension not in FORMATS:
        raise ValueError(
            f"plot_model: {os.fspath(to_file)!r} has the unknown extension {extension!r}. "
            f"{did_you_mean(extension, FORMATS)}"
        )
    return extension


def _is_sequential(model: Any) -> bool:
    return any(cls.__name__ == "Sequential" for cls in type(model).__mro__)


def _shapes(symbols: Sequence[Any]) -> str:
    shapes = [f"({', '.join(map(str, s.shape))}{',' if len(s.shape) == 1 else ''})" for s in symbols]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


# ---- by Graphviz ----


def _dot_source(picture: Picture) -> str:
    options = picture.options
    lines = [
        "digraph model {",
        f"  graph [rankdir={options['rankdir']}, dpi={options['dpi']}, splines={options['splines']}];",
        '  node [shape=plain, fontname="Helvetica"];',
        "  edge [penwidth=2];",
    ]

    def write(frame: Frame, indent: str) -> None:
        for member in frame.members:
            if isinstance(member, Frame):
                lines.append(f"{indent}subgraph {member.key} {{")
                lines.append(
                    f'{indent}  label="{_quoted(member.name)}"; labeljust=l; style=dashed; fontname="Helvetica";'
                )
                write(member, indent + "  ")
                lines.append(f"{indent}}}")
            else:
                lines.append(f"{indent}{member.key} [label=<{_html(member)}>];")

    write(picture.frame, "  ")
    lines += [f"  {a.key} -> {b.key};" for a, b in picture.arrows]
    return "\n".join([*lines, "}\n"])


def _html(box: Box) -> str:
    from html import escape

    span = max([1, *(len(row) for row in box.rows)])
    name, kind = map(escape, box.title)
    table = '<table border="0" cellborder="1" cellspacing="0" cellpadding="8" bgcolor="white">'
    title = f'<font point-size="16" color="white"><b>{name}</b>{kind}</font>'
    table += f'<tr><td colspan="{span}" bgcolor="black">{title}</td></tr>'
    for row in box.rows:
        cells = ""
        for i, (what, value, colour) in enumerate(row):
            width = span - i if i == len(row) - 1 else 1
            paint = f' bgcolor="{colour}"' if colour else ""
            ink = ' color="white"' if colour else ""
            cells += f'<td colspan="{width}"{paint}><font point-size="14"{ink}>{what}<b>{escape(value)}</b></font></td>'
        table += f"<tr>{cells}</tr>"
    return table + "</table>"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _written_by_graphviz(picture: Picture, to_file: str, extension: str) -> bool:
    """Let Graphviz draw; False, with a warning, where it can't."""
    try:
        data = Dot(_dot_source(picture)).create(format=extension)
    except (OSError, RuntimeError) as error:
        warnings.warn(f"plot_model: drawn without Graphviz, which failed: {error}", stacklevel=3)
        return False
    with open(to_file, "wb") as file:
        file.write(data)
    return True


# ---- the layout: everything in points, "across" a rank and "along" the arrows ----

GAP_ACROSS, GAP_ALONG, TRACK, FRAME_MARGIN, FRAME_TITLE = 24.0, 34.0, 7.0, 14.0, 18.0


class _Mark:
    """A bend, where a long arrow passes a rank between boxes, or a gap between two ranks, where arrows turn."""

    def __init__(self) -> None:
        self.at, self.size = (0.0, 0.0), (6.0, 6.0)


#: The bends that an arrow passes, and the gaps before each and after the last; None for an arrow that runs backward.
Way = tuple[list[_Mark], list[_Mark]] | None


def lay_out(frame: Frame, arrows: Iterable[tuple[Box, Box]], turned: bool) -> dict[tuple[Box, Box], Way]:
    """Give every box and frame its place, counted from the upper left corner, and return each arrow's way.

    Args:
        frame: boxes with sizes.
        arrows: between any of its boxes.
        turned: whether arrows run from left to right, so that sizes count the other way round.

    Returns:
        The way of each arrow.
    """
    ways: dict[tuple[Box, Box], Way] = {}
    owner: dict[Any, Any] = {}
    for member in frame.members:
        for box in member.boxes() if isinstance(member, Frame) else (member,):
            owner[box] = member
    outer: dict[tuple[Any, Any], list[tuple[Box, Box]]] = {}
    for a, b in arrows:
        if a in owner and b in owner and owner[a] is not owner[b]:
            outer.setdefault((owner[a], owner[b]), []).append((a, b))
    for member in frame.members:
        if isinstance(member, Frame):
            inside = set(member.boxes())
            ways |= lay_out(member, [(a, b) for a, b in arrows if a in inside and b in inside], turned)
    ways.update({(a, b): None for a, b in arrows if a is b and owner.get(a) is a})

    place = {member: i for i, member in enumerate(frame.members)}
    forward = [pair for pair in outer if place[pair[0]] < place[pair[1]]]
    ways.update({arrow: None for pair in outer if pair not in forward for arrow in outer[pair]})
    ranks = _ranks(frame.members, forward)
    levels: list[list[Any]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for member in frame.members:
        levels[ranks[member]].append(member)
    above: dict[Any, list[Any]] = {}
    below: dict[Any, list[Any]] = {}
    gaps = [_Mark() for _ in levels]  # gap i lies before rank i
    frame.marks = gaps
    for a, b in forward:
        bends = [_Mark() for _ in range(ranks[a] + 1, ranks[b])]
        frame.marks = frame.marks + bends
        for i, bend in enumerate(bends):
            levels[ranks[a] + 1 + i].append(bend)
        chain = [a, *bends, b]
        for upper, lower in itertools.pairwise(chain):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
        ways.update(dict.fromkeys(outer[a, b], (bends, gaps[ranks[a] + 1 : ranks[b] + 1])))
    _order(levels, above, below)
    across = _coordinates(levels, above, below, turned)
    _place(frame, levels, gaps, across, turned)
    return ways


def _ranks(members: Sequence[Any], arrows: Iterable[tuple[Any, Any]]) -> dict[Any, int]:
    """Return the length of the longest path to each; what nothing leads to stands just before what it leads to."""
    arrows = list(arrows)
    ranks = dict.fromkeys(members, 0)
    for member in members:  # which stand in the order they run
        for a, b in arrows:
            if a is member:
                ranks[b] = max(ranks[b], ranks[a] + 1)
    for member in members:
        targets = [ranks[b] for a, b in arrows if a is member]
        if targets and not any(b is member for _, b in arrows):
            ranks[member] = min(targets) - 1
    return ranks


def _order(levels: list[list[Any]], above: dict[Any, list[Any]], below: dict[Any, list[Any]]) -> None:
    """Sort each rank by the mean place of its neighbours, down and up, so that few arrows cross."""

    def sort(level: list[Any], other: list[Any], neighbours: dict[Any, list[Any]]) -> None:
        place = {id(m): i / max(len(other) - 1, 1) for i, m in enumerate(other)}
        own = {id(m): i / max(len(level) - 1, 1) for i, m in enumerate(level)}

        def middle(member: Any) -> float:
            near = [place[id(n)] for n in neighbours.get(member, ()) if id(n) in place]
            return sum(near) / len(near) if near else own[id(member)]

        level.sort(key=middle)

    best, fewest = [list(level) for level in levels], _crossings(levels, below)
    for _ in range(8):
        for i in range(1, len(levels)):
            sort(levels[i], levels[i - 1], above)
        for i in range(len(levels) - 2, -1, -1):
            sort(levels[i], levels[i + 1], below)
        crossings = _crossings(levels, below)
        if crossings < fewest:
            best, fewest = [list(level) for level in levels], crossings
    levels[:] = best


def _crossings(levels: list[list[Any]], below: dict[Any, list[Any]]) -> int:
    total = 0
    for upper, lower in itertools.pairwise(levels):
        place = {id(m): i for i, m in enumerate(lower)}
        ends = [end for m in upper for end in sorted(place[id(n)] for n in below.get(m, ()))]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _coordinates(
    levels: list[list[Any]], above: dict[Any, list[Any]], below: dict[Any, list[Any]], turned: bool
) -> dict[int, float]:
    """Return where each stands across its rank: as near to its neighbours' mean as order and sizes allow."""
    breadth = 1 if turned else 0
    across: dict[int, float] = {}
    for level in levels:
        edge = 0.0
        for member in level:
            across[id(member)] = edge + member.size[breadth] / 2
            edge += member.size[breadth] + GAP_ACROSS
        for member in level:
            across[id(member)] -= (edge - GAP_ACROSS) / 2
    for sweep in range(12):
        down = sweep % 2 == 0
        for level in levels if down else reversed(levels):
            wanted = []
            for member in level:
                near = [across[id(n)] for n in (above if down else below).get(member, ())]
                wanted.append(sum(near) / len(near) if near else across[id(member)])
            starts = [0.0]
            for a, b in itertools.pairwise(level):
                starts.append(starts[-1] + (a.size[breadth] + b.size[breadth]) / 2 + GAP_ACROSS)
            free = _nondecreasing([w - s for w, s in zip(wanted, starts, strict=True)])
            for member, f, s in zip(level, free, starts, strict=True):
                across[id(member)] = f + s
    return across


def _nondecreasing(values: list[float]) -> list[float]:
    """Return the nondecreasing numbers nearest to `values`: neighbours in the wrong order get their mean."""
    pools: list[list[float]] = []
    for value in values:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            before, n = pools[-1]
            pools[-1] = [(before * n + mean * count) / (n + count), n + count]
    return [mean for mean, count in pools for _ in range(int(count))]


def _place(frame: Frame, levels: list[list[Any]], gaps: list[_Mark], across: dict[int, float], turned: bool) -> None:
    """Set everybody's `at`, and the frame's size, from places across the ranks; the frame begins at (0, 0)."""
    breadth, depth = (1, 0) if turned else (0, 1)
    left = min((across[id(m)] - m.size[breadth] / 2 for level in levels for m in level), default=0)
    right = max((across[id(m)] + m.size[breadth] / 2 for level in levels for m in level), default=0)

    def put(member: Any, over: float, down: float) -> None:
        _move(member, (down, over) if turned else (over, down))

    over = FRAME_MARGIN - left + (frame.title_height if turned else 0)
    down = FRAME_MARGIN + (0 if turned else frame.title_height)
    for i, level in enumerate(levels):
        if i:
            gap = GAP_ALONG + TRACK * max(len(level) - 2, 0)
            put(gaps[i], 0, down + gap / 2)
            down += gap
        height = max(m.size[depth] for m in level)
        for member in level:
            put(member, across[id(member)] + over, down + height / 2)
        down += height
    breadth_size, depth_size = right + over + FRAME_MARGIN, down + FRAME_MARGIN
    frame.size = (depth_size, breadth_size) if turned else (breadth_size, depth_size)
    frame.at = (frame.size[0] / 2, frame.size[1] / 2)


def _move(member: Any, middle: tuple[float, float]) -> None:
    """Put a box, a bend or a frame with all that is in it where its middle should be."""
    if isinstance(member, Frame):
        dx, dy = middle[0] - member.at[0], middle[1] - member.at[1]
        for inner in _everything(member):
            inner.at = (inner.at[0] + dx, inner.at[1] + dy)
    member.at = middle


def _everything(frame: Frame) -> Iterable[Any]:
    for member in frame.members:
        yield member
        if isinstance(member, Frame):
            yield from _everything(member)
    yield from frame.marks


# ---- by matplotlib ----

TITLE_HEIGHT, ROW_HEIGHT, PADDING, TITLE_SIZE, TEXT_SIZE, SPACE = 26.0, 24.0, 11.0, 12.0, 10.5, 0.32


def _draw(picture: Picture, to_file: str, extension: str) -> None:
    """Lay the picture out, and write it."""
    figure = _figure(picture)
    width, height = figure.get_size_inches()
    most = 60_000 / max(width, height)  # pixels along a side, of 65,535 that can be drawn
    dpi = min(picture.options["dpi"], most, (2e8 / (width * height)) ** 0.5)
    figure.savefig(to_file, format=extension, dpi=dpi)


def _figure(picture: Picture) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "plot_model draws with Graphviz (https://graphviz.org) or with matplotlib, and found neither: "
            "pip install matplotlib"
        ) from None
    for box in picture.frame.boxes():
        box.size = _box_size(box)
    direction = picture.options["rankdir"]
    turned = direction in ("LR", "RL")
    ways = lay_out(picture.frame, list(picture.arrows), turned)
    ends = _lines(picture, ways, turned)
    width = max(x for points in [*ends.values(), [picture.frame.size]] for x, _ in points) + 4
    height = max(y for points in [*ends.values(), [picture.frame.size]] for _, y in points) + 4

    def seen(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (width - x if direction == "RL" else x, height - y if direction == "BT" else y)

    figure = Figure(figsize=(width / 72, height / 72), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for member in _everything(picture.frame):
        if isinstance(member, Frame):
            _draw_frame(axes, member, seen, title_below=direction == "BT")
    for points in ends.values():
        _draw_arrow(axes, [seen(p) for p in points])
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


def _lines(picture: Picture, ways: dict[tuple[Box, Box], Way], turned: bool) -> dict[Any, list[tuple[float, float]]]:
    """Return the corners of each arrow."""
    breadth, depth = (1, 0) if turned else (0, 1)
    straight = picture.options["splines"] != "ortho"
    starts, stops = _ports(ways, breadth, True), _ports(ways, breadth, False)
    points: dict[Any, list[tuple[float, float]]] = {}  # (across, along)
    turns: dict[_Mark, list[tuple[float, float, Any, int]]] = {}
    for (a, b), way in ways.items():
        if way is None:
            continue
        bends, gaps = way
        stations = [
            (starts[a, b], a.at[depth] + a.size[depth] / 2),
            *((bend.at[breadth], bend.at[depth]) for bend in bends),
            (stops[a, b], b.at[depth] - b.size[depth] / 2),
        ]
        points[a, b] = stations
        for i, gap in enumerate(gaps):
            x1, x2 = stations[i][0], stations[i + 1][0]
            if not straight and abs(x1 - x2) > 0.5:
                turns.setdefault(gap, []).append((x1, x2, (a, b), i))
    corners: dict[tuple[Any, int], float] = {}
    for gap, crossing in turns.items():
        # Arrows to the right turn the earlier the farther right they start, so that none cross; mirrored for left.
        rightward = sorted((t for t in crossing if t[1] > t[0]), key=lambda t: -t[0])
        leftward = sorted((t for t in crossing if t[1] < t[0]), key=lambda t: t[0])
        ordered = [*rightward, *leftward]
        step = min(TRACK, (GAP_ALONG - 14) / max(len(ordered) - 1, 1))
        for k, (_, _, arrow, i) in enumerate(ordered):
            corners[arrow, i] = gap.at[depth] + step * (k - (len(ordered) - 1) / 2)
    lines: dict[Any, list[tuple[float, float]]] = {}
    for arrow, stations in points.items():
        line = [stations[0]]
        for i, station in enumerate(stations[1:]):
            if (arrow, i) in corners:
                turn = corners[arrow, i]
                line += [(line[-1][0], turn), (station[0], turn)]
            line.append(station)
        lines[arrow] = line
    lines.update(_backward(picture, ways, breadth, depth))
    return {arrow: [(y, x) if turned else (x, y) for x, y in line] for arrow, line in lines.items()}


def _ports(ways: dict[tuple[Box, Box], Way], breadth: int, outgoing: bool) -> dict[tuple[Box, Box], float]:
    """Return where along its side each arrow leaves, or enters, its box: spread out in the order of the other ends."""
    sides: dict[Box, list[tuple[float, tuple[Box, Box]]]] = {}
    for (a, b), way in ways.items():
        if way is not None:
            bends = way[0]
            near = (bends[0] if outgoing else bends[-1]) if bends else (b if outgoing else a)
            sides.setdefault(a if outgoing else b, []).append((near.at[breadth], (a, b)))
    ports = {}
    for box, ends in sides.items():
        ends.sort(key=lambda end: end[0])
        width = min(box.size[breadth] * 0.8, 40.0 * (len(ends) - 1))
        for i, (_, arrow) in enumerate(ends):
            share = i / (len(ends) - 1) - 0.5 if len(ends) > 1 else 0
            ports[arrow] = box.at[breadth] + width * share
    return ports


def _backward(picture: Picture, ways: dict[tuple[Box, Box], Way], breadth: int, depth: int) -> dict[Any, Any]:
    """Return arrows that a layer used twice sends back: loops at the side of the boxes."""
    lines = {}
    backward = [arrow for arrow, way in ways.items() if way is None]
    to_themselves = {a for a, b in backward if a is b}  # in the lower half of the side; others in the upper one
    for k, (a, b) in enumerate(backward):
        start, end = (box.at[breadth] + box.size[breadth] / 2 for box in (a, b))
        if a is b:
            lane, shifts = start + 13, (0.42, 0.08)
        else:
            lane, shifts = (
                picture.frame.size[breadth] + 10 * (k + 1),
                (-0.25 * (box in to_themselves) for box in (a, b)),
            )
        start_at, end_at = (box.at[depth] + shift * box.size[depth] for box, shift in zip((a, b), shifts, strict=True))
        lines[a, b] = [(start, start_at), (lane, start_at), (lane, end_at), (end, end_at)]
    return lines


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

    axes.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>",
            mutation_scale=13,
            linewidth=1.5,
            color="black",
            shrinkA=0,
            shrinkB=0,
            joinstyle="round",
        )
    )


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
    (first, first_bold), (second, second_bold) = parts
    gap = SPACE * size
    middle = x + (_text_width(first, size, first_bold) - _text_width(second, size, second_bold)) / 2
    if not (first and second):
        gap, middle = 0.0, x
    for text, bold, at, side in (
        (first, first_bold, middle - gap / 2, "right"),
        (second, second_bold, middle + gap / 2, "left"),
    ):
        if text:
            axes.text(
                at,
                y,
                text.strip(),
                fontsize=size,
                fontweight="bold" if bold else "normal",
                color=colour,
                va="center_baseline",
                ha=side if gap else "center",
                parse_math=False,
            )
