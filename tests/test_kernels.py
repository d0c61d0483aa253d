"""Convolution and pooling: the NumPy functions against the definition, and machine code against them."""

import numpy as np
import pytest

from minikeras import functional
from minikeras.functional import pool2d
from minikeras.layers.windows import window_geometry

EPSILON = float(np.finfo(np.float32).eps)


class Alone:
    """A convolution alone, or a gradient of it, of the operation that also rectifies, pools and does the others."""

    def __init__(self, operation, arguments):
        self.operation, self.arguments = operation, arguments
        self.__name__ = arguments.__name__

    def __call__(self, *given):
        self.operation(*self.arguments(*given))

    def reference(self, *given):
        self.operation.reference(*self.arguments(*given))

    def compiled(self, *given):
        self.operation.compiled(*self.arguments(*given))


def forward(y, x, w, b, *moves):
    return y, y[:0, :0, :0, :0].copy(), x, w, b, *moves, (1, 1), y.shape[1:3], False


def weight_gradient(dw, x, dy, *moves):
    db, nothing = np.zeros(dw.shape[3], dw.dtype), x[:0, :0, :0, :0].copy()
    return dw, db, x[:0].copy(), dy, dy, nothing, x, np.ones_like(dw), *moves, (1, 1), dy.shape[1:3], False, True


FORWARD, WEIGHT_GRADIENT = Alone(functional.conv2d.forward, forward), Alone(functional.conv2d.backward, weight_gradient)


def case(kernel, image, window, strides=(1, 1), dilation=(1, 1), padding="valid", batch=2, channels=3, filters=5):
    """Return the arguments of one call of a kernel, with random arrays in float32."""
    outputs, before = zip(
        *map(window_geometry, image, window, strides, (padding, padding), dilation),
        strict=True,
    )
    rng = np.random.default_rng(7)

    def random(*shape):
        return rng.normal(size=shape).astype("float32")

    x, w, b = random(batch, *image, channels), random(*window, channels, filters), random(filters)
    if kernel in CONVOLUTION:
        dy = random(batch, *outputs, filters)
        arrays = {"forward": (dy, x, w, b), "weight_gradient": (w, x, dy), "input_gradient": (x, dy, w)}
        return [*arrays[kernel.__name__], tuple(strides), before, tuple(dilation)]
    if kernel in (pool2d.max_forward, pool2d.max_backward):
        x = np.round(x)  # many ties
    y, dy = random(batch, *outputs, channels), random(batch, *outputs, channels)
    pool2d.max_forward.reference(y, x, tuple(window), tuple(strides), before)
    arrays = {
        "max_forward": (dy, x),
        "max_backward": (np.zeros_like(x), dy, x, y),
        "average_forward": (y, x),
        "average_backward": (x, dy),
    }
    return [*arrays[kernel.__name__], tuple(window), tuple(strides), before]


def run(function, arguments):
    """Return what a kernel leaves in its first argument."""
    result = arguments[0].copy()
    function(result, *arguments[1:])
    return result


def in_float64(arguments):
    return [a.astype("float64") if isinstance(a, np.ndarray) else a for a in arguments]


CONVOLUTION = [FORWARD, WEIGHT_GRADIENT, functional.conv2d.input_gradient]
MAXIMUM = [pool2d.max_forward, pool2d.max_backward]
AVERAGE = [pool2d.average_forward, pool2d.average_backward]
KERNELS = [*CONVOLUTION, *MAXIMUM, *AVERAGE]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)


FIXED = {
    "even kernel, odd image": {"image": (9, 8), "window": (4, 2), "padding": "same"},
    "stride 2, same": {"image": (7, 10), "window": (3, 3), "strides": (2, 2), "padding": "same"},
    "stride > window": {"image": (11, 9), "window": (2, 1), "strides": (3, 5)},
    "one image": {"image": (5, 5), "window": (5, 5), "batch": 1},
    "window > image": {"image": (2, 3), "window": (5, 4), "padding": "same"},
    "one channel, one filter": {"image": (6, 6), "window": (3, 2), "channels": 1, "filters": 1},
}


def windows(kernel, name, **more):
    sizes = {**FIXED[name], **more}
    if kernel in CONVOLUTION and max(sizes.get("strides", (1, 1))) == 1:
        sizes["dilation"] = (1, 2) if sizes.get("padding") == "same" else (1, 1)
    return case(kernel, **sizes)


def by_definition(kernel, arguments):
    """Compute a kernel in float64 from the formulas of the modules' docstrings, one product at a time."""
    arguments = in_float64(arguments)
    name = kernel.__name__
    if kernel in CONVOLUTION:
        strides, padding, dilation = arguments[-3:]
        roles = {"forward": "yxwb", "weight_gradient": "wxy", "input_gradient": "xyw"}[name]
    else:
        pool, strides, padding = arguments[-3:]
        dilation = (1, 1)
        roles = {"max_forward": "yx", "max_backward": "xyab", "average_forward": "yx", "average_backward": "xy"}[name]
    arrays = dict(zip(roles, arguments, strict=False))
    x, y = arrays["x"], arrays["y"]
    out = arguments[0].copy() if name == "weight_gradient" else np.zeros_like(arguments[0])
    window = arrays["w"].shape[:2] if kernel in CONVOLUTION else pool
    for n, p, q in np.ndindex(y.shape[:3]):
        cells = []
        for i, j in np.ndindex(*window):
            h = p * strides[0] + i * dilation[0] - padding[0]
            v = q * strides[1] + j * dilation[1] - padding[1]
            if 0 <= h < x.shape[1] and 0 <= v < x.shape[2]:
                cells.append((i, j, h, v))
        if name == "forward":
            out[n, p, q] = arrays["b"]
        for c in range(x.shape[3]):
            if name == "max_forward":
                out[n, p, q, c] = max(x[n, h, v, c] for _, _, h, v in cells)
            elif name == "max_backward":
                _, _, h, v = max(cells, key=lambda cell: arrays["a"][n, cell[2], cell[3], c])
                out[n, h, v, c] += y[n, p, q, c]
            elif name == "average_forward":
                out[n, p, q, c] = sum(x[n, h, v, c] for _, _, h, v in cells) / len(cells)
            for i, j, h, v in cells:
                if name == "average_backward":
                    out[n, h, v, c] += y[n, p, q, c] / len(cells)
                for f in range(y.shape[3] if kernel in CONVOLUTION else 0):
                    if name == "forward":
                        out[n, p, q, f] += x[n, h, v, c] * arrays["w"][i, j, c, f]
                    elif name == "weight_gradient":
                        out[i, j, c, f] += x[n, h, v, c] * y[n, p, q, f]
                    else:
                        out[n, h, v, c] += y[n, p, q, f] * arrays["w"][i, j, c, f]
    return out


