"""Embedding: a table of learned vectors, one for each word, user or anything else that is counted."""

import warnings
from typing import Any, ClassVar

import numpy as np

from ...common.serialization import keras_class
from ..base import Layer
from ..shapes import Shape


@keras_class("keras.layers")
class Embedding(Layer):
    """Look up a vector for each integer: y[n, t] = E[x[n, t]].

    | symbol | shape     | is                                                                        |
    |--------|-----------|---------------------------------------------------------------------------|
    | x      | (N, T)    | integers from 0 to V - 1; any number of axes.  Negative ones count from V |
    | E      | (V, D)    | `embeddings`: a vector for each integer                                   |
    | y      | (N, T, D) | the output                                                                |

    The same as a Dense layer without bias on one-hot vectors, but without their zeros.  Models hand on all data as
    floats: integers up to 2^24 are exact in float32, and a fraction is cut off.

    Where an integer v comes several times in a batch, dE[v] is the sum of the gradients g at its places, and an
    optimizer squares this sum, as its formula says.  tf.keras takes sum(g^2) instead of (sum g)^2 (Adamax: sum |g|
    instead of |sum g|), and clips each g apart, unless E has a regularizer.  So its steps are others than here with
    Adam, AdamW, Nadam, Adamax, RMSprop, Adagrad and Adadelta, and with `clipnorm`, `global_clipnorm` and `clipvalue`;
    they are the same with SGD and Lion.

    Args:
        input_dim: V.
        output_dim: D.
        embeddings_initializer: of E.
        embeddings_regularizer: its penalty on E is added to the loss.
        embeddings_constraint: where E is put back to after each step; see `constraints`.
        weights: E itself, or a list of it, to start from.
        **options: those of `Layer`.

    Raises:
        ValueError: a size that is not a positive integer; in use, an integer outside [-V, V).
    """

    only_default: ClassVar[dict[str, Any]] = {
        "activity_regularizer": None,
        "mask_zero": False,
        "quantization_config": None,
    }
    not_in_config: ClassVar[dict[str, Any]] = {**Layer.not_in_config, "lora_rank": None, "lora_alpha": None}

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **options: Any,
    ):
        weights = options.pop("weights", None)
        if options.pop("input_length", None) is not None:
            warnings.warn("Embedding: `input_length` is no longer needed; leave it out.", stacklevel=3)
        super().__init__(**options)
        self.input_dim = self._positive("input_dim", input_dim)
        self.output_dim = self._positive("output_dim", output_dim)
        self._store_options("embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Shape | None = None) -> None:
        self.embeddings = self._declare_weight("embeddings", (self.input_dim, self.output_dim))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def forward(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, Any]:
        """y[n, t] = E[x[n, t]]."""
        ids = x.astype(np.intp)
        V = self.input_dim
        if ids.size and not -V <= ids.min() <= ids.max() < V:
            wrong = ids.max() if ids.max() >= V else ids.min()
            raise ValueError(f"{self._owner}: {wrong} is not in [0, {V}); `input_dim` is the largest integer plus 1.")
        return self.embeddings.value[ids], ids

    def backward(self, dy: np.ndarray, cache: Any) -> np.ndarray:
        """Forward copied E[v] to every place with x = v, so dE[v] is the sum of dy over them.

        The output doesn't change with a little of x, so dx = 0.
        """
        self.backward_weights(dy, cache)
        return np.zeros(cache.shape, dy.dtype)

    def backward_weights(self, dy: np.ndarray, cache: Any) -> None:
        ids = cache.reshape(-1) % self.input_dim
        if not ids.size:
            return
        order = np.argsort(ids, kind="stable")
        found, starts = np.unique(ids[order], return_index=True)
        self.embeddings.gradient[found] += np.add.reduceat(dy.reshape(ids.size, -1)[order], starts, axis=0)
