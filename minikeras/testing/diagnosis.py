"""How two arrays differ that should be the same, in words; and what was probably done wrong."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np


def largest(array: Any) -> float:
    """Return the largest magnitude in an array, NaN left out; 0 where there is none."""
    if array is None or not array.size or array.dtype.kind not in "fiu":
        return 0.0
    return float(np.nanmax(np.abs(array)))


def difference(
    expected: np.ndarray, received: np.ndarray, tolerance: float, scale: float, batch: int
) -> tuple[str | None, float]:
    """Return in words how two arrays differ (None: they don't), and the largest error relative to their size."""
    if received.shape != expected.shape:
        hint = ""
        if sorted(received.shape) == sorted(expected.shape):
            hint = " Looks transposed."
        elif received.size == expected.size:
            hint = " The number of elements is right: reshaped?"
        return f"has shape {received.shape}; expected {expected.shape}.{hint}", np.inf
    if not expected.size:
        return None, 0.0
    e, r = expected.astype(np.float64), received.astype(np.float64)
    with np.errstate(all="ignore"):
        gap = np.where((e == r) | (np.isnan(e) & np.isnan(r)), 0, np.abs(r - e))
    gap = np.where(np.isnan(gap), np.inf, gap)
    scale = max(largest(np.where(np.isfinite(e), e, 0)), scale) or 1.0
    error = float(gap.max()) / scale
    if error <= tolerance:
        return None, error
    worst = np.unravel_index(int(gap.argmax()), gap.shape)
    count = int((gap > tolerance * scale).sum())
    where = f" at {tuple(int(n) for n in worst)}" if worst else ""
    message = (
        f"of shape {e.shape} is wrong in {count} of {e.size} elements; most{where}: expected {e[worst] + 0:.6g}, "
        f"received {r[worst] + 0:.6g}. Largest error {float(gap.max()):.3g}, allowed {tolerance * scale:.3g}."
    )
    hint = diagnosis(e, r, tolerance * scale, batch)
    return message + (f" Hint: {hint}." if hint else ""), error


def diagnosis(expected: np.ndarray, received: np.ndarray, allowed: float, batch: int = 0) -> str:
    """Guess what was done wrong, from what came out; an empty string where nothing fits.

    Args:
        expected, received: two arrays of one shape that differ.
        allowed: the largest difference that doesn't count.
        batch: the number of samples, which a wrong factor may be.
    """
    return next((hint for holds, hint in _guesses(expected, received, allowed, batch) if holds), "")


def _guesses(e: np.ndarray, r: np.ndarray, allowed: float, batch: int) -> Iterator[tuple[Any, str]]:
    """Yield whether something was done wrong, and what; none is looked at after one that holds."""

    def near(a: np.ndarray, b: np.ndarray = e) -> bool:
        return a.shape == b.shape and bool(np.all(np.abs(a - b) <= 4 * allowed))

    yield not np.isfinite(r).all(), f"{int((~np.isfinite(r)).sum())} elements are inf or nan"
    yield not r.any(), "it is all zeros, as if forgotten"
    yield not e.any(), "all should be zeros"
    yield near(-r), "the sign is flipped"
    factor = float((r * e).sum() / (e * e).sum())
    yield factor and near(r / factor), _factor_hint(factor, batch)
    for axes in itertools.islice(itertools.permutations(range(e.ndim)), 1, None):
        yield near(r.transpose(axes)), f"it is transposed: the axes stand in the order {axes}"
    for axes in ((-1,), (0,), (0, 1), (1, 2)):
        if e.ndim > max(axes):
            along = f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
            yield near(np.flip(r, axes)), f"it is reversed along {along}"
    for axis, shift in itertools.product(range(e.ndim), (1, -1)):
        inner = tuple(slice(1, -1) if a == axis else slice(None) for a in range(e.ndim))
        fits = e.shape[axis] > 3 and near(np.roll(r, -shift, axis)[inner], e[inner])
        yield fits, f"it is shifted by {shift} along axis {axis}: padding or index off by one"
    gap = r - e
    constant = np.broadcast_to(gap.mean(axis=tuple(range(e.ndim - 1)), keepdims=True), e.shape)
    yield e.ndim > 1 and near(gap, constant), "it is off by one number per unit of the last axis, as by a bias"
    right, inside = np.abs(gap) <= allowed, np.abs(e) > allowed
    yield np.all(right | ~inside), "it is right except where zeros are expected, as if a mask was forgotten"
    factor = float((r * e)[inside].sum() / (e * e)[inside].sum())
    yield (
        factor and not inside.all() and near((r / factor)[inside], e[inside]),
        f"zeros are missing, as if a mask was forgotten, and the rest is off by the factor {factor:.6g}",
    )
    yield np.all(right | (np.abs(r) <= allowed)), "it is right or zero: too much is masked, or parts are left out"
    yield near(np.sort(r, axis=None), np.sort(e, axis=None)), "the numbers are right, in another order"
    ratio = np.divide(r, e, out=np.ones_like(r), where=inside)[~right]
    constant_ratio = right.any() and ratio.size > 1 and np.ptp(ratio) <= 1e-3 * abs(ratio.mean())
    yield constant_ratio, f"the wrong elements are off by the factor {ratio.mean():.4g}"
    if e.ndim > 1:
        wrong = np.flatnonzero((~right).reshape(len(e), -1).any(axis=1))
        some = f"only entries {', '.join(map(str, wrong[:5]))} of the first axis are wrong"
        yield len(wrong) < len(e), some


def _factor_hint(factor: float, batch: int) -> str:
    for value, name in ((batch, f"{batch}"), (1 / max(batch, 1), f"1 / {batch}")):
        if batch > 1 and abs(factor - value) <= 1e-3 * value:
            return f"it is off by the factor {name}; the batch has {batch} samples"
    return f"it is off by the constant factor {factor:.6g}"
