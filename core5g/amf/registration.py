"""Registration: who is it, is it really, what may it (3GPP TS 23.502, 4.2.2.2; TS 24.501, 5.4 and 5.5.1)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from core5g.amf import context, release, sessions
from core5g.amf.causes import Cause
from core5g.nas.codec import decode_mobility
from core5g.nas.errors import NasError
from core5g.nas.fields import MobilityMessage
from core5g.nas.mobility import (
    NO_KEYS,
    REPEAT,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    IdentityRequest,
    IdentityResponse,
    RegistrationAccept,
    RegistrationComplete,
    RegistrationReject,
    RegistrationRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
)
from core5g.nas.security import INTACT_NEW, Security
from core5g.nas.values import Capability, Identities, Identity, RejectedSlice, Snssai, Suci
from core5g.security import keys
from core5g.security.errors import MacFailure, NotConcealed
from core5g.security.vectors import Vector
from core5g.udm.errors import Unknown
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.ue import Ue

_NOT_IN_PLMN = 0
"""Cause of a rejected slice (TS 24.501, 9.11.3.46)."""
_IMEISV = 1
_VOICE_OVER_NONE = b"\x00\x00"
"""Network features: none (TS 24.501, 9.11.3.5)."""
_ATTEMPTS = 3
_KIND = 7
KINDS = {1: "initial", 2: "mobility", 3: "periodic", 4: "emergency"}
"""Of registrations (TS 24.501, 9.11.3.7), as they are counted."""


class Refused(TestbedError):
    """A UE does not get what it asked for.

    Attributes:
        cause: of 5GMM. slices: that it asked for and does not get.
    """

    def __init__(self, cause: Cause, slices: tuple[RejectedSlice, ...] = ()) -> None:
        super().__init__(f"5GMM cause {cause.value}")
        self.cause, self.slices = cause, slices


def whole(ue: Ue, message: MobilityMessage) -> MobilityMessage:
    """Return the message that an initial message has encrypted inside, else itself (TS 24.501, 4.4.6)."""
    container = getattr(message, "container", None)
    if container is None or ue.security is None:
        return message
    try:
        return decode_mobility(ue.security.plain(container))
    except NasError:
        return message


async def register(amf: Amf, ue: Ue, request: RegistrationRequest, trusted: bool) -> None:
    """Register a UE, or tell it why not."""
    kind = KINDS.get(request.kind & _KIND, "other")
    amf.counts["registrations_requested"] += 1
    amf.counts[f"{kind}_requested"] += 1
    try:
        if not trusted or ue.security is None:
            request = await _proven(amf, ue, request)
        _granted(amf, ue, request)
    except Refused as refused:
        amf.counts["registrations_refused"] += 1
        amf.counts[f"{kind}_refused_{refused.cause.value}"] += 1
        ue.send(RegistrationReject(cause=refused.cause, rejected_slices=refused.slices or None))
        release.let_go(amf, ue, ("nas", "normal-release"))
        return
    await _accept(amf, ue, request)
    amf.counts["registrations"] += 1
    amf.counts[f"{kind}_made"] += 1


async def _proven(amf: Amf, ue: Ue, request: RegistrationRequest) -> RegistrationRequest:
    """Have it say and prove who it is, and agree on keys; return what it asked for as it says it under protection."""
    release.void(amf, ue)
    ue.capability = request.capability
    suci = await _concealed(ue, request.identity)
    try:
        ue.imsi = amf.home.reveal(suci)
        ue.subscription = amf.home.subscription(ue.imsi)
    except (NotConcealed, Unknown):
        raise Refused(Cause.ILLEGAL_UE) from None
    vector, identifier = await _authenticated(amf, ue, request.keys)
    return await _secured(amf, ue, request, vector, identifier)


async def _concealed(ue: Ue, identity: Identity) -> Suci:
    if isinstance(identity, Suci):
        return identity
    answer = await ue.ask(IdentityRequest(kind=Identities.SUCI), IdentityResponse)
    if not isinstance(answer.identity, Suci):
        raise Refused(Cause.UNKNOWN_IDENTITY)
    return answer.identity


async def _authenticated(amf: Amf, ue: Ue, used: int) -> tuple[Vector, int]:
    """Challenge it (5.4.1.3); return the vector that it answered, and the identifier of the key set."""
    network = keys.network_name(amf.config.plmns[0])
    identifier = 0 if used == NO_KEYS else (used + 1) % NO_KEYS
    for _ in range(_ATTEMPTS):
        vector = amf.home.challenge(ue.imsi, network)
        amf.counts["challenges"] += 1
        request = AuthenticationRequest(keys=identifier, abba=keys.ABBA, rand=vector.rand, autn=vector.autn)
        answer = await ue.ask(request, AuthenticationResponse, AuthenticationFailure)
        if isinstance(answer, AuthenticationFailure):
            identifier = _after_failure(amf, ue, vector, answer, identifier)
            continue
        if hmac.compare_digest(answer.response or b"", vector.xres_star):
            return vector, identifier
        break
    amf.counts["authentications_refused"] += 1
    ue.send(AuthenticationReject())
    raise Refused(Cause.ILLEGAL_UE)


def _after_failure(amf: Amf, ue: Ue, vector: Vector, answer: AuthenticationFailure, identifier: int) -> int:
    amf.counts[f"authentication_failures_{answer.cause}"] += 1
    if answer.cause == Cause.SYNCH_FAILURE and answer.auts is not None:
        try:
            amf.home.resynchronise(ue.imsi, vector.rand, answer.auts)
        except MacFailure:
            raise Refused(Cause.ILLEGAL_UE) from None
    return (identifier + 1) % NO_KEYS if answer.cause == Cause.NGKSI_IN_USE else identifier


async def _secured(
    amf: Amf, ue: Ue, request: RegistrationRequest, vector: Vector, identifier: int
) -> RegistrationRequest:
    """Take keys into use (5.4.2)."""
    capability = request.capability or Capability(0x80, 0x80)
    ciphering, integrity = _algorithms(amf, capability)
    key = keys.k_amf(vector.k_seaf, ue.imsi)
    ue.security = Security("core", key, ciphering, integrity, identifier)
    command = SecurityModeCommand(
        algorithms=ciphering << 4 | integrity, keys=identifier, capability=capability, imeisv=_IMEISV, additional=REPEAT
    )
    answer = await ue.ask(command, SecurityModeComplete, SecurityModeReject, header=INTACT_NEW)
    if isinstance(answer, SecurityModeReject):
        ue.security = None
        raise Refused(Cause(answer.cause) if answer.cause in list(Cause) else Cause.PROTOCOL_ERROR)
    ue.start = ue.security.received - 1
    return _repeated(answer, request)


def _repeated(answer: SecurityModeComplete, request: RegistrationRequest) -> RegistrationRequest:
    """What it asked for first may have been changed on the way; this is what it has protected."""
    if answer.container is None:
        return request
    try:
        message = decode_mobility(answer.container)
    except NasError:
        return request
    return message if isinstance(message, RegistrationRequest) else request


def _algorithms(amf: Amf, capability: Capability) -> tuple[int, int]:
    """The AMF's order decides (TS 33.501, 6.7.2)."""
    ciphering = next((one for one in amf.config.ciphering if _can(capability.ciphering, one)), None)
    integrity = next((one for one in amf.config.integrity if _can(capability.integrity, one)), None)
    if ciphering is None or integrity is None:
        raise Refused(Cause.CAPABILITIES_MISMATCH)
    return ciphering, integrity


