"""Metrics: the running values of tf.keras over several batches, with and without weights; names and configs."""

import functools
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import minikeras
from minikeras import losses, metrics
from minikeras.common.names import snake_case

generator = np.random.default_rng(0)
LABELS = [generator.integers(0, 6, n) for n in (7, 4, 1)]
SCORES = [
    generator.normal(size=(n, 6)).round(1).astype("float32") for n in (7, 4, 1)
]  # rounded, so that there are ties
PROBABILITIES = [np.exp(s) / np.exp(s).sum(-1, keepdims=True) for s in SCORES]
ONE_HOT = [np.eye(6, dtype="float32")[t] for t in LABELS]
BITS = [t % 2 for t in LABELS]
COLUMN = [p[:, :1] for p in PROBABILITIES]
WEIGHTS = [generator.uniform(0, 2, len(t)).astype("float32") for t in LABELS]
NOISY = [(s + generator.normal(size=s.shape)).astype("float32") for s in SCORES]
SIGNS = [2 * one - 1 for one in ONE_HOT]
POSITIVE = [np.abs(s) + 0.5 for s in NOISY]
IMAGES = [generator.normal(size=(n, 3, 2, 6)).astype("float32") for n in (7, 4, 1)]
IMAGE_LABELS = [generator.integers(0, 6, (n, 3, 2)) for n in (7, 4, 1)]

CASES = [
    ("Accuracy", {}, LABELS, [np.roll(t, 1) for t in LABELS]),
    ("Accuracy", {}, LABELS, [t[:, None] for t in LABELS]),
    ("BinaryAccuracy", {}, BITS, COLUMN),
    ("BinaryAccuracy", {"threshold": 0.1}, [t[:, None] for t in BITS], COLUMN),
    ("BinaryAccuracy", {"threshold": 0.3}, ONE_HOT, PROBABILITIES),
    ("CategoricalAccuracy", {}, ONE_HOT, SCORES),
    ("SparseCategoricalAccuracy", {}, LABELS, SCORES),
    ("SparseCategoricalAccuracy", {}, [t[:, None].astype("float32") for t in LABELS], SCORES),
    ("SparseCategoricalAccuracy", {}, IMAGE_LABELS, IMAGES),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, SCORES),
    ("TopKCategoricalAccuracy", {}, ONE_HOT, SCORES),
    ("SparseTopKCategoricalAccuracy", {"k": 1}, LABELS, SCORES),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, LABELS, [np.sign(s) for s in SCORES]),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, IMAGE_LABELS, IMAGES),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, LABELS, [s.argsort(-1) for s in SCORES]),
    ("MeanAbsoluteError", {}, ONE_HOT, SCORES),
    ("MeanSquaredError", {}, LABELS, COLUMN),
    ("RootMeanSquaredError", {}, ONE_HOT, SCORES),
    ("RootMeanSquaredError", {}, LABELS, COLUMN),
    ("MeanAbsolutePercentageError", {}, POSITIVE, SCORES),
    ("MeanSquaredLogarithmicError", {}, POSITIVE, SCORES),
    ("LogCoshError", {}, NOISY, SCORES),
    ("CosineSimilarity", {}, NOISY, SCORES),
    ("Hinge", {}, SIGNS, SCORES),
    ("Hinge", {}, ONE_HOT, SCORES),
    ("SquaredHinge", {}, SIGNS, SCORES),
    ("CategoricalHinge", {}, ONE_HOT, SCORES),
    ("KLDivergence", {}, [np.roll(p, 1, -1) for p in PROBABILITIES], PROBABILITIES),
    ("Poisson", {}, POSITIVE, PROBABILITIES),
    ("PearsonCorrelation", {}, NOISY, SCORES),
    ("ConcordanceCorrelation", {}, NOISY, SCORES),
    ("ConcordanceCorrelation", {}, ONE_HOT, SCORES),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES),
    ("BinaryCrossentropy", {"from_logits": True}, ONE_HOT, SCORES),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {}, LABELS, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, IMAGE_LABELS, IMAGES),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, LABELS, PROBABILITIES),
]
CLASSES = sorted({kind for kind, *_ in CASES} | {"Mean", "Sum", "R2Score"})


