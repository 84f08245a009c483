"""Mininet's API on our engine: `from testbed.mininet import Mininet` instead of `from mininet.net import Mininet`.

Importing this module makes every Mininet object of the process ours: nodes, links and switches of Mininet's classes,
and of a script's subclasses of them, are set up over netlink and never by a fork.
"""

from __future__ import annotations

from testbed.emulator.mininet.adopt import adopt
from testbed.emulator.mininet.controller import Controller, RemoteController
from testbed.emulator.mininet.link import Intf, Link
from testbed.emulator.mininet.net import Mininet
from testbed.emulator.mininet.node import Host, Node
from testbed.emulator.mininet.ovs import OVSBridge, OVSSwitch, UserSwitch
from testbed.emulator.mininet.switch import LinuxBridge
from testbed.emulator.mininet.tclink import TCIntf, TCLink

__all__ = [
    "Controller", "Host", "Intf", "Link", "LinuxBridge", "Mininet", "Node", "OVSBridge", "OVSSwitch",
    "RemoteController", "TCIntf", "TCLink", "UserSwitch",
]  # fmt: skip

adopt()
