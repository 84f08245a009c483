"""Plain Linux devices: interfaces, addresses and routes through iproute2."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from adapters import device_tools, linux_config, transaction_script
from adapters.base import (
    Capability,
    Counters,
    Facts,
    InterfaceFacts,
    Loaded,
    PingResult,
    Route,
    TracerouteResult,
    TransactionState,
    Transport,
)
from testbed.errors import BadInput, DeviceError, nearest
from testbed.model.change import InterfaceStep, Step

STARTUP = "/var/lib/testbed/startup.ip"
"""What a boot of such a device must run: `ip -force -batch /var/lib/testbed/startup.ip`."""

HOOKS = transaction_script.Hooks(
    snapshot=linux_config.SNAPSHOT,
    saved=f"    cat {STARTUP}",
    apply=r"""
    while IFS= read -r line; do
        case $line in "" | "#"*) continue ;; esac
        printf '%s\n' "${line#ip }" | timeout 30 ip -batch - && continue
        echo "rejected: $line"
        [ "$1" = lines ] && return 1
    done <"$1"
    return 0""",
    persist=f"    snapshot >{STARTUP}.new && sync {STARTUP}.new && mv -f {STARTUP}.new {STARTUP}",
)


class LinuxAdapter:
    """An `Adapter` for a Linux device without a routing daemon of its own."""

    family: ClassVar[str] = "linux"
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability) - {Capability.THROUGHPUT}

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport
        self._cpu = device_tools.CpuMeter()

    def collect(self) -> Facts:
        system = device_tools.read_system(self._transport)
        return Facts(
            device=self.name,
            measured=system.measured,
            hostname=system.hostname,
            version=f"Linux {self._said('exec uname -r').strip()}",
            router_id=None,
            interfaces=self._interfaces(),
            neighbours=(),
            routes=self._routes(),
            lsdb=None,
            running_config=self.running_config(),
            cpu=self._cpu.busy(system.cpu),
            memory=system.memory,
            clock_offset=system.clock_offset,
        )

    def counters(self) -> Counters:
        start = time.time()
        interfaces = self._interfaces()
        return Counters(self.name, (start + time.time()) / 2, interfaces, ())

    def running_config(self) -> str:
        return self._said(linux_config.SNAPSHOT)

    def config_hash(self) -> str:
        return linux_config.digest(linux_config.parse(self.running_config()))

    def render(self, steps: Sequence[Step]) -> str:
        """Write all steps as lines of ip-batch(8).

        Raises:
            BadInput: a line or setting that could not be undone, or an interface that this device has not.
        """
        known = [interface.name for interface in self._interfaces()]
        return "".join(self._render(step, known) for step in steps)

    def load(self, transaction: str, lines: str) -> Loaded:
        before_text = self.running_config()
        before = linux_config.parse(before_text)
        after = linux_config.apply(before, lines)
        rollback = linux_config.difference(after, before)
        files = {"lines": lines, "rollback": rollback, "before": before_text}
        transaction_script.load(self._transport, transaction, HOOKS, files)
        diff = linux_config.unified(before, after, self.name)
        return Loaded(transaction, lines, rollback, diff, linux_config.digest(before))

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
            before, now = linux_config.parse(text), linux_config.parse(self.running_config())
            if linux_config.digest(now) != linux_config.digest(before):
                difference = linux_config.unified(before, now, self.name)
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

    def _said(self, command: str) -> str:
        done = self._transport.run(command)
        if done.code:
            raise DeviceError(f"{self.name}: {command.strip().splitlines()[0]!r} failed: {done.out.strip()[-300:]}")
        return done.out

    def _json(self, command: str) -> list[dict[str, Any]]:
        text = self._said(f"exec {command}")
        try:
            return json.loads(text or "[]")
        except ValueError:
            raise DeviceError(f"{self.name}: {command!r} gave no JSON but {text[:200]!r}") from None

    def _interfaces(self) -> tuple[InterfaceFacts, ...]:
        found = self._json("ip -j -s address show")
        return tuple(sorted((_interface(entry) for entry in found), key=lambda interface: interface.name))

    def _routes(self) -> tuple[Route, ...]:
        found = [*self._json("ip -j -4 -d route show"), *self._json("ip -j -6 -d route show")]
        kept = (entry for entry in found if not entry["dst"].startswith(("fe80:", "multicast", "ff00:")))
        return tuple(sorted((_route(entry) for entry in kept), key=lambda route: (route.prefix, route.metric)))

    def _render(self, step: Step, known: Sequence[str]) -> str:
        if not isinstance(step, InterfaceStep):
            linux_config.apply({}, step.configuration)
            return step.configuration if step.configuration.endswith("\n") else step.configuration + "\n"
        if step.interface not in known:
            hint = nearest(step.interface, known)
            raise BadInput(f"{self.name} has no interface {step.interface!r}{hint} (it has {', '.join(known)})")
        return interface_lines(step)

    def _check_unchanged(self, transaction: str) -> None:
        """See that the device is as it was at `load`, and that a boot would bring just that back."""
        before, startup = transaction_script.read(self._transport, transaction, "before", STARTUP)
        if self.running_config() != before:
            raise DeviceError(f"{self.name}: its configuration is not what it was at `load`; load the transaction anew")
        if startup != before:
            self._transport.write(STARTUP, before.encode())

    def _prove(self, transaction: str) -> None:
        """See that every line is in force; sharpen the rollback when the kernel did more (down takes routes away)."""
        after = linux_config.parse(self.running_config())
        lines, text, foretold = transaction_script.read(self._transport, transaction, "lines", "before", "rollback")
        if lost := linux_config.without_trace(lines, after):
            raise DeviceError(
                f"{self.name}: not in force after the commit: {'; '.join(lost)}; the old settings are back"
            )
        rollback = linux_config.difference(after, linux_config.parse(text))
        if rollback != foretold:
            self._transport.write(f"{transaction_script.folder(transaction)}/rollback", rollback.encode())


def interface_lines(step: InterfaceStep) -> str:
    """Render a typed step as lines of ip-batch(8).

    Raises:
        BadInput: it sets a routing cost, which belongs to a routing daemon.
    """
    if step.cost is not None:
        raise BadInput(f"{step.device}: {step.interface}: plain Linux has no cost; the `frr` adapter sets one")
    settings = [f"mtu {step.mtu}"] if step.mtu is not None else []
    settings += [f"alias {linux_config.quoted(step.description)}"] if step.description is not None else []
    settings += ["up" if step.enabled else "down"] if step.enabled is not None else []
    return "".join(f"link set dev {step.interface} {setting}\n" for setting in settings)


def _interface(entry: Mapping[str, Any]) -> InterfaceFacts:
    flags, stats = entry.get("flags", ()), entry.get("stats64") or entry.get("stats") or {}
    rx, tx = stats.get("rx", {}), stats.get("tx", {})
    addresses = (f"{a['local']}/{a['prefixlen']}" for a in entry.get("addr_info", ()) if a.get("scope") != "link")
    return InterfaceFacts(
        name=entry["ifname"],
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        addresses=tuple(addresses),
        mtu=entry["mtu"],
        mac=entry.get("address", ""),
        speed=None,
        description=entry.get("ifalias", ""),
        cost=None,
        rx_bytes=rx.get("bytes", 0),
        tx_bytes=tx.get("bytes", 0),
        rx_packets=rx.get("packets", 0),
        tx_packets=tx.get("packets", 0),
        rx_drops=rx.get("dropped", 0),
        tx_drops=tx.get("dropped", 0),
    )


def _route(entry: Mapping[str, Any]) -> Route:
    hops = entry.get("nexthops") or [entry]
    names = (f"{hop.get('gateway') or hop.get('via', {}).get('host', '')}%{hop.get('dev', '')}" for hop in hops)
    return Route(_prefix(entry["dst"], hops), entry.get("protocol", ""), entry.get("metric", 0), tuple(sorted(names)))


def _prefix(destination: str, hops: Sequence[Mapping[str, Any]]) -> str:
    """Spell out what iproute2 abbreviates (`default`, a host without length), as FRR does."""
    six = ":" in destination or ":" in str(hops[0].get("gateway", ""))
    if destination == "default":
        return "::/0" if six else "0.0.0.0/0"
    return destination if "/" in destination else f"{destination}/{128 if six else 32}"