@each_kernel
@pytest.mark.parametrize("name", FIXED)
def test_reference_is_the_definition(kernel, name):
    arguments = windows(kernel, name)
    result = run(kernel.reference, in_float64(arguments))
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, by_definition(kernel, arguments), rtol=1e-12, atol=1e-12)


@each_kernel
def test_equal_inputs_give_equal_bits(kernel):
    arguments = windows(kernel, "stride 2, same", batch=5, channels=7, filters=11)
    first = run(kernel.compiled, arguments)
    again = run(kernel.compiled, [a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    assert first.tobytes() == again.tobytes()


@each_kernel
@pytest.mark.parametrize("which", ["reference", "compiled"])
def test_inputs_stay_and_outputs_are_filled(kernel, which):
    arguments = windows(kernel, "stride > window")
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    result = run(getattr(kernel, which), arguments)
    for a, b in zip(arguments[1:], before[1:], strict=True):
        assert np.array_equal(a, b)
    if kernel is not WEIGHT_GRADIENT:  # what stood in the output must not matter
        arguments[0] = np.full_like(arguments[0], np.nan)
        assert np.array_equal(run(getattr(kernel, which), arguments), result)


@pytest.mark.parametrize("which", ["reference", "compiled"])
def test_weight_gradient_adds(which):
    arguments = windows(WEIGHT_GRADIENT, "stride 2, same")
    start = arguments[0]
    arguments[0] = np.zeros_like(start)
    gradient = run(getattr(WEIGHT_GRADIENT, which), arguments)
    arguments[0] = start
    both = run(getattr(WEIGHT_GRADIENT, which), arguments)
    assert np.abs(gradient).max() > 1
    np.testing.assert_allclose(both, start + gradient, rtol=0, atol=1e-5 * np.abs(both).max())


@pytest.mark.parametrize("which", ["reference", "compiled"])
def test_first_of_equal_cells_gets_the_gradient(which):
    x = np.zeros((1, 3, 3, 1), "float32")
    x[0, 1, 1] = x[0, 2, 1] = 1
    y, dx = np.empty((1, 2, 2, 1), "float32"), np.empty_like(x)
    dy = np.array([1, 2, 4, 8], "float32").reshape(y.shape)
    getattr(pool2d.max_forward, which)(y, x, (2, 2), (1, 1), (0, 0))
    getattr(pool2d.max_backward, which)(dx, dy, x, y, (2, 2), (1, 1), (0, 0))
    assert y.ravel().tolist() == [1, 1, 1, 1]
    assert dx[0, :, :, 0].tolist() == [[0, 0, 0], [0, 15, 0], [0, 0, 0]]


@pytest.mark.parametrize("which", ["reference", "compiled"])
@pytest.mark.parametrize("place", range(4))
def test_a_nan_wins_the_maximum(which, place):
    x = np.array([1, 3, 2, 0], "float32")
    x[place] = np.nan
    x = x.reshape(1, 2, 2, 1)
    y, dx = np.empty((1, 1, 1, 1), "float32"), np.empty_like(x)
    getattr(pool2d.max_forward, which)(y, x, (2, 2), (2, 2), (0, 0))
    getattr(pool2d.max_backward, which)(dx, np.ones_like(y), x, y, (2, 2), (2, 2), (0, 0))
    assert np.isnan(y).all()
    assert dx.ravel().tolist() == [float(k == place) for k in range(4)]


def test_float64_stays_with_numpy():
    arguments = in_float64(windows(FORWARD, "one image"))
    assert np.array_equal(run(FORWARD, arguments), run(FORWARD.reference, arguments))


@pytest.mark.parametrize(
    ("sizes", "valid", "same"),
    [
        ((28, 3, 1, 1), (26, 0), (28, 1)),
        ((28, 2, 2, 1), (14, 0), (14, 0)),
        ((7, 2, 2, 1), (3, 0), (4, 0)),  # the odd zero goes after
        ((7, 4, 1, 1), (4, 0), (7, 1)),
        ((10, 1, 3, 1), (4, 0), (4, 0)),  # stride > window: cells left out, never negative zeros
        ((9, 3, 1, 2), (5, 0), (9, 2)),
        ((2, 5, 1, 1), (-2, 0), (2, 2)),  # nothing fits
    ],
)
def test_window_geometry(sizes, valid, same):
    size, window, stride, dilation = sizes
    assert window_geometry(size, window, stride, "valid", dilation) == valid
    assert window_geometry(size, window, stride, "same", dilation) == same
