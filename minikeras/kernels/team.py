"""Threads that share the work of a kernel: `share_out` calls a function once for each share of it.

    @shared
    def doubled(share, y, x):
        for i in range(*part(share, len(x))):
            y[i] = 2 * x[i]

    def double(team, y, x):
        share_out(team, doubled, (y, x))

The work is always cut into the same shares, and each sum has one owner: the result has the same bits on any number of
threads.  Work that is done sooner than others could be told of it is not cut at all: share WHOLE is all of it.

Threads of Python run `work`, machine code that needs no interpreter.  They watch a board, a small array in memory that
all threads see: the thread that has work writes it there, takes shares itself, and comes back when all are done.
Handing out takes about a microsecond.  A thread that sees nothing new for a while goes to sleep: nobody spins when
nobody computes, and a busy machine is not slowed down.  It sleeps at a lock of its own, which is locked; who has work
unlocks those of all sleepers.  All of this is machine code, so that nobody waits for Python's interpreter: a thread
that had to tell Python that it goes to sleep would be believed awake until Python listens, and whole kernels would be
computed without it.  The functions that lock and unlock are those on which Python's own threads sleep; whoever can't
sleep all the same leaves the team, as others can do his shares, but nobody wants a core that spins for ever.  If
several threads of Python compute at once, the first has the team and the others do their
shares alone.

The door passes the board as `team`; `threads` starts the threads.
"""

import ctypes

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl

from .atomics import ADDRESS, add, exchange, let_others_run, lock, pause, read, unlock, write
from .cache import called_by_name, kept_on_disk
from .vectors import INT, address_of, inner, keep

SHARES = 8
WHOLE = -1
LITTLE, MUCH = 2**17, 2**62  # multiplications: some microseconds of one core; more than any work has

# Fields of the board, on cache lines of their own where several threads write.
TAKEN = 0  # whether somebody's work is on the board
OPEN = 8  # whether there are shares to take
FUNCTION, ARGUMENTS, COUNT = 16, 17, 23  # the work: two addresses, and how many shares
THREADS = 18  # how many there are
ASLEEP = 19  # how many sleep
LOCKING, UNLOCKING = 20, 21  # the addresses of the system's functions
DISMISSED = 22  # whether they shall end
INSIDE = 24  # how many threads are looking at the work or doing a share
NEXT, LINE = 32, 8  # the next share of the first thread to take; that of the second is a line further, and so on
LOCK, SLEEPS = 33, 34  # where that thread sleeps, and whether it does

NO, YES = 0, 1
PATIENCE = 2000  # how often a thread looks for a colleague's end before it lets others run

_SHARE = ir.FunctionType(ir.VoidType(), [ADDRESS, INT])


def new_lock() -> int:
    """Return the address of a lock that is locked."""
    lock = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))()
    if lock is None:
        raise MemoryError("There can be no more locks.")
    ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("PyThread_acquire_lock", ctypes.pythonapi))(lock, 1)
    return lock


def _entry_of(function: str) -> int:
    """Return where a function of Python's own stands in memory."""
    return ctypes.cast(getattr(ctypes.pythonapi, function), ctypes.c_void_p).value or 0


def new_board(locks: list[int]) -> np.ndarray:
    """Return an empty board, which begins on a cache line, for the caller and as many threads as there are locks."""
    fields = NEXT + LINE * (len(locks) + 1)
    raw = np.zeros(fields + LINE, np.int64)
    start = -raw.ctypes.data % 64 // 8
    board = raw[start : start + fields]
    board[THREADS] = len(locks) + 1
    board[LOCK + LINE :: LINE] = locks
    board[LOCKING], board[UNLOCKING] = _entry_of("PyThread_acquire_lock"), _entry_of("PyThread_release_lock")
    return board


@inner
def part(share, n, shares=SHARES):
    """Return where the share of n things begins and ends."""
    if share == WHOLE:
        return 0, n
    return share * n // shares, (share + 1) * n // shares


# Work: a function of (share, *arguments) -----------------------------------------------------------------------------


class Work:
    """A function that does one share, in the form in which kernels can hand it to `share_out`."""

    def __init__(self, function):
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.dispatcher = inner(function)


def shared(function):
    """Decorate a function of (share, *arguments) for `share_out`."""
    return Work(function)


class _WorkType(types.Type):
    """numba's own type of functions would do, but programs that pass one to another can't be kept on disk."""

    def __init__(self, work):
        super().__init__(f"Work({work.name})")
        self.dispatcher = work.dispatcher


@typeof_impl.register(Work)
def _(work, context):
    return _WorkType(work)


@register_model(_WorkType)
class _WorkModel(models.OpaqueModel):
    pass


@lower_constant(_WorkType)
def _(context, b, kind, work):
    return context.get_dummy_value()


# A function and its arguments as two addresses ------------------------------------------------------------------------


@intrinsic
def _addresses(typing, function, arguments):
    """Return the address of a function (arguments, share), and that of the arguments.

    The function made here takes the arguments out of the tuple and calls `function(share, *arguments)`.
    """
    call = types.Dispatcher(function.dispatcher).get_call_type(typing, (types.intp, *arguments.types), {})

    def emit(context, b, signature, values):
        overload = function.dispatcher.overloads[call.args]
        context.active_code_library.add_linking_library(overload.library)
        there = cgutils.alloca_once_value(b, values[1])
        name = b.module.get_unique_name(f"{b.function.name}.share")
        unpacking = ir.Function(b.module, _SHARE, name=name)
        unpacking.linkage = "internal"
        inner = ir.IRBuilder(unpacking.append_basic_block())
        where, share = unpacking.args
        given = cgutils.unpack_tuple(inner, inner.load(inner.bitcast(where, values[1].type.as_pointer())))
        context.call_internal_no_propagate(inner, overload.fndesc, call, [share, *given])
        inner.ret_void()
        return context.make_tuple(b, signature.return_type, [b.ptrtoint(f, INT) for f in (unpacking, there)])

    return types.UniTuple(types.int64, 2)(function, arguments), emit


@intrinsic
def _without_owners(typing, arguments):
    """Return the arguments, arrays and numbers, with arrays that don't know who keeps their memory.

    Else every view of one would count its users up and down, in a place in memory that the threads then fight for.
    """

    def emit(context, b, signature, values):
        parts = cgutils.unpack_tuple(b, values[0])
        for i, kind in enumerate(arguments.types):
            if isinstance(kind, types.Array):
                array = context.make_array(kind)(context, b, parts[i])
                array.meminfo = cgutils.get_null_value(array.meminfo.type)
                array.parent = cgutils.get_null_value(array.parent.type)
                parts[i] = array._getvalue()
        return context.make_tuple(b, signature.return_type, parts)

    return arguments(arguments), emit


@intrinsic
def _do(typing, function, arguments, share):
    def emit(context, b, signature, values):
        function, arguments, share = values
        b.call(b.inttoptr(function, _SHARE.as_pointer()), [b.inttoptr(arguments, ADDRESS), share])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


# Handing out, and taking ---------------------------------------------------------------------------------------------


# Inlined: as a function of its own it would be compiled once for each function and arguments that it is called with.
@njit(inline="always")
def share_out(team, function, arguments, work=MUCH, shares=SHARES):
    """Call function(share, *arguments) for share = 0, ..., shares - 1, on all threads of the team.

    Or for WHOLE alone, where there is LITTLE work; what each share computes must then not depend on its limits.
    """
    todo, given = _addresses(function, _without_owners(arguments))
    _machine_code((address_of(team, 0) if len(team) else 0, todo, given, work, shares))
    keep(arguments)


