"""Embedding in models of integers: which integers it takes, and what it learns; against tf.keras live."""

from collections import defaultdict

import keras
import numpy as np
import pytest

import minikeras
from minikeras import layers


def network(k, dtype=None):
    return k.Sequential(
        [
            k.Input((4,), dtype=dtype),
            k.layers.Embedding(30, 3),
            k.layers.Flatten(),
            k.layers.Dense(1, activation="sigmoid"),
        ]
    )


@pytest.mark.parametrize("dtype", [None, "int32", "float32"])
def test_training_on_integers_is_that_of_keras(dtype):
    ours, theirs = network(minikeras, dtype), network(keras, dtype)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    x = np.random.default_rng(0).integers(0, 20, size=(40, 4))
    y = (x[:, 0] > x[:, 1]).astype("float32")
    histories = []
    for model, k in ((ours, minikeras), (theirs, keras)):
        model.compile(k.optimizers.SGD(0.5), "binary_crossentropy")
        histories.append(model.fit(x, y, batch_size=8, epochs=5, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[0], histories[1], atol=1e-6)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_array_equal(ours.layers[0].get_weights()[0][20:], theirs.layers[0].get_weights()[0][20:])


def test_integers_of_every_kind():
    layer, theirs = layers.Embedding(5, 2), keras.layers.Embedding(5, 2)
    theirs.build((None, 2))
    layer(minikeras.Input((2,)))
    layer.set_weights(theirs.get_weights())
    for ids in ([[0, 4]], [[-1, -5]], [[1.7, -0.5]], np.array([[3]], "int64"), np.array([[2]], "uint8"), np.array([1])):
        np.testing.assert_array_equal(layer(ids), theirs(np.array(ids)))
    y, cache = layer.forward(np.array([[-1.0, 4.0]], "float32"), True)
    layer.backward(np.ones_like(y), cache)
    assert layer.embeddings.gradient[:, 0].tolist() == [0, 0, 0, 0, 2]


def test_the_largest_integers_are_exact():
    layer = layers.Embedding(2**24, 1, embeddings_initializer="zeros")
    layer.build()
    layer.embeddings.value[-3:, 0] = [1, 2, 3]
    assert layer([[2**24 - 1, 2**24 - 2, 2**24 - 3]])[0, :, 0].tolist() == [3, 2, 1]


def test_input_layers_of_integers_have_keras_config():
    for dtype in ("int32", "int64", "uint8", "float32"):
        ours, theirs = (k.layers.InputLayer(shape=(4,), dtype=dtype, name="it") for k in (minikeras, keras))
        assert ours.get_config() == {**theirs.get_config(), "batch_shape": (None, 4)}
        assert layers.InputLayer.from_config(ours.get_config()).dtype == dtype


def test_weights_to_start_from():
    table = np.arange(6.0).reshape(3, 2)
    for weights in (table, [table]):
        layer = layers.Embedding(3, 2, weights=weights)
        np.testing.assert_array_equal(layer([[2, 0]])[0], table[[2, 0]])
        assert len(layer.weights) == 1
    with pytest.warns(UserWarning, match="`input_length` is no longer needed"):
        layers.Embedding(3, 2, input_length=4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Embedding(0, 2), "`input_dim` is a positive integer, received 0"),
        (lambda: layers.Embedding(2, 2.5), "`output_dim` is an integer, received 2.5"),
        (lambda: layers.Embedding(5, 2, mask_zero=True), "mask_zero=True is not supported"),
        (lambda: layers.Embedding(5, 2)([[1, 5]]), r"5 is not in \[0, 5\)"),
        (lambda: layers.Embedding(5, 2)([[1, -6]]), r"-6 is not in \[0, 5\)"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# Integers that repeat within a batch -------------------------------------------------------------------------------

# Each rule takes `at`, which sums over the places of one integer, and the gradient `g` of each place.  The formulas
# of the optimizers have at(g) where they speak of the gradient; tf.keras has at(g**2) for its square.


def sgd(at, g, s, t, momentum=0.0, nesterov=False):
    s["m"] = momentum * s["m"] - 0.01 * at(g)
    return momentum * s["m"] - 0.01 * at(g) if nesterov else s["m"]


def lion(at, g, s, t):
    step = np.sign(0.9 * s["m"] + 0.1 * at(g))
    s["m"] = 0.99 * s["m"] + 0.01 * at(g)
    return -0.01 * step


def rmsprop(at, g, s, t, momentum=0.0, centered=False):
    s["v"] = 0.9 * s["v"] + 0.1 * at(g**2)
    s["a"] = 0.9 * s["a"] + 0.1 * at(g)
    spread = s["v"] - s["a"] ** 2 if centered else s["v"]
    s["m"] = momentum * s["m"] + 0.01 * at(g) / np.sqrt(spread + 1e-7)
    return -s["m"]


def adagrad(at, g, s, t):
    s["v"] = s["v"] + at(g**2) + (0.1 if t == 1 else 0)
    return -0.01 * at(g) / np.sqrt(s["v"] + 1e-7)


def adadelta(at, g, s, t):
    s["v"] = 0.95 * s["v"] + 0.05 * at(g**2)
    ratio = np.sqrt(s["d"] + 1e-7) / np.sqrt(s["v"] + 1e-7)
    s["d"] = 0.95 * s["d"] + 0.05 * ratio**2 * at(g**2)
    return -0.01 * ratio * at(g)


def adam(at, g, s, t, amsgrad=False):
    s["m"] = 0.9 * s["m"] + 0.1 * at(g)
    s["v"] = 0.999 * s["v"] + 0.001 * at(g**2)
    s["max"] = np.maximum(s["max"], s["v"]) if amsgrad else s["v"]
    return -0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["max"]) + 1e-7)


