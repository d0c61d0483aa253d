"""The benchmarks' own arithmetic: which rows are refused and measured again, how often a job runs, what is drawn.

How fast anything is, no test says.
"""

import pathlib
import sys
import types

import matplotlib.pyplot as plt
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "benchmarks"))

import pictures
import run
import worker
from work import KERAS, OURS, TABLE

STEP = TABLE["MLP step"]


def row_of(ours=(1.0, 1.0, 1.0), theirs=(2.0, 2.0, 2.0), other_load=0.0, calibrations=(1.0, 1.0, 1.0), work=STEP):
    return run.row_of(work, {OURS: list(ours), KERAS: list(theirs)}, other_load, list(calibrations))


def test_a_ratio_is_of_medians():
    row = row_of(ours=(1, 9, 2), theirs=(8, 3, 7))
    assert row["libraries"][KERAS]["ratio"] == 3.5
    assert row["libraries"][OURS]["ratio"] == 1


@pytest.mark.parametrize(
    ("noise", "flag"),
    [
        ({}, None),
        ({"ours": (1, 2, 3)}, "minikeras: spread of 50%"),
        ({"theirs": (1, 2, 3)}, "tf.keras: spread of 50%"),
        ({"calibrations": (1, 1.2, 1.4)}, "the fixed loop: spread of 17%"),
        ({"other_load": 0.5}, "others kept 0.50 cores busy"),
    ],
)
def test_what_is_noisy(noise, flag):
    assert row_of(**noise)["flags"] == ([] if flag is None else [flag])


def test_noisy_rows_are_measured_again_after_all_others():
    noisy = {"a": [True, False], "b": [False], "c": [True, True, False]}
    order = []

    def measured(work):
        order.append(work)
        return {"flags": ["noisy"] if noisy[work].pop(0) else []}

    run.in_passes(["a", "b", "c"], 5, measured)
    assert order == ["a", "b", "c", "a", "c", "c"]
    noisy, order[:] = {"a": [True, True, True]}, []
    run.in_passes(["a"], 2, measured)
    assert order == ["a", "a"]


def test_the_quietest_attempt_counts_whatever_its_ratio():
    flattering = row_of(theirs=(9, 9, 9), calibrations=(1, 1.2, 1.4))
    quiet = row_of(theirs=(1, 1, 1))
    kept = run.quietest([flattering, quiet])
    assert kept["libraries"][KERAS]["ratio"] == 1
    assert kept["other_attempts"] == [{OURS: [1.0, 1.0, 1.0], KERAS: [9, 9, 9]}]
    restless = row_of(theirs=(9, 9, 9), calibrations=(1, 1.04, 1.08))
    assert run.quietest([restless, quiet])["libraries"][KERAS]["ratio"] == 1


def test_unequal_work_is_flagged():
    row = row_of()
    row["libraries"][OURS]["proof"], row["libraries"][KERAS]["proof"] = [1.0], [1.1]
    assert run.with_unequal_work(row, 0.2)["flags"] == []
    assert run.with_unequal_work(row, 0.01)["flags"] == ["tf.keras: other results, [1.1] against [1.0]"]


def test_fresh_processes_are_compared_by_their_mean_loss():
    losses = {OURS: [1.0, 1.2, 1.4], KERAS: [1.4, 1.2, 1.0]}
    fresh = types.SimpleNamespace(
        warm=lambda *_: None, run=lambda library, *_: {"seconds": 1.0, "loss": losses[library].pop(0)}
    )
    watch = types.SimpleNamespace(now=lambda _: (0, 0), others_since=lambda *_: 0.0, calibrate=lambda: 1.0)
    work = next(work for work in TABLE.values() if work.options.get("until") == "epoch")
    row = run.measure_processes(work, [OURS, KERAS], 3, 2, watch, fresh)
    assert row["libraries"][KERAS]["proof"] == row["libraries"][OURS]["proof"] == pytest.approx([1.2])


def test_no_row_is_measured_until_its_results_agree(monkeypatch):
    class Process:
        versions, busy, losses = {}, 0.0, {OURS: iter([1.0, 1.0]), KERAS: iter([2.0, 1.0])}

        def __init__(self, library, *_):
            self.library = library

        def prepare(self, _):
            return {"proof": [next(self.losses[self.library])], "note": "", "times": 1}

        def measure(self):
            return 1.0

        forget = __exit__ = lambda self, *_: None

        def __enter__(self):
            return self

    monkeypatch.setattr(run, "Worker", Process)
    monkeypatch.setattr(run, "MOST_OTHER_LOAD", 1000)
    monkeypatch.setattr(run, "MOST_CALIBRATION_SPREAD", 1000)
    arguments = types.SimpleNamespace(
        peers=[KERAS], only=["steps"], rows=[STEP.name], quick=False, threads=2, attempts=2, rounds=2
    )
    (row,) = run.run(arguments)["rows"]
    assert row["flags"] == ["tf.keras: other results, [2.0] against [1.0]"]
    assert row["other_attempts"] == []


def test_a_job_is_warmed_up_once_whatever_was_repeated_before(monkeypatch):
    clock, runs = types.SimpleNamespace(now=0.0), []

    def job():
        runs.append(1)
        clock.now += 0.3 * STEP.seconds

    workshop = object.__new__(worker.Workshop)
    workshop.quick, workshop.times = False, 10_000
    workshop.adapter = types.SimpleNamespace(
        prepare=lambda work: types.SimpleNamespace(run=job, units=1, proof=[], note="")
    )
    monkeypatch.setattr(worker.time, "perf_counter", lambda: clock.now)
    assert workshop.prepare(STEP.name)["job"]["times"] == 4
    assert len(runs) == 1 + 1 + 4  # once to compile, once to see how long it takes, and a repeat that is long enough
    assert workshop.measure()["seconds"] == pytest.approx(0.3 * STEP.seconds)


def test_each_bar_stands_beside_its_name():
    forward, both = [[work for name, work in TABLE.items() if name.endswith(way)] for way in ("forward", "both ways")]
    panels = {"forward": [row_of(work=work) for work in forward], "both ways": [row_of(work=both[2])]}
    figure = pictures._ratios(panels)
    try:
        left, right = figure.axes
        names = [label.get_text() for label in left.get_yticklabels()]
        (bar,) = right.patches
        assert names[round(bar.get_y() + bar.get_height() / 2)] == both[2].name.removesuffix(", both ways")
        assert left.get_ylim() == right.get_ylim()
    finally:
        plt.close(figure)
