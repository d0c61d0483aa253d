"""What runs as one though it is two: convolutions with their pooling, a softmax with its loss; against the layers."""

import numpy as np
import pytest
from operations_table import examples

import minikeras
from minikeras import layers, losses
from minikeras.engine import objective


def network(dtype="float32"):
    return minikeras.Sequential(
        [
            minikeras.Input((13, 11, 2)),
            layers.Conv2D(5, 3, padding="same", activation="relu", dtype=dtype),
            layers.MaxPooling2D(2, dtype=dtype),
            layers.Conv2D(7, (2, 3), activation="tanh", dtype=dtype),
            layers.MaxPooling2D(2, dtype=dtype),
            layers.Conv2D(4, 1, use_bias=False, dtype=dtype),
            layers.MaxPooling2D((2, 1), dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(6, activation="relu", use_bias=False, dtype=dtype),
            layers.Dense(5, activation="sigmoid", dtype=dtype),
            layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )


def layer_by_layer(model, x, dy):
    """Return the output, the input's gradient and the weights', of the layers one after the other."""
    caches = []
    for layer in model.layers:
        x, cache = layer.forward(x, True)
        caches.append(cache)
    for v in model.trainable_weights:
        v.gradient[...] = 0
    for layer, cache in zip(reversed(model.layers), reversed(caches), strict=True):
        dy = layer.backward(dy, cache)
    return [x, dy, *(v.gradient.copy() for v in model.trainable_weights)]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fused_graph_is_its_layers(fresh):
    model, rng = network(), np.random.default_rng(3)
    model.gather()
    x, dy = rng.normal(size=(9, 13, 11, 2)).astype("float32"), rng.normal(size=(9, 3)).astype("float32")
    expected = layer_by_layer(model, x, dy)
    names = [type(operation).__name__ for operation, _ in model.graph.operations]
    assert names == ["PooledConvolution", "Conv2D", "MaxPooling2D", "PooledConvolution", "Flatten",
                     "Dense", "Dense", "Dense"]  # fmt: skip
    for v in model.trainable_weights:
        v.gradient[...] = np.nan if fresh else 0
    if fresh:  # what was there before is written over
        model.trainable_weights[0].home.zero_gradients()
    caches = []
    y = model.graph.forward(x, True, caches)
    dx = model.graph.backward(dy, caches, model.graph.needed(wants_dx=True))
    for ours, theirs in zip([y, dx, *(v.gradient for v in model.trainable_weights)], expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * np.abs(theirs).max())


def twice(shared, start):
    return minikeras.Model(start, layers.Dense(2)(shared(shared(start))))


def inside(shared, start):
    inner = minikeras.Model(start, shared(start))
    return minikeras.Model(start, inner(inner(start)))


@pytest.mark.parametrize("build", [twice, inside])
def test_what_is_used_twice_is_not_overwritten(build):
    start = minikeras.Input((4,))
    model = build(layers.Dense(4, activation="relu"), start)
    x, dy = (np.random.default_rng(1).normal(size=(3, n)).astype("float32") for n in (4, model.output_shape[1]))
    gradients = []
    for gathered in (False, True):  # weights that live in no vector are always added to
        if gathered:
            model.gather()
            for v in model.weights:
                v.gradient[...] = np.nan
            model.weights[0].home.zero_gradients()
        caches = []
        model.graph.forward(x, True, caches)
        model.graph.backward(dy, caches, model.graph.needed())
        gradients.append([v.gradient.copy() for v in model.weights])
    for added, written in zip(*gradients, strict=True):
        np.testing.assert_array_equal(added, written)


def test_a_gradient_that_nobody_writes_is_zero():
    model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(2)])
    model.gather()
    kernel, bias = model.weights
    kernel.gradient[...], bias.gradient[...] = np.nan, np.nan
    kernel.home.zero_gradients()
    assert not kernel.gradient.any()
    kernel.gradient += 1
    model.layers[0].backward(
        *(np.ones((1, 2), "float32"), model.layers[0].forward(np.ones((1, 4), "float32"), True)[1])
    )
    assert (kernel.gradient == 2).all()
    assert (bias.gradient == 1).all()


def test_a_picture_in_the_middle_can_still_be_seen():
    model = network()
    x = np.random.default_rng(4).normal(size=(2, 13, 11, 2)).astype("float32")
    middle = minikeras.Model(model.inputs[0], model.layers[0].output)
    np.testing.assert_allclose(middle.predict(x, verbose=0), model.layers[0](x), rtol=0, atol=1e-6)
    assert middle.predict(x, verbose=0).shape == (2, 13, 11, 5)


# scores


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 2.5])])
def test_one_pass_is_loss_and_softmax(weights):
    z, y = np.random.default_rng(6).normal(size=(3, 4)).astype("float32"), np.array([[3], [0], [1]])
    loss = losses.SparseCategoricalCrossentropy()
    last = layers.Dense(4, activation="softmax")
    last(minikeras.Input((2,)))
    one_pass = objective.paired(loss, last)
    assert type(one_pass) is objective.SoftmaxCrossentropy
    value, dz, p = one_pass.value_and_gradient(y, z, weights)
    slow = objective.Head(one_pass.loss, one_pass.function)
    for ours, theirs in zip((value, dz, p), slow.value_and_gradient(y, z, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(one_pass.value(y, z, weights)[0], value)
    for other in (losses.SparseCategoricalCrossentropy(ignore_class=0), losses.CategoricalCrossentropy()):
        assert type(objective.paired(other, last)) is objective.Head


def test_read_only_data_compile_nothing_again():
    x, y = np.random.default_rng(11).normal(size=(40, 13, 11, 2)).astype("float32"), np.arange(40) % 3
    x.flags.writeable = y.flags.writeable = False
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0, shuffle=False)
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.layers[0](x)
    for _, kernel, _ in examples():
        assert kernel.machine_code is None or len(kernel.machine_code.signatures) == 1
