"""Layers that join several arrays into one: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot.

Functional models call them on a list of symbols, `Add()([a, b])` or, shorter, `add([a, b])`; the graph hands them a
list of arrays and takes a list of gradients back.

Notation: x_i is the i-th input; d stands for the derivative of the loss, so that dy has the shape of y.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ... import config
from ...common.serialization import keras_class
from ..base import Layer
from ..shapes import Shape


class Merge(Layer):
    """What all of them share: a list of inputs, of one batch size.

    A derived class writes `merged_shape`, which also checks the shapes, and `forward` and `backward` with lists.
    """

    misread = "A layer is called on its inputs: Add()([a, b])."

    joins = True
    has_build_config = True
    inputs: int | None = None  #: how many inputs there must be; None for one or more

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return the shape of the output; ValueError where the inputs don't go together."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        if len(input_shape) == 0 or not isinstance(input_shape[0], (tuple, list)):
            raise ValueError(f"{self._owner} takes a list of at least 1 input, received {input_shape!r}.")
        if self.inputs not in (None, len(input_shape)):
            raise ValueError(
                f"{self._owner} takes exactly {self.inputs} inputs, received {len(input_shape)}: {input_shape}."
            )
        return self.merged_shape([tuple(s) for s in input_shape])

    def check_input(self, shape: list[Shape]) -> None:
        self.compute_output_shape(shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where the output counts: where any input does; None unless each has a mask.

        Raises:
            ValueError: inputs and masks that aren't two lists of one length.
        """
        masks = self._masks(inputs, previous_mask)
        return functools.reduce(np.logical_or, masks) if masks and all(m is not None for m in masks) else None

    def _masks(self, inputs: Any, masks: Any) -> Any:
        if masks is None:
            return None
        for name, values in (("mask", masks), ("inputs", inputs)):
            if not isinstance(values, (tuple, list)):
                raise ValueError(f"{self._owner}: `{name}` should be a list. Received: {values!r}")
        if len(masks) != len(inputs):
            raise ValueError(
                f"{self._owner}: the lists `inputs` and `mask` should have the same length. Received {len(inputs)} and "
                f"{len(masks)}."
            )
        return masks


class Elementwise(Merge):
    """Joins that work element by element.

    Inputs of lower rank get axes of size 1 after the batch's, and an axis of size 1 is repeated where another input
    has more: (N, 1, C) and (N, H, C) give (N, H, C).  What was repeated gets the sum of its gradients.

    A derived class writes `merge` and `gradients` for inputs of one rank, where NumPy's broadcasting does the rest.
    """

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        """Return y."""
        raise NotImplementedError

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """Return d loss / d x_i, each as if x_i had been repeated to the shape of y beforehand."""
        raise NotImplementedError

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return the shape that NumPy's broadcasting gives; None goes with any size."""
        batches = {s[0] for s in shapes} - {None}
        if len(batches) > 1:
            raise ValueError(f"{self._owner}: the inputs have different batch sizes: {shapes}.")
        rank, sizes = max(map(len, shapes)), []
        for along in zip(*((1,) * (rank - len(s)) + s[1:] for s in shapes), strict=True):
            known = {n for n in along if n not in (1, None)}
            if len(known) > 1:
                raise ValueError(
                    f"{self._owner}: inputs have incompatible shapes: {', '.join(map(str, shapes))}. "
                    "Sizes must agree, or be 1."
                )
            sizes.append(known.pop() if known else None if None in along else 1)
        return (batches.pop() if batches else None, *sizes)

    def forward(self, x: list[np.ndarray], training: bool) -> tuple[np.ndarray, Any]:
        rank = max(a.ndim for a in x)
        xs = [a.reshape(a.shape[:1] + (1,) * (rank - a.ndim) + a.shape[1:]) for a in x]
        return self.merge(xs), (xs, [a.shape for a in x])

    def backward(self, dy: np.ndarray, cache: Any) -> list[np.ndarray]:
        """Forward repeated x_i along axes of size 1, so dx_i is the sum over them."""
        xs, shapes = cache
        dxs = []
        for d, x, shape in zip(self.gradients(dy, xs), xs, shapes, strict=True):
            repeated = tuple(i for i in range(dy.ndim) if x.shape[i] == 1 < dy.shape[i])
            dxs.append(np.broadcast_to(d, dy.shape).sum(axis=repeated).reshape(shape) if repeated else d.reshape(shape))
        return dxs


@keras_class("keras.layers")
class Add(Elementwise):
    """y = x_0 + x_1 + ...: the join of residual networks."""

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        return functools.reduce(np.add, xs)

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """y = sum x_i, so dx_i = dy."""
        return [dy] * len(xs)


