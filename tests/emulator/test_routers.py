"""FRR in nodes, on this machine's own kernel."""

import json
import re
import subprocess
import time

import pytest
from msgspec import structs

from testbed.emulator.bench import patches
from testbed.emulator.client import AgentClient
from testbed.emulator.messages import (
    Build,
    GetLinks,
    LinkChange,
    ListNodes,
    Power,
    Readiness,
    SshServer,
    Vty,
    WaitReady,
    WireNode,
    WriteFile,
)
from testbed.errors import AgentError

from .scenes import routers

LAST = "10.255.0.3"


def ready(agent: AgentClient, deadline: float = 40.0) -> Readiness:
    return agent.call(WaitReady(deadline=deadline))


def reaches(agent: AgentClient, node: str, address: str) -> bool:
    return agent.run(node, ["ping", "-n", "-c2", "-i.1", "-W1", "-I", "10.255.0.1", address]).code == 0


@pytest.mark.parametrize("protocol", ["ospf", "isis", "bgp"])
def test_what_is_called_ready_carries_packets_end_to_end(agent, protocol):
    agent.call(routers(protocol))
    assert ready(agent).missing == ()
    assert reaches(agent, "r0", LAST)


@pytest.fixture
def ospf(agent: AgentClient) -> AgentClient:
    agent.call(routers("ospf"))
    assert ready(agent).missing == ()
    return agent


def test_plain_vtysh_in_a_node_talks_to_its_own_daemons(ospf):
    for name in ("r0", "r2"):
        shown = ospf.run(name, ["vtysh", "-c", "show running-config"])
        assert shown.code == 0, shown.stderr
        assert f"hostname {name}\n".encode() in shown.stdout


def test_a_vty_answers_in_order_with_frrs_status(ospf):
    answer = ospf.call(Vty(node="r1", daemon="ospfd", commands=("show ip ospf json", "show nonsense")))
    assert json.loads(answer.outputs[0])["routerId"] == "10.255.0.2"
    assert (answer.codes[0], answer.codes[1] != 0) == (0, True)


def test_a_cut_wire_is_not_waited_for_but_one_that_should_carry_is(ospf):
    ospf.set_links([LinkChange(link="l1", up=False)])
    assert ready(ospf).missing == ()
    lines = ("configure terminal", "interface eth2", "ip ospf dead-interval 40")
    ospf.call(Vty(node="r1", daemon="ospfd", commands=lines))
    deadline = time.monotonic() + 15  # the neighbour's own dead interval has to pass
    while not any(re.match(r"r[01]: OSPF neighbour r[10] \(10.0.0.[12]\) on eth[12] is", m) for m in _missing(ospf)):
        assert time.monotonic() < deadline


def _missing(agent: AgentClient) -> tuple[str, ...]:
    return ready(agent, 0.0).missing


def test_a_daemon_that_dies_is_seen(ospf):
    pid = ospf.run("r1", ["cat", "/run/frr/ospfd.pid"]).stdout.decode().strip()
    assert ospf.run("r1", ["kill", "-9", pid]).code == 0
    deadline = time.monotonic() + 5
    while next(n for n in ospf.call(ListNodes()).nodes if n.name == "r1").daemons["ospfd"]:
        assert time.monotonic() < deadline
    assert "r1: ospfd is not running" in ready(ospf, 0.5).missing
    with pytest.raises(AgentError, match="r1: ospfd is not running"):
        ospf.call(Vty(node="r1", daemon="ospfd", commands=("show ip ospf",)))


def test_power_off_takes_carrier_from_the_peers_and_on_starts_from_startup_configuration(ospf):
    ospf.run("r1", ["vtysh", "-c", "configure terminal", "-c", "ip route 192.0.2.0/24 blackhole", "-c", "end"])
    ospf.call(Power(node="r1", on=False))
    assert b"NO-CARRIER" in ospf.run("r0", ["ip", "link", "show", "eth1"]).stdout
    assert not any(link.up for link in ospf.call(GetLinks()).links)
    assert not reaches(ospf, "r0", LAST)
    state = next(n for n in ospf.call(ListNodes()).nodes if n.name == "r1")
    assert not any(state.daemons.values())
    ospf.call(Power(node="r1", on=True))
    assert ready(ospf).missing == ()
    assert reaches(ospf, "r0", LAST)
    assert b"192.0.2.0" not in ospf.run("r1", ["ip", "route"]).stdout


