"""Who owns an address, which link an interface is on: a topology read the way packets see it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from testbed.errors import BadInput, nearest
from testbed.model.topology import SEGMENTS, Address, Endpoint, Link, Topology


def endpoints(topology: Topology) -> Iterator[tuple[str, Link, int, Endpoint]]:
    """Yield link name, link, which end (0 or 1) and the end itself."""
    for name, link in topology.links.items():
        for index, end in enumerate(link.endpoints):
            yield name, link, index, end


def loopbacks(topology: Topology, node: str) -> tuple[Address, ...]:
    """Return the addresses on a node's `lo`; bridges and switches have none."""
    model = topology.nodes[node]
    return () if isinstance(model, SEGMENTS) else model.loopbacks


def addresses(topology: Topology) -> dict[str, str]:
    """Return every address of the topology, as text without prefix length, to the node that has it."""
    found = {str(a.ip): node for node in topology.nodes for a in loopbacks(topology, node)}
    found.update({str(a.ip): end.node for _, _, _, end in endpoints(topology) for a in end.addresses})
    return found


def address_of(topology: Topology, destination: str) -> str:
    """Return the address probes are sent to.

    Args:
        destination: an IP address, or a device: then its first loopback, or its first interface address without one.

    Raises:
        BadInput: neither an address nor a device of the topology, or a device without any address.
    """
    if is_address(destination):
        return destination
    if destination not in topology.nodes:
        known = ", ".join(sorted(topology.nodes))
        raise BadInput(f"no device called {destination!r}{nearest(destination, topology.nodes)} (known: {known})")
    own = [str(a.ip) for a in loopbacks(topology, destination)]
    own += [str(a.ip) for _, _, _, end in endpoints(topology) if end.node == destination for a in end.addresses]
    if not own:
        raise BadInput(f"device {destination!r} has no address; name an address as the destination")
    return own[0]


def owner_of(topology: Topology, address: str) -> str | None:
    """Return the node that has this address, or None."""
    return addresses(topology).get(address)


def sink_of(topology: Topology, destination: str) -> str:
    """Return the node that answers for a destination.

    Raises:
        BadInput: no node of the topology has the address, so nothing there can reflect or receive.
    """
    owner = destination if destination in topology.nodes else owner_of(topology, address_of(topology, destination))
    if owner is None:
        raise BadInput(f"no device of the twin has the address {destination}; it can be traced but not measured")
    return owner


def is_address(text: str) -> bool:
    """Tell whether text is an IPv4 or IPv6 address without prefix length."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def interfaces(topology: Topology, node: str) -> dict[str, str]:
    """Return a node's wired interfaces, each to the name of its link."""
    return {end.interface: name for name, _, _, end in endpoints(topology) if end.node == node}


def links_between(topology: Topology, one: str, other: str) -> list[str]:
    """Return the names of all links that join two nodes directly."""
    return [name for name, link in topology.links.items() if {e.node for e in link.endpoints} == {one, other}]
