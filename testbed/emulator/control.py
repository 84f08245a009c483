"""The controller of a lab's switches, as the agent sees it: a process beside them, asked over a socket."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
from testbed.emulator.segments import SwitchSettings
from testbed.errors import BadInput, NotReady

_Answer = TypeVar("_Answer", Installed, Counted, WasRead)
START_PATIENCE = 60.0
OWN = "testbed"
LOG = "controller.log"
"""In /run of the switches; empty while all is well."""
COMMAND = (sys.executable, "-m", "testbed.control.app")


def environment() -> dict[str, str]:
    """Return the controller's environment: this project, nothing written beside it, os-ken on native threads."""
    project = str(Path(__file__).resolve().parents[2])
    return {**ENVIRONMENT, "PYTHONPATH": project, "PYTHONDONTWRITEBYTECODE": "1", "OSKEN_HUB_TYPE": "native"}


def network_of(build: Build) -> Network:
    """Return what the controller is to know of a lab: segments, the cables between them, who is on their ports."""
    segments = {node.name: node.segment for node in build.nodes if node.kind in ("bridge", "switch")}
    own = {name: it.dpid for name, it in segments.items() if isinstance(it, SwitchSettings) and it.controller == OWN}
    cables, stations, used = [], [], dict.fromkeys(segments, 0)
    for number, link in enumerate(build.links):
        names = (link.ends[0].node, link.ends[1].node)
        ports = tuple(_next(used, name) for name in names)
        inside = [name in segments for name in names]
        if all(inside):
            cables.append(Cable(link=link.name, ends=names, ports=(ports[0], ports[1])))
        elif any(inside):
            at = inside.index(True)
            mac = ":".join(f"{byte:02x}" for byte in mac_of(build.guest, number, 1 - at))
            stations.append(Station(node=names[1 - at], mac=mac, segment=names[at], port=ports[at], link=link.name))
    return Network(switches=own, cables=tuple(cables), stations=tuple(stations), slices=build.slices)


def _next(used: dict[str, int], name: str) -> int:
    if name in used:
        used[name] += 1
    return used.get(name, 0)


class Controller:
    """A connection to the controller. Thread-safe: one question at a time."""

    def __init__(self, run: int, network: Network, start: Callable[[], Process]) -> None:
        """Start the process; `connect` waits for it.

        Args:
            run: descriptor of the /run that it shares with the switches.
        """
        self._folder, self._name = f"/proc/self/fd/{run}", os.path.basename(SOCKET)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.network, self.policy = network, Policy()
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

    def install(self, policy: Policy) -> None:
        """Let all switches forward by a policy; return when they do.

        Raises:
            BadInput: the policy cannot be; nothing was changed. NotReady: some do not; the message names them.
        """
        answer = self._ask(Install(network=self.network, policy=policy), Installed)
        if answer.refused:
            raise BadInput(answer.refused)
        self.policy = policy
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
