"""Waiting for convergence: until every route and every neighbour has stayed the same for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass

from testbed.model.topology import Topology
from testbed.validate import neighbours
from testbed.validate.routes import Call, Routes, difference, snapshot

POLL = 0.25
# A BGP session that is on its way up may do nothing for this long before it tries again.
PATIENCE_TRYING = 10.0


@dataclass(frozen=True, slots=True)
class Settled:
    """How waiting for convergence ended.

    Attributes:
        routes: last seen. seconds: until the last change seen. stable: nothing changed for the whole window.
        moving: what changed last, for the message when it never settled.
    """

    routes: Routes
    seconds: float
    stable: bool
    moving: tuple[str, ...] = ()


def settle(call: Call, topology: Topology, speaking: neighbours.Speakers, window: float, deadline: float) -> Settled:
    """Wait until every route and every neighbour has stayed the same for a window.

    Args:
        speaking: who speaks which routing protocol.
        window: seconds without any change that count as converged; longer than a silent neighbour is waited for where
            one may fall silent.
        deadline: seconds after which it is given up.
    """
    start = changed = time.monotonic()
    last, states, moving = snapshot(call, topology), neighbours.states(call, speaking), ()
    while (now := time.monotonic()) - changed < _window(window, states):
        if now - start > deadline:
            return Settled(last, changed - start, False, moving)
        time.sleep(POLL)  # a polling period: daemons announce no "converged" that could be waited for
        routes, seen = snapshot(call, topology), neighbours.states(call, speaking)
        if (routes, seen) != (last, states):
            moving = (*difference(last, routes), *neighbours.difference(states, seen))
            last, states, changed = routes, seen, time.monotonic()
    return Settled(last, changed - start, True, moving)


def _window(window: float, states: neighbours.States) -> float:
    trying = any(state in neighbours.TRYING for listed in states.values() for state in listed.values())
    return max(window, PATIENCE_TRYING) if trying else window