@pytest.mark.parametrize(
    ("config", "line", "words"),
    [
        ("interface eth1\n ip ospf cots 10\nexit\n", "line 2, 'ip ospf cots 10'", "nknown command"),
        ("!\nroute-map X permitt 10\n", "line 2", ""),
        ("router ospf\n network 10.0.0.0/33 area 0\nexit\n", "line 2, 'network 10.0.0.0/33 area 0'", ""),
        ("router ospf\n ospf router-id 10.0.0.1\n router-idd 10.0.0.1\n", "line 3", "nknown command"),
    ],
)
def test_a_rejected_line_is_an_error_and_nothing_is_left(agent, config, line, words):
    node = WireNode(name="r", kind="router", daemons=("zebra", "ospfd"), config=config)
    with pytest.raises(AgentError, match=line) as refusal:
        agent.call(Build(nodes=(node,), links=()))
    assert "r: frr.conf was rejected" in str(refusal.value)
    assert words in str(refusal.value)
    assert agent.call(ListNodes()).nodes == ()


def test_a_given_configuration_is_kept_byte_for_byte(agent):
    config = "frr defaults traditional\n\n! a remark\nhostname   odd\nservice integrated-vtysh-config\nline vty\nend\n"
    node = WireNode(name="r", kind="router", daemons=("zebra", "ospfd"), config=config)
    agent.call(Build(nodes=(node,), links=()))
    assert agent.run("r", ["cat", "/etc/frr/frr.conf"]).stdout == config.encode()


def test_the_inside_of_an_unknown_block_does_not_leak_into_another_daemon(agent):
    config = "router ospf\n ospf router-id 1.1.1.1\n router-id 9.9.9.9\nexit\n"
    node = WireNode(name="r", kind="router", daemons=("zebra", "ospfd"), config=config)
    agent.call(Build(nodes=(node,), links=()))
    assert b"9.9.9.9" not in _section(agent, "zebra")


def _section(agent: AgentClient, daemon: str) -> bytes:
    return agent.call(Vty(node="r", daemon=daemon, commands=("show running-config",))).outputs[0].encode()


# --- managed nodes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def managed(agent: AgentClient, tmp_path) -> AgentClient:
    keys = {}
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
        keys[name] = (tmp_path / name).read_text()
    public = (tmp_path / "user.pub").read_text()

    def server(number: int, user: str, command: str = "") -> SshServer:
        return SshServer(
            address=f"10.0.2.{number}", host_key=keys["host"], user=user, authorized_key=public, forced_command=command
        )

    build = routers("ospf")
    nodes = tuple(structs.replace(node, sshd=server(101 + i, "admin")) for i, node in enumerate(build.nodes))
    bench = WireNode(name="bench", kind="host", sshd=server(150, "bench", "bench"))
    agent.call(Build(nodes=(*nodes, bench), links=build.links))
    agent.call(WriteFile(node="r0", path="/root/key", data=keys["user"].encode(), mode=0o600))
    known = f"10.0.2.* {(tmp_path / 'host.pub').read_text()}"
    agent.call(WriteFile(node="r0", path="/root/known", data=known.encode()))
    return agent


def ssh(agent: AgentClient, target: str, command: str):
    # Refused until its sshd listens: tried again each second.
    options = ["-o", "ConnectionAttempts=10", "-i", "/root/key", "-o", "UserKnownHostsFile=/root/known"]
    options += ["-o", "BatchMode=yes", "-F", "none"]
    return agent.run("r0", ["ssh", *options, target, command], timeout=20)


def test_a_managed_router_is_reached_by_ssh_and_its_vtysh_is_its_own(managed):
    shown = ssh(managed, "admin@10.0.2.102", "id -u; hostname; pwd; vtysh -c 'show running-config' | grep hostname")
    assert shown.stdout == b"0\nr1\n/run/home/admin\nhostname r1\n", shown.stderr
    assert shown.code == 0


def test_no_other_account_or_password_gets_in(managed):
    assert ssh(managed, "root@10.0.2.102", "true").code == 255


# the bench is served where a rack is built offline; here its commands are tried without SSH
def test_the_bench_reads_one_direction_or_both():
    both = patches("l", ["delay=10ms", "backward.loss=1%"])
    assert [(c.end, c.patch.delay) for c in both if c.patch] == [(0, 0.01), (1, 0.01)]
    assert both[0].patch is not None
    assert both[1].patch is not None
    assert both[0].patch.loss is not both[1].patch.loss
    assert both[1].patch.loss == 0.01
