"""From a topology to what the agent builds: nodes, wires, and a frr.conf for each router."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from msgspec import UNSET, structs

from testbed.control.paths import forwarding
from testbed.emulator import netem, patch, playing
from testbed.emulator.control import control_of
from testbed.emulator.lower_slices import policy_of, sliced
from testbed.emulator.messages import Build, WireEnd, WireLink, WireNode
from testbed.emulator.patch import LinkPatch
from testbed.emulator.rings import refuse_rings
from testbed.emulator.segments import BridgeSettings, SwitchSettings
from testbed.errors import BadInput
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.steering import Steering
from testbed.model.topology import SEGMENTS, Bridge, Endpoint, Host, Link, Router, Switch, Topology
from testbed.model.traces import track as traces
from testbed.model.traces.spec import read_trace

DAEMON_OF = {"static": "staticd", "ospf": "ospfd", "isis": "isisd", "bgp": "bgpd"}
_SPOKEN_BY = {"router ospf": "ospfd", "router bgp": "bgpd", "router isis": "isisd"}


def build_of(topology: Topology, like: tuple[Topology, Build] | None = None) -> Build:
    """Lower a topology.

    Args:
        topology: as read; `config_file` has been read into `config`.
        like: another one, and what was built of it: links that are the same objects there are not lowered again.

    Returns:
        What the agent builds. Given configuration is kept byte for byte, the daemons are inferred from it.

    Raises:
        BadInput: a ring of bridges or switches that nothing breaks (frames would circle for ever), a protocol that
            lacks what it needs, a pin whose links are no path, or more guests than nodes.
    """
    if topology.guest.guests > len(topology.nodes):
        raise BadInput(
            f"guest.guests is {topology.guest.guests}, and the topology has {len(topology.nodes)} node(s) to put into "
            "them; ask for fewer guests"
        )
    refuse_rings(topology)
    known, wires = (like[0].links, {wire.name: wire for wire in like[1].links}) if like else ({}, {})
    build = Build(
        nodes=tuple(_node(name, topology) for name in topology.nodes),
        links=tuple(
            wires[name] if known.get(name) is link else _link(name, link) for name, link in topology.links.items()
        ),
        slices=tuple(sliced(name, one) for name, one in topology.slices.items()),
        policy=policy_of(topology.steering) if topology.steering != Steering() else None,
    )
    if build.policy is not None:
        forwarding(control_of([build]).network, build.policy)  # refuses what cannot be
    return build


def _node(name: str, topology: Topology) -> WireNode:
    node = topology.nodes[name]
    if isinstance(node, Bridge):
        settings = BridgeSettings(stp=node.stp, vlan_filtering=node.vlan_filtering)
        return WireNode(name=name, kind="bridge", segment=settings)
    if isinstance(node, Switch):
        return WireNode(name=name, kind="switch", segment=_switch(name, node, topology))
    addresses = tuple(str(address) for address in node.loopbacks)
    if isinstance(node, Host):
        return WireNode(name=name, kind="host", addresses=addresses, gateway=node.gateway)
    if node.config is not None:
        config, daemons = node.config, _given_daemons(node, node.config)
    else:
        config, daemons = frr_configuration(name, topology), daemons_for(node)
    return WireNode(name=name, kind="router", addresses=addresses, daemons=daemons, config=config)


def _switch(name: str, node: Switch, topology: Topology) -> SwitchSettings:
    """Settle what the topology leaves open."""
    return SwitchSettings(
        dpid=node.dpid or _dpid(name, topology),
        datapath=node.datapath,
        controller=node.controller,
        fail_mode=node.fail_mode or ("standalone" if node.learns else "secure"),
        openflow=node.openflow,
        stp=node.stp,
    )


def _dpid(name: str, topology: Topology) -> int:
    """Make a datapath id of the name, so that it stays when other switches come and go.

    It is Mininet's for its canonical names, 12 of `s12`, and above all of those for others.
    """
    switches = {key: node for key, node in topology.nodes.items() if isinstance(node, Switch)}
    taken = {node.dpid for node in switches.values()}
    for key in sorted(key for key, node in switches.items() if node.dpid is None):
        canonical = re.fullmatch(r"s([1-9]\d{0,8})", key)
        wanted = int(canonical[1]) if canonical else 1 << 32 | zlib.crc32(key.encode())
        dpid = next(number for number in count(wanted) if number not in taken)
        taken.add(dpid)
        if key == name:
            return dpid
    raise AssertionError(name)


def _link(name: str, link: Link) -> WireLink:
    one, other = (
        WireEnd(
            node=e.node,
            interface=e.interface,
            addresses=tuple(str(a) for a in e.addresses),
            vlan=e.vlan,
            trunk=e.trunk,
        )
        for e in link.endpoints
    )
    return WireLink(
        name=name,
        ends=(one, other),
        forward=patch_of(link.forward),
        backward=patch_of(link.backward),
        mtu=link.mtu,
        up=link.up,
    )


def patch_of(impairment: Impairment) -> LinkPatch:
    """Turn a whole impairment into a patch that sets everything it holds."""
    burst = patch.GilbertElliott(**vars(impairment.burst)) if impairment.burst else None
    return LinkPatch(**{**vars(impairment), "burst": burst})  # a dump of it takes five times as long


def tracks_of(
    link: str, track: traces.Track, ends: Iterable[Literal[0, 1]], source: str = "", repeat: bool = False
) -> tuple[playing.Track, ...]:
    """Put a trace on directions of a link: 0 forward, 1 backward. A loss that it sets takes the place of a burst.

    Args:
        source, repeat: what the trace was read from, so that a running lab can tell.
    """
    patches = tuple(_trace_patch(setting) for setting in track.settings)
    whole = playing.Track(
        link=link, times=track.times, patches=patches, waits=tuple(_waits(track)), lap=track.lap, source=source,
        repeat=repeat,
    )  # fmt: skip
    return tuple(structs.replace(whole, end=end) for end in ends)


def _trace_patch(setting: traces.Setting) -> LinkPatch:
    fields: dict[str, Any] = {name: value for name, value in setting.items() if name != "wait"}
    return LinkPatch(**fields, burst=None if "loss" in fields else UNSET)


def topology_tracks(topology: Topology) -> tuple[playing.Track, ...]:
    """Read the traces of a topology's links.

    Raises:
        BadInput: a trace's file has gone or changed, or a setting cannot be on its link.
    """
    found: list[playing.Track] = []
    traced = ((name, link, link.trace) for name, link in topology.links.items() if link.trace)
    for name, link, trace in traced:
        for end, text in trace.ways():
            (track,) = tracks_of(name, read_trace(text, repeat=trace.repeat), [end], text, trace.repeat)
            state = netem.merge(netem.Netem(), patch_of((link.forward, link.backward)[end]), name)
            for change in track.patches:
                netem.merge(state, change, f"{name}: trace {text}")
            found.append(track)
    return tuple(found)


def _waits(track: traces.Track) -> Iterator[float]:
    """Give the wait that holds at each of a track's times; none where it has no waits."""
    wait = 0.0
    for setting in track.settings if any("wait" in setting for setting in track.settings) else ():
        wait = setting.get("wait", wait)
        yield wait


def impairment_of(patch: LinkPatch) -> Impairment:
    """Turn a patch into an impairment; what it does not name is as on a link without impairment."""
    named = {field: getattr(patch, field) for field in patch.__struct_fields__ if getattr(patch, field) is not UNSET}
    burst = named.pop("burst", None)
    if burst is not None:
        named["burst"] = GilbertElliott(p=burst.p, r=burst.r, bad_loss=burst.bad_loss, good_loss=burst.good_loss)
    return Impairment(**named)


def difference(before: Impairment, after: Impairment) -> LinkPatch:
    """Return the patch that changes `before` into `after` and names nothing else."""
    old, new = patch_of(before), patch_of(after)
    changed = {f: getattr(new, f) for f in new.__struct_fields__ if getattr(new, f) != getattr(old, f)}
    return LinkPatch(**changed)


# --- FRR -------------------------------------------------------------------------------------------------------------


def daemons_for(router: Router) -> tuple[str, ...]:
    """Return the daemons that a rendered router runs."""
    return ("zebra", "staticd", *(DAEMON_OF[p] for p in router.protocols if p != "static"))


def _given_daemons(router: Router, config: str) -> tuple[str, ...]:
    if router.daemons is None:
        return daemons_of(config)
    return ("zebra", *(name for name in router.daemons if name != "zebra"))


