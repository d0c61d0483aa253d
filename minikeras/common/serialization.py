"""Objects to configs and back: the signature of a constructor is its config.

Every class with a config (layers, initializers, optimizers, ...) derives from `Configurable` and is entered into one
table by `@keras_class`; loading looks classes up in that table, and among the user's own that were registered or given
as `custom_objects`, and nowhere else, so that a config can name no code of its own.  Keras's counterpart:
`keras.saving.serialize_keras_object`.
"""

import contextlib
import contextvars
import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

import numpy as np

from .arguments import ArgumentError, check_constructor, unknown
from .budget import claim_object
from .keras_names import is_keras_class
from .lending import lend_to_methods
from .names import did_you_mean, is_built_in, quoted, snake_case

Class = TypeVar("Class", bound=Any)

#: Where the classes are that a config may name, by the Keras module that users know them by.
ROOMS = {
    "keras": "models",
    "keras.constraints": "constraints",
    "keras.initializers": "initializers",
    "keras.layers": "layers",
    "keras.losses": "losses",
    "keras.metrics": "metrics",
    "keras.optimizers": "optimizers",
    "keras.optimizers.schedules": "optimizers",
    "keras.random": "random",
    "keras.regularizers": "regularizers",
    "keras.src.models.functional": "models",
}

#: These classes, as far as they are imported: (Keras module, class name) -> class.
KNOWN: dict[tuple[str, str], Any] = {}


def known_class(module: Any, name: str) -> Any:
    """Return a class of the table, whose room is imported if nobody has done so yet; None where there is none."""
    if module in ROOMS and (module, name) not in KNOWN:
        importlib.import_module(f"{__package__.partition('.')[0]}.{ROOMS[module]}")
    return KNOWN.get((module, name))


def modules_of(name: str) -> list[str]:
    """Return the Keras modules that have a class of this name."""
    return [module for module in ROOMS if known_class(module, name) is not None]


def keras_class(module: str) -> Callable[[Class], Class]:
    """Enter a class into the table under the Keras module that users know it by, such as `"keras.layers"`."""

    def enter(cls: Class) -> Class:
        cls.keras_module = module
        KNOWN[module, cls.__name__] = cls
        return cls

    return enter


#: The user's own classes and functions under the names that files know them by; `saving` fills it.
REGISTERED: dict[str, Any] = {}

_scope: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("custom_objects", default=None)


@contextlib.contextmanager
def custom_objects_known(objects: dict[str, Any] | None) -> Iterator[None]:
    """Let configs name these classes and functions within the block, beside those of an enclosing block."""
    token = _scope.set({**(_scope.get() or {}), **(objects or {})})
    try:
        yield
    finally:
        _scope.reset(token)


def custom_object(*names: Any) -> Any:
    """Return the user's own class or function of one of these names; None where there is none."""
    for table in (_scope.get() or {}, REGISTERED):
        for name in names:
            if isinstance(name, str) and name in table:
                return table[name]
    return None


def registered_name(thing: Any) -> str:
    """Return the name that files know a class or function of the user's by: `"package>Name"` where registered."""
    return next((name for name, known in REGISTERED.items() if known is thing), thing.__name__)


class Configurable:
    """An object that its constructor's arguments describe completely.

    The constructor stores each argument under its own name; `get_config` reads them back.  Options that Keras
    has and this engine has not stand in `only_default`: written to configs with Keras's default, accepted with
    it, refused by name with anything else.  `not_in_config` is the same for options that Keras's configs leave out.
    Arguments that we have and Keras's configs forget stand in `left_out_at`: written unless they have this value.
    """

    keras_module: ClassVar[str | None] = None
    only_default: ClassVar[dict[str, Any]] = {}
    not_in_config: ClassVar[dict[str, Any]] = {}
    left_out_at: ClassVar[dict[str, Any]] = {}

    #: Methods that users write, with the number of their arguments that are arrays in use elsewhere; see `lending`.
    lends: ClassVar[dict[str, int]] = {}

    #: What an error adds where an argument given by position can't be meant.
    misread: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        check_constructor(cls)
        lend_to_methods(cls)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this object, in plain Python types."""
        config = dict(self.__class__.only_default)
        config.update((name, serialize(getattr(self, name))) for name in constructor_arguments(type(self)))
        forgotten = self.left_out_at
        return {name: value for name, value in config.items() if name not in forgotten or value != forgotten[name]}

    def extra_config(self) -> dict[str, Any]:
        """Return what Keras writes beside `config`, such as the shape that a layer was built for."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Build an object from what `get_config` returned."""
        return cls(**{name: deserialize(value) for name, value in config.items()})

    @classmethod
    def refuse_options(cls, options: dict[str, Any], owner: str) -> None:
        """Accept the arguments that the signature does not have only where they ask for Keras's default.

        Raises:
            ValueError: an option of Keras that this engine does not implement.
            ArgumentError: an argument that Keras does not have either.
        """
        defaults = {**cls.only_default, **cls.not_in_config}
        for name, value in options.items():
            if name not in defaults:
                known = [*constructor_arguments(cls), *defaults]
                raise ArgumentError(f"{owner}: {unknown(name, options[name], known)}")
            if value != defaults[name]:
                raise ValueError(
                    f"{owner}: {name}={value!r} is not supported; leave it at {defaults[name]!r}, its default."
                )


def constructor_arguments(cls: type) -> list[str]:
    """Return the names of the constructor's arguments; where it takes `**kwargs`, also those of its base class."""
    names: list[str] = []
    for base in cls.__mro__:
        constructor = base.__dict__.get("__init__")
        code = getattr(getattr(constructor, "__wrapped__", constructor), "__code__", None)
        if code is None:
            continue
        names += [n for n in code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if n not in names]
        takes_more = code.co_flags & 0x08
        if not takes_more:
            break
    return names


