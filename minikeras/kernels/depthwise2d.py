"""Depthwise convolution, as loops; `functional.depthwise2d` says what it is."""

import numpy as np

from .convolution import add_sums
from .team import SHARES, part, share_out, shared
from .vectors import agree, inner


def forward(team, y, x, w, b, strides, padding, dilation):
    agree(b.size == y.shape[3])
    _linked(x, w, y)
    share_out(team, _forward_share, (y, x, w, b, strides, padding, dilation))


def weight_gradient(team, dw, x, dy, strides, padding, dilation):
    """Each share adds up its images, and then the shares are added."""
    _linked(x, dw, dy)
    sums = np.zeros((SHARES, *dw.shape), dw.dtype)
    share_out(team, _weight_gradient_share, (sums, x, dy, strides, padding, dilation))
    share_out(team, add_sums, (dw, sums.reshape(SHARES, dw.size), True))


def input_gradient(team, dx, dy, w, strides, padding, dilation):
    _linked(dx, w, dy)
    share_out(team, _input_gradient_share, (dx, dy, w, strides, padding, dilation))


@inner
def _linked(x, w, y):
    """Refuse a kernel that doesn't lead from the images x to the images y."""
    agree(x.shape[3] == w.shape[2] and y.shape[3] == w.shape[2] * w.shape[3] and len(x) == len(y))


def _for_all_windows(product):
    """Return a function that adds a product wherever a kernel's cell meets an image's: see `product`."""

    @inner
    def row(y, x, w, indices, strides, padding, dilation):
        (n, p), (_, H, W, C), (KH, KW, _, M), OW = indices, x.shape, w.shape, y.shape[2]
        taps = w.reshape(KH, KW, C * M)
        for i in range(KH):
            h = p * strides[0] + i * dilation[0] - padding[0]
            if h < 0 or h >= H:
                continue  # zeros
            for j in range(KW):
                shift = j * dilation[1] - padding[1]
                for q in range(max(0, -(shift // strides[1])), min(OW, (W - 1 - shift) // strides[1] + 1)):
                    v = q * strides[1] + shift
                    if M == 1:
                        for c in range(C):
                            product(y, (n, p, q, c), x, (n, h, v, c), taps, (i, j, c))
                    else:
                        for c in range(C):
                            for m in range(M):
                                product(y, (n, p, q, c * M + m), x, (n, h, v, c), taps, (i, j, c * M + m))

    return row


@inner
def _to_output(y, k, x, c, w, t):
    y[k] += x[c] * w[t]


@inner
def _to_weight(y, k, x, c, w, t):
    w[t] += x[c] * y[k]


@inner
def _to_input(y, k, x, c, w, t):
    x[c] += y[k] * w[t]


_outputs, _weights, _inputs = _for_all_windows(_to_output), _for_all_windows(_to_weight), _for_all_windows(_to_input)


@shared
def _forward_share(share, y, x, w, b, strides, padding, dilation):
    for n in range(*part(share, len(x))):
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                for k in range(y.shape[3]):
                    y[n, p, q, k] = b[k]
            _outputs(y, x, w, (n, p), strides, padding, dilation)


@shared
def _weight_gradient_share(share, sums, x, dy, strides, padding, dilation):
    for n in range(*part(share, len(x))):
        for p in range(dy.shape[1]):
            _weights(dy, x, sums[share], (n, p), strides, padding, dilation)


@shared
def _input_gradient_share(share, dx, dy, w, strides, padding, dilation):
    for n in range(*part(share, len(dx))):
        dx[n] = 0
        for p in range(dy.shape[1]):
            _inputs(dy, dx, w, (n, p), strides, padding, dilation)
