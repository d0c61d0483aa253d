"""The config of a layer of one's own: the arguments that its constructor was called with.

They are kept where the object is made, before its constructor sees them, so that no class has to store them, nor to
write `get_config`.  Keras's counterpart: `Operation.__new__`.
"""

import inspect
import itertools
from typing import Any

import numpy as np

from ..common.names import is_built_in
from ..common.serialization import Configurable, constructor_arguments, serialize
from ..common.tree import flatten
from .shapes import dtype_policy

_PLAIN = (str, int, float, bool, type(None))

#: What any layer has, and a constructor needn't take.
_OF_ANY = ("name", "trainable", "dtype")

_SYMBOLS = ("inputs", "outputs")  # of a model, whose config describes them otherwise


class Constructed(Configurable):
    """A layer or model, as far as its constructor's arguments describe it."""

    dtype: str
    trainable: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        if not is_built_in(cls):
            vars(made)["_arguments"] = _arguments(cls, args, kwargs)
        return made

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer, as Keras 3 writes them.

        A class of one's own that writes `get_config` itself gets what any layer has, and what the class that it derives
        from takes.

        Raises:
            NotImplementedError: the class doesn't write it, and takes arguments that no config can hold.
        """
        cls = type(self)
        if is_built_in(cls):
            return {**super().get_config(), "dtype": dtype_policy(self.dtype)}
        base: Any = next(b for b in cls.__mro__ if is_built_in(b))
        taken, own = [name for name in constructor_arguments(base) if name not in _SYMBOLS], []
        config, given = dict(base.only_default), vars(self).get("_arguments", {})
        if is_built_in(cls.get_config):
            accepted = constructor_arguments(cls)
            own = [name for name in accepted if name not in taken or name in given]
            own = [name for name in own if name not in (*_OF_ANY, *_SYMBOLS)]
            taken = [name for name in taken if name in accepted and name not in own]
            config = config if "name" in taken else {}
            if given.get("*"):
                raise NotImplementedError(
                    f"Object {cls.__name__} was created by passing positional only or variadic positional arguments "
                    "(e.g., `*args`) to `__init__()`, which is not supported by the automatic config generation. "
                    "Please remove them, or override `get_config()`."
                )
        config.update((name, serialize(getattr(self, name))) for name in taken)
        config.update((name, self._argument(name)) for name in own)
        return {**config, "dtype": dtype_policy(self.dtype)} if "dtype" in config else config

    def _argument(self, name: str) -> Any:
        given = vars(self).get("_arguments", {})
        value = given.get(name, getattr(self, name, None))
        if not all(isinstance(v, _PLAIN) for v in flatten(value)):
            value = getattr(self, name, value)  # such as an initializer that was given by its config
        if not _can_be_told(value) or (name not in given and not hasattr(self, name)):
            raise NotImplementedError(
                f"Object {type(self).__name__} was created by passing non-serializable argument values in "
                "`__init__()`, and therefore the object must override `get_config()` in order to be serializable. "
                f"Please implement `get_config()`. The argument: {name!r}."
            )
        return serialize(value)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Build a layer from what `get_config` returned, and set what its constructor doesn't take."""
        if is_built_in(cls):
            return super().from_config(config)
        accepted = constructor_arguments(cls)
        left = {name: config[name] for name in _OF_ANY if name in config and name not in accepted}
        made = super().from_config({name: value for name, value in config.items() if name not in left})
        if left.get("trainable") is False:
            made.trainable = False
        return made


def _arguments(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a constructor's call by name; none where the call is wrong, as it will say itself."""
    signature = inspect.signature(cls.__init__)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:
        return {}
    bound.apply_defaults()
    given = dict(list(bound.arguments.items())[1:])
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            given["*"] = given.pop(parameter.name)
        elif parameter.kind is parameter.VAR_KEYWORD:
            others = given.pop(parameter.name)  # what goes on to a class of this package, that keeps itself
            given.update((name, others[name]) for name in others if name in _of_own_classes(cls))
    return given


def _of_own_classes(cls: Any) -> set[str]:
    own = itertools.takewhile(lambda base: not is_built_in(base), cls.__mro__)
    return {name for base in own if "__init__" in vars(base) for name in inspect.signature(base.__init__).parameters}


def _can_be_told(value: Any) -> bool:
    """Whether a config can hold a value, or all that is in it."""
    kinds = (*_PLAIN, np.generic, np.ndarray, Configurable)
    return all(isinstance(v, kinds) or callable(v) for v in flatten(value))
