"""A record of one batch's way through a model, and what models of ours and of Keras are both asked for it."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..layers.symbols import Symbol

FORMAT = "minikeras trace 1"


class TracedCall(NamedTuple):
    """What one call of a layer took and returned; gradients are None where none flows."""

    name: str
    class_name: str
    layer: int  # its place in `Trace.layers`
    inputs: list[Any]
    outputs: list[Any]
    dy: list[Any]
    dx: list[Any]


class TracedLayer(NamedTuple):
    """A layer's weights before the pass, their gradients, what forward made of the others, and after a step all."""

    name: str
    names: list[str]
    weights: list[Any]
    gradients: list[Any]  # None where not trainable
    after_forward: list[Any]  # None where trainable
    after_step: list[Any]  # empty where no step was asked for
    seeds: list[Any]  # the states of its random streams


class Trace(NamedTuple):
    """All that happened in one pass of a batch through a model, forward and backward; made by `testing.trace`.

    Attributes:
        library: "keras" or "minikeras".
        training: whether Dropout and its like were active.
        x, y: the batch: lists of arrays, one per input and output; y is empty where there was no target.
        loss: the config of each output's loss; empty where the gradient at the output is random.
        loss_value: their sum.
        outputs, dy: the model's outputs and d loss / d output.
        calls, layers: what each layer did.
    """

    library: str
    training: bool
    x: list[Any]
    y: list[Any]
    loss: list[Any]
    loss_value: float
    outputs: list[Any]
    dy: list[Any]
    calls: list[TracedCall]
    layers: list[TracedLayer]

    def save(self, path: Any) -> None:
        """Write the trace to an `.npz` file: the arrays, and a text that says which is which."""
        import json

        arrays: dict[str, Any] = {}

        def without_arrays(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                arrays[f"a{len(arrays)}"] = value
                return {"array": f"a{len(arrays) - 1}"}
            return [without_arrays(v) for v in value] if isinstance(value, (list, tuple)) else value

        text = json.dumps({"format": FORMAT, "trace": without_arrays(self)})
        with open(path, "wb") as file:  # a name as it was given: np.savez would append .npz
            np.savez_compressed(file, **arrays, text=np.array(text))

    @classmethod
    def load(cls, path: Any) -> "Trace":
        """Read a file that `save` wrote.

        Raises:
            ValueError: another kind of file.
        """
        import json

        with np.load(path, allow_pickle=False) as arrays:
            described = json.loads(str(arrays["text"])) if "text" in arrays else {}
            if described.get("format") != FORMAT:
                raise ValueError(f"{os.fspath(path)!r} holds no trace of a model: make one with testing.trace.")

            def with_arrays(value: Any) -> Any:
                if isinstance(value, dict) and set(value) == {"array"}:
                    return arrays[value["array"]]
                return [with_arrays(v) for v in value] if isinstance(value, list) else value

            *rest, calls, layers = with_arrays(described["trace"])
        rest += [TracedCall(*c) for c in calls], [TracedLayer(*v) for v in layers]
        return cls(*rest)


def traced_calls(calls: Sequence[Any], *columns: Sequence[list[Any]]) -> list[TracedCall]:
    """Return the records of calls, of whose inputs, outputs, dy and dx there is a column each."""
    layers = layers_of(calls)
    return [
        TracedCall(call.name, type(call.layer).__name__, layers.index(call.layer), *rest)
        for call, *rest in zip(calls, *columns, strict=True)
    ]


def traced_layers(layers: Sequence[Any], *columns: Sequence[list[Any]]) -> list[TracedLayer]:
    """Return the records of layers, with a column for each of their attributes from `weights` on."""
    return [
        TracedLayer(layer.name, [v.name for v in weights_of(layer)], *rest)
        for layer, *rest in zip(layers, *columns, strict=True)
    ]


# ---- two libraries ----


def is_keras(model: Any) -> bool:
    """Whether an object's class comes from Keras, or derives from one that does."""
    return any(cls.__module__.partition(".")[0] == "keras" for cls in type(model).__mro__)


def as_list(value: Any) -> list[Any]:
    """Return one array, or several in a list or tuple, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) and any(hasattr(v, "shape") for v in value) else [value]


def by_place(given: Any, names: list[str]) -> list[Any]:
    """Return arrays as a list: those of a dictionary in the order of these names, or, under other keys, sorted."""
    if not isinstance(given, dict):
        return as_list(given)
    return [given[name] for name in (names if set(names) <= set(given) else sorted(given))]


def names_of(symbols: list[Any]) -> list[str]:
    """Return the names of the layers that made symbols of either library."""
    return [s.layer.name if isinstance(s, Symbol) else s._keras_history.operation.name for s in symbols]


def layers_of(calls: Sequence[Any]) -> list[Any]:
    """Return the layers that are called, each once, in the order of their first calls."""
    return list({id(call.layer): call.layer for call in calls}.values())


def weights_of(layer: Any) -> list[Any]:
    """Return a layer's weights; an operation of Keras that is no layer has none."""
    return list(getattr(layer, "weights", ()))


def streams(layer: Any) -> list[Any]:
    """Return the random streams that a layer of either library holds."""
    return [value for value in vars(layer).values() if type(value).__name__ == "SeedGenerator"]


def randomized(value: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return random numbers in the place of a weight whose numbers are all the same."""
    if value.dtype.kind != "f" or not value.size or value.min() != value.max():
        return value
    if value.flat[0] == 1:  # a scale or a variance, which stays positive
        return generator.uniform(0.5, 1.5, value.shape).astype(value.dtype)
    return (value + generator.uniform(-0.5, 0.5, value.shape)).astype(value.dtype)


def losses_for(loss: Any, model: Any, library: str, outputs: list[Any]) -> list[Any]:
    """Return one loss per output, in the form of this library."""
    loss = loss if loss is not None else getattr(model, "loss", None)
    if loss is None:
        return []
    chosen = by_place(loss, names_of(model.outputs)) if isinstance(loss, dict) else loss
    chosen = list(chosen) if isinstance(chosen, (list, tuple)) else [chosen] * len(outputs)
    return [converted(one, library) for one in chosen]


def converted(loss: Any, library: str) -> Any:
    """Return a loss of either library as one of this library."""
    if library == "minikeras":
        if is_keras(loss) or getattr(loss, "__module__", "").startswith("keras."):
            import keras

            loss = losses.deserialize(keras.losses.serialize(loss))
        return loss
    import keras

    if not (is_keras(loss) or getattr(loss, "__module__", "").startswith("keras.")):
        loss = keras.losses.deserialize(losses.serialize(losses.as_loss(loss)))
    if isinstance(loss, keras.losses.Loss):
        return loss
    return lambda y, p: keras.ops.mean(loss(y, p))
