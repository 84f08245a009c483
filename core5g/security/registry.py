"""Which sets of functions f1 to f5 there are, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core5g.security.base import Algorithm
from core5g.security.errors import UnknownAlgorithm
from core5g.security.milenage import Milenage, opc_of
from core5g.security.tuak import Tuak, topc_of


class Kind(NamedTuple):
    """A set of functions.

    Attributes:
        sim: takes K and the SIM's constant (OPc, TOPc), returns its functions.
        constant: takes K and what is the operator's (OP, TOP), returns the SIM's constant.
    """

    sim: Callable[[bytes, bytes], Algorithm]
    constant: Callable[[bytes, bytes], bytes]


ALGORITHMS: dict[str, Kind] = {"milenage": Kind(Milenage, opc_of), "tuak": Kind(Tuak, topc_of)}


def algorithm(name: str) -> Kind:
    """Return a set of functions.

    Raises:
        UnknownAlgorithm: there is none of this name.
    """
    found = ALGORITHMS.get(name)
    if found is None:
        raise UnknownAlgorithm(name, ALGORITHMS)
    return found
