"""Code of the user's own that writes to the arrays it is given: nothing is changed, and the error says who did it."""

import copy

import keras
import numpy as np
import pytest

import minikeras
from minikeras.common.differentiable import differentiable
from minikeras.testing.gradients import check_gradients

X = np.random.default_rng(0).normal(0, 1, (12, 3)).astype("float32")
Y = np.random.default_rng(1).uniform(0, 1, (12, 3)).astype("float32")
W = np.linspace(0.5, 2, 12, dtype="float32")


def assign(a):
    a[a > 0.5] = 1
    return a


def add(a):
    a += 1
    return a


def multiply(a):
    a *= 2
    return a


def out(a):
    return np.exp(a, out=a)


def sort(a):
    a.sort(axis=0)
    return a


def fill(a):
    a.fill(0)
    return a


def shuffle(a):
    np.random.default_rng(0).shuffle(a)
    return a


def part(a):
    a[:1][...] = 0
    return a


def reshaped(a):
    a.reshape(-1)[0] = 5
    return a


def put(a):
    np.put(a, 0, 1)
    return a


WRITING = {f.__name__: f for f in (assign, add, multiply, out, sort, fill, shuffle, part, reshaped, put)}


def loss_by_class(written, where, argument):
    class Own(minikeras.losses.Loss):
        def call(self, y_true, y_pred):
            if where == "call":
                written((y_true, y_pred)[argument])
            return ((y_pred - y_true) ** 2).mean(-1)

        def gradient(self, y_true, y_pred):
            if where == "gradient":
                written((y_true, y_pred)[argument])
            return 2 * (y_pred - y_true) / y_pred.shape[-1]

    return {"loss": Own(name="mine")}


def loss_by_function(written, where, argument):
    @differentiable
    def mine(y_true, y_pred):
        if where == "call":
            written((y_true, y_pred)[argument])
        return ((y_pred - y_true) ** 2).mean(-1)

    @mine.derivative
    def mine_gradient(y_true, y_pred):
        if where == "gradient":
            written((y_true, y_pred)[argument])
        return 2 * (y_pred - y_true) / y_pred.shape[-1]

    return {"loss": mine}


def metric_by_function(written, argument):
    def mine(y_true, y_pred):
        return written((y_true, y_pred)[argument]).mean(-1)

    return mine


def metric_by_class(written, argument, kind=minikeras.metrics.Mean):
    class Own(kind):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(written((y_true, y_pred, sample_weight)[argument]).mean())

    return Own(name="mine")


class OwnLayer(minikeras.layers.Layer):
    written, where = None, None

    def forward(self, x, training):
        if self.where == "forward":
            return self.written(x), None
        return 2 * x, None

    def backward(self, dy, cache):
        if self.where == "backward":
            return self.written(dy)
        return 2 * dy


def layer(written, where):
    own = OwnLayer(name="mine")
    own.written, own.where = written, where
    return own


def activation(written, where):
    @differentiable
    def mine(x):
        return written(x) if where == "forward" else 2 * x

    @mine.derivative
    def mine_gradient(dy, x, y):
        return written(dy) if where == "dy" else written(x) if where == "x" else 2 * dy

    return minikeras.layers.Activation(mine)


class OwnRegularizer(minikeras.regularizers.Regularizer):
    def __init__(self, written, where):
        self.written, self.where = written, where

    def __call__(self, x):
        return float(self.written(x).sum() if self.where == "value" else x.sum())

    def gradient(self, x):
        return self.written(x) if self.where == "gradient" else np.ones_like(x)


def regularized(written, where):
    return minikeras.layers.Dense(3, kernel_regularizer=OwnRegularizer(written, where))


class OwnModel(minikeras.Sequential):
    def train_step(self, x, y, sample_weight=None):
        self.written(x if self.where == "x" else y)
        super().train_step(x, y, sample_weight)

    def test_step(self, x, y, sample_weight=None):
        self.written(x if self.where == "x" else y)
        super().test_step(x, y, sample_weight)


