"""What is drawn of a model: a box for each layer, frames around models in it, and arrows from box to box.

`drawing` collects them here, `layout` gives them places, `graphviz` and `canvas` draw them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...common.names import did_you_mean
from ...layers.symbols import Node, Symbol

DIRECTIONS = ("TB", "BT", "LR", "RL")
SPLINES = ("ortho", "curved", "polyline", "spline", "line")


class Options(NamedTuple):
    """How a picture is wanted; see `plot_model`."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    rankdir: str = "TB"
    expand_nested: bool = False
    dpi: float = 200
    show_layer_activations: bool = False
    show_trainable: bool = False
    splines: str = "ortho"

    @property
    def turned(self) -> bool:
        """Whether arrows run along the rows."""
        return self.rankdir in ("LR", "RL")


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
        self.marks: list[Any] = []  # bends and gaps of the arrows between its members; set by `layout`
        self.at, self.size = (0.0, 0.0), (0.0, 0.0)

    def boxes(self) -> Iterable[Box]:
        """Yield all boxes in it."""
        for member in self.members:
            yield from member.boxes() if isinstance(member, Frame) else (member,)


class Picture:
    """All boxes and arrows, and how they are wanted."""

    def __init__(self, options: Options):
        self.options = options
        self.frame = Frame("", "all")
        self.arrows: dict[tuple[Box, Box], None] = {}
        self._made: dict[int, Any] = {}

    def collect(self, model: Any, frame: Frame) -> tuple[list[list[Box]], list[list[Box]]]:
        """Add a model's boxes; return which boxes take each of its inputs, and which give each of its outputs."""
        graph = model.graph
        givers: dict[Symbol, list[Box]] = {}
        takers: dict[Symbol, list[Box]] = {symbol: [] for symbol in graph.entrances}
        if not _is_sequential(model):  # whose entrance Keras doesn't draw
            for symbol in graph.entrances:
                givers[symbol] = takers[symbol] = [self._input_box(symbol, frame)]
        for node in graph.calls:
            if not isinstance(node, Node):
                continue
            entries, exits = self._member(node, frame)
            for symbol, entry in zip(node.inputs, entries, strict=True):
                if symbol in givers:
                    self.arrows.update(dict.fromkeys((a, b) for a in givers[symbol] for b in entry))
                else:
                    takers[symbol] += [b for b in entry if b not in takers[symbol]]
            givers.update(zip(node.outputs, exits, strict=True))
        return list(takers.values()), [givers.get(symbol, []) for symbol in graph.exits]

    def _member(self, node: Node, frame: Frame) -> tuple[list[list[Box]], list[list[Box]]]:
        layer = node.layer
        if self.options.expand_nested and getattr(layer, "graph", None) is not None:
            if id(layer) not in self._made:
                inner = Frame(layer.name, f"cluster_{len(self._made)}")
                frame.members.append(inner)
                self._made[id(layer)] = self.collect(layer, inner)
            return self._made[id(layer)]
        if id(layer) not in self._made:
            self._add(layer, layer.name, type(layer).__name__, node.inputs, node.outputs, frame)
        box = self._made[id(layer)]
        return [[box]] * len(node.inputs), [[box]] * len(node.outputs)

    def _input_box(self, symbol: Any, frame: Frame) -> Box:
        layer = symbol.layer
        is_entrance = type(layer).__name__ == "InputLayer"
        self._add(symbol, layer.name if is_entrance else symbol.name, "InputLayer", (), (symbol,), frame)
        return self._made[id(symbol)]

    def _add(
        self, thing: Any, name: str, kind: str, inputs: Sequence[Any], outputs: Sequence[Any], frame: Frame
    ) -> None:
        wanted = self.options
        rows: list[list[tuple[str, str, str | None]]] = []
        activation = getattr(thing, "activation", None)
        if wanted.show_layer_activations and activation is not None:
            rows.append([("Activation: ", getattr(activation, "__name__", getattr(activation, "name", "?")), None)])
        cells: list[tuple[str, str, str | None]] = []
        if wanted.show_shapes:
            if inputs:
                cells.append(("Input shape: ", _shapes(inputs), None))
            cells.append(("Output shape: ", _shapes(outputs), None))
        if wanted.show_dtype:
            cells.append(("Output dtype: ", ", ".join(dict.fromkeys(s.dtype for s in outputs)), None))
        if wanted.show_trainable and getattr(thing, "weights", None):
            trainable = ("", "Trainable", "forestgreen") if thing.trainable else ("", "Non-trainable", "firebrick")
            cells.append(trainable)
        if cells:
            rows.append(cells)
        title = (name, f" ({kind})") if wanted.show_layer_names else (kind, "")
        box = Box(title, rows, f"box_{len(self._made)}")
        self._made[id(thing)] = box
        frame.members.append(box)


def collected(model: Any, options: Options, others: dict[str, Any], caller: str) -> Picture:
    """Check the arguments of `plot_model` and `model_to_dot`, and return the boxes and arrows.

    Args:
        model: a built model.
        options: as given.
        others: arguments that are none.
        caller: named in errors.
    """
    if others.pop("layer_range", None) is not None:
        raise ValueError(f"{caller}: Keras 3 has no `layer_range` any more; draw a model of the layers wanted.")
    if others:
        name = next(iter(others))
        raise ValueError(f"{caller}: unknown argument {name!r}. {did_you_mean(name, Options._fields)}")
    for name, choices in (("rankdir", DIRECTIONS), ("splines", SPLINES)):
        if getattr(options, name) not in choices:
            raise ValueError(f"{caller}: `{name}` is one of {', '.join(choices)}, received {getattr(options, name)!r}.")
    dpi = options.dpi
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not dpi > 0:
        raise ValueError(f"{caller}: `dpi` is a positive number, received {dpi!r}.")
    if not hasattr(model, "graph"):
        raise ValueError(f"{caller}: expected a model, received {model!r}.")
    if model.graph is None:
        raise ValueError(
            f"{caller}: model {model.name!r} isn't built, so its layers are not connected yet. Start it with "
            "keras.Input, or call build(input_shape)."
        )
    picture = Picture(options)
    picture.collect(model, picture.frame)
    return picture


def _is_sequential(model: Any) -> bool:
    return any(cls.__name__ == "Sequential" for cls in type(model).__mro__)


def _shapes(symbols: Sequence[Any]) -> str:
    shapes = [f"({', '.join(map(str, s.shape))}{',' if len(s.shape) == 1 else ''})" for s in symbols]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"
