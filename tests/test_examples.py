"""The lessons, each run as a reader would run it: from another folder, with every warning an error."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

import minikeras

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
PACKAGE = pathlib.Path(minikeras.__file__).parents[1]

# Enough epochs for what the lesson is to show; None: its own number.
EPOCHS = {
    "first_network": None,
    "softmax_regression": 10,
    "deep_network": 5,
    "optimizers": 5,
    "overfitting": None,
    "dropout": 5,
    "early_stopping": None,
    "saving": None,
    "checkpoints": None,
    "convolutional_network": 2,
    "feature_maps": 5,
    "two_inputs": 5,
}

# More pictures than the one of the lesson's name.
PICTURES = {"feature_maps": ["feature_maps_filters", "feature_maps_model"], "two_inputs": ["two_inputs_model"]}


def run(lesson, folder, *options):
    # The lessons run elsewhere, and shall find the minikeras that is being tested.
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{lesson}.py"), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture(scope="module")
def lesson_run(tmp_path_factory):
    """Start all lessons, two at a time, as most of their time goes into imports; return the getter of their results."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = {}
        for lesson, epochs in EPOCHS.items():
            folder = tmp_path_factory.mktemp(lesson)
            options = ["--epochs", str(epochs)] if epochs else []
            started[lesson] = folder, pool.submit(run, lesson, folder, *options)

        def get(lesson):
            folder, future = started[lesson]
            result = future.result()
            assert result.returncode == 0, result.stderr
            # The first run on a machine says that it compiles.
            assert re.sub("minikeras: compiling its kernels .*\n", "", result.stderr) == ""
            return folder, result.stdout

        yield get


def number_after(pattern, text):
    match = re.search(pattern + r"\s*(\d+\.?\d*)", text)
    assert match, f"{pattern!r} is not in:\n{text}"
    return float(match[1])


