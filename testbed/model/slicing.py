"""Network slices on switches: which packets they are, what they are guaranteed, and what they may take at most."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from testbed.model.base import Model, Prefix, Problem, Rate, Vlan, refuse
from testbed.model.traffic import Dscp

LEAST = 1000.0
"""bit/s: OpenFlow's meters count whole kbit/s."""


def _differentiator(value: str) -> str:
    if not re.fullmatch("[0-9A-Fa-f]{6}", value):
        raise ValueError('expected a slice differentiator: six hexadecimal digits in quotes, such as "00000a"')
    return value.lower()


Differentiator = Annotated[str, Strict(), AfterValidator(_differentiator)]


class Slice(Model):
    """A slice, known by its name. A packet is of the first slice whose every named match it has.

    Attributes:
        sst, sd: S-NSSAI, slice/service type and differentiator (3GPP TS 23.003, 28.4.2); for people and for the core.
        dscp, vlan: of its packets. prefix: that they come from or go to.
        guaranteed: bit/s that it gets on each link with a `rate`, whatever others send (a queue).
        maximum: bit/s that may come in by one switch, in all its ports (a meter).
    """

    sst: Annotated[int, Strict(), Field(ge=0, le=255)] | None = None
    sd: Differentiator | None = None
    dscp: Dscp | None = None
    vlan: Vlan | None = None
    prefix: Prefix | None = None
    guaranteed: Rate | None = None
    maximum: Rate | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(list(_problems(self)))
        return self

    @property
    def match(self) -> tuple[object, ...]:
        """What tells its packets."""
        return self.dscp, self.vlan, self.prefix


def _problems(it: Slice) -> Iterator[Problem]:
    if it.match == (None, None, None):
        yield Problem((), None, "expected what tells its packets: dscp, vlan or prefix")
    if it.guaranteed is None and it.maximum is None:
        yield Problem((), None, "expected guaranteed, maximum, or both")
    if it.sd is not None and it.sst is None:
        yield Problem(("sd",), it.sd, "expected an sst beside it")
    for key in ("guaranteed", "maximum"):
        value = getattr(it, key)
        if value is not None and value < LEAST:
            yield Problem((key,), value, "expected at least 1kbit: meters and queues count whole kbit/s")
    if it.guaranteed is not None and it.maximum is not None and it.guaranteed > it.maximum:
        yield Problem(("guaranteed",), it.guaranteed, f"expected at most the maximum, {it.maximum:g} bit/s")
