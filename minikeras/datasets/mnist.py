"""MNIST: 70,000 images of handwritten digits (LeCun and Cortes; CC BY-SA 3.0).

Keras's counterpart: `keras.datasets.mnist`.
"""

import os

import numpy as np

from ..common.names import refuse_other_names
from . import cache

__all__ = ["load_data"]

FILE = "mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str = FILE) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return ((x_train, y_train), (x_test, y_test)), downloading the file (11 MB) where the cache has none.

    x: uint8 (60000, 28, 28) and (10000, 28, 28), grey values 0 (background) to 255; y: uint8 (60000,) and
    (10000,), the digits 0 to 9.

    Args:
        path: the file, relative to the folder `datasets` of Keras's cache.

    Raises:
        cache.DownloadError: the file is missing and could not be downloaded; the message says where to put it.
        ValueError: the cached file is damaged.
    """
    import zipfile
    import zlib

    path = os.path.join(cache.home(), "datasets", path)
    cache.fetch([(path, cache.BASE_URL + FILE, SHA256)])
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            x_train, y_train, x_test, y_test = (arrays[name] for name in names)
    except (
        OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        raise cache.unreadable(path, error) from error
    for x, y in ((x_train, y_train), (x_test, y_test)):
        if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
            raise cache.unreadable(path, f"it holds {x.dtype} images of shape {x.shape} and labels of shape {y.shape}")
    return (x_train, y_train), (x_test, y_test)


refuse_other_names(__name__, __all__)
