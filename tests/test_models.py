"""Sequential and Model: building, names, weights, configs, and the forms of Keras 2 that courses still use."""

import json

import keras
import numpy as np
import pytest

import minikeras
from minikeras import layers
from minikeras.engine.graph import Graph


def small(k=minikeras, **kwargs):
    return k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="relu"), k.layers.Dense(2)], **kwargs)


def test_every_way_to_say_the_input_shape():
    forms = [
        minikeras.Sequential([layers.Input((4,)), layers.Dense(3)]),
        minikeras.Sequential([layers.InputLayer(shape=(4,)), layers.Dense(3)]),
        minikeras.Sequential([layers.InputLayer(input_shape=(4,)), layers.Dense(3)]),
        minikeras.Sequential([layers.Dense(3, input_shape=(4,))]),
        minikeras.Sequential([layers.Dense(3, input_dim=4)]),
        minikeras.Sequential([layers.Dense(3, batch_input_shape=(None, 4))]),
        minikeras.Sequential(layers.Dense(3, input_shape=(4,))),
    ]
    for model in forms:
        assert model.built
        assert model.input_shape == (None, 4)
        assert model.output_shape == (None, 3)
        assert model.layers[0].name.startswith("dense")
    late = minikeras.Sequential([layers.Dense(3)])
    assert not late.built
    assert late.weights == []
    late.build((None, 4))
    assert late.count_params() == 15
    by_data = minikeras.Sequential([layers.Dense(3)])
    assert by_data(np.ones((2, 4))).shape == (2, 3)
    assert by_data.input_shape == (None, 4)


def test_add_and_pop():
    model = minikeras.Sequential(name="grown")
    model.add(layers.Dense(3, activation="sigmoid", input_shape=(4,), name="hidden"))
    model.add(layers.Dense(2, name="out"))
    assert model.name == "grown"
    assert [layer.name for layer in model.layers] == ["hidden", "out"]
    assert [w.path for w in model.weights] == [
        "grown/hidden/kernel",
        "grown/hidden/bias",
        "grown/out/kernel",
        "grown/out/bias",
    ]
    assert model.pop().name == "out"
    assert model.output_shape == (None, 3)
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)


def test_automatic_names_are_those_of_keras():
    for k in (keras, minikeras):
        k.utils.clear_session()
    names = []
    for k in (keras, minikeras):
        model = k.Sequential(
            [
                k.layers.Conv2D(2, 3),
                k.layers.MaxPooling2D(2),
                k.layers.Conv2D(2, 3),
                k.layers.GlobalAveragePooling2D(),
                k.layers.Flatten(),
                k.layers.Dense(3),
                k.layers.ReLU(),
                k.layers.LeakyReLU(),
                k.layers.Dropout(0.1),
                k.layers.Dense(2),
                k.layers.Activation("softmax"),
            ]
        )
        names.append([model.name, *(layer.name for layer in model.layers)])
    assert names[0] == names[1]


def test_weights_go_in_and_out():
    model = small()
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(4, 3), (3,), (3, 2), (2,)]
    model.set_weights([w + 1 for w in weights])
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), weights[0] + 1)
    view = model.layers[0].kernel.value
    model.layers[0].set_weights([weights[0], weights[1]])
    assert model.layers[0].kernel.value is view
    np.testing.assert_array_equal(view, weights[0])
    copy = np.asarray(model.layers[0].kernel)
    copy += 1
    np.testing.assert_array_equal(view, weights[0])
    np.testing.assert_array_equal(model.layers[0].kernel * 2, weights[0] * 2)
    with pytest.raises(ValueError, match=r"shape \(4, 3\)"):
        model.set_weights([np.zeros((3, 4)), *weights[1:]])
    with pytest.raises(ValueError, match="4 arrays"):
        model.set_weights(weights[:3])


def test_all_numbers_live_in_one_vector():
    model = small()
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    homes = {id(v.home) for v in model.weights}
    assert len(homes) == 1
    home = model.weights[0].home
    for v in model.weights:
        assert v.value.base is not None
        assert np.shares_memory(v.value, home.values)
        assert np.shares_memory(v.gradient, home.gradients)
        assert v.value.ctypes.data % 64 == 0
    assert home.runs(model.weights) == [slice(0, home.values.size)]


def test_get_layer():
    model = small()
    assert model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(model.layers[0].name) is model.layers[0]
    with pytest.raises(ValueError, match="No such layer: dens"):
        model.get_layer("dens")


def test_trainable_of_model_and_layers():
    model = small()
    model.layers[0].trainable = False
    assert [v.path.split("/")[1:] for v in model.trainable_weights] == [["dense_1", "kernel"], ["dense_1", "bias"]]
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4


