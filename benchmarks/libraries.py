"""How each library does the work of `work.py`, each in the way that is fastest for it.

    job = ADAPTERS["torch"]().prepare(TABLE["CNN step"])     # None where the library can't do it
    job.run()                                                # `job.units` units of work
    job.proof                                                # numbers that equal work makes equal

`worker.py` and `first_epoch.py` call.  Only an adapter's own library is imported, when the adapter is made.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from work import NETWORKS, PROOF_STEPS, Work, batch_of, layer_weights, network_weights, samples, without_dropout


@dataclasses.dataclass
class Job:
    """Work that is ready to run: built, with data in the library's own arrays, and compared."""

    run: Callable[[], Any]
    units: int = 1
    proof: list[float] = dataclasses.field(default_factory=list)
    note: str = ""


def magnitude(*arrays: Any) -> list[float]:
    """Return the root mean square of each array: results of equal work agree in it."""
    return [float(np.sqrt(np.square(np.asarray(a), dtype=np.float64).mean())) for a in arrays]


def first_row(outputs: Any) -> list[float]:
    """Return what a model says of the first sample."""
    return [float(p) for p in np.asarray(outputs)[0]]


class Library:
    """What the adapters share: a method for each kind of work, `train` and `model` being the library's own."""

    def prepare(self, work: Work) -> Job | None:
        """Return the job for a row of the table; None where this library has no such thing."""
        method = getattr(self, work.kind, None)
        return None if method is None else method(work)

    def model(self, network: str, layers: list[tuple]) -> Any:
        """Return a model with the common first weights, None where the library has no such layers."""
        raise NotImplementedError

    def train(self, model: Any, x: np.ndarray, y: np.ndarray, batch: int, epochs: int, shuffle: bool) -> list[float]:
        """Train with Adam; return each epoch's mean loss."""
        raise NotImplementedError

    def fit(self, work: Work) -> Job | None:
        """Training steps: the proof without shuffling and dropout, the timed ones with both, as users train."""
        network, batch, steps = work.options["network"], work.options["batch"], work.options["steps"]
        x, y = samples(network, batch * steps)
        plain = self.model(network, without_dropout(network))
        if plain is None:
            return None
        first = batch * min(PROOF_STEPS, steps)
        losses = self.train(plain, x[:first], y[:first], batch, epochs=2, shuffle=False)
        model = self.model(network, NETWORKS[network][1])
        run, note = self.fastest(lambda m: self.train(m, x, y, batch, epochs=1, shuffle=True), model)
        return Job(run, 1 if work.options.get("whole") else steps, losses, note)

    def fastest(self, run: Callable[[Any], Any], model: Any) -> tuple[Callable[[], Any], str]:
        """Return what to time, chosen among the library's ways to do it, and the name of that way."""
        return lambda: run(model), ""


class KerasLike(Library):
    """Keras on any backend, and minikeras: the same lines of user code."""

    keras: Any

    def model(self, network: str, layers: list[tuple]) -> Any:
        """Build and compile, with the common first weights."""
        k = self.keras
        make = {
            "conv": lambda filters: k.layers.Conv2D(filters, 3, padding="same", activation="relu"),
            "pool": lambda: k.layers.MaxPooling2D(2),
            "flatten": k.layers.Flatten,
            "dropout": k.layers.Dropout,
            "dense": lambda units, activation: k.layers.Dense(units, activation=activation),
        }
        model = k.Sequential([k.Input(NETWORKS[network][0]), *(make[kind](*rest) for kind, *rest in layers)])
        model.set_weights(network_weights(network))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def train(self, model: Any, x: np.ndarray, y: np.ndarray, batch: int, epochs: int, shuffle: bool) -> list[float]:
        """`fit` on arrays."""
        return model.fit(x, y, batch_size=batch, epochs=epochs, shuffle=shuffle, verbose=0).history["loss"]

    def predict(self, work: Work) -> Job:
        """`predict` of arrays."""
        model = self.model(work.options["network"], NETWORKS[work.options["network"]][1])
        x, _ = samples(work.options["network"], work.options["samples"])
        batch = work.options["batch"]

        def run():
            return model.predict(x, batch_size=batch, verbose=0)

        return Job(run, len(x), first_row(run()))

    def call(self, work: Work) -> Job:
        """The model as a function of one sample."""
        model = self.model(work.options["network"], NETWORKS[work.options["network"]][1])
        x, _ = samples(work.options["network"], 1)

        def run():
            return np.asarray(model(x))

        return Job(run, 1, first_row(run()))


