"""The controller of a lab's switches, as the agent sees it: a process beside them, asked over a socket."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from testbed.control.messages import (
    SOCKET,
    Cable,
    Count,
    Counted,
    Install,
    Installed,
    Network,
    Policy,
    Read,
    Station,
    WasRead,
    receive,
    send,
)
from testbed.emulator.execute import ENVIRONMENT, Process
from testbed.emulator.links import mac_of
from testbed.emulator.messages import Build
from testbed.emulator.namespaces import watch
from testbed.emulator.segments import Control, SwitchSettings
from testbed.errors import BadInput, NotReady

_Answer = TypeVar("_Answer", Installed, Counted, WasRead)
START_PATIENCE = 60.0
OWN = "testbed"
LOG = "controller.log"
"""In /run of the switches; empty while all is well."""
COMMAND = (sys.executable, "-m", "testbed.control.app")
"""Lacks the address that it listens at."""


def environment() -> dict[str, str]:
    """Return the controller's environment: this project, nothing written beside it, os-ken on native threads."""
    project = str(Path(__file__).resolve().parents[2])
    return {**ENVIRONMENT, "PYTHONPATH": project, "PYTHONDONTWRITEBYTECODE": "1", "OSKEN_HUB_TYPE": "native"}


class _End(NamedTuple):
    """One end of a link: the node, the number of its port (0 of what is no switch or bridge), its MAC."""

    node: str
    port: int
    mac: str


def control_of(
    parts: Sequence[Build],
    wires: Mapping[str, int] | None = None,
    ports: Mapping[tuple[str, str], int] | None = None,
) -> Control:
    """Return what the controller is to know of a lab: segments, the cables between them, who is on their ports.

    Args:
        parts: of the lab, one for each guest.
        wires: links' numbers, of which their MACs are made; counted in their order where not given.
        ports: (switch, interface) to the port's number; counted in the order of the links where not given.
    """
    segments = {node.name: node.segment for part in parts for node in part.nodes if node.kind in ("bridge", "switch")}
    own = {name: it.dpid for name, it in segments.items() if isinstance(it, SwitchSettings) and it.controller == OWN}
    interfaces: dict[str, dict[int, str]] = {name: {} for name in segments}
    cables: list[Cable] = []
    stations: list[Station] = []
    for link, (first, second) in _links(parts, interfaces, wires, ports or {}).items():
        inside = [end.node in segments for end in (first, second)]
        if all(inside):
            cables.append(Cable(link=link, ends=(first.node, second.node), ports=(first.port, second.port)))
        elif any(inside):
            station, at = (second, first) if inside[0] else (first, second)
            stations.append(Station(node=station.node, mac=station.mac, segment=at.node, port=at.port, link=link))
    guests = [part.guest for part in parts if any(node.name in own for node in part.nodes)]
    network = Network(switches=own, cables=tuple(cables), stations=tuple(stations), slices=parts[0].slices)
    first_guest, others = next(iter(guests), 0), tuple(guests[1:])
    policy = parts[0].policy or Policy()
    return Control(network=network, interfaces=interfaces, policy=policy, guest=first_guest, others=others)


def _links(
    parts: Sequence[Build],
    interfaces: dict[str, dict[int, str]],
    wires: Mapping[str, int] | None,
    ports: Mapping[tuple[str, str], int],
) -> dict[str, tuple[_End, _End]]:
    """Return both ends of each link, as the parts have them that have their nodes; number the ports on the way."""
    found: dict[str, dict[int, _End]] = {}
    for part in parts:
        here = {node.name for node in part.nodes}
        for position, link in enumerate(part.links):
            number = position if wires is None else wires[link.name]
            for side, end in enumerate(link.ends):
                if end.node not in here:
                    continue
                port = 0
                if end.node in interfaces:
                    port = ports.get((end.node, end.interface), len(interfaces[end.node]) + 1)
                    interfaces[end.node][port] = end.interface
                mac = ":".join(f"{byte:02x}" for byte in mac_of(part.guest, number, side))
                found.setdefault(link.name, {})[side] = _End(end.node, port, mac)
    return {link: (ends[0], ends[1]) for link, ends in found.items()}


class Controller:
    """A connection to the controller. Thread-safe: one question at a time."""

    def __init__(self, run: int, told: Control, start: Callable[[], Process]) -> None:
        """Start the process; `connect` waits for it.

        Args:
            run: descriptor of the /run that it shares with the switches. told: what it is to know.
        """
        self._folder, self._name = f"/proc/self/fd/{run}", os.path.basename(SOCKET)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.network, self.policy = told.network, told.policy
        self._appearing = watch(self._folder)
        self.process = start()

    def connect(self, died: Callable[[], str]) -> None:
        """Wait until the controller listens.

        Raises:
            NotReady: it ended, or takes too long.
        """
        deadline = time.monotonic() + START_PATIENCE
        while not os.path.exists(f"{self._folder}/{self._name}"):
            if died() or time.monotonic() > deadline:
                raise NotReady(died() or f"the controller did not start within {START_PATIENCE:g} s")
            if select.select([self._appearing], [], [], 0.2)[0]:
                os.read(self._appearing, 65536)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.connect(f"{self._folder}/{self._name}")

    def install(self, policy: Policy, network: Network | None = None) -> None:
        """Let all switches forward by a policy, in another network where one is given; return when they do.

        Raises:
            BadInput: the policy cannot be; nothing was changed. NotReady: some do not; the message names them.
        """
        network = network or self.network
        answer = self._ask(Install(network=network, policy=policy), Installed)
        if answer.refused:
            raise BadInput(answer.refused)
        self.network, self.policy = network, policy
        if answer.missing:
            raise NotReady(f"these switches did not take what the controller wrote: {', '.join(answer.missing)}")

    def check(self, policy: Policy) -> None:
        """Make sure that a policy can be.

        Raises:
            BadInput: it cannot.
        """
        answer = self._ask(Install(network=self.network, policy=policy, only_check=True), Installed)
        if answer.refused:
            raise BadInput(answer.refused)

    def count(self) -> Counted:
        """Return what the switches have counted.

        Raises:
            NotReady: the controller has gone.
        """
        return self._ask(Count(), Counted)

    def read(self) -> WasRead:
        """Return what is written in the switches.

        Raises:
            NotReady: the controller has gone.
        """
        return self._ask(Read(), WasRead)

    def _ask(self, request: Install | Count | Read, kind: type[_Answer]) -> _Answer:
        with self._lock:
            assert self._socket is not None
            try:
                send(self._socket, request)
                answer = receive(self._socket)
            except OSError as error:
                raise NotReady(f"the controller has gone: {error.strerror}") from None
        if not isinstance(answer, kind):
            raise NotReady("the controller has gone")
        return answer

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = Path(f"{self._folder}/{LOG}").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        os.close(self._appearing)
        if self._socket is not None:
            self._socket.close()
