"""Float types as Keras tells them: by a policy, which names one for computing and one for weights.

In this engine both are the same.  Keras's counterpart: `keras.DTypePolicy`.
"""

from .. import config
from ..common.names import quoted
from ..common.serialization import Configurable, keras_class


@keras_class("keras")
class DTypePolicy(Configurable):
    """The float type of a layer.

    Args:
        name: `"float32"` or `"float64"`; `config.floatx()` where None.

    Raises:
        ValueError: another type, or one of two types, such as `"mixed_float16"`.
    """

    #: Weights are never stored in fewer bits.
    quantization_mode = None

    def __init__(self, name: str | None = None):
        name = config.floatx() if name is None else name
        if name not in ("float32", "float64"):
            raise ValueError(f"DTypePolicy: expected 'float32' or 'float64', received {quoted(name)}.")
        self.name = name

    @property
    def compute_dtype(self) -> str:
        """The type in which a layer computes."""
        return self.name

    @property
    def variable_dtype(self) -> str:
        """The type of a layer's weights."""
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'
