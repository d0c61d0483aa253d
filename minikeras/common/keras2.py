"""The spellings of Keras 1 and 2 in notebooks and courses: each is taken for today's, which one warning tells.

Nothing here is needed to understand the engine.  The tables are asked where a name, an argument or a module is not
found, just before the error; so they cost nothing where nobody writes the old ones.

    MODULES     modules that are no more     from keras.layers.convolutional import Conv2D
    NAMES       names within rooms           keras.losses.mae
    ARGUMENTS   of constructors and methods  keras.optimizers.Adam(lr=0.1)
    OldMethods  of models                    model.predict_classes(x)

Rooms are named by texts, and imported when a table leads there: this file stands below them.
"""

import importlib
import sys
import types
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np

_PACKAGE = __package__.partition(".")[0]


def warn(text: str, category: type[Warning] = DeprecationWarning) -> None:
    """Warn at the line of the user's program that led here."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != _PACKAGE and not module.startswith("importlib."):
            break
        frame = frame.f_back
    names = frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        text, category, frame.f_code.co_filename, frame.f_lineno, names.get("__name__", "<unknown>"), registry
    )


# Modules -----------------------------------------------------------------------------------------------------------

_LAYERS = "advanced_activations convolutional convolutional_recurrent embeddings local merge noise normalization"

#: Module of Keras 1 or 2 -> the room that has its names now; None for one that only holds others.
MODULES: dict[str, str | None] = {
    **{f"layers.{name}": "layers" for name in f"{_LAYERS} recurrent wrappers".split()},
    "layers.experimental": None,
    "layers.experimental.preprocessing": "layers",
    "engine.base_layer": "layers",
    "engine.input_layer": "layers",
    "engine.topology": "layers",
    "engine.sequential": "models",
    "initializations": "initializers",
    "objectives": "losses",
    "optimizers.legacy": "optimizers",
    **{f"optimizers.{name}": "optimizers" for name in ("adam_v2", "gradient_descent_v2", "rmsprop_v2", "adamax_v2")},
    **{f"optimizers.{name}": "optimizers" for name in ("adagrad_v2", "adadelta_v2", "nadam_v2", "optimizer_v2")},
    **{f"optimizers.optimizer_v2.{name}": "optimizers" for name in ("adam", "gradient_descent", "rmsprop")},
    "optimizer_v2": None,
    **{f"optimizer_v2.{name}": "optimizers" for name in ("adam", "gradient_descent", "rmsprop", "adamax", "nadam")},
    **{f"utils.{name}": "utils" for name in ("data_utils", "generic_utils", "np_utils", "vis_utils")},
}


class OldModule(types.ModuleType):
    """A module of Keras 2, with the names of the room that has them now; the first that is used warns."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__.partition(".")[2]
        room = MODULES[path]
        if f"{path}.{name}" in MODULES:
            return importlib.import_module(f"{self.__name__}.{name}")
        if room is None or (name.startswith("__") and name != "__all__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{_PACKAGE}.{room}"), name)
        if "_has_warned" not in vars(self) and name != "__path__":
            vars(self)["_has_warned"] = True
            what = "*" if name == "__all__" else name
            warn(f"`{path}` is a module of Keras 2; write `from {_PACKAGE}.{room} import {what}`.")
        return found


class _Loader:
    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return OldModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__doc__ = "A module of Keras 2."


def find_spec(name: str) -> ModuleSpec | None:
    """Return what Python imports as this module; None where Keras 2 hadn't it either."""
    if name.partition(".")[2] not in MODULES:
        return None
    return ModuleSpec(name, _Loader(), is_package=True)  # type: ignore[arg-type]


# Names within rooms ------------------------------------------------------------------------------------------------

_FUNCTIONS = {
    "mae": "mean_absolute_error", "mse": "mean_squared_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence", "cosine": "cosine_similarity",
}  # fmt: skip
SHORT = {
    **_FUNCTIONS,
    **{name.upper(): function for name, function in _FUNCTIONS.items() if name != "cosine"},
    "kullback_leibler_divergence": "kl_divergence",
    "cosine_proximity": "cosine_similarity",
    "logcosh": "log_cosh",
}


def get_value(x: Any) -> np.ndarray:
    """Return the numbers of a variable."""
    return np.array(x)


def set_value(x: Any, value: Any) -> None:
    """Set a variable."""
    x.assign(value)


