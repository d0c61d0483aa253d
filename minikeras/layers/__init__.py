"""The layers, under the names that Keras gives them."""

from ..common.names import refuse_other_names
from .base import Layer
from .conv import Conv2D, Convolution2D
from .core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Rescaling, Reshape
from .more.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from .more.cropping import Cropping2D, ZeroPadding2D
from .more.depthwise import DepthwiseConv2D, SeparableConv2D, SeparableConvolution2D
from .more.embedding import Embedding
from .more.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from .more.noise import GaussianDropout, GaussianNoise, SpatialDropout2D
from .more.normalization import BatchNormalization, LayerNormalization
from .more.reshaping import Identity, Permute, RepeatVector, UpSampling2D
from .more.transposed import Conv2DTranspose, Convolution2DTranspose
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
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "SeparableConvolution2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

refuse_other_names(__name__, __all__)
for _room in ("core", "pooling"):  # which Keras 2 had, too, with more layers
    refuse_other_names(f"{__name__}.{_room}", __all__)
