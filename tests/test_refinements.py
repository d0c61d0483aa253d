"""Averages of weights, sums of gradients and scaled losses, live against Keras: in `fit`, and through files."""

import copy
import pickle

import keras
import numpy as np
import pytest

import minikeras
from minikeras import optimizers
from minikeras.variables import Variable

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

OPTIONS = {
    "averages": {"use_ema": True, "ema_momentum": 0.8},
    "averages in the weights' place": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    "sums": {"gradient_accumulation_steps": 4},
    "scaled": {"loss_scale_factor": 1024.0},
    "all": {
        "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2, "gradient_accumulation_steps": 3,
        "loss_scale_factor": 64.0, "clipnorm": 0.5, "weight_decay": 0.01,
    },
}  # fmt: skip
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(56, 6)).astype("float32"), RNG.normal(size=(56, 1)).astype("float32")


def model_of(k, optimizer, scheduled=False):
    model = k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="tanh", kernel_constraint="max_norm", name="first"),
            k.layers.BatchNormalization(name="second"),
            k.layers.Dense(1, kernel_regularizer="l2", name="third"),
        ],
        name="net",
    )
    name, options = optimizer
    rate = k.optimizers.schedules.ExponentialDecay(0.02, 5, 0.9) if scheduled else 0.02
    model.compile(getattr(k.optimizers, name)(rate, **options), "mse")
    return model


def fit(model, epochs=3, **more):
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **more).history["loss"]


def assert_same(ours, theirs, tolerance=2e-5):
    pairs = list(zip(ours.weights, theirs.weights, strict=True))
    pairs += list(zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True))
    for a, b in pairs:
        assert np.allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance), a.path


@each_option
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Nadam"])
def test_fit_is_that_of_keras(name, options):
    ours, theirs = (model_of(k, (name, options), scheduled=name == "SGD") for k in (minikeras, keras))
    ours.set_weights(theirs.get_weights())
    for epochs in (3, 2):  # averages take the weights' place at the end of each fit
        assert np.allclose(fit(ours, epochs), fit(theirs, epochs), rtol=1e-5)
        assert_same(ours, theirs)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations)


@each_option
def test_state_goes_through_files_both_ways(options, tmp_path):
    ours, theirs = (model_of(k, ("Adam", options)) for k in (minikeras, keras))
    ours.set_weights(theirs.get_weights())
    for model in (ours, theirs):
        fit(model)  # 21 steps, in the middle of a sum of four
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    here, there = (
        minikeras.models.load_model(tmp_path / "theirs.keras"),
        keras.models.load_model(tmp_path / "ours.keras"),
    )
    for name, value in options.items():
        assert getattr(here.optimizer, name) == getattr(there.optimizer, name) == value
    for model in (ours, theirs, here, there):
        fit(model)
    for model in (ours, here, there):
        assert_same(model, theirs)


@each_option
def test_configs_and_variables_are_those_of_keras(options):
    ours, theirs = (model_of(k, ("Adam", {**options, "name": "it"})) for k in (minikeras, keras))
    assert ours.optimizer.get_config() == theirs.optimizer.get_config()
    for model in (ours, theirs):
        fit(model, 1)

    def described(optimizer):
        return [(v.path, v.name, tuple(v.shape)) for v in optimizer.variables]

    assert described(ours.optimizer) == described(theirs.optimizer)


@each_option
@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on(options, again):
    model = model_of(minikeras, ("Adam", options))
    fit(model)
    other = again(model)
    for m in (model, other):
        fit(m)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations) > 0


def test_iterations_count_what_moved_the_weights():
    optimizer, v = optimizers.SGD(1.0, gradient_accumulation_steps=3), Variable(np.ones(2))
    told = []
    for _ in range(7):
        done = optimizer.apply_gradients([(np.ones(2), v)])
        told.append((int(done), int(optimizer.iterations), f"{optimizer.iterations}", v.value.tolist()))
    assert [t[:3] for t in told] == [(i, i // 3, str(i // 3)) for i in range(1, 8)]
    assert [t[3][0] for t in told] == [1, 1, 0, 0, 0, -1, -1]
    with pytest.raises(ValueError, match="read-only"):
        optimizer.iterations.assign(5)  # it follows the steps


def test_finalize_variable_values():
    v, other = Variable(np.ones(2)), Variable(np.ones(2))
    plain, averaged = optimizers.SGD(1.0), optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    averaged.finalize_variable_values([v])  # nothing to do yet
    for optimizer in (averaged, plain):
        for _ in range(2):
            optimizer.apply([np.ones(2)], [v])
        optimizer.finalize_variable_values([v])
    assert v.value.tolist() == [-2.5, -2.5]  # 0, -1: -0.5; then two steps more
    with pytest.raises(ValueError, match="Unknown variable"):
        averaged.finalize_variable_values([other])


def test_a_loop_of_ones_own_scales_the_loss_and_apply_the_gradients():
    optimizer, v = optimizers.SGD(1.0, loss_scale_factor=1024.0), Variable(np.array([1.0, 2.0]))
    assert optimizer.scale_loss(2.0) == 2048
    optimizer.apply([optimizer.scale_loss(np.array([1.0, 2.0]))], [v])
    assert v.value.tolist() == [0, 0]
    assert optimizers.SGD().scale_loss(2.0) == 2.0


@pytest.mark.parametrize("steps", [None, 2])
def test_a_variable_may_take_the_gradient_itself(steps):
    ours, theirs = (k.optimizers.SGD(1.0, gradient_accumulation_steps=steps, use_ema=True) for k in (minikeras, keras))
    w, kw = ([k.Variable(np.full(2, i, "float32")) for i in range(2)] for k in (minikeras, keras))
    for variables in (w, kw):
        variables[0].overwrite_with_gradient = True
    for g in ([3.0, 1.0], [1.0, 5.0], [2.0, 2.0]):
        ours.apply([np.array(g, "float32")] * 2, w)
        theirs.apply([keras.ops.array(g)] * 2, kw)
        for a, b in zip([*w, *ours.variables], [*kw, *theirs.variables], strict=True):
            assert np.allclose(a.value, np.asarray(b)), a.path
    with pytest.raises(TypeError, match="must be a boolean"):
        w[0].overwrite_with_gradient = 1


def test_state_is_set_as_a_whole_or_not():
    first, second, v = optimizers.Adam(), optimizers.Adam(), Variable(np.ones(2))
    first.apply([np.ones(2)], [v])
    second.build([v])
    with pytest.raises(ValueError, match="not compatible with provided weight shape"):
        second.set_weights([*first.variables[:3], np.ones(3)])
    with pytest.raises(ValueError, match="3 arrays for 4 variables"):
        second.set_weights(first.variables[:3])
    assert int(second.iterations) == 0
    second.set_weights(first.variables)
    assert all(np.array_equal(a, b.value) for a, b in zip(first.variables, second.variables, strict=True))
