"""How callbacks are called: all of a list as one, and for single batches only those that ask for them."""

from collections.abc import Callable
from typing import Any

from ..common.tree import flatten
from .base import HOOKS, Callback, Logs, plain_logs
from .reporting import History, ProgbarLogger

#: The hooks called for every batch, each with the names that a callback may write it under.
BATCH_HOOKS = {name: (name,) for name in HOOKS if "_batch_" in name} | {
    "on_train_batch_begin": ("on_train_batch_begin", "on_batch_begin"),
    "on_train_batch_end": ("on_train_batch_end", "on_batch_end"),
}


class CallbackList(Callback):
    """Several callbacks as one: each hook calls that of all.

    For every batch only those callbacks are called that have a hook of their own for it, so that an idle list costs
    next to nothing.  The batch hooks take `logs` as a dictionary or as a function that returns one; the function is
    called only where a callback wants to see the numbers.

    Args:
        callbacks: one callback, or a (nested) list or dictionary of them.
        add_history: append a `History` unless there is one.
        add_progbar: append a `ProgbarLogger` unless there is one.
        model: given to every callback.
        **params: given to every callback; `verbose`, `epochs` and `steps` in `fit`.

    Raises:
        TypeError: something that is not a callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        self.callbacks: list[Any] = [] if callbacks is None else list(map(_checked, flatten(callbacks)))
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self.callbacks.sort(key=lambda c: getattr(c, "runs_last", False))
        self._find_batch_hooks()
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to every callback, and the history to the model."""
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            if getattr(callback, "runs_last", False):
                callback.others = [other for other in self.callbacks if other is not callback]
            callback.set_model(model)

    def _find_batch_hooks(self) -> None:
        self._batch_hooks = {
            name: [
                (getattr(callback, name), getattr(callback, "lazy_logs", False))
                for callback in self.callbacks
                if any(_overrides(callback, written) for written in names)
            ]
            for name, names in BATCH_HOOKS.items()
        }

    @property
    def sees_batches(self) -> bool:
        """Whether any callback is called for every batch."""
        return any(self._batch_hooks.values())

    def _call(self, name: str, *arguments: Any) -> None:
        if name.endswith("_begin"):
            self._find_batch_hooks()  # a callback may have been given a hook since
        *index, logs = arguments
        logs = plain_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(*index, logs)

    def _call_batch(self, hooks: list[tuple[Callable[..., None], bool]], batch: int, logs: Any) -> None:
        plain = None
        for hook, lazy in hooks:
            if not lazy and plain is None:
                plain = plain_logs(logs)
            hook(batch, logs if lazy else plain)


def _hook(name: str) -> Callable[..., None]:
    """Return the list's method of this name."""

    def for_batches(self: CallbackList, batch: int, logs: Any = None) -> None:
        if hooks := self._batch_hooks[name]:
            self._call_batch(hooks, batch, logs)

    def for_epochs(self: CallbackList, epoch: int, logs: Logs = None) -> None:
        self._call(name, epoch, logs)

    def for_all(self: CallbackList, logs: Logs = None) -> None:
        self._call(name, logs)

    return for_batches if name in BATCH_HOOKS else for_epochs if "_epoch_" in name else for_all


for _name in HOOKS:
    setattr(CallbackList, _name, _hook(_name))


def _checked(callback: Any) -> Any:
    if isinstance(callback, type):
        raise TypeError(f"callbacks: received the class {callback.__name__}; make one, {callback.__name__}(...).")
    if not (hasattr(callback, "set_model") and hasattr(callback, "on_epoch_end")):
        hint = " Wrap a function: LambdaCallback(on_epoch_end=function)." if callable(callback) else ""
        raise TypeError(f"callbacks: expected a Callback or a list of them, received {callback!r}.{hint}")
    return callback


def _overrides(callback: Any, hook: str) -> bool:
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, hook)
