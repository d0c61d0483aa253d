"""Make the files of `tests/data/keras2`: models as Keras 2 saved them, and what Keras 2 computed with them.

    python3 -m venv /tmp/keras2 && /tmp/keras2/bin/pip install tf_keras "tensorflow-cpu==2.21.*"
    /tmp/keras2/bin/python tests/keras2_files.py

The tests need the files alone. Each model is saved after some steps of training, so that no weight is at its first
value; `expected.json` holds, for each, the predictions, and the history and predictions of three more epochs.
"""

import json
import lzma
import os
import tempfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "keras2"


def data(shapes, outputs):
    """Return inputs of these shapes, as the tests make them again, and targets."""
    x = [np.random.default_rng(i).normal(size=(8, *shape)).astype("float32") for i, shape in enumerate(shapes)]
    x[1:] = [np.floor(5 * np.abs(np.tanh(a))) for a in x[1:]]  # words
    y = [np.random.default_rng(9 + i).random((8, *shape)).astype("float32") for i, shape in enumerate(outputs)]
    y[:1] = [y[0] / y[0].sum(-1, keepdims=True)]
    return (x if len(x) > 1 else x[0]), (y if len(y) > 1 else y[0])


def inverted_residual(L, x, filters, stride, number):
    """Return a block of MobileNetV2, with its names."""
    y, prefix = x, f"block_{number}_"
    y = L.Conv2D(3 * x.shape[-1], 1, padding="same", use_bias=False, name=prefix + "expand")(y)
    y = L.BatchNormalization(axis=3, epsilon=1e-3, momentum=0.999, name=prefix + "expand_BN")(y)
    y = L.ReLU(6.0, name=prefix + "expand_relu")(y)
    if stride == 2:
        y = L.ZeroPadding2D(((0, 1), (0, 1)), name=prefix + "pad")(y)
    padding = "valid" if stride == 2 else "same"
    y = L.DepthwiseConv2D(3, stride, padding, use_bias=False, name=prefix + "depthwise")(y)
    y = L.BatchNormalization(axis=3, epsilon=1e-3, momentum=0.999, name=prefix + "depthwise_BN")(y)
    y = L.ReLU(6.0, name=prefix + "depthwise_relu")(y)
    y = L.Conv2D(filters, 1, padding="same", use_bias=False, name=prefix + "project")(y)
    y = L.BatchNormalization(axis=3, epsilon=1e-3, momentum=0.999, name=prefix + "project_BN")(y)
    return L.Add(name=prefix + "add")([x, y]) if x.shape == y.shape else y


def teachable_machine(keras):
    """The model that Teachable Machine exports, a truncated MobileNetV2 in a Sequential in a Sequential; smaller."""
    L = keras.layers
    x = inputs = keras.Input((16, 16, 3), name="input_1")
    x = L.ZeroPadding2D(((0, 1), (0, 1)), name="Conv1_pad")(x)
    x = L.Conv2D(4, 3, 2, use_bias=False, name="Conv1")(x)
    x = L.BatchNormalization(axis=3, epsilon=1e-3, momentum=0.999, name="bn_Conv1")(x)
    x = L.ReLU(6.0, name="Conv1_relu")(x)
    for number, (filters, stride) in enumerate([(4, 1), (6, 2), (6, 1)]):
        x = inverted_residual(L, x, filters, stride, number)
    mobilenet = keras.Model(inputs, x, name="model1")
    features = keras.Sequential([mobilenet, L.GlobalAveragePooling2D()], name="sequential_1")
    head = keras.Sequential(
        [L.Dense(5, "relu", input_shape=(6,)), L.Dense(3, "softmax", use_bias=False)], name="sequential_3"
    )
    model = keras.Sequential([features, head], name="sequential_4")
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


#: Layers of one input (6, 6, 4): each is a branch of one model.
IMAGE_LAYERS = {
    "Conv2D": lambda L: L.Conv2D(4, 3, 2, "same", dilation_rate=1, groups=2, activation="elu", name="conv"),
    "Conv2DTranspose": lambda L: L.Conv2DTranspose(3, 3, 2, "same", output_padding=1, name="transposed"),
    "DepthwiseConv2D": lambda L: L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="depthwise"),
    "SeparableConv2D": lambda L: L.SeparableConv2D(3, 2, depth_multiplier=2, activation="selu", name="separable"),
    "MaxPooling2D": lambda L: L.MaxPooling2D(2, 1, "same"),
    "AveragePooling2D": lambda L: L.AveragePooling2D((2, 3), padding="valid"),
    "GlobalAveragePooling2D": lambda L: L.GlobalAveragePooling2D(keepdims=True),
    "GlobalMaxPooling2D": lambda L: L.GlobalMaxPooling2D(),
    "UpSampling2D": lambda L: L.UpSampling2D((2, 1), interpolation="nearest"),
    "ZeroPadding2D": lambda L: L.ZeroPadding2D(1),
    "Cropping2D": lambda L: L.Cropping2D(((1, 0), (2, 1))),
    "BatchNormalization": lambda L: L.BatchNormalization(axis=3, center=False, name="normal"),
    "LayerNormalization": lambda L: L.LayerNormalization(epsilon=1e-5, name="layer_normal"),
    "Reshape": lambda L: L.Reshape((9, 16)),
    "Permute": lambda L: L.Permute((3, 1, 2)),
    "Dropout": lambda L: L.Dropout(0.25, seed=3),
    "SpatialDropout2D": lambda L: L.SpatialDropout2D(0.25),
    "GaussianNoise": lambda L: L.GaussianNoise(0.1),
    "GaussianDropout": lambda L: L.GaussianDropout(0.1),
    "Rescaling": lambda L: L.Rescaling(0.5, offset=0.25),
    "Activation": lambda L: L.Activation("swish"),
    "ReLU": lambda L: L.ReLU(max_value=1, negative_slope=0.5, threshold=0.25),
    "LeakyReLU": lambda L: L.LeakyReLU(alpha=0.2),
    "PReLU": lambda L: L.PReLU(shared_axes=[1, 2], name="prelu"),
    "ELU": lambda L: L.ELU(alpha=0.5),
    "Softmax": lambda L: L.Softmax(axis=-1),
    "Dense": lambda L: L.Dense(
        3, "tanh", kernel_initializer="he_normal", kernel_regularizer="l2", name="dense_of_images"
    ),
}


