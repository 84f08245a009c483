"""A radio's ports as srsRAN takes them: the broker's `transmit` is the radio's tx_port, `receive` its rx_port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdr.broker.scenario import Radio

_LONGEST_ID = 15
"""srsRAN 4G copies a longer `id` over what is behind its 16 bytes."""


def device_args_4g(name: str, radio: Radio, rate: float) -> str:
    """Return `device_args` for srsRAN 4G."""
    style = ["tx_type=pub", "rx_type=sub"] if radio.style == "publish" else []
    return ",".join([*_ports(radio), *style, f"id={name[:_LONGEST_ID]}", f"base_srate={rate:.0f}"])


def device_args_project(radio: Radio) -> str:
    """Return `device_args` for srsRAN Project."""
    return ",".join(_ports(radio))


def _ports(radio: Radio) -> list[str]:
    sides = (("tx_port", radio.transmit, _bound), ("rx_port", radio.receive, _reached))
    numbered = len(radio.transmit) > 1
    return [
        f"{key}{index if numbered else ''}={address(value)}"
        for key, values, address in sides
        for index, value in enumerate(values)
    ]


def _bound(address: str) -> str:
    """Where the radio listens. ZeroMQ binds to numeric addresses and interfaces, not to names of hosts."""
    address = address.replace("tcp://localhost:", "tcp://127.0.0.1:")
    return address if re.match(r"ipc:|tcp://([0-9.]+|\[.*\]|\*):", address) else re.sub("//.*:", "//*:", address)


def _reached(address: str) -> str:
    """How the radio reaches the broker, which may listen on every address."""
    return re.sub(r"^tcp://(\*|0\.0\.0\.0):", "tcp://127.0.0.1:", address)
