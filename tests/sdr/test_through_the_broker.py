"""The built-in radios measure, over real sockets, what the broker's channels do between them."""

import threading

import pytest
import zmq

from sdr.broker.engine import Broker
from sdr.broker.scenario import Scenario
from sdr.channel.base import LATENCY
from sdr.radio.measurement import Measurement, bler
from sdr.radio.peer import ReceivePort, TransmitPort
from sdr.radio.receiver import Receiver
from sdr.radio.transmitter import Transmitter
from tests.sdr.plain import WAIT
from tests.sdr.radio.air import NARROW

DOWN, UP = -12.0, -30.0  # dB


@pytest.fixture
def scenario(tmp_path):
    radios = {
        name: {side: f"ipc://{tmp_path}/{name}-{side}" for side in ("transmit", "receive")} for name in ("gnb", "ue")
    }
    return Scenario.model_validate(
        {
            "rate": NARROW.rate,
            "cells": {"gnb": radios["gnb"]},
            "ues": {"ue": radios["ue"]},
            "channels": {"gnb": {"ue": {"gain": DOWN}}, "ue": {"gnb": {"gain": UP}}},
        }
    )


def test_both_directions_have_their_gain_and_the_constant_delay(scenario):
    stop = threading.Event()
    with zmq.Context() as context, Broker(scenario) as broker:
        running = threading.Thread(target=broker.run, args=(stop,))
        radios = scenario.radios
        with (
            TransmitPort(context, radios["gnb"].transmit[0], Transmitter(NARROW, 7)),
            TransmitPort(context, radios["ue"].transmit[0], Transmitter(NARROW, 8)),
            ReceivePort(context, radios["gnb"].receive[0], Receiver(NARROW)) as gnb,
            ReceivePort(context, radios["ue"].receive[0], Receiver(NARROW)) as ue,
        ):
            running.start()
            heard: dict[ReceivePort, list[Measurement]] = {gnb: [], ue: []}
            while min(map(len, heard.values())) < 20:
                for port in heard:
                    heard[port] += port.take(WAIT)
            stop.set()
            running.join(WAIT)
    sent = Receiver(NARROW).feed(Transmitter(NARROW, 7).read(4 * NARROW.frame))[-1].rsrp
    for port, cell, gain in ((ue, 7, DOWN), (gnb, 8, UP)):
        seen = heard[port][10:]
        assert {each.cell for each in seen} == {cell}
        assert bler(seen) == 0
        assert [each.rsrp - sent for each in seen] == pytest.approx([gain] * len(seen), abs=0.02)
        assert [each.delay for each in seen] == pytest.approx([LATENCY / NARROW.rate] * len(seen), abs=1e-9)
