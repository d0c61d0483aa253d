"""What a kernel gets: arguments of any form give the numbers of plain float32 ones, or an error that says why not."""

import ctypes
import warnings

import numpy as np
import pytest
from operations_table import examples

from minikeras import functional

EXAMPLES = {name: (kernel, arguments) for name, kernel, arguments in examples()}
each_kernel = pytest.mark.parametrize("name", EXAMPLES)


def arguments_of(name):
    """Return random arguments in the kernel's own form."""
    kernel, arguments = EXAMPLES[name]
    rng = np.random.default_rng(5)

    def random(key, a):
        if not isinstance(a, np.ndarray):
            return a
        if key in ("order", "blocks"):
            return np.arange(a.size, dtype=a.dtype).reshape(a.shape)
        if key == "t":
            return np.array([2, 1], a.dtype)
        if a.dtype.kind == "u":
            return rng.integers(0, 100, a.shape).astype(a.dtype)
        if key == "winner":
            return rng.integers(0, 4, a.shape).astype(a.dtype)
        if key == "v" and "centered" in name:
            return rng.integers(17, 21, a.shape).astype(a.dtype)  # no mean of theirs has a larger square
        # Small integers: float16, ints and big-endian numbers hold them, too; at least 1, as roots are taken of some.
        return rng.integers(1, 5, a.shape).astype(a.dtype)

    given = [random(key, a) for key, a in zip(kernel.parameters, arguments, strict=True)]
    if name == "pool2d.max_backward":
        given[2] = np.float32(given[2] > 2)  # that is what bool holds
        functional.pool2d.max_forward.reference(given[3], given[2], *given[4:])
    return kernel, given


def copied(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def expected(name, which=None, dtype=None):
    """Return what the reference leaves in the arrays, and returns; one of them may first lose digits as `dtype`."""
    kernel, arguments = arguments_of(name)
    if which is not None:
        arguments[which] = arguments[which].astype(dtype).astype(arguments[which].dtype)
    with np.errstate(invalid="ignore"):
        result = kernel.reference(*arguments)
    return arguments, result


def unaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(a.shape)
    view[...] = a
    assert a.size == 0 or not view.flags.aligned
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def every_second(a):
    wide = np.empty((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)[..., ::2]
    wide[...] = a
    return wide


def backwards(a):
    view = np.empty_like(a)[::-1]
    view[...] = a
    return view


def on_disk(a, folder):
    result = np.memmap(folder / "numbers", a.dtype, "w+", shape=a.shape)
    result[...] = a
    return result


class Own(np.ndarray):
    pass


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "every second": every_second,
    "backwards": backwards,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "subclass": lambda a: a.copy().view(Own),
    "matrix": lambda a: np.asmatrix(a) if a.ndim == 2 else a.copy(),
    "masked": lambda a: np.ma.masked_array(a.copy(), mask=a == 3),
    "memmap": on_disk,
    "list": lambda a: a.tolist(),
}
NUMBERS = ["float64", "float16", "longdouble", "int64", "int8", "uint8", "bool", "complex64"]


def formed(array, form, folder):
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
        if form in LAYOUTS:
            return LAYOUTS[form](array, folder) if form == "memmap" else LAYOUTS[form](array)
        return array.astype(form)


def check(call, name, place, form, folder):
    kernel, given = arguments_of(name)
    key, own = list(kernel.parameters)[place], given[place].dtype
    given[place] = strange = formed(given[place], form, folder)
    before = copied(given)
    numbers = getattr(strange, "dtype", own)
    is_written = key in kernel.writes
    if own.kind == "f":
        refused = numbers.kind == "c" or (is_written and numbers.kind != "f")
    else:
        refused = numbers.kind in "fc" or (is_written and not np.can_cast(own, numbers, "safe"))
    refused |= is_written and form in ("read-only", "list")
    if refused:
        with pytest.raises((TypeError, ValueError), match=key if place or form != "list" else "array to write to"):
            call(kernel)(*given)
        for a, b in zip(given, before, strict=True):  # nothing has changed
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        return
    result = call(kernel)(*given)
    wanted, wanted_result = expected(name, place, numbers)
    for (k, a), b, old in zip(zip(kernel.parameters, given, strict=True), wanted, before, strict=True):
        if k in kernel.writes:
            tolerance = 2e-3 if a.dtype == np.float16 else 2e-5
            a = np.asarray(a).astype(b.dtype)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, abs(b.astype(float)).max()))
        elif isinstance(a, np.ndarray):
            assert a.dtype == old.dtype
            np.testing.assert_array_equal(np.asarray(a), np.asarray(old))
    if wanted_result is not None:
        np.testing.assert_allclose(result, wanted_result, rtol=1e-5)
    if kernel.machine_code is not None:
        assert len(kernel.machine_code.signatures) == 1  # nothing was compiled for it


