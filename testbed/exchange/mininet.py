"""Mininet's `Topo` classes: hosts become hosts, switches bridges, the parameters of TCLink impairments.

A source is `FILE.py:NAME`, where NAME is a class or a key of the file's `topos` (`mn --custom FILE --topo NAME`), with
arguments after commas as for `mn`: `tree.py:mytopo,3,fanout=2`. Reading it RUNS the file, with the rights of who asks.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from ipaddress import IPv4Interface
from pathlib import Path
from types import ModuleType
from typing import Any

from testbed.errors import BadInput, nearest
from testbed.exchange.base import Findings, Format
from testbed.exchange.names import Names, slug
from testbed.mininet_package import let_in
from testbed.model.source import Place, Tree, read_text
from testbed.model.topology import Topology
from testbed.model.validated import validated

_BASE = IPv4Interface("10.0.0.0/8")
"""What Mininet numbers its hosts from, unless they say their own address."""
_PLAIN = frozenset(
    {"Node", "Host", "Switch", "OVSSwitch", "OVSKernelSwitch", "OVSBridge", "LinuxBridge", "UserSwitch", "IVSSwitch"}
)
_NODE_KEPT = frozenset({"isSwitch", "ip", "defaultRoute", "cls", "dpid", "protocols", "failMode", "inNamespace", "stp"})
_NAMED = frozenset(
    {"use_htb", "node1", "node2", "port1", "port2", "params1", "params2", "cls", "intfName1", "intfName2", "ip"}
)
_SHAPED = ("bw", "delay", "jitter", "loss", "max_queue_size")
_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|secs?|ms|msecs?|us|usecs?|)")


def read(source: str, findings: Findings) -> Topology:
    """Run a file and read the topology that it makes.

    Raises:
        BadInput: there is no such file or topology, or its code fails; the message has its line.
        Unable: Mininet is not installed.
    """
    if not FORMAT.recognises(source):
        raise BadInput(f"{source}: expected FILE.py:NAME, a Python file and the Topo of Mininet that it makes")
    file, wanted = re.split(r"\.py(?=:|$)", source, maxsplit=1)
    path = Path(f"{file}.py")
    read_text(path, "Mininet file")
    let_in()
    with _beside(path):
        topo = _topo(_run(path), wanted.removeprefix(":"), path)
    return _Reader(topo, str(path), findings).topology(slug(wanted.removeprefix(":")) or slug(path.stem))


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let the file import what lies beside it; what it prints is not our output."""
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")  # Mininet's own, of a Python that has gone on since
            yield
    finally:
        sys.path.remove(str(path.parent.resolve()))


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("testbed_mininet_source", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    _guarded(path, lambda: loader.exec_module(module))
    return module


def _guarded(path: Path, step: Callable[[], Any]) -> Any:
    """Run somebody else's code: whatever it raises is told by the line of their file."""
    try:
        return step()
    except (Exception, SystemExit) as error:  # any code may raise anything
        raise BadInput(_told(path, error)) from None


def _told(path: Path, error: BaseException) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), 1)
    return f"{path}:{line or 1}:1: the file does not run: {type(error).__name__}: {error}"


def _topo(module: ModuleType, wanted: str, path: Path) -> Any:
    from mininet.topo import Topo  # pyright: ignore[reportMissingImports]
    from mininet.util import splitArgs  # pyright: ignore[reportMissingImports]

    own = {
        name: thing
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and issubclass(thing, Topo) and thing.__module__ == module.__name__
    }
    known: Mapping[str, Any] = {**own, **getattr(module, "topos", {})}
    name, arguments, keywords = splitArgs(wanted)
    if not name and len(set(known.values())) == 1:
        name = next(iter(known))
    if name not in known:
        there = f"it has {', '.join(known)}" if known else "it has no class that is a Topo, and no `topos`"
        raise BadInput(f"{path}: which topology? Say {path}:NAME{nearest(name, known)} ({there})")
    topo = _guarded(path, lambda: known[name](*arguments, **keywords))
    if not isinstance(topo, Topo):
        raise BadInput(f"{path}: {name}: expected a mininet.topo.Topo, not a {type(topo).__name__}")
    return topo


