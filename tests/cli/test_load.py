"""`testbed load` on a lab of this kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.errors import ExitCode
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology
from testbed.telemetry.sinks import read
from testbed.twin.starter import SAMPLES_FILE
from tests.cli.commands import call

TOPOLOGY = """name: loaded
nodes: {a: {kind: host}, b: {kind: host}}
links:
  a-b:
    endpoints:
      - {node: a, interface: eth1, addresses: [10.1.0.1/30]}
      - {node: b, interface: eth1, addresses: [10.1.0.2/30]}
demands: {a: {b: 0.4}}
load: {flows: {own: {source: b, target: a, rate: 400kbit, size: 500}}}
"""
FILE = "flows: {web: {source: a, target: b, rate: 1Mbit, protocol: tcp}}\n"


@pytest.fixture
def lab(own_home: Path) -> Iterator[Lab]:
    with Lab.up(loads(TOPOLOGY, Topology), substrate="native") as made:
        yield made


def test_load_is_started_told_and_ended(lab: Lab, tmp_path: Path):
    declared = json.loads(call("load", "status", "loaded", "--json").stdout)
    assert (declared["running"], list(declared["flows"])) == (True, ["own"])  # from the moment the lab is up
    started = call("load", "start", "loaded", "--demands", "--scale", 2, "--slice", "urgent=46", "--json")
    assert [(f["rate"], f["dscp"]) for f in json.loads(started.stdout)["flows"]] == [(8e5, 46)]
    drawing = tmp_path / "load.svg"
    ended = call("load", "stop", "loaded", "--json", "--svg", drawing)
    told = json.loads(ended.stdout)
    assert not told["running"]
    assert list(told["flows"]) == ["demand/a/b/urgent"]
    assert told["asked"] == told["sent"] + told["skipped"]
    assert "demand/a/b/urgent" in drawing.read_text()
    kept = read(lab.folder.path / SAMPLES_FILE, entity="flow:demand/a/b/urgent")
    assert ("offered", 8e5, "bit/s", "b/load") in {(s.metric, s.value, s.unit, s.source) for s in kept}
    file = tmp_path / "load.yaml"
    file.write_text(FILE)
    assert call("load", "start", "loaded", file).stdout.startswith("1 flows, 1Mbit/s, 125 packets/s")
    assert "web tcp/0" in call("load", "status", "loaded").stdout
    assert "1 flows, not running" in call("load", "stop", "loaded").stdout


def test_what_was_not_sent_ends_with_1(lab: Lab):
    assert call("exec", "a", "--", "ip", "link", "set", "eth1", "down").returncode == ExitCode.DONE
    assert call("load", "start", "loaded", "--demands").returncode == ExitCode.DONE
    with lab.agent() as agent:
        agent.run("a", ["sleep", "0.3"])
    ended = call("load", "stop", "loaded")
    assert ended.returncode == ExitCode.NO
    assert "packets not sent: Network is unreachable" in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gravity", "10"], "--gravity: value '10'"),
        (["--demands", "--slice", "urgent=99"], "--slice: value 99"),
        (["{file}", "--demands"], "not both"),
        (["{bad}"], "bad.yaml:1:23: flows.web.source: value 'c': expected a node of this topology"),
        (["--packet-size", "500"], "--demands or --gravity"),
        (["--demands", "--scale", "0"], "--scale is 0"),
    ],
)
def test_bad_input_is_explained_and_the_old_load_goes_on(lab: Lab, tmp_path: Path, words: list[str], said: str):
    names = {name: tmp_path / f"{name}.yaml" for name in ("file", "bad")}
    names["file"].write_text(FILE)
    names["bad"].write_text(FILE.replace("source: a", "source: c"))
    done = call("load", "start", "loaded", *(word.format(**names) for word in words))
    assert done.returncode == ExitCode.BAD_INPUT
    assert said in done.stderr
    assert list(json.loads(call("load", "status", "loaded", "--json").stdout)["flows"]) == ["own"]


def test_a_dry_run_of_up_counts_the_flows(tmp_path: Path):
    topology = tmp_path / "topology.yaml"
    topology.write_text(TOPOLOGY)
    assert "load: 1 flows, 0.4 Mbit/s" in call("up", topology, "--dry-run").stdout
