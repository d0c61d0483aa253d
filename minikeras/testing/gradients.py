"""Is my backward right?  Gradient checks for layers and losses, ours and the user's.

The derivative that `backward` claims is compared with the slope measured in float64,

    d L / d t  =~  (L(t + h) - L(t - h)) / 2h,        L = sum(dy * forward(x)),

for random elements t of the input and of every weight, and a random dy: a uniform one would hide errors that
cancel in sums.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers.base import Layer
from ..losses import Loss
from ..random import SeedGenerator


def check_gradients(
    layer: Layer,
    input_shape: tuple[int, ...] | list[tuple[int, ...]] | None = None,
    x: np.ndarray | list[np.ndarray] | None = None,
    training: bool = False,
    batch_size: int = 3,
    tolerance: float = 1e-6,
    samples: int = 60,
    seed: int = 0,
) -> float:
    """Compare a layer's `backward` with measured slopes; the layer itself is left as it was.

    Args:
        layer: built or not; it is checked on a float64 copy.
        input_shape: of one sample; the input is then random.  A list of shapes for a layer that joins several inputs.
        x: or the input itself, or the list of them.
        training: whether Dropout and its like are active.
        batch_size: of the random input.
        tolerance: the largest error allowed, relative to the largest element of the gradient.
        samples: how many elements of each array are measured.
        seed: of everything random here.

    Returns:
        The largest relative error found.

    Raises:
        AssertionError: naming the array, the element, the slope and what `backward` claims.  Also where `backward`
            assigns to a gradient instead of adding to it, or works only once.
        ValueError: neither `input_shape` nor `x` was given; or a method writes to its arguments.
    """
    generator = np.random.default_rng(seed)
    if x is None:
        if input_shape is None:
            raise ValueError("check_gradients: expected `input_shape` or `x`.")
        shapes: Any = input_shape if layer.joins else [input_shape]
        x = layer._as_given([generator.normal(size=(batch_size, *shape)) for shape in shapes])
    inputs = [np.array(a, np.float64) for a in (x if layer.joins else [x])]
    x = layer._as_given(inputs)
    layer = _float64_copy(layer, layer._as_given([(None, *a.shape[1:]) for a in inputs]), generator)
    run = _repeatable(layer)
    dy = generator.normal(size=run(x, training)[0].shape)

    claimed = _claimed(layer, run, inputs, dy, training, generator)
    arrays = {**_named(layer, inputs), **{v.name: v.value for v in layer.trainable_weights}}

    def total() -> float:
        return float(np.sum(dy * run(x, training)[0]))

    return max(
        _compare(name, array, claimed[name], total, generator, samples, tolerance) for name, array in arrays.items()
    )


def check_loss_gradients(
    loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, tolerance: float = 1e-6, samples: int = 60, seed: int = 0
) -> float:
    """Compare a loss's `gradient` with measured slopes, for random weights of the samples.

    Returns:
        The largest relative error found.

    Raises:
        AssertionError: naming the element, the slope and what `gradient` claims.
    """
    generator = np.random.default_rng(seed)
    y_pred = np.array(y_pred, np.float64)
    weights = generator.uniform(0.5, 2, size=np.shape(loss.call(y_true, y_pred)))
    claimed = loss.gradient(y_true, y_pred) * weights[..., None]

    def total() -> float:
        return float(np.sum(weights * loss.call(y_true, y_pred)))

    return _compare("y_pred", y_pred, claimed, total, generator, samples, tolerance)


def _named(layer: Layer, values: list[Any]) -> dict[str, Any]:
    """Return the inputs, or their gradients, by name: "input", or "input 0", "input 1" ... of a layer that joins."""
    return {f"input {i}" if layer.joins else "input": value for i, value in enumerate(values)}


def _float64_copy(layer: Layer, input_shape: Any, generator: np.random.Generator) -> Layer:
    """Return a copy with float64 weights: the layer's own where it is built, random ones elsewhere.

    Random ones also for biases: zeros put rectifiers and pools on their kinks, where no slope can be measured.
    Positive ones where a weight is not trained: it may be a variance.
    """
    original, layer = layer, copy.copy(layer)
    layer.dtype, layer.built, layer.nodes, layer._weights = "float64", False, [], []
    layer.ensure_built(input_shape)
    for i, v in enumerate(layer._weights):
        numbers = generator.normal(size=v.shape) if v.declared_trainable else generator.uniform(0.5, 2, size=v.shape)
        v.assign(original._weights[i].value if original.built else numbers)
    return layer


def _repeatable(layer: Layer) -> Callable[[Any, bool], tuple[np.ndarray, Any]]:
    """Return `forward` with the layer's random streams wound back before each call."""
    streams = [(value.state, value.state.numpy()) for value in vars(layer).values() if isinstance(value, SeedGenerator)]

    def run(x: Any, training: bool) -> tuple[np.ndarray, Any]:
        for state, beginning in streams:
            state.assign(beginning)
        return layer.forward(x, layer.is_active(training))

    return run


