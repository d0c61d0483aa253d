"""Activations as kernels: the exponential in registers against float64, and every kernel against its reference."""

import numpy as np
import pytest

from minikeras.functional import activations

EPSILON = float(np.finfo(np.float32).eps)
SIZES = (1, 7, 15, 16, 17, 130, 1000)
EDGES = np.array([0, -0.0, np.inf, -np.inf, 0.625, -0.625, 87, -87, 88, -88, 89, -89, 1e30, -1e30, 1e-30], np.float32)


def numbers(size, seed=0):
    """Normal numbers near 0, then over all that an exponential can take, and the edges."""
    rng = np.random.default_rng(seed)
    many = np.concatenate([EDGES, rng.normal(size=size), rng.uniform(-95, 95, size), 1e-3 * rng.normal(size=size)])
    return rng.permutation(many.astype("float32"))[:size] if size > 1 else many[-1:].astype("float32")


def result(function, *arguments):
    filled = np.full_like(arguments[0], 7)
    function(filled, *arguments)
    return filled


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activations_are_the_function_to_the_last_two_bits(name, size):
    x, kernel = numbers(size), getattr(activations, name)
    with np.errstate(all="ignore"):
        exact = result(kernel.reference, x.astype("float64"))
    ours = result(kernel.compiled, x)
    assert ours.dtype == np.float32
    # sigmoid is 0 or 6e-39 where the exact result is below the smallest normal number
    np.testing.assert_allclose(ours, exact, rtol=3 * EPSILON, atol=float(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_derivatives_are_their_references(name, size):
    x, dy = numbers(size), np.random.default_rng(1).normal(size=size).astype("float32")
    kernel = getattr(activations, f"{name}_gradient")
    seen = x if name == "relu" else result(getattr(activations, name).compiled, x)
    exact = result(kernel.reference, dy.astype("float64"), seen.astype("float64"))
    np.testing.assert_allclose(result(kernel.compiled, dy, seen), exact, rtol=3 * EPSILON, atol=EPSILON * 4)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_nan_stays(name):
    x = np.array([1, np.nan, -1] * 7, np.float32)
    assert np.isnan(result(getattr(activations, name).compiled, x)).tolist() == np.isnan(x).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (32, 10), (9, 16), (5, 17), (4, 100), (70, 1000)])
def test_softmax_and_its_derivative_are_their_references(shape):
    rng = np.random.default_rng(2)
    z, dp = (10 * rng.normal(size=shape)).astype("float32"), rng.normal(size=shape).astype("float32")
    exact = result(activations.softmax.reference, z.astype("float64"))
    p = result(activations.softmax.compiled, z)
    # An exponent of size 50 is itself only known to 50 EPSILON / 2.
    np.testing.assert_allclose(p, exact, rtol=60 * EPSILON, atol=EPSILON)
    exact = result(activations.softmax_gradient.reference, dp.astype("float64"), p.astype("float64"))
    np.testing.assert_allclose(result(activations.softmax_gradient.compiled, dp, p), exact, atol=8 * EPSILON)


def test_softmax_of_minus_infinity_is_0_and_of_nan_is_nan():
    z = np.array([[0, -np.inf, 0, -np.inf], [0, np.nan, 1, 2], [-np.inf, -np.inf, -np.inf, 3]], np.float32)
    p = result(activations.softmax.compiled, z)
    assert p[0].tolist() == [0.5, 0, 0.5, 0]
    assert np.isnan(p[1]).all()
    assert p[2].tolist() == [0, 0, 0, 1]
