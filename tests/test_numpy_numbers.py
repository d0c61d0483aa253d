"""Options that are numbers of NumPy's, such as `np.float64(0.2)`, do what Python's do: float32 stays float32."""

import inspect

import numpy as np
import pytest
from layer_table import LAYERS, random_weights

import minikeras
from minikeras import activations, initializers, losses, optimizers, regularizers

FORMS = {
    "scalar": lambda value: np.float64(value) if isinstance(value, float) else np.int64(value),
    "array": lambda value: np.array(value, "float64" if isinstance(value, float) else "int64"),
}


def of_numpy(value, form):
    """A config with NumPy's numbers in place of Python's; those of shapes stay."""
    if isinstance(value, dict):
        return {k: v if k in ("build_config", "axis") else of_numpy(v, form) for k, v in value.items()}
    return FORMS[form](value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def assert_same_bits(ours, expected):
    ours, expected = np.asarray(ours), np.asarray(expected)
    assert ours.dtype == expected.dtype
    assert ours.tobytes() == expected.tobytes()


def numbers_of(layer, case):
    """What a layer computes: outputs, gradients, weights."""
    generator = np.random.default_rng(0)
    layer.ensure_built(case.batch_shape())
    for v, w in zip(layer.weights, random_weights(layer.weights, generator), strict=True):
        v.assign(w)
    x = case.data(generator)
    numbers = []
    for training in (False, True):
        minikeras.utils.set_random_seed(0)
        y, cache = layer.forward(x, training)
        dx = layer.backward(generator.normal(size=y.shape).astype("float32"), cache)
        numbers += [y, *(dx if case.joins else [dx])]
    return [*numbers, layer(x), *(v.gradient for v in layer.trainable_weights), *layer.get_weights()]


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers_with_numbers_of_numpy_compute_the_same_bits(case):
    results = []
    for change in (lambda config: config, lambda config: of_numpy(config, "scalar")):
        minikeras.utils.set_random_seed(0)
        made = case.make(minikeras)
        results.append(numbers_of(type(made).from_config(change(made.get_config())), case))
    for ours, expected in zip(*reversed(results), strict=True):
        assert_same_bits(ours, expected)


WITH_OPTIONS = [
    (activations.relu, {"negative_slope": 0.1}),
    (activations.relu, {"max_value": 0.5}),
    (activations.relu, {"negative_slope": 0.1, "max_value": 0.5, "threshold": 0.2}),
    (activations.leaky_relu, {"negative_slope": 0.1}),
    (activations.elu, {"alpha": 0.7}),
    (activations.softmax, {"axis": 1}),
    (activations.log_softmax, {"axis": 1}),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("function", "options"), WITH_OPTIONS)
def test_activations_with_numbers_of_numpy_compute_the_same_bits(function, options, form):
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    theirs = of_numpy(options, form)
    assert_same_bits(function(x, **theirs), function(x, **options))
    bound, expected = function.bind(**theirs), function.bind(**options)
    assert_same_bits(bound(x), expected(x))
    assert_same_bits(bound.gradient(x, x, bound(x)), expected.gradient(x, x, expected(x)))


def classes_of(room, base):
    return [
        c
        for name in room.__all__
        if isinstance(c := getattr(room, name), type) and issubclass(c, base) and c is not base
    ]


def floats_of(cls):
    """The options of a constructor that are floats."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        p.name: 0.25 if p.default is None or p.default == 0 else p.default
        for p in parameters
        if "float" in str(p.annotation)
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", classes_of(initializers, minikeras.Initializer))
def test_initializers_with_numbers_of_numpy_draw_the_same_bits(cls, form):
    options = floats_of(cls)
    shape = (4, 4)
    minikeras.utils.set_random_seed(0)
    expected = cls(**options)(shape)
    minikeras.utils.set_random_seed(0)
    assert_same_bits(cls(**of_numpy(options, form))(shape), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", classes_of(regularizers, minikeras.Regularizer))
def test_regularizers_with_numbers_of_numpy_compute_the_same_bits(cls, form):
    options, w = floats_of(cls), np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    ours, expected = cls(**of_numpy(options, form)), cls(**options)
    assert ours(w) == expected(w)
    assert_same_bits(ours.gradient(w), expected.gradient(w))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", classes_of(losses, minikeras.Loss))
def test_losses_with_numbers_of_numpy_compute_the_same_bits(cls, form):
    if cls is losses.LossFunctionWrapper:
        return
    options = floats_of(cls)
    takes_classes = cls.__name__.startswith(("Sparse", "Circle", "CategoricalGeneralized"))
    y_true = np.arange(3) if takes_classes else np.eye(3, dtype="float32")
    y_pred = np.random.default_rng(0).uniform(0.1, 0.9, (3, 3)).astype("float32")
    if cls is losses.CTC:
        y_true, y_pred = np.array([[1], [2]]), np.stack([y_pred, y_pred[::-1]])
    (value, gradient), (expected, their_gradient) = (
        made.value_and_gradient(y_true, y_pred) for made in (cls(**of_numpy(options, form)), cls(**options))
    )
    assert value == expected
    assert_same_bits(gradient, their_gradient)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", classes_of(optimizers, minikeras.Optimizer))
def test_optimizers_with_numbers_of_numpy_take_the_same_steps(cls, form):
    options = {n: v for n, v in floats_of(cls).items() if n not in ("clipnorm", "clipvalue", "global_clipnorm")}
    options["learning_rate"] = 0.1
    if "ema_momentum" in options:
        options["ema_momentum"] = 0.99
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    results = []
    for given in (options, of_numpy(options, form)):
        for clip in ({}, {"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}):
            minikeras.utils.set_random_seed(0)
            model = minikeras.Sequential([minikeras.Input((4,)), minikeras.layers.Dense(3)])
            optimizer = cls(**given, **(clip if given is options else of_numpy(clip, form)))
            model.compile(optimizer, "mse")
            model.fit(x, x[:, :3], epochs=2, batch_size=4, verbose=0)
            results.append([*model.get_weights(), *(np.asarray(v) for v in optimizer.variables)])
    half = len(results) // 2
    for ours, expected in zip(results[half:], results[:half], strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert_same_bits(a, b)
