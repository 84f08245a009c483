"""Plain Linux devices: interfaces, addresses and routes through iproute2."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from adapters import device_tools, linux_boot, linux_config, transaction_script
from adapters.base import Capability, Counters, Facts, InterfaceFacts, Route, Transport
from adapters.shell import ShellAdapter
from testbed.errors import BadInput, DeviceError
from testbed.model.change import InterfaceStep

HOOKS = transaction_script.Hooks(
    snapshot=linux_config.SNAPSHOT,
    saved=f"    cat {linux_boot.STARTUP}",
    apply=r"""
    while IFS= read -r line; do
        case $line in "" | "#"*) continue ;; esac
        printf '%s\n' "${line#ip }" | timeout 30 ip -batch - && continue
        echo "rejected: $line"
        [ "$1" = lines ] && return 1
    done <"$1"
    return 0""",
    persist=linux_boot.PERSIST,
    leave=linux_boot.LEAVE,
)


class LinuxAdapter(ShellAdapter[linux_config.Config]):
    """An `Adapter` for a Linux device without a routing daemon of its own."""

    family: ClassVar[str] = "linux"
    startup: ClassVar[str] = linux_boot.STARTUP
    untraced: ClassVar[str] = "Did the kernel take it in another form, or another program take it back?"

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport, linux_config, HOOKS)
        self._capabilities: frozenset[Capability] | None = None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Persistence only where systemd would run `linux_boot.RESTORE`; the device is asked once."""
        if self._capabilities is None:
            boots = self._transport.run(linux_boot.HAS_SYSTEMD).code == 0
            lacks = {Capability.THROUGHPUT} if boots else {Capability.THROUGHPUT, Capability.PERSISTENCE}
            self._capabilities = frozenset(Capability) - lacks
        return self._capabilities

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

    def _normal(self, startup: str) -> str:
        return startup

    def _keep(self, transaction: str) -> None:
        transaction_script.keep(self._transport, transaction)

    def _interface_names(self) -> Collection[str]:
        return [interface.name for interface in self._interfaces()]

    def _interface_lines(self, step: InterfaceStep) -> str:
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
