"""Dense layers, tile by tile; `functional.dense` says what they are.

A dense layer is a convolution over images of one pixel, so `products` does the work here too.  The team shares out
samples, or inputs where these are more.
"""

import numpy as np

from .products import IN_ROWS, MANY_ROWS, NO_FLOOR, TILE_ROWS, Inputs, Table, Weights, grid, in_panels, product
from .team import LITTLE, SHARES, part, share_out, shared
from .vectors import LANES, agree, fill, greater, inner, load, store, turn, where

ZERO = np.float32(0)
FEW_SAMPLES, MANY_SAMPLES, MANY_INPUTS = 256, 64, 128
TURNED = 1024  # samples whose inputs are turned at once, and then still in the cache
READING = 4  # a number: takes about as long as so many multiplications
STEPS = 0, 0, 1  # of neighbours: there are no s and t
ROWS_OF_W = 3 * TILE_ROWS  # that are multiplied at once


def forward(team, z, x, w, b, rectified):
    """Of few samples each share takes some of the inputs, so that w, by far the largest array then, is read once and in
    the order of memory; the shares' sums are added at the end.  Of many samples each share takes some.
    """
    agree(x.shape == (len(z), len(w)) and z.shape[1] == w.shape[1] == b.size)
    (N, I), work, floor = x.shape, x.size * w.shape[1], ZERO if rectified else NO_FLOOR
    if N <= FEW_SAMPLES and I >= MANY_INPUTS and work > LITTLE:
        sums = np.empty((SHARES, z.size), z.dtype)
        share_out(team, _some_inputs, (sums, x, w))
        share_out(team, _added, (z, sums, b, floor), READING * sums.size)
    else:
        _multiply(team, z, x, w, b, floor)


@inner
def _multiply(team, z, x, w, b, floor):
    """z = max(x w + b, floor)."""
    (N, I), O = x.shape, w.shape[1]
    shares = _shares_of(N)
    if N < SHARES * MANY_ROWS:
        share_out(team, _some_samples, (shares, z, x, w.reshape(w.size), IN_ROWS, b, floor), N * I * O, shares)
    else:
        share_out(team, _some_samples, (shares, z, x, in_panels(team, w, I), I, b, floor), N * I * O, shares)


@inner
def _shares_of(rows):
    """Return how many shares to make of a table's rows: the smaller they are, the less a thread waits for the last."""
    return 2 * SHARES if rows >= 2 * SHARES * MANY_ROWS else SHARES


@shared
def _some_inputs(share, sums, x, w):
    (N, I), O = x.shape, w.shape[1]
    first, last = part(share, I)
    product(
        Table(sums[share], 0, grid(N, O, 1, 0), np.zeros(O, w.dtype), False),
        Inputs(x.reshape(x.size), first, grid(N, I, 1, 0), STEPS),
        Weights(w.reshape(w.size), 0, first, STEPS, IN_ROWS),
        (1, 1, last - first), NO_FLOOR, (N, O),
    )  # fmt: skip


@shared
def _added(share, z, sums, b, floor):
    O, results, terms, least = z.shape[1], z.reshape(z.size), sums.reshape(sums.size), fill(floor)
    for n in range(*part(share, len(z))):
        for o in range(0, O, LANES):
            total = load(b, o, O - o)
            for s in range(SHARES):
                total = total + load(terms, (s * len(z) + n) * O + o, O - o)
            store(results, n * O + o, O - o, where(greater(least, total), least, total))


@shared
def _some_samples(share, shares, z, x, w, across, b, floor):
    (N, I), O = x.shape, z.shape[1]
    tiles = (N + TILE_ROWS - 1) // TILE_ROWS
    first, last = part(share, tiles, shares)
    n = first * TILE_ROWS
    rows = min(N, last * TILE_ROWS) - n
    product(
        Table(z.reshape(z.size), n * O, grid(rows, O, 1, 0), b, False),
        Inputs(x.reshape(x.size), n * I, grid(rows, I, 1, 0), STEPS), Weights(w, 0, 0, STEPS, across),
        (1, 1, I), floor, (rows, O),
    )  # fmt: skip


@inner
def _add_weight_gradient(team, dw, x, dz, add):
    """dw = x^T dz, added to what is there where `add`."""
    N, work = len(dz), dw.size * len(dz)
    if N > MANY_SAMPLES:
        shares = _shares_of(len(dw))
        share_out(team, _some_rows, (shares, dw, x, in_panels(team, dz, N), N, add), work, shares)
    else:
        share_out(team, _some_rows, (SHARES, dw, x, dz.reshape(dz.size), IN_ROWS, add), work)


