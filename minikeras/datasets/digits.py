"""Handwritten digits of 8 x 8 pixels that come with scikit-learn: real data without a network.

From the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998), its test part.  Keras has no
counterpart; the API is that of its image data sets.
"""

import numpy as np

from ..common.names import refuse_other_names

__all__ = ["load_data"]


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return ((x_train, y_train), (x_test, y_test)): 1437 images to train on and 360 to test.

    x: uint8 (n, 8, 8), ink from 0 (none) to 16, so `x / 16.0` lies in 0..1; y: uint8 (n,), the digits 0 to 9.

    The split is always the same: the samples are permuted by `np.random.RandomState(0)`, whose numbers NumPy never
    changes, and sorted by class, ties in the permuted order; every fifth, from the first one on, is for testing.
    Each class thus has a fifth of its images there, and both parts stand in the permuted order.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "The digits come with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    x, y = digits.images[order].astype(np.uint8), digits.target[order].astype(np.uint8)
    test = np.zeros(len(y), dtype=bool)
    test[np.argsort(y, kind="stable")[::5]] = True
    return (x[~test], y[~test]), (x[test], y[test])


refuse_other_names(__name__, __all__)
