"""Compile all kernels ahead of time.

A command, which stands above all rooms: the door knows what there is to compile (see `functional`).
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("minikeras.functional", run_name="__main__", alter_sys=True)
