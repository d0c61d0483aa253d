# ruff: noqa: E501 (tables of errors, one per line)
"""Losses: values and gradients as tf.keras's, over shapes, options, extreme predictions, weights and reductions."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import minikeras
from minikeras import losses
from minikeras.common.differentiable import differentiable
from minikeras.common.names import snake_case
from minikeras.common.serialization import deserialize, serialize

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
generator = np.random.default_rng(0)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def one_hot(labels, classes=4):
    return np.eye(classes)[labels]


LOGITS = generator.normal(0, 2, (6, 4))
EXTREME = np.array(
    [[60, -60, 0, 1], [-60, 60, 0, 1], [1000, 0, -1000, 0], [0, 0, 0, 0], [1000, 1000, 0, 0], [1, 2, 3, -1000.0]]
)
LABELS = np.array([0, 0, 2, 1, 3, 3])
CERTAIN = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1e-9, 1, 0, 0], [0.25] * 4, [0.5, 0.5, 1e-7, 0], [0.1, 0.2, 0.3, 0.4]])
IMAGE = generator.normal(size=(2, 3, 2, 4))
IMAGE_LABELS = generator.integers(0, 4, (2, 3, 2))
UNIT = LOGITS / np.linalg.norm(LOGITS, axis=-1, keepdims=True)
SEQUENCES = np.array([[1, 2, 3], [1, 1, 0], [3, 0, 0], [0, 0, 0], [2, 2, 2], [2, 1, 2]])
STEPS = generator.normal(size=(6, 7, 4))

# name -> (class name, options, targets, predictions)
CASES = {
    "sparse": ("SparseCategoricalCrossentropy", {}, LABELS, softmax(LOGITS)),
    "sparse column": ("SparseCategoricalCrossentropy", {}, LABELS[:, None], softmax(LOGITS)),
    "sparse unnormalised": ("SparseCategoricalCrossentropy", {}, LABELS, softmax(LOGITS) * 0.6),
    "sparse certain": ("SparseCategoricalCrossentropy", {}, LABELS, CERTAIN),
    "sparse logits": ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, LOGITS),
    "sparse extreme logits": ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, EXTREME),
    "sparse float labels": ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS.astype("float32"), LOGITS),
    "sparse ignore": ("SparseCategoricalCrossentropy", {"ignore_class": 3}, LABELS, softmax(LOGITS)),
    "sparse ignore -1": (
        "SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True},
        np.where(LABELS == 0, -1, LABELS), LOGITS,
    ),
    "sparse ignore all": ("SparseCategoricalCrossentropy", {"ignore_class": 3}, np.full(6, 3), softmax(LOGITS)),
    "sparse images": ("SparseCategoricalCrossentropy", {"from_logits": True}, IMAGE_LABELS, IMAGE),
    "sparse images column": ("SparseCategoricalCrossentropy", {}, IMAGE_LABELS[..., None], softmax(IMAGE)),
    "categorical": ("CategoricalCrossentropy", {}, one_hot(LABELS), softmax(LOGITS)),
    "categorical unnormalised": ("CategoricalCrossentropy", {}, one_hot(LABELS), softmax(LOGITS) * 0.6),
    "categorical certain": ("CategoricalCrossentropy", {}, one_hot(LABELS), CERTAIN),
    "categorical smooth certain": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, one_hot(LABELS), CERTAIN),
    "categorical soft targets": ("CategoricalCrossentropy", {}, softmax(LOGITS[::-1]), softmax(LOGITS)),
    "categorical logits": ("CategoricalCrossentropy", {"from_logits": True}, one_hot(LABELS), LOGITS),
    "categorical extreme": ("CategoricalCrossentropy", {"from_logits": True}, one_hot(LABELS), EXTREME),
    "categorical smooth": (
        "CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, one_hot(LABELS), LOGITS
    ),
    "categorical many hot": ("CategoricalCrossentropy", {"from_logits": True}, np.ones((6, 4)), LOGITS),
    "categorical images": ("CategoricalCrossentropy", {}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "categorical axis": (
        "CategoricalCrossentropy", {"axis": 1},
        np.moveaxis(one_hot(IMAGE_LABELS), -1, 1), np.moveaxis(softmax(IMAGE), -1, 1),
    ),
    "binary": ("BinaryCrossentropy", {}, LABELS[:, None] % 2, generator.uniform(0.01, 0.99, (6, 1))),
    "binary flat targets": ("BinaryCrossentropy", {}, LABELS % 2, generator.uniform(0.01, 0.99, (6, 1))),
    "binary flat predictions": ("BinaryCrossentropy", {}, LABELS[:, None] % 2, generator.uniform(0.01, 0.99, 6)),
    "binary certain": ("BinaryCrossentropy", {}, one_hot(LABELS), CERTAIN),
    "binary smooth": ("BinaryCrossentropy", {"label_smoothing": 0.3}, one_hot(LABELS), CERTAIN),
    "binary logits": ("BinaryCrossentropy", {"from_logits": True}, one_hot(LABELS), LOGITS),
    "binary extreme": ("BinaryCrossentropy", {"from_logits": True}, one_hot(LABELS), EXTREME),
    "binary smooth logits": (
        "BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.3}, one_hot(LABELS), LOGITS
    ),
    "binary axis": ("BinaryCrossentropy", {"axis": 1}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "mse": ("MeanSquaredError", {}, EXTREME, LOGITS),
    "mse flat": ("MeanSquaredError", {}, LOGITS[:, 0], LOGITS[:, 1:2]),
    "mse images": ("MeanSquaredError", {}, IMAGE[::-1], IMAGE),
    "mse trailing axis": ("MeanSquaredError", {}, IMAGE[..., 0], IMAGE[..., 1:2]),
    "mse integers": ("MeanSquaredError", {}, LABELS[:, None], LOGITS[:, :1]),
    "mae": ("MeanAbsoluteError", {}, np.where(LOGITS > 0, LOGITS, 0), LOGITS),
    "huber": ("Huber", {}, EXTREME, LOGITS),
    "huber corner": ("Huber", {"delta": 1.0}, np.zeros((3, 3)), np.array([[-1, 0, 1], [2, -2, 0.5], [1e3, -1e3, 1.5]])),
    "huber delta": ("Huber", {"delta": 2.5}, LOGITS[::-1], LOGITS),
    "one sample": ("SparseCategoricalCrossentropy", {}, LABELS[:1], softmax(LOGITS[:1])),
    "mape": ("MeanAbsolutePercentageError", {}, LOGITS[::-1], LOGITS),
    "mape flat": ("MeanAbsolutePercentageError", {}, LOGITS[:, 0], LOGITS[:, 1:2]),
    "mape zeros certain": ("MeanAbsolutePercentageError", {}, one_hot(LABELS), CERTAIN),
    "msle": ("MeanSquaredLogarithmicError", {}, np.abs(LOGITS[::-1]), np.abs(LOGITS)),
    "msle negative": ("MeanSquaredLogarithmicError", {}, LOGITS[::-1], LOGITS),
    "msle images": ("MeanSquaredLogarithmicError", {}, np.exp(IMAGE[::-1]), np.exp(IMAGE)),
    "log_cosh": ("LogCosh", {}, LOGITS[::-1], LOGITS),
    "log_cosh extreme": ("LogCosh", {}, EXTREME, LOGITS),
    "cosine": ("CosineSimilarity", {}, LOGITS[::-1], LOGITS),
    "cosine axis": ("CosineSimilarity", {"axis": 1}, IMAGE[::-1], IMAGE),
    "cosine zero targets": ("CosineSimilarity", {}, LOGITS * (LABELS > 1)[:, None], LOGITS[::-1]),
    "hinge": ("Hinge", {}, 2 * one_hot(LABELS) - 1, LOGITS),
    "hinge binary": ("Hinge", {}, one_hot(LABELS), LOGITS),
    "hinge binary column": ("Hinge", {}, LABELS[:, None] % 2, LOGITS[:, :1]),
    "hinge corner": ("Hinge", {}, one_hot(LABELS), np.sign(LOGITS)),
    "hinge others": ("Hinge", {}, LOGITS[::-1], LOGITS),
    "squared_hinge": ("SquaredHinge", {}, 2 * one_hot(LABELS) - 1, LOGITS),
    "squared_hinge binary": ("SquaredHinge", {}, one_hot(IMAGE_LABELS), IMAGE),
    "categorical_hinge": ("CategoricalHinge", {}, one_hot(LABELS), LOGITS),
    "categorical_hinge images": ("CategoricalHinge", {}, one_hot(IMAGE_LABELS), IMAGE),
    "categorical_hinge corner": ("CategoricalHinge", {}, one_hot(LABELS), np.eye(4)[LABELS]),
    "categorical_hinge soft": ("CategoricalHinge", {}, softmax(LOGITS[::-1]), LOGITS),
    "kl": ("KLDivergence", {}, softmax(LOGITS[::-1]), softmax(LOGITS)),
    "kl certain": ("KLDivergence", {}, one_hot(LABELS), CERTAIN),
    "kl images": ("KLDivergence", {}, softmax(IMAGE[::-1]), softmax(IMAGE)),
    "kl beyond": ("KLDivergence", {}, LOGITS[::-1], LOGITS),
    "poisson": ("Poisson", {}, one_hot(LABELS), softmax(LOGITS)),
    "poisson counts": ("Poisson", {}, LABELS[:, None], np.exp(LOGITS[:, :1])),
    "poisson images": ("Poisson", {}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "generalized": ("CategoricalGeneralizedCrossEntropy", {"q": 0.5}, LABELS, softmax(LOGITS)),
    "generalized q": ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, IMAGE_LABELS, softmax(IMAGE)),
    "binary focal": ("BinaryFocalCrossentropy", {}, LABELS[:, None] % 2, softmax(LOGITS)[:, :1]),
    "binary focal certain": ("BinaryFocalCrossentropy", {}, one_hot(LABELS), CERTAIN),
    "binary focal balanced": (
        "BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, one_hot(LABELS),
        softmax(LOGITS),
    ),
    "binary focal logits": (
        "BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, one_hot(LABELS), LOGITS
    ),
    "binary focal gamma 1": ("BinaryFocalCrossentropy", {"gamma": 1.0, "axis": 1}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "focal": ("CategoricalFocalCrossentropy", {}, one_hot(LABELS), softmax(LOGITS)),
    "focal unnormalised": ("CategoricalFocalCrossentropy", {"gamma": 3.0}, one_hot(LABELS), softmax(LOGITS) * 0.6),
    "focal certain": ("CategoricalFocalCrossentropy", {}, one_hot(LABELS), CERTAIN),
    "focal alphas": ("CategoricalFocalCrossentropy", {"alpha": [0.125, 0.5, 0.25, 1.0]}, one_hot(LABELS), softmax(LOGITS)),
    "focal logits": (
        "CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, one_hot(LABELS), LOGITS
    ),
    "focal axis": (
        "CategoricalFocalCrossentropy", {"axis": 1}, np.moveaxis(one_hot(IMAGE_LABELS), -1, 1),
        np.moveaxis(softmax(IMAGE), -1, 1),
    ),
    "dice": ("Dice", {}, one_hot(LABELS), softmax(LOGITS)),
    "dice axis": ("Dice", {"axis": (1, 2, 3)}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "dice list": ("Dice", {"axis": [1, 2]}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "dice one axis": ("Dice", {"axis": -1}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "dice rows": ("Dice", {"axis": 1}, one_hot(LABELS), softmax(LOGITS)),
    "dice flat": ("Dice", {}, LABELS % 2, softmax(LOGITS)[:, :1]),
    "tversky": ("Tversky", {}, one_hot(LABELS), softmax(LOGITS)),
    "tversky weights": ("Tversky", {"alpha": 0.2, "beta": 0.9}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "tversky axis": ("Tversky", {"alpha": 0.7, "axis": (1, 2, 3)}, one_hot(IMAGE_LABELS), softmax(IMAGE)),
    "circle": ("Circle", {}, np.array([0, 0, 2, 2, 3, 3]), UNIT),
    "circle column": ("Circle", {"gamma": 10.0, "margin": 0.25}, np.array([[0], [0], [2], [2], [2], [0]]), UNIT),
    "circle lonely": ("Circle", {}, np.array([0, 0, 1, 1, 2, 3]), UNIT),
    "circle one label": ("Circle", {}, np.zeros(6, int), UNIT),
    "circle labels of their own": ("Circle", {}, np.arange(6), UNIT),
    "circle diagonal": ("Circle", {"remove_diagonal": False, "gamma": 20}, LABELS, UNIT),
    "ctc": ("CTC", {}, SEQUENCES, STEPS),
    "ctc extreme": ("CTC", {}, SEQUENCES[:3], 20 * STEPS[:3]),
}  # fmt: skip

#: Keras computes these, or a constant in them, in float32 whatever the float type.
IN_FLOAT32 = ("LogCosh", "CTC")


def operands(case, dtype="float32"):
    kind, options, y_true, y_pred = CASES[case]
    return kind, options, (y_true if y_true.dtype.kind == "i" else y_true.astype(dtype)), y_pred.astype(dtype)


def of_tensorflow(loss, y_true, y_pred, sample_weight=None):
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(tf.constant(y_true), y_pred, sample_weight=sample_weight)
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, y_pred)).numpy()


def assert_close(ours, theirs, tolerance):
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1e-3, np.abs(theirs).max(initial=0)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_tensorflow(case, dtype):
    kind, options, y_true, y_pred = operands(case, dtype)
    ours = getattr(losses, kind)(**options, dtype=dtype)
    theirs = getattr(keras.losses, kind)(**options, dtype=dtype)
    value, gradient = ours.value_and_gradient(y_true, y_pred)
    their_value, their_gradient = of_tensorflow(theirs, y_true, y_pred)
    tolerance = 1e-5 if dtype == "float32" or kind in IN_FLOAT32 else 1e-12
    assert isinstance(value, float)
    assert ours(y_true, y_pred) == value
    assert gradient.dtype == dtype
    assert_close(value, their_value, tolerance)
    assert_close(gradient, their_gradient, tolerance)


@pytest.mark.parametrize("case", CASES)
def test_function_is_that_of_keras(case):
    kind, options, y_true, y_pred = operands(case)
    if case in ("binary flat targets", "binary flat predictions", "mse trailing axis", "dice flat"):
        pytest.skip("Keras's function does not fit the ranks there, only its class does")
    name = snake_case(kind)
    ours = getattr(losses, name)(y_true, y_pred, **options)
    theirs = getattr(keras.losses, name)(tf.constant(y_true), tf.constant(y_pred), **options).numpy()
    assert ours.dtype == np.float32
    assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", ["vector", "column", "scalar", "zeros", "one", "none"])
@pytest.mark.parametrize(
    "case",
    [
        "sparse", "sparse ignore", "sparse ignore -1", "categorical smooth", "binary", "mse", "huber delta", "hinge",
        "cosine", "generalized", "focal", "dice", "dice rows", "tversky", "circle", "circle column", "ctc",
    ],
)  # fmt: skip
def test_weights_and_reductions_are_those_of_keras(case, weights, reduction):
    kind, options, y_true, y_pred = operands(case)
    w = {
        "vector": np.array([1, 0, 2.5, 0.5, 3, 1]),
        "column": np.array([[1], [0], [2.5], [0.5], [3], [1]]),
        "scalar": 2.5,
        "zeros": np.zeros(6),
        "one": np.array([3.0]),
        "none": None,
    }[weights]
    ours = getattr(losses, kind)(**options, reduction=reduction)
    theirs = getattr(keras.losses, kind)(**options, reduction=reduction)
    value, gradient = ours.value_and_gradient(y_true, y_pred, w)
    their_value, their_gradient = of_tensorflow(theirs, y_true, y_pred, w)
    if their_value.ndim > 1:
        their_value = their_value.reshape(-1)  # with a column of weights, Keras returns a column
    assert_close(value, their_value, 1e-5)
    assert_close(gradient, their_gradient, 1e-5)
    assert_close(ours(y_true, y_pred, w), their_value, 1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 2), (2, 1, 1), (2, 3, 2, 1)])
def test_weights_of_pixels(shape):
    w = np.random.default_rng(1).uniform(size=shape)
    ours = losses.SparseCategoricalCrossentropy(from_logits=True).value_and_gradient(IMAGE_LABELS, IMAGE.astype("f"), w)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for a, b in zip(ours, of_tensorflow(theirs, IMAGE_LABELS, IMAGE.astype("f"), w), strict=True):
        assert_close(a, b, 1e-5)


@pytest.mark.parametrize(
    "case", [c for c in CASES if not any(w in c for w in ("certain", "extreme", "corner", "many hot", "mae"))]
)
def test_gradient_is_the_measured_slope(case):
    kind, options, y_true, y_pred = operands(case, "float64")
    if case == "binary smooth":
        y_pred = np.clip(y_pred, 0.01, 0.99)
    loss = getattr(losses, kind)(**options)
    y_pred = y_pred.copy()
    w = np.random.default_rng(1).uniform(0.5, 2, np.shape(loss.call(y_true, y_pred)))
    _, claimed = loss.value_and_gradient(y_true, y_pred, w)
    assert claimed.dtype == np.float64
    slopes = np.empty_like(y_pred)
    for place in np.ndindex(y_pred.shape):
        h = np.zeros_like(y_pred)
        h[place] = 1e-6
        slopes[place] = (loss(y_true, y_pred + h, w) - loss(y_true, y_pred - h, w)) / 2e-6
    np.testing.assert_allclose(claimed, slopes, rtol=0, atol=1e-6 * max(1, np.abs(claimed).max()))


@pytest.mark.parametrize("case", CASES)
def test_arguments_stay(case):
    kind, options, y_true, y_pred = operands(case)
    before = y_true.copy(), y_pred.copy()
    getattr(losses, kind)(**options).value_and_gradient(y_true, y_pred)
    np.testing.assert_array_equal(y_true, before[0])
    np.testing.assert_array_equal(y_pred, before[1])


# The pair of last activation and loss ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "activation", "y_true"),
    [
        ("SparseCategoricalCrossentropy", {"reduction": "sum"}, "softmax", LABELS),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1, "reduction": "sum"}, "softmax", one_hot(LABELS)),
        ("BinaryCrossentropy", {"label_smoothing": 0.1}, "sigmoid", one_hot(LABELS)),
    ],
)
def test_on_logits(kind, options, activation, y_true):
    loss = getattr(losses, kind)(**options)
    assert loss.pairs_with == activation
    twin = loss.on_logits(activation)
    assert twin.get_config() == {**loss.get_config(), "from_logits": True}
    assert not loss.from_logits
    p = softmax(LOGITS) if activation == "softmax" else 1 / (1 + np.exp(-LOGITS))
    assert twin(y_true, LOGITS) == pytest.approx(loss(y_true, p), rel=1e-9)
    for other in ("relu", None):
        assert loss.on_logits(other) is None
    with pytest.warns(UserWarning, match="Probably meant"):
        assert loss.on_logits("softmax" if activation == "sigmoid" else "sigmoid").from_logits
    with pytest.warns(UserWarning, match="Drop one of the two"):
        assert twin.on_logits(activation) is twin
    assert losses.MeanSquaredError().on_logits(activation) is None
    assert losses.SparseCategoricalCrossentropy(ignore_class=1).on_logits(activation) is None


def test_an_overridden_loss_is_not_replaced_by_its_logits_form():
    class Doubled(losses.SparseCategoricalCrossentropy):
        def call(self, y_true, y_pred):
            return 2 * super().call(y_true, y_pred)

        def gradient(self, y_true, y_pred):
            return 2 * super().gradient(y_true, y_pred)

    assert Doubled().on_logits("softmax") is None
    assert Doubled()(LABELS, softmax(LOGITS)) == pytest.approx(
        2 * losses.SparseCategoricalCrossentropy()(LABELS, softmax(LOGITS))
    )


# Losses of one's own -----------------------------------------------------------------------------------------------


class Quartic(losses.Loss):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * ((y_pred - y_true) ** 4).mean(-1)

    def gradient(self, y_true, y_pred):
        return self.factor * 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]


def test_a_class_of_ones_own():
    loss = Quartic(factor=2.0)
    y_pred = np.array([[1.0, 2], [3, 4]])
    value, gradient = loss.value_and_gradient(np.zeros((2, 2)), y_pred, [1, 3])
    assert value == pytest.approx((2 * (1 + 16) / 2 + 3 * 2 * (81 + 256) / 2) / 2)
    np.testing.assert_allclose(gradient, 4 * y_pred**3 * [[1], [3]] / 2)
    assert losses.as_loss(loss) is loss
    assert isinstance(losses.as_loss(Quartic), Quartic)
    assert loss.get_config() == {"factor": 2.0, "name": "quartic", "reduction": "sum_over_batch_size"}
    again = deserialize(serialize(loss), {"Quartic": Quartic})
    assert again.get_config() == loss.get_config()
    loss.check_targets(["anything"], (None, 3))


def test_a_function_of_ones_own():
    @differentiable
    def cubic(y_true, y_pred, factor=1.0):
        return factor * (np.abs(y_pred - y_true) ** 3).mean(-1)

    with pytest.raises(TypeError, match=r"'cubic'.*gradient"):
        trained_with(cubic)

    @cubic.derivative
    def cubic_gradient(y_true, y_pred, factor=1.0):
        d = y_pred - y_true
        return factor * 3 * d * np.abs(d) / y_pred.shape[-1]

    loss = losses.as_loss(cubic)
    assert loss.name == "cubic"
    assert loss(np.zeros((1, 2)), np.array([[1.0, 2.0]])) == pytest.approx(4.5)
    wrapped = losses.LossFunctionWrapper(cubic, factor=2.0)
    assert wrapped.factor == 2.0
    assert wrapped(np.zeros((1, 2)), np.array([[1.0, 2.0]])) == pytest.approx(9)


class OfBatch(losses.Loss):
    """2 |p - t|, summed over the outputs; or for the whole batch the mean of the same."""

    def call(self, y_true, y_pred):
        return (2 * np.abs(y_pred - y_true)).sum(-1)

    def gradient(self, y_true, y_pred):
        return np.where(y_pred > y_true, np.float32(2), np.float32(-2))


def as_matrix(a):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(a)


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def unaligned(a):
    place = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    place[...] = a
    return place


class Subclass(np.ndarray):
    pass


# What user code may return; the numbers are small integers, which all of these hold exactly.
FORMS = {
    "float64": lambda a: a.astype("float64"),
    "float16": lambda a: a.astype("float16"),
    "int64": lambda a: a.astype("int64"),
    "int8": lambda a: a.astype("int8"),
    "big-endian float32": lambda a: a.astype(">f4"),
    "big-endian float64": lambda a: a.astype(">f8"),
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "backward": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "unaligned": unaligned,
    "broadcast": lambda a: np.broadcast_to(a, a.shape),
    "matrix": lambda a: as_matrix(a) if a.ndim == 2 else a,
    "subclass": lambda a: a.view(Subclass),
    "list": lambda a: a.tolist(),
    "list of arrays": list,
    "tuple": lambda a: tuple(a.tolist()),
    "Variable": lambda a: minikeras.Variable(a),
}


def trained_with(loss, dtype="float32", **fit):
    """Return history and weights after a fit."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(24, 5)), draw.integers(-1, 2, (24, 3))
    minikeras.utils.set_random_seed(0)
    layers = minikeras.layers
    model = minikeras.Sequential(
        [minikeras.Input((5,)), layers.Dense(6, "relu"), layers.Reshape((1, 2, 3)), layers.Conv2D(3, 1, activation="tanh"),
         layers.Flatten(), layers.Dense(3)]
    )  # fmt: skip
    model.compile(minikeras.optimizers.Adam(0.05), loss)
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, **fit).history["loss"]
    return [*history, model.evaluate(x, y, verbose=0)], model.get_weights()


