"""What every lesson needs and no lesson is about: its command line, the images, and pictures saved to ./plots/.

The lessons themselves only use names of Keras: with `import keras` in place of `import minikeras as keras` they run on
Keras.  This module keeps reading the images through minikeras, because Keras has no 8 x 8 digits.
"""

import argparse
import pathlib
from dataclasses import dataclass

import numpy as np

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
    from sklearn.model_selection import train_test_split
except ImportError as error:
    raise SystemExit(
        f"{error}. The lessons need scikit-learn and matplotlib: pip install scikit-learn matplotlib"
    ) from None

from minikeras import datasets

#: Told apart by colour-blind readers too (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"

LOSS = "crossentropy (nats per image)"
ACCURACY = "accuracy (share of images)"


def arguments(doc: str, digits: int, fashion_mnist: int) -> argparse.Namespace:
    """Read the command line: `--data` and `--epochs`, whose default depends on the data.

    Args:
        doc: the lesson's docstring; `--help` shows it.
        digits, fashion_mnist: the default number of epochs on these data.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "fashion_mnist"), default="digits", help="default: digits")
    parser.add_argument("--epochs", type=int, help=f"default: {digits} on digits, {fashion_mnist} on fashion_mnist")
    given = parser.parse_args()
    if given.epochs is None:
        given.epochs = digits if given.data == "digits" else fashion_mnist
    if given.epochs < 1:
        parser.error("--epochs is at least 1")
    return given


@dataclass
class Images:
    """Pixels from 0 to 1, float32 (n, height, width), and the labels 0 to 9, in three parts; names; a learning rate."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    learning_rate: float  # where a lesson wants to see the end of the story

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.x_train.shape[1:]


def load(name: str) -> Images:
    """Load a data set, scale its pixels to 0..1, and set a fifth of the training images aside for validation.

    digits: 1,149 + 288 + 360 images of 8 x 8 pixels; fashion_mnist: 48,000 + 12,000 + 10,000 of 28 x 28.
    """
    data = getattr(datasets, name)
    try:
        (x, y), (x_test, y_test) = data.load_data()
    except OSError as error:
        raise SystemExit(str(error)) from None
    brightest = 16 if name == "digits" else 255
    x, x_test = np.float32(x) / brightest, np.float32(x_test) / brightest
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.2, random_state=42)
    class_names = getattr(data, "CLASS_NAMES", tuple("0123456789"))
    # An epoch has 36 steps on the digits, 1,500 on Fashion-MNIST: few steps had better be large ones.
    learning_rate = 0.005 if name == "digits" else 0.001
    return Images(x_train, y_train, x_val, y_val, x_test, y_test, class_names, learning_rate)


def new_figure(title: str, size: tuple[float, float] = (8, 4.5)) -> Figure:
    """Return an empty figure of this size in inches; it needs no screen."""
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    figure.suptitle(title)
    return figure


def draw_curves(axes, curves: dict[str, tuple[list[float], str, str]], ylabel: str) -> None:
    """Draw numbers per epoch, the first epoch being 1.

    Args:
        axes: where to draw.
        curves: label -> (numbers, colour, line style).
        ylabel: what the numbers are, with their unit.
    """
    for label, (numbers, colour, style) in curves.items():
        marker = "o" if len(numbers) < 3 else None
        axes.plot(range(1, len(numbers) + 1), numbers, style, color=colour, label=label, marker=marker)
    axes.set_xlim(0.5, max(len(numbers) for numbers, _, _ in curves.values()) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def log_scale(axes) -> None:
    """Let the vertical axis grow by factors: 1, 2, 5, 10, ..."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def legend_below(axes, columns: int = 2) -> None:
    """Name the curves under the axes, where they hide nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns, frameon=False)


def save(figure: Figure, name: str) -> None:
    """Write the figure to plots/<name>.png and say where that is."""
    figure.savefig(path(name))


def path(name: str) -> pathlib.Path:
    """Say that a picture is written to plots/<name>.png, and return this path."""
    folder = pathlib.Path("plots")
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.png"
    print(f"\nPicture: {file.resolve()}")
    return file
