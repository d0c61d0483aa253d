"""Files in Keras's formats, in both directions: what one library saves, the other loads, and trains on with."""

import json
import lzma
import os
import pathlib
import re
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from layer_table import LAYERS, random_weights

import minikeras
from minikeras import layers, saving
from minikeras.common import files
from minikeras.saving import ModelFileError

# Keras converts its variables so when it writes a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

DATA = pathlib.Path(__file__).parent / "data"
WHOLE = [".keras", ".h5"]
DIRECTIONS = [(keras, minikeras), (minikeras, keras), (minikeras, minikeras)]


def direction_id(pair):
    return f"{pair[0].__name__}-to-{pair[1].__name__}"


@pytest.fixture(autouse=True)
def _quiet_keras():
    """Keras logs that `.h5` is old, and warns where its own files lack an optimizer's state."""
    import absl.logging

    before = absl.logging.get_verbosity()
    absl.logging.set_verbosity("error")
    yield
    absl.logging.set_verbosity(before)


def images(n=32, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((n, 8, 8, 1), dtype="float32"), generator.integers(0, 4, n)


def network(k, optimizer="adam", dropout=False):
    model = k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Conv2D(3, 3, activation="relu", padding="same"),
            k.layers.MaxPooling2D(2),
            k.layers.Conv2D(2, 2, strides=2),
            k.layers.Flatten(),
            *([k.layers.Dropout(0.4)] if dropout else []),
            k.layers.Dense(5, activation=k.layers.LeakyReLU(0.1), kernel_regularizer="l2"),
            k.layers.PReLU(),
            k.layers.Dense(4, activation="softmax"),
        ],
        name="network",
    )
    if optimizer is not None:
        rule = optimizer(k) if callable(optimizer) else optimizer
        model.compile(rule, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, epochs=2, **options):
    x, y = images()
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **options).history["loss"]


def predictions(model, x):
    return np.asarray(model.predict(x, verbose=0))


def tree(path):
    """What is in an HDF5 file: for every object its type, its attributes, its values."""
    found = {}

    def visit(name, thing):
        if "seed_generator" not in name:
            attributes = {k: np.asarray(v).tolist() for k, v in thing.attrs.items()}
            kind = (thing.shape, thing.dtype.str) if isinstance(thing, h5py.Dataset) else "group"
            found[name] = kind, attributes

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


# Whole models ------------------------------------------------------------------------------------------------------


def groups_of_layers():
    """The table's layers, those of one input shape and dtype side by side in a few models."""
    shapes = {}
    for case in LAYERS:
        if case.joins:  # a Sequential model has no place for it
            continue
        shapes.setdefault(case.input_shape, []).append(case)
    return [pytest.param(cases, id="x".join(map(str, shape))) for shape, cases in shapes.items()]


@pytest.mark.parametrize("cases", groups_of_layers())
def test_every_layer_goes_both_ways(cases, tmp_path):
    for i, case in enumerate(cases):
        x = case.data(np.random.default_rng(0))
        path = (
            tmp_path / f"model{WHOLE[case.h5 and i % 3 == 0]}"
        )  # the layout of a file has little to do with the layer in it
        for source, target in DIRECTIONS[:2]:
            model = source.Sequential([source.Input(case.input_shape), case.make(source)], name="one")
            generator = np.random.default_rng(1)
            model.set_weights(random_weights(model.weights, generator))
            before = np.asarray(model(x))
            model.save(path)
            loaded = target.models.load_model(path)
            np.testing.assert_allclose(np.asarray(loaded(x)), before, rtol=0, atol=1e-6 * max(1, abs(before).max()))
            assert plain(loaded.get_config()) == plain(model.get_config()), case
            if source is minikeras:  # and back again
                loaded.save(path)
                back = source.models.load_model(path)
                assert plain(back.get_config()) == plain(model.get_config()), case
                for a, b in zip(back.get_weights(), model.get_weights(), strict=True):
                    np.testing.assert_array_equal(a, b)


def plain(config):
    """A config without what Keras invents anew each time."""
    if isinstance(config, dict):
        return {k: plain(v) for k, v in config.items() if k != "shared_object_id"}
    return [plain(v) for v in config] if isinstance(config, (list, tuple)) else config


OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.05),
    "momentum": lambda k: k.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0),
    "adagrad": lambda k: k.optimizers.Adagrad(0.05),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.003),
    "rmsprop-all": lambda k: k.optimizers.RMSprop(0.003, momentum=0.5, centered=True),
    "adam": lambda k: k.optimizers.Adam(0.01),
    "amsgrad": lambda k: k.optimizers.Adam(0.01, amsgrad=True, weight_decay=0.01),
    "adamw": lambda k: k.optimizers.AdamW(0.01),
    "nadam": lambda k: k.optimizers.Nadam(0.01),
    "adamax": lambda k: k.optimizers.Adamax(0.01),
    "adadelta": lambda k: k.optimizers.Adadelta(1.0),
    "lion": lambda k: k.optimizers.Lion(0.001),
    "schedule": lambda k: k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.05, 5, 0.7)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("pair", DIRECTIONS, ids=direction_id)
def test_an_interrupted_training_goes_on_in_the_other_library(name, pair, tmp_path):
    source, target = pair
    model, (x, y) = network(source, OPTIMIZERS[name]), images(seed=1)
    train(model)
    # Keras builds the optimizer of a `.h5` file for no variables, and can't train on; not even from its own file.
    suffixes = WHOLE if target is minikeras else WHOLE[:1]
    for suffix in suffixes:
        model.save(tmp_path / f"model{suffix}")
    before, losses, after = predictions(model, x), train(model, 3), model.evaluate(x, y, verbose=0)
    for suffix in suffixes:
        loaded = target.models.load_model(tmp_path / f"model{suffix}")
        assert int(loaded.optimizer.iterations) == 8
        np.testing.assert_allclose(predictions(loaded, x), before, rtol=0, atol=1e-6)
        np.testing.assert_allclose(train(loaded, 3), losses, rtol=0, atol=1e-5)
        np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), after, rtol=0, atol=1e-5)
    assert losses[-1] != losses[0]


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("optimizer", ["adam", None])
def test_the_bytes_hold_what_keras_writes(suffix, optimizer, tmp_path):
    trees, configs = [], []
    for k in (keras, minikeras):
        k.utils.clear_session()
        model = network(k, optimizer, dropout=True)
        if optimizer:
            train(model, 1)
        path = tmp_path / f"{k.__name__}{suffix}"
        model.save(path)
        if suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                assert [m.filename for m in archive.infolist()] == ["metadata.json", "config.json", "model.weights.h5"]
                assert {m.compress_type for m in archive.infolist()} == {zipfile.ZIP_STORED}
                configs.append(plain(json.loads(archive.read("config.json"))))
                assert {"keras_version", "date_saved"} <= set(json.loads(archive.read("metadata.json")))
                path = archive.extract("model.weights.h5", tmp_path / k.__name__)
        found = tree(path)
        if suffix == ".h5":
            for attribute in ("model_config", "training_config"):
                if attribute in found["/"][1]:
                    configs.append(plain(json.loads(found["/"][1].pop(attribute))))
        trees.append(found)
    assert trees[1] == trees[0]
    half = len(configs) // 2
    assert configs[half:] == configs[:half]


def test_weights_files_hold_what_keras_writes(tmp_path):
    trees = []
    for k in (keras, minikeras):
        k.utils.clear_session()
        model = network(k, "rmsprop", dropout=True)
        train(model, 1)
        path = tmp_path / f"{k.__name__}.weights.h5"
        model.save_weights(path)
        trees.append(tree(path))
    assert trees[1] == trees[0]


@pytest.mark.parametrize("pair", DIRECTIONS, ids=direction_id)
def test_a_model_in_a_model_goes_both_ways(pair, tmp_path):
    source, target = pair

    def make(k):
        inner = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="relu"), k.layers.Dense(3)], name="inner")
        return k.Sequential([k.Input((4,)), k.layers.Dense(4), inner, k.layers.Dense(2, trainable=False)], name="outer")

    model = make(source)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    model.compile("sgd", "mean_squared_error")
    model.fit(x, np.ones((5, 2)), verbose=0)
    for suffix in WHOLE:
        path = tmp_path / f"model{suffix}"
        model.save(path)
        loaded = target.models.load_model(path, compile=suffix == ".keras")
        np.testing.assert_allclose(predictions(loaded, x), predictions(model, x), rtol=0, atol=1e-6)
        assert len(loaded.trainable_weights) == len(model.trainable_weights) == 6
    for name in ("a.weights.h5", *(["a.h5"] if source is minikeras else [])):
        model.save_weights(tmp_path / name)
        other = make(target)
        other.load_weights(tmp_path / name)
        np.testing.assert_allclose(predictions(other, x), predictions(model, x), rtol=0, atol=1e-6)
    if minikeras in pair and source is not target:
        ours = model if source is minikeras else loaded
        assert len({v.path for v in ours.weights}) == len(ours.weights)


