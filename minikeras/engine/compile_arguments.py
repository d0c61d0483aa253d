"""The arguments of `compile`: what they say for each output, what is wrong with them, and how a config writes them.

An output is meant by its number, its place in `tree.flatten`.  Users call it by its place in a list, by the name of
its layer, or by its key where the outputs are a dictionary; where these are nested, an argument has their structure.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import losses, metrics
from ..common.arguments import ArgumentError, is_number, shown
from ..common.names import did_you_mean
from ..common.serialization import custom_object, deserialize
from ..common.tree import flatten, is_nested, pack, paths


class UnknownOutput(KeyError, ValueError):
    """A loss for an output that the model has not."""

    __str__ = Exception.__str__  # that of KeyError would put the message in quotes


class SumOfLosses(losses.Loss):
    """The sum of several losses of one output.

    Args:
        parts: the losses, each with its own reduction.
    """

    def __init__(self, parts: Sequence[losses.Loss]):
        super().__init__(name="+".join(loss.name for loss in parts))
        self.parts = list(parts)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return sum(loss(y_true, y_pred, sample_weight) for loss in self.parts)

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
        each = [loss.value_and_gradient(y_true, y_pred, sample_weight) for loss in self.parts]
        return sum(value for value, _ in each), np.sum([gradient for _, gradient in each], axis=0)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        for loss in self.parts:
            loss.check_targets(y_true, output_shape)


def loss_of(given: Any, y_true_shape: Any, y_pred_shape: Any) -> losses.Loss | None:
    """Return the loss of an output, for targets and predictions of these shapes; the sum of those of a list."""
    if not is_nested(given):
        return losses.as_loss(given, y_true_shape, y_pred_shape)
    return SumOfLosses([loss for one in given if (loss := losses.as_loss(one, y_true_shape, y_pred_shape))])


def losses_of(loss: Any, structure: Any, names: Sequence[str]) -> dict[int, Any]:
    """Return the losses that `compile` was given: one of each output that has any, or a list of several."""
    given = {i: _alone(one) for i, one in _for_each(loss, structure, names, "loss").items()}
    return {i: one for i, one in given.items() if one is not None}


def loss_weights_of(weights: Any, loss: Any, structure: Any, names: Sequence[str]) -> dict[int, float]:
    """Return the weights of the losses; none for an output that was given none."""
    if is_nested(weights) and not isinstance(weights, dict):
        leaves = flatten(weights)
        if len(leaves) == len(flatten(loss)):
            weights = pack(loss, leaves)
    given = {} if weights is None else _for_each(weights, structure, names, "loss_weights")
    each = {i: _alone(weight) for i, weight in given.items()}
    if any(map(is_nested, each.values())):
        raise ValueError("compile: several losses of one output are weighted together, by a single number.")
    return {i: float(weight) for i, weight in each.items() if weight is not None}


def metrics_of(given: Any, structure: Any, names: Sequence[str], argument: str) -> list[tuple[int, list[Any]]]:
    """Return the metrics that `compile` was given."""
    if not given:
        return []
    if len(names) == 1:  # courses also write `metrics="accuracy"`
        return [(0, [m for m in flatten(given) if m is not None])]
    each = _for_each(given, structure, names, argument)
    return [(i, [m for m in flatten(each[i]) if m is not None]) for i in sorted(each)]


def labels_of(structure: Any, names: Sequence[str]) -> list[str]:
    """Return what the outputs are called: by their keys in a dictionary, or by their layers."""
    return sorted(structure) if isinstance(structure, dict) and len(structure) == len(names) else list(names)


def loss_names_of(given: dict[int, losses.Loss], structure: Any, names: Sequence[str]) -> dict[int, str]:
    """Return what the means of the losses are called, by the outputs' paths; none of a loss that is the only one.

    In a path, the name of the layer takes the place of a number at the end.
    """
    if sum(len(getattr(loss, "parts", [loss])) for loss in given.values()) < 2:
        return {}
    each = zip(paths(structure), names, strict=True)
    parts = [path if path and isinstance(path[-1], str) else (*path[:-1], name) for path, name in each]
    return {i: f"{'/'.join(map(str, parts[i]))}_loss" for i in given}


def _alone(given: Any) -> Any:
    """Return the only thing in nested lists; those that are several in a list; None for none."""
    leaves = [leaf for leaf in flatten(given) if leaf is not None]
    return leaves if len(leaves) > 1 else leaves[0] if leaves else None


def _for_each(given: Any, structure: Any, names: Sequence[str], argument: str) -> dict[int, Any]:
    """Return what an argument says for each output.

    Args:
        given: one value; a list in the order of the outputs; a dictionary by their names; or the outputs' structure.
        structure: of the model's outputs.
        names: of the layers that compute them.
        argument: what an error calls it.

    Raises:
        ValueError: another number of entries, or a name that no output has.
    """
    count, is_metrics = len(names), argument.endswith("metrics")
    if not is_nested(structure):
        return {0: _only(given, names[0], argument)}
    if not is_nested(given) and not is_metrics:
        return dict.fromkeys(range(count), given)
    if isinstance(given, dict) and not isinstance(structure, dict):
        if argument == "loss" and set(given) != set(names):
            lacking = [name for name in names if name not in given]
            hint = "None stands for none." if lacking else did_you_mean(next(n for n in given if n not in names), names)
            raise ValueError(f"Expected keys {list(names)} in loss dict, but found loss.keys()={list(given)}. {hint}")
        for name in given:
            if name not in names:
                raise _not_found(given, (name,), argument, structure, names, list(names))
        return {i: given[name] for i, name in enumerate(names) if name in given}
    if isinstance(given, (list, tuple)):
        if count == 1:
            return {0: given}
        is_flat = len(flatten(structure)) == len(structure)
        if len(given) == count and (is_flat or not (is_metrics or any(map(is_nested, given)))):
            return dict(enumerate(given))
    return dict(_walked(given, pack(structure, range(count)), (), argument, structure, names))


def _walked(
    given: Any, places: Any, path: tuple[Any, ...], argument: str, structure: Any, names: Sequence[str]
) -> Iterator[tuple[int, Any]]:
    """Yield (number of an output, what is given for it), in the order in which it is given.

    Args:
        given: has the form of `places`, or of its beginning; a flat list in the order of the outputs will do.
        places: the numbers of the outputs, in the form of the outputs.
        path: the keys that lead here.
        argument, structure, names: see `_for_each`.
    """
    numbers = flatten(places)
    if not is_nested(places):
        yield places, given
    elif isinstance(given, dict) and isinstance(places, dict):
        for key, part in given.items():
            if key not in places:
                raise _not_found(given, (*path, key), argument, structure, names, list(places))
            yield from _walked(part, places[key], (*path, key), argument, structure, names)
    elif isinstance(given, (list, tuple)) and len(given) == len(numbers) and not any(map(is_nested, given)):
        yield from zip(numbers, given, strict=True)
    elif isinstance(given, (list, tuple)) and not isinstance(places, dict) and len(given) == len(places):
        for i, part in enumerate(given):
            yield from _walked(part, places[i], (*path, i), argument, structure, names)
    elif given is not None:
        raise _not_found(given, path, argument, structure, names, [])


def _not_found(
    given: Any, path: tuple[Any, ...], argument: str, structure: Any, names: Sequence[str], known: list[str]
) -> ValueError:
    """Return the error for what is given for no output, or hasn't their structure; in Keras's words to begin with."""
    hint = did_you_mean(path[-1], known) if known else ""
    form = pack(structure, ["X"] * len(names)) if is_nested(structure) else "X"
    if argument == "loss":
        return UnknownOutput(
            f"The path: {path} in the `loss` argument, can't be found in either the model's output (`y_pred`) or in "
            f"the labels (`y_true`). The outputs are {form}; received loss={shown(given)}. {hint}"
        )
    what = "metrics objects" if argument.endswith("metrics") else "numbers"
    return ValueError(
        f"Invalid `{argument}`. `{argument}` should contain {what} and either be a dict or a list matching the output "
        f"names of the functional model {list(names)} or match the output structure of the model: {form}.\n"
        f"Received: {argument}={shown(given)} {hint}"
    )


def _only(given: Any, name: str, argument: str) -> Any:
    """Return what an argument says for a model whose only output is computed by the layer of this name."""
    if isinstance(given, dict):
        if list(given) != [name]:
            if argument == "loss":
                raise ValueError(f"Expected keys {[name]} in loss dict, but found loss.keys()={list(given)}.")
            raise ValueError(f"compile: {argument} names {list(given)}, but the model's only output is {name!r}.")
        return given[name]
    if isinstance(given, (list, tuple)) and len(flatten(given)) != 1:
        raise ValueError(f"compile: {argument} has {len(given)} entries, but the model has 1 output.")
    return given


def from_config(value: Any) -> Any:
    """Build the objects that an argument of `compile` consists of: one, or a list or dictionary of them."""
    if isinstance(value, list):
        return [from_config(v) for v in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {name: from_config(v) for name, v in value.items()}
    return (custom_object(value) or value) if isinstance(value, str) else deserialize(value)


def as_given(metrics: Any) -> Any:
    """Return metrics as a list, or as they were given where lists or dictionaries belong to several outputs."""
    return metrics if metrics is None or is_nested(metrics) else [metrics]


def is_by_shape(loss: Any) -> bool:
    """Whether the shapes of the targets will tell which of the three crossentropies is meant."""
    return isinstance(loss, str) and loss in ("crossentropy", "ce")


def check_order(optimizer: Any, loss_weights: Any) -> None:
    """Refuse a loss in the optimizer's place, and metrics in that of the weights of losses."""
    order = "The order is compile(optimizer, loss, loss_weights, metrics)"
    if isinstance(optimizer, losses.Loss) or (isinstance(optimizer, str) and losses.is_known(optimizer)):
        raise ArgumentError(f"compile: received the loss {shown(optimizer)} as `optimizer`. {order}.")
    for weight in flatten(loss_weights):
        if weight is not None and not is_number(weight):
            raise ArgumentError(
                f"compile: `loss_weights` are numbers, received {shown(weight)}. {order}; write metrics=..."
            )


def check_metric(identifier: Any) -> None:
    """Refuse an unknown name, and what is no metric, when `compile` is called, not at the first batch."""
    if isinstance(identifier, type) and metrics.makes_callables(identifier):
        return  # an object of it, made here, would take a name
    if not (isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc", "crossentropy", "ce")):
        metrics.get(identifier)
