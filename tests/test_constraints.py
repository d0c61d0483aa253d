"""Where weights are put back to after each step, live against Keras; and that layers, files and steps know of it."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import minikeras
from minikeras import constraints, optimizers
from minikeras.variables import Variable

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

CASES = [
    ("Constraint", {}),
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.5, "max_value": 2.0, "rate": 0.3, "axis": -1}),
]
each_case = pytest.mark.parametrize(("name", "arguments"), CASES)

#: Layers with weights that take constraints, and the shape of a sample.
LAYERS = {
    "Dense": (lambda k, **c: k.layers.Dense(3, **c), (4,)),
    "Conv2D": (lambda k, **c: k.layers.Conv2D(3, 2, **c), (5, 5, 2)),
    "Conv2DTranspose": (lambda k, **c: k.layers.Conv2DTranspose(3, 2, **c), (4, 4, 2)),
    "DepthwiseConv2D": (lambda k, **c: k.layers.DepthwiseConv2D(2, **c), (5, 5, 2)),
    "SeparableConv2D": (lambda k, **c: k.layers.SeparableConv2D(3, 2, **c), (5, 5, 2)),
    "Embedding": (lambda k, **c: k.layers.Embedding(7, 3, **c), (4,)),
    "BatchNormalization": (lambda k, **c: k.layers.BatchNormalization(**c), (4,)),
    "LayerNormalization": (lambda k, **c: k.layers.LayerNormalization(**c), (4,)),
    "PReLU": (lambda k, **c: k.layers.PReLU(**c), (4,)),
}


def arguments_of(name):
    """Return the constraints that Keras's layer takes."""
    return [n for n in inspect.signature(getattr(keras.layers, name).__init__).parameters if n.endswith("_constraint")]


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 0.01, 0.0])
def test_weights_end_where_keras_puts_them(name, arguments, dtype, scale):
    w = (scale * np.random.default_rng(0).normal(size=(5, 7, 2))).astype(dtype)
    before = w.copy()
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    found = ours(w)
    assert found.dtype == dtype
    assert np.allclose(found, theirs(tf.constant(w)).numpy(), rtol=2e-6, atol=1e-7)
    assert np.array_equal(w, before)
    assert np.array_equal(ours(Variable(w, dtype=dtype)), found)


@each_case
def test_config_is_that_of_keras_and_rebuilds_the_object(name, arguments):
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert constraints.serialize(ours) == keras.constraints.serialize(theirs)
    again = constraints.deserialize(constraints.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("name", ["max_norm", "MaxNorm", "non_neg", "unit_norm", "min_max_norm", "NonNeg"])
def test_names(name):
    assert constraints.get(name).get_config() == keras.constraints.get(name).get_config()
    if "_" in name:
        assert getattr(constraints, name).__name__ == getattr(keras.constraints, name).__name__


def test_what_get_takes():
    mine = constraints.MaxNorm(3)
    assert constraints.get(None) is None
    assert constraints.get(mine) is mine
    assert isinstance(constraints.get(constraints.UnitNorm), constraints.UnitNorm)
    assert constraints.get(np.abs) is np.abs
    assert constraints.get({"class_name": "MaxNorm", "config": {"max_value": 4, "axis": 0}}).max_value == 4  # Keras 2
    for wrong in ("max_nrm", 3):
        with pytest.raises(ValueError, match=r"nknown constraint|Could not interpret constraint identifier: 3"):
            constraints.get(wrong)
    with pytest.raises(AttributeError, match="Did you mean 'MaxNorm'"):
        _ = constraints.MaxNrm


@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_the_constraints_that_those_of_keras_take(name):
    make, _ = LAYERS[name]
    taken = arguments_of(name)
    assert taken
    ours, theirs = (make(k, **dict.fromkeys(taken, "unit_norm"), name="it") for k in (minikeras, keras))
    for argument in taken:
        assert isinstance(getattr(ours, argument), constraints.UnitNorm)
        assert ours.get_config()[argument] == theirs.get_config()[argument]
        assert make(minikeras).get_config()[argument] is None
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()


def pair_of_models(name, given, optimizer):
    """Return the same model twice, with the same weights, compiled."""
    make, shape = LAYERS[name]
    models = []
    for k in (minikeras, keras):
        layer = make(k, **given(k), name="it")
        model = k.Sequential([k.Input(shape), layer, k.layers.Flatten(), k.layers.Dense(1)])
        model.compile(optimizer(k), "mse")
        models.append(model)
    models[0].set_weights(models[1].get_weights())
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (24, *shape)) if name == "Embedding" else rng.normal(size=(24, *shape))
    return models, x.astype("float32"), rng.normal(size=(24, 1)).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_training_is_that_of_keras_and_files_go_both_ways(name, tmp_path):
    def given(k):
        return {argument: k.constraints.MaxNorm(0.3, axis=0) for argument in arguments_of(name)}

    (ours, theirs), x, y = pair_of_models(name, given, lambda k: k.optimizers.SGD(0.05))
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    both = [ours, theirs, minikeras.models.load_model(tmp_path / "theirs.keras")]
    both.append(keras.models.load_model(tmp_path / "ours.keras"))
    for model in both:
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for model in both:
        for a, b in zip(model.get_weights(), both[1].get_weights(), strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=2e-6)
    for argument in arguments_of(name):
        weight = argument.removesuffix("_constraint")
        weight = {"depthwise": "kernel" if name == "DepthwiseConv2D" else "depthwise_kernel"}.get(weight, weight)
        weight = {"pointwise": "pointwise_kernel"}.get(weight, weight)
        norms = np.sqrt(np.square(getattr(ours.layers[0], weight).value).sum(0))
        assert norms.max() <= 0.3 + 1e-5


def test_a_frozen_layer_stays_where_it_is():
    dense = minikeras.layers.Dense(2, kernel_constraint="unit_norm", trainable=False)
    model = minikeras.Sequential([minikeras.Input((3,)), dense, minikeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = dense.get_weights()
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(dense.get_weights(), before, strict=True))


def test_ones_own_function_and_class():
    class Clipped(constraints.Constraint):
        def __init__(self, most=0.1):
            self.most = most

        def __call__(self, w):
            return np.clip(w, -self.most, self.most)

    for constraint in (Clipped(), lambda w: np.clip(w, -0.1, 0.1)):
        v = Variable(np.ones((2, 2)), constraint=constraint)
        optimizers.SGD(0.5).apply([np.ones((2, 2))], [v])
        assert np.allclose(v.value, 0.1)
    assert constraints.deserialize(constraints.serialize(Clipped(0.3)), {"Clipped": Clipped}).most == 0.3
    with pytest.raises(ValueError, match="Invalid value for attribute `constraint`"):
        v.constraint = 3


@pytest.mark.parametrize("wrong", [lambda w: w[0], lambda w: 1 / 0])
def test_a_constraint_that_fails_leaves_all_as_it_was(wrong):
    v = Variable(np.ones((2, 2)), constraint=wrong)
    optimizer = optimizers.Adam(use_ema=True)
    optimizer.build([v])
    before = [w.numpy() for w in (v, *optimizer.variables)]
    with pytest.raises((ValueError, ZeroDivisionError)):
        optimizer.apply([np.ones((2, 2))])
    assert all(np.array_equal(a, b.value) for a, b in zip(before, (v, *optimizer.variables), strict=True))
