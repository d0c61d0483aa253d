"""Initial values, live against Keras: ranges, spreads, fans, configs; and seeds."""

import random as python_random

import keras
import numpy as np
import pytest
from keras.src.initializers.random_initializers import compute_fans as keras_fans

from minikeras import config, initializers, random, utils

RANDOM = [
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("GlorotUniform", {"input_axes": [0], "output_axes": [1, 2]}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"scale": 0.5, "mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "NORMAL"}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.3}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 2.0}),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 2.0}),
]
FIXED = [("Zeros", {}), ("Ones", {}), ("Constant", {}), ("Constant", {"value": -2.5}), ("Identity", {})]
SHAPE = (40, 25, 60)

each_random = pytest.mark.parametrize(("name", "arguments"), RANDOM)
each = pytest.mark.parametrize(("name", "arguments"), RANDOM + FIXED)


def pair(name, arguments):
    return getattr(initializers, name)(**arguments), getattr(keras.initializers, name)(**arguments)


@each_random
def test_random_values_are_distributed_as_those_of_keras(name, arguments):
    ours, theirs = pair(name, arguments)
    a, b = ours(SHAPE), np.asarray(theirs(SHAPE))
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.float32
    assert a.flags.c_contiguous
    spread = float(b.std())
    assert a.std() == pytest.approx(spread, rel=0.02)  # 60,000 numbers: their spread is known to 0.3%
    assert a.mean() == pytest.approx(float(b.mean()), abs=0.03 * spread)
    quantiles = np.linspace(0.01, 0.99, 50)
    assert np.abs(np.quantile(a, quantiles) - np.quantile(b, quantiles)).max() < 0.06 * spread
    if "Normal" not in name and "normal" not in str(arguments) and name != "Orthogonal":
        assert a.max() == pytest.approx(b.max(), rel=0.01)
        assert a.min() == pytest.approx(b.min(), rel=0.01)


@pytest.mark.parametrize("name", ["GlorotUniform", "HeUniform", "LecunUniform"])
@pytest.mark.parametrize("shape", [(), (9,), (7, 30), (3, 5, 8, 16)])
def test_uniform_limits(name, shape):
    fan_in, fan_out = keras_fans(shape)
    scale, fan = {"GlorotUniform": (1, (fan_in + fan_out) / 2), "HeUniform": (2, fan_in), "LecunUniform": (1, fan_in)}[
        name
    ]
    values = getattr(initializers, name)(seed=random.SeedGenerator(1))
    drawn = np.concatenate([values(shape).ravel() for _ in range(3000 if not shape else 300)])
    limit = np.sqrt(3 * scale / fan)
    assert 0.98 * limit < np.abs(drawn).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", ["GlorotNormal", "HeNormal", "LecunNormal", "TruncatedNormal"])
def test_truncated_normals_stay_within_two_deviations(name):
    initializer = getattr(initializers, name)()
    fan_in, fan_out = keras_fans(SHAPE)
    variance = {"GlorotNormal": 2 / (fan_in + fan_out), "HeNormal": 2 / fan_in, "LecunNormal": 1 / fan_in}.get(name)
    limit = 0.1 if variance is None else 2 * np.sqrt(variance) / 0.87962566103423978
    assert 0.99 * limit < np.abs(initializer(SHAPE)).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize(("name", "arguments"), FIXED)
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_fixed_values_are_those_of_keras(name, arguments, dtype):
    ours, theirs = pair(name, arguments)
    for shape in [(3, 5), (4, 4)]:
        a, b = ours(shape, dtype=dtype), np.asarray(theirs(shape, dtype=dtype))
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


@each
def test_dtype_and_shape(name, arguments):
    initializer = getattr(initializers, name)(**arguments)
    shape = (6, 4) if name == "Identity" else [6, 4, 3]
    assert initializer(shape, "float64").dtype == np.float64
    config.set_floatx("float64")
    assert initializer(shape).dtype == np.float64
    assert initializer(shape).shape == tuple(shape)


@each
def test_config_is_that_of_keras_and_rebuilds_the_object(name, arguments):
    ours, theirs = pair(name, arguments)
    assert ours.get_config() == theirs.get_config()
    assert initializers.serialize(ours) == keras.initializers.serialize(theirs)
    again = initializers.deserialize(initializers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()


@each_random
def test_a_seed_gives_the_same_numbers_at_each_call_and_after_a_round_trip(name, arguments):
    ours, theirs = pair(name, {**arguments, "seed": 5})
    assert ours.get_config() == theirs.get_config()
    once = ours((6, 5, 4))
    assert np.array_equal(once, ours((6, 5, 4)))
    assert np.array_equal(once, ours.from_config(ours.get_config())((6, 5, 4)))
    assert not np.array_equal(once, getattr(initializers, name)(**{**arguments, "seed": 6})((6, 5, 4)))


@each_random
def test_without_a_seed_one_is_drawn_by_the_constructor(name, arguments):
    make = getattr(initializers, name)
    python_random.seed(3)
    seed = python_random.randint(1, 10**9)
    expected = make(**arguments, seed=seed)((4, 3, 2))
    python_random.seed(3)
    unseeded = make(**arguments)
    assert unseeded.get_config()["seed"] is None
    python_random.seed(99)
    assert np.array_equal(unseeded((4, 3, 2)), expected)
    assert np.array_equal(unseeded((4, 3, 2)), expected)
    assert not np.array_equal(unseeded.clone()((4, 3, 2)), expected)


def test_draws_happen_where_keras_draws():
    def seeds(module):
        python_random.seed(8)
        made = [
            module.GlorotUniform(),
            module.Zeros(),
            module.HeNormal(seed=3),
            module.Orthogonal(),
            module.get("uniform"),
        ]
        return python_random.randint(1, 10**9), made

    (ours, a), (theirs, b) = seeds(initializers), seeds(keras.initializers)
    assert ours == theirs
    for i in (0, 2, 3, 4):
        assert a[i].drawn_seed == b[i].seed


def test_a_seed_generator_gives_new_numbers_each_time():
    generator = random.SeedGenerator(4, name="s")
    initializer = initializers.RandomNormal(seed=generator)
    assert not np.array_equal(initializer((5,)), initializer((5,)))
    assert generator.state.tolist() == [4, 2]
    theirs = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(4, name="s"))
    assert initializer.get_config() == theirs.get_config()
    again = initializers.RandomNormal.from_config(initializer.get_config())
    assert np.array_equal(again((5,)), initializers.RandomNormal(seed=4)((5,)))


def test_seed_states_move_as_those_of_keras():
    ours, theirs = random.SeedGenerator(7, "s"), keras.random.SeedGenerator(7, "s")
    for ordered in (True, True, False, False, True):
        assert ours.next(ordered).tolist() == np.asarray(theirs.next(ordered)).tolist()
    assert ours.state.tolist() == np.asarray(theirs.state).tolist()
    assert ours.get_config() == theirs.get_config()


def test_set_random_seed_restarts_everything():
    def numbers():
        utils.set_random_seed(12)
        ours = random.normal((3,))
        return [
            *ours,
            *random.normal((3,)),
            *initializers.GlorotUniform()((3,)),
            python_random.random(),
            np.random.rand(),
        ]

    assert numbers() == numbers()
    assert len(set(numbers())) == len(numbers())
    assert random._global_seed == 12
    utils.set_random_seed(12)
    python = python_random.random(), np.random.rand()
    keras.utils.set_random_seed(12)
    assert python == (python_random.random(), np.random.rand())


def test_functions_of_random():
    assert random.uniform((1000,), 2.0, 3.0, seed=1).min() >= 2
    assert random.uniform((1000,), 2.0, 3.0, seed=1).max() < 3
    assert random.normal((2, 3), dtype="float64", seed=1).dtype == np.float64
    assert np.abs(random.truncated_normal((5000,), seed=1)).max() < 2
    assert np.array_equal(random.uniform((5,), seed=1), random.uniform((5,), seed=1))
    assert not np.array_equal(random.uniform((5,)), random.uniform((5,)))
    assert random.normal((), seed=2).shape == ()
    assert random.uniform((0, 3), seed=2).shape == (0, 3)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (3, 5, 8, 16), (1, 1, 1, 7), (0, 4)])
