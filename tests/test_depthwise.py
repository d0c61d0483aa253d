"""The kernels of depthwise convolution: the reference against the definition, the loops against the reference."""

import numpy as np
import pytest

import minikeras
from minikeras.functional import depthwise2d
from minikeras.layers.windows import window_geometry
from minikeras.testing.gradients import check_gradients

KERNELS = [depthwise2d.forward, depthwise2d.weight_gradient, depthwise2d.input_gradient]
EPSILON = float(np.finfo(np.float32).eps)
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)


def arguments_of(kernel, image, window, strides, dilation, padding, batch, channels, multiplier):
    outputs, before = zip(*map(window_geometry, image, window, strides, (padding,) * 2, dilation), strict=True)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(batch, *image, channels)).astype("float32")
    w = rng.normal(size=(*window, channels, multiplier)).astype("float32")
    y = rng.normal(size=(batch, *outputs, channels * multiplier)).astype("float32")
    b = rng.normal(size=channels * multiplier).astype("float32")
    arrays = {
        depthwise2d.forward: (y, x, w, b),
        depthwise2d.weight_gradient: (w, x, y),
        depthwise2d.input_gradient: (x, y, w),
    }
    return [*arrays[kernel], tuple(strides), before, tuple(dilation)]


def run(function, arguments, dtype="float32", change=lambda a: a):
    arguments = [change(a.astype(dtype)) if isinstance(a, np.ndarray) else a for a in arguments]
    function(*arguments)
    return arguments[0]


def by_definition(kernel, arguments):
    """One product at a time, from the formula of the module."""
    *arrays, strides, padding, dilation = [a.astype("float64") if isinstance(a, np.ndarray) else a for a in arguments]
    out = arrays[0].copy()
    if kernel is depthwise2d.forward:
        y, x, w, b = out, *arrays[1:]
        y[...] = b
    elif kernel is depthwise2d.weight_gradient:
        w, x, y = out, *arrays[1:]
    else:
        x, y, w = out, *arrays[1:]
        x[...] = 0
    M = w.shape[3]
    for n, p, q, i, j in np.ndindex(*y.shape[:3], *w.shape[:2]):
        h = p * strides[0] + i * dilation[0] - padding[0]
        v = q * strides[1] + j * dilation[1] - padding[1]
        if not (0 <= h < x.shape[1] and 0 <= v < x.shape[2]):
            continue
        for c, m in np.ndindex(*w.shape[2:]):
            if kernel is depthwise2d.forward:
                y[n, p, q, c * M + m] += x[n, h, v, c] * w[i, j, c, m]
            elif kernel is depthwise2d.weight_gradient:
                w[i, j, c, m] += x[n, h, v, c] * y[n, p, q, c * M + m]
            else:
                x[n, h, v, c] += y[n, p, q, c * M + m] * w[i, j, c, m]
    return out


SIZES = {
    "image": (7, 6), "window": (3, 2), "strides": (2, 1), "dilation": (1, 2), "padding": "same",
    "batch": 3, "channels": 2, "multiplier": 2,
}  # fmt: skip


@each_kernel
@pytest.mark.parametrize("more", [{}, {"padding": "valid"}, {"strides": (3, 5)}, {"window": (5, 1), "image": (2, 3)}])
def test_reference_is_the_definition(kernel, more):
    arguments = arguments_of(kernel, **{**SIZES, **more})
    np.testing.assert_allclose(
        run(kernel.reference, arguments, "float64"), by_definition(kernel, arguments), atol=1e-12
    )


@each_kernel
def test_equal_bits_and_inputs_that_stay(kernel):
    arguments = arguments_of(kernel, **{**SIZES, "batch": 9})
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    first = run(kernel.compiled, arguments)
    assert first.tobytes() == run(kernel.compiled, arguments).tobytes()
    for a, b in zip(arguments, before, strict=True):
        assert np.array_equal(a, b)
    if kernel is not depthwise2d.weight_gradient:  # what stood in the output must not matter
        arguments[0] = np.full_like(arguments[0], np.nan)
        assert np.array_equal(run(kernel.compiled, arguments), first)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda k: k.Conv2D(4, 3, groups=3), "multiple of `groups`, received filters=4 and groups=3"),
        (lambda k: k.Conv2D(4, 3, groups=0), "`groups` is a positive integer, received 0"),
        (lambda k: k.Conv2D(4, 3, groups=2)(np.ones((1, 5, 5, 3))), "3 channels can't be cut into groups=2"),
        (lambda k: k.DepthwiseConv2D(3, depth_multiplier=0), "`depth_multiplier` is a positive integer, received 0"),
        (lambda k: k.DepthwiseConv2D(3)(np.ones((1, 2, 5, 3))), r"kernel_size=\(3, 3\) does not fit"),
        (lambda k: k.SeparableConv2D(0, 3), "`filters` is a positive integer"),
        (lambda k: k.SeparableConv2D(2, 3)(minikeras.Input((5, 5, None))), "must be known"),
        (lambda k: k.Conv2DTranspose(2, 3, 2, output_padding=2), "less than `strides`.*output_padding=\\(2, 2\\)"),
        (lambda k: k.Conv2DTranspose(2, 3, 2, dilation_rate=2), "exclude each other"),
        (lambda k: k.Conv2DTranspose(2, 4, 2, "same", 0)(np.ones((1, 3, 3, 1))), "output of 4 rows is not what"),
        (lambda k: k.Conv2DTranspose(2, 3, kernel_constraint="x"), "Unknown constraint 'x'"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ValueError, match=words):
        make(minikeras.layers)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_dilated_transposed_convolution_is_the_adjoint(padding):
    """sum(conv(y) x) = sum(y transposed(x)); TensorFlow can't compute this one on a CPU."""
    options = {"padding": padding, "dilation_rate": (2, 3), "use_bias": False, "dtype": "float64"}
    conv = minikeras.layers.Conv2D(3, (3, 2), **options)
    transposed = minikeras.layers.Conv2DTranspose(2, (3, 2), **options)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 4, 3))
    painted = transposed(x)
    y = rng.normal(size=painted.shape)
    assert conv(y).shape == x.shape
    conv.kernel.assign(transposed.kernel.value)
    assert np.sum(conv(y) * x) == pytest.approx(np.sum(y * painted))
    check_gradients(minikeras.layers.Conv2DTranspose(2, (3, 2), padding=padding, dilation_rate=(2, 3)), (5, 4, 3))


def test_aliases():
    assert minikeras.layers.SeparableConvolution2D is minikeras.layers.SeparableConv2D
    assert minikeras.layers.Convolution2DTranspose is minikeras.layers.Conv2DTranspose
