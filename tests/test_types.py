"""What type checkers see: the package itself is clean, scripts are, and a misspelt name is flagged.

mypy and pyright read files; nothing of the engine runs here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minikeras

ROOT = Path(__file__).parent.parent
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--no-warn-return-any", "--no-error-summary", "--cache-dir"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
}
FIRST_PROGRAM = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]

OWN_LAYER = '''
from typing import Any

import numpy as np

import minikeras as keras
from minikeras import layers, losses
from minikeras.testing import check_gradients


class Scale(layers.Layer):
    """y = w x."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight((1,), "ones", name="w")

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        return x * self.w.value, x

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        self.w.gradient += (dy * cache).sum()
        return dy * self.w.value


class Shorter(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs and logs["loss"] < 0.1:
            self.model.stop_training = True


check_gradients(Scale(), (3,))
inputs = keras.Input((4,))
outputs = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(1e-3))(layers.add([inputs, Scale()(inputs)]))
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.Adam(1e-2), losses.MeanSquaredError(), metrics=[keras.metrics.MeanAbsoluteError()])
x, y = np.ones((8, 4)), np.ones((8, 2))
history = model.fit(x, y, epochs=2, callbacks=[Shorter(), keras.callbacks.ModelCheckpoint("m.keras")])
print(history.history["loss"], model.evaluate(x, y), model.predict(x).shape, keras.config.floatx())
model.save("m.keras")
model.add(keras.Input((2,))) if isinstance(model, keras.Sequential) else None
keras.models.load_model("m.keras", custom_objects={"Scale": Scale}).summary()
keras.plotting.training_curves(history)
keras.utils.plot_model(model)
'''

MISSPELT = """
import minikeras as keras
from minikeras import layers

keras.layers.Con2D(32, 3)
layers.Desne(10)
keras.Sequental([])
keras.optimizers.Adamm()
keras.losses.MeanSquareError()
keras.callbacks.EarlyStoping()
keras.activations.rellu
keras.utils.to_categoric([1])
"""


def check(checker, code, folder):
    """Return what a checker says about a script of a user who has installed the package."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    command = [*CHECKERS[checker], *([str(ROOT / ".mypy_cache" / "users")] if checker == "mypy" else []), str(script)]
    package = Path(minikeras.__file__).parent.parent
    environment = dict(os.environ)
    if package.name != "site-packages":  # run from a checkout; what is installed is found by itself
        environment.update(MYPYPATH=str(package), PYTHONPATH=str(package))
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(params=CHECKERS)
def checker(request):
    pytest.importorskip(request.param)
    if subprocess.run([sys.executable, "-m", request.param, "--version"], capture_output=True).returncode:
        pytest.skip(f"{request.param} needs what is not there")
    return request.param


@pytest.mark.parametrize("code", [FIRST_PROGRAM, OWN_LAYER], ids=["first program", "own layer"])
def test_what_users_write_is_clean(checker, code, tmp_path):
    status, said = check(checker, code, tmp_path)
    assert status == 0, said


def test_misspelt_names_are_flagged(checker, tmp_path):
    status, said = check(checker, MISSPELT, tmp_path)
    assert status != 0
    for name in re.findall(r"\.([A-Za-z_0-9]+)(?=[(\n])", MISSPELT):
        assert f'"{name}"' in said, f"{name} is not flagged by {checker}: {said}"


def test_the_package_is_clean():
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
