"""Impulse responses from a file: what a ray tracer or a measurement found, update by update."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from sdr.channel.base import Samples
from sdr.channel.paths import Taps
from testbed.errors import BadInput

FIELDS = ("delays", "gains", "period")


class Recorded:
    """Gains that follow a record; behind its end the last ones stay."""

    def __init__(self, gains: Samples, step: int) -> None:
        """Take complex64[updates, paths], one update every `step` samples."""
        self._gains = gains
        self.step = step

    def at(self, first: int, count: int) -> Samples:
        """Return the gains at `count` updates (see paths.Gains)."""
        return self._gains[np.minimum(np.arange(first, first + count), len(self._gains) - 1)]

    @property
    def length(self) -> int:
        """Samples from the record's begin to its last update."""
        return (len(self._gains) - 1) * self.step


def read(path: Path, rate: float, gain: float = 1.0, delay: float = 0.0) -> Taps:
    """Return the channel that a file holds.

    Args:
        path: an .npz of numpy: `delays` (seconds, one per path; Sionna RT's `tau`), `gains` (complex amplitudes,
            updates by paths), `period` (seconds from one update to the next, such as 0.001).
        rate: samples per second. gain: amplitude, besides those in the file. delay: seconds, of all paths besides.

    Raises:
        BadInput: the file can't be read, a field is missing or has a wrong shape, a number is not finite, or the period
            is no whole number of samples.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            missing = [field for field in FIELDS if field not in file]
            if missing:
                raise BadInput(f"{path}: no array called {missing[0]!r}; expected {', '.join(FIELDS)}")
            delays, gains, period = (file[field] for field in FIELDS)
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: can't be read as an .npz of numpy: {error}") from error
    if delays.ndim != 1 or gains.ndim != 2 or not gains.size or gains.shape[1] != len(delays) or period.size != 1:
        raise BadInput(
            f"{path}: delays are {delays.shape}, gains {gains.shape}, period {period.shape}; "
            "expected (paths), (updates, paths) and one number"
        )
    if not np.isfinite(gains).all():
        update, number = np.argwhere(~np.isfinite(gains))[0]
        raise BadInput(
            f"{path}: gain of update {update}, path {number} is {gains[update, number]}; expected a finite number"
        )
    samples = float(period.item()) * rate
    if not samples >= 1 or abs(samples - round(samples)) > 1e-6 * samples:
        raise BadInput(
            f"{path}: period {period.item()} s is {samples:g} samples at {rate:g}/s; expected a whole number"
        )
    return Taps(((delays + delay) * rate).tolist(), Recorded((gain * gains).astype(np.complex64), round(samples)))
