"""FRR routers: the real ones over SSH, and the twin's through the agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from adapters import device_tools, frr_config, frr_facts
from adapters.base import Capability, Counters, Facts, Transport
from adapters.shell import ShellAdapter
from adapters.transaction_script import Hooks
from testbed.errors import BadInput, DeviceError
from testbed.model.change import InterfaceStep

STARTUP = "/etc/frr/frr.conf"
_CLEAN = r"-e 's/[[:space:]]*$//' -e '/^[[:space:]]*!/d' -e '/^$/d' -e '/^end$/d'"

HOOKS = Hooks(
    snapshot=f"    timeout 30 vtysh -c 'show running-config' | sed -e '1,/^Current configuration:/d' {_CLEAN}",
    saved=f"    sed {_CLEAN} {STARTUP}",
    apply='    said=$(timeout 60 vtysh -f "$1" 2>&1)\n'
    "    code=$?\n"
    '    [ -z "$said" ] || printf \'%s\\n\' "$said"\n'
    "    case $said in *'% '*) return 1 ;; esac\n"
    '    [ "$code" -eq 0 ]',
    persist="    timeout 30 vtysh -c 'write memory'",
    leave="    :",
)


class FrrAdapter(ShellAdapter[frr_config.Config]):
    """An `Adapter` for FRR 8 and later with integrated configuration (one frr.conf), over any transport."""

    family: ClassVar[str] = "frr"
    capabilities: frozenset[Capability] = frozenset(Capability) - {Capability.THROUGHPUT}
    startup: ClassVar[str] = STARTUP
    untraced: ClassVar[str] = (
        "Is its daemon running, and is the line written in full, as `show running-config` prints it?"
    )

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport, frr_config, HOOKS)
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
            running_config=self._normal(config),
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
        return self._normal(self._transport.vtysh(("show running-config",))[0])

    def commit(self, transaction: str, revert_after: float) -> None:
        self._protocols = None
        super().commit(transaction, revert_after)

    def rollback(self, transaction: str) -> None:
        self._protocols = None
        super().rollback(transaction)

    def _normal(self, startup: str) -> str:
        return "".join(f"{line}\n" for line in frr_config.meaningful(startup))

    def _keep(self, transaction: str) -> None:
        self._transport.vtysh(("write memory",))

    def _interface_names(self) -> Collection[str]:
        return self._ask((frr_facts.INTERFACES,))[frr_facts.INTERFACES] or {}

    def _interface_lines(self, step: InterfaceStep) -> str:
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
        return "".join(
            f"{line}\n" for line in (f"interface {step.interface}", *(f" {text}" for text in settings), "exit")
        )

    def _ask(self, questions: Sequence[str]) -> dict[str, Any]:
        answers = self._transport.vtysh(questions)
        return {question: _json(self.name, question, text) for question, text in zip(questions, answers, strict=True)}


def _json(device: str, question: str, text: str) -> Any:
    """None where the daemon asked is not there; that a daemon cannot be read is never taken for "nothing"."""
    if text.strip().endswith("is not running"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise DeviceError(f"{device}: {question!r} gave no JSON but {text.strip()[:200]!r}") from None
