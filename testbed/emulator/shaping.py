"""Queueing disciplines that hold a rate (tc-htb(8), tc-tbf(8), tc-hfsc(7), linux/pkt_sched.h), as rtnetlink messages.

Each makes handle 5:, with one place below for another discipline, 5:1. That is how Mininet builds them, so that a
script which looks with `tc` finds what it expects.
"""

from __future__ import annotations

import struct

from testbed.emulator.netlink import (
    CREATE,
    DELQDISC,
    EXCLUSIVE,
    NEWQDISC,
    REPLACE,
    ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    Request,
    attribute,
)

RATE_HANDLE, RATE_CLASS = 0x00050000, 0x00050001
NETEM_HANDLE = 0x00100000
NEWTCLASS = 40
BURST = 15 * 1024
"""Bytes that may go at once at full speed, of HTB; Mininet's number."""
_TBF_BURST = 15000
_TICK = 64  # ns; the kernel's PSCHED_SHIFT
_MOST = 0xFFFFFFFF
_TCMSG = struct.Struct("=BxxxiIII")
_RATESPEC = struct.Struct("=BBHhHI")
_ETHERNET = 1
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_TBF_PARMS, _TBF_RATE64, _TBF_BURST_BYTES = 1, 4, 6
_HFSC_RSC, _HFSC_FSC, _HFSC_USC = 1, 2, 3


def _options(name: str, options: bytes) -> bytes:
    return attribute(TCA_KIND, name.encode() + b"\0") + attribute(TCA_OPTIONS, options)


def _qdisc(flags: int, place: tuple[int, int, int], name: str, options: bytes) -> Request:
    """`place`: interface, handle, parent."""
    return Request(NEWQDISC, flags, _TCMSG.pack(0, *place, 0) + _options(name, options))


def _class(flags: int, index: int, name: str, options: bytes) -> Request:
    return Request(NEWTCLASS, flags, _TCMSG.pack(0, index, RATE_CLASS, RATE_HANDLE, 0) + _options(name, options))


def _spec(rate: float) -> bytes:
    return _RATESPEC.pack(0, _ETHERNET, 0, 0, 0, min(round(rate / 8), _MOST))


def _ticks(size: int, rate: float) -> int:
    """Return how long `size` bytes take at `rate` bit/s, as the kernel counts time."""
    return min(round(size * 8 / rate * 1e9 / _TICK), _MOST)


def htb(index: int, rate: float) -> list[Request]:
    """Hold an interface to `rate` (bit/s) by HTB: the discipline and its only class."""
    glob = attribute(_HTB_INIT, struct.pack("=5I", 3, 10, 1, 0, 0))
    return [
        _qdisc(CREATE | EXCLUSIVE, (index, RATE_HANDLE, ROOT), "htb", glob),
        htb_class(index, rate, CREATE | EXCLUSIVE),
    ]


def htb_class(index: int, rate: float, flags: int = REPLACE) -> Request:
    """Make or change the class that holds the rate."""
    quantum = max(1514, min(round(rate / 80), 60000))  # else the kernel's log complains of extreme rates
    parameters = _spec(rate) * 2 + struct.pack("=5I", _ticks(BURST, rate), _ticks(1600, rate), quantum, 0, 0)
    wide = struct.pack("=Q", round(rate / 8))
    options = attribute(_HTB_PARMS, parameters) + attribute(_HTB_RATE64, wide) + attribute(_HTB_CEIL64, wide)
    return _class(flags, index, "htb", options)


def tbf(index: int, rate: float, latency: float | None, create: bool = True) -> Request:
    """Hold an interface to `rate` (bit/s) by a token bucket.

    Args:
        latency: seconds a packet may wait; None for what a full bucket takes.
    """
    wait = _TBF_BURST * 8 / rate if latency is None else latency
    limit = min(round(rate / 8 * wait) + _TBF_BURST, _MOST)
    parameters = _spec(rate) + bytes(_RATESPEC.size) + struct.pack("=3I", limit, _ticks(_TBF_BURST, rate), 0)
    options = attribute(_TBF_PARMS, parameters) + attribute(_TBF_RATE64, struct.pack("=Q", round(rate / 8)))
    options += attribute(_TBF_BURST_BYTES, struct.pack("=I", _TBF_BURST))
    return _qdisc(CREATE | EXCLUSIVE if create else 0, (index, RATE_HANDLE, ROOT), "tbf", options)


def hfsc(index: int, rate: float) -> list[Request]:
    """Hold an interface to `rate` (bit/s) by HFSC: the discipline and its only class."""
    return [
        _qdisc(CREATE | EXCLUSIVE, (index, RATE_HANDLE, ROOT), "hfsc", struct.pack("=H", 1)),
        hfsc_class(index, rate, CREATE | EXCLUSIVE),
    ]


def hfsc_class(index: int, rate: float, flags: int = REPLACE) -> Request:
    """Make or change the class that holds the rate."""
    curve = struct.pack("=3I", 0, 0, min(round(rate / 8), _MOST))
    options = b"".join(attribute(kind, curve) for kind in (_HFSC_RSC, _HFSC_FSC, _HFSC_USC))
    return _class(flags, index, "hfsc", options)


def netem(index: int, parent: int, options: bytes, create: bool = True) -> Request:
    """Put netem at the root or below a rate; `options` as `testbed.emulator.netem.encode` makes them."""
    return _qdisc(CREATE | EXCLUSIVE if create else 0, (index, NETEM_HANDLE, parent), "netem", options)


def pfifo(index: int, parent: int, limit: int, create: bool = True) -> Request:
    """Put a plain queue of `limit` packets at the root or below a rate."""
    flags = CREATE | EXCLUSIVE if create else 0
    return _qdisc(flags, (index, NETEM_HANDLE, parent), "pfifo", struct.pack("=I", limit))


def clear(index: int) -> Request:
    """Take an interface's root discipline away, and all below it."""
    return Request(DELQDISC, 0, _TCMSG.pack(0, index, 0, ROOT, 0))
