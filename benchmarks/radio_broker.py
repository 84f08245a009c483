"""The whole broker, end to end over ZeroMQ: a cell and more and more UEs, beside an equivalent GNU Radio flowgraph."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from benchmarks.claims import Claim
from benchmarks.radio_channel import gnuradio_python

FRAME = 11_520
PEERS = Path(__file__).parent / "peers"
OURS = {
    "loss": "gain: -10dB",
    "static": "taps: [{}, {delay: 260.417ns, gain: -10dB}, {delay: 434.028ns, gain: -14dB}, "
    "{delay: 607.639ns, gain: -20dB}]",
    "fading": "profile: NTN-TDL-B, spread: 100ns, doppler: 100Hz",
}
"""What a pair has: the taps lie at whole samples, as those of GNU Radio's filter; the paths of the profile do not."""
FORWARD = "forward"
NAMES = {"loss": "path loss", "static": "4 still taps", "fading": "4 fading taps"}
TARGETS = {"loss": 2.0, "static": 4.0, "fading": 4.0}


@dataclass(frozen=True)
class Passed:
    """Samples per second to all receivers, and per second of the broker's processor time."""

    rate: float
    per_core: float


def measure(quick: bool = False) -> list[Claim]:
    """Run it all: seven minutes, or half a one."""
    seconds, runs, numbers = (1.0, 1, (1, 4)) if quick else (2.0, 3, (1, 2, 4, 8))
    python = gnuradio_python()
    claims = [claim for ues in numbers for kind in OURS for claim in _beside(kind, ues, seconds, runs, python)]
    claims.append(_untouched(seconds, runs))
    return claims + [_large(cells, ues, seconds) for cells, ues in ((2, 8), (4, 16), (8, 32)) if not quick]


def _beside(kind: str, ues: int, seconds: float, runs: int, python: str | None) -> Iterator[Claim]:
    ours: list[Passed] = []
    theirs: list[Passed] = []
    for _ in range(runs):  # in turns: a machine that is busy is so for both
        ours.append(_run(1, ues, seconds, kind, None))
        if python:
            theirs.append(_run(1, ues, seconds, kind, python))
    what = f"1 cell, {ues} UE{'s' if ues > 1 else ''}, {NAMES[kind]}"
    for value, unit in (("rate", "Msample/s"), ("per_core", "Msample/s per core")):
        mine = median(getattr(one, value) for one in ours) / 1e6
        other = median(getattr(one, value) for one in theirs) / 1e6 if theirs else None
        # The bound is a ratio to the peer, so it is one of this run.
        target = TARGETS[kind] * other if other is not None and value == "rate" else None
        peer = "GNU Radio" if theirs else "GNU Radio is not installed"
        yield Claim(f"{what}: {unit}", mine, "", runs, peer, other, target, lower_is_better=False)


def _untouched(seconds: float, runs: int) -> Claim:
    """One UE's path loss beside frames that nothing is done to; ZeroMQ's proxy has one under way at a time."""
    ours, most = zip(
        *((_run(1, 1, seconds, "loss", None).rate, _run(1, 1, seconds, FORWARD, None).rate) for _ in range(runs)),
        strict=True,
    )
    what, peer = "1 cell, 1 UE, path loss: Msample/s", "ZeroMQ's own proxy, frames untouched"
    return Claim(what, median(ours) / 1e6, "", runs, peer, median(most) / 1e6, lower_is_better=False)


def _large(cells: int, ues: int, seconds: float) -> Claim:
    passed = _run(cells, ues, seconds, "loss", None)
    pairs = cells * ues * 2 * passed.rate / (cells + ues) / 1e6
    what = f"{cells} cells, {ues} UEs, path loss: Msample/s received ({pairs:.0f} through pairs)"
    return Claim(what, passed.rate / 1e6, "", 1, "none", lower_is_better=False)


def _run(cells: int, ues: int, seconds: float, kind: str, python: str | None) -> Passed:
    """Run a broker, ours or GNU Radio's, with radios that go as fast as they can."""
    with TemporaryDirectory(prefix="testbed-radio-") as name, ExitStack() as stack:
        ports = [(f"ipc://{name}/{n}t", f"ipc://{name}/{n}r") for n in range(cells + ues)]
        argv = _command(kind, Path(name), cells, ports, python)
        broker = psutil.Process(stack.enter_context(_ended(argv)).pid)
        radios = [sys.executable, str(PEERS / "radios.py"), str(FRAME), str(seconds), *map(",".join, ports)]
        load = stack.enter_context(subprocess.Popen(radios, stdout=subprocess.PIPE, text=True))
        assert load.stdout is not None
        if load.stdout.readline() != "begun\n":
            raise OSError(f"no samples through {argv[0]} {argv[1]}")
        before = sum(broker.cpu_times()[:2])
        samples, took = map(float, load.stdout.readline().split())
        used = sum(broker.cpu_times()[:2]) - before
    return Passed(samples / took, samples / max(used, 1e-3))


def _command(kind: str, folder: Path, cells: int, ports: Sequence[tuple[str, str]], python: str | None) -> list[str]:
    """Return what starts a broker: GNU Radio's under its Python, or ours; or what forwards."""
    addresses = [",".join(both) for both in ports]
    if kind == FORWARD:
        return [sys.executable, str(PEERS / "zmq_forward.py"), *addresses]
    if python is not None:
        return [python, str(PEERS / "gnuradio_broker.py"), kind, *addresses]
    return [sys.executable, "-m", "testbed", "radio", "up", str(_scenario(folder, cells, ports, kind)), "--json"]


def _scenario(folder: Path, cells: int, ports: Sequence[tuple[str, str]], kind: str) -> Path:
    radios = [f"r{n}: {{transmit: '{sends}', receive: '{hears}'}}" for n, (sends, hears) in enumerate(ports)]
    file = folder / "scenario.yaml"
    file.write_text(
        f"rate: 11.52MHz\ngather: 30s\nother: {{{OURS[kind]}}}\ncells: {{{', '.join(radios[:cells])}}}\n"
        f"ues: {{{', '.join(radios[cells:])}}}\n"
    )
    return file


@contextmanager
def _ended(argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
