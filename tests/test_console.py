"""The progress line and the summary table, compared with those that Keras draws."""

import contextlib
import functools
import io
import itertools
import os
import re
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minikeras
from minikeras.common import console
from minikeras.inspecting.summary import summary

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Stream(io.StringIO):
    """Standard output as a test wants it: a terminal, or of some encoding."""

    def __init__(self, terminal=False, encoding="utf-8"):
        super().__init__()
        self.terminal, self.codec = terminal, encoding

    encoding = property(lambda self: self.codec)

    def isatty(self):
        return self.terminal

    def write(self, text):
        text.encode(self.codec)
        return super().write(text)


class Clock:
    """A clock that a test moves by hand; both libraries read it."""

    def __init__(self):
        self.now = 1e6

    def __call__(self):
        return self.now


@contextlib.contextmanager
def printing_to(stream, clock=None):
    """Standard output, and the clock where one is given, replaced for a while."""
    with pytest.MonkeyPatch.context() as patch:
        if clock is not None:
            patch.setattr(console, "perf_counter", clock)
            patch.setattr(time, "time", clock)
        with contextlib.redirect_stdout(stream):
            yield stream


def screen(text):
    """What a terminal shows in the end: colours removed, carriage returns and backspaces obeyed."""
    rows, column = [[]], 0
    for character in ESCAPE.sub("", text):
        if character == "\n":
            rows.append([])
            column = 0
        elif character == "\r":
            column = 0
        elif character == "\b":
            column = max(column - 1, 0)
        else:
            rows[-1][column : column + 1] = character
            column += 1
    return ["".join(row).rstrip() for row in rows]


def drive(bar, clock, updates):
    for step, seconds, values in updates:
        clock.now += seconds
        bar.update(step, values)


def update(line, step, logs=None):
    if line.due(step):
        line.draw(logs() if callable(logs) else logs)


numbers = st.floats(-1e4, 1e4, allow_subnormal=False).map(lambda x: x + 0.0)  # no negative zeros
losses = st.lists(
    st.tuples(st.sampled_from([0, 1e-5, 0.02, 0.3, 2, 70, 4000]), numbers, numbers), min_size=1, max_size=15
)


@settings(deadline=None)
@given(losses, st.sampled_from([None, "loss", "all"]), st.booleans())
def test_progbar_draws_what_keras_draws(steps, averaged, known_target):
    """Every drawing, in colours and to the last character; the backspaces that Keras sends first are idle."""
    updates = [(i + 1, seconds, [("loss", a), ("accuracy", b)]) for i, (seconds, a, b) in enumerate(steps)]
    options = {None: {"stateless_metrics": []}, "loss": {"stateful_metrics": ["accuracy"]}, "all": {}}[averaged]
    drawn = []
    for cls in (keras.utils.Progbar, minikeras.utils.Progbar):
        clock = Clock()
        with printing_to(Stream(terminal=True), clock) as stream:
            drive(cls(len(steps) if known_target else None, **options), clock, updates)
        drawn.append(stream.getvalue())
    assert drawn[1] == drawn[0].replace("\b", "")
    assert screen(drawn[1]) == screen(drawn[0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e4, allow_subnormal=False)), min_size=1, max_size=12))
def test_verbose_2_is_keras_line(steps):
    updates = [(i + 1, seconds, [("loss", loss)]) for i, (seconds, loss) in enumerate(steps)]
    drawn = []
    for cls in (keras.utils.Progbar, minikeras.utils.Progbar):
        clock = Clock()
        with printing_to(Stream(), clock) as stream:
            drive(cls(len(steps), verbose=2), clock, updates)
        drawn.append(stream.getvalue())
    assert drawn[0] == drawn[1] != ""