#: Room -> old name -> what it is called there now; or what it did, and what one writes for it.
NAMES: dict[str, dict[str, str | tuple[Callable[..., Any], str]]] = {
    "losses": {**SHORT},
    "metrics": {**SHORT},
    "optimizers": {name.lower(): name for name in ("Adadelta", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop", "SGD")},
    "backend": {"get_value": (get_value, "variable.numpy()"), "set_value": (set_value, "variable.assign(value)")},
}


def find(module: str, name: str) -> Any:
    """Return what a name of Keras 2 means in a module of this package, and warn; None where it is no such name."""
    room = module.partition(".")[2]
    if f"{room}.{name}" in MODULES:
        return importlib.import_module(f"{module}.{name}")
    today = NAMES.get(room, {}).get(name)
    if room in ("layers.core", "layers.pooling"):  # ours have some of the layers that Keras 2 had there
        room, today = "layers", name if name in importlib.import_module(f"{_PACKAGE}.layers").__all__ else None
    if today is None:
        return None
    found: Any
    if isinstance(today, tuple):
        found, today = today
    else:
        found, today = vars(importlib.import_module(f"{_PACKAGE}.{room}")).get(today), f"{room}.{today}"
    if found is not None:
        warn(f"`{module.partition('.')[2]}.{name}` is a name of Keras 2; write `{today}`.")
    return found


# Arguments ---------------------------------------------------------------------------------------------------------


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


#: What becomes of an argument: another name; a function of its value; after "!", why it is left out.
Change = str | Callable[[Any], Any]

_SCHEDULE = (
    "!is no longer supported and will be ignored: write "
    "learning_rate=optimizers.schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)"
)

#: Class, or function, and old argument -> what becomes of it; of a class also where it is a base class.
ARGUMENTS: dict[str, dict[str, Change]] = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "BatchNormalization": {"axis": _single},
    "Dropout": {"p": "rate"},
    "Layer": {
        "output_dim": "units", "init": "kernel_initializer", "nb_filter": "filters", "border_mode": "padding",
        "subsample": "strides", "bias": "use_bias", "W_regularizer": "kernel_regularizer",
        "b_regularizer": "bias_regularizer",
    },
    "Optimizer": {"lr": "learning_rate", "decay": _SCHEDULE},
    "fit": {"nb_epoch": "epochs"},
}  # fmt: skip


def renewed(owner: Any, takes: Any, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of a call in today's spelling, and warn; None where none of them is of Keras 2.

    Args:
        owner: the class that is constructed, or the function that is called.
        takes: the names that it has.
        arguments: those that were given by name.
    """
    names = [cls.__name__ for cls in owner.__mro__] if isinstance(owner, type) else [owner.__name__]
    changes: dict[str, Change] = {}
    for name in reversed(names):
        changes.update(ARGUMENTS.get(name, {}))
    result: dict[str, Any] = {}
    said, ignored = [], False
    for name, value in arguments.items():
        change = changes.get(name)
        if name in takes and not callable(change):
            result[name] = value
        elif callable(change):
            result[name] = change(value)
            if result[name] is not value:
                said.append(f"write {name}={result[name]!r} for {name}={value!r}")
        elif change is not None and change.startswith("!"):
            if value is not None:
                said.append(f"`{name}` {change[1:]}")
                ignored = True
        elif change is not None and change in takes and change not in arguments:
            result[change] = value
            said.append(f"write `{change}` for `{name}`")
        else:
            result[name] = value
    if result == arguments:
        return None
    if said:
        warn(f"{names[0]}: {'; '.join(said)}.", UserWarning if ignored else DeprecationWarning)
    return result


# Methods of models -------------------------------------------------------------------------------------------------


class OldMethods:
    """The methods that models had in Keras 2, and have no more."""

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]

    def _instead_of(self, old: str, new: str) -> None:
        warn(f"`Model.{old}` is a method of Keras 2; write `{new}`.")

    def fit_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what `fit` does; the arguments that follow are `steps_per_epoch`, `epochs`, `verbose`, `callbacks`."""
        self._instead_of("fit_generator", "model.fit(generator, ...)")
        return self.fit(generator, **_named(("steps_per_epoch", "epochs", "verbose", "callbacks"), args, kwargs))

    def evaluate_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what `evaluate` does; the arguments that follow are `steps` and `callbacks`, and nothing is printed."""
        self._instead_of("evaluate_generator", "model.evaluate(generator, ...)")
        return self.evaluate(generator, **{"verbose": 0, **_named(("steps", "callbacks"), args, kwargs)})

    def predict_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what `predict` does; the arguments that follow are `steps` and `callbacks`, and nothing is printed."""
        self._instead_of("predict_generator", "model.predict(generator, ...)")
        return self.predict(generator, **{"verbose": 0, **_named(("steps", "callbacks"), args, kwargs)})

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
        """Return the class of the largest output; of a single output, whether it is above 0.5."""
        self._instead_of("predict_classes", "np.argmax(model.predict(x), axis=-1)")
        p = self.predict(x, batch_size=batch_size, verbose=verbose)
        return p.argmax(-1) if p.shape[-1] > 1 else (p > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> Any:
        """Return what `predict` returns."""
        self._instead_of("predict_proba", "model.predict(x)")
        return self.predict(x, batch_size=batch_size, verbose=verbose)


def _named(names: tuple[str, ...], given: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a method that took generators, without those that these alone had."""
    kept = {n: value for n, value in options.items() if n not in ("max_queue_size", "workers", "use_multiprocessing")}
    return {**dict(zip(names, given, strict=False)), **kept}
