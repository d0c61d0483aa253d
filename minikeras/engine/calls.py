"""Models whose class writes `call`: what they compute, and the graph that they are as a part of another model.

`call` is followed with symbols in the place of arrays: its calls of layers draw a graph, whose steps run where the
model is a layer of another one.  Keras's counterpart: `compute_output_spec`.
"""

import warnings
from typing import Any

import numpy as np

from ..common.results import as_result
from ..common.tree import flatten, is_nested, pack
from ..layers.base import Layer
from ..layers.core import InputLayer
from ..layers.shapes import Shape
from ..layers.symbols import Node, Symbol
from ..layers.tracking import as_shapes, example, named_within
from ..variables import postponed
from .graph import Graph


class WrittenAsCall(Layer):
    """A model, as far as a class of one's own has written `call` for it; see `Network`."""

    call: Any
    graph: Any
    _writes_call: Any
    _trace: "tuple[Any, Graph] | None" = None  # the symbols that `call` was followed with, and what it drew
    _asks_training = False  # whether `call` does other things in training, besides what its layers do

    def _call(self, x: Any, training: bool | None, **arguments: Any) -> Any:
        """Call the `call` of a derived class, with `training` if it takes that."""
        code = getattr(getattr(self.call, "__wrapped__", self.call), "__code__", None)
        if code is not None and "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            arguments["training"] = training
        with named_within(self):
            return self.call(x, **arguments)

    def _called(self, x: Any, training: bool | None, arguments: dict[str, Any]) -> Any:
        """Compute the output of arrays; of symbols, become a node of another model's graph."""
        leaves = flatten(x)
        if any(isinstance(a, Symbol) for a in leaves):
            outputs, shapes = self._followed(x, training, arguments)
            node = Node(self, tuple(leaves), [tuple(s) for s in shapes_in(shapes)], x, training)
            self.nodes.append(node)
            self._have_built(map_shapes(x))
            return pack(outputs, node.outputs) if is_nested(outputs) else node.output
        x = as_arrays(x, self.dtype)
        with np.errstate(all="ignore"):
            y = as_result(self._call(x, training, **arguments))
        self._have_built(map_shapes(x))
        return y

    def _have_built(self, shape: Any) -> None:
        if not self.built or self.build_input_shape is None:
            self.build_input_shape, self.built = shape, True
        self._lock_state()

    # ---- following `call` ----

    def _followed(self, given: Any, training: bool | None, arguments: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Return the symbols that `call` makes of such symbols, and their shapes in the same form.

        Raises:
            TypeError: it returns something else.
            ValueError: it makes other calls than of symbols of other shapes before.
        """
        symbols = [
            InputLayer(batch_shape=s.shape, dtype=s.dtype, name=f"{self.name}_input_{i}").output
            for i, s in enumerate(flatten(given))
        ]
        form = pack(given, symbols) if is_nested(given) else symbols[0]
        outputs = self._call(form, training, **(arguments or {}))
        graph = self._drawn(symbols, outputs)
        if self._trace is None:
            self._asks_training = not self._same(symbols, form, graph, arguments or {})
            self._trace = form, graph
        elif self._trace[1].steps != graph.steps:
            raise ValueError(
                f"Model {self.name!r}: `call` makes other calls of its layers than before, for inputs of shape "
                f"{map_shapes(form)}; as a layer it can make only the same."
            )
        shapes = [s.shape for s in flatten(outputs)]
        return outputs, pack(outputs, shapes) if is_nested(outputs) else shapes[0]

    def _drawn(self, symbols: list[Symbol], outputs: Any) -> Graph:
        exits = flatten(outputs)
        if not exits or not all(isinstance(s, Symbol) for s in exits):
            raise TypeError(
                f"Model {self.name!r}: `call` of class {type(self).__name__} returns {outputs!r:.80} for symbols; as a "
                "layer of another model it returns what its layers return."
            )
        return Graph(symbols, exits)

    def _same(self, symbols: list[Symbol], form: Any, graph: Graph, arguments: dict[str, Any]) -> bool:
        """Whether `call` makes the same calls of layers in training."""
        try:
            trained = self._drawn(symbols, self._call(form, True, **arguments))
        except Exception:  # whatever it does there, it is something else
            return False
        return trained.steps == graph.steps

    def _traced(self) -> Graph | None:
        """Return what `call` drew when the model became part of another; drawn anew where a model inside changed."""
        if self._trace is not None and self._trace[1].is_outdated:
            form, self._trace = self._trace[0], None
            self._followed(form, None)
        return None if self._trace is None else self._trace[1]

    def _build_by_call(self, input_shape: Any) -> None:
        """Build the layers inside for inputs of this shape: by following `call`, or else by calling it."""
        try:
            self._followed(symbols_like(input_shape, self.dtype), None)
            return
        except Exception:  # it computes something itself
            self._trace = None
        problem: Any = ""
        try:
            with postponed(False), np.errstate(all="ignore"):
                self._call(_examples(input_shape, self.dtype), None)
        except Exception as error:
            problem = f" Exception encountered: '{error}'"
        if problem or not all(layer.built for layer in self._inside()):
            warnings.warn(
                f"Model {self.name!r} had a build config, but the model cannot be built automatically in "
                "`build_from_config(config)`. You should implement `def build_from_config(self, config)`, and you "
                "might also want to implement the method that generates the config at saving time, "
                f"`def get_build_config(self)`.{problem}",
                stacklevel=3,
            )

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the model as it was when it was saved, so that it has its weights."""
        if config and config.get("input_shape") is not None:
            self.build(as_shapes(config["input_shape"]))

    # ---- what it can't do ----

    def _check_differentiable(self) -> None:
        if self.graph is None and self._writes_call:
            raise TypeError(
                f"Model {self.name!r}: class {type(self).__name__} writes `call`, whose derivative is not known: this "
                "engine has no automatic differentiation. To train it, build a graph in `__init__` and end with "
                "`super().__init__(inputs, outputs)`; or write what is special about it as a Layer with `forward` and "
                "`backward`."
            )

    def _check_followed(self, graph: Graph) -> None:
        """Raise TypeError where a model inside would do in training what its `call` doesn't say."""
        for model in {model for models in graph.within for model in models}:
            if getattr(model, "_asks_training", False):
                raise TypeError(
                    f"Model {model.name!r}: `call` of class {type(model).__name__} does something else where "
                    "`training` is True, and this engine can't follow it there. As a layer of a model that is trained "
                    "it always calls the same layers, and leaves `training` to them: "
                    "`x = self.dropout(x, training=training)`."
                )


def map_shapes(x: Any) -> Any:
    """Return the shapes of arrays or symbols, in their form."""
    shapes = [tuple(a.shape) for a in flatten(x)]
    return pack(x, shapes) if is_nested(x) else shapes[0]


def shapes_in(shapes: Any) -> list[Shape]:
    """Return the shapes in a structure of them, one after the other."""
    if isinstance(shapes, dict):
        return [s for key in sorted(shapes) for s in shapes_in(shapes[key])]
    if isinstance(shapes, list) or (shapes and isinstance(shapes[0], (list, tuple, dict))):
        return [s for part in shapes for s in shapes_in(part)]
    return [tuple(shapes)]


def symbols_like(shapes: Any, dtype: str) -> Any:
    """Return symbols of these shapes, in their form."""
    if isinstance(shapes, dict):
        return {key: symbols_like(shape, dtype) for key, shape in shapes.items()}
    if isinstance(shapes, list) or (shapes and isinstance(shapes[0], (list, tuple, dict))):
        return [symbols_like(shape, dtype) for shape in shapes]
    return InputLayer(batch_shape=tuple(shapes), dtype=dtype, name="example").output


def _examples(shapes: Any, dtype: str) -> Any:
    if isinstance(shapes, dict):
        return {key: _examples(shape, dtype) for key, shape in shapes.items()}
    return example(shapes, dtype)


def as_arrays(x: Any, dtype: str) -> Any:
    """Return a batch for a `call` of the user's own: its arrays, in its form."""
    leaves = flatten(x) if isinstance(x, dict) or any(getattr(a, "ndim", 0) for a in x) else [x]
    arrays = [np.ascontiguousarray(np.asarray(a), dtype) for a in leaves]
    return pack(x, arrays) if len(leaves) > 1 or isinstance(x, dict) else arrays[0]
