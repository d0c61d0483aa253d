"""Update rules: one step of an optimizer, elementwise, over a vector that holds all weights.

| name    | shape | meaning                                                           |
|---------|-------|-------------------------------------------------------------------|
| w       | (P,)  | weights                                                           |
| g       | (P,)  | gradient of the loss, d loss / d w                                |
| m, v, h | (P,)  | running moments of the gradient (first, second, largest second)   |
| u       | (P,)  | running largest gradient (`adamax`)                               |
| d       | (P,)  | running mean of squared steps (`adadelta`)                        |
| s       | (P,)  | running mean of weights (`average`)                               |
| a       | (P,)  | running mean (`rmsprop_*`, `adadelta`) or sum (`adagrad`)         |
| lr      | ()    | learning rate                                                     |
| eps     | ()    | keeps divisions finite; must be positive                          |

A rule returns the new weights, and what is new of the state; who calls it finds them in the vectors that it was given.
NumPy runs it on whole vectors, and machine code is made of the same lines for one weight after the other.

Numbers come in the float type of the vectors (`np.float32` for float32), so that nothing is computed in float64 on the
way.  Complements such as 1 - beta come as arguments of their own, because 1 - 0.999 in float32 is wrong in the fifth
digit.  The operations stand in the order of Keras's, so that roundings agree too.

A moment whose weight gets no more gradient shrinks by a factor in each step, until after some hundred steps it is a
subnormal number, on which a processor is about ten times slower.  Moments that can no longer matter are therefore set
to zero: first moments below 1e-30, second moments below 1e-36 (in float32 subnormal numbers begin at 1.2e-38).
"""

import numpy as np

from . import Vector, elementwise

Number = np.floating
New = tuple[Vector, ...]

TINY = np.float32(1e-30)  # below it a first moment is zero
TINY_SQUARE = np.float32(1e-36)  # below it a second moment is zero


def flush(x: Vector, tiny: np.float32) -> Vector:
    """Return x with 0 in place of what is below `tiny`; NaN stays, so that it is seen."""
    return np.where(np.abs(x) < tiny, 0, x)


# Weight decay: w = w - w wd lr ----------------------------------------------------------------------------------------


@elementwise(writes="w")
def decay(w: Vector, wd: Number, lr: Number) -> Vector:
    """Shrink the weights towards zero, before the rule and apart from the gradient (Loshchilov & Hutter, 2019)."""
    return w - w * wd * lr


# Averages of the weights: s = mu s + (1 - mu) w -----------------------------------------------------------------------


@elementwise(writes="s")
def average(s: Vector, w: Vector, mu: Number, rest: Number) -> Vector:
    """Follow the weights slowly: their noise is left behind (Polyak & Juditsky, 1992); `rest` is 1 - mu."""
    return flush(mu * s + rest * w, TINY)


# Gradient descent: w = w - lr g ---------------------------------------------------------------------------------------


@elementwise(writes="w")
def sgd(w: Vector, g: Vector, lr: Number) -> Vector:
    """Step down the slope."""
    return w - g * lr


# Momentum: m = mu m - lr g;  w = w + m, or with Nesterov's look ahead  w = w + mu m - lr g ----------------------------


@elementwise(writes="w m")
def momentum(w: Vector, g: Vector, m: Vector, lr: Number, mu: Number) -> New:
    """Keep rolling: the step is a running sum of past steps (Polyak, 1964)."""
    m = flush(m * mu - g * lr, TINY)
    return w + m, m


@elementwise(writes="w m")
def nesterov(w: Vector, g: Vector, m: Vector, lr: Number, mu: Number) -> New:
    """Roll, and look one step ahead (Sutskever et al., 2013)."""
    m = flush(m * mu - g * lr, TINY)
    return w + (m * mu - g * lr), m


# RMSprop: v = rho v + (1 - rho) g^2;  w = w - lr g / sqrt(v + eps) ----------------------------------------------------
# centered: a = rho a + (1 - rho) g, and v - a^2, a variance, in the place of v;  with momentum: m = mu m + the step.
# `rest` is 1 - rho.


@elementwise(writes="w v")
def rmsprop(w: Vector, g: Vector, v: Vector, lr: Number, rho: Number, rest: Number, eps: Number) -> New:
    """Step in units of the gradient's recent size (Hinton's lecture 6, 2012)."""
    v = flush(rho * v + rest * (g * g), TINY_SQUARE)
    return w - lr * g / np.sqrt(v + eps), v


@elementwise(writes="w v m")
def rmsprop_momentum(
    w: Vector, g: Vector, v: Vector, m: Vector, lr: Number, rho: Number, rest: Number, eps: Number, mu: Number
) -> New:
    """Keep rolling, by such steps."""
    v = flush(rho * v + rest * (g * g), TINY_SQUARE)
    m = flush(mu * m + lr * g / np.sqrt(v + eps), TINY)
    return w - m, v, m


@elementwise(writes="w v a")
def rmsprop_centered(
    w: Vector, g: Vector, v: Vector, a: Vector, lr: Number, rho: Number, rest: Number, eps: Number
) -> New:
    """Step in units of the gradient's recent standard deviation (Graves, 2013)."""
    v = flush(rho * v + rest * (g * g), TINY_SQUARE)
    a = flush(rho * a + rest * g, TINY)
    return w - lr * g / np.sqrt(v - a * a + eps), v, a


