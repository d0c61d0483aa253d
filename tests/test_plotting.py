"""Pictures of learning: what is in them, that nothing is cut off, and what misuse is told."""

import re
import subprocess
import sys
import types

import numpy as np
import pytest
from legibility import assert_labelled, assert_legible, texts, words
from matplotlib.figure import Figure

import minikeras as keras
from minikeras import layers, plotting

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 8, 8, 1)).astype("float32")
Y = RNG.integers(0, 4, 40)


def network():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(20, 3, name="second"),
            layers.Flatten(name="flat"),
            layers.Dense(9, activation="relu", name="hidden"),
            layers.Dropout(0.2, name="drop"),
            layers.Dense(4, activation="softmax", name="last"),
        ],
        name="net",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(epochs=3, **kwargs):
    model = network()
    return model, model.fit(X, Y, epochs=epochs, verbose=0, **kwargs)


def good(figure):
    assert isinstance(figure, Figure)
    assert_legible(figure)
    assert_labelled(figure)
    return figure


def lines(figure, axes=0):
    return {line.get_label(): line for line in figure.axes[axes].get_lines()}


# ---- curves ----


def test_curves_of_a_training():
    _, history = trained(validation_split=0.25)
    figure = good(plotting.training_curves(history))
    assert [a.get_title() for a in figure.axes] == ["loss", "accuracy"]
    drawn = lines(figure)
    np.testing.assert_allclose(drawn["training"].get_ydata(), history.history["loss"])
    np.testing.assert_allclose(drawn["validation"].get_ydata(), history.history["val_loss"])
    np.testing.assert_array_equal(drawn["training"].get_xdata(), [1, 2, 3])


def test_the_best_epoch_is_the_validation_s():
    values = {"loss": [3, 2, 1, 0.5], "val_loss": [3, 1.5, 2, 2.5], "accuracy": [0, 0.5, 0.7, 1], "auc": [1, 2, 9, 3]}
    figure = good(plotting.training_curves(values))
    assert "best validation: 1.5 (epoch 2)" in lines(figure, 0)
    assert "best training: 1 (epoch 4)" in lines(figure, 1)
    assert "best training: 9 (epoch 3)" in lines(figure, 2)


def test_a_metric_of_unknown_direction_has_no_best_unless_it_is_said():
    values = {"distance": [3, 1, 2]}
    assert not any("best" in label for label in lines(good(plotting.training_curves(values))))
    assert "best training: 3 (epoch 1)" in lines(plotting.training_curves(values, best={"distance": "max"}))
    assert not any("best" in label for label in lines(plotting.training_curves({"loss": [2, 1]}, best=False)))


def test_nan_is_no_best():
    figure = good(plotting.training_curves({"loss": [2.0, 1.0, np.nan]}))
    assert "best training: 1 (epoch 2)" in lines(figure)
    good(plotting.training_curves({"loss": [np.nan, np.nan]}))


def test_validation_after_every_second_epoch():
    _, history = trained(4, validation_split=0.25, validation_freq=2)
    np.testing.assert_array_equal(lines(plotting.training_curves(history))["validation"].get_xdata(), [2, 4])


def test_a_later_start_is_numbered_so():
    model, _ = trained(2)
    model.history = None
    history = model.fit(X, Y, epochs=5, initial_epoch=2, verbose=0)
    np.testing.assert_array_equal(lines(plotting.training_curves(history))["training"].get_xdata(), [3, 4, 5])


@pytest.mark.parametrize("count", [1, 3, 4, 7])
@pytest.mark.parametrize("epochs", [1, 40])
def test_any_number_of_metrics_and_epochs(count, epochs):
    values = {
        name: RNG.random(epochs).tolist() for i in range(count) for name in (f"a_metric_{i}", f"val_a_metric_{i}")
    }
    good(plotting.training_curves(values, title="Something"))