@pytest.mark.parametrize("form", FORMS)
def test_whatever_array_a_loss_of_ones_own_returns_training_is_the_same(form):
    reform = FORMS[form]

    class Formed(OfBatch):
        def gradient(self, y_true, y_pred):
            return reform(super().gradient(y_true, y_pred))

    class FormedValues(OfBatch):
        def call(self, y_true, y_pred):
            return reform(np.rint(super().call(y_true, y_pred)))

    class PlainValues(OfBatch):
        def call(self, y_true, y_pred):
            return np.rint(super().call(y_true, y_pred))

    @differentiable
    def formed(y_true, y_pred):
        return OfBatch().call(y_true, y_pred)

    @formed.derivative
    def formed_gradient(y_true, y_pred):
        return reform(OfBatch().gradient(y_true, y_pred))

    weights = np.linspace(0, 2, 24)
    for fit in ({}, {"sample_weight": weights}):
        right = trained_with(OfBatch(), **fit)
        for loss, expected in [
            (Formed(), right),
            (formed, right),
            (FormedValues(), trained_with(PlainValues(), **fit)),
        ]:
            history, trained = trained_with(loss, **fit)
            assert history == expected[0]
            for w, expected_w in zip(trained, expected[1], strict=True):
                np.testing.assert_array_equal(w, expected_w)


