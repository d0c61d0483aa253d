"""Convolutions of single images, made of products: what `conv2d` does image by image, or band by band.

Each image is copied into a padded one, so that no window reaches outside, and is then one `products.product`, or a
few, as the kernel's rows and columns that lie outside the image are left out.
"""

from typing import NamedTuple

import numpy as np

from .products import (
    IN_ROWS,
    MANY_ROWS,
    NO_FLOOR,
    PANEL,
    Inputs,
    Table,
    Weights,
    grid,
    in_panels,
    panel_columns,
    panel_width,
    product,
)  # fmt: skip
from .team import SHARES, part, share_out, shared
from .vectors import LANES, WIDE_TILE, add_to, agree, copy, fill, inner, load, store, turn

NARROW = LANES // 2  # channels
CHANNELS = WIDE_TILE[0]
TALL = 10  # rows of outputs: of fewer, those at the edges are not worth products of their own


Pair = tuple[int, int]


class Geometry(NamedTuple):
    """What is the same for all images of a convolution; see `functional.conv2d`."""

    window: Pair
    strides: Pair
    padding: Pair
    dilation: Pair
    pool: Pair
    outputs: Pair
    rectified: bool


@inner
def linked(x, w, y):
    """Refuse a kernel that doesn't lead from the images x to the images y."""
    agree(x.shape[3] == w.shape[2] and y.shape[3] == w.shape[3] and len(x) == len(y))


@inner
def laid_out(team, w, outputs):
    """Return the kernel as a vector, and the step from filter to filter: in panels, where many outputs need them."""
    depth = w.size // w.shape[3]
    if outputs < SHARES * MANY_ROWS * w.shape[3]:
        return w.reshape(w.size), IN_ROWS
    return in_panels(team, w, depth), depth


@inner
def padded_size(x, geometry, band):
    """Return whether an image must be padded, and the rows and columns of what `band` rows of outputs see of it.

    The columns are the image's where it need not.
    """
    (_, H, W, _), (window, strides, padding, dilation, _, outputs, _) = x.shape, geometry
    below, reach = (window[0] - 1) * dilation[0] + 1, (outputs[1] - 1) * strides[1] + (window[1] - 1) * dilation[1] + 1
    rows, columns = (band - 1) * strides[0] + below, max(reach, padding[1] + W)
    return padding[0] > 0 or (outputs[0] - 1) * strides[0] + below > H or columns > W, (rows, columns)


@inner
def new_padded(x, geometry, band):
    """Return zeros for a padded image, empty where none must be; and its rows and columns."""
    needed, size = padded_size(x, geometry, band)
    return np.zeros(size[0] * size[1] * x.shape[3] if needed else 0, x.dtype), size


@inner
def pad(padded, size, x, n, padding, first):
    """Copy into the padded image what it holds of image n, from row `first` of all padded rows on.

    Return (vector, position) of what stands there, or of the image's own row where none is needed.
    """
    _, H, W, C = x.shape
    pixels = x.reshape(x.size)
    if padded.size == 0:
        return pixels, (n * H + first) * W * C
    for row in range(size[0]):
        h = first + row - padding[0]
        if 0 <= h < H:
            copy(padded, (row * size[1] + padding[1]) * C, pixels, (n * H + h) * W * C, W * C)
    return padded, 0


class Windows(NamedTuple):
    """The windows of an image, or of some of its rows."""

    shape: tuple[int, int, int]  # rows, columns and filters of the outputs
    steps: Pair  # in memory, from row to row and column to column of the outputs ...
    x_steps: Pair  # ... and of the windows
    strides: Pair
    dilation: Pair
    axes: tuple[Pair, Pair]  # by rows and by columns: how many zeros stand before the image, and its size


@inner
def cells_of(seen):
    """Return where the outputs stand in memory, and where each finds its window in x."""
    (OH, OW, _), to, at = seen.shape, seen.steps, seen.x_steps
    return grid(OH, to[0], OW, to[1]), grid(OH, at[0], OW, at[1])


