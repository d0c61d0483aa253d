"""The circle loss: embeddings of one label are drawn together, those of others pushed apart (Sun et al., 2020)."""

from typing import Any

import numpy as np

from ..activations import as_floats, sigmoid
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .targets import check_group_labels
from .wrapper import LossFunctionWrapper


class Pairs:
    """Each sample beside each reference: distances, and what they are worth.

    Attributes:
        d: max(1 - p e, 0), the cosine distance of unit vectors p and e.
        positive: the weights exp(a) / sum(exp(a)) of the pairs of one label, with
            a = gamma max(m + d, 0) (d - m).
        negative: the weights of all other pairs likewise, with b = gamma max(1 + m - d, 0) (1 - m - d).
        x: log(sum(exp(a))) + log(sum(exp(b))), a number for each sample; -inf where it lacks one of the two kinds.
    """

    def __init__(self, labels: Any, p: np.ndarray, options: dict[str, Any]):
        labels = np.asarray(labels).astype(np.int64).reshape(-1)
        others, e = options.get("ref_labels"), options.get("ref_embeddings")
        others = labels if others is None else np.asarray(others).astype(np.int64).reshape(-1)
        self.e = p if e is None else np.asarray(e, p.dtype)
        self.gamma, self.margin = options.get("gamma", 80), options.get("margin", 0.4)
        self.similarity = p @ self.e.T
        if self.similarity.shape != (len(labels), len(others)):
            raise ValueError(
                f"circle: {len(labels)} labels and {len(others)} labels of references don't fit embeddings of shapes "
                f"{p.shape} and {self.e.shape}."
            )
        self.d = d = np.maximum(1 - self.similarity, 0)
        same = labels[:, None] == others[None, :]
        different = ~same
        if options.get("remove_diagonal", True):
            np.fill_diagonal(same, False)
        gamma, m = self.gamma, self.margin
        self.positive, first = _softmax_among(gamma * np.maximum(m + d, 0) * (d - m), same)
        self.negative, second = _softmax_among(gamma * np.maximum(1 + m - d, 0) * (1 - m - d), different)
        self.x = first + second


def _softmax_among(a: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the softmax of each row's chosen numbers, 0 for the others, and log(sum(exp(a))) of the chosen."""
    a = np.where(chosen, a, -np.inf)
    top = a.max(1, keepdims=True)
    top = np.where(np.isneginf(top), 0, top)
    powers = np.exp(a - top)
    total = powers.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        return powers / np.where(total > 0, total, 1), (np.log(total) + top)[:, 0]


@differentiable
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> np.ndarray:
    """log(1 + sum(exp(a)) sum(exp(b))), over a sample's pairs of one label and its others, see `Pairs`.

    Args:
        y_true: integer labels, one per sample.
        y_pred: embeddings of length 1, shape (n, size).
        ref_labels: labels of the references; where None, the samples are their own references.
        ref_embeddings: the same for embeddings.
        remove_diagonal: whether to leave out the pairs of sample i and reference i.
        gamma: how sharply the hardest pairs are preferred.
        margin: how much nearer than others those of one label shall be.
    """
    options = {"ref_labels": ref_labels, "ref_embeddings": ref_embeddings, "remove_diagonal": remove_diagonal}
    return np.logaddexp(0, Pairs(y_true, as_floats(y_pred), {**options, "gamma": gamma, "margin": margin}).x)


@circle.derivative
def circle_gradient(y_true: Any, y_pred: Any, *, dy: np.ndarray, **options: Any) -> np.ndarray:
    """dp = ds e with ds = -dy sigmoid(x) (positive da + negative db) for s = p e, 0 where s > 1.

        da = gamma (max(m + d, 0) + [m + d >= 0] (d - m))
        db = -gamma (max(1 + m - d, 0) + [1 + m - d >= 0] (1 - m - d))

    Each value depends on all embeddings, so this takes the derivative `dy` by the values; where the samples are their
    own references, dp += ds^T p.
    """
    p = as_floats(y_pred)
    pairs = Pairs(y_true, p, options)
    d, gamma, m = pairs.d, pairs.gamma, pairs.margin
    da = gamma * (np.maximum(m + d, 0) + (m + d >= 0) * (d - m))
    db = -gamma * (np.maximum(1 + m - d, 0) + (1 + m - d >= 0) * (1 - m - d))
    slopes = (dy * sigmoid(pairs.x))[:, None] * (pairs.positive * da + pairs.negative * db)
    ds = -slopes * (pairs.similarity <= 1)
    dp = ds @ pairs.e
    return dp if options.get("ref_embeddings") is not None else dp + ds.T @ p


@keras_class("keras.losses")
class Circle(LossFunctionWrapper):
    """The circle loss: see `circle`, and `Loss` for the other arguments.

    Samples with no loss do not count, in means neither.
    """

    targets_checker = staticmethod(check_group_labels)

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: str | None = None,
    ):
        options = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **options)

    def mask(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        return self.call(y_true, y_pred) > 0

    def gradient(self, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
        """Return the derivative of the sum of all values."""
        return circle.gradient(y_true, y_pred, dy=np.ones(len(y_pred), y_pred.dtype), **self.options)

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, np.ndarray]:
        model_dtype = as_floats(y_pred).dtype
        y_pred = self._predictions(y_pred)
        values = self.call(y_true, y_pred)
        reduced, weights, scale = self.reduced(values, sample_weight, values > 0)
        dy = np.full(values.shape, scale, values.dtype) * (1 if weights is None else weights)
        return reduced, circle.gradient(y_true, y_pred, dy=dy, **self.options).astype(model_dtype)
