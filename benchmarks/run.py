"""How fast is minikeras next to tf.keras and others?  One command measures, writes the table, draws the pictures.

    python benchmarks/run.py                              # everything, one to two hours
    python benchmarks/run.py --quick --only steps         # does the suite work?  (its numbers mean nothing)
    python benchmarks/run.py --peers torch keras-torch --only layers inference

The libraries take turns: round 1 of a row is A, B, C, round 2 is A, C, B, and only one computes at a time.  A row is
refused as a result (exit code 1, "NOISY" in the table) where, in each of some attempts, other processes computed
meanwhile, a fixed loop's time varied from round to round, or the row's repeats scatter.  Noise comes in spells, so
refused rows are measured again after all others.

Calls `worker` (the libraries' processes), `work` (the table), `report` (Markdown) and `pictures`.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import hashlib
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import report
from work import GROUPS, LABELS, OPTIONAL_PEERS, OURS, PEERS, TABLE, Work
from worker import HERE, FreshProcesses, Worker, installed

MOST_OTHER_LOAD = 0.3  # cores that other processes may keep busy
MOST_SPREAD = 0.25  # of a row's repeats: interquartile range / median
MOST_CALIBRATION_SPREAD = 0.1  # of the fixed loop's times in a row's rounds
ATTEMPTS = 4  # noisy rows are measured again, after all others; all attempts are kept in the JSON file
SAME = {"fit": 0.02, "process": 0.05}  # how much proofs may differ, relatively; 0.001 for other kinds
PAUSE = 0.03  # seconds in which the last library's threads fall asleep
WEIGHTY = ("OMP_", "GOMP_", "KMP_", "TF_NUM_", "TF_ENABLE_", "NUMBA_", "XLA_", "MKL_", "OPENBLAS_", "MINIKERAS_")


# ---- is the machine quiet? ----


class Watch:
    """What the processor did beside the measured work.

    `own` says how many seconds of processor time are the measured work's, so that the rest is other processes', or the
    threads' of a library that isn't its turn and should sleep.
    """

    def __init__(self) -> None:
        self.calibrations: list[float] = []
        self._data = bytes(1 << 22)
        self._numbers = np.linspace(0, 1, 1 << 18, dtype=np.float32)
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    def calibrate(self) -> float:
        """Time a fixed loop, on all cores at once; it takes longer where one of them is busy or slowed down."""
        start = time.perf_counter()
        list(self._pool.map(self._loop, range(os.cpu_count() or 1)))
        self.calibrations.append(time.perf_counter() - start)
        return self.calibrations[-1]

    def _loop(self, _: int) -> None:
        hashlib.sha256(self._data).digest()
        np.sin(self._numbers)

    def now(self, workers: dict[str, Worker]) -> tuple[float, float]:
        """Return the time, and the seconds of processor time that others have used so far."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = time.process_time() + children.ru_utime + children.ru_stime + sum(w.busy for w in workers.values())
        return time.perf_counter(), _busy_seconds() - own

    def others_since(self, then: tuple[float, float], workers: dict[str, Worker]) -> float:
        """Return how many cores others kept busy, on average, since `now` was called."""
        now = self.now(workers)
        return max(0.0, (now[1] - then[1]) / (now[0] - then[0]))

    def others(self, seconds: float = 2.0) -> float:
        """Do nothing for a while; return how many cores others kept busy."""
        then = self.now({})
        time.sleep(seconds)
        return self.others_since(then, {})


