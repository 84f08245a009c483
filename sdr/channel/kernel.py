"""The inner loops, compiled: gains, tapped delay lines, rotations, noise, fading.

They are written for LLVM's vectoriser: float32, real and imaginary parts apart wherever there is more than one
multiplication per sample, inner loops of constant length, which unroll. Bits must not depend on how a stream is cut, so
what the compiler does in a vector it must do in the remainder behind it. Multiply-adds may be fused (`_fused`) only
where every sum has one product at most: of two, it fuses now one, now the other. Where complex products lie interleaved
nothing is fused (`_rounded`).

Samples come as float32 views, real and imaginary parts interleaved; `n` counts complex samples.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core import config
from numba.core.codegen import get_host_cpu_features

from sdr.channel.delays import LENGTH

_CHUNK = 512
"""Samples whose sums stay in the first-level cache."""
WOBBLE = 8
"""Samples from one phase of `wobble` to the next."""
if config.__dict__["CPU_FEATURES"] is None and "+avx512f" in (_found := get_host_cpu_features()):
    # LLVM shuns vectors of 64 bytes, for which early processors slowed down. With them a filter's loads lie across two
    # cache lines half as often, and four delayed paths go half as fast again.
    config.__dict__["CPU_FEATURES"] = f"{_found},-prefer-256-bit"
_fused = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
_rounded = njit(cache=True, nogil=True, error_model="numpy")
_reordered = njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
"""For sums whose length no block changes: their order, chosen by the compiler, is always the same."""


@_rounded
def _product(a, b):
    """A product that is rounded before anything is added to it."""
    return a * b


@_rounded
def scale(line, offset, real, imag, out):
    """Add to `out` the gain times what lies from `offset` on in `line`; a real gain takes half the work."""
    x = line[2 * offset : 2 * offset + len(out)]
    if imag == 0:
        for i in range(len(out)):
            out[i] += real * x[i]
        return
    for i in range(len(out) // 2):
        re, im = x[2 * i], x[2 * i + 1]
        out[2 * i] += real * re - imag * im
        out[2 * i + 1] += real * im + imag * re


@_fused
def _delay(filter, re, im, gain, slope, ramp, sum_re, sum_im):
    """Do what `_weigh` does with what a filter makes of the path.

    Each part is filtered in two sums side by side: one alone would wait for its own multiply-adds.
    """
    half = LENGTH // 2
    gain_re, gain_im, slope_re, slope_im = gain.real, gain.imag, slope.real, slope.imag
    for i in range(len(sum_re)):
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for j in range(half):
            a += filter[j] * re[i + j]
            b += filter[half + j] * re[i + half + j]
            c += filter[j] * im[i + j]
            d += filter[half + j] * im[i + half + j]
        x, y = a + b, c + d
        p, q = gain_re + slope_re * ramp[i], gain_im + slope_im * ramp[i]
        sum_re[i] = sum_re[i] + p * x - q * y
        sum_im[i] = sum_im[i] + p * y + q * x


@_fused
def _weigh(re, im, gain, slope, ramp, sum_re, sum_im):
    """Add a path times a gain that goes by `slope` per sample, `ramp` samples on."""
    gain_re, gain_im, slope_re, slope_im = gain.real, gain.imag, slope.real, slope.imag
    for i in range(len(sum_re)):
        p, q = gain_re + slope_re * ramp[i], gain_im + slope_im * ramp[i]
        sum_re[i] = sum_re[i] + p * re[i] - q * im[i]
        sum_im[i] = sum_im[i] + p * im[i] + q * re[i]


@_fused
def _apart(line):
    """Return the real parts and the imaginary parts, each side by side."""
    n = len(line) // 2
    re, im = np.empty(n, np.float32), np.empty(n, np.float32)
    for i in range(n):
        re[i], im[i] = line[2 * i], line[2 * i + 1]
    return re, im


@_fused
def _together(re, im, out):
    """Add real and imaginary parts to interleaved samples."""
    for i in range(len(re)):
        out[2 * i] += re[i]
        out[2 * i + 1] += im[i]


@_fused
def taps(line, oldest, filters, filtered, gains, step, start, out):
    """Add a tapped delay line whose gains change linearly between updates, path by path.

    Args:
        line: float32, what the transmitter sent; its end is the block's end.
        oldest: int64[taps], how many samples before the one that arrives the oldest lies that a tap looks at.
        filters: float32[taps, LENGTH], oldest sample first; taps that are not `filtered` take that oldest sample alone.
        gains: complex64[updates, taps], from the update at or before the block's first sample on.
        step: samples from one update to the next, counted from 0. start: count of the block's first sample.
        out: float32, the receiver's sum.
    """
    n, reach = len(out) // 2, (len(line) - len(out)) // 2
    re, im = _apart(line)
    sums_re, sums_im = np.empty(_CHUNK, np.float32), np.empty(_CHUNK, np.float32)
    ramp = np.empty(_CHUNK, np.float32)
    share = np.float32(1 / step)
    done = 0
    while done < n:
        since = (start + done) % step
        update = (start + done) // step - start // step
        m = min(_CHUNK, n - done, step - since)
        sum_re, sum_im = sums_re[:m], sums_im[:m]
        sum_re[:], sum_im[:] = 0, 0
        for i in range(m):
            ramp[i] = since + i
        for k in range(len(oldest)):
            gain = gains[update, k]
            slope = (gains[update + 1, k] - gain) * share
            first = reach + done - oldest[k]
            path_re, path_im = re[first : first + m + LENGTH - 1], im[first : first + m + LENGTH - 1]
            if filtered[k]:
                _delay(filters[k], path_re, path_im, gain, slope, ramp, sum_re, sum_im)
            else:
                _weigh(path_re, path_im, gain, slope, ramp, sum_re, sum_im)
        _together(sum_re, sum_im, out[2 * done :])
        done += m


@_fused
def _convolve(filter_re, filter_im, re, im, out_re, out_im):
    """Add LENGTH complex coefficients' share: two samples are read for four multiply-adds."""
    for i in range(len(out_re)):
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for j in range(LENGTH):
            a += filter_re[j] * re[i + j]
            b += filter_im[j] * im[i + j]
            c += filter_re[j] * im[i + j]
            d += filter_im[j] * re[i + j]
        out_re[i] += a - b
        out_im[i] += c + d


