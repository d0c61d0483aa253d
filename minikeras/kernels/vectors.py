"""Vector registers: numba functions that compute with LANES floats at a time.

A processor core adds or multiplies a whole register of floats, 16 of them with AVX-512, in the time of one.  LLVM, the
compiler under numba, does so by itself for simple loops; where a loop chooses between values (which of the four was the
largest?) or has to keep many sums at hand, it often does not.  There this module says it explicitly:

    v = load(x, i, left)                 lane l holds x[i + l] for l < left, else 0
    store(y, i, left, v)                 y[i + l] = lane l, for l < left
    fill(0.5)                            the same number in all lanes
    v + w, v - w, v * w, v / w           lane by lane
    greater(v, w), equal(v, w), missing(v)        a mask: where v > w; v = w; v is NaN
    either(m, n), where(m, v, w)         where one mask or the other holds; v where the mask holds, else w
    inside(left, v, w)                   v in the first `left` lanes, else w
    multiplied(u, v, w), exp(v)          u v + w; e to the power of v
    largest(v), total(v)                 of all lanes, as one number
    copy(y, j, x, i, n)                  y[j], ... = x[i], ..., n of them; `add_to` adds them
    turn(y, y_step, x, x_step, rows, columns)               a transposed block of a matrix
    agree(condition), one_size(arrays)       arguments that go together; nothing here looks where an array ends

x and y are one-dimensional arrays; `left` counts what is left of a row, so that its last register may be partly empty.

An `@intrinsic` consists of two parts: the types of its arguments and result, and a function that appends instructions
of LLVM's language to the program being compiled; `b`, the builder, has a method for each.  LLVM knows vectors of any
width, and splits or widens them to what the processor has.

Called by the kernels; `products` adds the multiplications.
"""

import math
import operator
import platform

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic, models, overload, register_model

from . import Unfit
from .cache import called_by_name


def _features() -> set[str]:
    """Return the names of the instruction sets that numba compiles for."""
    if (features := getattr(numba_config, "CPU_FEATURES", None)) is not None:
        return {name[1:] for name in features.split(",") if name.startswith("+")}
    return {name for name, present in binding.get_host_cpu_features().items() if present}


def _registers() -> tuple[int, tuple[int, int]]:
    """Return lanes per register, and the rows and registers of a wide tile of sums (see `products`)."""
    features = _features()
    if "avx512f" in features:
        return 16, (6, 4)  # of 32 registers: 24 sums, 4 weights, 1 input
    if "avx2" in features:
        return 8, (6, 2)  # of 16: 12 sums, 2 weights, 1 input
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 4, (6, 4)  # of 32
    return 4, (6, 2)  # SSE's 16


def inner(function):
    """Compile a function that only machine code calls: without what Python would need."""
    return njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


@inner
def agree(condition):
    """Refuse arguments whose shapes don't go together: machine code would read and write beyond an array's end."""
    if not condition:
        raise Unfit


@inner
def one_size(arrays):
    """Return whether these arrays have equally many elements."""
    for array in arrays:  # noqa: SIM110 - numba has no `all` of a generator
        if array.size != arrays[0].size:
            return False
    return True


LANES, WIDE_TILE = _registers()

INT, I32, FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
VECTOR, MASK = ir.VectorType(FLOAT, LANES), ir.VectorType(ir.IntType(1), LANES)
ALL_LANES = ir.Constant(MASK, [ir.IntType(1)(1)] * LANES)
_LANE_NUMBERS = ir.Constant(ir.VectorType(INT, LANES), [INT(lane) for lane in range(LANES)])


# Pieces of LLVM programs ---------------------------------------------------------------------------------------------


def pointer_to(context, b, kind, array, index=None):
    """Return where element `index` of a one-dimensional array stands in memory (the first one where None)."""
    start = context.make_array(kind)(context, b, array).data
    return start if index is None else b.gep(start, [index])


def broadcast(b, number):
    """Return a vector with the same number in all lanes."""
    kind = ir.VectorType(number.type, LANES)
    first = b.insert_element(ir.Constant(kind, ir.Undefined), number, I32(0))
    return b.shuffle_vector(first, first, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


def first_lanes(b, left):
    """Return the mask of the lanes 0, ..., left - 1."""
    return b.icmp_signed("<", _LANE_NUMBERS, broadcast(b, left))


def load_vector(b, pointer, mask):
    """Read the lanes of the mask from memory; the others are 0, and what stands there is not touched."""
    zero = ir.Constant(VECTOR, [FLOAT(0)] * LANES)
    return _call(b, f"llvm.masked.load.v{LANES}f32.p0", VECTOR, _vector_at(b, pointer), I32(4), mask, zero)


def store_vector(b, vector, pointer, mask):
    """Write the lanes of the mask to memory."""
    _call(b, f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), vector, _vector_at(b, pointer), I32(4), mask)


def prefetch(b, pointer, to_write=False):
    """Ask for the cache line of an address that will be read soon, or written; the address need not exist."""
    pointer, mode = b.bitcast(pointer, ir.IntType(8).as_pointer()), I32(int(to_write))
    _call(b, "llvm.prefetch.p0", ir.VoidType(), pointer, mode, I32(3), I32(1))


