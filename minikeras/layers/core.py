"""The everyday layers: InputLayer, Dense, Activation, Flatten, Reshape, Dropout, Rescaling.

Models chain them;  `graph` runs them.

Notation: N samples in the batch, I inputs and O outputs of a layer; d stands for the derivative of the loss,
so `dy` has the shape of y.
"""

import math
from typing import Any, ClassVar

import numpy as np

from .. import activations, config, functional, random
from ..common.arguments import ArgumentError, checked, is_integer, shown
from ..common.serialization import keras_class
from .activated import ActivatedLayer
from .base import Layer
from .shapes import Shape
from .symbols import Symbol


@keras_class("keras.layers")
class InputLayer(Layer):
    """The entrance of a model: says which shape a sample has, and computes nothing.

    Args:
        shape: of one sample, without the batch axis; `input_shape=` in Keras 2.
        batch_size: None for any.
        dtype: of what enters the first layer; also `"int32"` and the like, which only says what is meant, as all data
            are handed on as floats.
        sparse, ragged, input_tensor: for Keras's sake, and only as they are here.
        batch_shape: instead of the two, the shape with the batch axis.
        optional: kept for configs; every input of a model is given all the same, as no layer here takes None.
        name: None for `input_layer`, `input_layer_1`, ...

    Raises:
        ValueError: no shape, or both `shape` and `batch_shape`.
    """

    only_default: ClassVar[dict[str, Any]] = {"sparse": False, "ragged": False}
    not_in_config: ClassVar[dict[str, Any]] = {**Layer.not_in_config, "input_tensor": None}

    def __init__(
        self,
        shape: tuple[int | None, ...] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: tuple[int | None, ...] | None = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **options: Any,
    ):
        if batch_shape is not None and (shape is not None or batch_size is not None):
            both = "`shape`" if shape is not None else "`batch_size`"
            raise ValueError(f"You cannot pass both {both} and `batch_shape` at the same time: the latter says it all.")
        if shape is not None:
            options["input_shape"], options["batch_size"] = shape, batch_size
        elif batch_shape is not None:
            options["batch_input_shape"] = batch_shape
        if not any(options.get(o) is not None for o in ("input_shape", "batch_input_shape", "input_dim")):
            raise ValueError("You must pass a `shape` argument. It is that of one sample, such as shape=(28, 28).")
        options.update(sparse=bool(sparse), ragged=bool(ragged))
        if input_tensor is not None:
            raise ValueError(f"InputLayer: no `input_tensor` is taken here, received {shown(input_tensor)}.")
        self.optional = optional
        integers = dtype if dtype in ("int32", "int64", "uint8") else None
        super().__init__(name=name, dtype=None if integers else dtype, **options)
        self.dtype = integers or self.dtype
        self.batch_shape = self.build_input_shape = self.batch_input_shape
        self.built = True
        self.symbol = Symbol(self.batch_shape or (), self.dtype, self, name=name)

    @property
    def output(self) -> Symbol:
        """The symbol that stands for the data."""
        return self.symbol

    input = output

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = x."""
        return x, None

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x, so dx = dy."""
        return dy

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer, as Keras 3 writes them."""
        config = {"batch_shape": self.batch_shape, "dtype": self.dtype, "name": self.name}
        return {**config, **self.only_default, "optional": self.optional}


@checked
def Input(
    shape: tuple[int | None, ...] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: tuple[int | None, ...] | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> Symbol:
    """Return the symbol of a new `InputLayer`: the first element of a Sequential model.

    `sparse`, `ragged` and `tensor` are there for Keras's sake, and only as they are here; for `optional` see there.
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name).output