@pytest.mark.parametrize("pair", DIRECTIONS, ids=direction_id)
@pytest.mark.parametrize("suffix", WHOLE)
def test_compile_arguments_go_both_ways(pair, suffix, tmp_path):
    source, target = pair
    model = source.Sequential([source.Input((3,)), source.layers.Dense(4, activation="softmax")])
    model.compile(
        source.optimizers.RMSprop(0.02, rho=0.8),
        source.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy", source.metrics.TopKCategoricalAccuracy(2, name="top2")],
        weighted_metrics=[source.metrics.MeanAbsoluteError(name="distance")],
    )
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.eye(4)[np.arange(12) % 4]
    model.fit(x, y, verbose=0)
    model.save(tmp_path / f"m{suffix}")
    loaded = target.models.load_model(tmp_path / f"m{suffix}")
    ours, theirs = loaded.evaluate(x, y, verbose=0, return_dict=True), model.evaluate(x, y, verbose=0, return_dict=True)
    assert sorted(ours) == sorted(theirs)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-6)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.02)
    if suffix == ".keras":
        assert plain(loaded.get_compile_config()) == plain(model.get_compile_config())


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("source", [keras, minikeras], ids=lambda k: k.__name__)
def test_without_compiling(suffix, source, tmp_path):
    model = network(source)
    train(model, 1)
    model.save(tmp_path / f"m{suffix}")
    loaded = minikeras.models.load_model(tmp_path / f"m{suffix}", compile=False)
    assert not loaded.compiled
    assert loaded.optimizer is None
    x, _ = images()
    np.testing.assert_allclose(predictions(loaded, x), predictions(model, x), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="compile"):
        loaded.evaluate(*images())


def test_a_legacy_file_without_optimizer(tmp_path):
    model = network(minikeras)
    train(model, 1)
    model.save(tmp_path / "m.h5", include_optimizer=False)
    assert not minikeras.models.load_model(tmp_path / "m.h5").compiled


def test_a_model_that_is_not_built_yet(tmp_path):
    for k in (keras, minikeras):
        model = k.Sequential([k.layers.Dense(3, name="d")], name="late")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(tmp_path / "late.keras")
        loaded = minikeras.models.load_model(tmp_path / "late.keras")
        assert not loaded.built
        assert loaded(np.ones((2, 5))).shape == (2, 3)


def test_seeds_go_on(tmp_path):
    """Dropout draws the masks that it would have drawn; Keras begins its seeds anew."""
    model = network(minikeras, dropout=True)
    train(model)
    model.save(tmp_path / "m.keras")
    loaded = minikeras.models.load_model(tmp_path / "m.keras")
    assert train(loaded) == train(model)
    model.save_weights(tmp_path / "m.weights.h5")
    other = network(minikeras, dropout=True)
    other.load_weights(tmp_path / "m.weights.h5")
    assert train(other) == train(model)


def test_float64(tmp_path):
    minikeras.config.set_floatx("float64")
    model = network(minikeras)
    train(model, 1)
    model.save(tmp_path / "m.keras")
    minikeras.config.set_floatx("float32")
    loaded = minikeras.models.load_model(tmp_path / "m.keras")
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float64
    model = network(minikeras)
    model.load_weights(tmp_path / "m.keras")
    assert {w.dtype.name for w in model.get_weights()} == {"float32"}


# Weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", DIRECTIONS, ids=direction_id)
@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5"])
def test_weights_go_both_ways(pair, name, tmp_path):
    source, target = pair
    model, x = network(source), images()[0]
    train(model)
    if source is keras and name == "w.h5":
        with pytest.raises(ValueError, match=r"\.weights\.h5"):
            model.save_weights(tmp_path / name)
        model.save(tmp_path / name)  # Keras 3 writes no such file; the weights of a whole model stand for it
    else:
        model.save_weights(str(tmp_path / name))
    other = network(target, None)
    other.load_weights(tmp_path / name)
    np.testing.assert_allclose(predictions(other, x), predictions(model, x), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(predictions(other, x).argmax(axis=-1), predictions(model, x).argmax(axis=-1))


@pytest.mark.parametrize("source", [keras, minikeras], ids=lambda k: k.__name__)
def test_weights_bring_the_optimizers_state(source, tmp_path):
    model = network(source)
    train(model)
    model.save_weights(tmp_path / "w.weights.h5")
    other = network(minikeras)
    other.load_weights(tmp_path / "w.weights.h5")
    assert int(other.optimizer.iterations) == 8
    np.testing.assert_allclose(train(other), train(model), rtol=0, atol=1e-5)


def test_weights_of_a_whole_model(tmp_path):
    model, x = network(minikeras), images()[0]
    for suffix in WHOLE:
        model.save(tmp_path / f"m{suffix}")
        other = network(minikeras)
        other.load_weights(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(predictions(other, x), predictions(model, x))


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5"])
@pytest.mark.parametrize("source", [keras, minikeras], ids=lambda k: k.__name__)
def test_skip_mismatch(name, source, tmp_path):
    def make(k, units):
        return k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(units), k.layers.Dense(units)])

    model = make(source, 5)
    (model.save if source is keras and name == "w.h5" else model.save_weights)(tmp_path / name)
    other = make(minikeras, 6)
    before = other.get_weights()
    with pytest.raises(ModelFileError, match=r"2 of the model's layers do not fit.*shape \(3, 5\).*\(3, 6\)"):
        other.load_weights(tmp_path / name)
    for a, b in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match="2 of the model's layers do not fit"):
        other.load_weights(tmp_path / name, skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(other.get_weights()[2], before[2])


def test_by_name(tmp_path):
    model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    model.save_weights(tmp_path / "w.h5")
    other = minikeras.Sequential([minikeras.Input((3,)), layers.Dense(2, name="b")])
    other.load_weights(tmp_path / "w.h5", by_name=True)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[2])
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelFileError, match="by_name"):
        model.load_weights(tmp_path / "w.weights.h5", by_name=True)


def test_many_layers_with_long_names(tmp_path):
    """HDF5's object headers hold 64 kB: longer lists of names are cut into pieces, as Keras does."""
    model, other = (
        minikeras.Sequential(
            [minikeras.Input((2,))] + [layers.Dense(2, name=f"{'long' * 30}_{i:04d}") for i in range(600)]
        )
        for _ in range(2)
    )
    model.save_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert "layer_names1" in file.attrs
    other.load_weights(tmp_path / "w.h5")
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Files of Keras 2 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras2(tmp_path_factory):
    """Files that tf_keras 2.21 wrote, and what it predicted and reached in three further epochs."""
    folder = tmp_path_factory.mktemp("keras2")
    for name in ("keras2.h5", "keras2_weights.h5"):
        (folder / name).write_bytes(lzma.decompress((DATA / f"{name}.xz").read_bytes()))
    x = (np.arange(40 * 36) % 17 / 17).reshape(40, 6, 6, 1).astype("float32")
    return folder, json.loads((DATA / "keras2.json").read_text()), x, np.arange(40) % 3


def test_a_model_of_keras_2_is_loaded_and_trained_on(keras2):
    folder, expected, x, y = keras2
    model = minikeras.models.load_model(folder / "keras2.h5")
    np.testing.assert_allclose(predictions(model, x[:4]), expected["predictions"], rtol=0, atol=1e-6)
    assert int(model.optimizer.iterations) == 10
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(history["accuracy"], expected["accuracy"], rtol=0, atol=1e-6)


def test_weights_of_keras_2(keras2, tmp_path):
    folder, expected, x, _ = keras2
    model = minikeras.models.load_model(folder / "keras2.h5", compile=False)
    fresh = minikeras.models.clone_model(model)
    for name in ("keras2.h5", "keras2_weights.h5"):
        fresh.load_weights(folder / name)
        np.testing.assert_allclose(predictions(fresh, x[:4]), expected["predictions"], rtol=0, atol=1e-6)
    disguised = tmp_path / "old.weights.h5"  # Keras 2 wrote this layout under any name
    disguised.write_bytes((folder / "keras2_weights.h5").read_bytes())
    minikeras.models.clone_model(model).load_weights(disguised)


