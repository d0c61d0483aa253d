"""Random numbers from a counter: block number b of a stream is a function of b and of a key, and of nothing else.

A generator with a hidden state must be run through from its start; a counter-based one is asked for any block at any
time, so that a seed means the same numbers whatever was drawn before, on any number of threads.  The function is
Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): ten rounds, each of which
multiplies two of four words, swaps the halves of the products about, and stirs in the key.

| name    | shape  | meaning                                                                                       |
|---------|--------|-----------------------------------------------------------------------------------------------|
| key     | (2,)   | uint32: which of 2^64 streams                                                                 |
| counter | (4,)   | uint32: where it starts, least significant word first; block b is made of counter + b         |
| blocks  | (B,)   | uint64: the numbers b of the blocks asked for                                                 |
| words   | (B, 4) | uint32: the blocks                                                                            |
| bits    | (n,)   | uint32: words in order                                                                        |
| out     | (n,)   | float32: numbers made of them                                                                 |

    one round      (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))
    between them   k0 += W0,  k1 += W1

All of it as TensorFlow does it, so that one seed gives the numbers of tf.keras bit for bit.
"""

import math

import numpy as np

from . import Matrix, Vector, fast

M0, M1 = 0xD2511F53, 0xCD9E8D57  # the multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the key's increments: the golden ratio, and sqrt(3) - 1
ROUNDS = 10
MASK = 0xFFFFFFFF


@fast(same_bits=True, words="uint32", key="uint32", counter="uint32", blocks="uint64")
def stream(words: Matrix, key: Vector, counter: Vector, blocks: Vector) -> None:
    """Fill `words` with the blocks asked for, all at once."""
    start, above = (np.uint64(int(counter[i]) | int(counter[i + 1]) << 32) for i in (0, 2))
    low = start + blocks
    high = above + (low < start)  # the carry of a 128-bit sum
    mask, half = np.uint64(MASK), np.uint64(32)
    c0, c1, c2, c3 = low & mask, low >> half, high & mask, high >> half
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
        c0, c1 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & mask
        c2, c3 = (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & mask
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    words[...] = np.stack([c0, c1, c2, c3], axis=1)


def _unit(bits: np.ndarray) -> np.ndarray:
    """Return float32 numbers u in [0, 1): 23 random bits behind the exponent of 1 give a number in [1, 2); minus 1."""
    return ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


@fast(same_bits=True, bits="uint32")
def uniform(out: Vector, bits: Vector, low: np.float32, high: np.float32) -> None:
    """Fill `out` with u (high - low) + low."""
    out[...] = _unit(bits[: out.size]) * (high - low) + low


@fast(bits="uint32")
def normal(out: Vector, bits: Vector, mean: np.float32, stddev: np.float32) -> None:
    """Fill `out` with v stddev + mean, v a standard normal number by Box and Muller (1958).

        r = sqrt(-2 log(u1)),  angle = 2 pi u2,  v = sin(angle) r, then cos(angle) r

    `bits` has an even number of words; a pair (u1, u2) gives two numbers.
    """
    u1, u2 = np.maximum(_unit(bits[0::2]), np.float32(1e-7)), _unit(bits[1::2]).astype(np.float64)
    angle = (2 * math.pi * u2).astype(np.float32)
    r = np.sqrt(np.float32(-2) * np.log(u1))
    v = np.stack([np.sin(angle) * r, np.cos(angle) * r], axis=1).ravel()[: out.size]
    out[...] = v * stddev + mean


@fast()
def kept(out: Matrix, v: Matrix, mean: np.float32, stddev: np.float32) -> np.ndarray:
    """Fill each row of `out` with the first four of its row of v that lie within (-2, 2); return their number."""
    inside = np.abs(v) < 2
    rank = np.cumsum(inside, axis=1) - 1
    rows, columns = np.nonzero(inside & (rank < 4))
    out[rows, rank[rows, columns]] = v[rows, columns] * stddev + mean
    return np.minimum(inside.sum(axis=1), 4)


@fast(same_bits=True, order="int64", bits="uint32")
def permutation(order: Vector, bits: Vector) -> None:
    """Shuffle `order` (n,) by n - 1 words: for i = 0, 1, ...: swap order[i], order[i + bits[i] mod (n - i)].

    (Fisher and Yates; each of the n! orders is as likely as any other.)
    """
    n = len(order)
    for i in range(n - 1):
        j = i + int(bits[i]) % (n - i)
        order[i], order[j] = order[j], order[i]