def test_a_gradient_of_booleans_is_one_of_zeros_and_ones():
    class Hinge(losses.Loss):
        def call(self, y_true, y_pred):
            return np.maximum(y_pred - y_true, 0).sum(-1)

        def gradient(self, y_true, y_pred):
            return (y_pred > y_true).astype("float32")

    class OfBooleans(Hinge):
        def gradient(self, y_true, y_pred):
            return y_pred > y_true

    (history, weights), (expected, expected_weights) = trained_with(OfBooleans()), trained_with(Hinge())
    assert history == expected
    for w, expected_w in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(w, expected_w)


def test_a_loss_of_ones_own_in_float64_arithmetic_trains_as_the_same_in_keras():
    class Ours(losses.Loss):
        def call(self, y_true, y_pred):
            return np.where(y_pred > y_true, 2.0, -2.0) * (y_pred - y_true.astype("float64"))

        def gradient(self, y_true, y_pred):
            return np.where(y_pred > y_true, 2.0, -2.0)

    class Theirs(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return 2 * abs(y_pred - y_true)

    x, y = LOGITS.astype("float32"), one_hot(LABELS).astype("float32")
    results = []
    for k, loss in ((minikeras, Ours()), (keras, Theirs())):
        model = k.Sequential([k.Input((4,)), k.layers.Dense(5, activation="tanh"), k.layers.Dense(4)])
        model.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in model.get_weights()])
        model.compile(k.optimizers.SGD(0.05), loss)
        history = model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0).history["loss"]
        results.append(
            [*history, model.evaluate(x, y, verbose=0), *np.concatenate([w.ravel() for w in model.get_weights()])]
        )
    np.testing.assert_allclose(*results, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        losses.Huber(delta=np.float64(0.7)),
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=np.float64(0.1)),
        losses.CategoricalCrossentropy(label_smoothing=np.float64(0.1)),
        losses.MeanSquaredError(dtype="float64"),
    ],
    ids=lambda loss: loss.name,
)
def test_options_of_numpys_own_numbers_do_not_change_the_float_type(loss):
    _, gradient = loss.value_and_gradient(one_hot(LABELS), softmax(LOGITS).astype("float32"))
    assert gradient.dtype == "float32"


