"""Containerlab's nodes: hosts, bridges, and FRR routers with the files bound into them."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from testbed.emulator.lower import daemons_of
from testbed.errors import BadInput
from testbed.exchange.base import Findings
from testbed.exchange.containerlab.keys import IDLE, check_level
from testbed.exchange.containerlab.links import End, Wire
from testbed.exchange.containerlab.merge import Levels
from testbed.exchange.containerlab.variables import Magic
from testbed.model.base import Address, HostAddress
from testbed.model.source import Place, Tree, read_text, shown
from testbed.model.topology import END_SYSTEMS, Daemon

DAEMONS: tuple[str, ...] = get_args(Daemon)
KIND_LABEL = "testbed-kind"
"""Of a node: what it is to a 5G core, where that is more than a host."""
_ALWAYS = ("zebra", "staticd")
"""What FRR runs whatever its file says (frrcommon.sh)."""
_FRR_IMAGE = re.compile(r"(?:^|/)frr(?:outing)?(?:[:@-]|$)")
_FRR_FILES = ("frr.conf", "daemons", "vtysh.conf")
_DAEMON_LINE = re.compile(r"([a-z0-9]+d|zebra)=[\"']?(\w+)")
_ADDRESS: TypeAdapter[object] = TypeAdapter(Address)
_HOST_ADDRESS: TypeAdapter[object] = TypeAdapter(HostAddress)


@dataclass(slots=True)
class Wired:
    """A node as it becomes one of ours.

    Attributes:
        keys: of our node. commands: what it runs. addresses: by interface, taken out of the commands.
    """

    name: str
    keys: dict[str, Tree]
    commands: list[Tree] = field(default_factory=list)
    addresses: dict[str, list[Tree]] = field(default_factory=dict)


class NodeReader:
    """Reads the nodes of one file.

    Args:
        wires: between nodes that are kept. lost: ends (node, interface) of links that are not.
    """

    def __init__(
        self, file: Path, magic: Magic, wires: list[Wire], lost: set[tuple[str, str]], findings: Findings
    ) -> None:
        self._folder, self._magic, self._findings = file.parent, magic, findings
        self._ends: dict[str, list[End]] = defaultdict(list)
        for end in (end for wire in wires for end in wire.ends):
            self._ends[end.node].append(end)
        self._lost = lost
        self._checked: set[int] = set()
        self._seen: set[str] = set()

    def read(self, written: str, name: str, levels: Levels) -> Wired:
        """Return a node.

        Args:
            written: its name in the file. name: ours.
        """
        for level in levels.levels:
            if id(level) not in self._checked:
                self._checked.add(id(level))
                check_level(level, self._findings)
        wired = Wired(name, {"kind": replace(levels.node, value="bridge", text="bridge")})
        self._position(levels, wired)
        if levels.kind == "linux":
            self._linux(levels, written, wired)
        return wired

    def _position(self, levels: Levels, wired: Wired) -> None:
        """`graph-posX` and `graph-posY` are where containerlab's drawings have a node; theirs grows downwards."""
        labels = levels.mapping("labels", self._findings)
        x, y = labels.get("graph-posX"), labels.get("graph-posY")
        for key, label in labels.items():
            if label not in (x, y) and key != KIND_LABEL:
                self._findings.note(label.key or label.place, f"label {key}: means nothing here")
        if x is None or y is None:
            return
        try:
            pair = (float(x.text or ""), -float(y.text or "") + 0.0)
        except ValueError:
            self._findings.refuse(x.place, f"{x.where}: {shown(x)}expected numbers as graph-posX and graph-posY")
            return
        wired.keys["position"] = replace(x, value=[replace(x, value=number) for number in pair], text=None)

    def _linux(self, levels: Levels, written: str, wired: Wired) -> None:
        self._process(levels)
        binds = self._binds(levels, written)
        image = levels.one("image")
        router = (image is not None and _FRR_IMAGE.search(str(image.text))) or any(path in binds for path in _FRR_FILES)
        wired.keys["kind"] = replace(levels.node, value="router" if router else self._end_system(levels))
        if image is not None:
            own = "this machine's FRR" if router else "this machine's own programs"
            self._findings.note(image.place, f"image {image.text}: not run; its nodes have {own}")
        if router:
            self._router(levels, wired, binds)
        forwards = len(self._ends[written]) > 1 and not router
        wired.commands = [*self._sysctls(levels, bool(router), forwards), *self._exec(levels, written)]
        self._take_addresses(wired, written, bool(router))
        self._leave_unwired(wired, written)

    def _end_system(self, levels: Levels) -> str:
        """What it is to a 5G core, which our own label says; else a host."""
        label = levels.mapping("labels", self._findings).get(KIND_LABEL)
        return str(label.text) if label is not None and label.text in END_SYSTEMS else "host"

    def _process(self, levels: Levels) -> None:
        for key in ("cmd", "entrypoint"):
            found = levels.one(key)
            if found is not None and str(found.text).strip() not in IDLE:
                self._findings.cannot(
                    found.place, f"{found.where}: {shown(found)}cannot be kept: a node runs no process"
                )
        mode = levels.one("network-mode")
        if mode is not None and mode.text != "none":
            expected = "only `none` can be kept: nodes have no management network"
            self._findings.cannot(mode.place, f"{mode.where}: {shown(mode)}{expected}")

    # --- files of FRR ---

    def _binds(self, levels: Levels, written: str) -> dict[str, tuple[Path, Tree]]:
        """The files that are bound into /etc/frr, by name; a bound folder gives those that it has."""
        found: dict[str, tuple[Path, Tree]] = {}
        for item in levels.items("binds", self._findings):
            source, _, rest = self._magic.replaced(str(item.text), written).partition(":")
            target = PurePosixPath(rest.partition(":")[0])
            path = self._folder / Path(source).expanduser()
            if target == PurePosixPath("/etc/frr"):
                found |= {name: (path / name, item) for name in _FRR_FILES if (path / name).exists()}
                if not path.is_dir():
                    self._findings.refuse(item.place, f"{item.where}: {shown(item)}expected a folder at {path}")
            elif target.parent == PurePosixPath("/etc/frr") and target.name in _FRR_FILES:
                found[target.name] = (path, item)
            else:
                expected = f"only {', '.join(_FRR_FILES)} of /etc/frr can be kept"
                self._findings.cannot(item.place, f"{item.where}: {shown(item)}{expected}")
        return found

    def _text(self, bound: tuple[Path, Tree]) -> str:
        path, item = bound
        try:
            return read_text(path, "configuration file")
        except BadInput as error:
            self._findings.refuse(item.place, f"{item.where}: {shown(item)}{error}")
            return ""

    def _router(self, levels: Levels, wired: Wired, binds: dict[str, tuple[Path, Tree]]) -> None:
        place = binds["frr.conf"][1] if "frr.conf" in binds else levels.node
        config = self._text(binds["frr.conf"]) if "frr.conf" in binds else f"hostname {wired.name}\n"
        wired.keys["config"] = replace(place, value=config, text=config)
        if "daemons" not in binds:
            said = "no `daemons` file is bound: what runs are the daemons that the configuration speaks to"
            self._findings.note(place.place, f"{place.where}: {said}")
            return
        path, item = binds["daemons"]
        if chosen := said_daemons(config, self._daemons(self._text(binds["daemons"]), path)):
            names = [replace(item, value=name, text=name) for name in chosen]
            wired.keys["daemons"] = replace(item, value=names, text=None)

    def _daemons(self, text: str, path: Path) -> list[str]:
        """Read FRR's `daemons` file: `ospfd=yes`."""
        chosen: list[str] = []
        for number, line in enumerate(text.split("\n"), 1):
            match = _DAEMON_LINE.match(line)
            if match is None or match[2].lower() in ("no", "0"):
                continue
            if match[1] in DAEMONS:
                chosen.append(match[1])
            elif match[1] not in ("watchfrr", "mgmtd"):
                known = f"only {', '.join(DAEMONS)} can be run"
                self._findings.cannot(Place(str(path), number, 1), f"value {match[0]!r}: {known}")
        return chosen

    # --- commands ---

    def _exec(self, levels: Levels, written: str) -> Iterator[Tree]:
        for item in levels.items("exec", self._findings):
            text = self._magic.replaced(str(item.text), written)
            yield replace(item, value=text, text=text)

    def _sysctls(self, levels: Levels, router: bool, forwards: bool) -> Iterator[Tree]:
        """As commands. A container forwards, since Docker's machine does; a host of ours does not."""
        given = levels.mapping("sysctls", self._findings)
        for key, value in given.items():
            if not key.startswith("net."):
                self._findings.cannot(
                    value.key or value.place, f"{value.where}: only settings of the network can be kept"
                )
            elif (key, value.text) != (FORWARDING, "1" if router else "0"):
                yield _command(value, f"sysctl -q -w {key}={value.text}")
        if FORWARDING not in given and forwards:
            yield _command(levels.node, f"sysctl -q -w {FORWARDING}=1")

    def _take_addresses(self, wired: Wired, written: str, router: bool) -> None:
        """Make addresses and default routes out of the commands that set them; all others stay commands."""
        interfaces = ["lo", *(end.interface for end in self._ends[written])]
        left: list[Tree] = []
        for command in wired.commands:
            words = _words(str(command.text))
            address, interface = _address(words)
            if address and interface in interfaces and address.partition("/")[0] not in self._seen:
                self._seen.add(address.partition("/")[0])
                wired.addresses.setdefault(interface, []).append(replace(command, value=address, text=address))
            elif (gateway := _gateway(words)) and not router and "gateway" not in wired.keys:
                wired.keys["gateway"] = replace(command, value=gateway, text=gateway)
            else:
                left.append(command)
        wired.commands = left

    def _leave_unwired(self, wired: Wired, written: str) -> None:
        """Without a link that cannot be kept, commands that name its interface, or a way through it, would fail."""
        lost = {interface for node, interface in self._lost if node == written}
        if not lost:
            return
        on_links = [
            item for end in self._ends[written] if "addresses" in end.keys for item in end.keys["addresses"].value
        ]
        on_links += [item for items in wired.addresses.values() for item in items]
        networks = [ip_interface(str(item.text)).network for item in on_links if _valid(_ADDRESS, str(item.text))]
        gateway = wired.keys.get("gateway")
        if gateway is not None and not _reached(["via", str(gateway.text)], networks):
            self._unwired(wired.keys.pop("gateway"), lost)
        kept = [not lost & set(words := _words(str(it.text))) and _reached(words, networks) for it in wired.commands]
        for command, keep in zip(wired.commands, kept, strict=True):
            if not keep:
                self._unwired(command, lost)
        wired.commands = [command for command, keep in zip(wired.commands, kept, strict=True) if keep]

    def _unwired(self, command: Tree, lost: set[str]) -> None:
        why = f"its way is a link that cannot be kept ({', '.join(sorted(lost))})"
        self._findings.cannot(command.place, f"{command.where}: {shown(command)}{why}")


