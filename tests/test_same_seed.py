"""After `set_random_seed`, minikeras and tf.keras draw the same numbers: weights, masks and orders to the last bit."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minikeras
from minikeras import random
from minikeras.functional import philox

SHAPES = [(3,), (1, 1), (5, 7), (784, 300), (3, 3, 1, 32), (2, 3, 4)]
SEEDS = [0, 1, 42, 2**31 + 5]


def equal(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def each(seed, make):
    """What `make` returns for either library, each freshly seeded: both draw seeds from Python's one `random`."""
    results = []
    for k in (minikeras, keras):
        k.utils.set_random_seed(seed)
        results.append(make(k))
    return results


# the stream


def test_philox_gives_the_published_numbers():
    """The known answers of the Random123 library for ten rounds."""
    ones = 0xFFFFFFFF
    answers = {
        ((0, 0), (0, 0, 0, 0)): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ((ones, ones), (ones, ones, ones, ones)): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)): (
            0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
        ),
    }  # fmt: skip
    for function in (philox.stream.reference, philox.stream.compiled):
        for (key, counter), expected in answers.items():
            words = np.zeros((1, 4), np.uint32)
            function(words, np.array(key, np.uint32), np.array(counter, np.uint32), np.zeros(1, np.uint64))
            assert tuple(words[0]) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_kernels_are_their_references(key, counter, blocks):
    key = np.array([key & 0xFFFFFFFF, key >> 32], np.uint32)
    counter = np.array([counter >> s & 0xFFFFFFFF for s in (0, 32, 64, 96)], np.uint32)
    blocks = np.array(blocks, np.uint64)
    words = [np.zeros((len(blocks), 4), np.uint32) for _ in range(2)]
    philox.stream.reference(words[0], key, counter, blocks)
    philox.stream.compiled(words[1], key, counter, blocks)
    equal(words[0], words[1])
    bits = words[0].reshape(-1)
    for kernel, arguments, tolerance in [
        (philox.uniform, (np.float32(-2), np.float32(3.7)), 0),
        (philox.normal, (np.float32(0.5), np.float32(2)), 1e-5),
    ]:
        out = [np.zeros(bits.size, np.float32) for _ in range(2)]
        kernel.reference(out[0], bits, *arguments)
        kernel.compiled(out[1], bits, *arguments)
        np.testing.assert_allclose(out[0], out[1], atol=tolerance)
    order = [np.arange(bits.size + 1) for _ in range(2)]
    philox.permutation.reference(order[0], bits)
    philox.permutation.compiled(order[1], bits)
    equal(order[0], order[1])
    v = bits.reshape(-1, 4).astype(np.float32) / 2**31 * 4 - 4
    out = [np.zeros((len(v), 4), np.float32) for _ in range(2)]
    counts = [f(o, v, np.float32(1), np.float32(2)) for f, o in zip((philox.kept.reference, philox.kept.compiled), out)]  # noqa: B905
    equal(counts[0], counts[1])
    equal(out[0], out[1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_draws(shape, seed):
    for name, arguments in [
        ("uniform", {}),
        ("uniform", {"minval": -0.3, "maxval": 2.0}),
        ("normal", {"mean": 1.0, "stddev": 0.3}),
        ("truncated_normal", {"stddev": 0.05}),
        ("randint", {"minval": -3, "maxval": 1000}),
    ]:
        equal(
            getattr(random, name)(shape, seed=seed, **arguments),
            getattr(keras.random, name)(shape, seed=seed, **arguments),
        )
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    equal(random.dropout(x, 0.3, seed=seed), keras.random.dropout(x, 0.3, seed=seed))
    for axis in (0, -1):
        equal(random.shuffle(x, axis, seed=seed), keras.random.shuffle(x, axis, seed=seed))


def test_shuffle_where_random_numbers_are_equal():
    n = 100_000
    assert len(np.unique(random.uniform((n,), seed=4))) < n
    equal(random.shuffle(np.arange(n), seed=4), keras.random.shuffle(np.arange(n), seed=4))
    with pytest.raises(ValueError, match="axis 1 is out of bounds"):
        random.shuffle([3, 4], axis=1)


def test_seed_generators_move_on_alike():
    ours, theirs = random.SeedGenerator(7), keras.random.SeedGenerator(7)
    for _ in range(3):
        equal(random.normal((5,), seed=ours), keras.random.normal((5,), seed=theirs))
    for a, b in zip(*each(11, lambda k: [k.random.uniform((5,)) for _ in range(3)]), strict=True):
        equal(a, b)  # the global generator


def test_bad_ranges():
    with pytest.raises(ValueError, match="minval"):
        random.randint((3,), 5, 5)
    with pytest.raises(ValueError, match=r"2\*\*32"):
        minikeras.utils.set_random_seed(2**32)


# initial weights

INITIALIZERS = [
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "VarianceScaling",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights(name):
    for shape in SHAPES:
        for seed in SEEDS:
            equal(*each(seed, lambda k, shape=shape: getattr(k.initializers, name)()(shape)))
            equal(*each(0, lambda k, shape=shape, seed=seed: getattr(k.initializers, name)(seed=seed)(shape)))


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (3, 3, 2, 8), (64, 64)], ids=str)
def test_orthogonal_weights(shape):
    for seed in SEEDS:
        ours, theirs = each(seed, lambda k: np.array(k.initializers.Orthogonal()(shape)))
        minikeras.utils.set_random_seed(seed)
        exact = minikeras.initializers.Orthogonal()(shape, dtype="float64")
        np.testing.assert_allclose(ours, exact, atol=2e-7)
        # TensorFlow's own QR decomposition loses digits where the matrix is square; that is all that lies between.
        assert np.abs(ours - theirs).max() <= 2e-7 + np.abs(theirs - exact).max()
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def network(k):
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.2),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.0),
            layers.Dense(6, activation="relu", kernel_initializer=k.initializers.RandomNormal(seed=3)),
            layers.Dropout(0.4),
            layers.Dense(5, kernel_initializer=k.initializers.HeUniform(), activation="softmax"),
        ]
    )


