"""How a network learns: fit, evaluate, and the step of gradient descent inside.

Keras's counterpart: `keras.src.trainers.trainer.Trainer`.
"""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import data
from ..callbacks import History
from ..common.arguments import checked, is_number
from ..common.tree import flatten
from ..functional import one_blas_thread
from ..layers.base import Layer
from ..losses.wrapper import check_trainable
from ..variables import Changes, Parameters, Variable
from .compiled import Compiled, Running
from .graph import Graph
from .objective import Objective


class Trained(NamedTuple):
    """What `trainable` decides, settled at the first step after `compile`."""

    graph: Graph
    variables: list[Variable]
    homes: list[Parameters]  # the vectors that these live in
    needed: list[bool]  # see `Graph.needed`
    active: Any  # what the layers are told of `training`; see `Graph.active`
    penalized: list[Variable]  # the weights that have a regularizer
    changes: Any  # collects what layers keep beside their weights; see `variables.Changes`


class Trainer(Compiled):
    """A network that learns.

    A state that takes several steps to make is made whole, and then takes its place in one: whatever interrupts a
    method, Ctrl-C included, the model is as it was or as it shall be.
    """

    lends: ClassVar[dict[str, int]] = {**Compiled.lends, "train_step": 3, "test_step": 3}

    # ---- one step ----

    def train_step(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        """Do one step of gradient descent on one batch.

            z        = layers(x)                     forward
            L        = loss(y, z) + penalties        what should fall
            dL/dw    = chain rule, last layer first  backward
            w        = w - ...                       the optimizer's rule

        Where the last activation is softmax (or sigmoid) and the loss its crossentropy, z is what enters the
        activation: the pair has a simpler derivative, and nothing to clip (see `objective.paired`).
        """
        objective, trained = self._objective, self._trained
        caches: list[Any] = []
        with trained.changes as changed:  # of what layers keep beside: they take effect with the step
            z = trained.graph.forward(x, trained.active, caches, objective.logits)
            value, dz, y_pred = objective.value_and_gradient(y, z, sample_weight)
            for home in trained.homes:
                home.zero_gradients()
            trained.graph.backward(dz, caches, trained.needed)
            if trained.penalized:
                value += _penalties(trained.penalized, add_gradients=True)
            self.optimizer.step(trained.variables, changed)
        self._loss_tracker.add(value, len(y_pred))
        objective.update_metrics(y, z, y_pred, sample_weight, self._keeps_batches)

    def test_step(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        """Compute loss and metrics of one batch, and learn nothing."""
        objective = self._objective
        with np.errstate(all="ignore"):
            z = objective.graph.forward(x, logits=objective.logits)
            value, y_pred = objective.value(y, z, sample_weight)
            self._loss_tracker.add(value + _penalties(self._evaluated or []), len(y_pred))
            objective.update_metrics(y, z, y_pred, sample_weight, self._keeps_batches)

    def _prepare(self, batches: data.Batches, training: bool) -> None:
        """Before the first step: build, check the data against the model and the loss, choose metrics and pairing."""
        _, y, _ = batches.peek()
        self._build_for(batches)
        batches.check = self._checked_with_targets
        if y is None:
            self._check_forward()
            raise ValueError(
                f"Model {self.name!r}: the loss needs targets. Pass `y`, or batches that are tuples (x, y)."
            )
        if all(loss is None for loss in flatten(self.loss)):
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        shapes, graph, objective = self._output_shapes(batches.peek()[0]), self.graph, self._objective
        if objective is None or objective.graph is not graph:  # at first; or the graph has changed since
            if objective is None:
                objective = Objective(self._compile_arguments, self._outputs, self.output_names, y, shapes)
            self._objective, self._evaluated = objective.paired(graph), None
        if training:
            for loss in self._objective.losses.values():
                check_trainable(loss)
        self._objective.check_targets(y if batches.arrays is None else batches.arrays[1], shapes)
        if training:
            self._settle_trainable()
        elif self._evaluated is None:  # as tf.keras, which traces the two apart
            self._evaluated = self._penalized()

    def _check_forward(self) -> None:
        """Raise TypeError for a layer that can't compute, which no targets would help."""
        for layer, _ in self._built_graph().steps:
            if type(layer).forward is Layer.forward:
                layer.forward(np.empty(0), True)

    def _penalized(self) -> list[Any]:
        return [v for v in self.trainable_weights if v.regularizer is not None]

    def _settle_trainable(self) -> None:
        """Settle which weights are trained, where gradients have to go, and which layers rest.

        That holds until `compile` is called again, as in tf.keras, whose step is traced once; a graph that has changed
        since, and a copied model, settle it anew.
        """
        trained, graph = self._trained, self._built_graph()
        if trained is not None and trained.graph is graph and all(v.home is not None for v in trained.variables):
            if trained.variables != self.trainable_weights:
                warnings.warn(
                    f"Model {self.name!r}: `trainable` was changed after `compile`; call `compile` again for it to "
                    "count.",
                    stacklevel=4,
                )
            return
        self._check_followed(graph)
        self.gather()
        variables = self.trainable_weights
        if not variables:
            warnings.warn(f"Model {self.name!r} does not have any trainable weights.", stacklevel=5)
        self.optimizer.build(variables)
        changes = Changes() if any(not v.declared_trainable for v in self.weights) else contextlib.nullcontext()
        homes = [home for home in dict.fromkeys(v.home for v in variables) if home is not None]
        self._trained = Trained(graph, variables, homes, graph.needed(), graph.active(), self._penalized(), changes)

    # ---- fit, evaluate, predict ----

    @one_blas_thread
    @checked
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: bool | int | str = "auto",
        callbacks: Iterable[Any] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train for some epochs: each sees all data once, in batches.

        Args:
            x, y: arrays; or x a generator, or any iterable, of batches (x, y) or (x, y, sample_weight).
            batch_size: 32 where None.
            epochs: where to stop counting; the first is `initial_epoch`.
            verbose: 0 silent, 1 or "auto" a progress line, 2 a line per epoch.
            callbacks: see `callbacks`.
            validation_split: this fraction, the tail of the arrays, is kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or an iterable of batches.
            shuffle: a new order each epoch; `"batch"` shuffles only within batches.
            class_weight: {class: weight} for the loss.
            sample_weight: one weight per sample, for the loss.
            initial_epoch: to go on where an earlier fit ended.
            steps_per_epoch: batches per epoch; needed for an endless generator.
            validation_steps, validation_batch_size: likewise for the validation.
            validation_freq: validate every so many epochs, or after the epochs of a list.

        Returns:
            The history: `history.history["loss"]` has a value for each epoch.

        Raises:
            ValueError, TypeError: data that don't fit the model, the loss or each other; nothing has changed then.
        """
        self._assert_compiled("fit")
        _check_counts(epochs, initial_epoch, steps_per_epoch, validation_steps, validation_freq)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = data.train_validation_split(
                x, y, sample_weight, validation_split, self._arranged
            )
        options = {"steps": steps_per_epoch, "shuffle": shuffle, "class_weight": class_weight}
        batches = self._batches(x, y, sample_weight, batch_size=batch_size, **options)
        validation = None
        if validation_data is not None:
            size, given = validation_batch_size or batch_size, data.unpack(validation_data)
            validation = self._batches(*given, batch_size=size, steps=validation_steps)
        self._prepare(batches, training=True)
        if validation is not None:
            self._prepare(validation, training=False)
        calls: Any = self._callback_list(callbacks, verbose, batches, add_history=True, epochs=epochs)
        self.stop_training = False
        self.running = Running(batches, validation, initial_epoch)
        logs: dict[str, float] | None = None
        try:
            calls.on_train_begin()
            for epoch in range(self.running.initial_epoch, epochs):
                if batches.exhausted:
                    warnings.warn(f"fit: the generator has ended; training stops after epoch {epoch}.", stacklevel=4)
                    break
                if self._trained.graph is not self.graph:  # a callback has changed it
                    self._prepare(batches, training=True)
                    if validation is not None:
                        self._prepare(validation, training=False)
                self.reset_metrics()
                calls.on_epoch_begin(epoch)
                self._keeps_batches = batches.arrays is not None
                quiet = np.errstate(all="ignore")  # what diverges ends in inf and nan, for TerminateOnNaN to see
                watched = calls.sees_batches or not self._keeps_batches  # by the user's code, which may warn
                train_step = quiet(self.train_step) if watched else self.train_step
                with contextlib.nullcontext() if watched else quiet:
                    for step, batch in enumerate(batches.epoch(), batches.initial_batch):
                        if watched:
                            calls.on_train_batch_begin(step)
                        train_step(*batch)
                        if watched:
                            calls.on_train_batch_end(step, self._logs)
                        if self.stop_training:
                            break
                logs = self._logs()
                if validation is not None and not validation.exhausted and _is_due(epoch, validation_freq):
                    val_logs = self._evaluate(validation, calls)
                    logs.update({f"val_{name}": value for name, value in val_logs.items()})
                calls.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            calls.on_train_end(logs)
        finally:
            self.running = None
        return self.history

    @one_blas_thread
    @checked
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: bool | int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Iterable[Any] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Compute the loss and the metrics on data, and learn nothing.

        Returns:
            [loss, metric, ...]; the loss alone where there are no metrics; a dictionary with `return_dict`.
        """
        self._assert_compiled("evaluate")
        batches = self._batches(x, y, sample_weight, batch_size=batch_size, steps=steps)
        self._prepare(batches, training=False)
        logs = self._evaluate(batches, self._callback_list(callbacks, verbose, batches))
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, batches: data.Batches, callbacks: Any) -> dict[str, float]:
        callbacks.on_test_begin()
        self.reset_metrics()
        self._keeps_batches = batches.arrays is not None
        for step, batch in enumerate(batches.epoch()):
            callbacks.on_test_batch_begin(step)
            self.test_step(*batch)
            callbacks.on_test_batch_end(step, self._logs)
        logs = self._logs()
        callbacks.on_test_end(logs)
        return logs

    def _checked_with_targets(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        self._objective.check_targets(y, self._output_shapes(x))
        return self._checked(x, y, sample_weight)

    # ---- one batch at a time ----

    @one_blas_thread
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Do one step on this batch; return its loss and metrics, of the weights before the step."""
        self._assert_compiled("train_on_batch")
        batches = self._batches(x, y, sample_weight, steps=1, class_weight=class_weight)
        self._prepare(batches, training=True)
        self.reset_metrics()
        with np.errstate(all="ignore"):
            for batch in batches.epoch():
                self.train_step(*batch)
        return self._logs() if return_dict else self._in_order(self._logs())

    @one_blas_thread
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Return loss and metrics of this batch."""
        self._assert_compiled("test_on_batch")
        batches = self._batches(x, y, sample_weight, steps=1)
        self._prepare(batches, training=False)
        self.reset_metrics()
        for batch in batches.epoch():
            self.test_step(*batch)
        return self._logs() if return_dict else self._in_order(self._logs())


def _penalties(variables: list[Any], add_gradients: bool = False) -> float:
    """Return the sum of the regularizers' penalties on these weights."""
    total = 0.0
    for v in variables:
        total += v.regularizer(v.value)
        if add_gradients:
            v.gradient += v.regularizer.gradient(v.value)
    return total


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    """Whether epoch number `epoch`, counted from 0, ends with a validation."""
    if isinstance(frequency, Sequence):
        return epoch + 1 in frequency
    return (epoch + 1) % frequency == 0


def _check_counts(
    epochs: Any, initial_epoch: Any, steps_per_epoch: Any, validation_steps: Any, validation_freq: Any
) -> None:
    for name, value in {"epochs": epochs, "initial_epoch": initial_epoch}.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"fit: `{name}` is an integer >= 0, received {value!r}.")
    data.check_count("steps_per_epoch", steps_per_epoch)
    data.check_count("validation_steps", validation_steps)
    data.check_count("validation_freq", validation_freq if is_number(validation_freq) else None)
