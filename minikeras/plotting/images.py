"""Images of a network: what its filters look for, and what becomes of an image on its way through the layers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.names import did_you_mean
from ..inspecting.run import Call, Run, one_sample, unfused
from .figures import BLUE, DIVERGING, GREY, SEQUENTIAL, at_least_one, cells, columns_for, finished, new_figure


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
    shown = min(F, at_least_one(limit, "filters", "limit"))

    columns = columns or columns_for(shown)
    rows = math.ceil(shown / columns)
    cell = 0.75 if max(KH, KW) < 12 else 1.0
    beside = 0.5 if in_colour else 1.4
    figure = new_figure((max(cell * columns + beside, 4.8), max(cell * 1.12 * rows + 0.9, 2.4)))
    count = f"{F} {kind}" if shown == F else f"first {shown} of {F} {kind}"
    figure.suptitle(title or f"{name}: {count} of {KH} × {KW}{what}")
    extreme = float(np.abs(planes[..., :shown]).max()) or 1.0
    for i, axes in enumerate(cells(figure, rows, columns, shown)):
        axes.set(xticks=[], yticks=[])
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
        figure.colorbar(drawn, ax=figure.axes, label="weight", shrink=min(1.0, 0.5 + 0.5 / rows), aspect=25)
    return finished(figure, to_file)


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
    if getattr(model, "graph", None) is None:
        raise TypeError(f"feature_maps: expected a built model, received {model!r}.")
    if len(model.inputs) != 1:
        raise ValueError(f"feature_maps: model {model.name!r} has {len(model.inputs)} inputs; one image goes into one.")
    x = one_sample(model.inputs[0], image, "feature_maps")
    with np.errstate(all="ignore"):
        run = Run(unfused(model), [x])
    found = [(c, run.values[c.output][0]) for c in run.calls]
    rows = [(f"{c.name} ({type(c.layer).__name__})", y) for c, y in found if _is_shown(c, y, layers, found)]
    if not rows:
        raise ValueError("feature_maps: no layer has an image or a vector to draw.")
    limit = at_least_one(limit, "feature_maps", "limit")

    heights = [1.5] + [_map_rows(y, limit) + (0.45 if y.ndim == 3 else 0.35) for _, y in rows]
    figure = new_figure((9, max(0.85 * sum(heights) + 0.9, 3)))
    figure.suptitle(title or f"One image on its way through {model.name}")
    first, *strips = figure.subfigures(len(rows) + 1, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_image(first, x[0])
    for strip, (name, y) in zip(strips, rows, strict=True):
        if y.ndim == 3:
            _draw_maps(strip, name, y, limit)
        else:
            _draw_vector(strip, name, y)
    return finished(figure, to_file)


def _is_shown(call: Call, y: np.ndarray, layers: Sequence[str] | None, found: list[tuple[Call, np.ndarray]]) -> bool:
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
    shown = min(C, limit)
    strip.suptitle(f"{name}: {C if shown == C else f'{shown} of {C}'} channels of {H} × {W}", fontsize=9)
    # A few extreme outputs would leave the others dark.
    (least, most), (low, high) = (np.quantile(y[..., :shown], q) for q in ((0, 1), (0.01, 0.99)))
    for i, axes in enumerate(cells(strip, _map_rows(y, limit), 8, shown)):
        axes.set(xticks=[], yticks=[])
        drawn = axes.imshow(y[..., i], cmap=SEQUENTIAL, vmin=low, vmax=high if high > low else low + 1)
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((least < low, high < most))
    bar = strip.colorbar(drawn, ax=strip.axes, aspect=12, pad=0.01, extend=beyond or "neither")
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
