"""Functional models beside tf.keras: several inputs and outputs, shared layers, models inside models."""

import json

import keras
import numpy as np
import pytest

import minikeras
from minikeras import testing
from minikeras.saving import load_model

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def branching(k):
    """A residual block, a layer used twice, a model used twice inside, two inputs and two outputs."""
    layers = k.layers
    a, b = k.Input((6, 6, 2), name="a"), k.Input((3,), name="b")
    h = layers.Conv2D(4, 3, padding="same", activation="relu")(a)
    h = layers.Add()([a, layers.Conv2D(2, 3, padding="same", activation="tanh")(h)])
    shared = layers.Dense(5, activation="tanh", name="shared")
    u, v = shared(layers.GlobalAveragePooling2D()(h)), shared(layers.Dense(2)(b))
    first, second = k.Input((5,)), k.Input((5,))
    product = layers.Multiply()([first, second])
    inner = k.Model([first, second], [product, layers.Dense(4, activation="relu")(second)], name="inner")
    q, r = inner([u, v])
    w, _ = inner([v, u])
    number = layers.Dense(1, name="number_layer")(layers.Concatenate()([q, w]))
    label = layers.Dense(3, activation="softmax", name="label_layer")(r)
    return k.Model([a, b], {"number": number, "label": label}, name="branching")


def data(n=24):
    generator = np.random.default_rng(0)
    x = {"a": generator.normal(size=(n, 6, 6, 2)), "b": generator.normal(size=(n, 3))}
    return x, {"number": generator.normal(size=(n, 1)), "label": generator.integers(0, 3, n)}


def compiled(k):
    k.utils.clear_session()  # names start anew
    model = branching(k)
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(scale=0.4, size=w.shape) for w in model.get_weights()])
    model.compile(
        k.optimizers.Adam(0.01),
        {"number": "mse", "label": "sparse_categorical_crossentropy"},
        metrics={"label": ["accuracy"]},
        loss_weights={"number": 0.3, "label": 2.0},
    )
    return model


def test_lock_step_with_keras():
    ours, theirs = compiled(minikeras), compiled(keras)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    x, y = data()
    for _ in range(12):
        a, b = ours.train_on_batch(x, y, return_dict=True), theirs.train_on_batch(x, y, return_dict=True)
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), [float(v) for v in b.values()], atol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for values in zip(ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), strict=True):
        assert values[0] == pytest.approx(float(values[1]), abs=1e-5)


def test_history_has_the_keys_and_numbers_of_keras():
    x, y = data(40)
    histories = [
        compiled(k).fit(x, y, batch_size=8, epochs=2, shuffle=False, validation_split=0.2, verbose=0).history
        for k in (minikeras, keras)
    ]
    assert list(histories[0]) == list(histories[1])
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, atol=1e-5, err_msg=key)


def test_the_config_is_that_of_keras():
    texts = []
    for k in (minikeras, keras):
        k.utils.clear_session()
        texts.append(json.loads(branching(k).to_json()))
    assert plain(texts[0]) == plain(texts[1])


def plain(config):
    if isinstance(config, dict):
        return {k: plain(v) for k, v in config.items() if k != "shared_object_id"}
    return [plain(v) for v in config] if isinstance(config, list) else config


@pytest.mark.parametrize(("source", "target"), [(keras, minikeras), (minikeras, keras), (minikeras, minikeras)])
def test_files_go_both_ways_and_training_goes_on(source, target, tmp_path):
    model, (x, y) = compiled(source), data()
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = target.models.load_model(tmp_path / "model.keras")
    for _ in range(2):
        for name, values in model.predict(x, verbose=0).items():
            np.testing.assert_allclose(loaded.predict(x, verbose=0)[name], values, atol=1e-5)
        model.train_on_batch(x, y)
        loaded.train_on_batch(x, y)