def daemons_of(config: str) -> tuple[str, ...]:
    """Infer the daemons from an integrated configuration: those whose protocol it configures."""
    spoken = [d for words, d in _SPOKEN_BY.items() if re.search(rf"^{words}\b", config, re.MULTILINE)]
    return ("zebra", "staticd", *spoken)


@dataclass(frozen=True, slots=True)
class Port:
    """One interface of a router: its own end, the far end, whether only two routers can be on the wire."""

    near: Endpoint
    far: Endpoint
    direct: bool


_NO_GROUPS = "no zebra nexthop kernel enable"
"""The kernel drops the nexthops of an interface that loses carrier, and zebra 8.4 does not learn of it: a route over
several ways that uses one of them again is then rejected, and is gone for good. Nexthops of a route's own stay."""


def frr_configuration(name: str, topology: Topology) -> str:
    """Render a router's integrated configuration for its protocols.

    Raises:
        BadInput: `bgp` without `asn`, or OSPF, IS-IS or BGP without any IPv4 address to take the router's id from.
    """
    router = topology.nodes[name]
    assert isinstance(router, Router)
    ports = tuple(_ports(name, topology))
    lines = ["frr defaults traditional", f"hostname {name}", "log file /var/log/frr/frr.log", _NO_GROUPS, "!"]
    if {"ospf", "isis"} & set(router.protocols):
        for port in ports:
            lines += [f"interface {port.near.interface}", *_interface(router, port), "exit", "!"]
        lines += ["interface lo", *_loopback(router), "exit", "!"]
    for protocol in router.protocols:
        lines += _RENDERERS[protocol](name, router, ports, topology)
    return "\n".join([*lines, "end", ""])


def _ports(name: str, topology: Topology) -> Iterator[Port]:
    for link in topology.links.values():
        for near, far in (link.endpoints, link.endpoints[::-1]):
            if near.node == name:
                yield Port(near, far, direct=not isinstance(topology.nodes[far.node], SEGMENTS))


def _interface(router: Router, port: Port) -> Iterator[str]:
    if "ospf" in router.protocols and any(a.version == 4 for a in port.near.addresses):
        yield " ip ospf area 0"
        yield " ip ospf hello-interval 1"
        yield " ip ospf dead-interval 4"
        yield " ip ospf retransmit-interval 1"
        if port.direct:
            yield " ip ospf network point-to-point"
        yield f" ip ospf cost {port.near.cost or 10}"
    if "isis" in router.protocols:
        yield from (f" {version} router isis 1" for version in _versions(port.near))
        if port.direct:
            yield " isis network point-to-point"
        yield " isis hello-interval 1"
        yield " isis hello-multiplier 4"
        yield f" isis metric {port.near.cost or 10}"


def _versions(endpoint: Endpoint) -> list[str]:
    found = {address.version for address in endpoint.addresses}
    return [word for number, word in ((4, "ip"), (6, "ipv6")) if number in found]


def _loopback(router: Router) -> Iterator[str]:
    versions = {address.version for address in router.loopbacks}
    if "ospf" in router.protocols and 4 in versions:
        yield " ip ospf area 0"
        yield " ip ospf passive"
    if "isis" in router.protocols:
        yield from (f" {word} router isis 1" for number, word in ((4, "ip"), (6, "ipv6")) if number in versions)
        yield " isis passive"


def _router_id(name: str, router: Router, ports: tuple[Port, ...]) -> str:
    addresses = [*router.loopbacks, *(address for port in ports for address in port.near.addresses)]
    four = [address for address in addresses if address.version == 4]
    if not four:
        raise BadInput(f"router {name}: its protocols need an IPv4 address (best on `loopbacks`) for the router's id")
    return str(four[0].ip)


