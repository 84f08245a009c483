"""The controller, one process for all switches of a lab, on os-ken's native threads.

`python -m testbed.control.app ADDRESS` listens there for switches. It is told the network over a socket and writes all
flows ahead of traffic (OpenFlow 1.3). A port that goes dark is first the switch's own affair (its groups know); then
the paths are worked out anew without that link.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from os_ken.base import app_manager
from os_ken.controller import ofp_event as _ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.ofproto import ofproto_v1_3

from testbed.control import messages
from testbed.control.messages import (
    Count,
    Counted,
    FlowCount,
    Install,
    Installed,
    Network,
    Policy,
    PortCount,
    Read,
    Rule,
    SwitchRules,
    WasRead,
)
from testbed.control.paths import forwarding
from testbed.control.rules import PATHS, Group, Marking, Rules, Target, rules
from testbed.control.serve import serve
from testbed.errors import BadInput

ofp_event: Any = _ofp_event  # its classes are made when it is imported
_KINDS = {"all": "OFPGT_ALL", "select": "OFPGT_SELECT", "failover": "OFPGT_FF"}


@dataclass(slots=True)
class Switch:
    """A connected switch and what has been written into it."""

    name: str
    datapath: Any
    rules: Rules = field(default_factory=Rules)


@dataclass(slots=True)
class Waiting:
    """Answers that are outstanding: of which switches, what came so far."""

    open: set[tuple[int, int]] = field(default_factory=set)
    parts: list[Any] = field(default_factory=list)


class Controller(app_manager.OSKenApp):
    """Keeps all switches as the network and the policy want them. Its state is guarded by one lock."""

    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]  # noqa: RUF012

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changed = threading.Condition()
        self._switches: dict[int, Switch] = {}
        self._network, self._policy = Network(switches={}), Policy()
        self._dark: dict[int, set[int]] = {}
        self._waiting = Waiting()
        self._numbers: dict[str, int] = {}
        self.threads.append(hub.spawn(self._serve))

    # --- switches ---

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def _on_connected(self, event: Any) -> None:
        datapath = event.msg.datapath
        datapath.send_msg(datapath.ofproto_parser.OFPPortDescStatsRequest(datapath, 0))

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def _on_ports(self, event: Any) -> None:
        datapath = event.msg.datapath
        with self._changed:
            dark = self._dark.setdefault(datapath.id, set())
            dark.clear()
            dark |= {port.port_no for port in event.msg.body if _is_dark(port, datapath.ofproto)}
            _empty(datapath)
            self._switches[datapath.id] = Switch("", datapath)
            self._write()
            self._changed.notify_all()

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def _on_gone(self, event: Any) -> None:
        with self._changed:
            known = self._switches.get(event.datapath.id)
            if known is not None and known.datapath is event.datapath:
                del self._switches[event.datapath.id]
                self._waiting.open = {one for one in self._waiting.open if one[0] != event.datapath.id}
                self._changed.notify_all()

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def _on_port(self, event: Any) -> None:
        datapath, port = event.msg.datapath, event.msg.desc
        with self._changed:
            dark = self._dark.setdefault(datapath.id, set())
            before = set(dark)
            (dark.add if _is_dark(port, datapath.ofproto) else dark.discard)(port.port_no)
            if dark != before:
                self._write()

    def _dark_links(self) -> frozenset[str]:
        return frozenset(
            cable.link
            for cable in self._network.cables
            for end, port in zip(cable.ends, cable.ports, strict=True)
            if port in self._dark.get(self._network.switches.get(end, 0), ())
        )

    def _write(self) -> None:
        """Write into every connected switch what it lacks."""
        wanted = forwarding(self._network, self._policy, self._dark_links())
        for segment in sorted({*self._network.switches, *(station.segment for station in self._network.stations)}):
            self._numbers.setdefault(segment, len(self._numbers))  # for good: a group never leads elsewhere
        for name, number in self._network.switches.items():
            switch = self._switches.get(number)
            if switch is not None:
                after = rules(wanted[name], self._numbers, self._network.slices)
                _change(switch.datapath, switch.rules, after)
                switch.name, switch.rules = name, after

    # --- the agent ---

    def _serve(self) -> None:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(f"{messages.SOCKET}.part")
        listening.listen()
        os.rename(f"{messages.SOCKET}.part", messages.SOCKET)
        while True:
            client, _ = listening.accept()
            with client:
                while (request := messages.receive(client)) is not None:
                    messages.send(client, self._answer(request))

    def _answer(self, request: Any) -> Installed | Counted | WasRead:
        if isinstance(request, Read):
            return self._read(request)
        return self._install(request) if isinstance(request, Install) else self._count(request)

    def _install(self, request: Install) -> Installed:
        started = time.monotonic()
        try:
            forwarding(request.network, request.policy)
        except BadInput as error:
            return Installed(refused=str(error))
        if request.only_check:
            return Installed()
        with self._changed:
            self._network, self._policy = request.network, request.policy
            self._write()
            all_here = self._changed.wait_for(
                lambda: set(self._network.switches.values()) <= set(self._switches), request.deadline
            )
            if all_here:
                self._ask(lambda datapath, parser: [parser.OFPBarrierRequest(datapath)])
                self._changed.wait_for(lambda: not self._waiting.open, request.deadline)
            missing = self._missing()
        return Installed(missing=missing, seconds=time.monotonic() - started)

    def _missing(self) -> tuple[str, ...]:
        silent = {number for number, _ in self._waiting.open}
        return tuple(
            name for name, number in self._network.switches.items() if number not in self._switches or number in silent
        )

    def _count(self, request: Count) -> Counted:
        with self._changed:
            self._ask(lambda datapath, parser: [
                parser.OFPPortStatsRequest(datapath, 0, datapath.ofproto.OFPP_ANY), parser.OFPFlowStatsRequest(datapath)
            ])  # fmt: skip
            self._changed.wait_for(lambda: not self._waiting.open, request.deadline)
            parts, silent = list(self._waiting.parts), self._missing()
            names = {switch.datapath.id: switch.name for switch in self._switches.values()}
        ports = [_port(names[number], one) for number, one in parts if hasattr(one, "port_no")]
        flows = [_flow(names[number], one) for number, one in parts if hasattr(one, "priority")]
        return Counted(time=time.time(), ports=tuple(ports), flows=tuple(flows), silent=silent)

    def _read(self, request: Read) -> WasRead:
        with self._changed:
            self._ask(lambda datapath, parser: [
                parser.OFPFlowStatsRequest(datapath), parser.OFPGroupDescStatsRequest(datapath)
            ])  # fmt: skip
            self._changed.wait_for(lambda: not self._waiting.open, request.deadline)
            parts, silent = list(self._waiting.parts), self._missing()
            here = {switch.datapath.id: switch for switch in self._switches.values()}
            dark = {number: tuple(sorted(ports)) for number, ports in self._dark.items()}
        return WasRead(switches=tuple(_written(it, parts, dark.get(n, ())) for n, it in here.items()), silent=silent)

    def _ask(self, requests: Any) -> None:
        """Send requests to all switches and note what is outstanding."""
        self._waiting = Waiting()
        for switch in self._switches.values():
            for request in requests(switch.datapath, switch.datapath.ofproto_parser):
                switch.datapath.set_xid(request)
                self._waiting.open.add((switch.datapath.id, request.xid))
                switch.datapath.send_msg(request)

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def _on_barrier(self, event: Any) -> None:
        self._answered(event.msg, ())

    @set_ev_cls(
        [ofp_event.EventOFPPortStatsReply, ofp_event.EventOFPFlowStatsReply, ofp_event.EventOFPGroupDescStatsReply],
        MAIN_DISPATCHER,
    )
    def _on_told(self, event: Any) -> None:
        self._answered(event.msg, event.msg.body, more=bool(event.msg.flags & 1))  # OFPMPF_REPLY_MORE

    def _answered(self, message: Any, parts: Iterable[Any], more: bool = False) -> None:
        with self._changed:
            key = message.datapath.id, message.xid
            if key in self._waiting.open:
                self._waiting.parts += [(message.datapath.id, part) for part in parts]
                if not more:
                    self._waiting.open.discard(key)
                    self._changed.notify_all()


def _is_dark(port: Any, ofproto: Any) -> bool:
    return bool(port.state & ofproto.OFPPS_LINK_DOWN or port.config & ofproto.OFPPC_PORT_DOWN)


# --- OpenFlow ---


def _empty(datapath: Any) -> None:
    """Take out all that a switch has."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    any_of = {"out_port": ofproto.OFPP_ANY, "out_group": ofproto.OFPG_ANY}
    datapath.send_msg(parser.OFPFlowMod(datapath, command=ofproto.OFPFC_DELETE, table_id=ofproto.OFPTT_ALL, **any_of))
    datapath.send_msg(parser.OFPGroupMod(datapath, ofproto.OFPGC_DELETE, ofproto.OFPGT_ALL, ofproto.OFPG_ALL))
    datapath.send_msg(parser.OFPMeterMod(datapath, ofproto.OFPMC_DELETE, meter_id=ofproto.OFPM_ALL))


