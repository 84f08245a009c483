"""The contract of every substrate: start an agent in a kernel, know whether it lives, take everything away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from testbed.model.topology import GuestOptions
from testbed.substrate.folder import LabFolder


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a lab's kernel and agent run; when not, why, with the last lines of the console."""

    alive: bool
    reason: str = ""
    console: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """A TCP port of the management network that the controller can reach: loopback here, address there."""

    listen: str
    listen_port: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start.

    Attributes:
        guest: memory of each guest, and how many.
        forwards: management addresses made reachable (racks).
        controllers: OpenFlow controllers outside the lab that its switches may reach, such as `tcp:127.0.0.1:6653`; the
            address is the lab's machine's, and nothing else can be reached that way.
        offline_build: path below the lab folder of a msgpack `Build`; the agent builds it at boot and has **no**
            control channel (a rack: the controller's only way in is SSH). None for a lab with an agent channel.
    """

    guest: GuestOptions
    forwards: tuple[Forward, ...] = ()
    offline_build: str | None = None
    controllers: tuple[str, ...] = ()


class Substrate(Protocol):
    """Where a lab runs. Every method may be called again after a crash anywhere."""

    @property
    def name(self) -> str: ...

    def start(self, folder: LabFolder, options: StartOptions) -> None:
        """Boot; return when the agent answers (or, offline, when it has built), with its endpoint in the folder.

        Raises:
            Unable: this machine lacks something; the message has the command that mends it.
            GuestFailed: the kernel or the agent died while starting; the console's last lines are in the message.
        """
        ...

    def reach(self, folder: LabFolder) -> None:
        """See that the lab's endpoints lead to its agents, where they are not on this machine.

        Raises:
            Unable: they cannot be reached, and what to do.
        """
        ...

    def liveness(self, folder: LabFolder) -> Liveness: ...

    def stop(self, folder: LabFolder) -> None:
        """Remove every process, namespace, device and temporary file of the lab, even one half started."""
        ...
