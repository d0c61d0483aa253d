"""What is measured: one table, `TABLE`, of pieces of work that every library is given alike, and their data.

`run.py` and `test_speed.py` walk through the table, `libraries.py` does the work.  All sizes, targets and data stand
here and nowhere else.  A ratio is always a peer's median divided by minikeras's: above 1, minikeras is ahead.
"""

import dataclasses
import math
from typing import Any

import numpy as np

OURS = "minikeras"
KERAS = "keras-tensorflow"
PEERS = (KERAS, "keras-jax", "torch", "torch-compile", "scikit-learn")  # measured where installed
OPTIONAL_PEERS = ("keras-torch",)  # measured where asked for
LABELS = {
    "minikeras": "minikeras",
    "keras-tensorflow": "tf.keras",
    "keras-jax": "Keras on JAX",
    "keras-torch": "Keras on torch",
    "torch": "torch",
    "torch-compile": "torch.compile",
    "scikit-learn": "scikit-learn",
}

#: What is shown of a number: seconds (or bytes) times this.
SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0, "MB": 1e-6}

#: Steps after which the libraries' losses are compared, twice: the mean over the first and the second pass.
PROOF_STEPS = 20

NETWORKS: dict[str, tuple[tuple[int, ...], list[tuple]]] = {
    "MLP": ((784,), [("dense", 100, "relu"), ("dense", 10, "softmax")]),
    "CNN": (
        (28, 28, 1),
        [
            *(("conv", 32), ("pool",), ("conv", 64), ("pool",), ("flatten",)),  # 3x3, same, relu; 2x2
            *(("dense", 100, "relu"), ("dropout", 0.4), ("dense", 10, "softmax")),
        ],
    ),
    "CIFAR CNN": (
        (32, 32, 3),
        [
            *(("conv", 32), ("conv", 32), ("pool",), ("conv", 64), ("conv", 64), ("pool",), ("flatten",)),
            *(("dense", 512, "relu"), ("dense", 10, "softmax")),
        ],
    ),
}


@dataclasses.dataclass(frozen=True)
class Promise:
    """How far ahead of a peer minikeras wants to be: ratios, and seconds that are forgiven."""

    peer: str
    at_least: float
    aim: float | None = None
    grace: float = 0.0


