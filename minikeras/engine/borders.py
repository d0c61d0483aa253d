"""What runs in a layer's place, where the engine and the layer don't speak quite the same language."""

from typing import Any

import numpy as np

from ..common.names import is_built_in


class Around:
    """What runs in a layer's place, and is it in all that it doesn't write itself."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        if name == "layer" or name.startswith("__"):  # as `copy` and `pickle` ask one that is being made
            raise AttributeError(name)
        return getattr(self.layer, name)


class JoinOfOne(Around):
    """A layer that takes lists, given a list of one."""

    joins = True

    def compute_output_shape(self, shape: Any) -> Any:
        return self.layer.compute_output_shape([shape])

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        return self.layer.forward([x], training)

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        return self.layer.backward(dy, cache)[0]

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        self.layer.backward_weights(dy, cache)


class Bordered(Around):
    """A layer of the user's own, at the border of the engine.

    What it returns is brought to the layer's float type, in one piece, as machine code takes it; an output or a
    gradient of another shape than it says is refused by the layer's name.
    """

    def forward(self, x: Any, training: bool) -> tuple[np.ndarray, Any]:
        return self._taken(x, *self.layer.forward(x, training))

    def forward_logits(self, x: Any) -> tuple[np.ndarray, Any]:
        return self._taken(x, *self.layer.forward_logits(x))

    def _taken(self, x: Any, y: Any, cache: Any) -> tuple[np.ndarray, Any]:
        shapes = [a.shape for a in x] if isinstance(x, list) else x.shape
        expected = tuple(self.layer.compute_output_shape(shapes))
        return self._fitting(y, expected, "forward", "as compute_output_shape says"), (shapes, cache)

    def backward(self, dy: np.ndarray, cache: Any) -> Any:
        shapes, cache = cache
        dx = self.layer.backward(dy, cache)
        if not isinstance(shapes, list):
            return self._fitting(dx, shapes, "backward", "that of x")
        if not isinstance(dx, (list, tuple)) or len(dx) != len(shapes):
            raise ValueError(f"{self._owner}: `backward` returns a list with dx for each of its {len(shapes)} inputs.")
        return [self._fitting(d, s, "backward", "that of its x") for d, s in zip(dx, shapes, strict=True)]

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        self.layer.backward_weights(dy, cache[1])

    def _fitting(self, a: Any, shape: tuple[int | None, ...], method: str, whose: str) -> np.ndarray:
        a = np.asarray(a)
        if a.dtype.kind not in "fiub":
            raise TypeError(f"{self._owner}: `{method}` returns an array of real numbers, received dtype {a.dtype}.")
        if len(a.shape) != len(shape) or any(n not in (m, None) for m, n in zip(a.shape, shape, strict=True)):
            raise ValueError(f"{self._owner}: `{method}` returned shape {a.shape}, expected {shape}, {whose}.")
        return np.require(a, self.layer.dtype, ["C", "W", "A"])


def is_ours(layer: Any) -> bool:
    """Whether a layer is one of this package."""
    layer = layer.layer if isinstance(layer, JoinOfOne) else layer
    return is_built_in(type(layer))
