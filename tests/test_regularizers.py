"""Penalties and their derivatives, live against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from minikeras import regularizers
from minikeras.variables import Variable

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L1", {"l1": None}),
    ("L2", {}),
    ("L2", {"l2": 0.07}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l1": 0.02, "l2": 0.5}),
]
each_case = pytest.mark.parametrize(("name", "arguments"), CASES)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_penalty_and_gradient_are_those_of_keras(name, arguments, dtype):
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(dtype)
    x[0, 0] = 0
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    watched = tf.Variable(x)
    with tf.GradientTape() as tape:
        penalty = theirs(watched)
    slope = tape.gradient(penalty, watched, unconnected_gradients="zero").numpy()
    assert isinstance(ours(x), float)
    assert ours(x) == pytest.approx(float(penalty), rel=1e-6)
    assert ours.gradient(x).dtype == dtype
    assert np.allclose(ours.gradient(x), slope, rtol=1e-6, atol=0)


@each_case
def test_config_is_that_of_keras_and_rebuilds_the_object(name, arguments):
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert regularizers.serialize(ours) == keras.regularizers.serialize(theirs)
    again = regularizers.deserialize(regularizers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("mode", ["rows", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(mode, dtype):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    ours, theirs = (k.OrthogonalRegularizer(0.5, mode) for k in (regularizers, keras.regularizers))
    watched = tf.Variable(x.astype("float32"))  # Keras keeps the factor as a float32
    with tf.GradientTape() as tape:
        penalty = theirs(watched)
    assert ours(x) == pytest.approx(float(penalty), rel=1e-6)
    assert ours.gradient(x).dtype == dtype
    assert np.allclose(ours.gradient(x), tape.gradient(penalty, watched).numpy(), rtol=1e-5, atol=1e-7)
    assert regularizers.serialize(ours) == keras.regularizers.serialize(theirs)
    assert (
        regularizers.get("orthogonal_regularizer").get_config()
        == keras.regularizers.OrthogonalRegularizer().get_config()
    )
    for make in (lambda: ours(np.ones(3)), lambda: regularizers.OrthogonalRegularizer(0.1, "row")):
        with pytest.raises(ValueError, match=r"must have rank 2|Invalid value for argument `mode`"):
            make()


def test_names():
    for name in ("l1", "L1", "l2", "L2", "L1L2", "l1l2"):
        assert regularizers.get(name).get_config() == keras.regularizers.get(name).get_config()
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}  # as Keras documents the name
    assert regularizers.get(None) is None
    assert regularizers.get(regularizers.L2).l2 == 0.01
    assert regularizers.get({"class_name": "l2", "config": {"l2": 0.5}}).l2 == 0.5
    mine = regularizers.L2(0.5)
    assert regularizers.get(mine) is mine
    assert regularizers.l1_l2 is regularizers.L1L2


def test_a_variable_is_penalised_like_its_array():
    x = Variable(np.arange(6.0).reshape(2, 3))
    for regularizer in (regularizers.L1(), regularizers.L2(), regularizers.L1L2(0.1, 0.1)):
        assert regularizer(x) == regularizer(x.value)
        assert np.array_equal(regularizer.gradient(x), regularizer.gradient(x.value))


def test_ones_own():
    class Lean(regularizers.Regularizer):
        def __init__(self, factor=0.1):
            self.factor = factor

        def __call__(self, x):
            return self.factor * float(np.sum(x))

        def gradient(self, x):
            return np.full_like(x, self.factor)

    config = regularizers.serialize(Lean(0.3))
    assert regularizers.deserialize(config, {"Lean": Lean}).factor == 0.3
    assert regularizers.get(Lean).factor == 0.1
    with pytest.raises(NotImplementedError, match="gradient"):
        regularizers.Regularizer().gradient(np.ones(2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regularizers.L1(-1), ValueError, "l1: expected a non-negative float.*-1"),
        (lambda: regularizers.L2("a"), ValueError, "l2.*'a'"),
        (lambda: regularizers.L1L2(l2=float("nan")), ValueError, "l2.*nan"),
        (lambda: regularizers.L1L2(l1=float("inf")), ValueError, "l1.*inf"),
        (lambda: regularizers.L1(True), ValueError, "l1.*True"),
        (lambda: regularizers.get("l3"), ValueError, "Unknown regularizer 'l3'"),
        (lambda: regularizers.get(3), ValueError, "Could not interpret regularizer identifier: 3"),
        (lambda: regularizers.get(lambda x: 0.0), TypeError, "has no `gradient`"),
        (lambda: regularizers.L3, AttributeError, "no attribute 'L3'"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