@inner
def convolve(z, x, w, depth, floor, seen):
    """Compute the products of these windows, but for the kernel's rows and columns that lie outside the image.

    Outputs that see the image through the same cells of the kernel are computed at once.  z, x, w, depth and floor are
    those of `product`, of all outputs, or of more rows.
    """
    (OH, OW, F), steps, starts, strides, dilation, axes = seen
    p = 0
    while p < OH:
        p_end, i, i_end = alike(p, OH, strides[0], depth[0], dilation[0], axes[0])
        apart = w.across != IN_ROWS and p_end - p >= TALL and depth[0] * depth[2] >= LANES  # else it would not pay
        q = 0
        while q < OW:
            q_end, j, j_end = alike(q, OW, strides[1], depth[1], dilation[1], axes[1]) if apart else (OW, 0, depth[1])
            height, width = p_end - p, q_end - q
            to, at = z.rows, x.rows
            if width < OW:
                to, at = cells_of(Windows((height, width, F), steps, starts, strides, dilation, axes))
            there = z.position + p * steps[0] + q * steps[1]
            start = x.position + p * starts[0] + q * starts[1] + i * x.steps[0] + j * x.steps[1]
            row = i * w.steps[0] + j * w.steps[1]
            product(
                Table(z.vector, there, to, z.start, False), Inputs(x.vector, start, at, x.steps),
                Weights(w.vector, w.position, row, w.steps, w.across), (i_end - i, j_end - j, depth[2]), floor,
                (height * width, F),
            )  # fmt: skip
            q = q_end
        p = p_end


@inner
def alike(a, outputs, stride, count, step, axis):
    """Return which outputs from a on see the image through the same cells of the kernel, along one axis.

    As the one after the last of them, and the first of these cells and the one after the last.
    """
    i, i_end = inside(a, stride, count, step, axis)
    end = a + 1
    while end < outputs and inside(end, stride, count, step, axis) == (i, i_end):
        end += 1
    return end, i, i_end


