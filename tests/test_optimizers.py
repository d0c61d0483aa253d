"""Optimizers, schedules and update kernels, live against Keras."""

import copy
import pickle
import re

import keras
import numba
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import minikeras
from minikeras import config, functional, optimizers
from minikeras.functional import updates
from minikeras.optimizers import schedules
from minikeras.variables import Parameters, Variable

SHAPES = [(3, 3, 2, 5), (5,), (17, 4), (4,), (1,)]
STEPS = 100

OPTIONS = [
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 1.5},
    {"weight_decay": 0.2},
    {"weight_decay": 0.1, "clipnorm": 0.5},
    {"learning_rate": 0.3},
    {"gradient_accumulation_steps": 3, "clipnorm": 0.7, "weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
    {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 3, "loss_scale_factor": 8.0},
]
RULES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.5, "epsilon": 1e-3}),
    ("RMSprop", {"momentum": 0.8}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.0, "beta_2": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("AdamW", {}),
    ("AdamW", {"amsgrad": True, "beta_2": 0.9}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adamax", {}),
    ("Adamax", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0, "epsilon": 1e-4}),  # with smaller numbers it hardly moves
    ("Adadelta", {"learning_rate": 1.0, "epsilon": 1e-3, "rho": 0.5}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.9}),
]
RATES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 2.0, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [10, 40, 41], "values": [0.1, 0.02, 0.3, 0.001]}),
    ("PiecewiseConstantDecay", {"boundaries": [10], "values": [0.1, 0.02]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 60}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 60, "power": 2.0, "end_learning_rate": 0.02}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 13, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 60}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 13}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 12, "t_mul": 1.0, "alpha": 0.1}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 11, "t_mul": 1.5, "m_mul": 0.7}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 60, "alpha": 0.2}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 60, "warmup_target": 0.1, "warmup_steps": 15}),
    ("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 9, "warmup_target": 0.1, "alpha": 0.1}),
]
each_rule = pytest.mark.parametrize(("name", "options"), RULES)
each_schedule = pytest.mark.parametrize(("name", "arguments"), RATES)


def pair(name, options):
    return getattr(optimizers, name)(**options), getattr(keras.optimizers, name)(**options)


def weights(dtype="float32", seed=0):
    """Return the same variables twice: ours, and Keras's."""
    rng = np.random.default_rng(seed)
    first = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    ours = [Variable(w, dtype=dtype, name=f"w{i}") for i, w in enumerate(first)]
    theirs = [keras.Variable(w, dtype=dtype, name=f"w{i}") for i, w in enumerate(first)]
    return ours, theirs


