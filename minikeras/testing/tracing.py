"""`testing.trace`: every array of one batch's way through a model of ours or of Keras, forward and backward."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import losses
from ..common.tree import pack
from ..inspecting.run import Run, unfused, without_gradients
from ..layers.base import Layer
from ..layers.core import Input
from ..models import Model
from .records import (
    Trace,
    as_list,
    by_place,
    is_keras,
    losses_for,
    names_of,
    randomized,
    streams,
    traced_calls,
    traced_layers,
)
from .tracing_keras import trace_keras


def trace(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    training: bool = True,
    randomize: bool = True,
    step: bool = False,
    seed: int = 0,
    to_file: Any = None,
) -> Trace:
    """Run one batch through a model or a layer, forward and backward, and record every array on the way.

    The model is left as it was: weights, gradients, random streams.

    Args:
        model: a model or a layer of this library or of Keras (with the TensorFlow backend).
        x: a batch; a list of arrays where the model has several inputs, or a dictionary by the names of their layers.
        y: the targets, likewise; where None, the gradient at the output is random, and there is no loss.
        loss: a name or a loss of either library, a list or a dictionary of them, one for each output; where None, what
            the model was compiled with.
        training: whether Dropout and its like are active.
        randomize: for this pass, replace weights that are all 0 or all 1 by random numbers, as zeros hide errors.
        step: also record the weights after one step of the model's optimizer; needs `y` and a compiled model.
        seed: of everything random here.
        to_file: write the trace to this `.npz` file.

    Raises:
        ValueError, TypeError: something that is no model; a target without a loss; a step without `compile`.
    """
    check_request(model, y, loss, step, "trace")
    record = trace_keras if is_keras(model) else _trace_own
    made = record(model, x, y, loss, training, randomize, step, np.random.default_rng(seed))
    if to_file is not None:
        made.save(to_file)
    return made


def check_request(model: Any, y: Any, loss: Any, step: bool, caller: str) -> None:
    """Raise where a model can't be traced as asked."""
    if not (is_keras(model) or isinstance(model, Layer)):
        raise TypeError(f"{caller}: expected a model or a layer, ours or Keras's, received {model!r}.")
    compiled = getattr(model, "compiled", False)
    if step and (y is None or not compiled):
        raise ValueError(f"{caller}: step=True needs targets `y`, and compile() called on {model.name!r}.")
    if y is not None and loss is None and not (compiled and getattr(model, "loss", None) is not None):
        raise ValueError(f"{caller}: with targets `y`, pass `loss`, or compile {model.name!r} with one.")


def _trace_own(
    model: Layer, x: Any, y: Any, loss: Any, training: bool, randomize: bool, step: bool, generator: Any
) -> Trace:
    model = as_model(model, x)
    xs, ys = by_place(x, names_of(model.inputs)), by_place(y, names_of(model.outputs))
    graph = unfused(model)
    layers = list(dict.fromkeys(layer for layer, _ in graph.steps))
    with restored(layers), np.errstate(all="ignore"):
        if randomize:
            for v in dict.fromkeys(v for layer in layers for v in layer.weights):
                v.assign(randomized(v.value, generator))
        weights = [layer.get_weights() for layer in layers]
        seeds = [[s.state.copy() for s in streams(layer)] for layer in layers]
        xs = [np.ascontiguousarray(np.asarray(a), dtype=model.dtype) for a in xs]
        run = Run(graph, xs, training)
        states = [[None if v.trainable else v.numpy() for v in layer.weights] for layer in layers]
        outputs = [run.values[end] for end in graph.ends]
        value, dys, configs = own_loss(losses_for(loss, model, "minikeras", outputs), ys, outputs)
        if not configs:
            dys = [generator.normal(size=o.shape).astype(o.dtype) for o in outputs]
        run.backward(dys if isinstance(graph.outputs, list) else dys[0], graph.needed(wants_dx=True))
        gradients = [[v.gradient.copy() if v.trainable else None for v in layer.weights] for layer in layers]
        after = own_step(model, weights, seeds, xs, ys) if step else [[] for _ in layers]
    calls = traced_calls(
        run.calls,
        [[run.values[p] for p in call.inputs] for call in run.calls],
        [[run.values[call.output]] for call in run.calls],
        [[dy] for dy in run.dy],
        [[None] * len(call.inputs) if dx is None else dx for dx, call in zip(run.dx, run.calls, strict=True)],
    )
    kept = traced_layers(layers, weights, gradients, states, after, seeds)
    return Trace("minikeras", training, xs, ys, configs, value, outputs, dys, calls, kept)


def as_model(layer: Layer, x: Any) -> Model:
    """Return a built model: the model itself, or a layer as the only one of a model."""
    if isinstance(layer, Model):
        if not layer.built:
            layer.build(np.shape(x))
        return layer
    inputs = [Input(np.shape(a)[1:]) for a in as_list(x)]
    return Model(inputs, layer(inputs if layer.joins else inputs[0]), name="alone")


@contextlib.contextmanager
def restored(layers: Sequence[Layer]) -> Iterator[None]:
    """Begin with gradients of 0; give weights, gradients and random streams back as they were."""
    values = [(v, v.numpy()) for v in dict.fromkeys(v for layer in layers for v in layer.weights)]
    states = [(layer, [s.state.copy() for s in streams(layer)]) for layer in layers]
    try:
        with without_gradients(layers):
            yield
    finally:
        for v, value in values:
            v.assign(value)
        for layer, each in states:
            rewind(layer, each)


def rewind(layer: Layer, states: Sequence[np.ndarray]) -> None:
    """Set a layer's random streams to these states."""
    for stream, state in zip(streams(layer), states, strict=False):
        stream.state[...] = state


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
    layers = list(dict.fromkeys(layer for layer, _ in twin._built_graph().steps))
    for layer, values, states in zip(layers, weights, seeds, strict=True):
        layer.set_weights(values)
        rewind(layer, states)
    twin.compile_from_config(twin.get_compile_config() or {})
    twin.train_on_batch(pack(twin.input, xs), pack(twin.output, ys))
    return [layer.get_weights() for layer in layers]
