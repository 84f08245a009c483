"""What any Linux device with a shell can be asked: its clock, /proc, ping and traceroute."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol, runtime_checkable

from adapters.base import Completed, PingResult, TracerouteResult, Transport
from testbed.errors import BadInput, DeviceError


@dataclass(frozen=True, slots=True)
class Traffic:
    """An interface's counters since boot (proc(5), /proc/net/dev)."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_drops: int
    tx_drops: int


NO_TRAFFIC = Traffic(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class System:
    """One reading of a device. `cpu`: jiffies (busy, all) since boot; `memory`: used share; times in Unix seconds."""

    measured: float
    hostname: str
    clock_offset: float
    cpu: tuple[int, int]
    memory: float
    counters: Mapping[str, Traffic]


class CpuMeter:
    """Turns jiffies since boot into the busy share since the last reading."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def busy(self, now: tuple[int, int]) -> float | None:
        """Return 0 to 1, or None at the first reading and when no time has passed."""
        last, self._last = self._last, now
        if last is None or now[1] <= last[1]:
            return None
        return min(1.0, max(0.0, (now[0] - last[0]) / (now[1] - last[1])))


def read_system(transport: Transport) -> System:
    """Read clock, load, memory and counters in one command."""
    transport.run(":")  # so that the time it takes to connect, where that is still to do, is no part of the reading
    start = time.time()
    done = transport.run("date +%s.%N; exec cat /proc/sys/kernel/hostname /proc/stat /proc/meminfo /proc/net/dev")
    measured = (start + time.time()) / 2
    if done.code:
        raise DeviceError(f"{transport.name}: cannot read /proc: {done.out.strip()}")
    clock, hostname = done.out.split("\n", 2)[:2]
    try:
        return System(
            measured, hostname, float(clock) - measured, _cpu(done.out), _memory(done.out), _traffic(done.out)
        )
    except (ValueError, KeyError, IndexError) as error:
        raise DeviceError(f"{transport.name}: what it says of itself cannot be read: {error}") from None


@runtime_checkable
class ReadsFiles(Protocol):
    """A transport that reads files without starting a program each time, which is what costs most on small devices."""

    def read_file(self, path: str) -> Completed: ...


def read_counters(transport: Transport) -> tuple[float, Mapping[str, Traffic]]:
    """Read interface counters; returns when (the middle of the reading) and what."""
    start = time.time()
    if isinstance(transport, ReadsFiles):
        done = transport.read_file("/proc/net/dev")
    else:
        done = transport.run("exec cat /proc/net/dev")
    measured = (start + time.time()) / 2
    if done.code:
        raise DeviceError(f"{transport.name}: cannot read /proc/net/dev: {done.out.strip()}")
    return measured, _traffic(done.out)


def _cpu(text: str) -> tuple[int, int]:
    fields = [int(word) for word in next(line for line in text.splitlines() if line.startswith("cpu ")).split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def _memory(text: str) -> float:
    sizes = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", text, re.MULTILINE))
    return 1.0 - int(sizes["MemAvailable"]) / int(sizes["MemTotal"])


def _traffic(text: str) -> dict[str, Traffic]:
    found = {}
    for name, rest in re.findall(r"^\s*(\S+):((?:\s+\d+){16})\s*$", text, re.MULTILINE):
        n = [int(word) for word in rest.split()]
        found[name] = Traffic(n[0], n[8], n[1], n[9], n[3], n[11])
    return found


SLOW_ECHO = 0.03
"""Seconds that an echo may take a busy device's processor; ping waits its interval after each, and never catches up."""


def ping(
    transport: Transport, destination: str, source: str | None, *, count: int, interval: float, dscp: int
) -> PingResult:
    """ICMP echo by the device's own ping (iputils).

    Args:
        interval: seconds between packets; below 0.002 needs root on the device. dscp: 0 to 63.

    Raises:
        DeviceError: ping could not run; packets that stay away are a result, not an error.
    """
    words = ["ping", "-n", "-c", str(count), "-i", f"{interval:g}", "-W", "1", "-Q", str(dscp << 2)]
    words += ["-I", _address(source)] if source else []
    patience = 10 + count * (interval + SLOW_ECHO)
    done = transport.run("exec " + shlex.join([*words, _address(destination)]), timeout=patience)
    return read_ping(transport.name, done, count)


def read_ping(device: str, done: Completed, count: int) -> PingResult:
    """Understand iputils' ping.

    A device without a route says so at once and sends nothing: that is the network's answer, all `count` are lost.
    Whatever else keeps ping from running is an error.
    """
    if "Network is unreachable" in done.out and "packets transmitted" not in done.out:
        return PingResult(count, 0, (), (done.out.strip(),))
    summary = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", done.out)
    if summary is None:
        raise DeviceError(f"{device}: ping failed: {done.out.strip()[-300:]}")
    lines = done.out.splitlines()
    replies = [line for line in lines if "bytes from" in line and "DUP!" not in line]
    rtt = tuple(float(found[1]) / 1e3 for line in replies if (found := re.search(r"time[=<]([\d.]+) ms", line)))
    proof = (*(line for line in lines if "icmp_seq" in line and "bytes from" not in line), *replies[:3], summary[0])
    return PingResult(int(summary[1]), int(summary[2]), rtt, tuple(proof))


def traceroute(transport: Transport, destination: str, source: str | None) -> TracerouteResult:
    """Traceroute by the device's own, one query a hop, all hops at once.

    ICMP echo, because Linux limits the rate of the port-unreachables that UDP probes would need (icmp(7)).
    """
    words = ["traceroute", "-I", "-n", "-q", "1", "-w", "1", "-m", "16", "-N", "16"]
    words += ["-s", _address(source)] if source else []
    done = transport.run("exec " + shlex.join([*words, _address(destination)]), timeout=25)
    if done.code:
        raise DeviceError(f"{transport.name}: traceroute failed: {done.out.strip()[-300:]}")
    return read_traceroute(done.out, destination)


def read_traceroute(text: str, destination: str) -> TracerouteResult:
    """Understand traceroute's numbered lines."""
    hops = tuple(None if hop == "*" else hop for hop in re.findall(r"^\s*\d+\s+(\S+)", text, re.MULTILINE))
    reached = destination in hops
    if reached:
        hops = hops[: hops.index(destination) + 1]
    return TracerouteResult(hops, reached, tuple(line.strip() for line in text.splitlines()))


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadInput(f"{text!r} is not an IP address") from None
