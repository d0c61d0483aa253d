"""Functional models beside tf.keras: files of weights, clones, generators, weights of samples, what returns."""

import keras
import numpy as np
import pytest
from test_functional import branching, compiled, data

import minikeras
from minikeras import testing

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

BOTH = (minikeras, keras)


def of_both(function):
    """What a function of the library and a compiled model returns, for ours and for Keras's."""
    return [function(k, compiled(k)) for k in BOTH]


def assert_same(a, b):
    """Compare nested dictionaries and lists of numbers; keys and their order count."""
    assert isinstance(a, type(b)) or isinstance(b, type(a)) or np.isscalar(a)
    if isinstance(b, dict):
        assert list(a) == list(b)
        a, b = list(a.values()), list(b.values())
    if isinstance(b, (list, tuple)):
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_allclose(a, b, atol=2e-5)


# ---- files ----


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5"])
@pytest.mark.parametrize(("source", "target"), [(keras, minikeras), (minikeras, keras), (minikeras, minikeras)])
def test_files_of_weights_go_both_ways(source, target, name, tmp_path):
    model, other, (x, y) = compiled(source), compiled(target), data()
    for m in (model, other):  # Keras can't read "mse" from an .h5 file, its own neither
        losses = {"number": "mean_squared_error", "label": "sparse_categorical_crossentropy"}
        m.compile("adam", losses, metrics={"label": ["accuracy"]})
        m.train_on_batch(x, y)
    other.set_weights([w + 1 for w in other.get_weights()])
    for _ in range(3):
        model.train_on_batch(x, y)
    if name == "m.h5":
        model.save(tmp_path / name)
        other = target.models.load_model(tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
        other.load_weights(tmp_path / name)
    assert_same(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert_same(other.get_weights(), model.get_weights())
    assert_same(other.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0))


def test_a_whole_h5_goes_on_training_where_it_stopped(tmp_path):
    model, (x, y) = compiled(minikeras), data()
    model.train_on_batch(x, y)
    model.save(tmp_path / "m.h5")
    loaded = minikeras.models.load_model(tmp_path / "m.h5")
    for _ in range(3):
        model.train_on_batch(x, y)
        loaded.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_has_the_architecture_and_weights_of_its_own():
    model = compiled(minikeras)
    clone = minikeras.models.clone_model(model)
    assert clone.to_json() == model.to_json()
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
    assert not {id(v) for v in clone.weights} & {id(v) for v in model.weights}
    clone.set_weights(model.get_weights())
    x, _ = data(3)
    assert_same(clone.predict(x, verbose=0), model.predict(x, verbose=0))
    assert clone.compiled


# ---- where data come from ----


def batches(k, x, y, weights=None, size=6):
    """The data as a generator, a PyDataset, and as those with weights."""
    n = len(y["label"])
    cut = [slice(i, i + size) for i in range(0, n, size)]

    def batch(rows):
        parts = [{key: v[rows] for key, v in part.items()} for part in (x, y, *([weights] if weights else []))]
        return tuple(parts)

    class Data(k.utils.PyDataset):
        def __len__(self):
            return len(cut)

        def __getitem__(self, i):
            return batch(cut[i])

    return Data(), lambda: (batch(rows) for rows in cut)


def weights_for(y, both=True):
    generator = np.random.default_rng(5)
    names = list(y) if both else ["label"]
    return {name: generator.uniform(0, 2, len(y[name])).astype("float32") for name in names}


@pytest.mark.parametrize("weighted", [False, True])
def test_generators_and_datasets_of_dictionaries(weighted):
    x, y = data()
    w = weights_for(y) if weighted else None

    def run(k, model):
        dataset, generator = batches(k, x, y, w)
        histories = [
            model.fit(dataset, epochs=2, shuffle=False, verbose=0).history,
            model.fit(generator(), validation_data=dataset, steps_per_epoch=4, shuffle=False, verbose=0).history,
            model.evaluate(generator(), steps=4, verbose=0, return_dict=True),
            model.evaluate(dataset, verbose=0),
        ]
        only_x = (batch[0] for batch in generator())
        return [*histories, model.predict(only_x, verbose=0) if k is minikeras else model.predict(x, verbose=0)]

    assert_same(*of_both(run))


@pytest.mark.parametrize("both", [True, False])
def test_weights_of_samples_for_each_output(both):
    x, y = data()
    w = weights_for(y, both)

    def run(k, model):
        model.compile(
            "sgd",
            {"number": "mse", "label": "sparse_categorical_crossentropy"},
            metrics={"label": ["accuracy"]},
            weighted_metrics={"label": ["accuracy"], "number": ["mae"]},
        )
        if not both:  # Keras wants them all, or a structure like that of the outputs
            w["number"] = np.ones(len(x["a"]), "float32")
        return [
            model.fit(x, y, sample_weight=w, epochs=2, batch_size=8, shuffle=False, verbose=0).history,
            model.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True),
            model.train_on_batch(x, y, sample_weight=w, return_dict=True),
            model.test_on_batch(x, y, sample_weight=w, return_dict=True),
        ]

    ours, theirs = of_both(run)
    assert_same(ours[:2], theirs[:2])
    for a, b in zip(ours[2:], theirs[2:], strict=True):
        assert list(a) == list(b)
        np.testing.assert_allclose(list(a.values()), [float(v) for v in b.values()], atol=1e-5)


