"""What constructors and methods take: by position what Keras takes, in its order; all else is refused by name."""

import inspect

import numpy as np
import pytest

import minikeras as keras
from minikeras import callbacks, initializers, layers, losses, metrics, optimizers, regularizers
from minikeras.common import names
from minikeras.common.serialization import constructor_arguments

ROOMS = (
    "activations", "callbacks", "config", "datasets", "initializers", "layers", "losses", "metrics", "models",
    "optimizers", "optimizers.schedules", "random", "regularizers", "saving", "utils",
)  # fmt: skip
METHODS = (
    "__call__", "add", "add_variable", "add_weight", "apply", "apply_gradients", "assign", "build", "call", "compile",
    "compute_output_shape", "count_params", "evaluate", "fit", "from_config", "get_config", "get_layer", "get_weights",
    "load_weights", "pop", "predict", "predict_on_batch", "reset_state", "result", "save", "save_weights",
    "set_weights", "summary", "test_on_batch", "train_on_batch", "update_state",
)  # fmt: skip

#: Where the places or defaults differ, and why that is right.
DIFFERENT = {
    "build": "Keras's own optimizers call the argument now `variables`, now `var_list`",
    "AveragePooling2D": "a window of 2 x 2 is the default of Keras 2, and here",
    "AvgPool2D": "likewise",
    "losses.deserialize": "in Keras `name`, but it takes a config",
}


def public_pairs(theirs, ours=keras, path="keras"):
    """Yield (path, ours, theirs) for all public classes, functions and methods that Keras has too."""
    for room in ("", *ROOMS):
        mine, other = ours, theirs
        for part in filter(None, room.split(".")):
            mine, other = getattr(mine, part), getattr(other, part)
        for name in mine.__all__ if hasattr(mine, "__all__") else [n for n in vars(mine) if n[0] != "_"]:
            a, b = getattr(mine, name), getattr(other, name, None)
            if inspect.ismodule(a) or not callable(a) or b is None:
                continue
            where = f"{room}.{name}".strip(".")
            if inspect.isclass(a) and inspect.isclass(b):
                yield where, a.__init__, b.__init__
                for method in METHODS:
                    if method in dir(a) and method in dir(b):
                        yield f"{where}.{method}", getattr(a, method), getattr(b, method)
            else:
                yield where, a, b


def by_position(function):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def differences(ours, theirs):
    """Return what differs: a place that Keras fills otherwise, or a default."""
    mine, others = by_position(ours), by_position(theirs)
    takes_more = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in inspect.signature(theirs).parameters.values())
    found = []
    for place, p in enumerate(mine):
        if place >= len(others):
            found += [] if takes_more else [f"`{p.name}` has no place in Keras"]
        elif p.name != others[place].name and p.kind is not inspect.Parameter.POSITIONAL_ONLY:
            found.append(f"place {place}: `{p.name}`, in Keras `{others[place].name}`")
    defaults = {p.name: p.default for p in inspect.signature(theirs).parameters.values()}
    for p in inspect.signature(ours).parameters.values():
        if p.name in defaults and repr(p.default) != repr(defaults[p.name]):
            found.append(f"`{p.name}` is {p.default!r}, in Keras {defaults[p.name]!r}")
    return found


def test_what_is_taken_by_position_is_what_keras_takes_there_with_its_defaults():
    theirs = pytest.importorskip("keras")
    pairs = list(public_pairs(theirs))
    assert len(pairs) > 500
    wrong = {path: found for path, a, b in pairs if (found := differences(a, b))}
    known = {path: key for path in wrong for key in DIFFERENT if f".{path}".endswith(f".{key}")}
    assert {path: wrong[path] for path in wrong.keys() - known.keys()} == {}
    assert set(known.values()) == set(DIFFERENT)


# ---- every constructor ----

