"""TensorFlow, quiet: the tests compare with it live, and its own warnings are not ours to mend."""

import os
import re
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# With oneDNN, TensorFlow 2.21's gradients of a convolution whose stride exceeds its kernel corrupt the heap.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("MPLBACKEND", "Agg")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

import pytest

import minikeras
from minikeras import functional, kernels


@pytest.fixture(autouse=True)
def _clean_state():
    """Names start anew, settings are Keras's defaults, and random numbers are the same in every run of a test."""
    keras.utils.set_random_seed(0)
    minikeras.utils.clear_session()
    minikeras.utils.set_random_seed(0)
    yield
    minikeras.config.set_floatx("float32")
    minikeras.config.set_epsilon(1e-7)


assert tf.config.list_physical_devices("GPU") == []


@pytest.fixture
def leave_to_numpy(monkeypatch):
    """Return a function after whose call NumPy does everything, until the test's end."""

    def leave():
        monkeypatch.setattr(kernels, "numpy_only", True)
        for operation in functional.operations.values():
            monkeypatch.setattr(operation, "machine_code", None)

    return leave


#: `pytest -m quick`, what every change needs: these files; of others each test with its first row, or, where the rows
#: are layers, losses or operations, with the first of each kind.
QUICK_FILES = {
    "test_blocks", "test_contributing", "test_errors", "test_house", "test_models", "test_public_api",
    "test_regularizers", "test_utils",
}  # fmt: skip
QUICK_TABLES = {
    "test_activations", "test_callbacks", "test_data", "test_initializers", "test_layers", "test_losses",
    "test_metrics", "test_operations", "test_optimizers", "test_own_layers", "test_saving", "test_trainable",
    "test_training",
}  # fmt: skip
QUICK_ROWS = {"test_layers": "case", "test_losses": "case", "test_operations": "name"}


def pytest_collection_modifyitems(items):
    seen = set()
    for item in items:
        file = item.path.stem
        row = getattr(item, "callspec", None) and item.callspec.params.get(QUICK_ROWS.get(file))
        test = (file, item.originalname, re.split("[- ]", str(row))[0])
        if file in QUICK_FILES or (file in QUICK_TABLES and test not in seen):
            item.add_marker(pytest.mark.quick)
        seen.add(test)
