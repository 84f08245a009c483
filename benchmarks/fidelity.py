"""What links do to packets against what they were told to: delay, loss and rate, in one User-Mode Linux guest.

`python -m benchmarks.fidelity [--json]`. Times are the guest kernel's (STAMP, RFC 8762), losses are counted packets of
a numbered stream, rates are TCP's goodput and the headers that the link carries. Nothing is repeated or left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.claims import Claim
from testbed.emulator.client import Client
from testbed.emulator.messages import (
    LinkChange,
    LinkPatch,
    SetLinks,
    Stamp,
    StampResult,
    StreamResult,
    StreamStart,
    StreamStarted,
    StreamStop,
    Throughput,
    ThroughputResult,
)
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.validate.statistics import arrived, binomial_interval, percentile

DELAYS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
LOSSES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
RATES = (1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6)
DELAY_TARGET, RATE_TARGET = 0.3e-3, 0.03
STAMP_COUNT, REST = 150, 0.02
LOSS_SECONDS, RARE_LOSS_SECONDS, RARE_LOSS, LOSS_INTERVAL = 3.0, 10.0, 0.005, 0.0002
RATE_SECONDS, SLOW_RATE_SECONDS, SLOW_RATE = 8.0, 10.0, 5e6
FRAME, SEGMENT = 1514, 1448  # Ethernet frame of a 1500-byte packet, and what it carries of TCP with timestamps
QUEUE_SECONDS, SHORTEST_QUEUE, LONGEST_QUEUE = 0.2, 50, 2000
SET = "what was set"
NOTHING = LinkPatch(delay=0.0, loss=0.0, rate=None, limit=None)
PEER = Path(__file__).parent / "peers" / "mininet_link.py"
PEER_RATES = (1e6, 10e6, 100e6, 500e6)
PING = ("ping", "-n", "-i", "0.02", "-c", "50", "-W", "2")
IPERF3 = ("iperf3", "--json", "--time", str(round(RATE_SECONDS)), "--client")
ENDS = (("a", "10.0.0.1/30"), ("b", "10.0.0.2/30"))
PATH: dict[str, Any] = {"source": "a", "destination": "10.0.0.2"}

Say = Callable[[str], None]


def topology() -> Topology:
    """Two hosts and one link, and a host in which the peer makes its own."""
    ends = [{"node": node, "interface": "eth1", "addresses": [address]} for node, address in ENDS]
    nodes = {node: {"kind": "host"} for node in ("a", "b", "peer")}
    fields = {"name": f"fidelity-{os.getpid()}", "nodes": nodes, "links": {"a-b": {"endpoints": ends}}}
    return Topology.model_validate(fields)


def run(say: Say = lambda text: None) -> dict[str, Any]:
    """Bring a guest up, measure everything, take it down.

    Args:
        say: called with one line per setting.

    Returns:
        What the table shows: SI units, `ok` for each target, and the load of the machine meanwhile.
    """
    with Lab.up(topology(), substrate="uml") as lab, lab.agent() as agent:
        started, waited = time.monotonic(), cpu_pressure()
        delays = [_said(say, measure_delay(agent, delay)) for delay in DELAYS]
        losses = [_said(say, measure_loss(agent, loss, len(LOSSES))) for loss in LOSSES]
        rates = [_said(say, measure_rate(agent, rate)) for rate in RATES]
        peer = measure_peer(agent)
        seconds = time.monotonic() - started
        contended = None if waited is None else ((cpu_pressure() or waited) - waited) / seconds
        return {
            "substrate": lab.substrate,
            "seconds": seconds,
            "machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "cpu_contended": contended},
            "delay": {"target_s": DELAY_TARGET, "ok": _all_ok(delays), "rows": delays},
            "loss": {"target": "inside the 95 % interval of all rows together", "ok": _all_ok(losses), "rows": losses},
            "rate": {"target": RATE_TARGET, "ok": _all_ok(rates), "rows": rates},
            "peer": peer,
        }


def cpu_pressure() -> float | None:
    """Seconds since boot in which some process waited for a CPU (/proc/pressure/cpu); None where it is not told.

    A guest's timers are as late as the machine lets it wait, so a busy machine explains a missed target.
    """
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except (OSError, IndexError, ValueError):
        return None


def measure() -> list[Claim]:
    """Run it all for the table of all benchmarks; about two minutes. Every row goes to out/fidelity.json."""
    report = run(lambda text: print(text, file=sys.stderr, flush=True))
    Path("out").mkdir(exist_ok=True)
    Path("out/fidelity.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return claims(report)


def claims(report: dict[str, Any]) -> list[Claim]:
    """Sum a report up: the worst row of each kind."""
    delays, losses, rates = (report[part]["rows"] for part in ("delay", "loss", "rate"))
    worst_delay = max(row["error_p95_s"] for row in delays)
    worst_rate = max(abs(row["error"]) for row in rates)
    outside = sum(not row["ok"] for row in losses)
    of = f"of {len(losses)} losses 0–20 %, outside the joint 95 % interval"
    mininet = [
        Claim(f"{what}, both measured alike", row["ours"], row["unit"], row["runs"], "Mininet, TCLink", row["mininet"])
        for what, row in report["peer"].items()
    ]
    return [
        *mininet,
        Claim("delay error at p95, worst of 0.5–300 ms", 1e3 * worst_delay, "ms", len(delays), SET, target=0.3),
        Claim(of, outside, "", len(losses), SET, target=0),
        Claim("rate error, worst of 1–500 Mbit/s", 100 * worst_rate, "%", len(rates), SET, target=3.0),
    ]


def measure_delay(agent: Client, delay: float) -> dict[str, Any]:
    """Set a delay both ways and compare every packet's one-way delays with it."""
    _set(agent, LinkPatch(delay=delay), both=True)
    result = agent.call(Stamp(**PATH, reflector="b", count=STAMP_COUNT, interval=interval_for(delay)))
    assert isinstance(result, StampResult)
    measured = arrived(result.forward) + arrived(result.backward)
    errors = [abs(value - delay) for value in measured]
    return {
        "set_s": delay,
        "measured_p50_s": percentile(measured, 50),
        "error_p50_s": percentile(errors, 50),
        "error_p95_s": percentile(errors, 95),
        "error_max_s": max(errors),
        "n": len(errors),
        "kernel_timestamps": result.kernel_timestamps,
        "ok": percentile(errors, 95) <= DELAY_TARGET and result.received == result.sent,
    }