def _hand_out(board, function, arguments, work, shares):
    """Share out work whose function and arguments are addresses; that of the board is 0 where there is no team."""
    if work <= LITTLE:
        _do(function, arguments, WHOLE)
        return
    if board == 0 or exchange(board, TAKEN, 1):
        for share in range(shares):
            _do(function, arguments, share)
        return
    _open(board, function, arguments, shares)
    _finish(board)
    write(board, TAKEN, 0)


@inner
def _open(board, function, arguments, shares):
    """Write work on a board that is taken, and call those who sleep."""
    write(board, FUNCTION, function)
    write(board, ARGUMENTS, arguments)
    write(board, COUNT, shares)
    threads = read(board, THREADS)
    for thread in range(threads):
        write(board, NEXT + LINE * thread, thread * shares // threads)
    write(board, OPEN, 1)
    wake(board)


@inner
def _finish(board):
    """Do what nobody has begun, and wait for the rest."""
    _take(board, 0)
    write(board, OPEN, 0)
    # Who looks at the board from now on finds it closed; who came before is waited for.
    looks = 0
    while read(board, INSIDE):
        pause()
        looks += 1
        if looks > PATIENCE:
            let_others_run()


@inner
def _take(board, me):
    """Do the shares that are mine, and then what is left of the others'.

    As the same shares of one array come to the same thread again and again, they stay in its core's cache.
    """
    function, arguments = read(board, FUNCTION), read(board, ARGUMENTS)
    shares, threads = read(board, COUNT), read(board, THREADS)
    for i in range(threads):
        whose = (me + i) % threads
        last = (whose + 1) * shares // threads
        share = add(board, NEXT + LINE * whose, 1)
        while share < last:
            _do(function, arguments, share)
            share = add(board, NEXT + LINE * whose, 1)


@inner
def wake(board):
    """Unlock where somebody sleeps."""
    if read(board, ASLEEP):
        for thread in range(1, read(board, THREADS)):
            if _gets_up(board, thread):
                unlock(read(board, UNLOCKING), read(board, LOCK + LINE * thread))


@inner
def _gets_up(board, thread):
    """Return whether a thread sleeps or is about to, which it then does no longer: of all who ask, one hears so."""
    if read(board, SLEEPS + LINE * thread) == NO or exchange(board, SLEEPS + LINE * thread, NO) == NO:
        return False
    add(board, ASLEEP, -1)
    return True


@inner
def _look(board, me):
    """Take shares if there are some; return whether somebody's work is under way."""
    if read(board, OPEN):
        add(board, INSIDE, 1)
        if read(board, OPEN):  # else it has been closed since, and what stands there is out of date
            _take(board, me)
        add(board, INSIDE, -1)
    return read(board, TAKEN) != 0


_machine_code = called_by_name("hand_out", _hand_out, *[types.int64] * 5)


@inner
def _watch(board, me, looks):
    idle = 0
    while idle < looks:
        idle = 0 if _look(board, me) else idle + 1
        pause()


@kept_on_disk
def watch(team, me, looks):
    """Do shares of whatever comes, as thread number `me`; return when that many looks in a row found nothing."""
    _watch(address_of(team, 0), me, looks)


@kept_on_disk
def work(team, me, looks):
    """Watch, sleep and watch again, until dismissed, or where one can't sleep."""
    board = address_of(team, 0)
    sleeps = True
    while sleeps and not read(board, DISMISSED):
        _watch(board, me, looks)
        add(board, ASLEEP, 1)
        write(board, SLEEPS + LINE * me, YES)
        _look(board, me)  # whoever opened a moment ago thinks that we are awake
        sleeps = lock(read(board, LOCKING), read(board, LOCK + LINE * me)) == 1
    _gets_up(board, me)
    keep(team)


@kept_on_disk
def dismiss(team):
    """Let all threads end that `work` for this board."""
    board = address_of(team, 0)
    write(board, DISMISSED, 1)
    wake(board)
