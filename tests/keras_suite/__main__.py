"""See the package."""

import json
import sys
from collections import Counter
from pathlib import Path

from . import running
from .reasons import reason

PASSING = Path(__file__).with_name("passing.txt")
FAILING = Path(__file__).with_name("failing.txt")


def main(arguments):
    if arguments[:1] == ["--here"]:
        running.here(*json.load(sys.stdin))
    verbose = "-v" in arguments
    names = running.files([a for a in arguments if not a.startswith("-")] or running.FOLDERS)
    passing, failing, whys = [], [], Counter()
    for name, results in zip(names, running.run(names), strict=True):
        lines = []
        for test, text in results.items():
            key = f"{name}::{test}"
            if text is None:
                continue
            why, counts = reason(key, text)
            if not text:
                passing.append((key, counts))
                continue
            failing.append((key, why, counts))
            whys[why] += 1
            lines.append(f"          {test or 'the file'} [{why}]: {text.strip().splitlines()[-1][:150]}")
            if verbose:
                lines.append("            " + text.strip().replace("\n", "\n            "))
        ran = sum(text is not None for text in results.values())
        print(
            f"{ran - sum(bool(text) for text in results.values()):5} of {ran:4}  {name}", *lines, sep="\n", flush=True
        )
    for why, number in whys.most_common():
        print(f"{number:5}  {why}")
    good, bad = sum(counts for _, counts in passing), sum(counts for *_, counts in failing)
    print(f"{good:5} of {good + bad:4} that count pass ({good / max(good + bad, 1):.1%}); {len(passing)} of all")
    if "--write" in arguments:
        PASSING.write_text("".join(f"{key}\n" for key, _ in sorted(passing)))
        FAILING.write_text("".join(f"{key}  {why}{'' if counts else ' *'}\n" for key, why, counts in sorted(failing)))


if __name__ == "__main__":
    main(sys.argv[1:])
