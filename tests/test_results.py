"""What is called as Keras calls it answers as Keras does: with something that has `.numpy()`, a shape and a dtype."""

import keras
import numpy as np
import pytest

import minikeras

X, Y = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3), np.ones((4, 2), "float32")


def answers(k):
    """Return what was called, with what it answered, by name."""
    layer = k.layers.Dense(2, activation="tanh", kernel_initializer="ones")
    model = k.Sequential([k.Input((3,)), layer])
    entrance = k.Input((3,))
    several = k.Model(entrance, [entrance, layer(entrance)])
    loss = k.losses.MeanSquaredError()
    return {
        "layer": layer(X), "model": model(X), "second output": several(X)[1], "loss": loss(Y, model(X)),
        "loss of each": k.losses.MeanAbsoluteError(reduction="none")(Y, model(X)), "sum": model(X) + model(X),
        "part": model(X)[1], "double loss": 2 * loss(Y, model(X)),
    }  # fmt: skip


@pytest.mark.parametrize("name", answers(minikeras))
def test_an_answer_has_numbers_a_shape_and_a_type(name):
    ours, theirs = answers(minikeras)[name], answers(keras)[name]
    assert isinstance(ours, np.ndarray)
    assert type(ours.numpy()) in (np.ndarray, np.float32)
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_what_numpy_returns_is_its_own():
    y = minikeras.layers.Dense(2)(X)
    y.numpy()[:] = 0
    assert y.any()


def test_a_loss_can_be_printed_compared_and_added_up():
    loss = minikeras.losses.MeanSquaredError()(Y, 0.5 * Y)
    assert f"{loss:.3f}" == "0.250"
    assert float(loss) == 0.25
    assert loss < 1
    assert sum([loss, loss]).numpy() == 0.5