def serialize(value: Any, /) -> Any:
    """Return the config of a value: plain numbers, strings and sequences as they are, objects as dictionaries.

    An object becomes `{"module", "class_name", "config", "registered_name"}`, the form of Keras 3; a known
    function becomes its name, one of the user's own a dictionary with its name.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(serialize(v) for v in value)
    if isinstance(value, dict):
        return {k: serialize(v) for k, v in value.items()}
    if isinstance(value, Configurable):
        known = value.keras_module is not None and KNOWN.get((value.keras_module, type(value).__name__)) is type(value)
        return {
            "module": value.keras_module if known else type(value).__module__,
            "class_name": type(value).__name__,
            "config": value.get_config(),
            "registered_name": None if known else registered_name(type(value)),
            **value.extra_config(),
        }
    if callable(value):
        return value.__name__ if is_built_in(value) else function_config(value)
    return value


def function_config(function: Any) -> dict[str, Any]:
    """Return the form in which Keras saves a function of the user's: by its name."""
    name = registered_name(function)
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def deserialize(config: Any, custom_objects: dict[str, type] | None = None) -> Any:
    """Build the object that a config describes; return anything else unchanged.

    Args:
        config: what `serialize` returned.
        custom_objects: the user's own classes by name.

    Raises:
        ValueError: a class that is neither in the table nor in `custom_objects`.
    """
    if not (isinstance(config, dict) and "class_name" in config and "config" in config):
        return config
    name, module = config["class_name"], config.get("module")
    if not isinstance(name, str) or not isinstance(module, (str, type(None))):
        raise ValueError(f"A class in a config is named by a text, received {quoted(name)} of module {quoted(module)}.")
    if name == "DTypePolicy":
        return config["config"]["name"]
    with custom_objects_known(custom_objects) if custom_objects else contextlib.nullcontext():
        if name == "function":
            return custom_object(config["config"]) or config["config"]
        cls = custom_object(config.get("registered_name"), name) or known_class(module, name)
        if cls is None:
            raise ValueError(_unknown_class(name, module))
        if not isinstance(config["config"], dict):
            raise ValueError(f"The config of {quoted(name)} is no dictionary.")
        claim_object(name)
        made = cls.from_config(config["config"])
        if config.get("build_config") and not (is_built_in(cls) or getattr(made, "built", True)):
            made.build_from_config(config["build_config"])  # those of this package are built by the models around
        return made


def _unknown_class(name: str, module: str | None) -> str:
    if name in ("Lambda", "__lambda__"):
        return (
            f"{name!r} in a config stands for code, which is never run. Write a layer class, and pass custom_objects."
        )
    if is_keras_class(name, module):
        return f"Unknown class {name!r} in a config: Keras has it, this library has not."
    known = [n for m, n in KNOWN if m == module]
    hint = did_you_mean(name, known) if known else "Nothing of that module is known here."
    own = f"{{{name!r}: {name}}}" if name.isidentifier() and len(name) < 100 else "{name: class}"
    return (
        f"Unknown class {quoted(name)} in a config (module {quoted(module)}). {hint} "
        f"If it is your own: custom_objects={own}."
    )


class Table:
    """The objects of one kind that users may name by a string: classes, functions, or both.

    Args:
        kind: what an error calls them, such as `"initializer"`.
        module: the Keras module of the classes, such as `"keras.initializers"`.
        base: the class of the objects; None where there are functions only.
        entries: the classes and functions; a class answers to its name and to its snake_case form.
        aliases: further names.
    """

    def __init__(
        self, kind: str, module: str, base: type | None, entries: Iterable[Any], aliases: dict[str, Any] | None = None
    ):
        self.kind, self.module, self.base = kind, module, base or ()
        self.entries: dict[str, Any] = {}
        self.enter(entries, aliases)

    def enter(self, entries: Iterable[Any], aliases: dict[str, Any] | None = None) -> None:
        """Add entries and further names."""
        for entry in entries:
            self.entries[entry.__name__] = entry
            if isinstance(entry, type):
                self.entries.setdefault(snake_case(entry.__name__), entry)
        self.entries.update(aliases or {})

    def find(self, name: str) -> Any:
        """Return the entry of that name, the user's own first; ValueError with a suggestion where there is none."""
        own = custom_object(name)
        if own is not None:
            return own
        if name not in self.entries:
            raise ValueError(f"Unknown {self.kind} {quoted(name)}. {did_you_mean(name, self.entries)}")
        return self.entries[name]

    def get(self, identifier: Any) -> Any:
        """Return an object from its config, its name or its class, which is called; anything else as it is."""
        if isinstance(identifier, dict):
            identifier = deserialize(self._completed(identifier))
        named = isinstance(identifier, str)
        found = self.find(identifier) if named else identifier
        return found() if isinstance(found, type) and (named or issubclass(found, self.base)) else found

    def _completed(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the config with what older ones lack: they name no module, and `"zeros"` for the class."""
        name = config.get("class_name")
        known: Any = self.entries.get(name) if isinstance(name, str) else None
        if not isinstance(known, type) or config.get("module") not in (None, self.module):
            return config
        return {**config, "module": getattr(known, "keras_module", None), "class_name": known.__name__}


def deserializer(get: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the `deserialize` of a room that looks its objects up by `get`."""

    def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """Return the object that `serialize` described; the user's own stand in `custom_objects` by name."""
        with custom_objects_known(custom_objects):
            return get(config)

    return deserialize