def test_chosen_metrics_and_a_learning_rate():
    values = {"loss": [2, 1], "accuracy": [0, 1], "learning_rate": [0.1, 0.01]}
    figure = good(plotting.training_curves(values, ["learning_rate", "loss"]))
    assert [a.get_title() for a in figure.axes] == ["learning rate", "loss"]
    assert figure.axes[0].get_yscale() == "log"


# ---- filters ----


@pytest.mark.parametrize(
    "shape", [(3, 3, 1, 1), (3, 3, 1, 32), (3, 3, 16, 7), (7, 7, 3, 30), (5, 2, 2, 13), (1, 1, 4, 4), (11, 11, 3, 96)]
)
def test_filters(shape):
    figure = good(plotting.filters(RNG.normal(size=shape)))
    images = [a.images[0] for a in figure.axes if a.images]
    assert len(images) == min(shape[-1], 64)
    assert ("first 64 of 96" in figure.get_suptitle()) == (shape[-1] == 96)


def test_a_filter_is_drawn_as_it_is():
    model, _ = trained(1)
    layer = model.get_layer("first")
    figure = good(plotting.filters(layer))
    assert "first (Conv2D): 12 filters of 3 × 3" in words(figure)
    kernel = layer.get_weights()[0]
    images = [a.images[0] for a in figure.axes if a.images]
    for i in range(12):
        np.testing.assert_allclose(images[i].get_array(), kernel[:, :, 0, i])
        low, high = images[i].get_clim()
        assert high == -low == pytest.approx(np.abs(kernel).max())


def test_one_channel_and_the_mean_of_all():
    kernel = RNG.normal(size=(3, 3, 5, 4))
    figure = good(plotting.filters(kernel, channel=2, columns=4))
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), kernel[:, :, 2, 1])
    figure = good(plotting.filters(kernel))
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), kernel[..., 1].mean(axis=2))


def test_units_of_a_dense_layer():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(5)])
    figure = good(plotting.filters(model.layers[0], image_shape=(3, 4)))
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(figure.axes[2].images[0].get_array(), kernel[:, 2].reshape(3, 4))


# ---- feature maps ----


def test_feature_maps():
    model, _ = trained(1)
    figure = good(plotting.feature_maps(model, X[0]))
    said = " ".join(words(figure))
    for text in (
        "the image: 8 × 8 × 1",
        "first (Conv2D): 12 channels of 8 × 8",
        "pool (MaxPooling2D): 12 channels of 4 × 4",
        "second (Conv2D): 16 of 20 channels of 2 × 2",
        "hidden (Dense): 9 units",
        "last (Dense): 4 units",
    ):
        assert text in said
    assert "flat (" not in said
    strip = figure.subfigs[1]
    inner = keras.Model(model.inputs[0], model.layers[0].output)
    expected = inner.predict(X[:1], verbose=0)[0]
    for i, axes in enumerate(a for a in strip.axes if a.images):
        np.testing.assert_allclose(axes.images[0].get_array(), expected[..., i], rtol=1e-5)
    bars = [p.get_height() for p in figure.subfigs[-1].axes[0].patches]
    np.testing.assert_allclose(bars, model.predict(X[:1], verbose=0)[0], rtol=1e-4, atol=1e-7)


def test_feature_maps_of_chosen_layers_and_forms_of_the_image():
    model, _ = trained(1)
    for image in (X[0], X[:1], X[0, ..., 0]):
        figure = good(plotting.feature_maps(model, image, ["second"], limit=3))
        assert len(figure.subfigs) == 2
    good(plotting.feature_maps(keras.Sequential([keras.Input((6,)), layers.Dense(3, name="d")]), np.ones(6)))
    inner = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, name="c")], name="inner")
    outer = keras.Sequential([keras.Input((8, 8, 1)), inner, layers.Flatten()])
    assert any("inner/c" in w for w in words(good(plotting.feature_maps(outer, X[0]))))
    colour = keras.Sequential([keras.Input((9, 7, 3)), layers.Conv2D(2, 3, activation="relu")])
    colour.layers[0].set_weights([np.zeros((3, 3, 3, 2)), np.zeros(2)])  # nothing but zeros is a picture, too
    good(plotting.feature_maps(colour, RNG.random((9, 7, 3))))


