"""Load on a core: many UEs, one procedure, and how it went."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

from core5g.ran.errors import NoService
from core5g.ran.ue import Ue

Procedure = Callable[[Ue], Awaitable[None]]


@dataclass(slots=True)
class Report:
    """What became of a load.

    Attributes:
        took: seconds of each that succeeded, in the order of their ends. failed: how many, by cause.
        seconds: from the first begin to the last end.
    """

    took: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Successes per second."""
        return len(self.took) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float | None:
        """Return the time in seconds within which this share of the successes were; None where there were none."""
        ordered = sorted(self.took)
        return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None

    def plain(self) -> dict[str, object]:
        """Return it for JSON; times in seconds."""
        return {
            "done": len(self.took),
            "failed": dict(self.failed),
            "seconds": self.seconds,
            "rate": self.rate,
            **{f"p{share}": self.percentile(share / 100) for share in (50, 95, 99)},
        }


async def at_once(ues: Sequence[Ue], procedure: Procedure, most: int) -> Report:
    """Run a procedure for every UE, so many at a time.

    Args:
        most: at a time; as many as there are UEs for a storm.
    """
    report, waiting = Report(), iter(ues)

    async def worker() -> None:
        for ue in waiting:
            await _one(ue, procedure, report)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(min(most, len(ues)))))
    report.seconds = time.perf_counter() - began
    return report


async def by_rate(ues: Iterable[Ue], procedure: Procedure, rate: float) -> Report:
    """Begin so many a second, whether those before have ended or not.

    Args:
        rate: per second, above 0.
    """
    report, tasks = Report(), []
    began = time.perf_counter()
    for number, ue in enumerate(ues):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))  # a begin is due at its own time
        tasks.append(asyncio.ensure_future(_one(ue, procedure, report)))
    await asyncio.gather(*tasks)
    report.seconds = time.perf_counter() - began
    return report


async def _one(ue: Ue, procedure: Procedure, report: Report) -> None:
    began = time.perf_counter()
    try:
        await procedure(ue)
    except NoService as failure:
        report.failed[failure.cause] += 1
    else:
        report.took.append(time.perf_counter() - began)
