"""Other tools' networks from the shell: brought up as they are, in a real guest."""

import json

import networkx as nx
import pytest

from testbed.errors import ExitCode
from testbed.exchange.registry import import_from
from tests.cli.commands import run
from tests.exchange.labs import write_lab

pytestmark = [pytest.mark.guest, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, uml_works):
    """Labs of this test's own; none may be left."""
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    yield
    assert json.loads(run("status", "--json").stdout)["labs"] == []


def least_round_trip(lab: str, node: str, address: str) -> float:
    """In seconds."""
    done = run("exec", "--lab", lab, node, "--", "ping", "-q", "-c", "5", "-i", "0.2", "-W", "2", address)
    assert done.returncode == 0, done
    return float(done.stdout.split("min/avg/max/mdev = ")[1].split("/")[0]) / 1000


def test_a_graph_of_topohub_routes_over_its_fibres():
    source = "topohub:topozoo/Abilene"
    done = run("up", source, "--substrate", "uml", "--timeout", "180", "--json", timeout=230)
    assert done.returncode == ExitCode.DONE, done.stderr
    lab = json.loads(done.stdout)["lab"]
    topology = import_from(source).topology
    graph = nx.Graph()
    for link in topology.links.values():
        graph.add_edge(*(end.node for end in link.endpoints), delay=link.forward.delay)
    ways = nx.all_shortest_paths(graph, "new-york", "los-angeles")  # every link costs the same
    expected = [2 * nx.path_weight(graph, way, "delay") for way in ways]
    target = topology.nodes["los-angeles"]
    assert target.kind == "router"
    assert min(expected) <= least_round_trip(lab, "new-york", str(target.loopbacks[0].ip)) < max(expected) + 0.01
    assert run("export", lab, "--format", "graphml", "--skip-unsupported").stdout.count("<node ") == 11
    assert run("down", lab).returncode == ExitCode.DONE


def test_a_containerlab_file_with_frr_files_and_commands_runs_as_it_is(tmp_path):
    file = write_lab(tmp_path)
    done = run("up", file, "--substrate", "uml", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    assert least_round_trip("two-cells", "ue1", "192.168.2.2") < 0.1
    said = run("exec", "--lab", "two-cells", "ue1", "--", "ip", "route", "show", "10.9.0.0/16").stdout
    assert said.startswith("10.9.0.0/16 via 192.168.1.1")
    assert run("down", "two-cells").returncode == ExitCode.DONE


def test_a_command_that_fails_fails_the_lab_and_leaves_nothing(tmp_path):
    (tmp_path / "bad.clab.yml").write_text(
        "name: bad\ntopology:\n  nodes:\n    a: {kind: linux, exec: ['true', sh -c 'echo no such thing >&2; exit 7']}\n"
    )
    done = run("up", tmp_path / "bad.clab.yml", "--substrate", "uml")
    assert done.returncode == ExitCode.NO
    assert "node a: exec \"sh -c 'echo no such thing >&2; exit 7'\" ended with 7: no such thing" in done.stderr
    assert done.stdout == ""