# ---- weights ----


def test_weights_before_and_after():
    model = network()
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    figure = good(plotting.weight_histograms(before, model, bins=20))
    assert [a.get_title().split()[0] for a in figure.axes] == [
        f"{layer}/{w}" for layer in ("first", "second", "hidden", "last") for w in ("kernel", "bias")
    ]
    said = words(figure)
    assert {"before", "after"} <= set(said)
    kernel = model.get_weights()[0]
    assert f"after: {kernel.mean():+.3f} ± {kernel.std():.3f}" in said
    heights = np.array([p.get_height() for p in figure.axes[0].patches if hasattr(p, "get_height")])
    assert heights.sum() == 0 or heights.sum() >= kernel.size
    path = figure.axes[0].patches[0].get_path().vertices
    assert path[:, 1].max() <= kernel.size


@pytest.mark.parametrize("count", [1, 3, 9])
def test_any_number_of_arrays(count):
    arrays = [RNG.normal(size=(5, i + 2)) for i in range(count)]
    good(plotting.weight_histograms(arrays, [a * 1e-3 for a in arrays]))
    good(plotting.weight_histograms({f"w{i}": a for i, a in enumerate(arrays)}))


def test_constant_and_infinite_weights_are_drawn_too():
    good(plotting.weight_histograms([np.zeros(5)], [np.zeros(5)]))
    good(plotting.weight_histograms([np.array([1, np.inf, np.nan])]))
    good(plotting.weight_histograms([np.array([np.nan])]))


# ---- classes ----


def test_confusion_matrix():
    figure = good(plotting.confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.5, 0.5, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]])
    assert "Confusion matrix: 4 of 6 right (66.7%)" in words(figure)
    written = {tuple(map(round, t.get_position())): t.get_text() for t in figure.axes[0].texts}
    assert written == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (0, 2): "1", (2, 2): "2"}  # (column, row)
    assert figure.axes[0].get_xlabel() == "predicted class"
    assert figure.axes[0].get_ylabel() == "true class"


def test_forms_of_classes():
    rows = np.eye(3)[[0, 2, 1]]
    for y_true, y_pred in (([0, 2, 1], rows), (rows, [0, 2, 1]), (np.array([[0], [2], [1]]), rows * 0.4)):
        figure = plotting.confusion_matrix(y_true, y_pred)
        np.testing.assert_allclose(figure.axes[0].images[0].get_array(), np.eye(3))
    figure = good(plotting.confusion_matrix([0, 1, 1], np.array([[0.2], [0.5], [0.4]]), ["no", "yes"], normalize=True))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[1, 0], [0.5, 0.5]])
    assert "0.50" in words(figure)


@pytest.mark.parametrize("count", [2, 10, 25, 60])
@pytest.mark.parametrize("named", [False, True])
def test_any_number_of_classes(count, named):
    truth = np.arange(20 * count) % count
    names = [f"the class {i}" for i in range(count)] if named else None
    figure = good(plotting.confusion_matrix(truth, np.roll(truth, 1), names))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == (names or [str(i) for i in range(count)])[:: 1 if count <= 40 else 2]


# ---- files and errors ----


@pytest.mark.parametrize("extension", ["png", "svg", "pdf"])
def test_files(tmp_path, extension):
    file = tmp_path / f"a.{extension}"
    plotting.training_curves({"loss": [2, 1]}, to_file=file)
    start = file.read_bytes()[:200]
    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[extension] in start


TRAINED = {}


def net():
    return TRAINED.setdefault("net", trained(1)[0])


