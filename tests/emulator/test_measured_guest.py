"""A distribution measured elsewhere, from a user's own profile into a kernel's netem and back out as delays."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from testbed.emulator.messages import LinkChange, Stamp
from testbed.emulator.settings import read_directions
from testbed.model.profile import user_folder
from testbed.validate.statistics import arrived

from .scenes import pair

PROFILE = """about: Our uplink, as it was on a busy Monday.
source: 2000 echoes of a Monday, halved.
forward: {distribution: {csv: monday.csv, column: one_way_ms, unit: ms}}
backward: {delay: 1ms}
"""
COUNT, TRIES = 400, 3


def monday() -> np.ndarray:
    """Two ways through the network and a tail: nothing like what netem has by itself."""
    random = np.random.default_rng(11)
    quick, slow = random.normal(8, 0.5, 1300), 20 + random.exponential(3, 700)
    return np.clip(np.concatenate([quick, slow]), 5, 40)


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    user_folder().mkdir(parents=True)
    (user_folder() / "monday.yaml").write_text(PROFILE)
    values = monday()
    (user_folder() / "monday.csv").write_text("one_way_ms\n" + "".join(f"{value:.4f}\n" for value in values))
    return np.sort(values) / 1e3


def apart(delays, profile) -> float:
    """Return by how much delays differ from a profile's at the same share, at the median of all shares, in seconds."""
    shares = (np.arange(len(delays)) + 0.5) / len(delays)
    return float(np.median(np.abs(np.sort(delays) - np.quantile(profile, shares))))


@pytest.mark.guest
def test_packets_are_delayed_as_they_were_measured(profile, guest_client):
    """A busy machine delays packets further: the best of some tries counts, and a wrong shape has no good one."""
    guest_client.call(pair())
    forward, backward = read_directions(["profile=monday"])
    changes = [LinkChange(link="wire", end=0, patch=forward), LinkChange(link="wire", end=1, patch=backward)]
    guest_client.set_links(changes)
    request = Stamp(source="left", destination="10.0.0.2", reflector="right", count=COUNT, interval=0.005)
    results = [guest_client.call(request) for _ in range(TRIES)]
    assert [result.received for result in results] == [COUNT] * TRIES
    normal = NormalDist(profile.mean(), profile.std()).samples(COUNT, seed=1)
    assert apart(normal, profile) > 2e-3  # the nearest that netem has by itself
    assert min(apart(arrived(result.forward), profile) for result in results) < 7e-4
    assert min(min(arrived(result.backward)) for result in results) == pytest.approx(1e-3, abs=5e-4)