def every_layer(keras):
    """A functional model that has every layer; what is random in training stands behind the others."""
    L = keras.layers
    image, words = keras.Input((6, 6, 4), name="image"), keras.Input((3,), name="words")
    branches = [L.Dense(2, name=f"of_{name}")(L.Flatten()(make(L)(image))) for name, make in IMAGE_LAYERS.items()]
    word = L.Embedding(5, 2, input_length=3, name="embedding")(words)
    branches += [L.Dense(2, name="of_words")(L.Flatten()(word))]
    a, b, c = branches[:3]
    merged = [layer([a, b, c]) for layer in (L.Add(), L.Multiply(), L.Average(), L.Maximum(), L.Minimum())]
    merged += [L.Subtract()([a, b]), L.Dot(axes=1, normalize=True)([a, b])]
    repeated = L.Flatten()(L.RepeatVector(2)(a))
    outputs = L.Dense(4, name="top")(L.Concatenate(axis=-1)([*branches, *merged, repeated]))
    return keras.Model([image, words], outputs, name="every_layer")


def old_optimizer(keras):
    """A model whose optimizer is of the kind that Keras had up to 2.10."""
    L = keras.layers
    model = keras.Sequential([L.Dense(3, "tanh", input_dim=4), L.BatchNormalization(), L.Dense(2)], name="old")
    model.compile(keras.optimizers.legacy.Adam(0.01, decay=0.0), "mse", metrics=["mae"])
    return model


def shared_models(keras):
    """Two inputs, two outputs, and a functional and a Sequential model that are both called twice."""
    L = keras.layers
    inputs = [keras.Input((6,), name="a"), keras.Input((6,), name="b")]
    start = keras.Input((4,))
    inner = keras.Model(start, L.ELU(alpha=0.5)(L.Dense(4)(start)), name="inner")
    chain = keras.Sequential([L.Dense(3, "tanh", input_shape=(4,))], name="chain")
    shared = L.Dense(4, "relu", name="shared")
    a, b = (inner(shared(x)) for x in inputs)
    last = L.Dropout(0.0)(L.Concatenate()([chain(a), chain(b)]), training=True)
    model = keras.Model(inputs, [L.Dense(3, "softmax", name="first")(last), b], name="shared_models")
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.5),
        ["categorical_crossentropy", "mse"],
        loss_weights=[1.0, 0.5],
        metrics=[["accuracy"], ["mae"]],
    )
    return model


def objects(keras):
    """Losses, metrics and a learning rate that are objects; an SGD, which had a momentum even where it was 0."""
    L = keras.layers
    model = keras.Sequential([L.Dense(4, "relu", input_shape=(4,)), L.Dense(2, "softmax")], name="objects")
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=[
            "acc",
            "mae",
            keras.metrics.CategoricalAccuracy(name="own_name"),
            keras.metrics.MeanSquaredError(),
            keras.metrics.Precision(0.3),
            keras.metrics.categorical_crossentropy,
        ],
    )
    return model


def old_decay(keras):
    """A learning rate that decays as it did up to Keras 2.10."""
    L = keras.layers
    model = keras.Sequential([L.Dense(3, "tanh", input_dim=4), L.Dense(2)], name="old_decay")
    model.compile(keras.optimizers.legacy.SGD(0.1, momentum=0.9, nesterov=True, decay=0.05), "mse", metrics=["MSE"])
    return model


MODELS = {
    "teachable_machine": (teachable_machine, [(16, 16, 3)], [(3,)]),
    "every_layer": (every_layer, [(6, 6, 4), (3,)], [(4,)]),
    "old_optimizer": (old_optimizer, [(4,)], [(2,)]),
    "shared_models": (shared_models, [(6,), (6,)], [(3,), (4,)]),
    "objects": (objects, [(4,)], [(2,)]),
    "old_decay": (old_decay, [(4,)], [(2,)]),
}


def listed(arrays):
    return [a.tolist() for a in arrays] if isinstance(arrays, list) else arrays.tolist()


def main():
    import tf_keras as keras

    DATA.mkdir(exist_ok=True)
    expected = {"version": keras.__version__}
    for name, (make, inputs, outputs) in MODELS.items():
        keras.utils.set_random_seed(1)
        model = make(keras)
        x, y = data(inputs, outputs)
        if name == "every_layer":  # its dropout is random in every library
            for w in model.weights:
                values = np.random.default_rng(w.shape.num_elements()).uniform(0.1, 0.9, w.shape)
                w.assign(values / np.prod(w.shape[:-1]))
        else:
            model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.h5")
            model.save(path)
            (DATA / f"{name}.h5.xz").write_bytes(lzma.compress(Path(path).read_bytes(), preset=9))
        expected[name] = {"predictions": listed(model.predict(x, verbose=0))}
        if name != "every_layer":
            history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, shuffle=False).history
            expected[name]["history"] = history
            expected[name]["afterwards"] = listed(model.predict(x, verbose=0))
    (DATA / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
