"""Connectionist temporal classification: a sequence of labels beside predictions for more steps than it has labels.

    labels     c a t                    one of many alignments:   - c c - a t t
    states s   - c - a - t -            blanks around each label; a step stays, goes to the next state, or leaves out a
                                        blank between two labels that differ

Graves et al., 2006.
"""

from typing import Any

import numpy as np

from ..activations import as_floats, softmax
from ..common.differentiable import differentiable
from ..common.serialization import keras_class
from .targets import check_sequences
from .wrapper import LossFunctionWrapper

BLANK = 0


class Alignments:
    """All alignments of labels with predictions z, added up.

    Attributes:
        p: softmax(z).
        classes: the class of each state.
        occupied: how probable it is, given the labels, that an alignment is in state s at step t.
        log_likelihood: log(P(labels)), a number for each sample.
    """

    def __init__(self, y_true: Any, y_pred: Any):
        z, labels = as_floats(y_pred), np.asarray(y_true)
        check_sequences(labels, z.shape)
        labels = labels.astype(np.intp)
        count = np.count_nonzero(labels != BLANK, -1)
        n, length = labels.shape
        self.p = softmax(z, -1)
        self.classes = np.full((n, 2 * length + 1), BLANK)
        self.classes[:, 1::2] = labels
        may_skip = np.zeros(self.classes.shape, bool)
        may_skip[:, 3::2] = labels[:, 1:] != labels[:, :-1]
        top = z.max(-1, keepdims=True)
        log_p = z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))
        log_p = np.take_along_axis(log_p, self.classes[:, None, :], -1)  # of states
        state = np.arange(2 * length + 1)
        first = np.where(state <= 1, 0, -np.inf) + np.zeros((n, 1))
        last = np.where((state <= 2 * count[:, None]) & (state >= 2 * count[:, None] - 1), 0, -np.inf)
        before = _arrivals(first.astype(z.dtype), log_p, may_skip) + log_p
        skipped_from = np.zeros_like(may_skip)
        skipped_from[:, :-2] = may_skip[:, 2:]
        after = _arrivals(last[:, ::-1].astype(z.dtype), log_p[:, ::-1, ::-1], skipped_from[:, ::-1])[:, ::-1, ::-1]
        joint = before + after
        self.log_likelihood = np.logaddexp.reduce(joint[:, 0], -1)
        self.occupied = np.exp(joint - self.log_likelihood[:, None, None])


def _arrivals(start: np.ndarray, log_p: np.ndarray, may_skip: np.ndarray) -> np.ndarray:
    """Return log(P) of all ways into each state at each step, that step's own prediction left out."""
    reached = np.empty_like(log_p)
    reached[:, 0] = start
    for step in range(1, log_p.shape[1]):
        left = reached[:, step - 1] + log_p[:, step - 1]
        now = left.copy()
        now[:, 1:] = np.logaddexp(now[:, 1:], left[:, :-1])
        now[:, 2:] = np.logaddexp(now[:, 2:], np.where(may_skip[:, 2:], left[:, :-2], -np.inf))
        reached[:, step] = now
    return reached


@differentiable
def ctc(y_true: Any, y_pred: Any) -> np.ndarray:
    """-log(P(labels)): P is the sum over all alignments of the product of softmax(z) at each step.

    Args:
        y_true: labels as integers in [1, C), shape (n, length); shorter sequences end in 0, the class of the blank.
        y_pred: logits, shape (n, steps, C).

    Raises:
        ValueError: shapes that don't fit, a label outside [0, C), more labels than the steps can hold.
    """
    return -Alignments(y_true, y_pred).log_likelihood


@ctc.derivative
def ctc_gradient(y_true: Any, y_pred: Any) -> np.ndarray:
    """softmax(z) - the probability, given the labels, that an alignment has this class at this step."""
    alignments = Alignments(y_true, y_pred)
    p = alignments.p
    of_class = (alignments.classes[..., None] == np.arange(p.shape[-1])).astype(p.dtype)
    return p - alignments.occupied @ of_class


@keras_class("keras.losses")
class CTC(LossFunctionWrapper):
    """How improbable a sequence of labels is: see `ctc`, and `Loss` for the arguments."""

    targets_checker = staticmethod(check_sequences)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "ctc", dtype: str | None = None
    ):
        super().__init__(ctc, reduction, name, dtype)
