"""Where do two models part?  One is run beside a record of the other, layer by layer, forward and backward.

    reference --trace--> record of every array        compare: our layer i gets the reference's x and dy, and
                                                       must return the reference's y, dx and dw

Each layer is handed what the reference's layer was handed, so that an error neither spreads to the layers behind it nor
hides behind one before it, and rounding doesn't add up.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..inspecting.run import Call, calls_of
from ..layers.base import Layer
from ..models import Model
from .diagnosis import difference, largest
from .records import Trace, TracedCall, TracedLayer, layers_of, losses_for
from .tracing import as_model, check_request, own_loss, own_step, restored, rewind, trace


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
    record = _recorded(model, reference, x, y, loss, training=training, randomize=randomize, step=step, seed=seed)
    model = as_model(model, record.x if len(record.x) > 1 else record.x[0])
    if tolerance is None:
        tolerance = 1e-4 if model.dtype == "float32" else 1e-7
    report = Report()
    _Comparison(model, record, tolerance, report, loss).run()
    if raise_error:
        report.raise_if_different()
    return report


def _recorded(model: Any, reference: Any, x: Any, y: Any, loss: Any, **options: Any) -> Trace:
    if isinstance(reference, Trace):
        return reference
    if isinstance(reference, (str, os.PathLike)):
        return Trace.load(reference)
    if x is None:
        raise ValueError("compare: expected `x`, a batch to run through both; only a trace brings its own.")
    if y is not None:
        choices = (getattr(reference, "loss", None), loss, getattr(model, "loss", None))
        loss = next((choice for choice in choices if choice is not None), None)
    check_request(reference, y, loss, options["step"], "compare")
    return trace(reference, x, y, loss=loss, **options)


class _Pair:
    """One call of one of our layers, beside the record of the reference's.

    Args:
        call: ours.
        expected: what the reference's took and returned.
        reference: its layer.
    """

    def __init__(self, call: Call, expected: TracedCall, reference: TracedLayer):
        self.name, self.layer, self.class_name = call.name, call.layer, type(call.layer).__name__
        self.expected, self.reference = expected, reference
        (self.output,), (self._dy,) = expected.outputs, expected.dy
        self.was_run = False
        self.cache: Any = None

    @property
    def has_gradient(self) -> bool:
        """Whether its cache is there, and a gradient flows back to it."""
        return self.was_run and self._dy is not None

    def inputs(self) -> list[np.ndarray]:
        """Return what the reference's layer took, in the layer's float type: arrays that may be written to."""
        return [self._given(a) for a in self.expected.inputs]

    def dy(self) -> np.ndarray:
        """Return what came back to the reference's, likewise."""
        return self._given(np.zeros_like(self.output) if self._dy is None else self._dy)

    def _given(self, a: np.ndarray) -> np.ndarray:
        return np.array(a, a.dtype if a.dtype.kind in "iub" else self.layer.dtype, order="C")

    def joined(self, values: list[Any]) -> Any:
        """Return what its layer takes: one value alone, unless it joins."""
        return values[0] if len(values) == 1 and not self.layer.joins else values


class _Part(NamedTuple):
    """What a difference is found in, where it is no call of a layer."""

    name: str
    class_name: str


