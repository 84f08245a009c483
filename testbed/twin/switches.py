"""All switches of a lab's own controller as one device: the `Adapter` that changes where they send packets.

The transaction is in the agent (`testbed.emulator.arranging`), with its own timer, as a router's is on the router.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from adapters.base import (
    Capability,
    Counters,
    Facts,
    Loaded,
    PingResult,
    TracerouteResult,
    TransactionState,
)
from testbed.control import language
from testbed.emulator.client import Client
from testbed.emulator.segments import Arrange, ReadSwitches
from testbed.errors import BadInput, DeviceError, Refused, TestbedError
from testbed.model.change import SWITCHES, Step, SwitchStep


class SwitchAdapter:
    """An `Adapter` for the switches of one lab. Not for several threads: the client is one thread's.

    Attributes:
        capabilities: no persistence: what is confirmed lasts as long as the lab.
    """

    family: ClassVar[str] = "openflow"
    name = SWITCHES
    capabilities: frozenset[Capability] = frozenset({Capability.DIFF, Capability.COMMIT, Capability.REVERT_TIMER})

    def __init__(self, client: Client, identity: str = "", *, owned: bool = False) -> None:
        """Take a client of the lab's agent; the rest as for `AgentTransport`."""
        self._client, self._identity, self._owned = client, identity, owned

    def host_key(self) -> str:
        return self._identity

    def collect(self) -> Facts:
        self._cannot("facts of one device: `testbed switch stats` counts ports and flows")

    def counters(self) -> Counters:
        self._cannot("counters of one device: `testbed switch stats` counts ports and flows")

    def ping(
        self, destination: str, source: str | None = None, count: int = 20, interval: float = 0.02, dscp: int = 0
    ) -> PingResult:
        self._cannot("a ping: they have no addresses")

    def traceroute(self, destination: str, source: str | None = None) -> TracerouteResult:
        self._cannot("a traceroute: they have no addresses")

    def _cannot(self, what: str) -> NoReturn:
        raise DeviceError(f"{self.name}: switches have no {what}")

    def running_config(self) -> str:
        """The policy as lines, under a digest of the network it is for."""
        said = self._ask(ReadSwitches())
        return language.configuration(said.network, said.policy)

    def config_hash(self) -> str:
        return _digest(self.running_config())

    def render(self, steps: Sequence[Step]) -> str:
        """Write steps as lines.

        Raises:
            BadInput: a step is for a device with a configuration.
        """
        return "".join(_render(step) for step in steps)

    def load(self, transaction: str, lines: str) -> Loaded:
        told = self._ask(Arrange(transaction=transaction, act="load", lines=lines))
        before, after = told.before.splitlines(keepends=True), told.after.splitlines(keepends=True)
        diff = "".join(difflib.unified_diff(before, after, f"{self.name} before", f"{self.name} after"))
        return Loaded(transaction, lines, told.rollback, diff, _digest(told.before))

    def commit(self, transaction: str, revert_after: float) -> None:
        self._ask(Arrange(transaction=transaction, act="commit", revert_after=revert_after))

    def confirm(self, transaction: str) -> None:
        self._ask(Arrange(transaction=transaction, act="confirm"))

    def rollback(self, transaction: str) -> None:
        self._ask(Arrange(transaction=transaction, act="rollback"))

    def state(self, transaction: str) -> TransactionState:
        return TransactionState(self._ask(Arrange(transaction=transaction, act="state")).state)

    def forget(self, transaction: str) -> None:
        self._ask(Arrange(transaction=transaction, act="forget"))

    def close(self) -> None:
        """Nothing is held; the client is its owner's."""
        if self._owned:
            self._client.close()

    def _ask(self, request: Arrange | ReadSwitches) -> Any:
        try:
            return self._client.call(request)
        except TestbedError as error:
            if isinstance(error, DeviceError | BadInput | Refused):
                raise
            raise DeviceError(f"{self.name}: {error}") from None


def _render(step: Step) -> str:
    if not isinstance(step, SwitchStep):
        raise BadInput(f"{SWITCHES} take the steps drain, restore, pin and unpin; {step.device} is no device of theirs")
    lines = [f"{word} {' '.join(links)}" for word, links in (("drain", step.drain), ("restore", step.restore)) if links]
    if step.unpin:
        lines.append(f"unpin {step.unpin.source} {step.unpin.destination}")
    if step.pin:
        lines.append(f"pin {step.pin.source} {step.pin.destination} {' '.join(step.pin.links)}")
    return "".join(f"{line}\n" for line in lines)


def _digest(configuration: str) -> str:
    return hashlib.sha256(configuration.encode()).hexdigest()
