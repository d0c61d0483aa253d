"""Pictures of learning: training curves, filters, feature maps, weights before and after, a confusion matrix.

    figure = keras.plotting.training_curves(model.fit(...), to_file="curves.png")

Each function returns a matplotlib Figure, which needs no screen, and which a notebook shows; `to_file` also writes it,
in the format of the file's extension.  `TrainingCurves` is a callback that redraws while the model learns.

Users call this room; it calls `callbacks` and `wiring`, and matplotlib when the first picture is drawn.
"""

import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .callbacks import Callback
from .names import did_you_mean, missing_attribute
from .wiring import Run, is_wired, one_sample, wiring

__all__ = [
    "TrainingCurves",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "training_curves",
    "weight_histograms",
]

#: Told apart by colour-blind readers too (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

#: A number between two extremes around 0, and one from none to much; both in order of lightness as well.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"

MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "iou", "r2_score", "cosine_similarity")
LESS_IS_BETTER = ("loss", "error", "mse", "mae", "mape", "msle", "crossentropy", "hinge", "divergence", "huber")


# ---- curves ----


def training_curves(
    history: Any,
    metrics: Sequence[str] | str | None = None,
    *,
    best: bool | Mapping[str, str] = True,
    title: str | None = None,
    to_file: Any = None,
) -> Any:
    """Draw each metric over the epochs, in training and in validation, with the best epoch marked.

    Args:
        history: what `fit` returned, or a dictionary from name to the values after each epoch.
        metrics: names without `val_`, such as `["loss"]`; all where None.
        best: whether to mark where the validation (the training, where there is none) was best.  Whether more or less
            is better is told from the name; say it otherwise: `{"my_metric": "max"}`.
        title: above the picture.
        to_file: where to write it.

    Raises:
        TypeError, ValueError: no history, an empty one, a name that isn't in it, `best` that is neither min nor max.
    """
    values, epochs = _history(history)
    names = _chosen_metrics(values, metrics)
    directions = _directions(names, best)
    figure = _new_figure(_curves_size(len(names)), title)
    _draw_curves(figure, values, epochs, names, directions)
    return _finished(figure, to_file)


def _history(history: Any) -> tuple[dict[str, list[float]], list[int]]:
    """Return the curves and the numbers of the epochs, counted from 1."""
    values = getattr(history, "history", history)
    if hasattr(values, "history"):  # a model keeps its History as `model.history`
        history, values = values, values.history
    if not isinstance(values, Mapping):
        raise TypeError(
            f"training_curves: `history` is what `fit` returned, or a dictionary of lists, received {history!r}."
        )
    values = {str(name): [float(v) for v in np.atleast_1d(curve)] for name, curve in values.items()}
    length = max((len(curve) for curve in values.values()), default=0)
    if not length:
        raise ValueError("training_curves: the history is empty; has `fit` run for an epoch?")
    epochs = [int(e) + 1 for e in getattr(history, "epoch", ())]
    if len(epochs) != length:  # several calls of `fit` in one record
        epochs = list(range(1, length + 1))
    return values, epochs


def _chosen_metrics(values: Mapping[str, Any], metrics: Sequence[str] | str | None) -> list[str]:
    bases = list(dict.fromkeys(name.removeprefix("val_") for name in values))
    bases.sort(key=lambda name: name != "loss")  # the loss first, as it is what training minimizes
    if metrics is None:
        return bases
    chosen = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in chosen:
        if name not in bases:
            raise ValueError(f"training_curves: the history has no {name!r}. {did_you_mean(name, bases)}")
    return chosen


def _directions(names: Iterable[str], best: bool | Mapping[str, str]) -> dict[str, str]:
    given = best if isinstance(best, Mapping) else {}
    for name, direction in given.items():
        if direction not in ("min", "max"):
            raise ValueError(f"training_curves: best[{name!r}] is 'min' or 'max', received {direction!r}.")
    return {name: given.get(name, _direction(name)) for name in names} if best is not False else {}


