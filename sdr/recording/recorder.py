"""Writes samples as they come. What is broken off is a recording too, and its name says that it is unfinished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from sdr.channel.base import Samples
from sdr.recording.files import check_name, data_of, unfinished
from testbed import __version__
from testbed.errors import BadInput, Unable

FORMAT = "cf32_le"
_SAMPLE = 8
"""Bytes."""
_MOST = 1e12
"""Hz; SigMF's schema knows no higher rate."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished recording.

    Attributes:
        meta, data: its files. samples: in all. segments: pieces without a gap. sha512: of the data, in hexadecimal.
    """

    meta: Path
    data: Path
    samples: int
    segments: int
    sha512: str

    def plain(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"data": str(self.data), "samples": self.samples, "segments": self.segments, "sha512": self.sha512}


class Recorder:
    """Appends samples to a recording; a context manager, which finishes it unless an error comes out.

    While it runs, the files are called NAME.unfinished.sigmf-*, and at any moment describe what is in them: a length
    stands nowhere in a description. Finished they get their name; a reader then sees both or an error, never half.

    Attributes:
        samples: taken so far.
    """

    def __init__(
        self, meta: Path, rate: float, *, carrier: float | None = None, description: str = "", replace: bool = False
    ) -> None:
        """Create the files.

        Args:
            meta: NAME.sigmf-meta. rate: samples per second. carrier: Hz, where it is known.
            description: of what is recorded. replace: whether a recording of that name may be there, and is replaced.

        Raises:
            BadInput: the name does not end in .sigmf-meta, its folder does not exist, it is taken (an unfinished one,
                too), or rate or carrier are none. Unable: the files cannot be written.
        """
        _check(meta, rate, carrier)
        self._meta, self._data = meta, data_of(meta)
        for path in (self._meta, self._data, unfinished(self._meta), unfinished(self._data)):
            if path.exists() and not replace:
                raise BadInput(f"{path} exists; expected a new name (or --replace)")
        self._carrier = carrier
        self._global: dict[str, object] = {"core:datatype": FORMAT, "core:sample_rate": rate}
        self._global |= {"core:num_channels": 1, "core:recorder": f"testbed {__version__}"}
        self._global |= {"core:description": description} if description else {}
        self._captures: list[dict[str, object]] = []
        self._next: int | None = None
        self._hash = hashlib.sha512()
        self.samples = 0
        with _writing(unfinished(self._data)):
            self._file = unfinished(self._data).open("wb", buffering=0)
        try:
            self._describe()
        except Unable:
            self.abandon()
            raise

    def take(self, samples: Samples, start_count: int) -> None:
        """Append samples that begin at a count; where that is not the next one, a new segment of the recording begins.

        They are on their way to the disk when this returns; nothing of them is kept. So it takes as long as the
        operating system takes to copy them and the processor to hash them.

        Raises:
            Unable: the disk is full or gone. What was taken before stays, as an unfinished recording.
        """
        if not len(samples):
            return
        if start_count != self._next:
            self._begin(start_count)
        block = np.ascontiguousarray(samples, "<c8").data.cast("B")
        with _writing(unfinished(self._data)):
            written = 0
            while written < len(block):
                written += self._file.write(block[written:])
        self._hash.update(block)
        self.samples += len(samples)
        self._next = start_count + len(samples)

    def _begin(self, start_count: int) -> None:
        segment: dict[str, object] = {"core:sample_start": self.samples, "core:global_index": start_count}
        segment["core:datetime"] = f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:-6]}Z"
        if self._carrier is not None:
            segment["core:frequency"] = self._carrier
        self._captures.append(segment)
        self._describe()

    def _describe(self) -> None:
        """Write the description of what is there, in one step."""
        from sigmf import SigMFFile

        described = SigMFFile({"global": self._global, "captures": self._captures, "annotations": []})
        path = unfinished(self._meta)
        fresh = path.with_suffix(".new")
        with _writing(path):
            fresh.write_text(f"{described.dumps()}\n", encoding="utf-8")
            fresh.replace(path)

    def finish(self) -> Written:
        """Give the recording its name.

        Raises:
            Unable: the disk is full or gone; the recording stays unfinished.
        """
        self._global["core:sha512"] = digest = self._hash.hexdigest()
        with _writing(self._data):
            self._file.close()
            self._describe()
            unfinished(self._data).replace(self._data)
            unfinished(self._meta).replace(self._meta)
        return Written(self._meta, self._data, self.samples, len(self._captures), digest)

    def abandon(self) -> None:
        """Leave the recording unfinished, with whole samples; without one in it there is none."""
        with self._file, suppress(OSError):
            self._file.truncate(self.samples * _SAMPLE)  # of a full disk's last write there may be a part
        if not self.samples:
            unfinished(self._meta).unlink(missing_ok=True)
            unfinished(self._data).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if self._file.closed:
            return
        if error is None:
            self.finish()
        else:
            self.abandon()


def _check(meta: Path, rate: float, carrier: float | None) -> None:
    check_name(meta)
    for name, value in (("rate", rate), ("carrier", carrier)):
        if value is not None and not 0 < value <= _MOST:
            raise BadInput(f"{name} is {value}; expected more than 0, and {_MOST:g} at most")
    if not meta.parent.is_dir():
        raise BadInput(f"{meta}: there is no folder {meta.parent}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say which file could not be written."""
    try:
        yield
    except OSError as error:
        raise Unable(f"cannot write {path}: {error.strerror}") from None
