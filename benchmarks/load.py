"""How much load one agent sustains before its probes are wrong: packets a second, and flows; beside iperf3 processes.

Two pairs of hosts in one guest, which have nothing in common but the kernel, its one processor and the agent: one
carries the load through netem, packet by packet; STAMP probes measure the other, whose delay is known. A probe's error
is how far its round trip is from that delay, at p90. What is sustained is the last step at which it was at most twice
what it was right before, without load, and at least 95 % of the load was sent and came. iperf3 gets a process at either
end of each flow.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.claims import Claim
from benchmarks.fidelity import cpu_pressure
from benchmarks.sending import ROUNDS, per_cpu_second
from benchmarks.traces import BUSY
from testbed.emulator.client import Client
from testbed.emulator.loading import LoadFlow, ReadLoad, SetLoad
from testbed.emulator.messages import Stamp
from testbed.errors import GuestFailed
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

SIZE = 500
FLOWS = 10
STEPS = (1000, 4000, 16_000, 32_000, 64_000, 128_000)
MANY = (10, 100, 1000, 3000)
PER_FLOW = 2.0
"""Packets a second of each of many flows."""
PEER_STEPS = (1000, 2000, 4000, 8000, 16_000)
PEER_FLOWS = (1, 3, 10, 30)
DELAY = 0.005
PROBES, INTERVAL = 400, 0.005
ENOUGH = 0.95
START_PATIENCE = 60.0  # seconds; a guest starts hundreds of processes slowly
TOPOLOGY = f"""name: load-bench
nodes: {{a: {{kind: host}}, b: {{kind: host}}, p: {{kind: host}}, q: {{kind: host}}}}
links:
  loaded:
    endpoints:
      - {{node: a, interface: eth1, addresses: [10.1.0.1/30]}}
      - {{node: b, interface: eth1, addresses: [10.1.0.2/30]}}
    impairment: {{delay: 1ms, limit: 20000}}
  probed:
    endpoints:
      - {{node: p, interface: eth1, addresses: [10.2.0.1/30]}}
      - {{node: q, interface: eth1, addresses: [10.2.0.2/30]}}
    impairment: {{delay: {DELAY * 1e3:g}ms}}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One load: packets a second that were asked for, sent and received, and the probes' error in seconds."""

    asked: float
    sent: float
    received: float
    error: float


def probe_error(agent: Client) -> float:
    """Return the 90th percentile of how far round trips are from what the link was given, seconds."""
    result = agent.call(Stamp(source="p", destination="10.2.0.2", reflector="q", count=PROBES, interval=INTERVAL))
    wrong = sorted(math.inf if math.isnan(rtt) else abs(rtt - 2 * DELAY) for rtt in result.rtt)  # lost: all wrong
    return wrong[int(0.9 * len(wrong))]


def ours(agent: Client, rate: float, flows: int) -> Step:
    """Send `rate` packets a second in `flows` flows, and probe meanwhile."""
    each = 8 * SIZE * rate / flows
    flow = LoadFlow(source="a", destination="10.1.0.2", sink="b", rate=each, size=SIZE)
    agent.call(SetLoad(flows=(flow,) * flows, measured=True))
    error = probe_error(agent)
    report = agent.call(ReadLoad(stop=True)).flows
    asked, sent, received = (
        sum(getattr(f, name) / f.seconds for f in report) for name in ("asked", "sent", "received")
    )
    return Step(asked, sent, received, error)


@contextmanager
def _peers(lab: Lab, rate: float, flows: int, seconds: float) -> Iterator[list[float]]:
    """iperf3, a server and a client process for each flow; their packets a second come when they have ended."""
    received: list[float] = []

    def pair(number: int) -> None:
        port = str(5300 + number)
        bits = str(round(8 * SIZE * rate / flows))
        argv = ("iperf3", "-c", "10.1.0.2", "-p", port, "-u", "-b", bits, "-l", str(SIZE - 28), "-J")
        with ThreadPoolExecutor(1) as beside, lab.agent() as agent:
            server = beside.submit(_run, lab, "b", ("iperf3", "-s", "-1", "-p", port))
            total = _until_served(agent, (*argv, "-t", f"{seconds:g}"))
            server.result()
        received.append((total["packets"] - total["lost_packets"]) / total["seconds"])

    with ThreadPoolExecutor(flows) as pool:
        running = [pool.submit(pair, number) for number in range(flows)]
        yield received
        for one in running:
            one.result()