def interval_for(delay: float) -> float:
    """Choose about 20 ms between packets so that none arrives while the guest's one CPU sends or reflects another.

    Sending happens at phase 0 of an interval; the way there ends at a quarter or three quarters of it, the way back at
    its half. What is measured is then the link, and not the measuring.
    """
    whole = max(0, round(2 * delay / REST - 0.5))
    return 2 * delay / (whole + 0.5) if whole else max(REST, 4 * delay)


def measure_loss(agent: Client, loss: float, rows: int) -> dict[str, Any]:
    """Set a loss one way, count a stream's packets.

    The row's own 95 % interval is reported as it is; one row in twenty misses it by chance, so the verdict uses
    Bonferroni's: all rows of a perfect emulator lie in theirs with 95 % together.
    """
    _set(agent, LinkPatch(loss=loss))
    seconds = RARE_LOSS_SECONDS if loss <= RARE_LOSS else LOSS_SECONDS
    started = agent.call(StreamStart(**PATH, sink="b", interval=LOSS_INTERVAL, size=100))
    assert isinstance(started, StreamStarted)
    time.sleep(seconds)  # how long packets are counted, not a wait for something
    result = agent.call(StreamStop(stream=started.stream))
    assert isinstance(result, StreamResult)
    lost = result.sent - result.received
    low, high = binomial_interval(lost, result.sent)
    widest = binomial_interval(lost, result.sent, 1 - 0.05 / rows)
    return {
        "set": loss,
        "measured": lost / result.sent,
        "low": low,
        "high": high,
        "inside": low <= loss <= high,
        "n": result.sent,
        "ok": widest[0] <= loss <= widest[1],
    }


def measure_rate(agent: Client, rate: float) -> dict[str, Any]:
    """Set a rate one way and fill it with TCP; the queue holds 200 ms, so that it does not run empty."""
    limit = min(LONGEST_QUEUE, max(SHORTEST_QUEUE, round(rate * QUEUE_SECONDS / 8 / FRAME)))
    _set(agent, LinkPatch(rate=rate, limit=limit))
    seconds = SLOW_RATE_SECONDS if rate < SLOW_RATE else RATE_SECONDS
    result = agent.call(Throughput(**PATH, sink="b", seconds=seconds))
    assert isinstance(result, ThroughputResult)
    measured = result.received_rate * FRAME / SEGMENT
    return {
        "set_bit_s": rate,
        "measured_bit_s": measured,
        "goodput_bit_s": result.received_rate,
        "retransmits": result.retransmits,
        "error": measured / rate - 1,
        "ok": abs(measured / rate - 1) <= RATE_TARGET,
    }


