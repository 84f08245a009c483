"""Concealed identities: what of an IMSI is the subscriber's own, encrypted for its home (3GPP TS 33.501, annex C)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core5g.security.errors import NotConcealed, WrongKey, WrongLength, WrongPoint, WrongTag
from core5g.security.octets import sized

NULL, PROFILE_A, PROFILE_B = 0, 1, 2
PRIVATE_SIZE = 32
"""Bytes of a private key, of either profile."""
_CODE = 8
"""Bytes of the code at the end."""
_CURVE = ec.SECP256R1()

PrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A home network's keys of one profile.

    Attributes:
        scheme: PROFILE_A or PROFILE_B. private: 32 bytes, never shown. public: 32 bytes, or 33 of a compressed point.
    """

    scheme: int
    private: bytes = field(repr=False)
    public: bytes


class Scheme(Protocol):
    """A profile: how big its public keys are, and how two parties come to share a secret.

    All but `size` raise ValueError for a key that is none.
    """

    size: int

    def private(self, raw: bytes | None) -> PrivateKey:
        """Return a private key; a new one for None."""
        ...

    def public(self, private: PrivateKey) -> bytes:
        """Return the public key that belongs to a private one."""
        ...

    def shared(self, private: object, public: bytes) -> bytes:
        """Return the secret. Raises TypeError: the private key is another profile's."""
        ...


class _ProfileA:
    """Curve25519 (C.3.4.1)."""

    size = 32

    def private(self, raw: bytes | None) -> PrivateKey:
        key = x25519.X25519PrivateKey
        return key.generate() if raw is None else key.from_private_bytes(raw)

    def public(self, private: PrivateKey) -> bytes:
        return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def shared(self, private: object, public: bytes) -> bytes:
        if not isinstance(private, x25519.X25519PrivateKey):
            raise TypeError
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(public))


class _ProfileB:
    """secp256r1, points compressed (C.3.4.2)."""

    size = 33

    def private(self, raw: bytes | None) -> PrivateKey:
        if raw is None:
            return ec.generate_private_key(_CURVE)
        return ec.derive_private_key(int.from_bytes(raw, "big"), _CURVE)

    def public(self, private: PrivateKey) -> bytes:
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def shared(self, private: object, public: bytes) -> bytes:
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError
        return private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public))


SCHEMES: dict[int, Scheme] = {PROFILE_A: _ProfileA(), PROFILE_B: _ProfileB()}


def private_key(scheme: int, raw: bytes) -> PrivateKey:
    """Return a home network's private key as `reveal` takes it.

    Args:
        raw: 32 bytes.

    Raises:
        NotConcealed: there is no such profile. WrongSize, WrongKey: it is no key of this profile.
    """
    sized("the home network's private key", raw, PRIVATE_SIZE)
    try:
        return _profile(scheme).private(raw)
    except ValueError:
        raise WrongKey(f"the home network's private key is none of scheme {scheme} (it is not shown)") from None


def key_pair(scheme: int, private: bytes | None = None) -> KeyPair:
    """Return a home network's keys: new ones, or those of a private key.

    Args:
        private: 32 bytes.

    Raises:
        NotConcealed, WrongSize, WrongKey: as `private_key`.
    """
    one = _profile(scheme)
    key = one.private(None) if private is None else private_key(scheme, private)
    return KeyPair(scheme, private or _raw(key), one.public(key))


def conceal(scheme: int, home: bytes, plain: bytes, ephemeral: bytes | None = None) -> bytes:
    """Return a scheme's output.

    Args:
        home: public key of the home network; 32 bytes of profile A, 33 of B. plain: the MSIN's digits in BCD.
        ephemeral: private key of 32 bytes, for the standard's examples; otherwise each call makes a new one.

    Raises:
        NotConcealed: there is no such profile. WrongSize, WrongKey: the public key is none of this profile.
    """
    if scheme == NULL:
        return plain
    one = _profile(scheme)
    sized("the home network's public key", home, one.size)
    private = one.private(None) if ephemeral is None else private_key(scheme, ephemeral)
    try:
        secret = one.shared(private, home)
    except ValueError:
        raise WrongKey(f"the home network's public key {home.hex()} is none of scheme {scheme}") from None
    public = one.public(private)
    key, counter, mac_key = _keys(secret, public)
    hidden = Cipher(AES(key), CTR(counter)).encryptor().update(plain)
    return public + hidden + _tag(mac_key, hidden)


def reveal(scheme: int, home: object, output: bytes) -> bytes:
    """Return what was concealed.

    Args:
        home: private key of `private_key`. output: of the scheme.

    Raises:
        NotConcealed: there is no such profile, or as WrongLength, WrongPoint or WrongTag: it was not concealed for
            this key, or was changed. WrongKey: the private key is not one of this profile.
    """
    if scheme == NULL:
        return output
    one = _profile(scheme)
    if len(output) <= one.size + _CODE:
        raise WrongLength(f"a concealed identity of {len(output)} bytes: expected {one.size + _CODE + 1} at least")
    public, hidden, given = output[: one.size], output[one.size : -_CODE], output[-_CODE:]
    try:
        key, counter, mac_key = _keys(one.shared(home, public), public)
    except ValueError:
        raise WrongPoint("a concealed identity whose public key is none") from None
    except TypeError:
        raise WrongKey(f"the home network's private key is none of scheme {scheme}") from None
    if not hmac.compare_digest(_tag(mac_key, hidden), given):
        raise WrongTag("a concealed identity whose code is wrong: it is for another key, or was changed")
    return Cipher(AES(key), CTR(counter)).decryptor().update(hidden)


def _profile(scheme: int) -> Scheme:
    found = SCHEMES.get(scheme)
    if found is None:
        raise NotConcealed(f"concealment scheme {scheme}: expected 0 (none), 1 (profile A) or 2 (profile B)")
    return found


def _raw(key: PrivateKey) -> bytes:
    if isinstance(key, x25519.X25519PrivateKey):
        return key.private_bytes_raw()
    return key.private_numbers().private_value.to_bytes(PRIVATE_SIZE, "big")


def _keys(secret: bytes, public: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, first counter, key of the code (C.3.4: ANSI X9.63 with SHA-256)."""
    made = X963KDF(SHA256(), 64, public).derive(secret)
    return made[:16], made[16:32], made[32:]


def _tag(key: bytes, hidden: bytes) -> bytes:
    return hmac.digest(key, hidden, "sha256")[:_CODE]
