"""Configs of Keras 2 in the form of today: of the models in `.h5` files, and of those that users kept as text.

They name no module, or one that is no more; they call some options otherwise, have some that meant nothing, and write
lists where a number stands now.  `OPTIONS` and `CLASSES` say all that is known of it.
"""

from collections.abc import Callable
from typing import Any

from ..common.keras2 import SHORT
from ..common.names import quoted
from ..common.serialization import ROOMS, modules_of
from .untrusted import ModelFileError

#: What becomes of an option: another name; a function of its value; a tuple of the values with which it is left out,
#: while others stay, and are refused by name; None where it never meant anything.
Change = str | Callable[[Any], Any] | tuple[Any, ...] | None


def _single(value: Any) -> Any:
    """Return the element of a list of one, and the number that old files write as an array."""
    if isinstance(value, dict) and value.get("type") == "ndarray":
        value = value.get("value")
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _name_of_policy(value: Any) -> Any:
    """Return the float type that a dtype policy of Keras 2 computes with; a name as it is."""
    is_policy = isinstance(value, dict) and value.get("class_name") in ("Policy", "PolicyV1")
    return value["config"].get("name") if is_policy and isinstance(value.get("config"), dict) else value


def _reduction(value: Any) -> Any:
    return "sum_over_batch_size" if value == "auto" else value


#: Module or class -> option -> what becomes of it.
OPTIONS: dict[str, dict[str, Change]] = {
    "keras.layers": {"dtype": _name_of_policy},
    "BatchNormalization": {
        "axis": _single, "mode": (0,), "fused": None, "renorm": (None, False), "virtual_batch_size": (None,),
        "adjustment": (None,),
    },
    "Conv2DTranspose": {"groups": (1,)},
    "Conv3DTranspose": {"groups": (1,)},
    "DepthwiseConv1D": {"groups": (1,)},
    "DepthwiseConv2D": {"groups": (1,)},
    "ELU": {"alpha": _single},
    "Embedding": {"input_length": None},
    "InputLayer": {"batch_input_shape": "batch_shape"},
    "LayerNormalization": {"axis": _single},
    "LeakyReLU": {"alpha": "negative_slope", "negative_slope": _single},
    "ReLU": {"max_value": _single, "negative_slope": _single, "threshold": _single},
    "SeparableConv1D": {
        "groups": (1,), "kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None,
    },
    "SeparableConv2D": {
        "groups": (1,), "kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None,
    },
    "Softmax": {"axis": _single},
    "SpatialDropout1D": {"trainable": None, "noise_shape": (None,)},
    "SpatialDropout2D": {"trainable": None, "noise_shape": (None,)},
    "SpatialDropout3D": {"trainable": None, "noise_shape": (None,)},
    "keras.initializers": {"dtype": None},
    "keras.losses": {"axis": (-1,), "fn": None, "reduction": _reduction},
    "keras.metrics": {"fn": None},
    "keras.optimizers.schedules": {"name": (None,)},
    "keras.optimizers": {"jit_compile": None, "is_legacy_optimizer": None, "lr": "learning_rate"},
    "Nadam": {"schedule_decay": None},
}  # fmt: skip

#: Classes that have another name now.
CLASSES = {"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"}

_LAYERS = ("keras.layers", "keras", "keras.initializers", "keras.regularizers")


def new_form(config: Any, modules: tuple[str, ...] = ("keras", "keras.layers")) -> Any:
    """Return a config in the form that Keras 3 writes, here and in the values inside.

    Args:
        config: of an object, or a structure of them.
        modules: where a class that names no module is looked for first.

    Raises:
        ModelFileError: a class that is named by something else than a text.
    """
    if isinstance(config, (list, tuple)):
        return [new_form(v, modules) for v in config]
    if not isinstance(config, dict):
        return config
    if not ("class_name" in config and "config" in config):
        return {name: new_form(value, modules) for name, value in _with_single_ends(config).items()}
    name = config["class_name"]
    if not isinstance(name, str):
        raise ModelFileError(f"a class in the config is named by a text, received {quoted(name)}.")
    short = name.rpartition(">")[2]
    short = CLASSES.get(short, short)
    module = config.get("module")
    if module is None or (module not in ROOMS and is_of_keras(module)):
        homes = modules_of(short)
        module = next((m for m in (*modules, *homes) if m in homes), module)
    arguments = config["config"]
    if isinstance(arguments, list) and short == "Sequential":  # up to Keras 2.2.2
        arguments = {"layers": arguments}
    if isinstance(arguments, dict):
        arguments = _new_options(arguments, {**OPTIONS.get(module or "", {}), **OPTIONS.get(short, {})})
        arguments = {k: new_form(v, _LAYERS) for k, v in _with_single_ends(arguments).items()}
        if module == "keras.optimizers":
            arguments = _optimizer_arguments(arguments)
    registered = config.get("registered_name") or name
    others = {key: config[key] for key in ("name", "inbound_nodes", "build_config") if key in config}
    return {"module": module, "class_name": short, "config": arguments, "registered_name": registered, **others}


def is_of_keras(module: Any) -> bool:
    """Whether a module is one of Keras itself, of any version."""
    return isinstance(module, str) and module.startswith(("keras.", "tf_keras.", "tensorflow."))


