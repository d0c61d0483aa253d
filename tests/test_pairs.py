"""A last activation and the crossentropy after it, matched or not: trained and evaluated as tf.keras does."""

import warnings

import keras
import numpy as np
import pytest

import minikeras

LIBRARIES = {"minikeras": minikeras, "keras": keras}
CLASSES = 3
generator = np.random.default_rng(0)
X = generator.normal(0, 1, (20, 4)).astype("float32")
LABELS = generator.integers(0, CLASSES, 20)
ONE_HOT = np.eye(CLASSES, dtype="float32")[LABELS]
TARGETS = {
    "sparse_categorical_crossentropy": LABELS,
    "categorical_crossentropy": ONE_HOT,
    "binary_crossentropy": ONE_HOT,
}
MADE_FOR = {
    "softmax": ("sparse_categorical_crossentropy", "categorical_crossentropy"),
    "sigmoid": ("binary_crossentropy",),
}
MISMATCHED = {
    "SparseCategoricalCrossentropy": "sigmoid",
    "CategoricalCrossentropy": "sigmoid",
    "BinaryCrossentropy": "softmax",
}

# How a model may end: (library, activation) -> layers.
ENDINGS = {
    "argument": lambda k, a: [k.layers.Dense(CLASSES, activation=a)],
    "function": lambda k, a: [k.layers.Dense(CLASSES, activation=getattr(k.activations, a))],
    "Activation": lambda k, a: [k.layers.Dense(CLASSES), k.layers.Activation(a)],
    "Activation as argument": lambda k, a: [k.layers.Dense(CLASSES, activation=k.layers.Activation(a))],
    "convolution": lambda k, a: [
        k.layers.Reshape((1, 1, 4)), k.layers.Conv2D(CLASSES, 1, activation=a), k.layers.Flatten(),
    ],
    "inner model": lambda k, a: [k.Sequential([k.Input((4,)), k.layers.Dense(CLASSES, activation=a)])],
    "another layer after it": lambda k, a: [k.layers.Dense(CLASSES, activation=a), k.layers.Rescaling(0.9, 0.01)],
    "Flatten after it": lambda k, a: [k.layers.Dense(CLASSES, activation=a), k.layers.Flatten()],
    "linear after it": lambda k, a: [k.layers.Dense(CLASSES, activation=a), k.layers.Activation("linear")],
    "layers that drop nothing": lambda k, a: [
        k.layers.Dense(CLASSES, activation=a), k.layers.Dropout(0.0), k.layers.GaussianNoise(0.0),
        k.layers.GaussianDropout(0.0),
    ],
    "twice": lambda k, a: [k.layers.Dense(CLASSES, activation=a), k.layers.Activation(a)],
}  # fmt: skip


def a_head(k, ending, activation, x, name):
    layers = ENDINGS[ending](k, activation)
    layers[-1].name = name
    for layer in layers:
        x = layer(x)
    return x


def six_heads(k, ending):
    """A model with a head for each activation and each crossentropy."""
    x = inputs = k.Input((4,))
    names = [(a, loss) for a in ("softmax", "sigmoid") for loss in TARGETS]
    outputs = [a_head(k, ending, a, x, f"{a}_{loss}") for a, loss in names]
    model = k.Model(inputs, outputs)
    return model, [loss for _, loss in names], [TARGETS[loss] for _, loss in names]


def weights_for(model, seed=1):
    draw = np.random.default_rng(seed)
    return [draw.normal(0, 1, np.shape(w)).astype("float32") for w in model.get_weights()]


def run(k, model, loss, y, weights, *, loss_weights=None, metrics=None, **fit):
    """Return all that a training shows: history, what evaluate and train_on_batch say, the weights."""
    model.set_weights(weights)
    model.compile(k.optimizers.SGD(0.1), loss, loss_weights=loss_weights, metrics=metrics)
    history = model.fit(X, y, batch_size=8, epochs=2, shuffle=False, verbose=0, **fit).history
    evaluated = model.evaluate(X, y, batch_size=8, verbose=0, return_dict=True)
    on_batch = model.train_on_batch(X, y, return_dict=True)
    return {"history": history, "evaluate": evaluated, "train_on_batch": on_batch}, model.get_weights()


