"""What runs as one operation though it is two layers: a convolution, and the maximum pooling after it.

Layer by layer, a batch's feature maps would be written to memory and read back; here an image's map never leaves the
cache (see `functional.conv2d`).  The pair is run like a layer: `forward` returns the output and a cache, `backward`
takes it.
"""

from collections import Counter
from typing import Any

import numpy as np

from .. import activations, functional
from ..layers.conv import Conv2D
from ..layers.pooling import MaxPooling2D
from ..layers.windows import Geometry
from ..variables import Variable

Step = tuple[Any, tuple[int, ...]]  # an operation, and the positions of its inputs (see `graph`)


class PooledConvolution:
    """y = the maximum of touching windows of activation(x * w + b): a Conv2D and the MaxPooling2D after it.

    Args:
        convolution: whose weights and options are used; without an activation, or with a rectifier.
        pooling: the layer after it.
        keeps_winner: whether the cache shall hold which cell of each window was the largest, for `backward`.
    """

    rests_when_frozen = False

    def __init__(self, convolution: Conv2D, pooling: MaxPooling2D, keeps_winner: bool = True):
        self.convolution, self.pooling, self.keeps_winner = convolution, pooling, keeps_winner

    @property
    def weights(self) -> list[Variable]:
        """Those of the convolution."""
        return self.convolution.weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """Those of the convolution."""
        return self.convolution.trainable_weights

    def only_forward(self) -> "PooledConvolution":
        """Return the same for whoever won't call `backward`."""
        return PooledConvolution(self.convolution, self.pooling, keeps_winner=False)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """Return y, and what `backward` will need."""
        layer = self.convolution
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        shape, geometry = layer.window(x.shape, self.pooling.pool_size)
        y = np.empty(shape, x.dtype)
        winner = np.empty(shape if self.keeps_winner else (0, 0, 0, 0), x.dtype)
        rectified = layer.function is activations.relu
        w, b = layer.kernel.value, layer.bias_value(layer.filters)
        functional.conv2d.forward(y, winner, x, w, b, *geometry, rectified)
        return y, (x, y, winner, geometry, rectified)

    def backward(self, dy: np.ndarray, cache: Any, wants_dx: bool = True) -> np.ndarray | None:
        """Forward was y = z[winner], so dz is dy in the winner's place and 0 elsewhere; then the convolution's own."""
        geometry: Geometry
        x, y, winner, geometry, rectified = cache
        layer = self.convolution
        layer.check_gradient(dy, y.shape)
        dw, db, add = layer.gradients_to_write(layer.kernel)
        dx = np.empty(x.shape if wants_dx else (0, *x.shape[1:]), x.dtype)
        dy = np.ascontiguousarray(dy)
        functional.conv2d.backward(dw, db, dx, dy, y, winner, x, layer.kernel.value, *geometry, rectified, add)
        return dx if wants_dx else None

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        """Do as `backward`, less dx."""
        self.backward(dy, cache, wants_dx=False)


def fused(steps: list[Step], kept: set[int], inputs: int = 1) -> tuple[list[Step], dict[int, int]]:
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
        if type(layer) is Conv2D and type(pooling) is MaxPooling2D and _can_pool(layer, pooling):
            operation = PooledConvolution(layer, pooling)
            i += 1
        operations.append((operation, tuple(moved[place] for place in places)))
        moved[inputs + i] = inputs + len(operations) - 1
        i += 1
    return operations, moved


def _can_pool(layer: Conv2D, pooling: MaxPooling2D) -> bool:
    return (
        layer.groups == 1
        and pooling.strides == pooling.pool_size
        and pooling.padding == "valid"
        and layer.function in (activations.relu, activations.linear)
    )