def test_whole_models_start_alike():
    """Who draws a seed, and in which order, is Keras's too: weights and dropout after several objects."""

    def weights(k):
        # A second model goes on where the first one stopped, and a clone draws again.
        models = [network(k), network(k)]
        models.append(k.models.clone_model(models[1]))
        return [w for model in models for w in model.get_weights()]

    for seed in SEEDS:
        for a, b in zip(*each(seed, weights), strict=True):
            equal(a, b)


# dropout


def dropout_outputs(k, seed=None):
    """What a Dropout layer puts out for each training batch of a fit with an evaluation in between."""
    outputs = []

    class Recording(k.layers.Dropout):
        if k is keras:

            def call(self, inputs, training=False):
                y = super().call(inputs, training=training)
                if training:
                    outputs.append(np.array(y))
                return y
        else:

            def forward(self, x, training):
                y, cache = super().forward(x, training)
                if training:
                    outputs.append(y.copy())
                return y, cache

    layer = Recording(0.3, seed=seed)
    model = k.Sequential([k.Input((6,)), layer, k.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((70, 6), "float32"), np.ones((70, 1), "float32")
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)  # 9 batches, the last of 6
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_split=0.2)
    return outputs


@pytest.mark.parametrize("seed", [None, 5])
def test_dropout_masks_of_a_real_fit(seed):
    ours, theirs = each(42, lambda k: dropout_outputs(k, seed))
    theirs = [y for y in theirs if len(y) in (8, 6)]
    assert len(ours) >= 20
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        equal(a, b)


# shuffling


def orders(k, n, batch_size, shuffle=True, **options):
    """The order in which two fits of two epochs each see the samples."""
    seen = []

    class Recording(k.Sequential):
        if k is keras:

            def train_step(self, batch):
                seen.append(np.array(batch[0])[:, 0])
                return {"loss": 0.0}
        else:

            def train_step(self, x, y, sample_weight=None):
                seen.append(x[:, 0].copy())

    model = Recording([k.Input((1,)), k.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.arange(n, dtype="float32")[:, None]
    for _ in range(2):
        model.fit(x, x, batch_size=batch_size, epochs=2, shuffle=shuffle, verbose=0, **options)
    return np.concatenate(seen)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (2, 1), (33, 8), (1000, 100), (48000, 12000)])
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}], ids=["", "split"])
def test_order_of_samples(n, batch_size, options):
    if options and n < 33:
        return  # nothing would be left to train on
    for seed in (0, 42, 2**31 - 1, 2**31 + 7):
        equal(*each(seed, lambda k: orders(k, n, batch_size, **options)))
        if n > 1000:
            break