class MiniKeras(KerasLike):
    """This project."""

    def __init__(self, threads: int):
        import minikeras

        self.keras = minikeras

    def layer(self, work: Work) -> Job:
        """The layer as a model of its own runs it: its graph's `forward`, and `backward`."""
        kind, *arguments = work.options["layer"]
        k = self.keras.layers
        make = {
            "conv": lambda filters, size, stride, padding: k.Conv2D(filters, size, stride, padding),
            "dense": k.Dense,
            "pool": k.MaxPooling2D,
            "activation": k.Activation,
        }
        layer, x = make[kind](*arguments), batch_of(work.options["shape"])
        start = self.keras.Input(x.shape[1:])
        model = self.keras.Model(start, layer(start))
        layer.set_weights(layer_weights(work.options["layer"], x.shape[-1]))
        model.gather()
        graph = model.graph
        needed, dy = graph.needed(wants_dx=True), batch_of(graph.forward(x).shape, seed=1)
        if not work.options["backward"]:
            return Job(lambda: graph.forward(x), proof=magnitude(graph.forward(x)))

        def run():
            caches = []
            y = graph.forward(x, True, caches)
            return y, graph.backward(dy, caches, needed, fresh=True)

        for v in layer.weights:
            v.gradient[:] = 0
        y_dx = run()
        return Job(run, proof=magnitude(*y_dx, *(v.gradient for v in layer.weights)))