def test_lists_dictionaries_and_what_is_missing():
    model, (x, _) = branching(minikeras), data(3)
    by_name, in_order = model.predict(x, verbose=0), model.predict([x["a"], x["b"]], verbose=0)
    for name in by_name:
        np.testing.assert_array_equal(by_name[name], in_order[name])
    with pytest.raises(ValueError, match="'b' is missing"):
        model.predict({"a": x["a"], "bb": x["b"]}, verbose=0)
    with pytest.raises(ValueError, match="expected 2 arrays"):
        model.predict([x["a"]], verbose=0)
    with pytest.raises(ValueError, match="disconnected"):
        minikeras.Model(model.inputs[0], model.outputs)


def test_a_model_from_the_middle_shares_its_weights():
    model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(3), minikeras.layers.Dense(2)])
    x = np.ones((5, 4), "float32")
    front = minikeras.Model(model.inputs, model.layers[0].output)
    back = minikeras.Model(model.layers[0].output, model.layers[1].output)
    np.testing.assert_allclose(back(front(x)), model(x), atol=1e-6)
    assert front.weights[0] is model.weights[0]


def test_a_class_with_a_call_computes_and_says_why_it_is_not_trained():
    class Twice(minikeras.Model):
        def __init__(self):
            super().__init__()
            self.dense = minikeras.layers.Dense(4)

        def call(self, x):
            return self.dense(self.dense(x))

    model, x = Twice(), np.ones((3, 4))
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-6)
    assert len(model.weights) == 2
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="no automatic differentiation"):
        model.fit(x, x, verbose=0)


def call_on(*keras_history, **kwargs):
    symbol = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": list(keras_history)}}
    return {"args": [symbol], "kwargs": kwargs}


def many_calls(config):
    """A layer called on itself, 200,000 times."""
    calls = [call_on("a", 0, 0), *(call_on("conv2d", i, 0) for i in range(200_000))]
    layer_of(config, "conv2d").update(inbound_nodes=calls)
    layer_of(config, "conv2d")["config"].update(filters=2)


def nested_doubling(config):
    """Models of models, each calling the one inside twice: 2^40 steps in a small file."""
    inner = layer_of(config, "inner")
    one = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "d", "units": 1}, "name": "d"}
    source = {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 1], "name": "x"}}
    model = {**one, "inbound_nodes": [call_on("x", 0, 0)]}
    for depth in range(40):
        layers = [{**source, "name": "x", "inbound_nodes": []}, model]
        name, before = f"m{depth}", model["name"]
        if depth:
            model["inbound_nodes"] = [call_on("x", 0, 0), call_on(before, 0, 0)]
        ends = {"input_layers": [["x", 0, 0]], "output_layers": [[before, 2 if depth else 0, 0]]}
        described = {"name": name, "trainable": True, "layers": layers, **ends}
        model = {"class_name": "Functional", "module": "keras.src.models.functional", "config": described, "name": name}
    inner.update(class_name="Functional", module="keras.src.models.functional", config=model["config"])


def layer_of(config, name):
    return next(layer for layer in config["layers"] if layer["name"] == name)


