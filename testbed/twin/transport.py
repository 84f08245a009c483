"""The shell of a twin's node, through the agent: what `SshTransport` is to the hardware."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from adapters.base import Completed
from adapters.ssh import check_accepted
from testbed.emulator.client import Client
from testbed.emulator.messages import Exec, Exited, Output, Reply, Vty, VtyOutput, WriteFile
from testbed.errors import AgentError, DeviceError, NotRunning

_DAEMONS = (
    ("show ip ospf", "ospfd"),
    ("show bgp", "bgpd"),
    ("show ip bgp", "bgpd"),
    ("show isis", "isisd"),
    ("show ip route", "zebra"),
    ("show ipv6 route", "zebra"),
    ("show interface", "zebra"),
)
"""Who answers what, in the least time; what is not here goes to the vtysh that the agent keeps open in the node."""


class AgentTransport:
    """The `Transport` of a node of a lab. Not for several threads: the client is one thread's."""

    def __init__(self, client: Client, node: str, identity: str = "", *, owned: bool = False) -> None:
        """Take a client of the lab's agent.

        Args:
            identity: what proves which lab it is, where that matters. owned: the client is closed with this.
        """
        self.name = node
        self._client, self._identity, self._owned = client, identity, owned

    def run(self, command: str, timeout: float = 10.0) -> Completed:
        """Run a POSIX shell command line in the node; standard error goes where standard output goes."""
        said: list[bytes] = []

        def keep(event: Reply) -> None:
            if isinstance(event, Output):
                said.append(event.data)

        request = Exec(node=self.name, argv=("/bin/sh", "-c", f"exec 2>&1\n{command}"), timeout=timeout)
        try:
            exited = self._client.call(request, on_event=keep, timeout=timeout + 10.0)
        except AgentError as error:
            raise DeviceError(f"{self.name}: {error}") from None
        assert isinstance(exited, Exited)
        out = b"".join(said).decode("utf-8", "surrogateescape")
        if exited.code == 124:
            raise DeviceError(f"{self.name}: no end of {command.splitlines()[0]!r} in {timeout:g} s")
        return Completed(exited.code, out)

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file in the node's own view of the file system."""
        try:
            self._client.call(WriteFile(node=self.name, path=path, data=data, mode=mode))
        except AgentError as error:
            raise DeviceError(f"{self.name}: cannot write {path}: {error}") from None

    def vtysh(self, commands: Sequence[str], timeout: float = 10.0) -> list[str]:
        """Ask the daemons themselves, or vtysh where the answer is put together from several."""
        groups = groupby(commands, _who_answers)
        outputs = [output for daemon, group in groups for output in self._ask(daemon, tuple(group), timeout)]
        for command, output in zip(commands, outputs, strict=True):
            check_accepted(self.name, command, output)
        return outputs

    def host_key(self) -> str:
        """The lab's, whose agent has proven itself by CURVE; empty in a fork."""
        return self._identity

    def close(self) -> None:
        """Nothing of the node's is held; the client is its owner's."""
        if self._owned:
            self._client.close()

    def _ask(self, daemon: str, commands: tuple[str, ...], timeout: float) -> Sequence[str]:
        request = Vty(node=self.name, daemon=daemon, commands=commands, timeout=timeout)
        try:
            answer = self._client.call(request, timeout=timeout + 5.0)
        except NotRunning:
            return [f"{daemon} is not running"] * len(commands)
        except AgentError as error:
            raise DeviceError(f"{self.name}: {daemon}: {', '.join(commands)!r}: {error}") from None
        assert isinstance(answer, VtyOutput)
        return answer.outputs


def _who_answers(command: str) -> str:
    return next((daemon for prefix, daemon in _DAEMONS if command.startswith(prefix)), "vtysh")
