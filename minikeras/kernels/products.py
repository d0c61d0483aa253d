"""The one kernel that multiplies: convolutions, their gradients and dense layers are all made of it.

Each of these is a table of sums of products,

    z[i, j] = max(start[i, j] + sum over s, t, k of x[at[i] + (s, t, k)] * w[(s, t, k), j], floor)

in which row i of z sees its inputs from position at[i] of the vector x on.  In a convolution i counts the output's
pixels, j its channels, (s, t, k) the kernel's rows, columns and channels; in a dense layer i counts samples, j units,
and k inputs.  (s, t, k) stands for s, t and k steps of given lengths.

**The tile.**  A core can do one or two register-wide multiply-adds in each cycle, if their operands are at hand; but it
can read only two registers from the nearest cache, and a sum that waits for its own last addition waits four cycles.
So `tile` computes TILE_ROWS x TILE_COLUMNS sums at once, 14 x 32 with AVX-512: 14 x 2 registers, each a sum of its own.
For one (s, t, k) it reads 2 registers of w and broadcasts 14 numbers of x, and with these 16 reads does 28
multiply-adds: 0.57 reads for each, where a loop over single sums needs two and a write.  28 sums, 2 registers of w and
1 of x fill the 32 registers that there are; more rows would spill into memory.  Other processors have other numbers
(see `vectors`), and nothing else changes.

Python loops over the tile's rows and registers write the instructions out, once for all shapes: sizes and steps are
arguments.  Rows below the last are computed as copies of it, columns beyond the last are masked.

**The cache.**  `product` walks over z tile by tile, columns outside: the part of w that a column of tiles needs stays
in the nearest cache (32 KiB), as long as it has at most DEPTH rows; a longer k is cut, and its sums are taken up again.

Called by `conv2d` and `dense`; calls `vectors`.
"""

import functools

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .team import inner
from .vectors import (
    INT,
    LANES,
    TILE_REGISTERS,
    TILE_ROWS,
    VECTOR,
    address,
    broadcast,
    first_lanes,
    load_vector,
    multiply_add,
    store_vector,
)

TILE_COLUMNS = TILE_REGISTERS * LANES
DEPTH = 256
NO_FLOOR = np.float32(-np.inf)


@inner
def grid(rows, row_step, columns, column_step):
    """Return the positions in memory of all cells of a grid, given the steps from row to row and column to column."""
    positions = np.empty(rows * columns, np.int64)
    for row in range(rows):
        for column in range(columns):
            positions[row * columns + column] = row * row_step + column * column_step
    return positions


