"""Load: many paced flows from one thread, to sinks that count what comes, or whose kernel throws it away."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping

from testbed.emulator.context import Context
from testbed.emulator.loading import FlowReport, LoadFlow, LoadReport, ReadLoad, SetLoad
from testbed.emulator.messages import Ok
from testbed.emulator.parts import (
    ArrivedFlow,
    Closed,
    Greeted,
    LoadBegin,
    LoadCount,
    LoadCounts,
    LoadGreet,
    LoadSend,
    LoadSinks,
    LoadSource,
    Ports,
    SentFlow,
)
from testbed.emulator.probes.base import Ask, check_range, shared
from testbed.emulator.probes.load_receive import Reader, Sinks
from testbed.emulator.probes.load_send import Load
from testbed.errors import BadInput

MOST_FLOWS = 65_535
SMALLEST, LARGEST = 64, 9000
_ON_ITS_WAY = 2.0
"""Seconds without an arrival after which what has not come is lost."""
_SETTLED = 0.25
_LOOK_AGAIN = 0.05
_GREET_AGAIN = 0.2
_NOTHING = ArrivedFlow(received=0, received_octets=0, highest=-1, quiet=float("inf"))

LoadPart = LoadSinks | LoadSend | LoadGreet | LoadBegin | LoadCount


def handle(
    request: SetLoad | ReadLoad | LoadPart, context: Context
) -> Ok | LoadReport | Ports | Closed | Greeted | LoadCounts:
    """Replace the load of one kind, or tell what became of it; when a flow is refused the old load goes on unchanged.

    Raises:
        BadInput: an unknown node, an address that is not the sink's, a number out of range.
    """
    if isinstance(request, SetLoad):
        return carry_out(request, lambda node: 1, {1: lambda part: handle(part, context)})
    if isinstance(request, ReadLoad):
        return read(request, {1: lambda part: handle(part, context)})
    if isinstance(request, LoadCount):
        return _count(request, context)
    measured = isinstance(request, LoadGreet) or request.measured
    kind = "measured" if measured else ""
    if isinstance(request, LoadSinks):
        sinks: Sinks = shared(context, f"LoadSinks{kind}", lambda: Sinks(Reader() if measured else None))
        return Ports(ports=sinks.open(request, context))
    load: Load = shared(context, f"LoadSend{kind}", Load)
    if isinstance(request, LoadGreet):
        return Greeted(flows=load.greet())
    if isinstance(request, LoadSend):
        load.open(request, context)
    else:
        load.begin()
    return Closed()


def _count(request: LoadCount, context: Context) -> LoadCounts:
    with context.lock:
        load: Load | None = context.shared.get("LoadSendmeasured")
        sinks: Sinks | None = context.shared.get("LoadSinksmeasured")
    if load is not None and request.stop:
        load.stop()
    sent = load.report() if load is not None else {}
    arrived, unread = sinks.report() if sinks is not None else ({}, 0)
    greeted = sinks.greeted() if sinks is not None else frozenset()
    return LoadCounts(sent=sent, arrived=arrived, unread=unread, greeted=greeted)


def carry_out(request: SetLoad, guest_of: Callable[[str], int], asks: Mapping[int, Ask]) -> Ok:
    """Replace the load of a whole lab.

    Args:
        guest_of: the number of a node's guest. asks: each guest's number to who is asked there.

    Raises:
        As `handle`.
    """
    check_range("flows", len(request.flows), 0, MOST_FLOWS)
    for flow in request.flows:
        _check(flow, request.measured)
    run = int.from_bytes(os.urandom(2), "big")
    sources = [guest_of(flow.source) for flow in request.flows]
    ends = dict.fromkeys((flow.sink, flow.destination, flow.protocol) for flow in request.flows)
    ports: dict[tuple[str, str, str], int] = {}
    for guest, ask in asks.items():
        own = tuple(end for end in ends if guest_of(end[0]) == guest)
        opened = ask(LoadSinks(ends=own, measured=request.measured, run=run))
        ports |= dict(zip(own, opened.ports, strict=True))
    for guest, ask in asks.items():
        flows = tuple(
            LoadSource(number=number, port=ports[flow.sink, flow.destination, flow.protocol], flow=flow)
            for number, (flow, source) in enumerate(zip(request.flows, sources, strict=True))
            if source == guest
        )
        ask(LoadSend(flows=flows, measured=request.measured, run=run))
    if request.measured:
        _greet(asks)
    for ask in asks.values():
        ask(LoadBegin(measured=request.measured))
    return Ok()


def _greet(asks: Mapping[int, Ask]) -> None:
    """Wait until a packet has come by each way; those that carry nothing are given up after a while.

    A kernel that looks for its neighbour, which takes a round trip, keeps some hundred packets for it and drops the
    others (arp(7), unres_qlen_bytes): a load that began with that would lose what the network would have carried.
    """
    deadline, pause = time.monotonic() + _ON_ITS_WAY, 0.005
    while time.monotonic() < deadline:
        greeted = {number for ask in asks.values() for number in ask(LoadGreet()).flows}
        if greeted <= _ask(LoadCount(), asks).greeted:
            return
        time.sleep(pause)  # between looks, and before greetings that a network may have lost are sent again
        pause = min(2 * pause, _GREET_AGAIN)


def read(request: ReadLoad, asks: Mapping[int, Ask]) -> LoadReport:
    """Tell what became of the measured load of a whole lab; once it has stopped, when no more packets come."""
    counts = _ask(LoadCount(stop=request.stop), asks)
    deadline = time.monotonic() + _ON_ITS_WAY
    while request.stop and not _settled(counts) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)  # between looks: packets that a network loses never tell
        counts = _ask(LoadCount(), asks)
    flows = tuple(
        told(sent, counts.arrived.get(number, _NOTHING), request.stop) for number, sent in sorted(counts.sent.items())
    )
    running = any(not flow.ended for flow in flows)
    return LoadReport(flows=flows, time=time.time(), running=running, unread=counts.unread)


def _ask(request: LoadCount, asks: Mapping[int, Ask]) -> LoadCounts:
    answers: list[LoadCounts] = [ask(request) for ask in asks.values()]
    return LoadCounts(
        sent={number: sent for answer in answers for number, sent in answer.sent.items()},
        arrived={number: seen for answer in answers for number, seen in answer.arrived.items()},
        unread=sum(answer.unread for answer in answers),
        greeted=frozenset().union(*(answer.greeted for answer in answers)),
    )


def _settled(counts: LoadCounts) -> bool:
    """Whether of each flow all has come, or nothing for a while."""
    seen = ((sent, counts.arrived.get(number, _NOTHING)) for number, sent in counts.sent.items())
    return all(arrived.received >= sent.sent or _SETTLED < arrived.quiet < float("inf") for sent, arrived in seen)


def told(sent: SentFlow, arrived: ArrivedFlow, stopped: bool) -> FlowReport:
    """Put the halves of a flow's report together."""
    tcp = sent.flow.protocol == "tcp"
    final = stopped or arrived.quiet > _ON_ITS_WAY
    on_its_way = 0 if final else max(0, sent.sent - arrived.highest - 1)
    return FlowReport(
        flow=sent.flow,
        seconds=sent.seconds,
        ended=sent.ended,
        asked=sent.asked,
        skipped=sent.skipped,
        refused=sent.refused,
        sent=sent.sent,
        sent_octets=sent.sent_octets,
        received=arrived.received,
        received_octets=arrived.received_octets,
        lost=sent.retransmitted if tcp else max(0, sent.sent - on_its_way - arrived.received),
        reordered=arrived.reordered,
        duplicated=arrived.duplicated,
        delays=sent.rtts if tcp else arrived.delays,
        jitter=sent.jitter if tcp else arrived.jitter,
    )


