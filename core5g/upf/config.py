"""What a UPF is told."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface

from core5g.gtpu import header
from core5g.pfcp import codec
from testbed.emulator.namespaces import Namespaces


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A data network (N6).

    Attributes:
        gateway: the UPF's address in it, with the length of its UEs' prefix. device: name of its TUN device.
        mtu: bytes. namespace: where the device is; None for that of the process.
    """

    dnn: str
    gateway: IPv4Interface
    device: str
    mtu: int = 1400
    namespace: Namespaces | None = None


@dataclass(frozen=True, slots=True)
class UpfConfig:
    """A UPF.

    Attributes:
        address, port: where SMFs find it (N4). n3, n3_port: where gNBs send to, and where all of them listen.
        kept: packets of a session that wait for an idle UE.
    """

    name: str
    address: str
    n3: str
    networks: tuple[NetworkConfig, ...]
    port: int = codec.PORT
    n3_port: int = header.PORT
    kept: int = 64