HOSTILE = {
    "no arguments": lambda c: c["layers"][-1]["inbound_nodes"][0].update(args=[]),
    "arguments of another kind": lambda c: c["layers"][-1]["inbound_nodes"][0].update(args=7),
    "unknown output": lambda c: c["output_layers"].update(label=["nobody", 0, 0]),
    "unknown call": lambda c: c["output_layers"].update(label=["label_layer", 5, 0]),
    "negative call": lambda c: c["output_layers"].update(label=["label_layer", -1, 0]),
    "huge call": lambda c: c["output_layers"].update(label=["label_layer", 10**30, 0]),
    "a call that is no number": lambda c: c["output_layers"].update(label=["label_layer", "0", 0]),
    "layer missing": lambda c: c.update(layers=c["layers"][1:]),
    "layers no list": lambda c: c.update(layers={"a": 1}),
    "a layer no dictionary": lambda c: c.update(layers=[*c["layers"], 3]),
    "a layer twice": lambda c: c.update(layers=[*c["layers"], c["layers"][0]]),
    "a layer that is a loss": lambda c: c["layers"][0].update(module="keras.losses", class_name="Huber", config={}),
    "unknown class": lambda c: c["layers"][3].update(class_name="Nothing"),
    "inputs a number": lambda c: c.update(input_layers=7),
    "inputs missing": lambda c: c.pop("input_layers"),
    "an input too few": lambda c: c.update(input_layers=[["a", 0, 0]]),
    "no outputs": lambda c: c.update(output_layers=[]),
    "a loop": lambda c: layer_of(c, "conv2d").update(inbound_nodes=[call_on("conv2d_1", 0, 0)]),
    "on itself": lambda c: layer_of(c, "number_layer").update(inbound_nodes=[call_on("number_layer", 0, 0)]),
    "another argument": lambda c: layer_of(c, "number_layer").update(inbound_nodes=[call_on("dense", 0, 0, mask=3)]),
    "calls no list": lambda c: layer_of(c, "number_layer").update(inbound_nodes={"a": 1}),
    "calls missing": lambda c: layer_of(c, "number_layer").pop("inbound_nodes"),
    "history too short": lambda c: layer_of(c, "number_layer").update(inbound_nodes=[call_on("dense")]),
    "a wrong shape": lambda c: layer_of(c, "number_layer").update(inbound_nodes=[call_on("a", 0, 0)]),
    "an input called": lambda c: layer_of(c, "b").update(inbound_nodes=[call_on("a", 0, 0)]),
    "units without end": lambda c: layer_of(c, "number_layer")["config"].update(units=10**12),
    "many calls": many_calls,
    "2^40 steps": nested_doubling,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_malformed_graphs_are_refused(what, tmp_path):
    import time
    import zipfile

    path = tmp_path / "model.keras"
    branching(minikeras).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    HOSTILE[what](config["config"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    start = time.process_time()
    with pytest.raises(minikeras.saving.ModelFileError):
        load_model(path)
    assert time.process_time() - start < 10


def dropouts(k):
    """Calls of Dropout that say `training`, also of models around them."""
    x, outer = k.Input((200,)), k.Input((200,))
    told, silent = (k.Model(x, k.layers.Dropout(0.5)(x, training=t)) for t in (True, False))
    yield told
    yield silent
    yield k.Sequential([k.Input((200,)), told])
    yield k.Model(outer, told(outer))
    yield k.Model(outer, told(outer, training=False))
    yield k.Model(outer, silent(outer, training=True))


def test_training_in_calls_means_what_it_means_to_keras(tmp_path):
    x, found = np.ones((4, 200), "float32"), {}
    for k in (minikeras, keras):
        found[k] = []
        for i, model in enumerate(dropouts(k)):
            path = tmp_path / f"{k.__name__}{i}.keras"
            model.save(path)
            other = (keras if k is minikeras else minikeras).models.load_model(path)
            for m in (model, k.models.clone_model(model), other):
                outputs = [m(x), m(x, training=False), m(x, training=True), m.predict(x, verbose=0)]
                found[k].append([bool((np.asarray(y) == 0).any()) for y in outputs])
    assert found[minikeras] == found[keras]
    assert len({tuple(row) for row in found[keras]}) == 2


def test_other_arguments_of_calls_are_refused_by_name():
    x, array = minikeras.Input((4,)), np.ones((2, 4))
    for given in (x, array):
        layer = minikeras.layers.Dense(3, name="d")
        with pytest.raises(TypeError, match=r"'d'.*unexpected keyword argument 'mask'"):
            layer(given, mask=None)
        with pytest.raises(ValueError, match=r"'d': only inputs are given without a name"):
            layer(given, True)
        assert layer(inputs=given, training=True).shape[1:] == (3,)

    class Scaled(minikeras.Model):
        def call(self, inputs, training=None, scale=1):
            return inputs * (scale + (10 if training else 0))

    assert Scaled()(array, scale=3, training=True)[0, 0] == 13
    assert Scaled()(array)[0, 0] == 1


def test_a_join_of_one_is_a_join(tmp_path):
    """Also in files, in `explain` and in `compare`."""
    found = []
    for k in (minikeras, keras):
        k.utils.clear_session()
        x = k.Input((3,), name="x")
        h = k.layers.Add(name="one")([x])
        h = k.layers.Concatenate()((k.layers.Average()([h]),))
        model = k.Model(x, k.layers.Dense(2, name="d")(k.layers.Maximum()([h])))
        found.append((json.loads(model.to_json())["config"], model))
        for name in ("one.keras", "one.h5"):
            model.save(tmp_path / name)
            loaded = minikeras.models.load_model(tmp_path / name)
            np.testing.assert_allclose(loaded(np.ones((2, 3))), model(np.ones((2, 3))), atol=1e-6)
    (config, ours), (expected, theirs) = found
    assert plain(config) == plain(expected)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    testing.compare(ours, theirs, x, np.ones((4, 2)), loss="mse").raise_if_different()
    assert len(ours.explain(x[0], print_fn=str).rows) == len(ours.layers) - 1
    for k in (minikeras, keras):
        for wrong in (lambda a: a, lambda a: [], lambda a: [a] * 3):
            with pytest.raises((ValueError, TypeError)):
                k.layers.Subtract()(wrong(k.Input((3,))))


def test_dictionaries_reach_explain_and_compare_by_name():
    ours, theirs = compiled(minikeras), compiled(keras)
    x, y = data(4)
    x, y = {k: x[k].astype("float32") for k in ("b", "a")}, {k: y[k] for k in ("label", "number")}
    report = testing.compare(ours, theirs, x, y, step=True)
    assert report.ok, str(report)
    assert report.compared > 60
    in_order = testing.compare(ours, theirs, [x["a"], x["b"]], [y["label"], y["number"]], step=True)
    assert in_order.compared == report.compared
    one = ours.explain({k: v[0] for k, v in x.items()}, {k: v[0] for k, v in y.items()}, print_fn=str)
    first = [{k: v[:1] for k, v in part.items()} for part in (x, y)]
    assert one.loss == pytest.approx(ours.evaluate(*first, verbose=0)[0], rel=1e-5)


def test_each_layer_by_itself_does_what_the_fused_ones_do():
    """And all that it computes is there to be seen: the arrays at all positions, dy and dx of all layers."""
    from minikeras.engine.graph import Graph

    x = [data()[0][name].astype("float32") for name in ("a", "b")]
    image, numbers = minikeras.Input((6, 6, 2)), minikeras.Input((3,))
    pooled = minikeras.layers.MaxPooling2D(2)(minikeras.layers.Conv2D(2, 3, padding="same", activation="relu")(image))
    model = minikeras.Model([image, numbers], branching(minikeras)([minikeras.layers.UpSampling2D(2)(pooled), numbers]))
    fused, apart = model.graph, Graph(model.graph.inputs, model.graph.outputs, fuse=False)
    assert len(apart.operations) == len(apart.steps) == len(apart.within) == len(fused.operations) + 1
    results, values, passed = [], [], {}
    for graph, seen in ((fused, (None, None)), (apart, (values, passed))):
        caches = []
        y = graph.forward(x, True, caches, seen=seen[0])
        for v in model.weights:
            v.gradient[...] = 0
        dx = graph.backward([np.ones_like(a) for a in y], caches, graph.needed(wants_dx=True), seen=seen[1])
        results.append([*y, *dx, *(v.gradient.copy() for v in model.weights)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert len(values) == len(x) + len(apart.steps)
    for i, (layer, places) in enumerate(apart.steps):
        dy, dx = passed[i]
        assert dy.shape == values[len(x) + i].shape
        for d, place in zip(dx if layer.joins else [dx], places, strict=True):
            assert d.shape == values[place].shape
