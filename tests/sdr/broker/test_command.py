"""`testbed radio up`: what it says, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import zmq

from sdr.broker.air import Air
from sdr.broker.front import FrontEnd
from sdr.broker.pair import Pair
from sdr.broker.scenario import Radio, Scenario
from sdr.channel.base import LATENCY
from testbed.errors import ExitCode
from testbed.model.explain import keys_of
from testbed.model.load import loads
from tests.cli.commands import call
from tests.model.test_docs import DOCS, blocks
from tests.sdr.plain import WAIT, free_address, plain

TEXT = """\
rate: 1MHz
gather: 30s
cells: {{gnb: {{transmit: {0}, receive: {1}}}}}
ues: {{ue1: {{transmit: {2}, receive: {3}}}}}
other: {{gain: -6dB}}
"""


@pytest.fixture
def addresses():
    return [free_address() for _ in range(4)]


@pytest.fixture
def file(tmp_path, addresses):
    path = tmp_path / "scenario.yaml"
    path.write_text(TEXT.format(*addresses))
    return path


def test_a_dry_run_says_who_hears_whom_and_listens_nowhere(file, addresses, context):
    with plain(context, zmq.REP, addresses[1]):
        said = call("radio", "up", file, "--dry-run")
    assert said.returncode == ExitCode.DONE
    assert all(address in said.stdout for address in addresses)
    assert "-6dB" in said.stdout
    assert json.loads(call("radio", "up", file, "--dry-run", "--json").stdout)["rate"] == 1e6


def test_a_store_that_cannot_be_kept_is_told_before_anything_listens(file, addresses, context):
    with plain(context, zmq.REP, addresses[1]):
        said = call("radio", "up", file, "--store", "/nonexistent/store.sqlite")
    assert (said.returncode, said.stdout) == (ExitCode.UNABLE, "")
    assert "/nonexistent/store.sqlite: cannot keep samples there: unable to open database file" in said.stderr


def test_bad_input_and_taken_addresses_have_their_codes(file, addresses, context):
    taken = plain(context, zmq.REP, addresses[3])
    refused = call("radio", "up", file)
    taken.close(0)
    assert (refused.returncode, refused.stdout) == (ExitCode.UNABLE, "")
    assert f"ue1: cannot listen on {addresses[3]}" in refused.stderr
    file.write_text(file.read_text().replace("rate", "raet"))
    wrong = call("radio", "up", file)
    assert wrong.returncode == ExitCode.BAD_INPUT
    assert f"{file}:1:1: raet: unknown key 'raet'" in wrong.stderr


def test_it_passes_samples_until_it_is_interrupted_and_tells_what_went_through(file, addresses, context):
    argv = [sys.executable, "-m", "testbed", "radio", "up", str(file), "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as broker:
        guard = threading.Timer(3 * WAIT, broker.kill)
        guard.start()
        gnb, ue = plain(context, zmq.REP, addresses[0]), plain(context, zmq.REQ, addresses[3])
        ue.rcvtimeo = gnb.rcvtimeo = int(3 * WAIT * 1000)
        ue.send(b"\xff")
        gnb.recv()
        gnb.send(np.ones(100, np.complex64).tobytes())
        heard = np.frombuffer(ue.recv(), np.complex64)
        broker.send_signal(signal.SIGINT)
        said, complained = broker.communicate()
        guard.cancel()
        gnb.close(0)
        ue.close(0)
    assert np.allclose(heard[LATENCY:], 10**-0.3)
    assert (broker.returncode, complained) == (ExitCode.DONE, b"")
    *events, counts = map(json.loads, said.splitlines())
    assert {(one["radio"], one["what"]) for one in events} == {("gnb", "joined"), ("ue1", "joined")}
    assert {one["port"]: one["count"] for one in counts["ports"]} == {
        "gnb tx0": 100, "gnb rx0": 0, "ue1 tx0": 0, "ue1 rx0": 100,
    }  # fmt: skip


def test_the_page_is_right():
    plain, full = (loads(text, Scenario) for text in blocks("radio.md"))
    assert len(list(plain.directions())) == 4
    assert len(Air(full).channels) == 2
    page = (DOCS / "radio.md").read_text()
    assert not [key for model in (Scenario, Radio, Pair, FrontEnd) for key in keys_of(model) if f"`{key}`" not in page]
