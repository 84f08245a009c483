"""Rules of a session, as N4 gives them (3GPP TS 29.244, 5.2; TS 23.501, 5.8.2.11)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, TypeVar

from core5g.gtpu.tunnel import Tunnel
from core5g.nas.filters import Filter, of_text
from core5g.pfcp.codec import ELEMENTS, Cause, Elements
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.values import Fteid, Rates, Volume
from testbed.errors import BadInput

ACCESS, CORE = 0, 1
DROP, FORWARD, KEEP, TELL = 1, 2, 4, 8
"""Bits of Apply Action (8.2.26)."""
_KEPT_SECONDS = 0.1
"""What a rate lets through at once: as much as in this time, and at least some packets."""
_LEAST_BURST = 30_000
_END_MARKER = 2

Choose = Callable[[Fteid], int]


@dataclass(frozen=True, slots=True)
class Pdr:
    """Which packets a rule is about, and what is done with them.

    Attributes:
        source: ACCESS or CORE. teid: of the tunnel they come by; None where they come without. address: the UE's.
        filters: one of which must match; none for all.
    """

    number: int
    precedence: int
    source: int
    teid: int | None
    address: IPv4Address | None
    filters: tuple[Filter, ...]
    far: int
    qers: tuple[int, ...]
    urrs: tuple[int, ...]
    dnn: str | None = None


@dataclass(frozen=True, slots=True)
class Far:
    """What is done with packets. `action`: bits. to: into which tunnel; None for out of all."""

    number: int
    action: int
    to: Tunnel | None = None
    tos: int = 0


@dataclass(slots=True)
class Bucket:
    """Lets so many bytes a second through; None for as many as come."""

    rate: float | None = None
    left: float = 0.0
    since: float = 0.0

    def lets(self, size: int) -> bool:
        """Tell whether a packet of `size` bytes may pass now."""
        if self.rate is None:
            return True
        now = time.monotonic()
        most = max(self.rate * _KEPT_SECONDS, _LEAST_BURST)
        self.left = min(most, self.left + (now - self.since) * self.rate)
        self.since = now
        if self.left < size:
            return False
        self.left -= size
        return True


@dataclass(slots=True)
class Qer:
    """How packets are treated. `gates`: 2 bits up, 2 bits down, 0 for open. qfi: 0 for none."""

    number: int
    qfi: int = 0
    gates: int = 0
    up: Bucket = field(default_factory=Bucket)
    down: Bucket = field(default_factory=Bucket)


@dataclass(slots=True)
class Urr:
    """What went through, since it was last told. `told`: how often it was."""

    number: int
    told: int = 0
    up: int = 0
    down: int = 0
    packets_up: int = 0
    packets_down: int = 0

    def report(self, trigger: bytes) -> Elements:
        """Return what went through, and begin anew."""
        volume = Volume(self.up, self.down, self.packets_up, self.packets_down)
        self.up = self.down = self.packets_up = self.packets_down = 0
        self.told += 1
        about = {"urr_id": [self.number], "ur_seqn": self.told - 1, "usage_report_trigger": trigger}
        return {**about, "volume_measurement": volume}


@dataclass(slots=True)
class Rules:
    """All rules of a session, by their numbers."""

    pdrs: dict[int, Pdr] = field(default_factory=dict)
    fars: dict[int, Far] = field(default_factory=dict)
    qers: dict[int, Qer] = field(default_factory=dict)
    urrs: dict[int, Urr] = field(default_factory=dict)

    def changed(self, ies: Elements, choose: Choose) -> Rules:
        """Return them as a request changes them; these stay as they are, so that a wrong request changes nothing.

        Args:
            choose: gives the TEID of an endpoint that the UPF is to choose.

        Raises:
            PfcpError: the request is wrong.
        """
        new = Rules(dict(self.pdrs), dict(self.fars), dict(self.qers), dict(self.urrs))
        for kind, rules in (("pdr", new.pdrs), ("far", new.fars), ("qer", new.qers), ("urr", new.urrs)):
            for one in ies.get(f"remove_{kind}", ()):
                if rules.pop(_number(one, kind), None) is None:
                    raise _wrong(f"remove_{kind} of one that is not there", f"remove_{kind}")
        _put(new.fars, map(_far, ies.get("create_far", ())))
        _put(new.fars, (_updated_far(new.fars, each) for each in ies.get("update_far", ())))
        for each in (*ies.get("create_qer", ()), *ies.get("update_qer", ())):
            number = _number(each, "qer")
            new.qers[number] = _qer(each, new.qers.get(number, Qer(number)))
        for each in ies.get("create_urr", ()):
            number = _number(each, "urr")
            new.urrs[number] = Urr(number)
        _put(new.pdrs, (_pdr(each, choose) for each in ies.get("create_pdr", ())))
        _put(new.pdrs, (_updated_pdr(new.pdrs, each) for each in ies.get("update_pdr", ())))
        new._check()
        return new

    def _check(self) -> None:
        """Rules may only speak of rules that are there (5.2.1)."""
        for pdr in self.pdrs.values():
            if pdr.far not in self.fars:
                raise _wrong(f"PDR {pdr.number} has FAR {pdr.far}, which is not there", "far_id")
            if not self.qers.keys() >= set(pdr.qers) or not self.urrs.keys() >= set(pdr.urrs):
                raise _wrong(f"PDR {pdr.number} has a QER or URR that is not there", "qer_id")


Rule = TypeVar("Rule", Pdr, Far)


def _put(rules: dict[int, Rule], ones: Iterable[Rule]) -> None:
    for one in ones:
        rules[one.number] = one


def _wrong(text: str, name: str, cause: Cause = Cause.RULE_FAILURE) -> PfcpError:
    return PfcpError(text, cause, ELEMENTS[name].number)


def _wanted(ies: Mapping[str, Any], name: str) -> Any:
    if name not in ies:
        raise _wrong(f"a rule without {name}", name, Cause.MANDATORY_MISSING)
    return ies[name]


def _number(ies: Mapping[str, Any], kind: str) -> int:
    value = _wanted(ies, f"{kind}_id")
    return value[0] if isinstance(value, list) else value


def _pdr(ies: Elements, choose: Choose) -> Pdr:
    pdi = _wanted(ies, "pdi")
    tunnel, address = pdi.get("f_teid"), pdi.get("ue_ip_address")
    where = None if address is None else address.address
    if where is not None and not isinstance(where, IPv4Address):
        raise _wrong("an IPv6 address of a UE", "ue_ip_address", Cause.SERVICE_NOT_SUPPORTED)
    return Pdr(
        _number(ies, "pdr"),
        _wanted(ies, "precedence"),
        _wanted(pdi, "source_interface"),
        None if tunnel is None else choose(tunnel),
        where,
        _filters(pdi.get("sdf_filter", ())),
        _wanted(ies, "far_id"),
        tuple(ies.get("qer_id", ())),
        tuple(ies.get("urr_id", ())),
        pdi.get("network_instance"),
    )


def _updated_pdr(pdrs: Mapping[int, Pdr], ies: Elements) -> Pdr:
    old = pdrs.get(_number(ies, "pdr"))
    if old is None:
        raise _wrong("update_pdr of one that is not there", "update_pdr")
    pdi = ies.get("pdi", {})
    return Pdr(
        old.number,
        ies.get("precedence", old.precedence),
        pdi.get("source_interface", old.source),
        old.teid,
        old.address,
        _filters(pdi["sdf_filter"]) if "sdf_filter" in pdi else old.filters,
        ies.get("far_id", old.far),
        tuple(ies.get("qer_id", old.qers)),
        tuple(ies.get("urr_id", old.urrs)),
        old.dnn,
    )


def _filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    try:
        return tuple(of_text(one) for one in texts)
    except BadInput as error:
        raise _wrong(str(error), "sdf_filter", Cause.MANDATORY_INCORRECT) from None


def _far(ies: Elements) -> Far:
    action = _wanted(ies, "apply_action")
    there = ies.get("forwarding_parameters", {})
    return Far(_number(ies, "far"), _action(action), _tunnel(there), _tos(there))


def _updated_far(fars: Mapping[int, Far], ies: Elements) -> Far:
    old = fars.get(_number(ies, "far"))
    if old is None:
        raise _wrong("update_far of one that is not there", "update_far")
    there = ies.get("update_forwarding_parameters", {})
    action = _action(ies["apply_action"]) if "apply_action" in ies else old.action
    return Far(old.number, action, _tunnel(there) or old.to, _tos(there) or old.tos)


def moved(ies: Elements) -> list[int]:
    """Return the FARs of a request whose packets go elsewhere, and whose old way is to be told so (5.2.2.3.1)."""
    return [
        _number(one, "far")
        for one in ies.get("update_far", ())
        if one.get("update_forwarding_parameters", {}).get("pfcpsmreq_flags", 0) & _END_MARKER
    ]


def _action(value: bytes) -> int:
    if not value or not value[0] & (DROP | FORWARD | KEEP):
        raise _wrong("an action that is none of drop, forward, keep", "apply_action", Cause.MANDATORY_INCORRECT)
    return value[0]


def _tunnel(there: Elements) -> Tunnel | None:
    header = there.get("outer_header_creation")
    return None if header is None else Tunnel(str(header.address), header.teid)


def _tos(there: Elements) -> int:
    """The upper byte is the traffic class, the lower its mask (8.2.12)."""
    return there.get("transport_level_marking", 0) >> 8


def _qer(ies: Elements, old: Qer) -> Qer:
    most: Rates | None = ies.get("mbr")
    return Qer(
        old.number,
        ies.get("qfi", old.qfi),
        ies.get("gate_status", old.gates),
        old.up if most is None else _bucket(most.uplink),
        old.down if most is None else _bucket(most.downlink),
    )


def _bucket(rate: int) -> Bucket:
    return Bucket(rate / 8, max(rate / 8 * _KEPT_SECONDS, _LEAST_BURST), time.monotonic())
