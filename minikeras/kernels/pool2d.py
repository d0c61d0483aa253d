"""Pooling, a register of channels at a time, images shared out to the team; see `functional.pool2d`."""

import numpy as np

from .team import part, share_out, shared
from .vectors import LANES, agree, either, equal, fill, greater, inner, load, missing, store, where

ZERO = np.float32(0)


@inner
def under(p, q, pool, strides, padding, H, W):
    """Return which rows and columns of the image lie under window (p, q): (first row, end), (first column, end)."""
    top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
    return (max(top, 0), min(top + pool[0], H)), (max(left, 0), min(left + pool[1], W))


def max_forward(team, y, x, pool, strides, padding):
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_forward_share, (y, x, pool, strides, padding))


@shared
def _max_forward_share(share, y, x, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, results = x.reshape(x.size), y.reshape(y.size)
    for n in range(*part(share, len(x))):
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                for c in range(0, C, LANES):
                    best = fill(np.float32(-np.inf))
                    for h in range(*rows):
                        for v in range(*columns):
                            value = load(cells, ((n * H + h) * W + v) * C + c, C - c)
                            best = where(either(greater(value, best), missing(value)), value, best)
                    store(results, ((n * OH + p) * OW + q) * C + c, C - c, best)


def max_backward(team, dx, dy, x, y, pool, strides, padding):
    agree(dx.shape == x.shape and dy.shape == y.shape and len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_backward_share, (dx, dy, x, y, pool, strides, padding))


@shared
def _max_backward_share(share, dx, dy, x, y, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, largest = x.reshape(x.size), y.reshape(y.size)
    given, got = dy.reshape(dy.size), dx.reshape(dx.size)
    zero = fill(ZERO)
    for n in range(*part(share, len(x))):
        got[n * H * W * C : (n + 1) * H * W * C] = 0
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                for c in range(0, C, LANES):
                    place = ((n * OH + p) * OW + q) * C + c
                    best, rest = load(largest, place, C - c), load(given, place, C - c)
                    for h in range(*rows):
                        for v in range(*columns):
                            here = ((n * H + h) * W + v) * C + c
                            value = load(cells, here, C - c)
                            wins = either(equal(value, best), missing(value))
                            store(got, here, C - c, load(got, here, C - c) + where(wins, rest, zero))
                            rest = where(wins, zero, rest)  # what is given is gone: the next of equals gets nothing


def average_forward(team, y, x, pool, strides, padding):
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _average_forward_share, (y, x, pool, strides, padding))


@shared
def _average_forward_share(share, y, x, pool, strides, padding):
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    cells, results = x.reshape(x.size), y.reshape(y.size)
    for n in range(*part(share, len(x))):
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                for c in range(0, C, LANES):
                    total = fill(ZERO)
                    for h in range(*rows):
                        for v in range(*columns):
                            total = total + load(cells, ((n * H + h) * W + v) * C + c, C - c)
                    store(results, ((n * OH + p) * OW + q) * C + c, C - c, total / count)


def average_backward(team, dx, dy, pool, strides, padding):
    agree(len(dy) == len(dx) and dy.shape[3] == dx.shape[3])
    share_out(team, _average_backward_share, (dx, dy, pool, strides, padding))


@shared
def _average_backward_share(share, dx, dy, pool, strides, padding):
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    given, got = dy.reshape(dy.size), dx.reshape(dx.size)
    for n in range(*part(share, len(dx))):
        got[n * H * W * C : (n + 1) * H * W * C] = 0
        for p in range(OH):
            for q in range(OW):
                rows, columns = under(p, q, pool, strides, padding, H, W)
                count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                for c in range(0, C, LANES):
                    d = load(given, ((n * OH + p) * OW + q) * C + c, C - c) / count
                    for h in range(*rows):
                        for v in range(*columns):
                            here = ((n * H + h) * W + v) * C + c
                            store(got, here, C - c, load(got, here, C - c) + d)
