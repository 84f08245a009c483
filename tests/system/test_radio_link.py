"""A radio scenario plays on a link of a lab: packets meet what the channel lets through."""

import json

import pytest

from testbed.errors import ExitCode
from tests.cli.commands import run

LAB = """
name: cell
nodes: {gnb: {kind: host}, ue: {kind: host}}
links:
  air:
    endpoints:
      - {node: gnb, interface: eth0, addresses: [10.0.0.1/30]}
      - {node: ue, interface: eth0, addresses: [10.0.0.2/30]}
    trace: radio:radio.yaml
"""
SCENARIO = """
rate: 3.84MHz
carrier: 3.5GHz
model: UMi
shadowing: false
cells: {gnb: {transmit: ipc:///tmp/a, receive: ipc:///tmp/b, position: [0, 0, 10], receiver: {noise: {level: -120dB}}}}
ues:
  ue: {transmit: ipc:///tmp/c, receive: ipc:///tmp/d, position: [60, 0, 1.5], receiver: {noise: {level: -110dB}}}
channels: {gnb: {ue: {sight: true}}}
"""

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]


def linked(folder, *options):
    """What packets meet in each direction."""
    told = {}
    for source, sink in (("gnb", "ue"), ("ue", "gnb")):
        done = run("radio", "link", folder / "radio.yaml", source, sink, *options, "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        (told[source],) = json.loads(done.stdout)
    return told


def assert_follows(told):
    state = json.loads(run("link", "air", "--lab", "cell", "--json").stdout)["after"]
    for way, source in (("forward", "gnb"), ("backward", "ue")):
        for key in ("delay", "rate"):
            assert state[way][key] == pytest.approx(told[source][key], rel=1e-3)
    assert told["ue"]["sinr"] == pytest.approx(told["gnb"]["sinr"] + 10, abs=0.01)


def test_both_directions_follow_the_scenario(tmp_path, monkeypatch, uml_works):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    (tmp_path / "cell.yaml").write_text(LAB)
    (tmp_path / "radio.yaml").write_text(SCENARIO)
    up = run("up", tmp_path / "cell.yaml", "--substrate", "uml")
    assert up.returncode == ExitCode.DONE, up.stderr
    try:
        assert_follows(linked(tmp_path))
        (tmp_path / "radio.yaml").write_text(SCENARIO.replace("[60, 0, 1.5]", "[160, 0, 1.5]"))
        assert_follows(linked(tmp_path, "--play", "air", "--lab", "cell"))
        refused = run("radio", "link", tmp_path / "radio.yaml", "gnb", "ue", "--play", "iar", "--lab", "cell")
        assert (refused.returncode, "did you mean 'air'" in refused.stderr) == (ExitCode.BAD_INPUT, True)
    finally:
        assert run("down", "cell").returncode == ExitCode.DONE