#: What a class needs to be made; nothing, where it isn't here.
NEEDED = {
    "Activation": ("relu",), "AveragePooling2D": (2,), "Conv2D": (2, 3), "Conv2DTranspose": (2, 3), "Dense": (2,),
    "DepthwiseConv2D": (3,), "Dot": (1,), "Dropout": (0.5,), "Embedding": (5, 2), "GaussianDropout": (0.5,),
    "GaussianNoise": (0.5,),
    "InputLayer": ((4,),), "Permute": ((1,),), "RepeatVector": (2,), "Rescaling": (0.5,), "Reshape": ((4,),),
    "SeparableConv2D": (2, 3), "SpatialDropout2D": (0.5,), "MeanMetricWrapper": (lambda y, p: p,),
    "LossFunctionWrapper": (losses.mean_squared_error,), "ExponentialDecay": (0.1, 10, 0.9),
    "InverseTimeDecay": (0.1, 10, 0.9), "PiecewiseConstantDecay": ([1], [0.1, 0.2]), "PolynomialDecay": (0.1, 10),
    "CosineDecay": (0.1, 10), "CosineDecayRestarts": (0.1, 10), "CSVLogger": ("a.csv",),
    "LearningRateScheduler": (lambda epoch: 0.1,),
    "Optimizer": (0.1,), "IoU": (2, [0]), "MeanIoU": (2,), "OneHotIoU": (2, [0]), "OneHotMeanIoU": (2,),
    "PrecisionAtRecall": (0.5,), "RecallAtPrecision": (0.5,), "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
    "ModelCheckpoint": ("a.keras",), "BackupAndRestore": ("a",), "CustomObjectScope": ({},), "Variable": (1.0,),
}  # fmt: skip

#: Abstract, or no part of Keras's way to make things.
LEFT_OUT = {"Model", "LearningRateSchedule", "ModelFileError", "ModelFileNotFoundError", "PyDataset", "Sequence"}


def public_classes():
    found = {}
    for room in (
        keras,
        callbacks,
        initializers,
        layers,
        losses,
        metrics,
        optimizers,
        optimizers.schedules,
        regularizers,
        keras.random,
    ):
        for name in room.__all__:
            cls = getattr(room, name)
            if isinstance(cls, type) and cls.__name__ not in LEFT_OUT:
                found[f"{room.__name__.rpartition('.')[2]}.{cls.__name__}"] = cls
    return found


CLASSES = public_classes()
del CLASSES["callbacks.CallbackList"]  # takes any, to give them to all callbacks
WRAPPERS = ("LossFunctionWrapper", "MeanMetricWrapper")  # what else they take is for their function
TAKING = {k: c for k, c in CLASSES.items() if [n for n in constructor_arguments(c) if n != "options"]}


def refused(cls, *args, **kwargs):
    """Return the message with which a constructor refuses, and see that no name was given away before."""
    before = dict(names._counters)
    with pytest.raises((TypeError, ValueError)) as refusal:
        cls(*args, **kwargs)
    assert names._counters == before
    return str(refusal.value)


def test_the_tables_cover_all_public_classes():
    assert len(CLASSES) > 100
    for path, cls in CLASSES.items():
        cls(*NEEDED.get(path.rpartition(".")[2], ()))


@pytest.mark.parametrize("path", TAKING)
def test_a_misspelt_argument_is_refused_with_the_name_that_is_meant(path):
    cls = TAKING[path]
    name = constructor_arguments(cls)[-1]
    message = refused(cls, *NEEDED.get(cls.__name__, ()), **{f"{name}x": None})
    hint = "Known: " if cls.__name__ in WRAPPERS else f"Did you mean {name!r}?"
    assert repr(f"{name}x") in message
    assert hint in message


@pytest.mark.parametrize("path", CLASSES)
def test_one_argument_too_many_by_position_is_refused(path):
    cls = CLASSES[path]
    needed = NEEDED.get(cls.__name__, ())
    places = [] if cls.__init__ is object.__init__ else by_position(cls.__init__)[1:]
    message = refused(cls, *needed, *(p.default for p in places[len(needed) :]), "one too many")
    assert "'one too many' is one too many" in message or "takes no arguments" in message


OF_ANOTHER_KIND = [("name", 5), ("name", ["a"]), ("trainable", "yes"), ("dtype", 5), ("dtype", "float3")]


@pytest.mark.parametrize(
    ("path", "argument", "value"),
    [(p, a, v) for p, c in TAKING.items() for a, v in OF_ANOTHER_KIND if a in constructor_arguments(c)],
)
def test_a_name_a_truth_value_a_type_of_another_kind_is_refused(path, argument, value):
    message = refused(TAKING[path], *NEEDED.get(TAKING[path].__name__, ()), **{argument: value})
    assert f"`{argument}` is " in message
    assert repr(value) in message