def test_class_weight_is_for_one_output():
    x, y = data()
    for _, model in zip(BOTH, of_both(lambda k, model: model), strict=True):
        before = model.get_weights()
        with pytest.raises(ValueError, match="class_weight"):
            model.fit(x, y, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


# ---- what returns ----


def test_forms_of_what_returns():
    x, y = data()

    def run(k, model):
        return [
            model.evaluate(x, y, verbose=0),
            model.evaluate(x, y, verbose=0, return_dict=True),
            model.predict(x, verbose=0),
            model.predict(x, verbose=0, batch_size=5),
            model.predict_on_batch(x),
            list(map(float, model.train_on_batch(x, y))),
            list(map(float, model.test_on_batch(x, y))),
            {n: float(v) for n, v in model.train_on_batch(x, y, return_dict=True).items()},
        ]

    assert_same(*of_both(run))


@pytest.mark.parametrize("form", [list, tuple, dict, "nested", "one in a list"])
def test_predictions_have_the_form_of_the_outputs(form):
    x = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    weights, found = None, []
    for k in BOTH:
        inputs = k.Input((4,))
        a, b = k.layers.Dense(2)(inputs), k.layers.Dense(3)(inputs)
        outputs = {
            list: [a, b],
            tuple: (a, b),
            dict: {"z": a, "y": b},
            "nested": {"z": [a, b], "y": {"c": a}},
            "one in a list": [a],
        }[form]
        model = k.Model(inputs, outputs)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        found.append([model.predict(x, verbose=0), model.predict(x, verbose=0, batch_size=3)])
    assert_same(*found)


def test_keys_of_the_history_of_lists_and_of_single_outputs():
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    ys = [np.ones((16, 2)), np.zeros((16, 3))]
    found = []
    for k in BOTH:
        k.utils.clear_session()
        histories = []
        for form in ("list", "one", "same layer twice"):
            inputs = k.Input((4,))
            layer = k.layers.Dense(2, name="first", kernel_initializer="ones")
            outputs = [layer(inputs), k.layers.Dense(3, kernel_initializer="ones")(inputs)]
            if form == "same layer twice":
                outputs[1] = layer(k.layers.Activation("tanh")(inputs))
            model = k.Model(inputs, outputs if form != "one" else outputs[:1])
            y = {"list": ys, "one": ys[0], "same layer twice": [ys[0]] * 2}[form]
            metrics = ["mae"] if form == "one" else [["mae", "mse"], ["mae"]]
            model.compile("sgd", "mse", metrics=metrics)
            histories.append(model.fit(x, y, validation_split=0.25, shuffle=False, verbose=0).history)
            histories.append(model.evaluate(x, y, verbose=0, return_dict=True))
        found.append(histories)
    assert_same(*found)


# ---- classes ----


def test_a_class_that_builds_its_graph_is_trained_and_saved(tmp_path):
    @minikeras.saving.register_keras_serializable("own")
    class Branches(minikeras.Model):
        def __init__(self, units=3, **options):
            inputs = minikeras.Input((4,), name="x")
            hidden = minikeras.layers.Dense(units, activation="tanh")(inputs)
            super().__init__(inputs, minikeras.layers.Add()([hidden, minikeras.layers.Dense(units)(inputs)]), **options)
            self.units = units

        def get_config(self):
            return {"units": self.units, "name": self.name}

        @classmethod
        def from_config(cls, config, custom_objects=None):
            return cls(**config)

    model, x = Branches(2), np.random.default_rng(0).normal(size=(8, 4))
    model.compile("adam", "mse")
    model.fit(x, np.ones((8, 2)), verbose=0)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        loaded = minikeras.models.load_model(tmp_path / name)
        assert isinstance(loaded, Branches)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_class_with_a_call_has_files_of_weights(tmp_path):
    classes = {}
    for k in BOTH:

        class Twice(k.Model):
            def __init__(self, k=k):
                super().__init__()
                self.first = k.layers.Dense(4, activation="tanh")
                self.rest = [k.layers.Dense(4), k.layers.BatchNormalization()]
                self.blocks = [k.layers.Dense(4), k.layers.Dense(4)]
                self._hidden = {"b": k.layers.Dense(4), "a": k.layers.Dense(4)}
                self.branches = {"b": k.layers.Dense(4), "a": self.first}

            def call(self, x):
                for layer in (*self.rest, *self.blocks, self._hidden["b"], self._hidden["a"], self.branches["b"]):
                    x = layer(self.first(x))
                return x

        classes[k] = Twice
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    for source, target in ((minikeras, keras), (keras, minikeras), (minikeras, minikeras)):
        model, other = classes[source](), classes[target]()
        model(x), other(x)
        model.save_weights(tmp_path / "m.weights.h5")
        other.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_allclose(other(x), model(x), atol=1e-6)


# ---- lock-step ----


def residual(k):
    x = k.Input((8, 8, 3), name="image")
    h = k.layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    h = k.layers.Activation("relu")(k.layers.BatchNormalization()(h))
    h = k.layers.BatchNormalization()(k.layers.Conv2D(3, 3, padding="same", use_bias=False)(h))
    h = k.layers.Activation("relu")(k.layers.Add()([x, h]))
    return k.Model(x, k.layers.Dense(4, activation="softmax")(k.layers.Flatten()(h)))


def shared(k):
    a, b = k.Input((10,), name="a"), k.Input((10,), name="b")
    tower = k.Sequential([k.Input((10,)), k.layers.Dense(8, activation="tanh"), k.layers.LayerNormalization()])
    difference = k.layers.Subtract()([tower(a), tower(b)])
    top = k.layers.Dense(8, activation="relu")
    return k.Model([a, b], k.layers.Dense(1, activation="sigmoid")(top(top(difference))))


CASES = {
    "residual": (residual, "sparse_categorical_crossentropy"),
    "shared": (shared, "binary_crossentropy"),
    "two inputs, two outputs": (branching, {"number": "mse", "label": "sparse_categorical_crossentropy"}),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("case", CASES)
def test_lock_step_over_some_steps(case, optimizer):
    make, loss = CASES[case]
    models = []
    for k in BOTH:
        k.utils.clear_session()
        model = make(k)
        weights = models[0].get_weights() if models else model.get_weights()
        model.set_weights(weights)
        model.compile(optimizer, loss)
        models.append(model)
    ours, theirs = models
    generator = np.random.default_rng(3)
    for _ in range(4):
        x, y = data(8)
        if case != "two inputs, two outputs":
            shapes = [s.shape[1:] for s in ours.inputs]
            x = [generator.normal(size=(8, *shape)).astype("float32") for shape in shapes]
            x = x if len(x) > 1 else x[0]
            y = (
                generator.integers(0, 4, 8)
                if case == "residual"
                else generator.integers(0, 2, (8, 1)).astype("float32")
            )
        report = testing.compare(ours, theirs, x, y, step=True, randomize=False)
        assert report.ok, str(report)
        np.testing.assert_allclose(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
