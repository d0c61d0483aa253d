"""Keras's own unit tests: those that have passed go on passing (see `keras_suite`)."""

from collections import defaultdict
from pathlib import Path

import pytest
from keras_suite import running

HERE = Path(__file__).parent
TESTS = defaultdict(lambda: defaultdict(list))  # folder -> file -> tests
for line in (HERE / "keras_suite" / "passing.txt").read_text().splitlines():
    name, _, test = line.partition("::")
    TESTS[name.partition("/")[0]][name].append(test)


@pytest.mark.parametrize("folder", sorted(TESTS))
def test_what_has_passed_passes(folder):
    only = TESTS[folder]
    results = running.run(list(only), only)
    bad = []
    for (name, tests), found in zip(only.items(), results, strict=True):
        bad += [f"{name}::{test}: {found.get(test, found.get('', 'not found'))}" for test in tests if found.get(test)]
        bad += [f"{name}::{test}: not run" for test in tests if test not in found]
    assert not bad, "\n\n".join(bad)
