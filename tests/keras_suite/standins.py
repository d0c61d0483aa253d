"""The package `keras` as its tests see it here: its modules by name, minikeras's classes and functions in them.

What the tests themselves compute with, Keras's `ops` and `backend`, is NumPy: it makes arrays and looks at them.  What
minikeras lacks is `Missing`, so that one name fails the tests that use it, and not a whole file.
"""

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import optree
import pytest

WHEEL = Path(importlib.util.find_spec("keras").origin).parent
#: Those where a name that isn't found is nowhere.
OWN = ("layers", "losses", "metrics", "optimizers", "callbacks", "initializers", "regularizers", "constraints")
ROOMS = (
    "layers", "losses", "metrics", "optimizers", "callbacks", "models", "saving", "utils", "initializers",
    "regularizers", "constraints", "activations", "random", "config", "datasets", "backend", "optimizers.schedules",
)  # fmt: skip
MINE = "minikeras"


class Lacks(NotImplementedError):
    """A test asks for something that minikeras has not."""


class Missing:
    """A name of Keras that minikeras has not."""

    def __init__(self, name):
        self.__name__ = name

    def __call__(self, *arguments, **named):
        raise Lacks(self.__name__)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")

    def __mro_entries__(self, bases):
        name = self.__name__

        class Absent:
            def __init__(self, *arguments, **named):
                raise Lacks(name)

        return (Absent,)


def is_tensor(x):
    return isinstance(x, (np.ndarray, np.generic))


def as_tensor(x, dtype=None, sparse=None, ragged=None):
    if sparse or ragged:
        raise Lacks("sparse tensors")
    array = np.asarray(x)
    if dtype is None and not hasattr(x, "dtype") and array.dtype == np.float64:
        dtype = "float32"
    if dtype is None and not hasattr(x, "dtype") and array.dtype == np.int64:
        dtype = "int32"
    return array if dtype is None else array.astype(str(dtype))


def type_name(dtype):
    if dtype is None:
        return sys.modules[MINE].config.floatx()
    if isinstance(dtype, type) and dtype in (int, float, bool, str):
        return {int: "int32", float: "float32", bool: "bool", str: "string"}[dtype]
    return np.dtype(getattr(dtype, "name", dtype)).name


def _creating(name):
    def create(*arguments, dtype=None, **named):
        made = getattr(np, name)(*arguments, **named)
        return made.astype(dtype or ("float32" if made.dtype == np.float64 else made.dtype))

    return create


OPS = {
    "convert_to_tensor": as_tensor,
    "convert_to_numpy": np.array,
    "is_tensor": is_tensor,
    "cast": lambda x, dtype: np.asarray(x).astype(str(dtype)),
    "shape": lambda x: tuple(x.shape),
    "stop_gradient": lambda x: x,
    **{name: _creating(name) for name in ("ones", "zeros", "full", "eye", "linspace", "identity")},
}


def _ops(name):
    if name in OPS:
        return OPS[name]
    if hasattr(np, name):
        return getattr(np, name)
    return getattr(importlib.import_module(f"{MINE}.activations"), name, None) or Missing(f"ops.{name}")


def _drawn(method):
    def draw(shape, first=0.0, second=1.0, dtype=None, seed=None, **named):
        first, second = named.get("minval", named.get("mean", first)), named.get("maxval", named.get("stddev", second))
        return np.asarray(getattr(np.random, method)(first, second, shape)).astype(type_name(dtype))

    return draw


RANDOM = types.SimpleNamespace(
    SeedGenerator=importlib.import_module(f"{MINE}.random").SeedGenerator,
    uniform=_drawn("uniform"),
    normal=_drawn("normal"),
    randint=lambda shape, minval, maxval, dtype="int32", seed=None: np.random.randint(minval, maxval, shape, dtype),
)


class _IsSymbol(type):
    def __instancecheck__(cls, x):
        return isinstance(x, importlib.import_module(f"{MINE}.layers.symbols").Symbol)


