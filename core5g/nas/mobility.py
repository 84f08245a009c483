"""Messages of 5GMM: registration, authentication, security mode, service, transport (3GPP TS 24.501, 8.2)."""

from __future__ import annotations

from typing import ClassVar

from core5g.nas import values as code
from core5g.nas.fields import Half, Halves, Layout, MobilityMessage, lv, lve, v
from core5g.nas.values import Capability, Identity, RejectedSlice, Snssai, Tai

NO_KEYS = 7
"""Key set identifier of a UE that has none (9.11.3.32)."""
FOLLOW_ON = 8
"""Of a registration type: the UE has more to say."""
INITIAL, MOBILITY, PERIODIC, EMERGENCY = 1, 2, 3, 4
"""Registration types (9.11.3.7)."""
SWITCH_OFF = 8
"""Of a deregistration type: the UE does not wait for an answer."""
ACCESS_3GPP = 1
SESSION_CONTAINER = 1
"""Payload container type of a 5GSM message (9.11.3.40)."""
INITIAL_REQUEST, EXISTING_SESSION, MODIFICATION_REQUEST = 1, 2, 5
"""Request types (9.11.3.47)."""
SIGNALLING, DATA, MOBILE_TERMINATED = 0, 1, 2
"""Service types (9.11.3.50)."""

HORIZONTAL, REPEAT = 1, 2
"""Of a security mode command: the key is derived from the one before; send the first message again (9.11.3.12)."""


class RegistrationRequest(MobilityMessage, frozen=True, kw_only=True):
    """A UE comes, moves or is still there (8.2.6). `kind`: registration type, with FOLLOW_ON."""

    layout: ClassVar[Layout] = Layout(
        0x41,
        Halves("kind", "keys"),
        lve("identity", code.IDENTITY),
        optional={
            0xC0: Half("native_keys"),
            0x10: lv("mobility_capability", code.RAW),
            0x2E: lv("capability", code.CAPABILITY),
            0x2F: lv("requested_slices", code.NSSAI),
            0x52: v("last_area", code.AREA, 6),
            0x17: lv("eps_capability", code.RAW),
            0x40: lv("uplink_data", code.SESSIONS),
            0x50: lv("sessions", code.SESSIONS),
            0xB0: Half("mico"),
            0x2B: lv("ue_status", code.NUMBER),
            0x77: lve("additional_identity", code.IDENTITY),
            0x25: lv("allowed_sessions", code.SESSIONS),
            0x18: lv("usage", code.NUMBER),
            0x51: lv("paging_cycle", code.NUMBER),
            0x53: lv("update", code.RAW),
            0x71: lve("container", code.RAW),
        },
    )
    kind: int
    keys: int
    identity: Identity
    native_keys: int | None = None
    mobility_capability: bytes | None = None
    capability: Capability | None = None
    requested_slices: tuple[Snssai, ...] | None = None
    last_area: Tai | None = None
    eps_capability: bytes | None = None
    uplink_data: frozenset[int] | None = None
    sessions: frozenset[int] | None = None
    mico: int | None = None
    ue_status: int | None = None
    additional_identity: Identity | None = None
    allowed_sessions: frozenset[int] | None = None
    usage: int | None = None
    paging_cycle: int | None = None
    update: bytes | None = None
    container: bytes | None = None


