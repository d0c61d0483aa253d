"""The `.h5` files of Keras 2, which Keras 3 still reads: a whole model, or weights alone.

    attributes        model_config, training_config (JSON), keras_version, backend
    model_weights/    attribute layer_names; in a file of weights alone, this is the top of the file
        dense/        attribute weight_names, such as ["sequential/dense/kernel", "sequential/dense/bias"]
            sequential/dense/kernel
    optimizer_weights/    attribute weight_names

Layers are matched by order, not by name.
"""

from typing import Any

import numpy as np

from ..common.budget import Budget
from ..common.files import replacing
from ..common.names import quoted
from ..common.serialization import serialize
from . import hdf5
from .archive import KERAS_VERSION, config_text, model_from_config, settle
from .hdf5 import Source
from .keras2 import compile_arguments, new_form
from .untrusted import ModelFileError, open_file, parse_config
from .weights import Assignments, Entry, OptimizerState, fill, listed, raise_or_warn

_HEADER_LIMIT = 64512  # bytes of attributes that fit into one object header of HDF5
_NAMES = 10_000  # of layers, and of a layer's weights

# Writing -----------------------------------------------------------------------------------------------------------


def save(model: Any, path: str, include_optimizer: bool = True) -> None:
    """Write a whole model.

    Raises:
        NotImplementedError: one that writes `call`, which these files can't describe.
    """
    if model.graph is None and model._writes_call:
        raise NotImplementedError(
            "Saving the model to HDF5 format requires the model to be a Functional model or a Sequential model. It "
            "does not work for subclassed models, because such models are defined via the body of a Python method, "
            "which isn't safely serializable. Consider saving to the Keras format, with `model.save('name.keras')`."
        )
    described = serialize(model)
    compiled = described.pop("compile_config", None) if include_optimizer else None
    texts = {"model_config": config_text(_old_form(described))}
    if compiled:
        arguments = {
            name: [_old_form(v) for v in value] if isinstance(value, list) else _old_form(value)
            for name, value in compiled.items()
        }
        arguments["optimizer_config"] = arguments.pop("optimizer")
        texts["training_config"] = config_text(arguments)

    def write(file: Any) -> None:
        for name, text in {"keras_version": KERAS_VERSION, "backend": "tensorflow", **texts}.items():
            file.attrs[name] = text.encode()
        _write_layers(file.create_group("model_weights"), model)
        if compiled:
            _write_arrays(file.create_group("optimizer_weights"), model.optimizer.variables)

    stored = hdf5.image(write)
    with replacing(path) as target:
        target.write(stored)


def save_weights(model: Any, path: str) -> None:
    """Write the weights alone."""
    stored = hdf5.image(lambda file: _write_layers(file, model))
    with replacing(path) as target:
        target.write(stored)


def _write_layers(group: Any, model: Any) -> None:
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", KERAS_VERSION.encode()
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _write_arrays(group.create_group(layer.name), _weights(layer))
    _write_arrays(group.create_group("top_level_model_weights"), [])


def _write_arrays(group: Any, variables: list[Any]) -> None:
    _write_names(group, "weight_names", [v.path for v in variables])
    for v in variables:
        group[v.path] = v.value