def _change(datapath: Any, before: Rules, after: Rules) -> None:
    """Turn rules into others without a moment in which neither holds: groups, flows, then what is not needed."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    for number, rate in after.meters.items():
        if before.meters.get(number) != rate:
            datapath.send_msg(_meter(datapath, number, rate, known=number in before.meters))
    for number, group in after.groups.items():
        if before.groups.get(number) != group:
            command = ofproto.OFPGC_MODIFY if number in before.groups else ofproto.OFPGC_ADD
            kind = getattr(ofproto, _KINDS[group.kind])
            datapath.send_msg(parser.OFPGroupMod(datapath, command, kind, number, _buckets(datapath, group)))
    for (table, priority, match), target in after.flows.items():
        if before.flows.get((table, priority, match)) != target:
            does, fields = _instructions(datapath, target), parser.OFPMatch(**dict(match))
            flow = parser.OFPFlowMod(datapath, table_id=table, priority=priority, match=fields, instructions=does)
            datapath.send_msg(flow)
    for table, priority, match in before.flows.keys() - after.flows.keys():
        any_of = {"out_port": ofproto.OFPP_ANY, "out_group": ofproto.OFPG_ANY}
        delete = {"command": ofproto.OFPFC_DELETE_STRICT, "match": parser.OFPMatch(**dict(match)), **any_of}
        datapath.send_msg(parser.OFPFlowMod(datapath, table_id=table, priority=priority, **delete))
    for number in before.groups.keys() - after.groups.keys():
        datapath.send_msg(parser.OFPGroupMod(datapath, ofproto.OFPGC_DELETE, ofproto.OFPGT_ALL, number))
    for number in before.meters.keys() - after.meters.keys():
        datapath.send_msg(parser.OFPMeterMod(datapath, command=ofproto.OFPMC_DELETE, meter_id=number))


def _meter(datapath: Any, number: int, rate: float, *, known: bool) -> Any:
    """A meter that drops what is above a rate (bit/s); a bucket of 0.1 s, of 100 kbit at least, takes TCP's bursts."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    kbit = round(rate / 1000)
    band = parser.OFPMeterBandDrop(rate=kbit, burst_size=max(100, kbit // 10))
    flags = ofproto.OFPMF_KBPS | ofproto.OFPMF_BURST
    command = ofproto.OFPMC_MODIFY if known else ofproto.OFPMC_ADD
    return parser.OFPMeterMod(datapath, command, flags, number, [band])


def _instructions(datapath: Any, target: Target | Marking) -> list[Any]:
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    if not isinstance(target, Marking):
        return [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, [_action(parser, target)])]
    metered = [parser.OFPInstructionMeter(target.meter)] if target.meter is not None else []
    queue = [parser.OFPActionSetQueue(target.queue)] if target.queue is not None else []
    queued = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, queue)] if queue else []
    return [*metered, *queued, parser.OFPInstructionGotoTable(PATHS)]