@pytest.mark.parametrize(
    ("kind", "options", "y_true", "y_pred"), CASES, ids=[f"{c[0]} {i}" for i, c in enumerate(CASES)]
)
def test_running_values_are_those_of_keras(kind, options, y_true, y_pred):
    for shape in (None, "vector", "column", "scalar"):
        ours, theirs = getattr(metrics, kind)(**options), getattr(keras.metrics, kind)(**options)
        assert ours.result() == float(theirs.result()) == 0
        for t, p, w in zip(y_true, y_pred, WEIGHTS, strict=True):
            weights = {None: None, "vector": w, "column": w[:, None], "scalar": 0.7}[shape]
            if t.ndim == 3 and shape == "column":
                weights = np.tile(w[:, None, None], (1, 3, 2))
            if t.ndim == 3 and shape == "vector" and options.get("ignore_class") is not None:
                continue
            ours.update_state(t, p, sample_weight=weights)
            theirs.update_state(t, p, sample_weight=weights)
            assert ours.result() == pytest.approx(float(theirs.result()), rel=2e-6, abs=1e-7), shape
        result = ours.result()
        assert (result.dtype, result.shape) == (np.float32, ()) == (result.numpy().dtype, result.numpy().shape)
        ours.reset_state()
        assert ours.result() == 0
        assert ours(y_true[0], y_pred[0]) == ours.result()


@pytest.mark.parametrize("weights", [None, np.ones(4, "float32"), np.array([1, 2, 3, 4], "float32")])
def test_samples_of_the_class_to_ignore_count_as_in_keras(weights):
    ours, theirs = (k.metrics.SparseCategoricalCrossentropy(ignore_class=2) for k in (minikeras, keras))
    for metric in (ours, theirs):  # as zeros; with sample weights, not at all
        metric.update_state(np.array([0, 2, 1, 2]), np.full((4, 3), 1 / 3, "float32"), sample_weight=weights)
    assert ours.result() == pytest.approx(float(theirs.result()))
    assert ours.result() == pytest.approx(np.log(3) / (2 if weights is None else 1))


def test_functions_are_those_of_keras():
    names = {snake_case(kind) for kind, *_ in CASES} & set(dir(metrics))
    assert len(names) == 19
    seen = set()
    for kind, options, y_true, y_pred in CASES:
        name = snake_case(kind)
        if name not in names or y_true is BITS or (y_true is LABELS and y_pred is COLUMN):
            continue
        for t, p in zip(y_true, y_pred, strict=True):
            ours, theirs = (getattr(room, name)(t, p, **options) for room in (metrics, keras.metrics))
            theirs = np.asarray(theirs)
            assert ours.dtype == "float32"
            np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-5, atol=1e-6)
        seen.add(name)
    assert seen >= names - {"mean_squared_error"}
    np.testing.assert_allclose(
        metrics.huber(ONE_HOT[0], SCORES[0]), keras.metrics.huber(ONE_HOT[0], SCORES[0]), rtol=1e-5
    )


def test_top_k_with_ties_and_impossible_scores():
    scores = np.array([[1, 1, 1.0], [1, np.nan, 1], [np.inf, 1, 0], [1, 2, 3], [1, 2, 3]], "float32")
    labels = np.array([0, 1, 2, 5, -1])
    for k in (1, 2, 3):
        ours = metrics.sparse_top_k_categorical_accuracy(labels, scores, k)
        assert ours.tolist() == np.asarray(keras.metrics.sparse_top_k_categorical_accuracy(labels, scores, k)).tolist()


