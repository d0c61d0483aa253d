"""The small public functions, compared with Keras's."""

import random

import keras
import numpy as np
import pytest

from minikeras import utils
from minikeras.common import names


@pytest.mark.parametrize("num_classes", [None, 0, 4, 7])
@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 3],
        (2, 0),
        np.array([0, 2, 1], "uint8"),
        np.array([0.0, 3.0]),
        np.array([[0], [2]]),
        np.array([[0, 1], [3, 2]]),
        np.array([[[1]], [[2]]]),
        np.array([True, False]),
        2,
        [1],
        [[1]],
    ],
)
def test_to_categorical(labels, num_classes):
    ours, expected = utils.to_categorical(labels, num_classes), keras.utils.to_categorical(labels, num_classes)
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(ours, expected)


def test_to_categorical_of_nothing():
    assert utils.to_categorical([], 3).shape == keras.utils.to_categorical([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="pass num_classes"):
        utils.to_categorical([])


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, 3, 1], 3, r"label 3 is not in 0..2; pass num_classes=4 or more"),
        ([0, -1], 3, r"label -1 is not in 0..2; labels count from 0"),
        ([-1, 0], None, "label -1"),
        ([0.5, 1], None, "expected integer labels, received 0.5"),
        ([0, np.nan], None, "expected integer labels, received nan"),
    ],
)
def test_labels_outside_the_classes(labels, num_classes, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(labels, num_classes)


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize_along_the_last_axis(order, dtype):
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(dtype)
    x[1, 2] = 0
    ours = utils.normalize(x, order=order)
    np.testing.assert_array_equal(ours, keras.utils.normalize(x, order=order))
    assert ours.dtype == dtype


def test_normalize_along_another_axis():
    x = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(np.linalg.norm(utils.normalize(x, axis=0), axis=0), 1)
    np.testing.assert_array_equal(utils.normalize([[3, 4]]), [[0.6, 0.8]])


def test_set_random_seed():
    def draw():
        utils.set_random_seed(7)
        return random.random(), np.random.rand()

    ours = draw()
    assert ours == draw()
    keras.utils.set_random_seed(7)
    assert ours == (random.random(), np.random.rand())


def test_clear_session():
    assert [names.auto_name("Dense"), names.auto_name("Dense")] == ["dense", "dense_1"]
    utils.clear_session()
    assert names.auto_name("Dense") == "dense"


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(AttributeError, match="Did you mean 'to_categorical'"):
        utils.to_categorial  # noqa: B018