def _busy_seconds() -> float:
    """Return the seconds of processor time used on this machine since its start; 0 where the system doesn't say."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _idle, _wait, *interrupts = map(int, stat.readline().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """Return what the numbers depend on beside the libraries."""
    processor, memory = platform.processor(), None
    with contextlib.suppress(OSError, StopIteration):
        with open("/proc/cpuinfo") as info:
            processor = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "settings": {name: value for name, value in os.environ.items() if name.startswith(WEIGHTY)},
    }


# ---- one row ----


def measure(work: Work, workers: dict[str, Worker], rounds: int, watch: Watch) -> dict[str, Any]:
    """Let the libraries take turns at one row; return the repeats, their summary, and what speaks against them."""
    prepared, failed = {}, {}
    for library, worker in list(workers.items()):
        if not work.concerns(library):
            continue
        try:
            job = worker.prepare(work.name)
        except RuntimeError as error:
            failed[library] = str(error).strip().splitlines()[-1]
            if worker.process.poll() is not None:
                del workers[library]
            continue
        if job is not None:
            prepared[library] = job

    repeats: dict[str, list[float]] = {library: [] for library in prepared}
    then, calibrations = watch.now(workers), []
    for turn in range(rounds):
        calibrations.append(watch.calibrate())
        for library in rotated(list(prepared), turn):
            time.sleep(PAUSE)
            repeats[library].append(workers[library].measure())
    row = row_of(work, repeats, watch.others_since(then, workers), calibrations)
    for library in prepared:
        row["libraries"][library].update(prepared[library])
        workers[library].forget()
    row["failed"] = failed
    return row


def measure_processes(
    work: Work, libraries: list[str], rounds: int, threads: int, watch: Watch, fresh: FreshProcesses
) -> dict[str, Any]:
    """The same for fresh processes, which are nobody's workers; the row of memory is in bytes."""
    field = work.options["field"]
    taking_part = [library for library in libraries if work.concerns(library)]
    for library in taking_part:
        fresh.warm(library, work.options, threads)

    repeats: dict[str, list[float]] = {library: [] for library in taking_part}
    losses: dict[str, list[float]] = {library: [] for library in taking_part}
    then, calibrations = watch.now({}), []
    for turn in range(rounds):
        calibrations.append(watch.calibrate())
        for library in rotated(taking_part, turn):
            if field == "peak":
                result = fresh.earlier(library, work.options, threads, turn)
            else:
                result = fresh.run(library, work.options, threads)
            repeats[library].append(result[field])
            if result["loss"] is not None:
                losses[library].append(result["loss"])
    row = row_of(work, repeats, watch.others_since(then, {}), calibrations)
    for library, each in losses.items():  # of random orders: they scatter by a tenth, so it takes their mean to compare
        row["libraries"][library]["proof"] = [statistics.fmean(each)] if each else []
    return row


def row_of(work: Work, repeats: dict[str, list[float]], other_load: float, calibrations: list[float]) -> dict[str, Any]:
    """Return each library's repeats and their summary, with the noise that speaks against them.

    `other_load` is how many cores others kept busy meanwhile, `calibrations` are the fixed loop's times.
    """
    summaries = {library: summary(times) for library, times in repeats.items()}
    ours, calibration = summaries.get(OURS), summary(calibrations)["spread"]
    for s in summaries.values():
        s["ratio"] = s["median"] / ours["median"] if ours else None
    flags = [
        f"{LABELS[library]}: spread of {s['spread']:.0%}"
        for library, s in summaries.items()
        if s["spread"] > MOST_SPREAD
    ]
    if calibration > MOST_CALIBRATION_SPREAD:
        flags.append(f"the fixed loop: spread of {calibration:.0%}")
    if other_load > MOST_OTHER_LOAD:
        flags.append(f"others kept {other_load:.2f} cores busy")
    return {
        "work": work.name,
        "group": work.group,
        "unit": work.unit,
        "threads": work.threads,
        "rounds": len(calibrations),
        "other_load": other_load,
        "calibration": calibration,
        "libraries": summaries,
        "flags": flags,
    }


