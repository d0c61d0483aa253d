"""Is my layer right?  Gradient checks, and comparisons with Keras.

`gradients` compares what `backward` claims with measured slopes; `tracing` records what a model computes in a step,
and `comparing` holds two such records, ours and Keras's, against each other.
"""

from .comparing import Difference, Report, compare
from .gradients import check_gradients, check_loss_gradients
from .records import Trace
from .tracing import trace

__all__ = ["Difference", "Report", "Trace", "check_gradients", "check_loss_gradients", "compare", "trace"]