@pytest.mark.parametrize("name", ["pearson_correlation", "concordance_correlation"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_correlations_along_an_axis(name, axis):
    ours, theirs = (getattr(k.metrics, name)(NOISY[0], SCORES[0], axis=axis) for k in (minikeras, keras))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    constant = [getattr(k.metrics, name)(NOISY[0], np.ones_like(SCORES[0]), axis=axis) for k in (minikeras, keras)]
    np.testing.assert_allclose(*constant, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("aggregation", [None, "uniform_average", "variance_weighted_average"])
@pytest.mark.parametrize("regressors", [0, 2, 41])  # of 42 numbers in the first batch
@pytest.mark.parametrize("weighted", [None, "vector", "matrix"])
@pytest.mark.filterwarnings("ignore:.*Falling back to standard R2 score")
def test_r2_scores_are_those_of_keras(aggregation, regressors, weighted):
    ours, theirs = (k.metrics.R2Score(aggregation, num_regressors=regressors) for k in (minikeras, keras))
    for _ in range(2):
        for t, p, w in list(zip(NOISY, SCORES, WEIGHTS, strict=True))[:2]:
            weights = {None: None, "vector": w, "matrix": np.abs(t) + 0.1}[weighted]
            ours.update_state(t, p, sample_weight=weights)
            theirs.update_state(t, p, sample_weight=weights)
            np.testing.assert_allclose(ours.result(), theirs.result(), rtol=2e-5, atol=2e-6)
        assert [(v.name, v.path.partition("/")[2], v.shape, v.dtype) for v in ours.variables] == [
            (v.name, v.path.partition("/")[2], tuple(v.shape), v.dtype) for v in theirs.variables
        ]
        ours.reset_state()
        theirs.reset_state()
        np.testing.assert_array_equal(ours.result(), theirs.result())  # NaN


def test_r2_scores_at_the_edges():
    for t, p in [([[1.0], [1.0]], [[1.0], [2.0]]), ([[1.0], [1.0]], [[1.0], [1.0]]), ([[1.0]], [[2.0]])]:
        ours, theirs = (k.metrics.R2Score()(np.array(t), np.array(p)) for k in (minikeras, keras))
        np.testing.assert_array_equal(ours, theirs)
    for k in (minikeras, keras):
        for n, words in [(5, "More independent predictors than datapoints"), (1, "Division by zero in Adjusted R2")]:
            with pytest.warns(UserWarning, match=words):
                k.metrics.R2Score(num_regressors=n)(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]]))
        for make, words in [
            (lambda k=k: k.metrics.R2Score("mean"), "Invalid value for argument `class_aggregation`. Expected one of"),
            (lambda k=k: k.metrics.R2Score(num_regressors=-1), "Invalid value for argument `num_regressors`. Expected"),
            (lambda k=k: k.metrics.R2Score()(np.ones((2, 3, 1)), np.ones((2, 3, 1))), "R2Score expects 2D inputs with"),
        ]:
            with pytest.raises(ValueError, match=words):
                make()


def test_all_metrics_of_keras_are_here():
    public = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert public - set(metrics.__all__) == set()
    assert set(metrics.__all__) - public == {"resolve"}
    for name in public - {"get", "serialize", "deserialize"}:
        assert isinstance(getattr(metrics, name), type) == isinstance(getattr(keras.metrics, name), type)


def test_cosine_similarity_along_the_first_axis():
    ours, theirs = (k.metrics.CosineSimilarity(axis=1)(IMAGES[0], IMAGES[0][::-1]) for k in (minikeras, keras))
    assert ours == pytest.approx(float(theirs), rel=1e-6)
    assert metrics.CosineSimilarity.from_config(metrics.CosineSimilarity(axis=1).get_config()).axis == 1


def test_mean_and_sum():
    for kind in ("Mean", "Sum"):
        ours, theirs = getattr(metrics, kind)(), getattr(keras.metrics, kind)()
        for values, weights in [(3.0, None), (2.0, 32), ([1, 2, 3], None), ([1, 2], [0.5, 2]), (IMAGES[0], None),
                                (IMAGES[0], WEIGHTS[0]), (IMAGES[0][:, 0, 0], WEIGHTS[0][:, None])]:  # fmt: skip
            ours.update_state(values, sample_weight=weights)
            theirs.update_state(values, sample_weight=weights)
            assert ours.result() == pytest.approx(float(theirs.result()), rel=2e-6)
    with pytest.raises(ValueError, match=r"sample_weight of shape \(2,\) does not fit values of shape \(3,\)"):
        metrics.Mean().update_state([1, 2, 3], [1, 2])


def test_sums_are_float32_as_in_keras():
    ours, theirs = metrics.Mean(), keras.metrics.Mean()
    for _ in range(50):
        ours.update_state(0.1, sample_weight=32)
        theirs.update_state(0.1, sample_weight=32)
    assert ours.result() == float(theirs.result())
    assert metrics.Mean(dtype="float64").total.dtype == "float64"


def test_configs_names_and_signatures_are_those_of_keras():
    for kind in CLASSES:
        ours, theirs = getattr(metrics, kind), getattr(keras.metrics, kind)
        assert ours().get_config() == theirs().get_config()
        assert ours(name="mine", dtype="float64").get_config() == theirs(name="mine", dtype="float64").get_config()
        parameters = [[(p.name, p.default) for p in inspect.signature(c).parameters.values()] for c in (ours, theirs)]
        assert parameters[0] == parameters[1]
        assert metrics.serialize(ours()) == keras.metrics.serialize(theirs())
        assert metrics.deserialize(metrics.serialize(ours())).get_config() == ours().get_config()
        for name in (kind, snake_case(kind)):
            assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__
    for alias in ("mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE"):
        assert type(metrics.get(alias)).__name__ == type(keras.metrics.get(alias)).__name__
    for kind, options, *_ in CASES:
        assert getattr(metrics, kind)(**options).get_config() == getattr(keras.metrics, kind)(**options).get_config()
    wrapped = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="b", threshold=0.3)
    theirs = keras.metrics.MeanMetricWrapper(keras.metrics.binary_accuracy, name="b", threshold=0.3)
    assert wrapped.get_config() == theirs.get_config()
    again = metrics.deserialize(metrics.serialize(wrapped))
    assert again.get_config() == wrapped.get_config()
    assert again.fn is metrics.binary_accuracy


@pytest.mark.parametrize("name", ["hinge", "kl_divergence", "pearson_correlation", "top_k_categorical_accuracy"])
def test_wrapped_functions_of_the_library_come_back(name):
    ours, theirs = (k.metrics.MeanMetricWrapper(getattr(k.metrics, name), name="w") for k in (minikeras, keras))
    assert ours.get_config() == theirs.get_config()
    assert metrics.deserialize(metrics.serialize(ours)).fn is getattr(metrics, name)


def test_a_wrapped_loss_comes_back():
    ours, theirs = (k.metrics.MeanMetricWrapper(k.losses.MeanSquaredError(), name="w") for k in (minikeras, keras))
    assert ours.get_config() == theirs.get_config()
    again = metrics.deserialize(metrics.serialize(ours))
    assert again(ONE_HOT[0], SCORES[0]) == pytest.approx(float(theirs(ONE_HOT[0], SCORES[0])))


def state_of(metric):
    return [(v.name, v.path, tuple(v.shape), v.dtype) for v in metric.variables]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_variables_are_those_of_keras(kind):
    minikeras.utils.clear_session()
    keras.utils.clear_session()
    ours, theirs = (getattr(k.metrics, kind)() for k in (minikeras, keras))
    assert state_of(ours) == state_of(theirs)


def test_variables_and_metrics_that_are_attributes_belong_to_a_metric():
    results = []
    for k in (minikeras, keras):

        class Both(k.metrics.Metric):
            def __init__(self, k, **kwargs):
                super().__init__(**kwargs)
                self.steps = self.add_weight(name="steps", initializer="zeros")
                self.parts = {"b": k.metrics.Mean(name="b"), "a": [k.metrics.Sum(name="a")]}
                self.more = [k.Variable(1.0, name="more")]

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.steps.assign_add(1)
                self.parts["b"].update_state(y_pred)

            def result(self):
                return self.parts["b"].result() + self.steps

        metric = Both(k, name="both/of_them")
        metric(LABELS[0], SCORES[0])
        before = {v.name: float(np.asarray(v)) for v in metric.variables}
        metric.reset_state()
        results.append(
            ([v.path for v in metric.variables[:1]], before, {float(np.asarray(v)) for v in metric.variables})
        )
    assert results[0] == (results[1][0], pytest.approx(results[1][1]), results[1][2])


@pytest.mark.parametrize("kind", ["Mean", "SparseCategoricalAccuracy", "Precision", "Batches"])
def test_stateless_methods_leave_the_state_alone(kind):
    made = Batches if kind == "Batches" else getattr(metrics, kind)
    metric, other = made(), made()
    data = (
        (SCORES[0],) if kind == "Mean" else (BITS[0], 1 - COLUMN[0]) if kind == "Precision" else (LABELS[0], SCORES[0])
    )
    state = metric.variables
    for _ in range(2):
        state = metric.stateless_update_state(state, *data)
        other.update_state(*data)
    assert metric.stateless_result(state) == other.result()
    for mine, theirs in zip(state, other.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs.value)
    assert not any(v.value.any() for v in metric.variables)
    assert not any(v.any() for v in other.stateless_reset_state())
    assert any(v.value.any() for v in other.variables)
    theirs = keras.metrics.Mean()
    for method in ("stateless_update_state", "stateless_result"):
        for one in (metric, theirs):
            with pytest.raises(
                ValueError, match=r"Argument `metric_variables` must be a list of tensors corresponding"
            ):
                getattr(one, method)([1.0, 2.0, 3.0])


def test_who_forgets_the_base_class_is_told_as_in_keras():
    for k in (minikeras, keras):

        class Forgetful(k.metrics.Metric):
            def __init__(self):
                self.total = self.add_variable((), "zeros", name="total")

        with pytest.raises(RuntimeError, match=r"You forgot to call `super\(\).__init__\(\)`"):
            Forgetful()


def test_accuracy_and_crossentropy_are_resolved_by_shape():
    for y_true, y_pred, kind in [
        ((8,), (8, 1), "Binary"),
        ((8, 1), (8, 1), "Binary"),
        ((8,), (8, 3), "SparseCategorical"),
        ((8, 1), (8, 3), "SparseCategorical"),
        ((8, 3), (8, 3), "Categorical"),
        ((8, 4, 4), (8, 4, 4, 3), "SparseCategorical"),
    ]:
        for name, suffix in {"accuracy": "Accuracy", "acc": "Accuracy", "ce": "Crossentropy"}.items():
            metric = metrics.resolve(name, y_true, y_pred)
            assert type(metric).__name__ == kind + suffix
            assert metric.name == name


def test_resolve_keeps_the_users_name():
    def hits(y_true, y_pred):
        return y_true == y_pred.argmax(-1)

    assert metrics.resolve("mse").name == "mse"
    assert metrics.resolve("Accuracy", (8,), (8, 3)).name == "Accuracy"
    assert metrics.resolve(metrics.BinaryAccuracy()).name == "binary_accuracy"
    assert metrics.resolve(metrics.BinaryAccuracy(name="mine")).name == "mine"
    assert isinstance(metrics.resolve(metrics.BinaryAccuracy), metrics.BinaryAccuracy)
    assert metrics.resolve(losses.huber).name == "huber"
    metric = metrics.resolve(hits)
    assert metric.name == "hits"
    metric.update_state(LABELS[0], SCORES[0])
    assert metric.result() == pytest.approx((LABELS[0] == SCORES[0].argmax(-1)).mean())


# The keys of logs ---------------------------------------------------------------------------------------------------


def RMSE(y_true, y_pred):
    return abs(y_true - y_pred)


def myMetric(y_true, y_pred):
    return abs(y_true - y_pred) * 2


def accuracy(y_true, y_pred):
    return abs(y_true - y_pred) * 3


def of_two_words(y_true, y_pred):
    return abs(y_true - y_pred) * 4


def Conv2DLike_2X(y_true, y_pred):
    return abs(y_true - y_pred) * 5


def with_a_name(y_true, y_pred):
    return abs(y_true - y_pred) * 6


def renamed(y_true, y_pred):
    return abs(y_true - y_pred) * 7


with_a_name.name = "A name Of its own"
renamed.__name__ = "100% right"


class TopScore:
    def __call__(self, y_true, y_pred):
        return abs(y_true - y_pred) * 8

    def aMethod(self, y_true, y_pred):
        return abs(y_true - y_pred) * 9

    @staticmethod
    def aStatic(y_true, y_pred):
        return abs(y_true - y_pred) * 10


class WithName(TopScore):
    name = "ScoreOf"


# What `compile` is given, by the library: one output "a", or "a" and "b".
NAMED = {
    "functions": lambda k: {"metrics": [RMSE, myMetric, of_two_words, Conv2DLike_2X, renamed]},
    "a function with a name": lambda k: {"metrics": [with_a_name]},
    "a function of a string's name": lambda k: {"metrics": [accuracy, "accuracy"]},
    "wrapped": lambda k: {"metrics": [functools.wraps(RMSE)(lambda t, p: abs(t - p) / 2)]},
    "a lambda": lambda k: {"metrics": [lambda t, p: abs(t - p)]},
    "three lambdas": lambda k: {"metrics": [lambda t, p: abs(t - p), lambda t, p: t - p, RMSE, lambda t, p: p]},
    "partials": lambda k: {
        "metrics": [functools.partial(k.metrics.binary_accuracy, threshold=0.4), functools.partial(RMSE)]
    },
    "callables": lambda k: {"metrics": [TopScore(), WithName()]},
    "their classes": lambda k: {"metrics": [WithName, TopScore]},
    "methods": lambda k: {"metrics": [TopScore().aMethod, TopScore.aStatic]},
    "functions of the library": lambda k: {"metrics": [k.metrics.mean_squared_error, k.losses.mean_absolute_error]},
    "losses": lambda k: {
        "metrics": [k.losses.MeanSquaredError(), k.losses.Huber(name="MyHuber"), k.losses.MeanAbsoluteError]
    },
    "classes": lambda k: {"metrics": [k.metrics.BinaryAccuracy, k.metrics.RootMeanSquaredError, k.metrics.AUC]},
    "objects": lambda k: {"metrics": [k.metrics.AUC(), k.metrics.AUC(), k.metrics.MeanSquaredError(name="Own Name")]},
    "wrappers": lambda k: {
        "metrics": [k.metrics.MeanMetricWrapper(RMSE, name=name) for name in (None, "W", None)]
    },
    "strings": lambda k: {"metrics": ["MSE", "mae", "AUC", "Precision", "BinaryAccuracy", "acc"]},
    "nested": lambda k: {"metrics": [[RMSE], ["accuracy"]]},
    "by the output's name": lambda k: {"metrics": {"a": [RMSE, "accuracy"]}},
    "weighted": lambda k: {"weighted_metrics": [RMSE, lambda t, p: p, lambda t, p: abs(t - p)]},
    "both": lambda k: {"metrics": [RMSE, RMSE, "mse"], "weighted_metrics": [RMSE, "mse", RMSE, TopScore()]},
    "two outputs": lambda k: {"metrics": [[RMSE, "MSE"], [lambda t, p: p, RMSE]]},
    "two outputs by name": lambda k: {"metrics": {"b": [RMSE, k.metrics.AUC], "a": TopScore()}},
    "two outputs, weighted": lambda k: {
        "metrics": {"b": [RMSE, RMSE], "a": "mse"}, "weighted_metrics": {"a": ["mse", RMSE], "b": [RMSE, RMSE]}
    },
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_keys_and_values_of_logs_are_those_of_keras(case):
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
    y = (x[:, :1] > 0.2).astype("float32")
    results = []
    for k in (minikeras, keras):
        k.utils.clear_session()
        inputs = k.Input((2,))
        two = case.startswith("two")
        outputs = [k.layers.Dense(1, activation="sigmoid", name=name)(inputs) for name in "ab"[: 1 + two]]
        model = k.Model(inputs, outputs if two else outputs[0])
        model.set_weights([np.full(np.shape(w), 0.5) for w in model.get_weights()])
        model.compile(k.optimizers.SGD(0.0), "mse", run_eagerly=True, **NAMED[case](k))
        data = (x, [y, 1 - y] if two else y)
        history = model.fit(*data, batch_size=4, validation_data=data, verbose=0).history
        results.append(
            (
                {name: values[0] for name, values in history.items()},
                model.evaluate(*data, 4, verbose=0, return_dict=True),
            )
        )
    for ours, theirs in zip(*results, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_metric_called_loss_does_not_take_the_place_of_the_loss():
    def loss(y_true, y_pred):
        return abs(y_true - y_pred)

    model = minikeras.Sequential([minikeras.Input((1,)), minikeras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=[loss])
    assert model.evaluate([[1.0]], [[3.0]], verbose=0, return_dict=True) == {"loss": 9.0, "loss_1": 3.0}


# Results of other kinds than floats --------------------------------------------------------------------------------


def fitted(metric, k=minikeras):
    """Return history, what evaluate says in both forms, and what train_on_batch says."""
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
    y = np.eye(3, dtype="float32")[np.arange(8) % 3]
    model = k.Sequential([k.Input((3,)), k.layers.Dense(3, activation="softmax")])
    model.set_weights([np.eye(3), np.zeros(3)])
    model.compile(k.optimizers.SGD(0.0), "categorical_crossentropy", metrics=[metric], run_eagerly=True)
    history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x[:4], y[:4]), verbose=0).history
    evaluated = [model.evaluate(x, y, verbose=0, return_dict=True), model.evaluate(x, y, verbose=0)]
    return history, evaluated, model.train_on_batch(x, y)


class Batches(metrics.Metric):
    """How many batches, and how many samples."""

    def __init__(self, form=float, name="batches"):
        super().__init__(name=name)
        self.form, self.state = form, self.add_variable((2,), "zeros", name="state")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.state.assign(self.state + np.array([1, len(y_pred)]))

    def result(self):
        return self.form(self.state.value[0])


@pytest.mark.parametrize(
    "form",
    [
        np.float64, np.float16, np.int8, int, np.asarray, np.array, minikeras.Variable,
        lambda n: np.array(n, ">f8"), lambda n: np.matrix(n)[0, 0],
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_result_that_is_any_one_number_becomes_a_float(form):
    results = fitted(Batches(form))
    assert results == fitted(Batches())
    assert results[0]["batches"] == [2.0, 2.0]
    assert {type(v) for values in results[0].values() for v in values} == {float}


def test_a_result_that_is_a_bool_becomes_a_float():
    assert fitted(Batches(lambda n: n > 1))[0]["batches"] == [1.0, 1.0]


def test_a_vector_of_results_is_an_array_that_does_not_change_any_more():
    class Both(Batches):
        def result(self):
            return self.state

    history, evaluated, on_batch = fitted(Both(name="both"))
    for values, expected in [(history["both"], [2, 8]), (history["val_both"], [1, 4])]:
        assert np.shape(values) == (2, 2)
        np.testing.assert_array_equal(values, [expected] * 2)
    np.testing.assert_array_equal(evaluated[1][1], [1, 8])
    np.testing.assert_array_equal(on_batch[1], [1, 8])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("F1Score", {}), ("FBetaScore", {"beta": 2.0}), ("Precision", {"thresholds": [0.3, 0.5]}),
        ("Recall", {"thresholds": [0.4]}),
    ],
)  # fmt: skip
def test_vectors_of_results_are_those_of_keras(kind, options):
    (ours, evaluated, on_batch), (theirs, their_evaluated, their_on_batch) = (
        fitted(getattr(k.metrics, kind)(**options), k) for k in (minikeras, keras)
    )
    assert sorted(ours) == sorted(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5)
    assert list(evaluated[0]) == list(their_evaluated[0])
    for results, their_results in [(evaluated[1], their_evaluated[1]), (on_batch, their_on_batch)]:
        for value, their_value in zip(results, their_results, strict=True):
            np.testing.assert_allclose(value, their_value, rtol=1e-5)


def test_a_dictionary_of_results_has_its_own_names_as_in_keras():
    def made(k):
        class Several(k.metrics.Mean):
            def update_state(self, y_true, y_pred, sample_weight=None):
                super().update_state(abs(y_true - y_pred))

            def result(self):
                return {"low": super().result(), "high": super().result() * 2}

        return Several(name="several")

    (ours, evaluated, on_batch), (theirs, their_evaluated, their_on_batch) = (
        fitted(made(k), k) for k in (minikeras, keras)
    )
    assert sorted(ours) == sorted(theirs) == ["high", "loss", "low", "val_high", "val_loss", "val_low"]
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5)
    assert list(evaluated[0]) == list(their_evaluated[0])
    assert evaluated[0] == pytest.approx(their_evaluated[0])
    assert evaluated[1] == pytest.approx(their_evaluated[1])
    assert on_batch == pytest.approx(their_on_batch)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # where Keras saves
