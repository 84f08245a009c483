"""The vtysh that the agent keeps open in a node, on this machine's own kernel."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from testbed.emulator.client import AgentClient
from testbed.emulator.messages import Power, Vty, WaitReady
from testbed.errors import AgentError, BadInput, DeviceError, NotRunning
from testbed.twin.transport import AgentTransport

from .scenes import pair, routers

QUESTIONS = (
    "show running-config",
    "show version",
    "show ip route",
    "show ip prefix-list",
    "show no such thing",
    "show ip",
    "sho ip ro",
    "show ip prefix-list a?b",
    "show ip bgp summary",
    "show running-config " + "x" * 200,
    "show interface eth1",
    "list",
    "",
    "! a remark",
    "write terminal",
)


@pytest.fixture
def lab(agent: AgentClient) -> AgentClient:
    agent.call(routers("ospf"))
    return agent


def ask(agent: AgentClient, node: str, *commands: str, timeout: float = 20.0) -> tuple[str, ...]:
    return agent.call(Vty(node=node, daemon="vtysh", commands=commands, timeout=timeout)).outputs


def afresh(agent: AgentClient, node: str, command: str) -> str:
    """What a vtysh started for this command alone prints, errors included."""
    return agent.run(node, ["sh", "-c", 'exec vtysh -c "$1" 2>&1', "sh", command]).stdout.decode()


def kept(agent: AgentClient, node: str) -> list[str]:
    """The PIDs of all vtyshs in the node."""
    look = "for p in $(pidof vtysh); do [ /proc/$p/ns/net -ef /proc/self/ns/net ] && echo $p; done; true"
    return agent.run(node, ["sh", "-c", look]).stdout.decode().split()


def without_clock(text: str) -> str:
    return re.sub(r"\d\d:\d\d:\d\d", "TIME", text)


def test_it_answers_byte_for_byte_as_one_started_anew(lab):
    assert lab.call(WaitReady(deadline=40.0)).missing == ()
    together = ask(lab, "r1", *QUESTIONS)
    assert "hostname r1\n" in together[0]
    for question, in_a_row in zip(QUESTIONS, together, strict=True):
        expected = without_clock(afresh(lab, "r1", question))
        (alone,) = ask(lab, "r1", question)
        assert (without_clock(in_a_row), without_clock(alone)) == (expected, expected), question
    assert len(kept(lab, "r1")) == 1


def test_what_is_rejected_has_a_code_and_does_no_harm(lab):
    answer = lab.call(Vty(node="r1", daemon="vtysh", commands=("show nonsense", "show version")))
    assert answer.outputs[0] == "% Unknown command: show nonsense\n"
    assert answer.codes == (1, 0)
    for unfit in ("show version\nconfigure terminal", "show ?"):
        with pytest.raises(BadInput, match="is not one command in one line"):
            ask(lab, "r1", unfit)
    assert ask(lab, "r1", "show version")[0].startswith("FRRouting")


def test_each_call_starts_outside_of_configuration_mode_and_knows_the_present_name(lab):
    ask(lab, "r1", "configure terminal", "interface eth1", "description left open")
    assert ask(lab, "r1", "description not here")[0].startswith("% Unknown command")
    ask(lab, "r1", "configure terminal", "hostname other", "end")
    shown = ask(lab, "r1", "show running-config")[0]
    assert " description left open\n" in shown
    assert shown == afresh(lab, "r1", "show running-config")


def test_one_that_died_is_started_again(lab):
    before = ask(lab, "r1", "show running-config")
    (old,) = kept(lab, "r1")
    lab.run("r1", ["sh", "-c", f"kill -9 {old}; while [ -e /proc/{old} ]; do :; done"])
    assert ask(lab, "r1", "show running-config") == before
    assert kept(lab, "r1") not in ([], [old])


def test_one_whose_daemon_died_is_not_asked_again(lab):
    assert "router ospf\n" in ask(lab, "r1", "show running-config")[0]
    lab.run("r1", ["sh", "-c", "p=$(cat /run/frr/ospfd.pid); kill -9 $p; while [ -e /proc/$p ]; do :; done"])
    shown = ask(lab, "r1", "show running-config", "show ip ospf")
    assert "router ospf\n" not in shown[0]
    assert shown == tuple(afresh(lab, "r1", command) for command in ("show running-config", "show ip ospf"))


def test_power_takes_it_away_and_gives_one_back(lab):
    ask(lab, "r1", "configure terminal", "ip route 192.0.2.0/24 blackhole", "end")
    assert "192.0.2.0" in ask(lab, "r1", "show running-config")[0]
    lab.call(Power(node="r1", on=False))
    assert kept(lab, "r1") == []
    with pytest.raises(AgentError, match=r"r1: vtysh ended: .*failed to connect to any daemons"):
        ask(lab, "r1", "show version")
    lab.call(Power(node="r1", on=True))
    shown = ask(lab, "r1", "show running-config")[0]
    assert "192.0.2.0" not in shown
    assert shown == afresh(lab, "r1", "show running-config")


def test_one_that_hangs_is_ended_at_its_deadline(lab):
    ask(lab, "r1", "show version")
    lab.run("r1", ["sh", "-c", "kill -STOP $(cat /run/frr/ospfd.pid)"])
    started = time.monotonic()
    with pytest.raises(AgentError, match=r"r1: vtysh gave no answer within 0\.5 s"):
        ask(lab, "r1", "show ip ospf", timeout=0.5)
    assert time.monotonic() - started < 15
    assert kept(lab, "r1") == []
    lab.run("r1", ["sh", "-c", "kill -CONT $(cat /run/frr/ospfd.pid)"])
    assert "OSPF Routing Process" in ask(lab, "r1", "show ip ospf")[0]


def test_two_threads_get_each_their_own_answers(lab, agent_folder: Path):
    expected = {question: ask(lab, "r1", question)[0] for question in ("show running-config", "show version")}
    wrong: list[str] = []

    def insist(question: str) -> None:
        with AgentClient(agent_folder, f"ipc://{agent_folder}/socket") as own:
            wrong.extend(
                answer for _ in range(20) for answer in ask(own, "r1", question) if answer != expected[question]
            )
            finished.append(question)

    finished: list[str] = []
    threads = [threading.Thread(target=insist, args=(question,)) for question in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(finished), wrong) == (sorted(expected), [])
    assert len(kept(lab, "r1")) == 1


def test_it_goes_with_the_lab(lab):
    ask(lab, "r1", "show version")
    lab.call(pair())
    assert lab.run("left", ["pidof", "vtysh"]).stdout == b""
    with pytest.raises(BadInput, match="left is a host"):
        ask(lab, "left", "show version")


def test_a_daemon_that_does_not_run_is_told_from_one_there_is_not(lab):
    with pytest.raises(NotRunning, match="r1 does not run 'bgpd'"):
        lab.call(Vty(node="r1", daemon="bgpd", commands=("show bgp",)))
    with pytest.raises(BadInput, match="r1 does not run 'ospfdd'"):
        lab.call(Vty(node="r1", daemon="ospfdd", commands=("show bgp",)))


def test_the_twins_shell_asks_each_the_right_one(lab):
    transport = AgentTransport(lab, "r1")
    config, version, bgp, more, ospf = transport.vtysh(
        ("show running-config", "show version", "show bgp summary json", "show bgp neighbors json", "show ip ospf json")
    )
    assert config == afresh(lab, "r1", "show running-config")
    assert version.startswith("FRRouting")
    assert bgp == more == "bgpd is not running"
    assert '"routerId":"10.255.0.2"' in ospf
    with pytest.raises(DeviceError, match="rejected 'show nonsense'"):
        transport.vtysh(("show nonsense",))
