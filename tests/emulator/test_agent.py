"""What the agent promises, on this machine's own kernel."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

from testbed.emulator import client as client_module
from testbed.emulator.client import AgentClient
from testbed.emulator.messages import (
    Build,
    Exec,
    GetLinks,
    Hello,
    LinkChange,
    LinkPatch,
    ListNodes,
    Output,
    Power,
    Progress,
    SetLinks,
    Vty,
    WaitReady,
    WireEnd,
    WireLink,
    WireNode,
    WriteFile,
    encode,
)
from testbed.errors import AgentError, BadInput, GuestFailed, Unable

from .conftest import start_agent, write_keys
from .scenes import pair


@pytest.fixture
def hosts(agent: AgentClient) -> AgentClient:
    agent.call(pair())
    return agent


def test_hosts_reach_each_other_over_ipv4_and_ipv6(hosts):
    for address in ("10.0.0.2", "fd00::2"):
        ping = hosts.run("left", ["ping", "-n", "-c2", "-i.05", "-W2", address])
        assert ping.code == 0, ping.stdout


def test_the_same_interface_name_is_each_nodes_own(hosts):
    shown = hosts.run("right", ["ip", "-br", "-4", "address", "show", "eth1"]).stdout
    assert b"10.0.0.2/30" in shown
    assert b"10.0.0.1" not in shown


def test_a_cut_wire_takes_the_carrier_from_both_ends_and_a_mended_one_gives_it_back(hosts):
    for up, state in ((False, b"NO-CARRIER"), (True, b"LOWER_UP")):
        hosts.set_links([LinkChange(link="wire", up=up)])
        for node in ("left", "right"):
            assert state in hosts.run(node, ["ip", "link", "show", "eth1"]).stdout
        assert hosts.call(GetLinks()).links[0].up is up
    assert hosts.run("left", ["ping", "-n", "-c1", "-W2", "10.0.0.2"]).code == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["no-such-command"], 127),
    ],
)
def test_exec_ends_with_the_commands_own_code(hosts, argv, code):
    assert hosts.run("left", argv).code == code


def test_an_agent_loads_nothing_that_only_the_controller_needs():
    """A page fault costs a guest 0.1 ms: with the models an agent takes a second longer to start."""
    script = "import sys; from testbed.substrate import guest_start; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"pydantic", "numpy", "networkx", "pyroute2", "ruamel.yaml", "typer", "testbed.model"}.isdisjoint(loaded)


def test_exec_stops_at_its_timeout_with_all_it_started(hosts):
    started = time.monotonic()
    script = "sleep 1234 & setsid sleep 1235 & sleep 1236"
    assert hosts.run("left", ["sh", "-c", script], timeout=0.5).code == 124
    assert time.monotonic() - started < 5
    assert not re.search(rb"sleep 123[456]", hosts.run("left", ["ps", "-ef"]).stdout)


def test_exec_gives_output_as_it_is_written_and_takes_input(hosts):
    seen: list[tuple[str, bytes]] = []

    def note(event: Progress | Output) -> None:
        if isinstance(event, Output):
            seen.append((event.stream, event.data))

    hosts.call(Exec(node="left", argv=("sh", "-c", "echo one; read x; echo $x >&2"), stdin=b"two\n"), note)
    assert seen == [("stdout", b"one\n"), ("stderr", b"two\n")] or sorted(seen) == [
        ("stderr", b"two\n"),
        ("stdout", b"one\n"),
    ]


def test_exec_carries_a_megabyte_both_ways_unchanged(hosts):
    data = os.urandom(1 << 20)
    assert hosts.run("left", ["cat"], stdin=data).stdout == data


def test_a_child_left_in_the_background_does_not_hold_exec(hosts):
    started = time.monotonic()
    assert hosts.run("left", ["sh", "-c", "sleep 30 & echo done"]).stdout == b"done\n"
    assert time.monotonic() - started < 5


def test_a_command_ends_when_its_client_goes_away(hosts, agent_folder):
    with AgentClient(agent_folder, f"ipc://{agent_folder}/socket") as other, pytest.raises(AgentError, match="within"):
        other.call(Exec(node="left", argv=("sleep", "4321")), timeout=0.3)
    deadline = time.monotonic() + 15
    while b"sleep 4321" in hosts.run("left", ["ps", "-ef"]).stdout:
        assert time.monotonic() < deadline, "the command of a client that has gone still runs"
        hosts.run("left", ["sleep", "0.2"])


def test_hello_is_answered_while_a_command_runs(hosts, agent_folder):
    with AgentClient(agent_folder, f"ipc://{agent_folder}/socket") as other:
        other._socket.send_multipart([b"12345678", encode(Exec(node="left", argv=("sleep", "60"), timeout=60.0))])
        hosts.hello(timeout=30)


def test_a_stranger_is_not_let_in(agent_folder):
    public, secret = zmq.curve_keypair()
    with AgentClient(agent_folder, f"ipc://{agent_folder}/socket") as known:
        stranger = zmq.Context.instance().socket(zmq.DEALER)
        stranger.linger = 0
        stranger.curve_serverkey = known._keys.server_public.encode()
        stranger.curve_publickey, stranger.curve_secretkey = public, secret
        stranger.connect(f"ipc://{agent_folder}/socket")
        stranger.send_multipart([b"12345678", encode(Hello())])
        assert stranger.poll(1000) == 0
        stranger.close()
        known.hello(timeout=5)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (SetLinks(changes=(LinkChange(link="wir", up=False),)), "did you mean 'wire'"),
        (SetLinks(changes=(LinkChange(link="wire", patch=LinkPatch(loss=2.0)),)), "fractions from 0 to 1"),
        (Exec(node="lef", argv=("true",)), "did you mean 'left'"),
        (Vty(node="left", daemon="zebra", commands=("show version",)), "runs no FRR daemon"),
        (Power(node="nobody", on=False), "known: left, right"),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_can(hosts, request_, expected):
    with pytest.raises(BadInput, match=expected):
        hosts.call(request_)


def test_of_a_batch_with_one_wrong_change_nothing_is_done(hosts):
    wrong = [LinkChange(link="wire", up=False), LinkChange(link="wire", patch=LinkPatch(delay=-1.0))]
    with pytest.raises(BadInput):
        hosts.set_links(wrong)
    assert hosts.call(GetLinks()).links[0].up


def test_an_impairment_is_never_silently_left_out(agent):
    if _kernel_has_netem(agent):
        pytest.skip("netem: this kernel has it, so there is nothing to refuse")
    with pytest.raises(Unable, match="no netem"):
        agent.call(pair(LinkPatch(delay=0.01)))
    assert agent.call(ListNodes()).nodes == ()


def _kernel_has_netem(agent: AgentClient) -> bool:
    agent.call(pair())
    return agent.run("left", ["tc", "qdisc", "add", "dev", "lo", "root", "netem"]).code == 0


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (Build(nodes=(WireNode(name="a", kind="host"),) * 2, links=()), "node name is used twice"),
        (
            Build(
                nodes=(WireNode(name="a", kind="host"),),
                links=(WireLink(name="l", ends=(WireEnd(node="a", interface="e"), WireEnd(node="b", interface="e"))),),
            ),
            "no node called 'b'",
        ),
        (
            Build(
                nodes=(WireNode(name="a", kind="host"),),
                links=(WireLink(name="l", ends=(WireEnd(node="a", interface="e"), WireEnd(node="a", interface="e"))),),
            ),
            "more than one interface 'e'",
        ),
        (Build(nodes=(WireNode(name="a", kind="host", addresses=("10.0.0.300/24",)),), links=()), "not an IP address"),
    ],
)
def test_a_build_that_cannot_be_leaves_nothing(agent, build, expected):
    with pytest.raises(BadInput, match=expected):
        agent.call(build)
    assert agent.call(ListNodes()).nodes == ()


def test_a_new_build_replaces_the_old_one(agent):
    agent.call(pair())
    agent.call(Build(nodes=(WireNode(name="alone", kind="host", addresses=("192.0.2.1/32",)),), links=()))
    assert [node.name for node in agent.call(ListNodes()).nodes] == ["alone"]
    assert b"192.0.2.1/32" in agent.run("alone", ["ip", "-br", "address"]).stdout


def test_a_host_uses_its_gateway(agent):
    ends = (
        WireEnd(node="h", interface="eth1", addresses=("10.0.0.2/30",)),
        WireEnd(node="r", interface="eth1", addresses=("10.0.0.1/30",)),
    )
    nodes = (
        WireNode(name="h", kind="host", gateway="10.0.0.1"),
        WireNode(name="r", kind="host", addresses=("10.9.9.9/32",)),
    )
    agent.call(Build(nodes=nodes, links=(WireLink(name="l", ends=ends),)))
    assert agent.run("h", ["ping", "-n", "-c1", "-W2", "10.9.9.9"]).code == 0


def test_a_bridge_joins_its_ports(agent):
    nodes = (*(WireNode(name=f"h{i}", kind="host") for i in range(3)), WireNode(name="sw", kind="bridge"))
    links = tuple(
        WireLink(
            name=f"l{i}",
            ends=(
                WireEnd(node=f"h{i}", interface="eth1", addresses=(f"10.0.0.{i + 1}/24",)),
                WireEnd(node="sw", interface=f"port{i}"),
            ),
        )
        for i in range(3)
    )
    agent.call(Build(nodes=nodes, links=links))
    for address in ("10.0.0.2", "10.0.0.3"):
        assert agent.run("h0", ["ping", "-n", "-c1", "-W3", address]).code == 0


def test_a_ring_of_two_hundred_hosts_costs_no_process(agent):
    count = 200
    nodes = tuple(WireNode(name=f"h{i}", kind="host") for i in range(count))
    links = tuple(
        WireLink(
            name=f"l{i}",
            ends=(
                WireEnd(node=f"h{i}", interface="eth1", addresses=(f"10.0.{i}.1/30",)),
                WireEnd(node=f"h{(i + 1) % count}", interface="eth2", addresses=(f"10.0.{i}.2/30",)),
            ),
        )
        for i in range(count)
    )
    assert agent.call(Build(nodes=nodes, links=links)).links == count
    assert agent.run("h0", ["ping", "-n", "-c1", "-W2", "10.0.0.2"]).code == 0
    processes = agent.run("h0", ["ps", "-e", "-o", "comm="]).stdout.split()
    assert len(processes) <= 4, processes  # unshare's child, the agent, ps
    agent.call(Build(nodes=(), links=()))


def test_a_file_lands_in_the_nodes_own_place(agent):
    agent.call(Build(nodes=tuple(WireNode(name=n, kind="router", daemons=("zebra",)) for n in ("a", "b")), links=()))
    agent.call(WriteFile(node="a", path="/var/lib/testbed/note", data=b"mine", mode=0o640))
    shown = agent.run("a", ["sh", "-c", "cat /var/lib/testbed/note; stat -c %a /var/lib/testbed/note; hostname"])
    assert shown.stdout == b"mine640\na\n"
    assert agent.run("b", ["cat", "/var/lib/testbed/note"]).code == 1
    assert not Path("/var/lib/testbed/note").exists()


def test_nothing_is_missing_where_nothing_routes(hosts):
    assert hosts.call(WaitReady(deadline=5)).missing == ()


def test_an_agent_that_dies_is_reported_within_five_seconds(tmp_path):
    write_keys(tmp_path)
    endpoint = f"ipc://{tmp_path}/socket"
    process = start_agent(tmp_path, "--endpoint", endpoint)
    try:
        with AgentClient(tmp_path, endpoint) as client:
            client.hello(timeout=20)
            client.call(pair())
            process.kill()
            started = time.monotonic()
            with pytest.raises(GuestFailed, match="silent"):
                client.call(Exec(node="left", argv=("sleep", "60")))
            assert time.monotonic() - started < 5
    finally:
        process.kill()
        process.wait()


class Busy:
    """A machine that gave the agent no processor for a share of the time, as the client asks."""

    def __init__(self, share):
        self._share, self._start = share, time.monotonic()

    def __call__(self):
        return self._share * (time.monotonic() - self._start)


def silence(folder, share):
    """Seconds until an agent that never answers counts as dead, and in which words."""
    started = time.monotonic()
    with (
        AgentClient(folder, f"ipc://{folder}/nobody", starved=Busy(share)) as client,
        pytest.raises(GuestFailed) as caught,
    ):
        client.hello()
    return time.monotonic() - started, str(caught.value)


@pytest.mark.alone
def test_silence_without_a_processor_is_not_held_against_an_agent(agent_folder, monkeypatch):
    took, words = silence(agent_folder, 0.0)
    assert 4.0 <= took < 5.0
    assert "without a processor" not in words
    took, words = silence(agent_folder, 0.5)
    assert 5.0 < took < 8.0
    assert "without a processor" in words
    monkeypatch.setattr(client_module, "LONGEST_SILENCE", 6.0)
    took, words = silence(agent_folder, 1.0)
    assert 6.0 <= took < 7.0


def test_a_dead_kernel_is_reported_with_its_consoles_last_words(agent_folder):
    class Dead:
        alive = False
        reason = "linux.uml ended with signal 9"
        console = ("one", "Kernel panic - not syncing")

    with AgentClient(agent_folder, f"ipc://{agent_folder}/nobody", liveness=Dead) as client:
        with pytest.raises(GuestFailed, match=r"signal 9(.|\n)*Kernel panic"):
            client.hello()


def test_killing_the_agent_leaves_nothing(tmp_path):
    write_keys(tmp_path)
    endpoint = f"ipc://{tmp_path}/socket"
    process = start_agent(tmp_path, "--endpoint", endpoint)
    with AgentClient(tmp_path, endpoint) as client:
        client.hello(timeout=20)
        client.call(Build(nodes=(WireNode(name="r", kind="router", daemons=("zebra",)),), links=()))
        client.run("r", ["sh", "-c", "sleep 777.25 & true"])
        assert b"sleep 777.25" in _processes()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while b"sleep 777.25" in _processes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _processes() -> bytes:
    return subprocess.run(["ps", "-ef"], capture_output=True, check=True).stdout
