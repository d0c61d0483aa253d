"""The table of layers that drives parity, gradient, config and shape tests: a new line here inherits them all.

`make` takes `keras` or `minikeras` and returns the layer of that library.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

ACTIVATIONS = [
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "softsign",
    "leaky_relu",
    "exponential",
    "hard_sigmoid",
    "relu6",
]


@dataclass(frozen=True)
class Case:
    """One layer.

    A layer that joins several inputs has a list of shapes; one with `classes` takes integers below that number;
    `training` says how it is run; `h5` is False where Keras can't load its own `.h5` file of it.
    """

    name: str
    make: Callable[[Any], Any]
    input_shape: Any
    batch: int = 3
    training: bool = False
    classes: int | None = None
    h5: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def joins(self) -> bool:
        return isinstance(self.input_shape, list)

    def symbols(self, k: Any) -> Any:
        return [k.Input(shape) for shape in self.input_shape] if self.joins else k.Input(self.input_shape)

    def batch_shape(self) -> Any:
        return [(None, *shape) for shape in self.input_shape] if self.joins else (None, *self.input_shape)

    def data(self, generator: np.random.Generator) -> Any:
        arrays = [
            generator.normal(size=(self.batch, *shape)).astype("float32")
            if self.classes is None
            else generator.integers(0, self.classes, size=(self.batch, *shape)).astype("float32")
            for shape in (self.input_shape if self.joins else [self.input_shape])
        ]
        return arrays if self.joins else arrays[0]

    def smooth_data(self, generator: np.random.Generator) -> Any:
        """Data around which a slope can be measured: integers are moved away from where they jump."""
        return self.data(generator) if self.classes is None else self.data(generator) + 0.5


def random_weights(weights: Any, generator: np.random.Generator) -> list[np.ndarray]:
    """Random arrays in the shapes of these weights; variances are positive."""
    arrays = [generator.normal(size=tuple(w.shape)).astype("float32") for w in weights]
    return [abs(a) + 0.1 if "variance" in w.name else a for a, w in zip(arrays, weights, strict=True)]


def _dense() -> list[Case]:
    cases = [Case(f"dense-{a}", lambda k, a=a: k.layers.Dense(5, activation=a), (7,)) for a in ACTIVATIONS]
    return [
        *cases,
        Case("dense-no-bias", lambda k: k.layers.Dense(1, use_bias=False), (7,)),
        Case("dense-one", lambda k: k.layers.Dense(1), (1,), batch=1),
        Case("dense-middle-axes", lambda k: k.layers.Dense(4, activation="tanh"), (2, 3, 5)),
        Case("dense-activation-layer", lambda k: k.layers.Dense(4, activation=k.layers.LeakyReLU(0.1)), (5,)),
        Case("dense-softmax-middle-axes", lambda k: k.layers.Dense(4, activation="softmax"), (3, 5)),
        Case(
            "dense-regularized",
            lambda k: k.layers.Dense(
                4, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2", bias_initializer="ones"
            ),
            (5,),
        ),
    ]


def _activations() -> list[Case]:
    return [
        *(Case(f"activation-{a}", lambda k, a=a: k.layers.Activation(a), (4, 6)) for a in ACTIVATIONS),
        Case("relu-layer", lambda k: k.layers.ReLU(), (9,)),
        Case("relu-layer-all", lambda k: k.layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), (20,)),
        Case("leaky-relu-layer", lambda k: k.layers.LeakyReLU(), (9,)),
        Case("elu-layer", lambda k: k.layers.ELU(alpha=0.7), (9,)),
        Case("softmax-layer", lambda k: k.layers.Softmax(), (9,)),
        Case("softmax-axis", lambda k: k.layers.Softmax(axis=1), (4, 3)),
        Case("prelu", lambda k: k.layers.PReLU(alpha_initializer="ones"), (3, 4)),
        Case("prelu-shared", lambda k: k.layers.PReLU(shared_axes=[1, 2]), (3, 4, 2)),
    ]


def _shapes() -> list[Case]:
    return [
        Case("flatten", lambda k: k.layers.Flatten(), (3, 4, 2)),
        Case("flatten-scalar", lambda k: k.layers.Flatten(), (1,)),
        Case("reshape", lambda k: k.layers.Reshape((6, 2)), (3, 4)),
        Case("reshape-rest", lambda k: k.layers.Reshape((-1, 2)), (3, 4)),
        Case("zero-padding", lambda k: k.layers.ZeroPadding2D(2), (3, 4, 2)),
        Case("zero-padding-sides", lambda k: k.layers.ZeroPadding2D(((1, 0), (2, 3))), (3, 4, 2), batch=1),
        Case("dropout-inference", lambda k: k.layers.Dropout(0.5), (6,)),
        Case("spatial-dropout-inference", lambda k: k.layers.SpatialDropout2D(0.5), (3, 4, 2)),
        Case("gaussian-noise-inference", lambda k: k.layers.GaussianNoise(0.5), (6,)),
        Case("gaussian-dropout-inference", lambda k: k.layers.GaussianDropout(0.5, seed=3), (3, 2)),
        Case("identity", lambda k: k.layers.Identity(), (3, 4)),
        Case("permute", lambda k: k.layers.Permute((2, 1)), (3, 4)),
        Case("permute-three", lambda k: k.layers.Permute((3, 1, 2)), (3, 4, 2)),
        Case("repeat-vector", lambda k: k.layers.RepeatVector(3), (4,)),
        Case("cropping", lambda k: k.layers.Cropping2D(1), (4, 3, 2)),
        Case("cropping-nothing", lambda k: k.layers.Cropping2D(), (4, 3, 2)),
        Case("cropping-sides", lambda k: k.layers.Cropping2D(((1, 0), (0, 2))), (3, 4, 2), batch=1),
        Case("up-sampling", lambda k: k.layers.UpSampling2D(), (3, 2, 2)),
        Case("up-sampling-oblong", lambda k: k.layers.UpSampling2D((3, 1)), (2, 4, 1)),
        Case("up-sampling-bilinear", lambda k: k.layers.UpSampling2D(2, interpolation="bilinear"), (4, 3, 2)),
        Case("up-sampling-bilinear-oblong", lambda k: k.layers.UpSampling2D((3, 5), None, "bilinear"), (1, 4, 3)),
        Case("rescaling", lambda k: k.layers.Rescaling(1 / 255, offset=-0.5), (3, 4, 2)),
        Case("rescaling-channels", lambda k: k.layers.Rescaling([0.5, 2.0], offset=[1.0, -1.0]), (3, 4, 2)),
    ]


def _convolutions() -> list[Case]:
    cases = [
        Case(
            f"conv-{size}x{size}-stride{stride}-{padding}-{side}x{side - 2}",
            lambda k, size=size, stride=stride, padding=padding: k.layers.Conv2D(
                5, size, strides=stride, padding=padding
            ),
            (side, side - 2, 3),
            batch=2,
        )
        for size, stride, padding, side in itertools.product((1, 2, 3), (1, 2, 3), ("same", "valid"), (7, 8))
    ]
    return [
        *cases,
        Case("conv-oblong", lambda k: k.layers.Conv2D(4, (2, 5), strides=(3, 1), padding="same"), (9, 7, 2)),
        Case("conv-5x5", lambda k: k.layers.Conv2D(3, 5, activation="relu"), (11, 9, 1), batch=1),
        Case("conv-even-4", lambda k: k.layers.Conv2D(3, 4, padding="same"), (6, 6, 2)),
        Case("conv-stride-over-kernel", lambda k: k.layers.Conv2D(3, 2, strides=3, padding="same"), (7, 10, 2)),
        Case("conv-dilated", lambda k: k.layers.Conv2D(3, 3, dilation_rate=2, padding="same"), (9, 8, 2)),
        Case("conv-dilated-valid", lambda k: k.layers.Conv2D(3, (2, 3), dilation_rate=(3, 2)), (9, 8, 2)),
        Case("conv-kernel-over-image", lambda k: k.layers.Conv2D(2, 5, padding="same"), (2, 3, 2)),
        Case("conv-whole-image", lambda k: k.layers.Conv2D(6, (4, 3)), (4, 3, 2), batch=1),
        Case("conv-no-bias", lambda k: k.layers.Conv2D(4, 3, use_bias=False, activation="tanh"), (6, 5, 2)),
        Case("conv-groups", lambda k: k.layers.Conv2D(6, 3, groups=2, activation="tanh"), (5, 6, 4)),
        Case("conv-groups-same", lambda k: k.layers.Conv2D(6, 2, 2, "same", groups=3, use_bias=False), (5, 6, 3)),
        Case("conv-groups-dilated", lambda k: k.layers.Conv2D(4, 2, dilation_rate=2, groups=4), (6, 5, 8), batch=1),
        Case("conv-channels", lambda k: k.layers.Conv2D(33, 3, padding="same", activation="relu"), (5, 6, 17)),
    ]


def _layer(kind: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda k: getattr(k.layers, kind)(*arguments, **options)


def _other_convolutions() -> list[Case]:
    depthwise, separable, transpose = "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"
    cases = []
    for size, stride, padding in itertools.product((1, 2, 3), (1, 2), ("same", "valid")):
        name = f"{size}x{size}-stride{stride}-{padding}"
        cases += [
            Case(f"conv-depthwise-{name}", _layer(depthwise, size, stride, padding), (6, 7, 3), batch=2),
            Case(f"conv-separable-{name}", _layer(separable, 5, size, stride, padding), (6, 7, 3), batch=2),
        ]
    for size, stride, padding in itertools.product((1, 2, 3), (1, 2, 3), ("same", "valid")):
        make = _layer(transpose, 5, size, stride, padding, activation="tanh")
        cases.append(Case(f"conv-transpose-{size}x{size}-stride{stride}-{padding}", make, (4, 3, 2), batch=2))
    return [
        *cases,
        Case("conv-depthwise-many", _layer(depthwise, (3, 2), depth_multiplier=3, activation="relu"), (5, 6, 4)),
        Case("conv-depthwise-no-bias", _layer(depthwise, 3, use_bias=False, depthwise_regularizer="l2"), (5, 5, 2)),
        Case("conv-depthwise-dilated", _layer(depthwise, 3, padding="same", dilation_rate=2), (7, 6, 2)),
        Case("conv-depthwise-dilated-stride", _layer(depthwise, 2, 2, "same", 2, dilation_rate=3), (9, 8, 2)),
        Case("conv-separable-many", _layer(separable, 4, 3, depth_multiplier=2, activation="relu"), (5, 6, 3)),
        Case("conv-separable-no-bias", _layer(separable, 4, (1, 2), use_bias=False), (4, 5, 2)),
        Case("conv-separable-dilated", _layer(separable, 2, 2, dilation_rate=(2, 2), padding="same"), (6, 6, 3)),
        Case("conv-separable-regularized", _layer(separable, 2, 2, pointwise_regularizer="l1"), (4, 4, 2)),
        Case("conv-transpose-larger", _layer(transpose, 3, 3, 2, output_padding=1), (4, 3, 2)),
        Case("conv-transpose-larger-columns", _layer(transpose, 3, 2, 3, output_padding=(0, 2)), (4, 3, 2)),
        Case("conv-transpose-larger-same", _layer(transpose, 3, 3, 2, "same", (1, 0)), (4, 3, 2)),
        Case("conv-transpose-oblong", _layer(transpose, 3, (2, 4), (3, 1), "same"), (3, 4, 2)),
        Case("conv-transpose-no-bias", _layer(transpose, 4, 3, 2, use_bias=False), (2, 2, 3)),
    ]


def _pools() -> list[Case]:
    kinds = ("MaxPooling2D", "AveragePooling2D")
    cases = [
        Case(
            f"{kind}-{size}-stride{stride}-{padding}-{side}",
            lambda k, kind=kind, size=size, stride=stride, padding=padding: getattr(k.layers, kind)(
                size, strides=stride, padding=padding
            ),
            (side, side + 2, 3),
            batch=2,
        )
        for kind, size, stride, padding, side in itertools.product(
            kinds, (1, 2, 3), (None, 1, 2, 3), ("same", "valid"), (5, 6)
        )
    ]
    for kind in kinds:
        cases += [
            Case(f"{kind}-oblong", lambda k, kind=kind: getattr(k.layers, kind)((3, 2), strides=(1, 3)), (7, 8, 2)),
            Case(f"{kind}-one", lambda k, kind=kind: getattr(k.layers, kind)((4, 5)), (4, 5, 1), batch=1),
        ]
    for kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        cases += [
            Case(kind, lambda k, kind=kind: getattr(k.layers, kind)(), (4, 3, 5)),
            Case(f"{kind}-keepdims", lambda k, kind=kind: getattr(k.layers, kind)(keepdims=True), (4, 3, 5)),
        ]
    return cases


def _embeddings() -> list[Case]:
    return [
        Case("embedding", _layer("Embedding", 7, 4), (5,), classes=7),
        Case("embedding-axes", _layer("Embedding", 3, 2), (2, 3, 2), classes=3),
        Case("embedding-one", _layer("Embedding", 1, 1, embeddings_regularizer="l2"), (1,), batch=1, classes=1),
        Case("embedding-some", _layer("Embedding", 50, 3, embeddings_initializer="glorot_normal"), (4,), classes=9),
    ]


def _normalizations() -> list[Case]:
    kinds = {
        "": (lambda k: k.layers.BatchNormalization(), (5,)),
        "-images": (lambda k: k.layers.BatchNormalization(momentum=0.6, epsilon=1e-2), (4, 3, 5)),
        "-axis": (lambda k: k.layers.BatchNormalization(axis=1), (4, 3)),
        "-no-scale": (lambda k: k.layers.BatchNormalization(scale=False, moving_mean_initializer="ones"), (4, 3)),
        "-plain": (lambda k: k.layers.BatchNormalization(center=False, scale=False), (6,)),
        "-frozen": (lambda k: k.layers.BatchNormalization(trainable=False), (3, 2)),
        "-regularized": (lambda k: k.layers.BatchNormalization(gamma_regularizer="l2", beta_initializer="ones"), (5,)),
    }
    return [
        *(
            Case(f"batch-normalization{name}-{'training' if training else 'inference'}", make, shape, 6, training)
            for name, (make, shape) in kinds.items()
            for training in (True, False)
        ),
        Case("layer-normalization", lambda k: k.layers.LayerNormalization(), (7,)),
        Case("layer-normalization-training", lambda k: k.layers.LayerNormalization(), (3, 7), training=True),
        Case("layer-normalization-axis", lambda k: k.layers.LayerNormalization(axis=1, epsilon=1e-2), (4, 3)),
        Case("layer-normalization-axes", lambda k: k.layers.LayerNormalization(axis=[2, 1]), (4, 3, 5), h5=False),
        Case(
            "layer-normalization-last-axes", lambda k: k.layers.LayerNormalization(axis=(-2, -1)), (2, 3, 4), h5=False
        ),
        Case("layer-normalization-plain", lambda k: k.layers.LayerNormalization(center=False, scale=False), (6,)),
    ]


def _joins() -> list[Case]:
    kinds = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    shapes = {
        "": [(4, 3), (4, 3)],
        "-broadcast": [(1, 3), (4, 1)],
        "-ranks": [(3,), (4, 5, 3)],
    }
    cases = [
        Case(f"{kind.lower()}{name}", lambda k, kind=kind: getattr(k.layers, kind)(), shape)
        for kind in kinds
        for name, shape in shapes.items()
    ]
    cases += [
        Case(f"{kind.lower()}-three", lambda k, kind=kind: getattr(k.layers, kind)(), [(2, 1, 3), (2, 4, 3), (1, 1, 3)])
        for kind in kinds
        if kind != "Subtract"
    ]
    return [
        *cases,
        Case("add-one", lambda k: k.layers.Add(), [(3,)]),
        Case("concatenate", lambda k: k.layers.Concatenate(), [(4, 3), (4, 1), (4, 2)]),
        Case("concatenate-axis", lambda k: k.layers.Concatenate(axis=1), [(4, 3), (1, 3)]),
        Case("concatenate-negative-axis", lambda k: k.layers.Concatenate(axis=-2), [(2, 4, 3), (2, 1, 3)]),
        Case("dot", lambda k: k.layers.Dot(axes=1), [(4,), (4,)]),
        Case("dot-matrices", lambda k: k.layers.Dot(axes=(2, 1)), [(3, 4), (4, 2)]),
        Case("dot-ranks", lambda k: k.layers.Dot(axes=(1, 2)), [(4,), (3, 4)]),
        Case("dot-first", lambda k: k.layers.Dot(axes=1), [(4, 3), (4, 2)]),
        Case("dot-many-axes", lambda k: k.layers.Dot(axes=(2, 3)), [(2, 4, 3), (3, 2, 4)]),
        Case("dot-cosine", lambda k: k.layers.Dot(axes=-1, normalize=True), [(4,), (4,)]),
        Case("dot-cosine-matrices", lambda k: k.layers.Dot(axes=(1, 2), normalize=True), [(4, 3), (2, 4)]),
    ]


LAYERS = [
    *_dense(),
    *_activations(),
    *_shapes(),
    *_convolutions(),
    *_other_convolutions(),
    *_pools(),
    *_embeddings(),
    *_normalizations(),
    *_joins(),
]
