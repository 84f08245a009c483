"""Addresses as Mininet's scripts write them."""

from __future__ import annotations

import ipaddress
import re

from testbed.errors import BadInput

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


def prefixed(text: str, length: int | str | None, where: str = "") -> str:
    """Return `10.0.0.1/8` from `10.0.0.1` and 8, or from a text that has its length already.

    Raises:
        BadInput: not an IPv4 address, or no prefix length.
    """
    whole = text if "/" in text else f"{text}/{length}"
    try:
        if length is None and "/" not in text:
            raise ValueError("no prefix length")
        ipaddress.IPv4Interface(whole)
    except ValueError as error:
        raise BadInput(f"{where}{text!r} is not an address: {error}; expected one such as '10.0.0.1/8'") from None
    return whole


def mac_bytes(text: str, where: str) -> bytes:
    """Return a hardware address as six bytes.

    Raises:
        BadInput: it is not written as six pairs of hexadecimal digits.
    """
    if not isinstance(text, str) or not _MAC.fullmatch(text):
        raise BadInput(f"{where}: {text!r} is not a hardware address; expected one such as '00:00:00:00:00:01'")
    return bytes.fromhex(text.replace(":", ""))