def test_loss_weights_of_numpys_own_numbers_are_those_of_python():
    x, y = LOGITS.astype("float32"), one_hot(LABELS).astype("float32")

    def trained(names, loss, loss_weights):
        inputs = minikeras.Input((4,))
        outputs = [minikeras.layers.Dense(4, kernel_initializer="ones", name=name)(inputs) for name in names]
        model = minikeras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
        model.compile("sgd", loss, loss_weights=loss_weights)
        model.fit(x, [y] * len(outputs), verbose=0, epochs=2, shuffle=False)
        return np.concatenate([w.ravel() for w in model.get_weights()])

    expected = trained("ab", "mse", [0.5, 2.0])
    for loss, weights in [
        ("mse", [np.float64(0.5), np.float64(2)]),
        ("mse", list(np.array([0.5, 2.0]))),
        ({"a": "mse", "b": "mse"}, {"a": np.float64(0.5), "b": np.int64(2)}),
    ]:
        np.testing.assert_array_equal(trained("ab", loss, weights), expected)
    np.testing.assert_array_equal(trained("a", "mse", [np.float64(0.5)]), trained("a", "mse", [0.5]))


@pytest.mark.parametrize(
    ("method", "returned", "error", "words"),
    [
        ("gradient", lambda t, p: p[:, :1], ValueError, r"`gradient` must return the shape of y_pred, \(6, 4\); received \(6, 1\)"),
        ("gradient", lambda t, p: p.sum(-1), ValueError, r"received \(6,\), for y_true of shape \(6, 4\)"),
        ("gradient", lambda t, p: 1.0, ValueError, r"received \(\)"),
        ("gradient", lambda t, p: p.T, ValueError, r"received \(4, 6\)"),
        ("gradient", lambda t, p: None, TypeError, "`gradient` must return an array of numbers, received NoneType"),
        ("gradient", lambda t, p: p.astype(complex), TypeError, "received ndarray of dtype complex128"),
        ("gradient", lambda t, p: p.astype(str), TypeError, "received ndarray of dtype <U"),
        ("gradient", lambda t, p: [[1.0], [2.0, 3.0]], TypeError, "received list"),
        ("call", lambda t, p: (p[:, None] - t).sum(-1), ValueError, r"`call` must return one value per sample, shape \(6,\)"),
        ("call", lambda t, p: p.sum(0), ValueError, r"received \(4,\)"),
        ("call", lambda t, p: None, TypeError, "`call` must return an array of numbers, received NoneType"),
        ("call", lambda t, p: [[1.0], [2.0, 3.0]], TypeError, "received list"),
    ],
)  # fmt: skip
def test_what_a_loss_of_ones_own_cannot_return_is_refused_by_its_name(method, returned, error, words):
    loss = type("Own", (OfBatch,), {method: lambda self, y_true, y_pred: returned(y_true, y_pred)})()
    with pytest.raises(error, match=f"Loss 'own': .*{words}"):
        loss.value_and_gradient(one_hot(LABELS), LOGITS)
    if method == "call":
        with pytest.raises(error, match=f"Loss 'own': .*{words}"):
            loss(one_hot(LABELS), LOGITS)


