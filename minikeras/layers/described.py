"""What one may ask of a layer beside its work: other names of its weights, its symbols and their shapes."""

from typing import Any

from ..common.serialization import Configurable
from ..variables import Variable
from .shapes import Shape
from .symbols import Node, Symbol


class Described(Configurable):
    """The attributes of a layer that only its users ask for; see `Layer`, which derives from here."""

    name: str
    built: bool
    nodes: list[Node]
    build_input_shape: Shape | None
    weights: Any
    trainable_weights: Any
    non_trainable_weights: Any
    compute_output_shape: Any
    _weights: list[Variable]
    _as_given: Any

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def count_params(self) -> int:
        """Return the number of weights.

        Raises:
            ValueError: the layer isn't built, so nobody knows yet.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't built. "
                f"Call `build(input_shape)`, or the layer itself on some data, first."
            )
        return sum(v.value.size for v in self._weights)

    @property
    def input(self) -> Symbol:
        """The symbol that the layer was first called on; a list of them where it joins several."""
        return self._as_given(list(self._node().inputs))

    @property
    def output(self) -> Symbol:
        """The symbol that the layer's first call returned."""
        return self._node().output

    @property
    def input_shape(self) -> Shape:
        """The shape of the input, batch axis first."""
        return self._as_given([s.shape for s in self._node().inputs]) if self.nodes else self._built_shape()

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, batch axis first."""
        return self.output.shape if self.nodes else self.compute_output_shape(self._built_shape())

    def _built_shape(self) -> Shape:
        if self.build_input_shape is None:
            raise AttributeError(f"Layer '{self.name}' has no shape yet: it was neither built nor called.")
        return self.build_input_shape

    def _node(self) -> Node:
        if not self.nodes:
            raise AttributeError(f"Layer '{self.name}' has never been called on a symbol: it has no input or output.")
        return self.nodes[0]
