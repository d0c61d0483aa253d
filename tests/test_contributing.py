"""The worked examples of CONTRIBUTING.md run, in the files that they name, and pass what the tables test."""

import ast
import importlib
import re
from pathlib import Path

import keras
import layer_table
import numpy as np
import operations_table
import pytest
import test_layers
import test_losses
import test_operations
import test_optimizers

import minikeras
from minikeras import functional, layers, losses, optimizers

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.S)


class Examples:
    """Puts blocks where they say they belong, until the end of a test."""

    def __init__(self, monkeypatch, folder):
        self.monkeypatch, self.folder = monkeypatch, folder

    def run(self, file, index=0):
        """Run a block of a file of the package among the file's names; what it defines is there afterwards."""
        code = [code for name, code in BLOCKS if name == file][index]
        module = importlib.import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        defined = [node.name for node in ast.parse(code).body]
        for name in defined:
            assert not hasattr(module, name), f"{name} is in {file} by now: another example is needed"
            self.monkeypatch.setattr(module, name, None, raising=False)
        source = self.folder / f"{module.__name__}-{index}.py"  # numba reads where a function comes from
        source.write_text(code, encoding="utf-8")
        exec(compile(code, str(source), "exec"), vars(module))
        return [getattr(module, name) for name in defined]

    def rows(self, file):
        """Return the lines of a table, as a list or a dictionary."""
        code = next(code for name, code in BLOCKS if name == file)
        names = vars(importlib.import_module(Path(file).stem))
        if code.startswith('"'):
            return eval(f"{{{code}}}", names)
        return [eval(ast.unparse(row), names) for row in ast.parse(code).body]


@pytest.fixture
def examples(monkeypatch, tmp_path):
    known, classes = dict(functional.operations), dict(minikeras.common.serialization.KNOWN)
    yield Examples(monkeypatch, tmp_path)
    for table, before in ((functional.operations, known), (minikeras.common.serialization.KNOWN, classes)):
        table.clear()
        table.update(before)


def test_every_block_is_run():
    here = Path(__file__).read_text(encoding="utf-8")
    assert {file for file, _ in BLOCKS} == set(re.findall(r'"((?:minikeras|tests)/\S+\.py)"', here))


def test_a_layer(examples, monkeypatch):
    (layer,) = examples.run("minikeras/layers/more/normalization.py")
    monkeypatch.setattr(layers, layer.__name__, layer, raising=False)
    cases = examples.rows("tests/layer_table.py")
    assert len(cases) == 2
    for case in cases:
        assert isinstance(case, layer_table.Case)
        test_layers.test_forward_and_every_gradient_agree_with_keras(case)
        test_layers.test_gradients_are_the_measured_slopes(case)
        test_layers.test_the_checker_notices_a_wrong_backward(case)
        test_layers.test_shapes_and_counts_agree_with_keras(case)
        test_layers.test_config_equals_keras_and_rebuilds_the_layer(case)
    assert layer()(np.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()


def test_a_loss(examples, monkeypatch):
    function, _, loss = examples.run("minikeras/losses/regression.py")

    def quantile_of_keras(y_true, y_pred, share=0.5):
        above = keras.ops.cast(y_true, y_pred.dtype) - y_pred
        return keras.ops.mean(keras.ops.maximum(share * above, (share - 1) * above), -1)

    class QuantileOfKeras(type(keras.losses.Huber()).__base__):
        def __init__(self, **options):
            super().__init__(quantile_of_keras, name="quantile", **options)

    for room, names in ((losses, (function, loss)), (keras.losses, (quantile_of_keras, QuantileOfKeras))):
        for name, entry in zip(("quantile", "Quantile"), names, strict=True):
            monkeypatch.setattr(room, name, entry, raising=False)
    for name, case in examples.rows("tests/test_losses.py").items():
        monkeypatch.setitem(test_losses.CASES, name, case)
        for dtype in ("float32", "float64"):
            test_losses.test_value_and_gradient_are_those_of_tensorflow(name, dtype)
        test_losses.test_function_is_that_of_keras(name)
        test_losses.test_gradient_is_the_measured_slope(name)


def test_an_optimizer(examples, monkeypatch):
    (rule,) = examples.run("minikeras/functional/updates.py")
    monkeypatch.setitem(test_operations.OPERATIONS, rule.name, rule)
    test_operations.test_numpy_and_machine_code_agree(rule.name)
    (signum,) = examples.run("minikeras/optimizers/more.py")
    monkeypatch.setattr(optimizers, "Signum", signum, raising=False)
    ours, _ = test_optimizers.weights()
    before = [v.numpy() for v in ours]
    optimizer, stream = signum(0.01, momentum=0.5), test_optimizers.gradients()
    first = next(stream)
    optimizer.apply(first, ours)
    for old, new, g in zip(before, ours, first, strict=True):
        np.testing.assert_allclose(new, old - 0.01 * np.sign(g), rtol=1e-6, atol=1e-7)
    assert signum.from_config(optimizer.get_config()).momentum == 0.5
    model = minikeras.Sequential([minikeras.Input((2,)), layers.Dense(1)])
    model.compile(signum(0.02), "mse")
    x = np.random.default_rng(0).normal(size=(64, 2))
    history = model.fit(x, x @ [[1.0], [-2.0]], epochs=100, verbose=0).history["loss"]
    assert history[-1] < 0.01 < history[0]


def test_a_kernel(examples, monkeypatch):
    (operation,) = examples.run("minikeras/functional/activations.py")
    examples.run("minikeras/kernels/activations.py")
    for name, row in examples.rows("tests/operations_table.py").items():
        monkeypatch.setitem(operations_table.ROWS, name, row)
        monkeypatch.setitem(test_operations.OPERATIONS, name, operation)
        test_operations.test_numpy_and_machine_code_agree(name)
    assert operation.machine_code is not None
