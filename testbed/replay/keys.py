"""Ed25519 keys in OpenSSH's formats: one signs approvals (an approver's), one signs the audit log's heads.

A key is made by `ssh-keygen -t ed25519 -N '' -f FILE` or by `make_key`. The approvers allowed are listed in a file of
OpenSSH's allowed_signers form: `NAME ssh-ed25519 AAAA...`, one a line.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from testbed.errors import BadInput, Refused

HOW_TO = "make one with: ssh-keygen -t ed25519 -N '' -f FILE"


def make_key(path: Path) -> Ed25519PublicKey:
    """Write a new private key (mode 0600) and, beside it, its public half as `FILE.pub`.

    Raises:
        Refused: the file exists; a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} exists; a key is never overwritten. Take another file name") from None
    with os.fdopen(handle, "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    path.with_name(path.name + ".pub").write_text(public_text(key.public_key()) + "\n")
    return key.public_key()


def read_private(path: Path) -> Ed25519PrivateKey:
    """Read a private key file, OpenSSH's or PKCS 8 PEM.

    Raises:
        BadInput: no such file, not an Ed25519 key, protected by a passphrase.
        Refused: others than its owner may read it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read the key {path}: {error.strerror}; {HOW_TO}") from None
    if path.stat().st_mode & 0o077:
        raise Refused(f"others may read the private key {path}; mend it with: chmod 600 {path}")
    read = serialization.load_ssh_private_key if b"OPENSSH" in data[:40] else serialization.load_pem_private_key
    try:
        key = read(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(f"{path} holds no Ed25519 private key without a passphrase ({error}); {HOW_TO}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path} holds a {type(key).__name__}; expected an Ed25519 key; {HOW_TO}")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """Read a public key file of OpenSSH's form (`ssh-ed25519 AAAA... comment`).

    Raises:
        BadInput: no such file, or not such a key.
    """
    try:
        return parse_public(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the public key {path}: {error}") from None


def parse_public(text: str, where: str) -> Ed25519PublicKey:
    """Read `ssh-ed25519 AAAA...`; `where` names the place in an error."""
    try:
        key = serialization.load_ssh_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(f"{where}: no public key; expected a line such as: ssh-ed25519 AAAA...; {HOW_TO}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(f"{where}: not an Ed25519 key; {HOW_TO}")
    return key


def public_text(key: Ed25519PublicKey) -> str:
    """Write a public key as `ssh-ed25519 AAAA...`."""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def read_approvers(path: Path) -> dict[str, tuple[Ed25519PublicKey, ...]]:
    """Read who may approve: a name may have several keys.

    Returns:
        The keys of every name; empty when there is no such file.

    Raises:
        BadInput: a line that is not `NAME ssh-ed25519 AAAA...`; it is named. Or the file cannot be read.
    """
    approvers: dict[str, tuple[Ed25519PublicKey, ...]] = {}
    try:
        text = path.read_text() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the list of approvers {path}: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(" ")
        approvers[name] = (*approvers.get(name, ()), parse_public(rest, f"{path}:{number}"))
    return approvers


def enrol(path: Path, name: str, key: Ed25519PublicKey) -> None:
    """Add an approver to the list.

    Raises:
        BadInput: the name is empty, has white space or starts with '#'.
    """
    if not name or name.startswith("#") or name.split() != [name]:
        raise BadInput(f"{name!r} is no approver's name; expected one word, such as alice")
    if key in read_approvers(path).get(name, ()):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = path.read_text() if path.exists() else ""
    start = "\n" if text and not text.endswith("\n") else ""  # an editor may have left the last line without its end
    with path.open("a") as file:
        file.write(f"{start}{name} {public_text(key)}\n")
