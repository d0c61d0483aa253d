"""`testing.compare` finds the layer that is wrong: planted faults, each of which must be named; and no false alarm."""

import re

import keras as real
import numpy as np
import pytest
from layer_table import LAYERS
from test_functional import branching, compiled, data

import minikeras
from minikeras import testing
from minikeras.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    LayerNormalization,
    MaxPooling2D,
    PReLU,
    Rescaling,
    ZeroPadding2D,
)

N = 4


def images(k, **instead):
    """A model with a layer of every kind; `instead` puts a class of another make in the place of a layer."""

    def make(kind, name, *args, **kwargs):
        return instead.get(name, getattr(k.layers, kind))(*args, name=name, **kwargs)

    return k.Sequential(
        [
            k.Input((9, 8, 2)),
            make("Rescaling", "scale", 0.5, offset=-0.25),
            make("ZeroPadding2D", "frame", ((1, 0), (1, 2))),
            make("Conv2D", "conv", 4, (3, 2), strides=(1, 2), activation="relu"),
            make("MaxPooling2D", "maximum", 2, strides=1),
            make("Conv2D", "same", 3, 3, padding="same"),
            make("AveragePooling2D", "mean", 2, padding="same"),
            make("Dropout", "dropout", 0.4, seed=7),
            make("Flatten", "flat"),
            make("Dense", "hidden", 6),
            make("PReLU", "slope"),
            make("Dense", "scores", 3),
            make("Activation", "softmax", "softmax"),
        ],
        name="images",
    )


def pooled(k, **instead):
    def make(kind, name, *args, **kwargs):
        return instead.get(name, getattr(k.layers, kind))(*args, name=name, **kwargs)

    return k.Sequential(
        [
            k.Input((6, 7, 2)),
            make("Conv2D", "conv", 5, 2, activation="tanh"),
            make("GlobalAveragePooling2D", "everywhere"),
            make("Dense", "out", 3, activation="sigmoid"),
        ],
        name="pooled",
    )


def newer(k, **instead):
    """Two inputs, joins, normalization, and a table of vectors."""

    def make(kind, name, *args, **kwargs):
        return instead.get(name, getattr(k.layers, kind))(*args, name=name, **kwargs)

    image, words = k.Input((5, 4, 3)), k.Input((6,))
    x = make("Conv2DTranspose", "larger", 4, 3, strides=2, padding="same", activation="relu")(image)
    x = make("BatchNormalization", "batch", momentum=0.8)(x)
    x = make("DepthwiseConv2D", "depth", 3, strides=2)(x)
    x = make("Flatten", "cells")(x)
    y = make("Flatten", "letters")(make("Embedding", "table", 4, 3)(words))
    x = make("Dense", "a", 7)(make("Concatenate", "behind")([x, y]))
    x = make("BatchNormalization", "centre")(x)  # takes away the bias before it, whose gradient is 0
    x = make("Add", "sum")([x, make("Dense", "b", 7)(y)])
    return k.Model([image, words], make("LayerNormalization", "layer")(x), name="newer")


X = np.random.default_rng(1).normal(size=(N, 9, 8, 2)).astype("float32")
XP = np.random.default_rng(2).normal(size=(N, 6, 7, 2)).astype("float32")
XN = [np.random.default_rng(3).normal(size=(N, 5, 4, 3)), np.random.default_rng(4).integers(0, 4, (N, 6))]
Y = np.array([0, 2, 1, 1])


# ---- the faults: right layers with one thing wrong ----


