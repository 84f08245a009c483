"""`testbed radio demo`: built-in radios through a broker, what they measure beside what the scenario states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdr.broker.build import stated
from sdr.broker.control import ask
from sdr.broker.engine import Broker
from sdr.broker.scenario import Scenario
from sdr.meanwhile import meanwhile
from sdr.stand import Heard, Stand

_WAIT = 60.0
"""Seconds; slots come hundreds a second."""
GAIN, DELAY = 0.1, 10e-9
"""dB and seconds by which a measurement may miss what is stated, where a channel stands still and nobody disturbs."""
_DISTURBED = 25.0
"""dB of SNR below which noise or others decide how exact a measurement is."""

STEPS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("as the scenario says", {}),
    ("ue1 goes behind a house", {"channels": {"gnb": {"ue1": {"blockage": "15dB"}}}}),
    ("ue2 drives through a town: EPA, 30 Hz", {"channels": {"gnb": {"ue2": {"profile": "EPA", "doppler": "30Hz"}}}}),
    ("somebody disturbs the cell", {"cells": {"gnb": {"receiver": {"jammer": {"power": "-25dB"}}}}}),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a radio heard, and what the scenario states of whom it hears.

    Attributes:
        gain, delay: stated; None where it hears nobody or the channel fades.
        agrees: whether it heard that; None where nothing can be compared.
    """

    heard: Heard
    gain: float | None
    delay: float | None
    agrees: bool | None


def example(folder: Path) -> Scenario:
    """Return a cell and two UEs on UNIX sockets in a folder."""

    def radio(name: str, **more: object) -> dict[str, object]:
        return {"transmit": f"ipc://{folder}/{name}-tx", "receive": f"ipc://{folder}/{name}-rx", **more}

    noise = {"receiver": {"noise": {"level": "-70dB"}}}
    return Scenario.model_validate(
        {
            "rate": "3.84MHz",
            "cells": {"gnb": radio("gnb", **noise)},
            "ues": {"ue1": radio("ue1", **noise), "ue2": radio("ue2", **noise)},
            "channels": {
                "gnb": {"ue1": {"gain": "-15dB", "delay": "650ns"}, "ue2": {"gain": "-25dB", "delay": "1.3us"}}
            },
        }
    )


def demo(
    scenario: Scenario, folder: Path, slots: int, steps: tuple[tuple[str, Mapping[str, Any]], ...] = STEPS
) -> Iterator[tuple[str, list[Told]]]:
    """Run a scenario with built-in radios, and change it step by step over the broker's control socket.

    Args:
        folder: for the control socket. slots: measured in each step. steps: titles and patches of the scenario.

    Raises:
        BadInput: the built-in radios cannot play the scenario. NotReady: no samples came.
        AddressInUse: somebody listens on one of its addresses.
    """
    control = f"ipc://{folder}/control"
    with Broker(scenario, control=control) as broker, Stand(scenario) as stand, meanwhile(broker.run):
        stand.hear(slots, _WAIT)  # all are there and have found each other
        for title, patch in steps:
            changed = ask(control, {"ask": "set", "patch": patch}, _WAIT)["at"] if patch else 0
            yield title, [_told(broker.scenario, heard) for heard in stand.hear(slots, _WAIT, after=changed)]


def _told(scenario: Scenario, heard: Heard) -> Told:
    if heard.source is None:
        return Told(heard, None, None, None)
    pair = scenario.pair(heard.source, heard.radio)
    if any(value is not None for value in (pair.profile, pair.k, pair.taps, pair.recorded)):
        return Told(heard, None, None, None)
    gain, delay = stated(scenario, heard.source, heard.radio)
    agrees = abs(heard.gain - gain) < GAIN and abs(heard.delay - delay) < DELAY
    return Told(heard, gain, delay, agrees if heard.snr > _DISTURBED else None)
