"""Mininet's controllers, while switches learn by themselves: those that only teach switches that are accepted."""

from __future__ import annotations

from typing import Any

from testbed.emulator.mininet import stock
from testbed.emulator.mininet.node import Node
from testbed.emulator.mininet.switch import needs_openflow

_PLAIN = ("controller", None)


class Controller(Node, stock.node.Controller):
    """Mininet's own controller: it would make switches learn, which they do without it.

    Raises:
        BadInput: another program, or a `start` of its own: only OpenFlow switches could obey it.
    """

    def __init__(self, name: str, **params: Any) -> None:
        if params.get("command") not in _PLAIN or type(self).start is not Controller.start:
            raise needs_openflow(f"controller {name} ({type(self).__name__})")
        super().__init__(name, **params)

    def checkListening(self) -> None:
        """Look for nothing: no port is used."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self, deleteIntfs: bool = False) -> None:
        """End the node."""
        stock.node.Node.stop(self, deleteIntfs)

    @classmethod
    def isAvailable(cls) -> bool:
        """Say that it is there."""
        return True


class OVSController(Controller, stock.node.OVSController):
    """Open vSwitch's test controller: the same."""

    def __init__(self, name: str, **params: Any) -> None:
        Controller.__init__(self, name, **{"command": "controller", **params})


class RemoteController(Node, stock.node.RemoteController):
    """A controller of the script's own, which a bridge cannot obey.

    Raises:
        BadInput: always.
    """

    def __init__(self, name: str, *_args: Any, **_params: Any) -> None:
        raise needs_openflow(f"controller {name} ({type(self).__name__})")
