"""Intersection over union: the running values of tf.keras over batches, with and without weights."""

import inspect

import keras
import numpy as np
import pytest

import minikeras
from minikeras import metrics
from minikeras.common.names import snake_case

rng = np.random.default_rng(0)
SIZES = (30, 5, 1)
LABELS = [rng.integers(0, 4, n) for n in SIZES]
SAID = [np.where(rng.random(n) < 0.6, t, rng.integers(0, 4, n)) for n, t in zip(SIZES, LABELS, strict=True)]
OUTSIDE = [np.where(rng.random(t.shape) < 0.3, rng.choice([-1, 4, 7], t.shape), t) for t in SAID]
ONE_HOT = [np.eye(4, dtype="float32")[t] for t in LABELS]
SCORES = [rng.dirichlet(np.ones(4), n).astype("float32") for n in SIZES]
MAPS = [rng.integers(0, 4, (n, 2, 3)) for n in SIZES]
SCORE_MAPS = [rng.normal(size=(n, 2, 3, 4)).astype("float32") for n in SIZES]
FIRST = [np.moveaxis(s, -1, 1).copy() for s in SCORE_MAPS]
BITS = [t % 2 for t in LABELS]
CHANCES = [rng.random(n).astype("float32").round(1) for n in SIZES]

CASES = [
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2]}, LABELS, SAID),
    ("IoU", {"num_classes": 4, "target_class_ids": (3,)}, LABELS, SAID),
    ("IoU", {"num_classes": 6, "target_class_ids": [0, 5]}, LABELS, SAID),
    ("IoU", {"num_classes": 4, "target_class_ids": [1, 2], "ignore_class": 1}, LABELS, SAID),
    ("IoU", {"num_classes": 4, "target_class_ids": [0], "sparse_y_pred": False}, MAPS, SCORE_MAPS),
    ("MeanIoU", {"num_classes": 4}, LABELS, SAID),
    ("MeanIoU", {"num_classes": 4, "dtype": "float32"}, LABELS, SAID),
    ("MeanIoU", {"num_classes": 4}, LABELS, OUTSIDE),
    ("MeanIoU", {"num_classes": 4}, OUTSIDE, LABELS),
    ("MeanIoU", {"num_classes": 4, "ignore_class": -1}, OUTSIDE, LABELS),
    ("MeanIoU", {"num_classes": 4, "ignore_class": 255}, LABELS, SAID),
    ("MeanIoU", {"num_classes": 4}, MAPS, [m[..., ::-1].copy() for m in MAPS]),
    ("MeanIoU", {"num_classes": 4, "sparse_y_pred": False}, MAPS, SCORE_MAPS),
    ("BinaryIoU", {}, BITS, CHANCES),
    ("BinaryIoU", {"threshold": 0.3, "target_class_ids": [1]}, BITS, CHANCES),
    ("BinaryIoU", {"threshold": 0.3, "dtype": "float32"}, [b[:, None] for b in BITS], [c[:, None] for c in CHANCES]),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 3]}, ONE_HOT, SCORES),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1], "sparse_y_pred": True}, ONE_HOT, SAID),
    ("OneHotMeanIoU", {"num_classes": 4}, ONE_HOT, SCORES),
    ("OneHotMeanIoU", {"num_classes": 4, "ignore_class": 2, "dtype": "float32"}, ONE_HOT, SCORES),
]


