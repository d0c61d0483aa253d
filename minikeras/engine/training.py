"""What a model does with data: compile, fit, evaluate, predict, and the step of gradient descent inside."""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import data, functional, losses, optimizers
from .. import metrics as metrics_room
from ..callbacks import CallbackList, History
from ..common.arguments import ArgumentError, checked, is_number, shown
from ..common.lending import lent, owned
from ..common.serialization import custom_object, deserialize, serialize
from ..common.tree import Bundle, aligned, flat, is_nested, packed
from ..functional import computing, one_blas_thread
from ..metrics import Mean, Metric
from ..metrics.base import as_number
from ..variables import Changes, stretches
from .blocks import scores
from .outputs import SeveralOutputs, WeightedScores, leaves, losses_of, only

WORTH_A_TEAM = 2**20  # multiply-adds: to predict with fewer, one thread is done before others are awake


class Objective(NamedTuple):
    """What loss and metrics make of a graph's outputs, chosen when the first batch shows the shapes of the targets."""

    graph: Any
    loss: Any  # it knows which targets it can take
    metrics: list[Metric]
    weighted: list[Metric]
    several: SeveralOutputs | None  # in place of loss and metrics, for a model with several outputs
    scores: Any
    logits: tuple[int, ...]  # see `Graph.without_activation`


class Trained(NamedTuple):
    """What `trainable` decides, settled at the first step after `compile`."""

    graph: Any
    variables: list[Any]
    needed: list[bool]  # see `Graph.needed`
    active: Any  # what the layers are told of `training`; see `Graph.active`
    added_to: list[np.ndarray]  # the gradients that have to start at 0
    penalized: list[Any]  # the weights that have a regularizer
    changes: Any  # collects what layers keep beside their weights; see `parameters.Changes`


