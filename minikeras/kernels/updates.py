"""Update rules: one step of an optimizer, in place, over a vector that holds all weights.

| name    | shape | meaning                                                                     |
|---------|-------|-----------------------------------------------------------------------------|
| w       | (P,)  | weights, changed in place                                                   |
| g       | (P,)  | gradient of the loss, d loss / d w; read only                               |
| m, v, h | (P,)  | running moments of the gradient (first, second, largest second), in place   |
| u       | (P,)  | running largest gradient (`adamax`), in place                               |
| d       | (P,)  | running mean of squared steps (`adadelta`), in place                        |
| a       | (P,)  | running mean (`rmsprop_*`) or sum (`adagrad`), in place                     |
| lr      | ()    | learning rate                                                               |
| t       | ()    | the number of the step, counted from 1                                      |
| eps     | ()    | keeps divisions finite; must be positive                                    |

Everything is elementwise.  Scalars come in the float type of the vectors (`np.float32` for float32): one
specialisation is compiled, and nothing is computed in float64 on the way.  Complements such as 1 - beta come as
arguments of their own, because 1 - 0.999 in float32 is wrong in the fifth digit.  The operations stand in the order of
Keras's, so that roundings agree too.

A moment whose weight gets no more gradient shrinks by a factor in each step, until after some hundred steps it is a
subnormal number, on which a processor is about ten times slower.  Moments that can no longer matter are therefore set
to zero: first moments below 1e-30, second moments below 1e-36 (in float32 subnormal numbers begin at 1.2e-38).

Each loop runs over one share of the vectors.
"""

import numpy as np

from . import twin
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


def flush(x: np.ndarray, tiny: np.float32) -> None:
    """Set the elements below `tiny` to zero, in place; NaN stays, so that it is seen."""
    x[np.abs(x) < tiny] = 0


# Weight decay: w = w - w wd lr --------------------------------------------------------------------------------------


def _decay(w: np.ndarray, wd: np.floating, lr: np.floating) -> None:
    """Shrink the weights towards zero, before the rule and apart from the gradient (Loshchilov & Hutter, 2019)."""
    w -= w * wd * lr


@twin(_decay)
def decay(team, w, wd, lr):
    """Do the same in loops."""
    share_out(team, _decay_share, (w, wd, lr), WORK * w.size)


@shared
def _decay_share(share, w, wd, lr):
    w = w[some(share, w.size)]
    for i in range(w.size):
        w[i] -= w[i] * wd * lr


# Gradient descent: w = w - lr g -------------------------------------------------------------------------------------


def _sgd(w: np.ndarray, g: np.ndarray, lr: np.floating) -> None:
    """Step down the slope."""
    w -= g * lr


@twin(_sgd)
def sgd(team, w, g, lr):
    """Do the same in loops."""
    agree(one_size((w, g)))
    share_out(team, _sgd_share, (w, g, lr), WORK * w.size)


@shared
def _sgd_share(share, w, g, lr):
    here = some(share, w.size)
    w, g = w[here], g[here]
    for i in range(w.size):
        w[i] -= g[i] * lr


# Momentum: m = mu m - lr g;  w = w + m,  or with Nesterov's look ahead  w = w + mu m - lr g -------------------------


def _momentum(w: np.ndarray, g: np.ndarray, m: np.ndarray, lr: np.floating, mu: np.floating, nesterov: bool) -> None:
    """Keep rolling: the step is a running sum of past steps (Polyak, 1964; Sutskever et al., 2013)."""
    m[...] = m * mu - g * lr
    flush(m, TINY)
    w += m * mu - g * lr if nesterov else m


@twin(_momentum, writes="w m")
def momentum(team, w, g, m, lr, mu, nesterov):
    """Do the same in loops."""
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


def _adagrad(w: np.ndarray, g: np.ndarray, a: np.ndarray, lr: np.floating, eps: np.floating) -> None:
    """Step less where gradients have been large (Duchi et al., 2011)."""
    a += g * g
    w -= lr * g / np.sqrt(a + eps)


@twin(_adagrad, writes="w a")
def adagrad(team, w, g, a, lr, eps):
    """Do the same in loops."""
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


def _rmsprop(
    w: np.ndarray, g: np.ndarray, v: np.ndarray, lr: np.floating, rho: np.floating, rest: np.floating, eps: np.floating
) -> None:
    """Step in units of the gradient's recent size (Hinton's lecture 6, 2012); `rest` is 1 - rho."""
    v[...] = rho * v + rest * (g * g)
    flush(v, TINY_SQUARE)
    w -= lr * g / np.sqrt(v + eps)


@twin(_rmsprop, writes="w v")
def rmsprop(team, w, g, v, lr, rho, rest, eps):
    """Do the same in loops."""
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


def _running_mean(a: np.ndarray, g: np.ndarray, rho: np.floating, rest: np.floating) -> None:
    """a = rho a + (1 - rho) g: the mean that a centered RMSprop subtracts."""
    a[...] = rho * a + rest * g
    flush(a, TINY)


@twin(_running_mean)
def running_mean(team, a, g, rho, rest):
    """Do the same in loops."""
    agree(one_size((a, g)))
    share_out(team, _running_mean_share, (a, g, rho, rest), WORK * a.size)


@shared
def _running_mean_share(share, a, g, rho, rest):
    here = some(share, a.size)
    a, g = a[here], g[here]
    for i in range(a.size):
        new = rho * a[i] + rest * g[i]
        a[i] = ZERO if abs(new) < TINY else new