def multiply_add(b, x, y, z):
    """Return x y + z, in one instruction where the processor has it."""
    return _call(b, f"llvm.fmuladd.v{LANES}f32", VECTOR, x, y, z)


def _vector_at(b, pointer):
    return b.bitcast(pointer, VECTOR.as_pointer())


def _call(b, name, result, *operands):
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), operands)


# A register, and a mask, as values of numba programs -----------------------------------------------------------------


class _Register(types.Type):
    """What numba calls a value that fills a register."""

    def __init__(self, name, llvm_type):
        super().__init__(name)
        self.llvm_type = llvm_type


lanes, mask = _Register("lanes", VECTOR), _Register("mask", MASK)


@register_model(_Register)
class _RegisterModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm_type)


@intrinsic
def address_of(typing, x, i):
    """Return the address of x[i]."""

    def emit(context, b, signature, arguments):
        x, i = arguments
        return b.ptrtoint(pointer_to(context, b, signature.args[0], x, i), INT)

    return types.int64(x, types.intp), emit


@intrinsic
def keep(typing, value):
    """Do nothing: numba frees an array after its last use, and doesn't count its address as one."""

    def emit(context, b, signature, arguments):
        return context.get_dummy_value()

    return types.void(value), emit


@intrinsic
def load(typing, x, i, left):
    """Return x[i], ..., x[i + LANES - 1], as far as `left` reaches."""

    def emit(context, b, signature, arguments):
        x, i, left = arguments
        return load_vector(b, pointer_to(context, b, signature.args[0], x, i), first_lanes(b, left))

    return lanes(x, types.intp, types.intp), emit


@intrinsic
def store(typing, y, i, left, value):
    """Write the first `left` lanes to y[i], y[i + 1], ..."""

    def emit(context, b, signature, arguments):
        y, i, left, value = arguments
        store_vector(b, value, pointer_to(context, b, signature.args[0], y, i), first_lanes(b, left))
        return context.get_dummy_value()

    return types.void(y, types.intp, types.intp, lanes), emit


@intrinsic
def fill(typing, number):
    """Return the number in all lanes."""

    def emit(context, b, signature, arguments):
        return broadcast(b, arguments[0])

    return lanes(types.float32), emit


def _lane_by_lane(result, arguments, instruction):
    """Make a function of registers out of an instruction, `instruction(builder, *values)`."""

    def typed(typing, *given):
        return result(*arguments), lambda context, b, signature, values: instruction(b, *values)

    # numba counts a function's parameters, so each number of them needs a function of its own.
    if len(arguments) == 1:
        return intrinsic(lambda typing, v: typed(typing, v))
    if len(arguments) == 2:
        return intrinsic(lambda typing, v, w: typed(typing, v, w))
    return intrinsic(lambda typing, u, v, w: typed(typing, u, v, w))


greater = _lane_by_lane(mask, (lanes, lanes), lambda b, v, w: b.fcmp_ordered(">", v, w))
equal = _lane_by_lane(mask, (lanes, lanes), lambda b, v, w: b.fcmp_ordered("==", v, w))
missing = _lane_by_lane(mask, (lanes,), lambda b, v: b.fcmp_unordered("uno", v, v))
either = _lane_by_lane(mask, (mask, mask), lambda b, m, n: b.or_(m, n))
where = _lane_by_lane(lanes, (mask, lanes, lanes), lambda b, m, v, w: b.select(m, v, w))
inside = _lane_by_lane(lanes, (types.intp, lanes, lanes), lambda b, n, v, w: b.select(first_lanes(b, n), v, w))
multiplied = _lane_by_lane(lanes, (lanes, lanes, lanes), multiply_add)


def _operator(sign, instruction):
    """Let `v sign w` stand for an instruction."""
    apply = _lane_by_lane(lanes, (lanes, lanes), instruction)

    @overload(sign)
    def _(v, w):
        return (lambda v, w: apply(v, w)) if v is lanes and w is lanes else None


_operator(operator.add, lambda b, v, w: b.fadd(v, w))
_operator(operator.sub, lambda b, v, w: b.fsub(v, w))
_operator(operator.mul, lambda b, v, w: b.fmul(v, w))
_operator(operator.truediv, lambda b, v, w: b.fdiv(v, w))


def _folded(instruction):
    """Make a function of one register out of an instruction that joins two: halves are joined until one lane is left.

    Lane l first meets lane l + LANES / 2, so the order of additions is the same on every processor of so many lanes.
    """

    def emit(context, b, signature, values):
        (v,), half = values, LANES // 2
        while half:
            other = ir.Constant(ir.VectorType(I32, LANES), [(lane + half) % LANES for lane in range(LANES)])
            v, half = instruction(b, v, b.shuffle_vector(v, v, other)), half // 2
        return b.extract_element(v, I32(0))

    return intrinsic(lambda typing, v: (types.float32(lanes), emit))


largest = _folded(lambda b, v, w: b.select(b.fcmp_ordered(">", v, w), v, w))
total = _folded(lambda b, v, w: b.fadd(v, w))

