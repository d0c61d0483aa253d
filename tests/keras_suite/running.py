"""Run files of Keras's tests, each in a process of its own."""

import importlib
import io
import json
import os
import subprocess
import sys
import traceback
import unittest
import warnings
from pathlib import Path

from .standins import WHEEL, install

FOLDERS = (
    "layers", "losses", "metrics", "optimizers", "callbacks", "models", "saving", "utils", "trainers", "constraints",
    "initializers", "regularizers", "activations", "random", "datasets",
)  # fmt: skip


def files(under=FOLDERS):
    """Return the names of test files below these folders of the wheel, "losses/loss_test.py"."""
    root = WHEEL / "src"
    found = []
    for name in under:
        path = root / name
        found += [path] if path.is_file() else sorted(path.rglob("*_test.py"))
    return [path.relative_to(root).as_posix() for path in found]


def skipped(method):
    """Return why Keras doesn't run a test on a backend such as NumPy's, or None."""
    for mark in getattr(method, "pytestmark", []):
        if mark.name == "skip" or (mark.name == "skipif" and any(mark.args)):
            return mark.kwargs.get("reason", "skipped")
    return None


def run_here(name, only=None):
    """Return {test: "" or how it fails} of one file, for a process in which `install` was called; None for skipped.

    Args:
        name: of the file.
        only: the tests to run; all where None.
    """
    module = importlib.import_module("keras.src." + name.removesuffix(".py").replace("/", "."))
    results = {}
    for case in list(vars(module).values()):
        if not (isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__):
            continue
        for test in unittest.defaultTestLoader.getTestCaseNames(case):
            key, method = f"{case.__name__}.{test}", getattr(case, test)
            if only is not None and key not in only:
                continue
            results[key] = None if skipped(case) or skipped(method) else _outcome(case(test))
    return results


def _outcome(case):
    """Return "" where a test passes, else how it fails; None where it skips itself."""
    outcome, out = unittest.TestResult(), sys.stdout
    sys.stdout = io.StringIO()
    try:
        case.run(outcome)
    except BaseException:
        return traceback.format_exc()
    finally:
        sys.stdout = out
    bad = [text for _, text in outcome.failures + outcome.errors]
    is_skipped = outcome.skipped or any(text.splitlines()[-1].startswith("Skipped:") for text in bad)
    return None if is_skipped else "\n".join(bad)


def run(names, only=None):
    """Yield the results of files one by one, from a process of their own; of one that can't be read {"": how}."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "keras_suite", "--here"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    ) as process:  # fmt: skip
        process.stdin.write(json.dumps([names, only]))
        process.stdin.close()
        for line in process.stdout:
            if line.startswith("RESULTS "):
                yield json.loads(line.removeprefix("RESULTS "))


def here(names, only):
    """Print the results of files, for `run`."""
    install()
    warnings.simplefilter("ignore")
    for name in names:
        try:
            results = run_here(name, only and only.get(name, []))
        except BaseException:
            results = {"": traceback.format_exc()}
        sys.__stdout__.write("RESULTS " + json.dumps(results) + "\n")
        sys.__stdout__.flush()
    os._exit(0)