def _rmsprop_step(
    s: np.ndarray,
    g: np.ndarray,
    v: np.ndarray,
    a: np.ndarray,
    lr: np.floating,
    rho: np.floating,
    rest: np.floating,
    eps: np.floating,
) -> None:
    """v as above;  s = lr g / sqrt(v - a^2 + eps): a variance under the root where a is the mean, and 0 where not."""
    v[...] = rho * v + rest * (g * g)
    flush(v, TINY_SQUARE)
    s[...] = lr * g / np.sqrt(v - a * a + eps)


@twin(_rmsprop_step, writes="s v")
def rmsprop_step(team, s, g, v, a, lr, rho, rest, eps):
    """Do the same in loops."""
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


def _rolling_step(w: np.ndarray, s: np.ndarray, m: np.ndarray, mu: np.floating) -> None:
    """m = mu m + s;  w = w - m."""
    m[...] = mu * m + s
    flush(m, TINY)
    w -= m


@twin(_rolling_step, writes="w m")
def rolling_step(team, w, s, m, mu):
    """Do the same in loops."""
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


def _corrected(lr: np.floating, t: np.floating, beta_1: np.floating, beta_2: np.floating) -> np.floating:
    """Return alpha.  Powers in the weights' own float type: Keras's first steps show its roundings."""
    one = type(lr)(1)
    return lr * np.sqrt(one - beta_2**t) / (one - beta_1**t)


corrected = inner(_corrected)


def _adam(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    lr: np.floating,
    t: np.floating,
    beta_1: np.floating,
    rest_1: np.floating,
    beta_2: np.floating,
    rest_2: np.floating,
    eps: np.floating,
) -> None:
    """Momentum in units of the gradient's recent size (Kingma & Ba, 2015, end of section 2).

    `rest_1` and `rest_2` are 1 - beta_1 and 1 - beta_2; t counts the steps, this one included.
    """
    alpha = _corrected(lr, t, beta_1, beta_2)
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    flush(m, TINY)
    flush(v, TINY_SQUARE)
    w -= m * alpha / (np.sqrt(v) + eps)


@twin(_adam, writes="w m v")
def adam(team, w, g, m, v, lr, t, beta_1, rest_1, beta_2, rest_2, eps):
    """Do the same in loops."""
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


def _amsgrad(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    h: np.ndarray,
    lr: np.floating,
    t: np.floating,
    beta_1: np.floating,
    rest_1: np.floating,
    beta_2: np.floating,
    rest_2: np.floating,
    eps: np.floating,
) -> None:
    """Adam whose steps never grow again once a gradient was large (Reddi et al., 2018)."""
    alpha = _corrected(lr, t, beta_1, beta_2)
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    flush(m, TINY)
    flush(v, TINY_SQUARE)
    np.maximum(h, v, out=h)
    w -= m * alpha / (np.sqrt(h) + eps)


@twin(_amsgrad, writes="w m v h")
def amsgrad(team, w, g, m, v, h, lr, t, beta_1, rest_1, beta_2, rest_2, eps):
    """Do the same in loops."""
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


def _nadam(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    lr: np.floating,
    rest_1: np.floating,
    rest_2: np.floating,
    look: np.floating,
    now: np.floating,
    rest_t: np.floating,
    eps: np.floating,
) -> None:
    """Adam with Nesterov's look ahead (Dozat, 2016).

    `look` and `now` are the shares of the mean and of the gradient, `rest_t` is 1 - beta_2^t; see `rules.Nadam`.
    """
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    flush(m, TINY)
    flush(v, TINY_SQUARE)
    w -= (look * m + now * g) * lr / (np.sqrt(v / rest_t) + eps)


@twin(_nadam, writes="w m v")
def nadam(team, w, g, m, v, lr, rest_1, rest_2, look, now, rest_t, eps):
    """Do the same in loops."""
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


def _adamax(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    u: np.ndarray,
    lr: np.floating,
    rest_1: np.floating,
    beta_2: np.floating,
    rest_t: np.floating,
    eps: np.floating,
) -> None:
    """Momentum in units of the recent largest gradient (Kingma & Ba, 2015, section 7); `rest_t` is 1 - beta_1^t."""
    m += (g - m) * rest_1
    np.maximum(beta_2 * u, np.abs(g), out=u)
    flush(m, TINY)
    flush(u, TINY)
    w -= lr * m / (rest_t * (u + eps))


@twin(_adamax, writes="w m u")
def adamax(team, w, g, m, u, lr, rest_1, beta_2, rest_t, eps):
    """Do the same in loops."""
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


def _adadelta(
    w: np.ndarray,
    g: np.ndarray,
    a: np.ndarray,
    d: np.ndarray,
    lr: np.floating,
    rho: np.floating,
    rest: np.floating,
    eps: np.floating,
) -> None:
    """Steps whose size follows from the sizes of past steps and gradients (Zeiler, 2012); `rest` is 1 - rho."""
    a[...] = rho * a + rest * (g * g)
    flush(a, TINY_SQUARE)
    s = np.sqrt(d + eps) * g / np.sqrt(a + eps)
    d[...] = rho * d + rest * (s * s)
    flush(d, TINY_SQUARE)
    w -= lr * s


@twin(_adadelta, writes="w a d")
def adadelta(team, w, g, a, d, lr, rho, rest, eps):
    """Do the same in loops."""
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


def _lion(
    w: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    lr: np.floating,
    beta_1: np.floating,
    rest_1: np.floating,
    beta_2: np.floating,
    rest_2: np.floating,
) -> None:
    """Steps of one size, in the direction of a running mean (Chen et al., 2023)."""
    w -= lr * np.sign(m * beta_1 + g * rest_1)
    m[...] = m * beta_2 + g * rest_2
    flush(m, TINY)


@twin(_lion, writes="w m")
def lion(team, w, g, m, lr, beta_1, rest_1, beta_2, rest_2):
    """Do the same in loops."""
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
