"""Files from strangers: whatever is in them, nothing runs, nothing else is touched, and the error is one and clear."""

import importlib
import io
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

import minikeras
from minikeras import layers
from minikeras.common.serialization import KNOWN, constructor_arguments
from minikeras.saving import ModelFileError, load_model

ROOT = pathlib.Path(__file__).parents[1]

#: How many damaged files of each kind the fuzz test makes; the environment may ask for more.
DAMAGED = int(os.environ.get("MINIKERAS_FUZZ", "150"))


def small():
    minikeras.utils.clear_session()  # the tests below look for groups named after `dense` and `dense_1`
    model = minikeras.Sequential(
        [minikeras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dropout(0.5), layers.Dense(2)], name="small"
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    return model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with the same model in every format."""
    folder = tmp_path_factory.mktemp("good")
    model = small()
    for name in ("model.keras", "model.h5"):
        model.save(folder / name)
    for name in ("model.weights.h5", "weights_only.h5"):
        model.save_weights(folder / name)
    return folder


@pytest.fixture
def bad(good, tmp_path):
    """Return a function that writes a `.keras` file whose config or weights a function has changed."""

    def make(config=None, weights=None, **members):
        with zipfile.ZipFile(good / "model.keras") as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        if config is not None:
            parsed = json.loads(content["config.json"])
            content["config.json"] = json.dumps(config(parsed) or parsed).encode()
        if weights is not None:
            buffer = io.BytesIO(content["model.weights.h5"])
            with h5py.File(buffer, "r+") as file:
                weights(file)
            content["model.weights.h5"] = buffer.getvalue()
        content |= members
        path = tmp_path / "bad.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path

    return make


@pytest.fixture
def bad_h5(good, tmp_path):
    """The same for a legacy `.h5` file."""

    def make(change):
        path = tmp_path / "bad.h5"
        path.write_bytes((good / "model.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def refused(path, match=None, **options):
    with pytest.raises(ModelFileError, match=match) as caught:
        load_model(path, **options)
    assert type(caught.value) is ModelFileError
    assert str(caught.value).startswith(str(path))


def limited(code, *arguments, megabytes=1024, seconds=120):
    """Run code in a process of its own with little memory; return what it prints."""
    head = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes} << 20,) * 2)\n"
        "import minikeras, numpy\n"
        "from minikeras.saving import ModelFileError, load_model\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + code, *map(str, arguments)],
        capture_output=True, text=True, timeout=seconds, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, f"exit code {result.returncode}\n{result.stderr}"
    return result.stdout.strip()


LOAD = "try: load_model(sys.argv[1]); print('loaded')\nexcept ModelFileError as e: print('refused', e)\n"


# Code in configs ---------------------------------------------------------------------------------------------------


def layer(module, class_name, config, **more):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": class_name, **more}


CODE = {
    # CVE-2024-3660: a Lambda layer with marshalled bytecode
    "lambda": layer(
        "keras.layers",
        "Lambda",
        {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wAAAAAA", "defaults": None}}},
    ),
    # CVE-2025-1550: a config that names any module and any function of it
    "module": layer("os", "system", {"command": "touch {marker}"}),
    "builtin": layer("builtins", "exec", {"source": "open('{marker}', 'w')"}),
    "function": layer("builtins", "function", "exec"),
    "function-of-os": layer("os", "function", "system"),
    "registered": {**layer("keras.layers", "Dense", {"units": 2}), "module": "subprocess", "class_name": "Popen"},
    "own-module": layer("minikeras.datasets.cache", "download", {}),
    # CVE-2025-8747: Keras's own helpers as gadgets, such as the one that downloads files
    "gadget": layer("keras.utils", "function", "get_file", registered_name="function"),
    "gadget-class": layer("keras.src.utils.file_utils", "get_file", {"origin": "file://{marker}"}),
    "dense-with-function": layer(
        "keras.layers", "Dense", {"units": 2, "activation": layer("builtins", "function", "exec")}
    ),
    "dense-with-lambda": layer(
        "keras.layers",
        "Dense",
        {"units": 2, "activation": {"class_name": "__lambda__", "config": {"code": "4wAAAAAA"}}},
    ),
    "dense-with-class": layer("keras.layers", "Dense", {"units": 2, "activation": layer("os", "system", {})}),
    "initializer": layer("keras.layers", "Dense", {"units": 2, "kernel_initializer": layer("os", "system", {})}),
    "path": layer("keras.layers", "../../os.system", {}),
    "dunder": layer("keras.layers", "__import__", {}),
    "unhashable-module": layer(["os"], "Dense", {"units": 2}),
    "unhashable-name": layer("keras.layers", {"a": 1}, {"units": 2}),
    "no-config": layer("keras.layers", "Dense", ["units", 2]),
    "tfsm": layer("keras.layers", "TFSMLayer", {"filepath": "{marker}"}),
    # CVE-2025-12058: lookup tables that are read from a path or an address in the config
    "vocabulary": layer("keras.layers", "StringLookup", {"vocabulary": "{marker}"}),
    "vocabulary-of-an-address": layer("keras.layers", "IndexLookup", {"vocabulary": "file://{marker}"}),
    # CVE-2025-49655: a pickled module of PyTorch
    "torch": layer("keras.layers", "TorchModuleWrapper", {"module": "gASVJAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg=="}),
    "torch-module": layer("keras.src.utils.torch_utils", "TorchModuleWrapper", {"module": "gASV", "safe_mode": False}),
    "jax": layer("keras.layers", "JaxLayer", {"call_fn": {"class_name": "__lambda__", "config": {"code": "4wAA"}}}),
    "loads": layer("pickle", "loads", "gASVJAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg=="),
    "loader": layer("keras.models", "function", "load_model", registered_name="function"),
    "own-loader": layer("minikeras.saving", "load_model", {"filepath": "{marker}", "safe_mode": False}),
    "switch": layer("keras.config", "function", "enable_unsafe_deserialization", registered_name="function"),
    "registered-function": {**layer("builtins", "function", "exec"), "registered_name": "builtins>exec"},
    "registered-import": {**layer("keras.layers", "Dense", {"units": 2}), "class_name": "os.system"},
    "fn-module": layer("keras.metrics", "MeanMetricWrapper", {"fn": "system", "fn_module": "os", "fn_name": "system"}),
    "function-module": layer(
        "keras.layers", "Lambda", {"function": "system", "function_type": "function", "module": "os"}
    ),
    "numpy": layer("builtins", "__numpy__", {"value": [1], "dtype": "O"}),
    "tensor": layer("builtins", "__tensor__", {"value": [1], "dtype": "float32"}),
    "typespec": layer("builtins", "__typespec__", ["os", "system"]),
    "bytes": layer("builtins", "__bytes__", {"value": "x"}),
    "operation": layer("keras.src.ops.operation", "Operation", {}),
    "class-of-an-instance": layer("keras.layers", "Dense", {"units": layer("subprocess", "Popen", {"args": "ls"})}),
    "wrapper": layer("keras.layers", "TimeDistributed", {"layer": layer("os", "system", {})}),
    "dropout-seed": layer("keras.layers", "Dropout", {"rate": 0.5, "seed": layer("os", "system", {})}),
    "callback": layer("keras.callbacks", "CSVLogger", {"filename": "{marker}"}),
    "backup": layer("keras.callbacks", "BackupAndRestore", {"backup_dir": "{marker}"}),
    "data-set": layer("keras.datasets", "function", "fashion_mnist.load_data"),
    "file": layer("keras.utils", "get_file", {"origin": "file://{marker}", "extract": True}),
}


@pytest.mark.parametrize("kind", CODE)
@pytest.mark.parametrize("safe_mode", [True, False])
def test_code_in_a_config_is_refused(kind, safe_mode, bad, tmp_path):
    marker = tmp_path / "marker"
    hostile = json.loads(json.dumps(CODE[kind]).replace("{marker}", str(marker)))

    def change(config):
        config["config"]["layers"].insert(1, hostile)

    refused(bad(change), safe_mode=safe_mode)
    assert not marker.exists()


@pytest.mark.parametrize("place", ["optimizer", "loss", "metrics", "weighted_metrics", "learning_rate"])
@pytest.mark.parametrize("kind", ["lambda", "module", "builtin", "function", "gadget"])
def test_code_in_compile_arguments_is_refused(place, kind, bad, tmp_path):
    hostile = json.loads(json.dumps(CODE[kind]).replace("{marker}", str(tmp_path / "marker")))

    def change(config):
        arguments = config["compile_config"]
        if place == "learning_rate":
            arguments["optimizer"]["config"]["learning_rate"] = hostile
        else:
            arguments[place] = [hostile] if "metrics" in place else hostile

    path = bad(change)
    refused(path)
    assert not (tmp_path / "marker").exists()
    assert not load_model(path, compile=False).compiled


@pytest.mark.parametrize("kind", CODE)
def test_code_in_a_whole_config_is_refused(kind, bad):
    refused(bad(lambda config: CODE[kind]))


@pytest.mark.parametrize("kind", ["lambda", "module", "builtin", "gadget-class", "dense-with-lambda"])
@pytest.mark.parametrize("safe_mode", [True, False])
def test_code_in_a_legacy_file_is_refused(kind, safe_mode, bad_h5, tmp_path):
    """CVE-2025-9905: the loader of `.h5` files knew nothing of `safe_mode`."""
    hostile = json.loads(json.dumps(CODE[kind]).replace("{marker}", str(tmp_path / "marker")))
    old = {k: v for k, v in hostile.items() if k in ("class_name", "config")}
    if kind == "lambda":
        old["config"] = {"name": "l", "function": ["4wAAAAAA", None, None], "function_type": "lambda"}

    def change(file):
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].insert(1, old)
        file.attrs["model_config"] = json.dumps(config)

    refused(bad_h5(change), safe_mode=safe_mode)
    assert not (tmp_path / "marker").exists()


def test_a_file_imports_nothing_and_opens_nothing_else(bad):
    """Every open and every import, in Python, is seen by an audit hook."""

    def change(config):
        config["config"]["layers"].insert(1, layer("antigravity", "fly", {}))

    code = (
        "exec(LOAD.replace('1', '2')); exec(LOAD)\n"  # everything that loading needs is imported now
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append((event, str(args[0]))) if event in "
        "('open', 'import', 'exec', 'compile', 'os.system', 'subprocess.Popen', 'socket.connect') else None)\n"
        + LOAD
        + "print(sorted(set(seen)))\n"
    )
    path = bad(change)
    good_path = path.with_name("fine.keras")
    small().save(good_path)
    *_, first, second = limited(f"LOAD = {LOAD!r}\n" + code, path, good_path).splitlines()
    assert first.startswith("refused")
    assert eval(second) == [("open", str(path))]


def test_an_archive_that_get_file_is_to_unpack_is_not(tmp_path):
    """CVE-2025-12060: members of a tar archive that climb out of the folder."""
    for options in ({"untar": True}, {"extract": True}):
        with pytest.raises(ValueError, match="unpack_archive"):
            minikeras.utils.get_file("a.tar", (tmp_path / "a.tar").as_uri(), cache_dir=str(tmp_path), **options)
    assert not list(tmp_path.iterdir())


# What is quoted ----------------------------------------------------------------------------------------------------

TEXTS = {"escape": "\x1b]0;owned\x07\x1b[31mred", "nul": "a\0b", "c1": "\x9b31m", "long": "y" * 3_000_000}


def put(config, place, text):
    first, arguments = config["config"]["layers"][1], config["compile_config"]
    if place in ("class_name", "module", "registered_name"):
        first[place] = text
    elif place in ("name", "activation", "dtype", "units", "kernel_initializer", "kernel_regularizer"):
        first["config"][place] = text
    elif place in ("loss", "optimizer"):
        arguments[place] = text
    elif place == "metrics":
        arguments[place] = [text]
    elif place == "learning_rate":
        arguments["optimizer"]["config"][place] = text
    elif place == "argument":
        first["config"][text] = 1
    elif place == "argument of compile":
        arguments[text] = 1
    elif place == "model":
        config["class_name"] = text
    elif place == "name of the model":
        config["config"]["name"] = text
    elif place == "name of the optimizer":
        arguments["optimizer"]["config"]["name"] = text


PLACES = (
    "class_name", "module", "registered_name", "name", "activation", "dtype", "units", "kernel_initializer",
    "kernel_regularizer", "loss", "optimizer", "metrics", "learning_rate", "argument", "argument of compile", "model",
    "name of the model", "name of the optimizer",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_of_a_file_are_shown_shortened_and_obeyed_by_no_terminal(kind, place, bad):
    import traceback

    path = bad(lambda config: put(config, place, TEXTS[kind]))
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    shown = "".join(traceback.format_exception(caught.value))  # with all that it was raised from
    assert len(shown) < 20_000
    assert len(str(caught.value)) < 3000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


@pytest.mark.parametrize("kind", TEXTS)
def test_names_of_a_legacy_file_are_shown_likewise(kind, bad_h5):
    text = TEXTS[kind].replace("\0", "") if kind == "nul" else TEXTS[kind][:60_000]

    def change(file):
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs.create("layer_names", [text, "dense"], dtype=h5py.string_dtype())

    with pytest.raises(ModelFileError) as caught:
        load_model(bad_h5(change))
    assert len(str(caught.value)) < 3000
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(caught.value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *[
            ("0", v)
            for v in (np.float32("nan"), np.float64("inf"), np.float32(1.5), np.uint64(2**64 - 1), np.int64(-1))
        ],
        *[("0", v) for v in (np.int64(2**63 - 1), np.float64(2**63), np.uint64(2**63))],
        *[("1", v) for v in (np.float32("nan"), np.float32("inf"), np.float32(-1), np.float64(1e300))],
    ],
)
@pytest.mark.parametrize("kind", ["model.keras", "model.h5", "model.weights.h5"])
def test_numbers_that_are_no_counts_and_no_rates_are_refused(kind, place, value, good, tmp_path):
    path = tmp_path / kind
    path.write_bytes((good / kind).read_bytes())

    def change(file):
        group = file["optimizer/vars"] if "optimizer" in file else file["optimizer_weights"]
        name = place if "optimizer" in file else group.attrs["weight_names"][int(place)]
        del group[name]
        group[name] = value

    if kind == "model.keras":
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        buffer = io.BytesIO(content["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        content["model.weights.h5"] = buffer.getvalue()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        with h5py.File(path, "r+") as file:
            change(file)
    model = small()
    before = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    with pytest.raises(ModelFileError, match="iteration" if place == "0" else "learning_rate"):
        model.load_weights(path) if "weights" in kind else load_model(path)
    for a, b in zip(before, [*model.get_weights(), *model.optimizer.variables], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [5, [5], {"a": 5}, True, 1.5, [[5]], "no_metric", ["no_metric"]])
@pytest.mark.parametrize("place", ["metrics", "weighted_metrics", "loss", "optimizer", "loss_weights"])
def test_arguments_of_compile_that_are_none_are_refused(place, value, bad):
    if place == "loss_weights" and value in (5, [5], {"a": 5}, 1.5, [[5]]):
        pytest.skip("numbers")
    refused(bad(lambda config: config["compile_config"].update({place: value})))


# Numbers in configs ------------------------------------------------------------------------------------------------

NUMBERS = [3 * 10**8, 2**62, -1, 1e308]
MODULES = (
    "keras", "keras.constraints", "keras.initializers", "keras.layers", "keras.losses", "keras.metrics",
    "keras.optimizers", "keras.optimizers.schedules", "keras.random", "keras.regularizers",
    "keras.src.models.functional",
)  # fmt: skip


def arguments_of(cls):
    """Return a config of a class that loads, as far as the class can be made."""
    needed = {
        "units": 2, "filters": 2, "kernel_size": 1, "rate": 0.5, "stddev": 1.0, "target_shape": [-1], "dims": [1],
        "n": 2, "input_dim": 5, "output_dim": 2, "scale": 1.0, "activation": "relu", "axes": 1, "shape": [4],
        "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "boundaries": [1], "values": [0.1, 0.01],
        "learning_rate": 0.1, "fn": "mean_squared_error", "value": 0.0, "layers": [],
        "num_classes": 2, "target_class_ids": [0], "specificity": 0.5, "sensitivity": 0.5, "recall": 0.5,
        "precision": 0.5,
    }  # fmt: skip
    return {name: needed[name] for name in constructor_arguments(cls) if name in needed}


def test_the_modules_are_all_of_the_table():
    importlib.import_module("minikeras.models")
    assert {module for module, _ in KNOWN if module.startswith("keras")} == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_no_number_in_a_config_makes_loading_take_memory_or_time(module, bad, tmp_path):
    """Every argument of every class that a config may name, in each place where it may stand."""
    importlib.import_module("minikeras.models")  # fills the table
    cases = []
    for (where, name), cls in KNOWN.items():
        if where != module:
            continue
        for argument in constructor_arguments(cls):
            for number in NUMBERS:
                for value in (number, [number], [number, number]):
                    cases.append(layer(where, name, {**arguments_of(cls), argument: value}))
    template = bad(lambda config: config["config"]["layers"].__setitem__(slice(3, None), []))
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    code = """
import json, os, time, zipfile
content = {n: zipfile.ZipFile(sys.argv[1]).read(n) for n in zipfile.ZipFile(sys.argv[1]).namelist()}
config = json.loads(content["config.json"])
def places(case):
    chain = json.loads(json.dumps(config))
    kind = case["module"].rpartition(".")[2]
    if kind in ("layers", "keras", "functional"):
        chain["config"]["layers"].insert(1, case)
    elif kind in ("initializers", "regularizers", "constraints"):
        chain["config"]["layers"][1]["config"]["kernel_" + kind.rstrip("s")] = case
    elif kind == "random":
        chain["config"]["layers"][1]["config"]["kernel_initializer"]["config"]["seed"] = case
    else:
        arguments = chain["compile_config"]
        if kind == "metrics":
            arguments["metrics"] = [case]
        elif kind == "losses":
            arguments["loss"] = case
        elif kind == "optimizers":
            arguments["optimizer"] = case
        else:
            arguments["optimizer"]["config"]["learning_rate"] = case
    return chain
import warnings; warnings.simplefilter("ignore")
outcome, slowest = {"loaded": 0, "refused": 0}, 0
cases = json.load(open(sys.argv[2]))
for case in cases:
    with zipfile.ZipFile(sys.argv[1], "w") as archive:
        for name, data in content.items():
            archive.writestr(name, json.dumps(places(case)) if name == "config.json" else data)
    began = time.process_time()
    try:
        load_model(sys.argv[1], max_bytes=100 << 20)
        outcome["loaded"] += 1
    except ModelFileError as error:
        assert not isinstance(error.__cause__, MemoryError), (case, str(error))
        outcome["refused"] += 1
    slowest = max((time.process_time() - began, str(case)), slowest or (0, ""))
peak = [int(line.split()[1]) >> 10 for line in open("/proc/self/status") if "VmHWM" in line]
assert sum(outcome.values()) == len(cases), outcome
assert slowest[0] < 5, slowest
print(outcome, *peak)
"""
    report = limited(code, template, tmp_path / "cases.json", megabytes=700, seconds=300)
    print(module, report)
    assert int(report.split()[-1]) < 300


def test_numbers_of_several_objects_count_against_one_budget(bad):
    def change(config):
        auc = layer("keras.metrics", "AUC", {"num_thresholds": 2_000_000})
        config["compile_config"]["metrics"] = [auc] * 20

    path = bad(change)
    assert load_model(path, max_bytes=2_000_000_000).compiled
    refused(path, "AUC|true_positives", max_bytes=500_000_000)
    code = LOAD.replace("sys.argv[1]", "sys.argv[1], max_bytes=100 << 20")
    assert limited(code, path, megabytes=600).startswith("refused")


def test_a_dtype_is_a_number_too(bad):
    def change(config):
        auc = layer("keras.metrics", "AUC", {"dtype": "V300000000"})
        config["compile_config"]["metrics"] = [auc]

    path = bad(change)
    refused(path, "type of numbers")


def test_objects_count_against_the_budget(bad):
    """Many small objects: each is cheap in the file, and costs some kilobytes."""

    def change(config):
        config["compile_config"]["metrics"] = [layer("keras.metrics", "AUC", {})] * 30_000

    path = bad(change)
    refused(path, "besides the weights", max_bytes=100 << 20)
    code = LOAD.replace("sys.argv[1]", "sys.argv[1], max_bytes=100 << 20")
    assert limited(code, path, megabytes=600).startswith("refused")


# Sizes -------------------------------------------------------------------------------------------------------------


def test_a_config_of_huge_layers_is_refused_before_memory_is_taken(bad):
    def change(config):
        config["config"]["layers"][1]["config"]["units"] = 10**12

    path = bad(change)
    assert limited(LOAD, path, megabytes=600).startswith("refused")
    refused(path, "limit")


@pytest.mark.parametrize("units", [10**30, -5, 0, 2**63, 1.5, "3", None, [3], True])
def test_impossible_sizes_are_refused(units, bad):
    def change(config):
        config["config"]["layers"][1]["config"]["units"] = units

    refused(bad(change))


def test_large_shapes_that_agree_with_the_file_are_under_the_cap(bad):
    """CVE-2026-0897: an array that declares a huge shape, and of which the file holds nothing."""

    def change(config):
        config["config"]["layers"] = config["config"]["layers"][:2]
        config["config"]["layers"][1]["config"]["units"] = 100_000_000
        config["compile_config"] = {}

    def weights(file):
        del file["layers/dense_1"], file["optimizer"]
        for i, shape in enumerate([(4, 100_000_000), (100_000_000,)]):
            del file[f"layers/dense/vars/{i}"]
            file["layers/dense/vars"].create_dataset(str(i), shape, "float32")  # declared, never written

    path = bad(change, weights)
    assert path.stat().st_size < 100_000
    assert limited(LOAD, path, megabytes=600).startswith("refused")
    refused(path, "declares 1,600,000,000 bytes, the file holds 0")
    refused(path, "more than the limit", max_bytes=1 << 20)


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_chunked_and_compressed_arrays_are_refused(compression, bad):
    def weights(file):
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", (4, 3), "float32", chunks=(4, 3), compression=compression)

    refused(bad(weights=weights), "chunked or compressed")


def test_a_cap_on_bytes_can_be_lowered_and_raised(good):
    with pytest.raises(ModelFileError, match="limit of 50"):
        load_model(good / "model.h5", max_bytes=50)
    with pytest.raises(ModelFileError, match="limit of 150"):  # the weights fit, the optimizer's state does not
        load_model(good / "model.h5", max_bytes=150)
    assert load_model(good / "model.h5", max_bytes=1 << 40).compiled


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "no JSON|nested|object"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "JSON|nested"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested"),
        (b" " * (5 << 20), "limit"),
        (b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", "values"),
        (b'{"config": ' + b"9" * 10_000 + b"}", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"", "JSON"),
        (b"null", "object"),
        (b"{}", "describes a dict, no model"),
    ],
)
def test_configs_that_are_no_configs_are_refused(text, match, bad):
    path = bad(**{"config.json": text})
    refused(path, match)
    assert limited(LOAD, path, megabytes=700).startswith("refused")


def test_many_layers_are_refused(bad):
    def change(config):
        config["config"]["layers"] = [layer("keras.layers", "ReLU", {})] * 12_000

    refused(bad(change), "12,000 layers")
    million = b'{"class_name":"Sequential","config":{"layers":[' + b"{}," * 1_000_000 + b"{}]}}"
    refused(bad(**{"config.json": million}), "1,000,001 layers|values")


def test_nested_models_do_not_overflow_the_stack(bad):
    def change(config):
        model = layer("keras", "Sequential", {"name": "m", "layers": [layer("keras.layers", "ReLU", {})]})
        for i in range(60):
            model = layer("keras", "Sequential", {"name": f"m{i}", "layers": [model]})
        return model

    refused(bad(change))


def test_a_zip_bomb_is_refused_unread(good, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(good / "model.keras") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        new.writestr("model.weights.h5", bytes(200 << 20))
    assert path.stat().st_size < 1 << 20
    refused(path, "declares 209,715,200 bytes", max_bytes=100 << 20)
    code = LOAD.replace("sys.argv[1]", "sys.argv[1], max_bytes=100 << 20")
    assert limited(code, path, megabytes=600, seconds=20).startswith("refused")


def test_a_zip_bomb_that_lies_about_its_size_is_refused(good, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("metadata.json", "{}")
        new.writestr("config.json", bytes(300 << 20))
        new.writestr("model.weights.h5", b"")
    data = path.read_bytes().replace(struct.pack("<L", 300 << 20), struct.pack("<L", 1000))
    path.write_bytes(data)
    refused(path)
    assert limited(LOAD, path, megabytes=600).startswith("refused")


@pytest.mark.parametrize(
    "names",
    [
        ["config.json"],
        ["metadata.json", "config.json", "model.weights.h5", "../../evil.py"],
        ["metadata.json", "config.json", "/etc/passwd"],
        ["metadata.json", "config.json", "config.json"],
        ["metadata.json", "config.json", "model.weights.h5", "model.weights.h5"],
        ["metadata.json", "config.json", "model.weights.npz"],
        [],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_of_other_members_are_refused(names, tmp_path):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    before = sorted(tmp_path.iterdir())
    refused(path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_huge_table_of_members_is_not_read(tmp_path):
    path = tmp_path / "many.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(70_000):  # beyond 65,535, the table's second form
            archive.writestr(str(i), b"")
    refused(path, "announces 70000")


# HDF5 --------------------------------------------------------------------------------------------------------------


def test_links_to_elsewhere_are_refused(bad, tmp_path):
    """CVE-2026-1669: an array that lies in another file.  A pipe as that file: whoever opened it would hang."""
    secret = tmp_path / "secret.h5"
    os.mkfifo(secret)
    array = "layers/dense/vars/0"

    def external_link(file):
        del file[array]
        file[array] = h5py.ExternalLink(str(secret), "/x")

    def external_group(file):
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(secret), "/x")

    def soft_link(file):
        del file[array]
        file[array] = h5py.SoftLink("/layers/dense_1/vars/0")

    def soft_group(file):
        file.move("layers", "others")
        file["layers"] = h5py.SoftLink("/others")

    def external_storage(file):
        del file[array]
        file["layers/dense/vars"].create_dataset("0", (4, 3), "float32", external=[(str(secret), 0, 48)])

    def virtual(file):
        del file[array]
        layout = h5py.VirtualLayout((4, 3), "float32")
        layout[...] = h5py.VirtualSource(str(secret), "x", (4, 3))
        file["layers/dense/vars"].create_virtual_dataset("0", layout)

    for change in (external_link, external_group, soft_link, soft_group, external_storage, virtual):
        path = bad(weights=change)
        assert limited(LOAD, path, seconds=60).startswith("refused"), change.__name__
        refused(path, "link to elsewhere|external, virtual")


@pytest.mark.parametrize("place", ["model_weights", "model_weights/dense", "model_weights/dense/small/dense/kernel"])
def test_links_in_legacy_files_are_refused(place, bad_h5, tmp_path):
    secret = tmp_path / "secret.h5"
    os.mkfifo(secret)
    for link in (h5py.ExternalLink(str(secret), "/x"), h5py.SoftLink("/optimizer_weights")):

        def change(file, link=link):
            del file[place]
            file[place] = link

        path = bad_h5(change)
        assert limited(LOAD, path, seconds=60).startswith("refused")


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((4, 3), "S9"),
        np.zeros((4, 3), "complex64"),
        np.zeros((4, 3), [("a", "f4"), ("b", "f4")]),
        np.zeros((4, 3), bool),
        np.zeros((3, 4), "float32"),
        np.zeros((4, 3, 1), "float32"),
        np.float32(1),
        h5py.Empty("float32"),
        np.full((4, 3), "text", h5py.string_dtype()),
        np.full((4, 3), None, h5py.ref_dtype),
    ],
    ids=str,
)
def test_arrays_of_other_kinds_are_refused(value, bad):
    def weights(file):
        del file["layers/dense/vars/0"]
        kind = value.dtype if isinstance(value, np.ndarray) and value.dtype == object else None
        if kind is not None:
            file["layers/dense/vars"].create_dataset("0", value.shape, kind)
        else:
            file["layers/dense/vars"].create_dataset("0", data=value)

    refused(bad(weights=weights), "layers/dense/vars/0")


def test_missing_and_surplus_arrays_are_refused(bad):
    def missing(file):
        del file["layers/dense/vars/0"]

    def surplus(file):
        file["layers/dense/vars/2"] = np.zeros(3, "float32")

    def group_for_array(file):
        del file["layers/dense/vars/0"]
        file.create_group("layers/dense/vars/0")

    def array_for_group(file):
        del file["layers/dense"]
        file["layers/dense"] = np.zeros(3)

    for change in (missing, surplus, group_for_array, array_for_group):
        refused(bad(weights=change), "dense")


def all_to_the_first(path, count, length):
    """Let all `count` texts of an attribute be its first, which has `length` bytes: a small file, a huge list."""
    data = path.read_bytes()
    first = struct.pack("<L", length)
    start = next(
        m.start()
        for m in re.finditer(re.escape(first), data)
        if data[m.start() + 16 : m.start() + 20] == struct.pack("<L", 1)
    )
    path.write_bytes(data[:start] + data[start : start + 16] * count + data[start + 16 * count :])


def test_texts_that_expand_are_refused(bad_h5):
    def change(file):
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs["layer_names"] = ["x" * 400_000] + ["a"] * 3999

    path = bad_h5(change)
    all_to_the_first(path, 4000, 400_000)
    assert path.stat().st_size < 1 << 20
    refused(path, "attribute 'layer_names'.* 1,600,")
    assert limited(LOAD, path, megabytes=700).startswith("refused")


def test_texts_count_against_one_budget_however_many_names_lead_to_them(bad_h5):
    """Each list is small enough; a thousand links to one group that holds it are not."""
    count, length = 400, 10_000

    def change(file):
        group = file["model_weights"]
        names = [f"l{i}" for i in range(1000)]
        for name in names:
            group[name] = group["dense"]
        del group.attrs["layer_names"], group["dense"].attrs["weight_names"]
        group.attrs["layer_names"] = names
        group["dense"].attrs["weight_names"] = ["y" * length] + ["a"] * (count - 1)

    path = bad_h5(change)
    all_to_the_first(path, count, length)
    assert path.stat().st_size < 1 << 20
    refused(path, "attribute 'weight_names' and what came before")
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert len(str(caught.value)) < 1000
    assert limited(LOAD, path, megabytes=1024).startswith("refused")


def test_names_in_files_of_many_layers_are_no_attack(tmp_path):
    """Each of the names might be as long as the config; together they aren't."""
    model = minikeras.Sequential([minikeras.Input((2,)), *(layers.ReLU() for _ in range(3000)), layers.Dense(1)])
    model.save(tmp_path / "many.h5")
    loaded = load_model(tmp_path / "many.h5")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("size", [0, 8, 2**32, 2**63, 2**64 - 32, 2**64 - 24, 2**64 - 16, 2**64 - 8, 2**64 - 1])
def test_a_heap_of_texts_that_has_no_end_is_refused(size, good, tmp_path):
    """HDF5 itself goes round in some of them for ever."""
    data, path = (good / "model.h5").read_bytes(), tmp_path / "bad.h5"
    heaps = [m.start() for m in re.finditer(b"GCOL", data)]
    changed = bytearray(data)
    for heap in heaps:
        place = heap + 16
        while place < heap + struct.unpack_from("<Q", data, heap + 8)[0] and struct.unpack_from("<H", data, place)[0]:
            changed[place + 8 : place + 16] = struct.pack("<Q", size)
            place += 16 + -(-struct.unpack_from("<Q", data, place + 8)[0] // 8) * 8
    path.write_bytes(changed)
    assert len(heaps) >= 1
    assert limited(LOAD, path, seconds=30).startswith("refused")


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
def test_texts_in_files_of_other_versions_are_read_or_refused(libver, good, tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(good / "model.h5", "r") as old, h5py.File(path, "w", libver=libver) as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
    if libver == "earliest":
        assert load_model(path).compiled
    else:
        refused(path, "stored in a way that Keras does not use")


@pytest.mark.parametrize("names", [["dense", "../dense"], ["/", "dense"], [".", ".."], ["dense"] * 2, [], ["a" * 9999]])
def test_odd_layer_names_in_legacy_files_are_refused(names, bad_h5):
    def change(file):
        file["model_weights"].attrs["layer_names"] = names

    refused(bad_h5(change))


def test_cycles_do_not_hang(bad):
    def weights(file):
        file["layers/dense/layers"] = file["layers"]

    assert load_model(bad(weights=weights)).built  # a surplus that nobody follows


# Memory ------------------------------------------------------------------------------------------------------------

AT_MOST = """
import os
def at_most(max_bytes, act):
    act(small)  # whatever is made at the first load
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + max_bytes * 5 // 4,) * 2)
    return act(large)
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A folder with a small and a large model of the same kind in every format, trained, so that Adam has its slots."""
    folder = tmp_path_factory.mktemp("large")
    for kind, units in (("small", 3), ("large", 4000)):
        model = minikeras.Sequential([minikeras.Input((units,)), layers.Dense(units, name="dense")])
        model.compile("adam", "mse")
        model.fit(np.ones((2, units)), np.ones((2, units)), verbose=0)
        for name in ("keras", "h5"):
            model.save(folder / f"{kind}.{name}")
        for name in ("weights.h5", "only.h5"):
            model.save_weights(folder / f"{kind}.{name}")
        with (
            zipfile.ZipFile(folder / f"{kind}.keras") as old,
            zipfile.ZipFile(folder / f"{kind}.zip.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            for name in old.namelist():
                new.writestr(name, old.read(name))
    return folder


STATE = 3 * 4 * 4000 * 4001  # bytes: weights, and twice as many slots


@pytest.mark.parametrize(
    ("name", "compile", "size"),
    [
        ("keras", True, STATE),
        ("zip.keras", True, STATE),
        ("h5", True, STATE),
        ("keras", False, STATE // 3),
        ("h5", False, STATE // 3),
    ],
)
def test_loading_takes_no_more_than_a_quarter_beyond_the_cap(name, compile, size, pairs):
    code = f"""{AT_MOST}
small, large = sys.argv[1] + "/small.{name}", sys.argv[1] + "/large.{name}"
cap = {size} + 100  # the counter and the learning rate, too
model = at_most(cap, lambda path: load_model(path, compile={compile}, max_bytes=cap))
print(model.count_params(), len(model.optimizer.variables) if {compile} else 0)
"""
    assert limited(code, pairs, megabytes=4096) == f"{4000 * 4001} {6 if compile else 0}"


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("name", ["weights.h5", "keras", "zip.keras", "only.h5"])
def test_loading_weights_takes_no_more_than_a_quarter_beyond_the_cap(name, built, pairs):
    code = f"""{AT_MOST}
models = {{}}
for kind in ("small", "large"):
    models[kind] = load_model(sys.argv[1] + "/" + kind + ".keras", compile=False)
    models[kind].compile("adam", "mse")
    if {built}:
        models[kind].gather()
        models[kind].optimizer.build(models[kind].trainable_weights)
small, large = "small", "large"
cap = {STATE if name != "only.h5" else STATE // 3} + 100
at_most(cap, lambda kind: models[kind].load_weights(sys.argv[1] + "/" + kind + ".{name}", max_bytes=cap))
print("fits")
"""
    assert limited(code, pairs, megabytes=4096) == "fits"


@pytest.mark.parametrize("name", ["keras", "h5"])
def test_what_is_beyond_the_cap_is_refused_before_it_is_read(name, pairs):
    code = f"""{AT_MOST}
small, large = sys.argv[1] + "/small.{name}", sys.argv[1] + "/large.{name}"
cap = {STATE // 3} - 1
try: at_most(cap, lambda path: load_model(path, max_bytes=cap))
except ModelFileError as error: print(error)
"""
    assert "more than the limit" in limited(code, pairs, megabytes=4096)


def test_loaded_models_go_on_as_the_saved_ones(pairs):
    """No array is shared, left out, or read-only."""
    x, y = np.ones((2, 3)), np.ones((2, 3))
    first, second = load_model(pairs / "small.keras"), load_model(pairs / "small.h5")
    for model in (first, second):
        model.fit(x, y, verbose=0)
        assert model.optimizer.iterations == 2
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


HUGE = {
    "thresholds": lambda c: c["compile_config"].update(
        metrics=[layer("keras.metrics", "AUC", {"num_thresholds": 3 * 10**8})]
    ),
    "many thresholds": lambda c: c["compile_config"].update(
        metrics=[layer("keras.metrics", "AUC", {"num_thresholds": 10**6})] * 1000
    ),
    "many metrics": lambda c: c["compile_config"].update(metrics=[layer("keras.metrics", "AUC", {})] * 50_000),
    "units": lambda c: c["config"]["layers"][1]["config"].update(units=10**9),
    "nested lists": lambda c: c.update(extra=json.loads("[" * 50 + "]" * 50), more=[[[]]] * 190_000),
    "many keys": lambda c: c.update(extra={f"{i}": {} for i in range(190_000)}),
    "many layers": lambda c: c["config"].update(layers=[layer("keras.layers", "ReLU", {})] * 9000),
    "a long name": lambda c: c["config"]["layers"][1].update(class_name="y" * 4_000_000),
}


@pytest.mark.parametrize("kind", HUGE)
def test_no_config_takes_more_than_a_quarter_beyond_the_cap(kind, bad, pairs):
    path = bad(lambda config: HUGE[kind](config))
    code = f"""{AT_MOST}
small, large = sys.argv[1] + "/small.keras", sys.argv[2]
cap = 200 << 20
def act(path):
    try: load_model(path, max_bytes=cap); print("loaded")
    except ModelFileError as error: print("memory" if isinstance(error.__cause__, MemoryError) else "refused")
at_most(cap, act)
"""
    first, second = limited(code, pairs, path, megabytes=4096).split()
    assert first == "loaded"
    assert second == "refused" or (second == "loaded" and kind == "many keys")  # which nobody looks at


# Speed -------------------------------------------------------------------------------------------------------------


class Name(str):
    """A name that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)


def test_a_sequential_of_many_layers_compares_no_name_with_all_others():
    chain = [layers.ReLU() for _ in range(500)]
    for layer in chain:
        layer.name = Name(layer.name)
    Name.compared = 0
    minikeras.Sequential(chain)
    assert Name.compared <= 2 * len(chain)


def calls_of(act):
    """Return how many calls, of Python's functions and of others, something takes."""
    count = 0

    def seen(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_loading_is_linear_in_the_number_of_layers(name, tmp_path):
    counts = []
    for size in (100, 800):
        model = minikeras.Sequential([minikeras.Input((2,)), *(layers.Dense(2) for _ in range(size))])
        model.save(tmp_path / name)
        load_model(tmp_path / name)
        counts.append(calls_of(lambda: load_model(tmp_path / name)))
    assert counts[1] < 10 * counts[0]


@pytest.mark.parametrize("place", ["optimizer/vars", "layers/dense/vars", "layers"])
def test_surplus_links_are_not_followed(place, bad):
    """200,000 hard links to one array took half a minute."""
    counts = []
    for size in (100, 10_000):

        def weights(file, size=size):
            group = file[place]
            array = file["layers/dense/vars/0"]
            for i in range(size):
                group[f"{i + 10}"] = array

        path = bad(weights=weights)

        def load(path=path):
            try:
                load_model(path)
            except (ModelFileError, UserWarning):
                return

        load()
        counts.append(calls_of(load))
    assert counts[1] < counts[0] + 3 * 9900


def test_a_legacy_file_names_no_more_layers_than_a_model_has(bad_h5):
    def change(file):
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs["layer_names0"] = ["dense"] * 3900
        group.attrs["layer_names1"] = ["dense"] * 3900
        group.attrs["layer_names2"] = ["dense"] * 3900

    refused(bad_h5(change), "11,700")


# Damage ------------------------------------------------------------------------------------------------------------

FUZZ = """
import os, random, time
name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = open(name, "rb").read()
folder, base = os.path.split(name)
path = os.path.join(folder, "damaged_" + base)
model = load_model(os.path.join(folder, "model.keras"))
draw = random.Random(seed)
outcome = {"loaded": 0, "refused": 0}
slowest = 0
for i in range(count):
    damaged = bytearray(data)
    kind = i % 4
    if kind == 0:
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del damaged[draw.randrange(len(data)):]
    elif kind == 2:
        for _ in range(8):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
    else:
        start = draw.randrange(len(data) - 16)
        damaged[start : start + 8] = draw.choice([b"\\0" * 8, b"\\xff" * 8, (1 << 40).to_bytes(8, "little")])
    with open(path, "wb") as file:
        file.write(damaged)
    began = time.perf_counter()
    try:
        if "weights" in base:
            model.load_weights(path)
        else:
            load_model(path)
        outcome["loaded"] += 1
    except ModelFileError:
        outcome["refused"] += 1
    except Warning as warning:
        outcome["warned"] = outcome.get("warned", 0) + 1
    slowest = max(slowest, time.perf_counter() - began)
peak = [int(line.split()[1]) >> 10 for line in open("/proc/self/status") if "VmHWM" in line]  # megabytes
print(outcome, round(slowest, 3), *peak)
"""


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5", "weights_only.h5"])
def test_damaged_files_are_loaded_or_refused(name, good):
    report = limited(FUZZ, good / name, DAMAGED, 1, seconds=60 + DAMAGED)
    outcome = eval(report.partition("}")[0] + "}")
    slowest, memory = report.partition("}")[2].split()
    print(name, report)
    assert sum(outcome.values()) == DAMAGED
    assert outcome["refused"] > DAMAGED // 8
    assert float(slowest) < 10
    assert int(memory) < 700


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_every_truncation_is_refused(name, good, tmp_path):
    data = (good / name).read_bytes()
    path = tmp_path / name
    for length in {*range(0, 200, 7), *range(0, len(data), max(len(data) // 60, 1)), len(data) - 1}:
        path.write_bytes(data[:length])
        refused(path)


def test_devices_folders_and_missing_files(tmp_path):
    (tmp_path / "folder.keras").mkdir()
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "zero.h5").symlink_to("/dev/zero")
    for name in ("folder.keras", "pipe.keras", "zero.h5"):
        refused(tmp_path / name, "folder")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_model(tmp_path / "nowhere" / "model.keras")
