"""`model.explain`: the arithmetic it shows is right, and is that of what really runs."""

import math
import re

import numpy as np
import pytest
from layer_table import LAYERS, Case

import minikeras as keras
from minikeras import layers

IMAGE = np.random.default_rng(0).random((28, 28)).astype("float32")


def network():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(0.5, name="scale"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(8, (3, 2), strides=2, name="second"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(10, activation="softmax", name="last"),
        ],
        name="net",
    )
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    return model


def quiet(model, x, y=None):
    return model.explain(x, y, print_fn=lambda text: None)


def equations(text):
    """Return (expression, result) of each `a = b` in a text, the expression evaluated: digits, brackets and signs."""
    found = []
    term = r"(?:ceil)?[\d(][\d()*+/\- ]*?"
    for line in text.splitlines():
        for chain in re.findall(rf"{term}(?: = {term})*(?: = \d+)", line.replace(",", "")):
            *expressions, result = chain.split(" = ")
            found += [(eval(expression, {"ceil": math.ceil}), int(result)) for expression in expressions]
    return found


def test_the_arithmetic_of_a_network():
    e = quiet(network(), IMAGE)
    assert [row.output_shape for row in e.rows] == [
        (28, 28, 1), (28, 28, 32), (14, 14, 32), (6, 7, 8), (336,), (336,), (10,)
    ]  # fmt: skip
    assert e["first"].arithmetic == "rows and columns: (28 + 2*1 - 3) // 1 + 1 = 28\nchannels: 32 filters"
    assert e["first"].parameters_formula == "3*3*1*32 + 32 = 320"
    assert e["first"].multiply_adds_formula == "28*28*3*3*1*32 = 225,792"
    assert e["first"].multiply_adds == 28 * 28 * 3 * 3 * 32
    assert e["first"].bytes == 28 * 28 * 32 * 4
    assert e["pool"].arithmetic.startswith("rows and columns: (28 - 2) // 2 + 1 = 14\n")
    assert e["pool"].multiply_adds == e["pool"].parameters == 0
    assert e["second"].arithmetic.startswith("rows: (14 - 3) // 2 + 1 = 6\ncolumns: (14 - 2) // 2 + 1 = 7\n")
    assert e["flat"].arithmetic == "6*7*8 = 336"
    assert e["drop"].arithmetic == "as the input"
    assert e["last"].parameters_formula == "336*10 + 10 = 3,370"
    assert e.parameters == network().count_params()
    assert e.multiply_adds == sum(row.multiply_adds for row in e.rows) == 784 + 225792 + 6 * 7 * 3 * 2 * 32 * 8 + 3360
    assert e.bytes == 4 * sum(int(np.prod(row.output_shape)) for row in e.rows)
    assert (e.loss, e["last"].dy_norm) == (None, None)
    with pytest.raises(KeyError):
        e["lost"]


def test_the_numbers_are_those_of_the_layers():
    model = network()
    e = quiet(model, IMAGE)
    for row in e.rows:
        inner = keras.Model(model.inputs[0], model.get_layer(row.name).output)
        y = inner.predict(IMAGE[None], verbose=0)
        np.testing.assert_allclose((row.low, row.mean, row.high), (y.min(), y.mean(), y.max()), rtol=1e-5, atol=1e-7)
        assert row.output_shape == y.shape[1:]


