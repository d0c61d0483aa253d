"""Where do two models part?  One is run beside a record of the other, layer by layer, forward and backward.

    reference --trace--> record of every array        compare: our layer i gets the reference's x and dy, and
                                                       must return the reference's y, dx and dw

Each layer is handed what the reference's layer was handed, so that an error neither spreads to the layers behind it nor
hides behind one before it, and rounding doesn't add up.
"""

import contextlib
import os
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..inspecting.wiring import joined, separate, wiring
from ..layers.base import Layer
from ..models import Model
from .diagnosis import difference, largest
from .records import (
    Trace,
    TracedCall,
    TracedLayer,
    as_model,
    layers_of,
    losses_for,
    own_loss,
    own_step,
    restored,
    streams,
)
from .tracing import check_request, trace


class Difference(NamedTuple):
    """One array that is not the reference's.

    Attributes:
        layer: the layer's name, with those of the models around it; `"loss"` for the loss.
        class_name: its class.
        phase: "forward", "backward" or "step".
        tensor: `"output"`, `"dx"`, `"kernel gradient"`, ...
        error: the largest difference, relative to the largest number expected; inf where shapes differ.
        message: what is wrong with it, in words and numbers.
    """

    layer: str
    class_name: str
    phase: str
    tensor: str
    error: float
    message: str

    def __str__(self) -> str:
        return f"{self.layer} ({self.class_name}), {self.phase}: {self.tensor} {self.message}"


class Report:
    """What `compare` found; true where nothing differs.

    Attributes:
        differences: all of them; forward first, then backward from the last layer to the first, then the step.
        compared: how many arrays were compared.
        largest_error: of those that agree, relative to the largest number expected.
    """

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.compared = 0
        self.largest_error = 0.0
        self._where = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def layer(self) -> str | None:
        """The name of the first layer that differs."""
        return None if self.ok else self.differences[0].layer

    @property
    def tensor(self) -> str | None:
        """Which of its arrays does."""
        return None if self.ok else self.differences[0].tensor

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.ok:
            where = f" ({self._where})" if self._where else ""
            return f"No difference in {self.compared} arrays; the largest error is {self.largest_error:.1e}{where}."
        first, *others = self.differences
        lines = [
            f"First difference: {first.layer} ({first.class_name}), {first.phase}: {first.tensor}",
            f"  {first.message}",
        ]
        if others:
            lines.append("Also different:")
            lines += [f"  {d.layer} ({d.class_name}), {d.phase}: {d.tensor}" for d in others]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Report ok={self.ok}, layer={self.layer!r}, tensor={self.tensor!r}, compared={self.compared}>"

    def raise_if_different(self) -> None:
        """Raise AssertionError with the whole report, if anything differs."""
        if not self.ok:
            raise AssertionError(str(self))

    def agreed(self, error: float, where: str) -> None:
        """Note an array that is the reference's, up to this error."""
        self.compared += 1
        if error > self.largest_error:
            self.largest_error, self._where = error, where


