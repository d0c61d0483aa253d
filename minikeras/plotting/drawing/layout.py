"""Where each box of a picture stands, and each arrow runs, without Graphviz.

The layout is Sugiyama's in miniature: a box's rank is the longest path to it, boxes of a rank are ordered by the mean
place of their neighbours, and their coordinates come as near to their neighbours' as the order allows.  Everything is
in points.  Ranks follow one another downward; where arrows are to run to the right, all is turned at the end.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from .boxes import Box, Frame, Picture

GAP_ACROSS, GAP_ALONG, TRACK, FRAME_MARGIN, FRAME_TITLE = 24.0, 34.0, 7.0, 14.0, 18.0


class Mark:
    """A bend, where a long arrow passes a rank between boxes, or a gap between two ranks, where arrows turn."""

    def __init__(self) -> None:
        self.at, self.size = (0.0, 0.0), (6.0, 6.0)


Arrow = tuple[Box, Box]
Point = tuple[float, float]

#: The bends that an arrow passes, and the gaps before each and after the last; None for an arrow that runs backward.
Way = tuple[list[Mark], list[Mark]] | None


def lay_out(picture: Picture) -> dict[Arrow, list[Point]]:
    """Give every box and frame its place, from their sizes, and return the corners of each arrow.

    Places count from the upper left corner; arrows run downward, or to the right.
    """
    turned = picture.options.turned
    if turned:
        _turn(picture.frame.boxes())
    lines = _lines(picture, _arrange(picture.frame, list(picture.arrows), turned))
    if turned:
        _turn([picture.frame, *everything(picture.frame)])
        lines = {arrow: [(y, x) for x, y in line] for arrow, line in lines.items()}
    return lines


def _turn(members: Iterable[Any]) -> None:
    for member in members:
        member.at, member.size = member.at[::-1], member.size[::-1]


def _arrange(frame: Frame, arrows: list[Arrow], turned: bool) -> dict[Arrow, Way]:
    """Give what is in a frame its place, and return the way of each arrow between its boxes."""
    ways: dict[Arrow, Way] = {}
    owner: dict[Any, Any] = {}
    for member in frame.members:
        for box in member.boxes() if isinstance(member, Frame) else (member,):
            owner[box] = member
    outer: dict[tuple[Any, Any], list[tuple[Box, Box]]] = {}
    for a, b in arrows:
        if a in owner and b in owner and owner[a] is not owner[b]:
            outer.setdefault((owner[a], owner[b]), []).append((a, b))
    for member in frame.members:
        if isinstance(member, Frame):
            inside = set(member.boxes())
            ways |= _arrange(member, [(a, b) for a, b in arrows if a in inside and b in inside], turned)
    ways.update({(a, b): None for a, b in arrows if a is b and owner.get(a) is a})

    place = {member: i for i, member in enumerate(frame.members)}
    forward = [pair for pair in outer if place[pair[0]] < place[pair[1]]]
    ways.update({arrow: None for pair in outer if pair not in forward for arrow in outer[pair]})
    ranks = _ranks(frame.members, forward)
    levels: list[list[Any]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for member in frame.members:
        levels[ranks[member]].append(member)
    above: dict[Any, list[Any]] = {}
    below: dict[Any, list[Any]] = {}
    gaps = [Mark() for _ in levels]  # gap i lies before rank i
    frame.marks = gaps
    for a, b in forward:
        bends = [Mark() for _ in range(ranks[a] + 1, ranks[b])]
        frame.marks = frame.marks + bends
        for i, bend in enumerate(bends):
            levels[ranks[a] + 1 + i].append(bend)
        chain = [a, *bends, b]
        for upper, lower in itertools.pairwise(chain):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
        ways.update(dict.fromkeys(outer[a, b], (bends, gaps[ranks[a] + 1 : ranks[b] + 1])))
    _order(levels, above, below)
    across = _coordinates(levels, above, below)
    _place(frame, levels, gaps, across, turned)
    return ways


def _ranks(members: Sequence[Any], arrows: Iterable[tuple[Any, Any]]) -> dict[Any, int]:
    """Return the length of the longest path to each; what nothing leads to stands just before what it leads to."""
    arrows = list(arrows)
    ranks = dict.fromkeys(members, 0)
    for member in members:  # which stand in the order they run
        for a, b in arrows:
            if a is member:
                ranks[b] = max(ranks[b], ranks[a] + 1)
    for member in members:
        targets = [ranks[b] for a, b in arrows if a is member]
        if targets and not any(b is member for _, b in arrows):
            ranks[member] = min(targets) - 1
    return ranks


def _order(levels: list[list[Any]], above: dict[Any, list[Any]], below: dict[Any, list[Any]]) -> None:
    """Sort each rank by the mean place of its neighbours, down and up, so that few arrows cross."""

    def sort(level: list[Any], other: list[Any], neighbours: dict[Any, list[Any]]) -> None:
        place = {id(m): i / max(len(other) - 1, 1) for i, m in enumerate(other)}
        own = {id(m): i / max(len(level) - 1, 1) for i, m in enumerate(level)}

        def middle(member: Any) -> float:
            near = [place[id(n)] for n in neighbours.get(member, ()) if id(n) in place]
            return sum(near) / len(near) if near else own[id(member)]

        level.sort(key=middle)

    best, fewest = [list(level) for level in levels], _crossings(levels, below)
    for _ in range(8):
        for i in range(1, len(levels)):
            sort(levels[i], levels[i - 1], above)
        for i in range(len(levels) - 2, -1, -1):
            sort(levels[i], levels[i + 1], below)
        crossings = _crossings(levels, below)
        if crossings < fewest:
            best, fewest = [list(level) for level in levels], crossings
    levels[:] = best


def _crossings(levels: list[list[Any]], below: dict[Any, list[Any]]) -> int:
    total = 0
    for upper, lower in itertools.pairwise(levels):
        place = {id(m): i for i, m in enumerate(lower)}
        ends = [end for m in upper for end in sorted(place[id(n)] for n in below.get(m, ()))]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _coordinates(levels: list[list[Any]], above: dict[Any, list[Any]], below: dict[Any, list[Any]]) -> dict[int, float]:
    """Return where each stands across its rank: as near to its neighbours' mean as order and sizes allow."""
    across: dict[int, float] = {}
    for level in levels:
        starts = _starts(level)
        middle = (starts[-1] + (level[-1].size[0] - level[0].size[0]) / 2) / 2
        across.update((id(member), start - middle) for member, start in zip(level, starts, strict=True))
    for sweep in range(12):
        down = sweep % 2 == 0
        for level in levels if down else reversed(levels):
            wanted = []
            for member in level:
                near = [across[id(n)] for n in (above if down else below).get(member, ())]
                wanted.append(sum(near) / len(near) if near else across[id(member)])
            starts = _starts(level)
            free = _nondecreasing([w - s for w, s in zip(wanted, starts, strict=True)])
            for member, f, s in zip(level, free, starts, strict=True):
                across[id(member)] = f + s
    return across