def row_of(case, layer=None):
    """Return a layer of the table, and its row: of a sample of ones, with weights of 1 and biases of 0."""
    layer, symbols = layer or case.make(keras), case.symbols(keras)
    y = layer(symbols)
    for v in layer.weights:
        v.assign(np.full(v.shape, v.name != "bias", v.dtype))
    largest = (case.classes or 2) - 1
    ones = [np.full(shape, largest) for shape in (case.input_shape if case.joins else [case.input_shape])]
    (row,) = quiet(keras.Model(symbols, y), ones).rows
    assert row.output_shape == y.shape[1:]
    return layer, row


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_equation_is_true(case):
    layer, row = row_of(case)
    assert row.arithmetic
    said = equations(row.arithmetic)
    assert all(left == right for left, right in said), row.arithmetic
    for what, along in (("rows", row.output_shape[:1]), ("columns", row.output_shape[1:2])):
        lines = [line for line in row.arithmetic.splitlines() if re.match(f".*{what}.*:", line)]
        if lines:
            assert {right for _, right in equations(lines[0].partition(";")[0])} == set(along)
    for formula, number in (
        (row.parameters_formula, row.parameters),
        (row.multiply_adds_formula, row.multiply_adds),
    ):
        for left, right in equations(formula) or [(int(formula.replace(",", "")), number)]:
            assert left == right == number, formula
    assert row.parameters == layer.count_params()
    if row.arithmetic == "as the input":
        assert [row.output_shape] == row.input_shapes


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_multiply_adds_are_those_that_run(case):
    """Sums of products of ones count their terms; where zeros stand around an image, a few of them."""
    layer = case.make(keras)
    summing = (layers.Dense, layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose, layers.Dot)
    if isinstance(layer, layers.SeparableConv2D):  # its two halves, each by itself
        options = {k: getattr(layer, k) for k in ("strides", "padding", "dilation_rate", "depth_multiplier")}
        _, windows = row_of(case, layers.DepthwiseConv2D(layer.kernel_size, **options))
        mixing = layers.Conv2D(layer.filters, 1)
        expected = windows.multiply_adds + row_of(Case("", None, windows.output_shape), mixing)[1].multiply_adds
        assert row_of(case, layer)[1].multiply_adds == expected
    elif isinstance(layer, summing):
        if hasattr(layer, "activation"):
            layer.activation = keras.activations.linear
        layer.normalize, normalized = False, getattr(layer, "normalize", False)
        _, row = row_of(case, layer)
        terms = round(row.mean * math.prod(row.output_shape))
        assert row.multiply_adds == terms or (layer.padding == "same" and row.multiply_adds > terms)
        if normalized:
            layer.normalize = True
            assert row_of(case, layer)[1].multiply_adds == terms + sum(map(math.prod, row.input_shapes))
    else:
        size = math.prod(case.make(keras)(case.symbols(keras)).shape[1:])
        per_number = {
            layers.BatchNormalization: 1,
            layers.LayerNormalization: 2,  # the square in the variance, and the scale
            layers.Multiply: len(case.input_shape) - 1,
            layers.PReLU: 1,
            layers.Rescaling: 1,
            layers.UpSampling2D: 4 if getattr(layer, "interpolation", "") == "bilinear" else 0,
        }
        assert row_of(case, layer)[1].multiply_adds == per_number.get(type(layer), 0) * size


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_the_gradients_are_those_of_training(scale):
    """With a large scale, softmax saturates: training starts from the logits, and so must the explanation."""
    model = network()
    model.get_layer("drop").rate = 0  # training drops, explaining does not
    last = model.get_layer("last")
    last.set_weights([scale * w for w in last.get_weights()])
    e = quiet(model, IMAGE, 3)
    before = {v.path: v.numpy() for v in model.weights}
    value = model.train_on_batch(IMAGE[None, ..., None], np.array([3]))
    assert e.loss == pytest.approx(value, rel=1e-5)
    assert e.paired
    for v in model.weights:
        layer, name = v.path.split("/")[-2:]
        step = np.linalg.norm((before[v.path] - v.numpy()).astype("float64"))  # the learning rate is 1
        assert e[layer].gradient_norms[name] == pytest.approx(step, rel=1e-3, abs=1e-6)
        assert e[layer].weight_norms[name] == pytest.approx(np.linalg.norm(before[v.path]), rel=1e-5)


def test_the_way_back():
    e = quiet(network(), IMAGE, np.array([3]))
    assert e["scale"].dy_norm is e["scale"].dx_norm is e["first"].dx_norm is None  # nothing trainable before them
    assert e["first"].backward_multiply_adds == e["first"].multiply_adds
    assert e["second"].backward_multiply_adds == 2 * e["second"].multiply_adds
    assert e["scale"].backward_multiply_adds == 0
    assert e["flat"].dy_norm == e["flat"].dx_norm == e["drop"].dy_norm > 0
    assert e["pool"].gradient_norms == {}


