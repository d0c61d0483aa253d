"""Operations: machine code against NumPy functions for all, on many threads and few, compiled and kept on the disk."""

import importlib
import inspect
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from operations_table import EPSILON, examples, integers, row

from minikeras import config, functional, kernels
from minikeras.functional import activations, conv2d, crossentropy, dense, pool2d
from minikeras.layers.windows import window_geometry

OPERATIONS = {name: operation for name, operation, _ in examples()}


def copied(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def in_float64(arguments):
    return [a.astype("float64") if getattr(a, "dtype", None) == np.float32 else a for a in copied(arguments)]


def agree(operation, arguments, relative=0.0, absolute=0.0):
    """Run the NumPy function in float64 and float32, and the machine code: what they write is equal, the rest stays."""
    exact, plain, ours = in_float64(arguments), copied(arguments), copied(arguments)
    with np.errstate(all="ignore"):
        results = [operation.reference(*exact), operation.reference(*plain), operation.compiled(*ours)]
    for name, a, e, p, o in zip(operation.parameters, arguments, exact, plain, ours, strict=True):
        if not isinstance(a, np.ndarray):
            continue
        assert o.dtype == p.dtype == a.dtype
        if name in operation.writes:
            np.testing.assert_allclose(o, e, relative, absolute, err_msg=name)
            np.testing.assert_allclose(p, e, relative, absolute, err_msg=f"{name} of NumPy")
        else:
            np.testing.assert_array_equal(o, a)
            np.testing.assert_array_equal(p, a)
    if results[0] is not None:
        np.testing.assert_allclose(results[1:], [results[0]] * 2, max(relative, 1e-6))


@pytest.mark.parametrize("name", OPERATIONS)
def test_numpy_and_machine_code_agree(name):
    draw, relative, absolute = row(OPERATIONS[name])
    for seed in range(60):
        try:
            agree(OPERATIONS[name], draw(np.random.default_rng(seed)), relative, absolute)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_every_operation_has_machine_code_and_every_kernel_is_one():
    for room in functional.ROOMS:
        without = {n for n, o in OPERATIONS.items() if n.startswith(f"{room}.") and o.formula is None}
        if not without:
            continue
        module = importlib.import_module(f"minikeras.kernels.{room}")
        loops = {n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
        assert {f"{room}.{n}" for n in loops if n[0] != "_"} == without


@pytest.fixture
def number_of_threads():
    yield config.set_num_threads
    config.set_num_threads(None)


# dense


@pytest.mark.parametrize("O", [1, 16, 36, 48, 49, 100, 128, 129, 170, 180, 300])
@pytest.mark.parametrize("I", [1, 40, 2100])
def test_one_sample(I, O):
    rng = np.random.default_rng(2)
    x, w, b, z = integers(rng, 1, I), integers(rng, I, O), integers(rng, O), np.full((1, O), np.nan, "float32")
    agree(dense.forward, (z, x, w, b, False))
    dy, dx = integers(rng, 1, O), np.full_like(x, np.nan)
    agree(dense.backward, (w.copy(), b.copy(), dx, dy, dy, x, w, False, False))


@pytest.mark.parametrize("O", [16, 32, 36, 64, 100])
def test_tiles_fit_tables_of_any_number_of_rows(O):
    rng = np.random.default_rng(10)
    w, b = integers(rng, 40, O), integers(rng, O)
    for N in range(1, 60):
        agree(dense.forward, (np.full((N, O), np.nan, "float32"), integers(rng, N, 40), w, b, False))


# convolutions


@pytest.mark.parametrize("window", [(5, 5), (1, 4), (3, 2)])
@pytest.mark.parametrize(("strides", "dilation"), [((1, 1), (1, 1)), ((1, 2), (1, 1)), ((1, 1), (2, 3))])
@pytest.mark.parametrize("channels", [3, 20])
def test_windows_that_reach_outside_are_their_references(window, strides, dilation, channels):
    rng, image, F = np.random.default_rng(11), (21, 15), 18
    outputs, before = zip(*map(window_geometry, image, window, strides, ("same", "same"), dilation), strict=True)
    x, w, b = integers(rng, 3, *image, channels), integers(rng, *window, channels, F), integers(rng, F)
    y = np.full((3, *outputs, F), np.nan, "float32")
    nothing, alone = np.zeros((0, 0, 0, 0), "float32"), ((1, 1), outputs, False)
    agree(conv2d.forward, (y, nothing, x, w, b, strides, before, dilation, *alone))
    agree(conv2d.input_gradient, (np.full_like(x, np.nan), integers(rng, *y.shape), w, strides, before, dilation))


def large_agree(sizes, rectified, add, wants_dx, keep):
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
    agree(conv2d.forward, (y, winner if keep else np.zeros((0, 0, 0, 0), "float32"), x, w, b, *geometry, rectified))
    conv2d.forward.compiled(y, winner, x, w, b, *geometry, rectified)
    dx = np.zeros(x.shape if wants_dx else (0, *x.shape[1:]), "float32")
    dy = integers(rng, *shape)
    agree(conv2d.backward, (w.copy(), b.copy(), dx, dy, y, winner, x, w, *geometry, rectified, add))


@pytest.mark.parametrize("batch", [1, 5, 40])
@pytest.mark.parametrize("pool", [(1, 1), (2, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_large_kernels_are_their_references(batch, pool, strides, number_of_threads):
    """Of these, the shares of dx are apart."""
    sizes = {"window": (3, 3), "channels": 64, "filters": 130, "image": (13, 8), "padding": "same", "dilation": (1, 1)}
    assert kernels.conv2d.SHARES * 2 * 9 * 64 * 130 > kernels.conv2d.SUMS
    number_of_threads(3)
    for wants_dx in (False, True):
        large_agree({**sizes, "batch": batch, "pool": pool, "strides": strides}, True, wants_dx, wants_dx, True)


# activations

SIZES = (1, 7, 15, 16, 17, 130, 1000)
EDGES = np.array([0, -0.0, np.inf, -np.inf, 0.625, -0.625, 87, -87, 88, -88, 89, -89, 1e30, -1e30, 1e-30], np.float32)


def numbers(size, seed=0):
    """Normal numbers near 0, then over all that an exponential can take, and the edges."""
    rng = np.random.default_rng(seed)
    many = np.concatenate([EDGES, rng.normal(size=size), rng.uniform(-95, 95, size), 1e-3 * rng.normal(size=size)])
    return rng.permutation(many.astype("float32"))[:size] if size > 1 else many[-1:].astype("float32")


def result(function, *arguments):
    filled = np.full_like(arguments[0], 7)
    function(filled, *arguments)
    return filled


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activations_are_the_function_to_the_last_two_bits(name, size):
    x, kernel = numbers(size), getattr(activations, name)
    with np.errstate(all="ignore"):
        exact = result(kernel.reference, x.astype("float64"))
    ours = result(kernel.compiled, x)
    assert ours.dtype == np.float32
    # sigmoid is 0 or 6e-39 where the exact result is below the smallest normal number
    np.testing.assert_allclose(ours, exact, rtol=3 * EPSILON, atol=float(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_nan_stays(name):
    x = np.array([1, np.nan, -1] * 7, np.float32)
    assert np.isnan(result(getattr(activations, name).compiled, x)).tolist() == np.isnan(x).tolist()


def test_softmax_of_minus_infinity_is_0_and_of_nan_is_nan():
    z = np.array([[0, -np.inf, 0, -np.inf], [0, np.nan, 1, 2], [-np.inf, -np.inf, -np.inf, 3]], np.float32)
    p = result(activations.softmax.compiled, z)
    assert p[0].tolist() == [0.5, 0, 0.5, 0]
    assert np.isnan(p[1]).all()
    assert p[2].tolist() == [0, 0, 0, 1]


def test_an_impossible_class_is_seen():
    z = np.zeros((3, 4), "float32")
    for function in (crossentropy.softmax_crossentropy.reference, crossentropy.softmax_crossentropy.compiled):
        values, p, dz = np.empty(3, "float32"), np.empty_like(z), np.empty_like(z)
        assert np.isnan(function(values, p, dz, z, np.array([0, 4, -1])))
        assert np.isnan(values).tolist() == [False, True, True]
        assert np.isnan(dz).all(axis=1).tolist() == [False, True, True]
        assert not np.isnan(p).any()


# threads


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


@pytest.mark.parametrize("module", ["kernels", "functional"])
def test_every_kernel_is_compiled_ahead_of_time(module):
    command = [sys.executable, "-m", f"minikeras.{module}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(line.split()[0] for line in result.stdout.splitlines()[:-1]) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", [name for name, _, _ in examples()])
def test_training_compiles_nothing_again(name):
    _, operation, arguments = next(row for row in examples() if row[0] == name)
    operation.compiled(*arguments)
    assert len(operation.machine_code.signatures) == 1


def test_a_long_compilation_is_announced(capsys, monkeypatch):
    from minikeras.kernels import cache

    monkeypatch.setattr(functional, "_noticed", False)
    for compiling, times in ((False, 0), (True, 1), (True, 0)):
        monkeypatch.setattr(cache, "compiling", compiling)
        functional._prepared(lambda: time.sleep(1.2))
        assert capsys.readouterr().err.count("compiling its kernels") == times


def test_a_slow_import_is_not_taken_for_a_compilation(capsys, monkeypatch):
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
