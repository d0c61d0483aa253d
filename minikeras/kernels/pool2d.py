"""Pooling, a register of channels at a time, images shared out to the team; see `functional.pool2d`."""

import numpy as np

from .team import part, share_out, shared
from .vectors import LANES, agree, either, equal, fill, greater, inner, load, missing, store, where

ZERO, LOWEST = np.float32(0), np.float32(-np.inf)


@inner
def _under(p, q, shape, pool, strides, padding):
    """Return which rows and columns of the image lie under window (p, q): (first row, end), (first column, end)."""
    top, left = p * strides[0] - padding[0], q * strides[1] - padding[1]
    return (max(top, 0), min(top + pool[0], shape[1])), (max(left, 0), min(left + pool[1], shape[2]))


def _forward(first, joined, finished):
    """Return work that joins the cells of each window, one by one, to `first`; y is what has then been `finished`."""

    def forward(share, y, x, pool, strides, padding):
        (_, H, W, C), (_, OH, OW, _) = x.shape, y.shape
        cells, results = x.reshape(x.size), y.reshape(y.size)
        for n in range(*part(share, len(x))):
            for p in range(OH):
                for q in range(OW):
                    rows, columns = _under(p, q, x.shape, pool, strides, padding)
                    count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                    for c in range(0, C, LANES):
                        so_far = fill(first)
                        for h in range(*rows):
                            for v in range(*columns):
                                so_far = joined(so_far, load(cells, ((n * H + h) * W + v) * C + c, C - c))
                        store(results, ((n * OH + p) * OW + q) * C + c, C - c, finished(so_far, count))

    forward.__qualname__ = f"forward_of_{joined.py_func.__name__}"
    return shared(forward)


def _backward(begun, given):
    """Return work that has `begun` with each window's dy, and has `given` it to the window's cells, one by one."""

    def backward(share, dx, dy, x, y, pool, strides, padding):
        (_, H, W, C), (_, OH, OW, _) = dx.shape, dy.shape
        cells, results = x.reshape(x.size), y.reshape(y.size)
        gradients, got = dy.reshape(dy.size), dx.reshape(dx.size)
        for n in range(*part(share, len(dx))):
            got[n * H * W * C : (n + 1) * H * W * C] = 0
            for p in range(OH):
                for q in range(OW):
                    rows, columns = _under(p, q, dx.shape, pool, strides, padding)
                    count = fill(np.float32((rows[1] - rows[0]) * (columns[1] - columns[0])))
                    for c in range(0, C, LANES):
                        there = ((n * OH + p) * OW + q) * C + c
                        result, rest = load(results, there, C - c), begun(load(gradients, there, C - c), count)
                        for h in range(*rows):
                            for v in range(*columns):
                                here = ((n * H + h) * W + v) * C + c
                                part_of_it, rest = given(rest, load(cells, here, C - c), result)
                                store(got, here, C - c, load(got, here, C - c) + part_of_it)

    backward.__qualname__ = f"backward_of_{given.py_func.__name__}"
    return shared(backward)


# The largest ---------------------------------------------------------------------------------------------------------


@inner
def _larger(best, value):
    return where(either(greater(value, best), missing(value)), value, best)


@inner
def _as_it_is(v, count):
    return v


@inner
def _to_the_largest(rest, value, best):
    """What is given is gone: the next of equals gets nothing."""
    wins, zero = either(equal(value, best), missing(value)), fill(ZERO)
    return where(wins, rest, zero), where(wins, zero, rest)


_max_forward_share, _max_backward_share = _forward(LOWEST, _larger, _as_it_is), _backward(_as_it_is, _to_the_largest)


def max_forward(team, y, x, pool, strides, padding):
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_forward_share, (y, x, pool, strides, padding))


def max_backward(team, dx, dy, x, y, pool, strides, padding):
    agree(dx.shape == x.shape and dy.shape == y.shape and len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _max_backward_share, (dx, dy, x, y, pool, strides, padding))


# The mean ------------------------------------------------------------------------------------------------------------


@inner
def _sum(total, value):
    return total + value


@inner
def _divided(v, count):
    return v / count


@inner
def _to_all(rest, value, mean):
    return rest, rest


_average_forward_share, _average_backward_share = _forward(ZERO, _sum, _divided), _backward(_divided, _to_all)


def average_forward(team, y, x, pool, strides, padding):
    agree(len(y) == len(x) and y.shape[3] == x.shape[3])
    share_out(team, _average_forward_share, (y, x, pool, strides, padding))


def average_backward(team, dx, dy, pool, strides, padding):
    agree(len(dy) == len(dx) and dy.shape[3] == dx.shape[3])
    share_out(team, _average_backward_share, (dx, dy, dx, dy, pool, strides, padding))  # of x and y nothing is used
