"""The table of a run, and which promises it keeps, as Markdown.  `run.py` calls; `work.py` has the promises."""

from typing import Any

from work import CURVES, GROUPS, LABELS, OURS, TABLE


def line(row: dict[str, Any]) -> str:
    """Return a row in one line, for whoever watches the run."""
    cells = [f"{LABELS[library]} {_number(row, library)}" for library in row["libraries"]]
    failed = [f"{LABELS[library]} failed: {why}" for library, why in row.get("failed", {}).items()]
    return f"{row['work']} ({row['unit']}): {', '.join(cells + failed)}{' NOISY' if row['flags'] else ''}"


def markdown(result: dict[str, Any]) -> str:
    """Return the whole report."""
    parts = ["# Speed", _verdict(result), _machine(result)]
    parts += [_table(result, group) for group in GROUPS if any(row["group"] == group for row in result["rows"])]
    parts += [promises(result).rstrip(), _proofs(result), _notes(result)]
    return "\n\n".join(filter(None, parts)) + "\n"


def promises(result: dict[str, Any]) -> str:
    """Return a table of what was promised and what was measured."""
    rows = {row["work"]: row for row in result["rows"]}
    lines = ["## Promises", "", "| work | peer | at least | aim | measured | |", "|---|---|---|---|---|---|"]
    for work in TABLE.values():
        for promise in work.promises if work.name in rows else ():
            measured = rows[work.name]["libraries"]
            aim = "" if promise.aim is None else f"{promise.aim:g}x"
            least = f"{promise.at_least:g}x" + (f" plus {promise.grace:g} s" if promise.grace else "")
            cells = [work.name, LABELS[promise.peer], least, aim]
            if OURS not in measured or promise.peer not in measured:
                lines.append(f"| {' | '.join([*cells, '-', 'not measured'])} |")
                continue
            ours, theirs = measured[OURS]["median"], measured[promise.peer]["median"]
            kept = (theirs + promise.grace) / ours >= promise.at_least
            reached = kept and promise.aim is not None and theirs / ours >= promise.aim
            verdict = "aim" if reached else "pass" if kept else "**miss**"
            noisy = ", noisy" if rows[work.name]["flags"] else ""
            lines.append(f"| {' | '.join([*cells, f'{theirs / ours:.2f}x', verdict + noisy])} |")
    return "\n".join([*lines, "", *_slower_than_someone(result)])


def _slower_than_someone(result: dict[str, Any]) -> list[str]:
    """Name each row in which some peer is ahead of minikeras."""
    lines = []
    rows = [row for row in result["rows"] if len(row["libraries"]) > 1 and OURS in row["libraries"]]
    for row in rows:
        peers = {library: r for library, r in row["libraries"].items() if library != OURS}
        fastest = min(peers, key=lambda library: peers[library]["median"])
        if peers[fastest]["ratio"] < 1:
            lines.append(f"- {row['work']}: {LABELS[fastest]} needs {peers[fastest]['ratio']:.2f} of our time")
    if not lines:
        return [f"No row of {len(rows)} is slower than its fastest peer."]
    return [f"Slower than the fastest peer in {len(lines)} of {len(rows)} rows:", "", *lines]


def _verdict(result: dict[str, Any]) -> str:
    text = (
        "Medians of interleaved repeats. In brackets: how many times our median that is; for minikeras, its shortest "
        "repeat. Spread: the largest of the row's (interquartile range / median)."
    )
    if not result["noise"]:
        return text
    reasons = "\n".join(f"- {reason}" for reason in result["noise"])
    return f"{text}\n\n**NOISY: what follows says which numbers are no results, and why.**\n\n{reasons}"


