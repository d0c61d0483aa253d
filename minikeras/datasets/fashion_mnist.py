"""Fashion-MNIST: 70,000 images of clothes, a harder drop-in for the digits of MNIST (Xiao et al., 2017).

Keras's counterpart: `keras.datasets.fashion_mnist`.  The data are under the MIT licence, copyright Zalando SE.
"""

import os
import struct

import numpy as np

from ..common.names import refuse_other_names
from . import cache

__all__ = ["CLASS_NAMES", "load_data"]

#: What the labels 0 to 9 mean.
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip

FOLDER = "fashion-mnist"

#: The files, in Keras's order, with their SHA-256.
HASHES = {
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
}


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return ((x_train, y_train), (x_test, y_test)), downloading the files (31 MB) where the cache has none.

    x: uint8 (60000, 28, 28) and (10000, 28, 28), grey values 0 (background) to 255; y: uint8 (60000,) and
    (10000,), labels 0 to 9, see `CLASS_NAMES`.  The arrays are read-only, as Keras's are.

    Raises:
        cache.DownloadError: files are missing and could not be downloaded; the message says where to put them.
        ValueError: a cached file is damaged.
    """
    folder = os.path.join(cache.home(), "datasets", FOLDER)
    paths = [os.path.join(folder, name) for name in HASHES]
    cache.fetch([(path, cache.BASE_URL + name, HASHES[name]) for name, path in zip(HASHES, paths, strict=True)])
    y_train, x_train, y_test, x_test = (_read_idx(path) for path in paths)
    for x, y, x_path, y_path in ((x_train, y_train, paths[1], paths[0]), (x_test, y_test, paths[3], paths[2])):
        if x.ndim != 3 or x.shape[1:] != (28, 28):
            raise cache.unreadable(x_path, f"its shape is {x.shape}, expected (n, 28, 28)")
        if y.shape != x.shape[:1]:
            raise cache.unreadable(y_path, f"its shape is {y.shape}, for images of shape {x.shape}")
        if y.max(initial=0) > 9:
            raise cache.unreadable(y_path, f"it holds the label {y.max()}, expected 0 to 9")
    return (x_train, y_train), (x_test, y_test)


def _read_idx(path: str) -> np.ndarray:
    """Read a gzipped IDX file of bytes: 0 0 8 ndim, ndim big-endian sizes, the numbers; gzip checks its CRC."""
    import gzip
    import zlib

    with open(path, "rb") as file:
        packed = file.read()
    try:
        raw = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise cache.unreadable(path, error) from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise cache.unreadable(path, f"it is no IDX file of bytes (it begins with {raw[:4]!r})")
    ndim = raw[3]
    shape = struct.unpack_from(f">{ndim}I", raw, 4)
    data = np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim)
    if data.size != np.prod(shape, dtype=np.int64):
        raise cache.unreadable(path, f"it holds {data.size} numbers, and its header announces the shape {shape}")
    return data.reshape(shape)


refuse_other_names(__name__, __all__)
