"""A radio's front end as a person writes it: what its receive ports do to the sum of all that arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from testbed.model.base import Decibel, Frequency, Model, Number, Problem, Seconds, Shift, refuse


class Noise(Model):
    """White noise over the whole band, stated in one of three ways.

    Attributes:
        figure: of the receiver, over the thermal noise at 290 K; needs the radio's `full_scale`.
        level: over a sample of magnitude 1.
        snr: below `signal`, which is a level over a sample of magnitude 1.
    """

    figure: Annotated[Decibel, Field(ge=0)] | None = None
    level: Decibel | None = None
    snr: Decibel | None = None
    signal: Decibel = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(list(_noise_problems(self)))
        return self


def _noise_problems(it: Noise) -> Iterator[Problem]:
    stated = [key for key in ("figure", "level", "snr") if getattr(it, key) is not None]
    if not stated:
        yield Problem((), {}, "expected one of figure, level and snr, such as figure: 7dB")
    for key in stated[1:]:
        yield Problem((key,), getattr(it, key), f"expected one of figure, level and snr; there is {stated[0]} already")
    if "signal" in it.model_fields_set and it.snr is None:
        yield Problem(("signal",), it.signal, "expected snr beside it, which is counted from it")


class PhaseNoise(Model):
    """A point of the spectrum of an oscillator's phase noise.

    Attributes:
        offset: from the carrier. density: in 1 Hz, over the carrier (dBc/Hz).
    """

    offset: Frequency
    density: Decibel


class Imbalance(Model):
    """Unequal branches.

    Attributes:
        gain: of Q over I. angle: degrees that the angle between them has more than 90.
    """

    gain: Decibel = 0.0
    angle: Number = 0.0


class Jammer(Model):
    """Somebody else who is heard.

    Attributes:
        power: as received, while it sends, over a sample of magnitude 1.
        tone: where in the band it sends a tone; noise over the whole band where none is stated.
        period, on: from pulse to pulse, and of a pulse; it sends all the time where they are not stated.
    """

    power: Decibel
    tone: Shift | None = None
    period: Seconds | None = None
    on: Seconds | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.period is None) != (self.on is None):
            refuse([Problem((), {}, "expected both period and on, or neither")])
        if self.period is not None and self.on is not None and not 0 < self.on <= self.period:
            refuse([Problem(("on",), self.on, "expected a time above zero that is not longer than period")])
        return self


class FrontEnd(Model):
    """What a radio's receive ports do, in this order.

    Attributes:
        jammer: is heard besides. noise: is added. offset: of the carrier, as it is received.
        phase_noise: of the oscillator, two points or more of rising offsets.
        imbalance: of I and Q. clip: the largest magnitude of I and of Q.
    """

    jammer: Jammer | None = None
    noise: Noise | None = None
    offset: Shift = 0.0
    phase_noise: Annotated[tuple[PhaseNoise, ...], Field(min_length=2)] | None = None
    imbalance: Imbalance | None = None
    clip: Annotated[Number, Field(gt=0)] | None = None
