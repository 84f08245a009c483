"""A topology as a containerlab file, with a `frr.conf` and a `daemons` file for each router."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from testbed.emulator.lower import daemons_of, frr_configuration
from testbed.errors import BadInput
from testbed.exchange.base import Files
from testbed.exchange.containerlab.links import DEFAULT_MTU, NAME_LABEL
from testbed.exchange.containerlab.nodes import DAEMONS, FORWARDING, KIND_LABEL, said_daemons
from testbed.model.topology import Bridge, Endpoint, Host, Link, Node, Router, Switch, Topology

ROUTER_IMAGE = "quay.io/frrouting/frr:10.5.1"
HOST_IMAGE = "wbitt/network-multitool:3.22.2"
HOLDS = frozenset(
    {
        *("name", "links.endpoints.addresses", "links.mtu"),
        *(f"nodes.{key}" for key in ("config", "daemons", "exec", "gateway", "loopbacks", "position")),
    }
)
RENDERS = frozenset({"nodes.protocols", "nodes.asn", "links.endpoints.cost"})


def write(topology: Topology) -> Files:
    """Write the file, and beside it what is bound into the routers.

    Raises:
        BadInput: a router's configuration cannot be rendered, or there is an Open vSwitch.
    """
    switch = next((name for name, node in topology.nodes.items() if isinstance(node, Switch)), None)
    if switch is not None:
        raise BadInput(f"node {switch}: containerlab cannot hold kind switch; a bridge (`kind: bridge`) it can")
    topology = rendered(topology)
    nodes = {name: _node(name, node, topology) for name, node in topology.nodes.items()}
    links = [_link(name, link) for name, link in topology.links.items()]
    body = {"name": topology.name, "topology": {"nodes": nodes, **({"links": links} if links else {})}}
    files = {"": _yaml(body)}
    for name, node in topology.nodes.items():
        if isinstance(node, Router):
            files |= {f"{_folder(topology, name)}/{file}": text for file, text in _frr_files(node).items()}
    return files


def rendered(topology: Topology) -> Topology:
    """Write out what routers are configured with; what says it otherwise (protocols, costs) goes."""
    nodes = {
        name: _with_config(name, node, topology) if isinstance(node, Router) else node
        for name, node in topology.nodes.items()
    }
    links = {name: _without_costs(link) for name, link in topology.links.items()}
    return topology.model_copy(update={"nodes": nodes, "links": links})


def _with_config(name: str, router: Router, topology: Topology) -> Router:
    config = router.config if router.config is not None else frr_configuration(name, topology)
    return router.model_copy(
        update={"config": config, "protocols": ("ospf",), "asn": None, "daemons": said_daemons(config, router.daemons)}
    )


def _without_costs(link: Link) -> Link:
    first, second = (end.model_copy(update={"cost": None}) for end in link.endpoints)
    return link.model_copy(update={"endpoints": (first, second)})


def _folder(topology: Topology, node: str) -> str:
    return f"{topology.name}/{node}"


def _frr_files(router: Router) -> dict[str, str]:
    config = router.config or ""
    running = router.daemons or daemons_of(config)
    lines = [f"{name}={'yes' if name in running else 'no'}\n" for name in DAEMONS]
    return {"frr.conf": config, "daemons": "".join([*lines, "vtysh_enable=yes\n"])}


def _node(name: str, node: Node, topology: Topology) -> dict[str, Any]:
    ends = [end for link in topology.links.values() for end in link.endpoints if end.node == name]
    keys: dict[str, Any] = {"kind": "bridge" if isinstance(node, Bridge) else "linux"}
    if isinstance(node, Router):
        keys["image"] = ROUTER_IMAGE
        keys["binds"] = [f"{_folder(topology, name)}/{file}:/etc/frr/{file}" for file in _frr_files(node)]
    elif isinstance(node, Host):
        keys["image"] = HOST_IMAGE
        keys |= {"sysctls": {FORWARDING: "0"}} if len(ends) > 1 else {}
    if any(end.interface == "eth0" for end in ends):
        keys["network-mode"] = "none"  # else the container's management interface has this name
    if isinstance(node, Host | Router) and (commands := [*_addressing(node, ends), *node.exec]):
        keys["exec"] = commands
    labels = {KIND_LABEL: node.kind} if isinstance(node, Host) and node.kind != "host" else {}
    if node.position is not None:
        x, y = node.position
        labels |= {"graph-posX": repr(float(x)), "graph-posY": repr(-float(y))}
    if labels:
        keys["labels"] = labels
    return keys


def _addressing(node: Host | Router, ends: list[Endpoint]) -> list[str]:
    """Containerlab gives addresses to no Linux node; commands do."""
    lines = [f"ip address replace {address} dev lo" for address in node.loopbacks]
    lines += [f"ip address replace {address} dev {end.interface}" for end in ends for address in end.addresses]
    gateway = node.gateway if isinstance(node, Host) else None
    return [*lines, f"ip route replace default via {gateway}"] if gateway else lines


def _link(name: str, link: Link) -> dict[str, Any]:
    """The long form: containerlab's own schema, by which editors check a file, lets no other have labels."""
    ends = [{"node": end.node, "interface": end.interface} for end in link.endpoints]
    keys: dict[str, Any] = {"type": "veth", "endpoints": ends}
    if link.mtu != DEFAULT_MTU:
        keys["mtu"] = link.mtu
    return {**keys, "labels": {NAME_LABEL: name}}


def _yaml(body: dict[str, Any]) -> str:
    """Dollars are doubled: containerlab replaces variables before it reads YAML."""
    yaml, stream = YAML(), StringIO()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(body, stream)
    return stream.getvalue().replace("$", "$$")
