"""The same work under pytest-benchmark, a group per row of the table; collected only where it is asked for.

    pytest benchmarks --benchmark-enable -k "CNN and step and not batch"
    pytest benchmarks --benchmark-enable -k "conv" --benchmark-autosave       # then --benchmark-compare

pytest-benchmark runs all rounds of one library before the next one's; for a comparison on which to stand, with
interleaved rounds, checks for noise and pictures, there is `run.py`.  In the group of memory, a second stands for a
megabyte.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from work import OURS, PEERS, TABLE
from worker import FreshProcesses, Worker, installed

LIBRARIES = [OURS, *(library for library in PEERS if installed(library))]
ITEMS = [
    pytest.param(work.name, library, id=f"{work.name}-{library}")
    for work in TABLE.values()
    for library in LIBRARIES
    if work.concerns(library)
]


class Clock:
    """A timer that shows what the measuring process said, per unit of work, and not how long it took to ask."""

    def __init__(self) -> None:
        self.shown = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.shown

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.shown += seconds


clock = Clock()


@pytest.fixture(scope="session")
def workers():
    """Processes that hold a library on a number of cores, started when first asked for."""
    started: dict[tuple[str, int], Worker] = {}

    def get(library: str, threads: int) -> Worker:
        if (library, threads) not in started:
            started[library, threads] = Worker(library, threads)
        return started[library, threads]

    yield get
    for worker in started.values():
        worker.close()


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """What runs fresh processes."""
    return FreshProcesses(str(tmp_path_factory.mktemp("epoch")), steps=1500)


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("name", "library"), ITEMS)
def test_speed(benchmark, request, name, library):
    if not benchmark.enabled:
        pytest.skip("benchmarks run with --benchmark-enable")
    work, threads = TABLE[name], TABLE[name].threads or os.cpu_count()
    benchmark.group = f"{work.group}: {work.name}"
    rounds = work.rounds or 9
    if work.kind == "process":
        fresh = request.getfixturevalue("fresh")
        fresh.warm(library, work.options, threads)

        def measure():
            clock.advance(fresh.run(library, work.options, threads)[work.options["field"]] * in_seconds)

        in_seconds = 1e-6 if work.options["field"] == "peak" else 1
        benchmark.pedantic(measure, rounds=rounds)
        return
    worker = request.getfixturevalue("workers")(library, threads)
    job = worker.prepare(name)
    if job is None:
        pytest.skip(f"{library} has no such thing")
    benchmark.extra_info.update(job, library=library, unit=work.unit)
    benchmark.pedantic(lambda: clock.advance(worker.measure()), rounds=rounds)
    worker.forget()
