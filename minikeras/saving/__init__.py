"""Models to files and back, in the formats of Keras: what one library saves, the other loads.

    model.save("model.keras")                       everything: architecture, weights, compile arguments, optimizer
    model.save_weights("model.weights.h5")          weights, and the optimizer's state
    model.save("model.h5"), save_weights("model.h5")    the formats of Keras 2

A write either happens or leaves the old file as it was (`files`); a file that is read is data, whoever made it
(`untrusted`).  Keras's counterpart: `keras.saving`.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

from ..common.arguments import checked
from ..common.budget import MAX_BYTES, Budget
from ..common.console import say
from ..common.files import replacing
from ..common.names import refuse_other_names
from ..common.serialization import (
    REGISTERED,
    custom_object,
    custom_objects_known,
    deserialize,
    registered_name,
    serialize,
)
from . import archive, legacy, weights
from .hdf5 import Source
from .untrusted import ModelFileError, ModelFileNotFoundError, open_file, reading, warn

__all__ = [
    "CustomObjectScope",
    "ModelFileError",
    "ModelFileNotFoundError",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

_H5 = (".h5", ".hdf5")
_WEIGHTS = ".weights.h5"

# Files -------------------------------------------------------------------------------------------------------------


@checked
def save_model(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    zipped: bool | None = None,
    *,
    include_optimizer: bool = True,
    save_format: Any = None,
) -> None:
    """Write a whole model.

    Args:
        model: a `Sequential` model.
        filepath: `.keras` for the format of Keras 3, `.h5` or `.hdf5` for that of Keras 2.
        overwrite: whether to replace an existing file; otherwise the user is asked.
        zipped: True or None; Keras's unzipped folders can't be replaced in one step, and are not written.
        include_optimizer: whether a `.h5` file gets compile arguments and optimizer state; a `.keras` file always does.
        save_format: of Keras 2, and ignored with a warning: the suffix tells.

    Raises:
        ArgumentError: an unknown argument, or one of a wrong type.
        ValueError: another suffix; an option that is not supported; something in the config that no file can hold.
        OSError: the file could not be written; the old one is intact.

    Warns:
        UserWarning: the model, or a layer of it, isn't built: the file has no weights for it.  That `.h5` is the format
            of Keras 2 goes to the log, as in Keras.
    """
    path = os.fspath(filepath)
    if save_format is not None:
        warn(f"save: save_format={save_format!r} is ignored; the suffix of {path!r} tells.")
    if not include_optimizer and path.endswith(".keras"):
        warn("save: include_optimizer=False is ignored, as in Keras; it is for `.h5` files.")
    if not (zipped is None or zipped):
        raise ValueError("save: zipped=False is not supported; a `.keras` file holds the same in one piece.")
    if not path.endswith((".keras", *_H5)):
        raise ValueError(
            f"Invalid filepath extension for saving: {path}. Expected `.keras` (recommended) or `.h5`; for weights "
            "alone, `model.save_weights('name.weights.h5')`."
        )
    if not _may_write(path, overwrite):
        return
    if not all(layer.built for layer in (model, *model.layers)):
        warn(
            "You are saving a model that has not yet been built. It might not contain any weights yet. Consider "
            "building the model first by calling it on some data."
        )
    if path.endswith(".keras"):
        archive.save(model, path)
    else:
        logging.getLogger(__package__.partition(".")[0]).warning(
            "You are saving your model as an HDF5 file via `model.save()` or `keras.saving.save_model(model)`. This "
            "file format is considered legacy: `model.save('my_model.keras')` writes that of Keras 3."
        )
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)  # as Keras does for this format
        legacy.save(model, path, include_optimizer)


@checked
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """Read a whole model, as `save_model` or Keras wrote it.

    Nothing in the file is run: a config names classes of this library and of `custom_objects`.

    Args:
        filepath: `.keras`, `.h5` or `.hdf5`.
        custom_objects: the user's own classes and functions by name; those of `register_keras_serializable` are known.
        compile: whether to compile the model as it was, and restore the optimizer's state.
        safe_mode: accepted for Keras's sake; code in files is refused either way.
        max_bytes: what weights, optimizer state and the numbers of metrics may take at most.  2 GB.  Loading itself
            takes no second copy of them: besides, there are config and names, at most an eighth of it or 32 MB.

    Raises:
        ModelFileError: (a ValueError) no readable model; it names the file and what is wrong.
        ModelFileNotFoundError: (also a FileNotFoundError) no such file.
    """
    path = os.fspath(filepath)
    with reading(path), custom_objects_known(custom_objects):
        if os.path.isdir(path):
            raise ModelFileError("this is a folder; expected a `.keras` or `.h5` file.")
        if path.endswith(".keras"):
            return archive.load(path, compile, max_bytes)
        if path.endswith(_H5):
            return legacy.load(path, compile, max_bytes)
        raise ModelFileError("File format not supported: expected a name that ends in `.keras`, `.h5` or `.hdf5`.")


@checked
def save_weights(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Write the weights of a model, and the optimizer's state where it is compiled.

    Args:
        model: built.
        filepath: `.weights.h5` for the format of Keras 3; `.h5` or `.hdf5` for that of Keras 2, without optimizer.
        overwrite: whether to replace an existing file; otherwise the user is asked.
        max_shard_size: None; weights in several files are not supported.

    Raises:
        ValueError: another suffix, or a model that isn't built.
        OSError: the file could not be written; the old one is intact.
    """
    path = os.fspath(filepath)
    if max_shard_size is not None:
        raise ValueError("save_weights: `max_shard_size` is not supported; leave it at None for one file.")
    if not path.endswith(_H5):
        raise ValueError(f"The filename must end in `.weights.h5` (or, as in Keras 2, in `.h5`). Received: {path}")
    _check_built(model, "save")
    if not _may_write(path, overwrite):
        return
    if not path.endswith(_WEIGHTS):
        legacy.save_weights(model, path)
        return
    stored = weights.image(model)
    with replacing(path) as file:
        file.write(stored)