class RegistrationAccept(MobilityMessage, frozen=True, kw_only=True):
    """The core has it (8.2.7). `periodic`: T3512, seconds, 0 or None for never."""

    layout: ClassVar[Layout] = Layout(
        0x42,
        lv("result", code.NUMBER),
        optional={
            0x77: lve("guti", code.IDENTITY),
            0x54: lv("areas", code.AREAS),
            0x15: lv("allowed_slices", code.NSSAI),
            0x11: lv("rejected_slices", code.REJECTED),
            0x31: lv("configured_slices", code.NSSAI),
            0x21: lv("features", code.RAW),
            0x50: lv("sessions", code.SESSIONS),
            0x26: lv("not_reactivated", code.SESSIONS),
            0x72: lve("reactivation_causes", code.CAUSES),
            0x5E: lv("periodic", code.TIMER_3),
            0x16: lv("retry", code.TIMER_2),
        },
    )
    result: int = ACCESS_3GPP
    guti: Identity | None = None
    areas: tuple[Tai, ...] | None = None
    allowed_slices: tuple[Snssai, ...] | None = None
    rejected_slices: tuple[RejectedSlice, ...] | None = None
    configured_slices: tuple[Snssai, ...] | None = None
    features: bytes | None = None
    sessions: frozenset[int] | None = None
    not_reactivated: frozenset[int] | None = None
    reactivation_causes: tuple[tuple[int, int], ...] | None = None
    periodic: int | None = None
    retry: int | None = None


class RegistrationComplete(MobilityMessage, frozen=True, kw_only=True):
    """The UE has its new identity (8.2.8)."""

    layout: ClassVar[Layout] = Layout(0x43, optional={0x73: lve("steering", code.RAW)})
    steering: bytes | None = None


class RegistrationReject(MobilityMessage, frozen=True, kw_only=True):
    """The core does not take it (8.2.9). `back_off`: T3346, seconds."""

    layout: ClassVar[Layout] = Layout(
        0x44,
        v("cause", code.NUMBER),
        optional={
            0x5F: lv("back_off", code.TIMER_2),
            0x16: lv("retry", code.TIMER_2),
            0x69: lv("rejected_slices", code.REJECTED),
        },
    )
    cause: int
    back_off: int | None = None
    retry: int | None = None
    rejected_slices: tuple[RejectedSlice, ...] | None = None


class DeregistrationRequest(MobilityMessage, frozen=True, kw_only=True):
    """A UE leaves (8.2.12). `kind`: access type, with SWITCH_OFF."""

    layout: ClassVar[Layout] = Layout(0x45, Halves("kind", "keys"), lve("identity", code.IDENTITY))
    kind: int
    keys: int
    identity: Identity


class DeregistrationAccept(MobilityMessage, frozen=True, kw_only=True):
    """The core lets it go (8.2.13)."""

    layout: ClassVar[Layout] = Layout(0x46)


class NetworkDeregistrationRequest(MobilityMessage, frozen=True, kw_only=True):
    """The core sends a UE away (8.2.14). `kind`: access type; 4 beside it: it is to register again."""

    layout: ClassVar[Layout] = Layout(
        0x47,
        Halves("kind"),
        optional={0x58: v("cause", code.NUMBER), 0x5F: lv("back_off", code.TIMER_2)},
    )
    kind: int
    cause: int | None = None
    back_off: int | None = None


class NetworkDeregistrationAccept(MobilityMessage, frozen=True, kw_only=True):
    """The UE goes (8.2.15)."""

    layout: ClassVar[Layout] = Layout(0x48)


class ServiceRequest(MobilityMessage, frozen=True, kw_only=True):
    """An idle UE wants to talk (8.2.16). `service`: SIGNALLING, DATA, MOBILE_TERMINATED."""

    layout: ClassVar[Layout] = Layout(
        0x4C,
        Halves("keys", "service"),
        lve("identity", code.IDENTITY),
        optional={
            0x40: lv("uplink_data", code.SESSIONS),
            0x50: lv("sessions", code.SESSIONS),
            0x25: lv("allowed_sessions", code.SESSIONS),
            0x71: lve("container", code.RAW),
        },
    )
    keys: int
    service: int
    identity: Identity
    uplink_data: frozenset[int] | None = None
    sessions: frozenset[int] | None = None
    allowed_sessions: frozenset[int] | None = None
    container: bytes | None = None


