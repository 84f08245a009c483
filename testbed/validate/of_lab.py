"""The state that a change is tried in, taken from a lab itself: it is its own rack, and needs no mirror."""

from __future__ import annotations

import time

from testbed.converge.saved import save
from testbed.lab import Lab
from testbed.twin.state import MirroredState, current_state


def state_of(name: str) -> MirroredState:
    """Return what a twin's mirror last made true in it; of a plain lab, what it is now, run-time changes included.

    Raises:
        BadInput: no lab of this name, or one that no topology can describe any more.
        NotReady: a twin without a mirror. Unable: a lab that is dead.
    """
    lab = Lab.open(name)
    if lab.kind != "lab":
        return current_state(name)
    measured, (topology, _) = time.time(), save(lab)
    return MirroredState(twin=name, measured=measured, topology=topology)