class _IsFunctional(type):
    def __instancecheck__(cls, x):
        models = importlib.import_module(f"{MINE}.models")
        return isinstance(x, models.Model) and not isinstance(x, models.Sequential) and x.graph is not None

    def __getattr__(cls, name):
        return getattr(importlib.import_module(f"{MINE}.models").Model, name)


class Functional(metaclass=_IsFunctional):
    """Keras's class of models with a graph; minikeras has but one `Model`."""

    def __new__(cls, *arguments, **named):
        return importlib.import_module(f"{MINE}.models").Model(*arguments, **named)


class KerasTensor(metaclass=_IsSymbol):
    """Makes the symbol of a shape, batch axis included."""

    def __new__(cls, shape, dtype="float32", sparse=False, ragged=False, record_history=True, name=None, **named):
        if sparse or ragged:
            raise Lacks("sparse tensors")
        return importlib.import_module(MINE).Input(batch_shape=tuple(shape), dtype=type_name(dtype), name=name)


def _backend(name):
    mine = importlib.import_module(MINE)
    special = {
        "backend": lambda: "numpy",
        "standardize_dtype": type_name,
        "is_float_dtype": lambda dtype: type_name(dtype).startswith(("float", "bfloat")),
        "is_int_dtype": lambda dtype: type_name(dtype).startswith(("int", "uint")),
        "result_type": lambda *kinds: np.result_type(*map(type_name, kinds)).name,
        "KerasTensor": KerasTensor,
        "random": RANDOM,
        "SeedGenerator": mine.random.SeedGenerator,
        "Variable": mine.Variable,
        "SUPPORTS_SPARSE_TENSORS": False,
        "SUPPORTS_RAGGED_TENSORS": False,
        "SUPPORTS_COMPLEX_DTYPES": False,
        "IS_THREAD_SAFE": True,
        "is_keras_tensor": lambda x: isinstance(x, KerasTensor),
        "convert_checkpoint_value": lambda x: x,
        "clear_session": lambda free_memory=True: None,
    }
    if name in special:
        return special[name]
    if name in OPS:
        return OPS[name]
    return getattr(mine.backend, name, None) or getattr(mine.config, name, None) or Missing(f"backend.{name}")


def _flat(structure):
    return optree.tree_leaves(structure, none_is_leaf=True)


TREE = {
    "flatten": _flat,
    "map_structure": lambda f, *s: optree.tree_map(f, *s, none_is_leaf=True),
    "map_structure_up_to": lambda shallow, f, *s: optree.tree_map(
        lambda _, *leaves: f(*leaves), shallow, *s, none_is_leaf=True
    ),
    "map_shape_structure": lambda f, s: (
        f(s)
        if isinstance(s, (tuple, list)) and all(isinstance(n, (int, type(None))) for n in s)
        else {k: TREE["map_shape_structure"](f, v) for k, v in s.items()}
        if isinstance(s, dict)
        else type(s)(TREE["map_shape_structure"](f, v) for v in s)
    ),
    "is_nested": lambda s: isinstance(s, (list, tuple, dict)),
    "pack_sequence_as": lambda structure, flat: optree.tree_unflatten(
        optree.tree_structure(structure, none_is_leaf=True), flat
    ),
    "assert_same_structure": lambda a, b: optree.tree_map(lambda *_: None, a, b, none_is_leaf=True) and None,
}


def _exported(room, name):
    """Return what a room of minikeras exports under this name; AttributeError or ImportError where it doesn't."""
    module = importlib.import_module(f"{MINE}.{room}" if room else MINE)
    if name.startswith("_") or name not in getattr(module, "__all__", [name]):
        raise AttributeError(name)
    return getattr(module, name)


def _found(name):
    """Return minikeras's thing of this name, wherever a user finds it."""
    for room in (None, *ROOMS):
        with contextlib.suppress(AttributeError, ImportError):
            return _exported(room, name)
    if name == "KerasTensor":
        return KerasTensor
    if name == "Functional":
        return Functional
    return Missing(name)


