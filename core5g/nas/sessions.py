"""Messages of 5GSM: PDU sessions set up, changed, released (3GPP TS 24.501, 8.3)."""

from __future__ import annotations

from typing import ClassVar

from core5g.nas import flows
from core5g.nas import values as code
from core5g.nas.fields import Half, Halves, Layout, SessionMessage, lv, lve, v
from core5g.nas.flows import FlowDescription, QosRule
from core5g.nas.values import Addresses, Ambr, Snssai

IPV4, IPV6, IPV4V6 = 1, 2, 3
"""PDU session types (9.11.4.11)."""
FULL_RATE = b"\xff\xff"
"""Maximum data rate for integrity protection of user data, up and down (9.11.4.7)."""

_OPTIONS = lve("options", code.RAW)
"""Protocol configuration options, extended (TS 24.008, 10.5.6.3)."""


class SessionRequest(SessionMessage, frozen=True, kw_only=True):
    """A UE asks for a PDU session (8.3.1). `kind`: of IPV4, IPV6, IPV4V6. `mode`: of service and continuity, 1 to 3."""

    layout: ClassVar[Layout] = Layout(
        0xC1,
        v("integrity_rate", code.TWO, 2),
        optional={
            0x90: Half("kind"),
            0xA0: Half("mode"),
            0x28: lv("capability", code.RAW),
            0x55: v("filters", code.RAW, 2),
            0xB0: Half("always_on"),
            0x39: lv("container", code.RAW),
            0x7B: _OPTIONS,
        },
    )
    integrity_rate: bytes = FULL_RATE
    kind: int | None = None
    mode: int | None = None
    capability: bytes | None = None
    filters: bytes | None = None
    always_on: int | None = None
    container: bytes | None = None
    options: bytes | None = None


class SessionAccept(SessionMessage, frozen=True, kw_only=True):
    """It has one (8.3.2)."""

    layout: ClassVar[Layout] = Layout(
        0xC2,
        Halves("kind", "mode"),
        lve("rules", flows.RULES),
        lv("ambr", code.AMBR),
        optional={
            0x59: v("cause", code.NUMBER),
            0x29: lv("address", code.ADDRESSES),
            0x56: v("reflective", code.NUMBER),
            0x22: lv("slice", code.SNSSAI),
            0x80: Half("always_on"),
            0x79: lve("flows", flows.DESCRIPTIONS),
            0x7B: _OPTIONS,
            0x25: lv("dnn", code.DNN),
        },
    )
    kind: int
    mode: int
    rules: tuple[QosRule, ...]
    ambr: Ambr
    cause: int | None = None
    address: Addresses | None = None
    reflective: int | None = None
    slice: Snssai | None = None
    always_on: int | None = None
    flows: tuple[FlowDescription, ...] | None = None
    options: bytes | None = None
    dnn: str | None = None


class SessionReject(SessionMessage, frozen=True, kw_only=True):
    """It has none (8.3.3). `back_off`: seconds."""

    layout: ClassVar[Layout] = Layout(
        0xC3,
        v("cause", code.NUMBER),
        optional={0x37: lv("back_off", code.TIMER_3), 0xF0: Half("modes"), 0x7B: _OPTIONS},
    )
    cause: int
    back_off: int | None = None
    modes: int | None = None
    options: bytes | None = None


class ModificationRequest(SessionMessage, frozen=True, kw_only=True):
    """A UE asks for other flows (8.3.7)."""

    layout: ClassVar[Layout] = Layout(
        0xC9,
        optional={
            0x28: lv("capability", code.RAW),
            0x59: v("cause", code.NUMBER),
            0x55: v("filters", code.RAW, 2),
            0xB0: Half("always_on"),
            0x13: v("integrity_rate", code.TWO, 2),
            0x7A: lve("rules", flows.RULES),
            0x79: lve("flows", flows.DESCRIPTIONS),
            0x7B: _OPTIONS,
        },
    )
    capability: bytes | None = None
    cause: int | None = None
    filters: bytes | None = None
    always_on: int | None = None
    integrity_rate: bytes | None = None
    rules: tuple[QosRule, ...] | None = None
    flows: tuple[FlowDescription, ...] | None = None
    options: bytes | None = None


class ModificationReject(SessionMessage, frozen=True, kw_only=True):
    """It does not get them (8.3.8)."""

    layout: ClassVar[Layout] = Layout(
        0xCA, v("cause", code.NUMBER), optional={0x37: lv("back_off", code.TIMER_3), 0x7B: _OPTIONS}
    )
    cause: int
    back_off: int | None = None
    options: bytes | None = None


class ModificationCommand(SessionMessage, frozen=True, kw_only=True):
    """The core changes a session (8.3.9)."""

    layout: ClassVar[Layout] = Layout(
        0xCB,
        optional={
            0x59: v("cause", code.NUMBER),
            0x2A: lv("ambr", code.AMBR),
            0x56: v("reflective", code.NUMBER),
            0x80: Half("always_on"),
            0x7A: lve("rules", flows.RULES),
            0x79: lve("flows", flows.DESCRIPTIONS),
            0x7B: _OPTIONS,
        },
    )
    cause: int | None = None
    ambr: Ambr | None = None
    reflective: int | None = None
    always_on: int | None = None
    rules: tuple[QosRule, ...] | None = None
    flows: tuple[FlowDescription, ...] | None = None
    options: bytes | None = None


class ModificationComplete(SessionMessage, frozen=True, kw_only=True):
    """The UE has changed it (8.3.10)."""

    layout: ClassVar[Layout] = Layout(0xCC, optional={0x7B: _OPTIONS})
    options: bytes | None = None


class ModificationCommandReject(SessionMessage, frozen=True, kw_only=True):
    """It has not (8.3.11)."""

    layout: ClassVar[Layout] = Layout(0xCD, v("cause", code.NUMBER), optional={0x7B: _OPTIONS})
    cause: int
    options: bytes | None = None


class ReleaseRequest(SessionMessage, frozen=True, kw_only=True):
    """A UE gives a session back (8.3.12)."""

    layout: ClassVar[Layout] = Layout(0xD1, optional={0x59: v("cause", code.NUMBER), 0x7B: _OPTIONS})
    cause: int | None = None
    options: bytes | None = None


class ReleaseReject(SessionMessage, frozen=True, kw_only=True):
    """It cannot (8.3.13)."""

    layout: ClassVar[Layout] = Layout(0xD2, v("cause", code.NUMBER), optional={0x7B: _OPTIONS})
    cause: int
    options: bytes | None = None


class ReleaseCommand(SessionMessage, frozen=True, kw_only=True):
    """The core takes a session away (8.3.14)."""

    layout: ClassVar[Layout] = Layout(
        0xD3, v("cause", code.NUMBER), optional={0x37: lv("back_off", code.TIMER_3), 0x7B: _OPTIONS}
    )
    cause: int
    back_off: int | None = None
    options: bytes | None = None


class ReleaseComplete(SessionMessage, frozen=True, kw_only=True):
    """It is gone (8.3.15)."""

    layout: ClassVar[Layout] = Layout(0xD4, optional={0x59: v("cause", code.NUMBER), 0x7B: _OPTIONS})
    cause: int | None = None
    options: bytes | None = None


class SessionStatus(SessionMessage, frozen=True, kw_only=True):
    """What was wrong with the other's message (8.3.16)."""

    layout: ClassVar[Layout] = Layout(0xD6, v("cause", code.NUMBER))
    cause: int