@pytest.mark.parametrize(
    ("kind", "options", "y_true", "y_pred"), CASES, ids=[f"{c[0]} {i}" for i, c in enumerate(CASES)]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore:You are passing weight as `float`")
def test_running_values_are_those_of_keras(kind, options, y_true, y_pred, weighted):
    ours, theirs = getattr(metrics, kind)(**options), getattr(keras.metrics, kind)(**options)
    assert ours.result() == float(theirs.result()) == 0
    for _ in range(2):
        for t, p in zip(y_true, y_pred, strict=True):
            count = t.size if options.get("sparse_y_true", "OneHot" not in kind) else len(t)
            weights = rng.uniform(1, 4, count).astype("float32") if weighted else None
            ours.update_state(t, p, sample_weight=weights)
            theirs.update_state(t, p, sample_weight=weights)
            assert ours.result() == pytest.approx(float(theirs.result()), rel=2e-6)
            np.testing.assert_allclose(ours.total_cm.value, theirs.total_cm.numpy(), rtol=1e-6)
        assert ours.result() > 0
        assert (ours.result().shape, ours.result().dtype) == ((), np.float32)
        (state,), (their_state,) = ours.variables, theirs.variables
        assert (state.name, state.dtype, state.shape) == (their_state.name, their_state.dtype, their_state.shape)
        ours.reset_state()
        theirs.reset_state()
        assert ours.result() == 0


@pytest.mark.parametrize(("kind", "options"), [c[:2] for c in CASES], ids=str)
def test_configs_are_those_of_keras(kind, options):
    ours, theirs = (getattr(room, kind)(**options, name="it") for room in (metrics, keras.metrics))
    assert ours.get_config() == theirs.get_config()
    assert metrics.serialize(ours) == keras.metrics.serialize(theirs)
    assert metrics.deserialize(metrics.serialize(ours)).get_config() == ours.get_config()


@pytest.mark.parametrize(("kind", "options"), {c[0]: c[1] for c in CASES}.items(), ids=str)
def test_names_and_signatures_are_those_of_keras(kind, options):
    ours, theirs = getattr(metrics, kind), getattr(keras.metrics, kind)
    parameters = [[(p.name, p.default) for p in inspect.signature(c).parameters.values()] for c in (ours, theirs)]
    assert parameters[0] == parameters[1]
    minikeras.utils.clear_session()
    keras.utils.clear_session()
    assert ours(**options).name == theirs(**options).name == snake_case(kind)


def test_scores_along_the_first_axis():
    # Where Keras takes `axis` also for the vector of results, and fails.
    ours = metrics.MeanIoU(4, sparse_y_pred=False, axis=1)
    last = metrics.MeanIoU(4, sparse_y_pred=False)
    assert ours(MAPS[0], FIRST[0]) == last(MAPS[0], SCORE_MAPS[0]) > 0


def test_in_a_training():
    results = []
    for k in (minikeras, keras):
        k.utils.clear_session()
        inputs = k.Input((2, 3, 2))
        outputs = k.layers.Conv2D(4, 1, kernel_initializer="ones", activation="softmax")(inputs)
        model = k.Model(inputs, outputs)
        model.set_weights([np.linspace(-1, 1, 8).reshape(1, 1, 2, 4), np.zeros(4)])
        chosen = [k.metrics.MeanIoU(4, sparse_y_pred=False), k.metrics.IoU(4, [1], "one", sparse_y_pred=False)]
        model.compile(k.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=chosen)
        x = np.random.default_rng(1).normal(size=(30, 2, 3, 2)).astype("float32")
        data = x, MAPS[0]
        results.append(model.fit(*data, epochs=2, shuffle=False, verbose=0, validation_data=data).history)
    assert list(results[0]) == list(results[1])
    for name, values in results[1].items():
        assert results[0][name] == pytest.approx(values, abs=1e-5), name


def test_errors():
    for k in (minikeras, keras):
        with pytest.raises(ValueError, match=r"Target class id 3 is out of range, which is \[0, 3\)."):
            k.metrics.IoU(3, [0, 3])
        with pytest.warns(UserWarning, match="You are passing weight as `float`, but dtype is `int`"):
            k.metrics.MeanIoU(2)([0, 1], [0, 1], sample_weight=np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match=r"MeanIoU: y_true and y_pred must say one class.*sparse_y_pred=False"):
        metrics.MeanIoU(4)(LABELS[0], SCORES[0])
    with pytest.raises(ValueError, match=r"sample_weight has one weight for each of the 30 elements.*\(3,\)"):
        metrics.MeanIoU(4)(LABELS[0], SAID[0], [1, 2, 3])
