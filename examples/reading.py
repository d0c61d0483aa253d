"""One step of training, call by call: file, line, and the shapes of the arrays, to follow with a finger or a debugger.

python examples/reading.py              the functions that compute, as NumPy states them
python examples/reading.py --all        every function of the package that runs
"""

import argparse
import inspect
import os
import sys
from types import FrameType
from typing import Any

os.environ["MINIKERAS_KERNELS"] = "numpy"  # before the import: what one reads is then what runs

import numpy as np

import minikeras as keras

ROOT = os.path.dirname(keras.__file__)
ROOMS = ("engine", "layers", "functional", "losses", "optimizers")


def shapes(frame: FrameType) -> str:
    """Return the arguments of a call that are arrays, as `x (16, 8, 8, 1)`."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    arrays = [(name, frame.f_locals[name]) for name in names if isinstance(frame.f_locals.get(name), np.ndarray)]
    return ", ".join(f"{name} {array.shape}" for name, array in arrays if array.ndim)


class Reader:
    """Prints each call of a function of the package, further to the right the deeper it is."""

    def __init__(self, everything: bool):
        self.everything = everything
        self.open: list[FrameType] = []  # the calls that were printed and have not returned

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Look at an event of the interpreter; see `sys.setprofile`."""
        code = frame.f_code
        if event == "return" and self.open and self.open[-1] is frame:
            self.open.pop()
        is_generator = code.co_flags & inspect.CO_GENERATOR  # "called" again for each element
        if event != "call" or is_generator or not code.co_filename.startswith(ROOT) or "<" in code.co_name:
            return
        name, told = os.path.relpath(code.co_filename, ROOT).replace(os.sep, "/"), shapes(frame)
        if self.everything or (name.startswith(ROOMS) and told):
            call = "  " * len(self.open) + code.co_qualname
            print(f"{call:<44} {f'{name}:{code.co_firstlineno}':<28} {told}".rstrip())
            self.open.append(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="print every function of the package that runs")
    options = parser.parse_args()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.random.default_rng(1).random((16, 8, 8, 1), np.float32), np.arange(16) % 3
    model.train_on_batch(x, y)  # what is settled once is settled now
    print("One step on 16 images of 8x8, for a convolution, a pooling, a dropout and a dense layer:\n")
    sys.setprofile(Reader(options.all))
    model.train_step(x, y)
    sys.setprofile(None)


if __name__ == "__main__":
    main()
