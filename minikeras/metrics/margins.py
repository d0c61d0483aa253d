"""How far scores are from the right side of a margin: running means of functions in `losses`.

Keras's counterpart: `keras.metrics`, hinge metrics.
"""

from ..common.serialization import keras_class
from ..losses import categorical_hinge, hinge, squared_hinge
from .means import MeanMetricWrapper


@keras_class("keras.metrics")
class Hinge(MeanMetricWrapper):
    """The mean of max(1 - t p, 0) for targets -1 and 1: see `losses.hinge`."""

    def __init__(self, name: str | None = "hinge", dtype: str | None = None):
        super().__init__(hinge, name, dtype)


@keras_class("keras.metrics")
class SquaredHinge(MeanMetricWrapper):
    """The mean of max(1 - t p, 0)^2 for targets -1 and 1: see `losses.squared_hinge`."""

    def __init__(self, name: str | None = "squared_hinge", dtype: str | None = None):
        super().__init__(squared_hinge, name, dtype)


@keras_class("keras.metrics")
class CategoricalHinge(MeanMetricWrapper):
    """The mean of max(the largest wrong score - the right one + 1, 0): see `losses.categorical_hinge`."""

    def __init__(self, name: str | None = "categorical_hinge", dtype: str | None = None):
        super().__init__(categorical_hinge, name, dtype)
