"""A process's first fit, interrupted after so many seconds: afterwards it, and a new model, fit and give right numbers.

Run by `test_first_use`, as `python first_use.py seconds signal`.
"""

import signal
import sys
import threading
import time

import numpy as np

import minikeras

seconds, kind = float(sys.argv[1]), sys.argv[2]
x, y = np.linspace(-1, 1, 4 * 64, dtype="float32").reshape(64, 4), np.arange(64) % 3


def network():
    minikeras.utils.set_random_seed(1)
    dense = minikeras.layers.Dense
    model = minikeras.Sequential([minikeras.Input((4,)), dense(8, activation="relu"), dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def handler(number, frame):
    if kind == "evaluate":
        network().evaluate(x, y, verbose=0)
    elif kind == "memory":
        raise MemoryError
    elif kind == "interrupt":
        raise KeyboardInterrupt


signal.signal(signal.SIGINT, handler)
model, main = network(), threading.get_ident()
interrupted, fits, end = "no", 0, time.monotonic() + seconds + 0.3
try:
    threading.Timer(seconds, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    while time.monotonic() < end:
        model.fit(x, y, epochs=1, verbose=0)
        fits += 1
except (KeyboardInterrupt, MemoryError):
    interrupted = "yes"
again = network()
history = again.fit(x, y, epochs=2, verbose=0, shuffle=False).history
model.fit(x, y, verbose=0)
print(interrupted, fits, [float(v).hex() for v in history["loss"]], float(again.predict(x, verbose=0).sum()).hex())
