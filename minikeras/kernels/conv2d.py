"""Convolution, rectifier and maximum of touching windows, one image at a time: what is between them stays in the cache.

Layer by layer, a batch's feature maps are written to memory, read back by the next layer, and read twice more on the
way back; they are far larger than what goes in and comes out.  Here an image's map lives only as long as it is needed,
in a scratch array that each share of the work has for itself.  Large images, and few, are cut into bands of rows.  The
rectifier runs after the maximum, on fewer numbers.  `functional.conv2d` says what is computed.
"""

from typing import NamedTuple

import numpy as np

from . import convolution
from .convolution import Geometry, Gradients, Pair, Windows
from .products import NO_FLOOR, Inputs, Table, Weights
from .team import MUCH, SHARES, part, share_out, shared
from .vectors import LANES, add_to, agree, copy, either, equal, fill, greater, inner, load, missing, store, where

ZERO = np.float32(0)
IMAGES = 32  # shares: the smaller they are, the less a thread waits for the last one of another, slower core
GROUP = 2**17  # numbers: half of a core's own cache
SUMS = 2**20  # numbers, of all shares' dw: with larger ones there are fewer shares


def forward(team, y, winner, x, w, b, strides, padding, dilation, pool, outputs, rectified):
    """Go image by image; where these are large or fewer than shares, they are cut into bands of rows."""
    geometry = Geometry(w.shape[:2], strides, padding, dilation, pool, outputs, rectified)
    agree(b.size == w.shape[3] and (winner.shape == y.shape or winner.size == 0))
    convolution.linked(x, w, y)
    agree(touching(y, pool, outputs))
    v, across = convolution.laid_out(team, w, len(x) * outputs[0] * outputs[1] * w.shape[3])
    _, shares = _cut(x, y)
    share_out(team, _forward_share, (y, winner, x, v, across, b, geometry), MUCH, shares)