def test_the_norms_against_slopes():
    keras.config.set_floatx("float64")
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, activation="tanh", name="a"), layers.Dense(2, name="b")]
    )
    model.compile("sgd", "mse")
    x, y, h = np.array([0.3, -1, 2.0]), np.array([1.0, -1]), 1e-6
    e = quiet(model, x, y)
    assert not e.paired
    for v in model.weights:
        slopes = np.zeros(v.shape)
        for index in np.ndindex(v.shape):
            middle = v.value[index]
            values = []
            for side in (h, -h):
                v.value[index] = middle + side
                values.append(np.mean((model(x[None])[0] - y) ** 2))
            v.value[index] = middle
            slopes[index] = (values[0] - values[1]) / (2 * h)
        layer, name = v.path.split("/")[-2:]
        assert e[layer].gradient_norms[name] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)


def test_nothing_is_changed():
    model = network()
    for v in model.weights:
        v.gradient[...] = 7
    before = model.get_weights()
    state = model.get_layer("drop").seed_generator.state.copy()
    quiet(model, IMAGE, 3)
    assert all((v.gradient == 7).all() for v in model.weights)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(state, model.get_layer("drop").seed_generator.state)


def test_graphs():
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="deep")], name="inner")
    a, b = inner(shared(x)), shared(shared(x))
    model = keras.Model(x, layers.Add(name="join")([a, b]), name="graph")
    model.compile("sgd", "mse")
    e = quiet(model, np.ones(4), np.zeros(4))
    assert {row.name for row in e.rows} == {"shared", "inner/deep", "join"}
    assert [row.parameters for row in e.rows if row.name == "shared"] == [20, 0, 0]
    assert e.parameters == model.count_params() == 40
    assert e["join"].input_shapes == [(4,), (4,)]
    assert e["join"].parameters_formula == "0"
    assert e["inner/deep"].gradient_norms["kernel"] > 0


def test_several_inputs_and_outputs():
    """Losses by name, with weights, one of them taken over from a softmax; all as training does it."""
    a, b = keras.Input((3,), name="a"), keras.Input((2, 2), name="b")
    hidden = layers.Dense(4, name="hidden")
    joined = layers.Concatenate(name="join")([hidden(a), layers.Flatten(name="flat")(b)])
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(joined),
        "extra": layers.Dense(2, name="extra")(joined),
        "amount": layers.Dense(1, name="amount")(hidden(a)),
    }
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(
        keras.optimizers.SGD(1.0),
        {"kind": "sparse_categorical_crossentropy", "amount": "mse"},
        loss_weights={"amount": 3.0, "kind": 0.5},
    )
    x = {"b": np.array([[1.0, 2], [3, -1]]), "a": np.array([1.0, -2, 0.5])}
    y = {"kind": 1, "amount": [2.0]}
    e = quiet(model, x, y)
    assert (e["join"].input_shapes, e["join"].arithmetic) == ([(4,), (4,)], "axis -1: 4 + 4 = 8")
    assert e.paired == ["kind"]
    assert e["extra"].dy_norm == 0
    before = {v.path: v.numpy() for v in model.weights}
    x = {name: value[None] for name, value in x.items()}
    y = {name: np.atleast_2d(value) for name, value in y.items()}
    assert e.loss == pytest.approx(model.train_on_batch(x, y, return_dict=True)["loss"], rel=1e-5)
    for v in model.weights:
        layer, name = v.path.split("/")[-2:]
        step = np.linalg.norm((before[v.path] - v.numpy()).astype("float64"))
        assert e[layer].gradient_norms[name] == pytest.approx(step, rel=1e-3, abs=1e-6)
    assert "activation of kind; dy there is dz" in " ".join(str(e).split())


def test_what_is_printed(capsys):
    model = network()
    e = model.explain(IMAGE, 3)
    printed = capsys.readouterr().out
    assert printed == str(e)
    arithmetic = ("(28 + 2*1 - 3) // 1 + 1 = 28", "3*3*1*32 + 32", "= 225,792", "98.0 KiB", "6*7*8 = 336")
    back = ("And backward:", "SparseCategoricalCrossentropy", "not needed", "kernel:")
    for text in ('One sample through model "net", forward', *arithmetic, *back):
        assert text in printed, text
    assert_whole_tables(printed)
    texts = []
    model.explain(IMAGE, print_fn=texts.append)
    assert len(texts) == 1
    assert "backward" not in texts[0]
    assert capsys.readouterr().out == ""
    assert "7 layers" in repr(e)


