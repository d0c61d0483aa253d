"""The layers, under the names that Keras gives them.  Users and `models` call this room; it calls its modules."""

from ..names import missing_attribute
from .activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from .base import Layer
from .conv import Conv2D, Convolution2D, ZeroPadding2D
from .core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Rescaling, Reshape
from .pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)

__all__ = [
    "ELU",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "ZeroPadding2D",
]

__getattr__ = missing_attribute(__name__, __all__)