def test_fans_are_those_of_keras(shape):
    assert initializers.compute_fans(shape) == keras_fans(shape)
    if len(shape) > 2:
        assert initializers.compute_fans(shape, [0, 1], [2]) == keras_fans(shape, [0, 1], [2])


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 3, 2, 5), (2, 2, 1, 20)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_is_orthogonal(shape, gain):
    matrix = initializers.Orthogonal(gain=gain)(shape, "float64").reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    assert np.allclose(matrix.T @ matrix, gain**2 * np.eye(matrix.shape[1]), atol=1e-12)


def test_identity_keeps_its_gain():
    again = initializers.deserialize(initializers.serialize(initializers.Identity(2.0)))
    assert np.array_equal(again((2, 3)), 2 * np.eye(2, 3, dtype="float32"))


def test_names():
    for name in dir(keras.initializers):
        if name.startswith("_") or "stft" in name.lower():
            continue
        assert hasattr(initializers, name), name
        theirs = getattr(keras.initializers, name)
        assert getattr(initializers, name).__name__ == theirs.__name__
    for name in (
        "glorot_uniform",
        "GlorotUniform",
        "zeros",
        "zero",
        "one",
        "normal",
        "uniform",
        "he_normal",
        "identity",
    ):
        ours, theirs = initializers.get(name), keras.initializers.get(name)
        assert type(ours).__name__ == type(theirs).__name__
        assert ours.get_config() == theirs.get_config()
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get({"class_name": "zeros", "config": {}})((2,)).tolist() == [0, 0]
    mine = initializers.HeNormal()
    assert initializers.get(mine) is mine


