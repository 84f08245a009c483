"""One suite for every substrate: bring up, find, look, use, take down, and every way of dying."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.emulator.client import AgentClient
from testbed.emulator.messages import Build, Exec, ListNodes, WireNode, encode
from testbed.errors import AgentError, BadInput, GuestFailed, Unable
from testbed.lab import Lab
from testbed.model.topology import GuestOptions
from testbed.processes import Process, identify
from testbed.substrate import probe
from testbed.substrate.base import StartOptions
from testbed.substrate.folder import Guest, LabFolder, curve_keys
from testbed.substrate.registry import SUBSTRATES, find
from testbed.substrate.uml import problems

from .leftovers import Traces, assert_gone, runs_in, traces, wait_for_end

PROJECT = Path(__file__).parents[2]
NODE = WireNode(name="n1", kind="host")
SMALL = StartOptions(GuestOptions(memory=256 * 2**20))


@pytest.fixture(params=[pytest.param("uml", marks=pytest.mark.guest), "native", "ssh+native"])
def substrate(request: pytest.FixtureRequest) -> str:
    if request.param == "uml" and (lacks := problems()):
        pytest.skip(f"uml: {'; '.join(lacks)}")
    if "native" in request.param and not (allowed := probe.run("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    if request.param.startswith("ssh"):
        return request.getfixturevalue("host").substrate(request.param)
    return request.param


@pytest.fixture
def lab(substrate: str) -> Iterator[Lab]:
    """A running, empty lab, which the test may take down or kill."""
    folder = LabFolder.create(f"contract-{substrate.partition(':')[0].replace('+', '-')}", "lab", substrate)
    lab = Lab(folder)
    try:
        find(substrate).start(folder, SMALL)
        folder.update(state="running")
        yield lab
    finally:
        with contextlib.suppress(BadInput):  # the test took it down
            lab.down()


def test_every_substrate_is_tested_here():
    assert set(SUBSTRATES) == {"uml", "native"}


def test_a_lab_comes_up_is_found_works_and_goes_wholly(lab: Lab):
    assert "contract" in lab.name
    assert [found.name for found in Lab.all() if found.name == lab.name] == [lab.name]
    assert lab.liveness().alive
    assert lab.folder.record().sealed
    with Lab.open(lab.name).agent() as agent:
        assert agent.hello().substrate == runs_in(lab.folder).record().substrate
        agent.call(Build(nodes=(NODE,), links=()))
        assert agent.run("n1", ["echo", "here"]).stdout == b"here\n"
    seen = traces(lab.folder)
    assert len(seen.processes) >= 3
    lab.down()
    assert_gone(seen)


def test_only_the_controller_s_key_is_let_in(lab: Lab, tmp_path: Path):
    keys = curve_keys() | {"server_public": lab.folder.read_keys()["server_public"]}
    (tmp_path / "keys").write_text(json.dumps(keys))
    assert lab.folder.record().endpoints
    with AgentClient(tmp_path, lab.folder.record().endpoints[0]) as stranger, pytest.raises(AgentError):
        stranger.hello(timeout=1.0)


@pytest.mark.parametrize("victim", ["keeper", "launcher", "guest"])
def test_whoever_is_killed_the_lab_is_found_dead_and_goes_wholly(lab: Lab, victim: str):
    record = runs_in(lab.folder).record()
    seen = traces(lab.folder)
    chosen = {"keeper": record.keeper, "launcher": record.processes[0], "guest": _kernel(seen)}[victim]
    assert chosen is not None
    started = time.monotonic()
    os.kill(chosen.pid, signal.SIGKILL)
    wait_for_end(seen.processes, 5.0)
    state = lab.liveness()
    assert time.monotonic() - started < 5
    assert not state.alive
    assert state.reason
    assert lab.name in [found.name for found in Lab.all()]
    lab.down()
    assert_gone(seen)


def _kernel(seen: Traces) -> Process:
    """The process that is the guest: the UML kernel's first, or the agent."""
    return max(
        (p for p in seen.processes if Path(f"/proc/{p.pid}/comm").read_text().strip() in ("linux.uml", "python")),
        key=lambda p: _is_guest(p.pid),
    )


