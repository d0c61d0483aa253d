"""Layers that join several inputs: in a graph, on ties, and what they refuse; the rest is in the table of layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import minikeras
from minikeras import layers
from minikeras.engine.graph import Graph
from minikeras.testing.gradients import check_gradients

generator = np.random.default_rng(0)


def test_functions_call_the_layers():
    a, b = generator.normal(size=(2, 3, 4)).astype("float32")
    for name, options in [
        ("add", {}), ("subtract", {}), ("multiply", {}), ("average", {}), ("maximum", {}), ("minimum", {}),
        ("concatenate", {}), ("concatenate", {"axis": 0}), ("dot", {}), ("dot", {"axes": 1, "normalize": True}),
    ]:  # fmt: skip
        ours, theirs = (getattr(k.layers, name)([a, b], **options) for k in (minikeras, keras))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    symbol = layers.add([minikeras.Input((4, 3)), minikeras.Input((1, 3))], name="sum")
    assert symbol.shape == (None, 4, 3)
    assert symbol.layer.name == "sum"
    assert symbol.layer.input_shape == [(None, 4, 3), (None, 1, 3)]
    assert [s.shape for s in symbol.layer.input] == symbol.layer.input_shape


@pytest.mark.parametrize("kind", ["Maximum", "Minimum"])
@pytest.mark.parametrize("inputs", [2, 3])
def test_ties_go_to_the_first_as_in_tensorflow(kind, inputs):
    x = [generator.integers(0, 2, size=(20, 5)).astype("float32") for _ in range(inputs)]
    dy = generator.normal(size=(20, 5)).astype("float32")
    tensors = [tf.constant(a) for a in x]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(getattr(keras.layers, kind)()(tensors) * dy)
    layer = getattr(layers, kind)()
    for ours, theirs in zip(layer.backward(dy, layer.forward(x, True)[1]), tape.gradient(total, tensors), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_residual_block_has_the_gradients_of_keras():
    """y = relu(x + f(x)), the input used twice: its gradient is the sum of both uses."""

    def block(k):
        start = k.Input((5, 4, 3))
        inner = k.layers.Conv2D(3, 3, padding="same", activation="relu")
        merged = k.layers.Add()([start, inner(start)])
        return start, k.layers.Activation("relu")(k.layers.concatenate([merged, start])), inner

    (start, end, inner), (their_start, their_end, their_inner) = block(minikeras), block(keras)
    inner.set_weights(their_inner.get_weights())
    graph, theirs = Graph(start, end), keras.Model(their_start, their_end)
    x = generator.normal(size=(2, 5, 4, 3)).astype("float32")
    dy = generator.normal(size=(2, 5, 4, 6)).astype("float32")
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        total = tf.reduce_sum(theirs(tensor) * dy)
    dx, dw, db = tape.gradient(total, [tensor, *(w.value for w in their_inner.weights)])
    caches = []
    np.testing.assert_allclose(graph.forward(x, True, caches), theirs(x), atol=1e-5)
    np.testing.assert_allclose(graph.backward(dy, caches, graph.needed(wants_dx=True)), dx, atol=1e-5)
    np.testing.assert_allclose(inner.kernel.gradient, dw, atol=1e-4)
    np.testing.assert_allclose(inner.bias.gradient, db, atol=1e-4)


def test_a_cosine_of_nothing():
    x = [np.zeros((2, 3), "float32"), np.ones((2, 3), "float32")]
    layer = layers.Dot(1, normalize=True)
    y, cache = layer.forward(x, False)
    np.testing.assert_array_equal(y, 0)
    assert all(np.isfinite(d).all() for d in layer.backward(np.ones_like(y), cache))


def test_a_joining_layer_of_ones_own():
    class Blend(layers.Layer):
        joins = True

        def build(self, input_shape):
            self.share = self.add_weight(shape=input_shape[0][1:], name="share")

        def compute_output_shape(self, input_shape):
            return input_shape[0]

        def forward(self, x, training):
            a, b = x
            return a + self.share.value * (b - a), x

        def backward(self, dy, x):
            a, b = x
            self.share.gradient += (dy * (b - a)).sum(axis=0)
            return [dy * (1 - self.share.value), dy * self.share.value]

    check_gradients(Blend(), input_shape=[(4, 2), (4, 2)])
    assert Blend()([minikeras.Input((4,)), minikeras.Input((4,))]).shape == (None, 4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Add()(np.ones((2, 3))), "Add layer 'add': expected a list of inputs.*received ndarray"),
        (lambda: layers.Add()(minikeras.Input((3,))), "expected a list of inputs.*received <Symbol"),
        (lambda: layers.Add()([]), "at least 1 input"),
        (lambda: layers.Add()([np.ones((2, 3)), np.ones((2, 4))]), r"incompatible shapes: \(2, 3\), \(2, 4\)"),
        (lambda: layers.Add()([np.ones((2, 3)), np.ones((4, 3))]), "different batch sizes"),
        (lambda: layers.Add()([np.ones((2, 3)), minikeras.Input((3,))]), "symbols or arrays, not some of each"),
        (lambda: layers.Subtract()([np.ones((2, 3))]), "exactly 2 inputs, received 1"),
        (lambda: layers.Dot(1)([np.ones((2, 3))] * 3), "exactly 2 inputs, received 3"),
        (lambda: layers.Dot(1)([np.ones((2, 3)), np.ones((2, 4))]), "incompatible shapes.*axes=1 must agree"),
        (lambda: layers.Dot(0), "not 0, the batch's"),
        (lambda: layers.Dot((1, 2, 3)), "a pair of them"),
        (lambda: layers.Concatenate()([np.ones((2, 3)), np.ones((2, 3, 4))]), r"matching shapes.*that is axis -1"),
        (lambda: layers.Concatenate(axis=1)([np.ones((2, 3, 5)), np.ones((2, 3, 4))]), "that is axis 1"),
        (lambda: layers.Dense(3)([minikeras.Input((3,)), minikeras.Input((3,))]), "expected 1 input, received a list"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
    with pytest.raises(TypeError, match="`axes` is an integer or a tuple"):
        layers.Dot("1")


# Masks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Concatenate", "Dot"])
@pytest.mark.parametrize("masks", [None, [None, None], ["first", None], ["first", "second"]], ids=str)
def test_masks_are_joined_as_in_keras(name, masks):
    named = {"first": np.array([[True, False, True]] * 2), "second": np.array([[True, True, False]] * 2)}
    x = [np.ones((2, 3, 4), "float32")] * 2
    given = masks and [named.get(m) for m in masks]
    ours, theirs = (
        getattr(k.layers, name)(**({"axes": -1} if name == "Dot" else {})).compute_mask(x, given)
        for k in (minikeras, keras)
    )
    assert (ours is None) == (theirs is None)
    if theirs is not None:
        np.testing.assert_array_equal(ours, np.asarray(theirs))


@pytest.mark.parametrize("name", ["Add", "Concatenate"])
def test_masks_that_dont_belong_are_refused(name):
    x = [np.ones((2, 3), "float32")] * 2
    layer = getattr(minikeras.layers, name)()
    for inputs, mask, words in ((x, x[0], "`mask` should be a list"), (x[0], [None], "`inputs` should be a list"),
                                (x, [None], "same length")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            layer.compute_mask(inputs, mask)
