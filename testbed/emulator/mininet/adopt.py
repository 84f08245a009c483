"""Make every Mininet object of this process one of ours, whoever makes it and by whatever class.

A script's own `class Router(Node)`, a `partial(TCLink, delay="5ms")`, a `custom(Host, ...)` all end in the making of an
object of a class of Mininet's. There the class is exchanged for one that has ours between the script's and Mininet's:
an object of a subclass of what was asked for, which Python then initialises as ever.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from testbed.emulator.mininet import controller, link, net, node, ovs, stock, switch, tclink

_OURS: dict[type, type] = {
    stock.node.Node: node.Node,
    stock.node.Host: node.Host,
    stock.node.OVSSwitch: ovs.OVSSwitch,
    stock.node.OVSBridge: ovs.OVSBridge,
    stock.node.UserSwitch: ovs.UserSwitch,
    stock.node.Controller: controller.Controller,
    stock.node.OVSController: controller.OVSController,
    stock.node.RemoteController: controller.RemoteController,
    stock.nodelib.LinuxBridge: switch.LinuxBridge,
    stock.nodelib.NAT: node.NAT,
    stock.link.Intf: link.Intf,
    stock.link.TCIntf: tclink.TCIntf,
    stock.link.OVSIntf: link.OVSIntf,
    stock.link.Link: link.Link,
    stock.link.OVSLink: link.OVSLink,
    stock.link.TCLink: tclink.TCLink,
    stock.link.TCULink: tclink.TCULink,
    stock.net.Mininet: net.Mininet,
}


@cache
def ours(cls: type) -> type:
    """Return a class of ours that is also `cls`."""
    if cls in _OURS:
        return _OURS[cls]
    nearest = next(base for base in cls.__mro__ if base in _OURS or base in _OURS.values())
    if nearest in _OURS.values():
        return cls
    return type(cls.__name__, (cls, _OURS[nearest]), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _new(cls: type, *_args: Any, **_params: Any) -> Any:
    return object.__new__(ours(cls))


def adopt() -> None:
    """Do it, for good."""
    for root in (stock.node.Node, stock.link.Intf, stock.link.Link, stock.net.Mininet):
        root.__new__ = staticmethod(_new)
    # What scripts call by the class's own name, without an object of ours:
    for name in ("start", "stop", "attach", "detach", "connected", "dpctl", "vsctl"):
        setattr(stock.node.OVSSwitch, name, getattr(ovs.OpenFlowSwitch, name))
    stock.node.Controller.start = controller.Controller.start
    stock.node.OVSSwitch.setup = classmethod(lambda cls: None)
    stock.node.Controller.isAvailable = classmethod(lambda cls: True)
    stock.net.Mininet.init = net.Mininet.init
