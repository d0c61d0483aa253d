"""Update rules, as loops over one share of the vectors; `functional.updates` says what they are."""

import numpy as np

from .team import part, share_out, shared
from .vectors import LANES, agree, inner, one_size

TINY = np.float32(1e-30)  # below it a first moment is zero
TINY_SQUARE = np.float32(1e-36)  # below it a second moment is zero
ZERO = np.float32(0)
WORK = 8  # for each number: about as many multiplications


@inner
def some(share, size):
    """Return where the share of a vector is, in whole registers: none then straddles two cache lines."""
    first, last = part(share, (size + LANES - 1) // LANES)
    return slice(first * LANES, last * LANES)


# Weight decay: w = w - w wd lr --------------------------------------------------------------------------------------


def decay(team, w, wd, lr):
    share_out(team, _decay_share, (w, wd, lr), WORK * w.size)


@shared
def _decay_share(share, w, wd, lr):
    w = w[some(share, w.size)]
    for i in range(w.size):
        w[i] -= w[i] * wd * lr


# Gradient descent: w = w - lr g -------------------------------------------------------------------------------------


def sgd(team, w, g, lr):
    agree(one_size((w, g)))
    share_out(team, _sgd_share, (w, g, lr), WORK * w.size)


@shared
def _sgd_share(share, w, g, lr):
    here = some(share, w.size)
    w, g = w[here], g[here]
    for i in range(w.size):
        w[i] -= g[i] * lr


# Momentum: m = mu m - lr g;  w = w + m,  or with Nesterov's look ahead  w = w + mu m - lr g -------------------------


def momentum(team, w, g, m, lr, mu, nesterov):
    agree(one_size((w, g, m)))
    share_out(team, _momentum_share, (w, g, m, lr, mu, nesterov), WORK * w.size)


@shared
def _momentum_share(share, w, g, m, lr, mu, nesterov):
    here = some(share, w.size)
    w, g, m = w[here], g[here], m[here]
    for i in range(w.size):
        step = g[i] * lr
        new = m[i] * mu - step
        new = ZERO if abs(new) < TINY else new
        m[i] = new
        w[i] += new * mu - step if nesterov else new


# Adagrad: a = a + g^2;  w = w - lr g / sqrt(a + eps) ----------------------------------------------------------------


def adagrad(team, w, g, a, lr, eps):
    agree(one_size((w, g, a)))
    share_out(team, _adagrad_share, (w, g, a, lr, eps), WORK * w.size)


@shared
def _adagrad_share(share, w, g, a, lr, eps):
    here = some(share, w.size)
    w, g, a = w[here], g[here], a[here]
    for i in range(w.size):
        a[i] += g[i] * g[i]
        w[i] -= lr * g[i] / np.sqrt(a[i] + eps)


# RMSprop: v = rho v + (1 - rho) g^2;  w = w - lr g / sqrt(v + eps) --------------------------------------------------
# The options are built from the pieces of that line: a spread, a step, and what is done with the step.


def rmsprop(team, w, g, v, lr, rho, rest, eps):
    agree(one_size((w, g, v)))
    share_out(team, _rmsprop_share, (w, g, v, lr, rho, rest, eps), WORK * w.size)


@shared
def _rmsprop_share(share, w, g, v, lr, rho, rest, eps):
    here = some(share, w.size)
    w, g, v = w[here], g[here], v[here]
    for i in range(w.size):
        new = rho * v[i] + rest * (g[i] * g[i])
        new = ZERO if abs(new) < TINY_SQUARE else new
        v[i] = new
        w[i] -= lr * g[i] / np.sqrt(new + eps)


def running_mean(team, a, g, rho, rest):
    agree(one_size((a, g)))
    share_out(team, _running_mean_share, (a, g, rho, rest), WORK * a.size)


@shared
def _running_mean_share(share, a, g, rho, rest):
    here = some(share, a.size)
    a, g = a[here], g[here]
    for i in range(a.size):
        new = rho * a[i] + rest * g[i]
        a[i] = ZERO if abs(new) < TINY else new


def rmsprop_step(team, s, g, v, a, lr, rho, rest, eps):
    agree(one_size((s, g, v, a)))
    share_out(team, _rmsprop_step_share, (s, g, v, a, lr, rho, rest, eps), WORK * s.size)


@shared
def _rmsprop_step_share(share, s, g, v, a, lr, rho, rest, eps):
    here = some(share, s.size)
    s, g, v, a = s[here], g[here], v[here], a[here]
    for i in range(s.size):
        new = rho * v[i] + rest * (g[i] * g[i])
        new = ZERO if abs(new) < TINY_SQUARE else new
        v[i] = new
        s[i] = lr * g[i] / np.sqrt(new - a[i] * a[i] + eps)


def rolling_step(team, w, s, m, mu):
    agree(one_size((w, s, m)))
    share_out(team, _rolling_step_share, (w, s, m, mu), WORK * w.size)


@shared
def _rolling_step_share(share, w, s, m, mu):
    here = some(share, w.size)
    w, s, m = w[here], s[here], m[here]
    for i in range(w.size):
        new = mu * m[i] + s[i]
        new = ZERO if abs(new) < TINY else new
        m[i] = new
        w[i] -= new


# Adam: m = m + (1 - beta_1)(g - m);  v = v + (1 - beta_2)(g^2 - v);  w = w - alpha m / (sqrt(v) + eps) --------------
# alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) makes up for moments that start at zero.


@inner
def corrected(lr, t, beta_1, beta_2):
    one = type(lr)(1)
    return lr * np.sqrt(one - beta_2**t) / (one - beta_1**t)


def adam(team, w, g, m, v, lr, t, beta_1, rest_1, beta_2, rest_2, eps):
    agree(one_size((w, g, m, v)))
    alpha = corrected(lr, t, beta_1, beta_2)
    share_out(team, _adam_share, (w, g, m, v, alpha, rest_1, rest_2, eps), WORK * w.size)


@shared
def _adam_share(share, w, g, m, v, alpha, rest_1, rest_2, eps):
    here = some(share, w.size)
    w, g, m, v = w[here], g[here], m[here], v[here]
    for i in range(w.size):
        first = m[i] + (g[i] - m[i]) * rest_1
        first = ZERO if abs(first) < TINY else first
        second = v[i] + (g[i] * g[i] - v[i]) * rest_2
        second = ZERO if abs(second) < TINY_SQUARE else second
        m[i] = first
        v[i] = second
        w[i] -= first * alpha / (np.sqrt(second) + eps)


# AMSGrad: Adam with h = max(h, v) in the place of v -----------------------------------------------------------------


def amsgrad(team, w, g, m, v, h, lr, t, beta_1, rest_1, beta_2, rest_2, eps):
    agree(one_size((w, g, m, v, h)))
    alpha = corrected(lr, t, beta_1, beta_2)
    share_out(team, _amsgrad_share, (w, g, m, v, h, alpha, rest_1, rest_2, eps), WORK * w.size)


@shared
def _amsgrad_share(share, w, g, m, v, h, alpha, rest_1, rest_2, eps):
    here = some(share, w.size)
    w, g, m, v, h = w[here], g[here], m[here], v[here], h[here]
    # Two loops, as a compiler gives up on vectorising a loop over five arrays.
    for i in range(w.size):
        first = m[i] + (g[i] - m[i]) * rest_1
        m[i] = ZERO if abs(first) < TINY else first
        second = v[i] + (g[i] * g[i] - v[i]) * rest_2
        v[i] = ZERO if abs(second) < TINY_SQUARE else second
    for i in range(w.size):
        # Like np.maximum: a NaN in either stays.
        largest = h[i] if (h[i] >= v[i]) | (h[i] != h[i]) else v[i]
        h[i] = largest
        w[i] -= m[i] * alpha / (np.sqrt(largest) + eps)


# Nadam: Adam's m and v;  w = w - lr (look m + now g) / (sqrt(v / rest_t) + eps) -------------------------------------


def nadam(team, w, g, m, v, lr, rest_1, rest_2, look, now, rest_t, eps):
    agree(one_size((w, g, m, v)))
    share_out(team, _nadam_share, (w, g, m, v, lr, rest_1, rest_2, look, now, rest_t, eps), WORK * w.size)


@shared
def _nadam_share(share, w, g, m, v, lr, rest_1, rest_2, look, now, rest_t, eps):
    here = some(share, w.size)
    w, g, m, v = w[here], g[here], m[here], v[here]
    for i in range(w.size):
        first = m[i] + (g[i] - m[i]) * rest_1
        first = ZERO if abs(first) < TINY else first
        second = v[i] + (g[i] * g[i] - v[i]) * rest_2
        second = ZERO if abs(second) < TINY_SQUARE else second
        m[i] = first
        v[i] = second
        w[i] -= (look * first + now * g[i]) * lr / (np.sqrt(second / rest_t) + eps)


# Adamax: m = m + (1 - beta_1)(g - m);  u = max(beta_2 u, |g|);  w = w - lr m / ((1 - beta_1^t)(u + eps)) -------------


def adamax(team, w, g, m, u, lr, rest_1, beta_2, rest_t, eps):
    agree(one_size((w, g, m, u)))
    share_out(team, _adamax_share, (w, g, m, u, lr, rest_1, beta_2, rest_t, eps), WORK * w.size)


@shared
def _adamax_share(share, w, g, m, u, lr, rest_1, beta_2, rest_t, eps):
    here = some(share, w.size)
    w, g, m, u = w[here], g[here], m[here], u[here]
    for i in range(w.size):
        first = m[i] + (g[i] - m[i]) * rest_1
        first = ZERO if abs(first) < TINY else first
        old, size = beta_2 * u[i], abs(g[i])
        # Like np.maximum: a NaN in either stays.
        largest = old if (old >= size) | (old != old) else size
        largest = ZERO if largest < TINY else largest
        m[i] = first
        u[i] = largest
        w[i] -= lr * first / (rest_t * (largest + eps))


# Adadelta: a = rho a + (1 - rho) g^2;  s = g sqrt(d + eps) / sqrt(a + eps);  d = rho d + (1 - rho) s^2;  w = w - lr s


def adadelta(team, w, g, a, d, lr, rho, rest, eps):
    agree(one_size((w, g, a, d)))
    share_out(team, _adadelta_share, (w, g, a, d, lr, rho, rest, eps), WORK * w.size)


@shared
def _adadelta_share(share, w, g, a, d, lr, rho, rest, eps):
    here = some(share, w.size)
    w, g, a, d = w[here], g[here], a[here], d[here]
    for i in range(w.size):
        square = rho * a[i] + rest * (g[i] * g[i])
        square = ZERO if abs(square) < TINY_SQUARE else square
        s = np.sqrt(d[i] + eps) * g[i] / np.sqrt(square + eps)
        step = rho * d[i] + rest * (s * s)
        a[i] = square
        d[i] = ZERO if abs(step) < TINY_SQUARE else step
        w[i] -= lr * s


# Lion: w = w - lr sign(beta_1 m + (1 - beta_1) g);  m = beta_2 m + (1 - beta_2) g ------------------------------------


def lion(team, w, g, m, lr, beta_1, rest_1, beta_2, rest_2):
    agree(one_size((w, g, m)))
    share_out(team, _lion_share, (w, g, m, lr, beta_1, rest_1, beta_2, rest_2), WORK * w.size)


@shared
def _lion_share(share, w, g, m, lr, beta_1, rest_1, beta_2, rest_2):
    here = some(share, w.size)
    w, g, m = w[here], g[here], m[here]
    for i in range(w.size):
        mean = m[i] * beta_1 + g[i] * rest_1
        step = lr if mean > 0 else (-lr if mean < 0 else mean)  # 0 stays 0, NaN stays NaN
        new = m[i] * beta_2 + g[i] * rest_2
        w[i] -= step
        m[i] = ZERO if abs(new) < TINY else new