@_fused
def _tilt(slope_re, slope_im, since, sum_re, sum_im):
    """Add what has changed since the update."""
    for i in range(len(sum_re)):
        t = np.float32(since + i)
        sum_re[i] += t * slope_re[i]
        sum_im[i] += t * slope_im[i]


@_fused
def merged(line, filters, gains, step, start, out):
    """Do what `taps` does with all paths in one filter, and a second one for its change: for many paths close together.

    Args:
        filters: float32[taps, a multiple of LENGTH], oldest sample first, which is as far back as the line reaches.
        line, gains, step, start, out: as of `taps`.
    """
    n = len(out) // 2
    re, im = _apart(line)
    width = filters.shape[1]
    coefficients = np.empty((4, width), np.float32)
    sums = np.empty((4, _CHUNK), np.float32)
    share = np.float32(1 / step)
    done, known = 0, -1
    while done < n:
        since = (start + done) % step
        update = (start + done) // step - start // step
        m = min(_CHUNK, n - done, step - since)
        if update != known:
            coefficients[:] = 0
            for k in range(len(filters)):
                gain = gains[update, k]
                slope = (gains[update + 1, k] - gain) * share
                for j in range(width):
                    coefficients[0, j] += gain.real * filters[k, j]
                    coefficients[1, j] += gain.imag * filters[k, j]
                    coefficients[2, j] += slope.real * filters[k, j]
                    coefficients[3, j] += slope.imag * filters[k, j]
            known = update
        sums[:, :m] = 0
        for begin in range(0, width, LENGTH):
            end = begin + LENGTH
            x, y = re[done + begin : done + end + m - 1], im[done + begin : done + end + m - 1]
            _convolve(coefficients[0, begin:end], coefficients[1, begin:end], x, y, sums[0, :m], sums[1, :m])
            _convolve(coefficients[2, begin:end], coefficients[3, begin:end], x, y, sums[2, :m], sums[3, :m])
        _tilt(sums[2, :m], sums[3, :m], since, sums[0, :m], sums[1, :m])
        _together(sums[0, :m], sums[1, :m], out[2 * done :])
        done += m


@_rounded
def rotate(samples, start, turns, phase):
    """Turn every sample by `phase` + `turns` times its count, in turns; exact at any count."""
    n = len(samples) // 2
    cos, sin = np.empty(64, np.float32), np.empty(64, np.float32)
    for i in range(64):
        cos[i], sin[i] = np.cos(2 * np.pi * turns * i), np.sin(2 * np.pi * turns * i)
    done = 0
    while done < n:
        skip = (start + done) % 64
        m = min(64 - skip, n - done)
        angle = 2 * np.pi * ((turns * float(start + done - skip) + phase) % 1.0)
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        block = samples[2 * done : 2 * (done + m)]
        for i in range(m):
            p = c * cos[skip + i] - s * sin[skip + i]
            q = c * sin[skip + i] + s * cos[skip + i]
            re, im = block[2 * i], block[2 * i + 1]
            block[2 * i] = re * p - im * q
            block[2 * i + 1] = re * q + im * p
        done += m


