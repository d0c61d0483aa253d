"""`plot_model` always gives a picture: with Graphviz and without, of chains and of graphs."""

import inspect
import itertools
import re
import shutil
import subprocess
import sys
import types

import keras as real
import numpy as np
import pytest
from legibility import assert_legible, words

import minikeras as keras
from minikeras import layers
from minikeras.plotting.drawing import boxes, canvas, layout
from minikeras.utils import model_to_dot, plot_model

START = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "jpg": b"\xff\xd8"}


def join(name, *symbols):
    return layers.Concatenate(name=name)(symbols)


def dense(name, symbol, units=8):
    return layers.Dense(units, name=name)(symbol)


def chain():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="last"),
        ],
        name="chain",
    )


def two_inputs():
    a, b = keras.Input((8,), name="first"), keras.Input((8,), name="second")
    shared = layers.Dense(8, name="shared")
    x, y = shared(a), shared(b)
    inner = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="in1"), layers.Dense(8, name="in2")], name="inner"
    )
    total = join("residual", inner(x), x)
    hidden = dense("hidden", join("both", total, y))
    return keras.Model([a, b], [dense("price", hidden), dense("kind", join("skip", hidden, a))])


def branches():
    x = keras.Input((8,), name="start")
    ways = [dense(f"way{i}", x, 4 + i) for i in range(5)]
    ways[1] = dense("deeper", ways[1])
    ways[3] = dense("deepest", dense("deep", ways[3]))
    return keras.Model([x], [join("sum", join("all", *ways), dense("short", x))])


def loops():
    x = keras.Input((8,), name="start")
    again, between = layers.Dense(8, name="again"), layers.Dense(8, name="between")
    return keras.Model(x, again(between(again(again(x)))))


def nested_twice():
    inside = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="deep")], name="inside")
    middle_in = keras.Input((4,), name="door")
    middle = keras.Model(middle_in, inside(middle_in), name="middle")
    x = keras.Input((4,), name="start")
    return keras.Model(x, dense("end", middle(x)))


def deep():
    return keras.Sequential([keras.Input((3,)), *(layers.Dense(3, name=f"d{i}") for i in range(120))])


MODELS = {f.__name__: f for f in (chain, two_inputs, branches, loops, nested_twice)}
ALL = {
    "show_shapes": True,
    "show_dtype": True,
    "show_layer_names": True,
    "show_layer_activations": True,
    "show_trainable": True,
    "expand_nested": True,
}


def laid_out(model, **options):
    """Return the matplotlib figure and the picture's boxes."""
    picture = boxes.collected(model, boxes.Options(**options), {}, "plot_model")
    return canvas.as_figure(picture), picture


def arrows(model, **options):
    picture = laid_out(model, show_layer_names=True, **options)[1]
    return {(a.title[0], b.title[0]) for a, b in picture.arrows}


# ---- the same as Keras ----


@pytest.mark.parametrize("name", ["plot_model", "model_to_dot"])
def test_signature(name):
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(getattr(k.utils, name)).parameters.values()]
        for k in (keras, real)
    )
    assert ours == theirs


# ---- what is connected with what ----


def test_a_chain():
    assert arrows(chain()) == {("conv", "flat"), ("flat", "last")}


def test_several_inputs_and_outputs_shared_layers_and_nested_models():
    expected = {
        ("first", "shared"), ("second", "shared"), ("shared", "inner"), ("inner", "residual"), ("shared", "residual"),
        ("residual", "both"), ("shared", "both"), ("both", "hidden"), ("hidden", "price"), ("hidden", "skip"),
        ("first", "skip"), ("skip", "kind"),
    }  # fmt: skip
    assert arrows(two_inputs()) == expected
    opened = {pair for pair in expected if "inner" not in pair}
    assert arrows(two_inputs(), expand_nested=True) == opened | {("shared", "in1"), ("in1", "in2"), ("in2", "residual")}


def test_a_layer_that_is_called_again():
    assert arrows(loops()) == {("start", "again"), ("again", "again"), ("again", "between"), ("between", "again")}


def test_models_in_models_in_models():
    assert arrows(nested_twice(), expand_nested=True) == {("start", "door"), ("door", "deep"), ("deep", "end")}
    assert arrows(nested_twice()) == {("start", "middle"), ("middle", "end")}


def test_a_model_from_the_middle_of_another():
    whole = chain()
    middle = keras.Model(whole.layers[0].output, whole.layers[-1].output)
    figure, picture = laid_out(middle, show_shapes=True)
    assert [b.title[0] for b in picture.frame.boxes()] == ["InputLayer", "Flatten", "Dense"]
    assert_legible(figure)


# ---- what is written ----


def test_what_the_options_write():
    model = chain()
    model.layers[0].trainable = False
    said = words(laid_out(model)[0])
    assert said == ["Conv2D", "Flatten", "Dense"]
    said = words(laid_out(model, **ALL)[0])
    shapes = ("Input shape:", "(None, 28, 28, 1)", "Output shape:", "(None, 26, 26, 16)", "(None, 10816)")
    for text in ("conv", "(Conv2D)", "Activation:", "relu", *shapes, "Output dtype:", "float32"):
        assert text in said
    assert said.count("Trainable") == said.count("Non-trainable") == 1
    said = words(laid_out(two_inputs(), show_shapes=True, show_layer_names=True)[0])
    assert "[(None, 8), (None, 8)]" in said


