"""What an SMF of a process is told, as JSON."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import msgspec

from core5g.pfcp import codec
from core5g.settings import SliceSettings
from core5g.smf.config import SmfConfig, UpfConfig
from testbed.errors import BadInput
from testbed.model.qos import DSCP


class UpfSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A UPF; see `UpfConfig`. `networks`: subnet by DNN."""

    name: str
    address: str
    networks: dict[str, str]
    port: int = codec.PORT
    slices: tuple[SliceSettings, ...] = ()
    tacs: tuple[int, ...] = ()

    @property
    def value(self) -> UpfConfig:
        """As an SMF has it; raises BadInput."""
        try:
            networks = {dnn: IPv4Network(text) for dnn, text in self.networks.items()}
        except ValueError as error:
            raise BadInput(f"UPF {self.name}: {error}") from None
        slices = frozenset(one.value for one in self.slices)
        return UpfConfig(self.name, self.address, networks, self.port, slices, frozenset(self.tacs))


class SmfSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An SMF; see `SmfConfig`. `dscp`: by 5QI, as text; the table of `testbed.model.qos` where it is not given."""

    address: str
    upfs: tuple[UpfSettings, ...]
    port: int = codec.PORT
    dns: dict[str, tuple[str, ...]] = {}
    mtu: int = 1400
    dscp: dict[int, int] = msgspec.field(default_factory=lambda: dict(DSCP))
    heartbeat: float = 5.0

    @property
    def value(self) -> SmfConfig:
        """As an SMF has it; raises BadInput."""
        try:
            dns = {dnn: tuple(map(IPv4Address, texts)) for dnn, texts in self.dns.items()}
        except ValueError as error:
            raise BadInput(f"name servers: {error}") from None
        upfs = tuple(one.value for one in self.upfs)
        return SmfConfig(
            self.address, upfs, self.port, dns=dns, mtu=self.mtu, dscp=self.dscp, heartbeat=self.heartbeat
        )  # fmt: skip