def nadam(at, g, s, t):
    now, then = (0.9 * (1 - 0.5 * 0.96**i) for i in (t, t + 1))
    s["u"] = (s["u"] if t > 1 else 1.0) * now
    s["m"] = 0.9 * s["m"] + 0.1 * at(g)
    s["v"] = 0.999 * s["v"] + 0.001 * at(g**2)
    m = then * s["m"] / (1 - s["u"] * then) + (1 - now) * at(g) / (1 - s["u"])
    return -0.01 * m / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def adamax(at, g, s, t):
    s["m"] = 0.9 * s["m"] + 0.1 * at(g)
    s["u"] = np.maximum(0.999 * s["u"], at(np.abs(g)))
    return -0.01 * s["m"] / ((1 - 0.9**t) * (s["u"] + 1e-7))


def clipped(g, clipnorm=None, clipvalue=None):
    if clipvalue:
        return np.clip(g, -clipvalue, clipvalue)
    return g * clipnorm / max(np.sqrt((g**2).sum()), clipnorm) if clipnorm else g


NESTEROV = {"momentum": 0.9, "nesterov": True}

# name -> (class, its options, rule, its options, clipping, whether tf.keras treats the places of one integer apart)
STEPS = {
    "SGD": ("SGD", {}, sgd, {}, {}, False),
    "SGD with momentum": ("SGD", {"momentum": 0.9}, sgd, {"momentum": 0.9}, {}, False),
    "SGD of Nesterov": ("SGD", NESTEROV, sgd, NESTEROV, {}, False),
    "Lion": ("Lion", {}, lion, {}, {}, False),
    "RMSprop": ("RMSprop", {}, rmsprop, {}, {}, True),
    "RMSprop with momentum": ("RMSprop", {"momentum": 0.5}, rmsprop, {"momentum": 0.5}, {}, True),
    "RMSprop, centered": ("RMSprop", {"centered": True}, rmsprop, {"centered": True}, {}, True),
    "Adagrad": ("Adagrad", {}, adagrad, {}, {}, True),
    "Adadelta": ("Adadelta", {}, adadelta, {}, {}, True),
    "Adam": ("Adam", {}, adam, {}, {}, True),
    "AMSGrad": ("Adam", {"amsgrad": True}, adam, {"amsgrad": True}, {}, True),
    "AdamW": ("AdamW", {"weight_decay": 0.0}, adam, {}, {}, True),
    "Nadam": ("Nadam", {}, nadam, {}, {}, True),
    "Adamax": ("Adamax", {}, adamax, {}, {}, True),
    "SGD, clipnorm": ("SGD", {"clipnorm": 0.5}, sgd, {}, {"clipnorm": 0.5}, True),
    "SGD, global_clipnorm": ("SGD", {"global_clipnorm": 0.5}, sgd, {}, {"clipnorm": 0.5}, True),
    "SGD, clipvalue": ("SGD", {"clipvalue": 0.4}, sgd, {}, {"clipvalue": 0.4}, True),
}  # fmt: skip

ROWS = 5
TARGETS = np.array([1.0, 2.0, -3.0, 4.0, 0.5, 1.5])


def trained(k, name, ids, regularizer=None):
    """The table after three steps from zeros on the loss mean((E[ids] - TARGETS)^2)."""
    kind, options, *_ = STEPS[name]
    embedding = k.layers.Embedding(ROWS + 1, 1, embeddings_initializer="zeros", embeddings_regularizer=regularizer)
    model = k.Sequential([k.Input((1,)), embedding, k.layers.Flatten()])
    model.compile(getattr(k.optimizers, kind)(0.01, **options), "mse", run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(ids[:, None], TARGETS[:, None].astype("float32"))
    return np.ravel(model.get_weights()[0])


def by_formula(name, ids, apart):
    """The same, with the places of one integer apart (as tf.keras has it) or added up first (as the formulas do)."""
    _, _, rule, rule_options, clipping, _ = STEPS[name]
    E, state = np.zeros(ROWS + 1), defaultdict(float)
    for t in (1, 2, 3):
        g, places = 2 * (E[ids] - TARGETS) / len(ids), ids
        if not apart:
            g, places = np.bincount(ids, g, ROWS + 1), np.arange(ROWS + 1)
        E = E + rule(lambda a, p=places: np.bincount(p, a, ROWS + 1), clipped(g, **clipping), state, t, **rule_options)
    return E


@pytest.mark.parametrize("name", STEPS)
def test_steps_for_repeated_integers_are_the_formulas_and_those_of_keras_where_it_adds_up_first(name):
    once, repeated = np.array([0, 1, 2, 3, 4, 5]), np.array([0, 0, 0, 0, 1, 1])
    close = {"rtol": 2e-4, "atol": 1e-6}
    for k in (minikeras, keras):
        np.testing.assert_allclose(trained(k, name, once), by_formula(name, once, apart=False), **close)
    ours, theirs = (trained(k, name, repeated) for k in (minikeras, keras))
    np.testing.assert_allclose(ours, by_formula(name, repeated, apart=False), **close)
    np.testing.assert_allclose(theirs, by_formula(name, repeated, apart=True), **close)
    assert np.allclose(ours, theirs, **close) != STEPS[name][-1]


def test_a_regularizer_lets_keras_add_up_first():
    ids = np.array([0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(*(trained(k, "Adam", ids, regularizer="l2") for k in (minikeras, keras)), rtol=1e-4)