def test_missing_methods_are_named():
    class Half(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_pred - y_true).sum(-1)

    with pytest.raises(TypeError, match=r"Half: gradient\(self, y_true, y_pred\) is missing"):
        trained_with(Half())
    assert Half()(np.zeros((1, 2)), np.ones((1, 2))) == 2
    with pytest.raises(NotImplementedError, match="Half: write gradient"):
        Half().value_and_gradient(np.zeros((1, 2)), np.ones((1, 2)))
    with pytest.raises(NotImplementedError, match="Loss: write call"):
        losses.Loss()(1, 1)
    with pytest.raises(TypeError, match=r"Loss: call\(self, y_true, y_pred\) is missing"):
        losses.as_loss(losses.Loss())


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_a_loss_without_a_gradient_is_evaluated_as_in_keras_and_refused_where_training_starts(tmp_path):
    def made_for(k):
        class Root(k.losses.Loss):
            def call(self, y_true, y_pred):
                return abs(y_pred - y_true) ** 0.5

        def root(y_true, y_pred):
            return abs(y_pred - y_true) ** 0.5

        return {"object": Root(reduction="sum"), "function": root, "lambda": lambda t, p: (t - 1) * p}

    x, y = LOGITS.astype("float32"), LABELS.astype("uint8")
    values = {}
    for k in (minikeras, keras):
        for name, loss in made_for(k).items():
            model = k.Sequential([k.Input((4,)), k.layers.Dense(1, kernel_initializer="ones")])
            model.compile("sgd", loss)
            values.setdefault(name, []).append(model.evaluate(x, y[:, None], verbose=0))
            if k is minikeras and name != "object":  # whose `call` gets the targets as they are
                assert values[name][-1] == pytest.approx(model.evaluate(x, y, verbose=0))
            if k is minikeras:
                for train in (model.fit, model.train_on_batch):
                    with pytest.raises(TypeError, match=r"gradient.*A loss is a value and a gradient"):
                        train(x, y)
                assert model.predict(x, verbose=0).shape == (6, 1)
            if name == "function":
                model.save(path := str(tmp_path / f"{k.__name__}.keras"))
                again = k.saving.load_model(path, custom_objects={"root": loss})
                assert again.evaluate(x, y[:, None], verbose=0) == pytest.approx(values[name][-1])
                assert k.losses.get(loss) is loss
    for ours, theirs in values.values():
        assert ours == pytest.approx(theirs, rel=1e-5)
    with pytest.raises(TypeError, match="gradient"):
        losses.LossFunctionWrapper(lambda t, p: p).value_and_gradient(x, x)