FORWARDING = "net.ipv4.ip_forward"


def said_daemons(config: str, daemons: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the daemons that must be said beside a configuration, None where it implies just them."""
    if daemons is None:
        return None
    running = {*_ALWAYS, *daemons}
    return None if running == set(daemons_of(config)) else tuple(name for name in DAEMONS if name in running)


def _command(tree: Tree, text: str) -> Tree:
    return replace(tree, value=text, text=text)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _address(words: list[str]) -> tuple[str, str]:
    """What `ip address add ADDRESS dev INTERFACE` adds to what, where a topology can have that."""
    while words[1:2] in (["-4"], ["-6"]):
        words = [words[0], *words[2:]]
    match words:
        case ["ip", "a" | "addr" | "address", "add" | "replace", address, "dev", interface]:
            return (address, interface) if _valid(_ADDRESS, address) else ("", "")
    return "", ""


def _gateway(words: list[str]) -> str:
    while words[1:2] in (["-4"], ["-6"]):
        words = [words[0], *words[2:]]
    match words:
        case ["ip", "r" | "route", "add" | "replace", "default", "via", gateway]:
            return gateway if _valid(_HOST_ADDRESS, gateway) else ""
    return ""


def _reached(words: list[str], networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the next hop of a route, where the words name one, is in one of the networks."""
    hop = next((after for word, after in pairwise(words) if word == "via"), "")
    return not _valid(_HOST_ADDRESS, hop) or any(ip_address(hop) in network for network in networks)


def _valid(kind: TypeAdapter[object], text: str) -> bool:
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True
