"""Precision, Recall, AUC and F-scores: the running values of tf.keras over batches, with and without weights."""

import inspect

import keras
import numpy as np
import pytest

import minikeras
from minikeras import metrics
from minikeras.common.names import snake_case

rng = np.random.default_rng(0)
SIZES = (40, 7, 1)
BITS = [rng.integers(0, 2, n) for n in SIZES]
SCORES = [(0.7 * rng.random(n) + 0.3 * t).astype("float32").round(2) for n, t in zip(SIZES, BITS, strict=True)]
LOGITS = [(6 * s - 3).astype("float32") for s in SCORES]
LABELS = [np.eye(4, dtype="float32")[rng.integers(0, 4, n)] for n in SIZES]
CLASSES = [rng.dirichlet(np.ones(4), n).astype("float32").round(2) for n in SIZES]
MANY = [rng.integers(0, 2, (n, 4)).astype("float32") for n in SIZES]
WEIGHTS = [rng.uniform(0, 2, n).astype("float32") for n in SIZES]

SHARES = [
    ({}, BITS, SCORES),
    ({}, [t[:, None] for t in BITS], [s[:, None] for s in SCORES]),
    ({}, BITS, [s[:, None] for s in SCORES]),
    ({"thresholds": 0.3}, BITS, SCORES),
    ({"thresholds": [0.9, 0.1, 0.35]}, BITS, SCORES),
    ({"thresholds": [0.0, 0.5, 1.0]}, BITS, SCORES),
    ({"class_id": 2}, LABELS, CLASSES),
    ({"top_k": 2}, LABELS, CLASSES),
    ({"top_k": 1, "class_id": 0}, LABELS, CLASSES),
    ({"top_k": 2, "thresholds": 0.4}, LABELS, CLASSES),
    ({}, MANY, CLASSES),
]
AREAS = [
    *(
        {"curve": c, "summation_method": m}
        for c in ("ROC", "PR", "PRGAIN")
        for m in ("interpolation", "minoring", "majoring")
    ),
    {"num_thresholds": 2},
    {"num_thresholds": 11},
    {"thresholds": [0.9, 0.2, 0.4]},
    {"thresholds": [0.25, 0.5, 0.75], "curve": "pr"},
]
F_SCORES = [{"average": a, "threshold": t} for a in (None, "micro", "macro", "weighted") for t in (None, 0.3)]
CASES = [
    *((kind, *case) for kind in ("Precision", "Recall") for case in SHARES),
    *(("AUC", options, BITS, SCORES) for options in AREAS),
    ("AUC", {"from_logits": True}, BITS, LOGITS),
    ("AUC", {}, MANY, CLASSES),
    *((kind, options, MANY, CLASSES) for kind in ("F1Score", "FBetaScore") for options in F_SCORES),
    *(("FBetaScore", {"beta": beta}, LABELS, CLASSES) for beta in (0.5, 2.0)),
]
KINDS = sorted({kind for kind, *_ in CASES})


