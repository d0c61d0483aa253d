"""Metrics: running means of what a batch's targets and predictions say about the model.

    metric.update_state(y_true, y_pred, sample_weight)        after each batch
    metric.result()                                           the mean so far
    metric.reset_state()                                      at the start of an epoch

A function metric gives one value per sample; `MeanMetricWrapper` and the classes average it over all samples seen, as
Keras does: total += sum(w v), count += sum(w), both in the metric's float type.

`base` says what a metric is, `means` what a running mean is, and `functions` holds the formulas that only metrics have.
Means of functions are `accuracies`, `distributions`, `regression`, `margins` and `correlation`.  What counts hits and
misses is `confusion`, with the F-scores in `f_scores`, the curves through all thresholds in `areas`, points on them in
`operating_points`, and intersections over unions in `iou`.
Keras's counterpart: `keras.metrics`.
"""

from collections.abc import Sequence
from typing import Any

from ..common.arguments import ArgumentError
from ..common.names import object_name, refuse_other_names
from ..common.serialization import Table, deserializer, serialize
from ..losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ..losses.targets import kind_of_targets
from .accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from .areas import AUC
from .base import Metric
from .confusion import FalseNegatives, FalsePositives, Precision, Recall, TrueNegatives, TruePositives
from .correlation import ConcordanceCorrelation, PearsonCorrelation, concordance_correlation, pearson_correlation
from .distributions import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from .f_scores import F1Score, FBetaScore
from .functions import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from .margins import CategoricalHinge, Hinge, SquaredHinge
from .means import Mean, MeanMetricWrapper, Sum
from .operating_points import (
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from .regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "F1Score",
    "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence", "LogCoshError", "Mean",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Metric", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson",
    "Precision", "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum", "TopKCategoricalAccuracy",
    "TrueNegatives", "TruePositives", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge",
    "concordance_correlation", "deserialize", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "pearson_correlation", "poisson", "resolve", "serialize", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "squared_hinge",
    "top_k_categorical_accuracy",
]  # fmt: skip


# Looking up --------------------------------------------------------------------------------------------------------

_TABLE = Table(
    "metric",
    "keras.metrics",
    Metric,
    [globals()[name] for name in __all__ if name[0].isupper()],
    {
        "mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError, "MAPE": MeanAbsolutePercentageError,
        "msle": MeanSquaredLogarithmicError, "MSLE": MeanSquaredLogarithmicError,
        "bce": BinaryCrossentropy, "BCE": BinaryCrossentropy,
    },
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return a metric from its name, class, config, function or other callable, or the object itself.

    None stays None; the class of a callable is called first.

    Raises:
        ValueError: an unknown name.
        ArgumentError: something that is no metric at all.
    """
    found = _TABLE.get(identifier)
    if isinstance(found, type) and makes_callables(found):
        found = found()
    if found is not None and (not callable(found) or isinstance(found, type)):
        raise ArgumentError(
            f"Could not interpret metric identifier: {identifier!r}. Expected a name, a Metric or a function of "
            "(y_true, y_pred)."
        )
    return found


def makes_callables(kind: type) -> bool:
    """Whether the objects of a class can be called: those of metrics, and of classes with a `__call__`."""
    return any("__call__" in vars(base) for base in kind.__mro__)


def resolve(
    identifier: Any,
    y_true_shape: Sequence[int | None] | None = None,
    y_pred_shape: Sequence[int | None] | None = None,
) -> Metric:
    """Return the `Metric` that a model is compiled with, under the name that the user wrote.

    As `get`, but callables become objects, named in Keras's snake case, and `"accuracy"` or `"acc"`
    (`"crossentropy"` or `"ce"`) is the binary, sparse or categorical kind that fits the shapes.

    Raises:
        ValueError: an unknown name.
        TypeError: no metric.
    """
    kinds = _KINDS.get(identifier.lower()) if isinstance(identifier, str) else None
    if kinds and y_pred_shape is not None:
        return kinds[kind_of_targets(y_true_shape or (), y_pred_shape)](name=identifier)
    found = get(identifier)
    if found is None:
        raise TypeError("Metric: expected a name, a Metric or a function of (y_true, y_pred), received None.")
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=object_name(found))
    if isinstance(identifier, str):
        found.name = identifier
    return found


_ACCURACIES = {
    "binary": BinaryAccuracy, "sparse": SparseCategoricalAccuracy, "categorical": CategoricalAccuracy
}  # fmt: skip
_CROSSENTROPIES = {
    "binary": BinaryCrossentropy, "sparse": SparseCategoricalCrossentropy, "categorical": CategoricalCrossentropy
}  # fmt: skip
_KINDS = {"accuracy": _ACCURACIES, "acc": _ACCURACIES, "crossentropy": _CROSSENTROPIES, "ce": _CROSSENTROPIES}


deserialize = deserializer(get)
refuse_other_names(__name__, __all__)
