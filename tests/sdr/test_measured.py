"""What was measured on the air is what the broker's radios measure."""

import time
from math import log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.broker.engine import Broker
from sdr.broker.patch import patched
from sdr.meanwhile import meanwhile
from sdr.measured import Found, Reader, patch
from sdr.radio.carrier import Carrier
from sdr.stand import Stand
from sdr.track import Follower
from testbed.errors import BadInput, ExitCode
from testbed.telemetry.sample import Sample
from testbed.telemetry.sinks import SqliteFile
from tests.cli.commands import call
from tests.sdr.test_track import RAN, RATE, scenario


@given(rsrp=st.floats(-120, -60), sinr=st.floats(-5, 30), other=st.floats(-20, -6))
@settings(max_examples=20, deadline=None)
def test_a_scenario_becomes_what_was_measured(tmp_path_factory, rsrp, sinr, other):
    air = scenario(
        tmp_path_factory.getbasetemp(), {"gnb1": {"ue": {"gain": "-20dB"}}, "gnb2": {"ue": {"gain": "-90dB"}}}, 2
    )
    found = [Found("gnb1", "ue", rsrp, sinr), Found("gnb2", "ue", rsrp - sinr + other)]
    became = patched(air, patch(air, found, RAN.blocks))
    gain = next(one.pair.gain for one in became.directions() if (one.source, one.sink) == ("gnb1", "ue"))
    assert gain - 12 == pytest.approx(rsrp + 10 * log10(RAN.blocks * 12), abs=0.01)
    (moment,) = Follower(became, RAN).moments("gnb1", "ue", np.zeros(1))
    assert moment.sinr == pytest.approx(sinr, abs=0.1)


def test_what_srsue_tells_is_of_its_only_cell(tmp_path):
    store, now = SqliteFile(tmp_path / "store.sqlite"), time.time()
    store.write([
        Sample("radio:ue", metric, value, unit, now, now, "ue/metrics.csv")
        for metric, value, unit in (("rsrp", -90.0, "dBm"), ("downlink_snr", 12.5, "dB"), ("uplink_mcs", 3.0, "1"))
    ])  # fmt: skip
    store.close()
    both = scenario(tmp_path, {}, 2)
    one = both.model_copy(update={"cells": {"gnb1": both.cells["gnb1"]}})
    reader = Reader(tmp_path / "store.sqlite")
    assert Reader(tmp_path / "store.sqlite").new(both) == []
    assert reader.new(one) == [Found("gnb1", "ue", -90.0, 12.5)]
    assert reader.new(one) == []


def test_the_command_takes_new_samples_to_a_running_broker(tmp_path):
    air, control = scenario(tmp_path, {"gnb1": {"ue": {"gain": "-20dB"}}}), f"ipc://{tmp_path}/control"
    store, now = SqliteFile(tmp_path / "store.sqlite"), time.time()
    store.write([
        Sample("radio:gnb1:ue", metric, value, unit, now - age, now, "drive test")
        for metric, unit, age, value in (("rsrp", "dBm", 9, -99.0), ("rsrp", "dBm", 1, -70.0), ("sinr", "dB", 1, 17.0))
    ])  # fmt: skip
    store.close()
    with Broker(air, control=control) as broker, Stand(air) as stand, meanwhile(broker.run):
        stand.hear(20, 30)
        done = call("radio", "follow", tmp_path / "s.yaml", tmp_path / "store.sqlite", "--once", "--control", control)
        later = max(port.count for port in broker.report())
        (heard,) = (one for one in stand.hear(40, 30, after=later) if one.radio == "ue")
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")
    assert "gnb1 to ue: RSRP -70.0dBm, SINR 17.0dB" in done.stdout
    assert heard.snr == pytest.approx(17, abs=0.5)
    assert heard.gain == pytest.approx(-70 + 10 * log10(Carrier(round(RATE)).subcarriers) + 12, abs=0.1)


def test_samples_of_others_and_old_ones_are_left_alone(tmp_path):
    air, store = scenario(tmp_path, {}), SqliteFile(tmp_path / "store.sqlite")
    store.write(
        [
            Sample("radio:gnb1:eu", "rsrp", -70.0, "dBm", 1.0, 1.0, "x"),
            Sample("radio:gnb1:ue", "rsrp", 3.0, "W", 1.0, 1.0, "x"),
        ]
    )
    reader = Reader(tmp_path / "store.sqlite")
    assert reader.new(air) == []
    store.write([Sample("radio:ue:gnb1", "sinr", 5.0, "dB", 2.0, 2.0, "x")])
    assert reader.new(air) == [Found("ue", "gnb1", None, 5.0)]
    assert reader.new(air) == []
    store.close()
    with pytest.raises(BadInput, match="no such store"):
        Reader(tmp_path / "nowhere.sqlite")
    (tmp_path / "text").write_text("rsrp")
    with pytest.raises(BadInput, match="expected a SQLite file of samples"):
        Reader(tmp_path / "text").new(air)


def test_noise_that_was_stated_otherwise_is_stated_as_a_level(tmp_path):
    air = scenario(tmp_path, {"gnb1": {"ue": {"gain": "-20dB"}}}, noise=None)
    receiver = {"receiver": {"noise": {"snr": "3dB", "signal": "-5dB"}}}
    stated = patched(air, {"ues": {"ue": receiver}})
    noise = patched(stated, patch(stated, [Found("gnb1", "ue", None, 10.0)], RAN.blocks)).ues["ue"].receiver.noise
    assert noise is not None
    assert (noise.snr, noise.level) == (None, pytest.approx(-42, abs=1))
