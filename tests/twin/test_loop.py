"""The loop with a rack and a twin made of facts: what goes out when what comes in, and what is said of it."""

import threading
import time
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from adapters.base import PingResult
from testbed.emulator.messages import (
    GetLinks,
    LinkPatch,
    LinkState,
    LinkStates,
    ListNodes,
    Nodes,
    NodeState,
    Ok,
    Reach,
    Reached,
    SetLoad,
    Vty,
    VtyOutput,
)
from testbed.errors import AgentError, DeviceError, GuestFailed
from testbed.telemetry.sinks import Ring
from testbed.telemetry.store import Store
from testbed.twin.discover import infer
from testbed.twin.echo import Batch
from testbed.twin.loop import Loop, Management, Outlets
from testbed.twin.measure import plan_echoes
from testbed.twin.picture import Picture
from tests.twin.metro import DEVICES, change, counters, inventory, metro

PERIOD = 0.25
MANAGEMENT = Management({name: ["mgmt"] for name in DEVICES}, ["10.0.2.0/24"])


class Rack:
    """Five devices; `facts` is what they say now, `rtt` what their pings give, `lost` which do not answer."""

    def __init__(self):
        self.facts, self.rtt, self.lost = metro(), 4e-3, set()

    def adapter(self, name) -> Any:
        rack = self

        class Session:
            def _check(self):
                if name in rack.lost:
                    raise DeviceError(f"{name}: no answer in time")

            def counters(self):
                self._check()
                return counters(rack.facts[name], time.time())

            def collect(self):
                self._check()
                return rack.facts[name]

            def ping(self, destination, source=None, count=20, interval=0.02, dscp=0):
                return PingResult(count, count, (rack.rtt,) * count)

        return Session()

    def echo(self) -> Any:
        rack = self

        class Pinging:
            def filenos(self):
                return ()

            def hear(self):
                return False

            def take(self, now, offset):
                return Batch((rack.rtt,) * 5, 0, now)

            def close(self):
                pass

        return Pinging()


class Twin:
    """The agent's answers; `set` is what it was sent, `broken` what it raises."""

    def __init__(self, links):
        self.up = dict.fromkeys(links, True)
        self.patch: dict[str, Any] = {name: LinkPatch(delay=0.0, loss=0.0) for name in links}
        self.batches: list[Any] = []
        self.broken: Exception | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def set_links(self, changes):
        if self.broken:
            raise self.broken
        self.batches.append(changes)
        for each in changes:
            if each.up is not None:
                self.up[each.link] = each.up
            if each.patch is not None:
                self.patch[each.link] = each.patch

    def call(self, request, on_event=None, timeout=None):
        match request:
            case GetLinks():
                both = {n: {"forward": p, "backward": p} for n, p in self.patch.items()}
                return LinkStates(links=tuple(LinkState(name=n, up=u, **both[n]) for n, u in self.up.items()))
            case Reach():
                return Reached(sent=1, received=1, rtt=(4.5e-3,))
            case ListNodes():
                return Nodes(nodes=tuple(NodeState(name=n, kind="router", daemons={}) for n in DEVICES))
            case Vty():
                return VtyOutput(outputs=("{}",), codes=(0,))
            case SetLoad():
                return Ok()
        raise AssertionError(request)


def made(twin: Any) -> Any:
    return lambda: twin


@contextmanager
def mirroring(rack, twin=None):
    topology = infer(metro(), inventory()).topology
    twin = twin or Twin(topology.links)
    echoes = {d: {p.link: rack.echo() for p in plans} for d, plans in plan_echoes(topology).items()}
    published, saved, ring = [], [], Ring(10000)
    loop = Loop(
        Picture(topology), {n: rack.adapter(n) for n in DEVICES}, echoes, made(twin),
        Outlets(Store([ring]), published.append, saved.append), name="t", rack="metro", period=PERIOD,
        management=MANAGEMENT,
    )  # fmt: skip
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield twin, published, saved, ring
    finally:
        loop.stopped.set()
        thread.join(10)
        assert not thread.is_alive()


def until(condition, seconds=5.0):
    """Wait for something to become true; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not become true in time"
        time.sleep(0.005)
    return time.monotonic() - started


def test_links_are_set_from_what_was_measured_and_status_and_state_say_so():
    with mirroring(Rack()) as (twin, published, saved, ring):
        until(lambda: all(patch.delay > 0 for patch in twin.patch.values()))
        assert twin.patch["agg1-cell1"].delay == pytest.approx(2e-3, abs=0.5e-3)
        until(lambda: published and published[-1].aoi is not None and published[-1].rtt_error_ms is not None)
        until(lambda: published[-1].alignment > 0)
        assert {s.metric for s in ring} >= {"delay", "loss", "carrier", "cost"}
    last = published[-1]
    assert last.phase == "stopped"
    assert last.links["agg1-cell1"].rtt == pytest.approx(4e-3)
    assert all(device.reachable for device in last.devices.values())
    assert 0 < last.alignment <= 1
    assert 0 < last.aoi.p50 <= last.aoi.p95 <= last.aoi.p99 < 10
    assert msgspec.json.decode(msgspec.json.encode(last), type=type(last)) == last
    assert saved[-1].running_configs["cell1"].startswith("hostname cell1")
    assert "mgmt" not in saved[-1].running_configs["cell1"]
    assert saved[-1].topology.links["agg1-cell1"].forward.delay > 0


def test_a_cut_and_a_step_on_the_rack_are_in_the_twin_within_two_periods():
    rack = Rack()
    with mirroring(rack) as (twin, *_):
        until(lambda: all(patch.delay > 0 for patch in twin.patch.values()))
        rack.facts = change(rack.facts, "cell1", "eth1", carrier=False)
        assert until(lambda: not twin.up["agg1-cell1"]) < 2 * PERIOD
        rack.rtt = 40e-3
        assert until(lambda: twin.patch["core1-core2"].delay > 15e-3) < 2 * PERIOD


def test_losing_a_device_ages_its_fields_only_and_it_comes_back():
    rack = Rack()
    with mirroring(rack) as (twin, published, saved, _):
        until(lambda: published and any("cell1:eth1" in field.entity for field in published[-1].fields))
        rack.lost = {"cell1"}
        until(lambda: "cell1" in saved[-1].stale)
        until(lambda: any(field.stale and "cell1" in field.entity for field in published[-1].fields))
        stale = {field.entity for field in published[-1].fields if field.stale}
        assert not any(entity.startswith("interface:core1") for entity in stale)
        assert published[-1].devices["cell1"].error == "cell1: no answer in time"
        before = len(twin.batches)
        rack.rtt = 60e-3
        until(lambda: twin.patch["core1-core2"].delay > 25e-3)
        assert len(twin.batches) > before
        rack.lost = set()
        until(lambda: published[-1].devices["cell1"].reachable and "cell1" not in saved[-1].stale)
        assert any("cell1 answers again" in text for _, text in published[-1].events)


def test_a_batch_that_the_twin_refuses_is_told_and_offered_again():
    twin = Twin(infer(metro(), inventory()).topology.links)
    twin.broken = AgentError("link core1-core2: no")
    with mirroring(Rack(), twin) as (_, published, *_rest):
        until(lambda: published and any("refused a batch" in text for _, text in published[-1].events))
        assert not any(field.metric == "delay" for field in published[-1].fields)
        twin.broken = None
        until(lambda: all(patch.delay > 0 for patch in twin.patch.values()))


def test_a_dead_twin_ends_the_mirror_and_the_status_says_why():
    twin = Twin(infer(metro(), inventory()).topology.links)
    twin.broken = GuestFailed("the lab died: killed")
    topology = infer(metro(), inventory()).topology
    rack, published = Rack(), []
    echoes = {d: {p.link: rack.echo() for p in plans} for d, plans in plan_echoes(topology).items()}
    loop = Loop(
        Picture(topology), {n: rack.adapter(n) for n in DEVICES}, echoes, made(twin),
        Outlets(Store(), published.append, lambda _: None), name="t", rack="metro", period=PERIOD,
        management=MANAGEMENT,
    )  # fmt: skip
    with pytest.raises(GuestFailed, match="killed"):
        loop.run()
    assert (published[-1].phase, published[-1].error) == ("failed", "the lab died: killed")


def test_a_twin_that_was_taken_down_ends_the_mirror_and_is_not_made_anew(tmp_path):
    from testbed.twin.process import _Publisher
    from testbed.twin.status import MirrorStatus, read

    folder = tmp_path / "twin"
    folder.mkdir()
    publish = _Publisher(folder, None)
    publish(MirrorStatus(name="t", rack="metro", phase="running"))
    found = read(folder)
    assert found is not None
    assert found.process is not None
    (folder / "mirror-status.json").unlink()
    folder.rmdir()
    with pytest.raises(GuestFailed, match="taken down"):
        publish(MirrorStatus(name="t", rack="metro", phase="running"))
    assert not folder.exists()
