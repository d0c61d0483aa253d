"""Pictures of learning: training curves, filters, feature maps, weights before and after, a confusion matrix.

    figure = keras.plotting.training_curves(model.fit(...), to_file="curves.png")

Each function returns a matplotlib Figure, which needs no screen, and which a notebook shows; `to_file` also writes it,
in the format of the file's extension.  `TrainingCurves` is a callback that redraws while the model learns.
"""

from ..common.names import refuse_other_names
from .counts import confusion_matrix, weight_histograms
from .curves import TrainingCurves, training_curves
from .images import feature_maps, filters

__all__ = ["TrainingCurves", "confusion_matrix", "feature_maps", "filters", "training_curves", "weight_histograms"]

refuse_other_names(__name__, __all__)
