"""`import minikeras` is cheap and quiet, and every public name exists."""

import subprocess
import sys

import pytest

import minikeras

HEAVY = ["numba", "rich", "h5py", "sklearn", "matplotlib", "tensorflow", "keras", "pandas", "scipy", "json", "urllib"]


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_importing_loads_nothing_heavy():
    result = run(f"import numpy, sys; before = set(sys.modules); import minikeras\n"
                 f"print(sorted(set({HEAVY}) & (set(sys.modules) - before)))")  # fmt: skip
    assert result.stdout.strip() == "[]", result.stderr


def test_building_a_model_loads_nothing_heavy():
    result = run(
        "import numpy, sys; before = set(sys.modules); import minikeras as k\n"
        "m = k.Sequential([k.Input((4,)), k.layers.Dense(3)]); m.compile('adam', 'mse', metrics=['mae'])\n"
        f"print(sorted(set({HEAVY}) & (set(sys.modules) - before)))"
    )
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("name", sorted(minikeras.__all__))
def test_every_public_name_exists(name):
    room = getattr(minikeras, name)
    for inner in getattr(room, "__all__", ()):
        assert hasattr(room, inner), f"{name}.{inner}"


def test_every_room_imports_alone_and_quietly():
    from pathlib import Path

    root = Path(minikeras.__file__).parent
    rooms = sorted(
        ".".join(("minikeras", *p.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for p in root.rglob("*.py")
    )
    code = (
        "import importlib, sys\n"
        f"for room in {rooms}:\n"
        "    for name in [n for n in sys.modules if n.split('.')[0] == 'minikeras']:\n"
        "        del sys.modules[name]\n"
        "    importlib.import_module(room)\n"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_keras_spellings_of_imports_work():
    code = (
        "from minikeras import Input, Sequential, layers, losses, metrics, models, optimizers, utils\n"
        "from minikeras.callbacks import EarlyStopping\n"
        "from minikeras.datasets import fashion_mnist, mnist\n"
        "from minikeras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D\n"
        "from minikeras.models import Model, Sequential\n"
        "from minikeras.optimizers.schedules import ExponentialDecay\n"
        "from minikeras.utils import set_random_seed, to_categorical\n"
        "import minikeras as keras; keras.backend.clear_session(); keras.config.floatx()\n"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr
