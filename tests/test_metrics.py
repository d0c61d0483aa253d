"""Metrics: the running values of tf.keras over several batches, with and without weights; names and configs."""

import inspect

import keras
import numpy as np
import pytest

import minikeras
from minikeras import losses, metrics
from minikeras.names import snake_case

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
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES),
    ("BinaryCrossentropy", {"from_logits": True}, ONE_HOT, SCORES),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {}, LABELS, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, IMAGE_LABELS, IMAGES),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, LABELS, PROBABILITIES),
]
CLASSES = sorted({kind for kind, *_ in CASES} | {"Mean", "Sum"})


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
        assert isinstance(ours.result(), float)
        ours.reset_state()
        assert ours.result() == 0
        assert ours(y_true[0], y_pred[0]) == ours.result()


def test_functions_are_those_of_keras():
    names = {snake_case(kind) for kind, *_ in CASES} - {"accuracy", "root_mean_squared_error"}
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
    assert metrics.Mean(dtype="float64").total.dtype == np.float64


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
    for alias in ("mse", "MSE", "mae", "MAE", "bce", "BCE"):
        assert type(metrics.get(alias)).__name__ == type(keras.metrics.get(alias)).__name__
    for kind, options, *_ in CASES:
        assert getattr(metrics, kind)(**options).get_config() == getattr(keras.metrics, kind)(**options).get_config()
    wrapped = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="b", threshold=0.3)
    theirs = keras.metrics.MeanMetricWrapper(keras.metrics.binary_accuracy, name="b", threshold=0.3)
    assert wrapped.get_config() == theirs.get_config()
    again = metrics.deserialize(metrics.serialize(wrapped))
    assert again.get_config() == wrapped.get_config()
    assert again.fn is metrics.binary_accuracy


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


def test_errors():
    for given, error, words in [
        ("acuracy", ValueError, "acuracy.*Did you mean 'accuracy'"),
        ("sparse_top_k_accuracy", ValueError, "Did you mean 'sparse_top_k_categorical_accuracy'"),
        (3, TypeError, "received 3"),
        (int, TypeError, "received <class 'int'>"),
    ]:
        with pytest.raises(error, match=words):
            metrics.get(given)
    assert metrics.get(None) is None
    with pytest.raises(TypeError, match="received None"):
        metrics.resolve(None)
    with pytest.raises(AttributeError, match="Did you mean 'Mean'"):
        minikeras.metrics.Meann  # noqa: B018
    assert all(hasattr(metrics, name) for name in metrics.__all__)
