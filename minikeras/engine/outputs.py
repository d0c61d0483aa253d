"""What becomes of several outputs in a step: a loss, its weight and metrics for each.

    L  = sum of weight_i * loss_i(y_i, z_i)        over the outputs that have a loss
    dz = [weight_i * d loss_i / d z_i, ...]        None for the others

Keras's counterpart: `CompileLoss` and `CompileMetrics`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import losses
from ..common.names import did_you_mean
from ..common.tree import Bundle, is_nested
from ..metrics import Mean, Metric, resolve
from .blocks import Scores, scores


def for_each(given: Any, structure: Any, names: Sequence[str], argument: str, whole: bool = False) -> dict[int, Any]:
    """Return what an argument of `compile` says for each output, by the output's number.

    Args:
        given: one value; a list in the order of the outputs; or a dictionary by their names.
        structure: of the model's outputs.
        names: of the layers that compute them.
        argument: what an error calls it.
        whole: whether a dictionary has to name all outputs, unless they are a dictionary themselves.

    Raises:
        ValueError: another number of entries, or a name that no output has.
    """
    keys = list(sorted(structure) if isinstance(structure, dict) and len(structure) == len(names) else names)
    if isinstance(given, dict):
        missing = [key for key in keys if key not in given] if whole and not isinstance(structure, dict) else []
        for name in given:
            if name not in keys:
                raise ValueError(
                    f"compile: {argument} has {name!r}, which no output is called. {did_you_mean(name, keys)}"
                )
        if missing:
            raise ValueError(f"compile: {argument} lacks the output {missing[0]!r}; None stands for none.")
        order = keys if not isinstance(structure, dict) else list(given)
        return {keys.index(name): given[name] for name in order if name in given}
    if isinstance(given, (list, tuple)) and len(given) == len(names):
        return dict(enumerate(given))
    if isinstance(given, (list, tuple)) or argument != "loss":
        raise ValueError(
            f"compile: {argument} must have an entry for each of the {len(names)} outputs ({', '.join(keys)}), in a "
            f"list or in a dictionary; received {given!r}."
        )
    return dict.fromkeys(range(len(names)), given)


class SeveralOutputs:
    """Losses and metrics of a model with several outputs.

    Args:
        arguments: of `compile`: loss, loss_weights, metrics, weighted_metrics.
        structure: of the model's outputs.
        names: of the layers that compute them.
        targets, shapes: of each output, the shape of a batch of targets (None where there are none), and its own.

    Raises:
        ValueError, TypeError: arguments that don't fit the outputs, or each other.
    """

    def __init__(
        self, arguments: dict[str, Any], structure: Any, names: Sequence[str], targets: list[Any], shapes: list[Any]
    ):
        labels = sorted(structure) if isinstance(structure, dict) and len(structure) == len(names) else list(names)
        given = losses_of(arguments["loss"], structure, names)
        factors = arguments["loss_weights"]
        factors = {} if factors is None else for_each(factors, structure, names, "loss_weights", whole=True)
        #: The weights of the losses; Python's numbers, with which arrays keep their float type.
        self.factors = {i: float(factor) for i, factor in factors.items() if factor is not None}
        self.losses = {
            i: losses.as_loss(loss, targets[i], shapes[i]) for i, loss in given.items() if targets[i] is not None
        }
        lacking = [labels[i] for i in given if i not in self.losses]
        if lacking:
            raise ValueError(f"y: the output {lacking[0]!r} has a loss, but no targets.")
        #: The mean of each loss, without its weight; a single one is the whole loss already.  As in tf.keras a mean
        #: over batches, whatever their sizes, where that of the whole loss is one over samples.
        self.trackers = {i: Mean(name=f"{labels[i]}_loss") for i in self.losses} if len(self.losses) > 1 else {}
        self.metrics: list[tuple[int, Metric, bool]] = []  # number of the output, metric, whether it is weighted
        self._labels = labels
        for argument in ("metrics", "weighted_metrics"):
            if arguments[argument]:
                wanted = for_each(arguments[argument], structure, names, argument)
                for i in sorted(wanted):
                    for identifier in _each(wanted[i]):
                        if targets[i] is None:
                            raise ValueError(f"y: the output {labels[i]!r} has metrics, but no targets.")
                        metric = resolve(identifier, targets[i], shapes[i])
                        self.metrics.append((i, metric, argument != "metrics"))

    def check_targets(self, y: Bundle, shapes: list[Any]) -> None:
        """Raise ValueError or TypeError where targets cannot belong to their output."""
        for i, loss in self.losses.items():
            try:
                loss.check_targets(y.arrays[i], shapes[i])
            except (ValueError, TypeError) as error:
                raise type(error)(f"Output {self._labels[i]!r}: {error}") from error

    def scores(self, lasts: Sequence[Any]) -> "SeveralScores":
        """Return what computes loss and gradients, given the last layer of each output; see `fusion.scores`."""
        chosen = {i: scores(loss, lasts[i]) for i, loss in self.losses.items()}
        for i, metric, _ in self.metrics:
            paired = i in chosen and chosen[i].function is not None
            metric.look_behind_activation(paired, lasts[i].dtype if paired else None)
        return SeveralScores(chosen, self.factors, self.trackers)

    def update(self, y: Bundle, z: list[np.ndarray], y_pred: Bundle, sample_weight: Any) -> None:
        """Let the metrics see a batch."""
        for i, metric, weighted in self.metrics:
            weights = weight_of(sample_weight, i) if weighted else None
            if metric.takes_logits:
                metric.update_from_logits(y.arrays[i], z[i], weights)
            elif weighted:
                metric.update_state(y.arrays[i], y_pred.arrays[i], weights)
            else:
                metric.update_state(y.arrays[i], y_pred.arrays[i])

    @property
    def all_metrics(self) -> list[Metric]:
        """The running means of the losses, and the metrics."""
        return [*self.trackers.values(), *(metric for _, metric, _ in self.metrics)]

    def named(self) -> dict[str, Metric]:
        """Return the same by the names that histories have, in the order in which `evaluate` returns them."""
        named: dict[str, Metric] = {}
        seen: dict[str, int] = {}
        for i, metric, weighted in self.metrics:
            name = f"{self._labels[i]}_{metric.name}"
            if weighted and name in seen:
                name = f"{self._labels[i]}_weighted_{metric.name}"
            seen[name] = seen.get(name, 0) + 1
            named[f"{name}_{seen[name] - 1}" if seen[name] > 1 else name] = metric
        return {**{tracker.name: tracker for tracker in self.trackers.values()}, **dict(sorted(named.items()))}


class SeveralScores(Scores):
    """The weighted sum of the losses of several outputs, its gradients, and the predictions.

    Args:
        each: by the number of the output.
        factors: the weights of the losses, likewise; 1 where there is none.
        trackers: of the losses, likewise.
    """

    def __init__(self, each: dict[int, Scores], factors: dict[int, float], trackers: dict[int, Mean]):
        self.each, self.factors, self.trackers = each, factors, trackers

    def chosen(self, count: int) -> list[bool]:
        """Return which of the outputs leave out their last activation."""
        return [i in self.each and self.each[i].function is not None for i in range(count)]

    def value(self, y: Bundle, z: list[np.ndarray], sample_weight: Any) -> tuple[float, Bundle]:
        """Return the loss and the predictions."""
        total, predictions = 0.0, list(z)
        for i, one in self.each.items():
            value, predictions[i] = one.value(y.arrays[i], z[i], weight_of(sample_weight, i))
            total += self._counted(i, value)
        return total, Bundle(predictions)

    def value_and_gradient(self, y: Bundle, z: list[np.ndarray], sample_weight: Any) -> tuple[float, list[Any], Bundle]:
        """Return the loss, its gradient by each z, and the predictions."""
        total, predictions, gradients = 0.0, list(z), [None] * len(z)
        for i, one in self.each.items():
            value, gradient, predictions[i] = one.value_and_gradient(y.arrays[i], z[i], weight_of(sample_weight, i))
            gradients[i] = gradient * self.factors[i] if i in self.factors else gradient
            total += self._counted(i, value)
        return total, gradients, Bundle(predictions)

    def _counted(self, i: int, value: float) -> float:
        if i in self.trackers:
            self.trackers[i].add(value, 1)
        return value * self.factors.get(i, 1.0)


class WeightedScores(Scores):
    """The scores of one output, whose loss has a weight."""

    def __init__(self, scores: Scores, factor: float):
        super().__init__(scores.loss, scores.function)
        self.scores, self.factor = scores, float(factor)

    def value(self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, np.ndarray]:
        """Return the loss and the predictions."""
        value, predictions = self.scores.value(y, z, sample_weight)
        return value * self.factor, predictions

    def value_and_gradient(
        self, y: np.ndarray, z: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss, its gradient by z, and the predictions."""
        value, gradient, predictions = self.scores.value_and_gradient(y, z, sample_weight)
        return value * self.factor, gradient * self.factor, predictions