@keras_class("keras.layers")
class Subtract(Elementwise):
    """y = x_0 - x_1."""

    inputs = 2

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        return xs[0] - xs[1]

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """y = x_0 - x_1, so dx_0 = dy and dx_1 = -dy."""
        return [dy, -dy]


@keras_class("keras.layers")
class Multiply(Elementwise):
    """y = x_0 x_1 ..., element by element."""

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        return functools.reduce(np.multiply, xs)

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """y = x_i times the others, so dx_i = dy times the others; never y / x_i, as x_i may be 0."""
        return [functools.reduce(np.multiply, xs[:i] + xs[i + 1 :], dy) for i in range(len(xs))]


@keras_class("keras.layers")
class Average(Elementwise):
    """y = (x_0 + x_1 + ...) / n for n inputs."""

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        return functools.reduce(np.add, xs) / len(xs)

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """y = sum x_i / n, so dx_i = dy / n."""
        return [dy / len(xs)] * len(xs)


class Extreme(Elementwise):
    """Joins that let one input through; of equal ones the first, as in TensorFlow."""

    choose: ClassVar[Any]  #: one of two numbers
    place: ClassVar[Any]  #: where among several the chosen one stands

    def merge(self, xs: list[np.ndarray]) -> np.ndarray:
        return functools.reduce(self.choose, xs)

    def gradients(self, dy: np.ndarray, xs: list[np.ndarray]) -> list[np.ndarray]:
        """y is one of the x_i, so that one has dx_i = dy, and the others 0."""
        winner = self.place(np.broadcast_arrays(*xs), axis=0)
        return [np.where(winner == i, dy, 0) for i in range(len(xs))]


@keras_class("keras.layers")
class Maximum(Extreme):
    """y = max(x_0, x_1, ...), element by element."""

    choose, place = np.maximum, staticmethod(np.argmax)


@keras_class("keras.layers")
class Minimum(Extreme):
    """y = min(x_0, x_1, ...), element by element."""

    choose, place = np.minimum, staticmethod(np.argmin)