def _is_guest(pid: int) -> bool:
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return argv[0] == b"linux.uml" or b"testbed.emulator.agent" in argv[:4]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_call_under_way_fails_within_5_s_when_the_guest_dies_or_hangs(lab: Lab, how: signal.Signals):
    seen = traces(lab.folder)
    with lab.agent() as agent:
        agent.call(Build(nodes=(NODE,), links=()))
        killer = subprocess.Popen(
            [sys.executable, "-c", "import os,sys,time; time.sleep(1); os.kill(int(sys.argv[1]), int(sys.argv[2]))",
             str(_kernel(seen).pid), str(int(how))]
        )  # fmt: skip
        started = time.monotonic()
        with pytest.raises(GuestFailed) as caught:
            agent.call(Exec(node="n1", argv=("sleep", "30")))
        assert time.monotonic() - started < 1 + 5
        assert killer.wait() == 0
    assert "console" in str(caught.value) or not lab.folder.console_tail()
    assert not lab.liveness().alive
    lab.down()
    assert_gone(seen)


MOMENTS = {
    "the folder is made": "spawn.bring_up = die",
    "the keeper is started": "spawn.Messages.until = die",
    "the guest boots": "until = spawn.Messages.until\n"
    "spawn.Messages.until = lambda self, folder, event: (until(self, folder, 'launched'), die())",
    "the guest has booted": "until = spawn.Messages.until\n"
    "spawn.Messages.until = lambda self, folder, event: (until(self, folder, 'booted'), die())",
    "the network is built": "AgentClient.call = die",
}
MOMENTS_ELSEWHERE = {
    "the folder is made": "ssh.Ssh._connect = die",
    "the keeper is started": "ssh.Ssh._ask = die",
    "the guest boots": "ask = openssh.Conversation.ask\n"
    "def die_there(self, line, mark):\n"
    "    if b'hello' in line: return ask(self, line, mark)\n"
    "    self.process.stdin.write(line + b'\\n')\n"
    "    while not list((home() / 'there/labs').glob('hosted-*/keeper.log')): continue\n"
    "    die()\n"
    "openssh.Conversation.ask = die_there",
    "the guest has booted": "ssh.Ssh._forward = die",
    "the network is built": "AgentClient.call = die",
}
STARTER = """
import os, signal, sys
from testbed.emulator.client import AgentClient
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate import openssh, spawn, ssh
from testbed.substrate.folder import home
def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
{moment}
Lab.up(Topology.model_validate({{"name": "killed", "nodes": {{"n1": {{"kind": "host"}}}}}}), substrate=sys.argv[1])
"""


