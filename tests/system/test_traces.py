"""A lab whose topology names traces: it starts with them, commands see and end them, down and up begin them anew."""

import json

import pytest

from testbed.errors import ExitCode
from tests.cli.commands import run

TOPOLOGY = """
name: traced
nodes: {a: {kind: host}, b: {kind: host}}
links:
  a-b:
    endpoints:
      - {node: a, interface: eth0, addresses: [10.0.0.1/30]}
      - {node: b, interface: eth0, addresses: [10.0.0.2/30]}
    impairment: {delay: 5ms}
    trace: {forward: csv:drive.csv, backward: "random-walk(field=wait, low=0.001, high=0.002, seed=1)", repeat: true}
"""
CSV = "t_s,delay_ms,loss_percent\n0,40,0\n30,60,\n"

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]


def ask(*words):
    done = run(*words, "--lab", "traced", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    return json.loads(done.stdout)


def forward(said):
    return said["after"]["forward"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory, uml_works):
    file = tmp_path_factory.mktemp("traced") / "traced.yaml"
    file.write_text(TOPOLOGY)
    (file.parent / "drive.csv").write_text(CSV)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_HOME", str(file.parent / "home"))
        up(file)
        yield file
        assert run("down", "traced").returncode == ExitCode.DONE
        assert json.loads(run("status", "--json").stdout)["labs"] == []


def up(file):
    done = run("up", file, "--substrate", "uml")
    assert done.returncode == ExitCode.DONE, done.stderr


def test_it_plays_from_the_start_and_tells_how_late_it_is(lab):
    said = ask("trace", "status")
    assert said["playing"] == ["a-b"]
    assert said["applied"] >= 1
    assert set(said["late_ms"]) == {"p50", "p99", "max"}
    state = ask("link", "a-b")["after"]
    assert state["forward"]["delay"] == pytest.approx(0.04)
    assert 0.006 <= state["backward"]["delay"] <= 0.007


def test_what_the_trace_sets_is_refused_and_the_rest_is_not(lab):
    done = run("link", "a-b", "delay=1ms", "--lab", "traced", "--forward")
    assert done.returncode == ExitCode.BAD_INPUT
    assert "a-b forward: a trace that plays there sets delay; end it first, `testbed trace stop a-b`" in done.stderr
    assert forward(ask("link", "a-b", "rate=20Mbit", "--forward"))["rate"] == 20e6


def test_down_and_up_begin_the_traces_anew_without_what_was_set_by_hand(lab):
    assert run("down", "traced").returncode == ExitCode.DONE
    up(lab)
    assert ask("trace", "status")["playing"] == ["a-b"]
    again = forward(ask("link", "a-b"))
    assert (again["delay"], again["rate"]) == (pytest.approx(0.04), None)


def test_an_ended_trace_gives_back_what_the_topology_says(lab):
    assert ask("trace", "stop", "a-b", "--restore")["playing"] == []
    assert forward(ask("link", "a-b"))["delay"] == pytest.approx(0.005)
    assert forward(ask("link", "a-b", "delay=1ms"))["delay"] == pytest.approx(0.001)
    played = ask("trace", "play", "a-b", "random-walk(seconds=600)", "--forward", "--repeat")
    assert (played["playing"], played["repeats"], played["seconds"]) == (["a-b"], True, 600.0)


def test_a_trace_of_no_link_is_refused(lab):
    for words in (["trace", "stop", "ab"], ["trace", "play", "ab", "random-walk"]):
        done = run(*words, "--lab", "traced")
        assert done.returncode == ExitCode.BAD_INPUT
        assert "no link called 'ab'; did you mean 'a-b'" in done.stderr


def test_up_again_leaves_a_trace_alone_and_a_saved_lab_plays_it(lab):
    assert run("up", lab).returncode == ExitCode.DONE
    edited = lab.with_name("edited.yaml")
    before = ask("trace", "status")["applied"]
    edited.write_text(TOPOLOGY.replace("nodes: {a: {kind: host},", "nodes: {c: {kind: host}, a: {kind: host},"))
    done = run("up", edited, "--json")
    assert [edit["path"] for edit in json.loads(done.stdout)["edits"]] == [["nodes", "c"]], done.stderr
    assert ask("trace", "status")["applied"] >= before
    assert run("trace", "stop", "--restore", "--lab", "traced").returncode == ExitCode.DONE
    done = run("up", lab, "--json")
    assert [edit["path"] for edit in json.loads(done.stdout)["edits"]] == [["nodes", "c"], ["links", "a-b", "trace"]]
    assert ask("trace", "status")["playing"] == ["a-b"]
    assert ask("link", "a-b", "loss_correlation=5%")["after"]["forward"]["loss_correlation"] == pytest.approx(0.05)
    saved = lab.with_name("saved.yaml")
    assert run("save", "traced", saved).returncode == ExitCode.DONE
    assert run("up", lab).returncode == ExitCode.DONE
    assert forward(ask("link", "a-b"))["loss_correlation"] == 0
    assert run("restore", saved).returncode == ExitCode.DONE
    assert forward(ask("link", "a-b"))["loss_correlation"] == pytest.approx(0.05)
    assert ask("trace", "status")["playing"] == ["a-b"]
    assert run("restore", saved).stdout.endswith("nothing to change\n")
    assert run("up", lab).returncode == ExitCode.DONE
