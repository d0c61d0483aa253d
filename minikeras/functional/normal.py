"""The normal distribution."""

import functools
import math
from typing import Any

import numpy as np

FAR = 36.0  # P(X > 36) = 4e-284 for a standard normal X


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """P(X <= x) for a standard normal X: 1/2 * (1 + erf(x / sqrt(2))), exact to rounding also in the far tail.

    NumPy has no erf.  For z = |x| / sqrt(2) and t = 2 / (2 + z), the logarithm of erfc(z) * exp(z^2) / t is so smooth
    in t that a short Chebyshev series gives it (Press et al., Numerical Recipes, 3rd edition, section 6.2.2).
    """
    from numpy.polynomial.chebyshev import chebval

    z = np.minimum(np.abs(x), FAR) * math.sqrt(0.5)
    t = 2 / (2 + z)
    tail = t / 2 * np.exp(chebval(_series_position(t), _erfc_series(x.dtype)) - z * z)
    return np.where(x > 0, 1 - tail, tail)


_T_MIN = 2 / (2 + FAR * math.sqrt(0.5))


def _series_position(t: np.ndarray) -> np.ndarray:
    return (2 * t - (1 + _T_MIN)) / (1 - _T_MIN)  # [_T_MIN, 1] -> [-1, 1]


@functools.cache
def _erfc_series(dtype: np.dtype) -> np.ndarray:
    """Chebyshev coefficients fitted to `math.erfc`, as many as the float type can tell apart."""
    from numpy.polynomial.chebyshev import chebinterpolate

    def log_ratio(position: np.ndarray) -> Any:
        ts = (position * (1 - _T_MIN) + (1 + _T_MIN)) / 2
        return [math.log(math.erfc(z) / t) + z * z for t, z in zip(ts, 2 / ts - 2, strict=True)]

    return chebinterpolate(log_ratio, 10 if dtype == np.float32 else 26).astype(dtype)
