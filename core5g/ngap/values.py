"""Values that NGAP messages have in common, from and to those of NAS (3GPP TS 38.413, 9.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from core5g.nas.values import Ambr, Capability, Guti, Snssai, STmsi, Tai, plmn_bytes, plmn_text
from core5g.ngap.errors import NgapError

Cause = tuple[str, str]
"""Group and value (9.3.1.2), such as `("radioNetwork", "user-inactivity")`."""

IpAddress = IPv4Address | IPv6Address


def slice_value(one: Snssai) -> dict[str, Any]:
    """Return a slice (9.3.1.24)."""
    value: dict[str, Any] = {"sST": bytes((one.sst,))}
    return value if one.sd is None else {**value, "sD": one.sd.to_bytes(3, "big")}


def slice_of(value: Mapping[str, Any]) -> Snssai:
    """Return what `slice_value` made."""
    sd = value.get("sD")
    return Snssai(value["sST"][0], None if sd is None else int.from_bytes(sd, "big"))


def slices_value(slices: Iterable[Snssai]) -> list[dict[str, Any]]:
    """Return a list of slices, as AllowedNSSAI and others have them."""
    return [{"s-NSSAI": slice_value(one)} for one in slices]


def area_value(one: Tai) -> dict[str, Any]:
    """Return a tracking area (9.3.3.11)."""
    return {"pLMNIdentity": plmn_bytes(one.plmn), "tAC": one.tac.to_bytes(3, "big")}


def area_of(value: Mapping[str, Any]) -> Tai:
    """Return what `area_value` made.

    Raises:
        NgapError: the PLMN is none.
    """
    return Tai(plmn_of(value["pLMNIdentity"]), int.from_bytes(value["tAC"], "big"))


def plmn_of(data: bytes) -> str:
    """Return a PLMN's digits.

    Raises:
        NgapError: they are none.
    """
    try:
        return plmn_text(data)
    except ValueError as error:
        raise NgapError(f"PLMN {data.hex()}: {error}", "semantic-error") from None


def location_value(cell: int, area: Tai) -> tuple[str, dict[str, Any]]:
    """Return where a UE is: its NR cell (36 bits) and tracking area (9.3.1.16)."""
    cell_id = {"pLMNIdentity": plmn_bytes(area.plmn), "nRCellIdentity": (cell, 36)}
    return "userLocationInformationNR", {"nR-CGI": cell_id, "tAI": area_value(area)}


def location_of(value: tuple[str, Mapping[str, Any]]) -> tuple[int, Tai]:
    """Return what `location_value` made.

    Raises:
        NgapError: it is not one of NR.
    """
    if value[0] != "userLocationInformationNR":
        raise NgapError(f"location {value[0]}: expected one of NR", "semantic-error")
    return value[1]["nR-CGI"]["nRCellIdentity"][0], area_of(value[1]["tAI"])


def amf_value(guti: Guti) -> dict[str, Any]:
    """Return which AMF it was that gave an identity (GUAMI, 9.3.3.3)."""
    return {
        "pLMNIdentity": plmn_bytes(guti.plmn),
        "aMFRegionID": (guti.region, 8),
        "aMFSetID": (guti.set, 10),
        "aMFPointer": (guti.pointer, 6),
    }


def temporary_value(one: STmsi) -> dict[str, Any]:
    """Return a 5G-S-TMSI (9.3.3.20)."""
    return {"aMFSetID": (one.set, 10), "aMFPointer": (one.pointer, 6), "fiveG-TMSI": one.tmsi.to_bytes(4, "big")}


def temporary_of(value: Mapping[str, Any]) -> STmsi:
    """Return what `temporary_value` made."""
    return STmsi(value["aMFSetID"][0], value["aMFPointer"][0], int.from_bytes(value["fiveG-TMSI"], "big"))


def address_value(address: IpAddress) -> tuple[int, int]:
    """Return a transport address (TS 38.414, 5.1)."""
    return int(address), address.max_prefixlen


def address_of(value: tuple[int, int]) -> IpAddress:
    """Return what `address_value` made; of an IPv4 and an IPv6 address together the first.

    Raises:
        NgapError: it has another length.
    """
    bits, length = value
    if length == 160:
        return IPv4Address(bits >> 128)
    if length not in (32, 128):
        raise NgapError(f"a transport address of {length} bits; expected 32, 128 or 160", "semantic-error")
    return IPv4Address(bits) if length == 32 else IPv6Address(bits)


def tunnel_value(address: IpAddress | str, teid: int) -> tuple[str, dict[str, Any]]:
    """Return where packets are to be sent: address and tunnel (9.3.2.2)."""
    where = ip_address(address) if isinstance(address, str) else address
    return "gTPTunnel", {"transportLayerAddress": address_value(where), "gTP-TEID": teid.to_bytes(4, "big")}


def tunnel_of(value: tuple[str, Mapping[str, Any]]) -> tuple[IpAddress, int]:
    """Return what `tunnel_value` made.

    Raises:
        NgapError: it is no tunnel.
    """
    if value[0] != "gTPTunnel":
        raise NgapError(f"{value[0]}: expected a GTP tunnel", "semantic-error")
    return address_of(value[1]["transportLayerAddress"]), int.from_bytes(value[1]["gTP-TEID"], "big")


def capability_value(one: Capability) -> dict[str, Any]:
    """Return a UE's algorithms; here algorithm 0 has no bit (9.3.1.86)."""

    def bits(byte: int) -> tuple[int, int]:
        return (byte & 0x7F) << 9, 16

    eps = one.more.ljust(2, b"\0")
    return {
        "nRencryptionAlgorithms": bits(one.ciphering),
        "nRintegrityProtectionAlgorithms": bits(one.integrity),
        "eUTRAencryptionAlgorithms": bits(eps[0]),
        "eUTRAintegrityProtectionAlgorithms": bits(eps[1]),
    }


def key_value(key: bytes) -> tuple[int, int]:
    """Return a key of 32 bytes (9.3.1.87)."""
    return int.from_bytes(key, "big"), 256


def key_of(value: tuple[int, int]) -> bytes:
    """Return what `key_value` made."""
    return value[0].to_bytes(32, "big")


def rates_value(ambr: Ambr, of: str = "uEAggregate") -> dict[str, int]:
    """Return aggregate rates of a UE, or of a PDU session (`pDUSessionAggregate`)."""
    return {f"{of}MaximumBitRateDL": ambr.downlink, f"{of}MaximumBitRateUL": ambr.uplink}


def cause_text(value: Cause) -> str:
    """Return a cause as people read it, such as `radioNetwork user-inactivity`."""
    return f"{value[0]} {value[1]}"
