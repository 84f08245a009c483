"""`testbed radio demo`: what is measured is what is stated, and it can be otherwise."""

import json

import pytest

from sdr import demo
from sdr.broker.scenario import Scenario
from sdr.stand import Stand
from testbed.errors import BadInput, ExitCode, NotReady
from tests.cli.commands import call


def test_what_is_measured_is_what_is_stated_through_all_changes():
    done = call("radio", "demo", "--slots", "20", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    first, hidden, fading, jammed = (
        {one["heard"]["radio"]: one for one in step["radios"]} for step in json.loads(done.stdout)
    )
    assert [(name, one["heard"]["source"]) for name, one in first.items()] == [
        ("gnb", "ue1"),
        ("ue1", "gnb"),
        ("ue2", "gnb"),
    ]
    assert [one["agrees"] for one in first.values()] == [None, True, True]
    assert first["gnb"]["heard"]["snr"] == pytest.approx(10, abs=0.5)  # of two UEs that send at once the other is noise
    assert hidden["gnb"]["heard"]["source"] == "ue2"
    assert hidden["ue1"]["heard"]["gain"] == pytest.approx(-30, abs=0.1)
    assert fading["ue2"]["gain"] is None
    assert jammed["gnb"]["heard"]["snr"] < hidden["gnb"]["heard"]["snr"]


def test_a_measurement_that_differs_fails(monkeypatch):
    monkeypatch.setattr(demo, "GAIN", 1e-9)
    monkeypatch.setattr(demo, "STEPS", demo.STEPS[:1])
    done = call("radio", "demo", "--slots", "10")
    assert done.returncode == ExitCode.NO
    assert "-15.00dB" in done.stdout


def test_a_scenario_that_they_cannot_play_is_refused(tmp_path):
    ports = [f"ipc://{tmp_path}/{n}" for n in range(4)]
    text = f"rate: 1.23MHz\ncells: {{gnb: {{transmit: {ports[0]}, receive: {ports[1]}}}}}\n"
    text += f"ues: {{ue: {{transmit: {ports[2]}, receive: {ports[3]}, format: sc16}}}}\n"
    (tmp_path / "s.yaml").write_text(text)
    refused = call("radio", "demo", tmp_path / "s.yaml")
    assert refused.returncode == ExitCode.BAD_INPUT
    assert "1230000" in refused.stderr
    (tmp_path / "s.yaml").write_text(text.replace("1.23", "1.92"))
    assert "ue: built-in radios have" in call("radio", "demo", tmp_path / "s.yaml").stderr


def test_a_stand_without_a_broker_says_so(tmp_path):
    scenario: Scenario = demo.example(tmp_path)
    with Stand(scenario) as stand, pytest.raises(NotReady, match=r"gnb, ue1, ue2: no 10 slots .* is the broker up"):
        stand.hear(10, 0.1)
    with pytest.raises(BadInput):
        Stand(scenario, spacing=7)
