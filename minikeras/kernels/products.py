"""The one kernel that multiplies: convolutions, their gradients and dense layers are all made of it.

Each of these is a table of sums of products,

    z[i, j] = max(start[i, j] + sum over s, t, k of x[at[i] + (s, t, k)] * w[(s, t, k), j], floor)

in which row i of z sees its inputs from position at[i] of the vector x on.  In a convolution i counts the output's
pixels, j its channels, (s, t, k) the kernel's rows, columns and channels; in a dense layer i counts samples, j units,
and k inputs.  (s, t, k) stands for s, t and k steps of given lengths.

**The tile.**  A core can do one or two register-wide multiply-adds in each cycle, if their operands are at hand; but it
can read only two registers from the nearest cache, and a sum that waits for its own last addition waits four cycles.
So `tile` computes a block of sums at once, with AVX-512 6 rows x 64 columns: 6 x 4 registers, each a sum of its own.
For one (s, t, k) it reads 4 registers of w and broadcasts 6 numbers of x, and with these 10 reads does 24
multiply-adds: 0.42 reads for each, where a loop over single sums needs two and a write.  24 sums, 4 registers of w and
one of x fill 29 of the 32 registers that there are.

The squarer the block, the fewer reads: 14 rows x 32 columns would be 28 sums, but 0.57 reads for each; and each row
needs an address, of which a processor keeps 16 with its counters.  For the columns that are left (a table of 100 has 64
and 36) there are tiles of 8 rows x 3, 2 or 1 registers: 8 sums at least, as two multiply-adds in each of four cycles
are under way at once.  A table of one row has tiles of 1 row x 8.  Other processors have other numbers (see `vectors`),
and nothing else changes.

Python loops over the tile's rows and registers write the instructions out, once for all shapes: sizes and steps are
arguments.  Rows below the last are computed as copies of it, columns beyond the last are masked.  As that is waste,
there are tiles of one row less, too: 32 rows are two tiles of 6 and four of 5.

**The cache.**  A column of tiles needs 64 columns of w, again and again: pieces of 256 bytes, each a row of w away
from the next.  The nearest cache (32 KiB) has few places for addresses that are a power of two apart, and forgets them
before the next tile comes.  So where z has many rows, `product` first copies these pieces one behind the other, into a
panel; as many panels as the cache may hold are used for all rows before the next ones are made.  A w that many products
need is laid out `in_panels` beforehand.  Where a panel would have more numbers than DEPTH full rows, k is cut, and
the sums are taken up again.

Where z has few rows, each number of w is read once, and memory has to deliver it: then k is cut into so few rows of w
that they are read in the order of memory.  Everywhere they are asked for AHEAD rows before they are needed.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .cache import called_by_name
from .team import part, share_out, shared
from .vectors import (
    ALL_LANES,
    FLOAT,
    INT,
    LANES,
    VECTOR,
    WIDE_TILE,
    address_of,
    broadcast,
    copy,
    first_lanes,
    inner,
    keep,
    load_vector,
    multiply_add,
    prefetch,
    store_vector,
)

PANEL = WIDE_TILE[1] * LANES  # columns of a wide tile
TILE_ROWS = 8  # of the narrower tiles; also the least that a share should have
ROW = 8 * LANES  # columns of a tile of one row
MANY_ROWS = 36  # of z: copying w pays
DEPTH, SHORT = 1280, 64  # the most rows of a panel, if it is not narrower; the least that k is cut to
COPIED = 2**14  # numbers: how much of w is copied at once, if not a single panel is larger
BLOCK = 2**15  # numbers: how much of w is read at once where it is not copied
IN_ROWS = 1  # from column to column of a w that is not in panels: its rows are as long as those of z
AHEAD, FAR = 8, 40  # rows of w that are asked for before they are needed, as memory takes that long; the most of these
NO_FLOOR = np.float32(-np.inf)


@inner
def grid(rows, row_step, columns, column_step):
    """Return the positions in memory of all cells of a grid, given the steps from row to row and column to column."""
    positions = np.empty(rows * columns, np.int64)
    for row in range(rows):
        for column in range(columns):
            positions[row * columns + column] = row * row_step + column * column_step
    return positions


def _integers(count):
    return types.UniTuple(types.int64, count)


def _tile(height, registers, wide):
    """Return a function that computes the tile of z whose upper left corner is `corner`; see `product`.

    It gets addresses and steps: z = (z, rows, start, add), x = (x, rows, steps for s, t and k), and w = (the address of
    the tile's own columns, all of which exist in a `wide` tile, how far ahead to ask for them, steps).
    """
    together = 2 if wide else 1  # values of k in a round of the innermost loop, to count less: 1 or 2

    def emit(context, b, signature, arguments):
        *tuples, floor, corner, size = arguments
        (z, to, start, add), (x, at, *x_steps), (w, ahead, *w_steps), depth, (i, j), (last, width) = (
            cgutils.unpack_tuple(b, numbers) for numbers in (*tuples, corner, size)
        )
        z, start, x, w = (b.inttoptr(address, FLOAT.as_pointer()) for address in (z, start, x, w))
        to, at = (b.inttoptr(address, INT.as_pointer()) for address in (to, at))
        last = b.sub(last, INT(1))
        rows = [b.add(i, INT(r)) for r in range(height)]
        rows = [b.select(b.icmp_signed("<", row, last), row, last) for row in rows]
        columns = [b.add(j, INT(v * LANES)) for v in range(registers)]
        inside = [ALL_LANES if wide else first_lanes(b, b.sub(width, column)) for column in columns]
        cells = [(r, v) for r in range(height) for v in range(registers)]
        z_rows = [b.gep(z, [b.load(b.gep(to, [row]))]) for row in rows]
        x_rows = [b.load(b.gep(at, [row])) for row in rows]
        there = {(r, v): b.gep(z_rows[r], [columns[v]]) for r, v in cells}

        for cell in cells:
            prefetch(b, there[cell], to_write=True)  # a cache line has to be there before a part of it can change

        # LLVM turns these memory cells into registers, as nobody asks for their addresses.
        sums = {cell: cgutils.alloca_once(b, VECTOR) for cell in cells}
        with b.if_else(b.icmp_signed("!=", add, INT(0))) as (going_on, beginning):
            with going_on:
                for r, v in cells:
                    b.store(load_vector(b, there[r, v], inside[v]), sums[r, v])
            with beginning:
                for v in range(registers):
                    first = load_vector(b, b.gep(start, [columns[v]]), inside[v])
                    for r in range(height):
                        b.store(first, sums[r, v])

        def step(start, steps, counters):
            return b.gep(start, [functools.reduce(b.add, map(b.mul, counters, steps))])

        with cgutils.for_range(b, depth[0]) as s, cgutils.for_range(b, depth[1]) as t:
            x_start = step(x, x_steps[:2], (s.index, t.index))
            w_place = cgutils.alloca_once_value(b, step(w, w_steps[:2], (s.index, t.index)))

            def add_products(k):
                w_row = b.load(w_place)
                b.store(b.gep(w_row, [w_steps[2]]), w_place)
                for v in range(registers):
                    prefetch(b, b.gep(w_row, [b.add(ahead, INT(v * LANES))]))
                weights = [load_vector(b, b.gep(w_row, [INT(v * LANES)]), inside[v]) for v in range(registers)]
                x_k = b.gep(x_start, [k])
                for r in range(height):
                    number = broadcast(b, b.load(b.gep(x_k, [x_rows[r]])))
                    for v in range(registers):
                        b.store(multiply_add(b, number, weights[v], b.load(sums[r, v])), sums[r, v])

            # k is counted in steps of x: all rows then share one counter, which LLVM keeps in a register.
            in_rounds = b.and_(depth[2], INT(-together))
            end = b.mul(in_rounds, x_steps[2])
            with cgutils.for_range_slice(b, INT(0), end, b.mul(INT(together), x_steps[2]), inc=True) as (k, _):
                for i in range(together):
                    add_products(b.add(k, b.mul(INT(i), x_steps[2])))
            if together > 1:
                with b.if_then(b.icmp_signed("<", in_rounds, depth[2])):
                    add_products(end)

        floor = broadcast(b, floor)
        for r, v in cells:
            total = b.load(sums[r, v])
            below = b.fcmp_ordered("<", total, floor)  # false for NaN, which stays
            store_vector(b, b.select(below, floor, total), there[r, v], inside[v])
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, z, x, w, depth, floor, corner, size):
        return types.void(*map(_integers, (4, 5, 5, 3)), types.float32, *map(_integers, (2, 2))), emit

    return tile


def _rows_of_tiles(height, registers, wide):
    """Return a function that computes a part of z, from `corner` to before `end`, in tiles of one size.

    Each size has a function for itself: LLVM keeps a tile's sums in registers only as long as it sees no other tile.
    """
    tile, width = _tile(height, registers, wide), registers * LANES

    @inner
    def rows_of_tiles(z, x, w, depth, floor, corner, end, size):
        heights, widths = (end[0] - corner[0] + height - 1) // height, (end[1] - corner[1] + width - 1) // width
        address, across, ahead, s, t, k = w
        for row in range(heights):
            for column in range(widths):
                i, j = corner[0] + row * height, corner[1] + column * width
                here = address + column * width * across, ahead, s, t, k
                tile(z, x, here, depth, floor, (i, j), size)

    return rows_of_tiles


def _sweep(height, registers, wide=False):
    """Return a function that computes some columns of z, from `first` to before `end`, and all their rows."""
    upper = _rows_of_tiles(height, registers, wide)
    lower = _rows_of_tiles(height - 1, registers, wide) if height > 1 else upper

    def sweep(z, x, w, depth, floor, columns, size):
        (first, end), (rows, _), (address, across, s, t, k) = columns, size, w
        # Tiles of full height have so many rows too many; each of these can be left out of another tile.
        tiles = (rows + height - 1) // height
        over = tiles * height - rows
        top = rows - rows  # a 0 of its type
        full = max(tiles - over, top) * height
        # Where there is a gap after the last k of each t, what is asked for is the same k of the next t.
        ahead = t if depth[2] * k < t <= FAR * k else AHEAD * k
        w_ahead = address, across, ahead, s, t, k
        upper(z, x, w_ahead, depth, floor, (top, first), (full, end), size)
        lower(z, x, w_ahead, depth, floor, (full, first), (rows, end), size)

    return called_by_name(
        f"sweep_{height}_{registers}", sweep, *map(_integers, (4, 5, 5, 3)), types.float32, _integers(2), _integers(2)
    )


sweep_wide, sweep_1, sweep_row = _sweep(*WIDE_TILE, wide=True), _sweep(TILE_ROWS, 1), _sweep(1, ROW // LANES)
# Where a wide tile has two registers, less is one.
sweep_2, sweep_3 = (_sweep(TILE_ROWS, 2), _sweep(TILE_ROWS, 3)) if WIDE_TILE[1] > 2 else (sweep_1, sweep_1)


@intrinsic
def _move(typing, to, source, left):
    """Copy what fits into a register, as far as `left` reaches, from one address to another."""

    def emit(context, b, signature, arguments):
        to, source, left = arguments
        mask = first_lanes(b, left)
        value = load_vector(b, b.inttoptr(source, FLOAT.as_pointer()), mask)
        store_vector(b, value, b.inttoptr(to, FLOAT.as_pointer()), mask)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


@inner
def panel_width(columns, j):
    """Return the width of the panel that begins at column j of so many: the last one is as wide as it must be."""
    return min(PANEL, (columns - j + LANES - 1) // LANES * LANES)


@inner
def _copy_panels(numbers, w, w_steps, row, depth, columns):
    """Copy columns of w, whose rows have `row` numbers, to panels one behind the other; return where they begin."""
    to = address_of(numbers, 0)
    for j in range(0, columns, PANEL):
        width = panel_width(columns, j)
        for s in range(depth[0]):
            for t in range(depth[1]):
                source = w + 4 * ((s * w_steps[0] + t * w_steps[1]) * row + j)
                for _ in range(depth[2]):
                    for lane in range(0, width, LANES):
                        _move(to + 4 * lane, source + 4 * lane, columns - j - lane)
                    source += 4 * w_steps[2] * row
                    to += 4 * width
    return address_of(numbers, 0)


def _product(z, x, w, depth, floor, size):
    """Compute the table of sums above, of addresses; an address counts bytes, 4 for a number."""
    (z, to, start, add), (x, at, x0, x1, x2), (w, row, across, w0, w1, w2) = z, x, w
    (d0, d1, d2), (rows, columns) = depth, size
    if x1 == d2 * x2 and w1 == d2 * w2:  # t goes on where k ends: one long k
        d1, d2 = 1, d1 * d2
    if d1 == 1 and x0 == d2 * x2 and w0 == d2 * w2:
        d0, d2 = 1, d0 * d2
    in_rows = across == IN_ROWS
    in_order = in_rows and (rows < MANY_ROWS or d0 * d1 * d2 == 0)
    one_row = in_rows and rows == 1
    copied = in_rows and not in_order and columns > PANEL  # rows of less are a panel
    most = DEPTH * PANEL // max(panel_width(columns, 0), LANES)
    parts = max((d0 * d1 * d2 + most - 1) // most, 1)
    longest = max((d2 + parts - 1) // parts, SHORT)
    if in_order:
        longest = min(DEPTH, max(BLOCK // max(d0 * d1 * columns, 1), AHEAD))
    panel = d0 * d1 * min(longest, d2) * PANEL
    group = max(columns, 1) if in_order else max(1, COPIED // max(panel, 1)) * PANEL
    numbers = np.empty(panel * ((min(group, columns) + PANEL - 1) // PANEL) if copied else 0, np.float32)
    for k in range(0, max(d2, 1), longest):
        part_of_depth = d0, d1, min(longest, d2 - k)
        least = floor if k + longest >= d2 else NO_FLOOR
        z_k, x_k = (z, to, start, 1 if k > 0 else add), (x + 4 * k * x2, at, x0, x1, x2)
        for j in range(0, columns, group):
            end = min(j + group, columns)
            last = end - (end - j) % (ROW if one_row else PANEL)  # the wide tiles end there
            if one_row and end - last > PANEL - LANES:
                last = end
            wide, narrow = (columns, columns) if in_rows else (PANEL, panel_width(columns, last))
            w_row = row + k * w2
            wide_w, narrow_w = w + 4 * (j * across + w_row * wide), w + 4 * (last * across + w_row * narrow)
            w_across, steps = across, (w0, w1, w2)
            if copied:
                wide_w = _copy_panels(numbers, wide_w, steps, columns, part_of_depth, end - j)
                w_across, steps = d0 * d1 * part_of_depth[2], (d1 * part_of_depth[2], part_of_depth[2], np.int64(1))
                wide, narrow = PANEL, panel_width(end - j, last - j)
                narrow_w = wide_w + 4 * (last - j) * w_across
            many = wide_w, 4 * w_across, steps[0] * wide, steps[1] * wide, steps[2] * wide
            if j < last and one_row:
                sweep_row((z_k, x_k, many, part_of_depth, least, (j, last), size))
            elif j < last:
                sweep_wide((z_k, x_k, many, part_of_depth, least, (j, last), size))
            rest = narrow_w, 4, steps[0] * narrow, steps[1] * narrow, steps[2] * narrow
            if 2 * LANES < end - last <= 3 * LANES:
                sweep_3((z_k, x_k, rest, part_of_depth, least, (last, end), size))
            elif end - last > LANES:
                sweep_2((z_k, x_k, rest, part_of_depth, least, (last, end), size))
            elif end > last:
                sweep_1((z_k, x_k, rest, part_of_depth, least, (last, end), size))
    keep(numbers)


_machine_code = called_by_name("product", _product, *map(_integers, (4, 5, 6, 3)), types.float32, _integers(2))


class Table(NamedTuple):
    """Where the sums go."""

    vector: np.ndarray
    position: int  # where the table begins
    rows: np.ndarray  # position of each row, counted from there; its columns are neighbours
    start: np.ndarray  # the starting values, one for each column; ...
    add: bool  # ... unless True: then the table's own numbers are what it starts from


class Inputs(NamedTuple):
    """Where x is read."""

    vector: np.ndarray
    position: int
    rows: np.ndarray  # position of each row's first input, counted from there
    steps: tuple[int, int, int]  # for s, t and k


class Weights(NamedTuple):
    """Where w is read."""

    vector: np.ndarray
    position: int
    row: int  # the first row that counts
    steps: tuple[int, int, int]  # for s, t and k, in rows of w
    across: int  # from column to column: IN_ROWS, or the number of rows where w stands in panels


@inner
def product(z, x, w, depth, floor, size):
    """Compute the table of sums above.

    Args:
        z, x, w: a Table, Inputs and Weights.
        depth: how many s, t and k there are.
        floor: the smallest number that z may hold; 0 is a rectifier, `NO_FLOOR` none.
        size: how many rows and columns.
    """
    _machine_code((
        (address_of(z.vector, z.position), address_of(z.rows, 0), address_of(z.start, 0), 1 if z.add else 0),
        (address_of(x.vector, x.position), address_of(x.rows, 0), *x.steps),
        (address_of(w.vector, w.position), w.row, w.across, *w.steps),
        depth, floor, size,
    ))  # fmt: skip


@inner
def in_panels(team, w, depth):
    """Return the columns of w in panels of PANEL columns or less, each of `depth` rows one behind the other.

    Row k of column j, the first of a panel, stands at j * depth + k * panel_width(columns, j).
    """
    columns = w.size // depth
    panels = np.empty(panel_columns(columns) * depth, w.dtype)
    share_out(team, _panels_share, (panels, w.reshape(w.size), depth, columns), w.size)
    return panels


@inner
def panel_columns(columns):
    """Return how many columns there are in the panels of a table of so many."""
    return (columns + LANES - 1) // LANES * LANES


@shared
def _panels_share(share, panels, w, depth, columns):
    for k in range(*part(share, depth)):
        for j in range(0, columns, PANEL):
            width = panel_width(columns, j)
            copy(panels, j * depth + k * width, w, k * columns + j, min(width, columns - j))