@inner
def _cut(x, y):
    """Return into how many bands to cut an image, and how many shares to make of all bands."""
    bands = bands_of(len(x), y.shape[1], x.size // max(len(x), 1))
    return bands, min(len(x) * bands, IMAGES)


@inner
def touching(y, pool, outputs):
    """Return whether the windows of y lie within the feature map; it is y itself where nothing is pooled."""
    rows, columns = y.shape[1] * pool[0], y.shape[2] * pool[1]
    return rows <= outputs[0] and columns <= outputs[1] if pool != (1, 1) else (rows, columns) == outputs


@shared
def _forward_share(share, y, winner, x, w, across, b, geometry):
    (N, PH, PW, F), (_, H, W, C), (bands, shares) = y.shape, x.shape, _cut(x, y)
    (KH, KW), strides, padding, dilation, pool, outputs, rectified = geometry
    band = (PH + bands - 1) // bands * pool[0]
    padded, size = convolution.new_padded(x, geometry, band)
    steps, x_steps = (outputs[1] * F, F), (strides[0] * size[1] * C, strides[1] * C)
    to, at = convolution.cells_of(Windows((band, outputs[1], F), steps, x_steps, strides, dilation, ((0, 0), (0, 0))))
    cell_steps, w_steps = (dilation[0] * size[1] * C, dilation[1] * C, 1), (KW * C, C, 1)
    pooled = pool != (1, 1)
    floor = ZERO if rectified and not pooled else NO_FLOOR
    scratch = np.empty(band * outputs[1] * F if pooled else 0, y.dtype)
    numbers = y.reshape(y.size)
    for i in range(*part(share, N * bands, shares)):
        n, top, bottom = i // bands, i % bands * PH // bands, (i % bands + 1) * PH // bands
        first = top * pool[0] * strides[0]
        pixels, start = convolution.pad(padded, size, x, n, padding, first)
        axes = (padding[0] - first, H), (padding[1], W)
        here = (n * PH + top) * PW * F
        z, begin = (scratch, 0) if pooled else (numbers, here)
        shape = (bottom - top) * pool[0], outputs[1], F
        convolution.convolve(
            Table(z, begin, to, b, False), Inputs(pixels, start, at, cell_steps), Weights(w, 0, 0, w_steps, across),
            (KH, KW, C), floor, Windows(shape, steps, x_steps, strides, dilation, axes),
        )  # fmt: skip
        if pooled:
            shape = bottom - top, PW, F
            _pool(numbers, winner.reshape(winner.size), here, shape, scratch, outputs[1], pool, rectified)


@inner
def _pool(y, winner, start, shape, a, columns, pool, rectified):
    """Fill rows of y, from position `start` on, with the maxima of a's windows."""
    PH, PW, F = shape
    zero, off = fill(ZERO), fill(np.float32(-1))
    for p in range(PH):
        for q in range(PW):
            for f in range(0, F, LANES):
                corner, left = ((p * pool[0]) * columns + q * pool[1]) * F + f, F - f
                best, cell = load(a, corner, left), zero
                for i in range(pool[0]):
                    for j in range(pool[1]):
                        value = load(a, corner + (i * columns + j) * F, left)
                        wins = either(greater(value, best), missing(value))
                        best = where(wins, value, best)
                        cell = where(wins, fill(np.float32(i * pool[1] + j)), cell)
                if rectified:
                    on = either(greater(best, zero), missing(best))
                    best, cell = where(on, best, zero), where(on, cell, off)
                here = start + (p * PW + q) * F + f
                store(y, here, left, best)
                if winner.size:
                    store(winner, here, left, cell)


def backward(team, dw, db, dx, dy, y, winner, x, w, strides, padding, dilation, pool, outputs, rectified, add):
    """Go image by image or band by band; each share adds up its own, and then the shares are added.

    Large sums allow few shares; those of dx are then apart, so that there are small ones to be done last.
    """
    geometry = Geometry(w.shape[:2], strides, padding, dilation, pool, outputs, rectified)
    wants_dx = dx.size > 0
    agree(dw.shape == w.shape and db.size == w.shape[3] and (dx.shape == x.shape or not wants_dx))
    agree(y.shape == dy.shape and (winner.shape == dy.shape or (winner.size == 0 and pool == (1, 1))))
    agree(touching(dy, pool, outputs))
    convolution.linked(x, w, dy)
    wt = convolution.reversed_kernel(team, w, strides, padding, dilation) if wants_dx else np.empty(0, w.dtype)
    shares = SHARES
    while 2 * shares <= IMAGES and 2 * shares * dw.size <= SUMS:
        shares *= 2
    sums = np.empty((shares, dw.size + db.size), dw.dtype)  # of dw, and after them of db
    outcome = y if pool == (1, 1) else winner  # what tells where dy goes
    share_out(team, _backward_share, (sums, dx, dy, outcome, x, wt, geometry), MUCH, shares + _apart(sums, dx))
    share_out(team, convolution.add_sums, (dw, sums, add))
    if not add:
        db[:] = 0
    for s in range(shares):
        for f in range(db.size):
            db[f] += sums[s, dw.size + f]


@inner
def _apart(sums, dx):
    """Return how many shares do dx alone, after those with sums."""
    return IMAGES if dx.size > 0 and len(sums) == SHARES else 0


@shared
def _backward_share(share, sums, dx, dy, outcome, x, wt, geometry):
    """Do the gradients of some images, or those of dx alone."""
    window, strides, padding, dilation, pool, outputs, rectified = geometry
    (N, H, W, C), (_, PH, _, F), apart, wants_dw = x.shape, dy.shape, _apart(sums, dx), share < len(sums)
    wants_dx = dx.size > 0 and wants_dw == (apart == 0)
    bands = bands_of(N, PH, H * W * C + outputs[0] * outputs[1] * F)
    most = (PH + bands - 1) // bands * pool[0] + outputs[0] - PH * pool[0]
    needed, blocks = convolution.blocks_for(x, geometry, most)
    copied, x_image, dz_image = needed and wants_dw, blocks.image, 0
    for k in range(bands):
        size_k = _band(k, bands, PH, (H, W), geometry, wants_dx).size
        dz_image = max(dz_image, size_k[0] * size_k[1] * F)

    # The larger the group of images, the fewer times the sums for dw are read and written; but they have to fit.
    first, last = part(share, N * bands, len(sums)) if wants_dw else part(share - len(sums), N * bands, apart)
    group = max(1, min(last - first, GROUP // (x_image + dz_image))) if bands == 1 and wants_dw else 1
    padded, dz = np.zeros(group * x_image if copied else 0, x.dtype), np.zeros(group * dz_image, x.dtype)
    bias_sum = np.zeros(F, x.dtype)
    if wants_dw and first == last:
        sums[share] = 0
    for i in range(first, last, group):
        n, images = i // bands, min(group, last - i)
        band = _band(i % bands, bands, PH, (H, W), geometry, wants_dx)
        row = band.size[1] * F
        start, top = band.border[0] * row + band.border[1] * F, band.map[0] * strides[0]
        for image in range(images):
            dz_n = dz[image * dz_image : (image + 1) * dz_image]
            if copied:
                x_n = padded[image * x_image : (image + 1) * x_image]
                convolution.pad_in_blocks(x_n, blocks, x, n + image, padding, top)
            if pool != (1, 1):
                _unpool(dz_n, start, bias_sum, dy, outcome, n + image, band, pool)
            else:
                _gate(dz_n, start, bias_sum, dy, outcome, n + image, band, rectified)
            for q in range((band.seen[1] - band.seen[0]) * pool[0], band.cells[0]):  # below the last window
                dz_n[start + q * row : start + q * row + outputs[1] * F] = 0
            if wants_dx:
                h, h_end = band.image
                convolution.back(
                    (dx.reshape(dx.size), ((n + image) * H + h) * W * C), (h_end - h, W, C), dz_n, band.size,
                    band.border, wt, F, Geometry(window, strides, band.padding, dilation, pool, band.cells, rectified),
                )  # fmt: skip
        if wants_dw:
            pixels, begin = (padded, 0) if copied else (x.reshape(x.size), (n * H + top) * W * C)
            start += (band.map[0] - band.seen[0] * pool[0]) * row
            counted = band.map[1] - band.map[0], outputs[1]
            convolution.correlate(
                sums[share], (*window, C, F), (pixels, begin), blocks,
                Gradients(dz, start, images, dz_image, band.size[1], counted), (padding[0] - top, H), geometry,
                i > first,
            )  # fmt: skip
    if wants_dw:
        sums[share, sums.shape[1] - F :] = bias_sum


@inner
def bands_of(images, rows, numbers):
    """Return into how many bands of rows to cut images of so many numbers: to fit into the cache, for all shares."""
    return max(1, min(rows, max((SHARES + images - 1) // max(images, 1), numbers // GROUP + 1)))


# A band answers for some rows of y: for what they add to dw and db, and for about as many rows of dx.  But these were
# also seen by windows of the rows around them.  So dz is made for more rows, with which the band's rows of dx are an
# image of their own, at another distance from the first window.


class Band(NamedTuple):
    """Rows of one band, each from the first to after the last, and its padded dz."""

    own: Pair  # rows of y that it answers for; ...
    map: Pair  # ... of the map, ...
    image: Pair  # ... and of dx
    seen: Pair  # rows of y that its dx needs
    cells: Pair  # rows and columns of the map that they cover
    size: Pair  # rows and columns of the padded dz
    border: Pair  # where the map begins in it
    padding: Pair  # of dx, seen from there


@inner
def _band(band, bands, PH, image, geometry, wants_dx):
    """Return a band of images of so many rows and columns, whose y has PH rows."""
    window, strides, padding, dilation, pool, outputs, rectified = geometry
    own, last = (band * PH // bands, (band + 1) * PH // bands), band + 1 == bands
    p, p_end = own[0] * pool[0], outputs[0] if last else own[1] * pool[0]
    h, h_end = min(p * strides[0], image[0]), image[0] if last else min(p_end * strides[0], image[0])
    seen = own
    if wants_dx:
        above = h + padding[0] - (window[0] - 1) * dilation[0]
        first, end = (above + strides[0] - 1) // strides[0], (h_end - 1 + padding[0]) // strides[0] + 1
        seen = max(min(first // pool[0], own[0]), 0), min(max((end + pool[0] - 1) // pool[0], own[1]), PH)
    first, end = seen[0] * pool[0], outputs[0] if seen[1] == PH else seen[1] * pool[0]
    cells, moved = (end - first, outputs[1]), (padding[0] + h - first * strides[0], padding[1])
    size, border = cells, (0, 0)
    if wants_dx:
        of_band = Geometry(window, strides, moved, dilation, pool, cells, rectified)
        size, border = convolution.padded_gradient_size((h_end - h, image[1]), of_band)
    return Band(own, (p, p_end), (h, h_end), seen, cells, size, border, moved)


@inner
def _unpool(dz, start, db, dy, winner, n, band, pool):
    """Put each dy of a band in its winner's cell, and 0 in the window's others; add the dz of its own rows to db."""
    (_, PH, PW, F), rows, counted, columns = dy.shape, band.seen, band.own, band.size[1]
    gradients, cells = dy.reshape(dy.size), winner.reshape(winner.size)
    zero, off, row = fill(ZERO), fill(np.float32(-1)), np.zeros(F, dz.dtype)
    for p in range(rows[0], rows[1]):
        for q in range(PW):
            for f in range(0, F, LANES):
                here, left = ((n * PH + p) * PW + q) * F + f, F - f
                d, cell = load(gradients, here, left), load(cells, here, left)
                store(row, f, left, load(row, f, left) + where(equal(cell, off), zero, d))
                corner = start + ((p - rows[0]) * pool[0] * columns + q * pool[1]) * F + f
                for i in range(pool[0]):
                    for j in range(pool[1]):
                        wins = equal(cell, fill(np.float32(i * pool[1] + j)))
                        store(dz, corner + (i * columns + j) * F, left, where(wins, d, zero))
        _hand_over(db, row, counted[0] <= p < counted[1])


@inner
def _gate(dz, start, db, dy, y, n, band, rectified):
    """Let the dy of a band pass where the rectifier was on; add the dz of its own rows to db."""
    (_, OH, OW, F), rows, counted, columns = dy.shape, band.seen, band.own, band.size[1]
    gradients, outcome = dy.reshape(dy.size), y.reshape(y.size)
    zero, row = fill(ZERO), np.zeros(F, dz.dtype)
    for p in range(rows[0], rows[1]):
        for q in range(OW):
            for f in range(0, F, LANES):
                here, left = ((n * OH + p) * OW + q) * F + f, F - f
                d = load(gradients, here, left)
                if rectified:
                    d = where(greater(load(outcome, here, left), zero), d, zero)
                store(dz, start + ((p - rows[0]) * columns + q) * F + f, left, d)
                store(row, f, left, load(row, f, left) + d)
        _hand_over(db, row, counted[0] <= p < counted[1])


@inner
def _hand_over(db, row, counts):
    """Add what a row of cells gave, if it counts, and forget it: adding up row by row rounds less."""
    add_to(db, 0, row, 0, row.size if counts else 0)  # with a branch here, LLVM makes the callers' loops slower
    row[:] = 0


def input_gradient(team, dx, dz, w, strides, padding, dilation):
    """Convolve dz with the reversed kernel, once for each phase of the strides."""
    convolution.linked(dx, w, dz)
    geometry = Geometry(w.shape[:2], strides, padding, dilation, (1, 1), dz.shape[1:3], False)
    wt = convolution.reversed_kernel(team, w, strides, padding, dilation)
    share_out(team, _input_gradient_share, (dx, dz, wt, geometry))


@shared
def _input_gradient_share(share, dx, dz, wt, geometry):
    (_, OH, OW, F), (_, H, W, C) = dz.shape, dx.shape
    size, border = convolution.padded_gradient_size((H, W), geometry)
    padded = np.zeros(size[0] * size[1] * F, dx.dtype)
    gradients = dz.reshape(dz.size)
    for n in range(*part(share, len(dx))):
        for p in range(OH):
            copy(padded, ((border[0] + p) * size[1] + border[1]) * F, gradients, (n * OH + p) * OW * F, OW * F)
        dx_n = dx.reshape(dx.size), n * H * W * C
        convolution.back(dx_n, (H, W, C), padded, size, border, wt, F, geometry)
