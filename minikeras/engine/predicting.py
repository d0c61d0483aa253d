"""What a network computes for data: `predict`, in batches, or in pieces that suit the processor's cache."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import data
from ..callbacks import CallbackList
from ..common.lending import lent, owned
from ..common.tree import Bundle, flatten, flatten_like, is_nested, pack
from ..functional import computing, one_blas_thread
from .graph import Graph
from .network import Network

WORTH_A_TEAM = 2**20  # multiply-adds: to predict with fewer, one thread is done before others are awake


class Predictor(Network):
    """A network that predicts."""

    # ---- data in the form of the inputs and outputs ----

    def _arranged(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return what the user gave as arrays, or bundles of them in the order of the model's inputs and outputs."""
        named = isinstance(x, dict) or isinstance(y, dict) or isinstance(sample_weight, dict)
        if not (named or self._has_several_inputs or self._has_several_outputs):
            return x, y, sample_weight
        if self.graph is None:
            return Bundle(flatten(x)) if isinstance(x, dict) else x, y, sample_weight
        if isinstance(x, Bundle) or isinstance(y, Bundle):
            return x, y, sample_weight  # arranged already, for a validation split
        xs = self._flat_inputs(x, f"Model {self.name!r}, x")
        x = xs[0] if len(xs) == 1 else Bundle(xs)
        names = [(name,) for name in self.output_names]
        if y is not None:
            ys = flatten_like(self._outputs, y, names, f"Model {self.name!r}, y", self._may_lack_targets())
            y = Bundle(ys) if self._has_several_outputs else ys[0]
        if isinstance(sample_weight, dict) or (
            self._has_several_outputs
            and isinstance(sample_weight, (list, tuple))
            and all(w is None or getattr(w, "ndim", 1) for w in sample_weight)
        ):
            owner = f"Model {self.name!r}, sample_weight"
            ws = flatten_like(self._outputs, sample_weight, names, owner, [True] * len(names))
            sample_weight = Bundle(ws) if self._has_several_outputs else ws[0]
        return x, y, sample_weight

    def _may_lack_targets(self) -> list[bool]:
        """Return which of the outputs need no targets."""
        return [False] * len(self.outputs)

    def _batches(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> data.Batches:
        return data.batches(x, y, sample_weight, dtype=self.dtype, arrange=self._arranged, **options)

    def _build_for(self, batches: data.Batches) -> None:
        """Build the model if it isn't, and check the data against it; arrays get the shape of its input."""
        batches.check = self._checked
        if batches.arrays is None:
            self._fitting(batches.peek()[0])
        else:
            batches.arrays = (self._fitting(batches.arrays[0]), *batches.arrays[1:])

    def _fitting(self, x: Any) -> Any:
        """Build the model for x if it isn't; return x in the shape of its input, if it has the sizes for that."""
        if self.graph is None:
            self._check_differentiable()
            self.build((None, *x.shape[1:]))
        x = self._adapted(x)
        self.check_input(x.shape)
        return x

    def _checked(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return a batch whose x has the shape of the model's input; ValueError where it can't have."""
        x = self._adapted(x)
        self.check_input(x.shape)
        return x, y, sample_weight

    def _adapted(self, x: Any) -> Any:
        """Add or drop a last axis of size 1 where the model's input has, or lacks, just that."""
        graph = self.graph
        if graph is None:
            return x
        if isinstance(x, Bundle):
            return Bundle(self._ranked(a, symbol) for a, symbol in zip(x, self.inputs, strict=True))
        return self._ranked(x, graph.inputs)

    # ---- predict ----

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: bool | int | str = "auto",
        steps: int | None = None,
        callbacks: Iterable[Any] | None = None,
    ) -> Any:
        """Compute the outputs for arrays, or for an iterable of batches; several in the form of the model's outputs.

        Where nobody watches single batches, arrays are cut into pieces that suit the processor's cache, whatever
        `batch_size` says.
        """
        writes_call = self.graph is None and self._writes_call
        all_at_once = steps is None or (steps == 1 and batch_size is None)
        if verbose == 0 and all_at_once and not callbacks and not writes_call and not data.is_stream(x):
            data.check_count("batch_size", batch_size)
            data.check_count("steps", steps)
            x = self._fitting(data.standardize(x, dtype=self.dtype, arrange=self._arranged, finite=False)[0])
            graph = self._built_graph()
            if graph.independent_samples:
                return self._as_outputs(self._predict_in_pieces(graph, x))
        batches = self._batches(x, batch_size=batch_size, steps=steps, finite=False)
        if not writes_call:
            self._build_for(batches)
        return self._predict_batches(batches, self._callback_list(callbacks, verbose, batches), x)

    def _predict_in_pieces(self, graph: Graph, x: Any) -> Any:
        return computing(
            self._in_pieces,
            graph,
            x,
            alone=len(x) * graph.multiply_adds < WORTH_A_TEAM,
            one_blas_thread=graph.uses_blas or self.dtype == "float64",
        )

    def _in_pieces(self, graph: Graph, x: Any) -> Any:
        size = graph.samples_in_cache
        with np.errstate(all="ignore"):
            if len(x) <= size or len(x) * graph.multiply_adds < WORTH_A_TEAM:
                return owned(graph.forward(x), x)
            outputs = [graph.forward(x[i : i + size]) for i in range(0, len(x), size)]
        return _concatenated(outputs)

    @one_blas_thread
    def _predict_batches(self, batches: data.Batches, callbacks: CallbackList, given: Any) -> Any:
        callbacks.on_predict_begin()
        outputs = []
        for step, (x, _, _) in enumerate(batches.epoch()):
            callbacks.on_predict_batch_begin(step)
            with np.errstate(all="ignore"):
                outputs.append(self._computed(x, given))
            callbacks.on_predict_batch_end(step, {"outputs": lent(outputs[-1])})
        callbacks.on_predict_end()
        return _concatenated(outputs)

    def _computed(self, x: Any, given: Any) -> Any:
        """Return the outputs of a batch; `given` shows the form of the inputs to a `call` of the user's own."""
        if self.graph is None:
            return self(pack(given, x) if isinstance(x, Bundle) else x)
        return self._as_outputs(self.graph.forward(x))

    def _callback_list(
        self, callbacks: Any, verbose: int | str, batches: data.Batches, epochs: int = 1, add_history: bool = False
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=add_history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=batches.steps,
            model=self,
        )

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of this batch."""
        return self.predict(x, steps=1, verbose=0)


def _concatenated(outputs: list[Any]) -> Any:
    """Return the outputs of several batches as those of one."""
    if not is_nested(outputs[0]):
        return np.concatenate(outputs)
    return pack(outputs[0], map(np.concatenate, zip(*map(flatten, outputs), strict=True)))
