"""The hardware side: which devices there are and how they are reached. Never a secret."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from testbed.model.base import Model, Name, Port, Problem, Seconds, Text, refuse


class SecretReference(Model):
    """Where a secret is, never the secret: an environment variable or a file (mode 0600), exactly one."""

    env: Text | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            refuse([Problem((), None, "expected exactly one of env (environment variable) and file (path)")])
        return self


class Device(Model):
    """One device of a rack.

    Attributes:
        adapter: `frr` or `linux`. address, port: of its management interface.
        user: account. key: private key (OpenSSH). password: instead of a key.
    """

    adapter: Text
    address: Text
    port: Port = 22
    user: Text
    key: SecretReference | None = None
    password: SecretReference | None = None
    role: Literal["core", "aggregation", "cell-site", "other"] = "other"


class Inventory(Model):
    """A rack: its devices by name, and the file of their host keys (OpenSSH known_hosts)."""

    name: Name
    devices: dict[Name, Device] = Field(min_length=1)
    known_hosts: Text
    timeout: Seconds = 10.0
    poll_period: Seconds = 1.0
