"""How late a trace's settings are: 200 links, 10 changes a second each, in a guest; beside `tc` started for each.

The changes fall due at moments of their own, or all at the same, the worst that a batch can be. Lateness is the
agent's own: from the time a setting was due, on the guest's clock, until the kernel had answered. Each figure is the
median of the runs; a guest is as late as its machine lets it wait for a CPU, so that share is told, too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.bring_up import ring
from benchmarks.claims import Claim
from benchmarks.fidelity import cpu_pressure
from testbed.emulator.client import Client
from testbed.emulator.patch import LinkPatch
from testbed.emulator.playing import Play, PlayStatus, Track, lateness
from testbed.lab import Lab

PEERS = Path(__file__).parent / "peers"
LINKS, PER_SECOND, SECONDS, RUNS = 200, 10, 20.0, 3
LEAD = 1.0
"""Seconds between asking and the first setting: what is asked for is then laid out."""
TARGET = 5.0
BUSY = "time in which a process of this machine waited for a CPU meanwhile"
FORKED_LINKS = (1, 2, LINKS)


def tracks(offset: Callable[[int], float]) -> tuple[Track, ...]:
    """Return traces that change their delay ten times a second, each `offset(link)` seconds after the first."""
    count = round(SECONDS * PER_SECOND)
    patches = tuple(LinkPatch(delay=0.001 + number % 50 / 1e3) for number in range(count))
    return tuple(
        Track(link=f"l{n}", times=tuple(offset(n) + k / PER_SECOND for k in range(count)), patches=patches)
        for n in range(LINKS)
    )


def play(agent: Client, offset: Callable[[int], float]) -> dict[str, float]:
    """Play traces to their end; return how late settings were, in seconds, and how many were made."""
    before = agent.call(PlayStatus())
    agent.call(Play(tracks=tracks(offset), delay=LEAD))
    time.sleep(LEAD + SECONDS)  # how long it plays, not a wait for something
    while (state := agent.call(PlayStatus())).playing:
        time.sleep(0.1)
    late = {key: count - before.late.get(key, 0) for key, count in state.late.items()}
    return {**lateness({key: count for key, count in late.items() if count}), "made": state.applied - before.applied}


WAYS: dict[str, Callable[[int], float]] = {
    "each due at its own moment": lambda link: link / LINKS / PER_SECOND,
    "all due together": lambda link: 0.0,
}


def measure() -> list[Claim]:
    """Run it all; about three minutes."""
    with Lab.up(ring(LINKS, 0.005), substrate="uml", name="bench") as lab, lab.agent() as agent:
        started, waited = time.monotonic(), cpu_pressure() or 0.0
        ours = {name: _median([play(agent, offset) for _ in range(RUNS)]) for name, offset in WAYS.items()}
        contended = ((cpu_pressure() or 0.0) - waited) / (time.monotonic() - started)
        forked = {links: _peer(agent, "forked_trace.py", links) for links in FORKED_LINKS}
        raw = _peer(agent, "raw_trace.py", LINKS)
    return [
        *_ours(ours, forked[LINKS]),
        *_others(forked, raw),
        Claim(BUSY, 100 * contended, "%", 1, "the machine's own"),
    ]


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    expected = LINKS * PER_SECOND * SECONDS
    if any(run["made"] != expected for run in runs):
        raise RuntimeError(f"{[run['made'] for run in runs]} settings made; expected {expected:g} in each run")
    return {rank: median(run[rank] for run in runs) for rank in runs[0]}


def _ours(ours: dict[str, dict[str, float]], forked: dict[str, float]) -> Iterator[Claim]:
    peer = f"a tc process each, {forked['made']:g} of {LINKS * PER_SECOND * SECONDS:g} made"
    for name, found in ours.items():
        for rank, target in (("p50", None), ("p99", TARGET), ("max", None)):
            what = f"{LINKS} links {PER_SECOND} times/s, {name}: late at {rank}"
            yield Claim(what, 1e3 * found[rank], "ms", RUNS, peer, 1e3 * forked[rank], target)


def _others(forked: dict[int, dict[str, float]], raw: dict[str, float]) -> Iterator[Claim]:
    kept_up = [links for links in FORKED_LINKS if forked[links]["p50"] < 1 / PER_SECOND]
    most = f"it keeps up with {max(kept_up, default=0)} link(s)"
    yield Claim(f"a tc process each, 1 link {PER_SECOND} times/s: late at p99", 1e3 * forked[1]["p99"], "ms", 1, most)
    limit = "the limit: one send of messages encoded beforehand"
    for rank in ("p50", "p99"):
        yield Claim(f"raw netlink, {LINKS} links, all due together: late at {rank}", 1e3 * raw[rank], "ms", 1, limit)


def _peer(agent: Client, script: str, links: int) -> dict[str, float]:
    arguments = (str(links), str(PER_SECOND), str(SECONDS))
    done = agent.run("h0", (sys.executable, str(PEERS / script), *arguments), timeout=120.0)
    if done.code:
        raise RuntimeError(f"{script} failed: {done}")
    return json.loads(done.stdout.decode().strip().splitlines()[-1])
