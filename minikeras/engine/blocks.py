"""Blocks: a layer's linear part, its activation, and the pooling after it, run as one operation.

Layers stay as they are, each readable alone.  `graph` asks `fused` for the operations that it runs: the layers
themselves, or blocks that compute the same to the last bits that another order of additions leaves open.  What is won:

    DenseBlock          bias and rectifier are applied where the product is stored; one kernel computes all gradients
    ConvolutionBlock    likewise; and where a maximum pooling follows, an image's feature map never leaves the cache
    SoftmaxCrossentropy a last softmax and its loss: one pass over the scores gives loss, gradient and probabilities

A block is run like a layer:  `forward` returns the output and a cache, `backward` takes it.  It may also be told to
write the weights' gradients instead of adding to what is there.
"""

from collections import Counter
from typing import Any

import numpy as np

from .. import activations, functional
from ..layers.base import ActivatedLayer, Layer
from ..layers.conv import Conv2D
from ..layers.core import Dense
from ..layers.pooling import MaxPooling2D
from ..losses import Loss, SparseCategoricalCrossentropy

CLASSES = np.dtype("int64")
Step = tuple[Any, tuple[int, ...]]  # an operation, and the positions of its inputs (see `graph`)


class Block:
    """The linear part of a layer with its activation.

    Where the activation is a rectifier, the kernel applies it; any other is applied to what the kernel returns.

    Args:
        layer: whose weights and options are used.
    """

    rests_when_frozen = False

    def __init__(self, layer: ActivatedLayer):
        self.layer = layer

    @property
    def trainable_weights(self) -> list[Any]:
        """Those of the layer."""
        return self.layer.trainable_weights

    def forward(self, x: np.ndarray, training: bool, keep: bool = True) -> tuple[np.ndarray, Any]:
        """Return the output and, where it will be needed (`keep`), the cache."""
        function = self.layer.function
        rectified = function is activations.relu
        z, cache = self._linear(x, rectified, keep)
        if rectified or function is activations.linear:
            return z, (None, rectified, z, cache)
        y = _softmax(z) if function is activations.softmax else function(z)
        return y, ((function, z, y), False, z, cache)

    def forward_logits(self, x: np.ndarray, keep: bool = True) -> tuple[np.ndarray, Any]:
        """Return what the activation would be applied to."""
        z, cache = self._linear(x, False, keep)
        return z, (None, False, z, cache)

    def backward(self, dy: np.ndarray, cache: Any, add: bool = True, wants_dx: bool = True) -> np.ndarray | None:
        """Set or add to the weights' gradients, and return d loss / d x where that is wanted."""
        activation, rectified, z, cache = cache
        self.layer.check_gradient(dy, z.shape)
        if activation is not None:
            function, before, after = activation
            dy = function.gradient(dy, before, after)
        return self._gradients(dy, z, cache, rectified, add, wants_dx)

    def _bias(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the bias and its gradient; zeros, and a place that nobody looks at, for a layer without."""
        layer = self.layer
        if layer.bias is not None:
            return layer.bias.value, layer.bias.gradient
        zeros = np.zeros(layer.kernel.shape[-1], layer.kernel.dtype)
        return zeros, zeros.copy()

    def _linear(self, x: np.ndarray, rectified: bool, keep: bool) -> tuple[np.ndarray, Any]:
        raise NotImplementedError

    def _gradients(
        self, dy: np.ndarray, y: np.ndarray, cache: Any, rectified: bool, add: bool, wants_dx: bool
    ) -> np.ndarray | None:
        raise NotImplementedError


class DenseBlock(Block):
    """y = activation(x W + b); see `layers.Dense` and `functional.dense`."""

    def _linear(self, x: np.ndarray, rectified: bool, keep: bool) -> tuple[np.ndarray, Any]:
        rows, layer = _matrix(x), self.layer
        z = np.empty((len(rows), layer.units), x.dtype)
        functional.dense.forward(z, rows, layer.kernel.value, self._bias()[0], rectified)
        return z if x.ndim == 2 else z.reshape(*x.shape[:-1], layer.units), (rows, x.shape)

    def _gradients(
        self, dy: np.ndarray, y: np.ndarray, cache: Any, rectified: bool, add: bool, wants_dx: bool
    ) -> np.ndarray | None:
        (rows, shape), kernel = cache, self.layer.kernel
        dx = np.empty(rows.shape if wants_dx else (len(rows), 0), rows.dtype)
        functional.dense.backward(
            kernel.gradient, self._bias()[1], dx, _matrix(dy), _matrix(y), rows, kernel.value, rectified, add
        )
        return dx.reshape(shape) if wants_dx else None


class ConvolutionBlock(Block):
    """y = activation(x * w + b), and the maximum of touching windows of that; see `functional.blocks2d`.

    Args:
        layer: the convolution.
        pooling: the layer after it, or None.
    """

    def __init__(self, layer: Conv2D, pooling: MaxPooling2D | None = None):
        super().__init__(layer)
        self.pool = (1, 1) if pooling is None else pooling.pool_size
        self._last: tuple[Any, Any, Any] = (None, None, None)
        self._no_winner = np.empty((0, 0, 0, 0), layer.dtype)

    def _geometry(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        """Return the output's shape, and how the window goes over the input, for an input's shape."""
        known, output, geometry = self._last
        if known != shape:
            layer = self.layer
            (OH, OW), padding = layer.geometry(shape)
            output = (shape[0], OH // self.pool[0], OW // self.pool[1], layer.filters)
            geometry = (layer.strides, padding, layer.dilation_rate, self.pool, (OH, OW))
            self._last = shape, output, geometry
        return output, geometry

    def _linear(self, x: np.ndarray, rectified: bool, keep: bool) -> tuple[np.ndarray, Any]:
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        shape, geometry = self._geometry(x.shape)
        y = np.empty(shape, x.dtype)
        winner = np.empty(shape, x.dtype) if keep and self.pool != (1, 1) else self._no_winner
        functional.blocks2d.forward(y, winner, x, self.layer.kernel.value, self._bias()[0], *geometry, rectified)
        return y, (x, winner, geometry)

    def _gradients(
        self, dy: np.ndarray, y: np.ndarray, cache: Any, rectified: bool, add: bool, wants_dx: bool
    ) -> np.ndarray | None:
        x, winner, geometry = cache
        kernel = self.layer.kernel
        dx = np.empty(x.shape if wants_dx else (0, *x.shape[1:]), x.dtype)
        functional.blocks2d.backward(
            kernel.gradient, self._bias()[1], dx, np.ascontiguousarray(dy), y, winner, x, kernel.value, *geometry,
            rectified, add,
        )  # fmt: skip
        return dx if wants_dx else None


class Scores:
    """What becomes of a model's output in a step: the loss, its gradient, and the predictions that metrics see.

    Args:
        loss: of the output; or of what enters the last activation, where `function` is given.
        function: the last activation, which the model then leaves out.
    """

    def __init__(self, loss: Loss, function: Any = None):
        self.loss, self.function = loss, function

    def predictions(self, z: np.ndarray) -> np.ndarray:
        """Return what the model predicts."""
        return z if self.function is None else self.function(z)

    def value(self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, np.ndarray]:
        """Return the loss and the predictions."""
        return self.loss(y, z, sample_weight), self.predictions(z)

    def value_and_gradient(
        self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss, its gradient by z, and the predictions."""
        return *self.loss.value_and_gradient(y, z, sample_weight), self.predictions(z)


class SoftmaxCrossentropy(Scores):
    """A softmax and the crossentropy of integer classes, in one pass; see `functional.scores`."""

    def value(self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, np.ndarray]:
        """Return the loss and the predictions."""
        value, _, p = self.value_and_gradient(y, z, sample_weight)
        return value, p

    def value_and_gradient(
        self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss, its gradient by z, and the probabilities."""
        rows = _matrix(z)
        values, p, dz = np.empty(len(rows), z.dtype), np.empty_like(rows), np.empty_like(rows)
        classes = y if y.dtype is CLASSES and y.ndim == 1 else y.reshape(-1).astype(np.int64)
        value = functional.scores.softmax_crossentropy(values, p, dz, rows, classes)
        if rows is not z:
            p, dz = p.reshape(z.shape), dz.reshape(z.shape)
        if sample_weight is None:
            return value, dz, p
        value, weights, _ = self.loss.reduced(values.reshape(z.shape[:-1]), sample_weight)
        if weights is not None:
            dz *= np.broadcast_to(weights, z.shape[:-1])[..., None]
        return value, dz, p


def scores(loss: Loss, last: Any) -> Scores:
    """Return what a loss and the last layer of a model become.

    A crossentropy and the softmax or sigmoid before it have a simpler derivative together, and nothing to clip.
    """
    function = last.function if isinstance(last, ActivatedLayer) else None
    origin, options = getattr(function, "bound_from", None) or (function, {})  # a softmax along another axis
    if origin not in (activations.softmax, activations.sigmoid):
        return Scores(loss)
    units = last.nodes[-1].output.shape[options.get("axis", -1)]
    on_logits = loss.on_logits(origin.__name__, units, last.dtype)
    if on_logits is None:
        return Scores(loss)
    if function is activations.softmax and units == 1:
        return Scores(on_logits, _softmax_of_one)
    if (
        function is activations.softmax
        and type(loss) is SparseCategoricalCrossentropy
        and loss.averages
        and loss.axis == -1
    ):
        return SoftmaxCrossentropy(on_logits, function)
    return Scores(on_logits, function)


def _softmax_of_one(z: np.ndarray) -> np.ndarray:
    """Return 1 for each number, without the warning of `activations.softmax`: the loss has already warned."""
    return np.exp(z - z)


def fused(
    steps: list[tuple[Layer, tuple[int, ...]]], kept: set[int], inputs: int = 1
) -> tuple[list[Step], dict[int, int]]:
    """Return the operations that do what the steps of a graph say, and where each of its positions has moved.

    Args:
        steps: (layer, positions of its inputs); positions count the graph's inputs, then the outputs of the steps.
        kept: positions whose numbers somebody wants to see, beside the next step.
        inputs: how many inputs the graph has.
    """
    uses = Counter(place for _, places in steps for place in places)
    operations: list[Step] = []
    moved = {place: place for place in range(inputs)}
    i = 0
    while i < len(steps):
        layer, places = steps[i]
        pooling = None
        output = inputs + i
        if i + 1 < len(steps) and steps[i + 1][1] == (output,) and uses[output] == 1 and output not in kept:
            pooling = steps[i + 1][0]
        operation: Any = layer
        if type(layer) is Dense:
            operation = DenseBlock(layer)
        elif type(layer) is Conv2D and layer.groups == 1:
            if _can_pool(layer, pooling):
                operation = ConvolutionBlock(layer, pooling)
                i += 1
            else:
                operation = ConvolutionBlock(layer)
        operations.append((operation, tuple(moved[place] for place in places)))
        moved[inputs + i] = inputs + len(operations) - 1
        i += 1
    return operations, moved


def _can_pool(layer: Conv2D, pooling: Layer | None) -> bool:
    return (
        type(pooling) is MaxPooling2D
        and pooling.strides == pooling.pool_size
        and pooling.padding == "valid"
        and layer.function in (activations.relu, activations.linear)
    )


def _softmax(z: np.ndarray) -> np.ndarray:
    """Return `activations.softmax` of z; of the usual matrix without the detour through what users may call."""
    if z.ndim != 2 or z.shape[1] == 1:
        return activations.softmax(z)
    y = np.empty(z.shape, z.dtype)
    functional.scores.softmax(y, z)
    return y


def _matrix(x: np.ndarray) -> np.ndarray:
    """Return an array as a matrix: its last axis, and all others in one."""
    if x.ndim == 2 and x.flags.c_contiguous:
        return x
    return np.ascontiguousarray(x).reshape(-1 if x.shape[-1] else x.size, x.shape[-1])