def explain(flow: FlowReport) -> list[str]:
    """Say what of a flow was not sent, and why; nothing when all was."""
    refused = {reason: count for reason, count in flow.refused.items() if count}
    lines = [f"{flow.skipped} packets skipped: the agent could not keep up"] if flow.skipped else []
    for reason, count in refused.items():
        full = flow.flow.protocol == "tcp" and reason == errno.EAGAIN
        why = "the connection takes no more" if full else os.strerror(reason)
        lines.append(f"{count} packets not sent: {why}")
    return lines


def _check(flow: LoadFlow, measured: bool) -> None:
    what = f"flow {flow.name}: " if flow.name else ""
    for size in (size for size, _ in flow.mix or ((flow.size, 1.0),)):
        check_range(f"{what}size", size, SMALLEST, LARGEST)
    for _, weight in flow.mix:
        check_range(f"{what}weight", weight, 1e-9, 1e9)
    check_range(f"{what}rate", flow.rate, 1, 1e11)
    check_range(f"{what}dscp", flow.dscp, 0, 63)
    check_range(f"{what}start", flow.start, 0, 1e8)
    for name in ("on", "off", "duration"):
        check_range(f"{what}{name}", getattr(flow, name) or 1.0, 1e-3, 1e8)
    if flow.protocol == "tcp" and not measured:
        raise BadInput(f"{what}background load is UDP; TCP needs somebody who reads it (measured)")
