"""Gradients that are too large, made smaller before a step."""

import numpy as np


def clip(
    gradients: list[np.ndarray], clipnorm: float | None, global_clipnorm: float | None, clipvalue: float | None
) -> None:
    """Limit the gradients, in place.

    clipnorm:        g = g c / max(|g|, c)             |g| the norm of one variable's gradient
    global_clipnorm: g = g c min(1 / |G|, 1 / c)       |G| that of all; not finite: everything becomes NaN
    clipvalue:       g = min(max(g, -c), c)
    """
    if clipnorm:
        for g in gradients:
            c = g.dtype.type(clipnorm)
            norm = np.sqrt(np.sum(np.square(g)))
            g *= c
            g /= np.maximum(norm, c)
    elif global_clipnorm:
        c = gradients[0].dtype.type(global_clipnorm)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
        scale = c * np.minimum(1 / norm, 1 / c) + (norm - norm)
        for g in gradients:
            g *= scale
    elif clipvalue:
        for g in gradients:
            np.clip(g, -clipvalue, clipvalue, out=g)