def quietest(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attempt with the least noise, whatever its figures say, together with the others' repeats."""
    best = min(tried, key=lambda row: (len(row["flags"]), row["calibration"]))
    others = [{library: s["repeats"] for library, s in row["libraries"].items()} for row in tried if row is not best]
    return {**best, "other_attempts": others}


def summary(repeats: list[float]) -> dict[str, Any]:
    """Return the smallest and the median of some repeats, and (third - first quartile) / median."""
    median = statistics.median(repeats)
    first, _, third = statistics.quantiles(repeats, n=4, method="inclusive") if len(repeats) > 1 else (median,) * 3
    return {"repeats": repeats, "min": min(repeats), "median": median, "spread": (third - first) / median}


def with_unequal_work(row: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """Flag the row where a library's results or losses aren't those of minikeras.

    This is no noise: it comes after the choice of an attempt, lest a row be measured until its results agree.
    """
    ours = row["libraries"].get(OURS, {}).get("proof")
    for library, result in row["libraries"].items():
        proof = result.get("proof")
        if ours and proof and not np.allclose(proof, ours, rtol=tolerance, atol=tolerance / 10):
            row["flags"].append(f"{LABELS[library]}: other results, {proof} against {ours}")
    return row


def rotated(items: list[str], by: int) -> list[str]:
    """Return the items with another one first in each round, and backwards in every second one.

    Otherwise each would always come after the same other, and inherit the state that this one leaves the machine in.
    """
    by %= max(1, len(items))
    turned = items[by:] + items[:by]
    return turned[::-1] if by % 2 else turned


# ---- the whole ----


def in_passes(works: list[Work], attempts: int, measured: Callable[[Work], dict[str, Any]]) -> None:
    """Measure all, then those that were noisy once more, until none is or the attempts are over."""
    for _ in range(attempts):
        works = [work for work in works if measured(work)["flags"]]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all chosen rows; return everything that the table and the pictures are made of."""
    watch, started = Watch(), time.perf_counter()
    libraries = [OURS, *arguments.peers]
    chosen = [
        work for work in TABLE.values() if work.group in arguments.only and any(t in work.name for t in arguments.rows)
    ]
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "quick": arguments.quick,
        "interrupted": False,
        "threads": arguments.threads,
        "machine": machine(),
        "load_before": {"others": watch.others(), "average": os.getloadavg()},
        "versions": {},
        "not_installed": [library for library in PEERS if not installed(library)],
    }
    if result["load_before"]["others"] > MOST_OTHER_LOAD:
        print(f"Others keep {result['load_before']['others']:.2f} cores busy: this won't be a result.", flush=True)

    attempts = 1 if arguments.quick else arguments.attempts
    tried: dict[str, list[dict[str, Any]]] = {}

    def rounds_of(work: Work) -> int:
        return 3 if arguments.quick else arguments.rounds or work.rounds or 7

    def kept(row: dict[str, Any]) -> dict[str, Any]:
        tried.setdefault(row["work"], []).append(row)
        print(f"{time.perf_counter() - started:5.0f} s  {report.line(row)}", flush=True)
        return row

    def measure_all() -> None:
        in_processes = [work for work in chosen if work.kind == "process"]
        if in_processes:
            with tempfile.TemporaryDirectory() as directory:
                fresh = FreshProcesses(directory, steps=150 if arguments.quick else 1500)
                in_passes(
                    in_processes,
                    attempts,
                    lambda work: kept(
                        measure_processes(work, libraries, rounds_of(work), arguments.threads, watch, fresh)
                    ),
                )
        in_workers = [work for work in chosen if work.kind != "process"]
        for threads in sorted({work.threads or arguments.threads for work in in_workers}, reverse=True):
            with contextlib.ExitStack() as stack:
                workers = {
                    library: stack.enter_context(Worker(library, threads, arguments.quick)) for library in libraries
                }
                for worker in workers.values():
                    result["versions"].update(worker.versions)
                in_passes(
                    [work for work in in_workers if (work.threads or arguments.threads) == threads],
                    attempts,
                    lambda work, workers=workers: kept(measure(work, workers, rounds_of(work), watch)),
                )

    try:
        measure_all()
    except KeyboardInterrupt:
        print("Interrupted: what follows is of the rows so far.", flush=True)
        result["interrupted"] = len(tried) < len(chosen)  # else it only ends the search for quieter moments
    result["rows"] = [
        with_unequal_work(quietest(tried[name]), SAME.get(work.kind, 1e-3))
        for name, work in TABLE.items()
        if name in tried
    ]
    watch.calibrate()  # where nothing else has
    result["load_after"] = {"others": watch.others(), "average": os.getloadavg()}
    result["calibration"] = summary(watch.calibrations)
    result["seconds"] = time.perf_counter() - started
    result["noise"] = noise(result)
    return result


def noise(result: dict[str, Any]) -> list[str]:
    """Return all that forbids to call this run, or rows of it, a result."""
    reasons = ["a quick run"] if result["quick"] else []
    reasons += ["interrupted before the end"] if result["interrupted"] else []
    for when in ("before", "after"):
        others = result[f"load_{when}"]["others"]
        if others > MOST_OTHER_LOAD:
            reasons.append(f"{when} the run, others kept {others:.2f} cores busy")
    return reasons + [f"{row['work']}: {'; '.join(row['flags'])}" for row in result["rows"] if row["flags"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repeats of little work, to try the suite")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--rows", nargs="+", default=[""], metavar="TEXT", help="rows whose names contain one of these")
    parser.add_argument("--rounds", type=int, help="repeats of each library in each row")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="how often a noisy row is measured at most")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores that each library may use")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the results go")
    parser.add_argument(
        "--peers", nargs="*", choices=(*PEERS, *OPTIONAL_PEERS), metavar="LIBRARY", help=", ".join(LABELS)
    )
    arguments = parser.parse_args()
    if arguments.peers is None:
        arguments.peers = [library for library in PEERS if installed(library)]
    result = run(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "speed.md").write_text(report.markdown(result))
    drawn = pictures.draw(result, arguments.out)
    print(report.promises(result))
    print(f"\nwritten to {arguments.out}: {', '.join(['speed.json', 'speed.md', *drawn])}")
    if result["noise"]:
        print("\nNOISY, no results:\n- " + "\n- ".join(result["noise"]))
    return 1 if result["noise"] else 0


if __name__ == "__main__":
    sys.exit(main())
