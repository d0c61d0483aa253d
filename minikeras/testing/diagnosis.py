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
    e, r = expected, received

    def fits(candidate: np.ndarray) -> bool:
        return candidate.shape == e.shape and bool(np.all(np.abs(candidate - e) <= 4 * allowed))

    if not np.isfinite(r).all():
        return f"{int((~np.isfinite(r)).sum())} elements are inf or nan"
    if not r.any():
        return "it is all zeros, as if forgotten"
    if not e.any():
        return "all should be zeros"
    if fits(-r):
        return "the sign is flipped"
    factor = float((r * e).sum() / (e * e).sum())
    if factor and fits(r / factor):
        return _factor_hint(factor, batch)
    for axes in _permutations(e.ndim):
        if fits(r.transpose(axes)):
            return f"it is transposed: the axes stand in the order {axes}"
    for axes in ((-1,), (0,), (0, 1), (1, 2)):
        if e.ndim > max(axes) and fits(np.flip(r, axes)):
            return f"it is reversed along {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
    for axis in range(e.ndim):
        for shift in (1, -1):
            inner = [slice(None)] * e.ndim
            inner[axis] = slice(1, -1) if e.shape[axis] > 3 else slice(0, 0)
            moved = np.roll(r, -shift, axis)[tuple(inner)]
            if moved.size and np.all(np.abs(moved - e[tuple(inner)]) <= 4 * allowed):
                return f"it is shifted by {shift} along axis {axis}: padding or index off by one"
    if e.ndim > 1:
        gap = r - e
        constant = gap.mean(axis=tuple(range(e.ndim - 1)), keepdims=True)
        if np.all(np.abs(gap - constant) <= 4 * allowed):
            return "it is off by one number per unit of the last axis, as by a bias"
    right = np.abs(r - e) <= allowed
    if np.all(right | (np.abs(e) <= allowed)):
        return "it is right except where zeros are expected, as if a mask was forgotten"
    inside = np.abs(e) > allowed
    factor = float((r * e)[inside].sum() / (e * e)[inside].sum())
    if factor and not inside.all() and np.all(np.abs(r / factor - e)[inside] <= 4 * allowed):
        return f"zeros are missing, as if a mask was forgotten, and the rest is off by the factor {factor:.6g}"
    if np.all(right | (np.abs(r) <= allowed)):
        return "it is right or zero: too much is masked, or parts are left out"
    if np.all(np.abs(np.sort(r, axis=None) - np.sort(e, axis=None)) <= 4 * allowed):
        return "the numbers are right, in another order"
    if right.any():
        ratio = np.divide(r, e, out=np.ones_like(r), where=np.abs(e) > allowed)[~right]
        if ratio.size > 1 and np.ptp(ratio) <= 1e-3 * abs(ratio.mean()):
            return f"the wrong elements are off by the factor {ratio.mean():.4g}"
    wrong_samples: Any = np.flatnonzero(~right.reshape(len(right), -1).all(axis=1)) if e.ndim > 1 else []
    if 0 < len(wrong_samples) < len(e):
        return f"only entries {', '.join(map(str, wrong_samples[:5]))} of the first axis are wrong"
    return ""


def _factor_hint(factor: float, batch: int) -> str:
    for value, name in ((batch, f"{batch}"), (1 / max(batch, 1), f"1 / {batch}")):
        if batch > 1 and abs(factor - value) <= 1e-3 * value:
            return f"it is off by the factor {name}; the batch has {batch} samples"
    return f"it is off by the constant factor {factor:.6g}"


def _permutations(ndim: int) -> Iterator[tuple[int, ...]]:
    return (p for p in itertools.permutations(range(ndim)) if p != tuple(range(ndim)))
