"""Float types as Keras tells them: by a policy, which names one for computing and one for weights.

In this engine both are the same.  Keras's counterpart: `keras.DTypePolicy`.
"""

from typing import Any

from .. import config
from ..common.arguments import ArgumentError
from ..common.names import quoted


class DTypePolicy:
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
        if not isinstance(name, str):
            raise ArgumentError(f"'name' must be a string, such as 'float32'. Received: name={name!r}.")
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

    def get_config(self) -> dict[str, Any]:
        """Return the name."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DTypePolicy":
        """Build the policy that `get_config` described."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'
