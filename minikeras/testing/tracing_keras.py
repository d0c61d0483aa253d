"""The record of a model of Keras: TensorFlow's GradientTape tells what its layers return to each other."""

from typing import Any

import numpy as np

from .. import losses
from .keras_graph import keras_graph
from .records import (
    Trace,
    as_list,
    by_place,
    converted,
    layers_of,
    losses_for,
    names_of,
    randomized,
    streams,
    traced_calls,
    traced_layers,
    weights_of,
)


def trace_keras(
    model: Any, x: Any, y: Any, loss: Any, training: bool, randomize: bool, step: bool, generator: Any
) -> Trace:
    """Do as `tracing.trace`, for a model of Keras."""
    import keras
    import tensorflow as tf
    from keras import tree

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "trace: a model of Keras is traced with TensorFlow's GradientTape; set KERAS_BACKEND=tensorflow."
        )
    if not hasattr(model, "layers"):
        inputs = [keras.Input(np.shape(a)[1:]) for a in as_list(x)]
        model = keras.Model(inputs, model(inputs if isinstance(x, (list, tuple)) else inputs[0]))
    if not model.built:
        model.build(np.shape(x))
    xs, ys = by_place(x, names_of(model.inputs)), by_place(y, names_of(model.outputs))
    graph = keras_graph(model)
    layers = layers_of(graph.calls)
    variables = list({id(v): v for v in [*model.variables, *(s.state for v in layers for s in streams(v))]}.values())
    before = [v.numpy() for v in variables]
    try:
        if randomize:
            for v in model.weights:
                v.assign(randomized(v.numpy(), generator))
        weights = [[v.numpy() for v in weights_of(layer)] for layer in layers]
        seeds = [[s.state.numpy() for s in streams(layer)] for layer in layers]
        with tf.GradientTape() as tape:
            values: list[Any] = [
                tf.convert_to_tensor(np.asarray(a, s.dtype)) for a, s in zip(xs, model.inputs, strict=True)
            ]
            values += [None] * (graph.size - len(values))
            tape.watch([v for v in values[: len(xs)] if v.dtype.is_floating])
            inputs = []
            for call in graph.calls:
                # A copy for each that takes it: so its gradient is this call's share of the sum.
                inputs.append([tf.identity(values[p]) for p in call.inputs])
                copies, given = iter(inputs[-1]), call.node.arguments
                arguments, options = tree.map_structure(
                    lambda a, copies=copies: next(copies) if isinstance(a, keras.KerasTensor) else a,
                    (given.args, given.kwargs),
                )
                if getattr(call.layer, "_call_has_training_arg", False):
                    options["training"] = training
                made = tree.flatten(call.layer(*arguments, **options))
                for place, value in zip(call.outputs, made, strict=True):
                    values[place] = value
            # A copy has no logits attached: the loss is taken from the output itself, as for ours.
            outputs = [tf.identity(values[p]) for p in graph.outputs]
            states = [[None if v.trainable else v.numpy() for v in weights_of(layer)] for layer in layers]
            functions = losses_for(loss, model, "keras", outputs) if ys else []
            if functions:
                total = tf.add_n(
                    [tf.convert_to_tensor(f(t, o)) for f, t, o in zip(functions, ys, outputs, strict=True)]
                )
            else:
                random_dy = [generator.normal(size=o.shape).astype(o.dtype.as_numpy_dtype) for o in outputs]
                total = tf.add_n([tf.reduce_sum(d * o) for d, o in zip(random_dy, outputs, strict=True)])
        sources = [outputs, inputs, [[values[p] for p in c.outputs] for c in graph.calls]]
        parameters = [[v.value if v.trainable else None for v in weights_of(layer)] for layer in layers]
        dys, dxs, call_dys, gradients = _gradients(tape, total, [*sources, parameters])
        after = _keras_step(model, weights, seeds, xs, ys) if step else [[] for _ in layers]
    finally:
        for v, value in zip(variables, before, strict=True):
            v.assign(value)
    calls = traced_calls(
        graph.calls,
        [[v.numpy() for v in each] for each in inputs],
        [[values[p].numpy() for p in call.outputs] for call in graph.calls],
        call_dys,
        dxs,
    )
    kept = traced_layers(layers, weights, gradients, states, after, seeds)
    configs = [losses.serialize(converted(f, "minikeras")) for f in functions]
    results = [o.numpy() for o in outputs]
    ys = [np.asarray(a) for a in ys]
    return Trace("keras", training, [np.asarray(a) for a in xs], ys, configs, float(total), results, dys, calls, kept)


def _gradients(tape: Any, total: Any, sources: Any) -> Any:
    """Return d total / d source as arrays, in the same lists of lists; None where there is none."""
    import tensorflow as tf

    flat = [s if s is not None and s.dtype.is_floating else None for s in tf.nest.flatten(sources)]
    found = iter(tape.gradient(total, [s for s in flat if s is not None]))
    gradients = [None if s is None else next(found) for s in flat]
    arrays = [None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients]
    return tf.nest.pack_sequence_as(sources, arrays)


def _keras_step(model: Any, weights: list[Any], seeds: list[Any], xs: list[Any], ys: list[Any]) -> list[Any]:
    import keras
    from keras import tree

    twin = keras.models.clone_model(model)
    layers = layers_of(keras_graph(twin).calls)
    for layer, values, states in zip(layers, weights, seeds, strict=True):
        if values:
            layer.set_weights(values)
        for stream, state in zip(streams(layer), states, strict=True):
            stream.state.assign(state)
    twin.compile_from_config(model.get_compile_config())
    twin.run_eagerly = True
    if hasattr(twin, "_inputs_struct"):  # a functional model's; a Sequential has one of each
        xs, ys = (tree.pack_sequence_as(s, v) for s, v in ((twin._inputs_struct, xs), (twin._outputs_struct, ys)))
    else:
        xs, ys = xs[0], ys[0]
    twin.train_on_batch(xs, ys)
    return [layer.get_weights() for layer in layers]