def _dtype_policy(name, module):
    """Return what the tests save before they begin, and set back after."""
    if not module.endswith(".dtype_policy") and name == "dtype_policy":
        return importlib.import_module(f"{module}.dtype_policy")
    config = importlib.import_module(f"{MINE}.config")
    return (
        config.floatx if name == "dtype_policy" else lambda policy: config.set_floatx(getattr(policy, "name", policy))
    )


class StandIn(types.ModuleType):
    """One of Keras's modules."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        path = [part for part in self.__name__.split(".")[1:] if part != "src"]
        room = path[0] if path else None
        if name in ELSEWHERE:
            return ELSEWHERE[name]()
        if room == "ops":
            return _ops(name)
        if room == "dtype_policies" and name in ("dtype_policy", "set_dtype_policy"):
            return _dtype_policy(name, self.__name__)
        if room == "tree":
            return TREE.get(name) or Missing(f"tree.{name}")
        if room == "backend" and name not in ("common", "config"):
            return _backend(name)
        mine = None
        with contextlib.suppress(AttributeError, ImportError):
            mine = room and _exported(room, name)
        if not isinstance(mine, type) and self._is_module(name):
            return importlib.import_module(f"{self.__name__}.{name}")
        if mine is not None:
            return mine
        return Missing(name) if room in ROOMS and room in OWN and path[1:2] != ["schedules"] else _found(name)

    def _is_module(self, name):
        return self._holds(name) or (self.__name__ == "keras" and name in ("src", "ops", "tree", "backend", *ROOMS))

    def _holds(self, name):
        path = WHEEL.joinpath(*self.__name__.split(".")[1:], name)
        return path.is_dir() or path.with_suffix(".py").is_file()


ELSEWHERE = {
    "join": lambda: os.path.join,
    "traceback_utils": lambda: types.SimpleNamespace(is_traceback_filtering_enabled=lambda: False),
    "clear_session": lambda: importlib.import_module(f"{MINE}.backend").clear_session,
}


REAL = ("keras.src.testing.test_utils", "keras.src.testing.test_case", "keras.src.backend.common.backend_utils")


def is_real(name):
    """Whether Keras's own module of this name is run: what its tests share, less what it tests."""
    return name.endswith("_test") or name in REAL


#: Other libraries that tests import before they know whether they are needed; the repository's own `conftest`.
OTHERS = ("grain", "jax", "torch", "conftest", "flax", "orbax")


class Other(types.ModuleType):
    """A library that isn't there."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "skip_if_backend":
            return lambda backend, reason: pytest.mark.skipif(backend == "numpy", reason=reason)
        if name in ("Tensor", "Array"):  # which SciPy asks for where the library is loaded
            return type(name, (), {})
        return Missing(f"{self.__name__}.{name}")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers `import keras...`."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OTHERS:
            return importlib.util.spec_from_loader(name, self, is_package=True)
        if name.partition(".")[0] != "keras":
            return None
        file = WHEEL.joinpath(*name.split(".")[1:]).with_suffix(".py")
        if is_real(name) and file.is_file():
            return importlib.util.spec_from_file_location(name, file)
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name) if spec.name.partition(".")[0] == "keras" else Other(spec.name)

    def exec_module(self, module):
        module.__path__ = []
        if module.__name__ == "keras.src.testing":
            from .cases import TestCase

            module.TestCase = TestCase
            for name in ("jax_uses_gpu", "jax_uses_tpu", "tensorflow_uses_gpu", "torch_uses_gpu", "uses_gpu"):
                setattr(module, name, lambda: False)
            module.uses_tpu = lambda: False


def install():
    """Let `import keras` mean minikeras in this process."""
    if "keras" in sys.modules:
        raise RuntimeError("keras is loaded already")
    sys.meta_path.insert(0, Finder())
