"""Counted: how many weights have which size, and how many samples of a class are taken for another."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import BLUE, ORANGE, at_least_one, cells, finished, new_figure


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
    bins = at_least_one(bins, "weight_histograms", "bins")

    columns = 2 if len(first) < 9 else 4
    rows = math.ceil(len(first) / columns)
    figure = new_figure((4.2 * columns, 2.6 * rows + 0.9))
    what = "Weights before and after training" if second is not None else "Weights"
    figure.suptitle(title or f"{what} (mean ± standard deviation)")
    grid = cells(figure, rows, columns, len(first))
    labelled = [("all", BLUE, first)] if second is None else [("before", BLUE, first), ("after", ORANGE, second)]
    for i, axes in enumerate(grid):
        _draw_histogram(axes, [(label, colour, arrays[i].ravel()) for label, colour, arrays in labelled], bins)
        axes.set_title(f"{names[i]}  {shapes[i]}", fontsize=9)
        axes.set(xlabel="weight", ylabel="number of weights")
    if second is not None:
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return finished(figure, to_file)


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
        look = {"histtype": "stepfilled", "alpha": 0.45} if filled else {"histtype": "step", "alpha": 1}
        axes.hist(numbers, bins=bins, range=(low, high), color=colour, linewidth=1.6, label=label, **look)
        if numbers.size:
            deviation = f"{label}: {numbers.mean():+.3f} ± {numbers.std():.3f}"
            line = 0.97 if filled else 0.86
            axes.text(0.02, line, deviation, transform=axes.transAxes, fontsize=8, color=colour, va="top")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(y=0.3)  # room for the two lines of text
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


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
    figure = new_figure((side + 2.2 + 0.08 * longest, side + 1.3 + 0.08 * longest))
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
    return finished(figure, to_file)


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