def _action(parser: Any, target: Target) -> Any:
    kind, number = target
    return parser.OFPActionGroup(number) if kind == "group" else parser.OFPActionOutput(number)


def _buckets(datapath: Any, group: Group) -> list[Any]:
    """Each bucket is one port; where one of several is taken, it watches whether its port is dark."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    return [
        parser.OFPBucket(
            weight=1 if group.kind == "select" else 0,
            watch_port=ofproto.OFPP_ANY if group.kind == "all" else port,
            watch_group=ofproto.OFPG_ANY,
            actions=[parser.OFPActionOutput(port)],
        )
        for port in group.ports
    ]


def _written(switch: Switch, parts: Iterable[tuple[int, Any]], dark: tuple[int, ...]) -> SwitchRules:
    """Put together what one switch has said is in it."""
    own = [one for number, one in parts if number == switch.datapath.id]
    kinds = {getattr(switch.datapath.ofproto, constant): kind for kind, constant in _KINDS.items()}
    groups = {
        one.group_id: (kinds[one.type], tuple(a.port for bucket in one.buckets for a in bucket.actions))
        for one in own
        if hasattr(one, "group_id")
    }
    rules = tuple(_rule(one) for one in own if hasattr(one, "priority"))
    return SwitchRules(switch=switch.name, rules=rules, groups=groups, dark=dark)


def _rule(it: Any) -> Rule:
    actions = [action for does in it.instructions for action in getattr(does, "actions", ())]
    match = {key: "/".join(value) if isinstance(value, tuple) else str(value) for key, value in it.match.items()}
    following = next((does.table_id for does in it.instructions if hasattr(does, "table_id")), None)
    group = next((action.group_id for action in actions if hasattr(action, "group_id")), None)
    ports = tuple(action.port for action in actions if hasattr(action, "port"))
    return Rule(priority=it.priority, table=it.table_id, next=following, match=match, ports=ports, group=group)


def _port(switch: str, it: Any) -> PortCount:
    return PortCount(
        switch=switch,
        port=it.port_no,
        received_packets=it.rx_packets,
        received_bytes=it.rx_bytes,
        sent_packets=it.tx_packets,
        sent_bytes=it.tx_bytes,
        dropped=it.rx_dropped + it.tx_dropped,
    )


def _flow(switch: str, it: Any) -> FlowCount:
    text = ",".join(f"{key}={value}" for key, value in it.match.items())
    return FlowCount(switch=switch, priority=it.priority, match=text, packets=it.packet_count, bytes=it.byte_count)


def main() -> None:
    """Serve switches until killed, at the address that is named on the command line."""
    serve("testbed.control.app", sys.argv[1], messages.PORT)


if __name__ == "__main__":
    main()
