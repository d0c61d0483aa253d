"""Memory that several threads read and write, and how they wait for each other; what a team's board is made of.

Each reading, writing, addition and exchange is one indivisible step, in one order for all threads.  A board is given as
its address, and consists of fields of 64 bits.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INT

ADDRESS = ir.IntType(8).as_pointer()


def _cell(b, board, field):
    return b.gep(b.inttoptr(board, INT.as_pointer()), [field])


@intrinsic
def read(typing, board, field):
    def emit(context, b, signature, arguments):
        return b.load_atomic(_cell(b, *arguments), "seq_cst", 8)

    return types.int64(types.int64, types.intp), emit


@intrinsic
def write(typing, board, field, value):
    def emit(context, b, signature, arguments):
        board, field, value = arguments
        b.store_atomic(value, _cell(b, board, field), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.intp, types.int64), emit


@intrinsic
def add(typing, board, field, value):
    """Add, and return what was there before."""

    def emit(context, b, signature, arguments):
        board, field, value = arguments
        return b.atomic_rmw("add", _cell(b, board, field), value, "seq_cst")

    return types.int64(types.int64, types.intp, types.int64), emit


@intrinsic
def exchange(typing, board, field, value):
    """Write, and return what was there before."""

    def emit(context, b, signature, arguments):
        board, field, value = arguments
        return b.atomic_rmw("xchg", _cell(b, board, field), value, "seq_cst")

    return types.int64(types.int64, types.intp, types.int64), emit


@intrinsic
def pause(typing):
    """Tell the processor that this is a loop of waiting."""

    def emit(context, b, signature, arguments):
        if platform.machine().lower() in ("x86_64", "amd64", "i386", "x86"):
            kind = ir.FunctionType(ir.VoidType(), [])
            b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def let_others_run(typing):
    def emit(context, b, signature, arguments):
        name = "SwitchToThread" if platform.system() == "Windows" else "sched_yield"
        b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(ir.IntType(32), []), name), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def lock(typing, function, lock):
    """Wait until the lock is open, and lock it; return 1, or 0 where that fails."""

    def emit(context, b, signature, arguments):
        function, lock = arguments
        kind, waits = ir.FunctionType(ir.IntType(32), [ADDRESS, ir.IntType(32)]), ir.IntType(32)(1)
        locked = b.call(b.inttoptr(function, kind.as_pointer()), [b.inttoptr(lock, ADDRESS), waits])
        return b.sext(locked, INT)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def unlock(typing, function, lock):
    def emit(context, b, signature, arguments):
        function, lock = arguments
        kind = ir.FunctionType(ir.VoidType(), [ADDRESS])
        b.call(b.inttoptr(function, kind.as_pointer()), [b.inttoptr(lock, ADDRESS)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit
