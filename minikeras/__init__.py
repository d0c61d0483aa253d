"""minikeras: a neural-network engine to read, with the API of Keras 3.

    import minikeras as keras

This module only names the rooms; each is imported when it is first used.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from .common.names import did_you_mean
from .common.version import __version__

if TYPE_CHECKING:
    from . import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        plotting,
        random,
        regularizers,
        saving,
        testing,
        utils,
    )
    from .callbacks import Callback
    from .initializers import Initializer
    from .layers import Input, Layer
    from .layers.policies import DTypePolicy
    from .losses import Loss
    from .metrics import Metric
    from .models import Model, Sequential
    from .optimizers import Optimizer
    from .regularizers import Regularizer
    from .variables import Variable

_HOMES = {
    "Callback": "callbacks",
    "DTypePolicy": "layers.policies",
    "Initializer": "initializers",
    "Input": "layers",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "Variable": "variables",
}

#: Rooms that are not part of Keras's API; `from . import kernels` inside the package asks for them here, too.
_INNER = ("common", "data", "engine", "functional", "inspecting", "kernels", "variables")

__all__ = [
    "Callback",
    "DTypePolicy",
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plotting",
    "random",
    "regularizers",
    "saving",
    "testing",
    "utils",
]


if not TYPE_CHECKING:  # to a checker, a module with `__getattr__` has any name

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        elif name in __all__ or name in _INNER:
            value = importlib.import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}. {did_you_mean(name, __all__)}")
        globals()[name] = value
        return value


class _OldModules:
    """The modules of Keras 2, such as `layers.convolutional`, of which Python asks where it finds no file for them."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not name.startswith(f"{__name__}."):
            return None
        return importlib.import_module(".common.keras2", __name__).find_spec(name)


sys.meta_path.append(_OldModules)


def __dir__() -> list[str]:
    return sorted(__all__)
