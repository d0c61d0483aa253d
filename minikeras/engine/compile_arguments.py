"""The arguments of `compile`: what they say for each output, what is wrong with them, and how a config writes them.

An output is meant by its number; users call it by its place in a list, by the name of its layer, or by its key where
the outputs are a dictionary.
"""

from collections.abc import Sequence
from typing import Any

from .. import losses, metrics
from ..common.arguments import ArgumentError, is_number, shown
from ..common.names import did_you_mean
from ..common.serialization import custom_object, deserialize
from ..common.tree import flatten, is_nested


def losses_of(loss: Any, structure: Any, names: Sequence[str]) -> dict[int, Any]:
    """Return the losses that `compile` was given."""
    given = _for_each(loss, structure, names, "loss", whole=True)
    return {i: one for i, one in given.items() if one is not None}


def loss_weights_of(weights: Any, structure: Any, names: Sequence[str]) -> dict[int, float]:
    """Return the weights of the losses; none for an output that was given none."""
    given = {} if weights is None else _for_each(weights, structure, names, "loss_weights", whole=True)
    return {i: float(weight) for i, weight in given.items() if weight is not None}


def metrics_of(given: Any, structure: Any, names: Sequence[str], argument: str) -> list[tuple[int, list[Any]]]:
    """Return the metrics that `compile` was given."""
    if not given:
        return []
    if len(names) == 1 and not isinstance(structure, dict):  # courses also write `metrics="accuracy"`
        return [(0, [m for m in flatten(given) if m is not None])]
    each = _for_each(given, structure, names, argument)
    return [(i, [m for m in flatten(each[i]) if m is not None]) for i in sorted(each)]


def labels_of(structure: Any, names: Sequence[str]) -> list[str]:
    """Return what the outputs are called: by their keys in a dictionary, or by their layers."""
    return sorted(structure) if isinstance(structure, dict) and len(structure) == len(names) else list(names)


def _for_each(given: Any, structure: Any, names: Sequence[str], argument: str, whole: bool = False) -> dict[int, Any]:
    """Return what an argument says for each output.

    Args:
        given: one value; a list in the order of the outputs; or a dictionary by their names.
        structure: of the model's outputs.
        names: of the layers that compute them.
        argument: what an error calls it.
        whole: whether a dictionary has to name all outputs, unless they are a dictionary themselves.

    Raises:
        ValueError: another number of entries, or a name that no output has.
    """
    if len(names) == 1 and not isinstance(structure, dict):
        return {0: _only(given, names[0], argument)}
    keys = labels_of(structure, names)
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


def _only(given: Any, name: str, argument: str) -> Any:
    """Return what an argument says for a model with one output, whose layer has this name."""
    if isinstance(given, dict):
        if list(given) != [name]:
            raise ValueError(f"compile: {argument} names {list(given)}, but the model's only output is {name!r}.")
        return given[name]
    if isinstance(given, (list, tuple)):
        if len(given) != 1:
            raise ValueError(f"compile: {argument} has {len(given)} entries, but the model has 1 output.")
        return given[0]
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
