"""What one may ask of a layer beside its work: other names of its weights, its symbols and their shapes."""

from typing import Any, ClassVar

from ..common.names import is_built_in
from .policies import DTypePolicy
from .shapes import Shape
from .symbols import Node, Symbol
from .tracking import Tracking

#: The classes whose output has a mask where their input has one.
_MASKED = {
    "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dot", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "Identity", "LayerNormalization", "LeakyReLU", "Maximum", "Minimum", "Multiply",
    "PReLU", "ReLU", "Rescaling", "Softmax", "SpatialDropout2D", "Subtract",
}  # fmt: skip


class Described(Tracking):
    """The attributes of a layer that only its users ask for; see `Layer`, which derives from here."""

    nodes: list[Node]
    build_input_shape: Shape | None
    compute_output_shape: Any
    _as_given: Any

    #: Whether `compute_mask` tells something; None where the class does.
    _supports_masking: bool | None = None

    #: What the layer asks of its input, for those who set it; the engine goes by `ndim` and `expected_axes`.
    input_spec: Any = None

    #: Whether inputs are converted to the layer's float type.
    autocast: ClassVar[bool] = True

    activity_regularizer: ClassVar[None] = None

    @property
    def supports_masking(self) -> bool:
        """Whether the layer hands on a mask, or makes one; for Keras's sake, as this engine has no masks."""
        if self._supports_masking is not None:
            return self._supports_masking
        masked = any(cls.__name__ in _MASKED and is_built_in(cls) for cls in type(self).__mro__)
        return masked or type(self).compute_mask is not Described.compute_mask

    @supports_masking.setter
    def supports_masking(self, value: bool) -> None:
        self._supports_masking = value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the output: that of the input."""
        return previous_mask

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The float type of the layer, in the form in which Keras tells it."""
        return DTypePolicy(self.dtype if self.dtype.startswith("float") else None)

    @property
    def compute_dtype(self) -> str:
        """The type in which the layer computes: that of its weights."""
        return self.dtype

    @property
    def variable_dtype(self) -> str:
        """The type of the layer's weights."""
        return self.dtype

    @property
    def input_dtype(self) -> str:
        """The type that inputs are converted to."""
        return self.dtype

    @property
    def quantization_mode(self) -> None:
        """None: weights are never stored in fewer bits."""
        return None

    @property
    def path(self) -> str | None:
        """The names of the layers around, and of this one, `"net/block/dense"`; None before it is built."""
        own = self._weights[0].path.rpartition("/")[0] if self._weights else self.name
        return own if self.built and self.build_input_shape is not None else None

    def stateless_call(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: weights are not arguments in this engine.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} {self.name!r}: `stateless_call` is not supported; weights live in the layer. Call "
            "the layer itself, after `set_weights` where it shall compute with others."
        )

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
