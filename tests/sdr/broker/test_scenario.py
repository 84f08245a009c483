"""Scenarios that cannot run are refused with file, line and column."""

import pytest

from sdr.broker.air import Air
from sdr.broker.scenario import Scenario
from testbed.errors import BadInput
from testbed.model.load import loads

GOOD = """\
rate: 11.52MHz
cells:
  gnb: {transmit: ["tcp://127.0.0.1:2000"], receive: ["tcp://127.0.0.1:2001"]}
ues:
  ue1: {transmit: tcp://127.0.0.1:2101, receive: tcp://127.0.0.1:2100}
  ue2: {transmit: ["ipc:///tmp/ue2-tx"], receive: ["ipc:///tmp/ue2-rx"], rate: 11520kHz}
channels:
  gnb: {ue1: {gain: -20dB}, ue2: {gain: -30dB}}
  ue2: {gnb: {gain: -35dB}}
"""


def test_a_pair_written_one_way_is_the_same_the_other():
    gains = {(one.source, one.sink): one.pair.gain for one in loads(GOOD, Scenario).directions()}
    assert gains == {("gnb", "ue1"): -20, ("ue1", "gnb"): -20, ("gnb", "ue2"): -30, ("ue2", "gnb"): -35}


def test_antennas_are_heard_by_those_of_the_same_number_and_where_fewer_are_count_round_again():
    antennas = GOOD.replace('["tcp://127.0.0.1:2000"]', '["tcp://127.0.0.1:2000", "tcp://127.0.0.1:2002"]')
    antennas = antennas.replace('["tcp://127.0.0.1:2001"]', '["tcp://127.0.0.1:2001", "tcp://127.0.0.1:2003"]')
    channels = Air(loads(antennas, Scenario)).channels
    assert {pair for pair in channels if "ue1" in pair[0] + pair[1]} == {
        ("gnb tx0", "ue1 rx0"), ("gnb tx1", "ue1 rx0"), ("ue1 tx0", "gnb rx0"), ("ue1 tx0", "gnb rx1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (', receive: ["tcp://127.0.0.1:2001"]', "", "s.yaml:3:3: cells.gnb.receive: missing key 'receive'"),
        ("rate: 11520kHz", "rate: 23.04MHz", "s.yaml:6:80: ues.ue2.rate: value '23.04MHz': "
            "ue2 has 23.04 MHz: expected 11.52 MHz"),
        ("127.0.0.1:2100", "*:2001", "s.yaml:5:50: ues.ue1.receive: value 'tcp://*:2001': "
            "expected another address: gnb's receive"),
        ("127.0.0.1:2100", "localhost:2101", "expected another address: ue1's transmit has tcp://127.0.0.1:2101"),
        ("tcp://127.0.0.1:2000", "udp://127.0.0.1:2000", "expected tcp://HOST:PORT or ipc://PATH"),
        ("tcp://127.0.0.1:2000", "tcp://127.0.0.1:70000", "expected tcp://HOST:PORT or ipc://PATH"),
        ('["tcp://127.0.0.1:2000"]', "[]", "s.yaml:3:19: cells.gnb.transmit: expected"),
        ('["tcp://127.0.0.1:2000"]', "tcp:2000", "cells.gnb.transmit: value 'tcp:2000': expected tcp://HOST:PORT"),
        ('"tcp://127.0.0.1:2000"', "5", "cells.gnb.transmit[0]: value '5': expected"),
        ('["tcp://127.0.0.1:2000"]', '["tcp://127.0.0.1:2000", "tcp://127.0.0.1:2002"]', "as many as transmit has, 2"),
        ("ue2: {gain: -30dB}", "ue3: {gain: -30dB}", "s.yaml:8:"),
        ("ue2: {gain: -30dB}", "gnb: {gain: -30dB}", "expected a UE of this scenario"),
        ("  ue2: {gnb:", "  eu2: {gnb:", "did you mean 'ue2'"),
        ("gain: -30dB", "gain: .nan", "gain"),
        ("gain: -30dB", "gain: -30", "expected a number with a unit (dB)"),
        ("gain: -30dB", "gian: -30dB", "did you mean 'gain'"),
        ("rate: 11.52MHz\n", "rate: 11.52mhz\n", "did you mean '11.52MHz'"),
        ("rate: 11.52MHz\n", "rate: 11.52MHz\npatience: 0s\n", "expected a time above zero"),
        ("rate: 11.52MHz\n", "rate: 11.52MHz\nahead: 1ns\n", "the time of one sample at least"),
        ("  ue1: {", "  gnb: {", "a cell is called gnb already"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused(old, new, said):
    assert old in GOOD
    with pytest.raises(BadInput) as refused:
        loads(GOOD.replace(old, new, 1), Scenario, "s.yaml")
    assert said in str(refused.value)
