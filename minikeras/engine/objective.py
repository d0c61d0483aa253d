"""What a model is trained for: the losses of its outputs, their weights, and the metrics.

    L  = sum of weight_i * loss_i(y_i, z_i)        over the outputs that have a loss
    dz = [weight_i * d loss_i / d z_i, ...]        None for the others

Of one output that is L = loss(y, z).  Keras's counterpart: `CompileLoss` and `CompileMetrics`.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations, functional
from ..common.tree import Bundle
from ..layers.activated import ActivatedLayer
from ..layers.core import as_matrix
from ..losses import Loss, SparseCategoricalCrossentropy
from ..metrics import Mean, Metric, resolve
from .compile_arguments import labels_of, loss_names_of, loss_of, loss_weights_of, losses_of, metrics_of

CLASSES = np.dtype("int64")


class Head:
    """What becomes of one output in a step: the loss, its gradient, and the predictions that metrics see.

    Args:
        loss: of the output; or of what enters the last activation, where `function` is given.
        function: the last activation, which the model then leaves out.
    """

    def __init__(self, loss: Loss, function: Any = None):
        self.loss, self.function = loss, function

    def predictions(self, z: np.ndarray) -> np.ndarray:
        """Return what the model predicts."""
        return z if self.function is None else self.function(z)

    def value(self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, np.ndarray]:
        """Return the loss and the predictions."""
        return self.loss(y, z, sample_weight), self.predictions(z)

    def value_and_gradient(
        self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss, its gradient by z, and the predictions."""
        return *self.loss.value_and_gradient(y, z, sample_weight), self.predictions(z)


