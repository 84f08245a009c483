"""Channels of virtual radios: how fast, beside plain numpy and GNU Radio; how exact, beside what Colosseum states."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from math import log10
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.claims import Claim
from sdr.channel.base import LATENCY, Channel, Samples
from sdr.channel.delays import BAND
from sdr.channel.fading import Fading, profile
from sdr.channel.impairments import Noise
from sdr.channel.paths import Gain, Still, Taps
from sdr.channel.profiles import PROFILES

RATE, BLOCK = 11.52e6, 11_520
DOPPLER = 100.0
WHOLE, ANY = [0.0, 3.0, 11.0, 40.0], [0.4, 3.3, 11.7, 40.1]
PEER = Path(__file__).parent / "peers" / "gnuradio_channel.py"


def measure(quick: bool = False) -> list[Claim]:
    """Run it all; ten seconds, or three."""
    seconds, seeds = (0.1, 100) if quick else (0.5, 400)
    return [*_speed(seconds), *_accuracy(seeds)]


def _speed(seconds: float) -> list[Claim]:
    line, out = _noise(BLOCK + 100), np.zeros(BLOCK, np.complex64)
    copied, runs = _rate(lambda: np.copyto(out, line[:BLOCK]), seconds)
    loss, loss_peer = _pair(Gain(0.5), lambda: np.add(out, np.float32(0.5) * line[:BLOCK], out=out), line, out, seconds)
    moved = loss * 3 / (copied * 2)  # a sample read, a sum read and written; a copy reads and writes
    claims = [
        _fast("a path loss", loss, loss_peer, 600.0, runs),
        Claim("the same, as a share of what copying moves", moved, "", runs, "np.copyto of the same block", 1.0,
              lower_is_better=False),
    ]  # fmt: skip
    for what, delays in (("whole", WHOLE), ("any", ANY)):
        fading = Fading([1.0] * 4, DOPPLER / RATE, [1])
        ours, peer = _pair(Taps(delays, fading), lambda f=fading, d=delays: _numpy(line, out, f, d), line, out, seconds)
        claims.append(_fast(f"4 fading taps at {what} delays", ours, peer, 150.0, runs))
    channel = profile("TDL-A", RATE, [1], doppler=DOPPLER, spread=100e-9)
    claims.append(_fast("TDL-A, 23 fading taps", _rate(lambda: _run(channel, line, out), seconds)[0], None, None, runs))
    random, noise = np.random.default_rng(1), Noise(1.0, [1])
    peer = _rate(lambda: out.view(np.float32).__iadd__(random.standard_normal(2 * BLOCK, np.float32)), seconds)[0]
    claims.append(_fast("noise", _rate(lambda: noise.apply(out, 0), seconds)[0], peer, None, runs))
    before = psutil.Process().memory_info().rss
    _rate(lambda: _run(channel, line, out), seconds)
    grown = (psutil.Process().memory_info().rss - before) / 1e6
    return [*claims, *_gnuradio(), Claim("memory grown over these blocks", grown, "MB", 1, "none", target=1.0)]


def _fast(what: str, ours: float, peer: float | None, target: float | None, runs: int) -> Claim:
    scaled = None if peer is None else peer / 1e6
    return Claim(f"Msample/s: {what}", ours / 1e6, "", runs, "numpy", scaled, target, lower_is_better=False)


def _pair(
    channel: Channel, peer: Callable[[], object], line: Samples, out: Samples, seconds: float
) -> tuple[float, float]:
    return _rate(lambda: _run(channel, line, out), seconds)[0], _rate(peer, seconds)[0]


def _run(channel: Channel, line: Samples, out: Samples) -> None:
    channel.add(line[: channel.reach + BLOCK], 0, out)


def _numpy(line: Samples, out: Samples, fading: Fading, delays: list[float]) -> None:
    """What one would write: each path's samples, interpolated where they must be, times its interpolated gain."""
    counts = np.arange(BLOCK)
    updates = np.arange(BLOCK // fading.step + 2)
    gains = fading.at(0, len(updates))
    for number, delay in enumerate(delays):
        begin = 100 - int(delay) - 2 * LATENCY
        path = line[begin : begin + BLOCK]
        if delay % 1:
            taps = np.sinc(np.arange(-LATENCY, LATENCY) + delay % 1) * np.kaiser(2 * LATENCY, 6)
            path = np.convolve(line[begin - 2 * LATENCY + 1 : begin + BLOCK], taps.astype(np.float32), "valid")
        out += np.interp(counts / fading.step, updates, gains[:, number]).astype(np.complex64) * path


def _rate(once: Callable[[], object], seconds: float) -> tuple[float, int]:
    """Return samples per second, the median of single blocks, and how many there were."""
    once()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    return BLOCK / median(times), len(times)


def _gnuradio() -> list[Claim]:
    """GNU Radio's own model at 4 taps, where its Python modules can be had: Debian's, not the product's environment."""
    what = "Msample/s: GNU Radio's selective fading model, 4 taps"
    python = gnuradio_python()
    if python is None:
        print(f"skipped: {what}: gnuradio is not installed", file=sys.stderr)
        return []
    done = subprocess.run([python, str(PEER), *map(str, ANY)], capture_output=True, text=True, check=True, timeout=60)
    return [Claim(what, float(done.stdout.split()[-1]) / 1e6, "", 1, "the peer itself", lower_is_better=False)]


def gnuradio_python() -> str | None:
    """Return the interpreter that has GNU Radio: Debian's, not the product's own environment; None where it is not."""
    return next((p for p in ("/usr/bin/python3", sys.executable) if _has(p, "gnuradio")), None)


def _has(python: str, module: str) -> bool:
    return (
        Path(python).exists() and not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode
    )


def _accuracy(seeds: int) -> list[Claim]:
    delay, gain = _delays()
    return [
        Claim("greatest delay error, 1.92 Msample/s", delay / 1.92e6 * 1e9, "ns", 33, "Colosseum states", 20.0, 1.0),
        Claim("greatest gain error", gain, "dB", 33, "Colosseum states", 0.5, 0.05),
        Claim("error of an SNR of 10 dB", _snr(), "dB", 1, "none", target=0.1),
        Claim("error of EVA's power-delay profile", _profile("EVA", seeds * 4), "dB", seeds * 4, "none", target=0.2),
        Claim("error of Jakes' autocorrelation", _autocorrelation(seeds), "", seeds, "none", target=0.03),
    ]


def _delays() -> tuple[float, float]:
    """Return the greatest errors of delay (samples) and gain (dB) of 33 fractions, for tones over 80 % of the band."""
    turns = np.linspace(0.01, BAND, 80).tolist()
    delay = gain = 0.0
    for fraction in np.linspace(0, 1, 33).tolist():
        channel = Taps([fraction], Still((1,)))
        for f in turns:
            line = np.exp(2j * np.pi * f * np.arange(-channel.reach, 64)).astype(np.complex64)
            out = np.zeros(64, np.complex64)
            channel.add(line, 0, out)
            rounded = round(fraction * 4096) / 4096
            wanted = np.exp(2j * np.pi * f * (np.arange(64) - rounded - LATENCY))
            response = np.vdot(wanted, out) / 64
            delay = max(delay, abs(float(np.angle(response))) / (2 * np.pi * f) + abs(fraction - rounded))
            gain = max(gain, abs(20 * log10(abs(response))))
    return delay, gain


def _snr() -> float:
    clean = _noise(1_000_000)
    noisy = clean.copy()
    Noise(float(np.mean(np.abs(clean) ** 2)) / 10, [1]).apply(noisy, 0)
    ratio = np.mean(np.abs(clean) ** 2) / np.mean(np.abs(noisy - clean) ** 2)
    return abs(10 * log10(ratio) - 10)


def _profile(name: str, seeds: int) -> float:
    """Return the greatest error in dB of a path's mean power."""
    powers = np.array(PROFILES[name].powers()[0])
    drawn = [np.abs(Fading(powers.tolist(), 1e-3, [seed]).at(0, 400)) ** 2 for seed in range(seeds)]
    return float(np.abs(10 * np.log10(np.mean(drawn, axis=(0, 1)) / powers)).max())


def _autocorrelation(seeds: int) -> float:
    """Return the greatest error over 3 Doppler periods, a tenth of a period apart."""
    lags = np.arange(30)
    found = np.zeros(len(lags), complex)
    for seed in range(seeds):
        fading = Fading([1.0], 1e-3, [seed])
        fading.step = 100
        gains = fading.at(0, 1000)[:, 0]
        found += [np.vdot(gains[: 1000 - lag], gains[lag:]) / (1000 - lag) for lag in lags]
    angles = np.sin(np.linspace(0, np.pi, 400, endpoint=False))
    wanted = np.cos(np.multiply.outer(2 * np.pi * lags / 10, angles)).mean(axis=1)  # J0 by its integral
    return float(np.abs(found / seeds - wanted).max())


def _noise(n: int) -> Samples:
    return np.random.default_rng(0).standard_normal(2 * n, np.float32).view(np.complex64)
