"""Loops over vectors, made of what is to be done with one element: the rules of the optimizers, and some activations.

A function that NumPy runs on vectors is compiled for single numbers, and stands in the innermost of these loops, each
of which runs over one share of the vectors.  So there is one text of each rule, and the compiler makes of it what it
makes of a loop written by hand.
"""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numba import njit

from .team import part, share_out, shared
from .vectors import LANES, agree, inner, one_size

WORK = 8  # for each number: about as many multiplications
ZERO = np.float32(0)

# Written out for as many vectors and numbers as there are: numba must know them.
_LOOPS = """
@shared
def {name}_share(share, {every}):
    here = some(share, {first}.size)
    {vectors}, = {slices},
    for i in range({first}.size):
        {written} = formula({elements})

def {name}(team, {every}):
    agree(one_size(({vectors},)))
    share_out(team, {name}_share, ({every},), WORK * {first}.size)
"""


@inner
def some(share, size):
    """Return where the share of a vector is, in whole registers: none then straddles two cache lines."""
    first, last = part(share, (size + LANES - 1) // LANES)
    return slice(first * LANES, last * LANES)


@njit(inline="always", error_model="numpy")
def flush(x, tiny):
    return ZERO if abs(x) < tiny else x


@njit(inline="always", error_model="numpy")
def where(condition, v, w):
    return v if condition else w


def looped(formula: Callable[..., Any], vectors: Sequence[str], written: Sequence[str]) -> Callable[..., Any]:
    """Return loops that write what `formula` returns.

    Args:
        formula: a function of one number of each vector and of other numbers, as `functional.elementwise` describes.
        vectors: names of those of its arguments that are vectors, all before the others.
        written: names of those that its results are written to.
    """
    code = formula.__code__
    every = code.co_varnames[: code.co_argcount]
    # numba knows NumPy's functions of single numbers, but not all: two have their own.
    of_numbers = FunctionType(code, {**formula.__globals__, "flush": flush, "where": where}, formula.__name__)
    program = _LOOPS.format(
        name=formula.__name__,
        every=", ".join(every),
        first=every[0],
        vectors=", ".join(vectors),
        slices=", ".join(f"{v}[here]" for v in vectors),
        written=", ".join(f"{v}[i]" for v in written),
        elements=", ".join(f"{v}[i]" if v in vectors else v for v in every),
    )
    names = {
        "__name__": __name__, "formula": njit(inline="always", error_model="numpy")(of_numbers), "some": some,
        "shared": shared, "share_out": share_out, "agree": agree, "one_size": one_size, "WORK": WORK,
    }  # fmt: skip
    exec(compile(program, __file__, "exec"), names)
    loops = names[formula.__name__]
    loops.sources = (code.co_filename,)
    return loops