def _until_served(agent: Client, argv: tuple[str, ...]) -> dict[str, float]:
    """Start a client again until its server listens."""
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline:
        done = json.loads(agent.run("a", argv, timeout=120.0).stdout or b'{"error": "nothing"}')
        if "error" not in done:
            return done["end"]["sum"]
    raise TimeoutError(f"{' '.join(argv)}: its server did not listen within {START_PATIENCE:g} s")


def _run(lab: Lab, node: str, argv: tuple[str, ...]) -> None:
    with lab.agent() as agent:
        agent.run(node, argv, timeout=120.0)


def theirs(lab: Lab, agent: Client, rate: float, flows: int) -> Step:
    """The same by iperf3 processes, once they have started."""
    lasts = PROBES * INTERVAL + 2.0 + 0.3 * flows
    with _peers(lab, rate, flows, lasts) as received:
        agent.run("p", ("sleep", f"{0.5 + 0.15 * flows:g}"))  # their start is not what is measured
        error = probe_error(agent)
    return Step(rate, sum(received), sum(received), error)


def fine(step: Step, quiet: float) -> bool:
    """Whether the probes' error has not doubled and the load is what was asked."""
    return step.error <= 2 * quiet and min(step.sent, step.received) >= ENOUGH * step.asked


def sustained(agent: Client, run: Callable[[int], Step], sizes: tuple[int, ...]) -> tuple[float, list[float]]:
    """Return the last size before the first that was not fine, 0 without one, and the errors without load."""
    quiet: list[float] = []
    best = 0.0
    for size in sizes:
        quiet.append(probe_error(agent))
        try:
            if not fine(run(size), quiet[-1]):
                break
        except (GuestFailed, TimeoutError):  # so much that the guest's agent, or a server, gets no turn any more
            break
        best = float(size)
    return best, quiet


def measure() -> list[Claim]:
    """Run it all; about two minutes."""
    with Lab.up(loads(TOPOLOGY, Topology), substrate="uml", name="bench") as lab, lab.agent() as agent:
        started, waited = time.monotonic(), cpu_pressure() or 0.0
        packets, quiet = sustained(agent, lambda n: ours(agent, n, FLOWS), STEPS)
        flows, quieter = sustained(agent, lambda n: ours(agent, PER_FLOW * n, n), MANY)
        peer_packets, _ = sustained(agent, lambda n: theirs(lab, agent, n, FLOWS), PEER_STEPS)
        peer_flows, _ = sustained(agent, lambda n: theirs(lab, agent, PER_FLOW * n, n), PEER_FLOWS)
        contended = ((cpu_pressure() or 0.0) - waited) / (time.monotonic() - started)
    errors = [*quiet, *quieter]
    return [
        Claim("probes' error at p90 without load", 1e3 * median(errors), "ms", len(errors), "the same kernel"),
        _claim(f"packets/s in {FLOWS} flows before it doubles", packets, STEPS, peer_packets),
        _claim(f"flows of {PER_FLOW:g} packets/s before it doubles", flows, MANY, peer_flows),
        Claim(BUSY, 100 * contended, "%", 1, "the machine's own"),
        *_sending(),
    ]


def _sending() -> list[Claim]:
    found = per_cpu_second(SIZE - 28)
    what = f"packets/s of {SIZE} bytes per second of processor time, natively: UDP_SEGMENT, 64 a call"
    return [
        Claim(what, found["UDP_SEGMENT"], "", ROUNDS, peer, found[peer], lower_is_better=False)
        for peer in ("sendto", "sendmmsg")
    ]


def _claim(what: str, found: float, sizes: tuple[int, ...], peer: float) -> Claim:
    most = ", the most that was tried" if found == sizes[-1] else ""
    return Claim(what + most, found, "", 1, "iperf3, two processes a flow", peer, lower_is_better=False)
