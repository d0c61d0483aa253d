"""Symbols: what a layer is called on before there are numbers, so that the calls draw a graph.

A `Symbol` knows its shape and the `Node` that made it; a `Node` is one call of one layer.
Keras's counterpart: `KerasTensor`.
"""

import itertools
from typing import Any

from ..common.names import auto_name

Layer = Any  # the room above this one

_numbers = itertools.count()


class Symbol:
    """The place of an array in a graph.

    Attributes:
        shape: with None where the size is not known in advance, `(None, 28, 28)`.
        dtype: the name of the float type.
        node: the call that makes this array; None for an input.
        layer: the layer whose output this is; for an input its InputLayer.
        name: an input's own; else `keras_tensor`, `keras_tensor_1`, ...
    """

    def __init__(
        self,
        shape: tuple[int | None, ...],
        dtype: str,
        layer: Layer,
        node: "Node | None" = None,
        name: str | None = None,
    ):
        self.shape, self.dtype, self.layer, self.node = tuple(shape), dtype, layer, node
        self.name = auto_name("keras_tensor") if name is None else name

    @property
    def ndim(self) -> int:
        """The number of axes, the batch's included."""
        return len(self.shape)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self!r} is a symbol: it has a shape but no numbers yet. Give it to a layer, or build a model from it."
        )

    #: NumPy leaves its operators to ours.
    __array_ufunc__ = None

    def _refuse(self, instead: str) -> Any:
        raise TypeError(f"{self!r} is a symbol: it has no operators here, and layers compute. Write {instead}.")

    def __add__(self, other: Any) -> Any:
        self._refuse("layers.Add()([a, b]) for a + b, or layers.Rescaling(1.0, offset)(a) for a number")

    def __sub__(self, other: Any) -> Any:
        self._refuse("layers.Subtract()([a, b]) for a - b, or layers.Rescaling(1.0, -offset)(a) for a number")

    def __mul__(self, other: Any) -> Any:
        self._refuse("layers.Multiply()([a, b]) for a * b, or layers.Rescaling(scale)(a) for a number")

    def __truediv__(self, other: Any) -> Any:
        self._refuse("layers.Rescaling(1 / scale)(a) for a / scale; a quotient of two has no layer")

    def __matmul__(self, other: Any) -> Any:
        self._refuse("layers.Dot(axes=...)([a, b]), or layers.Dense(units)(a) for a matrix of weights")

    def __neg__(self) -> Any:
        self._refuse("layers.Rescaling(-1.0)(a)")

    def __getitem__(self, index: Any) -> Any:
        self._refuse("a layer of your own that takes the part in `forward`, or a Cropping or Reshape layer")

    __radd__, __rsub__, __rmul__, __rmatmul__ = __add__, __sub__, __mul__, __matmul__
    __rtruediv__ = __truediv__

    def __repr__(self) -> str:
        return f"<Symbol shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class Node:
    """One call of one layer: the symbols that went in and the symbols that came out.

    Args:
        layer: that was called.
        inputs: the symbols, one after the other.
        output_shape: of the output; a list of shapes where there are several outputs.
        given: the inputs in the form of the call; by default the list where the layer joins, else the only symbol.
        training: what the call says of it; None where it leaves that to the model.

    Attributes:
        outputs: the symbols that came out.
        number: later calls have larger ones.
    """

    def __init__(
        self,
        layer: Layer,
        inputs: tuple[Symbol, ...],
        output_shape: tuple[int | None, ...] | list[tuple[int | None, ...]],
        given: Any = None,
        training: bool | None = None,
    ):
        self.layer, self.inputs, self.training = layer, inputs, training
        self.given = given if given is not None else list(inputs) if layer.joins else inputs[0]
        shapes = output_shape if isinstance(output_shape, list) else [output_shape]
        self.outputs = [Symbol(shape, layer.dtype, layer, self) for shape in shapes]
        self.number = next(_numbers)

    @property
    def output(self) -> Any:
        """The symbol that came out; a list where there are several."""
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs
