"""The hardware side: which devices there are and how they are reached. Never a secret."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from testbed.model.base import Model, Name, Seconds


class SecretReference(Model):
    """Where a secret is, never the secret: an environment variable or a file (mode 0600), exactly one."""

    env: str | None = None
    file: str | None = None


class Device(Model):
    """One device of a rack.

    Attributes:
        adapter: `frr` or `linux`. address, port: of its management interface.
        user: account. key: private key (OpenSSH). password: instead of a key.
    """

    adapter: str
    address: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str
    key: SecretReference | None = None
    password: SecretReference | None = None
    role: Literal["core", "aggregation", "cell-site", "other"] = "other"


class Inventory(Model):
    """A rack: its devices by name, and the file of their host keys (OpenSSH known_hosts)."""

    name: Name
    devices: dict[Name, Device] = Field(min_length=1)
    known_hosts: str
    timeout: Seconds = 10.0
    poll_period: Seconds = 1.0
