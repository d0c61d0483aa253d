"""Embedding in models of integers: which integers it takes, and what it learns; against tf.keras live."""

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
        (lambda: layers.Embedding(2, 2.5), "`output_dim` is a positive integer, received 2.5"),
        (lambda: layers.Embedding(5, 2, mask_zero=True), "mask_zero=True is not supported"),
        (lambda: layers.Embedding(5, 2)([[1, 5]]), r"5 is not in \[0, 5\)"),
        (lambda: layers.Embedding(5, 2)([[1, -6]]), r"-6 is not in \[0, 5\)"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