class Trainer:
    """The training half of a model.

    A state that takes several steps to make is made whole, and then takes its place in one: whatever interrupts a
    method, Ctrl-C included, the model is as it was or as it shall be.
    """

    compiled: bool
    optimizer: optimizers.Optimizer | None
    loss: Any
    stop_training: bool
    history: History | None

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
        _check_order(optimizer, loss_weights)
        new_optimizer = optimizers.get(optimizer)
        for one in leaves(loss):
            if not (one is None or _is_by_shape(one)):
                losses.as_loss(one)
        for identifier in leaves([metrics, weighted_metrics]):
            if identifier is not None:
                _check_metric(identifier)
        if self._has_several_outputs and loss is not None:
            losses_of(loss, self._outputs, self.output_names)
        arguments = {
            "optimizer": new_optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": _as_given(metrics),
            "weighted_metrics": _as_given(weighted_metrics),
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
        self.compile(**{name: _from_config(value) for name, value in config.items()})

    def extra_config(self) -> dict[str, Any]:
        """Return the compile arguments beside the model's config."""
        return {**super().extra_config(), "compile_config": self.get_compile_config() or {}}

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
        activation: the pair has a simpler derivative, and nothing to clip (see `fusion.scores`).
        """
        objective, trained, caches = self._objective, self._trained, []
        with trained.changes as changed:  # of what layers keep beside: they take effect with the step
            z = trained.graph.forward(x, trained.active, caches, objective.logits)
            value, dz, y_pred = objective.scores.value_and_gradient(y, z, sample_weight)
            for gradients in trained.added_to:
                gradients.fill(0)
            trained.graph.backward(dz, caches, trained.needed, fresh=True)
            if trained.penalized:
                value += _penalties(trained.penalized, add_gradients=True)
            self.optimizer.step(trained.variables, changed)
        self._update_metrics(value, y, z, y_pred, sample_weight)

    def test_step(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        """Compute loss and metrics of one batch, and learn nothing."""
        objective = self._objective
        with np.errstate(all="ignore"):
            z = objective.graph.forward(x, logits=objective.logits)
            value, y_pred = objective.scores.value(y, z, sample_weight)
            self._update_metrics(value + _penalties(self._evaluated), y, z, y_pred, sample_weight)

    def _update_metrics(
        self, value: float, y: np.ndarray, z: np.ndarray, y_pred: np.ndarray, sample_weight: Any
    ) -> None:
        objective = self._objective
        self._loss_tracker.add(value, len(y_pred))
        if objective.several is not None:
            objective.several.update(y, z, y_pred, sample_weight)
            return
        for metric in objective.metrics:
            if metric.takes_logits:
                metric.update_from_logits(y, z)
            elif self._keeps_batches:
                metric.postpone(y, y_pred)
            else:
                metric.update_state(y, y_pred)
        for metric in objective.weighted:
            if metric.takes_logits:
                metric.update_from_logits(y, z, sample_weight)
            else:
                metric.update_state(y, y_pred, sample_weight)

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
        if self._objective is None or self._objective.graph is not self.graph:
            self._objective = self._choose_for_several(y) if self._has_several_outputs else self._choose_for_one(y)
            self._evaluated = None
        self._objective.loss.check_targets(y if batches.arrays is None else batches.arrays[1], self._output_shapes)
        if training:
            self._settle_trainable()
        elif self._evaluated is None:  # as tf.keras, which traces the two apart
            self._evaluated = self._penalized()

    def _choose_for_one(self, y: np.ndarray) -> Objective:
        """Choose loss, metrics and pairing for the only output."""
        output_shape, arguments = (len(y), *self.output_shape[1:]), self._compile_arguments
        name, graph, before = self.output_names[0], self.graph, self._objective
        factor = only(arguments["loss_weights"], name, "loss_weights")
        if before is not None:  # for the graph as it was
            loss, metrics, weighted = before.loss, before.metrics, before.weighted
        else:
            loss = losses.as_loss(only(self.loss, name, "loss"), y.shape, output_shape)
            loss.check_targets(y, self.output_shape)
            metrics, weighted = (
                [metrics_room.resolve(m, y.shape, output_shape) for m in _as_list(arguments[kind])]
                for kind in ("metrics", "weighted_metrics")
            )
        chosen = scores(loss, graph.lasts[0])
        logits = graph.without_activation([chosen.function is not None])
        for metric in (*metrics, *weighted):
            metric.look_behind_activation(bool(logits), self.dtype)
        if factor is not None:
            chosen = WeightedScores(chosen, factor)
        return Objective(graph, loss, metrics, weighted, None, chosen, logits)

    def _choose_for_several(self, y: Bundle) -> Objective:
        """Choose losses, metrics and pairings for several outputs."""
        graph, several = self.graph, self._objective and self._objective.several
        if several is None:
            shapes = [(len(y), *s.shape[1:]) for s in self.outputs]
            several = SeveralOutputs(self._compile_arguments, self._outputs, self.output_names, y.shape, shapes)
        chosen = several.scores(graph.lasts)
        logits = graph.without_activation(chosen.chosen(len(graph.lasts)))
        return Objective(graph, several, several.all_metrics, [], several, chosen, logits)

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
        # Where an output has no loss, what only it depends on gets no gradient, not even a fresh one.
        several = self._objective.several
        everywhere = several is None or len(several.losses) == len(self.outputs)
        written = graph.written() if everywhere else ()
        added_to = stretches([v for v in variables if v not in written])
        self.optimizer.build(variables)
        changes = Changes() if any(not v.declared_trainable for v in self.weights) else contextlib.nullcontext()
        self._trained = Trained(graph, variables, graph.needed(), graph.active(), added_to, self._penalized(), changes)

    def _build_for(self, batches: data.Batches) -> None:
        """Build the model if it isn't, and check the data against it; arrays get the shape of its input."""
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

    def _adapted(self, x: Any) -> Any:
        """Add or drop a last axis of size 1 where the model's input has, or lacks, just that."""
        graph = self.graph
        if graph is None:
            return x
        if isinstance(x, Bundle):
            return Bundle(self._ranked(a, symbol) for a, symbol in zip(x, self.inputs, strict=True))
        return self._ranked(x, graph.inputs)

    @staticmethod
    def _ranked(x: np.ndarray, symbol: Any) -> np.ndarray:
        expected = symbol.shape
        if x.ndim == len(expected) - 1 and expected[-1] == 1:
            return x[..., None]
        if x.ndim == len(expected) + 1 and x.shape[-1] == 1:
            return x[..., 0]
        return x

    # ---- several inputs and outputs ----

    _has_several_inputs = _has_several_outputs = False  # settled where the graph is made

    @property
    def _output_shapes(self) -> Any:
        return [s.shape for s in self.outputs] if self._has_several_outputs else self.output_shape

    def _arranged(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Return what the user gave as arrays, or bundles of them in the order of the model's inputs and outputs."""
        named = isinstance(x, dict) or isinstance(y, dict) or isinstance(sample_weight, dict)
        if not (named or self._has_several_inputs or self._has_several_outputs):
            return x, y, sample_weight
        if self.graph is None:
            return Bundle(flat(x)) if isinstance(x, dict) else x, y, sample_weight
        if isinstance(x, Bundle) or isinstance(y, Bundle):
            return x, y, sample_weight  # arranged already, for a validation split
        xs = aligned(self._inputs, x, self._input_names, f"Model {self.name!r}, x")
        x = xs[0] if len(xs) == 1 else Bundle(xs)
        names = [(name,) for name in self.output_names]
        if y is not None:
            lossless = [False] * len(names)
            if self._has_several_outputs and self.loss is not None:
                with_loss = losses_of(self.loss, self._outputs, self.output_names)
                lossless = [i not in with_loss for i in range(len(names))]
            ys = aligned(self._outputs, y, names, f"Model {self.name!r}, y", lossless)
            y = Bundle(ys) if self._has_several_outputs else ys[0]
        if isinstance(sample_weight, dict) or (
            self._has_several_outputs
            and isinstance(sample_weight, (list, tuple))
            and all(w is None or getattr(w, "ndim", 1) for w in sample_weight)
        ):
            owner = f"Model {self.name!r}, sample_weight"
            ws = aligned(self._outputs, sample_weight, names, owner, [True] * len(names))
            sample_weight = Bundle(ws) if self._has_several_outputs else ws[0]
        return x, y, sample_weight

    def _as_outputs(self, y: Any) -> Any:
        """Return what the graph computed in the form of the model's outputs."""
        return packed(self._outputs, y) if self._has_several_outputs else y

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
        batches = data.batches(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
            dtype=self.dtype,
            arrange=self._arranged,
        )
        validation = None
        if validation_data is not None:
            validation = data.batches(
                *data.unpack(validation_data),
                batch_size=validation_batch_size or batch_size,
                steps=validation_steps,
                dtype=self.dtype,
                arrange=self._arranged,
            )
        self._prepare(batches, training=True)
        if validation is not None:
            self._prepare(validation, training=False)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=batches.steps,
                model=self,
            )
        self.stop_training = False
        self._initial_epoch, self._running = initial_epoch, (batches, validation)  # a callback may resume a training
        try:
            self._train(batches, validation, callbacks, epochs, validation_freq)
        finally:
            self._running = None
        return self.history

    def _train(
        self,
        batches: data.Batches,
        validation: data.Batches | None,
        callbacks: CallbackList,
        epochs: int,
        validation_freq: int | Sequence[int],
    ) -> None:
        callbacks.on_train_begin()
        logs: dict[str, float] | None = None
        for epoch in range(self._initial_epoch, epochs):
            if batches.exhausted:
                warnings.warn(f"fit: the generator has ended; training stops after epoch {epoch}.", stacklevel=5)
                break
            if self._trained.graph is not self.graph:  # a callback has changed it
                self._prepare(batches, training=True)
                if validation is not None:
                    self._prepare(validation, training=False)
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            self._train_epoch(batches, callbacks)
            logs = self._logs()
            if validation is not None and not validation.exhausted and _is_due(epoch, validation_freq):
                val_logs = self._evaluate(validation, callbacks)
                logs.update({f"val_{name}": value for name, value in val_logs.items()})
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)

    def _train_epoch(self, batches: data.Batches, callbacks: CallbackList) -> None:
        """Do the steps of one epoch.

        Where nobody looks at anything in between, the weights may still be changing while the next batch is fetched.
        """
        watched = batches.arrays is None or callbacks.wants_batches
        quiet = np.errstate(all="ignore")  # a run that diverges ends in inf and nan, for TerminateOnNaN to see
        train_step = quiet(self.train_step) if watched else self.train_step
        begins_in_kernel = self._trained.graph.begins_in_kernel
        with contextlib.ExitStack() as whole_epoch:
            if not watched:
                whole_epoch.enter_context(quiet)
                if self._is_built_in:
                    whole_epoch.enter_context(functional.leaving_work())
            for step, (x, y, w) in enumerate(self._checked(batches), batches.jumped):
                if not begins_in_kernel:
                    functional.settle()
                callbacks.on_train_batch_begin(step)
                train_step(x, y, w)
                callbacks.on_train_batch_end(step, self._logs)
                if self.stop_training:
                    break

    @property
    def _is_built_in(self) -> bool:
        """Whether none of the user's own code can look at the weights between the optimizer's loop and a step's end."""
        package = __name__.partition(".")[0]
        return (
            type(self.optimizer).__module__.partition(".")[0] == package
            and type(self).train_step is Trainer.train_step
            and not self._objective.weighted
            and self._objective.several is None
            and all(metric.can_wait for metric in self._objective.metrics)
        )

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
        batches = data.batches(
            x, y, sample_weight, batch_size=batch_size, steps=steps, dtype=self.dtype, arrange=self._arranged
        )
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
            x = self._fitting(data.standardize(x, dtype=self.dtype, arrange=self._arranged)[0])
            if self.graph.independent_samples:
                return self._as_outputs(self._predict_in_pieces(x))
        batches = data.batches(x, batch_size=batch_size, steps=steps, dtype=self.dtype, arrange=self._arranged)
        if not writes_call:
            self._build_for(batches)
        return self._predict_batches(batches, self._callback_list(callbacks, verbose, batches), x)

    def _predict_in_pieces(self, x: Any) -> Any:
        graph = self.graph
        return computing(
            self._in_pieces,
            x,
            alone=len(x) * graph.multiply_adds < WORTH_A_TEAM,
            one_blas_thread=graph.uses_blas or self.dtype == "float64",
        )

    def _in_pieces(self, x: Any) -> Any:
        graph = self.graph
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
            x = self._adapted(x)
            self.check_input(x.shape)
            with np.errstate(all="ignore"):
                outputs.append(self._computed(x, given))
            callbacks.on_predict_batch_end(step, {"outputs": lent(outputs[-1])})
        callbacks.on_predict_end()
        return _concatenated(outputs)

    def _computed(self, x: Any, given: Any) -> Any:
        """Return the outputs of a batch; `given` shows the form of the inputs to a `call` of the user's own."""
        if self.graph is None:
            return self(packed(given, x) if isinstance(x, Bundle) else x)
        return self._as_outputs(self.graph.forward(x))

    def _callback_list(self, callbacks: Any, verbose: int | str, batches: data.Batches) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=batches.steps, model=self
        )

    def _checked(self, batches: data.Batches) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Return the batches of one epoch, in the shape of the model's input."""
        self._keeps_batches = batches.arrays is not None
        return batches.epoch() if self._keeps_batches else self._checked_one_by_one(batches)

    def _checked_one_by_one(self, batches: data.Batches) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        for x, y, w in batches.epoch():
            x = self._adapted(x)
            self.check_input(x.shape)
            self._objective.loss.check_targets(y, self._output_shapes)
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
        batches = data.batches(
            x,
            y,
            sample_weight,
            steps=1,
            class_weight=class_weight,
            dtype=self.dtype,
            arrange=self._arranged,
        )
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
        batches = data.batches(x, y, sample_weight, steps=1, dtype=self.dtype, arrange=self._arranged)
        self._prepare(batches, training=False)
        self.reset_metrics()
        for batch in self._checked(batches):
            self.test_step(*batch)
        return self._logs() if return_dict else self._in_order(self._logs())

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of this batch."""
        return self.predict(x, steps=1, verbose=0)

    # ---- metrics ----

    @property
    def metrics(self) -> list[Metric]:
        """The running mean of the loss, and the metrics once the model has seen data."""
        objective = self._objective
        chosen = [] if objective is None else [*objective.metrics, *objective.weighted]
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
        objective = self._objective
        if objective is not None and objective.several is not None:
            return {"loss": self._loss_tracker, **objective.several.named()}
        weighted = [] if objective is None else objective.weighted
        named: dict[str, Metric] = {}
        seen: dict[str, int] = {}
        for metric in self.metrics:
            is_second = metric.name in seen and any(metric is m for m in weighted)
            name = f"weighted_{metric.name}" if is_second else metric.name
            count = seen.get(name, 0)
            seen[name] = count + 1
            named[f"{name}_{count}" if count else name] = metric
        return named

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


def _concatenated(outputs: list[Any]) -> Any:
    """Return the outputs of several batches as those of one."""
    if not is_nested(outputs[0]):
        return np.concatenate(outputs)
    return packed(outputs[0], map(np.concatenate, zip(*map(flat, outputs), strict=True)))


def _from_config(value: Any) -> Any:
    """Build the objects that an argument of `compile` consists of: one, or a list or dictionary of them."""
    if isinstance(value, list):
        return [_from_config(v) for v in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {name: _from_config(v) for name, v in value.items()}
    return (custom_object(value) or value) if isinstance(value, str) else deserialize(value)


def _as_given(metrics: Any) -> Any:
    """Return metrics as a list, or as they were given where lists or dictionaries belong to several outputs."""
    return metrics if metrics is None or is_nested(metrics) else [metrics]


def _is_by_shape(loss: Any) -> bool:
    """Whether the shapes of the targets will tell which of the three crossentropies is meant."""
    return isinstance(loss, str) and loss in ("crossentropy", "ce")


def _as_list(identifiers: Any) -> list[Any]:
    """Return the only output's metrics as a list: Keras 3 takes `["accuracy"]`, courses also write `"accuracy"`."""
    return [] if identifiers is None else leaves(identifiers)


def _check_order(optimizer: Any, loss_weights: Any) -> None:
    """Refuse a loss in the optimizer's place, and metrics in that of the weights of losses."""
    order = "The order is compile(optimizer, loss, loss_weights, metrics)"
    if isinstance(optimizer, losses.Loss) or (isinstance(optimizer, str) and losses.is_known(optimizer)):
        raise ArgumentError(f"compile: received the loss {shown(optimizer)} as `optimizer`. {order}.")
    for weight in leaves(loss_weights):
        if weight is not None and not is_number(weight):
            raise ArgumentError(
                f"compile: `loss_weights` are numbers, received {shown(weight)}. {order}; write metrics=..."
            )


def _check_metric(identifier: Any) -> None:
    """Refuse an unknown name, and what is no metric, when `compile` is called, not at the first batch."""
    if isinstance(identifier, type) and metrics_room.makes_callables(identifier):
        return  # an object of it, made here, would take a name
    if not (isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc", "crossentropy", "ce")):
        metrics_room.get(identifier)


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    """Whether epoch number `epoch`, counted from 0, ends with a validation."""
    if is_number(frequency):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"fit: `{name}` is an integer >= 0, received {value!r}.")