# (what the user has written) -> the layers before an Activation("sigmoid"), and the arguments of `compile`.
PLACES = {
    "loss values, predictions": lambda f: ([], loss_by_class(f, "call", 1)),
    "loss values, targets": lambda f: ([], loss_by_class(f, "call", 0)),
    "loss gradient, predictions": lambda f: ([], loss_by_class(f, "gradient", 1)),
    "loss gradient, targets": lambda f: ([], loss_by_class(f, "gradient", 0)),
    "loss function, predictions": lambda f: ([], loss_by_function(f, "call", 1)),
    "loss function, targets": lambda f: ([], loss_by_function(f, "call", 0)),
    "loss function's gradient": lambda f: ([], loss_by_function(f, "gradient", 1)),
    "metric function, predictions": lambda f: ([], {"metrics": [metric_by_function(f, 1), "mae"]}),
    "metric function, targets": lambda f: ([], {"metrics": [metric_by_function(f, 0), "mae"]}),
    "metric, predictions": lambda f: ([], {"metrics": [metric_by_class(f, 1), "mae"]}),
    "metric, targets": lambda f: ([], {"metrics": ["mae", metric_by_class(f, 0)]}),
    "weighted metric, weights": lambda f: ([], {"weighted_metrics": [metric_by_class(f, 2), "mae"]}),
    "layer forward": lambda f: ([layer(f, "forward")], {}),
    "layer backward": lambda f: ([layer(f, "backward")], {}),
    "activation": lambda f: ([activation(f, "forward")], {}),
    "activation's gradient, dy": lambda f: ([activation(f, "dy")], {}),
    "activation's gradient, x": lambda f: ([activation(f, "x")], {}),
    "regularizer": lambda f: ([regularized(f, "value")], {}),
    "regularizer's gradient": lambda f: ([regularized(f, "gradient")], {}),
}  # fmt: skip
TRAINED_ONLY = ("gradient", "backward")


def model_for(place, written, dense_first=False):
    layers, arguments = PLACES[place](written)
    first = [
        minikeras.layers.Dense(3)
        if dense_first or "backward" in place or "gradient, " in place
        else minikeras.layers.Flatten()
    ]
    model = minikeras.Sequential([minikeras.Input((3,)), *first, *layers])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model


@pytest.mark.filterwarnings("ignore:.*does not have any trainable weights")
@pytest.mark.parametrize("writing", WRITING)
@pytest.mark.parametrize("place", PLACES)
def test_writing_to_what_was_given_is_refused_by_name_and_nobodys_numbers_change(place, writing):
    x, y, w = X.copy(), Y.copy(), W.copy()
    calls = ["fit", "train_on_batch"] + (
        ["evaluate", "test_on_batch"] if not any(t in place for t in TRAINED_ONLY) else []
    )
    for method in calls:
        for dense_first in (False, True):
            model = model_for(place, WRITING[writing], dense_first)
            weights = model.get_weights()
            options = {"verbose": 0, "batch_size": 6} if method in ("fit", "evaluate") else {}
            with pytest.raises(ValueError, match=r"(mine|OwnRegularizer).* writes to an array that it was given"):
                getattr(model, method)(x, y, sample_weight=w, **options)
            for array, original in ((x, X), (y, Y), (w, W)):
                np.testing.assert_array_equal(array, original)
            for array, original in zip(model.get_weights(), weights, strict=True) if "metric" not in place else ():
                np.testing.assert_array_equal(array, original)


@pytest.mark.filterwarnings("ignore:.*does not have any trainable weights")
@pytest.mark.parametrize("place", PLACES)
def test_writing_to_a_copy_gives_the_numbers_of_an_expression(place):
    def doubled(a):
        return a * 2

    def in_place(a):
        a = a.copy()
        a *= 2
        return a

    results = []
    for written in (doubled, in_place):
        minikeras.utils.set_random_seed(0)
        model = model_for(place, written)
        history = model.fit(X, Y, sample_weight=W, epochs=2, batch_size=5, verbose=0, shuffle=False).history
        results.append((history, [w.tobytes() for w in model.get_weights()]))
    assert results[0] == results[1]


@pytest.mark.parametrize("writing", WRITING)
@pytest.mark.parametrize("where", ["x", "y"])
def test_a_step_of_ones_own_cannot_write_to_the_data(where, writing):
    model = OwnModel([minikeras.Input((3,)), minikeras.layers.Dense(3)])
    model.written, model.where = WRITING[writing], where
    model.compile("sgd", "mse")
    x, y = X.copy(), Y.copy()
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"OwnModel .*_step` writes to an array that it was given"):
            method(x, y, verbose=0)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_a_call_of_ones_own_cannot_write_to_its_input():
    class Computing(minikeras.Model):
        def call(self, inputs, training=None):
            inputs *= 2 if training else 3
            return inputs

    x = X.copy()
    model = Computing(name="mine")
    for call in (model, lambda x: model(x, training=True), lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="Computing 'mine': `call` writes to an array"):
            call(x)
    np.testing.assert_array_equal(x, X)


def test_what_is_called_without_a_model_is_lent_its_arguments_too():
    x, y = X.copy(), Y.copy()
    own_layer, own_loss = layer(multiply, "forward"), loss_by_class(multiply, "call", 0)["loss"]
    with pytest.raises(ValueError, match="OwnLayer 'mine': `forward` writes"):
        own_layer(x)
    with pytest.raises(ValueError, match="Own 'mine': `call` writes"):
        own_loss(y, x)
    with pytest.raises(ValueError, match="Own 'mine': `update_state` writes"):
        metric_by_class(multiply, 1)(y, y_pred=x)
    with pytest.raises(ValueError, match="OwnLayer 'mine': `backward` writes"):
        check_gradients(layer(multiply, "backward"), input_shape=(3,))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("form", ["itself", "a part", "reshaped"])