class ServiceReject(MobilityMessage, frozen=True, kw_only=True):
    """It may not (8.2.18)."""

    layout: ClassVar[Layout] = Layout(
        0x4D,
        v("cause", code.NUMBER),
        optional={0x50: lv("sessions", code.SESSIONS), 0x5F: lv("back_off", code.TIMER_2)},
    )
    cause: int
    sessions: frozenset[int] | None = None
    back_off: int | None = None


class ServiceAccept(MobilityMessage, frozen=True, kw_only=True):
    """It may (8.2.17)."""

    layout: ClassVar[Layout] = Layout(
        0x4E,
        optional={
            0x50: lv("sessions", code.SESSIONS),
            0x26: lv("not_reactivated", code.SESSIONS),
            0x72: lve("reactivation_causes", code.CAUSES),
        },
    )
    sessions: frozenset[int] | None = None
    not_reactivated: frozenset[int] | None = None
    reactivation_causes: tuple[tuple[int, int], ...] | None = None


class ConfigurationUpdateCommand(MobilityMessage, frozen=True, kw_only=True):
    """New settings for a UE (8.2.19). `indication`: 1 to be acknowledged, 2 to register again."""

    layout: ClassVar[Layout] = Layout(
        0x54,
        optional={
            0xD0: Half("indication"),
            0x77: lve("guti", code.IDENTITY),
            0x54: lv("areas", code.AREAS),
            0x15: lv("allowed_slices", code.NSSAI),
            0x43: lv("full_name", code.NAME),
            0x45: lv("short_name", code.NAME),
            0x46: v("zone", code.NUMBER),
            0x47: v("time", code.RAW, 7),
            0x49: lv("summer", code.NUMBER),
            0x31: lv("configured_slices", code.NSSAI),
            0x11: lv("rejected_slices", code.REJECTED),
        },
    )
    indication: int | None = None
    guti: Identity | None = None
    areas: tuple[Tai, ...] | None = None
    allowed_slices: tuple[Snssai, ...] | None = None
    full_name: str | None = None
    short_name: str | None = None
    zone: int | None = None
    time: bytes | None = None
    summer: int | None = None
    configured_slices: tuple[Snssai, ...] | None = None
    rejected_slices: tuple[RejectedSlice, ...] | None = None


class ConfigurationUpdateComplete(MobilityMessage, frozen=True, kw_only=True):
    """It has them (8.2.20)."""

    layout: ClassVar[Layout] = Layout(0x55)


class AuthenticationRequest(MobilityMessage, frozen=True, kw_only=True):
    """A challenge (8.2.1). `rand` and `autn`: 16 bytes each."""

    layout: ClassVar[Layout] = Layout(
        0x56,
        Halves("keys"),
        lv("abba", code.ABBA),
        optional={0x21: v("rand", code.RAND, 16), 0x20: lv("autn", code.RAND)},
    )
    keys: int
    abba: bytes
    rand: bytes | None = None
    autn: bytes | None = None


class AuthenticationResponse(MobilityMessage, frozen=True, kw_only=True):
    """The answer, RES* of 16 bytes (8.2.2)."""

    layout: ClassVar[Layout] = Layout(0x57, optional={0x2D: lv("response", code.RAND)})
    response: bytes | None = None


class AuthenticationReject(MobilityMessage, frozen=True, kw_only=True):
    """The answer was wrong (8.2.5)."""

    layout: ClassVar[Layout] = Layout(0x58)


class AuthenticationFailure(MobilityMessage, frozen=True, kw_only=True):
    """The UE does not believe the network (8.2.4). `auts`: 14 bytes, when it has seen a later sequence number."""

    layout: ClassVar[Layout] = Layout(0x59, v("cause", code.NUMBER), optional={0x30: lv("auts", code.AUTS)})
    cause: int
    auts: bytes | None = None


class IdentityRequest(MobilityMessage, frozen=True, kw_only=True):
    """Who are you? `kind`: of `Identities` (8.2.21)."""

    layout: ClassVar[Layout] = Layout(0x5B, Halves("kind"))
    kind: int