@keras_class("keras.layers")
class Concatenate(Merge):
    """The inputs one behind the other along an axis: (N, H, A) and (N, H, B) give (N, H, A + B).

    Args:
        axis: along which sizes may differ; all others must agree.
        **options: those of `Layer`.
    """

    def __init__(self, axis: int = -1, **options: Any):
        super().__init__(**options)
        self.axis = axis

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        rank = len(shapes[0])
        agree = all(len(s) == rank for s in shapes) and -rank <= self.axis < rank
        if agree:
            sizes = [{n for n in along if n is not None} for along in zip(*shapes, strict=True)]
            agree = all(len(known) <= 1 for i, known in enumerate(sizes) if i != self.axis % rank)
        if not agree:
            raise ValueError(
                "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. "
                f"{self._owner}: that is axis {self.axis}; received "
                f"{', '.join(map(str, shapes))}."
            )
        merged = [known.pop() if len(known) == 1 else None for known in sizes]
        along = [s[self.axis] for s in shapes]
        merged[self.axis] = None if None in along else sum(n or 0 for n in along)
        return tuple(merged)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where something of the output counts; an input without a mask counts as a whole."""
        masks = self._masks(inputs, previous_mask)
        if masks is None or all(m is None for m in masks):
            return None
        whole = [
            np.broadcast_to(True if m is None else m if np.ndim(m) == len(x.shape) else np.expand_dims(m, -1), x.shape)
            for m, x in zip(masks, inputs, strict=True)
        ]
        return np.concatenate(whole, axis=self.axis).any(axis=-1)

    def forward(self, x: list[np.ndarray], training: bool) -> tuple[np.ndarray, Any]:
        return np.concatenate(x, axis=self.axis), [a.shape[self.axis] for a in x]

    def backward(self, dy: np.ndarray, cache: Any) -> list[np.ndarray]:
        """Forward moved each x_i to a stretch of y, so dx_i is that stretch of dy."""
        ends = np.cumsum(cache[:-1])
        return [np.ascontiguousarray(d) for d in np.split(dy, ends, axis=self.axis)]


@keras_class("keras.layers")
class Dot(Merge):
    """Scalar products along one axis of each of two inputs: y[n, p, q] = sum over k of x_0[n, p, k] x_1[n, q, k].

    p stands for all other axes of x_0, q for those of x_1; where there are none of either, y is (N, 1).

    Args:
        axes: the axis to sum over, of both inputs; or a pair, one of each.  0, the batch's, is none.
        normalize: whether the inputs are divided by their lengths along it first: y is then the cosine.
        **options: those of `Layer`.

    Raises:
        TypeError, ValueError: `axes` is something else; the sizes along the axes differ.
    """

    uses_blas = True
    inputs = 2

    def __init__(self, axes: int | tuple[int, int], normalize: bool = False, **options: Any):
        super().__init__(**options)
        if not isinstance(axes, (int, list, tuple)):
            raise TypeError(f"{self._owner}: `axes` is an integer or a pair of them, received {axes!r}.")
        both = [axes, axes] if isinstance(axes, int) else axes
        if len(both) != 2 or not all(isinstance(a, int) for a in both) or 0 in both:
            raise ValueError(
                f"{self._owner}: `axes` is an integer or a pair of them, and not 0, the batch's; received {axes!r}."
            )
        self.axes, self.normalize = axes, normalize

    def _places(self, ranks: Sequence[int]) -> list[int]:
        """Return both axes, counted from the front."""
        both = [self.axes, self.axes] if isinstance(self.axes, int) else self.axes
        return [a + rank if a < 0 else a for a, rank in zip(both, ranks, strict=True)]

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return (N, axes of x_0 but the summed one, axes of x_1 likewise)."""
        places = self._places([len(s) for s in shapes])
        sizes = [s[a] if 0 < a < len(s) else -1 for s, a in zip(shapes, places, strict=True)]
        if -1 in sizes or (sizes[0] != sizes[1] and None not in sizes):
            raise ValueError(
                f"{self._owner}: incompatible shapes {shapes[0]} and {shapes[1]}: the sizes along axes={self.axes} "
                "must agree."
            )
        rest = [n for s, a in zip(shapes, places, strict=True) for i, n in enumerate(s) if i not in (0, a)]
        return (shapes[0][0], *(rest or [1]))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None: sums of products have no mask."""

    def forward(self, x: list[np.ndarray], training: bool) -> tuple[np.ndarray, Any]:
        """y = a b, a matrix product for each sample: a is x_0 as (N, P, K), b is x_1 as (N, K, Q)."""
        shape = self.merged_shape([a.shape for a in x])
        moved = [np.moveaxis(v, place, -1) for v, place in zip(x, self._places([v.ndim for v in x]), strict=True)]
        flat = [np.ascontiguousarray(v).reshape(len(v), -1, v.shape[-1]) for v in moved]
        lengths = [_length(v) if self.normalize else None for v in flat]
        a, b = (v if n is None else v / n for v, n in zip(flat, lengths, strict=True))
        return (a @ b.swapaxes(1, 2)).reshape(shape), (a, b, lengths, [v.shape for v in moved], [v.shape for v in x])

    def backward(self, dy: np.ndarray, cache: Any) -> list[np.ndarray]:
        """y[p, q] = sum_k a[p, k] b[q, k], so da[p, k] = sum_q dy[p, q] b[q, k] and db[q, k] = sum_p dy[p, q] a[p, k].

        Where a = u / |u|: du = (da - a sum_k(a da)) / |u|.
        """
        a, b, lengths, moved, shapes = cache
        dy = dy.reshape(len(a), a.shape[1], b.shape[1])
        dxs = []
        for d, v, n, shape, place in zip(
            (dy @ b, dy.swapaxes(1, 2) @ a), (a, b), lengths, moved, self._places([len(s) for s in shapes]), strict=True
        ):
            if n is not None:
                # A length below epsilon was taken for epsilon, a constant.
                d = (d - np.where(n > config.epsilon(), v * (v * d).sum(axis=-1, keepdims=True), 0)) / n
            dxs.append(np.ascontiguousarray(np.moveaxis(d.reshape(shape), -1, place)))
        return dxs


def _length(x: np.ndarray) -> np.ndarray:
    """Return the lengths along the last axis, epsilon at least."""
    return np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), config.epsilon())


# The same as functions ------------------------------------------------------------------------------------------------


def as_function(join: type[Merge]) -> Callable[..., Any]:
    """Return a function that calls a layer made for it alone."""

    def call(inputs: Sequence[Any], **kwargs: Any) -> Any:
        return join(**kwargs)(inputs)

    call.__name__ = call.__qualname__ = join.__name__.lower()
    call.__doc__ = f"Return `{join.__name__}(**kwargs)(inputs)`."
    return call


add, subtract, multiply = as_function(Add), as_function(Subtract), as_function(Multiply)
average, maximum, minimum = as_function(Average), as_function(Maximum), as_function(Minimum)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Return `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | tuple[int, int] = -1, **kwargs: Any) -> Any:
    """Return `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)
