"""The spellings of Keras 2: each does what today's does, and one warning, at the user's line, tells which that is."""

import importlib
import sys

import keras
import numpy as np
import pytest

import minikeras
from minikeras import layers, losses, metrics, optimizers
from minikeras.common import keras2

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def model(units=2, activation="softmax"):
    made = minikeras.Sequential([minikeras.Input((3,)), layers.Dense(units, activation=activation)])
    made.compile("sgd", "mse")
    return made


def warned(use, category=DeprecationWarning):
    """Return what `use` returns, and the text of the only warning."""
    for name in [f"minikeras.{path}" for path in keras2.MODULES]:  # each warns once
        room, _, last = name.rpartition(".")
        sys.modules.pop(name, None)
        vars(sys.modules.get(room, keras2)).pop(last, None)
    with pytest.warns(category) as caught:
        result = use()
    assert [(w.category, w.filename) for w in caught] == [(category, __file__)]
    return result, str(caught[0].message)


def config(made):
    return {k: v for k, v in made.get_config().items() if k != "name"}


ARGUMENTS = [
    (lambda: layers.LeakyReLU(alpha=0.1), lambda: layers.LeakyReLU(negative_slope=0.1), "negative_slope"),
    (lambda: layers.BatchNormalization(axis=[3]), lambda: layers.BatchNormalization(axis=3), "axis=3"),
    (lambda: layers.BatchNormalization(axis=[-1], momentum=0.9), lambda: layers.BatchNormalization(momentum=0.9), "-1"),
    (lambda: layers.Dropout(p=0.5), lambda: layers.Dropout(0.5), "rate"),
    (lambda: layers.Dense(output_dim=3), lambda: layers.Dense(3), "units"),
    (lambda: layers.Dense(3, init="zeros", bias=False), lambda: layers.Dense(3, None, False, "zeros"), "use_bias"),
    (lambda: layers.Conv2D(3, 3, border_mode="same"), lambda: layers.Conv2D(3, 3, padding="same"), "padding"),
    (lambda: layers.MaxPooling2D(border_mode="same"), lambda: layers.MaxPooling2D(padding="same"), "padding"),
    (lambda: optimizers.Adam(lr=0.01), lambda: optimizers.Adam(0.01), "learning_rate"),
    (lambda: optimizers.SGD(lr=0.5, momentum=0.9), lambda: optimizers.SGD(0.5, 0.9), "learning_rate"),
    *[
        (lambda rule=rule: rule(lr=0.25), lambda rule=rule: rule(learning_rate=0.25), "learning_rate")
        for rule in (optimizers.RMSprop, optimizers.Adagrad, optimizers.Adadelta, optimizers.Adamax, optimizers.Nadam)
    ],
]


@pytest.mark.parametrize(("old", "today", "word"), ARGUMENTS)
def test_an_old_argument_is_taken_for_todays(old, today, word):
    made, text = warned(old)
    assert config(made) == config(today())
    assert word in text


def test_a_decay_is_ignored_as_in_keras_which_is_told_with_the_rest():
    made, text = warned(lambda: optimizers.SGD(lr=0.5, decay=1e-4), UserWarning)
    assert config(made) == config(optimizers.SGD(0.5))
    assert "`learning_rate` for `lr`" in text
    assert "InverseTimeDecay" in text
    assert config(optimizers.SGD(0.5, decay=None)) == config(made)  # no word, as in Keras


def test_a_class_of_ones_own_may_be_given_them():
    class Own(optimizers.SGD):
        def __init__(self, scale=1.0, **options):
            super().__init__(**options)

    made, _ = warned(lambda: Own(lr=0.5))
    assert float(made.learning_rate) == 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: optimizers.Adam(lr=0.1, learning_rate=0.2),
        lambda: optimizers.Adam(0.1, lr=0.2),
        lambda: layers.Dense(3, alpha=0.1),
        lambda: layers.ReLU(alpha=0.1),
        lambda: layers.BatchNormalization(axis=[1, 2]),
        lambda: layers.LeakyReLU(alpha="much"),
    ],
)
def test_what_neither_keras_takes_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        wrong()


NAMES = [
    ("losses", name, keras2.SHORT[name])
    for name in keras2.SHORT
    if hasattr(losses, keras2.SHORT[name]) and name not in losses.__all__
]
NAMES += [
    ("metrics", name, today) for _, name, today in NAMES if hasattr(metrics, today) and name not in metrics.__all__
]
NAMES += [("optimizers", old, today) for old, today in keras2.NAMES["optimizers"].items()]


@pytest.mark.parametrize(("room", "old", "today"), NAMES)
def test_an_old_name_is_todays(room, old, today):
    room = getattr(minikeras, room)
    found, text = warned(lambda: getattr(room, old))
    assert found is getattr(room, today)
    assert f".{today}`" in text


def test_the_commonest_names_are_there():
    assert {("losses", "mse"), ("losses", "MAE"), ("metrics", "mae"), ("optimizers", "adam")} <= {n[:2] for n in NAMES}


MODULES = [
    ("layers.convolutional", "Conv2D"),
    ("layers.normalization", "BatchNormalization"),
    ("layers.advanced_activations", "LeakyReLU"),
    ("layers.merge", "concatenate"),
    ("layers.embeddings", "Embedding"),
    ("layers.noise", "GaussianNoise"),
    ("layers.core", "Permute"),
    ("layers.experimental.preprocessing", "Rescaling"),
    ("engine.topology", "Layer"),
    ("objectives", "mean_squared_error"),
    ("optimizers.legacy", "Adam"),
    ("optimizers.adam_v2", "Adam"),
    ("optimizer_v2.gradient_descent", "SGD"),
    ("utils.np_utils", "to_categorical"),
    ("utils.vis_utils", "plot_model"),
    ("utils.generic_utils", "get_custom_objects"),
    ("utils.data_utils", "get_file"),
]