# ---- how it looks without Graphviz ----


@pytest.mark.parametrize("rankdir", boxes.DIRECTIONS)
@pytest.mark.parametrize(
    "options", [{}, ALL, {"expand_nested": True, "splines": "line"}], ids=["plain", "all", "lines"]
)
@pytest.mark.parametrize("name", MODELS)
def test_nothing_overlaps(name, options, rankdir):
    figure, picture = laid_out(MODELS[name](), rankdir=rankdir, **options)
    assert_legible(figure)
    boxes = list(picture.frame.boxes())
    for a, b in itertools.combinations(boxes, 2):
        apart = [abs(a.at[i] - b.at[i]) >= (a.size[i] + b.size[i]) / 2 + 5 for i in (0, 1)]
        assert any(apart), f"{a.title} and {b.title} overlap"
    if options.get("splines") != "line":
        assert_arrows_pass_between(picture)


def assert_arrows_pass_between(picture):
    """No arrow runs through a box, and each begins and ends at the edge of its own."""
    lines = layout.lay_out(picture)
    assert set(lines) == set(picture.arrows)
    for (a, b), points in lines.items():
        for box, (x, y) in ((a, points[0]), (b, points[-1])):
            dx, dy = abs(x - box.at[0]) - box.size[0] / 2, abs(y - box.at[1]) - box.size[1] / 2
            assert max(dx, dy) == pytest.approx(0, abs=0.01)
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            assert abs(x1 - x2) < 1 or abs(y1 - y2) < 1, "an arrow that should be orthogonal is not"
            for box in picture.frame.boxes():
                left, top = box.at[0] - box.size[0] / 2 + 1, box.at[1] - box.size[1] / 2 + 1
                right, bottom = left + box.size[0] - 2, top + box.size[1] - 2
                outside = max(x1, x2) < left or min(x1, x2) > right or max(y1, y2) < top or min(y1, y2) > bottom
                assert outside, f"the arrow {a.title} -> {b.title} runs through {box.title}"


def test_a_frame_holds_its_layers_and_no_others():
    _, picture = laid_out(two_inputs(), expand_nested=True, show_layer_names=True)
    (frame,) = [m for m in picture.frame.members if isinstance(m, boxes.Frame)]
    for box in picture.frame.boxes():
        inside = all(abs(box.at[i] - frame.at[i]) < (frame.size[i] + box.size[i]) / 2 for i in (0, 1))
        assert inside == (box.title[0] in ("in1", "in2"))


def test_arrows_point_along_the_direction():
    for rankdir, axis, sign in (("TB", 1, 1), ("BT", 1, 1), ("LR", 0, 1), ("RL", 0, 1)):
        _, picture = laid_out(branches(), rankdir=rankdir)
        for a, b in picture.arrows:
            assert (b.at[axis] - a.at[axis]) * sign > 0
    heights = {d: chain_positions(d) for d in boxes.DIRECTIONS}
    assert heights["TB"][0][1] > heights["TB"][-1][1]  # figures count from below
    assert heights["BT"][0][1] < heights["BT"][-1][1]
    assert heights["LR"][0][0] < heights["LR"][-1][0]
    assert heights["RL"][0][0] > heights["RL"][-1][0]


def chain_positions(rankdir):
    figure, _ = laid_out(chain(), rankdir=rankdir)
    titles = {t.get_text(): t for t in figure.axes[0].texts}
    return [titles[n].get_transform().transform(titles[n].get_position()) for n in ("Conv2D", "Flatten", "Dense")]


# ---- files ----


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.mark.parametrize("extension", ["png", "svg", "pdf", "jpg"])
def test_files_without_graphviz(tmp_path, no_graphviz, extension):
    file = tmp_path / f"model.{extension}"
    assert plot_model(chain(), file, show_shapes=True) is None
    data = file.read_bytes()
    assert data.startswith(START[extension])
    assert len(data) > 3000


