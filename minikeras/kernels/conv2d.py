"""Convolution, rectifier and maximum of touching windows, one image at a time: what is between them stays in the cache.

Layer by layer, a batch's feature maps are written to memory, read back by the next layer, and read twice more on the
way back; they are far larger than what goes in and comes out.  Here an image's map lives only as long as it is needed,
in a scratch array that each share of the work has for itself.  Large images, and few, are cut into bands of rows.  The
rectifier runs after the maximum, on fewer numbers.  `functional.conv2d` says what is computed.
"""

from typing import NamedTuple

import numpy as np

from . import convolution
from .products import NO_FLOOR
from .team import MUCH, SHARES, part, share_out, shared
from .vectors import LANES, add_to, agree, copy, either, equal, fill, greater, inner, load, missing, store, where

Pair = tuple[int, int]
ZERO = np.float32(0)
IMAGES = 32  # shares: the smaller they are, the less a thread waits for the last one of another, slower core
GROUP = 2**17  # numbers: half of a core's own cache
SUMS = 2**20  # numbers, of all shares' dw: with larger ones there are fewer shares


def forward(team, y, winner, x, w, b, strides, padding, dilation, pool, outputs, rectified):
    """Go image by image; where these are large or fewer than shares, they are cut into bands of rows."""
    agree(b.size == w.shape[3] and (winner.shape == y.shape or winner.size == 0))
    convolution.linked(x, w, y)
    agree(touching(y, pool, outputs))
    v, across = convolution.laid_out(team, w, len(x) * outputs[0] * outputs[1] * w.shape[3])
    N, PH = y.shape[:2]
    bands = bands_of(N, PH, x.size // max(N, 1))
    shares = min(N * bands, IMAGES)
    share_out(
        team, _forward_share,
        (shares, bands, y, winner, x, w.shape, v, across, b, strides, padding, dilation, pool, outputs, rectified),
        MUCH, shares,
    )  # fmt: skip


@inner
def touching(y, pool, outputs):
    """Return whether the windows of y lie within the feature map; it is y itself where nothing is pooled."""
    rows, columns = y.shape[1] * pool[0], y.shape[2] * pool[1]
    return rows <= outputs[0] and columns <= outputs[1] if pool != (1, 1) else (rows, columns) == outputs


@shared
def _forward_share(
    share, shares, bands, y, winner, x, window, w, across, b, strides, padding, dilation, pool, outputs, rectified
):  # fmt: skip
    N, PH, PW, F = y.shape
    band = (PH + bands - 1) // bands * pool[0]
    frame, size = convolution.new_frame(x, outputs, window[:2], strides, padding, dilation, band)
    steps = convolution.output_steps(outputs, F, size, x.shape[3], strides)
    cells = convolution.grids((band, outputs[1], F), steps)
    pooled = pool != (1, 1)
    floor = ZERO if rectified and not pooled else NO_FLOOR
    scratch = np.empty(band * outputs[1] * F if pooled else 0, y.dtype)
    numbers = y.reshape(y.size)
    for i in range(*part(share, N * bands, shares)):
        n, top, bottom = i // bands, i % bands * PH // bands, (i % bands + 1) * PH // bands
        first = top * pool[0] * strides[0]
        x_n = convolution.framed(frame, size, x, n, padding, first)
        axes = (padding[0] - first, x.shape[1]), (padding[1], x.shape[2])
        place = (n * PH + top) * PW * F
        z, shape = (scratch, 0) if pooled else (numbers, place), ((bottom - top) * pool[0], outputs[1], F)
        convolution.convolve(z, shape, steps, cells, x_n, size, axes, window, w, across, b, strides, dilation, floor)
        if pooled:
            shape = bottom - top, PW, F
            _pool(numbers, winner.reshape(winner.size), place, shape, scratch, outputs[1], pool, rectified)


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
                place = start + (p * PW + q) * F + f
                store(y, place, left, best)
                if winner.size:
                    store(winner, place, left, cell)


def backward(team, dw, db, dx, dy, y, winner, x, w, strides, padding, dilation, pool, outputs, rectified, add):
    """Go image by image or band by band; each share adds up its own, and then the shares are added.

    Large sums allow few shares; those of dx are then apart, so that there are small ones to be done last.
    """
    wants_dx = dx.size > 0
    agree(dw.shape == w.shape and db.size == w.shape[3] and (dx.shape == x.shape or not wants_dx))
    agree(y.shape == dy.shape and (winner.shape == dy.shape or (winner.size == 0 and pool == (1, 1))))
    agree(touching(dy, pool, outputs))
    convolution.linked(x, w, dy)
    wt = convolution.reversed_kernel(team, w, strides, padding, dilation) if wants_dx else np.empty(0, w.dtype)
    shares = SHARES
    while 2 * shares <= IMAGES and 2 * shares * dw.size <= SUMS:
        shares *= 2
    apart = IMAGES if wants_dx and shares == SHARES else 0
    sums, bias_sums = np.empty((shares, dw.size), dw.dtype), np.empty((shares, db.size), db.dtype)
    share_out(
        team, _backward_share,
        (sums, bias_sums, apart, dx, dy, y, winner, x, w.shape, wt, strides, padding, dilation, pool, outputs,
         rectified), MUCH, shares + apart,
    )  # fmt: skip
    share_out(team, convolution.add_sums, (dw, sums, add))
    if not add:
        db[:] = 0
    for s in range(shares):
        for f in range(db.size):
            db[f] += bias_sums[s, f]


@shared
def _backward_share(
    share, sums, bias_sums, apart, dx, dy, y, winner, x, shape, wt, strides, padding, dilation, pool, outputs, rectified
):
    """Do the gradients of some images; the shares after those with sums do dx alone."""
    window, F = shape[:2], shape[3]
    (N, H, W, C), PH, wants_dw = x.shape, dy.shape[1], share < len(sums)
    wants_dx = dx.size > 0 and wants_dw == (apart == 0)
    bands = bands_of(N, PH, H * W * C + outputs[0] * outputs[1] * F)
    most = (PH + bands - 1) // bands * pool[0] + outputs[0] - PH * pool[0]
    needed, block, x_image, size = convolution.for_weights(x, outputs, window, strides, padding, dilation, most)
    geometry, copied = (PH, (H, W), outputs, window, strides, padding, dilation, pool, wants_dx), needed and wants_dw
    dz_image = 0
    for k in range(bands):
        size_k = _band(k, bands, *geometry).size
        dz_image = max(dz_image, size_k[0] * size_k[1] * F)

    # The larger the group of images, the fewer times the sums for dw are read and written; but they have to fit.
    first, last = part(share, N * bands, len(sums)) if wants_dw else part(share - len(sums), N * bands, apart)
    group = max(1, min(last - first, GROUP // (x_image + dz_image))) if bands == 1 and wants_dw else 1
    frames, dz = np.zeros(group * x_image if copied else 0, x.dtype), np.zeros(group * dz_image, x.dtype)
    bias_sum = np.zeros(F, x.dtype)
    if wants_dw and first == last:
        sums[share] = 0
    for i in range(first, last, group):
        n, images = i // bands, min(group, last - i)
        band = _band(i % bands, bands, *geometry)
        row = band.size[1] * F
        start, top = band.border[0] * row + band.border[1] * F, band.map[0] * strides[0]
        for image in range(images):
            dz_n = dz[image * dz_image : (image + 1) * dz_image]
            if copied:
                frame = frames[image * x_image : (image + 1) * x_image]
                convolution.frame_in_blocks(frame, size, block, x, n + image, padding, top)
            if winner.size:
                _unpool(dz_n, start, band.size[1], bias_sum, dy, winner, n + image, band.seen, band.own, pool)
            else:
                _gate(dz_n, start, band.size[1], bias_sum, dy, y, n + image, band.seen, band.own, rectified)
            for q in range((band.seen[1] - band.seen[0]) * pool[0], band.cells[0]):  # below the last window
                dz_n[start + q * row : start + q * row + outputs[1] * F] = 0
            if wants_dx:
                h, h_end = band.image
                convolution.back(
                    (dx.reshape(dx.size), ((n + image) * H + h) * W * C), (h_end - h, W, C), dz_n, band.size,
                    band.border, band.cells, wt, F, window, strides, band.padding, dilation,
                )  # fmt: skip
        if wants_dw:
            x_n = (frames, 0) if copied else (x.reshape(x.size), (n * H + top) * W * C)
            all_dz = dz, dz_image, band.size[1], (band.map[1] - band.map[0], outputs[1])
            start += (band.map[0] - band.seen[0] * pool[0]) * row
            axis, going_on = (padding[0] - top, H), i > first
            convolution.correlate(
                sums[share], shape, images, x_n, x_image, size, axis, block, all_dz, start, strides, dilation, going_on
            )
    if wants_dw:
        bias_sums[share] = bias_sum


@inner
def bands_of(images, rows, numbers):
    """Return into how many bands of rows to cut images of so many numbers: to fit into the cache, for all shares."""
    return max(1, min(rows, max((SHARES + images - 1) // max(images, 1), numbers // GROUP + 1)))


# A band answers for some rows of y: for what they add to dw and db, and for about as many rows of dx.  But these were
# also seen by windows of the rows around them.  So dz is made for more rows, with which the band's rows of dx are an
# image of their own, at another distance from the first window.


class Band(NamedTuple):
    """Rows of one band, each from the first to after the last, and the frame of its dz."""

    own: Pair  # rows of y that it answers for; ...
    map: Pair  # ... of the map, ...
    image: Pair  # ... and of dx
    seen: Pair  # rows of y that its dx needs
    cells: Pair  # rows and columns of the map that they cover
    size: Pair  # rows and columns of the frame
    border: Pair  # where the map begins in the frame
    padding: Pair  # of dx, seen from there


@inner
def _band(band, bands, PH, image, outputs, window, strides, padding, dilation, pool, wants_dx):
    """Return a band of images of so many rows and columns, whose y has PH rows."""
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
        size, border = convolution.gradient_frame_size((h_end - h, image[1]), cells, window, strides, moved, dilation)
    return Band(own, (p, p_end), (h, h_end), seen, cells, size, border, moved)


@inner
def _unpool(dz, start, columns, db, dy, winner, n, rows, counted, pool):
    """Put each dy of these rows in its winner's place, and 0 in the others of the window; add some rows' dz to db."""
    _, PH, PW, F = dy.shape
    gradients, cells = dy.reshape(dy.size), winner.reshape(winner.size)
    zero, off, row = fill(ZERO), fill(np.float32(-1)), np.zeros(F, dz.dtype)
    for p in range(rows[0], rows[1]):
        for q in range(PW):
            for f in range(0, F, LANES):
                place, left = ((n * PH + p) * PW + q) * F + f, F - f
                d, cell = load(gradients, place, left), load(cells, place, left)
                store(row, f, left, load(row, f, left) + where(equal(cell, off), zero, d))
                corner = start + ((p - rows[0]) * pool[0] * columns + q * pool[1]) * F + f
                for i in range(pool[0]):
                    for j in range(pool[1]):
                        wins = equal(cell, fill(np.float32(i * pool[1] + j)))
                        store(dz, corner + (i * columns + j) * F, left, where(wins, d, zero))
        _hand_over(db, row, counted[0] <= p < counted[1])


@inner
def _gate(dz, start, columns, db, dy, y, n, rows, counted, rectified):
    """Let the dy of these rows pass where the rectifier was on; add some rows' dz to db."""
    _, OH, OW, F = dy.shape
    gradients, outcome = dy.reshape(dy.size), y.reshape(y.size)
    zero, row = fill(ZERO), np.zeros(F, dz.dtype)
    for p in range(rows[0], rows[1]):
        for q in range(OW):
            for f in range(0, F, LANES):
                place, left = ((n * OH + p) * OW + q) * F + f, F - f
                d = load(gradients, place, left)
                if rectified:
                    d = where(greater(load(outcome, place, left), zero), d, zero)
                store(dz, start + ((p - rows[0]) * columns + q) * F + f, left, d)
                store(row, f, left, load(row, f, left) + d)
        _hand_over(db, row, counted[0] <= p < counted[1])


@inner
def _hand_over(db, row, counts):
    """Add what a row of cells gave, if it counts, and forget it: adding up row by row rounds less."""
    add_to(db, 0, row, 0, row.size if counts else 0)  # with a branch here, LLVM makes the callers' loops slower
    row[:] = 0


def input_gradient(team, dx, dy, w, strides, padding, dilation):
    """Convolve dy with the reversed kernel, once for each phase of the strides."""
    convolution.linked(dx, w, dy)
    wt = convolution.reversed_kernel(team, w, strides, padding, dilation)
    share_out(team, _input_gradient_share, (dx, dy, wt, w.shape[:2], strides, padding, dilation))


@shared
def _input_gradient_share(share, dx, dy, wt, window, strides, padding, dilation):
    _, OH, OW, F = dy.shape
    H, W, C = dx.shape[1:]
    size, border = convolution.gradient_frame_size((H, W), (OH, OW), window, strides, padding, dilation)
    frame = np.zeros(size[0] * size[1] * F, dx.dtype)
    dz = dy.reshape(dy.size)
    for n in range(*part(share, len(dx))):
        for p in range(OH):
            copy(frame, ((border[0] + p) * size[1] + border[1]) * F, dz, (n * OH + p) * OW * F, OW * F)
        place = dx.reshape(dx.size), n * H * W * C
        convolution.back(place, (H, W, C), frame, size, border, (OH, OW), wt, F, window, strides, padding, dilation)