def test_arrays_are_logged_and_saved_as_in_keras(tmp_path, capsys):
    printed, files, results = [], [], []
    x = np.linspace(-1, 1, 60, dtype="float32").reshape(20, 3)
    y = np.eye(3, dtype="float32")[np.arange(20) % 3]
    for k in (minikeras, keras):
        model = k.Sequential([k.Input((3,)), k.layers.Dense(3, activation="softmax")])
        model.set_weights([np.eye(3), np.zeros(3)])
        chosen = [k.metrics.F1Score(name="f"), k.metrics.Precision(thresholds=[0.3, 0.5], name="p"), "mae"]
        model.compile(k.optimizers.SGD(0.0), "categorical_crossentropy", metrics=chosen)
        log, path = str(tmp_path / f"{k.__name__}.csv"), tmp_path / f"{k.__name__}.keras"
        model.fit(x, y, validation_data=(x, y), verbose=2, callbacks=[k.callbacks.CSVLogger(log)])
        printed.append(re.sub(r"^.*step - ", "", capsys.readouterr().out, flags=re.DOTALL))
        files.append(re.split(r"[,\n]", Path(log).read_text()))
        model.save(path)
        again = k.models.load_model(path)
        results.append([np.ravel(value).tolist() for value in again.evaluate(x, y, verbose=0)])
        assert results[-1] == [np.ravel(value).tolist() for value in model.evaluate(x, y, verbose=0)]
    assert printed[0] == printed[1]
    assert "f: 0.1538 - " in printed[0]
    for ours, theirs in zip(*files, strict=True):
        assert ours == theirs or float(ours) == pytest.approx(float(theirs), rel=1e-6)
    for ours, theirs in zip(*results, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("form", [lambda n: None, str, lambda n: complex(n), lambda n: object()])
def test_a_result_that_is_no_number_is_refused_by_the_metrics_name(form):
    with pytest.raises(TypeError, match="Metric 'batches': `result` must return numbers, or a dictionary of them"):
        fitted(Batches(form))


def test_a_metric_of_ones_own():
    class Largest(metrics.Metric):
        def __init__(self, name="largest", **kwargs):
            super().__init__(name=name, **kwargs)
            self.largest = self.add_variable((), "zeros", name="largest")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(max(float(self.largest), y_pred.max()))

        def result(self):
            return self.largest

    metric = Largest()
    for p in PROBABILITIES:
        metric.update_state(None, p)
    assert float(metric.result()) == max(p.max() for p in PROBABILITIES)
    assert [v.name for v in metric.variables] == ["largest"]
    metric.reset_state()
    assert float(metric.result()) == 0
    assert metric.get_config() == {"name": "largest", "dtype": "float32"}
    with pytest.raises(NotImplementedError, match="Metric: write update_state"):
        metrics.Metric().update_state()
    with pytest.raises(NotImplementedError, match="Metric: write result"):
        metrics.Metric().result()


def test_a_metric_of_ones_own_need_not_keep_its_arguments():
    for k in (minikeras, keras):

        class Above(k.metrics.Mean):
            def __init__(self, threshold=0.5, name="above", **kwargs):
                super().__init__(name=name, **kwargs)
                self.limit = threshold

        assert Above(0.25).get_config() == {"name": "above", "dtype": "float32"}


def test_errors():
    for given, error, words in [
        ("acuracy", ValueError, "acuracy.*Did you mean 'accuracy'"),
        ("sparse_top_k_accuracy", ValueError, "Did you mean 'sparse_top_k_categorical_accuracy'"),
        (3, ValueError, "Could not interpret metric identifier: 3"),
        (3, TypeError, "Could not interpret metric identifier: 3"),
        (int, TypeError, "Could not interpret metric identifier: <class 'int'>"),
    ]:
        with pytest.raises(error, match=words):
            metrics.get(given)
    assert metrics.get(None) is None
    with pytest.raises(TypeError, match="received None"):
        metrics.resolve(None)
    with pytest.raises(AttributeError, match="Did you mean 'Mean'"):
        minikeras.metrics.Meann  # noqa: B018
    assert all(hasattr(metrics, name) for name in metrics.__all__)
