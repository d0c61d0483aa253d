"""Layers of the user's own, at the border of the engine: what they return is taken as what it means, or refused."""

import copy
import functools
import pickle

import keras
import numpy as np
import pytest

import minikeras


class Own(minikeras.layers.Layer):
    """y = x^2 w, whose output and gradient are handed on in some form."""

    def __init__(self, forward=None, backward=None, **options):
        super().__init__(**options)
        self.form_of_y, self.form_of_dx = forward or (lambda a: a), backward or (lambda a: a)

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1],), "ones", name="w")

    def forward(self, x, training):
        return self.form_of_y(x * x * self.w.value), x

    def backward(self, dy, x):
        self.w.gradient += (dy * x * x).sum(axis=0)
        return self.form_of_dx(2 * x * dy * self.w.value)


class Theirs(keras.layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

    def call(self, x):
        return x * x * self.w


def losses(k, own):
    k.utils.set_random_seed(1)
    head = [k.layers.Dense(5, activation="tanh"), own, k.layers.Dense(3, activation="softmax")]
    model = k.Sequential([k.Input((4,)), *head])
    model.compile(k.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    history = model.fit(x, np.arange(40) % 3, epochs=4, batch_size=8, verbose=0, shuffle=False)
    return history.history["loss"]


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@functools.cache
def expected():
    return losses(keras, Theirs())


FORMS = {
    "float64": lambda a: a.astype("float64"),
    "longdouble": lambda a: a.astype("longdouble"),
    "big-endian": lambda a: a.astype(">f4"),
    "big-endian float64": lambda a: a.astype(">f8"),
    "Fortran": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "unaligned": unaligned,
    "read-only": read_only,
    "matrix": lambda a: a.view(np.matrix),
    "masked": np.ma.asarray,
    "list": lambda a: a.tolist(),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("form", FORMS)
def test_outputs_and_gradients_of_any_form_are_taken_as_what_they_mean(form, where):
    np.testing.assert_allclose(losses(minikeras, Own()), expected(), rtol=1e-5)
    np.testing.assert_allclose(losses(minikeras, Own(**{where: FORMS[form]})), expected(), rtol=1e-5)


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("form", ["float16", "int64", "bool"])
def test_coarser_numbers_give_what_they_are(form, where):
    def by_hand(a):
        return a.astype(form).astype("float32")

    assert losses(minikeras, Own(**{where: lambda a: a.astype(form)})) == losses(minikeras, Own(**{where: by_hand}))


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize(
    ("form", "error"),
    [
        (lambda a: a[:, :1], r"returned shape \(8, 1\), expected \(8, 5\)"),
        (lambda a: a[:4], r"returned shape \(4, 5\), expected \(8, 5\)"),
        (lambda a: a.sum(), r"returned shape \(\), expected \(8, 5\)"),
        (lambda a: a[..., None], r"returned shape \(8, 5, 1\), expected \(8, 5\)"),
        (lambda a: a + 1j, "real numbers, received dtype complex"),
        (lambda a: None, "real numbers, received dtype object"),
        (lambda a: a.astype(str), "real numbers, received dtype <U"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_layers_name(form, error, where):
    with pytest.raises((ValueError, TypeError), match=f"Own layer 'mine': `{where}` .*{error}"):
        losses(minikeras, Own(**{where: form}, name="mine"))


class Assigning(Own):
    def backward(self, dy, x):
        self.w.gradient = (dy * x * x).sum(axis=0).astype("float64")  # instead of adding
        return 2 * x * dy * self.w.value


def test_a_gradient_that_is_assigned_instead_of_added_to_arrives():
    np.testing.assert_allclose(losses(minikeras, Assigning()), expected(), rtol=1e-5)


def test_a_value_that_is_assigned_stays_in_the_models_vector():
    model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(3)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4)), np.zeros((8, 3))
    model.fit(x, y, verbose=0)
    model.layers[0].kernel.value = np.full((4, 3), 2.0)
    model.fit(x, y, verbose=0)
    assert np.all(model.get_weights()[0] != 2)
    with pytest.raises(ValueError, match="expected a value of shape"):
        model.layers[0].kernel.value = np.zeros(3)
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(4, 3\), received shape \(3,\)"):
        model.layers[0].kernel.gradient = np.zeros(3)


class Joined(minikeras.layers.Layer):
    joins = True

    def compute_output_shape(self, shapes):
        return shapes[0]

    def forward(self, xs, training):
        return (xs[0] * xs[1]).astype("float64"), xs

    def backward(self, dy, xs):
        return [(dy * xs[1]).astype("float64"), np.asfortranarray(dy * xs[0])]


def test_a_layer_that_joins_is_taken_likewise():
    told = []
    for k in (keras, minikeras):
        k.utils.set_random_seed(1)
        a, b = k.Input((4,)), k.Input((4,))
        hidden = [k.layers.Dense(5, activation="tanh")(s) for s in (a, b)]
        joined = k.layers.Multiply()(hidden) if k is keras else Joined()(hidden)
        model = k.Model([a, b], k.layers.Dense(1)(joined))
        model.compile(k.optimizers.SGD(0.1), "mse")
        generator = np.random.default_rng(0)
        x = [generator.normal(size=(24, 4)).astype("float32") for _ in range(2)]
        told.append(model.fit(x, x[0][:, :1], epochs=3, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(told[1], told[0], rtol=1e-5)


class OneGradient(Joined):
    def backward(self, dy, xs):
        return dy


def test_a_layer_that_joins_returns_a_gradient_for_each_input():
    a, b = minikeras.Input((4,)), minikeras.Input((4,))
    hidden = [minikeras.layers.Dense(5)(s) for s in (a, b)]
    model = minikeras.Model([a, b], OneGradient(name="mine")(hidden))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="'mine': `backward` returns a list with dx for each of its 2 inputs"):
        model.fit([np.ones((8, 4))] * 2, np.ones((8, 5)), verbose=0)


class Doubled(minikeras.layers.Layer):
    def forward(self, x, training):
        return x * 2, None

    def backward(self, dy, cache):
        return dy * 2


@pytest.mark.parametrize("by", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])
def test_models_with_layers_of_ones_own_and_joins_of_one_can_be_copied(by):
    inputs = minikeras.Input((4,))
    hidden = minikeras.layers.BatchNormalization()(Doubled()(minikeras.layers.Add()([inputs])))
    model = minikeras.Model(inputs, minikeras.layers.Dense(1)(hidden))
    model.compile("adam", "mse")
    x, y = np.ones((8, 4)), np.ones((8, 1))
    model.fit(x, y, verbose=0)
    other = by(model)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    for trained in (model, other):
        trained.fit(x, y, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