@each_kernel
@pytest.mark.parametrize("through", ["the door", "machine code"])
def test_each_argument_may_come_in_any_form(name, through, tmp_path):
    def call(kernel):
        return kernel if through == "the door" else kernel.compiled

    kernel, arguments = arguments_of(name)
    kernel.compiled(*copied(arguments))
    for place, array in enumerate(arguments):
        if isinstance(array, np.ndarray):
            for form in (*LAYOUTS, *NUMBERS):
                if place == 0 and form == "float64" and array.dtype == np.float32 and through == "the door":
                    continue  # a request for float64: see below
                try:
                    check(call, name, place, form, tmp_path)
                except Exception as error:
                    error.add_note(f"{list(kernel.parameters)[place]}, {form}")
                    raise


@each_kernel
def test_float64_is_asked_for_by_the_first_argument_and_others_may_be_anything(name):
    kernel, arguments = arguments_of(name)
    if arguments[0].dtype != np.float32:
        return
    wanted, _ = expected(name)
    first = arguments[0].astype("float64")
    kernel(first, *arguments[1:])
    np.testing.assert_allclose(first, wanted[0], rtol=2e-5, atol=1e-4)


@each_kernel
def test_numbers_may_be_of_any_type(name):
    kernel, arguments = arguments_of(name)
    wanted, _ = expected(name)
    kernel.compiled(*copied(arguments))
    for number in (float, np.float64, np.array, lambda a: np.array([a])):
        given = [
            number(a) if isinstance(a, np.floating) else list(a) if isinstance(a, tuple) else a
            for a in copied(arguments)
        ]
        kernel(*given)
        for k, a, b in zip(kernel.parameters, given, wanted, strict=True):
            if k in kernel.writes:
                np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-4)
    assert len(kernel.machine_code.signatures) == 1


@each_kernel
def test_a_kernel_writes_what_it_says_and_nothing_else(name):
    kernel, arguments = arguments_of(name)
    for function in (kernel.reference, kernel.compiled):
        given = copied(arguments)
        for key, a in zip(kernel.parameters, given, strict=True):
            if isinstance(a, np.ndarray) and key not in kernel.writes and function == kernel.reference:
                a.flags.writeable = False
        with np.errstate(invalid="ignore"):
            function(*given)
        changed = {
            key
            for key, a, b in zip(kernel.parameters, given, arguments, strict=True)
            if isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        }
        assert changed <= kernel.writes
        assert changed


#: Which of the sizes of which arguments the others say nothing about: windows may reach beyond the image, and so on.
FREE = {
    "conv2d": {"x": (1, 2), "w": (0, 1)},
    "conv2d.input_gradient": {"dx": (1, 2), "dz": (1, 2), "w": (0, 1)},
    "depthwise2d": {"x": (1, 2), "dx": (1, 2), "y": (1, 2), "dy": (1, 2), "w": (0, 1), "dw": (0, 1)},
    "pool2d": {"x": (1, 2), "y": (1, 2), "dx": (1, 2), "dy": (1, 2)},
    "philox": {"bits": (0,), "v": (1,), "order": (0,), "out": (0,)},
}


@each_kernel
def test_shapes_that_dont_go_together_are_refused_and_nothing_is_written(name):
    room = name.partition(".")[0]
    kernel, arguments = arguments_of(name)
    kernel.compiled(*copied(arguments))
    arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]
    if len(arrays) == 1:
        return
    for place in arrays:
        key = list(kernel.parameters)[place]
        free = FREE.get(name, FREE.get(room, {})).get(key, ()) if name != "pool2d.max_backward" else ()
        for axis in range(arguments[place].ndim):
            if axis in free:
                continue
            for change in (-1, 1):
                given = copied(arguments)
                shape = list(given[place].shape)
                shape[axis] += change
                if 0 in shape:
                    continue  # means "leave it out" to some
                given[place] = np.ones(shape, given[place].dtype)
                before = copied(given)
                try:
                    with pytest.raises(ValueError, match=rf"{name}: the shapes don't go together.*{key} \("):
                        kernel.compiled(*given)
                except BaseException as error:
                    error.add_note(f"{key}, axis {axis}, {change:+}")
                    raise
                for a, b in zip(given, before, strict=True):
                    np.testing.assert_array_equal(a, b)
        given = copied(arguments)
        given[place] = given[place][None]  # another number of axes
        with pytest.raises(ValueError, match="the shapes don't go together"):
            kernel.compiled(*given)


def test_machine_code_reads_nothing_beyond_an_array():
    page = np.ones(6, np.float32)
    dx, y = np.zeros(60, np.float32), np.ones(60, np.float32)
    with pytest.raises(ValueError, match=r"activations.relu_gradient: .*Received: dx \(60,\), dy \(6,\), x \(60,\)"):
        functional.activations.relu_gradient(dx, page, y)
    assert (dx == 0).all()


def test_what_is_no_array_cannot_be_written_to():
    x = np.ones(3, np.float32)
    functional.activations.relu(x.copy(), x)
    for nothing in ([0.0] * 3, 1.0, None, ctypes.c_float()):
        with pytest.raises(TypeError, match=r"activations.relu: expected an array to write to, received"):
            functional.activations.relu(nothing, x)
