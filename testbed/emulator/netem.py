"""The settings of netem (tc-netem(8), linux/pkt_sched.h): merge a partial change, check, encode, read back.

netem's `change` keeps some options that a message leaves out and resets others; therefore every message carries all of
them, made from the whole state.
"""

from __future__ import annotations

import math
import struct
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET

from testbed.emulator.netlink import attribute, attributes
from testbed.emulator.patch import GilbertElliott, LinkPatch
from testbed.errors import BadInput, Unable, nearest

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")
TABLE_FOLDERS = ("/usr/lib/tc", "/usr/share/tc", "/usr/lib/x86_64-linux-gnu/tc", "/usr/lib/aarch64-linux-gnu/tc")

CORR, DELAY_DIST, REORDER, CORRUPT, LOSS, RATE, RATE64, LATENCY64, JITTER64, SLOT = 1, 2, 3, 4, 5, 6, 8, 10, 11, 12
LOSS_GE = 2

_WHOLE = 0xFFFFFFFF
_TICK = 64  # ns; the kernel's PSCHED_SHIFT
_FASTEST = 2e9  # bit/s; what an unlimited link is taken to carry where its queue is sized
_LIMIT_MAX = 1_000_000
_JITTER_MAX = (2**31 - 1) / 1e9  # the kernel cuts jitter to INT_MAX nanoseconds
_SHORT_PACKET = 80e-6  # s; where a full packet takes less, a timer for each would cost more than the packet itself
_SLOT_LENGTH = 100_000  # ns
_SELDOM = struct.Struct("=HH3IHH2IHH2IHHIiIiHHQHHqqiiqq")
_MOST_POINTS = 4096
_REACH = 4.0  # jitters; what 16 bits hold in steps of 1/8192
_QOPT = struct.Struct("=6I")
_OFTEN = struct.Struct(_QOPT.format + "HHqHHq")


class Netem(NamedTuple):
    """The whole state of one direction, in SI; the fields of `messages.LinkPatch`, none left out."""

    delay: float = 0.0
    jitter: float = 0.0
    distribution: str | tuple[float, ...] = "uniform"
    jitter_correlation: float = 0.0
    loss: float = 0.0
    loss_correlation: float = 0.0
    burst: GilbertElliott | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate: float | None = None
    limit: int | None = None

    def patch(self) -> LinkPatch:
        """Return the state as a patch with nothing left out."""
        return LinkPatch(**self._asdict())


_fields = attrgetter(*Netem._fields)
_SHARES = ("jitter_correlation", "loss", "loss_correlation", "duplicate", "reorder", "corrupt")
_shares = attrgetter(*_SHARES)
_seldom_set = attrgetter("jitter_correlation", "loss_correlation", "reorder", "corrupt", "rate")


def merge(state: Netem, patch: LinkPatch, where: str) -> Netem:
    """Return `state` with what `patch` names changed.

    Args:
        where: link and direction, for messages.

    Raises:
        BadInput: a value no link can have; nothing is changed.
    """
    new = Netem._make([old if value is UNSET else value for old, value in zip(state, _fields(patch), strict=True)])
    # Of the thousands of changes a second most are of these two; what only the others can spoil is checked with them.
    if not (0.0 <= new.delay < 1e6 and 0.0 <= new.jitter <= _JITTER_MAX):
        raise _bad(where, f"delay {new.delay} s and jitter {new.jitter} s", f"from 0 s; jitter to {_JITTER_MAX} s")
    if new[2:] != state[2:] or new.reorder:
        _check_rest(new, where)
    return new


def _check_rest(new: Netem, where: str) -> None:
    if not all(0.0 <= share <= 1.0 for share in _shares(new)):
        raise _bad(where, " ".join(f"{n}={getattr(new, n)}" for n in _SHARES), "fractions from 0 to 1")
    _check_rare(new, where)
    if isinstance(new.distribution, tuple):
        _check_measured(new.distribution, where)
    elif new.distribution not in DISTRIBUTIONS:
        hint = nearest(new.distribution, DISTRIBUTIONS)
        raise _bad(where, f"distribution {new.distribution!r}{hint}", f"one of {', '.join(DISTRIBUTIONS)}")


def _check_rare(new: Netem, where: str) -> None:
    if new.rate is not None and not 8 <= new.rate < math.inf:
        raise _bad(where, f"rate {new.rate} bit/s", "at least 8 bit/s, or None for no limit")
    if new.limit is not None and not 1 <= new.limit <= _WHOLE:
        raise _bad(where, f"limit {new.limit}", "at least 1 packet, or None to have it chosen")
    if new.reorder and not new.delay:
        raise _bad(where, "reorder without a delay", "a delay above 0: reordered packets overtake the delayed ones")
    if new.burst is not None:
        if new.loss:
            raise _bad(where, "both loss and burst", "one of them; set the other to 0 (burst: None)")
        b = new.burst
        if not all(0.0 <= share <= 1.0 for share in (b.p, b.r, b.bad_loss, b.good_loss)):
            raise _bad(where, f"{b}", "fractions from 0 to 1")


def _check_measured(points: tuple[float, ...], where: str) -> None:
    if not (2 <= len(points) <= _MOST_POINTS and all(-_REACH <= point <= _REACH for point in points)):
        expected = f"2 to {_MOST_POINTS} deviations from -{_REACH:.3f} to {_REACH:.3f} jitters"
        raise _bad(where, f"a measured distribution of {len(points)}", expected)


def _bad(where: str, what: str, expected: str) -> BadInput:
    return BadInput(f"{where}: {what}; expected {expected}")


