"""`testing.trace`: every array of one batch's way through a model of ours or of Keras, forward and backward."""

from typing import Any

import numpy as np

from ..layers.base import Layer
from .records import Trace, is_keras, trace_own
from .tracing_keras import trace_keras


def trace(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    loss: Any = None,
    training: bool = True,
    randomize: bool = True,
    step: bool = False,
    seed: int = 0,
    to_file: Any = None,
) -> Trace:
    """Run one batch through a model or a layer, forward and backward, and record every array on the way.

    The model is left as it was: weights, gradients, random streams.

    Args:
        model: a model or a layer of this library or of Keras (with the TensorFlow backend).
        x: a batch; a list of arrays where the model has several inputs, or a dictionary by the names of their layers.
        y: the targets, likewise; where None, the gradient at the output is random, and there is no loss.
        loss: a name or a loss of either library, a list or a dictionary of them, one for each output; where None, what
            the model was compiled with.
        training: whether Dropout and its like are active.
        randomize: for this pass, replace weights that are all 0 or all 1 by random numbers, as zeros hide errors.
        step: also record the weights after one step of the model's optimizer; needs `y` and a compiled model.
        seed: of everything random here.
        to_file: write the trace to this `.npz` file.

    Raises:
        ValueError, TypeError: something that is no model; a target without a loss; a step without `compile`.
    """
    check_request(model, y, loss, step, "trace")
    record = trace_keras if is_keras(model) else trace_own
    made = record(model, x, y, loss, training, randomize, step, np.random.default_rng(seed))
    if to_file is not None:
        made.save(to_file)
    return made


def check_request(model: Any, y: Any, loss: Any, step: bool, caller: str) -> None:
    """Raise where a model can't be traced as asked."""
    if not (is_keras(model) or isinstance(model, Layer)):
        raise TypeError(f"{caller}: expected a model or a layer, ours or Keras's, received {model!r}.")
    compiled = getattr(model, "compiled", False)
    if step and (y is None or not compiled):
        raise ValueError(f"{caller}: step=True needs targets `y`, and compile() called on {model.name!r}.")
    if y is not None and loss is None and not (compiled and getattr(model, "loss", None) is not None):
        raise ValueError(f"{caller}: with targets `y`, pass `loss`, or compile {model.name!r} with one.")
