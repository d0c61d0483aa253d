"""Random numbers from a counter, as loops; `functional.philox` says what they are."""

import math

import numpy as np

from . import Unfit

M0, M1 = 0xD2511F53, 0xCD9E8D57  # the multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the key's increments: the golden ratio, and sqrt(3) - 1
ROUNDS = 10
MASK = 0xFFFFFFFF


def stream(words, key, counter, blocks):
    if words.shape != (blocks.size, 4) or key.size != 2 or counter.size != 4:
        raise Unfit
    mask, half = np.uint64(MASK), np.uint64(32)
    start = np.uint64(counter[0]) | np.uint64(counter[1]) << half
    start_high = np.uint64(counter[2]) | np.uint64(counter[3]) << half
    for b in range(blocks.size):
        low = start + blocks[b]
        high = start_high + np.uint64(low < start)
        c0, c1, c2, c3 = low & mask, low >> half, high & mask, high >> half
        k0, k1 = np.uint64(key[0]), np.uint64(key[1])
        for _ in range(ROUNDS):
            p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
            c0, c1 = (p1 >> half) ^ c1 ^ k0, p1 & mask
            c2, c3 = (p0 >> half) ^ c3 ^ k1, p0 & mask
            k0, k1 = (k0 + np.uint64(W0)) & mask, (k1 + np.uint64(W1)) & mask
        words[b, 0], words[b, 1], words[b, 2], words[b, 3] = c0, c1, c2, c3


def uniform(out, bits, low, high):
    if out.size > bits.size:
        raise Unfit
    spread = high - low
    number = ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32)
    for i in range(out.size):
        out[i] = (number[i] - np.float32(1)) * spread + low


def normal(out, bits, mean, stddev):
    """Compute with the C library's log, sin and cos, as TensorFlow (NumPy's differ by an ulp)."""
    if out.size > bits.size or bits.size % 2:
        raise Unfit
    number = ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32)
    for i in range(0, out.size, 2):
        u1 = max(number[i] - np.float32(1), np.float32(1e-7))
        angle = np.float32(2 * math.pi * np.float64(number[i + 1] - np.float32(1)))
        r = math.sqrt(np.float32(-2) * math.log(u1))
        out[i] = math.sin(angle) * r * stddev + mean
        if i + 1 < out.size:
            out[i + 1] = math.cos(angle) * r * stddev + mean


def kept(out, v, mean, stddev):
    if len(out) != len(v) or out.shape[1] != 4:
        raise Unfit
    counts = np.zeros(len(out), np.int64)
    for row in range(len(out)):
        for x in v[row]:
            if counts[row] < 4 and abs(x) < 2:
                out[row, counts[row]] = x * stddev + mean
                counts[row] += 1
    return counts


def permutation(order, bits):
    if bits.size < order.size - 1:
        raise Unfit
    n = len(order)
    for i in range(n - 1):
        j = i + np.int64(bits[i]) % (n - i)
        order[i], order[j] = order[j], order[i]
