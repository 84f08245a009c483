"""Mininet's TCLink: a rate, delay, jitter, loss and a queue on an interface, changed one by one while it runs.

In Mininet a later `config(delay=...)` takes the rate and the loss away that were set before; here what is not named
stays, and None takes a setting away.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from testbed.emulator import netem, netlink, offload, shaping
from testbed.emulator.messages import LinkPatch
from testbed.emulator.mininet import stock
from testbed.emulator.mininet.link import MTU, Intf, Link
from testbed.emulator.netem import Netem
from testbed.emulator.netlink import ROOT, NetlinkError, Request
from testbed.errors import BadInput, Unable

_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]+)")
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs"), 1e-6),
}
_KEEP: Any = object()


class Shape(NamedTuple):
    """What an interface does to the packets it sends, in SI.

    Attributes:
        rate: bit/s. method: htb, tbf or hfsc. latency: seconds, of tbf. queue: packets.
    """

    rate: float | None = None
    method: str = "htb"
    latency: float | None = None
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    queue: int | None = None

    @property
    def rate_part(self) -> tuple[float | None, str, float | None]:
        return self.rate, self.method, self.latency

    @property
    def lower(self) -> str:
        """Which discipline is below the rate: netem where packets are delayed or lost, a queue, or none."""
        if self.delay or self.jitter or self.loss:
            return "netem"
        return "pfifo" if self.queue is not None else ""

    @property
    def layout(self) -> tuple[str, str]:
        """What disciplines there are; while it stays the same they are changed and not replaced."""
        return (self.method if self.rate else ""), self.lower


class TCIntf(Intf, stock.link.TCIntf):
    """An interface that limits, delays and loses what it sends."""

    shape = Shape()

    def config(
        self,
        bw: Any = _KEEP,
        delay: Any = _KEEP,
        jitter: Any = _KEEP,
        loss: Any = _KEEP,
        gro: bool = False,
        txo: bool = True,
        rxo: bool = True,
        speedup: float = 0,
        use_hfsc: bool = False,
        use_tbf: bool = False,
        use_htb: bool = True,
        latency_ms: float | None = None,
        enable_ecn: bool = False,
        enable_red: bool = False,
        max_queue_size: Any = _KEEP,
        **params: Any,
    ) -> dict[str, Any]:
        """Set what is named; what is not stays as it is, None takes it away.

        Args:
            bw: Mbit/s. delay, jitter: with their unit, `5ms`. loss: percent. max_queue_size: packets.
            speedup: Mbit/s that a switch's interface gets instead of `bw`; 0 for none.
            use_hfsc, use_tbf: how the rate is held; by HTB when neither is said. latency_ms: of TBF.
            gro, txo, rxo: offloads of the interface.

        Raises:
            BadInput: a value that cannot be; nothing was changed.
            Unable: this kernel cannot do it; the message says what can.
        """
        if enable_ecn or enable_red:
            raise BadInput(f"{self.name}: enable_ecn and enable_red are not kept; leave them out")
        if bw not in (_KEEP, None) and speedup > 0 and self.node.name.startswith("s"):
            bw = speedup
        method = "hfsc" if use_hfsc else "tbf" if use_tbf else "htb"
        asked = {"bw": bw, "delay": delay, "jitter": jitter, "loss": loss, "max_queue_size": max_queue_size}
        named = {name: value for name, value in asked.items() if value is not _KEEP}
        shape = merged(self.shape, named, method, latency_ms, self.name)
        gro = gro and not params.pop("disable_gro", False)
        result = Intf.config(self, **params)
        self._offload({"gro": gro, "tx": txo, "rx": rxo})
        if shape != self.shape:
            self._shape(shape)
            stock.log.info(f"({_in_words(shape)}) ")
        return result

    def _shape(self, new: Shape) -> None:
        old, index = self.shape, self.number()
        options = b""
        if new.lower == "netem":
            patch = LinkPatch(delay=new.delay, jitter=new.jitter, loss=new.loss, limit=new.queue)
            options = netem.encode(netem.merge(Netem(rate=new.rate), patch, self.name)._replace(rate=None), MTU, False)
            self._whole_packets()
        if new.layout == old.layout:
            requests = _changes(index, old, new, options)
        else:
            requests = [shaping.clear(index)] if any(old.layout) else []
            requests += _disciplines(index, new, options)
        try:
            self.room.send(requests)
        except NetlinkError as error:
            raise self._refused(error, new) from None
        self.shape = new

    def _whole_packets(self) -> None:
        """Let no trains of packets through, which netem would take for one: on both ends, as each may send."""
        for end in (self.link.intf1, self.link.intf2) if self.link and hasattr(self.link, "intf2") else (self,):
            end.room.run([netlink.set_link(end.number(), gso_max_segs=1)], end.name)

    def _refused(self, error: NetlinkError, shape: Shape) -> Unable:
        if self.shape == Shape():
            self.room.delete_discipline(self.number())
        if error.errno != errno.ENOENT:
            return netlink.explain(error, [f"{self.name}: {_in_words(shape)}"] * (error.failures[-1].index + 1))
        lacks = "netem (CONFIG_NET_SCH_NETEM)" if shape.lower == "netem" else f"the discipline {shape.method}"
        return Unable(
            f"{self.name}: {_in_words(shape)}: this kernel has no {lacks}, so the link cannot be as asked; run the "
            "script in a User-Mode Linux guest: testbed mininet run --substrate uml SCRIPT"
        )

    def _offload(self, settings: dict[str, bool]) -> None:
        """Set offloads as `ethtool -K` does, those that a new veth has otherwise."""
        wanted = {name: on for name, on in settings.items() if on != (name != "gro")}
        if wanted:
            offload.switch(self.room.inside(), {self.name: wanted})


class TCLink(Link, stock.link.TCLink):
    """A link with such an interface at each end."""

    def __init__(self, *args: Any, **params: Any) -> None:
        Link.__init__(self, *args, **{"cls1": TCIntf, "cls2": TCIntf, **params})


class TCULink(TCLink, stock.link.TCULink):
    """The same without checksum offload."""

    def __init__(self, *args: Any, **params: Any) -> None:
        TCLink.__init__(self, *args, **{**params, "txo": False, "rxo": False})


def merged(shape: Shape, named: dict[str, Any], method: str, latency_ms: float | None, where: str) -> Shape:
    """Return a shape with what is named changed, and nothing else.

    Args:
        named: Mininet's parameters. method, latency_ms: how the rate is held, where a rate is named. where: for errors.

    Raises:
        BadInput: a value that cannot be.
    """
    changed: dict[str, Any] = {}
    if "bw" in named:
        bw, what = named["bw"], f"{where}: bw"
        changed["rate"] = None if bw is None else _number(bw, what, "Mbit/s, 0.001 to 30000", 1e-3, 30e3) * 1e6
        changed |= {"method": method, "latency": None if latency_ms is None else latency_ms / 1e3}
    changed |= {name: _time(named[name], f"{where}: {name}") for name in ("delay", "jitter") if name in named}
    if "loss" in named:
        changed["loss"] = _number(named["loss"] or 0, f"{where}: loss", "percent, 0 to 100", 0, 100) / 100
    if "max_queue_size" in named:
        queue, what = named["max_queue_size"], f"{where}: max_queue_size"
        changed["queue"] = None if queue is None else round(_number(queue, what, "packets, 1 to 1000000", 1, 1e6))
    return shape._replace(**changed)


def _disciplines(index: int, shape: Shape, options: bytes) -> list[Request]:
    requests: list[Request] = []
    if shape.rate:
        makers = {"htb": shaping.htb, "hfsc": shaping.hfsc}
        if shape.method == "tbf":
            requests.append(shaping.tbf(index, shape.rate, shape.latency))
        else:
            requests += makers[shape.method](index, shape.rate)
    return requests + _lower(index, shape, options, create=True)


def _lower(index: int, shape: Shape, options: bytes, create: bool) -> list[Request]:
    parent = shaping.RATE_CLASS if shape.rate else ROOT
    if shape.lower == "netem":
        return [shaping.netem(index, parent, options, create)]
    return [shaping.pfifo(index, parent, shape.queue or 1, create)] if shape.lower else []


def _changes(index: int, old: Shape, new: Shape, options: bytes) -> list[Request]:
    """Change disciplines in place, so that the packets which wait in them are kept."""
    requests: list[Request] = []
    if new.rate and new.rate_part != old.rate_part:
        if new.method == "tbf":
            requests.append(shaping.tbf(index, new.rate, new.latency, create=False))
        else:
            change = shaping.htb_class if new.method == "htb" else shaping.hfsc_class
            requests.append(change(index, new.rate))
    return requests + _lower(index, new, options, create=False)


def _number(value: Any, what: str, expected: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadInput(f"{what}={value!r}: expected a number, {expected}")
    return float(value)


def _time(value: Any, what: str) -> float:
    if value is None:
        return 0.0
    match = _TIME.fullmatch(str(value).strip().lower())
    if match is None or match[2] not in _UNITS:
        hint = f"; tc reads a bare number as microseconds: '{value}us'" if str(value).isdigit() else ""
        raise BadInput(f"{what}={value!r}: expected a time with its unit, such as '5ms'{hint}")
    return float(match[1]) * _UNITS[match[2]]


def _in_words(shape: Shape) -> str:
    said: Sequence[str] = (
        f"{shape.rate / 1e6:.2f}Mbit" if shape.rate else "",
        f"{shape.delay * 1e3:g}ms delay" if shape.delay else "",
        f"{shape.jitter * 1e3:g}ms jitter" if shape.jitter else "",
        f"{shape.loss:.5%} loss" if shape.loss else "",
        f"queue of {shape.queue}" if shape.queue is not None else "",
    )
    return " ".join(part for part in said if part) or "no limits"
