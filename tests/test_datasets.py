"""Data sets: the cache and its files, downloads from a local server that misbehaves, the real files where they are."""

import gzip
import hashlib
import http.server
import os
import pathlib
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from minikeras import datasets, utils
from minikeras.datasets import cache, digits, fashion_mnist, mnist

# The real files, where a Keras cache holds them: named by the environment, or next to the checkout.
HOMES = [
    pathlib.Path(h)
    for h in (os.environ.get("KERAS_HOME"), pathlib.Path(__file__).parents[2] / "shared" / "keras-home")
    if h and (pathlib.Path(h) / "datasets" / "fashion-mnist" / "train-images-idx3-ubyte.gz").exists()
]


def idx(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


RANDOM = np.random.default_rng(0)
SMALL = {
    "train-labels-idx1-ubyte.gz": RANDOM.integers(0, 10, 30),
    "train-images-idx3-ubyte.gz": RANDOM.integers(0, 256, (30, 28, 28)),
    "t10k-labels-idx1-ubyte.gz": RANDOM.integers(0, 10, 20),
    "t10k-images-idx3-ubyte.gz": RANDOM.integers(0, 256, (20, 28, 28)),
}
FILES = {name: idx(array) for name, array in SMALL.items()}


class Server:
    """Serves files; `script[name]` lists what happens to the first requests for a file."""

    def __init__(self):
        self.files, self.script, self.requests = {}, {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.strip("/")
                outer.requests.append(name)
                steps = outer.script.get(name, [])
                step = steps.pop(0) if steps else "fine"
                if isinstance(step, int) or name not in outer.files:
                    self.send_error(step if isinstance(step, int) else 404)
                    return
                body = outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if step == "truncated":
                    body = body[: len(body) // 2]
                elif step == "wrong":
                    body = bytes(len(body))
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(cache, "BACKOFF", 0.001)
    monkeypatch.setattr(cache, "TIMEOUT", 10.0)
    monkeypatch.setattr(cache, "BASE_URL", "http://127.0.0.1:9/")  # nobody listens there
    return tmp_path


@pytest.fixture
def server(home, monkeypatch):
    server = Server()
    server.files = dict(FILES)
    monkeypatch.setattr(cache, "BASE_URL", server.url)
    monkeypatch.setattr(fashion_mnist, "HASHES", {n: hashlib.sha256(b).hexdigest() for n, b in FILES.items()})
    yield server
    server.close()


@pytest.fixture
def folder(home):
    """A filled cache."""
    folder = home / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def check(loaded):
    (x_train, y_train), (x_test, y_test) = loaded
    for array, expected in zip((y_train, x_train, y_test, x_test), SMALL.values(), strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, expected)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# Fashion-MNIST


def test_the_cache_needs_no_network(folder):
    check(fashion_mnist.load_data())


def test_without_keras_home_the_cache_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache.home() == str(tmp_path / ".keras")
    monkeypatch.setenv("KERAS_HOME", os.path.join("~", "cache"))
    assert cache.home() == str(tmp_path / "cache")


def test_download(server, home):
    check(fashion_mnist.load_data())
    assert names(home / "datasets" / "fashion-mnist") == sorted(FILES)
    assert server.requests == list(FILES)
    check(fashion_mnist.load_data())
    assert len(server.requests) == 4


def test_only_missing_files_are_downloaded(server, folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    check(fashion_mnist.load_data())
    assert server.requests == ["t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("trouble", [["truncated"], ["wrong"], [500], [503, "truncated"], [429]])
def test_troubles_that_pass_are_tried_again(server, home, trouble):
    server.script["train-images-idx3-ubyte.gz"] = list(trouble)
    check(fashion_mnist.load_data())
    assert server.requests.count("train-images-idx3-ubyte.gz") == len(trouble) + 1
    assert names(home / "datasets" / "fashion-mnist") == sorted(FILES)


@pytest.mark.parametrize(
    ("trouble", "message", "requests"),
    [
        (["truncated"] * 3, r"broke off after \d+ of \d+ bytes \(3 attempts\)", 3),
        (["wrong"] * 3, "the sha256 hash is .*, expected", 3),
        ([500] * 3, "answered 500", 3),
        ([404], "answered 404", 1),
        ([403], "answered 403", 1),
    ],
)
def test_troubles_that_stay_are_told(server, home, trouble, message, requests):
    name = "train-images-idx3-ubyte.gz"
    server.script[name] = list(trouble)
    with pytest.raises(cache.DownloadError, match=message) as caught:
        fashion_mnist.load_data()
    assert server.requests.count(name) == requests
    folder = home / "datasets" / "fashion-mnist"
    assert names(folder) == ["train-labels-idx1-ubyte.gz"]
    assert f"Get {server.url}{name}\nand put it at {folder / name}\n" in str(caught.value)
    assert "train-labels" not in str(caught.value)


def test_offline_the_error_says_which_files_to_put_where(home):
    with pytest.raises(OSError, match="is not in the cache") as caught:
        fashion_mnist.load_data()
    for name in FILES:
        assert f"put it at {home / 'datasets' / 'fashion-mnist' / name}" in str(caught.value)
    with pytest.raises(cache.DownloadError) as caught:
        mnist.load_data()
    assert f"put it at {home / 'datasets' / 'mnist.npz'}" in str(caught.value)


def test_a_cache_that_cannot_be_written(home):
    (home / "datasets").write_text("a file where a folder should be")
    with pytest.raises(cache.DownloadError, match="KERAS_HOME"):
        fashion_mnist.load_data()


def test_a_killed_download_leaves_nothing_that_harms(server, home):
    """A process is killed in the middle of a file; the next one downloads as if nothing had been."""
    target = home / "datasets" / "fashion-mnist" / "train-labels-idx1-ubyte.gz"
    killed = (
        "import hashlib, os, sys; from minikeras.datasets import cache; cache.CHUNK = 10\n"
        "class Dying:\n"
        "    def __init__(self, *a, **k): pass\n"
        "    def update(self, chunk):\n"
        "        os._exit(9)\n"
        "hashlib.new = Dying\n"
        "cache.download(*sys.argv[1:])"
    )
    source = server.url + target.name
    assert subprocess.run([sys.executable, "-c", killed, source, str(target)]).returncode == 9
    (leftover,) = target.parent.iterdir()
    assert leftover.name != target.name
    check(fashion_mnist.load_data())
    assert names(target.parent) == sorted(FILES)


def test_several_may_download_at_once(server, home):
    errors = []

    def load():
        try:
            check(fashion_mnist.load_data())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(home / "datasets" / "fashion-mnist") == sorted(FILES)


def test_an_interrupted_download_cleans_up(server, home, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fashion_mnist.load_data()
    assert names(home / "datasets" / "fashion-mnist") == []


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, b"", "damaged"),
        (IMAGES, b"<html>not found</html>", "damaged"),
        (IMAGES, FILES[IMAGES][:-100], "damaged"),
        (IMAGES, FILES[IMAGES][:-8] + bytes(8), "damaged"),
        (IMAGES, gzip.compress(b"", mtime=0), "no IDX file"),
        (IMAGES, gzip.compress(b"\0\0\x0d\x03" + bytes(100), mtime=0), "no IDX file"),
        (IMAGES, gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 7) + bytes(6), mtime=0), "holds 6 numbers"),
        (IMAGES, idx(np.zeros((30, 27, 28))), r"\(30, 27, 28\), expected \(n, 28, 28\)"),
        (LABELS, idx(np.zeros(29)), r"shape is \(29,\), for images of shape \(30, 28, 28\)"),
        (LABELS, idx(np.full(30, 10)), "label 10"),
    ],
)
def test_a_damaged_file_is_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        fashion_mnist.load_data()
    assert str(folder / name) in str(caught.value)
    assert (folder / name).read_bytes() == content


def test_every_single_flipped_byte_of_a_file_is_noticed(folder):
    name = "t10k-labels-idx1-ubyte.gz"
    content = bytearray(FILES[name])
    # Bytes 4 to 9 are gzip's time stamp, compression level and system: they say nothing about the data.
    for i in [i for i in range(len(content)) if not 4 <= i <= 9]:
        content[i] ^= 0x10
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            fashion_mnist.load_data()
        content[i] ^= 0x10


@pytest.mark.skipif(not HOMES, reason="no Keras cache with the real Fashion-MNIST files")
def test_the_real_files(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_HOME", str(HOMES[0]))
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert (x_train.shape, y_train.shape, x_test.shape, y_test.shape) == (
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    )
    assert np.bincount(y_train).tolist() == [6000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    for name, expected in fashion_mnist.HASHES.items():
        content = (HOMES[0] / "datasets" / "fashion-mnist" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(HOMES[0]))
    for ours, theirs in zip(
        ((x_train, y_train), (x_test, y_test)), keras.datasets.fashion_mnist.load_data(), strict=True
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert (a.dtype, a.flags.writeable) == (b.dtype, b.flags.writeable)


# MNIST


@pytest.fixture
def small_mnist(tmp_path):
    arrays = dict(zip(("y_train", "x_train", "y_test", "x_test"), SMALL.values(), strict=True))
    path = tmp_path / "small.npz"
    np.savez(path, **{name: a.astype(np.uint8) for name, a in arrays.items()})
    return path.read_bytes()


def test_mnist_from_the_cache_under_any_name(home, small_mnist):
    (home / "datasets").mkdir()
    for name in ("mnist.npz", "other.npz"):
        (home / "datasets" / name).write_bytes(small_mnist)
    check(mnist.load_data())
    check(mnist.load_data("other.npz"))


def test_mnist_download(server, home, small_mnist, monkeypatch):
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(small_mnist).hexdigest())
    server.files["mnist.npz"] = small_mnist
    server.script["mnist.npz"] = ["truncated", 502]
    check(mnist.load_data())
    check(mnist.load_data("copy.npz"))
    assert server.requests == ["mnist.npz"] * 4
    assert {"mnist.npz", "copy.npz"} <= set(names(home / "datasets"))


def test_mnist_with_the_real_hash_refuses_another_file(server, home, small_mnist):
    server.files["mnist.npz"] = small_mnist
    with pytest.raises(cache.DownloadError, match=mnist.SHA256):
        mnist.load_data()
    assert names(home / "datasets") == []


def test_a_damaged_mnist_file_is_named(home, small_mnist, tmp_path):
    (home / "datasets").mkdir()
    path = home / "datasets" / "mnist.npz"

    def saved(**arrays):
        np.savez(tmp_path / "other.npz", **arrays)
        return (tmp_path / "other.npz").read_bytes()

    flipped = bytearray(small_mnist)
    flipped[len(flipped) // 2] ^= 1
    wrong = {"x_train": np.zeros((2, 3)), "y_train": np.zeros(2), "x_test": np.zeros((2, 3)), "y_test": np.zeros(2)}
    objects = dict.fromkeys(wrong, np.array([None, {}], dtype=object))
    for content in (b"", b"html", small_mnist[:-50], flipped, saved(a=np.zeros(3)), saved(**wrong), saved(**objects)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged") as caught:
            mnist.load_data()
        assert str(path) in str(caught.value)


# Digits


def test_digits():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, y_train.shape, x_test.shape, y_test.shape) == ((1437, 8, 8), (1437,), (360, 8, 8), (360,))
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max(), x_test.max()) == (0, 16, 16)
    everything = np.bincount(np.concatenate([y_train, y_test]))
    assert np.abs(np.bincount(y_test) - everything / 5).max() < 1
    again = digits.load_data()
    np.testing.assert_array_equal(again[0][0], x_train)
    np.testing.assert_array_equal(again[1][1], y_test)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    def rows(x, y):
        return sorted((int(c), image.tobytes()) for image, c in zip(x, y, strict=True))

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    original = load_digits()
    assert rows(np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])) == rows(
        original.images.astype(np.uint8), original.target
    )


def test_the_split_of_the_digits_never_changes():
    (_, y_train), (_, y_test) = digits.load_data()
    assert y_train[:12].tolist() == [8, 2, 6, 6, 7, 1, 9, 8, 5, 2, 6, 6]
    assert hashlib.sha256(y_train.tobytes() + y_test.tobytes()).hexdigest()[:16] == "688821083b81a0d1"


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        digits.load_data()


# get_file


def test_get_file(server, home, tmp_path):
    server.files["model.bin"] = b"content"
    sha256, md5 = hashlib.sha256(b"content").hexdigest(), hashlib.md5(b"content").hexdigest()
    origin = server.url + "model.bin"
    path = utils.get_file("named.bin", origin, file_hash=sha256)
    assert path == str(home / "datasets" / "named.bin")
    assert pathlib.Path(path).read_bytes() == b"content"
    assert utils.get_file("named.bin", origin, file_hash=sha256.upper()) == path
    assert utils.get_file("named.bin", origin) == path
    assert len(server.requests) == 1
    assert utils.get_file(origin=origin, cache_subdir="models", md5_hash=md5) == str(home / "models" / "model.bin")
    other = utils.get_file(origin=origin, cache_dir=str(tmp_path / "else"), file_hash=md5)
    assert other == str(tmp_path / "else" / "datasets" / "model.bin")
    assert len(server.requests) == 3
    utils.get_file("named.bin", origin, force_download=True)
    assert len(server.requests) == 4


def test_get_file_replaces_a_file_with_another_hash_only_by_a_good_one(server, home):
    (home / "datasets").mkdir()
    path = home / "datasets" / "a.bin"
    path.write_bytes(b"old")
    server.files["a.bin"] = b"new"
    with pytest.raises(cache.DownloadError, match=f"put it at {path}"):
        utils.get_file("a.bin", server.url + "a.bin", file_hash=hashlib.sha256(b"neither").hexdigest())
    assert path.read_bytes() == b"old"
    utils.get_file("a.bin", server.url + "a.bin", file_hash=hashlib.sha256(b"new").hexdigest())
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fname": "a"}, "origin"),
        ({"fname": "a/b", "origin": "http://127.0.0.1:9/a"}, "without folders"),
        ({"origin": "http://127.0.0.1:9/a.zip", "extract": True}, "unpack_archive"),
        ({"origin": "http://127.0.0.1:9/a", "hash_algorithm": "crc"}, "hash_algorithm"),
    ],
)
def test_get_file_errors(home, arguments, message):
    with pytest.raises(ValueError, match=message):
        utils.get_file(**arguments)