def test_config_and_json_are_those_of_keras():
    for k in (keras, minikeras):
        k.utils.clear_session()
    texts = []
    for k in (keras, minikeras):
        model = k.Sequential(
            [
                k.Input((8, 8, 1)),
                k.layers.Conv2D(2, 3, activation="relu", padding="same"),
                k.layers.MaxPooling2D(2),
                k.layers.Flatten(),
                k.layers.Dropout(0.4),
                k.layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
            ],
            name="net",
        )
        texts.append(json.loads(model.to_json()))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        texts.append(json.loads(model.to_json()))
    assert texts[2] == texts[0]
    assert texts[3] == texts[1]
    ours = minikeras.models.model_from_json(json.dumps(texts[1]))
    theirs = keras.models.model_from_json(json.dumps(texts[3]))
    assert ours.compiled
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert json.loads(ours.to_json()) == texts[1]
    clone = minikeras.models.clone_model(ours)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in ours.layers]
    assert not np.array_equal(clone.get_weights()[0], ours.get_weights()[0])


def test_a_model_inside_a_model():
    inner = small()
    outer = minikeras.Sequential([minikeras.Input((4,)), inner, layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    np.testing.assert_allclose(outer(x), outer.layers[1](inner(x)), atol=1e-6)
    assert len(outer.weights) == 6
    outer.compile("sgd", "mse")
    before = inner.get_weights()
    outer.fit(x, np.ones((6, 1)), verbose=0)
    assert not np.array_equal(before[0], inner.get_weights()[0])


def test_the_executor_adds_gradients_where_a_layer_is_used_twice():
    """y = f(f(x)): both uses of f add into its gradients."""
    layer = layers.Dense(4, activation="tanh", dtype="float64")
    start = minikeras.Input((4,), dtype="float64")
    graph = Graph(start, layer(layer(start)))
    generator = np.random.default_rng(0)
    x, dy = generator.normal(size=(2, 3, 4))
    caches = []
    graph.forward(x, True, caches)
    dx = graph.backward(dy, caches, graph.needed(wants_dx=True))
    h = 1e-6
    for array, gradient in ((x, dx), (layer.kernel.value, layer.kernel.gradient.copy())):
        for index in [(0, 1), (2, 3)]:
            middle = array[index]
            array[index] = middle + h
            above = np.sum(dy * graph.forward(x))
            array[index] = middle - h
            below = np.sum(dy * graph.forward(x))
            array[index] = middle
            assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8)


def test_a_model_between_two_symbols():
    start = minikeras.Input((4,))
    hidden = layers.Dense(3, activation="relu")(start)
    model = minikeras.Model(start, layers.Dense(2)(hidden))
    sequential = small()
    sequential.set_weights(model.get_weights())
    x = np.ones((5, 4))
    np.testing.assert_array_equal(model.predict(x, verbose=0), sequential.predict(x, verbose=0))
    features = minikeras.Model(sequential.inputs[0], sequential.layers[0].output)
    np.testing.assert_array_equal(features(x), sequential.layers[0](x))


def test_float64_models():
    minikeras.config.set_floatx("float64")
    model = small()
    model.compile("adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    assert {w.dtype for w in model.get_weights()} == {np.dtype("float64")}
    assert model.predict(np.ones((4, 4)), verbose=0).dtype == np.float64


@pytest.mark.parametrize("kinds", [("float32", "float64"), ("float64", "float32")])
@pytest.mark.parametrize("form", ["Dense", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "PReLU", "Embedding"])
def test_layers_of_several_float_types_compute_as_in_keras_and_are_not_trained(form, kinds):
    import keras

    make = {
        "Dense": lambda k, dtype: k.layers.Dense(3, "tanh", dtype=dtype),
        "Conv2D": lambda k, dtype: k.layers.Conv2D(3, 2, padding="same", activation="relu", dtype=dtype),
        "DepthwiseConv2D": lambda k, dtype: k.layers.DepthwiseConv2D(2, padding="same", dtype=dtype),
        "BatchNormalization": lambda k, dtype: k.layers.BatchNormalization(dtype=dtype),
        "PReLU": lambda k, dtype: k.layers.PReLU("ones", dtype=dtype),
        "Embedding": lambda k, dtype: k.layers.Embedding(9, 3, dtype=dtype),
    }[form]
    generator = np.random.default_rng(0)
    x = generator.integers(0, 9, (5, 4)) if form == "Embedding" else generator.normal(size=(5, 4, 4, 3))
    x = x.astype("float32")
    results = []
    for k in (keras, minikeras):
        first = [make(k, dtype) for dtype in (kinds[:1] if form == "Embedding" else kinds)]
        last = [k.layers.Flatten(dtype=kinds[1]), k.layers.Dense(2, dtype=kinds[1])]
        model = k.Sequential([k.Input(x.shape[1:]), *first, *last])
        draw = np.random.default_rng(1)
        model.set_weights([abs(draw.normal(size=w.shape)) + 0.1 for w in model.get_weights()])
        model.compile("sgd", "mse")
        y = np.zeros((5, 2), "float32")
        loss = model.evaluate(x, y, verbose=0)
        results.append([loss, model.predict(x, verbose=0), np.asarray(model(x)), model.predict_on_batch(x)])
        if k is minikeras:
            with pytest.raises(ValueError, match="All layers of a model share one dtype"):
                model.fit(x, y, verbose=0)
            np.testing.assert_allclose(model.evaluate(x, y, verbose=0), loss, rtol=1e-6)
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
