"""A channel as a link: what is computed without samples is what built-in radios measure with them."""

from itertools import pairwise

import numpy as np
import pytest
from msgspec import UNSET

from sdr.broker.engine import Broker
from sdr.broker.scenario import Scenario
from sdr.meanwhile import meanwhile
from sdr.radio.carrier import Carrier
from sdr.radio.link import RanLink
from sdr.stand import Stand
from sdr.track import STEP, Follower, read_radio, table, track
from testbed.emulator.lower import topology_tracks
from testbed.errors import BadInput, ExitCode
from testbed.model.load import load_topology
from testbed.model.traces.files import read_csv
from tests.cli.commands import call

RATE = 3.84e6
RAN = RanLink(blocks=Carrier(round(RATE)).subcarriers // 12)


def scenario(folder, channels, cells=1, noise: str | None = "-60dB", **more):
    def radio(name, **further):
        return {"transmit": f"ipc://{folder}/{name}-tx", "receive": f"ipc://{folder}/{name}-rx", **further}

    return Scenario.model_validate(
        {
            "rate": RATE, "channels": channels, "cells": {f"gnb{n}": radio(f"gnb{n}") for n in range(1, cells + 1)},
            "ues": {"ue": radio("ue", receiver={"noise": {"level": noise} if noise else None})}, **more,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "cells"),
    [
        ({"gnb1": {"ue": {"gain": "-20dB"}}}, 1),
        ({"gnb1": {"ue": {"gain": "-33dB", "delay": "3.3us"}}}, 1),
        ({"gnb1": {"ue": {"gain": "-20dB", "profile": "EPA"}}}, 1),
        ({"gnb1": {"ue": {"gain": "-20dB"}}, "gnb2": {"ue": {"gain": "-32dB"}}}, 2),
    ],
)
def test_both_fidelities_have_the_same_sinr_and_the_same_quality(tmp_path, channels, cells):
    """Within 0.5 dB: the receiver estimates its channel, and pilots of another cell are not quite like noise."""
    air = scenario(tmp_path, channels, cells)
    with Broker(air) as broker, Stand(air) as stand, meanwhile(broker.run):
        stand.hear(20, 30)
        (heard,) = (one for one in stand.hear(40, 30) if one.radio == "ue")
    assert heard.source == "gnb1"
    found = Follower(air, RAN).sinr("gnb1", "ue", 0.0)
    mean = 10 * np.log10(found.mean())
    assert heard.snr == pytest.approx(mean, abs=0.5)
    assert abs(RAN.cqi(heard.snr) - RAN.cqi(mean)) <= 1


def test_what_fades_carries_less_than_its_mean_would(tmp_path):
    follower = Follower(scenario(tmp_path, {"gnb1": {"ue": {"gain": "-20dB", "profile": "ETU"}}}), RAN)
    (moment,) = follower.moments("gnb1", "ue", np.zeros(1))
    assert moment.sinr < 10 * np.log10(follower.sinr("gnb1", "ue", 0.0).mean()) - 0.1


def test_a_way_to_a_cell_and_out_of_its_range(tmp_path):
    points = [{"at": f"{t}s", "position": [x, 0, 1.5]} for t, x in ((0, 50), (10, 1050))]
    air = scenario(tmp_path, {}, noise="-130dB", carrier="3.5GHz", model="UMi", shadowing=False, other={"sight": False})
    air = Scenario.model_validate(
        air.model_dump(exclude_unset=True)
        | {
            "cells": {"gnb1": {**air.cells["gnb1"].model_dump(exclude_unset=True), "position": (0, 0, 10)}},
            "ues": {"ue": {**air.ues["ue"].model_dump(exclude_unset=True), "waypoints": points}},
        }
    )
    moments = Follower(air, RAN).moments("gnb1", "ue", np.arange(0, 10.1, 1.0))
    assert all(one.sinr > other.sinr for one, other in pairwise(moments))
    assert moments[0].cqi == 15
    assert (moments[-1].cqi, moments[-1].mcs, moments[-1].loss) == (0, None, 1.0)
    assert moments[0].rate > 1e6 > moments[-1].rate
    (tmp_path / "trace.csv").write_text(table(moments))
    again, straight = read_csv(tmp_path / "trace.csv"), track(moments)
    assert again.times == straight.times
    for one, other in zip(again.settings, straight.settings, strict=True):
        assert one == pytest.approx(other, rel=1e-6)


def test_the_command_tells_and_writes_and_refuses(tmp_path):
    air = scenario(tmp_path, {"gnb1": {"ue": {"gain": "-20dB"}}})
    file = tmp_path / "s.yaml"
    file.write_text(
        f"rate: 3.84MHz\ncells: {{gnb1: {{transmit: {air.cells['gnb1'].transmit[0]}, receive: ipc:///tmp/x}}}}\n"
        "ues: {ue: {transmit: ipc:///tmp/y, receive: ipc:///tmp/z, receiver: {noise: {level: -60dB}}}}\n"
    )
    done = call("radio", "link", file, "gnb1", "ue", "--seconds", "1", "--csv", tmp_path / "t.csv")
    assert done.returncode == ExitCode.DONE, done.stderr
    assert len(done.stdout.splitlines()) == 12
    assert read_csv(tmp_path / "t.csv").settings[0].get("loss", 1.0) < 0.1
    for words, said in (
        (("gnb1", "eu"), "expected one of ue"), (("gnb9", "ue"), "did you mean 'gnb1'"),
            (("ue", "ue"), "expected one of gnb1"),
        (("gnb1", "ue", "--blocks", "52"), "expected fewer blocks"), (("gnb1", "ue", "--table", "1qam"), "256qam"),
    ):  # fmt: skip
        refused = call("radio", "link", file, *words)
        assert refused.returncode == ExitCode.BAD_INPUT
        assert said in refused.stderr
    with pytest.raises(BadInput):
        Follower(air, RanLink(blocks=275))


DRIVE = """
rate: 3.84MHz
carrier: 3.5GHz
cells: {gnb: {transmit: ipc:///tmp/a, receive: ipc:///tmp/b, position: [0, 0, 10], power: 20dBm}}
ues:
  ue:
    transmit: ipc:///tmp/c
    receive: ipc:///tmp/d
    receiver: {noise: {level: -90dB}}
    waypoints: [{at: 0s, position: [50, 0, 1.5]}, {at: 2s, position: [500, 0, 1.5]}]
"""
NODES = "name: t\nnodes: {gnb: {kind: host}, ue: {kind: host}}\nlinks:\n  air:\n    endpoints: [gnb:air, ue:air]\n"


@pytest.fixture
def drive(tmp_path):
    """The folder of a topology, and of the scenario of its radios."""
    (tmp_path / "drive.yaml").write_text(DRIVE)
    return tmp_path


def on_link(folder, trace):
    (folder / "t.yaml").write_text(f"{NODES}    trace: {trace}\n")
    return load_topology(folder / "t.yaml")


def test_nodes_that_are_radios_have_the_scenarios_channel_between_them(drive):
    topology = on_link(drive, "radio:drive.yaml")
    down, up = topology_tracks(topology)
    assert (down.source, up.source) == (f"radio:{drive}/drive.yaml:gnb:ue", f"radio:{drive}/drive.yaml:ue:gnb")
    assert (down.times[0], down.times[-1] > 1.5, down.lap) == (0.0, True, None)
    settings = read_radio(drive / "drive.yaml", "gnb", "ue").settings
    assert [patch.rate for patch in down.patches] == [setting.get("rate", UNSET) for setting in settings]
    rates = [setting["rate"] for setting in settings if "rate" in setting]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 2 * rates[-1]
    assert len({patch.rate for patch in up.patches}) == 1, "the cell has no noise"
    (again,) = topology_tracks(on_link(drive, "{backward: 'radio:drive.yaml', repeat: true}"))
    assert (again.end, again.lap, again.patches) == (1, 2.0 + STEP, up.patches)


def test_what_changes_in_the_scenario_is_read_anew_and_what_stands_still_is_one_setting(drive):
    before = read_radio(drive / "drive.yaml", "gnb", "ue")
    text = DRIVE.replace("waypoints: [{at: 0s, position: [50, 0, 1.5]}, {at: 2s,", "waypoints: [{at: 3s,")
    (drive / "drive.yaml").write_text(text.replace("at: 3s, ", "at: 0s, "))
    still = read_radio(drive / "drive.yaml", "gnb", "ue", repeat=True)
    assert (len(still.times), still.lap) == (1, None)
    assert still.settings[0].get("rate") == before.settings[-1].get("rate")


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("radio:no.yaml", r"t.yaml:6:12: links.air.trace: .*no.yaml: No such file .*; expected a radio scenario"),
        ("radio:drive.yaml:gnb", "expected radio:FILE:SOURCE:SINK"),
        ("radio:drive.yaml:gnb:eu", "gnb is not heard by 'eu'"),
        ("radio:bad.yaml", "bad.yaml:2:7: rate: .*expected"),
    ],
)
def test_a_trace_that_no_scenario_gives_is_refused_with_both_places(drive, trace, expected):
    (drive / "bad.yaml").write_text(DRIVE.replace("3.84MHz", "fast"))
    with pytest.raises(BadInput, match=expected):
        on_link(drive, trace)