@_rounded
def wobble(samples, skip, phases):
    """Turn every sample by a phase that goes in straight lines.

    Args:
        phases: float32, turns, one every WOBBLE samples. skip: samples from the first of them to the first sample.
    """
    for i in range(len(samples) // 2):
        update, since = (skip + i) // WOBBLE, (skip + i) % WOBBLE
        phase = phases[update] + np.float32(since) / np.float32(WOBBLE) * (phases[update + 1] - phases[update])
        phase -= np.floor(phase + np.float32(0.5))
        p, q = _cosine(phase), _cosine(phase - np.float32(0.25))
        re, im = samples[2 * i], samples[2 * i + 1]
        samples[2 * i] = re * p - im * q
        samples[2 * i + 1] = re * q + im * p


@_fused
def philox(counter, key):
    """Return 64 random bits for a 64-bit counter and a 32-bit key: Philox2x32-10 (Salmon et al., SC 2011)."""
    low, high = counter & np.uint64(0xFFFFFFFF), counter >> np.uint64(32)
    key &= np.uint64(0xFFFFFFFF)
    for _ in range(10):
        product = low * np.uint64(0xD256D193)
        low, high = (product >> np.uint64(32)) ^ key ^ high, product & np.uint64(0xFFFFFFFF)
        key = (key + np.uint64(0x9E3779B9)) & np.uint64(0xFFFFFFFF)
    return (high << np.uint64(32)) | low


@_fused
def _cosine(turns):
    """cos(2 pi turns) for -1 to 1 turns, to 2e-7: the series of the sine about the nearest zero."""
    away = abs(turns)
    x = max(np.float32(0.25) - away, away - np.float32(0.75))
    y = x * x
    high = np.float32(-76.70585975) + y * (np.float32(42.05869394) - y * np.float32(15.09464258))
    return x * (np.float32(6.283185307) + y * (np.float32(-41.34170224) + y * (np.float32(81.60524928) + y * high)))


@_fused
def noise(samples, start, key, power):
    """Add complex Gaussian noise of `power`, whose every sample depends on its count and on `key` alone.

    By Box and Muller (1958), one pair of random numbers for one complex sample. The logarithm is taken from the bits
    of a float32 and a series, so that everything runs in vectors.
    """
    n = len(samples) // 2
    shares, turns = np.empty(_CHUNK, np.float32), np.empty(_CHUNK, np.float32)
    parts = np.empty(_CHUNK, np.int32)
    bits, mantissas = shares.view(np.int32), parts.view(np.float32)
    scale = np.float32(power)
    for done in range(0, n, _CHUNK):
        m = min(_CHUNK, n - done)
        for i in range(m):
            word = philox(np.uint64(start + done + i), np.uint64(key))
            shares[i] = (np.float32(np.int32(word >> np.uint64(33))) + np.float32(0.5)) * np.float32(2**-31)
            turns[i] = np.float32(np.int32(word & np.uint64(0xFFFFFFFF))) * np.float32(2**-32)
        for i in range(m):
            parts[i] = (bits[i] & 0x007FFFFF) | 0x3F800000
        block = samples[2 * done : 2 * (done + m)]
        for i in range(m):
            exponent = np.float32((bits[i] >> 23) - 127)
            mantissa = mantissas[i]
            z = (mantissa - np.float32(1.41421356)) / (mantissa + np.float32(1.41421356))
            y = z * z
            series = np.float32(2) + y * (np.float32(2 / 3) + y * (np.float32(2 / 5) + y * np.float32(2 / 7)))
            logarithm = _product(exponent + np.float32(0.5), np.float32(0.69314718)) + z * series
            size = np.sqrt(max(-logarithm, np.float32(0)) * scale)
            block[2 * i] += size * _cosine(turns[i])
            block[2 * i + 1] += size * _cosine(turns[i] - np.float32(0.25))


@_reordered
def sinusoids(first, count, step, frequencies, phases, amplitudes):
    """Return complex64[count, taps]: at every update each tap's sum of sinusoids.

    Args:
        first: number of the first update; update u is at sample u times `step`.
        frequencies, phases: float64[taps, sinusoids], turns per sample and turns. amplitudes: float32, the same shape.
    """
    gains = np.empty((count, frequencies.shape[0]), np.complex64)
    for u in range(count):
        at = float((first + u) * step)
        for k in range(frequencies.shape[0]):
            re, im = np.float32(0), np.float32(0)
            for s in range(frequencies.shape[1]):
                turns = frequencies[k, s] * at + phases[k, s]
                turn = np.float32(turns - np.floor(turns + 0.5))
                re += amplitudes[k, s] * _cosine(turn)
                im += amplitudes[k, s] * _cosine(turn - np.float32(0.25))
            gains[u, k] = complex(re, im)
    return gains
