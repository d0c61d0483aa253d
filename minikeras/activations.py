"""Activations: each function with its derivative directly under it.

    y = f(x, **options)
    dx = f.gradient(dy, x, y, **options)        dx = dy * f'(x); x and y as of the forward call

Layers look an activation up with `get` and apply the pair around their linear part.  Keras's counterpart:
`keras.activations`; at a kink the derivative is the one TensorFlow chooses.

The arguments of exponentials are bounded, so that nothing overflows on the way to a finite result.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import config, functional
from .common.arguments import ArgumentError, plain
from .common.differentiable import Differentiable, differentiable
from .common.names import refuse_other_names
from .common.serialization import Table, deserializer, serialize
from .functional.normal import FAR, normal_cdf

__all__ = [
    "deserialize", "elu", "exponential", "gelu", "get", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid",
    "silu", "softmax", "softplus", "softsign", "swish", "tanh", "tanh_shrink",
]  # fmt: skip


def as_floats(x: Any) -> np.ndarray:
    """Return an array of floats: of its own float type where it has one, else of `config.floatx()`."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return x
    dtype = getattr(x, "dtype", None)
    return np.asarray(x, config.floatx() if dtype is None or np.dtype(dtype).kind != "f" else dtype)


def activation(function: Callable[..., np.ndarray]) -> Differentiable:
    """Make a function of a float array one that takes any array-like and can carry its derivative."""

    @functools.wraps(function)
    def on_floats(x: Any, *args: Any, **options: Any) -> np.ndarray:
        if args or options:  # NumPy's numbers have a float type, which the result would get
            args, options = tuple(map(plain, args)), {name: plain(value) for name, value in options.items()}
        return function(as_floats(x), *args, **options)

    return differentiable(on_floats)


def _by_kernel(kernel: Callable[..., None], *arrays: np.ndarray, as_matrices: bool = False) -> np.ndarray:
    """Return what a kernel makes of arrays of one shape, taken as vectors, or as matrices with the same last axis."""
    x = arrays[0]
    if len(arrays) > 1 and any(a.shape != x.shape or a.dtype != x.dtype for a in arrays):
        arrays = np.broadcast_arrays(*(a.astype(np.result_type(*arrays)) for a in arrays))
        x = arrays[0]
    result = np.empty(x.shape, x.dtype)
    # Machine code is made for float32 arrays in the order of memory that may be written to.
    given = [a if a.flags.carray else a.copy() for a in (result, *arrays)]
    if x.ndim != (2 if as_matrices else 1):
        flat = (-1, x.shape[-1]) if as_matrices and x.size else -1
        given = [a.reshape(flat) for a in given]
    kernel = kernel if x.dtype.char in "fd" else functional.reference(kernel)
    kernel(*given)
    return result if x.ndim else result[()]  # a number where x is one


# Straight lines and their corners ----------------------------------------------------------------------------------


@activation
def linear(x: np.ndarray) -> np.ndarray:
    """Return `x` itself."""
    return x


@linear.derivative
def linear_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy."""
    return dy


@activation
def relu(
    x: np.ndarray, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> np.ndarray:
    """max(x, 0), the rectified linear unit; with options, a line in three pieces.

    `x` above `threshold` (at most `max_value`), `negative_slope * (x - threshold)` below it.
    """
    if threshold == 0 and not negative_slope:
        return _by_kernel(functional.activations.relu, x) if max_value is None else np.clip(x, 0, max_value)
    y = np.where(x > threshold, x, 0)
    if max_value is not None:
        y = np.clip(y, 0, max_value)
    return y - negative_slope * np.maximum(threshold - x, 0) if negative_slope else y


@relu.derivative
def relu_gradient(
    dy: np.ndarray, x: np.ndarray, y: np.ndarray,
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """dy where `x` is on the rising piece, negative_slope * dy below the threshold, else 0."""
    if threshold == 0 and not negative_slope and max_value is None:
        return _by_kernel(functional.activations.relu_gradient, dy, x)
    rising = x > threshold
    if max_value is not None:
        # TensorFlow's relu6 is flat at exactly 6; its general clip still rises at its bounds.
        rising &= x < 6 if max_value == 6 and threshold == 0 else (x >= 0) & (x <= max_value)
    if not negative_slope:
        return dy * rising
    corner_is_below = max_value is None and threshold == 0
    below = x <= 0 if corner_is_below else x < threshold
    return dy * rising + dy * below * negative_slope


@activation
def relu6(x: np.ndarray) -> np.ndarray:
    """min(max(x, 0), 6)."""
    return np.clip(x, 0, 6)


@relu6.derivative
def relu6_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where 0 < x < 6, else 0."""
    return dy * ((x > 0) & (x < 6))


@activation
def leaky_relu(x: np.ndarray, negative_slope: float = 0.2) -> np.ndarray:
    """x where x > 0, negative_slope * x elsewhere (Maas et al. 2013)."""
    return np.where(x > 0, x, negative_slope * x)


