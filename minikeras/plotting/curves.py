"""Training curves: of a training that is over, or redrawn while the model learns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..callbacks import Callback
from ..callbacks.keeping import are_counts, is_record
from ..common.names import did_you_mean
from .figures import BLUE, GREEN, GREY, ORANGE, cells, check_matplotlib, finished, in_notebook, new_figure

MORE_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "iou", "r2_score", "cosine_similarity")
LESS_IS_BETTER = ("loss", "error", "mse", "mae", "mape", "msle", "crossentropy", "hinge", "divergence", "huber")


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
    figure = new_figure(_curves_size(len(names)), title)
    _draw_curves(figure, values, epochs, names, directions)
    return finished(figure, to_file)


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
    figure: Any, values: Mapping[str, list[float]], epochs: list[int], names: list[str], directions: Mapping[str, str]
) -> None:
    from matplotlib.ticker import MaxNLocator

    columns = _panel_columns(len(names))
    for axes, name in zip(cells(figure, math.ceil(len(names) / columns), columns, len(names)), names, strict=True):
        drawn = []
        for label, key, colour, style in (("training", name, BLUE, "-"), ("validation", f"val_{name}", ORANGE, "--")):
            if key in values:
                curve = values[key]
                marker = "o" if len(curve) < 12 else None
                look = {"color": colour, "linewidth": 1.8, "marker": marker, "markersize": 4}
                axes.plot(_epochs_of(curve, epochs), curve, style, label=label, **look)
                drawn.append((label, curve))
        if directions.get(name):
            _mark_best(axes, *drawn[-1], epochs, directions[name])
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
    label = f"best {label}: {numbers[i]:.4g} (epoch {epoch})"
    look = {"marker": "*", "markersize": 13, "color": GREEN, "markeredgecolor": "white", "linestyle": "none"}
    axes.plot(epoch, numbers[i], label=label, zorder=5, clip_on=False, **look)


def _axis_label(name: str) -> str:
    """Name the axis, with the unit where the metric has one."""
    if "acc" in name.lower():
        return "share of samples that are right"
    if name == "loss" or name.endswith("_loss"):
        return "loss per sample"
    return "step size" if name == "learning_rate" else name.replace("_", " ")


class TrainingCurves(Callback):
    """Redraw the training curves after each epoch: in the notebook, in a window, into a file.

        model.fit(x, y, validation_split=0.2, epochs=30, callbacks=[keras.plotting.TrainingCurves()])

    In a notebook the picture is replaced in place.  In a program, a window shows it, if matplotlib has one to offer
    (`matplotlib.get_backend()`), and stays open until the program ends or `matplotlib.pyplot.show()` returns; on a
    machine without a screen only `to_file` is written, if given.

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

    backed_up: ClassVar = {"_values": is_record, "_epochs": are_counts}

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
        check_matplotlib()
        _directions((), best)
        self.metrics, self.to_file, self.every, self.best, self.title = metrics, to_file, every, best, title
        self.figure: Any = None
        self._values: dict[str, list[float]] = {}
        self._epochs: list[int] = []
        self._screen: str | None = None
        self._handle: Any = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._values, self._epochs, self._handle, self.figure = {}, [], None, None
        self._screen = _screen()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epochs.append(epoch + 1)
        for name, value in (logs or {}).items():
            self._values.setdefault(name, []).append(float(value))
        if len(self._epochs) % self.every == 0:
            self._draw()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._epochs and len(self._epochs) % self.every:
            self._draw()

    def _draw(self) -> None:
        if self._screen is None and self.to_file is None:
            return
        names = _chosen_metrics(self._values, self.metrics)
        if self.figure is None:
            size = _curves_size(len(names))
            self.figure = _new_window(size) if self._screen == "window" else new_figure(size, self.title)
            if self._screen == "window":
                self.figure.show()
        elif self._screen == "window":
            from matplotlib import pyplot

            if not pyplot.fignum_exists(self.figure.number):
                self._screen = None  # closed by the user, who has seen enough
        self.figure.clear()
        if self.title:
            self.figure.suptitle(self.title)
        _draw_curves(self.figure, self._values, self._epochs, names, _directions(names, self.best))
        finished(self.figure, self.to_file)
        self._show()

    def _show(self) -> None:
        if self._screen == "window":
            from matplotlib import pyplot

            self.figure.canvas.draw_idle()
            pyplot.pause(0.001)  # lets the window draw and react
        elif self._screen == "notebook":
            from IPython.display import display

            if self._handle is None:
                self._handle = display(self.figure, display_id=True)
            else:
                self._handle.update(self.figure)


def _screen() -> str | None:
    """Tell where a picture can be shown while the program runs: "notebook", "window", or None for nowhere."""
    if in_notebook():
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
