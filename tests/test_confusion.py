"""Metrics that count hits and misses: the running values of tf.keras over batches, with and without weights."""

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
LABELLED = [
    {},
    {"num_labels": 4},
    {"label_weights": [0.1, 0.2, 0.3, 0.4]},
    {"curve": "PR"},
    {"curve": "PR", "label_weights": [1.0, 2.0, 0.0, 1.0]},
    {"curve": "PRGAIN", "summation_method": "majoring"},
    {"summation_method": "minoring", "num_labels": 4},
    {"thresholds": [0.9, 0.2, 0.4]},
    {"from_logits": True},
]
POINTS = {
    "SensitivityAtSpecificity": "specificity",
    "SpecificityAtSensitivity": "sensitivity",
    "PrecisionAtRecall": "recall",
    "RecallAtPrecision": "precision",
}
COUNTS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
F_SCORES = [{"average": a, "threshold": t} for a in (None, "micro", "macro", "weighted") for t in (None, 0.3)]
CASES = [
    *((kind, *case) for kind in ("Precision", "Recall") for case in SHARES),
    *(("AUC", options, BITS, SCORES) for options in AREAS),
    ("AUC", {"from_logits": True}, BITS, LOGITS),
    ("AUC", {}, MANY, CLASSES),
    *(("AUC", {"multi_label": True, **options}, MANY, CLASSES) for options in LABELLED),
    ("AUC", {"label_weights": [0.1, 0.2, 0.3, 0.4]}, MANY, CLASSES),
    ("AUC", {"label_weights": [0.1, 0.2, 0.3, 0.4], "curve": "PR", "thresholds": [0.3]}, MANY, CLASSES),
    *((kind, options, *data) for kind in COUNTS for options, *data in SHARES if not {*options} & {"top_k", "class_id"}),
    *((kind, {name: value}, BITS, SCORES) for kind, name in POINTS.items() for value in (0, 0.4, 0.95)),
    *((kind, {name: 0.5, "num_thresholds": n}, BITS, SCORES) for kind, name in POINTS.items() for n in (1, 2)),
    *((kind, {name: 0.3, "class_id": 2}, LABELS, CLASSES) for kind, name in POINTS.items()),
    *((kind, {name: 0.6}, MANY, CLASSES) for kind, name in POINTS.items()),
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
            assert (ours.result().shape, ours.result().dtype) == (right.shape, right.dtype)
            np.testing.assert_array_equal(ours.result().numpy(), ours.result())
            seen.append(right)
        assert np.any(seen) or options.get("num_thresholds", 3) < 3 or kind == "FalseNegatives"
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
    if "label_weights" not in options:  # whose config in Keras holds a tensor
        assert ours.get_config() == theirs.get_config()
        assert metrics.serialize(ours) == keras.metrics.serialize(theirs)
    assert metrics.deserialize(metrics.serialize(ours)).get_config() == ours.get_config()


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_signatures_are_those_of_keras(kind):
    ours, theirs = getattr(metrics, kind), getattr(keras.metrics, kind)
    parameters = [[(p.name, p.default) for p in inspect.signature(c).parameters.values()] for c in (ours, theirs)]
    assert parameters[0] == parameters[1]
    for name in (kind, snake_case(kind)) if kind not in POINTS else ():
        assert type(metrics.get(name)) is ours
        assert metrics.resolve(name).name == name
    minikeras.utils.clear_session()
    keras.utils.clear_session()
    needed = [0.5] * (kind in POINTS)
    assert ours(*needed).name == theirs(*needed).name


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
        (lambda k: k.metrics.Precision(thresholds=[0.5, 1.5]), r"Threshold values must be in .* Received: \[1.5\]"),
        (lambda k: k.metrics.TruePositives([-0.5]), r"Threshold values must be in .* Received: \[-0.5\]"),
        (
            lambda k: k.metrics.Precision(class_id=1)(np.array([1, 0]), np.array([0.5, 0.5])),
            "When class_id is provided, y_pred must be a 2D array with shape .num_samples, num_classes., found shape:",
        ),
        (lambda k: k.metrics.AUC(curve="RO"), 'Invalid AUC curve value: "RO"'),
        (lambda k: k.metrics.AUC(summation_method="mean"), 'Invalid AUC summation method value: "mean"'),
        (lambda k: k.metrics.AUC(num_thresholds=1), "Argument `num_thresholds` must be an integer > 1. Received: .*=1"),
        (lambda k: k.metrics.AUC(num_labels=2), "`num_labels` is needed only when `multi_label` is True"),
        (
            lambda k: k.metrics.AUC(multi_label=True)(np.array([1, 0]), np.array([0.5, 0.5])),
            "`y_pred` must have rank 2 when `multi_label=True`. Found rank 1. Full shape received for `y_pred`",
        ),
        *(
            (
                lambda k, kind=kind, name=name: getattr(k.metrics, kind)(**{name: 1.5}),
                rf"Argument `{name}` must be in the range \[0, 1\]. Received: {name}=1.5",
            )
            for kind, name in POINTS.items()
        ),
        (lambda k: k.metrics.PrecisionAtRecall(0.5, -1), "Argument `num_thresholds` must be an integer > 0. Received:"),
        (lambda k: k.metrics.F1Score(average="mean"), "Invalid `average` argument value. Expected one of: {None, 'mic"),
        (lambda k: k.metrics.FBetaScore(beta=1), "Invalid `beta` argument value. It should be a Python float. Receiv"),
        (lambda k: k.metrics.FBetaScore(beta=-1.0), "Invalid `beta` argument value. It should be > 0. Received: beta="),
        (lambda k: k.metrics.F1Score(threshold=1.5), "Invalid `threshold` argument value. It should verify 0 < thre"),
        (lambda k: k.metrics.F1Score(threshold=1), "Invalid `threshold` argument value. It should be a Python float."),
        (
            lambda k: k.metrics.F1Score()([1, 0], np.ones((2, 3))),
            "FBetaScore expects 2D inputs with shape .batch_size,",
        ),
    ],
)
def test_errors_are_those_of_keras(make, words):
    for k in (minikeras, keras):
        with pytest.raises(ValueError, match=words):
            make(k)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.Recall()([1, 0, 1], [0.5, 0.5]), r"labels of shape \(3,\) don't fit"),
        (lambda: metrics.Recall()([1, 0], [0.5, 0.5], [1, 2, 3]), r"sample_weight of shape \(3,\) does not fit"),
        (lambda: metrics.AUC(curve="RO"), "Did you mean 'ROC'"),
        (lambda: metrics.F1Score()([1, 0], np.ones((2, 3))), "to_categorical"),
        (
            lambda: metrics.AUC(multi_label=True, num_labels=3)(np.ones((2, 4)), np.ones((2, 4))),
            r"labels and predictions must have the shape \(n, 3\), received \(2, 4\)",
        ),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make()
