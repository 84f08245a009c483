"""Host keys: what a device offers, and what an OpenSSH known_hosts file (sshd(8)) says about it."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Iterable
from contextlib import closing

import paramiko
from paramiko.hostkeys import HostKeyEntry, HostKeys

from testbed.errors import DeviceError


def host_name(address: str, port: int) -> str:
    """The name that a device has in a known_hosts file."""
    return address if port == 22 else f"[{address}]:{port}"


def fingerprint(key: paramiko.PKey) -> str:
    """OpenSSH's fingerprint: `SHA256:` and the digest of the public key's blob (RFC 4253 6.6) in base64."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def describe(key: paramiko.PKey) -> str:
    """Type and fingerprint."""
    return f"{key.get_name()} {fingerprint(key)}"


def offered(name: str, address: str, port: int, timeout: float, preferred: Iterable[str] = ()) -> paramiko.PKey:
    """Ask a device for its host key: key exchange only, so neither a user's name nor a credential is sent.

    The exchange is signed with the key, so that who answers does own it (RFC 4253 8).

    Args:
        timeout: seconds for connecting, and again for the exchange. preferred: types of key to ask for first.

    Raises:
        DeviceError: nobody answers there, or not in SSH.
    """
    try:
        with socket.create_connection((address, port), timeout) as wire, closing(paramiko.Transport(wire)) as transport:
            options = transport.get_security_options()
            first = [kind for kind in options.key_types if _kind(kind) in {_kind(each) for each in preferred}]
            options.key_types = (*first, *(kind for kind in options.key_types if kind not in first))
            transport.banner_timeout = timeout
            transport.start_client(timeout=timeout)
            return transport.get_remote_server_key()
    except (OSError, EOFError, paramiko.SSHException) as error:
        why = "no answer in time" if "No existing session" in str(error) else str(error) or "it hung up"
        raise DeviceError(f"{name} ({host_name(address, port)}): cannot ask for its host key: {why}") from None


def _kind(algorithm: str) -> str:
    """The type of key that an algorithm signs with: RSA's has three (RFC 8332)."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def known(text: str, host: str) -> list[paramiko.PKey]:
    """The keys that a known_hosts file's text has for a host."""
    entries = (entry for line in text.splitlines() if (entry := _entry(line)))
    return [entry.key for entry in entries if entry.key is not None and _names(entry, host)]


def with_key(text: str, host: str, key: paramiko.PKey) -> str:
    """A known_hosts file's text with this key, and no other, for a host; every other line stays as it is."""
    kept = [left for line in text.splitlines() if (left := _without(line, host)) is not None]
    return "".join(f"{line}\n" for line in (*kept, f"{host} {key.get_name()} {key.get_base64()}"))


def _without(line: str, host: str) -> str | None:
    """A line without a host; None when it was the line's only one."""
    entry = _entry(line)
    if entry is None or not _names(entry, host):
        return line
    others = [name for name in entry.hostnames if not _is(name, host)]
    return f"{','.join(others)} {line.split(maxsplit=1)[1]}" if others else None


def _entry(line: str) -> HostKeyEntry | None:
    """What a line says; None for an empty one, a comment, a marker, or a key that cannot be read."""
    if not line.strip() or line.lstrip().startswith(("#", "@")):
        return None
    try:
        return HostKeyEntry.from_line(line.strip())
    except paramiko.SSHException:
        return None


def _names(entry: HostKeyEntry, host: str) -> bool:
    return any(_is(name, host) for name in entry.hostnames)


def _is(name: str, host: str) -> bool:
    """Whether a line's name is this host, in plain or hashed (`HashKnownHosts` of ssh_config(5))."""
    return name == host or (name.startswith("|1|") and HostKeys.hash_host(host, name) == name)