def test_a_function_of_ones_own_gets_targets_of_the_predictions_rank():
    @differentiable
    def square(y_true, y_pred):
        return ((y_pred - y_true) ** 2).mean(-1)

    @square.derivative
    def square_gradient(y_true, y_pred):
        return 2 * (y_pred - y_true) / y_pred.shape[-1]

    for t, p in [(LOGITS[:, 0], LOGITS[:, 1:2]), (LOGITS[:, :1], LOGITS[:, 1]), (IMAGE[..., 0], IMAGE[..., 1:2])]:
        ours = losses.as_loss(square).value_and_gradient(t, p)
        for a, b in zip(ours, losses.MeanSquaredError().value_and_gradient(t, p), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


# Names and configs -------------------------------------------------------------------------------------------------

CLASSES = sorted({kind for kind, *_ in CASES.values()})
NAMELESS = ("CategoricalGeneralizedCrossEntropy",)  # a class of keras.losses that `keras.losses.get` does not know
NAMES = [
    "mse", "MSE", "mae", "MAE", "bce", "BCE", "mape", "MAPE", "msle", "MSLE", "kld", "KLD",
    *(kind for kind in CLASSES if kind not in NAMELESS),
    *(snake_case(kind) for kind in CLASSES if kind not in NAMELESS),
]  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES)
def test_configs_are_those_of_keras(kind):
    ours, theirs = getattr(losses, kind)(), getattr(keras.losses, kind)()
    assert ours.get_config() == theirs.get_config()
    assert ours.name == theirs.name
    assert ours.dtype == theirs.dtype
    assert losses.serialize(ours) == keras.losses.serialize(theirs)
    assert losses.deserialize(losses.serialize(ours)).get_config() == ours.get_config()
    changed = {"name": "mine", "reduction": "sum"}
    changed.update(
        {
            k: v
            for k, v in {"from_logits": True, "label_smoothing": 0.1, "ignore_class": 2}.items()
            if k in ours.get_config()
        }
    )
    assert getattr(losses, kind)(**changed).get_config() == getattr(keras.losses, kind)(**changed).get_config()


def test_signatures_are_those_of_keras():
    import inspect

    for kind in CLASSES:
        ours, theirs = (inspect.signature(getattr(room, kind)).parameters for room in (losses, keras.losses))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_keras(name):
    ours, theirs = losses.get(name), keras.losses.get(name)
    if isinstance(theirs, keras.losses.Loss):
        assert ours.get_config() == theirs.get_config()
    else:
        assert ours.__name__ == theirs.__name__
    compiled = losses.as_loss(name)
    assert isinstance(compiled, losses.Loss)
    assert compiled.name == (theirs.name if isinstance(theirs, keras.losses.Loss) else name)


