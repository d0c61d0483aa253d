"""Blocks, dense products and scores: every kernel against its reference, blocks against layers, threads against one."""

import importlib
import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operations_table import examples

import minikeras
from minikeras import config, functional, kernels, layers, losses
from minikeras.engine import objective
from minikeras.functional import activations, conv2d, crossentropy, dense, pool2d
from minikeras.layers.windows import window_geometry

THOROUGH = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def integers(rng, *shape):
    """Whole numbers: their products and sums are exact in float32, so that two orders of adding must agree exactly."""
    return rng.integers(-3, 4, shape).astype("float32")


def in_float64(arguments):
    return [a.astype("float64") if isinstance(a, np.ndarray) else a for a in arguments]


def agree(kernel, arguments, outputs):
    """Run a kernel and its reference; the first `outputs` arguments must come out equal."""
    exact, ours = in_float64(arguments), [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    kernel.reference(*exact)
    kernel.compiled(*ours)
    for e, o in zip(exact[:outputs], ours[:outputs], strict=True):
        assert o.dtype == np.float32
        np.testing.assert_array_equal(o, e)
    for before, after in zip(arguments[outputs:], ours[outputs:], strict=True):
        np.testing.assert_array_equal(before, after)


# dense


@THOROUGH
@given(
    N=st.one_of(st.integers(1, 70), st.sampled_from([256, 257, 530, 600])),
    I=st.one_of(st.integers(1, 300), st.sampled_from([1023, 1025])),
    O=st.one_of(st.integers(1, 70), st.sampled_from([96, 100, 128, 150])),
    rectified=st.booleans(),
    add=st.booleans(),
    wants_dx=st.booleans(),
)
def test_dense_kernels_are_their_references(N, I, O, rectified, add, wants_dx):
    rng = np.random.default_rng(1)
    x, w, b, z, dx = (integers(rng, *s) for s in ((N, I), (I, O), (O,), (N, O), (N, I)))
    agree(dense.forward, (z, x, w, b, rectified), 1)
    dx = dx if wants_dx else dx[:, :0].copy()
    agree(dense.backward, (w.copy(), b.copy(), dx, z, integers(rng, N, O), x, w, rectified, add), 3)


@pytest.mark.parametrize("O", [1, 16, 36, 48, 49, 100, 128, 129, 170, 180, 300])
@pytest.mark.parametrize("I", [1, 40, 2100])
def test_one_sample(I, O):
    rng = np.random.default_rng(2)
    x, w, b, z = integers(rng, 1, I), integers(rng, I, O), integers(rng, O), np.full((1, O), np.nan, "float32")
    agree(dense.forward, (z, x, w, b, False), 1)
    dy, dx = integers(rng, 1, O), np.full_like(x, np.nan)
    agree(dense.backward, (w.copy(), b.copy(), dx, dy, dy, x, w, False, False), 3)


@pytest.mark.parametrize("O", [16, 32, 36, 64, 100])
def test_tiles_fit_tables_of_any_number_of_rows(O):
    rng = np.random.default_rng(10)
    w, b = integers(rng, 40, O), integers(rng, O)
    for N in range(1, 60):
        agree(dense.forward, (np.full((N, O), np.nan, "float32"), integers(rng, N, 40), w, b, False), 1)


# blocks


@pytest.mark.parametrize("window", [(5, 5), (1, 4), (3, 2)])
@pytest.mark.parametrize(("strides", "dilation"), [((1, 1), (1, 1)), ((1, 2), (1, 1)), ((1, 1), (2, 3))])
@pytest.mark.parametrize("channels", [3, 20])
def test_windows_that_reach_outside_are_their_references(window, strides, dilation, channels):
    rng, image, F = np.random.default_rng(11), (21, 15), 18
    outputs, before = zip(*map(window_geometry, image, window, strides, ("same", "same"), dilation), strict=True)
    x, w, b = integers(rng, 3, *image, channels), integers(rng, *window, channels, F), integers(rng, F)
    y = np.full((3, *outputs, F), np.nan, "float32")
    nothing, alone = np.zeros((0, 0, 0, 0), "float32"), ((1, 1), outputs, False)
    agree(conv2d.forward, (y, nothing, x, w, b, strides, before, dilation, *alone), 1)
    agree(conv2d.input_gradient, (np.full_like(x, np.nan), integers(rng, *y.shape), w, strides, before, dilation), 1)


@st.composite
def convolutions(draw):
    """Draw a convolution with pooling, such that a window fits."""
    pool = draw(st.sampled_from([(1, 1), (2, 2), (2, 3), (3, 1)]))
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.sampled_from(["valid", "same"]))
    image = tuple(
        (p - 1) * s + 1 + ((k - 1) * d if padding == "valid" else 0) + draw(st.integers(0, 7))
        for p, s, k, d in zip(pool, strides, window, dilation, strict=True)
    )
    channels = draw(st.one_of(st.integers(1, 5), st.sampled_from([6, 7, 12, 33, 70])))
    filters = draw(st.one_of(st.integers(1, 37), st.sampled_from([64, 70, 130])))
    sizes = {
        "batch": draw(st.one_of(st.integers(1, 9), st.sampled_from([33, 70]))),
        "channels": channels,
        "filters": filters,
    }
    return {"pool": pool, "window": window, "strides": strides, "dilation": dilation, "padding": padding,
            "image": image, **sizes}  # fmt: skip