def _claimed(
    layer: Layer,
    run: Callable[..., Any],
    inputs: list[np.ndarray],
    dy: np.ndarray,
    training: bool,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Return the gradients that `backward` gives, having checked its manners."""
    before_x, before_dy = [x.copy() for x in inputs], dy.copy()
    _, cache = run(layer._as_given(inputs), training)
    results = []
    for _ in range(2):
        start = {v.name: generator.normal(size=v.shape) for v in layer.trainable_weights}
        for v in layer.trainable_weights:
            v.gradient[...] = start[v.name]
        dx = layer.backward(dy, cache)
        dxs = [np.array(d) for d in (dx if layer.joins else [dx])]
        results.append({**_named(layer, dxs), **{n: _weight(layer, n).gradient - start[n] for n in start}})
    first, second = results
    who = type(layer).__name__
    for x, before in zip(inputs, before_x, strict=True):
        assert np.array_equal(x, before), f"{who}: forward or backward changed its input in place."
    assert np.array_equal(dy, before_dy), f"{who}: backward changed dy in place."
    for name in first:
        np.testing.assert_allclose(
            first[name],
            second[name],
            rtol=1e-9,
            atol=1e-9,
            err_msg=f"{who}: a second backward from the same cache gave another gradient of {name!r}; "
            "backward must add to `gradient` (+=) and leave the cache as it is.",
        )
    return first


def _weight(layer: Layer, name: str) -> Any:
    return next(v for v in layer.trainable_weights if v.name == name)


def _compare(
    name: str,
    array: np.ndarray,
    claimed: np.ndarray,
    total: Callable[[], float],
    generator: np.random.Generator,
    samples: int,
    tolerance: float,
) -> float:
    """Wiggle random elements of `array` in place, and compare the slope of `total` with what is claimed."""
    if claimed.shape != array.shape:
        raise AssertionError(f"The gradient of {name!r} has shape {claimed.shape}; the array has {array.shape}.")
    h, worst, scale = 1e-6, 0.0, float(np.abs(claimed).max(initial=0))
    for flat in generator.permutation(array.size)[:samples]:
        index = np.unravel_index(flat, array.shape)
        middle = array[index]
        array[index] = middle + h
        above = total()
        array[index] = middle - h
        below = total()
        array[index] = middle
        slope = (above - below) / (2 * h)
        error = abs(slope - claimed[index])
        rounding = 16 * np.finfo(np.float64).eps * max(abs(above), abs(below), 1) / h
        if error > tolerance * scale + rounding:
            raise AssertionError(
                f"The gradient of {name!r} at {tuple(int(i) for i in index)} is {claimed[index]:.9g}, but the measured "
                f"slope is {slope:.9g}; the largest element of the gradient is {scale:.3g}, "
                f"and {tolerance:.0e} of it is the error allowed."
            )
        worst = max(worst, float(error / scale) if scale else 0.0)
    return worst


__all__ = ["check_gradients", "check_loss_gradients"]