@pytest.mark.parametrize(
    "name", ["..", ".", "a/..", "a/.", "a/", "/", "/etc/passwd", "../a", "a\0b", "\0", "./a", "a//b"]
)
@pytest.mark.parametrize("in_origin", [False, True])
@pytest.mark.parametrize("force_download", [False, True])
def test_get_file_takes_names_of_files_only(name, in_origin, force_download, server, home):
    (home / "datasets").mkdir()
    (home / "evil").write_text("as it was")
    if in_origin and os.path.basename(name.rstrip("/")) not in (".", "..") and "\0" not in name:
        pytest.skip("the last part of this URL names a file")
    arguments = {"origin": server.url + name} if in_origin else {"fname": name, "origin": server.url + "a"}
    with pytest.raises(ValueError, match=r"expected the name of a file"):
        utils.get_file(**arguments, force_download=force_download)
    assert not server.requests
    assert sorted(p.name for p in home.rglob("*")) == ["datasets", "evil"]


@pytest.mark.parametrize("force_download", [False, True])
def test_get_file_returns_files_only(force_download, server, home):
    (home / "datasets" / "a").mkdir(parents=True)
    os.mkfifo(home / "datasets" / "pipe")
    for name in ("a", "pipe"):
        with pytest.raises(ValueError, match="is no file"):
            utils.get_file(name, server.url + name, force_download=force_download)
    assert not server.requests