def test_order_within_batches():
    equal(*each(42, lambda k: orders(k, 45, 8, shuffle="batch")))


def test_without_a_seed_every_epoch_has_a_new_order(monkeypatch):
    monkeypatch.setattr(random, "_global_seed", None)
    seen = orders(minikeras, 100, 100).reshape(4, 100)
    assert len({row.tobytes() for row in seen}) == 4


# whole runs

SCRIPT = """
import json, sys
import numpy as np
import LIBRARY as keras

keras.utils.set_random_seed(42)
kind = sys.argv[1]
generator = np.random.default_rng(0)
x = generator.random((2000, 28, 28)).astype("float32")
x[np.arange(2000), :, generator.integers(0, 28, 2000)] += 1
y = (x.reshape(-1, 784) @ generator.normal(size=(784, 10))).argmax(axis=1)
if kind == "wide":  # products large enough for several threads
    layers = [keras.layers.Flatten(), keras.layers.Dense(700, activation="relu"), keras.layers.Dense(300)]
elif kind == "dense":
    layers = [keras.layers.Flatten(), keras.layers.Dense(50, activation="relu"), keras.layers.Dropout(0.3)]
else:
    layers = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(4, 3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(8, 3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(20, activation="relu"),
        keras.layers.Dropout(0.4),
    ]
model = keras.Sequential([keras.Input((28, 28)), *layers, keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
running = []
note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: running.append(float(logs["loss"])))
model.fit(x, y, epochs=1, verbose=0, callbacks=[note], batch_size=100 if kind == "wide" else 32)
weights = b"".join(w.tobytes() for w in model.get_weights())
import hashlib
print(json.dumps({"running": running[:50], "weights": hashlib.sha256(weights).hexdigest()}))
"""


def run_script(library, kind, seeded=True, **environment):
    script = SCRIPT.replace("LIBRARY", library)
    if not seeded:
        script = script.replace("keras.utils.set_random_seed(42)", "")
    result = subprocess.run(
        [sys.executable, "-c", script, kind],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_script_gives_the_same_losses_in_both_libraries(kind):
    ours, theirs = run_script("minikeras", kind)["running"], run_script("keras", kind)["running"]
    # Running means over the epoch so far, times the number of batches, less the one before: the losses of the batches.
    ours, theirs = (np.diff(np.array(r) * np.arange(1, 51), prepend=0) for r in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "wide", "convolutional"])
def test_one_seed_gives_one_result_at_any_number_of_threads(kind):
    results = [
        run_script("minikeras", kind, NUMBA_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n, MKL_NUM_THREADS=n)
        for n in ("1", "2")
    ]
    assert results[0] == results[1]


def test_without_a_seed_runs_differ():
    assert run_script("minikeras", "dense", seeded=False) != run_script("minikeras", "dense", seeded=False)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_the_history_of_an_epoch_of_fashion_mnist(kind):
    """Needs the real files, under KERAS_HOME or ~/.keras; downloads nothing."""
    home = os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))
    if not os.path.exists(os.path.join(home, "datasets", "fashion-mnist", "train-images-idx3-ubyte.gz")):
        pytest.skip("Fashion-MNIST is not in Keras's cache")
    (x, y), _ = minikeras.datasets.fashion_mnist.load_data()

    def history(k):
        first = [k.layers.Flatten(), k.layers.Dense(100, activation="relu"), k.layers.Dropout(0.3)]
        if kind == "convolutional":
            first = [
                k.layers.Reshape((28, 28, 1)),
                k.layers.Conv2D(4, 3, activation="relu", padding="same"),
                k.layers.MaxPooling2D(2),
                k.layers.Flatten(),
                k.layers.Dropout(0.4),
            ]
        model = k.Sequential([k.Input((28, 28)), *first, k.layers.Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model.fit(x / 255.0, y, epochs=1, validation_split=0.2, verbose=0).history

    ours, theirs = each(42, history)
    for key, values in theirs.items():
        np.testing.assert_allclose(ours[key], values, atol=1e-3, err_msg=key)
