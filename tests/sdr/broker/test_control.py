"""Changes while samples go, asked for over the control socket."""

import json

import numpy as np
import pytest
import zmq

from sdr.broker.control import ask
from sdr.broker.engine import Broker
from sdr.broker.patch import merged, patched, shown
from sdr.broker.scenario import Scenario
from sdr.channel.base import LATENCY
from sdr.meanwhile import meanwhile
from testbed.errors import BadInput, ExitCode, NotReady
from testbed.model.load import loads
from tests.cli.commands import call
from tests.sdr.plain import WAIT, free_address, plain
from tests.sdr.stacks import scenarios as stacks

TEXT = """\
rate: 1MHz
gather: 30s
patience: 100ms
cells: {{gnb: {{transmit: {0}, receive: {1}}}}}
ues: {{ue1: {{transmit: {2}, receive: {3}, receiver: {{clip: 4}}}}}}
channels: {{gnb: {{ue1: {{gain: -6dB, delay: 3us}}}}}}
"""


@pytest.fixture
def text():
    return TEXT.format(*(free_address() for _ in range(4)))


@pytest.fixture
def scenario(text):
    return loads(text, Scenario)


@pytest.fixture
def radios(context, keep, scenario):
    """The cell's transmit port and the UE's receive port: samples go one way only."""
    gnb = keep(plain(context, zmq.REP, scenario.cells["gnb"].transmit[0]))
    return gnb, keep(plain(context, zmq.REQ, scenario.ues["ue1"].receive[0]))


def pass_on(radios, count):
    """Send as many ones, and return what is heard."""
    gnb, ue = radios
    ue.send(b"\xff")
    gnb.recv()
    gnb.send(np.ones(count, np.complex64).tobytes())
    return np.frombuffer(ue.recv(), np.complex64)


@pytest.fixture
def at(scenario, tmp_path):
    """The control address of a broker that runs."""
    address = f"ipc://{tmp_path}/control"
    with Broker(scenario, control=address, every=0.0) as broker, meanwhile(broker.run):
        yield address


def change(at, patch, count=None):
    return ask(at, {"ask": "set", "patch": patch, "at": count}, WAIT)


def test_a_gain_changes_at_the_sample_that_was_named(at, radios):
    half = 10**-0.3
    assert np.allclose(pass_on(radios, 1000)[3 + LATENCY :], half)
    assert change(at, {"channels": {"gnb": {"ue1": {"gain": "-26dB"}}}}, 2500) == {"at": 2500}
    assert np.allclose(pass_on(radios, 1000), half)
    heard = pass_on(radios, 1000)
    assert np.allclose(heard[:501], half)
    assert np.allclose(heard[500:600], half * (1 - 0.9 * np.arange(100) / 100), rtol=1e-5)
    assert np.allclose(heard[600:], half / 10)


def test_what_is_changed_at_once_is_changed_in_what_comes_next(at, radios):
    pass_on(radios, 1000)
    assert change(at, {"ues": {"ue1": {"receiver": {"jammer": {"power": "0dB", "tone": "0Hz"}}}}}) == {"at": 1000}
    assert np.std(np.abs(pass_on(radios, 1000) - 10**-0.3)) < 1e-6
    with pytest.raises(BadInput, match="at is 1500; expected 2000 or more"):
        change(at, {"channels": {"gnb": {"ue1": {"gain": "-26dB"}}}}, 1500)


def test_what_cannot_be_is_refused_and_changes_nothing(at, radios):
    for patch, said in (
        ({"channels": {"gnb": {"ue1": {"gain": "loud"}}}}, "channels.gnb.ue1.gain: expected a number with a unit"),
        ({"channels": {"gnb": {"ue9": {"gain": "-3dB"}}}}, "expected a UE of this scenario; did you mean 'ue1'"),
        ({"channels": {"gnb": {"ue1": {"delay": "2ms"}}}}, "1000 at most, which the broker keeps"),
        ({"ues": {"ue1": {"position": [0, 0, 1]}}}, "ues.ue1.position: expected the scenario's carrier too"),
        ({"rate": "2MHz"}, "rate: cannot change while samples go"),
        ({"ues": {"ue1": None}}, "ues"),
        ({"ues": {"ue1": {"format": "sc16"}}}, "ues.ue1.format: cannot change while samples go"),
    ):
        with pytest.raises(BadInput) as refused:
            change(at, patch)
        assert said in str(refused.value)
    assert np.allclose(pass_on(radios, 1000)[3 + LATENCY :], 10**-0.3)


