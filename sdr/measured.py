"""A scenario like the air that was measured: RSRP and SINR, as samples of a store, become gains and noise."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any

from sdr.broker.build import stated
from sdr.broker.scenario import Scenario
from sdr.track import LEVEL, fitting
from testbed.errors import BadInput
from testbed.telemetry import sinks
from testbed.telemetry.sample import Sample

METRICS = {"rsrp": "dBm", "sinr": "dB", "downlink_snr": "dB"}
"""With units; a UE of `testbed radio stacks` tells its SINR by the last name."""
_QUIET = -200.0
"""dB; the noise of a receiver that others alone disturb more than was measured."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of a pair, the newest of each: dBm of a resource element, dB; None where nothing was."""

    source: str
    sink: str
    rsrp: float | None = None
    sinr: float | None = None


class Reader:
    """Reads a store's new samples of `radio:SOURCE:SINK`, whose ends are a scenario's radios.

    Those of `radio:UE`, as `testbed radio stacks` writes them, are taken where there is one cell that it can hear.
    """

    def __init__(self, path: Path) -> None:
        """Take a SQLite file of samples.

        Raises:
            BadInput: there is none.
        """
        if not path.is_file():
            raise BadInput(f"{path}: no such store; expected a SQLite file of samples, as a mirror writes")
        self._path, self._since = path, 0.0

    def new(self, scenario: Scenario) -> list[Found]:
        """Return what was measured since the last call, pair by pair.

        Raises:
            BadInput: the file is no store.
        """
        try:
            samples = sinks.read(self._path, since=self._since)
        except sqlite3.Error as error:
            raise BadInput(f"{self._path}: {error}; expected a SQLite file of samples, as a mirror writes") from None
        if samples:
            self._since = samples[-1].measured + 1e-6
        newest = {(one.entity, one.metric): one for one in samples if METRICS.get(one.metric) == one.unit}
        return [
            Found(*ends, _value(newest, entity, "rsrp"), _value(newest, entity, "sinr", "downlink_snr"))
            for entity, ends in _entities(scenario)
            if any((entity, metric) in newest for metric in METRICS)
        ]


def _entities(scenario: Scenario) -> Iterator[tuple[str, tuple[str, str]]]:
    if len(scenario.cells) == 1:
        (cell,) = scenario.cells
        yield from ((f"radio:{ue}", (cell, ue)) for ue in scenario.ues)
    for one in scenario.directions():
        yield f"radio:{one.source}:{one.sink}", (one.source, one.sink)


def _value(newest: Mapping[tuple[str, str], Sample], entity: str, *metrics: str) -> float | None:
    return next((newest[entity, metric].value for metric in metrics if (entity, metric) in newest), None)


def patch(scenario: Scenario, found: Iterable[Found], blocks: int | None = None) -> dict[str, Any]:
    """Return the patch of a scenario after which its radios would measure this.

    A gain follows from RSRP, the level of what is sent, and the sink's full scale; a receiver's noise from SINR, less
    what others of the scenario disturb already.

    Args:
        blocks: resource blocks of the carrier; what the rate has room for by default.
    """
    changes: dict[str, Any] = {}
    blocks = blocks or fitting(scenario.rate)
    for one in found:
        if one.rsrp is not None:
            gain = _gain(scenario, one, one.rsrp + 10 * log10(12 * blocks))
            changes.setdefault("channels", {}).setdefault(one.source, {})[one.sink] = {"gain": gain}
    for one in found:
        if one.sinr is not None:
            noise = _noise(scenario, one, changes, 12 * blocks * 15e3 / scenario.rate)
            kind = "ues" if one.sink in scenario.ues else "cells"
            # Whichever way it was stated before goes.
            stated_so = {**dict.fromkeys(("figure", "snr", "signal")), "level": noise}
            changes.setdefault(kind, {})[one.sink] = {"receiver": {"noise": stated_so}}
    return changes


def _gain(scenario: Scenario, one: Found, received: float) -> float:
    """Args: received: dBm, of all resource elements."""
    wanted = received - scenario.radios[one.sink].full_scale - LEVEL
    return round(scenario.pair(one.source, one.sink).gain + wanted - stated(scenario, one.source, one.sink)[0], 3)


def _noise(scenario: Scenario, one: Found, changes: Mapping[str, Any], share: float) -> float:
    """Return the level over a sample of magnitude 1, dB."""

    def arrives(source: str) -> float:
        """Power of what arrives over a sample of magnitude 1, with the gain that is about to be."""
        gain = stated(scenario, source, one.sink)[0]
        new = changes.get("channels", {}).get(source, {}).get(one.sink, {}).get("gain")
        if new is not None:
            gain += new - scenario.pair(source, one.sink).gain
        return 10 ** ((gain + LEVEL) / 10)

    down = one.source in scenario.cells
    others = sum(arrives(name) for name in scenario.cells if name != one.source) if down else 0.0
    power = (arrives(one.source) / 10 ** ((one.sinr or 0.0) / 10) - others) / share
    return round(10 * log10(power), 3) if power > 0 else _QUIET