@intrinsic
def tile(typing, z, to, start, add, x, at, x_steps, w, w_steps, depth, floor, corner, size):
    """Compute the tile of z whose upper left corner is `corner`; see `product` for the arguments.

    z, start, x and w are pairs (vector, position of their first element).
    """
    signature = types.void(z, to, start, types.boolean, x, at, x_steps, w, w_steps, depth, types.float32, corner, size)

    def emit(context, b, signature, arguments):
        names = ("z", "to", "start", "add", "x", "at", "x_steps", "w", "w_steps", "depth", "floor", "corner", "size")
        value = dict(zip(names, arguments, strict=True))
        kind = dict(zip(names, signature.args, strict=True))

        def first_element(name):
            vector, position = cgutils.unpack_tuple(b, value[name])
            return address(context, b, kind[name].types[0], vector, position)

        def integers(name):
            return cgutils.unpack_tuple(b, value[name])

        def positions(name, rows):
            vector = address(context, b, kind[name], value[name])
            return [b.load(b.gep(vector, [row])) for row in rows]

        z, start, x, w = (first_element(name) for name in ("z", "start", "x", "w"))
        (i, j), (height, width) = integers("corner"), integers("size")
        last = b.sub(height, INT(1))
        rows = [b.add(i, INT(r)) for r in range(TILE_ROWS)]
        rows = [b.select(b.icmp_signed("<", row, last), row, last) for row in rows]
        columns = [b.add(j, INT(v * LANES)) for v in range(TILE_REGISTERS)]
        inside = [first_lanes(b, b.sub(width, column)) for column in columns]
        cells = [(r, v) for r in range(TILE_ROWS) for v in range(TILE_REGISTERS)]
        z_rows = [b.gep(z, [position]) for position in positions("to", rows)]
        x_rows = [b.gep(x, [position]) for position in positions("at", rows)]
        place = {(r, v): b.gep(z_rows[r], [columns[v]]) for r, v in cells}

        # LLVM turns these memory cells into registers, as nobody asks for their addresses.
        sums = {cell: cgutils.alloca_once(b, VECTOR) for cell in cells}
        with b.if_else(value["add"]) as (going_on, beginning):
            with going_on:
                for r, v in cells:
                    b.store(load_vector(b, place[r, v], inside[v]), sums[r, v])
            with beginning:
                for v in range(TILE_REGISTERS):
                    first = load_vector(b, b.gep(start, [columns[v]]), inside[v])
                    for r in range(TILE_ROWS):
                        b.store(first, sums[r, v])

        x_steps, w_steps, depth = integers("x_steps"), integers("w_steps"), integers("depth")

        def step(place, steps, counters):
            return b.gep(place, [functools.reduce(b.add, map(b.mul, counters, steps))])

        with cgutils.for_range(b, depth[0]) as s, cgutils.for_range(b, depth[1]) as t:
            x_starts = [step(row, x_steps[:2], (s.index, t.index)) for row in x_rows]
            w_start = step(w, w_steps[:2], (s.index, t.index))
            with cgutils.for_range(b, depth[2]) as k:
                w_row = step(w_start, w_steps[2:], (k.index,))
                weights = [load_vector(b, b.gep(w_row, [c]), m) for c, m in zip(columns, inside, strict=True)]
                for r in range(TILE_ROWS):
                    number = broadcast(b, b.load(step(x_starts[r], x_steps[2:], (k.index,))))
                    for v in range(TILE_REGISTERS):
                        b.store(multiply_add(b, number, weights[v], b.load(sums[r, v])), sums[r, v])

        floor = broadcast(b, value["floor"])
        for r, v in cells:
            total = b.load(sums[r, v])
            below = b.fcmp_ordered("<", total, floor)  # false for NaN, which stays
            store_vector(b, b.select(below, floor, total), place[r, v], inside[v])
        return context.get_dummy_value()

    return signature, emit


@inner
def product(z, to, start, add, x, at, x_steps, w, w_steps, depth, floor, size):
    """Compute the table of sums above.

    Args:
        z: (vector, position): where the table begins.
        to: position of each row of the table, counted from there; its columns are neighbours.
        start: (vector, position): the table's starting values, one for each column; ...
        add: ... unless True: then the table's own numbers are what it starts from.
        x: (vector, position): the inputs.
        at: position of each row's first input, counted from there.
        x_steps: of x, for s, t and k.
        w: (vector, position): the weights; columns are neighbours.
        w_steps: of w, for s, t and k.
        depth: how many s, t and k there are.
        floor: the smallest number that z may hold; 0 is a rectifier, `NO_FLOOR` none.
        size: how many rows and columns.
    """
    (xv, x0), (wv, w0) = x, w
    for k in range(0, max(depth[2], 1), DEPTH):
        part = (depth[0], depth[1], min(DEPTH, depth[2] - k))
        least = floor if k + DEPTH >= depth[2] else NO_FLOOR
        for j in range(0, size[1], TILE_COLUMNS):
            for i in range(0, size[0], TILE_ROWS):
                tile(
                    z, to, start, add or k > 0, (xv, x0 + k * x_steps[2]), at, x_steps,
                    (wv, w0 + k * w_steps[2]), w_steps, part, least, (i, j), size,
                )  # fmt: skip