def test_the_default_file(tmp_path, no_graphviz, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.plot_model(chain())
    assert (tmp_path / "model.png").read_bytes().startswith(START["png"])
    plot_model(chain(), "bare")
    assert (tmp_path / "bare").read_bytes().startswith(START["png"])


def test_dpi_counts(tmp_path, no_graphviz):
    from matplotlib import image

    shapes = {}
    for dpi in (50, 100):
        plot_model(chain(), tmp_path / "a.png", dpi=dpi)
        shapes[dpi] = image.imread(tmp_path / "a.png").shape
    assert shapes[100][0] == pytest.approx(2 * shapes[50][0], abs=2)


def test_a_very_deep_model(tmp_path, no_graphviz):
    plot_model(deep(), tmp_path / "deep.png", dpi=3000)
    data = (tmp_path / "deep.png").read_bytes()
    assert int.from_bytes(data[20:24], "big") < 65536


# ---- Graphviz ----


def test_dot_source():
    source = model_to_dot(two_inputs(), show_shapes=True, expand_nested=True, rankdir="LR").to_string()
    assert "rankdir=LR" in source
    assert source.count("->") == 13
    assert "subgraph cluster_" in source
    assert source.count("{") == source.count("}")
    assert '<b>shared</b> (Dense)' in source  # fmt: skip
    keys = re.findall(r"^\s*(box_\d+) \[", source, re.M)
    assert len(set(keys)) == len(keys)
    assert set(re.findall(r"box_\d+", "".join(line for line in source.splitlines() if "->" in line))) <= set(keys)


def test_names_are_escaped():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name='a<b>&"c')])
    assert "<b>a&lt;b&gt;&amp;&quot;c</b>" in str(model_to_dot(model))
    assert_legible(laid_out(keras.Sequential([keras.Input((3,)), layers.Dense(2, name="$x_1$ cost")]))[0])


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("extension", ["png", "svg", "pdf"])
@pytest.mark.parametrize("name", MODELS)
def test_files_by_graphviz(tmp_path, extension, name):
    file = tmp_path / f"model.{extension}"
    plot_model(MODELS[name](), file, **ALL)
    assert file.read_bytes().startswith(START[extension])
    if extension == "svg":
        assert "Graphviz" in file.read_text() or "graphviz" in file.read_text()


def fake_dot(tmp_path, monkeypatch, script):
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Graphviz")
def test_graphviz_gets_the_source_and_the_format(tmp_path, monkeypatch):
    fake_dot(tmp_path, monkeypatch, 'echo "$@"; cat')
    plot_model(chain(), tmp_path / "a.svg", show_layer_names=True)
    said = (tmp_path / "a.svg").read_text()
    assert said.startswith("-Tsvg\ndigraph")
    assert "<b>conv</b> (Conv2D)" in said
    assert model_to_dot(chain()).write(tmp_path / "b.dot")
    assert (tmp_path / "b.dot").read_text().startswith("digraph")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Graphviz")
def test_a_graphviz_that_fails_is_replaced(tmp_path, monkeypatch):
    fake_dot(tmp_path, monkeypatch, "echo no fonts >&2; exit 1")
    with pytest.warns(UserWarning, match="without Graphviz, which failed: dot failed: no fonts"):
        plot_model(chain(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(START["png"])


def test_dot_without_graphviz(no_graphviz):
    with pytest.raises(FileNotFoundError, match="plot_model draws without it"):
        model_to_dot(chain()).create(format="svg")


# ---- notebooks and errors ----


def test_in_a_notebook_the_picture_is_returned(tmp_path, no_graphviz, monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: object()
    ipython.display = types.SimpleNamespace(Image=lambda filename: ("image", filename), SVG=lambda filename: "svg")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    file = str(tmp_path / "a.png")
    assert plot_model(chain(), file) == ("image", file)
    assert plot_model(chain(), tmp_path / "a.svg") == "svg"
    assert plot_model(chain(), tmp_path / "a.pdf") is None


MISUSE = {
    "unbuilt": (lambda: plot_model(keras.Sequential([layers.Dense(3)])), "isn't built"),
    "no model": (lambda: plot_model(layers.Dense(3)), "expected a model"),
    "extension": (lambda: plot_model(chain(), "model.pgn"), "'pgn'.*Did you mean 'png'"),
    "rankdir": (lambda: plot_model(chain(), rankdir="UD"), "TB, BT, LR, RL, received 'UD'"),
    "splines": (lambda: plot_model(chain(), splines="wavy"), "splines.*ortho.*'wavy'"),
    "dpi": (lambda: plot_model(chain(), dpi=0), "dpi.*positive"),
    "argument": (lambda: plot_model(chain(), show_shape=True), "Did you mean 'show_shapes'"),
    "layer range": (lambda: plot_model(chain(), layer_range=["a", "b"]), "layer_range"),
    "subgraph": (lambda: model_to_dot(chain(), subgraph=True), "subgraph"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_explained(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, words = MISUSE[name]
    with pytest.raises(ValueError, match=words):
        run()
    assert not list(tmp_path.iterdir())


def test_neither_graphviz_nor_matplotlib(tmp_path):
    code = (
        "import sys, shutil; sys.modules['matplotlib'] = None; shutil.which = lambda name: None\n"
        "import minikeras as k\n"
        "m = k.Sequential([k.Input((3,)), k.layers.Dense(2)])\n"
        "try: k.utils.plot_model(m, 'x.png')\n"
        "except ImportError as e: print(e)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install matplotlib" in result.stdout


def test_the_layout_orders_branches_without_crossings():
    _, picture = laid_out(branches(), show_layer_names=True)
    order = sorted((b for b in picture.frame.boxes() if b.title[0].startswith("way")), key=lambda b: b.at[0])
    assert len({round(b.at[1]) for b in order}) == 1
    deeper = {b.title[0]: b.at[0] for b in picture.frame.boxes()}
    assert np.sign(deeper["way1"] - deeper["way3"]) == np.sign(deeper["deeper"] - deeper["deep"])