def assert_whole_tables(text):
    """No table is cut off at the right, and no arithmetic is broken over lines."""
    assert max(map(len, text.splitlines())) <= 120
    for line in text.splitlines():
        if line[:1] in "┏┡├└┃│" and line:
            assert line[-1] in "┓┩┤┘┃│", line
        assert "…" not in line


def test_large_networks_fit_the_table():
    name = "a_rather_long_name_of_a_layer"
    model = keras.Sequential(
        [
            keras.Input((112, 112, 256)),
            layers.Conv2D(512, (3, 5), strides=(1, 2), padding="same", name=name),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1000, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    text = str(quiet(model, np.ones((112, 112, 256)), 1))
    assert_whole_tables(text)
    equations_of_windows = ("(112 + 2*1 - 3) // 1 + 1 = 112", "(112 + 1 + 2 - 5) // 2 + 1 = 56")
    for part in (name, "112*56*3*5*256*512", "3*5*256*512 + 512", "12.2 MiB", *equations_of_windows):
        assert part in text, part


def test_wide_layers_fit_the_table():
    image, words = keras.Input((8, 8, 3)), keras.Input((5,))
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, groups=3, padding="same")(image))
    x = layers.Add()([x, layers.SeparableConv2D(6, 3, padding="same", dilation_rate=2)(image)])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="a_layer_of_a_very_long_name_indeed")(x)
    y = layers.Flatten()(layers.Embedding(10, 4)(words))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), y])
    model = keras.Model([image, words], layers.LayerNormalization()(x))
    model.compile("sgd", "mse")
    e = quiet(model, [np.ones((8, 8, 3)), np.arange(5)], np.ones(24))
    assert_whole_tables(str(e))
    for row in e.rows:
        for equation in re.findall(r"[(\d][^:;\n]* = \d+", row.arithmetic):
            assert equation in str(e), equation


@pytest.mark.parametrize("form", [IMAGE, IMAGE[None], IMAGE[..., None], IMAGE[None, ..., None], IMAGE.tolist()])
def test_forms_of_a_sample(form):
    assert quiet(network(), form)["flat"].output_shape == (336,)


def test_forms_of_a_target():
    model = network()
    losses = {quiet(model, IMAGE, y).loss for y in (3, [3], np.array([3]), np.array([[3]]))}
    model.compile("sgd", "categorical_crossentropy")
    losses |= {quiet(model, IMAGE, y).loss for y in (np.eye(10)[3], np.eye(10)[[3]])}
    assert len({round(loss, 5) for loss in losses}) == 1


def uncompiled():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def two_inputs():
    symbols = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(symbols, layers.Add()(symbols))


MISUSE = {
    "unbuilt": (lambda: keras.Sequential([layers.Dense(3)]).explain(np.ones(4)), "isn't built"),
    "several samples": (lambda: uncompiled().explain(np.ones((5, 4))), r"one sample of shape \(4,\).*x\[0\]"),
    "shape": (lambda: uncompiled().explain(np.ones(5)), r"one sample of shape \(4,\)"),
    "several inputs": (lambda: uncompiled().explain([np.ones(4), np.ones(4)]), r"one sample of shape \(4,\)"),
    "one input of two": (lambda: two_inputs().explain(np.ones(4)), "expected 2 arrays"),
    "no loss": (lambda: uncompiled().explain(np.ones(4), 1), "compile"),
    "class": (lambda: network().explain(IMAGE, 12), "12"),
    "several targets": (lambda: network().explain(IMAGE, np.array([[1], [2]])), "one sample"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_explained(name, capsys):
    run, words = MISUSE[name]
    with pytest.raises(ValueError, match=words):
        run()
    assert capsys.readouterr().out == ""


def test_summary_still_prints_the_same(capsys):
    texts = []
    network().summary(print_fn=texts.append)
    network().summary()
    assert "net" in texts[0]
    assert capsys.readouterr().out.splitlines()[1:] == texts[0].splitlines()[1:]
