"""Signed notes (C2SP signed-note) and tree heads in them (C2SP tlog-checkpoint), with Ed25519 (RFC 8032)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from testbed.errors import BadInput, Refused

ED25519 = b"\x01"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: `origin` names the log, `size` counts its entries, `root` is the RFC 6962 tree head."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the note's text, as tlog-checkpoint says."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """Return the four bytes by which a signature line names its key."""
    return sha256(name.encode() + b"\n" + ED25519 + key.public_bytes_raw()).digest()[:4]


def verifier_text(name: str, key: Ed25519PublicKey) -> str:
    """Write a public key as `name+id+key`, the form note verifiers read."""
    encoded = base64.b64encode(ED25519 + key.public_bytes_raw()).decode()
    return f"{name}+{key_id(name, key).hex()}+{encoded}"


def read_verifier(text: str) -> tuple[str, Ed25519PublicKey]:
    """Read a public key written by `verifier_text`.

    Raises:
        BadInput: not such a key, or its id does not fit.
    """
    try:
        name, identity, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw[1:])
    except (ValueError, binascii.Error):
        raise BadInput(f"{text.strip()[:80]!r} is no Ed25519 note key; expected name+id+base64") from None
    if raw[:1] != ED25519 or key_id(name, key).hex() != identity:
        raise BadInput(f"the id {identity!r} of the note key {name!r} does not fit the key; the file was altered")
    return name, key


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Return the note: the text, an empty line, the signature line."""
    signature = key_id(name, key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, name: str, key: Ed25519PublicKey) -> str:
    """Return a note's text, once its signature by this key is proven.

    Raises:
        Refused: no signature by this key, or one that does not fit the text.
    """
    text, separator, signatures = note.rpartition("\n\n")
    if not separator:
        raise Refused("the note carries no signature")
    if not signatures.endswith("\n"):
        raise Refused("the note's last line is cut short")
    text += "\n"
    wanted = (name, key_id(name, key))
    for line in signatures.removesuffix("\n").split("\n"):
        signer, raw = _signature(line)
        if (signer, raw[:4]) == wanted:
            try:
                key.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise Refused(f"the signature of {name!r} does not fit the note's text") from None
            return text
    raise Refused(f"the note carries no signature of {name!r}")


def read_checkpoint(note: str, name: str, key: Ed25519PublicKey) -> Checkpoint:
    """Read a signed tree head.

    Raises:
        Refused: the signature does not hold, or the text is no checkpoint.
    """
    lines = open_note(note, name, key).splitlines()
    try:
        origin, size, root = lines[:3]
        head = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise Refused(f"the note signed by {name!r} is no checkpoint: {lines[:3]}") from None
    if str(head.size) != size or len(head.root) != 32:
        raise Refused(f"the note signed by {name!r} is no checkpoint: {lines[:3]}")
    return head


def _signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii's own, or letters beyond ASCII
        raise Refused(f"a malformed signature line: {line[:80]!r}") from None
    if base64.b64encode(raw).decode() != encoded:  # the last letter has bits that decoding ignores
        raise Refused(f"a malformed signature line: {line[:80]!r}")
    if dash != "—" or len(raw) < 5:
        raise Refused(f"a malformed signature line: {line[:80]!r}")
    return name, raw
