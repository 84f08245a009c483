"""Concealed identities: what of an IMSI is the subscriber's own, encrypted for its home (3GPP TS 33.501, annex C)."""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core5g.security.errors import NotConcealed

NULL, PROFILE_A, PROFILE_B = 0, 1, 2
_CODE = 8
"""Bytes of the code at the end."""


class Scheme(Protocol):
    """A profile: how big its ephemeral public key is, and how two parties come to share a secret."""

    size: int

    def ephemeral(self) -> tuple[bytes, object]:
        """Return a new public key and its private one."""
        ...

    def shared(self, private: object, public: bytes) -> bytes:
        """Return the secret. Raises ValueError: the public key is none."""
        ...


class _ProfileA:
    """Curve25519."""

    size = 32

    def ephemeral(self) -> tuple[bytes, x25519.X25519PrivateKey]:
        private = x25519.X25519PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private

    def shared(self, private: object, public: bytes) -> bytes:
        assert isinstance(private, x25519.X25519PrivateKey)
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(public))


class _ProfileB:
    """secp256r1, points compressed."""

    size = 33

    def ephemeral(self) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        private = ec.generate_private_key(ec.SECP256R1())
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint), private

    def shared(self, private: object, public: bytes) -> bytes:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        return private.exchange(ec.ECDH(), point)


SCHEMES: dict[int, Scheme] = {PROFILE_A: _ProfileA(), PROFILE_B: _ProfileB()}


def private_key(scheme: int, raw: bytes) -> object:
    """Return a home network's private key of 32 bytes.

    Raises:
        NotConcealed: there is no such profile.
    """
    if scheme == PROFILE_A:
        return x25519.X25519PrivateKey.from_private_bytes(raw)
    if scheme == PROFILE_B:
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    raise NotConcealed(f"concealment scheme {scheme}: expected 0 (none), 1 (profile A) or 2 (profile B)")


def conceal(scheme: int, home: bytes, plain: bytes) -> bytes:
    """Return a scheme's output.

    Args:
        home: public key of the home network. plain: the MSIN's digits in BCD.
    """
    if scheme == NULL:
        return plain
    public, private = SCHEMES[scheme].ephemeral()
    return _sealed(SCHEMES[scheme].shared(private, home), public, plain)


def _sealed(secret: bytes, public: bytes, plain: bytes) -> bytes:
    key, counter, mac_key = _keys(secret, public)
    hidden = Cipher(AES(key), CTR(counter)).encryptor().update(plain)
    return public + hidden + hmac.digest(mac_key, hidden, "sha256")[:_CODE]


def reveal(scheme: int, home: object, output: bytes) -> bytes:
    """Return what was concealed.

    Args:
        home: private key of `private_key`. output: of the scheme.

    Raises:
        NotConcealed: it was not concealed for this key, or was changed.
    """
    if scheme == NULL:
        return output
    one = SCHEMES.get(scheme)
    if one is None:
        raise NotConcealed(f"concealment scheme {scheme} is not known")
    public, hidden, given = output[: one.size], output[one.size : -_CODE], output[-_CODE:]
    if len(output) <= one.size + _CODE:
        raise NotConcealed("a concealed identity that is too short")
    try:
        key, counter, mac_key = _keys(one.shared(home, public), public)
    except (ValueError, InvalidKey):
        raise NotConcealed("a concealed identity whose public key is none") from None
    if not hmac.compare_digest(hmac.digest(mac_key, hidden, "sha256")[:_CODE], given):
        raise NotConcealed("a concealed identity whose code is wrong: it is for another key, or was changed")
    return Cipher(AES(key), CTR(counter)).decryptor().update(hidden)


def _keys(secret: bytes, public: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, first counter, key of the code (C.3.4: ANSI X9.63 with SHA-256)."""
    made = X963KDF(SHA256(), 64, public).derive(secret)
    return made[:16], made[16:32], made[32:]