@inner
def inside(a, a_step, count, step, axis):
    """Return which i < count put a * a_step + i * step - padding inside an axis, given as (padding, cells).

    As the first of them, and the one after the last.
    """
    start = a * a_step - axis[0]
    first = max(-(start // step), 0)
    return first, max(min((axis[1] - 1 - start) // step + 1, count), first)


# What is multiplied here are columns of x: its channels, each from pixel to pixel.  An image's pixels are further apart
# than the nearest cache likes (see `products`), so the channels are cut into blocks as wide as a tile is high, and the
# padded image holds one block of all pixels after the other.  The tiles of a block, one for each cell of the window,
# then read the same small piece of memory.


class Blocks(NamedTuple):
    """Padded images, channels in blocks."""

    image: int  # numbers from one image to the next
    size: Pair  # rows and columns
    block: int  # channels in a block


@inner
def blocks_for(x, geometry, band):
    """Return whether the gradient of `band` rows wants copies of the images; and how these, or they, are laid out."""
    _, H, W, C = x.shape
    needed, size = padded_size(x, geometry, band)
    block = CHANNELS if C > CHANNELS and geometry.window[0] * geometry.window[1] > 1 else C
    copied = needed or block < C
    image = size[0] * size[1] * ((C + block - 1) // block) * block if copied else H * W * C
    return copied, Blocks(image, size, block)


@inner
def pad_in_blocks(padded, blocks, x, n, padding, first):
    """Copy into the padded image what it holds of image n, from row `first` of all padded rows on."""
    _, H, W, C = x.shape
    pixels, (_, (rows, columns), block) = x.reshape(x.size), blocks
    for row in range(rows):
        h, cell = first + row - padding[0], row * columns + padding[1]
        start = (n * H + h) * W * C
        if not 0 <= h < H:
            if block == C:  # else nobody reads it: see `correlate`
                padded[cell * C : (cell + W) * C] = 0
        elif block == C:
            copy(padded, cell * C, pixels, start, W * C)
        else:
            for c in range(0, C, CHANNELS):
                to = c * rows * columns + cell * CHANNELS
                for v in range(W):
                    copy(padded, to + v * CHANNELS, pixels, start + v * C + c, CHANNELS if c + CHANNELS <= C else C - c)


class Gradients(NamedTuple):
    """The gradients of some images' feature maps, or of bands of these."""

    vector: np.ndarray
    position: int  # of the first cell that counts
    images: int
    image: int  # numbers from one image to the next
    columns: int  # cells from row to row
    counted: Pair  # rows and columns that count


@inner
def correlate(dw, shape, x, blocks, dz, axis, geometry, add):
    """Add the part of some padded images to dw: the sum over them and over (p, q) of x[h, v].T @ dz[p, q].

    Or write it there unless `add`.

    Args:
        dw: as a vector.
        shape: of dw.
        x: (vector, position) of the first padded image.
        blocks: how it is laid out.
        dz: Gradients.
        axis: rows of zeros above those of the image, and rows of the image.
        geometry: for strides and dilation.
        add: see above.
    """
    (KH, KW, C, F), (x_image, size, block) = shape, blocks
    gradients, start, images, dz_image, dz_row, outputs = dz
    strides, dilation, row = geometry.strides, geometry.dilation, size[1] * block
    x_steps, w_steps = (x_image, strides[0] * row, strides[1] * block), (dz_image // F, dz_row, 1)
    # By rows of the kernel, as each sees other rows of dz; but few channels are too few rows for a table of their own.
    together = KH if block == C else 1
    rows, zeros = together * KW * C, np.zeros(F, dw.dtype)
    at, to = np.empty(rows, np.int64), np.empty(rows, np.int64)
    for top in range(0, KH, together):
        p, end = inside(top, dilation[0], outputs[0], strides[0], axis) if together == 1 else (0, outputs[0])
        i = 0
        for first in range(0, C, block):
            for kh in range(top, top + together):
                for kw in range(KW):
                    for c in range(first, min(first + block, C)):
                        cell = kh * dilation[0] * size[1] + kw * dilation[1]
                        at[i] = first * size[0] * size[1] + cell * block + c - first
                        to[i] = ((kh * KW + kw) * C + c) * F
                        i += 1
        product(
            Table(dw, 0, to, zeros, add), Inputs(x[0], x[1] + p * strides[0] * row, at, x_steps),
            Weights(gradients, start + p * dz_row * F, 0, w_steps, IN_ROWS),
            (images, end - p, outputs[1]), NO_FLOOR, (rows, F),
        )  # fmt: skip


@shared
def add_sums(share, dw, sums, add):
    """Add the sums of all shares, which are longer, to what is in dw where `add`."""
    flat, all_sums, length = dw.reshape(dw.size), sums.reshape(sums.size), sums.shape[1]
    first, last = part(share, dw.size)
    for i in range(first, last, LANES):
        total = load(flat, i, last - i) if add else fill(np.float32(0))
        for s in range(len(sums)):
            total = total + load(all_sums, s * length + i, last - i)
        store(flat, i, last - i, total)


# A cell h of the input was seen by the windows p with h = p s + i d - padding.  Cells with the same remainder of h / s,
# one "phase" of the input, were seen through the same kernel rows i = first, first + step, ...; from one to the
# next, p falls by `gap`.  So each phase of dx is itself a convolution, with stride 1: of dy, within zeros, with the
# rows of the kernel that belong to it, in reverse order, and with C and F exchanged.


@inner
def phase(a, kernel, stride, padding, dilation):
    """Return the kernel cells that the input cells a, a + stride, ... were seen through, along one axis.

    As (first, step, count), and the output cell that saw cell a through the last of them, and the gap.
    """
    rest = (a + padding) % stride
    first = 0
    while first < kernel and first * dilation % stride != rest:
        first += 1
    step = 1
    while step * dilation % stride:
        step += 1
    count = max((kernel - first + step - 1) // step, 0)
    gap = step * dilation // stride
    return first, step, count, (a + padding - (first + (count - 1) * step) * dilation) // stride, gap


@inner
def reversed_kernel(team, w, strides, padding, dilation):
    """Return the kernel as the phases need it: for each of them, its cells in reverse order, transposed to (F, C).

    The channels stand in panels.  Of few, as `scatter` needs it: transposed to (F, KH KW C).
    """
    C = w.shape[2]
    wt = np.empty(w.size if C <= NARROW else w.size // C * panel_columns(C), w.dtype)
    share_out(team, _reverse, (wt, w, strides, padding, dilation), w.size)
    return wt


@shared
def _reverse(share, wt, w, strides, padding, dilation):
    """Do a share of the filters."""
    KH, KW, C, F = w.shape
    first, last = part(share, F)
    kernel = w.reshape(w.size)
    if C <= NARROW:
        turn((wt, first * KH * KW * C), KH * KW * C, (kernel, first), F, KH * KW * C, last - first)
        return
    end = 0
    for a in range(strides[0]):
        i, i_step, rows, _, _ = phase(a, KH, strides[0], padding[0], dilation[0])
        for b in range(strides[1]):
            j, j_step, columns, _, _ = phase(b, KW, strides[1], padding[1], dilation[1])
            cells = rows * columns
            for index in range(cells):
                row, column = (cells - 1 - index) // columns, (cells - 1 - index) % columns
                cell = ((i + row * i_step) * KW + j + column * j_step) * C * F + first
                for c in range(0, C, PANEL):
                    width = panel_width(C, c)
                    to = end + c * cells * F + (index * F + first) * width
                    turn((wt, to), width, (kernel, cell + c * F), F, min(PANEL, C - c), last - first)
            end += cells * F * panel_columns(C)


@inner
def _padded_along(cells, outputs, kernel, stride, padding, dilation):
    """Return how many zeros the windows of all phases need before the output's cells, and how many cells in all."""
    before, last = 0, outputs - 1
    for a in range(min(stride, cells)):
        _, _, count, p, gap = phase(a, kernel, stride, padding, dilation)
        if count:
            before = max(before, -p)
            last = max(last, p + (cells - 1 - a) // stride + (count - 1) * gap)
    return before, before + last + 1


@inner
def padded_gradient_size(cells, geometry):
    """Return the rows and columns of one image's padded output gradient, and where dy begins in it."""
    window, strides, padding, dilation, _, outputs, _ = geometry
    top, rows = _padded_along(cells[0], outputs[0], window[0], strides[0], padding[0], dilation[0])
    left, columns = _padded_along(cells[1], outputs[1], window[1], strides[1], padding[1], dilation[1])
    return (rows, columns), (top, left)


@inner
def back(dx, shape, dz, size, border, wt, F, geometry):
    """Compute an image's input gradient at (vector, position) from its padded output gradient, phase by phase."""
    H, W, C = shape
    if C <= NARROW:
        scatter(dx, shape, dz, size, border, wt, F, geometry)
        return
    window, strides, padding, dilation, _, outputs, _ = geometry
    zeros = np.zeros(C, dx[0].dtype)
    row = size[1] * F
    end = 0
    for a in range(min(strides[0], H)):
        _, _, rows, p, i_gap = phase(a, window[0], strides[0], padding[0], dilation[0])
        for b in range(strides[1]):
            _, _, columns, q, j_gap = phase(b, window[1], strides[1], padding[1], dilation[1])
            if b < W:
                height, width = (H - 1 - a) // strides[0] + 1, (W - 1 - b) // strides[1] + 1
                start = (border[0] + p) * row + (border[1] + q) * F if rows * columns else 0
                z, axes = (dx[0], dx[1] + (a * W + b) * C), ((-p, outputs[0]), (-q, outputs[1]))
                seen = Windows(
                    (height, width, C), (strides[0] * W * C, strides[1] * C), (row, F), (1, 1), (i_gap, j_gap), axes
                )
                to, at = cells_of(seen)
                convolve(
                    Table(z[0], z[1], to, zeros, False), Inputs(dz, start, at, (i_gap * row, j_gap * F, 1)),
                    Weights(wt, end, 0, (columns * F, F, 1), rows * columns * F), (rows, columns, F), NO_FLOOR, seen,
                )  # fmt: skip
            end += rows * columns * F * panel_columns(C)


@inner
def scatter(dx, shape, dz, size, border, wt, F, geometry):
    """Compute the same where x has few channels, which would leave most of a register empty.

    Then the kernel's cells fill the registers: dz[p, q] @ w^T is what one output cell hands to all cells under its
    window, and is added to them row by row.
    """
    (cells, position), (H, W, C) = dx, shape
    window, strides, padding, dilation, _, outputs, _ = geometry
    taps = window[0] * window[1] * C
    rows = max((outputs[0] - 1) * strides[0] + (window[0] - 1) * dilation[0] + 1, padding[0] + H)
    columns = max((outputs[1] - 1) * strides[1] + (window[1] - 1) * dilation[1] + 1, padding[1] + W)
    total, handed = np.zeros(rows * columns * C, cells.dtype), np.empty(outputs[1] * taps, cells.dtype)
    zeros = np.zeros(taps, cells.dtype)
    to, at = grid(outputs[1], taps, 1, 0), grid(outputs[1], F, 1, 0)
    together = window[1] if dilation[1] == 1 else 1  # cells of a row of the window that are neighbours in x
    for p in range(outputs[0]):
        x = ((border[0] + p) * size[1] + border[1]) * F
        product(
            Table(handed, 0, to, zeros, False), Inputs(dz, x, at, (0, 0, 1)), Weights(wt, 0, 0, (0, 0, 1), IN_ROWS),
            (1, 1, F), NO_FLOOR, (outputs[1], taps),
        )  # fmt: skip
        for q in range(outputs[1]):
            for i in range(window[0]):
                for j in range(0, window[1], together):
                    there = (p * strides[0] + i * dilation[0]) * columns + q * strides[1] + j * dilation[1]
                    add_to(total, there * C, handed, q * taps + (i * window[1] + j) * C, together * C)
    for h in range(H):
        copy(cells, position + h * W * C, total, ((padding[0] + h) * columns + padding[1]) * C, W * C)