@shared
def _some_rows(share, shares, dw, x, dz, across, add):
    """Do a share of dw's rows: of many samples, with its part of x turned, so that their numbers are neighbours."""
    (N, I), O = x.shape, dw.shape[1]
    tiles = (I + TILE_ROWS - 1) // TILE_ROWS
    first, last = part(share, tiles, shares)
    i = first * TILE_ROWS
    rows = min(I, last * TILE_ROWS) - i
    z, to, zeros = dw.reshape(dw.size), grid(rows, O, 1, 0), np.zeros(O, dw.dtype)
    if N <= MANY_SAMPLES:
        product(
            Table(z, i * O, to, zeros, add), Inputs(x.reshape(x.size), i, grid(rows, 1, 1, 0), (0, 0, I)),
            Weights(dz, 0, 0, STEPS, across), (1, 1, N), NO_FLOOR, (rows, O),
        )  # fmt: skip
        return
    most = min(N, TURNED)
    width = most + LANES  # rows a power of two apart would meet in one place of the cache
    turned, at = np.empty(rows * width, x.dtype), grid(rows, width, 1, 0)
    for n in range(0, N, most):
        samples = min(most, N - n)
        turn((turned, 0), width, (x.reshape(x.size), n * I + i), I, samples, rows)
        product(
            Table(z, i * O, to, zeros, add or n > 0), Inputs(turned, 0, at, STEPS), Weights(dz, 0, n, STEPS, across),
            (1, 1, samples), NO_FLOOR, (rows, O),
        )  # fmt: skip


@inner
def _fill_dx(team, dx, dz, w):
    """dx = dz w^T; or, where w is large and the samples are few, dx^T = w dz^T."""
    (N, I), O = dx.shape, w.shape[1]
    if N > MANY_SAMPLES or w.size <= dx.size + dz.size:
        turned = np.empty((O, I), w.dtype)
        share_out(team, _turn, (turned, w), w.size)
        _multiply(team, dx, dz, turned, np.zeros(I, w.dtype), NO_FLOOR)
    else:
        turned = np.empty((O, N), w.dtype)
        share_out(team, _turn, (turned, dz), dz.size)
        share_out(team, input_gradient_share, (dx, w, turned), dx.size * O)


@shared
def _turn(share, turned, x):
    """Do a share of turned = x^T."""
    rows, columns = x.shape
    first, last = part(share, columns)
    turn((turned.reshape(turned.size), first * rows), rows, (x.reshape(x.size), first), columns, rows, last - first)


@shared
def input_gradient_share(share, dx, w, dzt):
    """Do a share of the inputs: rows of w times dz^T give rows of dx^T, which are turned on the way to dx."""
    (N, I), O = dx.shape, w.shape[1]
    tiles = (I + ROWS_OF_W - 1) // ROWS_OF_W
    turned, zeros = np.empty(ROWS_OF_W * N, dx.dtype), np.zeros(N, dx.dtype)
    to, at = grid(ROWS_OF_W, N, 1, 0), grid(ROWS_OF_W, O, 1, 0)
    for tile in range(*part(share, tiles)):
        i = tile * ROWS_OF_W
        rows = min(ROWS_OF_W, I - i)
        product(
            Table(turned, 0, to, zeros, False), Inputs(w.reshape(w.size), i * O, at, STEPS),
            Weights(dzt.reshape(dzt.size), 0, 0, STEPS, IN_ROWS), (1, 1, O), NO_FLOOR, (rows, N),
        )  # fmt: skip
        turn((dx.reshape(dx.size), i), I, (turned, 0), N, rows, N)


def backward(team, dw, db, dx, dy, y, x, w, rectified, add):
    agree(dw.shape == w.shape and x.shape == (len(dy), len(w)) and dy.shape[1] == w.shape[1] == db.size)
    agree((dx.shape == x.shape or dx.size == 0) and y.shape == dy.shape)
    dz = np.empty_like(dy) if rectified else dy
    share_out(team, _gate, (dz, db, dy, y, rectified, add), dy.size)
    _add_weight_gradient(team, dw, x, dz, add)
    if dx.size:
        _fill_dx(team, dx, dz, w)


@shared
def _gate(share, dz, db, dy, y, rectified, add):
    """Let dy pass where a rectifier was on, and add it up over the samples; a share of the outputs."""
    N, O = dy.shape
    passed, given, outcome, zero = dz.reshape(dz.size), dy.reshape(dy.size), y.reshape(y.size), fill(ZERO)
    first, last = part(share, (O + LANES - 1) // LANES)
    for o in range(first * LANES, min(O, last * LANES), LANES):
        total = load(db, o, O - o) if add else zero
        for n in range(N):
            d = load(given, n * O + o, O - o)
            if rectified:
                d = where(greater(load(outcome, n * O + o, O - o), zero), d, zero)
                store(passed, n * O + o, O - o, d)
            total = total + d
        store(db, o, O - o, total)
