"""The arithmetic of sliding windows: how many fit, and how many zeros go before them."""

import functools
from typing import Any

import numpy as np

from ..common.names import did_you_mean

Pair = tuple[int, int]

#: Strides, zeros before the first row and column, dilation, the pooling afterwards, and how many windows there are.
Geometry = tuple[Pair, Pair, Pair, Pair, Pair]


def window_geometry(size: int, window: int, stride: int, padding: str, dilation: int = 1) -> Pair:
    """Return how many windows fit along one axis, and how many zeros stand before its first cell.

    A window of k cells with dilation d spans k' = (k - 1) d + 1 cells.  On n cells, with stride s,

        valid: windows inside the image only:  (n - k') // s + 1 of them, no zeros
        same:  a window at every s-th cell:    ceil(n / s) of them; max((ceil(n / s) - 1) s + k' - n, 0) zeros, of
               which half stand before, and the odd one after

    as in TensorFlow.  A number of windows below 1 means that none fits.
    """
    span = (window - 1) * dilation + 1
    if padding == "valid":
        return (size - span) // stride + 1, 0
    windows = -(-size // stride)
    return windows, max((windows - 1) * stride + span - size, 0) // 2


@functools.lru_cache(maxsize=1024)
def image_geometry(
    input_shape: tuple[int | None, ...],
    window: Pair,
    strides: Pair,
    padding: str,
    dilation: Pair,
    owner: str,
    argument: str,
) -> tuple[tuple[int | None, int | None], Pair]:
    """Return `window_geometry` of rows and columns, as ((OH, OW), (top, left)); OH or OW is None where H or W is.

    Kept, as it is asked for in every step.

    Raises:
        ValueError: not one window fits; names `owner`, and the window by its `argument`.
    """
    along = [
        (None, 0) if n is None else window_geometry(n, k, s, padding, d)
        for n, k, s, d in zip(input_shape[1:3], window, strides, dilation, strict=True)
    ]
    if any(windows is not None and windows < 1 for windows, _ in along):
        spread = f" with dilation_rate={dilation}" if max(dilation) > 1 else ""
        raise ValueError(
            f"{owner}: the output would have no cells: {argument}={window}{spread} does not fit into an input of shape "
            f"{tuple(input_shape)}. Use a smaller {argument}, padding='same', or fewer pooling layers before it."
        )
    (OH, top), (OW, left) = along
    return (OH, OW), (top, left)


def pair(value: Any, argument: str, owner: str, at_least: int = 1) -> Pair:
    """Return an integer twice, or two integers, as a tuple of two ints.

    Raises:
        ValueError: anything else, or a number below `at_least`.
    """
    two = (value, value) if _is_integer(value) else value
    try:
        fits = not isinstance(two, str) and len(two) == 2 and all(_is_integer(v) and v >= at_least for v in two)
    except TypeError:
        fits = False
    if not fits:
        kind = "a positive integer, or two of them" if at_least == 1 else f"an integer >= {at_least}, or two of them"
        raise ValueError(f"{owner}: `{argument}` is {kind} (rows, columns), received {value!r}.")
    return int(two[0]), int(two[1])


def padding_mode(value: Any, owner: str) -> str:
    """Return `"valid"` or `"same"`, in whatever case it was written; ValueError for anything else."""
    mode = value.lower() if isinstance(value, str) else value
    if mode not in ("valid", "same"):
        raise ValueError(
            f"{owner}: `padding` is 'valid' or 'same', received {value!r}. {did_you_mean(value, ('valid', 'same'))}"
        )
    return mode


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