class _Comparison:
    """One run of a model beside a trace."""

    def __init__(self, model: Model, record: Trace, tolerance: float, report: Report, loss: Any):
        self.model, self.record, self.tolerance, self.report, self.loss = model, record, tolerance, report, loss
        self.calls = calls_of(model._built_graph())
        self.layers: list[Layer] = layers_of(self.calls)

    def run(self) -> None:
        if not self._same_structure():
            return
        layers = self.record.layers
        pairs = [_Pair(c, e, layers[e.layer]) for c, e in zip(self.calls, self.record.calls, strict=True)]
        self.pairs = pairs
        self.pairs_of = {layer: [pair for pair in pairs if pair.layer is layer] for layer in self.layers}
        with restored(self.layers), np.errstate(all="ignore"):
            self._forward()
            self._check_loss()
            self._spoil_what_is_kept()
            self._backward()
            if any(layer.after_step for layer in layers):
                self._step()

    def _same_structure(self) -> bool:
        ours = [(c.name, type(c.layer).__name__) for c in self.calls]
        theirs = [(c.name, c.class_name) for c in self.record.calls]
        if len(ours) == len(theirs):
            return True
        kinds = enumerate(zip(ours, theirs, strict=False))
        first = next((i for i, (a, b) in kinds if a[1] != b[1]), min(len(ours), len(theirs)))
        said = [f"{side[first][0]} ({side[first][1]})" if first < len(side) else "none" for side in (ours, theirs)]
        self._differs(
            _Part(*ours[min(first, len(ours) - 1)]),
            "forward",
            "structure",
            f"is not the reference's: {len(ours)} calls of layers, {len(theirs)} there; the first that is another one: "
            f"{said[0]}, and there {said[1]}.",
        )
        return False

    def _forward(self) -> None:
        for pair in self.pairs:
            layer = pair.layer
            if pair is self.pairs_of[layer][0] and not self._take_weights(pair):
                continue
            given = pair.inputs()
            try:
                y, pair.cache = layer.forward(pair.joined(given), layer.is_active(self.record.training))
                pair.was_run = True
            except Exception as error:
                self._differs(pair, "forward", "output", f"was not computed: {type(error).__name__}: {error}")
                continue
            scale = 1e-3 * max((largest(v) for v in pair.expected.inputs), default=0)
            if self._check(pair, "forward", "output", pair.output, y, scale):
                self._check_claimed_shape(pair, y)
            self._check_unchanged(pair, "forward", "input", given, pair.inputs())
            if pair is self.pairs_of[layer][-1]:
                for v, value in zip(layer.weights, pair.reference.after_forward, strict=True):
                    if value is not None:
                        self._check(pair, "forward", f"{v.name} after forward", value, v.value)

    def _take_weights(self, pair: _Pair) -> bool:
        """Copy the reference's weights and the states of its random streams in; False where they don't fit."""
        variables, expected = pair.layer.weights, pair.reference
        own, theirs = [v.shape for v in variables], [w.shape for w in expected.weights]
        if own != theirs:
            hint = " They look transposed." if [shape[::-1] for shape in own] == theirs else ""
            named = dict(zip(expected.names, theirs, strict=True))
            message = f"have shapes { ({v.name: v.shape for v in variables}) }; expected {named}.{hint}"
            self._differs(pair, "forward", "weights", message)
            return False
        for v, value in zip(variables, expected.weights, strict=True):
            v.assign(value)
        rewind(pair.layer, expected.seeds)
        return True

    def _check_claimed_shape(self, pair: _Pair, y: np.ndarray) -> None:
        shapes = [(None, *a.shape[1:]) for a in pair.expected.inputs]
        claimed = tuple(pair.layer.compute_output_shape(pair.joined(shapes)))
        if len(claimed) != y.ndim or any(c not in (None, n) for c, n in zip(claimed[1:], y.shape[1:], strict=True)):
            message = f"is {y.shape}, but `compute_output_shape` says {claimed}."
            self._differs(pair, "forward", "output shape", message)

    def _check_loss(self) -> None:
        if not self.record.loss:
            return
        chosen = losses_for(self.loss, self.model, "minikeras", self.record.outputs)
        chosen = chosen or [losses.deserialize(config) for config in self.record.loss]
        value, dys, _ = own_loss(chosen, self.record.y, self.record.outputs)
        who = _Part("loss", ", ".join(type(f).__name__ for f in chosen))
        self._check(who, "forward", "value", np.asarray(self.record.loss_value), np.asarray(value))
        for k, (e, r) in enumerate(zip(self.record.dy, dys, strict=True)):
            self._check(who, "backward", _numbered("gradient", k, dys), e, r)

    def _spoil_what_is_kept(self) -> None:
        """Let every layer see another batch, as a validation between forward and backward would."""
        for pair in self.pairs:
            other = [np.ascontiguousarray(np.flip(a)) for a in pair.inputs()]
            with contextlib.suppress(Exception):  # what fails has failed before, and is reported
                pair.layer.forward(pair.joined(other), False)

    def _backward(self) -> None:
        for pair in reversed(self.pairs):
            if pair.has_gradient:
                self._backward_of(pair)
            if pair.was_run and pair is self.pairs_of[pair.layer][0]:
                self._check_gradients(pair)

    def _backward_of(self, pair: _Pair) -> None:
        dy = pair.dy()
        try:
            dx = pair.layer.backward(dy, pair.cache)
        except Exception as error:
            self._differs(pair, "backward", "dx", f"was not computed: {type(error).__name__}: {error}")
            return
        dxs, expected = list(dx) if isinstance(dx, (list, tuple)) else [dx], pair.expected.dx
        if len(dxs) != len(expected):
            self._differs(pair, "backward", "dx", f"is {len(dxs)} arrays; expected {len(expected)}, one of each input.")
            return
        for k, (r, e) in enumerate(zip(dxs, expected, strict=True)):
            if e is not None:
                self._check(pair, "backward", _numbered("dx", k, dxs), e, r, 1e-2 * largest(dy))
        self._check_unchanged(pair, "backward", "dy", [dy], [pair.dy()])

    def _check_gradients(self, pair: _Pair) -> None:
        """Look at the weights' gradients now that all calls of the layer have added to them; then add once more."""
        layer, pairs = pair.layer, self.pairs_of[pair.layer]
        expected = zip(layer.weights, pair.reference.gradients, strict=True)
        wanted = [(v, e) for v, e in expected if v.trainable and e is not None]
        if not wanted:
            return
        # Sums of n terms of either sign are about sqrt(n) terms large; where they cancel, as before a
        # BatchNormalization, what remains is rounding.
        dys = [other.dy() for other in pairs]
        scale = 1e-2 * max(largest(dy) * (dy.size / max(dy.shape[-1], 1)) ** 0.5 for dy in dys)

        def right(times: int, note: str) -> list[bool]:
            return [
                self._check(pair, "backward", f"{v.name} gradient", times * e, v.gradient, scale, note)
                for v, e in wanted
            ]

        def again(backward: Callable[[np.ndarray, Any], Any]) -> None:
            for other in reversed(pairs):
                if other.has_gradient:
                    backward(other.dy(), other.cache)

        if not all(right(1, "")):
            return
        try:
            again(layer.backward)
            right(2, "Seen after a second backward, which must add (+=) and leave the cache as it is.")
            for v in layer.trainable_weights:
                v.gradient = np.zeros(v.shape)
            again(layer.backward_weights)
            right(1, "Seen in `backward_weights`.")
        except Exception as error:
            self._differs(pair, "backward", "gradients", f"failed: {type(error).__name__}: {error}")

    def _step(self) -> None:
        if any(d.tensor == "weights" for d in self.report.differences):
            return
        weights, seeds = ([getattr(layer, name) for layer in self.record.layers] for name in ("weights", "seeds"))
        try:
            after = own_step(self.model, weights, seeds, self.record.x, self.record.y)
        except Exception as error:
            self._differs(self.pairs[-1], "step", "train_on_batch", f"failed: {type(error).__name__}: {error}")
            return
        for layer, received in zip(self.layers, after, strict=True):
            pair = self.pairs_of[layer][0]
            each = zip(layer.weights, pair.reference.weights, pair.reference.after_step, received, strict=True)
            for v, before, e, r in each:
                # What the step did, not where it ended: next to large weights a wrong step would look like rounding.
                moved = 1e-6 * largest(before) / self.tolerance
                self._check(pair, "step", f"{v.name}, its change by one step,", e - before, r - before, moved)

    # ---- one array ----

    def _check_unchanged(
        self, pair: _Pair, phase: str, tensor: str, now: Sequence[np.ndarray], before: Sequence[np.ndarray]
    ) -> None:
        for a, b in zip(now, before, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                self._differs(pair, phase, tensor, f"was changed in place: {phase} must leave its arguments alone.")

    def _check(
        self,
        part: _Pair | _Part,
        phase: str,
        tensor: str,
        expected: np.ndarray,
        received: Any,
        scale: float = 0,
        note: str = "",
    ) -> bool:
        """Compare one array; `scale` is what its numbers are at least measured by."""
        if received is None:
            self._differs(part, phase, tensor, f"is missing (None); expected shape {expected.shape}.")
            return False
        received = np.asarray(received)
        message, error = difference(expected, received, self.tolerance, scale, len(self.record.x[0]))
        if message is None and expected.ndim and received.dtype != np.dtype(self.model.dtype):
            message = f"is {received.dtype}; expected {self.model.dtype}: somewhere a number of another type crept in."
        if message is None:
            self.report.agreed(error, f"{part.name}: {tensor}")
            return True
        self._differs(part, phase, tensor, f"{message} {note}".rstrip(), error)
        return False

    def _differs(self, part: _Pair | _Part, phase: str, tensor: str, message: str, error: float = np.inf) -> None:
        self.report.differences.append(Difference(part.name, part.class_name, phase, tensor, error, message))


def _numbered(tensor: str, k: int, of: Sequence[Any]) -> str:
    return tensor if len(of) == 1 else f"{tensor} {k}"