def losses_of(loss: Any, structure: Any, names: Sequence[str]) -> dict[int, Any]:
    """Return the losses that `compile` was given, by the number of the output."""
    given = for_each(loss, structure, names, "loss", whole=True)
    return {i: one for i, one in given.items() if one is not None}


def only(given: Any, name: str, argument: str) -> Any:
    """Return what an argument of `compile` says for a model with one output, whose name is `name`."""
    if isinstance(given, dict):
        if list(given) != [name]:
            raise ValueError(f"compile: {argument} names {list(given)}, but the model's only output is {name!r}.")
        return given[name]
    if isinstance(given, (list, tuple)):
        if len(given) != 1:
            raise ValueError(f"compile: {argument} has {len(given)} entries, but the model has 1 output.")
        return given[0]
    return given


def weight_of(sample_weight: Any, i: int) -> np.ndarray | None:
    """Return the weights of an output's samples: its own, or those of all."""
    return sample_weight.arrays[i] if isinstance(sample_weight, Bundle) else sample_weight


def leaves(given: Any) -> list[Any]:
    """Return the losses or metrics in lists and dictionaries, in the order of their entries."""
    if isinstance(given, dict):
        given = list(given.values())
    return [leaf for part in given for leaf in leaves(part)] if is_nested(given) else [given]


def _each(metrics: Any) -> list[Any]:
    return [] if metrics is None else [m for m in leaves(metrics) if m is not None]


__all__ = ["SeveralOutputs", "SeveralScores", "WeightedScores", "for_each", "leaves", "losses_of", "only", "weight_of"]