def test_get():
    assert losses.get(None) is None
    assert losses.as_loss(None) is None
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(losses.huber) is losses.huber
    config = {"class_name": "CategoricalCrossentropy", "module": "keras.losses", "config": {"from_logits": True}}
    assert losses.get(config).from_logits
    wrapped = losses.LossFunctionWrapper(losses.huber, name="h", delta=2.0)
    assert losses.deserialize(losses.serialize(wrapped)).get_config() == wrapped.get_config()
    theirs = keras.losses.get(keras.losses.huber)
    theirs = type(keras.losses.Huber()).__mro__[1](theirs, name="h", delta=2.0)
    assert wrapped.get_config() == theirs.get_config()
    assert losses.Huber(delta=2.0).get_config()["delta"] == 2.0


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((8,), (8, 1), "BinaryCrossentropy"),
        ((8, 1), (8, 1), "BinaryCrossentropy"),
        ((8,), (8, 3), "SparseCategoricalCrossentropy"),
        ((8, 1), (8, 3), "SparseCategoricalCrossentropy"),
        ((8, 3), (8, 3), "CategoricalCrossentropy"),
    ],
)
def test_crossentropy_is_resolved_by_shape(y_true, y_pred, kind):
    assert type(losses.as_loss("crossentropy", y_true, y_pred)).__name__ == kind
    assert losses.as_loss("ce", y_true, y_pred).name == "ce"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: losses.get("sparse_categorical_crosssentropy"), ValueError, "Did you mean 'sparse_categorical_crossentropy'"),
        (lambda: losses.get("mean_squared_Error"), ValueError, "Did you mean 'mean_squared_error'"),
        (lambda: trained_with(lambda a, b: b), TypeError, "bare function.*gradient.*keras.losses.Loss"),
        (lambda: losses.get(3), TypeError, "received 3"),
        (lambda: losses.get(int), TypeError, "received <class 'int'>"),
        (lambda: losses.Huber(reduction="average"), ValueError, "Invalid value for argument `reduction`. Expected one of.*'average'"),
        (lambda: losses.mean_squared_error(np.ones((4, 2)), np.ones((4, 3))), ValueError, r"\(4, 2\) and \(4, 3\)"),
        (lambda: losses.mean_squared_error(np.ones(3), np.ones((3, 3))), ValueError, r"\(3,\) and \(3, 3\)"),
        (lambda: losses.sparse_categorical_crossentropy([0, 1], np.ones((3, 2))), ValueError, r"shape \(3,\).*received \(2,\)"),
        (lambda: losses.sparse_categorical_crossentropy([0, 2], np.ones((2, 2))), ValueError, r"2 \(at index 1\)"),
        (lambda: losses.sparse_categorical_crossentropy([0, -1], np.ones((2, 2))), ValueError, r"-1 \(at index 1\)"),
        (lambda: losses.sparse_categorical_crossentropy([0, 1], np.ones((2, 2)), axis=0), ValueError, "axis=0"),
        (lambda: losses.MeanSquaredError()(LOGITS, LOGITS, np.ones(5)), ValueError, r"sample_weight of shape \(5,\).*\(6,\)"),
        (lambda: losses.MeanSquaredError()(IMAGE, IMAGE, np.ones(2)), ValueError, r"shape \(2, 1, 1\)"),
        (lambda: losses.Hubert, AttributeError, "(?i)Did you mean 'Huber'"),
    ],
)  # fmt: skip
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


# Targets that cannot belong to the outputs -------------------------------------------------------------------------

TWELVE = np.array([0, 9, 3, 12, 14, 1])


@pytest.mark.parametrize(
    ("loss", "y_true", "output_shape", "words"),
    [
        ("sparse_categorical_crossentropy", TWELVE, (None, 10), r"integers in \[0, 10\), the number of outputs; received 12 \(at index 3\). Give the last layer 15 units, or shift the labels"),
        ("sparse_categorical_crossentropy", TWELVE[:, None], (None, 10), r"received 12 \(at index 3\)"),
        ("sparse_categorical_crossentropy", np.array([1, -1]), (None, 10), r"-1 \(at index 1\).*ignore_class"),
        ("sparse_categorical_crossentropy", np.array([1, 2.5]), (None, 10), r"received 2.5 \(at index 1\)"),
        ("sparse_categorical_crossentropy", np.array([1, np.nan]), (None, 10), r"received nan \(at index 1\)"),
        ("sparse_categorical_crossentropy", np.array([1, np.inf]), (None, 10), r"received inf \(at index 1\)"),
        ("sparse_categorical_crossentropy", np.eye(10), (None, 10), r"received \(10, 10\).*categorical_crossentropy.*argmax"),
        ("sparse_categorical_crossentropy", np.zeros((4, 3)), (None, 10), r"received \(4, 3\)"),
        ("sparse_categorical_crossentropy", np.array([0, 1]), (None, 1), "binary_crossentropy"),
        ("sparse_categorical_crossentropy", np.array(["cat", "dog"]), (None, 2), "must be numbers"),
        ("sparse_categorical_crossentropy", np.full((2, 3, 3), 5), (None, 3, 3, 4), r"5 \(at index \(0, 0, 0\)\)"),
        ("categorical_crossentropy", TWELVE, (None, 10), r"received \(6,\).*sparse_categorical_crossentropy.*to_categorical\(y, 10\)"),
        ("categorical_crossentropy", TWELVE[:, None], (None, 10), "sparse_categorical_crossentropy"),
        ("categorical_crossentropy", np.eye(4), (None, 5), r"\(None, 5\); received \(4, 4\)"),
        ("categorical_crossentropy", 2 * np.eye(4), (None, 4), r"\[0, 1\], received 2.0 \(at index \(0, 0\)\)"),
        ("categorical_crossentropy", np.ones((4, 1)), (None, 1), "binary_crossentropy"),
        ("binary_crossentropy", np.array([0, 1, 2]), (None, 1), r"received 2 \(at index 2\).*sparse_categorical"),
        ("binary_crossentropy", np.array([[1], [-1]]), (None, 1), r"received -1 \(at index 1\).*\(y \+ 1\) / 2"),
        ("binary_crossentropy", np.array([0, np.nan]), (None, 1), r"received nan \(at index 1\)"),
        ("binary_crossentropy", np.array([0, 1]), (None, 10), r"\(None, 10\); received \(2,\).*sparse_categorical"),
        ("mse", np.ones((3, 2)), (None, 1), r"mean_squared_error.*\(None, 1\); received \(3, 2\)"),
        ("mae", np.array([1, np.inf]), (None, 1), r"finite numbers, received inf \(at index 1\)"),
        ("huber", np.array([{}, {}]), (None, 1), "must be numbers"),
    ],
)  # fmt: skip
def test_check_targets_refuses(loss, y_true, output_shape, words):
    kind = TypeError if "must be numbers" in words else ValueError
    with pytest.raises(kind, match=words):
        losses.as_loss(loss).check_targets(y_true, output_shape)


