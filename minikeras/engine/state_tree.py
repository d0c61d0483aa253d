"""All numbers of a model by the paths of their variables: `Model.get_state_tree()`.

{"trainable_variables": {"sequential": {"dense": {"kernel": ..., "bias": ...}}},
 "non_trainable_variables": {}, "optimizer_variables": {"adam": {...}}, "metrics_variables": {...}}
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..common.names import did_you_mean


def variables_of(model: Any) -> dict[str, list[Any]]:
    """Return the variables of a model by their kind."""
    return {
        "trainable_variables": model.trainable_variables,
        "non_trainable_variables": model.non_trainable_variables,
        "optimizer_variables": [] if model.optimizer is None else list(model.optimizer.variables),
        "metrics_variables": model.metrics_variables,
    }


def get_state_tree(model: Any, value_format: str = "backend_tensor") -> dict[str, Any]:
    """Return the numbers of a model's variables, in dictionaries by the parts of their paths.

    Raises:
        ValueError: an unknown format; two variables of one path.
    """
    if value_format not in ("backend_tensor", "numpy_array"):
        raise ValueError(
            "Invalid `value_format` argument. Expected one of {'numpy_array', 'backend_tensor'}. Received: "
            f"value_format={value_format}"
        )
    return {kind: _tree(variables) for kind, variables in variables_of(model).items()}


def _tree(variables: list[Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for v in variables:
        *places, name = v.path.split("/")
        here = tree
        for place in places:
            here = here.setdefault(place, {})
        if name in here:
            raise ValueError(
                f"The following variable path is found twice in the model: '{v.path}'. `get_state_tree()` can only be "
                "called when all variable paths are unique. Make sure to give unique names to your layers (and other "
                "objects)."
            )
        here[name] = v.numpy()
    return tree


def set_state_tree(model: Any, state_tree: dict[str, Any]) -> None:
    """Copy numbers into a model's variables; those that the tree doesn't name stay as they are.

    Raises:
        ValueError: a name or a path that the model hasn't, or another shape; nothing has changed then.
    """
    known, assignments = variables_of(model), []
    for kind, tree in state_tree.items():
        if kind not in known:
            raise ValueError(f"Unknown variable name: {kind}. {did_you_mean(kind, known)}")
        by_path = {v.path: v for v in known[kind]}
        for path, value in _leaves(tree):
            if path not in by_path:
                raise ValueError(f"set_state_tree: no variable has the path {path!r}. {did_you_mean(path, by_path)}")
            if by_path[path].shape != np.shape(value):
                raise ValueError(
                    f"set_state_tree: {path!r} has shape {by_path[path].shape}, received {np.shape(value)}."
                )
            assignments.append((by_path[path], value))
    for variable, value in assignments:
        variable.assign(value)


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}/")
        else:
            yield f"{path}{name}", value