@leaky_relu.derivative
def leaky_relu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray, negative_slope: float = 0.2) -> np.ndarray:
    """dy where x > 0, negative_slope * dy elsewhere."""
    return np.where(x > 0, dy, negative_slope * dy)


@activation
def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """min(max(x/6 + 1/2, 0), 1), a sigmoid of straight lines."""
    return np.clip(x + 3, 0, 6) / 6


@hard_sigmoid.derivative
def hard_sigmoid_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy / 6 where -3 < x < 3, else 0."""
    return dy * ((x > -3) & (x < 3)) / 6


@activation
def hard_silu(x: np.ndarray) -> np.ndarray:
    """x * hard_sigmoid(x), also named hard_swish (Howard et al. 2019)."""
    return x * hard_sigmoid(x)


@hard_silu.derivative
def hard_silu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (hard_sigmoid(x) + x * hard_sigmoid'(x))."""
    return dy * hard_sigmoid(x) + hard_sigmoid_gradient(dy, x, None) * x


@activation
def hard_tanh(x: np.ndarray) -> np.ndarray:
    """min(max(x, -1), 1)."""
    return np.clip(x, -1, 1)


@hard_tanh.derivative
def hard_tanh_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where -1 <= x <= 1, else 0."""
    return dy * ((x >= -1) & (x <= 1))


# Sigmoid and its relatives -----------------------------------------------------------------------------------------


@activation
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), between 0 and 1."""
    return _by_kernel(functional.activations.sigmoid, x)


@sigmoid.derivative
def sigmoid_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * y * (1 - y)."""
    return _by_kernel(functional.activations.sigmoid_gradient, dy, y)


@activation
def log_sigmoid(x: np.ndarray) -> np.ndarray:
    """log(1 / (1 + exp(-x)))."""
    return -softplus(-x)


@log_sigmoid.derivative
def log_sigmoid_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * sigmoid(-x)."""
    return dy * sigmoid(-x)


@activation
def tanh(x: np.ndarray) -> np.ndarray:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), between -1 and 1."""
    return _by_kernel(functional.activations.tanh, x)


@tanh.derivative
def tanh_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (1 - y^2)."""
    return _by_kernel(functional.activations.tanh_gradient, dy, y)


@activation
def tanh_shrink(x: np.ndarray) -> np.ndarray:
    """x - tanh(x)."""
    return x - np.tanh(x)


@tanh_shrink.derivative
def tanh_shrink_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * tanh(x)^2."""
    return dy * np.tanh(x) ** 2


@activation
def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x), also named swish (Ramachandran et al. 2017)."""
    return x * sigmoid(x)


@silu.derivative
def silu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (s + x * s * (1 - s)) with s = sigmoid(x)."""
    s = sigmoid(x)
    return dy * (s + y * (1 - s))


@activation
def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)), a smooth relu."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@softplus.derivative
def softplus_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * sigmoid(x)."""
    return dy * sigmoid(x)


@activation
def softsign(x: np.ndarray) -> np.ndarray:
    """x / (1 + |x|), between -1 and 1."""
    return x / (1 + np.abs(x))


@softsign.derivative
def softsign_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy / (1 + |x|)^2."""
    size = 1 + np.abs(x)
    return dy / size / size


@activation
def mish(x: np.ndarray) -> np.ndarray:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return x * np.tanh(softplus(x))


@mish.derivative
def mish_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * (t + x * (1 - t^2) * sigmoid(x)) with t = tanh(softplus(x))."""
    t = np.tanh(softplus(x))
    return dy * (t + x * (1 - t * t) * sigmoid(x))


# Exponentials ------------------------------------------------------------------------------------------------------


@activation
def exponential(x: np.ndarray) -> np.ndarray:
    """exp(x); infinite where the float type ends (above 88 in float32)."""
    with np.errstate(over="ignore"):
        return np.exp(x)


@exponential.derivative
def exponential_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * y."""
    return dy * y


@activation
def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@elu.derivative
def elu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """dy where x > 0, dy * alpha * exp(x) = dy * (y + alpha) elsewhere."""
    return dy * np.where(x > 0, 1, y + alpha)


SELU_ALPHA = 1.6732632423543772  # with these two, layers keep mean 0 and variance 1 (Klambauer et al. 2017)
SELU_SCALE = 1.0507009873554805


@activation
def selu(x: np.ndarray) -> np.ndarray:
    """scale * elu(x, alpha), with alpha = 1.67326324 and scale = 1.05070098 (Klambauer et al. 2017)."""
    return SELU_SCALE * elu(x, SELU_ALPHA)


@selu.derivative
def selu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy * scale where x >= 0, dy * scale * alpha * exp(x) = dy * (y + scale * alpha) below."""
    return dy * np.where(x >= 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)