@pytest.mark.parametrize("path", TAKING)
def test_a_layer_is_refused_where_a_number_a_text_or_a_truth_value_belongs(path):
    cls, needed = TAKING[path], NEEDED.get(TAKING[path].__name__, ())
    layer = layers.Flatten(name="stray")
    places = by_position(cls.__init__)[1:]
    for i, p in enumerate(places):
        kinds = getattr(p.annotation, "__args__", (p.annotation,))
        if set(kinds) <= {int, float, bool, str, type(None)}:
            before = [*needed, *(q.default for q in places[len(needed) :])][:i]
            assert f"`{p.name}` is " in refused(cls, *before, layer)
            assert f"`{p.name}` is " in refused(cls, *before, **{p.name: layer})


# ---- what users get wrong ----

X, Y = np.ones((20, 4), "float32"), np.arange(20) % 3


def model():
    net = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax", name="top")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    return net


def symbols():
    start = keras.Input((4,))
    return start, layers.Dense(2)(start)


#: What is written, and what the error must say: the argument, what came, what was meant.
MISREAD = {
    "layers without a list": (
        lambda: keras.Sequential(layers.Flatten(), layers.Dense(10, name="d")),
        ["`trainable` is True or False", "name=d", "Sequential([Flatten(), Dense(10)])"],
    ),
    "more layers without a list": (
        lambda: keras.Sequential(layers.Flatten(), True, layers.Dense(10)),
        ["`name` is a string", "in a list"],
    ),
    "a name for trainable": (lambda: keras.Sequential([], "net"), ["`trainable`", "'net'", "layers, trainable, name"]),
    "a text for trainable": (lambda: layers.Dense(3, trainable="yes"), ["`trainable`", "'yes'"]),
    "trainable set to a text": (lambda: setattr(layers.Dense(3), "trainable", "no"), ["`trainable`", "'no'"]),
    "a model's trainable set to a text": (lambda: setattr(model(), "trainable", "no"), ["`trainable`", "'no'"]),
    "a number as shape": (lambda: keras.Input(10), ["`shape` is a tuple", "(10,)"]),
    "numbers as shape": (lambda: keras.Input(28, 28), ["`shape` is a tuple", "(28, 28)"]),
    "a text as batch size": (lambda: keras.Input((4,), "images"), ["`batch_size`", "'images'"]),
    "a name in the place of sparse": (lambda: keras.Input((4,), None, "float32", "images"), ["`sparse`", "'images'"]),
    "shape and batch_shape": (lambda: layers.InputLayer(shape=(2,), batch_shape=(1, 2)), ["`batch_shape`", "`shape`"]),
    "batch_size and batch_shape": (
        lambda: layers.InputLayer(batch_size=1, batch_shape=(1, 2)),
        ["`batch_shape`", "`batch_size`"],
    ),
    "two shapes of a first layer": (
        lambda: layers.Dense(2, input_shape=(3,), input_dim=4),
        ["input_shape", "input_dim"],
    ),
    "a sparse input": (lambda: keras.Input((2,), sparse=True), ["sparse=True", "not supported"]),
    "an activation as units": (lambda: layers.Dense("relu"), ["`units`", "'relu'"]),
    "units twice": (lambda: layers.Dense(10, 20), ["20"]),
    "a list as units": (lambda: layers.Dense([10]), ["`units`", "[10]"]),
    "an initializer as use_bias": (lambda: layers.Dense(3, "relu", "he_normal"), ["`use_bias`", "'he_normal'"]),
    "a number as use_bias": (lambda: layers.Dense(3, "relu", 0), ["`use_bias`", "0", "units, activation, use_bias"]),
    "an argument twice": (lambda: layers.Dense(3, units=4), ["`units` is given twice"]),
    "rows and columns as units": (lambda: layers.Conv2D(32, 3, 3, 3), ["`padding`", "3"]),
    "a percentage": (lambda: layers.Dropout(50), ["`rate`", "50"]),
    "sizes without parentheses": (lambda: layers.Reshape(2, 3), ["`target_shape` is a tuple", "(2, 3)"]),
    "a size that isn't whole": (lambda: layers.Reshape((2.5,)), ["`target_shape`", "2.5"]),
    "a text as scale": (lambda: layers.Rescaling("1/255"), ["`scale`", "'1/255'"]),
    "inputs for a constructor": (lambda: layers.Concatenate(list(symbols())), ["`axis`", "Add()([a, b])"]),
    "inputs for another": (lambda: layers.Add(list(symbols())), ["one too many", "Add()([a, b])"]),
    "a model without outputs": (lambda: keras.Model(symbols()[0]), ["`outputs`", "None"]),
    "outputs first": (lambda: (lambda a, b: keras.Model(b, a))(*symbols()), ["input"]),
    "an unknown output": (
        lambda: (lambda a, b: keras.Model(inputs=a, output=b))(*symbols()),
        ["'output'", "Did you mean 'outputs'"],
    ),
    "the loss first": (lambda: model().compile("mse", "adam"), ["the loss 'mse'", "optimizer, loss"]),
    "the loss object first": (
        lambda: model().compile(losses.MeanSquaredError(), "adam"),
        ["the loss", "optimizer, loss"],
    ),
    "metrics third": (
        lambda: model().compile("sgd", "mse", ["accuracy"]),
        ["`loss_weights`", "'accuracy'", "metrics="],
    ),
    "a number as metric": (lambda: model().compile("sgd", "mse", metrics=[3]), ["Metric", "3"]),
    "metric": (lambda: model().compile("sgd", "mse", metric=["accuracy"]), ["'metric'", "Did you mean 'metrics'"]),
    "steps as text": (lambda: model().compile("sgd", "mse", steps_per_execution="4"), ["`steps_per_execution`", "'4'"]),
    "validation data by position": (lambda: model().fit(X, Y, X, Y), ["`batch_size`", "x, y, batch_size"]),
    "workers": (lambda: model().fit(X, Y, workers=4), ["'workers'"]),
    "epoch": (lambda: model().fit(X, Y, epoch=4), ["'epoch'", "Did you mean 'epochs'"]),
    "a text for validation_freq": (lambda: model().fit(X, Y, validation_freq="2"), ["`validation_freq`", "'2'"]),
    "validation every 0 epochs": (
        lambda: model().fit(X, Y, validation_data=(X, Y), validation_freq=0),
        ["validation_freq", "0"],
    ),
    "targets as batch size": (lambda: model().predict(X, Y), ["batch_size"]),
    "verbose third": (lambda: model().evaluate(X, Y, 0), ["batch_size", "0"]),
    "class weights in the place of sample weights": (
        lambda: model().train_on_batch(X, Y, {0: 1.0, 1: 2.0}),
        ["sample_weight", "0", "top"],
    ),
    "return_dict as text": (lambda: model().evaluate(X, Y, return_dict="no"), ["`return_dict`", "'no'"]),
    "training as text": (lambda: model()(X, training="no"), ["`training`", "'no'"]),
    "a layer's training as text": (lambda: layers.Dropout(0.5)(X, training="no"), ["`training`", "'no'"]),
    "the format second": (lambda: model().save("a.keras", "h5"), ["`overwrite`", "'h5'"]),
    "an unknown argument of save": (
        lambda: model().save("a.keras", overwrit=True),
        ["'overwrit'", "Did you mean 'overwrite'"],
    ),
    "no path": (lambda: model().save(5), ["`filepath`", "5"]),
    "by_name second": (lambda: model().load_weights("a.weights.h5", "by_name"), ["`skip_mismatch`", "'by_name'"]),
    "compile as text": (lambda: keras.models.load_model("a.keras", {}, "no"), ["`compile`", "'no'"]),
    "an index by position": (lambda: model().get_layer(0), ["`name`", "0", "name, index"]),
    "pop an index": (lambda: model().pop(0), ["`rebuild`", "0"]),
    "add two layers": (lambda: model().add(layers.Dense(1), layers.Dense(2)), ["`rebuild`"]),
    "build a number": (lambda: keras.Sequential([layers.Dense(3)]).build(4), ["shape", "4"]),
    "a weight's name first": (lambda: layers.Layer().add_weight("w", shape=(3,)), ["`name`", "'w'"]),
    "a weight's shape twice": (lambda: layers.Layer().add_weight((2,), shape=(3,)), ["`shape` was passed both"]),
    "a threshold as name": (lambda: metrics.BinaryAccuracy(0.5), ["`name`", "0.5", "name, dtype, threshold"]),
    "a name as k": (lambda: metrics.TopKCategoricalAccuracy("top5"), ["`k`", "'top5'"]),
    "a reduction as from_logits": (lambda: losses.SparseCategoricalCrossentropy("none"), ["`from_logits`", "'none'"]),
    "a text as nesterov": (lambda: optimizers.SGD(0.1, 0.9, "no"), ["`nesterov`", "'no'"]),
    "a patience as text": (lambda: callbacks.EarlyStopping(patience="3"), ["`patience`", "'3'"]),
    "no schedule": (lambda: callbacks.LearningRateScheduler(5), ["`schedule`", "5"]),
    "no hook": (lambda: callbacks.LambdaCallback(5), ["`on_epoch_begin`", "5"]),
    "an option of no function": (
        lambda: metrics.MeanMetricWrapper(metrics.binary_accuracy, treshold=0.3),
        ["'treshold'", "Did you mean 'threshold'"],
    ),
    "no model to clone": (lambda: keras.models.clone_model(3), ["model", "3"]),
}


