"""What happens between a transmitter and a receiver, as a person writes it."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sdr.channel.profiles import PROFILES
from testbed.errors import nearest
from testbed.model.base import Decibel, Flag, Frequency, Model, Number, Problem, Seconds, Shift, refuse


class Tap(Model):
    """One path that stands still.

    Attributes:
        delay: of this path, besides the pair's. gain: of power. phase: degrees.
    """

    delay: Seconds = 0.0
    gain: Decibel = 0.0
    phase: Number = 0.0


class Pair(Model):
    """The channel of a pair. Of `profile`, `k`, `taps` and `recorded` one at most; without any it is one path.

    Attributes:
        gain: of power, besides the path loss where both ends have a position.
        delay: besides that of the distance where both ends have a position.
        blockage: what stands in the way takes, dB.
        sight: whether there is a line of sight; drawn where the path loss has a probability for it.
        shift: of frequency, of all paths, besides that of the radial speed where both ends have a position.
        profile: a name of sdr.channel.profiles.PROFILES. spread: delay spread of one whose delays are normalised.
        doppler: largest shift of the paths that fade; of the speed, where both ends have a position.
        correlation: between antennas, where the ends have several.
        k: direct over scattered power (Rician) of one fading path; -400dB is Rayleigh.
        taps: paths that stand still.
        recorded: a file of impulse responses (see sdr.channel.recorded).
    """

    gain: Decibel = 0.0
    delay: Seconds = 0.0
    blockage: Annotated[Decibel, Field(ge=0)] = 0.0
    sight: Flag | None = None
    shift: Shift = 0.0
    profile: str | None = None
    spread: Seconds | None = None
    doppler: Frequency | None = None
    correlation: Literal["low", "medium", "high"] = "low"
    k: Decibel | None = None
    taps: Annotated[tuple[Tap, ...], Field(min_length=1)] | None = None
    recorded: Path | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(list(_problems(self)))
        return self


def _problems(it: Pair) -> Iterator[Problem]:
    kinds = [key for key in ("profile", "k", "taps", "recorded") if getattr(it, key) is not None]
    for key in kinds[1:]:
        yield Problem((key,), getattr(it, key), f"expected one of these alone, and there is {kinds[0]} already")
    if it.profile is not None and it.profile not in PROFILES:
        yield Problem(("profile",), it.profile, f"expected one of {', '.join(PROFILES)}{nearest(it.profile, PROFILES)}")
        return
    scaled = it.profile is not None and PROFILES[it.profile].scaled
    if scaled and not (it.spread and it.spread < 1):
        yield Problem(("profile",), it.profile, "expected a delay spread beside it, such as spread: 100ns")
    if it.spread is not None and not scaled:
        yield Problem(
            ("spread",), it.spread, "expected a profile whose delays are normalised, such as TDL-A, beside it"
        )
    if it.doppler is not None and it.profile is None and it.k is None:
        yield Problem(("doppler",), it.doppler, "expected paths that fade beside it: profile or k")
    for index, tap in enumerate(it.taps or ()):
        if not isfinite(tap.phase):
            yield Problem(("taps", index, "phase"), tap.phase, "expected a number of degrees")