class _Reader:
    """Reads one `Topo`; a file has no places for its nodes, so problems are told by the line of its `build`."""

    def __init__(self, topo: Any, file: str, findings: Findings) -> None:
        self._topo, self._findings = topo, findings
        made = vars(type(topo)).get("build") or vars(type(topo)).get("__init__")
        line = made.__code__.co_firstlineno if inspect.isfunction(made) else 1
        self._place = Place(file, line, 1)

    def topology(self, name: str) -> Topology:
        called = self._names()
        links = dict(self._links(called))
        nodes = {called[node]: self._node(node) for node in self._topo.nodes()}
        whole = self._tree({"name": name, "nodes": nodes, "links": links}, "")
        return validated(whole, Topology, self._findings.wrong, context=None)

    def _names(self) -> dict[str, str]:
        fit = Names()
        called = {node: fit.take(node, "node") for node in sorted(self._topo.nodes(), key=lambda n: slug(n) != n)}
        for node, name in called.items():
            if node != name:
                self._findings.note(self._place, f"node {node} is called {name} here")
        return called

    def _tree(self, value: Any, where: str) -> Tree:
        if isinstance(value, dict):
            return Tree({k: self._tree(v, f"{where}.{k}".lstrip(".")) for k, v in value.items()}, self._place, where)
        if isinstance(value, list):
            return Tree([self._tree(item, where) for item in value], self._place, where)
        return Tree(value, self._place, where, text=None if value is None else str(value))

    def _cannot(self, where: str, what: str) -> None:
        self._findings.cannot(self._place, f"{where}: {what}")

    def _node(self, node: str) -> dict[str, Any]:
        given = self._topo.nodeInfo(node)
        kind = given.get("cls")
        if kind is not None and getattr(kind, "__name__", "") not in _PLAIN:
            self._cannot(node, f"class {getattr(kind, '__name__', kind)}: what its code does cannot be kept")
        for key in given.keys() - _NODE_KEPT:
            self._cannot(node, f"{key}={given[key]!r}: cannot be kept")
        if self._topo.isSwitch(node):
            return {"kind": "bridge"}
        route = str(given.get("defaultRoute") or "")
        if route and not route.startswith("via "):
            self._cannot(node, f"defaultRoute={route!r}: only `via ADDRESS` can be kept")
        return {"kind": "host"} | ({"gateway": route.split()[1]} if route.startswith("via ") else {})

    def _address(self, node: str) -> str | None:
        """A host's own, or the next of 10.0.0.0/8 in the order of the hosts' names, as Mininet numbers them."""
        given = self._topo.nodeInfo(node)
        number = self._topo.hosts().index(node) + 1
        address = given.get("ip", f"{_BASE.ip + number}/{_BASE.network.prefixlen}")
        return f"{address}/8" if address and "/" not in str(address) else address

    def _links(self, called: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        fit = Names()
        everything = self._topo.links(sort=True, withInfo=True)
        first = {}
        for *_, given in everything:
            for side in ("1", "2"):
                node, port = given[f"node{side}"], given[f"port{side}"]
                first[node] = min(port, first.get(node, port))
        for *_, given in everything:
            ends = [self._end(given, side, first, called) for side in ("1", "2")]
            where = f"{given['node1']}-{given['node2']}"
            ways = [self._way(where, given, side) for side in ("1", "2")]
            link = {"endpoints": ends, "forward": ways[0], "backward": ways[1]}
            yield fit.link(*(called[given[f"node{side}"]] for side in ("1", "2"))), link

    def _end(
        self, given: Mapping[str, Any], side: str, first: Mapping[str, int], called: Mapping[str, str]
    ) -> dict[str, Any]:
        node, port = given[f"node{side}"], given[f"port{side}"]
        interface = given.get(f"intfName{side}") or f"{node}-eth{port}"
        end: dict[str, Any] = {"node": called[node], "interface": interface if len(interface) <= 15 else f"eth{port}"}
        own = (given.get(f"params{side}") or {}).get("ip")
        if not self._topo.isSwitch(node):
            address = own or (self._address(node) if port == first[node] else None)
            end["addresses"] = [address] if address else []
        return end

    def _way(self, where: str, given: Mapping[str, Any], side: str) -> dict[str, Any]:
        """What TCLink does to what leaves one end."""
        settings = {**given, **(given.get(f"params{side}") or {})}
        for key in settings.keys() - _NAMED - set(_SHAPED):
            if settings[key]:
                self._cannot(where, f"{key}={settings[key]!r}: cannot be kept")
        shaped = {key: settings[key] for key in _SHAPED if settings.get(key) is not None}
        made = {key: self._time(where, key, shaped[key]) for key in ("delay", "jitter") if key in shaped}
        if "bw" in shaped:
            made["rate"] = self._number(where, "bw", shaped["bw"], 1e6)
        if "loss" in shaped:
            made["loss"] = self._number(where, "loss", shaped["loss"], 0.01)
        made["limit"] = shaped.get("max_queue_size")
        return {key: value for key, value in made.items() if value is not None}

    def _number(self, where: str, key: str, value: Any, unit: float) -> Any:
        try:
            return float(value) * unit
        except (TypeError, ValueError):
            self._findings.refuse(self._place, f"{where}: {key}={value!r}: expected a number")
            return None

    def _time(self, where: str, key: str, value: Any) -> Any:
        """As tc reads it: without a unit, microseconds (tc(8))."""
        match = _TIME.fullmatch(str(value).strip())
        if match is None:
            self._findings.refuse(self._place, f"{where}: {key}={value!r}: expected a time such as '5ms'")
            return None
        unit = {"s": 1.0, "m": 1e-3}.get(match[2][:1], 1e-6)
        return round(float(match[1]) * unit, 9)


FORMAT = Format(
    name="mininet",
    about="a Topo of Mininet, FILE.py:NAME; reading it runs the file",
    recognises=lambda source: re.search(r"\.py(:|$)", source) is not None,
    read=read,
)