def _starts(level: list[Any]) -> list[float]:
    """Return where the members of a rank stand, side by side, if the first stands at 0."""
    gaps = ((a.size[0] + b.size[0]) / 2 + GAP_ACROSS for a, b in itertools.pairwise(level))
    return list(itertools.accumulate(gaps, initial=0.0))


def _nondecreasing(values: list[float]) -> list[float]:
    """Return the nondecreasing numbers nearest to `values`: neighbours in the wrong order get their mean."""
    pools: list[list[float]] = []
    for value in values:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            before, n = pools[-1]
            pools[-1] = [(before * n + mean * count) / (n + count), n + count]
    return [mean for mean, count in pools for _ in range(int(count))]


def _place(frame: Frame, levels: list[list[Any]], gaps: list[Mark], across: dict[int, float], turned: bool) -> None:
    """Set everybody's `at`, and the frame's size, from places across the ranks; the frame begins at (0, 0)."""
    left = min((across[id(m)] - m.size[0] / 2 for level in levels for m in level), default=0)
    right = max((across[id(m)] + m.size[0] / 2 for level in levels for m in level), default=0)
    title = FRAME_TITLE if frame.name else 0.0  # above the frame, also where all will be turned
    over, down = FRAME_MARGIN - left + title * turned, FRAME_MARGIN + title * (not turned)
    for i, level in enumerate(levels):
        if i:
            gap = GAP_ALONG + TRACK * max(len(level) - 2, 0)
            gaps[i].at = (0, down + gap / 2)
            down += gap
        height = max(m.size[1] for m in level)
        for member in level:
            _move(member, (across[id(member)] + over, down + height / 2))
        down += height
    frame.size = (right + over + FRAME_MARGIN, down + FRAME_MARGIN)
    frame.at = (frame.size[0] / 2, frame.size[1] / 2)


