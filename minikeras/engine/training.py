"""How a network learns: compile, fit, evaluate, and the step of gradient descent inside.

Keras's counterpart: `keras.src.trainers.trainer.Trainer`.
"""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import data, losses, optimizers
from ..callbacks import CallbackList, History
from ..common.arguments import checked, is_number
from ..common.serialization import serialize
from ..functional import one_blas_thread
from ..metrics import Mean, Metric
from ..metrics.base import as_number
from ..variables import Changes, Parameters, Variable
from .compile_arguments import as_given, check_metric, check_order, from_config, is_by_shape, leaves, losses_of
from .graph import Graph
from .objective import Objective
from .predicting import Predictor


class Trained(NamedTuple):
    """What `trainable` decides, settled at the first step after `compile`."""

    graph: Graph
    variables: list[Variable]
    homes: list[Parameters]  # the vectors that these live in
    needed: list[bool]  # see `Graph.needed`
    active: Any  # what the layers are told of `training`; see `Graph.active`
    penalized: list[Variable]  # the weights that have a regularizer
    changes: Any  # collects what layers keep beside their weights; see `variables.Changes`


class Trainer(Predictor):
    """A network that learns.

    A state that takes several steps to make is made whole, and then takes its place in one: whatever interrupts a
    method, Ctrl-C included, the model is as it was or as it shall be.
    """

    lends: ClassVar[dict[str, int]] = {**Predictor.lends, "train_step": 3, "test_step": 3}

    compiled: bool
    optimizer: optimizers.Optimizer | None
    loss: Any
    stop_training: bool
    history: History | None

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **options: Any):
        self._forget_compile()
        super().__init__(inputs, outputs, name, **options)

    def _forget_compile(self, **compiled: Any) -> None:
        """Begin anew, with what `compile` has made."""
        state = {
            "compiled": False,
            "optimizer": None,
            "loss": None,
            "stop_training": False,
            "history": None,
            "_loss_tracker": Mean(name="loss"),
            "_objective": None,
            "_trained": None,
            "_evaluated": None,  # the weights whose penalties `evaluate` adds to the loss
            "_initial_epoch": 0,
            "_keeps_batches": False,
            "_running": None,  # the batches that `fit` trains on, and those that it validates on
            "_compile_arguments": {},
            **compiled,
        }
        vars(self).update(state)

    # ---- compile ----

    @checked
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model learns.

        Args:
            optimizer: a name or an object of `optimizers`.
            loss: a name, function or object of `losses`; for several outputs one for all, a list, or a dictionary by
                the outputs' names, with None for an output that has none.
            loss_weights: numbers that the losses are multiplied with before they are added up; likewise.
            metrics: names, functions of (y_true, y_pred), or objects of `metrics`; one, or a list.  For several
                outputs a list of these, or a dictionary.
            weighted_metrics: likewise, for those that `sample_weight` and `class_weight` apply to.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted for Keras's sake, as none of them
                changes a number; every step of this engine runs alone, and eagerly.

        Raises:
            ValueError: an unknown name; arguments in another order than this.
            TypeError: a loss without a gradient.
        """
        check_order(optimizer, loss_weights)
        new_optimizer = optimizers.get(optimizer)
        for one in leaves(loss):
            if not (one is None or is_by_shape(one)):
                losses.as_loss(one)
        for identifier in leaves([metrics, weighted_metrics]):
            if identifier is not None:
                check_metric(identifier)
        if self._has_several_outputs and loss is not None:
            losses_of(loss, self._outputs, self.output_names)
        arguments = {
            "optimizer": new_optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": as_given(metrics),
            "weighted_metrics": as_given(weighted_metrics),
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": False if jit_compile == "auto" else jit_compile,
        }
        self._forget_compile(compiled=True, optimizer=new_optimizer, loss=loss, _compile_arguments=arguments)

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of `compile`, as Keras 3 writes them; None where it wasn't called."""
        return serialize(self._compile_arguments) if self.compiled else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Call `compile` with what `get_compile_config` returned."""
        self.compile(**{name: from_config(value) for name, value in config.items()})

    def extra_config(self) -> dict[str, Any]:
        """Return the compile arguments beside the model's config."""
        return {**super().extra_config(), "compile_config": self.get_compile_config() or {}}

    def _may_lack_targets(self) -> list[bool]:
        if not (self._has_several_outputs and self.loss is not None):
            return super()._may_lack_targets()
        with_loss = losses_of(self.loss, self._outputs, self.output_names)
        return [i not in with_loss for i in range(len(self.outputs))]

    def _assert_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"You must call `compile()` before using the model: `{method}` needs a loss.")

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
        objective, trained, caches = self._objective, self._trained, []
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
            self._loss_tracker.add(value + _penalties(self._evaluated), len(y_pred))
            objective.update_metrics(y, z, y_pred, sample_weight, self._keeps_batches)

    def _prepare(self, batches: data.Batches, training: bool) -> None:
        """Before the first step: build, check the data against the model and the loss, choose metrics and pairing."""
        _, y, _ = batches.peek()
        self._build_for(batches)
        if y is None:
            raise ValueError(
                f"Model {self.name!r}: the loss needs targets. Pass `y`, or batches that are tuples (x, y)."
            )
        if self.loss is None:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        shapes, graph, objective = [s.shape for s in self.outputs], self.graph, self._objective
        if objective is None or objective.graph is not graph:  # at first; or the graph has changed since
            if objective is None:
                objective = Objective(self._compile_arguments, self._outputs, self.output_names, y, shapes)
            self._objective, self._evaluated = objective.paired(graph), None
        self._objective.check_targets(y if batches.arrays is None else batches.arrays[1], shapes)
        if training:
            self._settle_trainable()
        elif self._evaluated is None:  # as tf.keras, which traces the two apart
            self._evaluated = self._penalized()

    def _penalized(self) -> list[Any]:
        return [v for v in self.trainable_weights if v.regularizer is not None]

    def _settle_trainable(self) -> None:
        """Settle which weights are trained, where gradients have to go, and which layers rest.

        That holds until `compile` is called again, as in tf.keras, whose step is traced once; a graph that has changed
        since, and a copied model, settle it anew.
        """
        trained, graph = self._trained, self.graph
        if trained is not None and trained.graph is graph and all(v.home is not None for v in trained.variables):
            if trained.variables != self.trainable_weights:
                warnings.warn(
                    f"Model {self.name!r}: `trainable` was changed after `compile`; call `compile` again for it to "
                    "count.",
                    stacklevel=4,
                )
            return
        self.gather()
        variables = self.trainable_weights
        if not variables:
            warnings.warn(f"Model {self.name!r} does not have any trainable weights.", stacklevel=5)
        self.optimizer.build(variables)
        changes = Changes() if any(not v.declared_trainable for v in self.weights) else contextlib.nullcontext()
        homes = list(dict.fromkeys(v.home for v in variables))
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
        _check_counts(epochs=epochs, initial_epoch=initial_epoch)
        data.check_count("validation_freq", validation_freq if is_number(validation_freq) else None)
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
        callbacks = self._callback_list(callbacks, verbose, batches, add_history=True, epochs=epochs)
        self.stop_training = False
        self._initial_epoch, self._running = initial_epoch, (batches, validation)  # a callback may resume a training
        logs: dict[str, float] | None = None
        try:
            callbacks.on_train_begin()
            for epoch in range(self._initial_epoch, epochs):
                if batches.exhausted:
                    warnings.warn(f"fit: the generator has ended; training stops after epoch {epoch}.", stacklevel=4)
                    break
                if self._trained.graph is not self.graph:  # a callback has changed it
                    self._prepare(batches, training=True)
                    if validation is not None:
                        self._prepare(validation, training=False)
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                for step, batch in enumerate(self._checked(batches), batches.jumped):
                    callbacks.on_train_batch_begin(step)
                    with np.errstate(all="ignore"):  # what diverges ends in inf and nan, for TerminateOnNaN to see
                        self.train_step(*batch)
                    callbacks.on_train_batch_end(step, self._logs)
                    if self.stop_training:
                        break
                logs = self._logs()
                if validation is not None and not validation.exhausted and _is_due(epoch, validation_freq):
                    val_logs = self._evaluate(validation, callbacks)
                    logs.update({f"val_{name}": value for name, value in val_logs.items()})
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            callbacks.on_train_end(logs)
        finally:
            self._running = None
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

    def _evaluate(self, batches: data.Batches, callbacks: CallbackList) -> dict[str, float]:
        callbacks.on_test_begin()
        self.reset_metrics()
        for step, (x, y, w) in enumerate(self._checked(batches)):
            callbacks.on_test_batch_begin(step)
            self.test_step(x, y, w)
            callbacks.on_test_batch_end(step, self._logs)
        logs = self._logs()
        callbacks.on_test_end(logs)
        return logs

    def _checked(self, batches: data.Batches) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Return the batches of one epoch, in the shape of the model's input."""
        self._keeps_batches = batches.arrays is not None
        return batches.epoch() if self._keeps_batches else self._checked_one_by_one(batches)

    def _checked_one_by_one(self, batches: data.Batches) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        for x, y, w in batches.epoch():
            x = self._adapted(x)
            self.check_input(x.shape)
            self._objective.check_targets(y, [s.shape for s in self.outputs])
            self._keeps_batches = False  # the stream may write over its last batch
            yield x, y, w

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
            for batch in self._checked(batches):
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
        for batch in self._checked(batches):
            self.test_step(*batch)
        return self._logs() if return_dict else self._in_order(self._logs())

    # ---- metrics ----

    @property
    def metrics(self) -> list[Metric]:
        """The running mean of the loss, and the metrics once the model has seen data."""
        chosen = [] if self._objective is None else self._objective.metrics
        metrics = [self._loss_tracker, *chosen] if self.compiled else []
        for metric in metrics:
            metric.catch_up()
        return metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names in the order in which `evaluate` returns the values."""
        return list(self._named_metrics())

    def reset_metrics(self) -> None:
        """Start all running means anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the running values by name, the loss first: floats; arrays where a metric's result is one.

        A metric whose result is a dictionary has its entries in place of its own name.
        """
        results: dict[str, Any] = {}
        for name, metric in self._named_metrics().items():
            result = metric.result()
            parts = result if isinstance(result, dict) else {name: result}
            results.update((part, as_number(value, name)) for part, value in parts.items())
        return results

    def _named_metrics(self) -> dict[str, Metric]:
        named = {} if self._objective is None else self._objective.named_metrics()
        return {"loss": self._loss_tracker, **named} if self.metrics else {}  # which have caught up now

    def _logs(self) -> dict[str, Any]:
        """Return the running values sorted by name, as callbacks get them."""
        return dict(sorted(self.get_metrics_result().items()))

    def _in_order(self, logs: dict[str, Any]) -> Any:
        values = [logs[name] for name in self.get_metrics_result()]
        return values[0] if len(values) == 1 else values


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
    if is_number(frequency):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"fit: `{name}` is an integer >= 0, received {value!r}.")
