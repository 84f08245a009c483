"""What bridges and switches are built from, as messages; see `testbed.model.topology` for what each means."""

from __future__ import annotations

from typing import Literal

from testbed.emulator.patch import Message


class BridgeSettings(Message, frozen=True):
    """Of a bridge of the kernel."""

    stp: bool = False
    vlan_filtering: bool = False


class SwitchSettings(Message, frozen=True):
    """Of an Open vSwitch. `controller`: `testbed`, `none`, or a target as ovs-vswitchd takes it."""

    dpid: int
    datapath: Literal["auto", "kernel", "userspace"] = "auto"
    controller: str = "testbed"
    fail_mode: Literal["secure", "standalone"] = "secure"
    openflow: str = "OpenFlow13"
    stp: bool = False