def test_functions_arrays_and_ones_own():
    def steps(shape, dtype=None):
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    class Steps(initializers.Initializer):
        def __init__(self, start=0):
            self.start = start

        def __call__(self, shape, dtype=None):
            return steps(shape, dtype) + self.start

    assert initializers.get(steps)((2, 2), dtype="float32").tolist() == [[0, 1], [2, 3]]
    assert initializers.get(np.arange(3))((3,)).dtype == np.float32
    with pytest.raises(ValueError, match=r"be \(3,\).*received \(2,\)"):
        initializers.get(np.arange(3))((2,))
    config = initializers.serialize(Steps(2))
    assert initializers.deserialize(config, {"Steps": Steps})((2,)).tolist() == [2, 3]
    assert initializers.get(Steps)((2,)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.get("glorot_unifrm"), ValueError, "Did you mean 'glorot_uniform'"),
        (lambda: initializers.get(3), ValueError, "Could not interpret initializer identifier: 3"),
        (lambda: initializers.VarianceScaling(scale=-1), ValueError, "must be positive.*-1"),
        (lambda: initializers.VarianceScaling(scale=float("nan")), ValueError, "must be positive.*nan"),
        (lambda: initializers.VarianceScaling(mode="x"), ValueError, "'x'.*'fan_in'"),
        (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "'x'.*truncated_normal"),
        (lambda: initializers.RandomNormal(seed="x"), ValueError, "RandomNormal: `seed`.*'x'"),
        (lambda: initializers.HeNormal(seed=1.5), ValueError, "HeNormal: `seed`.*1.5"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, r"two axes, received \(3,\)"),
        (lambda: initializers.Identity()((3,)), ValueError, r"matrix.*\(3,\)"),
        (lambda: initializers.Initializer()((3,)), NotImplementedError, "__call__"),
        (lambda: initializers.GlorotUnifrom, AttributeError, "Did you mean 'GlorotUniform'"),
        (lambda: random.SeedGenerator("x"), ValueError, "SeedGenerator.*'x'"),
        (lambda: random.normal((2,), seed=1.5), ValueError, "seed.*1.5"),
        (lambda: random.set_random_seed(-1), ValueError, "-1"),
        (lambda: random.set_random_seed(2**32), ValueError, "4294967296"),
        (lambda: random.set_random_seed(1.5), ValueError, "1.5"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
