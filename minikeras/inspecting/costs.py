"""How the shape of a layer's output comes about, and what the layer multiplies: arithmetic for readers, by class.

The layers themselves compute without it; families of layers share an entry of the table at the end.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..layers.windows import window_geometry

Shape = tuple[int, ...]

#: How the shape comes about, and the multiply-adds: the factors of each term of their sum.
Cost = tuple[str, list[Sequence[int]]]


def cost(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    """Return the arithmetic of one call of a layer.

    Counted are products, of an input with a weight or with another input, that are added to a sum; activations and
    plain sums are not.

    Args:
        layer: built; of a class in the table, or derived from one that is: the nearest counts.
        xs: the shapes of its inputs, without the batch axis.
        y: that of its output.

    Returns:
        Both empty where nobody wrote an entry; "as the input" where the shape is.
    """
    for cls in type(layer).__mro__:
        if cls.__name__ in COSTS:
            return COSTS[cls.__name__](layer, xs, y)
    return ("as the input" if xs == [y] else ""), []


def product(shape: Sequence[int]) -> str:
    """Return such as `"3*4 = 12"`; of one number only this."""
    return f"{'*'.join(map(str, shape))} = {math.prod(shape)}" if len(shape) > 1 else str(math.prod(shape))


# ---- windows ----


def _both_ways(rows: str, columns: str) -> str:
    return f"rows and columns: {rows}" if rows == columns else f"rows: {rows}\ncolumns: {columns}"


def _windows(layer: Any, window: Sequence[int], x: Shape) -> str:
    """Say how many windows fit along the rows and the columns."""
    dilation = getattr(layer, "dilation_rate", (1, 1))
    return _both_ways(
        *(_along(n, k, s, d, layer.padding) for n, k, s, d in zip(x, window, layer.strides, dilation, strict=False))
    )


def _along(size: int, window: int, stride: int, dilation: int, padding: str) -> str:
    count, before = window_geometry(size, window, stride, padding, dilation)
    span, spread = _span(window, dilation)
    after = max((count - 1) * stride + span - size, 0) - before if padding == "same" else 0
    zeros = f" + 2*{before}" if before == after else f" + {before} + {after}"
    inside = f"{size}{zeros if before or after else ''} - {span}"
    if (count - 1) * stride + span > size + before + after or (size + before + after - span) // stride + 1 != count:
        return f"ceil({size} / {stride}) = {count}{spread}"  # strides that jump over the last cells
    return f"({inside}) // {stride} + 1 = {count}{spread}"


def _span(window: int, dilation: int) -> tuple[int, str]:
    span = (window - 1) * dilation + 1
    return span, f"; the window spans ({window} - 1)*{dilation} + 1 = {span}" if dilation > 1 else ""


def _convolution(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    (x,), kernel = xs, layer.kernel.shape
    stretch = f"\neach sees {x[-1]} / {layer.groups} = {kernel[2]} of the input's" if layer.groups > 1 else ""
    return f"{_windows(layer, kernel, x)}\nchannels: {y[-1]} filters{stretch}", [(*y[:2], *kernel)]


def _depthwise(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    (x,), kernel = xs, layer.kernel.shape
    return f"{_windows(layer, kernel, x)}\nchannels: {product(kernel[2:])}", [(*y[:2], *kernel)]


def _separable(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    (x,), kernel, mixing = xs, layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
    channels = f"channels: {product(kernel[2:])}, mixed by {y[-1]} filters"
    return f"{_windows(layer, kernel, x)}\n{channels}", [(*y[:2], *kernel), (*y[:2], *mixing[2:])]


def _transposed(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    (x,), ways = xs, []
    for n, m, k, s, d in zip(x, y, layer.kernel_size, layer.strides, layer.dilation_rate, strict=False):
        last = m - (n - 1) * s  # the last window, or what is kept of it
        way = f"{n}*{s}" if layer.padding == "same" and last == s else f"({n} - 1)*{s} + {last}"
        ways.append(f"{way} = {m}{_span(k, d)[1]}")
    return f"{_both_ways(*ways)}\nchannels: {y[-1]} filters", [(*x[:2], *layer.kernel.shape)]


# ---- other sizes of images ----


def _framed(frame: Sequence[Sequence[int]], sign: str, x: Shape, y: Shape) -> Cost:
    ways = (f"{n} {sign} {a} {sign} {b} = {m}" for n, (a, b), m in zip(x, frame, y, strict=False))
    return _both_ways(*ways), []


def _up_sampling(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    ways = _both_ways(*(f"{n}*{s} = {m}" for n, s, m in zip(xs[0], layer.size, y, strict=False)))
    if layer.interpolation == "nearest":
        return ways, []
    return f"{ways}\neach number mixes 2*2 = 4 neighbours", [(*y, 2, 2)]


# ---- normalization ----


def _batch_normalization(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    return f"as the input\nmeans and variances: {layer.moving_mean.shape[0]}, one of a channel", [y]


def _layer_normalization(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    along = {axis % (len(y) + 1) - 1 for axis in layer.axis}
    inside, others = ([n for i, n in enumerate(y) if (i in along) == wanted] for wanted in (True, False))
    said = f"as the input\nmeans and variances: {product(others)}, each of {product(inside)} numbers"
    return said, [y, y]  # the squares in the variance, and gamma x^ + beta


# ---- joins ----


def _shapes(xs: list[Shape]) -> str:
    return " and ".join(" × ".join(map(str, x)) for x in xs)


def _elementwise(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    same = all(x == y for x in xs)
    said = "as each input" if same else f"{_shapes(xs)}, repeated along missing axes and those of 1"
    return said, [y] * (len(xs) - 1) if type(layer).__name__ == "Multiply" else []


def _concatenating(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    axis = layer.axis - (layer.axis > 0)  # the batch's is not in the shapes
    return f"axis {layer.axis}: {' + '.join(str(x[axis]) for x in xs)} = {y[axis]}", []


def _dot(layer: Any, xs: list[Shape], y: Shape) -> Cost:
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    terms = xs[0][axis - (axis > 0)]
    lengths = xs if layer.normalize else []
    return f"{_shapes(xs)}: sums of {terms} products, {product(y)} of them", [(*y, terms), *lengths]


COSTS: dict[str, Callable[[Any, list[Shape], Shape], Cost]] = {
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenating,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "Cropping2D": lambda layer, xs, y: _framed(layer.cropping, "-", xs[0], y),
    "Dense": lambda layer, xs, y: (f"{xs[0][-1]} inputs, {y[-1]} units", [(*xs[0], y[-1])]),
    "DepthwiseConv2D": _depthwise,
    "Dot": _dot,
    "Elementwise": _elementwise,
    "Embedding": lambda layer, xs, y: (
        f"{product(xs[0])} integers below {layer.input_dim}\na row of {y[-1]} weights for each",
        [],
    ),
    "Flatten": lambda layer, xs, y: (product(xs[0]) if len(xs[0]) > 1 else "as the input", []),
    "GlobalPooling2D": lambda layer, xs, y: (f"one number of {product(xs[0][:2])} for each of {y[-1]} channels", []),
    "LayerNormalization": _layer_normalization,
    "PReLU": lambda layer, xs, y: ("as the input", [y]),
    "Identity": lambda layer, xs, y: (f"{_shapes(xs)}, as they came", []),
    "Permute": lambda layer, xs, y: (f"{_shapes(xs)} with its axes in the order {', '.join(map(str, layer.dims))}", []),
    "Pooling2D": lambda layer, xs, y: (
        f"{_windows(layer, layer.pool_size, xs[0])}\nchannels: as the input's {y[-1]}",
        [],
    ),
    "RepeatVector": lambda layer, xs, y: (f"the input {y[0]} times", []),
    "Rescaling": lambda layer, xs, y: ("as the input", [y]),
    "Reshape": lambda layer, xs, y: (f"{'*'.join(map(str, xs[0]))} = {'*'.join(map(str, y))} = {math.prod(y)}", []),
    "SeparableConv2D": _separable,
    "UpSampling2D": _up_sampling,
    "ZeroPadding2D": lambda layer, xs, y: _framed(layer.padding, "+", xs[0], y),
}
