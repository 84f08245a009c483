"""A verdict with everything in it, for the tests of the reports."""

from __future__ import annotations

from ipaddress import ip_interface

from testbed.model import change as asked
from testbed.model.impairment import Impairment
from testbed.model.topology import Endpoint, Link, Node, Router, Topology
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, StaticFinding, Verdict

OPEN = "still open after measuring: the bound lies inside the confidence interval of after-1"
FORESEEN = "expectation 1 (path) is predicted not to hold: r1 > r4 > r3 does not pass r2"
PHASES = ("before-1", "before-2", "after-1", "after-2")


def square() -> Topology:
    """Four routers in a square, one side a slow microwave hop."""
    nodes: dict[str, Node] = {
        n: Router(kind="router", loopbacks=(ip_interface(f"10.255.0.{i}/32"),))
        for i, n in enumerate(("r1", "r2", "r3", "r4"), 1)
    }
    wires = (
        ("r1", "r2", 0.001, "fibre 200 km"),
        ("r2", "r3", 0.001, None),
        ("r3", "r4", 0.001, None),
        ("r4", "r1", 0.006, "microwave"),
    )
    links = {}
    for number, (one, other, delay, medium) in enumerate(wires, 1):
        ends = tuple(
            Endpoint(node=node, interface=f"eth{port}", addresses=(ip_interface(f"10.0.{number}.{host}/30"),))
            for host, (node, port) in enumerate(((one, 1), (other, 2)), 1)
        )
        one_way = Impairment(delay=delay)
        links[f"{one}-{other}"] = Link(endpoints=ends, forward=one_way, backward=one_way, medium=medium)  # type: ignore[arg-type]
    return Topology(name="square", nodes=nodes, links=links)


def _rounds(values: tuple[float, ...], half: float, holds: tuple[bool, ...], spread: int = 0) -> tuple[Measured, ...]:
    samples = [tuple(v * (0.94 + 0.1 * ((7 * i) % 100 / 100) ** 2) for i in range(spread)) for v in values]
    return tuple(
        Measured(
            phase=p,
            holds=h,
            value=v,
            low=max(0.0, v - half),
            high=v + half,
            samples=s,
            proof=(f"{v} seen", "path r1 > r2 > r3"),
        )
        for p, v, h, s in zip(PHASES, values, holds, samples, strict=True)
    )


def verdict(outcome: Outcome = Outcome.FAILED) -> Verdict:
    """Return a verdict over every kind of expectation."""
    change = asked.Change(
        name="prefer-the-microwave",
        description="Lower the cost of r1's microwave hop",
        steps=(
            asked.InterfaceStep(device="r1", interface="eth2", cost=5),
            asked.ConfigurationStep(device="r4", configuration="interface eth1\n ip ospf cost 5\n"),
        ),
        expect=(
            asked.PathIs(kind="path", source="r1", destination="r3", via=("r2",), avoid_links=("r4-r1",)),
            asked.RoundTrip(kind="rtt", source="r1", destination="r3", percentile=95, below=0.008),
            asked.Loss(kind="loss", source="r1", destination="r3", below=0.01),
            asked.Throughput(kind="throughput", source="r1", destination="r3", above=50e6),
            asked.ConvergenceGap(kind="convergence", source="r1", destination="r3", below=0.2),
            asked.Adjacency(kind="adjacency", device="r1", neighbour="r4"),
            asked.Reachable(kind="reachable", source="r2", destination="r4"),
            asked.NothingElse(kind="nothing-else-changed", except_prefixes=("10.255.0.3/32",)),
        ),
    )
    yes, no = (True,) * 4, (True, True, False, False)
    paths = ("r1 > r2 > r3",) * 2 + ("r1 > r4 > r3",) * 2
    by_path = tuple(
        Measured(phase=p, holds=h, proof=(text, "hop 1: r2 (10.0.1.2) 2.1 ms"))
        for p, h, text in zip(PHASES, no, paths, strict=True)
    )
    measured = (
        (by_path, Outcome.FAILED, "does not hold"),
        (_rounds((0.0042, 0.0043, 0.0144, 0.0145), 0.0002, no, 100), Outcome.FAILED, "does not hold"),
        (
            _rounds((0.0, 0.001, 0.009, 0.0085), 0.004, yes),
            Outcome.INCONCLUSIVE,
            OPEN,
        ),
        (_rounds((94e6, 93e6, 94.2e6, 93.8e6), 2e6, yes), Outcome.PASSED, "holds"),
        (_rounds((0.0, 0.0, 0.031, 0.035), 0.005, yes)[2:], Outcome.PASSED, "holds"),
        (
            tuple(Measured(phase=p, holds=True, proof=("r1: r4 as 10.255.0.4 is Full/-",)) for p in PHASES),
            Outcome.PASSED,
            "holds",
        ),
        (_rounds((1.0,) * 4, 0.0, yes), Outcome.PASSED, "holds"),
        (
            tuple(Measured(phase=p, holds=True, value=0.0, proof=("0 of 40 routes changed",)) for p in PHASES[1:]),
            Outcome.PASSED,
            "holds",
        ),
    )
    findings = tuple(
        Finding(expectation=e, outcome=o, reason=why, measured=m)
        for e, (m, o, why) in zip(change.expect, measured, strict=True)
    )
    diff = "--- r1\n+++ r1\n@@ -3,3 +3,3 @@\n interface eth2\n- ip ospf cost 40\n+ ip ospf cost 5\n exit\n"
    ways = {
        "before": {"nodes": ["r1", "r2", "r3"], "links": ["r1-r2", "r2-r3"], "reached": True},
        "after": {"nodes": ["r1", "r4", "r3"], "links": ["r4-r1", "r3-r4"], "reached": True},
    }
    return Verdict(
        change=change,
        outcome=outcome,
        reason="expectation 1 (path) does not hold (and 1 more)",
        static=(
            StaticFinding(
                check="prediction",
                outcome=Outcome.INCONCLUSIVE,
                message=FORESEEN,
            ),
        ),
        findings=findings,
        devices=(
            DeviceChange(
                device="r1",
                adapter="frr",
                lines="interface eth2\n ip ospf cost 5\nexit\n",
                rollback="interface eth2\n ip ospf cost 40\nexit\n",
                diff=diff,
                before_hash="ab" * 32,
                after_hash="cd" * 32,
            ),
        ),
        forecast={"1": 0.01445},
        state_hash="ef" * 32,
        started=1_790_000_000.0,
        finished=1_790_000_031.4,
        environment={
            "substrate": "uml",
            "kernel": "6.1.0",
            "routers": 4,
            "links": 4,
            "rollback_proven": True,
            "obstacles": [],
            "timings_s": {"fork": 8.123, "before-1": 2.4},
            "paths": [{"source": "r1", "destination": "10.255.0.3", "expectations": [0, 1], **ways}],
        },
    )