def _can(bits: int, algorithm: int) -> bool:
    return bool(bits & 0x80 >> algorithm)


def _granted(amf: Amf, ue: Ue, request: RegistrationRequest) -> None:
    """Check what it may: the network, the area, the slices."""
    area, config = ue.area, amf.config
    if area is None or area.plmn not in config.plmns:
        raise Refused(Cause.PLMN_NOT_ALLOWED)
    if area not in config.areas:
        raise Refused(Cause.AREA_NOT_ALLOWED)
    if not ue.registered and len(amf.by_imsi) >= config.most:
        raise Refused(Cause.CONGESTION)
    ue.slices = _slices(amf, ue, request.requested_slices or ())
    if not ue.slices:
        asked = request.requested_slices or ()
        raise Refused(Cause.NO_SLICES, tuple(RejectedSlice(one, _NOT_IN_PLMN) for one in asked))


def _slices(amf: Amf, ue: Ue, asked: tuple[Snssai, ...]) -> tuple[Snssai, ...]:
    """Those of the asked, else of the default ones, that it has, this AMF has and its gNB has here."""
    subscription = ue.subscription
    here = ue.gnb.areas.get(ue.area, ()) if ue.gnb is not None and ue.area is not None else ()
    if subscription is None:
        return ()
    wanted = asked or tuple(one.slice for one in subscription.slices if one.default)
    return tuple(one for one in wanted if subscription.of(one) is not None and one in amf.config.slices and one in here)


async def _accept(amf: Amf, ue: Ue, request: RegistrationRequest) -> None:
    old = ue.guti
    ue.guti = amf.renamed(ue)
    before = amf.by_imsi.get(ue.imsi)
    if before is not None and before is not ue:
        release.replaced(amf, before)
    amf.by_imsi[ue.imsi] = ue
    ue.registered = True
    sessions.same(amf, ue, request.sessions)
    asked = request.uplink_data or frozenset()
    resources = await sessions.resources(amf, ue, asked)

    def send(to: Ue, nas: bytes) -> None:
        context.send(to, nas, resources)
        resources.clear()

    not_active = asked - {number for number, *_ in resources} if request.uplink_data is not None else None
    await ue.ask(_acceptance(amf, ue, request, not_active), RegistrationComplete, by=send)
    sessions.deliver(amf, ue)
    if old is not None and amf.temporary.get(old.tmsi) is ue:
        del amf.temporary[old.tmsi]


def _acceptance(
    amf: Amf, ue: Ue, request: RegistrationRequest, not_active: frozenset[int] | None
) -> RegistrationAccept:
    asked = request.requested_slices or ()
    rejected = tuple(RejectedSlice(one, _NOT_IN_PLMN) for one in asked if one not in ue.slices)
    return RegistrationAccept(
        guti=ue.guti,
        areas=tuple(sorted(amf.config.areas))[:16],
        allowed_slices=ue.slices,
        rejected_slices=rejected or None,
        configured_slices=tuple(one.slice for one in ue.subscription.slices)[:16] if ue.subscription else None,
        features=_VOICE_OVER_NONE,
        sessions=frozenset(ue.sessions) if request.sessions is not None else None,
        not_reactivated=not_active,
        periodic=amf.config.periodic,
    )