@pytest.mark.parametrize("add", [1, 2, 5])
def test_progbar_add(add):
    drawn = []
    for cls in (keras.utils.Progbar, minikeras.utils.Progbar):
        clock = Clock()
        with printing_to(Stream(terminal=True), clock) as stream:
            bar = cls(10)
            for i in range(10 // add):
                clock.now += 0.2
                bar.add(add, [("loss", 1 / (i + 1))])
        drawn.append(stream.getvalue().replace("\b", ""))
    assert drawn[0] == drawn[1]


def test_progbar_refuses_both_lists():
    with pytest.raises(ValueError, match="Only one of `stateful_metrics` or `stateless_metrics`"):
        minikeras.utils.Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_a_file_gets_finished_lines_without_control_characters(tmp_path):
    path = tmp_path / "log.txt"
    clock = Clock()
    with open(path, "w", encoding="utf-8") as file, printing_to(file, clock):
        line = console.ProgressLine(1500)
        for step in range(1, 1501):
            clock.now += 0.0029
            update(line, step, {"accuracy": 0.7, "loss": 0.5})
        line.finish({"accuracy": 0.7, "loss": 0.5})
    expected = "1500/1500 ━━━━━━━━━━━━━━━━━━━━ 4s 3ms/step - accuracy: 0.7000 - loss: 0.5000" + os.linesep
    assert path.read_bytes() == expected.encode()  # as bytes: text mode would hide a carriage return


def test_a_dumb_terminal_is_treated_as_a_file(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with printing_to(Stream(terminal=True)) as stream:
        line = console.ProgressLine(2)
        update(line, 1)
        line.finish()
    assert re.fullmatch(r"2/2 ━{20} 0s \d+[mu]s/step\n", stream.getvalue())


def test_a_notebook_is_redrawn():
    class OutStream(Stream):
        __module__ = "ipykernel.iostream"

    with printing_to(OutStream(), Clock()) as stream:
        line = console.ProgressLine(2)
        update(line, 1, {"loss": 1.0})
        line.finish({"loss": 0.5})
    assert stream.getvalue().count("\r") == 2
    assert screen(stream.getvalue()) == ["2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 0.5000", ""]


def test_logs_are_computed_only_where_they_are_drawn():
    clock, calls = Clock(), []

    def logs():
        calls.append(1)
        return {"loss": 1.0}

    with printing_to(Stream(terminal=True), clock):
        line = console.ProgressLine(1000)
        for step in range(1, 1000):
            clock.now += 2**-10
            update(line, step, logs)
    assert len(calls) == 20  # a drawing every 52 of 999 steps: the first at or after 50 ms

    for target, options, stream in (
        (1000, {"verbose": 0}, Stream(True)),
        (1000, {"verbose": 2}, Stream(True)),
        (9, {}, Stream()),
    ):
        with printing_to(stream, clock):
            line = console.ProgressLine(target, **options)
            clock.now += 1
            update(line, 1, logs)
        assert stream.getvalue() == ""
    assert len(calls) == 20


def test_an_idle_update_costs_little():
    """Under a microsecond on an idle machine; ten are allowed here, for slow and busy ones."""
    with printing_to(Stream(terminal=True)):
        line = console.ProgressLine(10**6, interval=1e9)
        update(line, 1)
        best = min(_seconds_per_call(functools.partial(update, line)) for _ in range(5))
    assert best < 10e-6


def _seconds_per_call(function, calls=20_000):
    start = time.perf_counter()
    for step in range(2, calls + 2):
        function(step, None)
    return (time.perf_counter() - start) / calls


def test_a_moving_line_never_wraps(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((50, 24)))
    logs = {f"metric_{i}": 0.5 for i in range(4)}
    stream = Stream(terminal=True)
    stream.fileno = lambda: 1
    with printing_to(stream, Clock()):
        line = console.ProgressLine(2)
        update(line, 1, logs)
        moving = screen(stream.getvalue())[0]
        line.finish(logs)
    assert len(moving) == 49
    assert screen(stream.getvalue())[0].endswith("- metric_3: 0.5000")


def test_without_a_console_nothing_is_written(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    line = console.ProgressLine(1)
    update(line, 1)
    line.finish()
    console.say("hello")


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "latin-1", "utf-8"])
@pytest.mark.parametrize("terminal", [True, False])
def test_any_encoding_will_do(encoding, terminal):
    bar = "━" if encoding in ("cp949", "utf-8") else "="
    with printing_to(Stream(terminal, encoding), Clock()) as stream:
        line = console.ProgressLine(4, width=4)
        update(line, 2, {"손실": 1.0})
        line.finish({"손실": 1.0})
    last = screen(stream.getvalue())[0]
    assert last.startswith(f"4/4 {bar * 4} 0s")
    assert ("손실" in last) == (encoding in ("cp949", "utf-8"))


@pytest.mark.parametrize(("verbose", "meaning"), [(0, 0), (1, 1), (2, 2), ("auto", 1), (True, 1), (False, 0)])
def test_verbosity(verbose, meaning):
    assert console.verbosity(verbose) == meaning


def test_verbosity_refuses_other_words():
    with pytest.raises(ValueError, match="'auto', received 'Auto'"):
        console.verbosity("Auto")


def test_misspelt_names_get_a_suggestion():
    with pytest.raises(AttributeError, match="Did you mean 'Progbar'"):
        minikeras.utils.ProgBar  # noqa: B018


# ---- the summary ----


def dense(k):
    return [k.Input((20,)), k.layers.Dense(30, activation="relu"), k.layers.Dense(10, activation="softmax")]


def unbuilt(k):
    return [k.layers.Flatten(), k.layers.Dense(1000, name="x" * 60), k.layers.Dropout(0.3), k.layers.Dense(3)]


def convolutional(k):
    return [
        k.Input((28, 28, 1)),
        k.layers.Conv2D(32, 3, activation="relu", padding="same"),
        k.layers.MaxPooling2D(2),
        k.layers.Conv2D(64, 3, strides=2, name="[second]"),
        k.layers.Flatten(),
        k.layers.Dense(500),
        k.layers.Dropout(0.4),
        k.layers.Dense(10),
    ]


def frozen(k):
    layers = dense(k)
    layers[1].trainable = False
    return layers


def built_with_batch(k):
    return [k.layers.Input(batch_shape=(16, 8, 8)), k.layers.Reshape((4, 16)), k.layers.Activation("relu")]


MODELS = [dense, unbuilt, convolutional, frozen, built_with_batch]
OPTIONS = [
    {},
    {"show_trainable": True},
    {"line_length": 60},
    {"line_length": 150, "positions": [0.3, 0.6, 1.0]},
    {"line_length": 70, "show_trainable": True, "expand_nested": True},
]


def both(make, name="sequential", prepare=None):
    """The same model of both libraries, the layers numbered from scratch."""
    for k in (keras, minikeras):
        k.backend.clear_session()
        model = k.Sequential(make(k), name=name)
        if prepare:
            prepare(k, model)
        yield model


def text_of(model, **options):
    texts = []
    model.summary(print_fn=texts.append, **options)
    assert len(texts) == 1
    return texts[0]


@pytest.mark.parametrize("make", MODELS)
def test_summary_is_keras_text(make, monkeypatch):
    theirs, ours = both(make)
    for columns, options in itertools.product([50, 80, 100, 200], OPTIONS):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert text_of(ours, **options) == text_of(theirs, **options)


def functional_models(k):
    """Chains and graphs: with joins, shared layers, models inside, several inputs and outputs, dictionaries."""
    layers = k.layers
    x, y = k.Input((4,), name="x"), k.Input((4,), name="y")
    hidden = layers.Dense(3)(x)
    two = k.Model(x, [layers.Dense(2)(hidden), hidden], name="two")
    named = k.Model(x, {"u": layers.Dense(4)(x), "v": layers.Dense(2)(x)}, name="named")
    chain = k.Sequential([k.Input((4,)), layers.Dense(3), layers.Dense(4)], name="chain")
    shared, dropout = layers.Dense(4, name="shared"), layers.Dropout(0.2)
    once = shared(x)
    twice = chain(chain(y))
    yield two
    yield named
    yield k.Model(two.layers[1].output, two.outputs[0])
    yield k.Model([y, x], layers.Dense(4)(y))
    yield k.Model(y, [twice, layers.Dense(4)(twice)])
    yield k.Model(x, shared(once))
    yield k.Model(x, once)
    yield k.Model(x, shared.output)
    yield k.Model(y, two(y))
    yield k.Model(y, [two(y)[0], two(y)[1]])
    yield k.Model(y, named(y)["u"])
    yield k.Model(y, [y, layers.Dense(3)(y)])
    yield k.Model(y, [dropout(y), layers.Add()([y, dropout(y), y])])
    yield k.Model([x, y], layers.Concatenate()([two(x)[1], chain(y), once]))


@pytest.mark.parametrize("columns", [60, 200])
def test_summary_of_functional_models_is_keras_text(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    both = []
    for k in (minikeras, keras):
        k.backend.clear_session()
        both.append([text_of(m, **options) for m in functional_models(k) for options in ({}, OPTIONS[-1])])
    assert "shared[0][0]" in "".join(both[1])
    for ours, theirs in zip(*both, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adagrad"])
def test_summary_counts_the_optimizer(optimizer):
    def train(k, model):
        model.compile(optimizer, "mse")
        model.fit(np.zeros((4, 20), "float32"), np.zeros((4, 10), "float32"), verbose=0)

    theirs, ours = both(dense, prepare=train)
    assert text_of(ours) == text_of(theirs)
    assert "Optimizer params" in text_of(ours)


def test_summary_of_a_compiled_model_before_training():
    theirs, ours = both(dense, prepare=lambda k, model: model.compile("adam", "mse"))
    assert text_of(ours) == text_of(theirs)


@pytest.mark.parametrize("names", [("conv2d", "flatten"), ("dense", "conv"), (".*pool", "d"), ("flatten", "flatten")])
def test_summary_layer_range(names):
    theirs, ours = both(convolutional)
    assert text_of(ours, layer_range=names) == text_of(theirs, layer_range=names)


@pytest.mark.parametrize("bad", [("conv2d",), ("a", 1), ("conv2d", "nothing"), (1, 2)])
def test_summary_refuses_a_bad_layer_range(bad):
    for model in both(convolutional):
        with pytest.raises(ValueError, match=r"layer_range|layer_names"):
            model.summary(layer_range=bad)


def test_summary_suggests_the_layer_that_was_meant():
    *_, model = both(convolutional)
    with pytest.raises(ValueError, match=r"no layer is named 'flaten'. Did you mean 'flatten'"):
        model.summary(layer_range=("conv2d", "flaten"))


def test_summary_refuses_too_narrow_columns():
    for model in both(dense):
        with pytest.raises(ValueError, match="Insufficient console width"):
            model.summary(line_length=15)


@pytest.mark.parametrize("terminal", [False, True])
def test_summary_prints_what_keras_prints(terminal):
    printed = []
    for model in both(convolutional):
        with printing_to(Stream(terminal)) as stream:
            model.summary()
        printed.append(stream.getvalue())
    assert printed[0] == printed[1]
    assert ("\x1b" in printed[1]) == (terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"))


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "latin-1"])
def test_summary_in_any_encoding(encoding):
    *_, model = both(unbuilt, name="모델")
    with printing_to(Stream(encoding=encoding)) as stream:
        model.summary()
    assert "(unbuilt)" in stream.getvalue()
    assert "Total params: 0 (0.00 B)" in stream.getvalue()
    assert ("모델" in stream.getvalue()) == (encoding == "cp949")


def fake_model(*shapes):
    """What `summary` asks of a model, and no more: weights so large that nobody would allocate them."""
    weights = [SimpleNamespace(shape=shape, dtype="float32") for shape in shapes]
    layer = SimpleNamespace(
        name="huge",
        built=True,
        weights=weights,
        trainable=True,
        output_shape=[(None, 3), (2, 4)],
        count_params=lambda: 10**9,
    )
    return SimpleNamespace(
        name="m", layers=[layer], trainable_weights=weights, non_trainable_weights=[], optimizer=None
    )


@pytest.mark.parametrize(
    ("shape", "memory"),
    [((3,), "12.00 B"), ((256,), "1.00 KB"), ((1000, 1000), "3.81 MB"), ((2**18, 2**10), "1.00 GB")],
)
def test_memory_sizes(shape, memory):
    from keras.src.utils.summary_utils import readable_memory_size

    texts = []
    summary(fake_model(shape), print_fn=texts.append)
    assert f" Trainable params: {np.prod(shape):,} ({memory})\n" in texts[0]
    assert memory == readable_memory_size(4 * int(np.prod(shape)))
    assert "[(None, 3), (2, 4)]" in texts[0]
