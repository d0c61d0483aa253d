"""Global settings: the float type, the fuzz factor, the layout of images, the number of threads.

Keras's counterpart: `keras.config` (and, for older scripts, `keras.backend`).
"""

import os

_FLOAT_TYPES = ("float32", "float64")

_floatx = "float32"
_epsilon = 1e-7
_num_threads: int | None = None


def backend() -> str:
    """Return what computes, as Keras names it: `"numpy"`."""
    return "numpy"


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


def num_threads() -> int:
    """Return how many threads compute: by default as many as this process may use cores.

    The environment variable `MINIKERAS_NUM_THREADS` sets another default.  Results are the same to the last bit,
    whatever the number.
    """
    if _num_threads is None:
        set_num_threads(None)
    assert _num_threads is not None
    return _num_threads


def set_num_threads(number: int | None) -> None:
    """Set how many threads compute; None for the default.

    Raises:
        ValueError: not a positive integer.
    """
    global _num_threads
    value: object = number
    source = "set_num_threads"
    if value is None:
        source = "The environment variable MINIKERAS_NUM_THREADS"
        said = os.environ.get("MINIKERAS_NUM_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        value = int(said) if said.isdecimal() else said or cores or 1
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{source}: expected a positive integer, received {value!r}.")
    _num_threads = value


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
