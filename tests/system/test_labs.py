"""A lab from the shell: the commands a user types, against a real guest."""

import json

import pytest

from testbed.errors import ExitCode
from tests.cli.commands import run

TOPOLOGY = """
name: shell
nodes:
  a: {kind: host, gateway: 10.0.1.1}
  r1: {kind: router, loopbacks: [10.255.0.1/32]}
  r2: {kind: router, loopbacks: [10.255.0.2/32]}
  b: {kind: host, gateway: 10.0.2.1}
links:
  a-r1:
    endpoints:
      - {node: a, interface: eth0, addresses: [10.0.1.2/24]}
      - {node: r1, interface: eth0, addresses: [10.0.1.1/24]}
  r1-r2:
    endpoints:
      - {node: r1, interface: eth1, addresses: [10.0.0.1/30]}
      - {node: r2, interface: eth1, addresses: [10.0.0.2/30]}
    impairment: {delay: 20ms, loss: 0%}
  b-r2:
    endpoints:
      - {node: b, interface: eth0, addresses: [10.0.2.2/24]}
      - {node: r2, interface: eth0, addresses: [10.0.2.1/24]}
"""

pytestmark = [pytest.mark.guest, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory, uml_works):
    file = tmp_path_factory.mktemp("shell") / "shell.yaml"
    file.write_text(TOPOLOGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_HOME", str(file.parent / "home"))
        done = run("up", file, "--substrate", "uml", "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        assert json.loads(done.stdout) == {"lab": "shell", "nodes": 4, "links": 3}
        yield "shell"
        assert run("down", "shell").returncode == ExitCode.DONE
        assert json.loads(run("status", "--json").stdout)["labs"] == []


def ping(count=5):
    return run("exec", "a", "--lab", "shell", "--", "ping", "-q", "-c", count, "-i", "0.1", "-W", "1", "10.0.2.2")


def test_up_again_changes_what_differs_and_nothing_else(lab, tmp_path):
    file = tmp_path / "again.yaml"
    pids = daemons(lab)
    for text in (TOPOLOGY.replace("20ms", "30ms"), TOPOLOGY):
        file.write_text(text)
        done = run("up", file, "--substrate", "uml", "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        (edit, _) = json.loads(done.stdout)["edits"]
        assert edit["path"] == ["links", "r1-r2", "forward", "delay"]
    assert run("up", file).stdout.strip() == "lab shell is as the topology says; nothing to change"
    assert daemons(lab) == pids
    refused = run("up", file, "--substrate", "native")
    assert refused.returncode == ExitCode.BAD_INPUT
    assert "testbed down shell" in refused.stderr


def daemons(lab):
    return run("exec", "r1", "--lab", lab, "--", "pidof", "zebra", "ospfd").stdout


def test_packets_cross_two_routers_with_the_delay_that_was_asked(lab):
    done = ping()
    assert done.returncode == 0, done
    least = float(done.stdout.split("min/avg/max/mdev = ")[1].split("/")[0])  # the rest is what a busy machine adds
    assert 40 <= least < 50


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_of_exec_is_the_commands(lab, code):
    assert run("exec", "a", "--lab", lab, "--", "sh", "-c", f"exit {code}").returncode == code


def test_a_command_that_does_not_exist_ends_with_127(lab):
    assert run("exec", "a", "--lab", lab, "--", "no-such-command").returncode == 127


def test_exec_passes_standard_input_on(lab):
    assert run("exec", "b", "--lab", lab, "--", "wc", "-c", stdin=b"\x00\xff" * 50_000).stdout.strip() == "100000"


def test_a_change_of_one_setting_leaves_the_others_and_its_undo_brings_it_back(lab):
    done = run("link", "r1-r2", "--lab", lab, "delay=1ms", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    said = json.loads(done.stdout)
    assert said["before"]["forward"]["delay"] == pytest.approx(0.02)
    assert said["after"]["forward"]["delay"] == pytest.approx(0.001)
    undo = [line for line in run("link", "r1-r2", "--lab", lab, "delay=2ms").stdout.splitlines() if "undo" in line]
    assert undo == [
        "undo: testbed link r1-r2 --lab shell --forward delay=1ms",
        "undo: testbed link r1-r2 --lab shell --backward delay=1ms",
    ]


def test_a_cut_wire_stops_packets_and_mending_it_brings_them_back(lab):
    assert run("link", "a-r1", "--lab", lab, "--cut").returncode == ExitCode.DONE
    assert ping(2).returncode != 0
    assert run("link", "a-r1", "--lab", lab, "--mend").returncode == ExitCode.DONE
    assert ping(2).returncode == 0


def test_status_shows_nodes_daemons_and_links(lab):
    said = json.loads(run("status", lab, "--json").stdout)
    assert said["labs"][0]["liveness"]["alive"]
    daemons = {node["name"]: node.get("daemons", {}) for node in said["nodes"]}
    assert daemons["r1"] == {"zebra": True, "staticd": True, "ospfd": True}
    assert {link["name"] for link in said["links"]} == {"a-r1", "r1-r2", "b-r2"}


@pytest.mark.parametrize(
    ("form", "start"), [("svg", "<svg"), ("mermaid", "graph"), ("graphviz", "graph"), ("json", "{")]
)
def test_a_running_lab_is_drawn(lab, form, start):
    done = run("graph", lab, "--format", form)
    assert done.returncode == ExitCode.DONE
    assert done.stdout.lstrip().startswith(start)