def test_every_lesson_is_run_and_listed():
    lessons = {path.stem for path in EXAMPLES.glob("*.py")} - {"course"}
    assert lessons == {*EPOCHS, "reading"}
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{lesson}.py`" in readme for lesson in lessons)


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["what computes", "all"])
def test_reading_prints_the_calls_of_one_step_where_they_stand(tmp_path, options):
    result = run("reading", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    calls = re.findall(r"^ *(\S+) +(\S+\.py):(\d+)", result.stdout, re.M)
    for name, file, line in calls:  # a decorator's line is the function's first
        lines = (PACKAGE / "minikeras" / file).read_text(encoding="utf-8").splitlines()[int(line) - 1 :]
        first = next(text.strip() for text in lines if not text.lstrip().startswith(("@", "#")))
        assert first.startswith(f"def {name.rpartition('.')[2]}("), (name, file, line, first)
    names = [name for name, _, _ in calls]
    hops = ["Trainer.train_step", "Graph.forward", "Dense.linear", "forward", "Graph.backward", "adam"]
    places = [names.index(hops[0])]
    for hop in hops[1:]:
        places.append(names.index(hop, places[-1]))
    assert "x (16, 8, 8, 1)" in result.stdout


@pytest.mark.parametrize("lesson", EPOCHS)
def test_lesson_runs_and_draws(lesson_run, lesson):
    folder, output = lesson_run(lesson)
    pictures = [folder / "plots" / f"{name}.png" for name in (*PICTURES.get(lesson, ()), lesson)]
    assert re.findall("^Picture: (.*)$", output, re.M) == [str(picture.resolve()) for picture in pictures]
    assert output.splitlines()[-1].startswith("Picture: ")
    assert set((folder / "plots").iterdir()) == set(pictures)
    for picture in pictures:
        assert_good_picture(matplotlib.image.imread(picture)[..., :3])


def assert_good_picture(pixels):
    assert min(pixels.shape[:2]) >= 300
    assert len(np.unique((pixels.reshape(-1, 3) * 15).round(), axis=0)) > 10  # colours, at 4 bits a channel
    blank = (pixels == 1).all(axis=2)
    assert 0.02 < 1 - blank.mean() < 0.98
    # Nothing is cut off: the outermost pixels are background.
    assert blank[[0, -1]].all()
    assert blank[:, [0, -1]].all()


@pytest.mark.parametrize("lesson", EPOCHS)
def test_output_is_plain_and_narrow(lesson_run, lesson):
    _, output = lesson_run(lesson)
    lines = output.splitlines()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", output.replace("\r\n", "\n"))
    assert max(len(line) for line in lines if not line.startswith("Picture: ")) <= 120


def test_first_network_is_good(lesson_run):
    _, output = lesson_run("first_network")
    assert number_after("Test accuracy:", output) >= 0.9


def test_first_network_repeats_its_numbers(lesson_run, tmp_path):
    _, first = lesson_run("first_network")
    second = run("first_network", tmp_path, "--epochs", "2").stdout
    epochs = re.findall(r"- accuracy: .*", second)
    assert len(epochs) == 2
    assert epochs == re.findall(r"- accuracy: .*", first)[:2]


def test_softmax_regression_computes_the_loss_by_hand(lesson_run):
    _, output = lesson_run("softmax_regression")
    by_hand, by_evaluate = number_after("-log p, all images", output), number_after("the loss of evaluate", output)
    assert by_hand == pytest.approx(by_evaluate, abs=2e-4)
    assert number_after(r"Dense\(10, softmax\)", output) > 0.8
    assert number_after(r"SGDClassifier\(log_loss\)", output) > 0.8


def test_relu_is_ahead_of_sigmoid(lesson_run):
    _, output = lesson_run("deep_network")
    sigmoid, relu = map(float, re.search(r"training loss +(\S+) +(\S+)", output).groups())
    assert relu < sigmoid


def test_every_optimizer_is_ahead_of_plain_sgd(lesson_run):
    _, output = lesson_run("optimizers")
    losses = {name: float(loss) for name, loss in re.findall(r"^  (\w+) +\d\.\d{3} +(\d\.\d{4}) ", output, re.M)}
    assert set(losses) == {"SGD", "momentum", "Nesterov", "Adagrad", "RMSprop", "Adam"}
    assert max(losses, key=losses.get) == "SGD"


def test_the_overfitted_network_shows_it(lesson_run):
    _, output = lesson_run("overfitting")
    rows = [[float(n) for n in line.split()[:5]] for line in output.splitlines() if re.match(r" +\d+ +\d\.\d", line)]
    lowest = float(re.search(r"(\S+) +\S+ +<- lowest", output)[1])
    first, last = rows[0], rows[-1]
    assert last[1] < 0.1 * first[1]  # the training loss is far down
    assert last[3] > 1.1 * lowest  # the validation loss is up again


def test_dropout_sets_to_zero_and_scales(lesson_run):
    _, output = lesson_run("dropout")
    trained, predicted = (
        [float(n) for n in re.search(rf"ten ones, in {phase} +\[(.*)\]", output)[1].split()]
        for phase in ("training", "prediction")
    )
    assert set(trained) == {0.0, 1.43}
    assert predicted == [1.0] * 10


def test_early_stopping_restores_the_best_epoch(lesson_run):
    _, output = lesson_run("early_stopping")
    lowest = float(re.search(r"(\S+) +<- the lowest", output)[1])
    assert number_after("validation loss is", output) == pytest.approx(lowest, abs=2e-4)
    assert number_after("stopped_epoch", output) == number_after("best_epoch", output) + 2


def test_saved_and_loaded_networks_are_the_same(lesson_run):
    _, output = lesson_run("saving")
    trained = number_after("trained model", output)
    assert trained > 0.8 > number_after("new model", output)
    assert number_after("with the saved weights", output) == number_after("load_model", output) == trained
    assert number_after("trained on, as long again", output) < number_after("training loss when saved", output)


def test_the_checkpoint_holds_the_best_epoch(lesson_run):
    _, output = lesson_run("checkpoints")
    assert number_after("best.keras", output) < number_after("the last epoch", output)
    assert number_after("best epoch", output) == number_after("epochs trained", output) - 2


def test_convolutional_network_predicts_one_image(lesson_run):
    _, output = lesson_run("convolutional_network")
    assert "input (1, 8, 8, 1), output (1, 10)" in output
    assert sum(float(p) for p in re.findall(r"^  \d +(\d\.\d{4})", output, re.M)) == pytest.approx(1, abs=1e-3)


def test_training_moves_the_filters(lesson_run):
    _, output = lesson_run("feature_maps")
    before, after = ([float(n) for n in re.search(rf"{when} training +(.*)", output)[1].split()]
                     for when in ("before", "after"))  # fmt: skip
    limit = (6 / (3 * 3 * (1 + 32))) ** 0.5  # Glorot's, of a uniform distribution
    assert before[1] == pytest.approx(limit / 3**0.5, rel=0.1)
    assert -limit <= before[2] < -0.9 * limit
    assert after[1] > 1.2 * before[1]
    assert re.findall(r"\((\d+, \d+, \d+)\)", output) == ["8, 8, 32", "4, 4, 64"]


def test_two_inputs_share_weights_and_have_two_answers(lesson_run):
    _, output = lesson_run("two_inputs")
    total, shared = (
        int(n.replace(",", "")) for n in re.search(r"weights: ([\d,]+), .* ([\d,]+) look", output).groups()
    )
    assert total - shared == (64 + 1) + (32 + 1) * 10  # counted once, though used for both images
    assert number_after("Test pairs:", output) > 0.85
    assert number_after("First images:", output) > 0.9
    rows = [[float(n) for n in line.split()] for line in output.splitlines() if re.match(r" +\d+ +\d\.\d", line)]
    for _, loss, same_loss, _, kind_loss, _ in rows:
        assert loss == pytest.approx(same_loss + 0.5 * kind_loss, abs=2e-4)


def test_help_says_what_the_lesson_is(tmp_path):
    result = run("dropout", tmp_path, "--help")
    assert result.returncode == 0
    assert "Dropout: a layer against learning by heart." in result.stdout
    assert "--data {digits,fashion_mnist}" in result.stdout


def test_no_epochs_are_refused(tmp_path):
    result = run("dropout", tmp_path, "--epochs", "0")
    assert result.returncode == 2
    assert "--epochs is at least 1" in result.stderr
