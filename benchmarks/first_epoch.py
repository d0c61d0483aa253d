"""A fresh Python process, from its start to the end of an import or of one epoch: what a user waits for.

    python benchmarks/first_epoch.py torch 2 epoch images.npy labels.npy

As soon as it is done it writes {"loss": ..., "peak": bytes}; `run.py` holds the watch.
"""

import importlib
import json
import operator
import os
import sys

FIRST_NAMES = {  # a module may come without what it only imports when it is named
    "minikeras": ("minikeras", "layers.Dense"),
    "keras-tensorflow": ("keras", "layers.Dense"),
    "keras-jax": ("keras", "layers.Dense"),
    "keras-torch": ("keras", "layers.Dense"),
    "torch": ("torch", "nn.Linear"),
    "scikit-learn": ("sklearn.neural_network", "MLPClassifier"),
}


def peak_memory() -> int:
    """Return the largest amount of memory that this process has held, in bytes."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource

        # Not on Linux, where this includes what the parent held before it started this program.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def one_epoch(library: str, threads: int, images: str, labels: str) -> float:
    """Train the MLP for one epoch; return the loss."""
    import numpy as np
    from libraries import ADAPTERS
    from work import NETWORKS

    adapter = ADAPTERS[library](threads)
    x, y = np.load(images), np.load(labels)
    model = adapter.model("MLP", NETWORKS["MLP"][1])
    return adapter.train(model, x, y, batch=32, epochs=1, shuffle=True)[-1]


def main() -> None:
    library, threads, until, *files = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    if until == "import":
        module, name = FIRST_NAMES[library]
        operator.attrgetter(name)(importlib.import_module(module))
        loss = None
    else:
        loss = one_epoch(library, int(threads), *files)
    print(json.dumps({"loss": loss, "peak": peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