def _direction(name: str) -> str:
    """Tell from a metric's name whether `"max"` or `"min"` is best; an empty string where it doesn't say."""
    if any(word in name.lower() for word in LESS_IS_BETTER):
        return "min"
    return "max" if any(word in name.lower() for word in MORE_IS_BETTER) else ""


def _curves_size(panels: int) -> tuple[float, float]:
    columns = _panel_columns(panels)
    return (max(5.0 * columns, 6.0), 3.6 * math.ceil(panels / columns) + 0.6)


def _panel_columns(panels: int) -> int:
    return 2 if panels == 4 else min(panels, 3)


def _draw_curves(
    figure: Any,
    values: Mapping[str, list[float]],
    epochs: list[int],
    names: list[str],
    directions: Mapping[str, str],
) -> None:
    from matplotlib.ticker import MaxNLocator

    columns = _panel_columns(len(names))
    grid = figure.subplots(math.ceil(len(names) / columns), columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, names, strict=False):
        drawn = [
            (label, values[key], colour, style)
            for label, key, colour, style in (
                ("training", name, BLUE, "-"),
                ("validation", f"val_{name}", ORANGE, "--"),
            )
            if key in values
        ]
        for label, curve, colour, style in drawn:
            axes.plot(
                _epochs_of(curve, epochs),
                curve,
                style,
                color=colour,
                label=label,
                linewidth=1.8,
                marker="o" if len(curve) < 12 else None,
                markersize=4,
            )
        if directions.get(name):
            _mark_best(axes, *drawn[-1][:2], epochs, directions[name])
        axes.set(title=name.replace("_", " "), xlabel="epoch", ylabel=_axis_label(name))
        if name == "learning_rate" and min(values[name]) > 0:
            axes.set_yscale("log")
        margin = 0.04 * (epochs[-1] - epochs[0]) or 0.5
        axes.set_xlim(epochs[0] - min(margin, 0.9), epochs[-1] + margin)  # there is no epoch 0
        axes.margins(y=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False, fontsize=9)