def completed(config: Any) -> Any:
    """Return the config of a model, in the form of today where a layer of it names no module."""
    layers = config.get("layers") if isinstance(config, dict) else config
    listed = layers if isinstance(layers, list) else []
    if isinstance(config, dict) and all(isinstance(layer, dict) and "module" in layer for layer in listed):
        return config
    return new_form(config if isinstance(config, dict) else {"layers": config})


def _with_single_ends(graph: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a graph; of Keras 2's, which lists a single input or output too, without that list."""
    layers = graph.get("layers")
    calls = (
        [layer.get("inbound_nodes") for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    )
    if not any(isinstance(nodes, list) and nodes and isinstance(nodes[0], list) for nodes in calls):
        return graph
    graph = _counted_from_0(graph)
    ends = {key: graph[key] for key in ("input_layers", "output_layers") if key in graph}
    return {**graph, **{key: _single(end) for key, end in ends.items()}}


def _counted_from_0(graph: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a graph, in which Keras 2 counts the calls of models from 1, with calls that start at 0.

    (Where a functional model gives an output, Keras 3 counts from 1, too.)
    """
    kinds = {
        layer["config"].get("name"): layer["class_name"]
        for layer in graph["layers"]
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict) and "layers" in layer["config"]
    }
    if not kinds:
        return graph
    called: dict[str, list[int]] = {}

    def look(value: Any) -> None:
        """Note what is called; a call is [layer, number, output, ...]."""
        if isinstance(value, list) and len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int):
            called.setdefault(value[0], []).append(value[1])
        for inner in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
            look(inner)

    def moved(value: Any, from_1: bool = False) -> Any:
        if isinstance(value, dict):
            return {key: moved(inner, from_1) for key, inner in value.items()}
        if not isinstance(value, list):
            return value
        if len(value) > 2 and isinstance(value[0], str) and value[0] in kinds and isinstance(value[1], int):
            one_more = from_1 and kinds[value[0]] != "Sequential"
            return [value[0], value[1] - min(called[value[0]]) + one_more, *value[2:]]
        return [moved(inner, from_1) for inner in value]

    nodes = [layer.get("inbound_nodes") for layer in graph["layers"]]
    look([nodes, graph.get("output_layers")])
    layers = [{**layer, "inbound_nodes": moved(n)} for layer, n in zip(graph["layers"], nodes, strict=True)]
    return {**graph, "layers": layers, "output_layers": moved(graph.get("output_layers"), True)}


def _new_options(arguments: dict[str, Any], changes: dict[str, Change]) -> dict[str, Any]:
    renewed: dict[str, Any] = {}
    for option, value in arguments.items():
        change: Any = changes.get(option, option)
        if isinstance(change, str):
            option, change = change, changes.get(change, change)
        if isinstance(change, str):
            renewed[option] = value
        elif isinstance(change, tuple):
            if not any(value is known or value == known for known in change):
                renewed[option] = value
        elif change is not None:
            renewed[option] = change(value)
    return renewed


def _optimizer_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's arguments, a `decay` of Keras 2 as the schedule that it was: rate / (1 + decay step)."""
    if not arguments.get("use_ema"):
        arguments.pop("ema_overwrite_frequency", None)
    decay = arguments.pop("decay", None)
    if not (decay and isinstance(arguments.get("learning_rate"), (int, float))):
        return arguments
    options = {"initial_learning_rate": arguments["learning_rate"], "decay_steps": 1, "decay_rate": decay}
    schedule = {"module": "keras.optimizers.schedules", "class_name": "InverseTimeDecay", "config": options}
    return {**arguments, "learning_rate": {**schedule, "registered_name": None}}


# What `compile` was given ------------------------------------------------------------------------------------------


def compile_arguments(training: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `compile` from a file's `training_config`."""
    metrics = {kind: _metrics(training.get(kind)) for kind in ("metrics", "weighted_metrics")}
    return {
        "optimizer": new_form(training.get("optimizer_config"), ("keras.optimizers",)),
        "loss": new_form(training.get("loss"), ("keras.losses",)),
        "loss_weights": training.get("loss_weights"),
        **metrics,
    }


def _metrics(config: Any) -> Any:
    """Return metrics in the lists and dictionaries that belong to the outputs."""
    if isinstance(config, list):
        return [_metrics(c) for c in config]
    if isinstance(config, dict) and "class_name" not in config:
        return {name: _metrics(c) for name, c in config.items()}
    return _metric(config)


def _metric(config: Any) -> Any:
    """Return a metric; Keras 2 wraps those that were given by name, together with the function it chose."""
    if isinstance(config, dict) and config.get("class_name") == "MeanMetricWrapper":
        options = config.get("config")
        if isinstance(options, dict) and isinstance(options.get("fn"), str):
            name, function = str(options.get("name")), options["fn"]
            last = name.rpartition("_")[2]  # of several outputs, their names come first
            is_short = not name.endswith(function) and (last in ("accuracy", "acc") or SHORT.get(last) == function)
            return last if is_short else function
    return new_form(config, ("keras.metrics", "keras.losses"))
