"""The options of a layer's weights: what they start from, what is added to the loss, where they are put back to."""

from typing import Any

from .. import constraints, initializers, regularizers
from ..common.serialization import Configurable
from ..variables import Variable


class WeightOptions(Configurable):
    """How layers store and use them; see `Layer`, which derives from here."""

    add_weight: Any

    def _store_options(self, weight: str, initializer: Any, regularizer: Any, constraint: Any = None) -> None:
        """Store the options of a weight; those of a `"kernel"` as `kernel_initializer`, `kernel_regularizer`, ..."""
        setattr(self, f"{weight}_initializer", initializers.get(initializer))
        setattr(self, f"{weight}_regularizer", regularizers.get(regularizer))
        setattr(self, f"{weight}_constraint", constraints.get(constraint))

    def _declare_weight(self, weight: str, shape: tuple[int, ...], name: str | None = None) -> Variable:
        """Declare a weight with the options stored for it; `name` where it isn't called as they are."""
        options = {kind: getattr(self, f"{weight}_{kind}") for kind in ("initializer", "regularizer", "constraint")}
        return self.add_weight(shape, name=name or weight, **options)
