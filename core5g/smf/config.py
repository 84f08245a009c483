"""What an SMF is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from core5g.nas.values import Snssai
from core5g.pfcp import codec


@dataclass(frozen=True, slots=True)
class UpfConfig:
    """A UPF.

    Attributes:
        address, port: of N4. networks: the addresses of its UEs, by DNN; its own is the first of each.
        slices, tacs: that it is for; none for all.
    """

    name: str
    address: str
    networks: Mapping[str, IPv4Network]
    port: int = codec.PORT
    slices: frozenset[Snssai] = frozenset()
    tacs: frozenset[int] = frozenset()

    def serves(self, dnn: str, one: Snssai, tac: int) -> bool:
        """Tell whether it is for such a session."""
        return dnn in self.networks and (not self.slices or one in self.slices) and (not self.tacs or tac in self.tacs)


@dataclass(frozen=True, slots=True)
class SmfConfig:
    """An SMF.

    Attributes:
        address, port: where UPFs find it (N4). upfs: the one to take first stands first.
        dns: name servers for UEs, by DNN. mtu: of what UEs send, bytes. dscp: class of a 5QI's packets.
        heartbeat: seconds between signs of life of a UPF. again: seconds until a UE is told again (T3591, T3592).
    """

    address: str
    upfs: tuple[UpfConfig, ...]
    port: int = codec.PORT
    dns: Mapping[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    mtu: int = 1400
    dscp: Mapping[int, int] = field(default_factory=dict)
    heartbeat: float = 5.0
    again: float = 16.0