class KerasTensorFlow(KerasLike):
    """tf.keras: Keras for models, TensorFlow's bare compiled graph for single layers."""

    def __init__(self, threads: int):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import keras

        self.tf, self.keras = tf, keras

    def layer(self, work: Work) -> Job:
        """A `tf.function` that returns y, or (y, dx, dw, db)."""
        tf, layer, function = self.tf, work.options["layer"], self._function(work.options["layer"])
        x = tf.constant(batch_of(work.options["shape"]))
        weights = [tf.constant(w) for w in layer_weights(layer, x.shape[-1])]
        forward = tf.function(function)
        dy = tf.constant(batch_of(forward(x, *weights).shape, seed=1))

        @tf.function
        def both_ways(dy, *inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = function(*inputs)
            return y, *tape.gradient(y, inputs, dy)

        def run():
            return both_ways(dy, x, *weights) if work.options["backward"] else forward(x, *weights)

        result = run()
        return Job(run, proof=magnitude(*result) if work.options["backward"] else magnitude(result))

    def _function(self, layer: tuple) -> Callable[..., Any]:
        tf = self.tf
        kind, *rest = layer
        if kind == "conv":
            _, _, stride, padding = rest
            return lambda x, w, b: tf.nn.bias_add(tf.nn.conv2d(x, w, stride, padding.upper()), b)
        if kind == "dense":
            return lambda x, w, b: tf.nn.bias_add(tf.matmul(x, w), b)
        if kind == "pool":
            return lambda x: tf.nn.max_pool2d(x, rest[0], rest[0], "VALID")
        return {"relu": tf.nn.relu, "sigmoid": tf.sigmoid, "tanh": tf.tanh, "softmax": tf.nn.softmax}[rest[0]]


class KerasJAX(KerasLike):
    """Keras on JAX; bare jitted JAX for single layers."""

    def __init__(self, threads: int):
        import jax
        import keras

        self.jax, self.keras = jax, keras

    def layer(self, work: Work) -> Job:
        """A jitted function that returns y, or (y, dx, dw, db)."""
        jax, layer, function = self.jax, work.options["layer"], self._function(work.options["layer"])
        x = jax.numpy.asarray(batch_of(work.options["shape"]))
        inputs = (x, *(jax.numpy.asarray(w) for w in layer_weights(layer, x.shape[-1])))
        forward = jax.jit(function)
        dy = jax.numpy.asarray(batch_of(forward(*inputs).shape, seed=1))

        @jax.jit
        def both_ways(dy, *inputs):
            y, derivative = jax.vjp(function, *inputs)
            return y, *derivative(dy)

        def run():
            return jax.block_until_ready(both_ways(dy, *inputs) if work.options["backward"] else forward(*inputs))

        result = run()
        return Job(run, proof=magnitude(*result) if work.options["backward"] else magnitude(result))

    def _function(self, layer: tuple) -> Callable[..., Any]:
        jax = self.jax
        kind, *rest = layer
        if kind == "conv":
            _, _, stride, padding = rest
            layout = ("NHWC", "HWIO", "NHWC")
            convolve = jax.lax.conv_general_dilated
            return lambda x, w, b: convolve(x, w, (stride, stride), padding.upper(), dimension_numbers=layout) + b
        if kind == "dense":
            return lambda x, w, b: x @ w + b
        if kind == "pool":
            window = (1, rest[0], rest[0], 1)
            return lambda x: jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")
        return getattr(jax.nn, rest[0])


class KerasTorch(KerasLike):
    """Keras on torch."""

    def __init__(self, threads: int):
        import keras
        import torch

        torch.set_num_threads(threads)
        self.torch, self.keras = torch, keras

    def call(self, work: Work) -> Job:
        """The model as a function, without a record for gradients."""
        with self.torch.inference_mode():
            job = super().call(work)
        run = self.torch.inference_mode()(job.run)
        return dataclasses.replace(job, run=run)


class Torch(Library):
    """torch without Keras: the training loop of its tutorials, made as fast as eager mode allows.

    Fused Adam, no accuracy computed, the loss summed without waiting for it; plain and channels-last memory are both
    tried, and the faster of the two is what counts.
    """

    def __init__(self, threads: int):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.layouts = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}

    def layer(self, work: Work) -> Job:
        """The function from `torch.nn.functional`; the derivatives by `autograd.grad`."""
        torch, function = self.torch, self._function(work.options["layer"])
        x, weights = batch_of(work.options["shape"]), layer_weights(work.options["layer"], work.options["shape"][-1])
        image = x.ndim == 4
        x = torch.from_numpy(np.moveaxis(x, -1, 1) if image else x)
        weights = [torch.from_numpy(w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T) for w in weights]

        def prepared(layout):
            inputs = [_laid_out(v, layout).clone().requires_grad_(work.options["backward"]) for v in (x, *weights)]
            y = function(*inputs)
            if image:
                dy = torch.from_numpy(batch_of(y.permute(0, 2, 3, 1).shape, seed=1)).permute(0, 3, 1, 2)
            else:
                dy = torch.from_numpy(batch_of(y.shape, seed=1))
            dy = _laid_out(dy, layout)

            def forward():
                with torch.inference_mode():
                    return [function(*inputs)]

            def both_ways():
                y = function(*inputs)
                return [y.detach(), *torch.autograd.grad(y, inputs, dy)]

            return both_ways if work.options["backward"] else forward

        layouts = self.layouts if image else {"": torch.contiguous_format}
        run, note = _fastest({name: prepared(layout) for name, layout in layouts.items()})
        return Job(run, proof=magnitude(*run()), note=note)

    def _function(self, layer: tuple) -> Callable[..., Any]:
        F = self.torch.nn.functional
        kind, *rest = layer
        if kind == "conv":
            _, size, stride, padding = rest
            if stride == 1 or padding == "valid":
                return lambda x, w, b: F.conv2d(x, w, b, stride, padding)
            # For strides of 2 and even sides Keras pads on the far sides only, which `padding=` can't express.
            before, after = (size - 2) // 2, (size - 1) // 2
            return lambda x, w, b: F.conv2d(F.pad(x, (before, after, before, after)), w, b, stride)
        if kind == "dense":
            return F.linear
        if kind == "pool":
            return lambda x: F.max_pool2d(x, rest[0])
        if rest[0] == "softmax":
            return lambda x: F.softmax(x, -1)
        return getattr(self.torch, rest[0])

    def model(self, network: str, layers: list[tuple]) -> Any:
        """Return an `nn.Sequential` that ends in logits, as its loss wants them, with the common first weights."""
        nn = self.torch.nn
        shape, modules = NETWORKS[network][0], []
        weights = iter(network_weights(network))
        for kind, *rest in layers:
            if kind == "conv":
                kernel, _ = next(weights), next(weights)
                modules += [nn.Conv2d(shape[-1], rest[0], 3, padding="same"), nn.ReLU()]
                modules[-2].weight.data.copy_(self.torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
                shape = (*shape[:2], rest[0])
            elif kind == "pool":
                modules.append(nn.MaxPool2d(2))
                shape = (shape[0] // 2, shape[1] // 2, shape[2])
            elif kind == "flatten":
                modules.append(nn.Flatten())
            elif kind == "dropout":
                modules.append(nn.Dropout(rest[0]))
            elif kind == "dense":
                kernel, _ = next(weights), next(weights)
                modules.append(nn.Linear(*kernel.shape))
                if len(modules) > 1 and isinstance(modules[-2], nn.Flatten):  # theirs has the channels first
                    kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                modules[-1].weight.data.copy_(self.torch.from_numpy(kernel.T))
                if rest[1] == "relu":
                    modules.append(nn.ReLU())
        for module in modules:
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()
        return nn.Sequential(*modules)

    def train(self, model: Any, x: np.ndarray, y: np.ndarray, batch: int, epochs: int, shuffle: bool) -> list[float]:
        """The usual loop over random batches; inputs have the layout of the model's weights."""
        torch = self.torch
        if not hasattr(model, "optimizer"):
            model.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
        optimizer, crossentropy = model.optimizer, torch.nn.functional.cross_entropy
        layout = getattr(model, "layout", torch.contiguous_format)
        x, y = self._inputs(x, layout), torch.from_numpy(y)
        model.train()
        losses = []
        for _ in range(epochs):
            order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
            total = torch.zeros(())
            for chosen in order.split(batch):
                loss = crossentropy(model(_laid_out(x[chosen], layout)), y[chosen])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(chosen)
            losses.append(float(total) / len(x))
        return losses

    def fastest(self, run: Callable[[Any], Any], model: Any) -> tuple[Callable[[], Any], str]:
        """Try the memory layouts, each with a model of its own."""
        if not any(isinstance(m, self.torch.nn.Conv2d) for m in model):
            return lambda: run(model), ""
        return _fastest({name: _bound(run, self._in_layout(model, layout)) for name, layout in self.layouts.items()})

    def predict(self, work: Work) -> Job:
        """Batch by batch, from arrays to an array, softmax included."""
        torch, network, batch = self.torch, work.options["network"], work.options["batch"]
        x, _ = samples(network, work.options["samples"])
        model = self.model(network, NETWORKS[network][1]).eval()

        def run(model):
            with torch.inference_mode():
                tensor = self._inputs(x, getattr(model, "layout", torch.contiguous_format))
                return torch.cat([model(part).softmax(-1) for part in tensor.split(batch)]).numpy()

        fastest, note = self.fastest(run, model)
        return Job(fastest, len(x), first_row(fastest()), note)

    def call(self, work: Work) -> Job:
        """The same for one sample."""
        return self.predict(work)

    def _inputs(self, x: np.ndarray, layout: Any) -> Any:
        tensor = self.torch.from_numpy(x)
        return _laid_out(tensor.permute(0, 3, 1, 2), layout) if x.ndim == 4 else tensor

    def _in_layout(self, model: Any, layout: Any) -> Any:
        import copy

        model = copy.deepcopy(model).to(memory_format=layout)
        model.layout = layout
        return model


class TorchCompile(Torch):
    """torch with its graph compiler, which needs a C++ compiler and some seconds per network."""

    layer = None  # single functions gain nothing

    def _in_layout(self, model: Any, layout: Any) -> Any:
        model = super()._in_layout(model, layout)
        model.compile()
        return model

    def fastest(self, run: Callable[[Any], Any], model: Any) -> tuple[Callable[[], Any], str]:
        """Compile, then choose as `Torch`."""
        if not any(isinstance(m, self.torch.nn.Conv2d) for m in model):
            model.compile()
        return super().fastest(run, model)


class ScikitLearn(Library):
    """`MLPClassifier`: the MLP only, its mini-batches in `partial_fit`."""

    def __init__(self, threads: int):
        import sklearn.neural_network

        self.classifier = sklearn.neural_network.MLPClassifier

    def model(self, network: str, layers: list[tuple]) -> Any:
        """Return a classifier with the common first weights and an Adam as Keras sets it."""
        if network != "MLP":
            return None
        model = self.classifier((100,), alpha=0.0, epsilon=1e-7)
        model.partial_fit(*samples(network, 16), classes=np.arange(10))  # makes the arrays that are filled here
        kernels, biases = network_weights(network)[::2], network_weights(network)[1::2]
        for mine, theirs in zip([*kernels, *biases], [*model.coefs_, *model.intercepts_], strict=True):
            theirs[:] = mine
        del model._optimizer  # the next `partial_fit` starts a new Adam
        return model

    def train(self, model: Any, x: np.ndarray, y: np.ndarray, batch: int, epochs: int, shuffle: bool) -> list[float]:
        """One `partial_fit`, which runs over all mini-batches, per epoch."""
        model.set_params(batch_size=batch, shuffle=shuffle)
        return [float(model.partial_fit(x, y).loss_) for _ in range(epochs)]

    def predict(self, work: Work) -> Job | None:
        """`predict_proba`, which knows no batches."""
        model = self.model(work.options["network"], [])
        if model is None:
            return None
        x, _ = samples(work.options["network"], work.options["samples"])
        return Job(lambda: model.predict_proba(x), len(x), first_row(model.predict_proba(x)))


ADAPTERS: dict[str, Callable[[int], Library]] = {
    "minikeras": MiniKeras,
    "keras-tensorflow": KerasTensorFlow,
    "keras-jax": KerasJAX,
    "keras-torch": KerasTorch,
    "torch": Torch,
    "torch-compile": TorchCompile,
    "scikit-learn": ScikitLearn,
}


def _laid_out(tensor: Any, layout: Any) -> Any:
    return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor.contiguous()


def _bound(run: Callable[[Any], Any], model: Any) -> Callable[[], Any]:
    return lambda: run(model)


def _fastest(ways: dict[str, Callable[[], Any]]) -> tuple[Callable[[], Any], str]:
    """Run each way thrice; return the one with the shortest run, and its name."""

    def shortest(run):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    best = min(ways, key=lambda name: shortest(ways[name]))
    return ways[best], best
