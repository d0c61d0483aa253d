"""BatchNormalization inside a training: its moving averages, and what freezing does; against tf.keras live."""

import keras
import numpy as np
import pytest

import minikeras
from minikeras import layers


def images(n=24, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(2, 3, size=(n, 6, 6, 2)).astype("float32"), generator.integers(0, 3, n)


def network(k, **options):
    model = k.Sequential(
        [
            k.Input((6, 6, 2)),
            k.layers.Conv2D(4, 3, use_bias=False),
            k.layers.BatchNormalization(momentum=0.8, **options),
            k.layers.ReLU(),
            k.layers.Flatten(),
            k.layers.Dense(5),
            k.layers.LayerNormalization(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )
    return model


def compiled(model, k):
    model.compile(k.optimizers.SGD(0.05, momentum=0.5), "sparse_categorical_crossentropy")
    return model


def pair(**options):
    ours, theirs = network(minikeras, **options), network(keras, **options)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    return ours, theirs


def agree(ours, theirs):
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert a.name == b.name
        np.testing.assert_allclose(a.value, b.numpy(), rtol=0, atol=2e-5 * max(1, np.abs(b.numpy()).max()))


def test_training_moves_the_averages_as_keras_does():
    ours, theirs = pair()
    x, y = images()
    before = ours.layers[1].moving_mean.numpy()
    for model, k in ((ours, minikeras), (theirs, keras)):
        compiled(model, k).fit(x, y, batch_size=7, epochs=4, shuffle=False, verbose=0, validation_data=images(9, 1))
    assert np.abs(ours.layers[1].moving_mean.value - before).max() > 0.5
    agree(ours, theirs)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=2e-5)
    assert ours.evaluate(x, y, verbose=0) == pytest.approx(theirs.evaluate(x, y, verbose=0), abs=2e-5)


def test_a_frozen_layer_keeps_its_averages_and_uses_them():
    ours, theirs = pair()
    x, y = images()
    start = None
    for model, k in ((ours, minikeras), (theirs, keras)):
        compiled(model, k).fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        model.layers[1].trainable = False
        start = np.asarray(model.layers[1].moving_variance)
        compiled(model, k).fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        np.testing.assert_array_equal(np.asarray(model.layers[1].moving_variance), start)
    agree(ours, theirs)
    frozen = ours.layers[1]
    np.testing.assert_array_equal(frozen(x[..., [0, 1, 0, 1]], training=True), frozen(x[..., [0, 1, 0, 1]]))


def test_the_averages_move_once_per_training_forward_and_at_no_other_time():
    layer = layers.BatchNormalization(momentum=0.5)
    x = np.array([[1.0], [3.0]])
    layer(x)
    assert layer.moving_mean.numpy() == [0]
    layer(x, training=True)
    assert layer.moving_mean.numpy() == [1]
    assert layer.moving_variance.numpy() == [1]  # half of 1, and half of the batch's 1
    y, cache = layer.forward(x.astype("float32"), True)
    layer.backward(y, cache)
    assert layer.moving_mean.numpy() == [1.5]


def test_the_averages_are_state_at_the_end_of_the_models_vector():
    model = compiled(network(minikeras), minikeras)
    x, y = images()
    model.fit(x, y, verbose=0)
    home = model.weights[0].home
    assert len(home.gradients) < len(home.values)
    assert [w.name for w in model.layers[1].non_trainable_weights] == ["moving_mean", "moving_variance"]
    assert all(w.gradient is None and np.shares_memory(w.value, home.values) for w in model.non_trainable_weights)


def test_large_offsets_lose_few_digits():
    """The variance of 1000 +- 1: mean(x^2) - mean(x)^2 would lose all of it in float32.

    The mean itself is off by a few units of its last digit, 6e-5.
    """
    x = (1000 + np.random.default_rng(0).normal(size=(400, 3))).astype("float32")
    for y in (layers.BatchNormalization()(x, training=True), layers.LayerNormalization()(x.T).T):
        exact = (x - x.astype("float64").mean(0)) / np.sqrt(x.astype("float64").var(0) + 1e-3)
        np.testing.assert_allclose(y, exact, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: layers.BatchNormalization(axis=3)(np.ones((2, 3))), ValueError, "axis=3 is out of bounds"),
        (lambda: layers.LayerNormalization(axis="1"), TypeError, "`axis` is an integer or a list"),
        (lambda: layers.LayerNormalization(axis=[1, 5])(np.ones((2, 3))), ValueError, r"axis=\[1, 5\]"),
        (lambda: layers.BatchNormalization(renorm=True), ValueError, "renorm=True is not supported"),
        (lambda: layers.BatchNormalization(synchronised=True), TypeError, "Did you mean 'synchronized'"),
        (lambda: layers.BatchNormalization()(minikeras.Input((None,))), ValueError, "must be known"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_another_size_than_it_was_built_for():
    layer = layers.BatchNormalization()
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match="expected axis 1 of input shape to have value 3"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match="expected ndim=2, found ndim=3"):
        layer(np.ones((2, 4, 3)))
