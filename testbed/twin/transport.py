"""The shell of a twin's node, through the agent: what `SshTransport` is to the hardware."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Completed
from adapters.ssh import check_accepted
from testbed.emulator.client import AgentClient
from testbed.emulator.messages import Exec, Exited, ListNodes, Nodes, Output, Reply, Vty, VtyOutput, WriteFile
from testbed.errors import AgentError, DeviceError

_DAEMONS = (
    ("show ip ospf", "ospfd"),
    ("show bgp", "bgpd"),
    ("show ip bgp", "bgpd"),
    ("show isis", "isisd"),
    ("show ip route", "zebra"),
    ("show ipv6 route", "zebra"),
    ("show interface", "zebra"),
)
"""Who answers what, so that no vtysh need be started; what is not here goes to a vtysh."""


class AgentTransport:
    """The `Transport` of a node of a lab. Not for several threads: the client is one thread's."""

    def __init__(self, client: AgentClient, node: str) -> None:
        self.name = node
        self._client = client

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
        outputs = [self._ask(command, timeout) for command in commands]
        for command, output in zip(commands, outputs, strict=True):
            check_accepted(self.name, command, output)
        return outputs

    def close(self) -> None:
        """Nothing of the node's is held; the client is its owner's."""

    def _ask(self, command: str, timeout: float) -> str:
        daemon = next((daemon for prefix, daemon in _DAEMONS if command.startswith(prefix)), None)
        if daemon is None:
            return self._through_vtysh(command, timeout)
        if not self._runs(daemon):
            return f"{daemon} is not running"
        try:
            answer = self._client.call(Vty(node=self.name, daemon=daemon, commands=(command,)), timeout=timeout)
        except AgentError as error:
            raise DeviceError(f"{self.name}: {daemon}: {command!r}: {error}") from None
        assert isinstance(answer, VtyOutput)
        return answer.outputs[0]

    def _through_vtysh(self, command: str, timeout: float) -> str:
        quoted = command.replace("'", "'\\''")
        done = self.run(f"exec vtysh -c '{quoted}'", timeout)
        if done.code and "% " not in done.out:
            raise DeviceError(f"{self.name}: vtysh failed on {command!r}: {done.out.strip()[-300:]}")
        return done.out

    def _runs(self, daemon: str) -> bool:
        nodes = self._client.call(ListNodes())
        assert isinstance(nodes, Nodes)
        return any(node.name == self.name and node.daemons.get(daemon, False) for node in nodes.nodes)
