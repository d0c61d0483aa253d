"""Whether all of many numbers are finite: asked of a data set before training, at the speed of memory.

| name | shape | meaning                    |
|------|-------|----------------------------|
| x    | (n,)  | the numbers                |
| bad  | (8,)  | NaN where a share has some |

0 x is 0 for each finite x, and NaN for NaN and for infinity;  NaN is what then remains of a sum.
"""

import numpy as np

from . import twin
from .team import SHARES, part, share_out, shared
from .vectors import LANES, agree, fill, load, store


def _look(bad: np.ndarray, x: np.ndarray) -> None:
    """Fill `bad` with the sum of 0 x."""
    with np.errstate(invalid="ignore"):
        bad[...] = (x * 0).sum()


@twin(_look)
def look(team, bad, x):
    """Do the same, each share for itself."""
    agree(bad.size == SHARES)
    share_out(team, _look_share, (bad, x))


@shared
def _look_share(share, bad, x):
    zero = fill(np.float32(0))
    sums = (zero, zero, zero, zero)  # that one addition need not wait for another
    first, last = part(share, x.size)
    step = 4 * LANES
    for i in range(first, last, step):
        a, b, c, d = sums
        sums = (
            a + zero * load(x, i, last - i),
            b + zero * load(x, i + LANES, last - i - LANES),
            c + zero * load(x, i + 2 * LANES, last - i - 2 * LANES),
            d + zero * load(x, i + 3 * LANES, last - i - 3 * LANES),
        )
    a, b, c, d = sums
    lanes = np.empty(LANES, np.float32)
    store(lanes, 0, LANES, a + b + c + d)
    bad[share] = lanes.sum()