def test_a_scenario_with_programs_may_change_and_never_shows_their_keys():
    scenario = loads(stacks.LTE, Scenario)
    changed = patched(scenario, {"channels": {"enb": {"ue1": {"gain": "-3dB"}}}})
    assert changed.stacks == scenario.stacks
    assert changed.other != changed.channels["enb"]["ue1"]
    assert "stacks" not in shown(scenario)
    with pytest.raises(BadInput, match="stacks: cannot change"):
        patched(scenario, {"stacks": None})


@pytest.mark.parametrize(
    "question", [b"", b"[]", b"{}", b'{"ask": "set"}', b'{"ask": "set", "patch": {}, "at": "x"}', b"\xff"]
)
def test_no_question_ends_the_broker(at, context, keep, question):
    asking = keep(plain(context, zmq.REQ, at))
    asking.send(question)
    said = json.loads(asking.recv())["error"]
    assert "expected" in said or "no JSON" in said
    assert ask(at, {"ask": "status"}, WAIT)["ports"]


def test_status_says_what_is_heard(at, radios):
    levels = []
    while not levels:  # at the test's own deadline at the latest
        pass_on(radios, 1000)
        levels = ask(at, {"ask": "status"}, WAIT)["levels"]
    (level,) = levels
    assert level["power"] == pytest.approx(-6, abs=0.05)
    assert (level["source"], level["sink"], level["snr"], level["sinr"]) == ("gnb tx0", "ue1 rx0", None, None)
    assert level["delay"] == pytest.approx(3e-6)


def test_who_asks_where_no_broker_is_is_told(tmp_path):
    with pytest.raises(NotReady, match="testbed radio up"):
        ask(f"ipc://{tmp_path}/nobody", {"ask": "status"}, 0.1)


def test_a_direction_that_was_not_written_begins_as_a_copy(scenario):
    changed = patched(scenario, {"channels": {"ue1": {"gnb": {"gain": "-9dB"}}}})
    pairs = {(one.source, one.sink): one.pair for one in changed.directions()}
    assert (pairs["ue1", "gnb"].gain, pairs["ue1", "gnb"].delay) == (-9, pytest.approx(3e-6))
    assert pairs["gnb", "ue1"].gain == -6


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        (["a"], {"a": "b"}, {"a": "b"}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_are_those_of_rfc_7396(target, patch, result):
    assert merged(target, patch) == result


def test_what_is_heard_and_clipped_become_samples(text, context, keep):
    scenario = loads(text.replace("clip: 4", "clip: 0.1"), Scenario)
    gnb = keep(plain(context, zmq.REP, scenario.cells["gnb"].transmit[0]))
    ue = keep(plain(context, zmq.REQ, scenario.ues["ue1"].receive[0]))
    found = []
    with Broker(scenario, measured=found.extend, every=0.0) as broker, meanwhile(broker.run):
        while not any(one.count for one in found):  # at the test's own deadline at the latest
            pass_on((gnb, ue), 1000)
    samples = {(one.entity, one.metric): one.value for told in found for one in told.samples(5.0)}
    assert samples["radio:gnb tx0:ue1 rx0", "power"] == pytest.approx(-6, abs=0.1)
    count, clipped = (samples["radio:ue1 rx0", metric] for metric in ("count", "clipped"))
    assert clipped == count - 3 - LATENCY > 0, "all but the silence before the first sample"


def test_the_commands_change_and_show(at, radios, text, tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    pass_on(radios, 1000)
    tried = call("radio", "set", file, "channels.gnb.ue1.gain=-26dB", "--dry-run", "--control", at)
    assert (tried.returncode, tried.stdout) == (ExitCode.DONE, "it can be done\n")
    done = call("radio", "set", file, "channels.gnb.ue1.gain=-26dB", "ues.ue1.receiver.clip=null", "--control", at)
    assert (done.returncode, done.stdout) == (ExitCode.DONE, "in force from count 1000 on\n")
    shown = call("radio", "status", file, "--control", at, "--json")
    assert json.loads(shown.stdout)["scenario"]["channels"]["gnb"]["ue1"]["gain"] == -26
    assert "gnb tx0" in call("radio", "status", file, "--control", at).stdout
    for wrong, said in (("gain", "expected KEY=VALUE"), ("a..b=1", "expected KEY=VALUE"), ("a=1", "unknown key 'a'")):
        refused = call("radio", "set", file, wrong, "--control", at)
        assert refused.returncode == ExitCode.BAD_INPUT
        assert said in refused.stderr
