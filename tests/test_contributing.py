"""What CONTRIBUTING.md shows how to add works as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = {
    part.partition("\n")[0]: block
    for part in TEXT.split("\n## ")
    for block in re.findall(r"^```python\n(.*?)^```", part, re.S | re.M)
}


def test_there_is_an_example_of_each_kind():
    assert list(EXAMPLES) == ["A layer", "A loss", "An optimizer", "A kernel"]


@pytest.mark.parametrize("what", EXAMPLES)
def test_the_example_runs(what, tmp_path):
    file = tmp_path / "example.py"
    file.write_text(EXAMPLES[what], encoding="utf-8")
    result = subprocess.run([sys.executable, file], capture_output=True, text=True, env=dict(os.environ), timeout=300)
    assert result.returncode == 0, result.stderr
