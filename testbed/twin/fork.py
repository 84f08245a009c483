"""A lab of its own, built from a mirrored state: the live twin stays untouched."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from testbed.emulator.messages import SetLoad
from testbed.lab import Lab
from testbed.twin.load import load_flow
from testbed.twin.state import MirroredState


def fork(state: MirroredState, name: str | None = None, progress: Callable[..., None] | None = None) -> Lab:
    """Bring up a new lab in the mirrored state, under the mirrored load, on the substrate that the twin runs on.

    Args:
        state: from `testbed.twin.state.current_state`.
        name: of the new lab; made up when None.
        progress: called with each event of the bring-up.

    Returns:
        The lab, ready: daemons answer, adjacencies full. Use it as a context manager, or call its `down()`.

    Raises:
        Unable, GuestFailed, NotReady: it could not be brought up; nothing of it is left.
    """
    name = name or f"fork-{secrets.token_hex(3)}"
    lab = Lab.up(state.topology, substrate=_substrate_of(state.twin), name=name, kind="lab", progress=progress)
    try:
        if state.load:
            with lab.agent() as agent:
                agent.call(SetLoad(flows=tuple(map(load_flow, state.load))))
    except BaseException:
        lab.down()
        raise
    return lab


def _substrate_of(twin: str) -> str:
    return next((lab.substrate for lab in Lab.all() if lab.name == twin), "auto")