def measure_peer(agent: Client) -> dict[str, dict[str, Any]]:
    """Measure our link and Mininet's in the same guest with the same ping and iperf3.

    Returns:
        For each claim `ours` and `mininet` in `unit`: the worst p95 of half the round trip's error over DELAYS, and the
        worst error of PEER_RATES. Empty where Mininet is not installed.
    """
    orders = json.dumps({"delays": DELAYS, "rates": PEER_RATES, "ping": PING, "iperf3": IPERF3})
    done = agent.run("peer", ("/usr/bin/python3", str(PEER), orders), timeout=300.0)
    if done.code:
        print(f"no peer for fidelity: {done.stderr.decode().strip()[-200:]}", file=sys.stderr)
        return {}
    said = json.loads(done.stdout.splitlines()[-1])
    pings, rates = [], []
    for delay in DELAYS:
        _set(agent, LinkPatch(delay=delay), both=True)
        pings.append(agent.run("a", (*PING, "10.0.0.2")).stdout.decode())
    for rate in PEER_RATES:
        rates.append(measure_rate(agent, rate)["measured_bit_s"])
    theirs = [json.loads(text)["end"]["sum_received"]["bits_per_second"] * FRAME / SEGMENT for text in said["iperf3"]]
    delay, rate = 1e3, 100.0
    return {
        "ping's delay error at p95, worst of 0.5–300 ms": {
            "ours": delay * _worst_ping(pings), "mininet": delay * _worst_ping(said["pings"]), "unit": "ms",
            "runs": len(DELAYS),
        },
        "rate error, worst of 1–500 Mbit/s": {
            "ours": rate * _worst_rate(rates), "mininet": rate * _worst_rate(theirs), "unit": "%",
            "runs": len(PEER_RATES),
        },
    }  # fmt: skip


def _worst_ping(outputs: Sequence[str]) -> float:
    """Return the worst 95th percentile of |RTT/2 - delay|, in seconds."""
    times = [[float(ms) / 1e3 for ms in re.findall(r" time=([0-9.]+) ms", text)] for text in outputs]
    return max(percentile([abs(t / 2 - delay) for t in found], 95) for delay, found in zip(DELAYS, times, strict=True))


def _worst_rate(measured: Sequence[float]) -> float:
    return max(abs(found / rate - 1) for found, rate in zip(measured, PEER_RATES, strict=True))


def tables(report: dict[str, Any]) -> list[Table]:
    """Draw a report."""
    delay, loss, rate = (Table(title=title) for title in ("Delay, one way", "Loss", "Rate"))
    _columns(delay, "set ms", "median ms", "error p50 ms", "error p95 ms", "error max ms", "n", "≤ 0.3 ms at p95")
    for row in report["delay"]["rows"]:
        keys = ("set_s", "measured_p50_s", "error_p50_s", "error_p95_s", "error_max_s")
        delay.add_row(*(f"{1e3 * row[key]:.3f}" for key in keys), str(row["n"]), _mark(row["ok"]))
    _columns(loss, "set %", "measured %", "95 % interval", "n", "inside", "inside jointly")
    for row in report["loss"]["rows"]:
        interval = f"{100 * row['low']:.4f} – {100 * row['high']:.4f}"
        marks = _mark(row["inside"]), _mark(row["ok"])
        loss.add_row(f"{100 * row['set']:g}", f"{100 * row['measured']:.4f}", interval, str(row["n"]), *marks)
    _columns(rate, "set Mbit/s", "measured Mbit/s", "error %", "within 3 %")
    for row in report["rate"]["rows"]:
        numbers = f"{row['set_bit_s'] / 1e6:g}", f"{row['measured_bit_s'] / 1e6:.3f}", f"{100 * row['error']:+.2f}"
        rate.add_row(*numbers, _mark(row["ok"]))
    machine = report["machine"]
    contended = "unknown" if machine["cpu_contended"] is None else f"{100 * machine['cpu_contended']:.0f} %"
    rate.caption = (
        f"{machine['cpus']} CPUs, load {machine['load']:.1f}; time in which a process waited for one: {contended}"
    )
    return [delay, loss, rate]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.fidelity", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    chosen = parser.parse_args(arguments)
    report = run(lambda text: print(text, file=sys.stderr, flush=True))
    if chosen.json:
        print(json.dumps(report, indent=1))
    else:
        for table in tables(report):
            Console().print(table)
    return 0 if all(report[part]["ok"] for part in ("delay", "loss", "rate")) else 1


def _set(agent: Client, patch: LinkPatch, both: bool = False) -> None:
    """Give the link this impairment and no other, forward or both ways."""
    changes = [LinkChange(link="a-b", end=0, patch=NOTHING), LinkChange(link="a-b", end=1, patch=NOTHING)]
    changes += [LinkChange(link="a-b", end=0, patch=patch)]
    changes += [LinkChange(link="a-b", end=1, patch=patch)] if both else []
    agent.call(SetLinks(changes=tuple(changes)))


def _said(say: Say, row: dict[str, Any]) -> dict[str, Any]:
    say("  ".join(f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    return row


def _all_ok(rows: Sequence[dict[str, Any]]) -> bool:
    return all(row["ok"] for row in rows)


def _columns(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right")


def _mark(good: bool) -> str:
    return "yes" if good else "NO"


if __name__ == "__main__":
    sys.exit(main())