def assert_same(ours, theirs):
    (numbers, weights), (their_numbers, their_weights) = ours, theirs
    for kind, theirs_of_kind in their_numbers.items():
        assert sorted(numbers[kind]) == sorted(theirs_of_kind)
        for name, value in theirs_of_kind.items():
            np.testing.assert_allclose(numbers[kind][name], value, rtol=2e-5, atol=1e-6, err_msg=f"{kind} {name}")
    for w, their_w in zip(weights, their_weights, strict=True):
        np.testing.assert_allclose(w, their_w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.filterwarnings("ignore:Loss .* after a s:UserWarning")
def test_training_is_that_of_keras_however_a_model_ends(ending):
    factors = [1.0, 0.5, 2.0, 1.0, 0.7, 1.5]
    results = []
    for k in LIBRARIES.values():
        model, loss, y = six_heads(k, ending)
        results.append(run(k, model, loss, y, weights_for(model), loss_weights=factors))
    assert_same(*results)


FACTORS = generator.uniform(0, 2, 20).astype("float32")
OPTIONS = {
    "label smoothing": ({"label_smoothing": 0.1}, {}),
    "sum": ({"reduction": "sum"}, {}),
    "sample weights": ({}, {"sample_weight": FACTORS}),
    "class weights": ({}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", MISMATCHED)
@pytest.mark.filterwarnings("ignore:Loss .* after a s:UserWarning")
def test_mismatched_pairs_with_options_are_those_of_keras(kind, option):
    loss_options, fit = OPTIONS[option]
    if kind == "SparseCategoricalCrossentropy" and "label_smoothing" in loss_options:
        loss_options = {"ignore_class": 2}  # there tf.keras doesn't look behind the activation
    y = LABELS if kind.startswith("Sparse") else ONE_HOT
    results = []
    for k in LIBRARIES.values():
        model = k.Sequential([k.Input((4,)), k.layers.Dense(CLASSES, activation=MISMATCHED[kind])])
        loss = getattr(k.losses, kind)(**loss_options)
        results.append(run(k, model, loss, y, weights_for(model), metrics=["accuracy"], **fit))
    assert_same(*results)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("loss_axis", [1, -1])
@pytest.mark.filterwarnings("ignore:Loss .* after a s:UserWarning")
def test_a_softmax_along_another_axis_is_looked_behind_as_in_keras(axis, loss_axis):
    y = np.moveaxis(np.eye(3, dtype="float32")[generator.integers(0, 3, (20, 2))], -1, 1)
    results = []
    for k in LIBRARIES.values():
        model = k.Sequential(
            [k.Input((4,)), k.layers.Dense(6), k.layers.Reshape((3, 2)), k.layers.Softmax(axis=axis)]
        )  # fmt: skip
        loss = k.losses.CategoricalCrossentropy(axis=loss_axis)
        results.append(run(k, model, loss, y, weights_for(model)))
    assert_same(*results)


def test_a_softmax_of_one_unit_trains_as_in_keras_and_says_what_is_meant():
    y = (LABELS > 0).astype("float32")
    results = []
    for k in LIBRARIES.values():
        model = k.Sequential([k.Input((4,)), k.layers.Dense(1, activation="softmax")])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            results.append(run(k, model, "binary_crossentropy", y, weights_for(model), metrics=["accuracy"]))
        if k is minikeras:
            assert [str(w.message) for w in said] == [
                "Loss 'binary_crossentropy' after a softmax: as in tf.keras, the loss takes what enters the activation "
                "and trains as after a sigmoid, though predictions are those of the softmax. Probably meant: sigmoid "
                "with binary_crossentropy; a softmax of one unit always predicts 1."
            ]
    assert_same(*results)


@pytest.mark.parametrize(
    ("activation", "loss", "meant"),
    [
        ("sigmoid", "sparse_categorical_crossentropy", "softmax with sparse_categorical_crossentropy"),
        ("sigmoid", "categorical_crossentropy", "softmax with categorical_crossentropy"),
        ("softmax", "binary_crossentropy", "softmax with categorical_crossentropy"),
    ],
)
def test_a_mismatched_pair_is_warned_of_once_and_the_pair_that_is_meant_is_named(activation, loss, meant):
    model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(CLASSES, activation=activation)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(minikeras, model, loss, TARGETS[loss], weights_for(model), metrics=["accuracy"], validation_split=0.2)
    assert len(said) == 1
    assert f"Probably meant: {meant}" in str(said[0].message)


@pytest.mark.parametrize("activation", MADE_FOR)
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
@pytest.mark.filterwarnings("ignore:Loss .* after a s:UserWarning")
def test_crossentropies_among_metrics_look_behind_the_activation_as_in_keras(activation, loss):
    results = []
    for k in LIBRARIES.values():
        inputs = k.Input((4,))
        outputs = [k.layers.Dense(CLASSES, activation=activation, name=name)(inputs) for name in "ab"]

        def metrics(k=k):
            smooth = k.metrics.CategoricalCrossentropy(label_smoothing=0.1, name="smooth")
            return ["binary_crossentropy", k.metrics.categorical_crossentropy, "accuracy", smooth]

        def sparse(*ignored, k=k):
            return [k.metrics.SparseCategoricalCrossentropy(ignore_class=c, name=f"without_{c}") for c in ignored]

        whole = k.losses.BinaryCrossentropy(name="whole")  # one number, which takes no weights of samples
        single, two = k.Model(inputs, outputs[0]), k.Model(inputs, outputs)
        for model, y, plain, weighted in [
            (single, ONE_HOT, [*metrics(), whole], metrics()),
            (two, [ONE_HOT, LABELS], [[*metrics(), whole], sparse(None)], [metrics(), sparse(None, 1)]),
        ]:
            # Some probabilities are 0, and would be clipped.
            model.set_weights([20 * w for w in weights_for(model)])
            losses = loss if model is single else [loss, "sparse_categorical_crossentropy"]
            model.compile(k.optimizers.SGD(0.0), losses, metrics=plain, run_eagerly=True)
            results.append(model.evaluate(X, y, batch_size=10, verbose=0, return_dict=True))
            model.compile(k.optimizers.SGD(0.0), losses, weighted_metrics=weighted, run_eagerly=True)
            results.append(model.fit(X, y, batch_size=10, sample_weight=FACTORS, verbose=0).history)
    for ours, theirs in zip(results[:4], results[4:], strict=True):
        assert sorted(ours) == sorted(theirs)
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-4, err_msg=name)


# Where tf.keras looks behind the activation and this engine doesn't: (layers after it, the output is used, the loss).
APART = {
    "used inside": lambda k, h: [h, k.layers.Dense(2)(h)],
    "given twice": lambda k, h: [h, h],
    "Dropout, outside training": lambda k, h: [k.layers.Dropout(0.5)(h)],
}


@pytest.mark.parametrize("how", APART)
def test_elsewhere_the_loss_is_that_of_the_predictions_where_keras_never_clips(how):
    losses = {}
    for name, k in LIBRARIES.items():
        inputs = k.Input((4,))
        outputs = APART[how](k, k.layers.Dense(CLASSES, activation="softmax")(inputs))
        model = k.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
        others = [np.zeros((20, output.shape[-1]), "float32") for output in outputs[1:]]
        count = len(outputs)
        model.compile("sgd", ["categorical_crossentropy", "mse"][:count], loss_weights=[1.0, 0.0][:count])
        for factor in (1, 20):
            model.set_weights([factor * w for w in weights_for(model)])
            y = [ONE_HOT, *others] if others else ONE_HOT
            losses[name, factor] = model.evaluate(X, y, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(losses["minikeras", 1], losses["keras", 1], rtol=1e-4)
    assert losses["minikeras", 20] < 0.6 * losses["keras", 20]  # as probabilities below 1e-7 count as 1e-7


def test_crossentropies_among_metrics_of_another_loss_are_those_of_the_predictions():
    found = {}
    for name, k in LIBRARIES.items():
        model = k.Sequential([k.Input((4,)), k.layers.Dense(CLASSES, activation="softmax")])
        model.compile("sgd", "mse", metrics=["categorical_crossentropy"])
        for factor in (1, 20):
            model.set_weights([factor * w for w in weights_for(model)])
            found[name, factor] = model.evaluate(X, ONE_HOT, verbose=0, return_dict=True)["categorical_crossentropy"]
    np.testing.assert_allclose(found["minikeras", 1], found["keras", 1], rtol=1e-4)
    assert found["minikeras", 20] < 0.6 * found["keras", 20]


@pytest.mark.parametrize("activation", MADE_FOR)
def test_a_matched_pair_is_not_warned_of(activation):
    for loss in MADE_FOR[activation]:
        model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(CLASSES, activation=activation)])
        run(minikeras, model, loss, TARGETS[loss], weights_for(model))