@activation
def softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    """exp(x) / sum(exp(x)) along `axis`: numbers between 0 and 1 that sum to 1."""
    if isinstance(axis, int) and x.shape[axis] == 1:
        warnings.warn(
            f"softmax over axis {axis} of an array of shape {x.shape}: that axis has size 1, so every result is 1. "
            "Did you mean a sigmoid?",
            stacklevel=4,
        )
    if _is_last(axis, x):
        return _by_kernel(functional.activations.softmax, x, as_matrices=True)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _is_last(axis: Any, x: np.ndarray) -> bool:
    return x.ndim > 0 and axis in (-1, x.ndim - 1)


@softmax.derivative
def softmax_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray, axis: Any = -1) -> np.ndarray:
    """y * (dy - sum(dy * y)), since dy_i/dx_j = y_i * ([i = j] - y_j)."""
    if _is_last(axis, y):
        return _by_kernel(functional.activations.softmax_gradient, dy, y, as_matrices=True)
    return y * (dy - (dy * y).sum(axis, keepdims=True))


@activation
def log_softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    """log(softmax(x)) = x - log(sum(exp(x))) along `axis`."""
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


@log_softmax.derivative
def log_softmax_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray, axis: Any = -1) -> np.ndarray:
    """dy - softmax(x) * sum(dy)."""
    return dy - np.exp(y) * dy.sum(axis, keepdims=True)


# GELU --------------------------------------------------------------------------------------------------------------


@activation
def gelu(x: np.ndarray, approximate: bool = False) -> np.ndarray:
    """x * P(X <= x) for a standard normal X (Hendrycks and Gimpel 2016).

    With `approximate`, P(X <= x) is taken as 1/2 * (1 + tanh(u)), u = sqrt(2/pi) * (x + 0.044715 * x^3).
    """
    return x * ((1 + _gelu_tanh(x)) / 2 if approximate else normal_cdf(x))


@gelu.derivative
def gelu_gradient(dy: np.ndarray, x: np.ndarray, y: np.ndarray, approximate: bool = False) -> np.ndarray:
    """dy * (P(X <= x) + x * p(x)), p = exp(-x^2/2) / sqrt(2 pi); the tanh form: 1/2 (1 + t) + x/2 (1 - t^2) u'(x)."""
    near = np.clip(x, -FAR, FAR)  # beyond, the density is 0 and x^2 could overflow
    if approximate:
        t = _gelu_tanh(x)
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near * near)
        return dy * ((1 + t) / 2 + near / 2 * (1 - t * t) * slope)
    return dy * (normal_cdf(x) + near * np.exp(-near * near / 2) / math.sqrt(2 * math.pi))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    near = np.clip(x, -FAR, FAR)
    return np.tanh(math.sqrt(2 / math.pi) * (near + 0.044715 * near * near * near))


# Looking up --------------------------------------------------------------------------------------------------------

swish, hard_swish = silu, hard_silu
_TABLE = Table(
    "activation",
    "keras.activations",
    None,
    [
        linear, relu, relu6, leaky_relu, hard_sigmoid, hard_silu, hard_tanh, sigmoid, log_sigmoid, tanh, tanh_shrink,
        silu, softplus, softsign, mish, exponential, elu, selu, softmax, log_softmax, gelu,
    ],
    {"swish": silu, "hard_swish": hard_silu},
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return an activation from its name, its config, None (`linear`), or the object itself.

    Raises:
        ValueError: an unknown name.
        TypeError: a function without a derivative, or something that is no activation at all.
    """
    if identifier is None:
        return linear
    found = _TABLE.get(identifier)
    if isinstance(found, Differentiable):
        if found.gradient is None:
            raise TypeError(f"Activation {found.__name__!r} has no derivative yet. {_how_to_differentiate(found)}")
        return found
    if isinstance(found, type):
        raise TypeError(f"Activation: expected a name, a function or a layer, received the class {found.__name__}; "
                        f"write {found.__name__}().")  # fmt: skip
    if hasattr(found, "forward") and hasattr(found, "backward"):
        return found
    if callable(found):
        raise TypeError(f"Activation {getattr(found, '__name__', found)!r}: a bare function cannot be trained through, "
                        f"its derivative is needed too. {_how_to_differentiate(found)}")  # fmt: skip
    raise ArgumentError(f"Activation: expected a name, a function or a layer, received {identifier!r}.")


def _how_to_differentiate(function: Any) -> str:
    name = getattr(function, "__name__", "f")
    if name in _TABLE.entries:
        return f"Pass the name {name!r} instead."
    if not name.isidentifier():
        name = "f"
    return (
        f"Write @differentiable above `def {name}(x)`, and under it "
        f"@{name}.derivative above `def {name}_gradient(dy, x, y)`, which returns dy times the derivative at x."
    )


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