def blocks_agree(sizes, rectified, add, wants_dx, keep):
    rng = np.random.default_rng(2)
    batch, C, F, pool = sizes["batch"], sizes["channels"], sizes["filters"], sizes["pool"]
    outputs, before = zip(
        *map(window_geometry, sizes["image"], sizes["window"], sizes["strides"], (sizes["padding"],) * 2,
             sizes["dilation"]),
        strict=True,
    )  # fmt: skip
    shape = (batch, outputs[0] // pool[0], outputs[1] // pool[1], F)
    x, w, b = integers(rng, batch, *sizes["image"], C), integers(rng, *sizes["window"], C, F), integers(rng, F)
    y, winner = np.zeros(shape, "float32"), np.zeros(shape if pool != (1, 1) else (0, 0, 0, 0), "float32")
    geometry = (sizes["strides"], before, sizes["dilation"], pool, outputs)
    agree(conv2d.forward, (y, winner if keep else np.zeros((0, 0, 0, 0), "float32"), x, w, b, *geometry, rectified), 2)
    conv2d.forward.compiled(y, winner, x, w, b, *geometry, rectified)
    dx = np.zeros(x.shape if wants_dx else (0, *x.shape[1:]), "float32")
    dy = integers(rng, *shape)
    agree(conv2d.backward, (w.copy(), b.copy(), dx, dy, y, winner, x, w, *geometry, rectified, add), 3)


@THOROUGH
@given(sizes=convolutions(), rectified=st.booleans(), add=st.booleans(), wants_dx=st.booleans(), keep=st.booleans())
def test_blocks_are_their_references(sizes, rectified, add, wants_dx, keep):
    blocks_agree(sizes, rectified, add, wants_dx, keep)


@pytest.mark.parametrize("batch", [1, 5, 40])
@pytest.mark.parametrize("pool", [(1, 1), (2, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_large_kernels_are_their_references(batch, pool, strides, number_of_threads):
    """Of these, the shares of dx are apart."""
    sizes = {"window": (3, 3), "channels": 64, "filters": 130, "image": (13, 8), "padding": "same", "dilation": (1, 1)}
    assert kernels.conv2d.SHARES * 2 * 9 * 64 * 130 > kernels.conv2d.SUMS
    number_of_threads(3)
    for wants_dx in (False, True):
        blocks_agree({**sizes, "batch": batch, "pool": pool, "strides": strides}, True, wants_dx, wants_dx, True)


def network(dtype="float32"):
    return minikeras.Sequential(
        [
            minikeras.Input((13, 11, 2)),
            layers.Conv2D(5, 3, padding="same", activation="relu", dtype=dtype),
            layers.MaxPooling2D(2, dtype=dtype),
            layers.Conv2D(7, (2, 3), activation="tanh", dtype=dtype),
            layers.MaxPooling2D(2, dtype=dtype),
            layers.Conv2D(4, 1, use_bias=False, dtype=dtype),
            layers.MaxPooling2D((2, 1), dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(6, activation="relu", use_bias=False, dtype=dtype),
            layers.Dense(5, activation="sigmoid", dtype=dtype),
            layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )


def layer_by_layer(model, x, dy):
    """Return the output, the input's gradient and the weights', of the layers one after the other."""
    caches = []
    for layer in model.layers:
        x, cache = layer.forward(x, True)
        caches.append(cache)
    for v in model.trainable_weights:
        v.gradient[...] = 0
    for layer, cache in zip(reversed(model.layers), reversed(caches), strict=True):
        dy = layer.backward(dy, cache)
    return [x, dy, *(v.gradient.copy() for v in model.trainable_weights)]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fused_graph_is_its_layers(fresh):
    model, rng = network(), np.random.default_rng(3)
    model.gather()
    x, dy = rng.normal(size=(9, 13, 11, 2)).astype("float32"), rng.normal(size=(9, 3)).astype("float32")
    expected = layer_by_layer(model, x, dy)
    names = [type(operation).__name__ for operation, _ in model.graph.operations]
    assert names == ["PooledConvolution", "Conv2D", "MaxPooling2D", "PooledConvolution", "Flatten",
                     "Dense", "Dense", "Dense"]  # fmt: skip
    for v in model.trainable_weights:
        v.gradient[...] = np.nan if fresh else 0
    if fresh:  # what was there before is written over
        model.trainable_weights[0].home.zero_gradients()
    caches = []
    y = model.graph.forward(x, True, caches)
    dx = model.graph.backward(dy, caches, model.graph.needed(wants_dx=True))
    for ours, theirs in zip([y, dx, *(v.gradient for v in model.trainable_weights)], expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * np.abs(theirs).max())


def twice(shared, start):
    return minikeras.Model(start, layers.Dense(2)(shared(shared(start))))


def inside(shared, start):
    inner = minikeras.Model(start, shared(start))
    return minikeras.Model(start, inner(inner(start)))


@pytest.mark.parametrize("build", [twice, inside])
def test_what_is_used_twice_is_not_overwritten(build):
    start = minikeras.Input((4,))
    model = build(layers.Dense(4, activation="relu"), start)
    x, dy = (np.random.default_rng(1).normal(size=(3, n)).astype("float32") for n in (4, model.output_shape[1]))
    gradients = []
    for gathered in (False, True):  # weights that live in no vector are always added to
        if gathered:
            model.gather()
            for v in model.weights:
                v.gradient[...] = np.nan
            model.weights[0].home.zero_gradients()
        caches = []
        model.graph.forward(x, True, caches)
        model.graph.backward(dy, caches, model.graph.needed())
        gradients.append([v.gradient.copy() for v in model.weights])
    for added, written in zip(*gradients, strict=True):
        np.testing.assert_array_equal(added, written)


def test_a_gradient_that_nobody_writes_is_zero():
    model = minikeras.Sequential([minikeras.Input((4,)), layers.Dense(2)])
    model.gather()
    kernel, bias = model.weights
    kernel.gradient[...], bias.gradient[...] = np.nan, np.nan
    kernel.home.zero_gradients()
    assert not kernel.gradient.any()
    kernel.gradient += 1
    model.layers[0].backward(
        *(np.ones((1, 2), "float32"), model.layers[0].forward(np.ones((1, 4), "float32"), True)[1])
    )
    assert (kernel.gradient == 2).all()
    assert (bias.gradient == 1).all()


def test_a_picture_in_the_middle_can_still_be_seen():
    model = network()
    x = np.random.default_rng(4).normal(size=(2, 13, 11, 2)).astype("float32")
    middle = minikeras.Model(model.inputs[0], model.layers[0].output)
    np.testing.assert_allclose(middle.predict(x, verbose=0), model.layers[0](x), rtol=0, atol=1e-6)
    assert middle.predict(x, verbose=0).shape == (2, 13, 11, 5)


# scores


@THOROUGH
@given(N=st.integers(1, 40), C=st.integers(2, 20), size=st.sampled_from([1e-3, 1.0, 50.0, 1e4]))
def test_softmax_crossentropy_is_its_reference(N, C, size):
    rng = np.random.default_rng(5)
    z, t = (size * rng.normal(size=(N, C))).astype("float32"), rng.integers(0, C, N)
    results = [[np.empty(N, k), np.empty((N, C), k), np.empty((N, C), k)] for k in ("float64", "float32")]
    mean = crossentropy.softmax_crossentropy.reference(*results[0], z.astype("float64"), t)
    assert mean == pytest.approx(crossentropy.softmax_crossentropy.compiled(*results[1], z, t), rel=2e-6)
    assert mean == pytest.approx(results[0][0].mean())
    p = np.empty((N, C), "float32")
    activations.softmax.compiled(p, z)
    np.testing.assert_array_equal(p, results[1][1])
    for exact, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-6, atol=2e-6 * max(1, size))


def test_an_impossible_class_is_seen():
    z = np.zeros((3, 4), "float32")
    for function in (crossentropy.softmax_crossentropy.reference, crossentropy.softmax_crossentropy.compiled):
        values, p, dz = np.empty(3, "float32"), np.empty_like(z), np.empty_like(z)
        assert np.isnan(function(values, p, dz, z, np.array([0, 4, -1])))
        assert np.isnan(values).tolist() == [False, True, True]
        assert np.isnan(dz).all(axis=1).tolist() == [False, True, True]
        assert not np.isnan(p).any()


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 2.5])])
def test_one_pass_is_loss_and_softmax(weights):
    z, y = np.random.default_rng(6).normal(size=(3, 4)).astype("float32"), np.array([[3], [0], [1]])
    loss = losses.SparseCategoricalCrossentropy()
    last = layers.Dense(4, activation="softmax")
    last(minikeras.Input((2,)))
    one_pass = objective.paired(loss, last)
    assert type(one_pass) is objective.SoftmaxCrossentropy
    value, dz, p = one_pass.value_and_gradient(y, z, weights)
    slow = objective.Head(one_pass.loss, one_pass.function)
    for ours, theirs in zip((value, dz, p), slow.value_and_gradient(y, z, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(one_pass.value(y, z, weights)[0], value)
    for other in (losses.SparseCategoricalCrossentropy(ignore_class=0), losses.CategoricalCrossentropy()):
        assert type(objective.paired(other, last)) is objective.Head


# threads


@pytest.fixture
def number_of_threads():
    yield config.set_num_threads
    config.set_num_threads(None)


def random_arguments(arguments):
    rng = np.random.default_rng(7)
    return [rng.normal(size=a.shape).astype(a.dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
            for a in arguments]  # fmt: skip


@pytest.mark.parametrize("name", [n for n, k, _ in examples() if not n.startswith("philox")])
def test_the_same_bits_on_any_number_of_threads(name, number_of_threads):
    kernel, arguments = next((k, a) for n, k, a in examples() if n == name)
    arguments, results = random_arguments(arguments), []
    for number in (1, 2, 3, 16):
        number_of_threads(number)
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        kernel.compiled(*given)
        results.append(b"".join(a.tobytes() for a in given if isinstance(a, np.ndarray)))
    assert len(set(results)) == 1


def test_large_products_have_the_same_bits_on_any_number_of_threads(number_of_threads):
    rng = np.random.default_rng(8)
    x, w = rng.normal(size=(32, 900)).astype("float32"), rng.normal(size=(900, 70)).astype("float32")
    images, kernel = rng.normal(size=(20, 12, 12, 8)).astype("float32"), rng.normal(size=(3, 3, 8, 9)).astype("float32")
    results = []
    for number in (1, 2, 5):
        number_of_threads(number)
        z, dw = np.empty((32, 70), "float32"), np.zeros_like(kernel)
        dense.forward(z, x, w, np.ones(70, "float32"), True)
        dy = np.ones((20, 10, 10, 9), "float32")
        db, dx, nothing = np.zeros(9, "float32"), images[:0].copy(), np.zeros((0, 0, 0, 0), "float32")
        geometry = (1, 1), (0, 0), (1, 1), (1, 1), (10, 10)
        conv2d.backward(dw, db, dx, dy, dy, nothing, images, kernel, *geometry, False, False)
        results.append(z.tobytes() + dw.tobytes())
    assert len(set(results)) == 1


def test_gradients_of_large_kernels_have_the_same_bits_on_any_number_of_threads(number_of_threads):
    rng, results = np.random.default_rng(13), []
    x, w, dy = (rng.normal(size=s).astype("float32") for s in ((9, 6, 7, 64), (3, 3, 64, 130), (9, 4, 5, 130)))
    nothing, geometry = np.zeros((0, 0, 0, 0), "float32"), ((1, 1), (0, 0), (1, 1), (1, 1), (4, 5))
    for number in (1, 2, 5):
        number_of_threads(number)
        dw, db, dx = np.empty_like(w), np.empty(130, "float32"), np.empty_like(x)
        conv2d.backward(dw, db, dx, dy, dy, nothing, x, w, *geometry, True, False)
        results.append(dw.tobytes() + db.tobytes() + dx.tobytes())
    assert len(set(results)) == 1


def test_many_threads_of_python_may_compute_at_once():
    rng = np.random.default_rng(9)
    x, w, b = integers(rng, 40, 200), integers(rng, 200, 50), integers(rng, 50)
    expected, wrong = x @ w + b, []

    def work():
        for _ in range(200):
            z = np.empty((40, 50), "float32")
            dense.forward(z, x, w, b, False)
            if not np.array_equal(z, expected):
                wrong.append(z)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert not wrong


def test_a_forked_child_has_a_team_of_its_own():
    code = (
        "import os, numpy as np\n"
        "from minikeras.functional import dense\n"
        "one = np.ones((40, 40), 'float32'); z = np.empty_like(one)\n"
        "dense.forward(z, one, one, one[0], False)\n"
        "if (child := os.fork()) == 0:\n"
        "    z[...] = 0; dense.forward(z, one, one, one[0], False); os._exit(0 if (z == 41).all() else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "0", result.stderr


def test_the_number_of_threads_is_checked(number_of_threads, monkeypatch):
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="set_num_threads: expected a positive integer"):
            number_of_threads(wrong)
    number_of_threads(3)
    assert config.num_threads() == 3
    monkeypatch.setenv("MINIKERAS_NUM_THREADS", "5")
    number_of_threads(None)
    assert config.num_threads() == 5
    monkeypatch.setenv("MINIKERAS_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="MINIKERAS_NUM_THREADS: expected a positive integer, received 'many'"):
        number_of_threads(None)
    monkeypatch.delenv("MINIKERAS_NUM_THREADS")


# compilation


def test_machine_code_is_kept_only_while_no_kernel_changes(monkeypatch):
    from minikeras.kernels import cache

    kept = cache._Cache(kernels.dense.forward)

    class Processor:
        def magic_tuple(self):
            return ("a processor",)

    before = kept._index_key(("types",), Processor())
    assert kept._index_key(("types",), Processor()) == before
    monkeypatch.setattr(cache, "_digest", lambda: "another")
    assert kept._index_key(("types",), Processor()) != before


def test_every_kernel_is_compiled_ahead_of_time(tmp_path):
    environment, kept = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, []
    for module in ("kernels", "functional"):
        command = [sys.executable, "-m", f"minikeras.{module}"]
        result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        names = [line.split()[0] for line in result.stdout.splitlines()[:-1]]
        assert sorted(names) == sorted(name for name, _, _ in examples())
        kept.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")})
    assert kept[0] == kept[1]  # what the first has kept on disk, the second finds there


@pytest.mark.parametrize("name", [name for name, _, _ in examples()])
def test_training_compiles_nothing_again(name):
    _, operation, arguments = next(row for row in examples() if row[0] == name)
    operation.compiled(*arguments)
    assert len(operation.machine_code.signatures) == 1


def test_every_operation_has_machine_code_and_every_kernel_is_one():
    for room in functional.ROOMS:
        module = importlib.import_module(f"minikeras.kernels.{room}")
        loops = {n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
        assert {f"{room}.{n}" for n in loops if n[0] != "_"} == {
            name for name in functional.operations if name.startswith(f"{room}.")
        }


def test_read_only_data_compile_nothing_again():
    x, y = np.random.default_rng(11).normal(size=(40, 13, 11, 2)).astype("float32"), np.arange(40) % 3
    x.flags.writeable = y.flags.writeable = False
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0, shuffle=False)
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.layers[0](x)
    for _, kernel, _ in examples():
        assert kernel.machine_code is None or len(kernel.machine_code.signatures) == 1


def test_a_long_compilation_is_announced(capsys, monkeypatch):
    import time

    from minikeras.kernels import cache

    monkeypatch.setattr(functional, "_noticed", False)
    for compiling, times in ((False, 0), (True, 1), (True, 0)):
        monkeypatch.setattr(cache, "compiling", compiling)
        functional._prepared(lambda: time.sleep(1.2))
        assert capsys.readouterr().err.count("compiling its kernels") == times


def test_a_slow_import_is_not_taken_for_a_compilation(capsys, monkeypatch):
    import time

    from minikeras.kernels import cache

    monkeypatch.setattr(functional, "_noticed", False)
    monkeypatch.delattr(cache, "compiling")  # as it is while the module's first lines run
    functional._prepared(lambda: time.sleep(1.2))
    assert capsys.readouterr().err == ""


def test_what_is_on_the_disk_is_not_compiled():
    program = (
        "import numpy as np; from minikeras.functional import dense; from minikeras.kernels import cache;"
        "z = np.zeros((2, 2), 'f'); dense.forward.compiled(z, z, z, z[0], False); print(cache.compiling)"
    )
    for _ in range(2):
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


PROCESSORS = {"avx2": ("haswell", "+avx2,+avx,+fma,+sse4.2"), "sse": ("nehalem", "+sse4.2")}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the names are those of one family")
@pytest.mark.parametrize("name", PROCESSORS)
def test_other_processors_have_other_tiles(name, tmp_path):
    model, features = PROCESSORS[name]
    code = (
        "import numpy as np\n"
        "from minikeras.functional import dense\n"
        "from minikeras.kernels import vectors\n"
        "rng = np.random.default_rng(0)\n"
        "for N, I, O in ((1, 1, 1), (5, 7, 3), (14, 200, 37), (33, 300, 64), (530, 9, 20), (1, 200, 90)):\n"
        "    x, w, b = (rng.integers(-3, 4, s).astype('float32') for s in ((N, I), (I, O), (O,)))\n"
        "    z = np.empty((N, O), 'float32'); dense.forward.compiled(z, x, w, b, False)\n"
        "    assert (z == x @ w + b).all(), (N, I, O)\n"
        "print(vectors.LANES, *vectors.WIDE_TILE)\n"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": model, "NUMBA_CPU_FEATURES": features,
                   "NUMBA_CACHE_DIR": str(tmp_path)}  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert result.stdout.strip() == {"avx2": "8 6 2", "sse": "4 6 2"}[name], result.stderr


def test_pooling_of_a_map_is_the_blocks():
    """The winner is the cell that `pool2d` would give the gradient to, ties and rectified maps included."""
    rng = np.random.default_rng(10)
    x, w, b = integers(rng, 3, 6, 6, 1), integers(rng, 1, 1, 1, 5), integers(rng, 5)
    a, y, winner = np.empty((3, 6, 6, 5), "float32"), *(np.empty((3, 3, 3, 5), "float32") for _ in range(2))
    conv2d.forward(a, winner[:0, :0, :0, :0].copy(), x, w, b, (1, 1), (0, 0), (1, 1), (1, 1), (6, 6), False)
    conv2d.forward(y, winner, x, w, b, (1, 1), (0, 0), (1, 1), (2, 2), (6, 6), True)
    rectified, pooled, dz = np.maximum(a, 0), np.empty_like(y), np.empty_like(a)
    pool2d.max_forward(pooled, rectified, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(y, pooled)
    pool2d.max_backward(dz, np.ones_like(y), rectified, pooled, (2, 2), (2, 2), (0, 0))
    dz *= rectified > 0
    for cell, (i, j) in enumerate(np.ndindex(2, 2)):
        np.testing.assert_array_equal(winner == cell, dz[:, i::2, j::2] == 1)
