"""The libraries' processes.  Both ends of a pipe: one that holds a library and works when asked, and who asks it.

    with Worker("torch", threads=2) as worker:
        worker.prepare("CNN step")      # {"proof": [...], "note": ...}; None where the library can't
        worker.measure()                # seconds per unit of work

Each library lives in a process of its own, so that Keras backends, thread pools and allocators don't meet;
`FreshProcesses` are for start and memory.  `run.py` and `test_speed.py` hold them; a worker calls `libraries.py`.
"""

import contextlib
import gc
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODULES = {  # what must be installed for a library
    "minikeras": ("minikeras",),
    "keras-tensorflow": ("keras", "tensorflow"),
    "keras-jax": ("keras", "jax"),
    "keras-torch": ("keras", "torch"),
    "torch": ("torch",),
    "torch-compile": ("torch",),
    "scikit-learn": ("sklearn",),
}


def installed(library: str) -> bool:
    """Return whether a library's modules can be found, and the compiler that it needs."""
    compiler = library != "torch-compile" or any(map(shutil.which, ("c++", "g++", "clang++")))
    return compiler and all(importlib.util.find_spec(module) for module in MODULES[library])


def environment(library: str, threads: int) -> dict[str, str]:
    """Return the environment of a library's process: its number of threads, Keras's backend, no graphics card."""
    count = str(threads)
    settings = {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])),
    }
    if library.startswith("keras-"):
        settings["KERAS_BACKEND"] = library.removeprefix("keras-")
    return {**os.environ, **settings}


def use_cores(threads: int) -> None:
    """Keep this process on as many cores as it may have threads: some libraries ask the machine, not the settings."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Worker:
    """A process that holds one library.

    Args:
        library: a key of `MODULES`.
        threads: how many cores it may use.
        quick: whether to shorten all work.
    """

    def __init__(self, library: str, threads: int, quick: bool = False):
        self.library = library
        self.busy = 0.0  # seconds of processor time, of all its threads, that its answers account for
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed in close
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), library, str(threads), str(int(quick))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment(library, threads),
        )
        self.versions = self._answer()["versions"]

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def prepare(self, work: str) -> dict[str, Any] | None:
        """Build, warm up and compare; None where the library can't do this work."""
        return self._ask("prepare", work)["job"]

    def measure(self) -> float:
        """Run what was prepared; return seconds per unit."""
        return self._ask("measure")["seconds"]

    def forget(self) -> None:
        """Free what was prepared."""
        self._ask("forget")

    def _ask(self, *request: str) -> dict[str, Any]:
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = self._answer()
        self.busy += answer["busy"]
        return answer

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"the process ended\n{self._last_words()}"}
        if "error" in answer:
            raise RuntimeError(f"{self.library}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-2000:]


class FreshProcesses:
    """Runs `first_epoch.py`: nobody's workers, they import a library, train for an epoch and end.

    Args:
        directory: where their data go, so that no process has to make them.
        steps: of 32 samples.
    """

    def __init__(self, directory: str, steps: int):
        import numpy as np
        from work import samples

        self.done: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
        self.files = [str(Path(directory, name)) for name in ("images.npy", "labels.npy")]
        for file, array in zip(self.files, samples("MLP", 32 * steps), strict=True):
            np.save(file, array)

    def run(self, library: str, options: dict[str, Any], threads: int) -> dict[str, Any]:
        """Run one; return seconds until it said that it is done, its loss and its peak memory."""
        command = [sys.executable, str(HERE / "first_epoch.py"), library, str(threads), options["until"], *self.files]
        with tempfile.TemporaryDirectory() as nothing:
            cold = {"NUMBA_CACHE_DIR": nothing} if options.get("cold") else {}
            start = time.perf_counter()
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**environment(library, threads), **cold},
            )
            said = process.stdout.readline()
            seconds = time.perf_counter() - start
            process.communicate()
        if not said.startswith("{"):
            raise RuntimeError(f"{library}: {' '.join(command)} failed.")
        result = {"seconds": seconds, **json.loads(said)}
        self.done.setdefault((library, options["until"], bool(options.get("cold"))), []).append(result)
        return result

    def warm(self, library: str, options: dict[str, Any], threads: int) -> None:
        """Run one where none has run yet, for files that come into memory and kernels that go onto the disk."""
        if (library, options["until"], False) not in self.done:
            self.run(library, {**options, "cold": False}, threads)

    def earlier(self, library: str, options: dict[str, Any], threads: int, turn: int) -> dict[str, Any]:
        """Return the result of a run that was made for its time, if there is one; memory doesn't mind when."""
        done = self.done.get((library, options["until"], bool(options.get("cold"))), [])
        return done[turn] if turn < len(done) else self.run(library, options, threads)


# ---- the other end ----


class Workshop:
    """What runs in a worker's process: at most one job at a time, repeated so often that a repeat can be timed."""

    def __init__(self, library: str, threads: int, quick: bool):
        from libraries import ADAPTERS

        self.adapter, self.quick = ADAPTERS[library](threads), quick
        self.job: Any = None
        self.times = 1

    def prepare(self, name: str) -> dict[str, Any]:
        """Build the job, run it once, and find how often a repeat has to run it."""
        from work import TABLE

        work = TABLE[name].shortened() if self.quick else TABLE[name]
        self.job = self.adapter.prepare(work)
        if self.job is None:
            return {"job": None}
        self.times = 1
        self._timed()  # may still compile
        while (elapsed := self._timed()) < work.seconds:
            self.times = max(self.times + 1, min(round(1.1 * self.times * work.seconds / elapsed), 10 * self.times))
        return {"job": {"proof": self.job.proof, "note": self.job.note, "times": self.times}}

    def measure(self) -> dict[str, Any]:
        """Time one repeat."""
        return {"seconds": self._timed() / (self.times * self.job.units)}

    def forget(self) -> dict[str, Any]:
        """Free the job."""
        self.job = None
        gc.collect()
        return {}

    def _timed(self) -> float:
        run = self.job.run
        start = time.perf_counter()
        for _ in range(self.times):
            run()
        return time.perf_counter() - start


def versions(library: str) -> dict[str, str]:
    """Return the versions of a library's packages, without importing anything."""
    from importlib import metadata

    packages = {
        "minikeras": ("numpy", "numba"),
        "keras-tensorflow": ("keras", "tensorflow", "tensorflow-cpu"),
        "keras-jax": ("keras", "jax", "jaxlib"),
        "keras-torch": ("keras", "torch"),
        "torch": ("torch",),
        "torch-compile": ("torch",),
        "scikit-learn": ("scikit-learn",),
    }
    found = {}
    for package in packages[library]:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if library == "minikeras":
        import minikeras

        found["minikeras"] = minikeras.__version__
    return found


def main() -> None:
    library, threads, quick = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    use_cores(threads)
    workshop = Workshop(library, threads, quick)
    print(json.dumps({"versions": versions(library)}), file=answers, flush=True)
    for line in sys.stdin:
        request, *arguments = json.loads(line)
        start = time.process_time()
        try:
            answer = getattr(workshop, request)(*arguments)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps({**answer, "busy": time.process_time() - start}), file=answers, flush=True)


if __name__ == "__main__":
    main()
