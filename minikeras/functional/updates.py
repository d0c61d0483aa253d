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
"""

import numpy as np

from . import Vector, fast

TINY = np.float32(1e-30)  # below it a first moment is zero
TINY_SQUARE = np.float32(1e-36)  # below it a second moment is zero


def flush(x: np.ndarray, tiny: np.float32) -> None:
    """Set the elements below `tiny` to zero, in place; NaN stays, so that it is seen."""
    x[np.abs(x) < tiny] = 0


# Weight decay: w = w - w wd lr --------------------------------------------------------------------------------------


@fast()
def decay(w: Vector, wd: np.floating, lr: np.floating) -> None:
    """Shrink the weights towards zero, before the rule and apart from the gradient (Loshchilov & Hutter, 2019)."""
    w -= w * wd * lr


# Gradient descent: w = w - lr g -------------------------------------------------------------------------------------


@fast()
def sgd(w: Vector, g: Vector, lr: np.floating) -> None:
    """Step down the slope."""
    w -= g * lr


# Momentum: m = mu m - lr g;  w = w + m,  or with Nesterov's look ahead  w = w + mu m - lr g -------------------------


@fast(writes="w m")
def momentum(w: Vector, g: Vector, m: Vector, lr: np.floating, mu: np.floating, nesterov: bool) -> None:
    """Keep rolling: the step is a running sum of past steps (Polyak, 1964; Sutskever et al., 2013)."""
    m[...] = m * mu - g * lr
    flush(m, TINY)
    w += m * mu - g * lr if nesterov else m


# Adagrad: a = a + g^2;  w = w - lr g / sqrt(a + eps) ----------------------------------------------------------------


@fast(writes="w a")
def adagrad(w: Vector, g: Vector, a: Vector, lr: np.floating, eps: np.floating) -> None:
    """Step less where gradients have been large (Duchi et al., 2011)."""
    a += g * g
    w -= lr * g / np.sqrt(a + eps)


# RMSprop: v = rho v + (1 - rho) g^2;  w = w - lr g / sqrt(v + eps) --------------------------------------------------


@fast(writes="w v")
def rmsprop(
    w: Vector, g: Vector, v: Vector, lr: np.floating, rho: np.floating, rest: np.floating, eps: np.floating
) -> None:
    """Step in units of the gradient's recent size (Hinton's lecture 6, 2012); `rest` is 1 - rho."""
    v[...] = rho * v + rest * (g * g)
    flush(v, TINY_SQUARE)
    w -= lr * g / np.sqrt(v + eps)


@fast()
def running_mean(a: Vector, g: Vector, rho: np.floating, rest: np.floating) -> None:
    """a = rho a + (1 - rho) g: the mean that a centered RMSprop subtracts."""
    a[...] = rho * a + rest * g
    flush(a, TINY)


@fast(writes="s v")
def rmsprop_step(
    s: Vector,
    g: Vector,
    v: Vector,
    a: Vector,
    lr: np.floating,
    rho: np.floating,
    rest: np.floating,
    eps: np.floating,
) -> None:
    """v as above;  s = lr g / sqrt(v - a^2 + eps): a variance under the root where a is the mean, and 0 where not."""
    v[...] = rho * v + rest * (g * g)
    flush(v, TINY_SQUARE)
    s[...] = lr * g / np.sqrt(v - a * a + eps)


@fast(writes="w m")
def rolling_step(w: Vector, s: Vector, m: Vector, mu: np.floating) -> None:
    """m = mu m + s;  w = w - m."""
    m[...] = mu * m + s
    flush(m, TINY)
    w -= m


# Adam: m = m + (1 - beta_1)(g - m);  v = v + (1 - beta_2)(g^2 - v);  w = w - alpha m / (sqrt(v) + eps) --------------
# alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) makes up for moments that start at zero.


def _corrected(lr: np.floating, t: np.floating, beta_1: np.floating, beta_2: np.floating) -> np.floating:
    """Return alpha.  Powers in the weights' own float type: Keras's first steps show its roundings."""
    one = type(lr)(1)
    return lr * np.sqrt(one - beta_2**t) / (one - beta_1**t)


@fast(writes="w m v")
def adam(
    w: Vector,
    g: Vector,
    m: Vector,
    v: Vector,
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


# AMSGrad: Adam with h = max(h, v) in the place of v -----------------------------------------------------------------


@fast(writes="w m v h")
def amsgrad(
    w: Vector,
    g: Vector,
    m: Vector,
    v: Vector,
    h: Vector,
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


# Nadam: Adam's m and v;  w = w - lr (look m + now g) / (sqrt(v / rest_t) + eps) -------------------------------------


@fast(writes="w m v")
def nadam(
    w: Vector,
    g: Vector,
    m: Vector,
    v: Vector,
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


# Adamax: m = m + (1 - beta_1)(g - m);  u = max(beta_2 u, |g|);  w = w - lr m / ((1 - beta_1^t)(u + eps)) -------------


@fast(writes="w m u")
def adamax(
    w: Vector,
    g: Vector,
    m: Vector,
    u: Vector,
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


@fast(writes="w a d")
def adadelta(
    w: Vector,
    g: Vector,
    a: Vector,
    d: Vector,
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


# Lion: w = w - lr sign(beta_1 m + (1 - beta_1) g);  m = beta_2 m + (1 - beta_2) g ------------------------------------


@fast(writes="w m")
def lion(
    w: Vector,
    g: Vector,
    m: Vector,
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