@elementwise(writes="w v m a")
def rmsprop_centered_momentum(
    w: Vector, g: Vector, v: Vector, m: Vector, a: Vector, lr: Number, rho: Number, rest: Number, eps: Number,
    mu: Number,
) -> New:  # fmt: skip
    """Keep rolling, by such steps."""
    v = flush(rho * v + rest * (g * g), TINY_SQUARE)
    a = flush(rho * a + rest * g, TINY)
    m = flush(mu * m + lr * g / np.sqrt(v - a * a + eps), TINY)
    return w - m, v, m, a


# Adam: m = m + (1 - beta_1)(g - m);  v = v + (1 - beta_2)(g^2 - v);  w = w - alpha m / (sqrt(v) + eps)
# where alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) makes up for m and v starting at zero ---------------------------
# `rest_1` and `rest_2` are 1 - beta_1 and 1 - beta_2; t = 1, 2, ... is the number of the step.

ONE = np.float32(1)


@elementwise(writes="w m v")
def adam(
    w: Vector, g: Vector, m: Vector, v: Vector, lr: Number, t: Number, beta_1: Number, beta_2: Number, rest_1: Number,
    rest_2: Number, eps: Number,
) -> New:  # fmt: skip
    """Momentum in units of the gradient's recent size (Kingma & Ba, 2015, end of section 2)."""
    alpha = lr * np.sqrt(ONE - beta_2**t) / (ONE - beta_1**t)
    m = flush(m + (g - m) * rest_1, TINY)
    v = flush(v + (g * g - v) * rest_2, TINY_SQUARE)
    return w - m * alpha / (np.sqrt(v) + eps), m, v


@elementwise(writes="w m v h")
def amsgrad(
    w: Vector, g: Vector, m: Vector, v: Vector, h: Vector, lr: Number, t: Number, beta_1: Number, beta_2: Number,
    rest_1: Number, rest_2: Number, eps: Number,
) -> New:  # fmt: skip
    """Adam whose steps never grow again once a gradient was large (Reddi et al., 2018): h = max(h, v) in v's place."""
    alpha = lr * np.sqrt(ONE - beta_2**t) / (ONE - beta_1**t)
    m = flush(m + (g - m) * rest_1, TINY)
    v = flush(v + (g * g - v) * rest_2, TINY_SQUARE)
    h = np.maximum(h, v)
    return w - m * alpha / (np.sqrt(h) + eps), m, v, h


# Nadam: Adam's m and v;  w = w - lr (look m + now g) / (sqrt(v / rest_t) + eps) ---------------------------------------


@elementwise(writes="w m v")
def nadam(
    w: Vector, g: Vector, m: Vector, v: Vector, lr: Number, rest_1: Number, rest_2: Number, look: Number, now: Number,
    rest_t: Number, eps: Number,
) -> New:  # fmt: skip
    """Adam with Nesterov's look ahead (Dozat, 2016).

    `look` and `now` are the shares of the mean and of the gradient, `rest_t` is 1 - beta_2^t; see `optimizers.Nadam`.
    """
    m = flush(m + (g - m) * rest_1, TINY)
    v = flush(v + (g * g - v) * rest_2, TINY_SQUARE)
    return w - (look * m + now * g) * lr / (np.sqrt(v / rest_t) + eps), m, v


# Adamax: m = m + (1 - beta_1)(g - m);  u = max(beta_2 u, |g|);  w = w - lr m / ((1 - beta_1^t)(u + eps)) --------------


@elementwise(writes="w m u")
def adamax(
    w: Vector, g: Vector, m: Vector, u: Vector, lr: Number, rest_1: Number, beta_2: Number, rest_t: Number, eps: Number
) -> New:
    """Momentum in units of the recent largest gradient (Kingma & Ba, 2015, section 7); `rest_t` is 1 - beta_1^t."""
    m = flush(m + (g - m) * rest_1, TINY)
    u = flush(np.maximum(beta_2 * u, np.abs(g)), TINY)
    return w - lr * m / (rest_t * (u + eps)), m, u


# Adagrad: a = a + g^2;  w = w - lr g / sqrt(a + eps) ------------------------------------------------------------------


@elementwise(writes="w a")
def adagrad(w: Vector, g: Vector, a: Vector, lr: Number, eps: Number) -> New:
    """Step less where gradients have been large (Duchi et al., 2011)."""
    a = a + g * g
    return w - lr * g / np.sqrt(a + eps), a


# Adadelta: a = rho a + (1 - rho) g^2;  s = g sqrt(d + eps) / sqrt(a + eps);  d = rho d + (1 - rho) s^2;  w = w - lr s -


@elementwise(writes="w a d")
def adadelta(w: Vector, g: Vector, a: Vector, d: Vector, lr: Number, rho: Number, rest: Number, eps: Number) -> New:
    """Steps whose size follows from the sizes of past steps and gradients (Zeiler, 2012); `rest` is 1 - rho."""
    a = flush(rho * a + rest * (g * g), TINY_SQUARE)
    s = np.sqrt(d + eps) * g / np.sqrt(a + eps)
    d = flush(rho * d + rest * (s * s), TINY_SQUARE)
    return w - lr * s, a, d


# Lion: w = w - lr sign(beta_1 m + (1 - beta_1) g);  m = beta_2 m + (1 - beta_2) g -------------------------------------


@elementwise(writes="w m")
def lion(
    w: Vector, g: Vector, m: Vector, lr: Number, beta_1: Number, rest_1: Number, beta_2: Number, rest_2: Number
) -> New:
    """Steps of one size, in the direction of a running mean (Chen et al., 2023)."""
    step = lr * np.sign(m * beta_1 + g * rest_1)
    m = flush(m * beta_2 + g * rest_2, TINY)
    return w - step, m