def _epochs_of(curve: list[float], epochs: list[int]) -> list[int]:
    """Return the epochs that a curve has values for; fewer where not each epoch had a validation."""
    every = max(len(epochs) // len(curve), 1)
    return epochs[every - 1 :: every][: len(curve)] if len(curve) < len(epochs) else epochs


def _mark_best(axes: Any, label: str, curve: list[float], epochs: list[int], direction: str) -> None:
    numbers = np.array(curve)
    if not np.isfinite(numbers).any():
        return
    i = int(np.nanargmax(numbers) if direction == "max" else np.nanargmin(numbers))
    epoch = _epochs_of(curve, epochs)[i]
    axes.axvline(epoch, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.plot(
        epoch,
        numbers[i],
        marker="*",
        markersize=13,
        color=GREEN,
        markeredgecolor="white",
        linestyle="none",
        zorder=5,
        clip_on=False,
        label=f"best {label}: {numbers[i]:.4g} (epoch {epoch})",
    )


def _axis_label(name: str) -> str:
    """Name the axis, with the unit where the metric has one."""
    if "acc" in name.lower():
        return "share of samples that are right"
    if name == "loss":
        return "loss per sample"
    return "step size" if name == "learning_rate" else name.replace("_", " ")


class TrainingCurves(Callback):
    """Redraw the training curves after each epoch: in the notebook, in a window, into a file.

        model.fit(x, y, validation_split=0.2, epochs=30, callbacks=[keras.plotting.TrainingCurves()])

    In a notebook the picture is replaced in place.  In a program, a window shows it, if matplotlib has one to offer
    (`matplotlib.get_backend()`); on a machine without a screen only `to_file` is written, if given.

    Args:
        metrics: names without `val_`; all where None.
        to_file: written anew after each epoch.
        every: draw after every so many epochs, and at the end.
        best: see `training_curves`.
        title: above the picture.

    Attributes:
        figure: the picture; None before the first one.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: `every` below 1.
    """

    def __init__(
        self,
        metrics: Sequence[str] | str | None = None,
        to_file: Any = None,
        every: int = 1,
        best: bool | Mapping[str, str] = True,
        title: str | None = None,
    ):
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"TrainingCurves: `every` is an integer >= 1, received {every!r}.")
        _matplotlib()
        _directions((), best)
        self.metrics, self.to_file, self.every, self.best, self.title = metrics, to_file, every, best, title
        self.figure: Any = None
        self._values: dict[str, list[float]] = {}
        self._epochs: list[int] = []
        self._screen: str | None = None
        self._handle: Any = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start with empty curves."""
        self._values, self._epochs, self._handle, self.figure = {}, [], None, None
        self._screen = _screen()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Lengthen the curves, and draw them where it is time."""
        self._epochs.append(epoch + 1)
        for name, value in (logs or {}).items():
            self._values.setdefault(name, []).append(float(value))
        if len(self._epochs) % self.every == 0:
            self._draw()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Draw the last epochs; a window stays open until the program ends or `matplotlib.pyplot.show()` returns."""
        if self._epochs and len(self._epochs) % self.every:
            self._draw()

    def _draw(self) -> None:
        if self._screen is None and self.to_file is None:
            return
        names = _chosen_metrics(self._values, self.metrics)
        if self.figure is None:
            self.figure = self._new_figure(_curves_size(len(names)))
        elif self._screen == "window" and not self._window_is_open():
            self._screen = None  # closed by the user, who has seen enough
        self.figure.clear()
        if self.title:
            self.figure.suptitle(self.title)
        _draw_curves(self.figure, self._values, self._epochs, names, _directions(names, self.best))
        if self.to_file is not None:
            _finished(self.figure, self.to_file)
        if self._screen == "notebook":
            self._show_in_notebook()
        elif self._screen == "window":
            self._show_in_window()

    def _new_figure(self, size: tuple[float, float]) -> Any:
        if self._screen != "window":
            return _new_figure(size, self.title)
        figure = _new_window(size)
        figure.show()
        return figure

    def _window_is_open(self) -> bool:
        from matplotlib import pyplot

        return pyplot.fignum_exists(self.figure.number)

    def _show_in_window(self) -> None:
        from matplotlib import pyplot

        self.figure.canvas.draw_idle()
        pyplot.pause(0.001)  # lets the window draw and react

    def _show_in_notebook(self) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(self.figure, display_id=True)
        else:
            self._handle.update(self.figure)


def _screen() -> str | None:
    """Tell where a picture can be shown while the program runs: "notebook", "window", or None for nowhere."""
    if _in_notebook():
        return "notebook"
    figure = _new_window((1, 1))
    if figure is None:
        return None
    from matplotlib import pyplot

    pyplot.close(figure)
    return "window"


def _new_window(size: tuple[float, float]) -> Any:
    """Return a figure that a window can show; None where matplotlib has no window to offer."""
    try:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=size, layout="constrained")
    except ImportError:  # the window system or its Python package is missing
        return None
    if figure.canvas.required_interactive_framework is None:  # a backend for files only
        pyplot.close(figure)
        return None
    return figure


def _in_notebook() -> bool:
    """Whether the program runs in a notebook's kernel, which shows pictures between the cells."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


# ---- filters and feature maps ----


def filters(
    layer: Any,
    *,
    image_shape: tuple[int, int] | None = None,
    channel: int | None = None,
    limit: int = 64,
    columns: int | None = None,
    title: str | None = None,
    to_file: Any = None,
) -> Any:
    """Draw what each filter of a convolution, or each unit of a dense layer, looks for: its weights as an image.

    White is 0, red are positive weights, blue negative ones, on one scale for all.  Filters on three channels are
    drawn in colours, from their smallest weight to their largest; on other numbers of channels as the mean over them,
    or as one `channel`.

    Args:
        layer: a built layer with a kernel, or the kernel itself: (rows, columns, channels, filters), or
            (inputs, units) of a dense layer together with `image_shape`.
        image_shape: rows and columns of the image that a dense layer's inputs are.
        channel: which channel to draw.
        limit: at most so many filters are drawn, the first ones.
        columns: of the grid; as many as make it about square where None.
        title: above the picture.
        to_file: where to write it.

    Raises:
        TypeError, ValueError: no kernel, or one of another rank; an `image_shape` or channel that doesn't fit.
    """
    (kernel, name), kind = _kernel(layer), "filters"
    if kernel.ndim == 2:
        kernel, kind = _as_images(kernel, image_shape), "units"
    KH, KW, C, F = kernel.shape
    if channel is not None and not -C <= channel < C:
        raise ValueError(f"filters: channel={channel}, but the kernel has {C} channels.")
    in_colour = channel is None and C == 3
    planes, what = _planes(kernel, channel)
    shown = min(F, _at_least_one(limit, "filters", "limit"))

    columns = columns or _columns(shown)
    rows = math.ceil(shown / columns)
    cell = 0.75 if max(KH, KW) < 12 else 1.0
    beside = 0.5 if in_colour else 1.4
    figure = _new_figure((max(cell * columns + beside, 4.8), max(cell * 1.12 * rows + 0.9, 2.4)))
    count = f"{F} {kind}" if shown == F else f"first {shown} of {F} {kind}"
    figure.suptitle(title or f"{name}: {count} of {KH} × {KW}{what}")
    grid = figure.subplots(rows, columns, squeeze=False)
    extreme = float(np.abs(planes[..., :shown]).max()) or 1.0
    for i, axes in enumerate(grid.flat):
        axes.set(xticks=[], yticks=[])
        if i >= shown:
            axes.set_axis_off()
            continue
        image = planes[..., i]
        if in_colour:
            low, high = image.min(), image.max()
            axes.imshow((image - low) / ((high - low) or 1))
        else:
            drawn = axes.imshow(image, cmap=DIVERGING, vmin=-extreme, vmax=extreme)
        axes.set_title(str(i), fontsize=8, pad=2)
    if in_colour:
        figure.supxlabel("red, green, blue: a filter's smallest weight is dark, its largest bright", fontsize=9)
    else:
        figure.colorbar(drawn, ax=grid, label="weight", shrink=min(1.0, 0.5 + 0.5 / rows), aspect=25)
    return _finished(figure, to_file)


def _kernel(layer: Any) -> tuple[np.ndarray, str]:
    if hasattr(layer, "layers"):
        names = [inner.name for inner in layer.layers if getattr(inner, "kernel", None) is not None]
        raise TypeError(f"filters: expected one layer, received the model {layer.name!r}; its layers with a kernel: "
                        f"{', '.join(names) or 'none'}. Pass model.get_layer(name).")  # fmt: skip
    name = getattr(layer, "name", "kernel")
    if hasattr(layer, "built"):
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            why = "has no kernel" if layer.built else "isn't built yet"
            raise ValueError(f"filters: layer {name!r} ({type(layer).__name__}) {why}.")
        name = f"{name} ({type(layer).__name__})"
    else:
        kernel = layer
    kernel = np.asarray(kernel)
    if kernel.ndim not in (2, 4) or kernel.dtype.kind not in "fiu":
        raise ValueError(
            "filters: expected a kernel of shape (rows, columns, channels, filters) or (inputs, units), received "
            f"shape {kernel.shape} of {kernel.dtype}."
        )
    return kernel, name


def _as_images(kernel: np.ndarray, image_shape: tuple[int, int] | None) -> np.ndarray:
    if image_shape is None or math.prod(image_shape) != len(kernel) or len(image_shape) != 2:
        side = math.isqrt(len(kernel))
        example = (side, side) if side * side == len(kernel) else "(rows, columns)"
        raise ValueError(
            f"filters: a dense kernel of {len(kernel)} inputs is drawn as images where image_shape={example} says of "
            f"which shape, received image_shape={image_shape}."
        )
    return kernel.reshape(*image_shape, 1, kernel.shape[1])


def _planes(kernel: np.ndarray, channel: int | None) -> tuple[np.ndarray, str]:
    """Return what is drawn of a kernel, and what to call it."""
    C = kernel.shape[2]
    if channel is not None:
        return kernel[:, :, channel], f", channel {channel}"
    if C == 1:
        return kernel[:, :, 0], ""
    return (kernel, ", in colours") if C == 3 else (kernel.mean(axis=2), f", mean over {C} channels")


def feature_maps(
    model: Any,
    image: Any,
    layers: Sequence[str] | None = None,
    *,
    limit: int = 16,
    title: str | None = None,
    to_file: Any = None,
) -> Any:
    """Draw what an image becomes on its way through a model: the channels of each layer's output.

    Args:
        model: a built model that takes one image.
        image: one image, with or without a batch axis of 1, in the shape and range of the model's inputs.
        layers: names of layers; where None, all whose output is an image or, after weights, a vector.
        limit: at most so many channels of each layer are drawn, the first ones.
        title: above the picture.
        to_file: where to write it.

    Raises:
        TypeError, ValueError: no built model, several images or another shape, an unknown layer, nothing to draw.
    """
    if not is_wired(model):
        raise TypeError(f"feature_maps: expected a built model, received {model!r}.")
    if len(model.inputs) != 1:
        raise ValueError(f"feature_maps: model {model.name!r} has {len(model.inputs)} inputs; one image goes into one.")
    x = one_sample(model.inputs[0], image, "feature_maps")
    wires = wiring(model)
    with np.errstate(all="ignore"):
        run = Run(wires, [x])
    found = [(c, run.values[c.outputs[0]][0]) for c in wires.calls]
    rows = [(f"{c.name} ({type(c.layer).__name__})", y) for c, y in found if _is_shown(c, y, layers, found)]
    if not rows:
        raise ValueError("feature_maps: no layer has an image or a vector to draw.")
    limit = _at_least_one(limit, "feature_maps", "limit")

    heights = [1.5] + [_map_rows(y, limit) + (0.45 if y.ndim == 3 else 0.35) for _, y in rows]
    figure = _new_figure((9, max(0.85 * sum(heights) + 0.9, 3)))
    figure.suptitle(title or f"One image on its way through {model.name}")
    first, *strips = figure.subfigures(len(rows) + 1, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_image(first, x[0])
    for strip, (name, y) in zip(strips, rows, strict=True):
        if y.ndim == 3:
            _draw_maps(strip, name, y, limit)
        else:
            _draw_vector(strip, name, y)
    return _finished(figure, to_file)


def _is_shown(call: Any, y: np.ndarray, layers: Sequence[str] | None, found: list[Any]) -> bool:
    if layers is not None:
        names = [c.name for c, _ in found]
        for name in [layers] if isinstance(layers, str) else layers:
            if name not in names:
                raise ValueError(f"feature_maps: no layer {name!r}. {did_you_mean(name, names)}")
        return call.name in layers and y.ndim in (1, 3)
    return y.ndim == 3 or (y.ndim == 1 and bool(call.layer.weights or call is found[-1][0]))


def _map_rows(y: np.ndarray, limit: int) -> int:
    return math.ceil(min(y.shape[-1], limit) / 8) if y.ndim == 3 else 1


def _draw_image(strip: Any, x: np.ndarray) -> None:
    axes = strip.subplots()
    strip.suptitle(f"the image: {' × '.join(map(str, x.shape))}", fontsize=9)
    if x.ndim == 3 and x.shape[-1] in (1, 3):
        low, high = x.min(), x.max()
        axes.imshow((x - low) / ((high - low) or 1), cmap="gray")
        axes.set(xticks=[], yticks=[])
    elif x.ndim == 2:
        axes.imshow(x, cmap="gray", aspect="auto" if min(x.shape) * 8 < max(x.shape) else "equal")
        axes.set(xticks=[], yticks=[])
    else:
        axes.bar(range(x.size), x.ravel(), color=GREY)
        axes.set(xlabel="number", ylabel="input")


def _draw_maps(strip: Any, name: str, y: np.ndarray, limit: int) -> None:
    H, W, C = y.shape
    shown, columns = min(C, limit), 8
    grid = strip.subplots(_map_rows(y, limit), columns, squeeze=False)
    strip.suptitle(f"{name}: {C if shown == C else f'{shown} of {C}'} channels of {H} × {W}", fontsize=9)
    # A few extreme outputs would leave the others dark.
    (least, most), (low, high) = (np.quantile(y[..., :shown], q) for q in ((0, 1), (0.01, 0.99)))
    for i, axes in enumerate(grid.flat):
        axes.set(xticks=[], yticks=[])
        if i < shown:
            drawn = axes.imshow(y[..., i], cmap=SEQUENTIAL, vmin=low, vmax=high if high > low else low + 1)
        else:
            axes.set_axis_off()
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((least < low, high < most))
    bar = strip.colorbar(drawn, ax=grid, aspect=12, pad=0.01, extend=beyond or "neither")
    bar.set_label("output", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _draw_vector(strip: Any, name: str, y: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = strip.subplots()
    strip.suptitle(f"{name}: {len(y)} units", fontsize=9)
    axes.bar(range(len(y)), y, color=BLUE, width=0.8)
    axes.set_xlim(-0.5 - 0.01 * len(y), len(y) - 0.5 + 0.01 * len(y))
    axes.set_xlabel("unit", fontsize=8, labelpad=1)
    axes.set_ylabel("output", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.spines[["top", "right"]].set_visible(False)


# ---- weights ----


def weight_histograms(
    before: Any,
    after: Any = None,
    *,
    names: Sequence[str] | None = None,
    bins: int = 50,
    title: str | None = None,
    to_file: Any = None,
) -> Any:
    """Draw how the weights of each layer are distributed, before and after training.

        before = model.get_weights()
        model.fit(...)
        keras.plotting.weight_histograms(before, model)

    Args:
        before: a model, a layer, the list that `get_weights` returned, or a dictionary from name to array.
        after: likewise, with arrays of the same shapes; None to draw only one of them.
        names: of the arrays; where None, those of the model, the layer or the dictionary.
        bins: the number of bars.
        title: above the picture.
        to_file: where to write it.

    Raises:
        TypeError, ValueError: no weights; other numbers or shapes of arrays; as many names as arrays are needed.
    """
    first, first_names = _weights(before, "before")
    second, second_names = _weights(after, "after") if after is not None else (None, None)
    shapes = [a.shape for a in first]
    if second is not None and [a.shape for a in second] != shapes:
        raise ValueError(f"weight_histograms: `before` has arrays of shapes {shapes}, and `after` of "
                         f"{[a.shape for a in second]}.")  # fmt: skip
    names = list(names or second_names or first_names or (f"weights {i}" for i in range(len(first))))
    if len(names) != len(first):
        raise ValueError(f"weight_histograms: {len(names)} names for {len(first)} arrays.")
    bins = _at_least_one(bins, "weight_histograms", "bins")

    columns = 2 if len(first) < 9 else 4
    rows = math.ceil(len(first) / columns)
    figure = _new_figure((4.2 * columns, 2.6 * rows + 0.9))
    what = "Weights before and after training" if second is not None else "Weights"
    figure.suptitle(title or f"{what} (mean ± standard deviation)")
    grid = figure.subplots(rows, columns, squeeze=False)
    labelled = [("all", BLUE, first)] if second is None else [("before", BLUE, first), ("after", ORANGE, second)]
    for i, axes in enumerate(grid.flat):
        if i >= len(first):
            axes.set_axis_off()
            continue
        _draw_histogram(axes, [(label, colour, arrays[i].ravel()) for label, colour, arrays in labelled], bins)
        axes.set_title(f"{names[i]}  {shapes[i]}", fontsize=9)
        axes.set(xlabel="weight", ylabel="number of weights")
    if second is not None:
        figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return _finished(figure, to_file)


def _weights(source: Any, argument: str) -> tuple[list[np.ndarray], list[str] | None]:
    names = None
    if hasattr(source, "get_weights"):
        names = ["/".join((getattr(v, "path", None) or v.name).split("/")[-2:]) for v in source.weights]
        arrays = source.get_weights()
    elif isinstance(source, Mapping):
        names, arrays = [str(k) for k in source], list(source.values())
    else:
        arrays = [source] if isinstance(source, np.ndarray) else source
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"weight_histograms: `{argument}` is a model, a layer, a list of arrays or a dictionary "
                        f"of them, received {source!r}.")  # fmt: skip
    arrays = [np.asarray(a) for a in arrays]
    if not arrays:
        raise ValueError(f"weight_histograms: `{argument}` has no weights; is it built?")
    return arrays, names


def _draw_histogram(axes: Any, series: list[tuple[str, str, np.ndarray]], bins: int) -> None:
    from matplotlib.ticker import MaxNLocator

    finite = [a[np.isfinite(a)] for _, _, a in series]
    together = np.concatenate(finite)
    low, high = (float(together.min()), float(together.max())) if together.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    for (label, colour, _), numbers in zip(series, finite, strict=True):
        filled = label != "after"
        axes.hist(
            numbers,
            bins=bins,
            range=(low, high),
            histtype="stepfilled" if filled else "step",
            color=colour,
            alpha=0.45 if filled else 1,
            linewidth=1.6,
            label=label,
        )
        if numbers.size:
            deviation = f"{label}: {numbers.mean():+.3f} ± {numbers.std():.3f}"
            line = 0.97 if filled else 0.86
            axes.text(0.02, line, deviation, transform=axes.transAxes, fontsize=8, color=colour, va="top")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(y=0.3)  # room for the two lines of text
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


# ---- classes ----


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    *,
    normalize: bool = False,
    title: str | None = None,
    to_file: Any = None,
) -> Any:
    """Draw how often each class was taken for each other: a row for the truth, a column for the prediction.

    The colour is the share of the row, so that rare classes are seen as well as frequent ones.

    Args:
        y_true: class ids, or one-hot rows.
        y_pred: class ids, or what the model predicts: a row of probabilities each (the largest counts), or one
            probability of class 1 each (0.5 and more count as 1).
        class_names: in the order of the ids; the ids themselves where None.
        normalize: write shares of the row into the cells instead of numbers of samples.
        title: above the picture.
        to_file: where to write it.

    Raises:
        ValueError: different numbers of samples, negative or fractional ids, too few names.
    """
    truth, predicted = _class_ids(y_true, "y_true"), _class_ids(y_pred, "y_pred")
    if len(truth) != len(predicted) or not len(truth):
        raise ValueError(f"confusion_matrix: {len(truth)} samples in y_true, {len(predicted)} in y_pred.")
    seen = int(max(truth.max(), predicted.max())) + 1
    widths = [np.shape(y)[-1] for y in (y_true, y_pred) if np.ndim(y) == 2]
    names = [str(n) for n in class_names] if class_names is not None else [str(i) for i in range(max([seen, *widths]))]
    if len(names) < seen:
        raise ValueError(
            f"confusion_matrix: {len(names)} class_names, but the class {seen - 1} occurs; ids count from 0."
        )
    C = len(names)
    counts = np.zeros((C, C), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    longest = max(len(n) for n in names)
    side = min(max((0.55 if C <= 20 else 0.42) * C, 2.6), 14)
    figure = _new_figure((side + 2.2 + 0.08 * longest, side + 1.3 + 0.08 * longest))
    right = int(np.trace(counts))
    figure.suptitle(title or f"Confusion matrix: {right:,} of {len(truth):,} right ({100 * right / len(truth):.1f}%)")
    axes, bar = figure.subplots(1, 2, width_ratios=(side, 0.25))
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_anchor("SW")  # labels stand on these sides: elsewhere the layout would measure them before it moves them
    named = range(0, C, math.ceil(C / 40))  # of very many classes not each has room for its name
    axes.set(xlabel="predicted class", ylabel="true class", xticks=named, yticks=named)
    size = 9 if C <= 20 else 7
    axes.set_xticklabels([names[i] for i in named], fontsize=size)
    axes.set_yticklabels([names[i] for i in named], fontsize=size)
    if longest > 3:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    if C <= 30:
        for i, j in np.ndindex(C, C):
            if counts[i, j]:
                text = f"{shares[i, j]:.2f}" if normalize else str(counts[i, j])
                colour = "white" if shares[i, j] > 0.55 else "black"
                fit = min(10, 90 * side / C / max(len(text), 3))  # a digit is 0.64 of its size wide
                axes.text(j, i, text, ha="center", va="center", fontsize=fit, color=colour)
    figure.colorbar(drawn, cax=bar, label="share of the true class")
    return _finished(figure, to_file)


def _class_ids(y: Any, argument: str) -> np.ndarray:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    y = y.reshape(-1) if y.ndim == 2 else y
    if y.ndim != 1 or y.dtype.kind not in "fiub":
        raise ValueError(f"confusion_matrix: `{argument}` is class ids or rows of scores, received shape {y.shape} of "
                         f"{y.dtype}.")  # fmt: skip
    ids = y.astype(np.int64)
    if y.dtype.kind == "f" and not np.array_equal(ids, y):
        if argument == "y_true" or y.min() < 0 or y.max() > 1:
            raise ValueError(f"confusion_matrix: `{argument}` has fractions, such as {y[ids != y][0]:.4g}; expected "
                             "class ids 0, 1, ...")  # fmt: skip
        return (y >= 0.5).astype(np.int64)
    if y.size and ids.min() < 0:
        raise ValueError(f"confusion_matrix: `{argument}` has the negative class {ids.min()}; ids count from 0.")
    return ids


# ---- figures ----


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise ImportError("minikeras.plotting needs matplotlib: pip install matplotlib") from None
    return matplotlib


def _new_figure(size: tuple[float, float], title: str | None = None) -> Any:
    """Return an empty figure of this size in inches, which no window belongs to."""
    _matplotlib()
    if _in_notebook():  # whose way to show figures comes with pyplot
        from matplotlib import pyplot  # noqa: F401
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    if title:
        figure.suptitle(title)
    return figure


def _finished(figure: Any, to_file: Any) -> Any:
    if to_file is not None:
        extension = os.path.splitext(os.fspath(to_file))[1].lstrip(".").lower()
        known = sorted(figure.canvas.get_supported_filetypes())
        if extension and extension not in known:
            raise ValueError(f"Pictures can't be written as {extension!r}, in {os.fspath(to_file)!r}. "
                             f"{did_you_mean(extension, known)}")  # fmt: skip
        figure.savefig(to_file)
    return figure


def _columns(count: int) -> int:
    """Return how many columns make a grid of so many cells a little wider than high, without a ragged last row."""
    square = math.ceil(math.sqrt(count))
    return next((c for c in range(square, min(count, 2 * square) + 1) if count % c == 0), square)


def _at_least_one(value: Any, caller: str, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{caller}: `{argument}` is an integer >= 1, received {value!r}.")
    return int(value)


__getattr__ = missing_attribute(__name__, __all__)
