"""The `.keras` file of Keras 3: a zip archive of three members, stored without compression.

metadata.json       versions and date
config.json         the architecture, and what `compile` was given
model.weights.h5    weights and the optimizer's state; see `weights`
"""

from typing import Any, cast

from ..common.budget import Budget
from ..common.files import replacing
from ..common.serialization import deserialize, serialize
from ..common.version import __version__
from ..variables import postponed
from . import weights
from .hdf5 import Source
from .untrusted import ModelFileError, check_names, open_archive, open_file, parse_config

#: The version of Keras whose files these are.
KERAS_VERSION = "3.15.1"

_METADATA, _CONFIG, _WEIGHTS = MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


def save(model: Any, path: str) -> None:
    """Write a model to a `.keras` file."""
    import zipfile

    text = config_text(serialize(model))
    stored = weights.image(model)
    with replacing(path) as file, zipfile.ZipFile(cast(Any, file), "w") as archive:
        archive.writestr(_METADATA, metadata_text())
        archive.writestr(_CONFIG, text)
        archive.writestr(_WEIGHTS, stored)


def load(path: str, compile: bool, max_bytes: int) -> Any:
    """Read a model from a `.keras` file."""
    with open_file(path) as file, open_archive(file, MEMBERS, max_bytes) as members:
        budget = Budget(max_bytes)
        model = model_from_config(parse_config(members[_CONFIG].read(), max_bytes), compile, budget)
        with Source(members[_WEIGHTS], budget) as source:
            weights.load(model, source, fresh=True)
    settle(model)
    return model


def load_weights(model: Any, path: str, skip_mismatch: bool, max_bytes: int) -> None:
    """Fill a built model from the weights in a `.keras` file."""
    with (
        open_file(path) as file,
        open_archive(file, MEMBERS, max_bytes) as members,
        Source(members[_WEIGHTS], Budget(max_bytes)) as source,
    ):
        weights.load(model, source, skip_mismatch)


def metadata_text() -> str:
    """Return what Keras writes beside a model: versions and date."""
    import datetime
    import json

    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    return json.dumps({"keras_version": KERAS_VERSION, "date_saved": now, "minikeras_version": __version__})


def config_text(config: Any) -> str:
    """Return a config as JSON; ValueError where no text describes it, or `load_model` would refuse it."""
    import json

    _check_texts(config)
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The model's config can't be written as text ({error}). `get_config` of each layer returns plain numbers, "
            "texts, lists and dictionaries."
        ) from error


def _check_texts(config: Any) -> None:
    """Refuse what a file could hold, but nobody would load: names of several lines, and lambdas."""
    if isinstance(config, dict):
        check_names(config)
    if isinstance(config, str) and config == "<lambda>":
        raise ValueError(
            "A lambda can't be saved: a file holds names, not code. Define it with `def`, and pass it to `load_model` "
            "as custom_objects={'name': function}."
        )
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, (list, tuple)) else ():
        _check_texts(value)


def model_from_config(config: dict[str, Any], compile: bool, budget: Budget) -> Any:
    """Build and compile the model that a config describes; its weights have shapes, but no memory yet.

    Raises:
        ValueError: an unknown class or name, an option that is not supported, or more than the budget allows.
        ModelFileError: no model.
    """
    with budget.counting():
        with postponed():
            model = deserialize(config)
        if not hasattr(model, "compile_from_config"):
            raise ModelFileError(f"its config describes a {type(model).__name__}, no model.")
        arguments = config.get("compile_config")
        if compile and arguments:
            model.compile_from_config(arguments)
    return model


def settle(model: Any) -> None:
    """Give memory and first values to what a file held no values for."""
    for v in model.weights:
        v.settle()
