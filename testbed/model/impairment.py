"""What one direction of a link does to packets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from testbed import units
from testbed.model.base import Model, Problem, Rate, Seconds, Share, refuse

Distribution = Literal["uniform", "normal", "pareto", "paretonormal"]


class GilbertElliott(Model):
    """Two-state loss (Gilbert 1960, Elliott 1963), in the terms of tc-netem(8) `loss gemodel`.

    Attributes:
        p: probability of going from the good to the bad state, per packet.
        r: probability of going from the bad to the good state, per packet.
        bad_loss: share lost in the bad state (netem's 1-h).
        good_loss: share lost in the good state (netem's 1-k).
    """

    p: Share
    r: Share
    bad_loss: Share = 1.0
    good_loss: Share = 0.0


class Impairment(Model):
    """One direction of a link: seconds, fractions, bit/s. The default does nothing to packets.

    Attributes:
        delay: added to every packet.
        jitter: spread around `delay`, shaped by `distribution`, each value `jitter_correlation` like the one before.
        loss: share dropped at random; or `burst`, never both.
        duplicate: share sent twice. corrupt: share with one bit flipped.
        reorder: share sent at once while the others wait for `delay` (needs a delay).
        rate: bit/s, or None for as fast as the kernel goes. limit: queue, packets; None lets the emulator
            choose one that holds a bandwidth-delay product.
    """

    delay: Seconds = 0.0
    jitter: Seconds = 0.0
    distribution: Distribution = "uniform"
    jitter_correlation: Share = 0.0
    loss: Share = 0.0
    loss_correlation: Share = 0.0
    burst: GilbertElliott | None = None
    duplicate: Share = 0.0
    reorder: Share = 0.0
    corrupt: Share = 0.0
    rate: Rate | None = None
    limit: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """What netem would take without doing it: jitter cut off at zero, reordering of packets that do not wait."""
        refuse(_contradictions(self))
        return self


_LONGEST_DELAY = 3600.0
_LONGEST_JITTER = (2**31 - 1) / 1e9
"""The kernel cuts jitter to INT_MAX nanoseconds (sch_netem.c)."""


def _contradictions(it: Impairment) -> list[Problem]:
    problems = []
    if it.delay > _LONGEST_DELAY:
        problems.append(Problem(("delay",), it.delay, "expected at most 1h"))
    if it.jitter > min(it.delay, _LONGEST_JITTER):
        problems.append(_jitter_problem(it))
    if it.reorder > 0 and it.delay == 0:
        problems.append(Problem(("reorder",), it.reorder, "expected a delay too: packets are reordered by not waiting"))
    if it.burst is not None and it.loss > 0:
        problems.append(Problem(("burst",), None, "expected either loss (random) or burst (Gilbert-Elliott), not both"))
    if it.burst is not None and it.loss_correlation > 0:
        expected = "expected no loss_correlation beside burst, which has its own"
        problems.append(Problem(("loss_correlation",), it.loss_correlation, expected))
    return problems


def _jitter_problem(it: Impairment) -> Problem:
    if it.jitter <= it.delay:
        return Problem(("jitter",), it.jitter, "expected at most 2.147s, the most that the kernel takes")
    most = units.show(it.delay, units.TIME)
    return Problem(("jitter",), it.jitter, f"expected at most the delay ({most}): no packet arrives before it was sent")
