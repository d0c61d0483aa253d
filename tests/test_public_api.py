"""What users rely on changes only on purpose: the public names and signatures are those that were written down."""

import subprocess
import sys
from pathlib import Path

from public_api import KEPT

SCRIPT = Path(__file__).with_name("public_api.py")


def test_the_public_names_are_those_written_down():
    # In a process of its own, where no test has added anything to a module.
    code = "import sys; sys.path.insert(0, sys.argv[1]); import public_api; print(*public_api.lines(), sep='\\n')"
    command = [sys.executable, "-c", code, str(SCRIPT.parent)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    now, kept = set(said.stdout.splitlines()), set(KEPT.read_text(encoding="utf-8").splitlines())
    hint = f"Where that is meant: python tests/{SCRIPT.name} --write"
    assert not kept - now, f"gone or changed: {sorted(kept - now)}. {hint}"
    assert not now - kept, f"new or changed: {sorted(now - kept)}. {hint}"
