"""The way from the switches of one guest to the controller in another: a VLAN of its own on the wire between them.

In each of these guests the switches' network gets a bridge `control`, in the controller's guest with a VLAN to each of
the others. Nothing else is on it, and no network of the host takes part.
"""

from __future__ import annotations

from contextlib import closing

from testbed.emulator import netlink
from testbed.emulator.namespaces import Namespaces
from testbed.emulator.netlink import Netlink, Request
from testbed.emulator.segments import Control
from testbed.emulator.trunks import CONTROL_VLAN, trunk_device
from testbed.errors import Unable

_BRIDGE = "control"
_MTU = 1500
_GROUP = 66


def host(guest: int) -> str:
    """Return the address of a guest's switches there."""
    return f"169.254.66.{guest}"


def needed(control: Control, guest: int) -> bool:
    """Say whether this guest's switches, or the controller, have to be joined to another guest's."""
    return bool(control.others) and guest in (control.guest, *control.others)


def join(namespaces: Namespaces, control: Control, guest: int) -> None:
    """Join this guest's switches to the controller's, or the controller's to all others.

    Args:
        namespaces: of the switches. guest: this one's number.

    Raises:
        Unable: there is no wire to a guest.
    """
    others = control.others if guest == control.guest else (control.guest,)
    with closing(Netlink()) as home:
        home.run([_vlan(home, namespaces, other) for other in others])
    with namespaces.enter_net(), closing(Netlink()) as inside:
        inside.run([netlink.bridge(_BRIDGE)])
        found = {link.name: link.index for link in inside.links()}
        inside.run([netlink.set_link(found[_port(other)], master=found[_BRIDGE]) for other in others])
        inside.run([netlink.address(found[_BRIDGE], f"{host(guest)}/24")])


def leave(namespaces: Namespaces) -> None:
    """Take the VLANs away now: with the namespace they would go later, and be in the way of new ones until then."""
    with namespaces.enter_net(), closing(Netlink()) as inside:
        inside.run([netlink.delete_group(_GROUP)])


def _vlan(home: Netlink, namespaces: Namespaces, other: int) -> Request:
    wire = home.index_of(trunk_device(other))
    if wire is None:
        raise Unable(f"there is no wire to guest {other} ({trunk_device(other)}) in this guest")
    name = _port(other)
    return netlink.vlan(name, 0, wire, CONTROL_VLAN, _MTU, up=True, group=_GROUP, namespace=namespaces.net)


def _port(guest: int) -> str:
    return f"{_BRIDGE}.{guest}"