# Classes and functions of the user's own ---------------------------------------------------------------------------


class Scale(layers.Layer):
    def __init__(self, start=2.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def forward(self, x, training):
        return x * self.factor.value * self.start, x

    def backward(self, dy, x):
        self.factor.gradient += (dy * x).sum(axis=0) * self.start
        return dy * self.factor.value * self.start


def distance(y_true, y_pred):
    return np.abs(np.asarray(y_true) - y_pred).max(axis=-1)


def own_model():
    model = minikeras.Sequential([minikeras.Input((3,)), Scale(3.0), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[distance])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


@pytest.mark.parametrize("suffix", WHOLE)
def test_custom_objects(suffix, tmp_path):
    model, path, x = own_model(), tmp_path / f"m{suffix}", np.ones((2, 3))
    model.save(path)
    with pytest.raises(ModelFileError, match=r"Unknown class 'Scale'.*custom_objects=\{'Scale': Scale\}"):
        minikeras.models.load_model(path)
    with pytest.raises(ModelFileError, match="distance"):
        minikeras.models.load_model(path, custom_objects={"Scale": Scale})
    loaded = minikeras.models.load_model(path, custom_objects={"Scale": Scale, "distance": distance})
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.evaluate(x, np.ones((2, 2)), verbose=0, return_dict=True).keys() == {"loss", "distance"}
    with saving.custom_object_scope({"Scale": Scale}):
        assert minikeras.models.load_model(path, compile=False).layers[0].start == 3.0
    with pytest.raises(ModelFileError, match="Unknown class"):
        minikeras.models.load_model(path, compile=False)


@pytest.mark.parametrize("suffix", WHOLE)
def test_registered_classes(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("minikeras.common.serialization.REGISTERED", {})
    monkeypatch.setattr(saving, "REGISTERED", minikeras.common.serialization.REGISTERED)
    registered = saving.register_keras_serializable("mine")(type("Scale", (Scale,), {"__module__": __name__}))
    assert saving.get_registered_name(registered) == "mine>Scale"
    assert saving.get_registered_object("mine>Scale") is registered
    model = minikeras.Sequential([minikeras.Input((3,)), registered(4.0)])
    assert saving.serialize_keras_object(model.layers[0])["registered_name"] == "mine>Scale"
    model.save(tmp_path / f"m{suffix}")
    assert type(minikeras.models.load_model(tmp_path / f"m{suffix}").layers[0]) is registered
    assert saving.get_custom_objects() == {"mine>Scale": registered}
    with pytest.raises(ValueError, match="already been registered"):
        saving.register_keras_serializable("mine", "Scale")(Scale.__mro__[1])


def test_lambdas_are_refused_when_saving(tmp_path):
    model = minikeras.Sequential([minikeras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[lambda y_true, y_pred: y_pred.mean(axis=-1)])
    for suffix in WHOLE:
        with pytest.raises(ValueError, match="lambda can't be saved"):
            model.save(tmp_path / f"m{suffix}")
    assert list(tmp_path.iterdir()) == []


# Errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_errors_name_what_is_wrong(as_path, tmp_path):
    model = network(minikeras)
    with pytest.raises(ValueError, match=r"model\.pickle.*`\.keras`"):
        model.save(as_path(tmp_path / "model.pickle"))
    with pytest.raises(FileNotFoundError, match=r"makedirs.*nowhere"):
        model.save(as_path(tmp_path / "nowhere" / "model.keras"))
    with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`"):
        model.save_weights(as_path(tmp_path / "model.npz"))
    with pytest.raises(ValueError, match="zipped=False"):
        model.save(as_path(tmp_path / "folder"), zipped=False)
    with pytest.raises(ValueError, match=r"arguments: \{'signatures'"):
        model.save(as_path(tmp_path / "m.keras"), signatures=1)
    with pytest.raises(ModelFileError, match=r"ends in `\.keras`"):
        minikeras.models.load_model(as_path(tmp_path / "model.pickle"))
    model.save(as_path(tmp_path / "model.keras"))
    with pytest.raises(FileNotFoundError, match=r"modle\.keras: File not found. Did you mean 'model\.keras'"):
        minikeras.models.load_model(as_path(tmp_path / "modle.keras"))
    with pytest.raises(ValueError, match="folder"):
        minikeras.models.load_model(as_path(tmp_path))
    model.save_weights(as_path(tmp_path / "w.weights.h5"))
    with pytest.raises(ModelFileError, match=r"weights only.*load_weights"):
        minikeras.models.load_model(as_path(tmp_path / "w.weights.h5"))
    late = minikeras.Sequential([layers.Dense(2)])
    for call in (late.save_weights, late.load_weights):
        with pytest.raises(ValueError, match="build"):
            call(as_path(tmp_path / "w.weights.h5"))


def test_what_keras_has_and_we_have_not_is_refused_by_name(tmp_path):
    made = [
        (keras.layers.GRU(2), (3, 2), "GRU"),
        (keras.layers.Dense(2, activity_regularizer="l2"), (3,), "activity_regularizer"),
        (keras.layers.Dense(2, dtype="mixed_float16"), (3,), "mixed_float16"),
    ]
    for layer, shape, name in made:
        keras.Sequential([keras.Input(shape), layer]).save(tmp_path / "m.keras")
        with pytest.raises(ModelFileError, match=name):
            minikeras.models.load_model(tmp_path / "m.keras")


def test_asking_before_overwriting(tmp_path, monkeypatch, capsys):
    model, path = network(minikeras), tmp_path / "m.keras"
    model.save(path, overwrite=False)
    before = path.read_bytes()
    asked = []
    answers = iter(["what", "n", "y"])
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or next(answers))
    model.save(path, overwrite=False)
    assert path.read_bytes() == before
    model.save(path, overwrite=False)
    assert asked[0] == asked[2] == f"[WARNING] {path} already exists - overwrite? [y/n]"
    assert capsys.readouterr().out == "[TIP] Next time specify overwrite=True!\n"


def test_loading_takes_no_random_numbers_and_fills_one_vector_later(tmp_path):
    import random

    model = network(minikeras, dropout=True)
    model.save(tmp_path / "m.keras")
    before = random.getstate(), np.random.get_state()[1].tobytes()
    loaded = minikeras.models.load_model(tmp_path / "m.keras")
    assert before[1] == np.random.get_state()[1].tobytes()
    train(loaded, 1)
    assert len({id(v.home) for v in loaded.weights}) == 1
    for v in loaded.weights:
        assert np.shares_memory(v.value, v.home.values)
    assert os.listdir(tmp_path) == ["m.keras"]


# Where files are written -------------------------------------------------------------------------------------------


def ready(k=minikeras):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(2)])
    model.compile("adam", "mse")
    return model


def checkpointed(**options):
    def write(model, path):
        checkpoint = minikeras.callbacks.ModelCheckpoint(str(path), **options)
        model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0, callbacks=[checkpoint])

    return write


def backed_up(model, path):
    backup = minikeras.callbacks.BackupAndRestore(path.parent, delete_checkpoint=False)
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0, callbacks=[backup])


WRITERS = {
    "model.keras": lambda model, path: model.save(path),
    "model.h5": lambda model, path: model.save(path),
    "model.weights.h5": lambda model, path: model.save_weights(path),
    "weights.h5": lambda model, path: model.save_weights(path),
    "checkpoint.keras": checkpointed(),
    "checkpoint.weights.h5": checkpointed(save_weights_only=True),
}


@pytest.mark.parametrize("name", [*WRITERS, "latest.weights.h5"])
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "socket"])
def test_what_is_no_file_is_not_written_over(name, kind, tmp_path, request):
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a device":  # a terminal of our own: who replaced a device of the system would break it
        ends = os.openpty()
        request.addfinalizer(lambda: [os.close(end) for end in ends])
        path.symlink_to(os.ttyname(ends[1]))
    else:
        import socket

        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.close()
    before = os.lstat(path)
    with pytest.raises((OSError, ModelFileError), match=f"this is a {kind.split()[-1]}|folder or a device"):
        WRITERS.get(name, backed_up)(ready(), path)
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_folders_are_not_written_over(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match=r"folder|directory"):
        WRITERS[name](ready(), tmp_path / name)
    assert [p.name for p in tmp_path.rglob("*")] == [name]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("letter", ["n", "ü", "網"])
def test_names_as_long_as_the_system_takes_them(name, letter, tmp_path):
    room = 255 - len(name)
    path = tmp_path / (letter * (room // len(letter.encode())) + name)
    model = ready()
    WRITERS[name](model, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if name.endswith((".keras", "model.h5")):
        model = minikeras.models.load_model(path)
    model.load_weights(path)
    with pytest.raises(OSError, match=r"(?i)name too long"):
        WRITERS[name](model, path.with_name("n" * room + "n" + name))


def refusing(monkeypatch, call, times):
    """Let a function of `os` be refused, as by Windows while a scanner holds the file open."""
    original, seen = getattr(os, call), []

    def refused(*arguments, **options):
        seen.append(arguments)
        if len(seen) <= times:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        return original(*arguments, **options)

    monkeypatch.setattr(os, call, refused)
    return seen


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_a_scanner_holds_open_is_replaced_when_it_is_free(name, tmp_path, monkeypatch):
    path = tmp_path / name
    WRITERS[name](ready(), path)
    model = ready()
    with monkeypatch.context() as patch:
        seen = refusing(patch, "replace", 3)
        WRITERS[name](model, path)
        assert len(seen) == 4
    other = ready()
    other.load_weights(path)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_never_free_stays_and_the_error_says_so(name, tmp_path, monkeypatch):
    path = tmp_path / name
    WRITERS[name](ready(), path)
    before = path.read_bytes()
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    with monkeypatch.context() as patch:
        seen = refusing(patch, "replace", 10**6)
        with pytest.raises(
            PermissionError, match=r"another program may hold the file open.*before is intact"
        ) as caught:
            WRITERS[name](ready(), path)
    assert 2 < len(seen) < 20
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_time_that_is_waited_for_a_scanner_is_bounded(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(files.time, "sleep", waited.append)
    refusing(monkeypatch, "replace", 10**6)
    with pytest.raises(PermissionError):
        ready().save(tmp_path / "m.keras")
    assert 1 < sum(waited) < 5


def open_here():
    """Return the files that this process holds open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return found


def unable_to_remove_open_files(monkeypatch):
    for call in ("unlink", "remove"):
        original = getattr(os, call)

        def removed(path, original=original, **options):
            if os.path.realpath(path) in open_here():
                raise PermissionError(13, "The process cannot access the file")
            return original(path, **options)

        monkeypatch.setattr(os, call, removed)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's list of open files")
@pytest.mark.parametrize("locks", [True, False])
def test_leftovers_go_where_an_open_file_cannot_be_removed(locks, tmp_path, monkeypatch):
    unable_to_remove_open_files(monkeypatch)
    if not locks:
        monkeypatch.setattr(files, "_lock", lambda descriptor, wait=False: True)
    (tmp_path / f".m.keras.{'0' * 16}.partial").write_bytes(b"half")
    ready().save(tmp_path / "m.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match=r"No space left.*is intact"):
            ready().save(tmp_path / "m.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


# Models that are not built -----------------------------------------------------------------------------------------


def unbuilt(k, part):
    if part == "all":
        return k.Sequential([k.layers.Dense(3), k.layers.Dense(2)])
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3)])
    model.add(k.layers.Dense(2), rebuild=False)
    return model


@pytest.mark.parametrize("part", ["all", "last"])
@pytest.mark.parametrize("suffix", WHOLE)
def test_a_model_that_is_not_built_is_saved_with_a_warning(suffix, part, tmp_path):
    path = tmp_path / f"m{suffix}"
    with pytest.warns(UserWarning, match="You are saving a model that has not yet been built") as caught:
        unbuilt(minikeras, part).save(path)
    assert caught[0].filename == __file__
    if part == "all":
        assert not minikeras.models.load_model(path).built
        if suffix == ".keras":
            with pytest.warns(UserWarning, match=re.escape(str(caught[0].message))):
                unbuilt(keras, part).save(path)


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5"])
def test_weights_of_a_model_that_is_not_built_are_not_saved(name, tmp_path):
    with pytest.raises(ValueError, match="has no weights to save yet"):
        unbuilt(minikeras, "all").save_weights(tmp_path / name)
    with pytest.raises(ValueError, match="has not yet been built"):
        unbuilt(keras, "all").save_weights(tmp_path / "m.weights.h5")
    assert not list(tmp_path.iterdir())


def test_a_name_that_no_file_may_have_is_not_saved(tmp_path):
    for name in ("a\0b", "a\x1b[31mb", "a" * 2000):
        model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(2, name=name)])
        with pytest.raises(ValueError, match="no control characters"):
            model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