def test_get_file_takes_names_as_long_as_the_system_does(server, home):
    name = "n" * 251 + ".bin"
    server.files[name] = b"content"
    path = utils.get_file(name, server.url + name)
    assert os.path.basename(path) == name
    assert names(home / "datasets") == [name]


def test_get_file_waits_for_a_scanner(server, home, monkeypatch):
    server.files["a.bin"] = b"content"
    original, seen = os.replace, []

    def replace(*arguments):
        seen.append(arguments)
        if len(seen) < 4:
            raise PermissionError(13, "The file is being used by another process")
        original(*arguments)

    monkeypatch.setattr(os, "replace", replace)
    assert pathlib.Path(utils.get_file("a.bin", server.url + "a.bin")).read_bytes() == b"content"
    assert names(home / "datasets") == ["a.bin"]


def test_progress_on_a_terminal_only(server, home, monkeypatch, capsys):
    fashion_mnist.load_data()
    assert capsys.readouterr() == ("", "")
    (home / "datasets" / "fashion-mnist" / IMAGES).unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fashion_mnist.load_data()
    shown = capsys.readouterr().err
    assert shown.startswith(f"\rDownloading {IMAGES}: 0.0 of 0.0 MB (100%)")
    assert shown.endswith("\n")


def test_a_misspelt_data_set_gets_a_suggestion():
    with pytest.raises(AttributeError, match="Did you mean 'fashion_mnist'"):
        datasets.fashion_minst  # noqa: B018