def test_a_layer_may_return_its_input_or_its_gradient(form):
    handed_on = {"itself": lambda a: a, "a part": lambda a: a[:], "reshaped": lambda a: a.reshape(-1).reshape(a.shape)}

    class Passing(minikeras.layers.Layer):
        def forward(self, x, training):
            return handed_on[form](x), None

        def backward(self, dy, cache):
            return handed_on[form](dy)

    results = []
    for between in ([], [Passing()]):
        minikeras.utils.set_random_seed(0)
        x = inputs = minikeras.Input((3,))
        for layer in [*between, minikeras.layers.Dense(3, "tanh"), *between, minikeras.layers.Dense(3), *between]:
            x = layer(x)
        model = minikeras.Model(inputs, x)
        model.compile("adam", "mse", metrics=["mae"])
        results.append((model.fit(X, Y, epochs=2, verbose=0).history, model.predict(X, verbose=0).tobytes()))
    assert results[0] == results[1]


def test_an_inherited_forward_may_be_called_and_its_result_written_to():
    class Scaled(minikeras.layers.Dense):
        def forward(self, x, training):
            y, cache = super().forward(x, training)
            y *= 2
            return y, cache

        def backward(self, dy, cache):
            return super().backward(2 * dy, cache)

    check_gradients(Scaled(4), input_shape=(3,))
    model = minikeras.Sequential([minikeras.Input((3,)), Scaled(3)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), 2 * (X @ model.get_weights()[0] + model.get_weights()[1]), rtol=1e-5
    )


PASSING_ON = {
    "Flatten": lambda k: k.layers.Flatten(),
    "Reshape": lambda k: k.layers.Reshape((3,)),
    "Dropout": lambda k: k.layers.Dropout(0.5),
    "GaussianNoise": lambda k: k.layers.GaussianNoise(1.0),
    "linear": lambda k: k.layers.Activation("linear"),
}


@pytest.mark.parametrize("name", PASSING_ON)
def test_predictions_may_be_written_to_without_changing_the_input(name):
    x = X.copy()
    passing = PASSING_ON[name](minikeras)
    inputs = minikeras.Input((3,))
    model, twice = minikeras.Model(inputs, passing(inputs)), minikeras.Model(inputs, [passing(inputs), inputs])
    for call in (passing, model, model.predict_on_batch, lambda x: model.predict(x, verbose=0), twice.predict_on_batch):
        y = call(x)
        first, *others = y if isinstance(y, list) else [y]
        first += 1
        np.testing.assert_array_equal(x, X)
        for other in others:
            np.testing.assert_array_equal(other, X)


def callbacks_that_write(k):
    class Writing(k.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["lr"], logs["loss"] = float(epoch), 7.0

        def on_train_batch_end(self, batch, logs=None):
            logs["loss"], logs["more"] = -1.0, 3.0

        on_test_batch_end = on_train_batch_end

        def on_test_end(self, logs=None):
            logs["mae"] = -5.0

    class Seeing(k.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append(dict(logs))

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(dict(logs))

        def on_test_end(self, logs=None):
            self.seen.append(dict(logs))

        def on_train_end(self, logs=None):
            self.seen.append(dict(logs))

    return [Writing(), Seeing()]


def test_what_a_callback_writes_into_logs_is_seen_by_those_whom_keras_lets_see_it():
    results = []
    for k in (keras, minikeras):
        model = k.Sequential([k.Input((3,)), k.layers.Dense(3, kernel_initializer="ones")])
        model.compile("sgd", "mse", metrics=["mae"])
        callbacks = callbacks_that_write(k)
        history = model.fit(
            X, Y, epochs=2, batch_size=6, shuffle=False, verbose=0, validation_data=(X, Y), callbacks=callbacks
        )
        evaluated = model.evaluate(X, Y, verbose=0, return_dict=True, callbacks=callbacks)
        results.append([*callbacks[1].seen, history.history, evaluated])
    for theirs, ours in zip(*results, strict=True):
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)


def test_a_callback_cannot_write_to_predictions():
    class Writing(minikeras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            logs["outputs"] *= 2

    model = minikeras.Sequential([minikeras.Input((3,)), minikeras.layers.Flatten()])
    x = X.copy()
    with pytest.raises(ValueError, match="read-only"):
        model.predict(x, verbose=0, callbacks=[Writing()])
    np.testing.assert_array_equal(x, X)


def test_what_has_lent_methods_can_be_copied():
    for thing in (layer(multiply, "forward"), loss_by_class(multiply, "call", 0)["loss"], metric_by_class(multiply, 1)):
        assert type(copy.deepcopy(thing)) is type(thing)
