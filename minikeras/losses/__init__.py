"""Losses, as functions and as classes: how far predictions are from their targets, and the gradient of that.

`functions` holds the formulas of a first course, each with its gradient under it; `base` what every loss is: values per
sample made one number; `wrapper` how a function becomes one; `targets` which targets fit which outputs.  Here are the
classes of those functions, and how all losses are looked up.  The others, class beside function: `regression`,
`distributions`, `margins`, `focal`, `overlap`, `embeddings`, `sequences`.

Keras's counterpart: `keras.losses`, whose numbers these are.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..common.names import object_name, refuse_other_names
from ..common.serialization import deserializer, keras_class, serialize
from .base import Loss
from .distributions import (
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
)
from .embeddings import Circle, circle
from .focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
)
from .functions import (
    binary_crossentropy,
    categorical_crossentropy,
    huber,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from .margins import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from .overlap import Dice, Tversky, dice, tversky
from .regression import (
    CosineSimilarity,
    LogCosh,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    log_cosh,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
)
from .sequences import CTC, ctc
from .targets import check_binary, check_finite, check_labels, check_one_hot, kind_of_targets
from .wrapper import HOW_TO_WRITE_ONE, TABLE, LossFunctionWrapper

__all__ = [
    "CTC", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "Loss", "LossFunctionWrapper", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge",
    "Tversky", "as_loss", "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
    "categorical_focal_crossentropy", "categorical_generalized_cross_entropy", "categorical_hinge", "circle",
    "cosine_similarity", "ctc", "deserialize", "dice", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "poisson", "serialize", "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip


# The classes -------------------------------------------------------------------------------------------------------


@keras_class("keras.losses")
class MeanSquaredError(LossFunctionWrapper):
    """mean((p - t)^2): see `mean_squared_error`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


@keras_class("keras.losses")
class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|p - t|): see `mean_absolute_error`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_finite)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: str | None = None,
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


@keras_class("keras.losses")
class Huber(LossFunctionWrapper):
    """Squares for small errors, straight lines beyond `delta`: see `huber`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_finite)
    left_out_at: ClassVar[dict[str, Any]] = {"delta": 1.0}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: str | None = None,
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)


@keras_class("keras.losses")
class BinaryCrossentropy(LossFunctionWrapper):
    """-t log(p) - (1 - t) log(1 - p): see `binary_crossentropy`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_binary)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **options)


@keras_class("keras.losses")
class CategoricalCrossentropy(LossFunctionWrapper):
    """-sum(t log(p)) for one-hot t: see `categorical_crossentropy`, and `Loss` for the other arguments."""

    targets_checker = staticmethod(check_one_hot)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **options)


@keras_class("keras.losses")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """-log(p[t]) for the class t: see `sparse_categorical_crossentropy`, and `Loss` for the other arguments.

    Samples of the class `ignore_class` do not count, in means neither.
    """

    targets_checker = staticmethod(check_labels)
    left_out_at: ClassVar[dict[str, Any]] = {"axis": -1}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ):
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)

    ignore_class: int | None

    def mask(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray | None:
        if self.ignore_class is None:
            return None
        return (np.asarray(y_true) != self.ignore_class).reshape(y_pred.shape[:-1])


# Looking up --------------------------------------------------------------------------------------------------------

_CLASS_OF = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    log_cosh: LogCosh,
    cosine_similarity: CosineSimilarity,
    hinge: Hinge,
    squared_hinge: SquaredHinge,
    categorical_hinge: CategoricalHinge,
    kl_divergence: KLDivergence,
    poisson: Poisson,
    categorical_generalized_cross_entropy: CategoricalGeneralizedCrossEntropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    dice: Dice,
    tversky: Tversky,
    circle: Circle,
    ctc: CTC,
}
TABLE.enter(
    [*_CLASS_OF, *_CLASS_OF.values()],
    {
        "bce": binary_crossentropy, "BCE": binary_crossentropy, "kld": kl_divergence, "KLD": kl_divergence,
        "mae": mean_absolute_error, "MAE": mean_absolute_error, "mse": mean_squared_error, "MSE": mean_squared_error,
        "mape": mean_absolute_percentage_error, "MAPE": mean_absolute_percentage_error,
        "msle": mean_squared_logarithmic_error, "MSLE": mean_squared_logarithmic_error,
    },
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return a loss from its name, class, config, function, or the object itself; None stays None.

    The name of a function (`"mse"`) gives the function, the name of a class (`"MeanSquaredError"`) an object.

    Raises:
        ValueError: an unknown name.
        TypeError: something that is no loss at all.
    """
    found = TABLE.get(identifier)
    if found is None or isinstance(found, Loss) or _is_function(found):
        return found
    raise TypeError(f"Loss: expected a name, a function with its gradient, or a Loss, received {identifier!r}. "
                    f"For a loss of your own, {HOW_TO_WRITE_ONE}.")  # fmt: skip


def _is_function(found: Any) -> bool:
    return callable(found) and not isinstance(found, (type, Loss)) and not hasattr(found, "call")


def is_known(name: str) -> bool:
    """Whether a loss has this name."""
    return name in TABLE.entries


def as_loss(
    identifier: Any,
    y_true_shape: Sequence[int | None] | None = None,
    y_pred_shape: Sequence[int | None] | None = None,
) -> Loss | None:
    """Return the `Loss` that a model is compiled with.

    As `get`, but functions become objects named as the user named them, and `"crossentropy"` or `"ce"` is the
    binary, sparse or categorical kind that fits the shapes.

    Raises:
        ValueError: an unknown name.
        TypeError: no loss, or one without `call`.
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce") and y_pred_shape is not None:
        kinds = {"binary": BinaryCrossentropy, "sparse": SparseCategoricalCrossentropy}
        return kinds.get(kind_of_targets(y_true_shape or (), y_pred_shape), CategoricalCrossentropy)(name=identifier)
    found = get(identifier)
    if _is_function(found):
        name = identifier if isinstance(identifier, str) else object_name(found)
        return _CLASS_OF[found](name=name) if found in _CLASS_OF else LossFunctionWrapper(found, name=name)
    if found is not None and type(found).call is Loss.call:
        raise TypeError(f"Loss {type(found).__name__}: call(self, y_true, y_pred) is missing. "
                        f"A loss is a value and a gradient: {HOW_TO_WRITE_ONE}.")  # fmt: skip
    return found


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