@keras_class("keras.layers")
class Dense(ActivatedLayer):
    """Every output sums every input: y = activation(x W + b).

    | symbol | shape  | is                                        |
    |--------|--------|-------------------------------------------|
    | x      | (N, I) | the input; axes in the middle are allowed |
    | W      | (I, O) | `kernel`                                  |
    | b      | (O,)   | `bias`                                    |
    | z, y   | (N, O) | x W + b, and the output                   |

    Args:
        units: O.
        activation: a name or function of `activations`; None for none.
        use_bias: whether b is there.
        kernel_initializer: of W.
        bias_initializer: of b.
        kernel_regularizer: its penalty on W is added to the loss.
        bias_regularizer: its penalty on b.
        kernel_constraint: where W is put back to after each step; see `constraints`.
        bias_constraint: the same for b.
        **options: those of `Layer`.

    Raises:
        ValueError: `units` is not a positive integer; an unknown name.
    """

    min_ndim = 2
    rectifies = True
    only_default: ClassVar[dict[str, Any]] = {"quantization_config": None}
    not_in_config: ClassVar[dict[str, Any]] = {**Layer.not_in_config, "lora_rank": None, "lora_alpha": None}

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        *,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.units = self._positive("units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._store_options("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_options("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        """Declare W and b; the last axis of the input must be known."""
        self.kernel = self._declare_weight("kernel", (self._last_axis(input_shape), self.units))
        if self.use_bias:
            self.bias = self._declare_weight("bias", (self.units,))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, ..., I) -> (N, ..., O)."""
        return (*input_shape[:-1], self.units)

    def linear(self, x: np.ndarray, rectified: bool) -> tuple[np.ndarray, Any]:
        """z = x W + b."""
        rows = as_matrix(x)
        z = np.empty((len(rows), self.units), x.dtype)
        functional.dense.forward(z, rows, self.kernel.value, self.bias_value(self.units), rectified)
        return z if x.ndim == 2 else z.reshape(*x.shape[:-1], self.units), x

    def gradients(self, dz: np.ndarray, cache: Any, rectified: np.ndarray | None, wants_dx: bool) -> np.ndarray | None:
        """z[n,o] = sum_i x[n,i] W[i,o] + b[o], so dW[i,o] = sum_n x[n,i] dz[n,o] and db[o] = sum_n dz[n,o].

        Likewise dx[n,i] = sum_o dz[n,o] W[i,o].
        """
        x, dz = as_matrix(cache), as_matrix(dz)
        y = dz if rectified is None else as_matrix(rectified)
        dw, db, add = self.gradients_to_write(self.kernel)
        dx = np.empty(x.shape if wants_dx else (len(x), 0), x.dtype)
        functional.dense.backward(dw, db, dx, dz, y, x, self.kernel.value, rectified is not None, add)
        return dx.reshape(cache.shape) if wants_dx else None


def as_matrix(x: np.ndarray) -> np.ndarray:
    """Return an array as a matrix: its last axis, and all others in one."""
    if x.ndim == 2:
        return x
    return np.ascontiguousarray(x).reshape(-1 if x.shape[-1] else x.size, x.shape[-1])


@keras_class("keras.layers")
class Activation(ActivatedLayer):
    """An activation as a layer of its own: y = activation(x).

    Args:
        activation: a name or function of `activations`.
        **options: those of `Layer`.
    """

    def __init__(self, activation: Any, **options: Any):
        super().__init__(**options)
        self.activation = activations.get(activation)

    @property
    def passes_on(self) -> bool:
        """Whether the activation is the linear one."""
        return self.function is activations.linear


@keras_class("keras.layers")
class Flatten(Layer):
    """Each sample becomes one row of numbers: (N, 28, 28) -> (N, 784)."""

    has_build_config = True

    def __init__(self, data_format: str | None = None, **options: Any):
        super().__init__(**options)
        self.data_format = config.check_data_format(data_format, f"Flatten layer {self.name!r}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, a, b, c) -> (N, a b c)."""
        inner = input_shape[1:]
        known = [n for n in inner if n is not None]
        return (input_shape[0], math.prod(known) if len(known) == len(inner) else None)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """The same numbers in the same order, in another shape."""
        return x.reshape(len(x), -1), x.shape

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward moved no number, so dx is dy in the shape of x."""
        return dy.reshape(cache)


@keras_class("keras.layers")
class Reshape(Layer):
    """Each sample takes another shape with the same number of elements.

    Args:
        target_shape: without the batch axis; one size may be -1: what remains.
        **options: those of `Layer`.

    Raises:
        ValueError: the sizes don't multiply to the number of elements of the input.
    """

    def __init__(self, target_shape: tuple[int, ...], **options: Any):
        super().__init__(**options)
        whole = all(map(is_integer, target_shape))
        self.target_shape = tuple(int(n) for n in target_shape) if whole else ()
        if not whole or list(self.target_shape).count(-1) > 1 or any(n == 0 or n < -1 for n in self.target_shape):
            raise ValueError(
                f"Reshape layer {self.name!r}: `target_shape` consists of positive integers and at most one -1, "
                f"received {target_shape}."
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, ...) -> (N, *target_shape)."""
        inner = [n for n in input_shape[1:] if n is not None]
        if len(inner) < len(input_shape) - 1:
            return (input_shape[0], *(None if n == -1 else n for n in self.target_shape))
        total, known = math.prod(inner), math.prod(n for n in self.target_shape if n != -1)
        fits = total % known == 0 if -1 in self.target_shape else total == known
        if not fits:
            raise ValueError(
                f"Reshape layer {self.name!r}: a sample of shape {tuple(inner)} has {total} elements and can't take "
                f"the shape {self.target_shape}."
            )
        return (input_shape[0], *(total // known if n == -1 else n for n in self.target_shape))

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """The same numbers in the same order, in another shape."""
        return x.reshape(len(x), *self.target_shape), x.shape

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward moved no number, so dx is dy in the shape of x."""
        return dy.reshape(cache)


@keras_class("keras.layers")
class Dropout(Layer):
    """In training, silence each unit with probability r and scale the others up: y = x m / (1 - r).

    m is 1 with probability 1 - r and 0 otherwise, drawn anew for every batch.  The scale keeps the expected value
    of y at x, so that nothing needs to change outside training, where y = x.
    (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.)

    Args:
        rate: r, 0 <= r <= 1.
        noise_shape: shape of m, where 1 stands for "the same along this axis"; None: the shape of x.
        seed: makes the masks repeatable.
        **options: those of `Layer`.

    Raises:
        ValueError: a rate outside [0, 1].
    """

    def __init__(
        self, rate: float, noise_shape: tuple[int | None, ...] | None = None, seed: int | None = None, **options: Any
    ):
        super().__init__(**options)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout layer {self.name!r}: `rate` is a number from 0 to 1, received {rate!r}.")
        self.rate, self.seed = float(rate) if isinstance(rate, np.number) else rate, seed
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    @property
    def passes_on(self) -> bool:
        """Whether nothing is dropped."""
        return self.rate == 0

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = x m / (1 - r) in training, x otherwise."""
        if not training or self.rate == 0:
            return x, None
        shape = x.shape
        if self.noise_shape is not None:
            shape = tuple(x.shape[i] if n is None else n for i, n in enumerate(self.noise_shape))
        if self.rate == 1:
            scaled_mask = np.zeros(shape, x.dtype)
        else:
            scaled_mask = random.dropout_mask(shape, self.rate, x.dtype, self.seed_generator)
        return x * scaled_mask, scaled_mask

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = x m / (1 - r), so dx = dy m / (1 - r): silenced units learn nothing from this batch."""
        return dy if cache is None else dy * cache


@keras_class("keras.layers")
class Rescaling(Layer):
    """y = scale x + offset; `Rescaling(1 / 255)` as a first layer takes images of 0 ... 255.

    Args:
        scale: a number, or one per channel.
        offset: likewise.
        **options: those of `Layer`.
    """

    has_build_config = True

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any):
        for name, value in (("scale", scale), ("offset", offset)):
            if np.asarray(value).dtype.kind not in "biuf":
                raise ArgumentError(f"Rescaling: `{name}` is a number, or one per channel, received {value!r}.")
        super().__init__(**options)
        self.scale, self.offset = scale, offset

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y = scale x + offset."""
        scale = np.asarray(self.scale, x.dtype)
        return x * scale + np.asarray(self.offset, x.dtype), scale

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward was y = scale x + offset, so dx = scale dy."""
        return dy * cache


__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Rescaling",
    "Reshape",
]
