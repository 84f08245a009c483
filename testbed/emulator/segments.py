"""Messages of bridges and switches: what they are built from (see `testbed.model.topology`), and how to steer them."""

from __future__ import annotations

from typing import Literal

from testbed.control.messages import Counted, Network, Pin, Policy, WasRead
from testbed.emulator.patch import Message

OPEN_VSWITCH = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd")
"""Programs that switches are made of."""


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


class Control(Message, frozen=True):
    """What our own controller is to know of a lab, and where it runs.

    Attributes:
        network: of all guests. policy: what is asked of the paths.
        interfaces: (switch, port number) to the interface's name.
        guest: number of the one that it runs in, 0 without a switch for it. others: those with more of its switches.
    """

    network: Network
    interfaces: dict[str, dict[int, str]]
    policy: Policy = Policy()
    guest: int = 0
    others: tuple[int, ...] = ()


class Steer(Message, frozen=True):
    """Change where our own controller's switches send packets; what is not named stays. -> Steered

    Attributes:
        drain: links to leave, as far as there is another way. restore: drained links to take again.
        pin: each takes the place of another of the same pair. unpin: (source, destination) to let go.
    """

    drain: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    pin: tuple[Pin, ...] = ()
    unpin: tuple[tuple[str, str], ...] = ()

    @classmethod
    def between(cls, before: Policy, after: Policy) -> Steer:
        """Return what turns one policy into another."""
        pairs = {(pin.source, pin.destination) for pin in after.pins}
        gone = ((pin.source, pin.destination) for pin in before.pins)
        return cls(
            drain=after.drained,
            restore=tuple(link for link in before.drained if link not in after.drained),
            pin=after.pins,
            unpin=tuple(pair for pair in gone if pair not in pairs),
        )

    def applied(self, policy: Policy) -> Policy:
        """Return a policy with these changes."""
        drained = [link for link in dict.fromkeys((*policy.drained, *self.drain)) if link not in self.restore]
        pins = {(pin.source, pin.destination): pin for pin in (*policy.pins, *self.pin)}
        return Policy(drained=tuple(drained), pins=tuple(p for pair, p in pins.items() if pair not in self.unpin))


class Steered(Message, frozen=True):
    """How packets are steered now. `before` takes a `Steer` back."""

    before: Policy
    after: Policy


class CountSwitches(Message, frozen=True):
    """Ask our own controller's switches what they have counted. -> SwitchCounts"""


class SwitchCounts(Message, frozen=True):
    """What they have counted; `interfaces`: (switch, port number) to the interface's name."""

    counted: Counted
    interfaces: dict[str, dict[int, str]]


class ReadSwitches(Message, frozen=True):
    """Ask our own controller's switches what is written in them. -> SwitchesRead"""


class SwitchesRead(Message, frozen=True):
    """What is written in them, for which network, by which policy."""

    network: Network
    policy: Policy
    read: WasRead


class Arrange(Message, frozen=True):
    """One act of a transaction on where our own controller's switches send packets. -> Arranged

    The contract is that of `adapters.base.Adapter`: a timer in the agent takes back in `revert_after` seconds what was
    committed and not confirmed, whoever has died meanwhile. `lines`: see `testbed.control.language`.
    """

    transaction: str
    act: Literal["load", "commit", "confirm", "rollback", "state", "forget"]
    lines: str = ""
    revert_after: float = 0.0


class Arranged(Message, frozen=True):
    """How the transaction stands, as `adapters.base.TransactionState`; `before` and `after`: configurations."""

    state: str
    rollback: str = ""
    before: str = ""
    after: str = ""
