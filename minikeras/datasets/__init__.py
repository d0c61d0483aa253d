"""Data sets to learn on: each module has `load_data()`, which returns ((x_train, y_train), (x_test, y_test)).

Keras's counterpart: `keras.datasets`; `digits` is an addition that needs no network.
"""

from ..common.names import refuse_other_names
from . import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]

refuse_other_names(__name__, __all__)
