"""FRR routers: the real ones over SSH, and the twin's through the agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from adapters import device_tools, frr_config, frr_facts, transaction_script
from adapters.base import (
    Capability,
    Counters,
    Facts,
    Loaded,
    PingResult,
    TracerouteResult,
    TransactionState,
    Transport,
)
from testbed.errors import BadInput, DeviceError, nearest
from testbed.model.change import InterfaceStep, Step

STARTUP = "/etc/frr/frr.conf"
_CLEAN = r"-e 's/[[:space:]]*$//' -e '/^[[:space:]]*!/d' -e '/^$/d' -e '/^end$/d'"

HOOKS = transaction_script.Hooks(
    snapshot=f"    timeout 30 vtysh -c 'show running-config' | sed -e '1,/^Current configuration:/d' {_CLEAN}",
    saved=f"    sed {_CLEAN} {STARTUP}",
    apply='    said=$(timeout 60 vtysh -f "$1" 2>&1)\n'
    "    code=$?\n"
    '    [ -z "$said" ] || printf \'%s\\n\' "$said"\n'
    "    case $said in *'% '*) return 1 ;; esac\n"
    '    [ "$code" -eq 0 ]',
    persist="    timeout 30 vtysh -c 'write memory'",
)


class FrrAdapter:
    """An `Adapter` for FRR 8 and later with integrated configuration (one frr.conf), over any transport."""

    family: ClassVar[str] = "frr"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.THROUGHPUT}

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport
        self._cpu = device_tools.CpuMeter()
        self._protocols: frozenset[str] | None = None

    def collect(self) -> Facts:
        """Read all that `Facts` holds, in two round trips."""
        system = device_tools.read_system(self._transport)
        config, version = self._transport.vtysh(("show running-config", "show version"))
        self._protocols = frr_facts.protocols(config)
        answers = self._ask(frr_facts.questions(self._protocols, detail=True))
        return Facts(
            device=self.name,
            measured=system.measured,
            hostname=system.hostname,
            version=frr_facts.version(version),
            router_id=frr_facts.router_id(answers),
            interfaces=frr_facts.interfaces(answers, system.counters),
            neighbours=frr_facts.neighbours(answers),
            routes=frr_facts.routes(answers),
            lsdb=frr_facts.lsdb(answers),
            running_config=_text(config),
            cpu=self._cpu.busy(system.cpu),
            memory=system.memory,
            clock_offset=system.clock_offset,
        )

    def counters(self) -> Counters:
        """Read interfaces and neighbours only."""
        if self._protocols is None:
            self._protocols = frr_facts.protocols(self._transport.vtysh(("show running-config",))[0])
        answers = self._ask(frr_facts.questions(self._protocols, detail=False))
        measured, counters = device_tools.read_counters(self._transport)
        interfaces = frr_facts.interfaces(answers, counters)
        return Counters(self.name, measured, interfaces, frr_facts.neighbours(answers))

    def running_config(self) -> str:
        return _text(self._transport.vtysh(("show running-config",))[0])

    def config_hash(self) -> str:
        return frr_config.digest(self._config())

    def render(self, steps: Sequence[Step]) -> str:
        """Write the lines of all steps, configuration steps as they are.

        Raises:
            BadInput: a setting FRR cannot make, or an interface that this device has not.
        """
        return "".join(self._render(step) for step in steps)

    def load(self, transaction: str, lines: str) -> Loaded:
        frr_config.check(lines)
        before_text = self.running_config()
        before = frr_config.parse(before_text)
        after = frr_config.apply(before, lines)
        rollback = frr_config.difference(after, before)
        files = {"lines": lines, "rollback": rollback, "before": before_text}
        transaction_script.load(self._transport, transaction, HOOKS, files)
        diff = frr_config.unified(before, after, self.name)
        return Loaded(transaction, lines, rollback, diff, frr_config.digest(before))

    def commit(self, transaction: str, revert_after: float) -> None:
        if self.state(transaction) is TransactionState.LOADED:
            self._check_unchanged(transaction)
        transaction_script.commit(self._transport, transaction, revert_after)
        self._protocols = None
        try:
            self._prove(transaction)
        except DeviceError:
            self.rollback(transaction)
            raise

    def confirm(self, transaction: str) -> None:
        transaction_script.confirm(self._transport, transaction)

    def rollback(self, transaction: str) -> None:
        self._protocols = None
        if transaction_script.rollback(self._transport, transaction) is TransactionState.REVERTED:
            (text,) = transaction_script.read(self._transport, transaction, "before")
            now, before = self._config(), frr_config.parse(text)
            if frr_config.digest(now) != frr_config.digest(before):
                difference = frr_config.unified(before, now, self.name)
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

    def _config(self) -> frr_config.Config:
        return frr_config.parse(self.running_config())

    def _ask(self, questions: Sequence[str]) -> dict[str, Any]:
        answers = self._transport.vtysh(questions)
        return {question: _json(self.name, question, text) for question, text in zip(questions, answers, strict=True)}

    def _render(self, step: Step) -> str:
        if not isinstance(step, InterfaceStep):
            frr_config.check(step.configuration)
            return step.configuration if step.configuration.endswith("\n") else step.configuration + "\n"
        known = self._ask(("show interface json",))["show interface json"] or {}
        if step.interface not in known:
            hint = nearest(step.interface, known)
            raise BadInput(f"{self.name} has no interface {step.interface!r}{hint} (it has {', '.join(sorted(known))})")
        return interface_lines(step)

    def _check_unchanged(self, transaction: str) -> None:
        """See that the device is as it was at `load`, and that a reboot would bring just that back."""
        before, startup = transaction_script.read(self._transport, transaction, "before", STARTUP)
        if self.running_config() != before:
            raise DeviceError(f"{self.name}: its configuration is not what it was at `load`; load the transaction anew")
        if _text(startup) != before:
            self._transport.vtysh(("write memory",))

    def _prove(self, transaction: str) -> None:
        """Look for every line in the running configuration; sharpen the rollback when the model foretold another."""
        after = self._config()
        lines, text, foretold = transaction_script.read(self._transport, transaction, "lines", "before", "rollback")
        if lost := frr_config.without_trace(lines, after):
            raise DeviceError(
                f"{self.name}: no trace in the running configuration of {'; '.join(lost)}. Is its daemon running, and "
                "is the line written in full, as `show running-config` prints it? The old configuration was put back"
            )
        rollback = frr_config.difference(after, frr_config.parse(text))
        if rollback != foretold:
            self._transport.write(f"{transaction_script.folder(transaction)}/rollback", rollback.encode())


def interface_lines(step: InterfaceStep) -> str:
    """Render a typed step as FRR's lines.

    Raises:
        BadInput: it sets what FRR's configuration does not hold (an MTU).
    """
    if step.mtu is not None:
        raise BadInput(
            f"{step.device}: {step.interface}: FRR cannot set an MTU; take the step out, or use the `linux` adapter"
        )
    renderers: tuple[tuple[object, Callable[[], str]], ...] = (
        (step.description, lambda: f"description {step.description}" if step.description else "no description"),
        (step.cost, lambda: f"ip ospf cost {step.cost}"),
        (step.enabled, lambda: "no shutdown" if step.enabled else "shutdown"),
    )
    settings = [render() for value, render in renderers if value is not None]
    return "".join(f"{line}\n" for line in (f"interface {step.interface}", *(f" {text}" for text in settings), "exit"))


def _text(config: str) -> str:
    return "".join(f"{line}\n" for line in frr_config.meaningful(config))


def _json(device: str, question: str, text: str) -> Any:
    """None where the daemon asked is not there; that a daemon cannot be read is never taken for "nothing"."""
    if text.strip().endswith("is not running"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise DeviceError(f"{device}: {question!r} gave no JSON but {text.strip()[:200]!r}") from None
