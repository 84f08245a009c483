"""When a spanning tree (IEEE 802.1D) has settled, whoever speaks the protocol: bridges of the kernel or switches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.emulator.messages import SeenWire

HELLO, MAX_AGE, FORWARD_DELAY = 1, 6, 4
"""Seconds. The shortest that IEEE 802.1D lets stand together (2 x (delay - 1) is at least the age): a port forwards
after 8 s instead of the 30 s that the defaults take."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a bridge knows: the root's id, and its ports' states, by interface, in the standard's words."""

    root: bytes
    ports: Mapping[str, str]


def unsettled(trees: Mapping[str, Tree], wires: Iterable[SeenWire]) -> Iterator[str]:
    """Give a line for each thing that is not settled.

    That is a port on its way to forwarding, one that has not noticed its wire, and two neighbours that follow different
    roots: after a cut the one that lost its way takes itself for the root until the other's news has aged.

    Args:
        trees: of the nodes that speak the protocol.
    """
    for wire in wires:
        for node, interface in wire.ends:
            if node in trees:
                yield from _port(f"{node}: port {interface}", trees[node].ports.get(interface, ""), wire.lit)
        (one, _), (other, _) = wire.ends
        if wire.lit and one in trees and other in trees and trees[one].root != trees[other].root:
            yield f"{one} and {other} do not agree on a root (STP)"


def _port(what: str, state: str, lit: bool) -> Iterator[str]:
    if state in ("", "listening", "learning"):
        yield f"{what} is {state or 'starting'} (STP)"
    elif (state == "disabled") == lit:
        yield f"{what} has not noticed that its wire is {'whole' if lit else 'cut'} (STP)"