@pytest.mark.parametrize(("module", "name"), MODULES)
def test_an_old_module_has_todays_names(module, name):
    found, text = warned(lambda: getattr(importlib.import_module(f"minikeras.{module}"), name))
    parent = keras2.MODULES.get(module, "layers")
    assert found is getattr(getattr(minikeras, parent), name)
    assert parent in text
    assert name in text


def test_all_names_of_an_old_module_at_once():
    names = {}
    warned(lambda: exec(compile("from minikeras.layers.convolutional import *", __file__, "exec"), names))
    assert names["Conv2D"] is layers.Conv2D


def test_old_modules_are_attributes_too():
    for use in (
        lambda: minikeras.utils.np_utils.to_categorical([1]),
        lambda: minikeras.optimizers.legacy.SGD(0.1),
        lambda: minikeras.layers.experimental.preprocessing.Rescaling(0.5),
    ):
        warned(use)


def test_what_no_keras_has_is_still_not_there():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("minikeras.layers.convolutions")
    with pytest.raises(ImportError, match="NoLayer"):
        exec("from minikeras.layers.convolutional import NoLayer")
    with pytest.raises(AttributeError, match="mean_squared_error"):
        losses.mean_squared_eror  # noqa: B018


def batches():
    for i in (0, 4):
        yield X[i : i + 4], np.eye(2, dtype="float32")[[0, 1, 1, 0]]


def test_fit_generator_evaluate_generator_predict_generator():
    minikeras.utils.set_random_seed(1)
    old, new = model(), model()
    new.set_weights(old.get_weights())
    history, text = warned(lambda: old.fit_generator(batches(), 2, 1, 0, max_queue_size=3, workers=2))
    assert "model.fit" in text
    assert history.history == new.fit(batches(), steps_per_epoch=2, epochs=1, verbose=0).history
    assert warned(lambda: old.evaluate_generator(batches(), 2))[0] == new.evaluate(batches(), steps=2, verbose=0)
    inputs = [X[:4], X[4:]]
    predicted, _ = warned(lambda: old.predict_generator(iter(inputs), steps=2))
    np.testing.assert_array_equal(predicted, new.predict(X, verbose=0))


def test_predict_classes_and_predict_proba():
    several, single = model(), model(1, "sigmoid")
    classes, text = warned(lambda: several.predict_classes(X))
    np.testing.assert_array_equal(classes, several.predict(X, verbose=0).argmax(-1))
    assert "argmax" in text
    classes, _ = warned(lambda: single.predict_classes(X))
    np.testing.assert_array_equal(classes, single.predict(X, verbose=0) > 0.5)
    np.testing.assert_array_equal(warned(lambda: several.predict_proba(X))[0], several.predict(X, verbose=0))


def test_arguments_of_fit():
    y = np.eye(2)[[0, 1] * 4]
    history, text = warned(lambda: model().fit(X, y, nb_epoch=2, verbose=0))
    assert len(history.history["loss"]) == 2
    assert "`epochs` for `nb_epoch`" in text


def test_values_of_variables():
    made = model()
    rate, _ = warned(lambda: minikeras.backend.get_value(made.optimizer.learning_rate))
    assert rate == np.float32(0.01)
    warned(lambda: minikeras.backend.set_value(made.optimizer.learning_rate, 0.5))
    assert float(made.optimizer.learning_rate) == 0.5


@pytest.mark.parametrize(
    "use",
    [
        lambda k: k.utils.register_keras_serializable,
        lambda k: k.utils.custom_object_scope,
        lambda k: k.utils.CustomObjectScope,
        lambda k: k.utils.get_custom_objects,
        lambda k: k.utils.Sequence,
        lambda k: k.losses.get("mse"),
        lambda k: k.losses.get("MAE"),
        lambda k: k.layers.Convolution2D,
        lambda k: k.layers.LeakyReLU(0.2),
        lambda k: k.layers.Dropout(rate=0.5),
        lambda k: k.optimizers.get("adam"),
        lambda k: k.optimizers.schedules.ExponentialDecay,
    ],
)
def test_what_keras_3_takes_without_a_word_we_do(use):
    for k in (keras, minikeras):
        use(k)  # a warning is an error here


def test_accuracy_by_its_short_name():
    logs = []
    for k in (keras, minikeras):
        made = k.Sequential([k.Input((3,)), k.layers.Dense(2, kernel_initializer="ones", activation="softmax")])
        made.compile("sgd", "categorical_crossentropy", metrics=["acc"])
        logs.append(made.fit(X, np.eye(2)[[0, 1] * 4], verbose=0, validation_data=(X, np.eye(2)[[0, 1] * 4])).history)
    assert sorted(logs[0]) == sorted(logs[1]) == ["acc", "loss", "val_acc", "val_loss"]


def test_the_backends_name():
    assert minikeras.config.backend() == minikeras.backend.backend() == "numpy"


def test_nothing_of_it_is_asked_where_nobody_writes_it(monkeypatch):
    def never(*_):
        raise AssertionError

    for name in ("find", "renewed", "warn"):
        monkeypatch.setattr(keras2, name, never)
    made = model()
    made.fit(X, np.eye(2)[[0, 1] * 4], verbose=0)
    made.predict(X, verbose=0)
