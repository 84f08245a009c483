"""What every device with a POSIX shell has in common: the transaction that lives on the device, ping, traceroute.

A family adds how its configuration is read, how its language works (a `Dialect`) and how its lines become active (the
`Hooks` of its transaction script).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from adapters import device_tools, transaction_script
from adapters.base import Loaded, PingResult, TracerouteResult, TransactionState, Transport
from testbed.errors import BadInput, DeviceError, nearest
from testbed.model.change import ConfigurationStep, InterfaceStep, Step, SwitchStep

_C = TypeVar("_C")


class Dialect(Protocol[_C]):
    """A family's configuration language, with a parsed configuration as `_C`; a module is one."""

    def parse(self, text: str, /) -> _C:
        """Read what `running_config` returns."""
        ...

    def check(self, lines: str, /) -> None:
        """Refuse lines that cannot be sent: they could not be understood, or not be undone. Raises BadInput."""
        ...

    def apply(self, config: _C, lines: str, /) -> _C:
        """Foretell the configuration after lines."""
        ...

    def difference(self, old: _C, new: _C, /) -> str:
        """The lines that turn `old` into `new`."""
        ...

    def without_trace(self, lines: str, after: _C, /) -> list[str]:
        """Settings of `lines` that should now be in `after`, and are not."""
        ...

    def unified(self, old: _C, new: _C, device: str, /) -> str:
        """A unified diff for people."""
        ...

    def digest(self, config: _C, /) -> str:
        """SHA-256 (hex) of a configuration."""
        ...


class ShellAdapter(ABC, Generic[_C]):
    """The part of an `Adapter` that is the same for every device with a POSIX shell.

    Attributes:
        startup: file on the device whose content a boot makes the running configuration.
        untraced: what may have happened to a line that is accepted and leaves no trace.
    """

    startup: ClassVar[str]
    untraced: ClassVar[str]

    def __init__(self, transport: Transport, dialect: Dialect[_C], hooks: transaction_script.Hooks) -> None:
        self.name = transport.name
        self._transport = transport
        self._dialect = dialect
        self._hooks = hooks
        self._cpu = device_tools.CpuMeter()

    @abstractmethod
    def running_config(self) -> str:
        """The running configuration, as the hook `snapshot` prints it on the device."""

    @abstractmethod
    def _normal(self, startup: str) -> str:
        """A startup configuration in the manner of `running_config`."""

    @abstractmethod
    def _keep(self, transaction: str) -> None:
        """Make the running configuration the one that a boot brings."""

    @abstractmethod
    def _interface_names(self) -> Collection[str]:
        """Names of the interfaces that the device has."""

    @abstractmethod
    def _interface_lines(self, step: InterfaceStep) -> str:
        """Write a typed step as lines. Raises BadInput for what the family cannot set."""

    def host_key(self) -> str:
        return self._transport.host_key()

    def config_hash(self) -> str:
        return self._dialect.digest(self._config())

    def render(self, steps: Sequence[Step]) -> str:
        """Write all steps as the family's lines, configuration steps as they are.

        Raises:
            BadInput: a line or setting that the family cannot make, or an interface that this device has not.
        """
        typed = any(isinstance(step, InterfaceStep) for step in steps)
        known = self._interface_names() if typed else ()
        return "".join(self._render(step, known) for step in steps)

    def load(self, transaction: str, lines: str) -> Loaded:
        self._dialect.check(lines)
        before_text = self.running_config()
        before = self._dialect.parse(before_text)
        after = self._dialect.apply(before, lines)
        rollback = self._dialect.difference(after, before)
        files = {"lines": lines, "rollback": rollback, "before": before_text}
        transaction_script.load(self._transport, transaction, self._hooks, files)
        diff = self._dialect.unified(before, after, self.name)
        return Loaded(transaction, lines, rollback, diff, self._dialect.digest(before))

    def commit(self, transaction: str, revert_after: float) -> None:
        if self.state(transaction) is TransactionState.LOADED:
            self._check_unchanged(transaction)
        transaction_script.commit(self._transport, transaction, revert_after)
        try:
            self._prove(transaction)
        except DeviceError:
            self.rollback(transaction)
            raise

    def confirm(self, transaction: str) -> None:
        transaction_script.confirm(self._transport, transaction)

    def rollback(self, transaction: str) -> None:
        if transaction_script.rollback(self._transport, transaction) is TransactionState.REVERTED:
            (text,) = transaction_script.read(self._transport, transaction, "before")
            before, now = self._dialect.parse(text), self._config()
            if self._dialect.digest(now) != self._dialect.digest(before):
                difference = self._dialect.unified(before, now, self.name)
                raise DeviceError(f"{self.name}: THE OLD CONFIGURATION IS NOT BACK after {transaction}:\n{difference}")

    def state(self, transaction: str) -> TransactionState:
        return transaction_script.state(self._transport, transaction)

    def forget(self, transaction: str) -> None:
        transaction_script.forget(self._transport, transaction)

    def ping(
        self, destination: str, source: str | None = None, count: int = 20, interval: float = 0.02, dscp: int = 0
    ) -> PingResult:
        return device_tools.ping(self._transport, destination, source, count=count, interval=interval, dscp=dscp)

    def traceroute(self, destination: str, source: str | None = None) -> TracerouteResult:
        return device_tools.traceroute(self._transport, destination, source)

    def close(self) -> None:
        self._transport.close()

    def _config(self) -> _C:
        return self._dialect.parse(self.running_config())

    def _render(self, step: Step, known: Collection[str]) -> str:
        if isinstance(step, SwitchStep):
            raise BadInput(f"{self.name} has no paths of switches to drain or pin: such steps are for a lab's switches")
        if isinstance(step, ConfigurationStep):
            self._dialect.check(step.configuration)
            return step.configuration if step.configuration.endswith("\n") else step.configuration + "\n"
        if step.interface not in known:
            hint = nearest(step.interface, known)
            raise BadInput(f"{self.name} has no interface {step.interface!r}{hint} (it has {', '.join(sorted(known))})")
        return self._interface_lines(step)

    def _check_unchanged(self, transaction: str) -> None:
        """See that the device is as it was at `load`, and that a boot would bring just that back."""
        before, startup = transaction_script.read(self._transport, transaction, "before", self.startup)
        if self.running_config() != before:
            raise DeviceError(f"{self.name}: its configuration is not what it was at `load`; load the transaction anew")
        if self._normal(startup) != before:
            self._keep(transaction)

    def _prove(self, transaction: str) -> None:
        """See that every line is in force; sharpen the rollback when the device did more, or else, than foretold."""
        after = self._config()
        lines, text, foretold = transaction_script.read(self._transport, transaction, "lines", "before", "rollback")
        if lost := self._dialect.without_trace(lines, after):
            raise DeviceError(
                f"{self.name}: no trace in the running configuration of {'; '.join(lost)}. {self.untraced} "
                "The old configuration was put back"
            )
        rollback = self._dialect.difference(after, self._dialect.parse(text))
        if rollback != foretold:
            self._transport.write(f"{transaction_script.folder(transaction)}/rollback", rollback.encode())