MISUSE = {
    "no history": (lambda: plotting.training_curves(3), TypeError, "what `fit` returned"),
    "empty history": (lambda: plotting.training_curves({}), ValueError, "empty"),
    "unknown metric": (lambda: plotting.training_curves({"loss": [1]}, "los"), ValueError, "Did you mean 'loss'"),
    "best": (lambda: plotting.training_curves({"m": [1]}, best={"m": "more"}), ValueError, "'min' or 'max'"),
    "extension": (
        lambda: plotting.training_curves({"loss": [1]}, to_file="x.pngg"),
        ValueError,
        "'pngg'.*Did you mean 'png'",
    ),
    "filters of a model": (lambda: plotting.filters(net()), TypeError, "first, second, hidden, last"),
    "filters of no kernel": (lambda: plotting.filters(net().get_layer("pool")), ValueError, "'pool'.*has no kernel"),
    "filters unbuilt": (lambda: plotting.filters(layers.Conv2D(3, 3)), ValueError, "isn't built"),
    "filters rank": (lambda: plotting.filters(np.ones((3, 3, 3))), ValueError, r"received shape \(3, 3, 3\)"),
    "filters dense": (lambda: plotting.filters(np.ones((16, 3))), ValueError, r"image_shape=\(4, 4\)"),
    "filters channel": (lambda: plotting.filters(np.ones((3, 3, 2, 4)), channel=2), ValueError, "2 channels"),
    "filters limit": (lambda: plotting.filters(np.ones((3, 3, 2, 4)), limit=0), ValueError, "limit"),
    "maps of no model": (lambda: plotting.feature_maps(layers.Dense(3), X[0]), TypeError, "built model"),
    "maps unbuilt": (
        lambda: plotting.feature_maps(keras.Sequential([layers.Dense(3)]), X[0]),
        TypeError,
        "built model",
    ),
    "maps of several": (lambda: plotting.feature_maps(net(), X[:3]), ValueError, r"x\[0\]"),
    "maps shape": (lambda: plotting.feature_maps(net(), X[0, :5]), ValueError, r"\(8, 8, 1\).*\(5, 8, 1\)"),
    "maps layer": (lambda: plotting.feature_maps(net(), X[0], ["secnd"]), ValueError, "Did you mean 'second'"),
    "maps nothing": (lambda: plotting.feature_maps(net(), X[0], []), ValueError, "no layer"),
    "histogram shapes": (
        lambda: plotting.weight_histograms([np.ones(3)], [np.ones(4)]),
        ValueError,
        r"\(3,\).*\(4,\)",
    ),
    "histogram type": (lambda: plotting.weight_histograms(3), TypeError, "`before`"),
    "histogram unbuilt": (lambda: plotting.weight_histograms(layers.Dense(3)), ValueError, "is it built"),
    "histogram names": (lambda: plotting.weight_histograms([np.ones(3)], names=["a", "b"]), ValueError, "2 names"),
    "classes lengths": (lambda: plotting.confusion_matrix([0, 1], [0]), ValueError, "2 samples in y_true, 1"),
    "classes negative": (lambda: plotting.confusion_matrix([-1, 1], [0, 1]), ValueError, "negative class -1"),
    "classes fractions": (lambda: plotting.confusion_matrix([0.5, 1], [0, 1]), ValueError, "fractions"),
    "classes names": (lambda: plotting.confusion_matrix([0, 2], [0, 1], ["a", "b"]), ValueError, "the class 2 occurs"),
    "classes text": (lambda: plotting.confusion_matrix(["a"], ["b"]), ValueError, "class ids"),
    "every": (lambda: plotting.TrainingCurves(every=0), ValueError, "every"),
    "function name": (lambda: plotting.training_curve, AttributeError, "Did you mean 'training_curves'"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_explained(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, error, words = MISUSE[name]
    with pytest.raises(error, match=re.compile(words, re.S)):
        run()
    assert not list(tmp_path.iterdir())


def test_a_missing_matplotlib_is_said():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import minikeras as k\n"
        "for use in (lambda: k.plotting.training_curves({'loss': [1]}), lambda: k.plotting.TrainingCurves()):\n"
        "    try: use()\n"
        "    except ImportError as e: print(e)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["minikeras.plotting needs matplotlib: pip install matplotlib"] * 2


# ---- while training ----


def test_without_a_screen_the_file_is_written_each_epoch(tmp_path):
    file = tmp_path / "live.png"
    sizes = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(file.stat().st_mtime_ns))
    curves = keras.plotting.TrainingCurves(to_file=file)
    trained(3, validation_split=0.25, callbacks=[curves, watch])
    assert len(set(sizes)) == 3
    good(curves.figure)
    assert len(lines(curves.figure)["training"].get_ydata()) == 3
    assert not curves.figure.subfigs


def test_without_screen_and_file_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curves = plotting.TrainingCurves()
    trained(2, callbacks=[curves])
    assert curves.figure is None
    assert not list(tmp_path.iterdir())


def test_every_other_epoch_and_the_last(tmp_path):
    drawn = []
    curves = plotting.TrainingCurves(to_file=tmp_path / "a.png", every=2, metrics="loss")
    monkey = curves._draw
    curves._draw = lambda: (drawn.append(len(curves._epochs)), monkey())
    trained(5, callbacks=[curves])
    assert drawn == [2, 4, 5]
    assert [a.get_title() for a in curves.figure.axes] == ["loss"]
    trained(2, callbacks=[curves])  # a second training starts anew
    assert len(lines(curves.figure)["training"].get_ydata()) == 2


def test_in_a_window(monkeypatch):
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    paused, shown = [], []
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "a window system")
    monkeypatch.setattr(pyplot, "pause", paused.append)
    monkeypatch.setattr(Figure, "show", lambda self: shown.append(self))
    curves = plotting.TrainingCurves()
    trained(3, callbacks=[curves])
    assert paused == [0.001] * 3
    assert shown == [curves.figure]
    assert pyplot.fignum_exists(curves.figure.number)
    assert pyplot.get_fignums() == [curves.figure.number]
    good(curves.figure)
    pyplot.close("all")

    curves = plotting.TrainingCurves()
    close = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: pyplot.close("all") if epoch == 0 else None)
    trained(3, callbacks=[curves, close])  # closed by the user: training goes on, and no window comes back
    assert len(paused) == 4
    assert not pyplot.get_fignums()