class WrongSign(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        dx = super().gradients(dz, x, rectified, wants_dx)
        return -dx if wants_dx else None


class NoBiasGradient(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        before = self.bias.gradient.copy()
        dx = super().gradients(dz, x, rectified, wants_dx)
        self.bias.gradient[...] = before
        return dx


class BatchMeanOfKernelGradient(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        before = self.kernel.gradient.copy()
        dx = super().gradients(dz, x, rectified, wants_dx)
        self.kernel.gradient[...] = before + (self.kernel.gradient - before) / len(x)
        return dx


class SumOverWrongAxis(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        before = self.bias.gradient.copy()
        dx = super().gradients(dz, x, rectified, wants_dx)
        self.bias.gradient[...] = before + (self.bias.gradient - before).sum()
        return dx


class AssignsGradient(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        before = self.kernel.gradient.copy()
        dx = super().gradients(dz, x, rectified, wants_dx)
        self.kernel.gradient -= before
        return dx


class NoBias(Dense):
    def linear(self, x, rectified):
        z = x @ self.kernel.value
        return np.maximum(z, 0) if rectified else z, x


class KernelNotTransposed(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        super().gradients(dz, x, rectified, False)
        dz = dz if rectified is None else dz * (rectified > 0)
        return (dz @ np.resize(self.kernel.value.T.ravel(), self.kernel.shape).T).astype(dz.dtype)


class KeepsInput(Dense):
    def linear(self, x, rectified):
        self.seen = x
        return super().linear(x, rectified)

    def gradients(self, dz, x, rectified, wants_dx):
        return super().gradients(dz, self.seen, rectified, wants_dx)


class ChangesDy(Dense):
    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        dy *= 0
        return dx


class WeightsOnlyPathForgets(Dense):
    def backward_weights(self, dy, cache):
        before = self.bias.gradient.copy()
        super().backward_weights(dy, cache)
        self.bias.gradient[...] = before


class DoublePrecision(Dense):
    def gradients(self, dz, x, rectified, wants_dx):
        dx = super().gradients(dz, x, rectified, wants_dx)
        return dx.astype(np.float64) if wants_dx else None


class RotatedKernel(Conv2D):
    def linear(self, x, rectified):
        upright = self.kernel.value.copy()
        self.kernel.value[...] = upright[::-1, ::-1]
        z = super().linear(x, rectified)
        self.kernel.value[...] = upright
        return z


class TransposedFilters(Conv2D):
    def build(self, input_shape):
        super().build(input_shape)
        self._weights.clear()
        shape = (*self.kernel_size[::-1], *self.kernel.shape[2:])
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias")


class PaddingAtTheTop(Conv2D):
    def geometry(self, shape):
        sizes, (top, left) = super().geometry(shape)
        return sizes, (top + 1, left)


class SwappedStrides(Conv2D):
    def __init__(self, *args, strides, **kwargs):
        super().__init__(*args, strides=strides[::-1], **kwargs)


class NoConvBiasGradient(Conv2D):
    def gradients(self, dz, x, rectified, wants_dx):
        self.bias, bias = None, self.bias
        dx = super().gradients(dz, x, rectified, wants_dx)
        self.bias = bias
        return dx


class ReluGateOnOutputOfWrongSide(Conv2D):
    def backward(self, dy, cache):
        function, z, y, inner = cache
        return super().backward(dy, (function, z, -y, inner))


class NoGate(Conv2D):
    def backward(self, dy, cache):
        _, _, y, inner = cache
        return super().backward(dy, (minikeras.activations.linear, y, y, inner))


class SkipsLastRow(Conv2D):
    def gradients(self, dz, x, rectified, wants_dx):
        dx = super().gradients(dz, x, rectified, wants_dx)
        if wants_dx:
            dx[:, -1] = 0
        return dx


class MaximumToAll(MaxPooling2D):
    def backward(self, dy, cache):
        x, y, _ = cache
        dx = np.zeros_like(x)
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                dx[:, p : p + 2, q : q + 2] += dy[:, p : p + 1, q : q + 1]
        return dx


class MaximumOverwrites(MaxPooling2D):
    def backward(self, dy, cache):
        x, y, _ = cache
        dx = np.zeros_like(x)
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                window = x[:, p : p + 2, q : q + 2]
                at = window == y[:, p : p + 1, q : q + 1]
                dx[:, p : p + 2, q : q + 2] = np.where(at, dy[:, p : p + 1, q : q + 1], dx[:, p : p + 2, q : q + 2])
        return dx


class MeanNotDivided(AveragePooling2D):
    def backward(self, dy, cache):
        return super().backward(dy, cache) * 4


class MeanCountsPadding(AveragePooling2D):
    def forward(self, x, training):
        y, cache = super().forward(x, training)
        y[:, -1] /= 2
        return y, cache


class GlobalMeanNotDivided(GlobalAveragePooling2D):
    def backward(self, dy, cache):
        return np.ascontiguousarray(np.broadcast_to(dy[:, None, None], cache))


class GlobalMeanOverOneAxis(GlobalAveragePooling2D):
    def forward(self, x, training):
        return x.mean(axis=1).max(axis=1), x.shape


class DropoutNotScaled(Dropout):
    def forward(self, x, training):
        y, mask = super().forward(x, training)
        return (y, mask) if mask is None else (y * np.float32(1 - self.rate), mask)


class DropoutForgetsMask(Dropout):
    def backward(self, dy, cache):
        return dy


class DropoutDrawsAgain(Dropout):
    def backward(self, dy, cache):
        return self.forward(dy, True)[0]


class DropoutKeepsMask(Dropout):
    def forward(self, x, training):
        y, self.mask = super().forward(x, training)
        return y, None

    def backward(self, dy, cache):
        return dy if self.mask is None else dy * self.mask


class ColumnsFirst(Flatten):
    def forward(self, x, training):
        return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(len(x), -1), x.shape


class ColumnsFirstBackward(Flatten):
    def backward(self, dy, cache):
        n, h, w, c = cache
        return np.ascontiguousarray(dy.reshape(n, w, h, c).transpose(0, 2, 1, 3))


class SoftmaxDiagonalOnly(Activation):
    def backward(self, dy, cache):
        *_, y = cache
        return dy * y * (1 - y)


class SoftmaxOverTheBatch(Activation):
    def forward(self, x, training):
        e = np.exp(x)
        y = e / e.sum(axis=0, keepdims=True)
        return y, (self.function, x, x, y)


class FrameOnTheOtherSide(ZeroPadding2D):
    def forward(self, x, training):
        (top, bottom), (left, right) = self.padding
        return np.pad(x, ((0, 0), (bottom, top), (right, left), (0, 0))), None


class FrameBackwardOffByOne(ZeroPadding2D):
    def backward(self, dy, cache):
        return np.ascontiguousarray(np.roll(super().backward(dy, cache), 1, axis=2))


class SlopeForgotten(PReLU):
    def backward(self, dy, cache):
        super().backward(dy, cache)
        return np.where(cache > 0, dy, 0).astype(dy.dtype)


class SlopeGradientEverywhere(PReLU):
    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.alpha.gradient += (dy * np.maximum(cache, 0)).sum(axis=0)
        return dx


class OffsetBeforeScale(Rescaling):
    def forward(self, x, training):
        return (x + np.float32(self.offset)) * np.float32(self.scale), np.float32(self.scale)


class ScaleForgotten(Rescaling):
    def backward(self, dy, cache):
        return dy


class Crashes(Dense):
    def backward(self, dy, cache):
        raise IndexError("axis 3 is out of bounds")


class ConstantMoments(BatchNormalization):
    def backward(self, dy, cache):
        x_hat, r, _ = cache
        return super().backward(dy, (x_hat, r, False))


class WrongWayMomentum(BatchNormalization):
    def _follow(self, average, new):
        average.value[...] = average.value * (1 - self.momentum) + new.reshape(average.shape) * self.momentum


class SampleVariance(LayerNormalization):
    def forward(self, x, training):
        n = np.float32(x.shape[-1])
        y, (x_hat, r) = super().forward(x, training)
        return y * np.sqrt((n - 1) / n), (x_hat, r)


class ScaleIsForgotten(LayerNormalization):
    def _scaled_gradient(self, dy, x_hat):
        super()._scaled_gradient(dy, x_hat)
        return dy


class RepeatedWordsCountOnce(Embedding):
    def backward_weights(self, dy, cache):
        self.embeddings.gradient[cache] += dy


class StretchesSwapped(Concatenate):
    def backward(self, dy, cache):
        d = np.split(dy, [cache[1]], axis=-1)
        return [np.ascontiguousarray(d[1]), np.ascontiguousarray(d[0])]


class OneBranch(Add):
    def gradients(self, dy, xs):
        return [dy, np.zeros_like(dy)]


class NoTransposedBiasGradient(Conv2DTranspose):
    def _add_bias_gradient(self, dz):
        pass


class StridesForgotten(DepthwiseConv2D):
    def gradients(self, dz, x, rectified, wants_dx):
        super().gradients(dz, x, rectified, False)
        dx = np.zeros_like(x)
        for p, q in np.ndindex(dz.shape[1:3]):
            dx[:, p : p + 3, q : q + 3] += np.einsum("nc,ijc->nijc", dz[:, p, q], self.kernel.value[..., 0])
        return dx


# model, name of the layer, the faulty class, what the hint must say (None: anything)
FAULTS = {
    "Dense: dx has the wrong sign": (images, "hidden", WrongSign, "sign"),
    "Dense: no bias gradient": (images, "hidden", NoBiasGradient, "all zeros"),
    "Dense: kernel gradient divided by the batch": (images, "scores", BatchMeanOfKernelGradient, "1 / 4"),
    "Dense: bias gradient summed over all axes": (images, "scores", SumOverWrongAxis, None),
    "Dense: gradient assigned instead of added": (images, "hidden", AssignsGradient, r"\+="),
    "Dense: bias not added": (images, "hidden", NoBias, "a bias"),
    "Dense: dx with a kernel that is not transposed": (images, "hidden", KernelNotTransposed, None),
    "Dense: input kept on the layer": (images, "hidden", KeepsInput, None),
    "Dense: dy changed in place": (images, "scores", ChangesDy, "in place"),
    "Dense: bias gradient missing where dx is not needed": (images, "hidden", WeightsOnlyPathForgets, "zeros"),
    "Dense: float64 by accident": (images, "scores", DoublePrecision, "float64"),
    "Dense: backward fails": (images, "hidden", Crashes, "IndexError"),
    "Conv2D: kernel rotated": (images, "same", RotatedKernel, None),
    "Conv2D: kernel rows and columns swapped": (images, "conv", TransposedFilters, "shapes"),
    "Conv2D: padding off by one": (images, "same", PaddingAtTheTop, "shifted"),
    "Conv2D: strides swapped": (images, "conv", SwappedStrides, "shape"),
    "Conv2D: no bias gradient": (images, "conv", NoConvBiasGradient, "all zeros"),
    "Conv2D: relu gate on the wrong side": (images, "conv", ReluGateOnOutputOfWrongSide, None),
    "Conv2D: relu gate forgotten": (images, "conv", NoGate, None),
    "Conv2D: last row of dx left out": (images, "same", SkipsLastRow, "zero"),
    "MaxPooling2D: gradient to all cells": (images, "maximum", MaximumToAll, None),
    "MaxPooling2D: windows overwrite each other": (images, "maximum", MaximumOverwrites, None),
    "AveragePooling2D: not divided in backward": (images, "mean", MeanNotDivided, "factor 4"),
    "AveragePooling2D: padding counted": (images, "mean", MeanCountsPadding, "factor 0.5"),
    "GlobalAveragePooling2D: not divided in backward": (pooled, "everywhere", GlobalMeanNotDivided, "factor 30"),
    "GlobalAveragePooling2D: mean over one axis only": (pooled, "everywhere", GlobalMeanOverOneAxis, None),
    "Dropout: not scaled": (images, "dropout", DropoutNotScaled, "factor 0.6"),
    "Dropout: mask forgotten in backward": (images, "dropout", DropoutForgetsMask, "mask was forgotten.*factor 0.6"),
    "Dropout: a new mask in backward": (images, "dropout", DropoutDrawsAgain, None),
    "Dropout: mask kept on the layer": (images, "dropout", DropoutKeepsMask, None),
    "Flatten: columns before rows": (images, "flat", ColumnsFirst, "another order"),
    "Flatten: columns before rows in backward": (images, "flat", ColumnsFirstBackward, "another order"),
    "softmax: diagonal of the Jacobian only": (images, "softmax", SoftmaxDiagonalOnly, None),
    "softmax: over the batch": (images, "softmax", SoftmaxOverTheBatch, None),
    "ZeroPadding2D: frame on the other side": (images, "frame", FrameOnTheOtherSide, None),
    "ZeroPadding2D: backward off by one": (images, "frame", FrameBackwardOffByOne, "shifted by 1 along axis 2"),
    "PReLU: slope forgotten in backward": (images, "slope", SlopeForgotten, "right or zero"),
    "PReLU: slope's gradient of positive inputs too": (images, "slope", SlopeGradientEverywhere, None),
    "Rescaling: offset before scale": (images, "scale", OffsetBeforeScale, "bias"),
    "Rescaling: scale forgotten in backward": (images, "scale", ScaleForgotten, "factor 2"),
    "BatchNormalization: mean and variance taken for constants": (newer, "batch", ConstantMoments, None),
    "BatchNormalization: momentum the wrong way round": (newer, "batch", WrongWayMomentum, None),
    "LayerNormalization: divided by n - 1": (newer, "layer", SampleVariance, None),
    "LayerNormalization: gamma forgotten in backward": (newer, "layer", ScaleIsForgotten, None),
    "Embedding: repeated integers count once": (newer, "table", RepeatedWordsCountOnce, None),
    "Concatenate: stretches swapped in backward": (newer, "behind", StretchesSwapped, "shape"),
    "Add: one branch gets nothing": (newer, "sum", OneBranch, "all zeros"),
    "Conv2DTranspose: no bias gradient": (newer, "larger", NoTransposedBiasGradient, "all zeros"),
    "DepthwiseConv2D: strides forgotten in backward": (newer, "depth", StridesForgotten, None),
}

_references = {}


def reference(build):
    """Return a trace of Keras's model; one serves all faults, as it doesn't change."""
    if build not in _references:
        x, loss, y = {
            images: (X, "sparse_categorical_crossentropy", Y),
            pooled: (XP, "mse", np.eye(N, 3)),
            newer: (XN, "mse", np.eye(N, 7)),
        }[build]
        _references[build] = testing.trace(build(real), x, y, loss=loss)
    return _references[build]


@pytest.mark.parametrize("name", FAULTS)
def test_the_faulty_layer_is_named(name):
    build, layer, cls, hint = FAULTS[name]
    report = testing.compare(build(minikeras, **{layer: cls}), reference(build))
    assert not report.ok
    assert report.layer == layer, str(report)
    blamed = {d.layer for d in report.differences if d.tensor != "weights"} or {report.layer}
    assert blamed == {layer}, "a right layer is blamed too"
    if hint:
        assert re.search(hint, report.differences[0].message), str(report)


def test_all_faults_are_found_and_none_where_there_is_none():
    found = [
        name
        for name, (build, layer, cls, _) in FAULTS.items()
        if testing.compare(build(minikeras, **{layer: cls}), reference(build)).layer == layer
    ]
    assert len(found) >= 30
    assert len(found) == len(FAULTS)
    for build in (images, pooled, newer):
        report = testing.compare(build(minikeras), reference(build))
        assert report.ok, str(report)
        assert report.compared > 15


# ---- no false alarm ----


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer_agrees_with_keras(case):
    x = case.data(np.random.default_rng(3))
    report = testing.compare(case.make(minikeras), case.make(real), x)
    assert report.ok, str(report)


class Sum(Layer):
    """A join of two branches."""

    joins = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, training):
        return x[0] + x[1], None

    def backward(self, dy, cache):
        return [dy, dy]


class LopsidedSum(Sum):
    def backward(self, dy, cache):
        return [dy, 2 * dy]


def residual(k, join=Sum, shared=None):
    """A shared layer, a nested model, a fan-out and a join."""
    inputs = k.Input((6,), name="start")
    shared = shared or k.layers.Dense(6, activation="tanh", name="shared")
    inner = k.Sequential([k.Input((6,)), k.layers.Dense(5, name="a"), k.layers.Dense(6, name="b")], name="inner")
    branch = inner(shared(inputs))
    join = k.layers.Add if k is real else join
    joined = join(name="join")([branch, shared(shared(inputs))])
    return k.Model(inputs, k.layers.Dense(2, name="end")(joined), name="residual")


XR = np.random.default_rng(4).normal(size=(5, 6)).astype("float32")


def test_shared_layers_nested_models_and_joins():
    report = testing.compare(residual(minikeras), residual(real), XR, np.ones((5, 2)), loss="mse")
    assert report.ok, str(report)


def test_several_inputs_and_outputs():
    x, y = data()
    losses = {"number": "mse", "label": "sparse_categorical_crossentropy"}
    for options in ({}, {"y": y, "loss": losses}):
        report = testing.compare(branching(minikeras), branching(real), x, **options)
        assert report.ok, str(report)
        assert report.compared > 40
    ours, theirs = compiled(minikeras), compiled(real)
    # With 1e-7, a gradient of 1e-5 has the rounding of its float32 sum (4e-9 in Keras) made 250 times larger by Adam.
    ours.optimizer.epsilon = theirs.optimizer.epsilon = 1e-4
    report = testing.compare(ours, theirs, x, y, step=True)
    assert report.ok, str(report)


def test_a_join_of_one_array_with_itself():
    def twice(k):
        inputs = k.Input((6,))
        return k.Model(inputs, k.layers.Multiply()([k.layers.Dense(4)(inputs)] * 2))

    report = testing.compare(twice(minikeras), twice(real), XR)
    assert report.ok, str(report)


def test_the_fault_is_found_inside_a_graph():
    report = testing.compare(residual(minikeras, LopsidedSum), residual(real), XR)
    assert (report.layer, report.tensor) == ("join", "dx 1")
    shared = KeepsInput(6, activation="tanh", name="shared")
    report = testing.compare(residual(minikeras, shared=shared), residual(real), XR)
    assert (report.layer, report.tensor) == ("shared", "kernel gradient")


def test_layers_of_a_nested_model_are_named_with_its_name():
    def nested(dense):
        inner = minikeras.Sequential([minikeras.Input((4,)), dense(3, name="d")], name="inner")
        inputs = minikeras.Input((4,))
        return minikeras.Model(inputs, inner(inputs))

    report = testing.compare(nested(WrongSign), nested(Dense), np.ones((2, 4), "float32"))
    assert (report.layer, report.tensor) == ("inner/d", "dx")


# ---- its other sides ----


@pytest.mark.parametrize("library", [real, minikeras])
def test_a_stored_trace_is_as_good(tmp_path, library):
    file = tmp_path / "model.trace.npz"
    kept = testing.trace(pooled(library), XP, np.eye(N, 3), loss="mse", to_file=file)
    assert testing.compare(pooled(minikeras), file).ok
    report = testing.compare(pooled(minikeras, out=WrongSign), str(file))
    assert (report.layer, report.tensor) == ("out", "dx")
    again = testing.Trace.load(file)
    assert again.library == ("keras" if library is real else "minikeras")
    np.testing.assert_array_equal(again.calls[0].outputs[0], kept.calls[0].outputs[0])
    assert again.loss_value == pytest.approx(kept.loss_value)


def test_a_file_that_holds_no_trace_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"holds no trace.*testing\.trace"):
        testing.compare(pooled(minikeras), tmp_path / "x.npz")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_step_of_the_optimizer(optimizer):
    ours, theirs = images(minikeras), images(real)
    for model in (ours, theirs):
        model.compile(optimizer, "sparse_categorical_crossentropy")
    report = testing.compare(ours, theirs, X, Y, step=True)
    assert report.ok, str(report)
    wrong = images(minikeras)
    wrong.compile(minikeras.optimizers.get(optimizer), "sparse_categorical_crossentropy")
    wrong.optimizer.learning_rate = 0.5
    report = testing.compare(wrong, theirs, X, Y, step=True)
    assert report.differences[0].phase == "step"
    assert report.layer == "conv"
    assert "factor" in str(report)


def test_a_wrong_loss_is_named():
    class Doubled(minikeras.losses.Loss):
        def call(self, y_true, y_pred):
            return ((y_pred - y_true) ** 2).mean(-1)

        def gradient(self, y_true, y_pred):
            return 4 * (y_pred - y_true) / y_pred.shape[-1]

    kept = testing.trace(pooled(real), XP, np.eye(N, 3), loss="mse")
    ours, theirs = pooled(minikeras), pooled(real)
    ours.compile("sgd", Doubled())
    theirs.compile("sgd", "mse")
    for report in (
        testing.compare(pooled(minikeras), kept, loss=Doubled()),
        testing.compare(ours, theirs, XP, np.eye(N, 3)),
    ):
        assert (report.layer, report.tensor) == ("loss", "gradient")
        assert "Doubled" in str(report)
        assert "factor 2" in str(report)
    theirs.compile("sgd", real.losses.MeanSquaredError(reduction="sum"))
    assert testing.compare(pooled(minikeras), theirs, XP, np.eye(N, 3)).ok
    report = testing.compare(pooled(minikeras), theirs, XP, np.eye(N, 3), loss=minikeras.losses.MeanSquaredError())
    assert (report.layer, report.tensor) == ("loss", "value")
    assert report.differences[1].tensor == "gradient"


def test_everything_is_left_as_it_was():
    ours, theirs = images(minikeras), images(real)
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy")
    for v in ours.weights:
        v.gradient[...] = 3
    before = ours.get_weights(), theirs.get_weights(), ours.get_layer("dropout").seed_generator.state.copy()
    testing.compare(ours, theirs, X, Y, step=True)
    for now, then in zip([*ours.get_weights(), *theirs.get_weights()], [*before[0], *before[1]], strict=True):
        np.testing.assert_array_equal(now, then)
    assert all((v.gradient == 3).all() for v in ours.weights)
    np.testing.assert_array_equal(ours.get_layer("dropout").seed_generator.state, before[2])


def test_fresh_biases_do_not_hide_a_missing_bias():
    x = np.ones((2, 4), "float32")
    assert testing.compare(NoBias(3), Dense(3), x).tensor == "output"
    assert testing.compare(NoBias(3), Dense(3), x, randomize=False).ok  # zeros added or not are the same


def test_outside_training_dropout_is_the_identity():
    x = np.ones((2, 4), "float32")
    assert not testing.compare(DropoutNotScaled(0.5, seed=1), Dropout(0.5, seed=1), x).ok
    assert testing.compare(DropoutNotScaled(0.5, seed=1), Dropout(0.5, seed=1), x, training=False).ok


def test_a_claimed_shape_is_compared_with_the_real_one():
    class Halves(Layer):
        def forward(self, x, training):
            return np.ascontiguousarray(x[:, ::2]), x.shape

        def backward(self, dy, cache):
            dx = np.zeros(cache, dy.dtype)
            dx[:, ::2] = dy
            return dx

    class Declared(Halves):
        def compute_output_shape(self, input_shape):
            return (input_shape[0], input_shape[1] // 2)

    x = np.ones((2, 4), "float32")
    report = testing.compare(Halves(), Declared(), x)
    assert "compute_output_shape" in str(report)
    assert testing.compare(Declared(), Declared(), x).ok
    with pytest.raises(ValueError, match="as compute_output_shape says"):
        testing.trace(Halves(), x)


def test_another_structure_is_said():
    small = minikeras.Sequential([minikeras.Input((4,)), Dense(3), Dropout(0.5)])
    large = minikeras.Sequential([minikeras.Input((4,)), Dense(3), Dense(3), Dropout(0.5)])
    report = testing.compare(small, large, np.ones((2, 4), "float32"))
    assert report.tensor == "structure"
    assert "2 calls of layers, 3 there" in str(report)
    assert report.layer.startswith("dropout")


def test_float64_is_compared_with_float64():
    minikeras.config.set_floatx("float64")
    x = np.random.default_rng(0).normal(size=(3, 4))
    report = testing.compare(Dense(3, activation="tanh"), Dense(3, activation="tanh"), x)
    assert report.ok, str(report)
    assert report.largest_error < 1e-12


def test_reports_speak():
    x = np.ones((2, 4), "float32")
    good = testing.compare(Dense(3), Dense(3), x)
    assert good
    assert re.search(r"^No difference in \d+ arrays; the largest error is", str(good))
    assert (good.layer, good.tensor) == (None, None)
    bad = testing.compare(WrongSign(3, name="mine"), Dense(3), x)
    assert not bad
    assert str(bad).startswith("First difference: mine (WrongSign), backward: dx\n  of shape (2, 4) is wrong in")
    with pytest.raises(AssertionError, match="the sign is flipped"):
        bad.raise_if_different()
    with pytest.raises(AssertionError, match="the sign is flipped"):
        testing.compare(WrongSign(3), Dense(3), x, raise_error=True)


BATCH = np.ones((2, 4), "float32")
MISUSE = {
    "no model": (lambda: testing.compare(3, Dense(3), BATCH), TypeError, "model or a layer of this library"),
    "model of keras first": (lambda: testing.compare(real.layers.Dense(3), Dense(3), BATCH), TypeError, "this library"),
    "no reference": (lambda: testing.compare(Dense(3), 3, BATCH), TypeError, "expected a model or a layer"),
    "no x": (lambda: testing.compare(Dense(3), Dense(3)), ValueError, "expected `x`"),
    "no loss": (lambda: testing.compare(Dense(3), Dense(3), BATCH, np.ones((2, 3))), ValueError, "pass `loss`"),
    "step uncompiled": (lambda: testing.trace(Dense(3), BATCH, BATCH, loss="mse", step=True), ValueError, "compile"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_explained(name):
    run, error, words = MISUSE[name]
    with pytest.raises(error, match=words):
        run()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda e: -e, "sign"),
        (lambda e: 5 * e, "factor 5; the batch has 5"),
        (lambda e: e / 5, "factor 1 / 5"),
        (lambda e: 3 * e, "constant factor 3"),
        (lambda e: e * 0, "zeros"),
        (lambda e: e * np.nan, "nan"),
        (lambda e: np.ascontiguousarray(e.T), "transposed"),
        (lambda e: e[:, ::-1], "reversed along axis -1"),
        (lambda e: np.roll(e, 1, 0), "shifted by 1 along axis 0"),
        (lambda e: e + np.arange(1, 6), "bias"),
        (lambda e: np.where(e > 0, e, 0), "right or zero"),
        (lambda e: np.random.default_rng(1).permutation(e.ravel()).reshape(e.shape), "another order"),
    ],
)
def test_diagnoses(change, hint):
    from minikeras.testing.diagnosis import diagnosis

    e = np.random.default_rng(0).normal(size=(5, 5))
    assert re.search(hint, diagnosis(e, change(e), 1e-6, batch=5))
