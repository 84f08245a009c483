"""What a benchmark returns, so that one table holds them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One measured number beside its peer.

    Attributes:
        what: is measured. ours, unit: median of `runs` runs. peer: the peer's median in the same run and kernel, None
            where there is none, which `peer_name` then says. target: the bound, None where there is none.
        lower_is_better: which way the target and the ratio read.
    """

    what: str
    ours: float
    unit: str
    runs: int
    peer_name: str
    peer: float | None = None
    target: float | None = None
    lower_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None where there is nothing to divide: no time at all, or too early."""
        if self.peer is None or self.ours <= 0 or self.peer <= 0:
            return None
        return self.peer / self.ours if self.lower_is_better else self.ours / self.peer

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.ours <= self.target if self.lower_is_better else self.ours >= self.target

    def row(self) -> list[str]:
        """Cells: what, ours, target, met, peer, ratio, runs."""
        sign = "≤" if self.lower_is_better else "≥"
        target = "" if self.target is None else f"{sign} {self.target:g}"
        peer = self.peer_name if self.peer is None else f"{self.peer:.4g} ({self.peer_name})"
        ratio = "" if self.ratio is None else f"{self.ratio:.1f}×"
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return [self.what, f"{self.ours:.4g} {self.unit}", target, met, peer, ratio, str(self.runs)]


COLUMNS = ["claim", "measured", "target", "met", "peer", "better", "runs"]
