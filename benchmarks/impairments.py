"""Impairment changes per second through the Python API, in a guest, beside one `tc` process each and raw netlink."""

from __future__ import annotations

import sys
import time
from itertools import count, islice
from pathlib import Path
from statistics import median

from benchmarks.bring_up import ring
from benchmarks.claims import Claim
from testbed.emulator.client import Client
from testbed.emulator.messages import LinkChange, LinkPatch
from testbed.lab import Lab

PEERS = Path(__file__).parent / "peers"
LINKS, SECONDS, RUNS = 100, 1.5, 5
BATCHES = (1, 10, 100)
TARGETS = {100: 20_000.0}


def rate(agent: Client, batch: int) -> float:
    """Return changes per second in batches of `batch`, each of another link and another value."""
    done, start = 0, time.monotonic()
    while (spent := time.monotonic() - start) < SECONDS:
        numbers = islice(count(done), batch)
        changes = [
            LinkChange(link=f"l{n % LINKS}", end=n // LINKS % 2, patch=LinkPatch(delay=0.001 + n % 50 / 1e3))  # type: ignore[arg-type]
            for n in numbers
        ]
        agent.set_links(changes)
        done += batch
    return done / spent


def measure() -> list[Claim]:
    """Run it all; about half a minute."""
    with Lab.up(ring(LINKS, 0.005), substrate="uml", name="bench") as lab, lab.agent() as agent:
        rates = {batch: median(rate(agent, batch) for _ in range(RUNS)) for batch in BATCHES}
        forked = _peer(agent, "forked_tc.py", "eth0", "3")
        raw = _peer(agent, "raw_netlink.py", "2")
    claims = [
        Claim(
            f"impairment changes per second, batches of {batch}",
            rates[batch], "/s", RUNS, "forked tc", forked, TARGETS.get(batch), lower_is_better=False,
        )
        for batch in BATCHES
    ]  # fmt: skip
    limit = "the limit: raw netlink, 100 messages a send, encoded beforehand"
    return [*claims, Claim("raw netlink in the same guest", raw, "/s", 1, limit, lower_is_better=False)]


def _peer(agent: Client, script: str, *arguments: str) -> float:
    done = agent.run("h0", (sys.executable, str(PEERS / script), *arguments), timeout=60.0)
    if done.code:
        raise RuntimeError(f"{script} failed: {done}")
    text = done.stdout.decode()
    return float(text.strip().splitlines()[-1])