def _write_names(group: Any, name: str, texts: list[str]) -> None:
    data = [t.encode() for t in texts]
    pieces = -(-np.asarray(data).nbytes // _HEADER_LIMIT) if data else 1
    if pieces == 1:
        group.attrs[name] = data
        return
    for i, piece in enumerate(np.array_split(np.asarray(data), pieces + 1)):
        group.attrs[f"{name}{i}"] = piece


def _old_form(config: Any) -> Any:
    """Return the config of an object as Keras 2 writes it: class and arguments, and likewise a model's layers."""
    if not (isinstance(config, dict) and "class_name" in config):
        return config
    if config["class_name"] == "function":
        return config["config"]
    arguments = config["config"]
    if isinstance(arguments, dict) and isinstance(arguments.get("layers"), list):
        arguments = {**arguments, "layers": [_old_form(layer) for layer in arguments["layers"]]}
    calls = {key: config[key] for key in ("name", "inbound_nodes") if key in config}
    return {"class_name": config["registered_name"] or config["class_name"], "config": arguments, **calls}


# Reading -----------------------------------------------------------------------------------------------------------


def load(path: str, compile: bool, max_bytes: int) -> Any:
    """Read a whole model."""
    budget = Budget(max_bytes)
    with open_file(path) as file, Source(file, budget) as source:
        texts = source.texts(source.root, "model_config", 1)
        if not texts:
            holds_weights = is_legacy(source) or source.has(source.root, "layers")
            what = "weights only: build the model, and call `model.load_weights`" if holds_weights else "none"
            raise ModelFileError(f"expected a model in this file, found {what}.")
        config = new_form(parse_config(texts[0], max_bytes))
        said = source.texts(source.root, "training_config", 1) if compile else None
        training = parse_config(said[0], max_bytes) if said else None
        if training:
            config["compile_config"] = compile_arguments(training)
        model = model_from_config(config, compile, budget)
        group = source.group(source.root, "model_weights")
        if group is None:
            raise ModelFileError("the weights (group 'model_weights') are missing.")
        assignments = _matched(model, source, group, False, False)
        state = _optimizer_state(model, source, training.get("optimizer_config")) if training else None
        fill(assignments, state, source, fresh=True)
    settle(model)
    return model


def load_weights(model: Any, source: Source, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Fill a built model from the weights of a file of either kind; everything is compared before anything changes."""
    group = source.root
    if not _names_layers(source):
        group = source.group(source.root, "model_weights") or source.root
    fill(_matched(model, source, group, skip_mismatch, by_name), None, source, fresh=False)


def is_legacy(source: Source) -> bool:
    """Tell whether a file has this layout, whatever its name."""
    return source.has(source.root, "model_weights") or _names_layers(source)


def _names_layers(source: Source) -> bool:
    return any(source.has_texts(source.root, name) for name in ("layer_names", "layer_names0"))


def _matched(model: Any, source: Source, group: Any, skip_mismatch: bool, by_name: bool) -> Assignments:
    stored = []
    for name in _names(source, group, "layer_names"):
        layer_group = source.group(group, name)
        if layer_group is None:
            raise ModelFileError(f"the weights of layer {quoted(name)} are missing.")
        if names := _names(source, layer_group, "weight_names"):
            stored.append((name, layer_group, names))
    layers = [layer for layer in model.layers if _weights(layer)]
    if by_name:
        known = {layer.name: layer for layer in layers}
        pairs = [(known[name], place, names) for name, place, names in stored if name in known]
    elif len(stored) != len(layers):
        raise ModelFileError(
            f"the file has {len(stored)} layers with weights ({listed(name for name, _, _ in stored)}), the model has "
            f"{len(layers)} ({listed(layer.name for layer in layers)})."
        )
    else:
        pairs = [(layer, place, names) for layer, (_, place, names) in zip(layers, stored, strict=True)]
    assignments, problems = [], []
    for layer, place, names in pairs:
        variables = _weights(layer)
        try:
            if len(names) != len(variables):
                raise ModelFileError(
                    f"layer {quoted(layer.name)} has {len(variables)} weights, the file has {len(names)} "
                    f"({listed(names)})"
                )
            assignments += [(v, source.numbers(place, n, v.shape)) for v, n in zip(variables, names, strict=True)]
        except ModelFileError as error:
            problems.append((Entry("", layer.name, layer, variables), error))
    raise_or_warn(problems, skip_mismatch)
    return assignments


def _weights(layer: Any) -> list[Any]:
    """Return the weights in the order of these files: all that are trained, then the others."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _names(source: Source, owner: Any, name: str) -> list[str]:
    names = source.texts(owner, name, _NAMES)
    if names is not None:
        return names
    pieces: list[list[str]] = []
    while (piece := source.texts(owner, f"{name}{len(pieces)}", _NAMES)) is not None:
        pieces.append(piece)
    names = [n for piece in pieces for n in piece]
    if len(names) > _NAMES:
        raise ModelFileError(f"it names {len(names):,} layers or weights in one place, more than {_NAMES:,}.")
    return names


def _optimizer_state(model: Any, source: Source, config: Any) -> OptimizerState:
    group = source.group(source.root, "optimizer_weights")
    names: list[Any] = [] if group is None else [*_names(source, group, "weight_names")]
    if names and "use_ema" not in (config or {}).get("config", {}):
        names = _variable_by_variable(names, model)
    if not model.optimizer.slots():
        names = names[: len(model.optimizer.variables)]  # an SGD of Keras 2 had a momentum that it didn't use
    rate = [v for v in model.optimizer.variables[1:2] if v.path.endswith("/learning_rate")]
    if names and rate and (len(names) == 1 or source.numbers(group, names[1]).shape != ()):
        names.insert(1, None)  # Keras 2 keeps the learning rate in the config only
    return OptimizerState(
        model, len(names), lambda i: source.numbers(group, names[i]) if names[i] is not None else rate[0].value
    )


def _variable_by_variable(names: list[Any], model: Any) -> list[Any]:
    """Return the names of an optimizer's state in the order of `variables`.

    Up to Keras 2.10 the first slot of all weights came first, then the second of all, ...; and after them some that
    nobody needs, such as the empty ones of an Adam without `amsgrad`.
    """
    kinds = [len(group) for group in model.optimizer.slots()]
    count = len(model.trainable_weights)
    slots = names[1 : 1 + sum(kinds) * count]
    if len(slots) < sum(kinds) * count:
        return names
    ordered, start = names[:1], 0
    for kind in kinds:
        ordered += [slots[start + slot * count + i] for i in range(count) for slot in range(kind)]
        start += kind * count
    return ordered