def _run_killed(script: str, substrate: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", script, substrate]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_command_killed_at_any_moment_leaves_a_lab_that_is_found_and_removed(substrate: str, moment: str):
    moments = MOMENTS_ELSEWHERE if substrate.startswith("ssh") else MOMENTS
    done = _run_killed(STARTER.format(moment=moments[moment]), substrate)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    lab = Lab.open("killed")
    assert [found.name for found in Lab.all() if found.kind == "lab"].count("killed") == 1
    state = lab.liveness()
    assert state.reason, "a lab that was not brought up to the end must say so"
    seen = traces(lab.folder)
    lab.down()
    assert_gone(seen)


def test_a_lab_without_a_channel_builds_itself_and_can_be_looked_at(substrate: str):
    folder = LabFolder.create("offline", "rack", substrate)
    lab = Lab(folder)
    try:
        (folder.path / "build.msgpack").write_bytes(encode(Build(nodes=(NODE,), links=())))
        find(substrate).start(folder, StartOptions(SMALL.guest, offline_build="build.msgpack"))
        assert lab.liveness().alive
        with pytest.raises(Unable, match="no control channel"):
            lab.agent()
    finally:
        seen = traces(folder)
        lab.down()
    assert_gone(seen)


def test_a_build_that_fails_offline_is_reported_in_the_agent_s_words(substrate: str):
    folder = LabFolder.create("offline", "rack", substrate)
    try:
        (folder.path / "build.msgpack").write_bytes(b"\xc1")
        with pytest.raises(GuestFailed, match="malformed"):
            find(substrate).start(folder, StartOptions(SMALL.guest, offline_build="build.msgpack"))
    finally:
        seen = traces(folder)
        Lab(folder).down()
    assert_gone(seen)


SPREAD = StartOptions(GuestOptions(memory=256 * 2**20, guests=2))


@pytest.mark.guest
@pytest.mark.parametrize("victim", ["keeper", "launcher"])
def test_of_two_guests_none_outlives_the_keeper_or_the_other_guest(uml_works: None, victim: str):
    folder = LabFolder.create("two-guests", "lab", "uml")
    lab = Lab(folder)
    try:
        find("uml").start(folder, SPREAD)
        record = folder.record()
        seen = traces(folder)
        chosen = {"keeper": record.keeper, "launcher": record.guests[1].processes[0]}[victim]
        assert chosen is not None
        os.kill(chosen.pid, signal.SIGKILL)
        wait_for_end(seen.processes, 5.0)
        state = lab.liveness()
        assert not state.alive
        assert ("guest 2 of 2" in state.reason) == (victim == "launcher")
    finally:
        lab.down()
    assert_gone(seen)


@pytest.mark.guest
@pytest.mark.parametrize("moment", ["the guest boots", "the guest has booted", "the network is built"])
def test_a_command_killed_while_two_guests_come_up_leaves_what_is_found_and_removed(uml_works: None, moment: str):
    script = STARTER.replace('{{"n1": {{"kind": "host"}}}}', '{{"n1": {{"kind": "host"}}, "n2": {{"kind": "host"}}}}')
    script = script.replace('"nodes"', '"guest": {{"memory": "256MiB", "guests": 2}}, "nodes"')
    done = _run_killed(script.format(moment=MOMENTS[moment]), "uml")
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    lab = Lab.open("killed")
    assert lab.liveness().reason
    seen = traces(lab.folder)
    assert len(seen.processes) > 3
    lab.down()
    assert_gone(seen)


def test_a_hung_guest_of_two_is_named_with_its_own_console(uml_works: None):
    """Judged from what is recorded: no guest needs to run for it."""
    folder = LabFolder.create("hung", "lab", "uml")
    sleepers = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    keeper, one, two = (identify(sleeper.pid) for sleeper in sleepers)
    assert one is not None
    assert two is not None
    try:
        folder.update(keeper=keeper, state="running", guests=(Guest(processes=(one,)), Guest(processes=(two,))))
        folder.console(2).write_text("the second's last words\n")
        os.kill(two.pid, signal.SIGSTOP)
        os.waitpid(two.pid, os.WUNTRACED)
        state = Lab(folder).liveness()
        assert not state.alive
        assert f"process {two.pid} of guest 2 of 2 is stopped" in state.reason
        assert state.console == ("the second's last words",)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
        folder.remove()


def test_two_labs_run_side_by_side_and_do_not_know_each_other(lab: Lab, substrate: str):
    folder = LabFolder.create("second", "lab", substrate)
    second = Lab(folder)
    try:
        find(substrate).start(folder, SMALL)
        with lab.agent() as one, second.agent() as two:
            one.call(Build(nodes=(NODE,), links=()))
            assert [node.name for node in one.call(ListNodes()).nodes] == ["n1"]
            assert two.call(ListNodes()).nodes == ()
    finally:
        seen = traces(folder)
        second.down()
    assert_gone(seen)
    assert lab.liveness().alive
