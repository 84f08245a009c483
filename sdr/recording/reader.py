"""Reads recordings: whatever is wrong with one is said by name before its first sample is given."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdr.channel.base import Samples
from sdr.recording.files import check_name, data_of, unfinished
from testbed.errors import BadInput, nearest

_BLOCK = 1 << 22
"""Bytes read at once where a file is only hashed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How samples stand in a file: numpy's type of I and of Q, and what makes 1.0 of them."""

    part: str
    full_scale: float = 1.0


KINDS: Mapping[str, Kind] = {
    "cf32_le": Kind("<f4"),
    "ci16_le": Kind("<i2", 2.0**15),
}
"""By core:datatype. The largest negative integer is -1, as the sigmf library has it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples in a file.

    They are read when they are asked for, not mapped: a mapped file that somebody cuts off kills the reader.

    Attributes:
        meta, data: its files. kind: core:datatype. rate: samples per second. samples: in all.
        carrier: Hz, where the first segment has one. segments: samples at which segments start.
    """

    meta: Path
    data: Path
    kind: str
    rate: float
    samples: int
    carrier: float | None
    segments: tuple[int, ...]

    def blocks(self, size: int, repeat: bool = False) -> Iterator[Samples]:
        """Give the samples in blocks of `size`, the last as long as it is; over and over again, if asked for.

        Raises:
            BadInput: the file became shorter since it was opened, or is gone.
        """
        with _reading(self.data):
            file = self.data.open("rb")
        with file:
            while True:
                yield from self._once(file, size)
                if not repeat:
                    return

    def _once(self, file: Any, size: int) -> Iterator[Samples]:
        kind = KINDS[self.kind]
        file.seek(0)
        for start in range(0, self.samples, size):
            count = min(size, self.samples - start)
            parts = np.fromfile(file, kind.part, 2 * count)
            if len(parts) < 2 * count:
                raise BadInput(
                    f"{self.data} ends before sample {start + count}; it had {self.samples} when it was opened"
                )
            if kind.full_scale != 1:
                parts = parts / np.float32(kind.full_scale)
            yield parts.astype(np.float32, copy=False).view(np.complex64)


def open_recording(meta: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> Recording:
    """Read a recording's description and check its samples against it.

    Args:
        meta: NAME.sigmf-meta. tell: is told how many bytes of how many have been checked.

    Raises:
        BadInput: there is no such recording, it is not what SigMF's schema wants, its samples are of a kind that is not
            known here, are missing, are no whole number, or are others than were recorded (SHA-512).
    """
    check_name(meta)
    described = _described(meta)
    whole = described["global"]
    kind = _kind(meta, whole)
    data = data_of(meta)
    samples = _length(data, kind)
    segments = tuple(one["core:sample_start"] for one in described["captures"])
    if segments and segments[-1] > samples:
        raise BadInput(f"{meta}: a segment starts at sample {segments[-1]}, and {data.name} has {samples}")
    if "core:sha512" in whole:
        _check_hash(data, whole["core:sha512"], tell)
    carrier = described["captures"][0].get("core:frequency") if segments else None
    return Recording(meta, data, kind, float(whole["core:sample_rate"]), samples, carrier, segments)


def _described(meta: Path) -> dict[str, Any]:
    """Return what the file says, valid by SigMF's own schema."""
    import sigmf.validate
    from jsonschema import ValidationError

    left = unfinished(meta)
    if not meta.exists() and left.exists():
        raise BadInput(f"{meta} does not exist; its recording was broken off, and what there is of it is {left}")
    try:
        with _reading(meta):
            described = json.loads(meta.read_text(encoding="utf-8"))
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # others' undeclared extensions
            sigmf.validate.validate(described)
    except json.JSONDecodeError as error:
        raise BadInput(f"{meta}:{error.lineno}:{error.colno}: {error.msg}; expected JSON") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{meta}: byte {error.start} is no UTF-8; expected JSON") from None
    except ValidationError as error:
        where = "".join(f"{key}: " for key in error.absolute_path)
        raise BadInput(f"{meta}: {where}{error.message[:200]} (SigMF's schema)") from None
    return described


def _kind(meta: Path, whole: Mapping[str, Any]) -> str:
    """Return the samples' kind; refuse what would be read as something else than it is."""
    kind = whole["core:datatype"]
    if kind not in KINDS:
        raise BadInput(f"{meta}: core:datatype is {kind!r}; expected {' or '.join(KINDS)}{nearest(kind, KINDS)}")
    if "core:sample_rate" not in whole:
        raise BadInput(f"{meta}: no core:sample_rate; expected samples per second")
    if whole.get("core:num_channels", 1) != 1:
        raise BadInput(
            f"{meta}: core:num_channels is {whole['core:num_channels']}; expected 1: a file for each antenna"
        )
    foreign = next(
        (key for key in ("core:dataset", "core:trailing_bytes", "core:metadata_only") if whole.get(key)), None
    )
    if foreign:
        raise BadInput(f"{meta}: {foreign} says that its samples are elsewhere or among others; expected them alone")
    needed = next((one["name"] for one in whole.get("core:extensions", ()) if not one["optional"]), None)
    if needed:
        raise BadInput(f"{meta}: it cannot be read without the extension {needed!r}, which is not known here")
    return kind


def _length(data: Path, kind: str) -> int:
    """Return the number of samples in a file."""
    with _reading(data):
        size = data.stat().st_size
    of_one = 2 * np.dtype(KINDS[kind].part).itemsize
    if not size or size % of_one:
        raise BadInput(f"{data} has {size} bytes; expected whole samples of {of_one} bytes ({kind}), one at least")
    return size // of_one


def _check_hash(data: Path, wanted: str, tell: Callable[[int, int], None]) -> None:
    found, total, done = hashlib.sha512(), data.stat().st_size, 0
    with _reading(data), data.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            tell(done := done + len(block), total)
    if found.hexdigest() != wanted.lower():
        raise BadInput(
            f"{data}: its SHA-512 is {found.hexdigest()[:16]}..., the description's {wanted[:16]}...: "
            "these are not the samples that were recorded"
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say which file could not be read."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