def queue_limit(state: Netem, mtu: int) -> int:
    """Return the packets netem may hold: what was asked, or two bandwidth-delay products, at least 1000."""
    if state.limit is not None:
        return state.limit
    spread = state.delay + 4 * state.jitter
    return min(max(1000, math.ceil(2 * (state.rate or _FASTEST) * spread / (8 * mtu))), _LIMIT_MAX)


def slot_length(rate: float | None, mtu: int) -> int:
    """Return how long netem gathers packets before it lets them go, in ns; 0 where each has a timer of its own.

    A fast link's packets leave a guest's one CPU no time for that many timers: a link set to 500 Mbit/s carries 420
    without slots and 498 with them. A packet waits up to a slot more; a guest's timers are as late as that anyway.
    """
    return _SLOT_LENGTH if rate is not None and 8 * mtu / rate < _SHORT_PACKET else 0


def encode(state: Netem, mtu: int, new_distribution: bool) -> bytes:
    """Encode netem's options.

    Args:
        state: all settings. mtu: bytes, sizes the queue.
        new_distribution: send the table of the delay distribution (8 KiB); the kernel keeps the last one.
    """
    delay, jitter = round(state.delay * 1e9), round(state.jitter * 1e9)
    options = _OFTEN.pack(
        min(delay // _TICK, _WHOLE), queue_limit(state, mtu), round(state.loss * _WHOLE), 1 if state.reorder else 0,
        round(state.duplicate * _WHOLE), min(jitter // _TICK, _WHOLE), 12, LATENCY64, delay, 12, JITTER64, jitter,
    ) + _seldom(_seldom_set(state), mtu)  # fmt: skip
    if state.burst is not None:
        options += _gilbert_elliott(state.burst)
    return options + attribute(DELAY_DIST, table(state.distribution)) if new_distribution else options


@lru_cache(maxsize=1024)
def _seldom(settings: tuple[float, float, float, float, float | None], mtu: int) -> bytes:
    """Encode what links that change often have in common, the `_seldom_set`; it takes longer than the rest."""
    jitter_correlation, loss_correlation, reorder, corrupt, rate = settings
    octets, slot = round(rate / 8) if rate else 0, slot_length(rate, mtu)
    return _SELDOM.pack(
        16, CORR, round(jitter_correlation * _WHOLE), round(loss_correlation * _WHOLE), 0,
        12, REORDER, round(reorder * _WHOLE), 0,
        12, CORRUPT, round(corrupt * _WHOLE), 0,
        20, RATE, min(octets, _WHOLE), 0, 0, 0,
        12, RATE64, octets,
        44, SLOT, slot, slot, 0, 0, 0, 0,
    )  # fmt: skip


def _gilbert_elliott(burst: GilbertElliott) -> bytes:
    """The kernel's h is the share that *survives* the bad state, k1 the share *lost* in the good one."""
    shares = (burst.p, burst.r, 1 - burst.bad_loss, burst.good_loss)
    return attribute(LOSS, attribute(LOSS_GE, struct.pack("=4I", *(round(s * _WHOLE) for s in shares))))


def decode(options: bytes, distribution: str | tuple[float, ...]) -> Netem:
    """Read netem's options back from a qdisc dump.

    Args:
        distribution: the kernel does not tell its table, so the caller says which one it sent last.
    """
    _, limit, loss, _, duplicate, _ = _QOPT.unpack_from(options)
    extra = attributes(options[_QOPT.size :])
    jitter_corr, loss_corr, _ = struct.unpack("=3I", extra[CORR])
    rate = struct.unpack("=I", extra[RATE][:4])[0]
    if RATE64 in extra:
        rate = max(rate, struct.unpack("=Q", extra[RATE64])[0])
    return Netem(
        delay=struct.unpack("=q", extra[LATENCY64])[0] / 1e9,
        jitter=struct.unpack("=q", extra[JITTER64])[0] / 1e9,
        distribution=distribution,
        jitter_correlation=_share(jitter_corr),
        loss=_share(loss),
        loss_correlation=_share(loss_corr),
        burst=_decode_burst(extra.get(LOSS)),
        duplicate=_share(duplicate),
        reorder=_share(struct.unpack("=2I", extra[REORDER])[0]),
        corrupt=_share(struct.unpack("=2I", extra[CORRUPT])[0]),
        rate=rate * 8.0 if rate else None,
        limit=limit,
    )


def _decode_burst(nested: bytes | None) -> GilbertElliott | None:
    model = attributes(nested).get(LOSS_GE) if nested else None
    if model is None:
        return None
    p, r, h, k1 = struct.unpack("=4I", model)
    return GilbertElliott(p=_share(p), r=_share(r), bad_loss=_share(_WHOLE - h), good_loss=_share(k1))


def _share(value: int) -> float:
    return round(value / _WHOLE, 9)


@cache
def table(distribution: str | tuple[float, ...]) -> bytes:
    """Return a delay distribution as netem wants it: deviations in 1/8192 of the jitter, 16-bit.

    netem without a table is uniform from -jitter to +jitter, and a table once set cannot be taken away; so `uniform`
    has one too.

    Raises:
        Unable: iproute2's tables are not on this machine.
    """
    if isinstance(distribution, tuple):
        return struct.pack(f"={len(distribution)}h", *(min(32767, round(8192 * point)) for point in distribution))
    if distribution == "uniform":
        return struct.pack("=4096h", *(round((2 * i - 4095) * 8192 / 4095) for i in range(4096)))
    for folder in TABLE_FOLDERS:
        file = Path(folder, f"{distribution}.dist")
        if file.exists():
            lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
            values = [int(word) for line in lines for word in line.split()]
            return struct.pack(f"={len(values)}h", *values)
    raise Unable(
        f"the table of the {distribution} distribution is not in {', '.join(TABLE_FOLDERS)}; apt-get install iproute2"
    )
