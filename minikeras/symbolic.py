"""Symbols: what a layer is called on before there are numbers, so that the calls draw a graph.

A `Symbol` knows its shape and the `Node` that made it; a `Node` is one call of one layer.  Layers record nodes,
`graph` sorts and runs them; calls `names`.  Keras's counterpart: `KerasTensor`.
"""

from typing import Any

from .names import auto_name

Layer = Any  # the room above this one


class Symbol:
    """The place of an array in a graph.

    Attributes:
        shape: with None where the size is not known in advance, `(None, 28, 28)`.
        dtype: the name of the float type.
        node: the call that makes this array; None for an input.
        layer: the layer whose output this is; for an input its InputLayer.
    """

    def __init__(self, shape: tuple[int | None, ...], dtype: str, layer: Layer, node: "Node | None" = None):
        self.shape, self.dtype, self.layer, self.node = tuple(shape), dtype, layer, node
        self.name = auto_name("keras_tensor")

    @property
    def ndim(self) -> int:
        """The number of axes, the batch's included."""
        return len(self.shape)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self!r} is a symbol: it has a shape but no numbers yet. Give it to a layer, or build a model from it."
        )

    def __repr__(self) -> str:
        return f"<Symbol shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class Node:
    """One call of one layer: the symbols that went in and the symbol that came out."""

    def __init__(self, layer: Layer, inputs: tuple[Symbol, ...], output_shape: tuple[int | None, ...]):
        self.layer, self.inputs = layer, inputs
        self.output = Symbol(output_shape, layer.dtype, layer, self)
