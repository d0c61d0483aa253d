"""Bad input gets a clear error before any harm: one table of what users do wrong, and what they must read."""

import re

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3


def classifier(units=3, activation="softmax", loss="sparse_categorical_crossentropy", metrics=None):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation=activation)], name="net")
    model.compile("sgd", loss, metrics=metrics)
    return model


def fit(x=X, y=Y, model=None, **kwargs):
    return (model or classifier()).fit(x, y, verbose=0, **kwargs)


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def image_model(*stack, shape=(8, 8, 1)):
    return keras.Sequential([keras.Input(shape), *stack])


class NoGradient(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ((y_pred - y_true) ** 2).mean(-1)


# what is done, the type of the error, what its message must contain (regular expressions)
TABLE = {
    # names
    "loss name": (lambda: classifier(loss="sparse_categorical_crosssentropy"), ValueError, ["sparse_categorical_crosssentropy", "Did you mean 'sparse_categorical_crossentropy'"]),
    "layer name": (lambda: layers.Con2D(3, 3), AttributeError, ["Con2D", "Did you mean 'Conv2D'"]),
    "room name": (lambda: keras.layer, AttributeError, ["Did you mean 'layers'|Did you mean 'Layer'"]),
    "optimizer name": (lambda: keras.Sequential().compile("adm"), ValueError, ["adm", "Did you mean 'adam'"]),
    "metric name": (lambda: classifier(metrics=["acuracy"]), ValueError, ["acuracy", "Did you mean"]),
    "activation name": (lambda: layers.Dense(3, activation="rellu"), ValueError, ["rellu", "Did you mean 'relu'"]),
    "initializer name": (lambda: layers.Dense(3, kernel_initializer="glorot"), ValueError, ["glorot", "Did you mean|Known"]),
    "regularizer name": (lambda: layers.Dense(3, kernel_regularizer="l3"), ValueError, ["l3", "l2"]),
    "argument name": (lambda: layers.Dense(3, activaton="relu"), TypeError, ["activaton", "Did you mean 'activation'"]),
    "layer in model": (lambda: classifier().get_layer("dens"), ValueError, ["dens", "dense"]),
    # layers
    "units": (lambda: layers.Dense(0), ValueError, ["units", "positive", "0"]),
    "units float": (lambda: layers.Dense(2.5), ValueError, ["units", "2.5"]),
    "rate": (lambda: layers.Dropout(30), ValueError, ["rate", "0 to 1", "30"]),
    "kernel size": (lambda: layers.Conv2D(3, 0), ValueError, ["kernel_size", "0"]),
    "filters": (lambda: layers.Conv2D(-1, 3), ValueError, ["filters", "-1"]),
    "strides": (lambda: layers.Conv2D(3, 3, strides=0), ValueError, ["strides", "0"]),
    "padding": (lambda: layers.Conv2D(3, 3, padding="some"), ValueError, ["padding", "some", "same"]),
    "stride and dilation": (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), ValueError, ["strides", "dilation_rate"]),
    "groups": (lambda: layers.Conv2D(4, 3, groups=3), ValueError, ["groups"]),
    "channels first": (lambda: layers.Conv2D(3, 3, data_format="channels_first"), ValueError, ["channels_last", "channels_first"]),
    "unsupported option": (lambda: layers.Dense(3, lora_rank=4), ValueError, ["lora_rank=4", "not supported"]),
    "constraint": (lambda: layers.Dense(3, kernel_constraint="max_nrm"), ValueError, ["max_nrm", "max_norm"]),
    "pool size": (lambda: layers.MaxPooling2D(0), ValueError, ["pool_size", "0"]),
    "reshape": (lambda: image_model(layers.Reshape((5, 5))), ValueError, ["64", r"\(5, 5\)"]),
    "dtype": (lambda: layers.Dense(3, dtype="float16"), ValueError, ["float16", "float32"]),
    "image smaller than kernel": (lambda: image_model(layers.Conv2D(3, 9)), ValueError, ["conv2d", "9", "8"]),
    "nothing left to pool": (lambda: image_model(*(layers.MaxPooling2D(3) for _ in range(3))), ValueError, ["max_pooling2d_1", "3"]),
    "rank of a layer's input": (lambda: layers.Conv2D(3, 3)(np.ones((2, 8, 8))), ValueError, ["conv2d", "ndim=4", "ndim=3", "channel"]),
    "size of a layer's input": (lambda: (lambda d: (d(np.ones((2, 4))), d(np.ones((2, 5)))))(layers.Dense(3)), ValueError, ["dense", "axis -1", "4", r"\(2, 5\)"]),
    "a single sample": (lambda: layers.Dense(3)(np.ones(4)), ValueError, ["min_ndim=2", "ndim=1"]),
    "flat data on images": (lambda: image_model(layers.Conv2D(2, 3)).predict(np.ones((3, 64)), verbose=0), ValueError, [r"\(None, 8, 8, 1\)", r"\(3, 64\)", "reshape"]),
    "unbuilt input shape": (lambda: keras.Sequential([layers.Dense(2)]).input_shape, AttributeError, ["isn't built"]),
    # models
    "no layer": (lambda: keras.Sequential([3]), ValueError, ["keras.Layer", "3"]),
    "class for layer": (lambda: keras.Sequential([layers.Flatten]), ValueError, ["parentheses"]),
    "same name twice": (lambda: keras.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]), ValueError, ["'a'", "name"]),
    "pop from nothing": (lambda: keras.Sequential().pop(), ValueError, ["pop"]),
    "count before build": (lambda: keras.Sequential([layers.Dense(2)]).count_params(), ValueError, ["isn't built"]),
    "fit before compile": (lambda: keras.Sequential([layers.Dense(3)]).fit(X, Y), ValueError, ["compile"]),
    "evaluate before compile": (lambda: keras.Sequential([layers.Dense(3)]).evaluate(X, Y), ValueError, ["compile"]),
    "no loss": (lambda: fit(model=(lambda m: (m.compile("sgd"), m)[1])(classifier())), ValueError, ["loss"]),
    "bare loss function": (lambda: fit(y=X, model=classifier(4, None, lambda y, p: (y - p) ** 2)), TypeError, ["gradient", "Loss"]),
    "loss without gradient": (lambda: fit(y=X, model=classifier(4, None, NoGradient())), (TypeError, NotImplementedError), ["gradient"]),
    "bare activation function": (lambda: layers.Dense(3, activation=lambda x: x), TypeError, ["derivative"]),
    # data
    "rank of x": (lambda: fit(X.reshape(20, 2, 2)), ValueError, [r"\(None, 4\)", r"\(20, 2, 2\)|\(32, 2, 2\)", "reshape"]),
    "width of x": (lambda: fit(X[:, :3]), ValueError, [r"\(None, 4\)", "3"]),
    "lengths": (lambda: fit(X, Y[:10]), ValueError, ["20", "10"]),
    "weight lengths": (lambda: fit(sample_weight=np.ones(3)), ValueError, ["20", "3"]),
    "empty": (lambda: fit(X[:0], Y[:0]), ValueError, ["empty|no samples|0 samples"]),
    "strings": (lambda: fit(np.array([["a"] * 4] * 20)), (TypeError, ValueError), ["string|str|<U1|dtype"]),
    "objects": (lambda: fit(np.array([[None] * 4] * 20)), (TypeError, ValueError), ["object"]),
    "ragged": (lambda: fit([[1, 2], [3]], [0, 1]), ValueError, ["length|ragged|shape"]),
    "NaN": (lambda: fit(with_value(X, (7, 2), np.nan)), ValueError, ["NaN|nan", "7"]),
    "infinite": (lambda: fit(with_value(X, (3, 1), np.inf)), ValueError, ["inf", "3"]),
    "NaN targets": (lambda: fit(y=with_value(X, (5, 0), np.nan), model=classifier(4, None, "mse")), ValueError, ["NaN|nan", "5"]),
    "NaN in validation": (lambda: fit(validation_data=(with_value(X, (7, 2), np.nan), Y)), ValueError, ["NaN|nan"]),
    "no targets": (lambda: classifier().fit(X, verbose=0), ValueError, ["targets|`y`"]),
    "label too large": (lambda: fit(y=with_value(Y, 4, 3)), ValueError, [r"\b3\b", r"\b4\b"]),
    "label negative": (lambda: fit(y=with_value(Y, 4, -1)), ValueError, ["-1"]),
    "label in validation": (lambda: fit(validation_data=(X, with_value(Y, 4, 9))), ValueError, [r"\b9\b"]),
    "one-hot for sparse": (lambda: fit(y=np.eye(3)[Y]), ValueError, ["categorical_crossentropy"]),
    "labels for categorical": (lambda: fit(model=classifier(loss="categorical_crossentropy")), ValueError, ["sparse_categorical_crossentropy"]),
    "fractional labels": (lambda: fit(y=Y + 0.5), ValueError, ["integer"]),
    "shape of mse targets": (lambda: fit(y=X[:, :2], model=classifier(3, None, "mse")), ValueError, ["2", "3"]),
    "binary targets": (lambda: fit(y=Y.astype("float32"), model=classifier(1, "sigmoid", "binary_crossentropy")), ValueError, ["2"]),
    "batch size": (lambda: fit(batch_size=0), ValueError, ["batch_size", "0"]),
    "epochs": (lambda: fit(epochs=-1), ValueError, ["epochs", "-1"]),
    "validation split": (lambda: fit(validation_split=1.5), ValueError, ["validation_split", "1.5"]),
    "y beside a generator": (lambda: fit(iter([(X, Y)]), Y), ValueError, ["y"]),
    "bad batch in a stream": (lambda: fit(iter([(X, Y + 5)]), None), ValueError, [r"\b[567]\b"]),
    "class and sample weights": (lambda: fit(class_weight={0: 1.0}, sample_weight=np.ones(20)), ValueError, ["class_weight", "sample_weight"]),
    "predict empty": (lambda: classifier().predict(X[:0]), ValueError, ["empty|no samples|0 samples"]),
    "evaluate NaN": (lambda: classifier().evaluate(with_value(X, (0, 0), np.nan), Y, verbose=0), ValueError, ["NaN or infinite", "No loss can be computed"]),
    # settings
    "float type": (lambda: keras.config.set_floatx("float16"), ValueError, ["float16"]),
    "epsilon": (lambda: keras.config.set_epsilon(-1), ValueError, ["-1"]),
    "image layout": (lambda: keras.config.set_image_data_format("channels_first"), ValueError, ["channels_first"]),
    "learning rate": (lambda: keras.optimizers.SGD(-0.1), ValueError, ["learning_rate", "-0.1"]),
    "symbol as array": (lambda: np.asarray(keras.Input((3,))), TypeError, ["symbol"]),
    "mixed dtypes": (lambda: fit(model=(lambda m: (m.compile("sgd", "sparse_categorical_crossentropy"), m)[1])(keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Dense(3, dtype="float64")]))), ValueError, ["float32", "float64", "dtype"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_bad_input_is_named(name):
    action, kind, fragments = TABLE[name]
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    for fragment in fragments:
        assert re.search(fragment, message), f"{fragment!r} is missing in: {message}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"y": with_value(Y, 19, 7)},
        {"x": with_value(X, (19, 3), np.nan)},
        {"validation_data": (X, with_value(Y, 19, 7))},
        {"sample_weight": np.ones(19)},
        {"batch_size": -1},
    ],
    ids=["label", "NaN", "label in validation", "lengths", "batch size"],
)
def test_nothing_has_changed_after_an_error(arguments):
    model = classifier(metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    weights, iterations = model.get_weights(), int(model.optimizer.iterations)
    with pytest.raises(ValueError, match=r"received|NaN|differ"):
        model.fit(**{"x": X, "y": Y, **arguments}, verbose=0)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert int(model.optimizer.iterations) == iterations


def test_compile_with_an_unknown_name_keeps_the_old_one():
    model = classifier()
    optimizer = model.optimizer
    with pytest.raises(ValueError, match="adm"):
        model.compile("adm", "mse")
    assert model.optimizer is optimizer
    assert model.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize("before", ["Dense", "Conv2D", "MaxPooling2D", "AveragePooling2D"])
def test_a_layer_that_returns_a_gradient_of_another_shape_is_found(before):
    class Turning(keras.layers.Layer):
        def forward(self, x, training):
            return x * 2, None

        def backward(self, dy, cache):
            return 2 * dy.reshape(-1)[None]

    pooling = {"MaxPooling2D": layers.MaxPooling2D, "AveragePooling2D": layers.AveragePooling2D}
    make = {"Dense": lambda: [layers.Dense(3)], "Conv2D": lambda: [layers.Conv2D(2, 3, activation="relu")]}
    make |= {name: lambda: [layers.Dense(3), pooling[before](2)] for name in pooling}
    model = keras.Sequential([keras.Input((5, 5, 1)), *make[before](), Turning(), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'turning': `backward` returned shape \(1, .* that of x"):
        model.fit(np.ones((4, 5, 5, 1)), np.ones((4, 1)), verbose=0)
