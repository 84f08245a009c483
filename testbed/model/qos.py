"""Standardised 5G quality of service: 5QI values, and the DSCP that their packets get on the transport network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Resource = Literal["GBR", "non-GBR", "delay-critical GBR"]


class FiveQi(NamedTuple):
    """One row of the table.

    Attributes:
        resource: whether flows have a guaranteed bit rate. priority: 1 is served first.
        delay: budget between UE and UPF, seconds. loss: packet error rate, a fraction.
        burst: maximum data burst volume, bytes; of delay-critical ones only.
    """

    resource: Resource
    priority: int
    delay: float
    loss: float
    burst: int | None = None

    @property
    def guaranteed(self) -> bool:
        """Whether its flows need a guaranteed bit rate."""
        return self.resource != "non-GBR"


TABLE: Mapping[int, FiveQi] = {
    1: FiveQi("GBR", 20, 0.100, 1e-2),
    2: FiveQi("GBR", 40, 0.150, 1e-3),
    3: FiveQi("GBR", 30, 0.050, 1e-3),
    4: FiveQi("GBR", 50, 0.300, 1e-6),
    65: FiveQi("GBR", 7, 0.075, 1e-2),
    66: FiveQi("GBR", 20, 0.100, 1e-2),
    67: FiveQi("GBR", 15, 0.100, 1e-3),
    71: FiveQi("GBR", 56, 0.150, 1e-6),
    72: FiveQi("GBR", 56, 0.300, 1e-4),
    73: FiveQi("GBR", 56, 0.300, 1e-8),
    74: FiveQi("GBR", 56, 0.500, 1e-8),
    76: FiveQi("GBR", 56, 0.500, 1e-4),
    5: FiveQi("non-GBR", 10, 0.100, 1e-6),
    6: FiveQi("non-GBR", 60, 0.300, 1e-6),
    7: FiveQi("non-GBR", 70, 0.100, 1e-3),
    8: FiveQi("non-GBR", 80, 0.300, 1e-6),
    9: FiveQi("non-GBR", 90, 0.300, 1e-6),
    10: FiveQi("non-GBR", 90, 1.100, 1e-6),
    69: FiveQi("non-GBR", 5, 0.060, 1e-6),
    70: FiveQi("non-GBR", 55, 0.200, 1e-6),
    79: FiveQi("non-GBR", 65, 0.050, 1e-2),
    80: FiveQi("non-GBR", 68, 0.010, 1e-6),
    82: FiveQi("delay-critical GBR", 19, 0.010, 1e-4, 255),
    83: FiveQi("delay-critical GBR", 22, 0.010, 1e-4, 1354),
    84: FiveQi("delay-critical GBR", 24, 0.030, 1e-5, 1354),
    85: FiveQi("delay-critical GBR", 21, 0.005, 1e-5, 255),
    86: FiveQi("delay-critical GBR", 18, 0.005, 1e-4, 1354),
    87: FiveQi("delay-critical GBR", 25, 0.005, 1e-3, 500),
    88: FiveQi("delay-critical GBR", 25, 0.010, 1e-3, 1125),
    89: FiveQi("delay-critical GBR", 25, 0.015, 1e-4, 17000),
    90: FiveQi("delay-critical GBR", 25, 0.020, 1e-4, 63000),
}
"""3GPP TS 23.501 (release 17), table 5.7.4-1, in its order."""

_EF, _AF41, _AF31, _AF21, _AF11 = 46, 34, 26, 18, 10
_CLASSES: Mapping[int, tuple[int, ...]] = {
    _EF: (1, 2, 3, 65, 66, 67, *(key for key, row in TABLE.items() if row.resource == "delay-critical GBR")),
    _AF41: (4, 71, 72, 73, 74, 76),
    _AF31: (5, 69),
    _AF21: (7, 79, 80),
    _AF11: (6, 8, 10, 70),
    0: (9,),
}
"""No specification fixes which DSCP a 5QI has: it is the operator's choice (TS 23.501, clause 5.8.2.7).

Ours has six classes, so that the eight queues of a transport network do for them: conversational and delay-critical,
streaming, signalling, interactive, background, best effort. A slice's own `dscp` goes over it.
"""
DSCP: Mapping[int, int] = {key: dscp for dscp, keys in _CLASSES.items() for key in keys}
"""By 5QI."""