def _ospf(name: str, router: Router, ports: tuple[Port, ...], topology: Topology) -> list[str]:
    """Timers that let a lab converge in a second instead of the ten that protect a continent."""
    return [
        "router ospf",
        f" ospf router-id {_router_id(name, router, ports)}",
        " timers throttle spf 10 100 1000",
        " timers throttle lsa all 100",
        " timers lsa min-arrival 50",
        "exit",
        "!",
    ]


def _isis(name: str, router: Router, ports: tuple[Port, ...], topology: Topology) -> list[str]:
    digits = "".join(f"{int(part):03d}" for part in _router_id(name, router, ports).split("."))
    system = ".".join(digits[i : i + 4] for i in (0, 4, 8))
    return [
        "router isis 1",
        f" net 49.0001.{system}.00",
        " is-type level-2-only",
        " metric-style wide",
        " lsp-gen-interval 1",
        " spf-delay-ietf init-delay 10 short-delay 100 long-delay 1000 holddown 2000 time-to-learn 500",
        "exit",
        "!",
    ]


def _bgp(name: str, router: Router, ports: tuple[Port, ...], topology: Topology) -> list[str]:
    """Sessions to the addresses at the far ends of the links, eBGP or iBGP as the numbers say (RFC 4271)."""
    if router.asn is None:
        raise BadInput(f"router {name}: protocol bgp needs `asn`, an autonomous system number from 1 to 4294967295")
    peers = list(_bgp_peers(ports, topology))
    lines = [
        f"router bgp {router.asn}",
        f" bgp router-id {_router_id(name, router, ports)}",
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        " timers bgp 1 4",
    ]
    for address, asn in peers:
        lines += [f" neighbor {address} remote-as {asn}", f" neighbor {address} timers connect 1"]
        lines += [f" neighbor {address} advertisement-interval 0"]
    for version, family in ((4, "ipv4"), (6, "ipv6")):
        lines += _bgp_family(router, family, version, [(a, n) for a, n in peers if (":" in a) == (version == 6)])
    return [*lines, "exit", "!"]


def _bgp_family(router: Router, family: str, version: int, peers: list[tuple[str, int]]) -> list[str]:
    networks = [f"  network {address.network}" for address in router.loopbacks if address.version == version]
    if not networks and not peers:
        return []
    lines = [f" address-family {family} unicast", *networks, "  redistribute connected"]
    for address, asn in peers:
        lines += [f"  neighbor {address} activate"] if version == 6 else []
        lines += [f"  neighbor {address} next-hop-self"] if asn == router.asn else []
    return [*lines, " exit-address-family"]


def _bgp_peers(ports: tuple[Port, ...], topology: Topology) -> Iterator[tuple[str, int]]:
    for port in ports:
        for end in [port.far] if port.direct else _beyond(port.far.node, port.near, topology):
            node = topology.nodes[end.node]
            if isinstance(node, Router) and "bgp" in node.protocols and node.asn is not None:
                yield from ((str(address.ip), node.asn) for address in end.addresses)


def _beyond(bridge: str, origin: Endpoint, topology: Topology) -> Iterator[Endpoint]:
    """Give the ends that share a segment with `origin`, across bridges and switches."""
    seen, waiting = {bridge}, [bridge]
    while waiting:
        here = waiting.pop()
        for link in topology.links.values():
            for near, far in (link.endpoints, link.endpoints[::-1]):
                if near.node != here or far == origin:
                    continue
                if not isinstance(topology.nodes[far.node], SEGMENTS):
                    yield far
                elif far.node not in seen:
                    seen.add(far.node)
                    waiting.append(far.node)


def _static(name: str, router: Router, ports: tuple[Port, ...], topology: Topology) -> list[str]:
    return []


_RENDERERS: Mapping[str, Callable[[str, Router, tuple[Port, ...], Topology], list[str]]] = {
    "static": _static,
    "ospf": _ospf,
    "isis": _isis,
    "bgp": _bgp,
}