def gradients(dtype="float32", seed=1, scale=1.0):
    rng = np.random.default_rng(seed)
    while True:
        yield [(scale * rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def distance(ours, theirs):
    """Return the largest difference, in units of the largest magnitude, over all variables."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)]
    return max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(b).max() for _, b in pairs)


def run_both(ours, theirs, dtype="float32", steps=STEPS, graph=True):
    """Let two optimizers follow the same gradients; return the distance of the weights.

    Keras's steps are compiled, which is faster, unless `graph` is False.
    """
    w, kw = weights(dtype)
    start = [v.numpy() for v in w]
    stream = gradients(dtype)
    theirs.build(kw)
    their_step = (tf.function if graph else lambda f: f)(lambda g: theirs.apply(g, kw))
    for _ in range(steps):
        g = next(stream)
        ours.apply(g, w)
        their_step([tf.constant(x) for x in g])
    assert distance(start, kw) > 1e-3  # they went somewhere
    return distance(w, kw)


# The same steps as Keras --------------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("more", [{}, *OPTIONS], ids=lambda more: "-".join(more) or "plain")
def test_a_hundred_steps_are_those_of_keras(name, options, more):
    ours, theirs = pair(name, {**options, **more})
    assert run_both(ours, theirs) < 1e-6
    assert len(ours.variables) == len(theirs.variables)
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        # Adadelta's means of squared steps feed on themselves, and so do their roundings.
        assert distance([a], [b]) < (5e-6 if a.path.endswith("delta_var") else 1e-6), a.path


@pytest.mark.parametrize(
    ("rule", "schedule"), [*((rule, RATES[-2]) for rule in RULES), *((RULES[9], rate) for rate in RATES)], ids=str
)
def test_schedules_are_followed(rule, schedule):
    (name, options), (schedule, arguments) = rule, schedule
    options = {k: v for k, v in options.items() if k != "learning_rate"}
    ours = getattr(optimizers, name)(getattr(schedules, schedule)(**arguments), **options)
    theirs = getattr(keras.optimizers, name)(getattr(keras.optimizers.schedules, schedule)(**arguments), **options)
    # TensorFlow's graphs turn step / 13 into step * (1 / 13), which rounds up to the next cycle.
    assert run_both(ours, theirs, graph="cycle" not in arguments) < 1e-6
    assert float(ours.learning_rate) == pytest.approx(float(theirs.learning_rate), rel=1e-6, abs=1e-8)


@each_rule
def test_float64_stays_float64(name, options):
    # Keras rounds Python floats to float32 on their way to float64; these lose nothing.
    exact = {"momentum": 0.875, "rho": 0.75, "beta_1": 0.75, "beta_2": 0.875, "epsilon": 2**-20}
    exact["initial_accumulator_value"] = 0.125
    options = {k: exact.get(k, v) if v else v for k, v in options.items()}
    arguments = getattr(optimizers, name)(**options).get_config()
    options |= {k: v for k, v in exact.items() if k in arguments and k not in options and k != "momentum"}
    ours, theirs = pair(name, {**options, "weight_decay": 0.0625, "learning_rate": 2**-9})
    # Keras rounds Nadam's constant 0.96 to float32 on its way to float64.
    assert run_both(ours, theirs, "float64") < (1e-8 if name == "Nadam" else 1e-12)
    config.set_floatx("float64")
    assert getattr(optimizers, name)(learning_rate=0.1).get_config()["learning_rate"] == 0.1


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@each_rule
def test_extreme_gradients(name, options, scale):
    rate = 1e-2 / scale if name == "SGD" else 0.01
    ours, theirs = pair(name, {**options, "learning_rate": rate})
    start, _ = weights()
    w, kw = weights()
    stream = gradients(scale=scale)
    for _ in range(20):
        g = next(stream)
        ours.apply(g, w)
        theirs.apply([tf.constant(x) for x in g], kw)
    assert distance(w, kw) < 1e-6
    assert all(np.isfinite(v.value).all() for v in w)
    assert name == "SGD" or start[0].value.shape == w[0].shape


@pytest.mark.parametrize("name", sorted({name for name, _ in RULES}))
@pytest.mark.parametrize("clip", [{"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 1.0}, {}])
@pytest.mark.parametrize("value", [0.0, 1e30, np.inf, np.nan])
def test_odd_gradients_end_as_those_of_keras(name, clip, value):
    ours, theirs = pair(name, clip)
    w, kw = weights()
    g = next(gradients())
    g[1] *= 0
    g[2][0, 0] = value
    ours.apply(g, w)
    theirs.apply([tf.constant(x) for x in g], kw)
    for a, b in zip(w, kw, strict=True):
        assert np.allclose(a.value, b.numpy(), rtol=1e-6, atol=1e-6, equal_nan=True)


def test_excluded_from_weight_decay():
    for excluded in ({"var_names": ["w1", "w2"]}, {"var_list": 1}):
        ours, theirs = pair("SGD", {"weight_decay": 0.5, "learning_rate": 0.1})
        w, kw = weights()
        for optimizer, variables in ((ours, w), (theirs, kw)):
            listed = {"var_list": variables[:2]} if "var_list" in excluded else excluded
            optimizer.exclude_from_weight_decay(**listed)
        for g in [next(gradients())] * 3:
            ours.apply(g, w)
            theirs.apply([tf.constant(x) for x in g], kw)
        assert distance(w, kw) < 1e-6
        with pytest.raises(ValueError, match="before"):
            ours.exclude_from_weight_decay(var_names=["bias"])


@each_rule
def test_steps_over_some_of_the_variables(name, options):
    ours, theirs = pair(name, {**options, "weight_decay": 0.1, "global_clipnorm": 2.0})
    w, kw = weights()
    ours.build(w)
    theirs.build(kw)
    stream = gradients()
    for chosen in ([0, 1, 2, 3, 4], [0, 1, 4], [0, 1, 4], [2], [0, 1, 2, 3, 4], [4, 1]):
        g = next(stream)
        ours.apply([g[i] for i in chosen], [w[i] for i in chosen])
        theirs.apply([tf.constant(g[i]) for i in chosen], [kw[i] for i in chosen])
        assert distance(w, kw) < 1e-6
    assert ours.iterations == 6 == theirs.iterations


def test_gradients_of_none_are_left_out_with_a_warning():
    ours, theirs = pair("Adam", {})
    w, kw = weights()
    g = next(gradients())
    g[2] = None
    with pytest.warns(UserWarning, match="w2"):
        ours.apply(g, w)
    with pytest.warns(UserWarning, match="w2"):
        theirs.apply(g, kw)
    assert distance(w, kw) < 1e-6


# State --------------------------------------------------------------------------------------------------------------


@each_rule
def test_variables_have_the_order_names_and_shapes_of_keras(name, options):
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, name="foo"), keras.layers.Dense(2)])
    theirs = getattr(keras.optimizers, name)(**options, name="it")
    theirs.build(inner.trainable_variables)
    w = [Variable(v.numpy(), name=v.name) for v in inner.trainable_variables]
    for a, b in zip(w, inner.trainable_variables, strict=True):
        a.path = b.path
    ours = getattr(optimizers, name)(**options, name="it")
    ours.build(w)

    def description(optimizer):
        # Nadam's product has no name of its own: "variable", and a number that counts all such in the process.
        names = [[re.sub(r"^variable_\d+$", "variable", n) for n in (v.path, v.name)] for v in optimizer.variables]
        rest = [(tuple(v.shape), v.dtype, float(np.sum(v.numpy()))) for v in optimizer.variables]
        return list(zip(names, rest, strict=True))

    assert description(ours) == description(theirs)
    schedule = {"initial_learning_rate": 0.1, "decay_steps": 10}
    ours.learning_rate = schedules.CosineDecay(**schedule)
    theirs.learning_rate = keras.optimizers.schedules.CosineDecay(**schedule)
    assert description(ours) == description(theirs)


@each_rule
def test_state_that_is_read_and_assigned_continues_the_run(name, options):
    first, second = pair(name, options)[0], pair(name, options)[0]
    a, b = weights()[0], weights()[0]
    stream = gradients()
    for _ in range(5):
        first.apply(next(stream), a)
    second.build(b)
    for mine, other in zip([*b, *second.variables], [*a, *first.variables], strict=True):
        mine.assign(other.numpy())
    for _ in range(5):
        g = next(stream)
        first.apply(g, a)
        second.apply(g, b)
    assert second.iterations == 10
    assert all(np.array_equal(x.value, y.value) for x, y in zip(a, b, strict=True))
    assert all(np.array_equal(x.value, y.value) for x, y in zip(first.variables, second.variables, strict=True))


def test_slots_can_be_assigned_in_mid_run():
    ours, (w, _) = optimizers.SGD(1.0, momentum=0.5), weights()
    g = [np.zeros(s, "float32") for s in SHAPES]
    ours.apply(g, w)
    before = w[2].numpy()
    ours.variables[2 + 2].assign(np.full(SHAPES[2], 8.0))
    ours.apply(g, w)
    assert np.allclose(w[2].value, before + 4)
    assert (ours.variables[4].value == 4).all()


def test_variables_may_move_to_another_vector():
    ours, theirs = pair("Adam", {})
    w, kw = weights()
    stream = gradients()
    for i in range(6):
        g = next(stream)
        ours.apply(g, w)
        theirs.apply([tf.constant(x) for x in g], kw)
        if i == 2:
            Parameters([Variable(np.ones(3)), *reversed(w)])
        if i == 4:
            Parameters(w[:2])
            assert len({v.home for v in w}) == 2
    assert distance(w, kw) < 1e-6


def test_one_call_of_the_kernel_for_a_whole_model(monkeypatch):
    calls = []
    monkeypatch.setattr(updates, "adam", lambda w, *others: calls.append(w.size))
    ours, (w, _) = optimizers.Adam(), weights()
    ours.build(w)
    ours.step()
    assert calls == [w[0].home.gradients.size]
    calls.clear()
    ours.step([w[0], w[1], w[4]])
    assert len(calls) == 2


def test_padding_stays_zero():
    for name, options in RULES:
        ours, (w, _) = pair(name, {**options, "weight_decay": 0.1})[0], weights()
        for _, g in zip(range(3), gradients(), strict=False):
            ours.apply(g, w)
        home = w[0].home
        inside = np.zeros(home.values.size, bool)
        for place in home.slices.values():
            inside[place] = True
        assert inside.sum() < inside.size
        assert not home.values[~inside].any(), name


def test_an_optimizer_survives_pickle_and_deepcopy():
    ours, (w, _) = optimizers.Adam(weight_decay=0.1), weights()
    ours.exclude_from_weight_decay(var_names=["w1"])
    ours.apply(next(gradients()), w)
    for again, variables in (pickle.loads(pickle.dumps((ours, w))), copy.deepcopy((ours, w))):
        Parameters(variables)
        g = next(gradients(seed=3))
        again.apply(g, variables)
        assert again.iterations == 2
        assert not np.array_equal(variables[0].value, w[0].value)
        reference, (v, _) = optimizers.Adam(weight_decay=0.1), weights()
        reference.exclude_from_weight_decay(var_names=["w1"])
        reference.apply(next(gradients()), v)
        reference.apply(g, v)
        assert all(np.array_equal(x.value, y.value) for x, y in zip(variables, v, strict=True))


# The learning rate --------------------------------------------------------------------------------------------------


def test_the_learning_rate_reads_like_a_float():
    ours, theirs = pair("Adam", {"learning_rate": 0.001})
    for optimizer in (ours, theirs):
        assert float(optimizer.learning_rate) == 0.0010000000474974513
        assert optimizer.learning_rate == 0.001
        assert optimizer.learning_rate < 0.002
        assert optimizer.learning_rate.numpy() == np.float32(0.001)
        assert float(optimizer.learning_rate * 0.5) == pytest.approx(0.0005)
        optimizer.learning_rate = 0.25
        assert float(optimizer.learning_rate) == 0.25
        optimizer.learning_rate.assign(0.5)
        assert float(optimizer.learning_rate) == optimizer.get_config()["learning_rate"] == 0.5
        optimizer.learning_rate = optimizer.learning_rate * 0.5
        assert float(optimizer.learning_rate) == 0.25
    ours.learning_rate = 0.001
    assert f"{ours.learning_rate}|{ours.learning_rate:.4f}|{ours.learning_rate:.1e}" == "0.001|0.0010|1.0e-03"
    assert round(ours.learning_rate, 2) == 0
    assert ours.learning_rate == optimizers.SGD(0.001).learning_rate
    assert ours.learning_rate != optimizers.SGD(0.002).learning_rate
    ours.lr = 0.5
    assert ours.lr == ours.learning_rate == 0.5
    assert ours.iterations == 0
    assert not ours.iterations
    assert list(range(ours.iterations)) == []
    assert f"{ours.iterations}" == "0"


def test_the_learning_rate_of_a_schedule():
    arguments = {"initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.5}
    ours = optimizers.SGD(schedules.ExponentialDecay(**arguments))
    theirs = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(**arguments))
    w, kw = weights()
    for _, g in zip(range(3), gradients(), strict=False):
        assert float(ours.learning_rate) == float(theirs.learning_rate)
        ours.apply(g, w)
        theirs.apply(g, kw)
    assert float(ours.learning_rate) == pytest.approx(0.0125)
    for optimizer in (ours, theirs):
        with pytest.raises(TypeError, match="LearningRateSchedule"):
            optimizer.learning_rate = 0.1
    with pytest.raises(ValueError, match="read-only"):
        ours.learning_rate.assign(0.1)
    late = optimizers.SGD(0.3)
    late.learning_rate = ours._rate
    assert late.learning_rate == 0.1


def test_the_learning_rate_may_be_a_function():
    ours, theirs = pair("SGD", {"learning_rate": lambda: 0.125})
    assert float(ours.learning_rate) == float(theirs.learning_rate) == 0.125
    assert run_both(ours, theirs, steps=3) < 1e-6


@pytest.mark.parametrize("value", [0.1, 1, np.float32(0.1), np.float64(0.1), np.array(0.1), Variable(0.1)])
def test_kinds_of_numbers_as_learning_rate(value):
    ours = optimizers.SGD(value)
    ours.learning_rate = value
    assert float(ours.learning_rate) == pytest.approx(float(value))


@each_schedule
def test_schedules_are_those_of_keras(name, arguments):
    ours, theirs = getattr(schedules, name)(**arguments), getattr(keras.optimizers.schedules, name)(**arguments)
    steps = [*range(130), 1000, 10_000, 123_457]
    values = [float(theirs(step)) for step in steps]
    for step, value in zip(steps, values, strict=True):
        assert float(ours(step)) == pytest.approx(value, rel=1e-6, abs=1e-8), step
    assert np.allclose(ours(np.array(steps)), values, rtol=1e-6, atol=1e-8)
    assert ours(3).dtype == np.float32
    assert ours.get_config() == theirs.get_config()
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    assert schedules.deserialize(schedules.serialize(ours)).get_config() == ours.get_config()
    assert schedules.deserialize({"class_name": name, "config": arguments})(5) == ours(5)


def test_a_schedule_of_ones_own():
    class Halving(schedules.LearningRateSchedule):
        def __init__(self, start=1.0):
            self.start = start

        def __call__(self, step):
            return self.start / 2**step

    ours = optimizers.SGD(Halving(0.5))
    w, _ = weights()
    ours.apply(next(gradients()), w)
    assert ours.learning_rate == 0.25
    config = schedules.serialize(Halving(3.0))
    assert schedules.deserialize(config, {"Halving": Halving}).start == 3.0


# Configs ------------------------------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("more", [{}, *OPTIONS, {"name": "mine"}, {"use_ema": False}], ids=str)
def test_config_is_that_of_keras_and_rebuilds_the_optimizer(name, options, more):
    ours, theirs = pair(name, {"name": "its", **options, **more})
    assert ours.get_config() == theirs.get_config()
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    assert optimizers.get(keras.optimizers.serialize(theirs)).get_config() == ours.get_config()


def test_config_with_a_schedule():
    arguments = {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.5}
    ours = optimizers.Adam(schedules.CosineDecay(**arguments), name="its")
    theirs = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(**arguments), name="its")
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert isinstance(again._rate, schedules.CosineDecay)
    assert again.get_config() == ours.get_config()


def test_names():
    for name in ("sgd", "SGD", "rmsprop", "RMSprop", "adam", "ADAM", *(name.lower() for name, _ in RULES)):
        ours, theirs = optimizers.get(name), keras.optimizers.get(name)
        assert type(ours).__name__ == type(theirs).__name__
        assert ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")
    assert optimizers.get(None) is None
    assert isinstance(optimizers.get(optimizers.Adam), optimizers.Adam)
    assert optimizers.get({"class_name": "adam", "config": {"beta_1": 0.5}}).beta_1 == 0.5
    mine = optimizers.Adam()
    assert optimizers.get(mine) is mine


def test_an_optimizer_of_ones_own():
    class Signs(optimizers.Optimizer):
        def __init__(self, learning_rate=0.5, keep=0.5, **options):
            super().__init__(learning_rate, **options)
            self.keep = keep

        def slots(self):
            return [("mean",)]

        def update(self, w, g, learning_rate, mean):
            mean *= self.keep
            mean += g
            w -= learning_rate * np.sign(mean)

    ours = Signs(keep=0.25, weight_decay=0.0)
    w, _ = weights()
    before, g = w[0].numpy(), next(gradients())
    ours.apply(g, w)
    assert np.allclose(w[0].value, before - 0.5 * np.sign(g[0]))
    assert ours.variables[2].path == "signs/w0_mean"
    again = optimizers.deserialize(optimizers.serialize(ours), {"Signs": Signs})
    assert again.keep == 0.25


# Rules --------------------------------------------------------------------------------------------------------------

RULES_OF_VECTORS = {  # how many vectors, and the numbers
    "decay": (1, [0.1, 0.2]),
    "average": (2, [0.9, 1 - 0.9]),
    "sgd": (2, [0.1]),
    "momentum": (3, [0.1, 0.9]),
    "nesterov": (3, [0.1, 0.9]),
    "adagrad": (3, [0.1, 1e-7]),
    "rmsprop": (3, [0.1, 0.9, 1 - 0.9, 1e-7]),
    "rmsprop_momentum": (4, [0.1, 0.9, 1 - 0.9, 1e-7, 0.9]),
    "rmsprop_centered": (4, [0.1, 0.9, 1 - 0.9, 1e-7]),
    "rmsprop_centered_momentum": (5, [0.1, 0.9, 1 - 0.9, 1e-7, 0.9]),
    "adam": (4, [0.1, 3, 0.9, 0.999, 1 - 0.9, 1 - 0.999, 1e-7]),
    "amsgrad": (5, [0.1, 3, 0.9, 0.999, 1 - 0.9, 1 - 0.999, 1e-7]),
    "nadam": (4, [0.1, 1 - 0.9, 1 - 0.999, 0.8, 0.2, 0.3, 1e-7]),
    "adamax": (4, [0.1, 1 - 0.9, 0.999, 0.3, 1e-7]),
    "adadelta": (4, [0.1, 0.9, 1 - 0.9, 1e-7]),
    "lion": (3, [0.1, 0.9, 1 - 0.9, 0.99, 1 - 0.99]),
}
each_rule = pytest.mark.parametrize("name", RULES_OF_VECTORS)


def numbers_of(name, number=np.float32):
    return [number(value) for value in RULES_OF_VECTORS[name][1]]


def test_every_rule_is_in_the_table():
    found = {name for name, value in vars(updates).items() if isinstance(value, functional.Operation)}
    assert found == set(RULES_OF_VECTORS)


@each_rule
@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 70), seed=st.integers(0, 2**32), exponent=st.integers(-44, 20), signs=st.booleans())
def test_machine_code_has_the_bits_of_numpy(name, size, seed, exponent, signs):
    rule = getattr(updates, name)
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        vectors = [
            (rng.normal(size=size) * 10.0 ** rng.integers(exponent - 3, exponent + 3, size=size)).astype("float32")
            for _ in range(RULES_OF_VECTORS[name][0])
        ]
        if not signs:
            vectors[2:] = [np.abs(v) for v in vectors[2:]]
        if size > 8:
            for v in vectors:
                special = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-30, -1e-36, 1e-40], "float32")
                v[rng.permutation(size)[:4]] = rng.choice(special, 4)
        expected, got = [v.copy() for v in vectors], [v.copy() for v in vectors]
        rule.reference(*expected, *numbers_of(name))
        rule.compiled(*got, *numbers_of(name))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype == np.float32
        assert np.array_equal(a, b, equal_nan=True)


@each_rule
def test_compiled_once_into_vector_instructions_of_float32(name):
    rule, (count, _) = getattr(updates, name), RULES_OF_VECTORS[name]
    vectors = [np.linspace(0.1, 1, 40, dtype="float32") for _ in range(count)]
    for cut in (slice(0, 40), slice(16, 32)):
        rule(*(v[cut] for v in vectors), *numbers_of(name))
    assert len(rule.machine_code.signatures) == 1
    share = rule.machine_code.py_func.__globals__[f"{name}_share"]
    fresh = numba.njit(nogil=True, error_model="numpy")(share.dispatcher.py_func)  # what is cached cannot be inspected
    fresh(0, *vectors, *numbers_of(name))
    (machine_code,) = fresh.inspect_llvm().values()
    assert re.search(r"<\d+ x float>", machine_code)
    assert "fpext" not in machine_code  # no float becomes a double


@each_rule
def test_float64_is_answered_by_numpy(name):
    rule, (count, _) = getattr(updates, name), RULES_OF_VECTORS[name]
    vectors = [np.linspace(0.1, 1, 7) for _ in range(count)]
    single = [v.astype("float32") for v in vectors]
    rule(*vectors, *numbers_of(name, np.float64))
    rule(*single, *numbers_of(name))
    for a, b in zip(vectors, single, strict=True):
        assert a.dtype == np.float64
        assert np.allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(
    ("name", "options"), [r for r in RULES if r[0] not in ("SGD", "Adagrad") or r[1].get("momentum")], ids=str
)
def test_moments_never_become_subnormal(name, options, reference, leave_to_numpy):
    if reference:
        leave_to_numpy()
    ours, (w, _) = getattr(optimizers, name)(**options), weights()
    ours.apply(next(gradients()), w)
    ours.apply([1e-19 * g for g in next(gradients())], w)  # squares below the smallest normal number
    smallest = np.finfo("float32").tiny
    sank = False
    for v in w:
        v.gradient[...] = 0
    for _ in range(7000 if name in ("Adadelta", "Lion") else 1200):  # those two forget slowly
        ours.step()
        for slot in ours.variables[2:]:
            if slot.name.endswith("hat") or slot.shape == ():
                continue
            size = np.abs(slot.value)
            assert not ((size > 0) & (size < smallest)).any(), slot.path
            sank |= not size.any()
    assert sank
    assert all(np.isfinite(v.value).all() for v in w)


# Errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(float("nan")), ValueError, "SGD.*learning_rate.*nan"),
        (lambda: optimizers.SGD(float("inf")), ValueError, "learning_rate.*inf"),
        (lambda: optimizers.Adam(-0.1), ValueError, "Adam.*learning_rate.*-0.1"),
        (lambda: optimizers.Adam("0.1"), ValueError, "learning_rate.*'0.1'"),
        (lambda: optimizers.Adam(True), ValueError, "learning_rate.*True"),
        (lambda: optimizers.Adam(None), ValueError, "learning_rate.*None"),
        (lambda: optimizers.Adam([0.1]), ValueError, "learning_rate"),
        (lambda: optimizers.Adam(learning_rat=0.1), TypeError, "Did you mean 'learning_rate'"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=1.5), ValueError, "`ema_momentum` must be in the range"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=-1), ValueError, "`ema_overwrite_frequency`"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "must be an integer >= 2. Received: .*=1"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=2.5), ValueError, "is an integer or None, received 2.5"),
        (lambda: optimizers.SGD(loss_scale_factor=0), ValueError, "`loss_scale_factor` to be a number in .0, inf."),
        (lambda: optimizers.LossScaleOptimizer, AttributeError, "half precision.*`loss_scale_factor`"),
        (lambda: optimizers.Adam().set_weights([]), ValueError, "You are calling `set_weights"),
        (lambda: optimizers.SGD(momentum=2.0), ValueError, "SGD.*momentum.*2.0"),
        (lambda: optimizers.SGD(momentum=-0.1), ValueError, "momentum.*-0.1"),
        (lambda: optimizers.RMSprop(rho=1.5), ValueError, "rho.*1.5"),
        (lambda: optimizers.RMSprop(epsilon=0.0), ValueError, "epsilon.*0.0"),
        (lambda: optimizers.RMSprop(momentum="a"), ValueError, "momentum.*'a'"),
        (lambda: optimizers.Adam(beta_1=1.0), ValueError, r"beta_1.*in \[0, 1\).*1.0"),
        (lambda: optimizers.Adam(beta_2=-1), ValueError, "beta_2.*-1"),
        (lambda: optimizers.Adam(epsilon=-1e-7), ValueError, "epsilon.*-1e-07"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "AdamW: `weight_decay` is a number, received None"),
        (lambda: optimizers.Nadam(beta_1=1.0), ValueError, r"Nadam: expected `beta_1` to be a number in \[0, 1\)"),
        (lambda: optimizers.Adamax(epsilon=0.0), ValueError, "Adamax.*epsilon.*0.0"),
        (lambda: optimizers.Adadelta(rho=1.5), ValueError, "Adadelta.*rho.*1.5"),
        (lambda: optimizers.Lion(beta_1=0.0), ValueError, r"Lion.*beta_1.*in \(0, 1\].*0.0"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1.0), ValueError, "initial_accumulator_value.*-1.0"),
        (lambda: optimizers.SGD(weight_decay=-1.0), ValueError, "weight_decay.*-1.0"),
        (lambda: optimizers.SGD(clipnorm=-1.0), ValueError, "clipnorm.*-1.0"),
        (lambda: optimizers.SGD(clipvalue=float("nan")), ValueError, "clipvalue.*nan"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ValueError, "Only one of.*clipnorm=1.0, clipvalue=1.0"),
        (lambda: optimizers.get("adm"), ValueError, "Unknown optimizer 'adm'. Did you mean 'adam'"),
        (lambda: optimizers.get(3), ValueError, "Could not interpret optimizer identifier: 3"),
        (lambda: optimizers.get({"class_name": "Adm", "config": {}}), ValueError, "'Adm'"),
        (lambda: optimizers.Adem, AttributeError, "Did you mean 'Adam'"),
        (lambda: schedules.CosinDecay, AttributeError, "Did you mean 'CosineDecay'"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "ExponentialDecay: `decay_steps`.*0"),
        (lambda: schedules.CosineDecay(0.1, -1), ValueError, "`decay_steps`.*-1"),
        (lambda: schedules.CosineDecay(0.1, 1, warmup_steps=-1), ValueError, "`warmup_steps`.*-1"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), ValueError, "2 boundaries.*1 values"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1.0, 2.0, 3.0]), ValueError, r"ascend.*\[2, 1\]"),
        (lambda: schedules.LearningRateSchedule()(1), NotImplementedError, "__call__"),
        (lambda: optimizers.SGD().step(), ValueError, "not built"),
        (lambda: optimizers.SGD().apply([np.ones(2)]), ValueError, "not built"),
        (lambda: optimizers.SGD().build([np.ones(2)]), TypeError, "Variable.*ndarray"),
        (lambda: optimizers.SGD().build([Variable(1.0, trainable=False)]), ValueError, "not trainable"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_errors_of_a_built_optimizer_leave_everything_as_it_was():
    ours, (w, _) = optimizers.SGD(momentum=0.9), weights()
    ours.build(w)
    ours.build(w[:2])
    others, g = weights()[0], next(gradients())
    before = [v.numpy() for v in [*w, *others, *ours.variables]]
    for attempt, message in [
        (lambda: ours.build(others), "Unknown variable 'w0'.*new optimizer"),
        (lambda: ours.apply(g, others), "Unknown variable"),
        (lambda: ours.step(others), "Unknown variable"),
        (lambda: ours.apply(g[:2]), "2 gradients for 5 variables"),
        (lambda: ours.apply([*g[:4], np.ones(2)]), r"'w4' has shape \(2,\), expected \(1,\)"),
        (lambda: ours.apply([None] * 5), "No gradients provided for any variable"),
        (lambda: setattr(ours, "learning_rate", float("nan")), "learning_rate"),
        (lambda: setattr(ours, "learning_rate", -1.0), "learning_rate"),
        (lambda: setattr(ours, "lr", "fast"), "learning_rate"),
    ]:
        with pytest.raises(ValueError, match=message):
            attempt()
    assert all(np.array_equal(v.numpy(), b) for v, b in zip([*w, *others, *ours.variables], before, strict=True))
    ours.apply([])
    assert ours.iterations == 0


def test_decay_of_keras_2_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="InverseTimeDecay"):
        optimizers.SGD(decay=0.1)


def test_operators_in_place_do_what_they_do_in_keras():
    told = []
    for k in (minikeras, keras):
        optimizer, dense = k.optimizers.SGD(0.1), k.layers.Dense(2, kernel_initializer="ones")
        dense.build((None, 3))
        optimizer.learning_rate *= 0.5
        optimizer.learning_rate += 0.01
        optimizer.learning_rate /= 2
        optimizer.learning_rate -= 0.01
        optimizer.learning_rate **= 2
        kernel = dense.kernel
        kernel *= 0.5
        kernel -= 2.0
        told.append((float(optimizer.learning_rate), np.asarray(kernel).tolist(), dense.get_weights()[0].tolist()))
    assert told[0][0] == pytest.approx(told[1][0])
    assert told[0][1:] == told[1][1:]


def test_a_ufunc_writes_into_a_variable():
    variable = minikeras.Variable(np.ones(3))
    np.multiply(variable, 2, out=variable.value)
    assert np.multiply(variable, 2, out=(variable,)).tolist() == variable.value.tolist() == [4, 4, 4]