@pytest.mark.parametrize(
    ("kind", "options", "y_true", "y_pred"), CASES, ids=[f"{c[0]} {c[1]} {i}" for i, c in enumerate(CASES)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_running_values_are_those_of_keras(kind, options, y_true, y_pred, weighted):
    ours, theirs = getattr(metrics, kind)(**options), getattr(keras.metrics, kind)(**options)
    for _ in range(2):
        seen = []
        for t, p, w in zip(y_true, y_pred, WEIGHTS, strict=True):
            weights = w if weighted else None
            ours.update_state(t, p, sample_weight=weights)
            theirs.update_state(t, p, sample_weight=weights)
            right = np.asarray(theirs.result())
            np.testing.assert_allclose(ours.result(), right, rtol=2e-6, atol=2e-6)
            assert isinstance(ours.result(), float) == (right.ndim == 0)
            seen.append(right)
        assert np.any(seen)
        assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            # Keras's FN and TN are differences of float32 sums over everything.
            everything = np.sum([p.size for p in y_pred])
            np.testing.assert_allclose(a.value, b.numpy(), rtol=2e-6, atol=4e-7 * everything)
        ours.reset_state()
        theirs.reset_state()
        assert np.all(ours.result() == np.asarray(theirs.result()))


@pytest.mark.parametrize(("kind", "options"), [(c[0], c[1]) for c in CASES], ids=str)
def test_configs_are_those_of_keras(kind, options):
    ours, theirs = (getattr(room, kind)(**options, name="it") for room in (metrics, keras.metrics))
    assert ours.get_config() == theirs.get_config()
    assert metrics.serialize(ours) == keras.metrics.serialize(theirs)
    assert metrics.deserialize(metrics.serialize(ours)).get_config() == ours.get_config()


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_signatures_are_those_of_keras(kind):
    ours, theirs = getattr(metrics, kind), getattr(keras.metrics, kind)
    parameters = [[(p.name, p.default) for p in inspect.signature(c).parameters.values()] for c in (ours, theirs)]
    assert parameters[0] == parameters[1]
    for name in (kind, snake_case(kind)):
        assert type(metrics.get(name)) is ours
    assert metrics.resolve(kind).name == kind
    minikeras.utils.clear_session()
    keras.utils.clear_session()
    assert ours().name == theirs().name


def test_exact_values():
    labels, scores = [0, 1, 1, 0], [0.1, 0.4, 0.8, 0.9]
    assert metrics.Precision()(labels, scores) == 0.5
    assert metrics.Recall()(labels, scores) == 0.5
    assert metrics.AUC()(labels, scores) == pytest.approx(0.5)
    assert metrics.AUC()([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == pytest.approx(1)
    assert metrics.Precision()(labels, [0.5, 0.5, 0.5, np.nan]) == 0  # neither exceeds 0.5
    weighted = metrics.Precision()
    weighted.update_state([1, 0], [0.9, 0.9], sample_weight=[3, 1])
    assert weighted.result() == 0.75


def test_in_a_training():
    results = []
    for k in (minikeras, keras):
        model = k.Sequential([k.Input((3,)), k.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")])
        names = [k.metrics.Precision(name="p"), k.metrics.Recall(name="r"), k.metrics.AUC(name="a")]
        model.compile(k.optimizers.SGD(0.1), "binary_crossentropy", metrics=names)
        x = np.random.default_rng(1).normal(size=(50, 3)).astype("float32")
        y = (x[:, 0] > 0.2).astype("float32")
        history = model.fit(x, y, epochs=2, shuffle=False, verbose=0, validation_data=(x, y)).history
        results.append(history)
    assert list(results[0]) == list(results[1])
    for name, values in results[1].items():
        assert results[0][name] == pytest.approx(values, abs=1e-5), name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.Precision(thresholds=[0.5, 1.5]), r"Precision: `thresholds` are numbers from 0 to 1.*\[1.5\]"),
        (lambda: metrics.Precision(class_id=1)([1, 0], [0.5, 0.5]), "class_id=1 needs predictions of shape"),
        (lambda: metrics.Recall()([1, 0, 1], [0.5, 0.5]), r"labels of shape \(3,\) don't fit"),
        (lambda: metrics.Recall()([1, 0], [0.5, 0.5], [1, 2, 3]), r"sample_weight of shape \(3,\) does not fit"),
        (lambda: metrics.AUC(curve="RO"), "`curve` is one of.*Did you mean 'ROC'"),
        (lambda: metrics.AUC(summation_method="mean"), "`summation_method` is one of"),
        (lambda: metrics.AUC(num_thresholds=1), "`num_thresholds` is an integer above 1, received 1"),
        (lambda: metrics.AUC(multi_label=True), "multi_label=True is not supported"),
        (lambda: metrics.F1Score(average="mean"), "F1Score: `average` is None, 'micro'"),
        (lambda: metrics.FBetaScore(beta=1), "`beta` is a float above 0, received 1"),
        (lambda: metrics.F1Score(threshold=1.5), "`threshold` is a float above 0, and 1 at most"),
        (lambda: metrics.F1Score()([1, 0], np.ones((2, 3))), "shape .n, classes., received.*to_categorical"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
