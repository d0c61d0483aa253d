"""What constructors refuse: a table over all public classes and their arguments, live against Keras; and the words."""

import inspect
import logging
import os
import warnings

import keras
import numpy as np
import pytest

import minikeras
from minikeras.common.openings import OPENINGS

ROOMS = (
    "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "callbacks", "initializers", "regularizers",
    "constraints",
)  # fmt: skip

#: What a class is made from where it needs something; None for classes that are made from objects of others.
GIVEN = {
    "Activation": ("relu",), "AlphaDropout": (0.5,), "AveragePooling2D": (2,), "BackupAndRestore": ("folder",),
    "Bidirectional": None, "Constant": (1.0,), "Conv1D": (2, 3), "Conv1DTranspose": (2, 3), "Conv2D": (2, 3),
    "Conv2DTranspose": (2, 3), "Conv3D": (2, 3), "Conv3DTranspose": (2, 3), "CosineDecay": (0.1, 10),
    "CosineDecayRestarts": (0.1, 10), "CSVLogger": ("a.csv",), "Dense": (2,), "DepthwiseConv1D": (3,),
    "DepthwiseConv2D": (3,), "Dot": (1,), "Dropout": (0.5,), "Embedding": (5, 2), "ExponentialDecay": (0.1, 10, 0.5),
    "GaussianDropout": (0.5,), "GaussianNoise": (0.5,), "InputLayer": ((3,),), "InverseTimeDecay": (0.1, 10, 0.5),
    "IoU": (2, [0]), "Lambda": (abs,), "LearningRateScheduler": (abs,), "LossFunctionWrapper": None,
    "MeanIoU": (2,), "MeanMetricWrapper": (abs,), "ModelCheckpoint": ("a.keras",), "OneHotIoU": (2, [0]),
    "OneHotMeanIoU": (2,), "Optimizer": None, "Permute": ((2, 1),), "PiecewiseConstantDecay": ([1], [0.1, 0.2]),
    "PolynomialDecay": (0.1, 10), "PrecisionAtRecall": (0.5,), "RecallAtPrecision": (0.5,), "RepeatVector": (2,),
    "Rescaling": (2.0,), "Reshape": ((2, 3),), "SensitivityAtSpecificity": (0.5,), "SeparableConv1D": (2, 3),
    "SeparableConv2D": (2, 3), "SpatialDropout1D": (0.5,), "SpatialDropout2D": (0.5,), "SpatialDropout3D": (0.5,),
    "SpecificityAtSensitivity": (0.5,), "TimeDistributed": None, "Wrapper": None,
}  # fmt: skip

#: Wrong types and values out of range; to a given argument, some are right.
VALUES = ("x", -1, 0, 2.5, None, (1, 2, 3), [], {}, True, -0.5)

#: What Keras refuses and we take, and why.
TAKEN = {
    "trainable": "0 is a truth value by name, here and for all other arguments",
    "learning_rate": "an integer is a number",
    "momentum": "an integer is a number",
}

#: Errors of Keras's own insides: no program counts on these, nor on a TypeError where a comparison failed; what Keras
#: refuses in words is a ValueError.
ACCIDENTS = (AttributeError, KeyError, IndexError, AssertionError, UnboundLocalError, NotImplementedError)

#: Arguments that exclude each other, or what the others say.
CONTRADICTIONS = [
    ("both shapes", lambda k: k.layers.InputLayer(shape=(2,), batch_shape=(None, 2))),
    ("batch size and shape", lambda k: k.layers.InputLayer(batch_size=3, batch_shape=(None, 2))),
    ("no shape", lambda k: k.layers.InputLayer()),
    ("an input's tensor", lambda k: k.layers.InputLayer((2,), input_tensor=np.ones(3))),
    ("two ways to clip", lambda k: k.optimizers.SGD(clipnorm=1.0, clipvalue=1.0)),
    ("three ways to clip", lambda k: k.optimizers.Adam(clipnorm=1.0, clipvalue=1.0, global_clipnorm=1.0)),
    ("strides and dilation", lambda k: k.layers.Conv2D(2, 3, strides=2, dilation_rate=2)),
    ("groups and filters", lambda k: k.layers.Conv2D(3, 3, groups=2)),
    ("bounds and values", lambda k: k.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.1])),
    ("text as a shape", lambda k: k.layers.Dropout(0.5, noise_shape="x")),
    ("text as truth", lambda k: k.layers.Dense(1, trainable="yes")),
    ("a dictionary as a layer", lambda k: k.Sequential([{}])),
    ("a second input", lambda k: k.Sequential([k.Input((2,)), k.Input((2,))])),
    ("unknown argument", lambda k: k.layers.Dense(1, unitz=2)),
    ("unknown argument of SeedGenerator", lambda k: k.random.SeedGenerator(x=1)),
]


