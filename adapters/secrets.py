"""Credentials by reference: an environment variable, or a file that only its owner can read."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import paramiko

from testbed.errors import BadInput
from testbed.model.rack import SecretReference


def read(reference: SecretReference, purpose: str, base: Path | None = None) -> str:
    """Return the secret a reference names; no message of this function ever carries it.

    Args:
        reference: exactly one of `env` and `file`.
        purpose: for the message, such as `key of core1`.
        base: folder that a relative file is taken from (the inventory's).

    Raises:
        BadInput: neither or both are named, the variable is unset, or the file is missing, unreadable, empty, or
            readable by others.
    """
    if (reference.env is None) == (reference.file is None):
        raise BadInput(f"{purpose}: expected exactly one of `env` and `file`")
    secret = _from_file(reference.file, purpose, base) if reference.file else _from_env(reference.env or "", purpose)
    if not secret.strip():
        raise BadInput(f"{purpose}: {reference.file or '$' + str(reference.env)} is empty")
    return secret


def _from_env(name: str, purpose: str) -> str:
    if name not in os.environ:
        raise BadInput(f"{purpose}: the environment variable {name} is not set; export it and try again")
    return os.environ[name]


def _from_file(name: str, purpose: str, base: Path | None) -> str:
    path = (base or Path()) / Path(name).expanduser()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise BadInput(f"{purpose}: {path} has mode {mode:04o}, others can read it; `chmod 600 {path}`")
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise BadInput(f"{purpose}: cannot read {path}: {reason}") from None


def private_key(text: str, purpose: str) -> paramiko.PKey:
    """Parse an unencrypted OpenSSH private key of any type paramiko knows.

    Raises:
        BadInput: it is not one; the message does not quote it.
    """
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise BadInput(f"{purpose}: not an unencrypted OpenSSH private key (Ed25519, ECDSA or RSA)")