@checked
def load_weights(
    model: Any,
    filepath: str | os.PathLike[str],
    skip_mismatch: bool = False,
    *,
    by_name: bool = False,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Fill a model from a file of weights, or from the weights in a file of a whole model.

    Compile the model first where the optimizer's state is to be restored, too.

    Args:
        model: built, of the same architecture.
        filepath: `.weights.h5`, `.keras`, `.h5` or `.hdf5`.
        skip_mismatch: leave layers alone, with a warning, whose weights differ in number or shape.
        by_name: match layers by name instead of order; for Keras 2's files.
        max_bytes: what the weights and the optimizer state that are read may take at most, besides the model's own.

    Raises:
        ModelFileError: (a ValueError) the file can't be read, or does not fit; the model is as it was.
    """
    path = os.fspath(filepath)
    _check_built(model, "load")
    with reading(path):
        if path.endswith(".keras"):
            _refuse_by_name(by_name)
            archive.load_weights(model, path, skip_mismatch, max_bytes)
        elif path.endswith(_H5):
            with open_file(path) as file, Source(file, Budget(max_bytes)) as source:
                if legacy.is_legacy(source):
                    legacy.load_weights(model, source, skip_mismatch, by_name)
                else:
                    _refuse_by_name(by_name)
                    weights.load(model, source, skip_mismatch)
        else:
            raise ModelFileError("File format not supported: expected `.weights.h5`, `.h5`, `.hdf5` or `.keras`.")


def _refuse_by_name(by_name: bool) -> None:
    if by_name:
        raise ModelFileError("`by_name` only works with the `.h5` files of Keras 2: Keras 3 orders layers by class.")


def _check_built(model: Any, what: str) -> None:
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} has no weights to {what} yet: start it with keras.Input(shape), or call "
            "`build(input_shape)`."
        )


def _may_write(path: str, overwrite: bool) -> bool:
    if overwrite or not os.path.exists(path):
        return True
    answer = input(f"[WARNING] {path} already exists - overwrite? [y/n]").strip().lower()
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).').strip().lower()
    if answer == "y":
        say("[TIP] Next time specify overwrite=True!")
    return answer == "y"


# Classes and functions of the user's own ---------------------------------------------------------------------------


class CustomObjectScope:
    """A block in which files and configs may name classes and functions of the user's own.

        with keras.saving.CustomObjectScope({"Scale": Scale}):
            model = keras.models.load_model("model.keras")

    Args:
        custom_objects: by name.
    """

    def __init__(self, custom_objects: dict[str, Any]):
        self.custom_objects = custom_objects or {}
        self._blocks: list[Any] = []

    def __enter__(self) -> "CustomObjectScope":
        self._blocks.append(custom_objects_known(self.custom_objects))
        self._blocks[-1].__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._blocks.pop().__exit__(*exception)


custom_object_scope = CustomObjectScope


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Decorate a class or function of one's own, so that files may name it.

    Args:
        package: put before the name, `"package>Name"`, to keep libraries apart.
        name: its own name where None.

    Raises:
        ValueError: a class without `get_config`, or a name that is taken.
    """

    def register(thing: Any) -> Any:
        full = f"{package}>{name or thing.__name__}"
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(f"Cannot register a class that does not have a get_config method: {thing.__name__}.")
        taken = REGISTERED.get(full)
        same = getattr(taken, "__qualname__", None) == getattr(thing, "__qualname__", "")  # a cell that ran again
        if taken is not None and not same:
            raise ValueError(f"{full!r} has already been registered, for {taken!r}.")
        REGISTERED[full] = thing
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """Return the dictionary of registered classes and functions; entries may be added and removed."""
    return REGISTERED


def get_registered_name(obj: Any) -> str:
    """Return the name that files know a class or function by."""
    return registered_name(obj)


def get_registered_object(name: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the class or function of a registered name; None where there is none."""
    return (custom_objects or {}).get(name) or custom_object(name)


def serialize_keras_object(obj: Any) -> Any:
    """Return the config of an object, as Keras 3 writes it."""
    return serialize(obj)


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Build the object that a config describes.

    Args:
        config: what `serialize_keras_object` returned.
        custom_objects: the user's own classes and functions by name.
        safe_mode: accepted for Keras's sake; code in configs is refused either way.

    Raises:
        ValueError: an unknown class.
    """
    return deserialize(config, custom_objects)


refuse_other_names(__name__, __all__)