class SoftmaxCrossentropy(Head):
    """A softmax and the crossentropy of integer classes, in one pass; see `functional.crossentropy`."""

    def value(self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, np.ndarray]:
        value, _, p = self.value_and_gradient(y, z, sample_weight)
        return value, p

    def value_and_gradient(
        self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        rows = as_matrix(z)
        shape, dtype = rows.shape, z.dtype
        values, p, dz = np.empty(shape[0], dtype), np.empty(shape, dtype), np.empty(shape, dtype)
        classes = y if y.dtype is CLASSES and y.ndim == 1 else y.reshape(-1).astype(np.int64)
        value = functional.crossentropy.softmax_crossentropy(values, p, dz, rows, classes)
        if rows is not z:
            p, dz = p.reshape(z.shape), dz.reshape(z.shape)
        if sample_weight is None:
            return value, dz, p
        value, weights, _ = self.loss.reduced(values.reshape(z.shape[:-1]), sample_weight)
        if weights is not None:
            dz *= np.broadcast_to(weights, z.shape[:-1])[..., None]
        return value, dz, p


def paired(loss: Any, last: Any) -> Head:
    """Return what a loss and the last layer of a model become.

    A crossentropy and the softmax or sigmoid before it have a simpler derivative together, and nothing to clip.
    """
    function: Any = last.function if isinstance(last, ActivatedLayer) else None
    bound: tuple[Any, dict[str, Any]] | None = getattr(function, "bound_from", None)  # a softmax along another axis
    origin, options = bound or (function, {})
    if origin not in (activations.softmax, activations.sigmoid):
        return Head(loss)
    units = last.nodes[-1].output.shape[options.get("axis", -1)]
    on_logits = loss.on_logits(origin.__name__, units, last.dtype)
    if on_logits is None:
        return Head(loss)
    if function is activations.softmax and units == 1:
        return Head(on_logits, _softmax_of_one)
    if (
        function is activations.softmax
        and type(loss) is SparseCategoricalCrossentropy
        and loss.averages
        and loss.axis == -1  # type: ignore[attr-defined]
    ):
        return SoftmaxCrossentropy(on_logits, function)
    return Head(on_logits, function)


def _softmax_of_one(z: np.ndarray) -> np.ndarray:
    """Return 1 for each number, without the warning of `activations.softmax`: the loss has already warned."""
    return np.exp(z - z)


class Objective:
    """Losses and metrics, chosen when the first batch shows the shapes of the targets.

    Args:
        arguments: of `compile`: loss, loss_weights, metrics, weighted_metrics.
        structure: of the model's outputs.
        names: of the layers that compute them.
        y: a batch of targets; a `Bundle` for several outputs, with None where there are none.
        shapes: of the outputs.

    Attributes:
        graph: what it is `paired` with.
        logits: see `Graph.without_activation`.

    Raises:
        ValueError, TypeError: arguments that don't fit the outputs, or each other.
    """

    graph: Any = None
    logits: tuple[int, ...] = ()

    def __init__(self, arguments: dict[str, Any], structure: Any, names: Sequence[str], y: Any, shapes: list[Any]):
        self._alone = len(names) == 1 and not isinstance(structure, dict)
        self._labels = labels = labels_of(structure, names)
        targets = [y.shape] if self._alone else y.shape
        batches = [(len(y), *shape[1:]) for shape in shapes]
        given = losses_of(arguments["loss"], structure, names)
        #: The weights of the losses; Python's numbers, with which arrays keep their float type.
        self._weights = loss_weights_of(arguments["loss_weights"], arguments["loss"], structure, names)
        self.losses: dict[int, Any] = {
            i: loss_of(loss, targets[i], batches[i]) for i, loss in given.items() if targets[i] is not None
        }
        lacking = [labels[i] for i in given if i not in self.losses]
        if lacking:
            raise ValueError(f"y: the output {lacking[0]!r} has a loss, but no targets.")
        self.check_targets(y, shapes)
        #: The mean of each loss, without its weight; a single one is the whole loss already.  As in tf.keras a mean
        #: over batches, whatever their sizes, where that of the whole loss is one over samples.
        self._trackers = {i: Mean(name=name) for i, name in loss_names_of(self.losses, structure, names).items()}
        self._metrics: list[tuple[int, Metric, bool]] = []  # number of the output, metric, whether it is weighted
        for argument in ("metrics", "weighted_metrics"):
            for i, identifiers in metrics_of(arguments[argument], structure, names, argument):
                for identifier in identifiers:
                    if targets[i] is None:
                        raise ValueError(f"y: the output {labels[i]!r} has metrics, but no targets.")
                    metric = resolve(identifier, targets[i], batches[i])
                    self._metrics.append((i, metric, argument != "metrics"))

    def paired(self, graph: Any) -> "Objective":
        """Return the same for a graph, whose last layers decide what the losses are computed from."""
        self = copy.copy(self)
        self._heads = {i: paired(loss, graph.lasts[i]) for i, loss in self.losses.items()}
        behind = [i in self._heads and self._heads[i].function is not None for i in range(len(graph.lasts))]
        for i, metric, _ in self._metrics:
            metric.look_behind_activation(behind[i], graph.lasts[i].dtype if behind[i] else None)
        self.graph, self.logits = graph, graph.without_activation(behind)
        #: The only output's, where there is nothing to add up.
        self._head = self._heads[0] if self._alone and not (self._weights or self._trackers) else None
        return self

    def check_targets(self, y: Any, shapes: list[Any]) -> None:
        """Raise ValueError or TypeError where targets cannot belong to their output, of such a shape."""
        for i, loss in self.losses.items():
            try:
                loss.check_targets(self._part(y, i), shapes[i])
            except (ValueError, TypeError) as error:
                if self._alone:
                    raise
                raise type(error)(f"Output {self._labels[i]!r}: {error}") from error

    def _part(self, arrays: Any, i: int) -> Any:
        """Return an output's own of several arrays; of sample weights those of all, where they aren't several."""
        return arrays.arrays[i] if type(arrays) is Bundle else arrays

    def value(self, y: Any, z: Any, sample_weight: Any) -> tuple[float, Any]:
        """Return L and the predictions."""
        if self._head is not None:
            return self._head.value(y, z, sample_weight)
        predictions = [z] if self._alone else list(z)
        total = 0.0
        for i, head in self._heads.items():
            value, predictions[i] = head.value(self._part(y, i), predictions[i], self._part(sample_weight, i))
            total += self._weighted(i, value)
        return total, predictions[0] if self._alone else Bundle(predictions)

    def value_and_gradient(self, y: Any, z: Any, sample_weight: Any) -> tuple[float, Any, Any]:
        """Return L, dz and the predictions."""
        if self._head is not None:
            return self._head.value_and_gradient(y, z, sample_weight)
        predictions = [z] if self._alone else list(z)
        gradients: list[Any] = [None] * len(predictions)
        total = 0.0
        for i, head in self._heads.items():
            value, dz, predictions[i] = head.value_and_gradient(
                self._part(y, i), predictions[i], self._part(sample_weight, i)
            )
            gradients[i] = dz * self._weights[i] if i in self._weights else dz
            total += self._weighted(i, value)
        return (total, gradients[0], predictions[0]) if self._alone else (total, gradients, Bundle(predictions))

    def _weighted(self, i: int, value: float) -> float:
        if i in self._trackers:
            self._trackers[i].add(value, 1)
        return value * self._weights.get(i, 1.0)

    # ---- metrics ----

    def update_metrics(self, y: Any, z: Any, y_pred: Any, sample_weight: Any, buffered: bool) -> None:
        """Let the metrics see a batch; where `buffered`, they may look at it later, as it stays as it is."""
        metric: Any
        for i, metric, weighted in self._metrics:
            y_i, y_pred_i = (y, y_pred) if self._alone else (y.arrays[i], y_pred.arrays[i])
            weights = self._part(sample_weight, i) if weighted else None
            if metric.takes_logits:
                metric.update_from_logits(y_i, z if self._alone else z[i], weights)
            elif weighted:
                metric.update_state(y_i, y_pred_i, weights)
            elif buffered:
                metric.update_buffered(y_i, y_pred_i)
            else:
                metric.update_state(y_i, y_pred_i)

    @property
    def metrics(self) -> list[Metric]:
        """The running means of the losses, where there are several, and the metrics."""
        return [*self._trackers.values(), *(metric for _, metric, _ in self._metrics)]

    def named_metrics(self) -> dict[str, Metric]:
        """Return the same by the names that histories have, in the order in which `evaluate` returns them."""
        named: dict[str, Metric] = {}
        seen = {"loss": 1}
        for i, metric, weighted in self._metrics:
            prefix = "" if len(self._labels) == 1 else f"{self._labels[i]}_"
            name = prefix + metric.name
            if weighted and name in seen:
                name = f"{prefix}weighted_{metric.name}"
            count = seen.get(name, 0)
            seen[name] = count + 1
            named[f"{name}_{count}" if count else name] = metric
        ordered = named if len(self._labels) == 1 else dict(sorted(named.items()))
        return {**{tracker.name: tracker for tracker in self._trackers.values()}, **ordered}
