"""A model as a picture: a box for each layer, an arrow for each array that goes from one to another.

    model --boxes--> boxes and arrows --+--> graphviz: DOT text --> Graphviz, where it is installed
                                        +--> layout --> canvas: matplotlib, elsewhere

Users reach this room as `utils.plot_model` and `utils.model_to_dot`.  Keras's counterpart: `keras.utils.plot_model`,
which needs Graphviz.
"""

import os
import shutil
import sys
from typing import Any

from ...common.names import did_you_mean
from .boxes import Options, collected
from .graphviz import Dot, dot_source, written_by_graphviz

__all__ = ["Dot", "model_to_dot", "plot_model"]

FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "eps", "ps")


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model as a graph of layers into a file.

    Args:
        model: a built model.
        to_file: the file, in the format of its extension: png (also where it has none), svg, pdf, jpg, eps, ps.
        show_shapes: write the shapes of inputs and outputs into the boxes.
        show_dtype: write the type of the output.
        show_layer_names: write the name beside the class.
        rankdir: the direction of the arrows: `"TB"` from top to bottom, `"BT"`, `"LR"` from left to right, `"RL"`.
        expand_nested: draw the layers of models inside the model, in a frame.
        dpi: pixels per inch.
        show_layer_activations: write the activation.
        show_trainable: write whether training changes the layer's weights.
        splines: how arrows run: `"ortho"` in right angles; `"line"`, `"polyline"`, `"curved"` or `"spline"`, which
            all are straight where Graphviz is missing.

    Returns:
        In a notebook the picture, for display; None elsewhere.

    Raises:
        ValueError: the model isn't built; an unknown extension, direction or option.
        ImportError: neither Graphviz nor matplotlib is installed.
    """
    extension = _extension(to_file)
    options = Options(
        show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations, show_trainable,
        splines,
    )  # fmt: skip
    picture = collected(model, options, kwargs, "plot_model")
    to_file = os.fspath(to_file)
    if not (shutil.which("dot") and written_by_graphviz(picture, to_file, extension)):
        from .canvas import draw

        draw(picture, to_file, extension)
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None or extension not in ("png", "jpg", "jpeg", "svg"):
        return None
    from IPython import display

    return display.SVG(filename=to_file) if extension == "svg" else display.Image(filename=to_file)


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    """Return a model as a graph in Graphviz's language; arguments as in `plot_model`.

    Args:
        subgraph: False.
    """
    if subgraph:
        raise ValueError("model_to_dot: subgraph=True is not supported; leave it at False, its default.")
    options = Options(
        show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations, show_trainable,
        splines,
    )  # fmt: skip
    picture = collected(model, options, kwargs, "model_to_dot")
    return Dot(dot_source(picture))


def _extension(to_file: Any) -> str:
    extension = os.path.splitext(os.fspath(to_file))[1].lstrip(".").lower() or "png"
    if extension not in FORMATS:
        raise ValueError(
            f"plot_model: {os.fspath(to_file)!r} has the unknown extension {extension!r}. "
            f"{did_you_mean(extension, FORMATS)}"
        )
    return extension
