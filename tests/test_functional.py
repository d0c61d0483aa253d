"""Functional models beside tf.keras: several inputs and outputs, shared layers, models inside models."""

import json

import keras
import numpy as np
import pytest

import minikeras
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


def test_malformed_graphs_are_refused(tmp_path):
    import zipfile

    path = tmp_path / "model.keras"
    for change in (
        lambda c: c["layers"][-1]["inbound_nodes"][0].update(args=[]),
        lambda c: c["output_layers"].update(label=["nobody", 0, 0]),
        lambda c: c.update(layers=c["layers"][1:]),
        lambda c: c.update(input_layers=7),
    ):
        branching(minikeras).save(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        change(config["config"])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**members, "config.json": json.dumps(config).encode()}.items():
                archive.writestr(name, content)
        with pytest.raises(minikeras.saving.ModelFileError):
            load_model(path)