@dataclasses.dataclass(frozen=True)
class Work:
    """One row of the table.

    Attributes:
        name: unique.
        group: what `--only` chooses, and a section of the table.
        kind: which method of a library does it: layer, fit, predict, call; or process, a fresh Python.
        unit: of one repeat, as shown: "ms per step".
        options: what `kind` needs to know.
        promises: what is expected of minikeras.
        libraries: who takes part, beside peers that are only measured where asked for; everyone where empty.
        threads: cores to use; what `--threads` says where None.
        rounds: repeats of each library; `--rounds` where None.
        seconds: at least so long is one repeat.
        curve, at: for pictures: the line that this is a point of, and where on it.
    """

    name: str
    group: str
    kind: str
    unit: str
    options: dict[str, Any]
    promises: tuple[Promise, ...] = ()
    libraries: tuple[str, ...] = ()
    threads: int | None = None
    rounds: int | None = None
    seconds: float = 0.05
    curve: str = ""
    at: int = 0

    def concerns(self, library: str) -> bool:
        """Return whether this library takes part."""
        return not self.libraries or library in (*self.libraries, *OPTIONAL_PEERS)

    @property
    def scale(self) -> float:
        """The factor from seconds or bytes to the unit."""
        return SCALES[self.unit.split()[0]]

    def shortened(self) -> "Work":
        """Return the same with fewer steps and samples, to try the suite and not the libraries."""
        options = dict(self.options)
        for name, least in (("steps", 2), ("samples", 64)):
            if name in options:
                options[name] = min(options[name], max(least, options[name] // 10))
        return dataclasses.replace(self, options=options, rounds=3, seconds=self.seconds / 5)


# ---- the table ----


def layers() -> list[Work]:
    """Single layers on a batch of 32, forward and with their derivatives."""
    convolutions = [  # side, channels, filters, kernel, stride, padding
        (28, 1, 32, 3, 1, "same"),
        (32, 3, 32, 3, 1, "same"),
        (32, 32, 32, 3, 1, "same"),
        (28, 32, 64, 3, 1, "valid"),
        (14, 32, 64, 3, 1, "same"),
        (14, 64, 64, 3, 1, "same"),
        (14, 128, 128, 3, 1, "same"),
        (56, 3, 32, 5, 1, "same"),
        (14, 32, 64, 5, 1, "same"),
        (14, 128, 128, 1, 1, "valid"),
        (28, 32, 64, 1, 1, "valid"),
        (28, 32, 64, 3, 2, "same"),
        (56, 64, 64, 3, 2, "valid"),
        (56, 3, 32, 5, 2, "valid"),
    ]
    no_slower = (Promise(KERAS, 1.0, 1.5),)
    rows = []
    for side, channels, filters, kernel, stride, padding in convolutions:
        layer = ("conv", filters, kernel, stride, padding)
        stride_text = f" stride {stride}" if stride > 1 else ""
        name = f"conv {kernel}x{kernel}{stride_text} {padding}, {channels} to {filters}, {side}x{side}"
        rows += _both_ways(name, layer, (32, side, side, channels), no_slower)
    for batch, channels, units in [(32, 784, 100), (32, 512, 512), (32, 4096, 1000), (1024, 784, 512)]:
        rows += _both_ways(f"dense {channels} to {units}, batch {batch}", ("dense", units), (batch, channels))
    rows += _both_ways("max pool 2x2, 28x28x32", ("pool", 2), (32, 28, 28, 32))
    for name in ("relu", "sigmoid", "tanh"):
        rows += _both_ways(f"{name}, 28x28x32", ("activation", name), (32, 28, 28, 32))
    return [*rows, *_both_ways("softmax, 1024x10", ("activation", "softmax"), (1024, 10))]


def _both_ways(name: str, layer: tuple, shape: tuple[int, ...], promises: tuple[Promise, ...] = ()) -> list[Work]:
    libraries = (OURS, KERAS, "keras-jax", "torch")
    return [
        Work(
            f"{name}, {way}",
            "layers",
            "layer",
            "ms per batch",
            {"layer": layer, "shape": shape, "backward": way != "forward"},
            promises,
            libraries,
        )
        for way in ("forward", "both ways")
    ]


def _fit(name: str, group: str, network: str, batch: int, steps: int, **more: Any) -> Work:
    return Work(name, group, "fit", "ms per step", {"network": network, "batch": batch, "steps": steps}, **more)


def _predict(name: str, group: str, network: str, batch: int, samples: int, **more: Any) -> Work:
    options = {"network": network, "batch": batch, "samples": samples}
    return Work(name, group, "predict", "us per sample", options, seconds=0.2, **more)


def steps() -> list[Work]:
    """Training steps of 32 samples through `fit`; so many that what `fit` does once weighs little."""
    mlp = (Promise(KERAS, 8, 10), Promise("keras-jax", 2))
    return [
        _fit("MLP step", "steps", "MLP", 32, 600, promises=mlp),
        _fit("CNN step", "steps", "CNN", 32, 40, promises=(Promise(KERAS, 2, 2.5),)),
        _fit("CIFAR-size CNN step", "steps", "CIFAR CNN", 32, 10, promises=(Promise(KERAS, 1.2, 1.5),)),
    ]


def inference() -> list[Work]:
    """`predict` of many samples and of one, and the model called as a function."""
    many = {32: (2, 3), 256: (1.2, 1.6)}
    rows = [
        _predict(
            f"CNN predict, batch {batch}",
            "inference",
            "CNN",
            batch,
            2048,
            promises=(Promise(KERAS, *targets), Promise("keras-jax", 1)),
        )
        for batch, targets in many.items()
    ]
    rows.append(_predict("MLP predict, batch 32", "inference", "MLP", 32, 16384))
    for network in ("MLP", "CNN"):
        one = {"network": network, "batch": 1, "samples": 1}
        promise = (Promise(KERAS, 300, 1000),)
        rows.append(Work(f"{network} predict, one sample", "inference", "predict", "us per sample", one, promise))
        rows.append(Work(f"{network} as model(x), one sample", "inference", "call", "us per sample", one))
    return rows


def epochs() -> list[Work]:
    """One pass over 48,000 images of 28x28."""
    options = {"network": "MLP", "batch": 32, "steps": 1500, "whole": True}
    return [Work("MLP epoch, 48,000 images", "epochs", "fit", "s per epoch", options, rounds=5)]


def processes() -> list[Work]:
    """Fresh Python processes, from their start to the end of an import or of one MLP epoch of 48,000 images."""
    imported = {"until": "import", "field": "seconds"}
    epoch = {"until": "epoch", "field": "seconds"}
    nothing_cached, memory = {**epoch, "cold": True}, {**epoch, "field": "peak"}
    common = {"kind": "process", "rounds": 3}
    processes = {**common, "libraries": (OURS, KERAS, "keras-jax", "torch", "scikit-learn")}
    under_half = (Promise(KERAS, 2, 3),)
    return [
        Work("import, and name a layer", "start", unit="s", options=imported, **processes),
        Work(
            "start to end of one epoch", "start", unit="s", options=epoch, promises=(Promise(KERAS, 5, 8),), **processes
        ),
        Work(
            "the same, nothing cached",
            "start",
            unit="s",
            options=nothing_cached,
            promises=(Promise(KERAS, 1, 1, grace=10),),
            libraries=(OURS, KERAS),
            **common,
        ),
        Work("peak memory of that epoch", "memory", unit="MB", options=memory, promises=under_half, **processes),
    ]


def sweeps() -> list[Work]:
    """Curves for the pictures: cost against batch size, image side, channels and threads."""
    common = {"libraries": (OURS, KERAS, "keras-jax", "torch"), "rounds": 3}
    rows = []
    for batch in (1, 4, 16, 64, 256, 1024, 4096):
        for network, seen, most, predicted in (("MLP", 12000, 200, 8192), ("CNN", 640, 20, 1024)):
            steps = min(most, max(1, seen // batch))
            count = max(batch, min(50 * batch, predicted))
            point = {**common, "at": batch, "rounds": 3}
            step, predict = f"{network} step", f"{network} predict"
            rows += [
                _fit(f"{step}, batch size {batch}", "batch", network, batch, steps, curve=step, **point),
                _predict(f"{predict}, batch size {batch}", "batch", network, batch, count, curve=predict, **point),
            ]
    for side in (8, 14, 28, 56, 112, 224):
        rows.append(_curve_of_convolution("side", side, (4, side, side, 32), 32, common))
    for channels in (1, 3, 8, 16, 32, 64, 128, 256):
        rows.append(_curve_of_convolution("channels", channels, (32, 14, 14, channels), channels, common))
    for threads in (1, 2):
        text, point = f"{threads} thread{'s' * (threads > 1)}", {**common, "threads": threads, "at": threads}
        rows += [
            _fit(f"MLP step, {text}", "threads", "MLP", 32, 200, curve="MLP step", **point),
            _fit(f"CNN step, {text}", "threads", "CNN", 32, 20, curve="CNN step", **point),
            _predict(f"CNN predict, {text}", "threads", "CNN", 256, 1024, curve="CNN predict", **point),
            _curve_of_convolution("threads", threads, (32, 14, 14, 64), 64, {**common, "threads": threads}),
        ]
    return rows


def _curve_of_convolution(group: str, at: int, shape: tuple[int, ...], filters: int, common: dict[str, Any]) -> Work:
    options = {"layer": ("conv", filters, 3, 1, "same"), "shape": shape, "backward": True}
    name = f"conv 3x3, both ways, {group} {at}"
    return Work(name, group, "layer", "ms per batch", options, curve="conv 3x3", at=at, **common)


TABLE = {work.name: work for part in (steps, epochs, inference, layers, processes, sweeps) for work in part()}
GROUPS = tuple(dict.fromkeys(work.group for work in TABLE.values()))
CURVES = ("batch", "side", "channels", "threads")  # groups that are drawn as curves


# ---- data, the same for everyone ----


def batch_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return normal numbers, half of them below zero, as a layer inside a network gets them."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def samples(network: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images in [0, 1) and labels 0 to 9 that a network learns in some steps: ten random pictures, and noise."""
    rng = np.random.default_rng(1)
    shape = NETWORKS[network][0]
    pictures = rng.random((10, *shape), dtype=np.float32)
    y = rng.integers(10, size=count)
    x = rng.random((count, *shape), dtype=np.float32)
    x *= np.float32(0.5)
    x += np.float32(0.5) * pictures[y]
    return x, y


def layer_weights(layer: tuple, channels: int, seed: int = 2) -> list[np.ndarray]:
    """Return a kernel, uniform as Glorot and Bengio advise, and a bias of zeros; nothing where a layer has none."""
    if layer[0] == "conv":
        taps, units = layer[2] ** 2, layer[1]
        shape: tuple[int, ...] = (layer[2], layer[2], channels, units)
    elif layer[0] == "dense":
        taps, units, shape = 1, layer[1], (channels, layer[1])
    else:
        return []
    limit = math.sqrt(6 / (taps * (channels + units)))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, shape).astype(np.float32)
    return [kernel, np.zeros(units, np.float32)]


def network_weights(network: str) -> list[np.ndarray]:
    """Return the first weights of a network, in the order and layout of Keras's `get_weights`."""
    shape, layers = NETWORKS[network]
    weights = []
    for seed, (kind, *arguments) in enumerate(layers):
        if kind == "conv":
            weights += layer_weights(("conv", arguments[0], 3), shape[-1], seed)
            shape = (*shape[:2], arguments[0])
        elif kind == "pool":
            shape = (shape[0] // 2, shape[1] // 2, shape[2])
        elif kind == "flatten":
            shape = (math.prod(shape),)
        elif kind == "dense":
            weights += layer_weights(("dense", arguments[0]), shape[0], seed)
            shape = (arguments[0],)
    return weights


def without_dropout(network: str) -> list[tuple]:
    """Return the layers for runs whose losses are compared: libraries drop other units."""
    return [layer for layer in NETWORKS[network][1] if layer[0] != "dropout"]
