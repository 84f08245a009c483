"""Ends of GTP-U tunnels."""

from __future__ import annotations

from typing import NamedTuple


class Tunnel(NamedTuple):
    """An end of a tunnel: address as text, which is what sockets take, and TEID."""

    host: str
    teid: int
