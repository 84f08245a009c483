"""What one direction of a link does to packets."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from testbed import units
from testbed.errors import nearest
from testbed.model.base import Model, Problem, Rate, Seconds, Share, refuse

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")


def _distribution(value: Any) -> str | tuple[float, ...]:
    if isinstance(value, str) and value in DISTRIBUTIONS:
        return value
    if isinstance(value, list | tuple) and 2 <= len(value) <= 4096 and all(_is_deviation(point) for point in value):
        return tuple(float(point) for point in value)
    hint = nearest(value, DISTRIBUTIONS) if isinstance(value, str) else ""
    raise ValueError(f"expected one of {', '.join(DISTRIBUTIONS)}{hint}, or {{csv: FILE, column: NAME, unit: ms}}")


def _is_deviation(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -4 <= value <= 4


Distribution = Annotated[
    str | tuple[float, ...],
    BeforeValidator(_distribution),
    WithJsonSchema({"anyOf": [
        {"enum": list(DISTRIBUTIONS)},
        {"type": "object", "additionalProperties": False, "required": ["csv", "column", "unit"],
         "properties": {"csv": {"type": "string"}, "column": {"type": "string"}, "unit": {"enum": list(units.TIME)}}},
        {"type": "array", "items": {"type": "number", "minimum": -4, "maximum": 4}, "minItems": 2, "maxItems": 4096,
         "description": "measured: deviations from the delay, in jitters, at evenly spaced shares"},
    ]}),
]  # fmt: skip


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

    @property
    def mean_loss(self) -> float:
        """Share lost in the long run; of a chain that never moves, what the good state loses, where it begins."""
        bad = self.p / (self.p + self.r) if self.p else 0.0
        return bad * self.bad_loss + (1 - bad) * self.good_loss


class Impairment(Model):
    """One direction of a link: seconds, fractions, bit/s. The default does nothing to packets.

    Attributes:
        delay: added to every packet.
        jitter: spread around `delay`, shaped by `distribution`, each value `jitter_correlation` like the one before.
            In a file, `distribution: {csv: FILE, column: NAME, unit: ms}` takes all three from measurements.
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

    @property
    def mean_loss(self) -> float:
        """Share lost in the long run."""
        return self.loss if self.burst is None else self.burst.mean_loss

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
    if it.jitter > _LONGEST_JITTER or it.jitter * _earliest(it.distribution) > it.delay * (1 + 1e-6):
        problems.append(_jitter_problem(it))
    if it.reorder > 0 and it.delay == 0:
        problems.append(Problem(("reorder",), it.reorder, "expected a delay too: packets are reordered by not waiting"))
    if it.burst is not None and it.loss > 0:
        problems.append(Problem(("burst",), None, "expected either loss (random) or burst (Gilbert-Elliott), not both"))
    if it.burst is not None and it.loss_correlation > 0:
        expected = "expected no loss_correlation beside burst, which has its own"
        problems.append(Problem(("loss_correlation",), it.loss_correlation, expected))
    return problems


def _earliest(distribution: str | tuple[float, ...]) -> float:
    """Return how many jitters before its mean a delay may be; of a named distribution by convention one."""
    return 1.0 if isinstance(distribution, str) else -min(distribution)


def _jitter_problem(it: Impairment) -> Problem:
    if it.jitter <= it.delay:
        return Problem(("jitter",), it.jitter, "expected at most 2.147s, the most that the kernel takes")
    most = units.show(it.delay, units.TIME)
    return Problem(("jitter",), it.jitter, f"expected at most the delay ({most}): no packet arrives before it was sent")
