"""Machine code on the disk: whatever has become of it, numbers are right, and say on one line what is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minikeras

PROGRAM = """
import sys
import numpy as np
from minikeras import functional
{before}
w, g = np.full(10**6, 3, np.float32), np.ones(10**6, np.float32)
functional.updates.sgd(w, g, np.float32(1))
functional.updates.sgd(w, g, np.float32(1))
assert (w == 1).all()
cache = sys.modules.get("minikeras.kernels.cache")
print("compiled" if cache is None or cache.compiling else "loaded",
      "machine code" if getattr(functional.updates.sgd, "machine_code", None) else "reference")
"""


def run(folder, before="", **environment):
    """Return what the program prints, and what is said on the way but for the usual line on compiling."""
    program = PROGRAM.format(before=before)
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "compiling its kernels for this processor" not in line]
    assert all(line.startswith("minikeras: ") for line in said), result.stderr
    return result.stdout.strip(), said


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a folder of machine code, fresh from the compiler."""
    folder = tmp_path_factory.mktemp("machine code")
    assert run(folder) == ("compiled machine code", [])
    assert run(folder) == ("loaded machine code", [])
    return folder


def test_what_a_rule_says_is_compiled_anew_when_it_says_something_else(tmp_path):
    package, kept = tmp_path / "minikeras", tmp_path / "machine code"
    shutil.copytree(Path(minikeras.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}  # the copy, wherever this is run
    assert run(kept, **environment) == ("compiled machine code", [])
    assert run(kept, **environment) == ("loaded machine code", [])
    rules = package / "functional" / "updates.py"
    text = rules.read_text()
    assert "return w - g * lr\n" in text
    rules.write_text(text.replace("return w - g * lr\n", "return w - lr * g\n"))
    assert run(kept, **environment) == ("compiled machine code", [])


def bits_turned(data):
    place = len(data) * 2 // 3
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


DAMAGES = {
    "emptied": lambda data: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "one bit": bits_turned,
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "garbage": lambda data: os.urandom(len(data)),
}


@pytest.mark.parametrize(
    ("damage", "kind"), [*((damage, "nbc") for damage in DAMAGES), ("emptied", "nbi"), ("garbage", "nbi")]
)
def test_damaged_files_are_compiled_anew(damage, kind, kept, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    files = [path for path in folder.rglob(f"*.{kind}") if "sgd" in path.name]
    assert files
    for path in files:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    printed, said = run(folder)
    assert printed == "compiled machine code"
    (line,) = said
    assert "is damaged (" in line
    assert run(folder) == ("loaded machine code", [])


def test_all_files_may_be_damaged_at_once(kept, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    for path in folder.rglob("*.nb?"):
        path.write_bytes(b"")
    printed, said = run(folder)
    assert (printed, len(said)) == ("compiled machine code", 1)
    assert run(folder) == ("loaded machine code", [])


def test_files_may_be_folders(kept, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    for path in list(folder.rglob("*sgd*.nb?")):
        path.unlink()
        path.mkdir()
    printed, said = run(folder)
    assert (printed, len(said)) == ("compiled machine code", 2)  # damaged, and can't be kept


def test_a_full_disk_is_told_and_minded_by_nobody(kept, tmp_path):
    resource = pytest.importorskip("resource")
    assert resource
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    for path in folder.rglob("*sgd*"):
        path.unlink()
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))"
    printed, said = run(folder, full)
    assert printed == "compiled machine code"
    (line,) = said
    assert "can't keep its kernels in" in line
    assert run(folder) == ("compiled machine code", [])  # what could be written of it is not taken for whole
    assert run(folder) == ("loaded machine code", [])


NOWHERE = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}


def test_without_a_folder_each_process_compiles(tmp_path):
    no_folder = tmp_path / "a file"
    no_folder.write_text("")
    printed, said = run(no_folder, **NOWHERE)
    assert printed == "compiled machine code"
    (line,) = said
    assert "finds no folder to keep its kernels in" in line


@pytest.mark.parametrize(
    "environment",
    [{"MINIKERAS_KERNELS": "numpy"}, {"NUMBA_DISABLE_JIT": "1"}, {"MINIKERAS_KERNELS": "numpy", **NOWHERE}],
)
def test_where_nothing_shall_be_compiled_nothing_needs_a_folder(environment, tmp_path):
    no_folder = tmp_path / "a file"
    no_folder.write_text("")
    printed, said = run(no_folder, **environment)
    assert printed.endswith("reference")
    assert not said


@pytest.mark.parametrize("what", ["numba.core.dispatcher.Dispatcher", "numba.core.ccallback.CFunc"])
def test_where_nothing_can_be_compiled_numpy_computes(what, tmp_path):
    module, _, name = what.rpartition(".")
    fail = (
        f"from {module} import {name}\n"
        "def fail(*arguments, **named):\n"
        "    raise RuntimeError('LLVM knows no such processor\\nnor will it')\n"
        f"{name}.compile = fail"
    )
    printed, said = run(tmp_path, fail)
    assert printed.endswith("reference")
    (line,) = said
    assert "can't compile its kernels (LLVM knows no such processor); NumPy does their work" in line


def test_a_model_trains_where_jit_is_off():
    code = (
        "import numpy as np, minikeras\n"
        "layers = minikeras.layers\n"
        "model = minikeras.Sequential([minikeras.Input((8, 8, 1)), layers.Conv2D(2, 3, activation='relu'),\n"
        "    layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, activation='softmax')])\n"
        "model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "x = np.random.default_rng(0).random((32, 8, 8, 1)); y = np.arange(32) % 3\n"
        "model.fit(x, y, verbose=0); print(model.predict(x, verbose=0).shape)\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "(32, 3)\n", "")


def test_what_is_kept_lies_beside_the_sources_or_in_the_users_folder(kept):
    assert {path.suffix for path in Path(kept).rglob("*") if path.is_file()} == {".nbi", ".nbc"}  # nothing half-written
