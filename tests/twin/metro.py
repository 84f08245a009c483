"""Hand-made facts of small racks, as an adapter would give them."""

from __future__ import annotations

from dataclasses import replace

from adapters.base import Counters, Facts, InterfaceFacts, Neighbour
from testbed.model.rack import Device, Inventory

WIRES = [
    ("core1", "eth1", "core2", "eth1", 10, "fibre 2 km"),
    ("core1", "eth2", "agg1", "eth1", 10, "fibre 20 km"),
    ("core2", "eth2", "agg3", "eth1", 10, "fibre 30 km"),
    ("agg1", "eth2", "cell1", "eth1", 10, "fibre 15 km"),
    ("agg3", "eth2", "cell1", "eth2", 30, "microwave 18 GHz"),
]
ROLES = {"core": "core", "agg": "aggregation", "cell": "cell-site"}
DEVICES = ["core1", "core2", "agg1", "agg3", "cell1"]


def interface(name, addresses=(), cost=None, **more) -> InterfaceFacts:
    plain = InterfaceFacts(
        name=name, up=True, carrier=True, addresses=tuple(addresses), mtu=1500, mac="02:00:00:00:00:01", speed=None,
        description="", cost=cost, rx_bytes=0, tx_bytes=0, rx_packets=0, tx_packets=0, rx_drops=0, tx_drops=0,
    )  # fmt: skip
    return replace(plain, **more)


def neighbour(interface_name, address, router_id) -> Neighbour:
    return Neighbour("ospf", interface_name, address, router_id, "Full", True)


def config(name: str, interfaces) -> str:
    blocks = "".join(f"interface {i.name}\n ip ospf cost {i.cost}\nexit\n!\n" for i in interfaces if i.cost)
    management = "interface mgmt\n description out of band\nexit\n!\n"
    return f"hostname {name}\n!\n{management}{blocks}router ospf\n network 10.0.0.0/8 area 0\nexit\n!\n"


def metro() -> dict[str, Facts]:
    """Five routers, five links, a management network that all share."""
    ids = {name: f"10.255.0.{number}" for number, name in enumerate(DEVICES, 1)}
    interfaces = {
        name: [interface("lo", ["127.0.0.1/8", f"{ids[name]}/32"]), interface("mgmt", [f"10.0.2.{100 + n}/24"])]
        for n, name in enumerate(DEVICES)
    }
    neighbours: dict[str, list[Neighbour]] = {name: [] for name in DEVICES}
    for number, (a, ai, b, bi, cost, text) in enumerate(WIRES, 1):
        ends = [(a, ai, f"10.0.1{number}.1"), (b, bi, f"10.0.1{number}.2")]
        for (node, name, address), (other, _, seen) in (ends, ends[::-1]):
            interfaces[node].append(interface(name, [f"{address}/30"], cost, description=text))
            neighbours[node].append(neighbour(name, seen, ids[other]))
    return {
        name: Facts(
            device=name, measured=1000.0, hostname=name, version="FRR 8.4.4", router_id=ids[name],
            interfaces=tuple(interfaces[name]), neighbours=tuple(neighbours[name]), routes=(), lsdb=lsdb(ids.values()),
            running_config=config(name, interfaces[name]), cpu=None, memory=None, clock_offset=0.0,
        )
        for name in DEVICES
    }  # fmt: skip


def lsdb(routers) -> dict[str, object]:
    states = [{"linkStateId": r, "advertisingRouter": r, "numOfLinks": 3} for r in routers]
    return {"routerId": "10.255.0.1", "routerLinkStates": {"areas": {"0.0.0.0": states}}}


def inventory(devices=DEVICES, name="metro") -> Inventory:
    role = {d: ROLES[d.rstrip("0123456789")] for d in devices}
    entries = {
        d: Device.model_validate({"adapter": "frr", "address": "127.77.0.1", "user": "admin", "role": role[d]})
        for d in devices
    }
    return Inventory(name=name, devices=entries, known_hosts="known_hosts")


def change(facts: dict[str, Facts], device: str, interface_name: str, **fields) -> dict[str, Facts]:
    """The same rack with one interface different."""
    changed = tuple(replace(i, **fields) if i.name == interface_name else i for i in facts[device].interfaces)
    return {**facts, device: replace(facts[device], interfaces=changed)}


def counters(fact: Facts, measured: float) -> Counters:
    return Counters(fact.device, measured, fact.interfaces, fact.neighbours)
