"""Compile all kernels ahead of time: `python -m minikeras.kernels`, or `minikeras.functional`.

For images of containers, and for a classroom that shall not wait: afterwards every program of this user starts with
machine code from the disk.
"""

import importlib
import time

from . import ROOMS, operations


def compile_all() -> None:
    """Compile what every operation needs, and say how long it took."""
    for room in ROOMS:
        importlib.import_module(f".{room}", __package__)
    total = 0.0
    for name, operation in operations.items():
        start = time.perf_counter()
        operation.compile()
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:30} {seconds:6.2f} s", flush=True)
    print(f"{'all kernels are on disk':30} {total:6.2f} s")


if __name__ == "__main__":
    compile_all()