def classes():
    """Yield (path, our class, Keras's) for all public classes that both have."""
    seen = set()
    for room in ROOMS:
        mine, theirs = minikeras, keras
        for part in room.split("."):
            mine, theirs = getattr(mine, part, None), getattr(theirs, part)
        for name in getattr(mine, "__all__", ()):
            a, b = getattr(mine, name), getattr(theirs, name, None)
            if inspect.isclass(a) and inspect.isclass(b) and b not in seen and GIVEN.get(name, ()) is not None:
                seen.add(b)
                yield f"{room}.{name}", a, b


def outcome(cls, args, kwargs):
    """Return the error of a constructor, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cls(*args, **kwargs)
    except Exception as error:
        return error
    return None


CLASSES = {path: (mine, theirs) for path, mine, theirs in classes()}


@pytest.mark.parametrize("path", CLASSES)
def test_what_keras_refuses_is_refused_by_an_error_that_the_same_except_catches(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine, theirs = CLASSES[path]
    given = GIVEN.get(path.split(".")[-1], ())
    assert outcome(mine, given, {}) is None
    assert outcome(theirs, given, {}) is None
    parameters = inspect.signature(theirs.__init__).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)][1:]
    more = [n for n in ("trainable", "name", "dtype") if path.startswith("layers.") and n not in names]
    wrong = []
    for place, name in enumerate([*names, *more]):
        for value in VALUES:
            args, kwargs = given, {name: value}
            if place < len(given):
                args, kwargs = (*given[:place], value, *given[place + 1 :]), {}
            expected = outcome(theirs, args, kwargs)
            if expected is None:
                continue
            found = outcome(mine, args, kwargs)
            if found is None:
                wrong += [] if name in TAKEN and type(value) is int else [f"{name}={value!r} is taken; {expected!r}"]
            elif not isinstance(expected, ACCIDENTS) and not isinstance(found, (type(expected), ValueError)):
                wrong.append(f"{name}={value!r}: {found!r}, in Keras {expected!r}")
    assert not wrong


@pytest.mark.parametrize("name", [name for name, _ in CONTRADICTIONS])
def test_contradictions_are_refused_as_in_keras(name):
    make = dict(CONTRADICTIONS)[name]
    theirs, mine = outcome(make, (keras,), {}), outcome(make, (minikeras,), {})
    assert theirs is not None
    assert isinstance(mine, type(theirs))


#: What is refused, and words of Keras's that the error has too.
WORDS = [
    (lambda k: k.layers.Dense(2.5), "expected a positive integer"),
    (lambda k: k.layers.Dense("64"), "Received an invalid value for `units`"),
    (lambda k: k.layers.Dense(0), "Received an invalid value for `units`"),
    (lambda k: k.layers.Dense(1, trainable="yes"), "Expected `trainable` to be a boolean. Received: trainable=yes"),
    (lambda k: k.layers.Dense(1, unitz=3), "Unrecognized keyword arguments"),
    (lambda k: k.random.SeedGenerator(x=1), "Unrecognized keyword arguments"),
    (lambda k: k.random.SeedGenerator("x"), "Argument `seed` must be an integer"),
    (lambda k: k.layers.Embedding(3.7, 2), "`input_dim` must be a positive integer"),
    (lambda k: k.layers.Embedding(3, 3.7), "`output_dim` must be a positive integer"),
    (lambda k: k.layers.Dropout(-0.1), "Invalid value received for argument `rate`. Expected a float value between"),
    (lambda k: k.layers.Dropout(0.5, noise_shape=1.0), "Invalid value received for argument `noise_shape`"),
    (lambda k: k.layers.GaussianDropout(2.0), "Invalid value received for argument `rate`"),
    (lambda k: k.layers.GaussianNoise(-1.0), "Invalid value received for argument `stddev`"),
    (lambda k: k.layers.ReLU(max_value=-10), "max_value of a ReLU layer cannot be a negative value"),
    (lambda k: k.layers.ReLU(negative_slope=None), "negative_slope of a ReLU layer cannot be None or a negative value"),
    (lambda k: k.layers.ReLU(threshold=-1), "threshold of a ReLU layer cannot be None or a negative value"),
    (lambda k: k.layers.LeakyReLU(negative_slope=None), "The negative_slope value of a Leaky ReLU layer cannot be"),
    (lambda k: k.layers.Permute((1, 4, 2)), "Invalid permutation argument `dims` for Permute Layer"),
    (lambda k: k.layers.RepeatVector("3"), "Expected an integer value for `n`"),
    (lambda k: k.layers.RepeatVector(0), "should be a positive integer"),
    (lambda k: k.layers.Reshape((-2, 5)), "must be a non-negative integer, or `-1` for a single unknown dim"),
    (lambda k: k.layers.LayerNormalization(axis={}), "Expected an int or a list/tuple of ints for the argument 'axis'"),
    (lambda k: k.layers.InputLayer((2,), batch_shape=(None, 2)), "You cannot pass both `shape` and `batch_shape`"),
    (lambda k: k.layers.InputLayer(batch_size=2, batch_shape=(None, 2)), "You cannot pass both `batch_size` and"),
    (lambda k: k.layers.InputLayer(), "You must pass a `shape` argument."),
    (lambda k: k.layers.InputLayer((2,), input_tensor=np.ones(3)), "Argument `input_tensor` must be a KerasTensor"),
    (lambda k: k.initializers.VarianceScaling(scale=-1), "Argument `scale` must be positive float"),
    (lambda k: k.optimizers.SGD(momentum=-1.0), "`momentum` must be a float between [0, 1]."),
    (lambda k: k.optimizers.AdamW(weight_decay=None), "Argument `weight_decay` must be a float."),
    (lambda k: k.callbacks.BackupAndRestore(""), "Empty `backup_dir` argument passed"),
    (lambda k: k.callbacks.BackupAndRestore("b", save_freq="batch"), "Invalid value for argument `save_freq`"),
    (lambda k: k.callbacks.ModelCheckpoint("a.keras", save_freq="x"), "Unrecognized save_freq: x"),
    (lambda k: k.Sequential([{}]), "can be added to a Sequential model"),
    (lambda k: k.Sequential([k.Input((2,)), k.Input((3,))]), "has already been configured"),
    (lambda k: k.layers.Cropping2D(3)(k.Input((4, 4, 1))), "Values in `cropping` argument should be smaller than"),
    (lambda k: k.layers.Concatenate()([k.Input((4, 2)), k.Input((3, 2))]), "requires inputs with matching shapes exc"),
    (lambda k: k.utils.Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"]), "Only one of `stateful_metrics`"),
]


@pytest.mark.parametrize(("make", "words"), WORDS, ids=[words for _, words in WORDS])
def test_errors_have_the_words_that_people_search_for(make, words):
    for k in (keras, minikeras):
        error = outcome(make, (k,), {})
        assert isinstance(error, (ValueError, TypeError)), k.__name__
        assert words in str(error), k.__name__


def test_each_sentence_is_of_an_argument_that_its_class_has():
    rooms = [getattr(minikeras, room) for room in ("layers", "initializers", "optimizers", "callbacks", "random")]
    for name, argument in OPENINGS:
        cls = next(getattr(room, name) for room in rooms if name in room.__all__)
        code = inspect.signature(cls.__init__).parameters
        assert argument in code, name


# What misled


SYMBOL = minikeras.Input((3,))


@pytest.mark.parametrize(
    ("compute", "layer"),
    [
        (lambda s: s + s, "Add"),
        (lambda s: 1 + s, "Rescaling"),
        (lambda s: s - 1, "Subtract"),
        (lambda s: np.float32(2) * s, "Multiply"),
        (lambda s: np.ones(3) * s, "Multiply"),
        (lambda s: s / 2, "Rescaling"),
        (lambda s: s @ s, "Dot"),
        (lambda s: -s, "Rescaling"),
        (lambda s: s[:, 0], "Cropping"),
    ],
)
def test_operators_of_symbols_name_the_layer_that_is_meant(compute, layer):
    with pytest.raises(TypeError, match=f"symbol.*{layer}"):
        compute(SYMBOL)


def compiled(*layers):
    model = minikeras.Sequential([minikeras.Input((3,)), *layers, minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


X, Y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 3}, "Did you mean 'steps_per_epoch' or 'validation_steps'?"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: expected a positive integer"),
        ({"validation_steps": 0, "validation_data": (X, Y)}, "validation_steps: expected a positive integer"),
    ],
)
def test_steps_are_called_by_their_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(X, Y, verbose=0, **arguments)


def test_a_layer_that_cannot_compute_is_named_before_targets_are_asked_for():
    class Halving(minikeras.layers.Layer):
        pass

    with pytest.raises(TypeError, match="class Halving has no `forward"):
        compiled(Halving()).fit(X, verbose=0)


@pytest.mark.parametrize("change", ["optimizer", "trainable"])
def test_an_optimizer_state_that_does_not_fit_is_explained(tmp_path, change):
    model = compiled(minikeras.layers.Dense(2))
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "a.weights.h5")
    other = compiled(minikeras.layers.Dense(2))
    if change == "trainable":
        other.layers[0].trainable = False
        other.compile("adam", "mse")
    counts = {"optimizer": "for 4 trainable weights it has 2", "trainable": "for 2 trainable weights it has 6"}[change]
    with pytest.warns(
        UserWarning, match=f"Skipping variable loading.*{counts} variables, whereas the saved one has 10"
    ):
        other.load_weights(tmp_path / "a.weights.h5")


def test_saving_to_h5_says_in_the_log_that_this_format_is_old(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        compiled().save(os.fspath(tmp_path / "m.h5"))
    assert "This file format is considered legacy" in caplog.text
