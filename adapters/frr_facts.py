"""What FRR's JSON means: answers of `show ... json` become the facts of `adapters.base`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.base import InterfaceFacts, Neighbour, Route
from adapters.device_tools import NO_TRAFFIC, Traffic

Answers = Mapping[str, Any]
"""Question to decoded JSON; None where the daemon asked is not running."""

INTERFACES = "show interface json"
ROUTES = ("show ip route json", "show ipv6 route json")
OSPF = "show ip ospf json"
OSPF_INTERFACES = "show ip ospf interface json"
OSPF_NEIGHBOURS = "show ip ospf neighbor json"
OSPF_DATABASE = tuple(
    f"show ip ospf database {kind} json"
    for kind in ("router", "network", "summary", "asbr-summary", "external", "nssa-external")
)
BGP = "show bgp summary json"
ISIS = "show isis neighbor json"


def protocols(running_config: str) -> frozenset[str]:
    """Routing protocols that are configured: `ospf`, `bgp`, `isis`."""
    return frozenset(re.findall(r"^router (ospf|bgp|isis)\b", running_config, re.MULTILINE))


def questions(running: frozenset[str], detail: bool) -> tuple[str, ...]:
    """What to ask a device that runs these protocols."""
    asked = [INTERFACES]
    if detail:
        asked += ROUTES
    if "ospf" in running:
        asked += [OSPF_INTERFACES, OSPF_NEIGHBOURS, *((OSPF, *OSPF_DATABASE) if detail else ())]
    if "bgp" in running:
        asked += [BGP]
    if "isis" in running:
        asked += [ISIS]
    return tuple(asked)


def version(text: str) -> str:
    """`FRRouting 8.4.4` of `show version`."""
    return (text.strip().splitlines() or ["unknown"])[0].partition(" (")[0]


def router_id(answers: Answers) -> str | None:
    """OSPF's, else BGP's."""
    if ospf := answers.get(OSPF):
        return ospf.get("routerId")
    return ((answers.get(BGP) or {}).get("ipv4Unicast") or {}).get("routerId")


def interfaces(answers: Answers, traffic: Mapping[str, Traffic]) -> tuple[InterfaceFacts, ...]:
    """Every interface, with its OSPF cost where it has one."""
    ospf = (answers.get(OSPF_INTERFACES) or {}).get("interfaces") or {}
    found = answers[INTERFACES] or {}
    return tuple(_interface(name, found[name], ospf.get(name), traffic.get(name, NO_TRAFFIC)) for name in sorted(found))


def _interface(name: str, zebra: Mapping[str, Any], ospf: Mapping[str, Any] | None, seen: Traffic) -> InterfaceFacts:
    speed = zebra.get("speed") or 0
    return InterfaceFacts(
        name=name,
        up=zebra["administrativeStatus"] == "up",
        carrier=zebra.get("operationalStatus") == "up",  # FRR leaves it out where the interface is switched off
        addresses=tuple(entry["address"] for entry in zebra.get("ipAddresses", ()) if _routable(entry["address"])),
        mtu=zebra.get("mtu", 0),
        mac=zebra.get("hardwareAddress", ""),
        speed=speed * 1e6 if 0 < speed < 2**31 else None,
        description=zebra.get("description", ""),
        cost=(ospf["cost"] or None) if ospf and ospf.get("ospfEnabled") else None,
        rx_bytes=seen.rx_bytes,
        tx_bytes=seen.tx_bytes,
        rx_packets=seen.rx_packets,
        tx_packets=seen.tx_packets,
        rx_drops=seen.rx_drops,
        tx_drops=seen.tx_drops,
    )


def _routable(address: str) -> bool:
    return not address.lower().startswith("fe80:")


def neighbours(answers: Answers) -> tuple[Neighbour, ...]:
    """OSPF, BGP and IS-IS neighbours, in a stable order."""
    found = [*_ospf_neighbours(answers), *_bgp_neighbours(answers), *_isis_neighbours(answers)]
    return tuple(sorted(found, key=lambda n: (n.protocol, n.interface, n.address)))


def _ospf_neighbours(answers: Answers) -> Iterator[Neighbour]:
    for identity, entries in ((answers.get(OSPF_NEIGHBOURS) or {}).get("neighbors") or {}).items():
        for entry in entries:
            state = str(entry.get("nbrState") or entry.get("state", ""))
            address = str(entry.get("ifaceAddress") or entry.get("address", ""))
            interface = str(entry.get("ifaceName", "")).partition(":")[0]
            yield Neighbour("ospf", interface, address, identity, state, state.startswith("Full"))


def _bgp_neighbours(answers: Answers) -> Iterator[Neighbour]:
    """One a session, however many address families it carries; FRR's summary does not tell the other's router-id."""
    families = [family for family in (answers.get(BGP) or {}).values() if isinstance(family, dict)]
    states = {name: str(peer.get("state", "")) for family in families for name, peer in family.get("peers", {}).items()}
    for name, state in states.items():
        numbered = ":" in name or name[0].isdigit()
        interface, address = ("", name) if numbered else (name, "")
        yield Neighbour("bgp", interface, address, "", state, state == "Established")


def _isis_neighbours(answers: Answers) -> Iterator[Neighbour]:
    """FRR names the system, not its address. A circuit without an adjacency is listed, too."""
    for area in (answers.get(ISIS) or {}).get("areas", ()):
        for circuit in area.get("circuits", ()):
            if "adj" in circuit:
                state = str(circuit.get("state", ""))
                yield Neighbour("isis", str(circuit.get("interface", "")), "", circuit["adj"], state, state == "Up")


def routes(answers: Answers) -> tuple[Route, ...]:
    """The routes that forward packets, sorted by prefix."""
    tables = [answers[question] or {} for question in ROUTES]
    chosen = [entry for table in tables for entries in table.values() for entry in entries if entry.get("selected")]
    found = (_route(entry) for entry in chosen if not entry["prefix"].lower().startswith("fe80:"))
    return tuple(sorted(found, key=lambda route: route.prefix))


def _route(entry: Mapping[str, Any]) -> Route:
    hops = (f"{hop.get('ip', '')}%{hop.get('interfaceName', '')}" for hop in entry["nexthops"] if hop.get("active"))
    return Route(entry["prefix"], entry["protocol"], entry.get("metric", 0), tuple(sorted(hops)))


def lsdb(answers: Answers) -> dict[str, object] | None:
    """OSPF's LSAs of every type (RFC 2328 A.4, RFC 3101), as FRR prints them: `routerLinkStates` and its like."""
    found = [answers[question] for question in OSPF_DATABASE if answers.get(question) is not None]
    return {key: states for kind in found for key, states in kind.items()} if found else None
