"""Global settings: the float type, the fuzz factor, the layout of images.

Called by every room that needs a default; calls nobody.  Keras's counterpart: `keras.config`
(and, for older scripts, `keras.backend`).
"""

_FLOAT_TYPES = ("float32", "float64")

_floatx = "float32"
_epsilon = 1e-7


def floatx() -> str:
    """Return the default float type of weights and activations: `"float32"` or `"float64"`."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default float type.

    Args:
        value: `"float32"`, or `"float64"` (used to check gradients).

    Raises:
        ValueError: any other type.
    """
    global _floatx
    if value not in _FLOAT_TYPES:
        raise ValueError(f"set_floatx: expected one of {_FLOAT_TYPES}, received {value!r}.")
    _floatx = str(value)


def epsilon() -> float:
    """Return the fuzz factor that keeps divisions and logarithms finite (1e-7 by default)."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set the fuzz factor, a small positive number."""
    global _epsilon
    value = float(value)
    if not 0 < value < 1:
        raise ValueError(f"set_epsilon: expected a small positive number, received {value}.")
    _epsilon = value


def image_data_format() -> str:
    """Return the layout of images: always `"channels_last"`, (batch, height, width, channels)."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accept `"channels_last"`, the only layout of this engine, and refuse any other."""
    check_data_format(data_format, "set_image_data_format")


def check_data_format(data_format: str | None, owner: str) -> str:
    """Return `"channels_last"`, or raise ValueError naming `owner` where another layout is asked for."""
    if data_format in (None, "channels_last"):
        return "channels_last"
    hint = " Transpose the images with np.moveaxis(x, 1, -1)." if data_format == "channels_first" else ""
    raise ValueError(
        f"{owner}: only data_format='channels_last' (batch, height, width, channels) is supported, "
        f"received {data_format!r}.{hint}"
    )
