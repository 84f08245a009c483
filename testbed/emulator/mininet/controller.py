"""Mininet's controllers: ours in place of those that only learn, programs of the script's own, and others elsewhere."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any
from weakref import WeakSet

from testbed.emulator import control
from testbed.emulator.mininet import relay, rooms, stock
from testbed.emulator.mininet.node import Node
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.mininet.run import IN_GUEST
from testbed.errors import BadInput, NotReady, Unable

_PLAIN = ("controller", "ovs-controller", "ovs-testcontroller", "test-controller", None)
_TRY = 1.0
_known: WeakSet[Controller] = WeakSet()
_start_program = stock.node.Controller.start


class Controller(Node, stock.node.Controller):
    """Mininet's own controller, which teaches switches to learn: ours, started when the first Open vSwitch needs it.

    With another program, or a `start` of its own, it is that program, in the caller's namespace as in Mininet.

    Attributes:
        named: it is the script's choice, and not Mininet's for want of one.
    """

    named = True
    _server: subprocess.Popen[bytes] | None = None
    _said = b""

    @property
    def learns(self) -> bool:
        """Is it ours, so that a bridge can do without it?"""
        return self.command in _PLAIN and type(self).start is Controller.start

    def place(self) -> Room:
        """Return the switches' room, or the caller's for a program; one of its own where the script wants that.

        Raises:
            BadInput: its address is none.
        """
        check_address(self, self.ip.partition("/")[0], self.port)  # a host that is one has a prefix length too
        _known.add(self)
        return rooms.fabric() if self.learns and not self.inNamespace else super().place()

    def checkListening(self) -> None:
        """Check that a program's port is free.

        Raises:
            Unable: something listens there.
        """
        if not self.learns and listens(self, self.IP(), self.port):
            raise Unable(f"controller {self.name}: something listens on port {self.port} already; give it another port")

    def start(self) -> None:
        """Start a program; ours waits until it is needed."""
        if not self.learns:
            _start_program(self)

    def lead(self, room: Room) -> str:
        """Let switches in a room reach it; return what ovs-vswitchd is to be told."""
        if self.learns:
            self._serve()
        if self.room is not room:
            relay.open_way(room, self.IP(), self.port)
        return f"{self.protocol}:{self.IP()}:{self.port}"

    def _serve(self) -> None:
        """Start our controller, where none of ours has its address yet."""
        if self._serving() is not None:
            return
        host = "0.0.0.0" if self.inNamespace else "127.0.0.1"
        command = [sys.executable, "-m", "testbed.control.learning", host, str(self.port)]
        assert self.room is not None
        quiet = subprocess.DEVNULL
        self._server = self.room.start(
            command, env=control.environment(), cwd="/", stdin=quiet, stdout=subprocess.PIPE, stderr=quiet
        )

    def _serving(self) -> Controller | None:
        """Return the controller that serves its address: itself, or another of the same."""
        same = (one for one in _known if one.room is self.room and one.port == self.port)
        return next((one for one in same if one._server is not None), None)

    def teaches(self, dpid: int, deadline: float = 0.0) -> bool:
        """Say whether our controller teaches a switch, at once or as soon as it does.

        Args:
            dpid: number of the switch. deadline: of the monotonic clock.

        Raises:
            NotReady: it has ended.
        """
        at = self._serving()
        return at is not None and at._hears(b"%016x" % dpid, deadline)

    def _hears(self, dpid: bytes, deadline: float) -> bool:
        assert self._server is not None
        assert self._server.stdout is not None
        poller = select.poll()
        poller.register(self._server.stdout, select.POLLIN)
        while dpid not in self._said.split():
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
            said = os.read(self._server.stdout.fileno(), 1 << 16)
            if not said:
                raise NotReady(f"our controller {self.name} ended with code {self._server.wait()}")
            self._said += said
        return True

    def stop(self, deleteIntfs: bool = False) -> None:
        """End it."""
        if self._server is not None:
            self._server.kill()
            self._server.communicate()
            self._server = None
        if not self.learns:
            self.cmd(f"kill %{self.command}")
        stock.node.Node.stop(self, deleteIntfs)

    @classmethod
    def isAvailable(cls) -> bool:
        """Say that it is there."""
        return True


class OVSController(Controller, stock.node.OVSController):
    """Open vSwitch's test controller: the same."""

    def __init__(self, name: str, **params: Any) -> None:
        super().__init__(name, **{"command": "controller", **params})


class RemoteController(Node, stock.node.RemoteController):
    """A controller that somebody else runs: in the script's network, on this machine, or beyond it."""

    learns = False

    def place(self) -> Room:
        """Return the caller's room, or one of its own.

        Raises:
            BadInput: its address is none.
        """
        check_address(self, self.ip, self.port)
        return super().place()

    def lead(self, room: Room) -> str:
        """Let switches in a room reach it; return what ovs-vswitchd is to be told."""
        own = _own(self.ip, self.port)
        if own is not None:
            return own.lead(room)
        relay.open_way(room, self.ip, self.port)
        return f"{self.protocol}:{self.ip}:{self.port}"

    def isListening(self, ip: str, port: int) -> bool:
        """Say whether a controller listens there; where not, warn: it may come later."""
        if _own(ip, port) is not None or listens(self, ip, port):
            return True
        where = "in this guest, where alone a script in a guest looks" if IN_GUEST in os.environ else "here"
        stock.log.warn(f"Unable to contact the remote controller at {ip}:{port} {where}; switches keep trying\n")
        return False


def _own(ip: str, port: int) -> Controller | None:
    """Return the controller of ours that has this address beside the switches."""
    here = [one for one in _known if one.learns and not one.inNamespace and one.room is not None]
    return next((one for one in here if (one.IP(), one.port) == (ip, port)), None)


def listens(node: Any, ip: str, port: int) -> bool:
    """Say whether something accepts a connection, as seen from a node."""
    try:
        with node.room.inside(), socket.create_connection((ip, port), _TRY):
            return True
    except OSError:
        return False


def check_address(controller: Any, ip: Any, port: Any) -> None:
    """Check a controller's address; a port that is None is still to be found.

    Raises:
        BadInput: it is not an IPv4 address and a port.
    """
    where = f"controller {controller.name}"
    try:
        ipaddress.IPv4Address(ip)
    except ValueError:
        raise BadInput(f"{where}: ip={ip!r}: expected an IPv4 address, such as '127.0.0.1'") from None
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 1 << 16):
        raise BadInput(f"{where}: port={port!r}: expected a number, 1 to 65535")
