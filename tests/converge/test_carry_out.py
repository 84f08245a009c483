"""Labs that run are changed in place: what is not named in the difference lives on, and a failure leaves what was."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from testbed.converge.carry_out import converge
from testbed.emulator.client import Client, ExecResult
from testbed.emulator.messages import GetLinks, LinkChange, ListNodes
from testbed.errors import BadInput, CommandFailed, ExitCode, Unable
from testbed.lab import Lab
from testbed.model.dump import dump
from testbed.model.topology import Topology
from tests.cli.commands import call, run
from tests.converge.conftest import line, with_node

ECHO = """
import socket
server = socket.create_server(("10.0.0.2", 5000))
print("listening", flush=True)
peer, _ = server.accept()
while data := peer.recv(1024):
    peer.sendall(data)
"""
TALK = """
import os, socket, time
peer, rounds = socket.create_connection(("10.0.0.2", 5000), timeout=10), 0
while not os.path.exists("/tmp/stop"):
    peer.sendall(b"x")
    assert peer.recv(1) == b"x"
    rounds += 1
    with open("/tmp/rounds", "w") as file:
        file.write(str(rounds))
    time.sleep(0.01)
"""


def names(lab: Lab) -> tuple[set[str], set[str]]:
    with lab.agent() as agent:
        nodes = {node.name for node in agent.call(ListNodes()).nodes}
        return nodes, {link.name for link in agent.call(GetLinks()).links}


def until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_connection_through_unchanged_parts_lives_on(lab):
    said: dict[str, ExecResult] = {}

    def work(node: str, script: str) -> None:
        with lab.agent() as agent:
            said[node] = agent.run(node, [sys.executable, "-c", script])

    threads = [threading.Thread(target=work, args=(node, script)) for node, script in (("b", ECHO), ("a", TALK))]
    with lab.agent() as agent:
        threads[0].start()
        until(lambda: b":5000" in agent.run("b", ["ss", "-ltn"]).stdout)
        threads[1].start()
        until(lambda: _rounds(agent) > 0)
        goal = with_node(line(b_c={"mtu": 1400, "up": False}), "d")
        plan = converge(lab, goal)
        after = _rounds(agent)
        until(lambda: _rounds(agent) > after + 5)
        agent.run("a", ["touch", "/tmp/stop"])
    for thread in threads:
        thread.join()
    assert {node: done.code for node, done in said.items()} == {"a": 0, "b": 0}, said
    assert {edit.path[1] for edit in plan.edits} == {"d", "b-c", "a-d"}
    assert names(lab) == ({"a", "b", "c", "d"}, {"a-b", "b-c", "a-d"})
    assert lab.topology == goal


def _rounds(agent: Client) -> int:
    return int(agent.run("a", ["cat", "/tmp/rounds"]).stdout or 0)


def test_what_is_equal_already_is_left_alone(lab):
    before = lab.folder.topology.stat().st_mtime_ns
    assert converge(lab, line()).empty
    assert lab.folder.topology.stat().st_mtime_ns == before


def test_a_dry_run_changes_nothing(lab):
    plan = converge(lab, with_node(line(), "d"), dry_run=True)
    assert [edit.path for edit in plan.edits] == [("nodes", "d"), ("links", "a-d")]
    assert names(lab) == ({"a", "b", "c"}, {"a-b", "b-c"})
    assert lab.topology == line()


def test_a_change_at_run_time_is_set_back_unless_it_is_to_be_kept(lab):
    with lab.agent() as agent:
        agent.set_links([LinkChange(link="b-c", up=False)])
    assert converge(lab, line(), keep_runtime=True).empty
    plan = converge(lab, line(a_b={"mtu": 1400}), keep_runtime=True)
    assert [edit.path for edit in plan.edits] == [("links", "a-b", "mtu")]
    plan = converge(lab, line(a_b={"mtu": 1400}))
    assert [(edit.path, edit.old, edit.new) for edit in plan.edits] == [(("links", "b-c", "up"), False, True)]
    with lab.agent() as agent:
        assert agent.call(GetLinks(names=("b-c",))).links[0].up


def test_a_command_that_fails_undoes_everything(lab):
    goal = with_node(line(b_c={"up": False}), "d", "true", "false")
    with pytest.raises(CommandFailed, match="node d: exec 'false'"):
        converge(lab, goal)
    assert names(lab) == ({"a", "b", "c"}, {"a-b", "b-c"})
    assert lab.topology == line()
    with lab.agent() as agent:
        assert agent.call(GetLinks(names=("b-c",))).links[0].up
    converge(lab, with_node(line(), "d", "true"))
    assert names(lab)[0] == {"a", "b", "c", "d"}


def test_a_node_that_comes_back_is_set_up_by_its_commands_again(lab):
    """`d` was removed when `e` failed; what made `d` what it was has run in the new one too."""
    first = with_node(line(), "d", "ip address add 10.7.0.1/24 dev eth1")
    converge(lab, first)
    with pytest.raises(CommandFailed):
        converge(lab, with_node(line(), "e", "false"))
    with lab.agent() as agent:
        assert b"10.7.0.1/24" in agent.run("d", ["ip", "address"]).stdout
    assert lab.topology == first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_broken_off_in_the_middle_the_next_command_finds_what_was(lab, tmp_path, number):
    file = tmp_path / "goal.yaml"
    file.write_text(dump(with_node(line(b_c={"up": False}), "d", "sleep 60")))
    words = (sys.executable, "-m", "testbed", "up", str(file))
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until(lambda: "d" in names(lab)[0] and b"sleep" in _processes(lab, "d"))
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    assert lab.topology == line()
    if number == signal.SIGKILL:
        assert "d" in names(lab)[0]
        assert converge(lab, line()).empty
    assert names(lab) == ({"a", "b", "c"}, {"a-b", "b-c"})
    assert not (lab.folder.path / "converge.json").exists()
    with lab.agent() as agent:
        assert agent.call(GetLinks(names=("b-c",))).links[0].up


def _processes(lab: Lab, node: str) -> bytes:
    with lab.agent() as agent:
        return agent.run(node, ["sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null"]).stdout


def test_a_lab_broken_off_goes_down_wholly(native_home, tmp_path):
    lab = Lab.up(line(), substrate="native")
    file = tmp_path / "goal.yaml"
    file.write_text(dump(with_node(line(), "d", "sleep 60")))
    with subprocess.Popen((sys.executable, "-m", "testbed", "up", str(file)), stderr=subprocess.DEVNULL) as process:
        until(lambda: "d" in names(lab)[0])
        process.kill()
    assert run("down", "line").returncode == ExitCode.DONE
    assert Lab.all() == []


def _guest(**fields: object) -> Topology:
    return Topology.model_validate({**line().model_dump(mode="json"), "guest": fields})


@pytest.mark.parametrize(
    ("goal", "options", "expected"),
    [
        (_guest(memory="512MiB"), {}, "guest.memory: .*`testbed down` first"),
        (_guest(guests=2), {}, "guest.guests: .*`testbed down` first"),
        (line(), {"substrate": "uml"}, "runs on native; .*`testbed down line` first"),
    ],
)
def test_what_cannot_change_in_place_is_refused_with_what_to_do(lab, goal, options, expected):
    with pytest.raises(BadInput, match=expected):
        converge(lab, goal, **options)
    assert lab.topology == line()


def test_a_lab_that_another_command_changes_is_left_alone(lab):
    with lab.folder.lock(), pytest.raises(Unable, match="another command is changing it"):
        converge(lab, line(a_b={"mtu": 1400}))


def test_the_command_shows_a_line_for_each_change(lab, tmp_path):
    file = tmp_path / "goal.yaml"
    file.write_text(dump(with_node(line(a_b={"mtu": 1400}), "d", "true")))
    for options, last in ((("--dry-run",), "nothing was changed (--dry-run)"), ((), "has converged")):
        done = call("up", file, *options)
        assert done.returncode == ExitCode.DONE, done.stderr
        *lines, end = done.stdout.splitlines()
        assert lines == [
            "+ node d: host",
            "~ link a-b: mtu 1500 -> 1400",
            "+ link a-d: a:d -- d:eth1",
            "+ run in d: true",
        ]
        assert last in end
    assert call("up", file).stdout.strip() == "lab line is as the topology says; nothing to change"


def test_bad_input_changes_nothing(lab, tmp_path):
    file: Path = tmp_path / "goal.yaml"
    file.write_text(dump(line()).replace("a-b:", "a-b:\n    mtuu: 1400", 1))
    done = call("up", file)
    assert done.returncode == ExitCode.BAD_INPUT
    assert "goal.yaml:8" in done.stderr
    assert "mtu" in done.stderr
    assert lab.topology == line()
