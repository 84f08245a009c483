"""Keys made of keys (3GPP TS 33.501, annex A; the function of TS 33.220, annex B)."""

from __future__ import annotations

import hmac
from hashlib import sha256

ABBA = bytes(2)
"""Anti-bidding down between architectures: no feature yet (TS 33.501, A.7.1)."""
NAS_CIPHERING, NAS_INTEGRITY, RRC_CIPHERING, RRC_INTEGRITY, USER_CIPHERING, USER_INTEGRITY = range(1, 7)
"""What an algorithm's key is for (TS 33.501, A.8)."""
OVER_3GPP, OVER_OTHER = 1, 2
"""Over which access a UE came (TS 33.501, A.9)."""


def _derived(key: bytes, code: int, *parameters: bytes) -> bytes:
    text = b"".join(one + len(one).to_bytes(2, "big") for one in parameters)
    return hmac.digest(key, bytes((code,)) + text, "sha256")


def network_name(plmn: str) -> bytes:
    """Return a serving network's name (TS 24.501, 9.12.1)."""
    return f"5G:mnc{plmn[3:].zfill(3)}.mcc{plmn[:3]}.3gppnetwork.org".encode()


def k_ausf(ck: bytes, ik: bytes, network: bytes, hidden_sqn: bytes) -> bytes:
    """Return K_AUSF, 32 bytes (A.2). `hidden_sqn`: SQN xor AK, 6 bytes."""
    return _derived(ck + ik, 0x6A, network, hidden_sqn)


def res_star(ck: bytes, ik: bytes, network: bytes, rand: bytes, res: bytes) -> bytes:
    """Return RES*, or XRES* of the home, 16 bytes (A.4)."""
    return _derived(ck + ik, 0x6B, network, rand, res)[16:]


def hres_star(rand: bytes, star: bytes) -> bytes:
    """Return HRES* or HXRES*, 16 bytes (A.5)."""
    return sha256(rand + star).digest()[16:]


def k_seaf(ausf: bytes, network: bytes) -> bytes:
    """Return K_SEAF, 32 bytes (A.6)."""
    return _derived(ausf, 0x6C, network)


def k_amf(seaf: bytes, imsi: str, abba: bytes = ABBA) -> bytes:
    """Return K_AMF, 32 bytes (A.7)."""
    return _derived(seaf, 0x6D, imsi.encode(), abba)


def of_algorithm(key: bytes, purpose: int, algorithm: int) -> bytes:
    """Return the key of an algorithm, 16 bytes (A.8)."""
    return _derived(key, 0x69, bytes((purpose,)), bytes((algorithm,)))[16:]


def k_gnb(amf: bytes, uplink: int, access: int = OVER_3GPP) -> bytes:
    """Return K_gNB, or K_N3IWF over another access, 32 bytes (A.9).

    Args:
        uplink: NAS COUNT of the message that the UE came with.
    """
    return _derived(amf, 0x6E, uplink.to_bytes(4, "big"), bytes((access,)))


def next_hop(amf: bytes, before: bytes) -> bytes:
    """Return NH, 32 bytes (A.10). `before`: K_gNB the first time, then the last NH."""
    return _derived(amf, 0x6F, before)


def k_gnb_star(before: bytes, pci: int, arfcn: int) -> bytes:
    """Return K_NG-RAN*, 32 bytes (A.11), for a target cell.

    Args:
        before: NH if its count has gone up, else K_gNB. pci: 0 to 1007. arfcn: of its downlink (SSB).
    """
    return _derived(before, 0x70, pci.to_bytes(2, "big"), arfcn.to_bytes(3, "big"))


def k_amf_prime(before: bytes, count: int, handover: bool = False) -> bytes:
    """Return K_AMF' of a UE that has moved to another AMF, 32 bytes (A.13).

    Args:
        before: K_AMF. count: NAS COUNT of the registration request; in a handover, of the downlink.
    """
    return _derived(before, 0x72, bytes((handover,)), count.to_bytes(4, "big"))