def compare(
    model: Any,
    reference: Any,
    x: Any = None,
    y: Any = None,
    *,
    loss: Any = None,
    training: bool = True,
    randomize: bool = True,
    step: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    raise_error: bool = False,
) -> Report:
    """Run a model in lock-step with a reference, and name the first layer and array that differ.

        report = testing.compare(MyDense(10, activation="relu"), keras.layers.Dense(10, activation="relu"), x)
        print(report)

    The reference's weights are copied in for the time of the comparison; each layer then gets the reference's inputs
    and must give its outputs, then gets the reference's dy and must give its dx and its weights' gradients.
    Between the two every layer sees another batch, so that what it wrongly keeps for itself is spoilt.  Also
    compared: the loss and its gradient, weights that forward changes, `compute_output_shape`, `backward_weights`,
    a second backward (which must add), and whether arguments were changed in place.

    Args:
        model: a model or a layer of this library; it is left as it was.
        reference: a model or a layer of Keras or of this library, with the same layers in the same order; or a
            trace, or the name of a file with one.  Then x, y and the options up to `step` are the trace's.
        x, y, training, randomize, step, seed: see `trace`.
        loss: of both; where None, of each the one it was compiled with, or the other's.
        tolerance: the largest error allowed, relative to the largest number expected; 1e-4 for float32 and 1e-7 for
            float64 where None.
        raise_error: raise an AssertionError where something differs, instead of only reporting it.

    Raises:
        ValueError, TypeError: no x; something that is no model; see `trace`.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"compare: `model` is a model or a layer of this library, received {model!r}.")
    record = _recorded(model, reference, x, y, loss, training, randomize, step, seed)
    model = as_model(model, joined(record.x))
    if tolerance is None:
        tolerance = 1e-4 if model.dtype == "float32" else 1e-7
    report = Report()
    _Comparison(model, record, tolerance, report, loss).run()
    if raise_error:
        report.raise_if_different()
    return report


def _recorded(
    model: Any, reference: Any, x: Any, y: Any, loss: Any, training: bool, randomize: bool, step: bool, seed: int
) -> Trace:
    if isinstance(reference, Trace):
        return reference
    if isinstance(reference, (str, os.PathLike)):
        return Trace.load(reference)
    if x is None:
        raise ValueError("compare: expected `x`, a batch to run through both; only a trace brings its own.")
    if y is not None:
        choices = (getattr(reference, "loss", None), loss, getattr(model, "loss", None))
        loss = next((choice for choice in choices if choice is not None), None)
    check_request(reference, y, loss, step, "compare")
    return trace(reference, x, y, loss=loss, training=training, randomize=randomize, step=step, seed=seed)


class _Comparison:
    """One run of a model beside a trace."""

    def __init__(self, model: Model, record: Trace, tolerance: float, report: Report, loss: Any):
        self.model, self.record, self.tolerance, self.report, self.loss = model, record, tolerance, report, loss
        self.wires = wiring(model)
        self.calls = self.wires.calls
        self.layers = layers_of(self.wires)
        self.caches: dict[int, Any] = {}

    def run(self) -> None:
        with restored(self.layers), np.errstate(all="ignore"):
            if not self._same_structure():
                return
            self._forward()
            self._spoil_what_is_kept()
            self._backward()
            if self.record.layers and any(layer.after_step for layer in self.record.layers):
                self._step()

    def _same_structure(self) -> bool:
        ours = [f"{c.name} ({type(c.layer).__name__})" for c in self.calls]
        theirs = [f"{c.name} ({c.class_name})" for c in self.record.calls]
        if len(ours) == len(theirs):
            return True
        kinds = [[text.rpartition(" ")[2] for text in side] for side in (ours, theirs)]
        first = next((i for i, (a, b) in enumerate(zip(*kinds, strict=False)) if a != b), min(len(ours), len(theirs)))
        call = self.calls[min(first, len(ours) - 1)]
        self._differs(
            call,
            "forward",
            "structure",
            f"is not the reference's: {len(ours)} calls of layers, {len(theirs)} there; the first that is another one: "
            f"{ours[first] if first < len(ours) else 'none'}, and there "
            f"{theirs[first] if first < len(theirs) else 'none'}.",
        )
        return False

    def _forward(self) -> None:
        for i, (call, expected) in enumerate(zip(self.calls, self.record.calls, strict=True)):
            layer = call.layer
            if self._is_first_call(i) and not self._take_weights(call, self.record.layers[expected.layer]):
                continue
            given = self._given(layer, expected.inputs)
            try:
                y, self.caches[i] = layer.forward(joined(given, layer), layer.is_active(self.record.training))
                received = separate(y, len(expected.outputs))
            except Exception as error:
                self._differs(call, "forward", "output", f"was not computed: {type(error).__name__}: {error}")
                continue
            scale = 1e-3 * max((largest(v) for v in expected.inputs), default=0)
            for k, (r, e) in enumerate(zip(received, expected.outputs, strict=True)):
                if self._check(call, "forward", _numbered("output", k, received), e, r, scale):
                    self._check_claimed_shape(call, k, r)
            self._check_unchanged(call, "forward", "input", given, expected.inputs)
            if self._is_last_call(i):
                self._check_states(call, self.record.layers[expected.layer])
        self._check_loss()

    def _take_weights(self, call: Any, expected: TracedLayer) -> bool:
        """Copy the reference's weights and the states of its random streams in; False where they don't fit."""
        variables, shapes = call.layer.weights, [w.shape for w in expected.weights]
        if [v.shape for v in variables] != shapes:
            own = {v.name: v.shape for v in variables}
            theirs = dict(zip(expected.names, shapes, strict=True))
            if list(own.values()) != list(theirs.values()):
                hint = " They look transposed." if [s[::-1] for s in own.values()] == shapes else ""
                self._differs(call, "forward", "weights", f"have shapes {own}; expected {theirs}.{hint}")
                return False
        for v, value in zip(variables, expected.weights, strict=True):
            v.assign(value)
        for stream, state in zip(streams(call.layer), expected.seeds, strict=False):
            stream.state[...] = state
        return True

    def _check_claimed_shape(self, call: Any, k: int, received: np.ndarray) -> None:
        claimed = call.origin.outputs[k].shape
        drawn = [s.shape[1:] for s in call.origin.inputs]
        if drawn != [v.shape[1:] for v in self._expected_of(call).inputs]:
            return  # a layer before this one is to blame
        fits = len(claimed) == received.ndim and all(
            c in (None, n) for c, n in zip(claimed[1:], received.shape[1:], strict=True)
        )
        if not fits:
            self._differs(
                call,
                "forward",
                "output shape",
                f"is {received.shape}, but `compute_output_shape` says {tuple(claimed)}.",
            )

    def _check_states(self, call: Any, expected: TracedLayer) -> None:
        for v, value in zip(call.layer.weights, expected.after_forward, strict=True):
            if value is not None:
                self._check(call, "forward", f"{v.name} after forward", value, v.value)

    def _check_loss(self) -> None:
        if not self.record.loss:
            return
        chosen = losses_for(self.loss, self.model, "minikeras", self.record.outputs)
        chosen = chosen or [losses.deserialize(config) for config in self.record.loss]
        value, dys, _ = own_loss(chosen, self.record.y, self.record.outputs)
        who = chosen[0] if len(chosen) == 1 else chosen
        self._check(who, "forward", "value", np.asarray(self.record.loss_value), np.asarray(value))
        for k, (e, r) in enumerate(zip(self.record.dy, dys, strict=True)):
            self._check(who, "backward", _numbered("gradient", k, dys), e, r)

    def _spoil_what_is_kept(self) -> None:
        """Let every layer see another batch, as a validation between forward and backward would."""
        for call, expected in zip(self.calls, self.record.calls, strict=True):
            other = [np.ascontiguousarray(np.flip(v)) for v in self._given(call.layer, expected.inputs)]
            with contextlib.suppress(Exception):  # what fails has failed before, and is reported
                call.layer.forward(joined(other, call.layer), False)

    def _backward(self) -> None:
        for layer in self.layers:
            self._zero(layer)
        for i in range(len(self.calls) - 1, -1, -1):
            call, expected = self.calls[i], self.record.calls[i]
            if i not in self.caches:
                continue
            if any(d is not None for d in expected.dy):
                self._backward_of(i, call, expected)
            if self._is_first_call(i):
                self._check_gradients(call, self.record.layers[expected.layer])

    def _backward_of(self, i: int, call: Any, expected: TracedCall) -> None:
        dy = self._dy(expected, call.layer)
        try:
            dx = separate(call.layer.backward(joined(dy), self.caches[i]), len(expected.dx))
        except Exception as error:
            self._differs(call, "backward", "dx", f"was not computed: {type(error).__name__}: {error}")
            return
        scale = 1e-2 * max(largest(d) for d in dy)
        for k, (r, e) in enumerate(zip(dx, expected.dx, strict=True)):
            if e is not None:
                self._check(call, "backward", _numbered("dx", k, dx), e, r, scale)
        self._check_unchanged(call, "backward", "dy", dy, self._dy(expected, call.layer))

    def _check_gradients(self, call: Any, expected: TracedLayer) -> None:
        """Look at the weights' gradients now that all calls of the layer have added to them; then add once more."""
        layer = call.layer
        wanted = [
            (v, e) for v, e in zip(layer.weights, expected.gradients, strict=True) if v.trainable and e is not None
        ]
        if not wanted:
            return
        # Sums of n terms of either sign are about sqrt(n) terms large; where they cancel, as before a
        # BatchNormalization, what remains is rounding.
        dys = [d for c in self._calls_of(layer) for d in self._dy(c[1], layer)]
        scale = 1e-2 * max((largest(d) * (d.size / max(d.shape[-1], 1)) ** 0.5 for d in dys), default=0)
        right = [self._check(call, "backward", f"{v.name} gradient", e, v.gradient, scale) for v, e in wanted]
        if not all(right):
            return
        try:
            self._again(layer, layer.backward)
            for v, e in wanted:
                note = "Seen after a second backward, which must add (+=) and leave the cache as it is."
                self._check(call, "backward", f"{v.name} gradient", 2 * e, v.gradient, scale, note)
            self._zero(layer)
            self._again(layer, layer.backward_weights)
            for v, e in wanted:
                self._check(call, "backward", f"{v.name} gradient", e, v.gradient, scale, "Seen in `backward_weights`.")
        except Exception as error:
            self._differs(call, "backward", "gradients", f"failed: {type(error).__name__}: {error}")

    def _again(self, layer: Layer, backward: Any) -> None:
        for i, expected in reversed(self._calls_of(layer)):
            if i in self.caches and any(d is not None for d in expected.dy):
                backward(joined(self._dy(expected, layer)), self.caches[i])

    def _step(self) -> None:
        weights = [layer.weights for layer in self.record.layers]
        seeds = [layer.seeds for layer in self.record.layers]
        if any(d.tensor in ("weights", "structure") for d in self.report.differences):
            return
        call = self.calls[-1]
        try:
            after = own_step(self.model, weights, seeds, self.record.x, self.record.y)
        except Exception as error:
            self._differs(call, "step", "train_on_batch", f"failed: {type(error).__name__}: {error}")
            return
        for i, call in enumerate(self.calls):
            if not self._is_first_call(i):
                continue
            expected = self.record.layers[self.record.calls[i].layer]
            k = self.layers.index(call.layer)
            for v, before, e, r in zip(
                call.layer.weights, expected.weights, expected.after_step, after[k], strict=True
            ):
                # What the step did, not where it ended: next to large weights a wrong step would look like rounding.
                moved = 1e-6 * largest(before) / self.tolerance
                self._check(call, "step", f"{v.name}, its change by one step,", e - before, r - before, moved)

    # ---- small things ----

    def _calls_of(self, layer: Layer) -> list[tuple[int, TracedCall]]:
        return [(i, self.record.calls[i]) for i, c in enumerate(self.calls) if c.layer is layer]

    def _expected_of(self, call: Any) -> TracedCall:
        return next(e for c, e in zip(self.calls, self.record.calls, strict=True) if c is call)

    def _is_first_call(self, i: int) -> bool:
        return self._calls_of(self.calls[i].layer)[0][0] == i

    def _is_last_call(self, i: int) -> bool:
        return self._calls_of(self.calls[i].layer)[-1][0] == i

    def _given(self, layer: Layer, arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [np.array(a, a.dtype if a.dtype.kind in "iub" else layer.dtype, order="C") for a in arrays]

    def _dy(self, expected: TracedCall, layer: Layer) -> list[np.ndarray]:
        pairs = zip(expected.dy, expected.outputs, strict=True)
        return self._given(layer, [np.zeros_like(o) if d is None else d for d, o in pairs])

    def _zero(self, layer: Layer) -> None:
        for v in layer.trainable_weights:
            v.gradient[...] = 0

    def _check_unchanged(self, call: Any, phase: str, tensor: str, now: list[Any], before: list[Any]) -> None:
        for a, b in zip(now, self._given(call.layer, before), strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                self._differs(call, phase, tensor, f"was changed in place: {phase} must leave its arguments alone.")

    def _check(
        self, call: Any, phase: str, tensor: str, expected: np.ndarray, received: Any, scale: float = 0, note: str = ""
    ) -> bool:
        """Compare one array; `scale` is what its numbers are at least measured by."""
        if received is None:
            self._differs(call, phase, tensor, f"is missing (None); expected shape {expected.shape}.")
            return False
        received = np.asarray(received)
        message, error = difference(expected, received, self.tolerance, scale, len(self.record.x[0]))
        if message is None and expected.ndim and received.dtype != np.dtype(self.model.dtype):
            message = f"is {received.dtype}; expected {self.model.dtype}: somewhere a number of another type crept in."
        if message is None:
            self.report.agreed(error, f"{getattr(call, 'name', 'loss')}: {tensor}")
            return True
        self._differs(call, phase, tensor, f"{message} {note}".rstrip(), error)
        return False

    def _differs(self, call: Any, phase: str, tensor: str, message: str, error: float = np.inf) -> None:
        is_call = hasattr(call, "layer")
        name, kind = (call.name, type(call.layer).__name__) if is_call else ("loss", _loss_names(call))
        self.report.differences.append(Difference(name, kind, phase, tensor, error, message))


def _loss_names(function: Any) -> str:
    return ", ".join(type(f).__name__ for f in function) if isinstance(function, list) else type(function).__name__


def _numbered(tensor: str, k: int, of: list[Any]) -> str:
    return tensor if len(of) == 1 else f"{tensor} {k}"