def test_a_window_system_that_fails_is_no_screen(monkeypatch):
    from matplotlib import pyplot

    def fail(*args, **kwargs):
        raise ImportError("Cannot load backend 'TkAgg'")

    monkeypatch.setattr(pyplot, "figure", fail)
    trained(1, callbacks=[plotting.TrainingCurves()])


def test_in_a_notebook(monkeypatch):
    updates = []

    class Handle:
        def update(self, figure):
            updates.append(figure)

    def display(figure, display_id=False):
        assert display_id is True
        updates.append(figure)
        return Handle()

    ipython, shown = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    shown.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    curves = plotting.TrainingCurves()
    trained(3, callbacks=[curves])
    assert updates == [curves.figure] * 3
    assert_legible(curves.figure)


def test_texts_outside_would_be_noticed():
    """The judge of these tests can say no."""
    figure = Figure(figsize=(3, 2))
    figure.text(0.95, 0.5, "a long text that runs over the edge")
    with pytest.raises(AssertionError, match=r"edge|cut off"):
        assert_legible(figure)
    figure = Figure(figsize=(3, 2))
    figure.text(0.3, 0.5, "one text")
    figure.text(0.32, 0.5, "another")
    with pytest.raises(AssertionError, match="overlap"):
        assert_legible(figure)
    assert len(texts(figure)) == 2