class IdentityResponse(MobilityMessage, frozen=True, kw_only=True):
    """It tells (8.2.22)."""

    layout: ClassVar[Layout] = Layout(0x5C, lve("identity", code.IDENTITY))
    identity: Identity


class SecurityModeCommand(MobilityMessage, frozen=True, kw_only=True):
    """From here on messages are protected (8.2.25). `algorithms`: NEA in the upper half, NIA in the lower one."""

    layout: ClassVar[Layout] = Layout(
        0x5D,
        v("algorithms", code.NUMBER),
        Halves("keys"),
        lv("capability", code.CAPABILITY),
        optional={
            0xE0: Half("imeisv"),
            0x57: v("eps_algorithms", code.NUMBER),
            0x36: lv("additional", code.NUMBER),
            0x38: lv("abba", code.ABBA),
        },
    )
    algorithms: int
    keys: int
    capability: Capability
    imeisv: int | None = None
    eps_algorithms: int | None = None
    additional: int | None = None
    abba: bytes | None = None


class SecurityModeComplete(MobilityMessage, frozen=True, kw_only=True):
    """The UE does so; `container` has the whole of its first message (8.2.26)."""

    layout: ClassVar[Layout] = Layout(
        0x5E, optional={0x77: lve("imeisv", code.IDENTITY), 0x71: lve("container", code.RAW)}
    )
    imeisv: Identity | None = None
    container: bytes | None = None


class SecurityModeReject(MobilityMessage, frozen=True, kw_only=True):
    """It does not (8.2.27)."""

    layout: ClassVar[Layout] = Layout(0x5F, v("cause", code.NUMBER))
    cause: int


class MobilityStatus(MobilityMessage, frozen=True, kw_only=True):
    """What was wrong with the other's message (8.2.29)."""

    layout: ClassVar[Layout] = Layout(0x64, v("cause", code.NUMBER))
    cause: int


class Notification(MobilityMessage, frozen=True, kw_only=True):
    """There is something for a UE that is reached by another access (8.2.23)."""

    layout: ClassVar[Layout] = Layout(0x65, Halves("access"))
    access: int


class NotificationResponse(MobilityMessage, frozen=True, kw_only=True):
    """It has heard (8.2.24)."""

    layout: ClassVar[Layout] = Layout(0x66, optional={0x50: lv("sessions", code.SESSIONS)})
    sessions: frozenset[int] | None = None


class UplinkTransport(MobilityMessage, frozen=True, kw_only=True):
    """A message for another part of the core (8.2.10). `session`: PDU session identity."""

    layout: ClassVar[Layout] = Layout(
        0x67,
        Halves("kind"),
        lve("container", code.RAW),
        optional={
            0x12: v("session", code.NUMBER),
            0x59: v("old_session", code.NUMBER),
            0x80: Half("request"),
            0x22: lv("slice", code.SNSSAI),
            0x25: lv("dnn", code.DNN),
            0x24: lv("additional", code.RAW),
        },
    )
    container: bytes
    kind: int = SESSION_CONTAINER
    session: int | None = None
    old_session: int | None = None
    request: int | None = None
    slice: Snssai | None = None
    dnn: str | None = None
    additional: bytes | None = None


class DownlinkTransport(MobilityMessage, frozen=True, kw_only=True):
    """A message from another part of the core; with a cause: one that could not be forwarded (8.2.11)."""

    layout: ClassVar[Layout] = Layout(
        0x68,
        Halves("kind"),
        lve("container", code.RAW),
        optional={
            0x12: v("session", code.NUMBER),
            0x24: lv("additional", code.RAW),
            0x58: v("cause", code.NUMBER),
            0x37: lv("back_off", code.TIMER_3),
        },
    )
    container: bytes
    kind: int = SESSION_CONTAINER
    session: int | None = None
    additional: bytes | None = None
    cause: int | None = None
    back_off: int | None = None
