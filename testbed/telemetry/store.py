"""Every sample on its way: checked, remembered as the latest of its field, handed on to sinks in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from threading import Lock

from testbed.errors import BadInput
from testbed.telemetry.sample import Sample
from testbed.telemetry.sinks import Sink

Field = tuple[str, str]
"""Entity and metric."""


class Store:
    """Latest values by field, and batches to sinks. Any thread may add; one thread flushes."""

    def __init__(self, sinks: Sequence[Sink] = (), batch: int = 5000) -> None:
        """Start empty.

        Args:
            sinks: each gets every sample, in the order added.
            batch: samples kept back at most before `add` flushes by itself.
        """
        self._sinks = tuple(sinks)
        self._batch = batch
        self._pending: list[Sample] = []
        self._latest: dict[Field, Sample] = {}
        self._lock = Lock()
        self._flushing = Lock()

    def add(self, samples: Iterable[Sample]) -> None:
        """Remember samples.

        Raises:
            BadInput: a value or time that is not finite, or measured after received by more than a second.
        """
        checked = [_check(sample) for sample in samples]
        with self._lock:
            self._pending.extend(checked)
            for sample in checked:
                self._keep_newest(sample)
            full = len(self._pending) >= self._batch
        if full:
            self.flush()

    def _keep_newest(self, sample: Sample) -> None:
        # A late answer must not hide a newer one: newest by when it was true, not by when it came.
        field = (sample.entity, sample.metric)
        known = self._latest.get(field)
        if known is None or known.measured <= sample.measured:
            self._latest[field] = sample

    def latest(self, entity: str, metric: str) -> Sample | None:
        """The sample of this field with the newest time measured."""
        with self._lock:
            return self._latest.get((entity, metric))

    def all_latest(self) -> dict[Field, Sample]:
        """A copy of all fields' newest samples."""
        with self._lock:
            return dict(self._latest)

    def flush(self) -> int:
        """Hand pending samples to all sinks; returns how many."""
        with self._flushing:
            with self._lock:
                batch, self._pending = self._pending, []
            if batch:
                for sink in self._sinks:
                    sink.write(batch)
            return len(batch)

    def close(self) -> None:
        """Flush, then close the sinks."""
        self.flush()
        for sink in self._sinks:
            sink.close()


def _check(sample: Sample) -> Sample:
    finite = all(map(math.isfinite, (sample.value, sample.measured, sample.received)))
    if not finite or sample.measured > sample.received + 1.0:
        raise BadInput(
            f"sample {sample.entity} {sample.metric} from {sample.source}: value {sample.value}, measured "
            f"{sample.measured}, received {sample.received}; expected finite numbers, measured before received: "
            "check the clock offset of the device"
        )
    return sample
