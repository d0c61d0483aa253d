"""What `compile` says: the optimizer, the loss and the metrics of a network, and what the metrics have seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import data, losses, optimizers
from ..callbacks import History
from ..common.arguments import checked
from ..common.serialization import serialize
from ..common.tree import flatten
from ..metrics import Mean, Metric
from ..metrics.base import as_number
from ..variables import Variable
from .compile_arguments import as_given, check_metric, check_order, from_config, is_by_shape, losses_of
from .objective import Objective
from .predicting import Predictor


@dataclass
class Running:
    """What a `fit` under way is about; a callback may let it begin at a later epoch."""

    batches: data.Batches
    validation: data.Batches | None
    initial_epoch: int


class Compiled(Predictor):
    """A network that knows how it shall learn."""

    not_tracked: ClassVar[frozenset[str]] = Predictor.not_tracked | {
        "_compile_arguments", "_evaluated", "_loss_tracker", "_objective", "_trained",
        "history", "optimizer", "running",
    }  # fmt: skip

    compiled: bool
    _compile_arguments: dict[str, Any]
    _loss_tracker: Mean
    _objective: Objective
    _trained: Any  # see `training.Trained`
    _evaluated: list[Variable] | None
    running: "Running | None"
    optimizer: optimizers.Optimizer
    loss: Any
    stop_training: bool
    history: History

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
            "_keeps_batches": False,  # whether a batch stays as it is: a stream may write over its last one
            "running": None,
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
            TypeError: something that is no loss.
        """
        check_order(optimizer, loss_weights)
        new_optimizer = optimizers.get(optimizer)
        for one in flatten(loss):
            if not (one is None or is_by_shape(one)):
                losses.as_loss(one)
        for identifier in flatten([metrics, weighted_metrics]):
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
        self._check_differentiable()
        if not self.compiled:
            raise ValueError(f"You must call `compile()` before using the model: `{method}` needs a loss.")

    # ---- metrics ----

    @property
    def metrics(self) -> list[Metric]:
        """The running mean of the loss, and the metrics once the model has seen data."""
        chosen = [] if self._objective is None else self._objective.metrics
        metrics = [self._loss_tracker, *chosen] if self.compiled else []
        for metric in metrics:
            metric.apply_buffered()
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
        return _results(self._named_metrics().items())

    def _named_metrics(self) -> dict[str, Metric]:
        named = {} if self._objective is None else self._objective.named_metrics()
        return {"loss": self._loss_tracker, **named} if self.metrics else {}  # which have caught up now

    def _logs(self) -> dict[str, Any]:
        """Return the running values sorted by name, as callbacks get them."""
        return _results(sorted(self._named_metrics().items()))

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Return the values of metrics as compiled; at last those that come from dictionaries, sorted, as in Keras."""
        whole = [name for name in self._named_metrics() if name in logs]
        values = [logs[name] for name in (*whole, *sorted(logs.keys() - set(whole)))]
        return values[0] if len(values) == 1 else values


def _results(named: Iterable[tuple[str, Metric]]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, metric in named:
        result = metric.result()
        parts = sorted(result.items()) if isinstance(result, dict) else [(name, result)]
        results.update((part, as_number(value, name)) for part, value in parts)
    return results
