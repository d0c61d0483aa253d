"""A record of one batch's way through a model of ours or of Keras: every array, forward and backward.

`lockstep` compares with it, users make one by `testing.trace`.  TensorFlow, whose GradientTape tells what Keras's
layers return to each other, where the model is Keras's.
"""

import contextlib
import copy
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..common.tree import pack
from ..inspecting.wiring import Run, as_list, wiring
from ..layers.base import Layer
from ..layers.core import Input
from ..layers.symbols import Symbol
from ..models import Model

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


def trace_own(
    model: Layer, x: Any, y: Any, loss: Any, training: bool, randomize: bool, step: bool, generator: Any
) -> Trace:
    """Do as `tracing.trace`, for a model of ours."""
    model = as_model(model, x)
    xs, ys = by_place(x, names_of(model.inputs)), by_place(y, names_of(model.outputs))
    wires = wiring(model)
    layers = layers_of(wires)
    with restored(layers):
        if randomize:
            for v in dict.fromkeys(v for layer in layers for v in layer.weights):
                v.assign(randomized(v.value, generator))
        weights = [[v.numpy() for v in layer.weights] for layer in layers]
        seeds = [[s.state.copy() for s in streams(layer)] for layer in layers]
        xs = [np.ascontiguousarray(np.asarray(a), dtype=model.dtype) for a in xs]
        with np.errstate(all="ignore"):
            run = Run(wires, xs, training)
            states = [[None if v.trainable else v.numpy() for v in layer.weights] for layer in layers]
            value, dys, configs = own_loss(losses_for(loss, model, "minikeras", run.outputs), ys, run.outputs)
            if not configs:
                dys = [generator.normal(size=o.shape).astype(o.dtype) for o in run.outputs]
            for layer in layers:
                for v in layer.trainable_weights:
                    v.gradient[...] = 0
            run.backward(dys)
        gradients = [[v.gradient.copy() if v.trainable else None for v in layer.weights] for layer in layers]
        after = own_step(model, weights, seeds, xs, ys) if step else [[] for _ in layers]
    calls = [
        TracedCall(
            call.name,
            type(call.layer).__name__,
            layers.index(call.layer),
            [run.values[p] for p in call.inputs],
            [run.values[p] for p in call.outputs],
            list(run.dy[i] or [None] * len(call.outputs)),
            list(run.dx[i] or [None] * len(call.inputs)),
        )
        for i, call in enumerate(wires.calls)
    ]
    traced = [
        TracedLayer(layer.name, [v.name for v in layer.weights], *rest)
        for layer, *rest in zip(layers, weights, gradients, states, after, seeds, strict=True)
    ]
    return Trace("minikeras", training, xs, ys, configs, float(value), run.outputs, list(dys), calls, traced)


# ---- two libraries ----


def is_keras(model: Any) -> bool:
    """Whether an object's class comes from Keras, or derives from one that does."""
    return any(cls.__module__.partition(".")[0] == "keras" for cls in type(model).__mro__)


def as_model(layer: Layer, x: Any) -> Model:
    """Return a built model: the model itself, or a layer as the only one of a model."""
    if isinstance(layer, Model):
        if not layer.built:
            layer.build(np.shape(x))
        return layer
    inputs = [Input(np.shape(a)[1:]) for a in as_list(x)]
    return Model(inputs, layer(inputs if layer.joins else inputs[0]), name="alone")


def by_place(given: Any, names: list[str]) -> list[Any]:
    """Return arrays as a list: those of a dictionary in the order of these names, or, under other keys, sorted."""
    if not isinstance(given, dict):
        return as_list(given)
    return [given[name] for name in (names if set(names) <= set(given) else sorted(given))]


def names_of(symbols: list[Any]) -> list[str]:
    """Return the names of the layers that made symbols of either library."""
    return [s.layer.name if isinstance(s, Symbol) else s._keras_history.operation.name for s in symbols]


def layers_of(wires: Any) -> list[Any]:
    """Return the layers that are called, each once, in the order of their first calls."""
    return list({id(c.layer): c.layer for c in wires.calls}.values())


def streams(layer: Any) -> list[Any]:
    """Return the random streams that a layer of either library holds."""
    return [value for value in vars(layer).values() if type(value).__name__ == "SeedGenerator"]


@contextlib.contextmanager
def restored(layers: list[Layer]) -> Iterator[None]:
    """Give weights, gradients and random streams back as they were."""
    variables = list(dict.fromkeys(v for layer in layers for v in layer.weights))
    saved = [(v, v.numpy(), None if v.gradient is None else v.gradient.copy()) for v in variables]
    states = [(s, s.state.copy()) for layer in layers for s in streams(layer)]
    try:
        yield
    finally:
        for v, value, gradient in saved:
            v.assign(value)
            if gradient is not None:
                v.gradient[...] = gradient
        for stream, state in states:
            stream.state[...] = state


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


def own_loss(functions: list[Any], ys: list[Any], outputs: list[Any]) -> tuple[float, list[Any], list[Any]]:
    """Return the sum of the losses, the gradient at each output, and the losses' configs; empty without targets."""
    if not ys or not functions:
        return 0.0, [], []
    functions = [losses.as_loss(f, np.shape(y), o.shape) for f, y, o in zip(functions, ys, outputs, strict=True)]
    pairs = [f.value_and_gradient(y, o) for f, y, o in zip(functions, ys, outputs, strict=True)]
    dtypes = [o.dtype for o in outputs]
    dys = [np.asarray(d, dtype) for (_, d), dtype in zip(pairs, dtypes, strict=True)]
    return float(sum(v for v, _ in pairs)), dys, [losses.serialize(f) for f in functions]


def own_step(model: Model, weights: list[Any], seeds: list[Any], xs: list[Any], ys: list[Any]) -> list[Any]:
    """Return all layers' weights after one step, taken by a copy of the model."""
    twin = copy.deepcopy(model)
    layers = layers_of(wiring(twin))
    for layer, values, states in zip(layers, weights, seeds, strict=True):
        layer.set_weights(values)
        for stream, state in zip(streams(layer), states, strict=False):
            stream.state[...] = state
    twin.compile_from_config(twin.get_compile_config() or {})
    twin.train_on_batch(pack(twin.input, xs), pack(twin.output, ys))
    return [layer.get_weights() for layer in layers]
