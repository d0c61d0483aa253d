"""Every layer of the table: agrees with tf.keras, has the derivative it claims, survives its config."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_table import LAYERS, Case, random_weights

import minikeras
from minikeras.common.serialization import deserialize, serialize
from minikeras.testing.gradients import check_gradients

TOLERANCE = 1e-5  # of the largest magnitude, float32


def assert_close(ours, theirs, what, tolerance=TOLERANCE):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    scale = max(float(np.abs(theirs).max(initial=0)), 1e-30)
    error = float(np.abs(ours - theirs).max(initial=0)) / scale
    assert error <= tolerance, f"{what}: error {error:.2e} of the largest magnitude"


def both(case: Case, seed=1):
    """The layer of each library with the same random weights, and a batch."""
    generator = np.random.default_rng(seed)
    theirs, ours = case.make(keras), case.make(minikeras)
    theirs(case.symbols(keras))
    ours(case.symbols(minikeras))
    weights = random_weights(theirs.weights, generator)
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return ours, theirs, case.data(generator), generator


def listed(x):
    return x if isinstance(x, list) else [x]


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_forward_and_every_gradient_agree_with_keras(case):
    ours, theirs, x, generator = both(case)
    with tf.GradientTape() as tape:
        tensors = [tf.constant(a) for a in listed(x)]
        tape.watch(tensors)
        y = theirs(tensors if case.joins else tensors[0], training=case.training)
        dy = generator.normal(size=y.shape).astype("float32")
        total = tf.reduce_sum(y * dy)
    gradients = tape.gradient(total, [*tensors, *(w.value for w in theirs.trainable_weights)])

    our_y, cache = ours.forward(x, ours.is_active(case.training))
    assert_close(our_y, y, "y")
    assert our_y.dtype == np.float32
    our_gradients = [*listed(ours.backward(dy, cache)), *(w.gradient for w in ours.trainable_weights)]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    names = [f"d{w.name}" for w in ours.trainable_weights]
    for mine, right, name in zip(our_gradients, gradients, [*["dx"] * len(tensors), *names], strict=True):
        if right is None:  # integers have no slope
            assert case.classes is not None
            assert not mine.any()
        else:
            assert_close(mine, np.asarray(tf.convert_to_tensor(right)), name)
    for w, right in zip(ours.non_trainable_weights, theirs.non_trainable_weights, strict=True):
        assert_close(w.value, right, w.name)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_gradients_are_the_measured_slopes(case):
    check_gradients(case.make(minikeras), x=case.smooth_data(np.random.default_rng(2)), training=case.training)


def test_gradients_in_training():
    check_gradients(minikeras.layers.Dropout(0.4, seed=3), (50,), training=True)
    check_gradients(minikeras.layers.Dropout(0.4, noise_shape=(None, 1, 5), seed=3), (4, 5), training=True)
    check_gradients(minikeras.layers.SpatialDropout2D(0.4, seed=3), (3, 4, 5), training=True)
    check_gradients(minikeras.layers.GaussianNoise(0.4, seed=3), (4, 5), training=True)
    check_gradients(minikeras.layers.GaussianDropout(0.4, seed=3), (4, 5), training=True)


@pytest.mark.parametrize("kind", ["Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"])
def test_noise_of_one_seed_is_that_of_keras(kind):
    x = np.random.default_rng(0).normal(1, 1, size=(6, 3, 4, 5)).astype("float32")
    ours, theirs = (getattr(k.layers, kind)(0.3, seed=7) for k in (minikeras, keras))
    for _ in range(2):
        y = ours(x, training=True)
        assert not np.array_equal(y, x)
        np.testing.assert_allclose(y, theirs(x, training=True), rtol=1e-6, atol=1e-6)
    assert getattr(minikeras.layers, kind)(0.0)(x, training=True).tolist() == x.tolist()
    assert ours(minikeras.Input((3, 4, 5))).shape == (None, 3, 4, 5)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda k: k.SpatialDropout2D(1.5), ValueError, "`rate` is a number from 0 to 1"),
        (lambda k: k.SpatialDropout2D(0.5)(np.ones((2, 3))), ValueError, "expected ndim=4"),
        (lambda k: k.GaussianNoise(-1), ValueError, "`stddev` is a number from 0 to 1, received -1"),
        (lambda k: k.GaussianDropout(1.0), ValueError, "0 <= rate < 1, received 1.0"),
        (lambda k: k.Permute((0, 1)), ValueError, r"each of 1, ..., n once.*received \(0, 1\)"),
        (lambda k: k.Permute((2, 1))(np.ones((2, 3))), ValueError, "expected ndim=3"),
        (lambda k: k.RepeatVector(2.5), TypeError, "`n` is an integer, received 2.5"),
        (lambda k: k.RepeatVector(0), ValueError, "`n` should be a positive integer"),
        (lambda k: k.UpSampling2D(0), ValueError, "`size` is a positive integer"),
        (lambda k: k.UpSampling2D(interpolation="bicubic"), ValueError, "'nearest' or 'bilinear' here.*'bicubic'"),
        (lambda k: k.Cropping2D(-1), ValueError, "`cropping` is an integer >= 0"),
        (lambda k: k.Cropping2D((1, 2, 3)), ValueError, "`cropping` is an integer, "),
        (lambda k: k.Cropping2D(2)(np.ones((1, 4, 9, 1))), ValueError, r"leaves nothing of shape \(1, 4"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make(minikeras.layers)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_the_checker_notices_a_wrong_backward(case):
    """Each gradient of each layer, a thousandth off in its largest element, must be found out."""
    inputs = [f"input {i}" for i in range(len(case.input_shape))] if case.joins else ["input"]
    names = [*inputs, *(w.name for w in both(case)[0].trainable_weights)]
    for name in names:
        layer = case.make(minikeras)
        right = type(layer).backward

        class Wrong(type(layer)):
            def backward(self, dy, cache, right=right, name=name):
                before = {w.name: w.gradient.copy() for w in self.trainable_weights}
                dx = right(self, dy, cache)
                dxs = [np.array(d) for d in listed(dx)]
                arrays = {**dict(zip(inputs, dxs, strict=True)), **{w.name: w.gradient for w in self.trainable_weights}}
                change = arrays[name] - before.get(name, 0)
                place = np.unravel_index(np.abs(change).argmax(), change.shape)
                arrays[name][place] += 1e-3 * change[place] + 1e-5
                return dxs if case.joins else dxs[0]

        layer.__class__ = Wrong
        x = case.smooth_data(np.random.default_rng(2))
        with pytest.raises(AssertionError, match=f"gradient of '{name}'"):
            check_gradients(layer, x=x, training=case.training, samples=10_000)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_shapes_and_counts_agree_with_keras(case):
    ours, theirs, x, _ = both(case)
    batch_shape = case.batch_shape()
    assert ours.compute_output_shape(batch_shape) == tuple(theirs.compute_output_shape(batch_shape))
    assert ours(x).shape == tuple(theirs(x).shape)
    assert ours.count_params() == theirs.count_params()


def without_names(config):
    """Automatic names count up with every layer made, in either library at its own pace."""
    if isinstance(config, dict):
        return {key: without_names(value) for key, value in config.items() if key != "name" or value == "float32"}
    return config


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_config_equals_keras_and_rebuilds_the_layer(case):
    ours, theirs, x, _ = both(case)
    config = json.loads(json.dumps(serialize(ours)))
    assert without_names(config) == without_names(json.loads(json.dumps(keras.saving.serialize_keras_object(theirs))))
    again = deserialize(config)
    again.build(case.batch_shape())
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(x), ours(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("case", [c for c in LAYERS if c.name.startswith(("conv", "Max", "Average"))], ids=str)
def test_numpy_serves_the_layers_as_machine_code_does(case, leave_to_numpy):
    ours, _, x, generator = both(case)
    y, cache = ours.forward(x, False)
    dy = generator.normal(size=y.shape).astype("float32")
    dx = ours.backward(dy, cache)
    gradients = [w.gradient.copy() for w in ours.weights]
    for w in ours.trainable_weights:
        w.gradient.fill(0)
    leave_to_numpy()
    y_reference, cache = ours.forward(x, False)
    assert_close(y_reference, y, "y", 2e-6)
    assert_close(ours.backward(dy, cache), dx, "dx", 2e-6)
    for w, dw in zip(ours.weights, gradients, strict=True):
        assert_close(w.gradient, dw, f"d{w.name}", 2e-6)


def test_max_pooling_breaks_ties_as_tensorflow():
    x = np.random.default_rng(0).integers(0, 2, size=(4, 9, 8, 3)).astype("float32")
    for size, stride, padding in [(2, 2, "valid"), (3, 2, "same"), (3, 1, "valid"), (2, 3, "same")]:
        ours = minikeras.layers.MaxPooling2D(size, stride, padding)
        theirs = keras.layers.MaxPooling2D(size, stride, padding)
        with tf.GradientTape() as tape:
            tensor = tf.constant(x)
            tape.watch(tensor)
            y = theirs(tensor)
            dy = np.random.default_rng(1).normal(size=y.shape).astype("float32")
            total = tf.reduce_sum(y * dy)
        _, cache = ours.forward(x, True)
        np.testing.assert_allclose(ours.backward(dy, cache), tape.gradient(total, tensor), rtol=1e-6, atol=1e-6)


def test_dropout_keeps_the_expected_value():
    layer = minikeras.layers.Dropout(0.3, seed=1)
    x = np.ones((200, 500), "float32")
    y, cache = layer.forward(x, True)
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 0.005
    np.testing.assert_array_equal(y[kept], np.float32(1 / 0.7))
    np.testing.assert_array_equal(layer.backward(x, cache), y)
    assert not np.array_equal(layer.forward(x, True)[0], y)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(minikeras.layers.Dropout(1.0).forward(x, True)[0], 0)


def test_a_users_own_layer():
    class Scale(minikeras.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

        def forward(self, x, training):
            return x * self.factor.value, x

        def backward(self, dy, x):
            self.factor.gradient += (dy * x).sum(axis=0)
            return dy * self.factor.value

    check_gradients(Scale(), input_shape=(5,))
    model = minikeras.Sequential([minikeras.Input((5,)), Scale(), minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 5))
    history = model.fit(x, x @ np.arange(5.0), epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]


def test_checker_catches_bad_manners():
    class Assigning(minikeras.layers.Dense):
        def gradients(self, dz, x, rectified, wants_dx):
            before = self.kernel.gradient.copy()
            dx = super().gradients(dz, x, rectified, wants_dx)
            self.kernel.gradient -= before
            return dx

    class Clobbering(minikeras.layers.ReLU):
        def backward(self, dy, cache):
            dy *= 0.5
            return dy

    with pytest.raises(AssertionError, match="must add"):
        check_gradients(Assigning(3), (4,))
    with pytest.raises(ValueError, match=r"Clobbering .*: `backward` writes to an array that it was given"):
        check_gradients(Clobbering(), (4,))
    with pytest.raises(ValueError, match="input_shape"):
        check_gradients(minikeras.layers.ReLU())
