"""`testbed radio record` and `play`: between files and sockets, and through a broker."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import zmq

from sdr.broker.engine import Broker
from sdr.broker.scenario import Radio, Scenario
from sdr.channel.base import LATENCY
from sdr.recording import Recorder, open_recording
from sdr.recording.wire import Copier, drained
from sdr.wire import Inlet, Outlet
from testbed.errors import ExitCode
from tests.cli.commands import call
from tests.sdr.plain import WAIT, free_address, plain


def some(n):
    return np.random.default_rng(n).standard_normal(2 * n, dtype=np.float32).view(np.complex64)


def started(*words):
    argv = [sys.executable, "-m", "testbed", "radio", *map(str, words)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True)


@pytest.fixture
def recorded(tmp_path):
    meta = tmp_path / "it.sigmf-meta"
    with Recorder(meta, 1e6) as recorder:
        recorder.take(some(25_000), 0)
    return meta


def test_what_is_played_is_recorded_sample_for_sample(recorded, tmp_path):
    address, copy = free_address(), tmp_path / "copy.sigmf-meta"
    with started("play", recorded, "--at", address, "--json") as player:
        made = call("radio", "record", address, "--rate", "1MHz", "--samples", 25_000, "--out", copy, "--json")
        said, _ = player.communicate(timeout=3 * WAIT)
    assert (made.returncode, player.returncode) == (ExitCode.DONE, ExitCode.DONE)
    assert (json.loads(made.stdout)["ended"], json.loads(said)["samples"]) == ("complete", 25_000)
    assert copy.with_suffix(".sigmf-data").read_bytes() == recorded.with_suffix(".sigmf-data").read_bytes()


def test_ctrl_c_finishes_a_recording_with_what_is_there(context, tmp_path):
    address, meta = free_address(), tmp_path / "it.sigmf-meta"
    with started("record", address, "--rate", "1MHz", "--samples", 10**9, "--out", meta, "--json") as recorder:
        radio = plain(context, zmq.REP, address)
        radio.rcvtimeo = int(3 * WAIT * 1000)
        for _ in range(3):
            radio.recv()
            radio.send(some(100).tobytes())
        radio.recv()  # asked for a fourth: the third is taken
        recorder.send_signal(signal.SIGINT)
        said, _ = recorder.communicate(timeout=3 * WAIT)
        radio.close(0)
    found = json.loads(said)
    assert (recorder.returncode, found["samples"], found["ended"]) == (ExitCode.NO, 300, "stopped")
    assert open_recording(meta).samples == 300


def test_a_transmitter_that_ends_ends_the_recording_and_one_that_never_comes_leaves_none(context, tmp_path):
    address, meta = free_address(), tmp_path / "it.sigmf-meta"
    with started("record", address, "--rate", "1MHz", "--out", meta) as recorder:
        radio = plain(context, zmq.REP, address)
        radio.rcvtimeo = int(3 * WAIT * 1000)
        radio.recv()
        radio.send(some(100).tobytes())
        radio.recv()
        radio.close(0)
        said, _ = recorder.communicate(timeout=3 * WAIT)
    assert (recorder.returncode, said) == (ExitCode.DONE, f"{meta}: 100 samples, 0.0001 s (the transmitter ended)\n")
    late = tmp_path / "late.sigmf-meta"
    none = call("radio", "record", address, "--rate", "1MHz", "--out", late, "--patience", "100ms")
    assert (none.returncode, none.stdout) == (ExitCode.NO, "")
    assert f"no samples came from {address} within 0.1 s" in none.stderr
    assert not list(tmp_path.glob("late*"))


def test_bad_words_are_refused_before_anything_is_done(recorded, tmp_path):
    out = tmp_path / "new.sigmf-meta"
    for words in (
        ("record", "tcp://127.0.0.1:1", "--rate", "1", "--out", out),
        ("record", "tcp://127.0.0.1:1", "--rate", "1MHz", "--out", out, "--format", "fc16"),
        ("record", "tcp://127.0.0.1:1", "--rate", "1MHz", "--out", tmp_path / "new.wav"),
        ("play", tmp_path / "none.sigmf-meta", "--at", "tcp://127.0.0.1:1"),
        ("play", recorded.with_suffix(".sigmf-data"), "--at", "tcp://127.0.0.1:1"),
    ):
        said = call("radio", *words)
        assert (said.returncode, said.stdout) == (ExitCode.BAD_INPUT, ""), said.stderr
    assert not list(tmp_path.glob("new*"))


def test_a_recording_plays_in_a_scenario_as_a_ue_that_hears_nothing(recorded, tmp_path, context, keep):
    cell, ue = ((free_address(), free_address()) for _ in range(2))
    scenario = Scenario(
        rate=1e6,
        gather=30.0,
        cells={"gnb": Radio(transmit=cell[:1], receive=cell[1:])},
        ues={"ue": Radio(transmit=ue[:1], receive=ue[1:])},
    )
    stop, heard = threading.Event(), tmp_path / "heard.sigmf-meta"
    played = open_recording(recorded)
    with Broker(scenario) as broker, Recorder(heard, 1e6) as recorder:
        running = threading.Thread(target=broker.run, args=[stop])
        running.start()
        outlets = [keep(Outlet(context, address)) for address in (ue[0], cell[0])]
        hearer, listener = (keep(Inlet(context, address)) for address in (ue[1], cell[1]))
        player = threading.Thread(target=Copier().play, args=[played, outlets[0], 1000, False, stop])
        silent = threading.Thread(target=Copier().play, args=[played, outlets[1], 1000, False, stop])
        with drained(hearer):
            for thread in (player, silent):
                thread.start()
            ended = Copier().record(listener, recorder, played.samples, 3 * WAIT, stop)
        stop.set()
        for thread in (player, silent, running):
            thread.join()
    assert ended == "complete"
    found = np.concatenate(list(open_recording(heard).blocks(30_000)))
    assert np.array_equal(found[LATENCY:], some(25_000)[:-LATENCY])