@pytest.mark.parametrize(
    ("loss", "y_true", "output_shape"),
    [
        ("sparse_categorical_crossentropy", np.arange(10), (None, 10)),
        ("sparse_categorical_crossentropy", np.arange(10.0)[:, None], (None, 10)),
        ("sparse_categorical_crossentropy", np.arange(10, dtype="uint8"), (None, 10)),
        ("sparse_categorical_crossentropy", np.array([True, False]), (None, 2)),
        ("sparse_categorical_crossentropy", IMAGE_LABELS, (None, None, 2, 4)),
        (losses.SparseCategoricalCrossentropy(ignore_class=-1), np.array([-1, 0, 9]), (None, 10)),
        (losses.SparseCategoricalCrossentropy(ignore_class=255), np.array([255, 0], "uint8"), (None, 10)),
        ("categorical_crossentropy", np.eye(4), (None, 4)),
        ("categorical_crossentropy", softmax(LOGITS), (None, 4)),
        ("binary_crossentropy", np.array([0, 1]), (None, 1)),
        ("binary_crossentropy", np.array([[0.5], [1]]), (None, 1)),
        ("binary_crossentropy", np.array([[True, False]]), (None, 2)),
        ("mse", np.arange(3), (None, 1)),
        ("mse", IMAGE, (None, 3, 2, 4)),
        ("mse", IMAGE[..., 0], (None, 3, 2, 1)),
    ],
)
def test_check_targets_accepts(loss, y_true, output_shape):
    losses.as_loss(loss).check_targets(y_true, output_shape)


# Training and files --------------------------------------------------------------------------------------------------

#: class -> options, last activation, targets; of one line or of sequences where the loss wants that.
TRAINED = {
    "BinaryCrossentropy": ({"label_smoothing": 0.1}, "sigmoid", one_hot(LABELS)),
    "BinaryFocalCrossentropy": ({"apply_class_balancing": True}, "sigmoid", one_hot(LABELS)),
    "CTC": ({}, None, SEQUENCES),
    "CategoricalCrossentropy": ({}, "softmax", one_hot(LABELS)),
    "CategoricalFocalCrossentropy": ({"gamma": 1.5}, "softmax", one_hot(LABELS)),
    "CategoricalGeneralizedCrossEntropy": ({"q": 0.7}, "softmax", LABELS),
    "CategoricalHinge": ({}, None, one_hot(LABELS)),
    "Circle": ({"gamma": 4.0}, "softmax", np.array([0, 1, 0, 1, 1, 0])),
    "CosineSimilarity": ({}, None, LOGITS[::-1]),
    "Dice": ({}, "sigmoid", one_hot(LABELS)),
    "Hinge": ({}, None, one_hot(LABELS)),
    "Huber": ({}, None, LOGITS[::-1]),
    "KLDivergence": ({}, "softmax", softmax(LOGITS)),
    "LogCosh": ({}, None, LOGITS[::-1]),
    "MeanAbsoluteError": ({}, None, LOGITS[::-1]),
    "MeanAbsolutePercentageError": ({}, None, LOGITS[::-1]),
    "MeanSquaredError": ({}, None, LOGITS[::-1]),
    "MeanSquaredLogarithmicError": ({}, "softplus", np.abs(LOGITS)),
    "Poisson": ({}, "softplus", one_hot(LABELS)),
    "SparseCategoricalCrossentropy": ({}, "softmax", LABELS),
    "SquaredHinge": ({}, None, 2 * one_hot(LABELS) - 1),
    "Tversky": ({"alpha": 0.3, "beta": 0.7}, "sigmoid", one_hot(LABELS)),
}  # fmt: skip


def compiled_with(k, loss, activation, shape):
    layers = [k.Input(shape), k.layers.Dense(5, activation="tanh"), k.layers.Dense(4, activation=activation)]
    model = k.Sequential(layers)
    model.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in model.get_weights()])
    model.compile(k.optimizers.SGD(0.01), loss)
    return model


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_fit_is_that_of_keras(kind, weighted):
    options, activation, y = TRAINED[kind]
    x = (STEPS if kind == "CTC" else LOGITS).astype("float32")
    w = np.array([1, 0.5, 2, 0.25, 3, 1], "float32") if weighted else None
    results = []
    for k in (minikeras, keras):
        model = compiled_with(k, getattr(k.losses, kind)(**options), activation, x.shape[1:])
        history = model.fit(x, y, batch_size=3, epochs=3, shuffle=False, verbose=0, sample_weight=w).history["loss"]
        value = model.evaluate(x, y, batch_size=3, verbose=0, sample_weight=w)
        results.append([*history, value, *np.concatenate([w.ravel() for w in model.get_weights()])])
    assert len(set(results[0][:3])) == 3
    np.testing.assert_allclose(*results, rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("kind", CLASSES)
def test_files_go_both_ways(kind, tmp_path):
    options, activation, y = TRAINED[kind]
    x = (STEPS if kind == "CTC" else LOGITS).astype("float32")
    models = {}
    for k, other in ((minikeras, keras), (keras, minikeras)):
        model = compiled_with(k, getattr(k.losses, kind)(**options, name="mine"), activation, x.shape[1:])
        path = str(tmp_path / f"{k.__name__}.keras")
        model.save(path)
        again = other.saving.load_model(path)
        assert type(again.loss).__name__ == kind
        assert again.loss.name == "mine"
        assert again.loss.get_config() == model.loss.get_config()
        models[k.__name__] = again
    values = [model.evaluate(x, y, verbose=0) for model in models.values()]
    np.testing.assert_allclose(*values, rtol=2e-5)