@pytest.mark.parametrize("case", MISREAD)
def test_what_could_be_misread_is_refused_by_name(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, words = MISREAD[case]
    with pytest.raises((TypeError, ValueError)) as refusal:
        make()
    for word in words:
        assert word in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_what_keras_takes_by_position_is_taken():
    assert layers.Conv2D(32, 3, 3).strides == (3, 3)
    assert layers.Dense(np.int64(3), "relu", np.True_).units == 3
    assert layers.Dense(3, use_bias=0).use_bias == 0
    assert keras.Input((4,), 8).shape == (8, 4)
    assert keras.Input([4]).shape == (None, 4)
    assert len(model().fit(X, Y, 10, 2, 0).epoch) == 2
    assert metrics.Mean("m", np.float32).dtype == "float32"
    assert optimizers.SGD(np.float32(0.5), np.float64(0.25)).momentum == 0.25
    assert callbacks.EarlyStopping("loss", 0, 3, True).patience == 3


def test_arguments_that_files_make_pointless_are_ignored_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="save_format='h5' is ignored"):
        model().save(tmp_path / "a.keras", save_format="h5")
    with pytest.warns(UserWarning, match="include_optimizer=False is ignored"):
        model().save(tmp_path / "b.keras", include_optimizer=False)


def test_a_class_of_the_users_own_takes_what_it_likes():
    class Twice(layers.Dense):
        def __init__(self, units: int, **kwargs):
            super().__init__(2 * int(units), **kwargs)

    assert Twice("3").units == 6
    with pytest.raises(ValueError, match="Twice: `use_bias` is True or False, received 'no'"):
        Twice(3, use_bias="no")


def test_an_activation_set_to_none_is_none():
    layer = layers.Dense(2, activation="relu", use_bias=False)
    layer.build((None, 2))
    layer.activation = None
    layer.set_weights([np.array([[1.0, -2.0], [3.0, -4.0]])])
    np.testing.assert_array_equal(layer(np.array([[-1.0, 2.0]])), [[5.0, -6.0]])


def batches():
    yield X, Y


def mismatched(path):
    keras.Sequential([keras.Input((4,)), layers.Dense(5)]).save_weights(path)
    model().load_weights(path, skip_mismatch=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: optimizers.SGD(decay=0.1),
        lambda path: callbacks.EarlyStopping(mode="least"),
        lambda path: layers.Embedding(3, 2, input_length=4),
        lambda path: model().fit(batches(), epochs=2, verbose=0),
        lambda path: model().save(path.with_suffix(".keras"), save_format="h5"),
        lambda path: mismatched(path.with_suffix(".weights.h5")),
    ],
)
def test_a_warning_points_at_the_users_line(make, tmp_path):
    with pytest.warns(UserWarning, match=".") as warned:
        make(tmp_path / "file")
    assert {w.filename for w in warned} == {__file__}
