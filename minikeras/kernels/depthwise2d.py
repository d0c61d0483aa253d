"""Depthwise convolution, as loops; `functional.depthwise2d` says what it is."""

import numpy as np

from .convolution import add_sums
from .team import SHARES, part, share_out, shared
from .vectors import agree, inner


def forward(team, y, x, w, b, strides, padding, dilation):
    agree(b.size == y.shape[3])
    linked(x, w, y)
    share_out(team, _forward_share, (y, x, w, b, strides, padding, dilation))


@inner
def linked(x, w, y):
    """Refuse a kernel that doesn't lead from the images x to the images y."""
    agree(x.shape[3] == w.shape[2] and y.shape[3] == w.shape[2] * w.shape[3] and len(x) == len(y))


@shared
def _forward_share(share, y, x, w, b, strides, padding, dilation):
    N, H, W, C = x.shape
    KH, KW, _, M = w.shape
    OH, OW = y.shape[1], y.shape[2]
    rows = w.reshape(KH, KW, C * M)
    for n in range(*part(share, N)):
        for p in range(OH):
            for q in range(OW):
                for k in range(C * M):
                    y[n, p, q, k] = b[k]
            for i in range(KH):
                h = p * strides[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= H:
                    continue  # zeros
                for j in range(KW):
                    shift = j * dilation[1] - padding[1]
                    for q in range(*_inside(shift, strides[1], W, OW)):
                        v = q * strides[1] + shift
                        if M == 1:
                            for c in range(C):
                                y[n, p, q, c] += x[n, h, v, c] * rows[i, j, c]
                        else:
                            for c in range(C):
                                for m in range(M):
                                    y[n, p, q, c * M + m] += x[n, h, v, c] * rows[i, j, c * M + m]


@inner
def _inside(shift, stride, W, OW):
    """Return the first and the last but one q whose column v = q * stride + shift lies in the image."""
    return max(0, -(shift // stride)), min(OW, (W - 1 - shift) // stride + 1)


def weight_gradient(team, dw, x, dy, strides, padding, dilation):
    """Do the same in loops; each share adds up its images, and then the shares are added."""
    linked(x, dw, dy)
    sums = np.zeros((SHARES, *dw.shape), dw.dtype)
    share_out(team, _weight_gradient_share, (sums, x, dy, strides, padding, dilation))
    share_out(team, add_sums, (dw, sums.reshape(SHARES, dw.size), True))


@shared
def _weight_gradient_share(share, sums, x, dy, strides, padding, dilation):
    N, H, W, C = x.shape
    _, KH, KW, _, M = sums.shape
    OH, OW = dy.shape[1], dy.shape[2]
    rows = sums.reshape(SHARES, KH, KW, C * M)
    for n in range(*part(share, N)):
        for p in range(OH):
            for i in range(KH):
                h = p * strides[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= H:
                    continue
                for j in range(KW):
                    shift = j * dilation[1] - padding[1]
                    for q in range(*_inside(shift, strides[1], W, OW)):
                        v = q * strides[1] + shift
                        if M == 1:
                            for c in range(C):
                                rows[share, i, j, c] += x[n, h, v, c] * dy[n, p, q, c]
                        else:
                            for c in range(C):
                                for m in range(M):
                                    rows[share, i, j, c * M + m] += x[n, h, v, c] * dy[n, p, q, c * M + m]


def input_gradient(team, dx, dy, w, strides, padding, dilation):
    linked(dx, w, dy)
    share_out(team, _input_gradient_share, (dx, dy, w, strides, padding, dilation))


@shared
def _input_gradient_share(share, dx, dy, w, strides, padding, dilation):
    N, H, W, C = dx.shape
    KH, KW, _, M = w.shape
    OH, OW = dy.shape[1], dy.shape[2]
    rows = w.reshape(KH, KW, C * M)
    for n in range(*part(share, N)):
        dx[n] = 0
        for p in range(OH):
            for i in range(KH):
                h = p * strides[0] + i * dilation[0] - padding[0]
                if h < 0 or h >= H:
                    continue
                for j in range(KW):
                    shift = j * dilation[1] - padding[1]
                    for q in range(*_inside(shift, strides[1], W, OW)):
                        v = q * strides[1] + shift
                        if M == 1:
                            for c in range(C):
                                dx[n, h, v, c] += dy[n, p, q, c] * rows[i, j, c]
                        else:
                            for c in range(C):
                                for m in range(M):
                                    dx[n, h, v, c] += dy[n, p, q, c * M + m] * rows[i, j, c * M + m]
