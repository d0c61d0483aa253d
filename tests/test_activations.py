"""Activations: values and derivatives as TensorFlow's, in both float types, at kinks and far out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import minikeras
from minikeras import activations
from minikeras.common.differentiable import differentiable

CASES = [
    (name, {})
    for name in [
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "sigmoid",
        "log_sigmoid",
        "tanh",
        "tanh_shrink",
        "silu",
        "swish",
        "softplus",
        "softsign",
        "mish",
        "exponential",
        "elu",
        "selu",
        "softmax",
        "log_softmax",
        "gelu",
    ]
] + [
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 1.0}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": -1.0}),
    ("relu", {"threshold": -1.0, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 0.5}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 2.0}),
    ("gelu", {"approximate": True}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("log_softmax", {"axis": 1}),
]
CORNERS = np.array([-6, -3, -1, -0.5, 0, 0.5, 1, 3, 6])
INPUTS = {
    "odd shape": np.random.default_rng(1).normal(0, 3, (3, 5, 7)),
    "small": np.array([[[0.3, -0.2]], [[0.1, 0.4]]]),
    "corners": np.tile(CORNERS, (2, 2, 1)),
    "far": np.tile([-1e4, -200.0, -90.0, -20.0, 20.0, 60.0], (2, 2, 1)),
}
IDS = [name + "".join(f" {k}={v}" for k, v in options.items()) for name, options in CASES]


def of_tensorflow(name, options, x, dy):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = getattr(keras.activations, name)(x, **options)
    return y.numpy(), tape.gradient(y, x, dy).numpy()


def assert_close(ours, theirs, tolerance):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1e-3, np.abs(theirs).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_value_and_derivative_are_those_of_tensorflow(name, options, kind, dtype):
    if name == "elu" and kind == "far" and options:
        pytest.skip("tf.where there multiplies an infinity by 0")
    x = INPUTS[kind].astype(dtype)
    dy = np.random.default_rng(2).normal(size=x.shape).astype(dtype)
    function = getattr(activations, name)
    y = function(x, **options)
    dx = function.gradient(dy, x, y, **options)
    assert y.dtype == dx.dtype == dtype
    their_y, their_dx = of_tensorflow(name, options, x, dy)
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    if dtype == "float64" and name in ("relu", "leaky_relu", "gelu"):
        tolerance = 1e-7  # TensorFlow keeps their constants as float32; the measured slopes below are stricter
    assert_close(y, their_y, tolerance)
    assert_close(dx, their_dx, 2 * tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_derivative_is_the_measured_slope(name, options):
    function = getattr(activations, name)
    generator = np.random.default_rng(3)
    x = generator.normal(0, 2, (4, 3, 5))
    x = np.where(np.abs(x % 0.5) < 0.01, x + 0.02, x)  # every kink in the table is a multiple of 1/2
    dy, step = generator.normal(size=x.shape), 1e-5
    claimed = function.gradient(dy, x, function(x, **options), **options)
    for place in [tuple(generator.integers(x.shape)) for _ in range(20)]:
        h = np.zeros_like(x)
        h[place] = step
        slope = np.sum(dy * (function(x + h, **options) - function(x - h, **options))) / (2 * step)
        assert claimed[place] == pytest.approx(slope, abs=1e-6 * max(1, np.abs(claimed).max()))


@pytest.mark.parametrize("name", [name for name, options in CASES if not options])
def test_nothing_overflows_and_arguments_stay(name):
    function = getattr(activations, name)
    x = np.array([[-1e30, -1e3, -88.5, 0, 88.5, 1e3, 1e30]], "float32")
    if name == "tanh_shrink":
        x = x[:, 1:-1]
    before = x.copy()
    y = function(x)
    dx = function.gradient(np.ones_like(x), x, y)
    np.testing.assert_array_equal(x, before)
    if name != "exponential":
        assert np.isfinite(y).all()
        assert np.isfinite(dx).all()


def test_gelu_is_exact_to_rounding():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-30, 10, 40_001)
    np.testing.assert_allclose(activations.normal_cdf(x), special.ndtr(x), rtol=1e-13)
    near = np.linspace(-8, 8, 40_001, dtype="float32")
    assert activations.normal_cdf(near).dtype == np.float32
    np.testing.assert_allclose(activations.normal_cdf(near), special.ndtr(near.astype(float)), rtol=1e-5, atol=2e-7)


def test_lists_and_integers_become_floats():
    assert activations.relu([-1, 2]).dtype == np.float32
    assert activations.sigmoid(np.array([0, 1])).dtype == np.float32
    minikeras.config.set_floatx("float64")
    assert activations.tanh([1.0]).dtype == np.float64


def test_softmax_over_one_element_warns_as_keras_does():
    with pytest.warns(UserWarning, match="size 1"):
        keras.activations.softmax(tf.ones((2, 1)))
    with pytest.warns(UserWarning, match="size 1.*sigmoid") as caught:
        assert activations.softmax(np.ones((2, 1))).tolist() == [[1], [1]]
    assert caught[0].filename == __file__


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(activations.relu) is activations.relu

    @differentiable
    def cube(x):
        return x**3

    with pytest.raises(TypeError, match="'cube' has no derivative yet"):
        activations.get(cube)
    cube.derivative(lambda dy, x, y: 3 * x * x * dy)
    assert activations.get(cube) is cube

    class LayerLike:
        def forward(self, x, training): ...

        def backward(self, dy, cache): ...

    layer = LayerLike()
    assert activations.get(layer) is layer


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("rellu", ValueError, "rellu.*Did you mean 'relu'"),
        (np.tanh, TypeError, "bare function.*Pass the name 'tanh'"),
        (lambda x: x, TypeError, "derivative.*@differentiable.*def f_gradient"),
        (keras.layers.ReLU, TypeError, r"class ReLU; write ReLU\(\)"),
        (3, TypeError, "received 3"),
    ],
)
def test_get_refuses(given, error, words):
    with pytest.raises(error, match=words):
        activations.get(given)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_names_are_those_of_keras(name):
    ours = activations.get(name)
    assert activations.serialize(ours) == keras.activations.serialize(keras.activations.get(name))
    assert activations.deserialize(activations.serialize(ours)) is ours


def test_a_misspelt_attribute_gets_a_suggestion():
    with pytest.raises(AttributeError, match="Did you mean 'softmax'"):
        activations.sofmax  # noqa: B018
    assert all(hasattr(activations, name) for name in activations.__all__)