def _machine(result: dict[str, Any]) -> str:
    machine, before, after = result["machine"], result["load_before"], result["load_after"]
    calibration = result["calibration"]
    memory = f", {machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else ""
    facts = {
        "date": result["date"],
        "processor": f"{machine['processor']}, {machine['cores']} cores{memory}; {machine['system']}",
        "threads": f"{result['threads']} for every library, where the row doesn't say otherwise",
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        "settings": ", ".join(f"{k}={v}" for k, v in machine["settings"].items()) or "none in the environment",
        "not installed": ", ".join(LABELS[library] for library in result["not_installed"]) or "nothing",
        "load of others": f"{before['others']:.2f} cores before, {after['others']:.2f} after",
        "load average": f"{before['average'][0]:.2f} before, {after['average'][0]:.2f} after",
        "fixed loop": f"{calibration['median'] * 1e3:.2f} ms, spread {calibration['spread']:.1%}, "
        f"{len(calibration['repeats'])} times",
        "took": f"{result['seconds'] / 60:.1f} minutes, python {machine['python']}",
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in facts.items())


def _table(result: dict[str, Any], group: str) -> str:
    rows = [row for row in result["rows"] if row["group"] == group]
    libraries = [library for library in LABELS if any(library in row["libraries"] for row in rows)]
    lines = [
        f"## {group}",
        "",
        f"| work | unit | {' | '.join(LABELS[library] for library in libraries)} | spread |",
        "|---|---|" + "---|" * (len(libraries) + 1),
    ]
    for row in rows:
        cells = [_number(row, library) if library in row["libraries"] else "-" for library in libraries]
        spread = max(r["spread"] for r in row["libraries"].values()) if row["libraries"] else 0.0
        lines.append(
            f"| {row['work']} | {row['unit']} | {' | '.join(cells)} | "
            f"{spread:.0%}{' **NOISY**' if row['flags'] else ''} |"
        )
    return "\n".join(lines)


def _number(row: dict[str, Any], library: str) -> str:
    result, scale = row["libraries"][library], TABLE[row["work"]].scale
    text = f"{result['median'] * scale:.3g}" if result["median"] * scale < 1000 else f"{result['median'] * scale:.0f}"
    if library == OURS:
        return f"**{text}** (min {result['min'] * scale:.3g})"
    return text if result["ratio"] is None else f"{text} ({result['ratio']:.2f}x)"


def _proofs(result: dict[str, Any]) -> str:
    """Show that the libraries did the same: losses after the same steps, from the same weights and data."""
    rows = [
        row
        for row in result["rows"]
        if row["group"] not in CURVES and TABLE[row["work"]].kind in ("fit", "process") and row["group"] != "memory"
    ]
    rows = [row for row in rows if any(r.get("proof") for r in row["libraries"].values())]
    if not rows:
        return ""
    libraries = [library for library in LABELS if any(library in row["libraries"] for row in rows)]
    lines = [
        "## Losses",
        "",
        "Mean losses of a first and a second pass over the same batches (`fit`: from the same weights, not shuffled, "
        "without dropout), or of the whole epoch (fresh processes: each library's own order). Results of layers and "
        "models are compared too; a difference is flagged as noise is.",
        "",
        f"| work | {' | '.join(LABELS[library] for library in libraries)} |",
        "|---|" + "---|" * len(libraries),
    ]
    for row in rows:
        proofs = [row["libraries"].get(library, {}).get("proof") or [] for library in libraries]
        lines.append(f"| {row['work']} | {' | '.join(', '.join(f'{p:.5f}' for p in proof) for proof in proofs)} |")
    return "\n".join(lines)


def _notes(result: dict[str, Any]) -> str:
    """Say in which rows torch was faster in which layout, a library failed, or the measurement was repeated."""
    rows_of: dict[str, list[str]] = {}
    for row in result["rows"]:
        notes = [f"{LABELS[lib]} is fastest in {r['note']}" for lib, r in row["libraries"].items() if r.get("note")]
        notes += [f"{LABELS[lib]} failed ({why})" for lib, why in row.get("failed", {}).items()]
        others = len(row["other_attempts"])
        notes += [f"measured {others + 1} times, the quietest counts"] * bool(others)
        for note in notes:
            rows_of.setdefault(note, []).append(row["work"])
    if not rows_of:
        return ""
    return "\n".join(["## Notes", "", *(f"- {note}: {'; '.join(rows)}" for note, rows in rows_of.items())])
