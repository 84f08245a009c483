"""How long a replay keeps an unconfirmed change on the devices, and so how long their revert timers must run.

The estimate is the longest each part takes on a rack that answers as fast as routers in a User-Mode Linux guest do; a
timer runs several times that, because a timer that fires while the change is being verified undoes a good change, and
one that runs too long costs only the time to wait for a device that was lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from adapters.base import Adapter
from testbed.errors import BadInput
from testbed.model.change import Change, Expectation, Loss, PathIs, Reachable, RoundTrip, Throughput
from testbed.model.rack import Inventory
from testbed.model.verdict import DeviceChange
from testbed.replay import verify
from testbed.validate.expectations import loss, reachable, rtt
from testbed.validate.scene import TRIES

MARGIN = 3.0
FLOOR = 60.0
LONGEST = 86400.0
STEP = 2.0
"""Seconds to commit, or to confirm, one device."""
SURVEY = 0.5
"""Seconds to read all there is to read on one device."""
LAST_REPLY = 1.0
"""Seconds that ping and traceroute wait for the last answer."""


def estimate(
    change: Change,
    devices: Sequence[DeviceChange],
    rack: Inventory,
    adapters: Mapping[str, Adapter],
    cannot_measure: verify.Cannot = verify.cannot_measure,
) -> float:
    """Return the seconds from the first commit to the last confirmation, to a tenth."""
    acts = 2 * STEP * len(devices)
    settling = verify.window(change) + verify.POLL + 2 * SURVEY * len(rack.devices)
    measured = sum(measuring(one) for one in change.expect if not cannot_measure(one, adapters))
    return round(acts + settling + measured, 1)


def measuring(expectation: Expectation) -> float:
    """Return the seconds that one expectation is measured on the rack for, at the longest."""
    match expectation:
        case Reachable():
            return _echoes(expectation)
        case RoundTrip():
            return max(verify.SPAN, rtt.needed(expectation.percentile) * rtt.INTERVAL) + LAST_REPLY
        case Loss():
            return max(verify.SPAN, loss.needed(expectation.below) * verify.FASTEST_PING) + LAST_REPLY
        case Throughput():
            return verify.SPAN + LAST_REPLY
        case PathIs():
            return TRIES * LAST_REPLY
        case _:
            return 0.0  # read off what the survey has brought, or not measured here


def _echoes(expectation: Reachable) -> float:
    if expectation.reachable:
        return reachable.MOST * reachable.INTERVAL + LAST_REPLY * reachable.MOST / reachable.COUNT
    return reachable.MOST * reachable.NEGATIVE_INTERVAL + LAST_REPLY


def revert_after(expected: float, asked: float | None) -> float:
    """Return the seconds that the devices' timers run for: `asked`, else the estimate with its margin.

    Raises:
        BadInput: what is asked for does not outlast the estimate, or a day.
    """
    if asked is None:
        return float(math.ceil(max(FLOOR, MARGIN * expected)))
    if not expected <= asked <= LONGEST:
        raise BadInput(
            f"revert_after is {asked:g} s; expected at least the {expected:g} s that committing, verifying and "
            f"confirming take, and at most {LONGEST:g} s; left out, it is {MARGIN:g} times as long"
        )
    return asked