# A float is a sign, 8 bits of exponent (127 stands for 2^0) and 23 of fraction.  A small number to which 1.5 x 2^23 is
# added has no bits left for its own fraction: it is rounded to an integer, which stands in the lowest bits of the sum.
_ROUNDER = np.float32(1.5 * 2**23)


def _two_to_the(b, v):
    """Return 2^n, where v is _ROUNDER + n: n + 127 moves to the place of the exponent."""
    integers = ir.VectorType(I32, LANES)
    exponent = b.add(b.bitcast(v, integers), ir.Constant(integers, [I32(127)] * LANES))
    return b.bitcast(b.shl(exponent, ir.Constant(integers, [I32(23)] * LANES)), VECTOR)


two_to_the = _lane_by_lane(lanes, (lanes,), _two_to_the)

LEAST, MOST = np.float32(-87), np.float32(88)  # e^-87 is about the smallest normal float, e^88 about the largest
_LOG2_E, _LN_2_HIGH, _LN_2_LOW = np.float32(math.log2(math.e)), np.float32(0.693359375), np.float32(-2.12194440e-4)
_INVERSE_FACTORIALS = tuple(np.float32(1 / math.factorial(n)) for n in range(8))


@inner
def exp(v):
    """Return e^v to the last bit or two: 0 below LEAST, e^MOST above MOST.

    With v = n ln 2 + r, |r| <= ln(2) / 2, e^v is 2^n e^r, and of e^r = 1 + r + r^2/2! + ... eight terms are enough.
    n ln 2 is subtracted in two parts, the first of so few bits that n times it is exact.
    """
    one_by_factorial = _INVERSE_FACTORIALS
    high = fill(MOST)
    v_in = where(greater(v, high), high, v)
    n = multiplied(v_in, fill(_LOG2_E), fill(_ROUNDER))
    whole = n - fill(_ROUNDER)
    r = multiplied(whole, fill(-_LN_2_LOW), multiplied(whole, fill(-_LN_2_HIGH), v_in))
    power = fill(one_by_factorial[7])
    for k in range(6, -1, -1):
        power = multiplied(power, r, fill(one_by_factorial[k]))
    return where(greater(fill(LEAST), v), fill(np.float32(0)), power * two_to_the(n))


@intrinsic
def turn_square(typing, y, y_step, x, x_step, rows, columns):
    """Let y[c * y_step + r] = x[r * x_step + c] for r < rows and c < columns, at most LANES; y and x are addresses.

    The rows stand in LANES registers.  Halves of them change places, then quarters, and so on: in each round, what is
    right of the middle in the upper row of a pair is exchanged for what is left of it in the lower one.
    """

    def emit(context, b, signature, arguments):
        y, y_step, x, x_step, rows, columns = arguments
        y, x = (b.inttoptr(address, FLOAT.as_pointer()) for address in (y, x))

        def mask_of(line, lines, width):
            return first_lanes(b, b.select(b.icmp_signed("<", INT(line), lines), width, INT(0)))

        lines = [load_vector(b, b.gep(x, [b.mul(INT(r), x_step)]), mask_of(r, rows, columns)) for r in range(LANES)]
        half = LANES // 2
        while half:
            upper = [lane if not lane & half else LANES + lane - half for lane in range(LANES)]
            lower = [lane + half if not lane & half else LANES + lane for lane in range(LANES)]
            for r in range(LANES):
                if not r & half:
                    pair = lines[r], lines[r + half]
                    lines[r], lines[r + half] = (
                        b.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, LANES), chosen))
                        for chosen in (upper, lower)
                    )
            half //= 2
        for c in range(LANES):
            store_vector(b, lines[c], b.gep(y, [b.mul(INT(c), y_step)]), mask_of(c, columns, rows))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), emit


def _turn_rows(y, y_step, x, x_step, rows, columns):
    """Turn block by block; y and x are addresses."""
    for r in range(0, rows, LANES):
        for c in range(0, columns, LANES):
            to, start = y + 4 * (c * y_step + r), x + 4 * (r * x_step + c)
            turn_square(to, y_step, start, x_step, min(LANES, rows - r), min(LANES, columns - c))


_turn_by_name = called_by_name("turn", _turn_rows, *[types.int64] * 6)


@inner
def turn(y, y_step, x, x_step, rows, columns):
    """Let y[c * y_step + r] = x[r * x_step + c] for r < rows, c < columns; y and x are (vector, position)."""
    _turn_by_name((address_of(y[0], y[1]), y_step, address_of(x[0], x[1]), x_step, rows, columns))


@inner
def copy(y, j, x, i, n):
    """Copy n numbers, x[i], x[i + 1], ..., to y[j], y[j + 1], ..."""
    for k in range(0, n, LANES):
        store(y, j + k, n - k, load(x, i + k, n - k))


@inner
def add_to(y, j, x, i, n):
    """Add n numbers, x[i], x[i + 1], ..., to y[j], y[j + 1], ..."""
    for k in range(0, n, LANES):
        store(y, j + k, n - k, load(y, j + k, n - k) + load(x, i + k, n - k))