def _move(member: Any, middle: Point) -> None:
    """Put a box, a bend or a frame with all that is in it where its middle should be."""
    if isinstance(member, Frame):
        dx, dy = middle[0] - member.at[0], middle[1] - member.at[1]
        for inner in everything(member):
            inner.at = (inner.at[0] + dx, inner.at[1] + dy)
    member.at = middle


def everything(frame: Frame) -> Iterable[Any]:
    """Yield all boxes, frames, bends and gaps in a frame."""
    for member in frame.members:
        yield member
        if isinstance(member, Frame):
            yield from everything(member)
    yield from frame.marks


# ---- arrows ----


def _lines(picture: Picture, ways: dict[Arrow, Way]) -> dict[Arrow, list[Point]]:
    """Return the corners of each arrow."""
    straight = picture.options.splines != "ortho"
    starts, stops = _ports(ways, True), _ports(ways, False)
    points: dict[Any, list[Point]] = {}
    turns: dict[Mark, list[tuple[float, float, Any, int]]] = {}
    for (a, b), way in ways.items():
        if way is None:
            continue
        bends, gaps = way
        stations = [
            (starts[a, b], a.at[1] + a.size[1] / 2),
            *(bend.at for bend in bends),
            (stops[a, b], b.at[1] - b.size[1] / 2),
        ]
        points[a, b] = stations
        for i, gap in enumerate(gaps):
            x1, x2 = stations[i][0], stations[i + 1][0]
            if not straight and abs(x1 - x2) > 0.5:
                turns.setdefault(gap, []).append((x1, x2, (a, b), i))
    corners: dict[tuple[Any, int], float] = {}
    for gap, crossing in turns.items():
        # Arrows to the right turn the earlier the farther right they start, so that none cross; mirrored for left.
        rightward = sorted((t for t in crossing if t[1] > t[0]), key=lambda t: -t[0])
        leftward = sorted((t for t in crossing if t[1] < t[0]), key=lambda t: t[0])
        ordered = [*rightward, *leftward]
        step = min(TRACK, (GAP_ALONG - 14) / max(len(ordered) - 1, 1))
        for k, (_, _, arrow, i) in enumerate(ordered):
            corners[arrow, i] = gap.at[1] + step * (k - (len(ordered) - 1) / 2)
    lines: dict[Any, list[Point]] = {}
    for arrow, stations in points.items():
        line = [stations[0]]
        for i, station in enumerate(stations[1:]):
            if (arrow, i) in corners:
                turn = corners[arrow, i]
                line += [(line[-1][0], turn), (station[0], turn)]
            line.append(station)
        lines[arrow] = line
    return {**lines, **_backward(picture, ways)}


def _ports(ways: dict[Arrow, Way], outgoing: bool) -> dict[Arrow, float]:
    """Return where along its side each arrow leaves, or enters, its box: spread out in the order of the other ends."""
    sides: dict[Box, list[tuple[float, Arrow]]] = {}
    for (a, b), way in ways.items():
        if way is not None:
            bends = way[0]
            near = (bends[0] if outgoing else bends[-1]) if bends else (b if outgoing else a)
            sides.setdefault(a if outgoing else b, []).append((near.at[0], (a, b)))
    ports = {}
    for box, ends in sides.items():
        ends.sort(key=lambda end: end[0])
        width = min(box.size[0] * 0.8, 40.0 * (len(ends) - 1))
        for i, (_, arrow) in enumerate(ends):
            share = i / (len(ends) - 1) - 0.5 if len(ends) > 1 else 0
            ports[arrow] = box.at[0] + width * share
    return ports


def _backward(picture: Picture, ways: dict[Arrow, Way]) -> dict[Arrow, list[Point]]:
    """Return arrows that a layer used twice sends back: loops at the side of the boxes."""
    lines = {}
    backward = [arrow for arrow, way in ways.items() if way is None]
    to_themselves = {a for a, b in backward if a is b}  # in the lower half of the side; others in the upper one
    for k, (a, b) in enumerate(backward):
        start, end = (box.at[0] + box.size[0] / 2 for box in (a, b))
        if a is b:
            lane, shifts = start + 13, (0.42, 0.08)
        else:
            lane = picture.frame.size[0] + 10 * (k + 1)
            shifts = (-0.25 * (a in to_themselves), -0.25 * (b in to_themselves))
        start_at, end_at = (box.at[1] + shift * box.size[1] for box, shift in zip((a, b), shifts, strict=True))
        lines[a, b] = [(start, start_at), (lane, start_at), (lane, end_at), (end, end_at)]
    return lines
