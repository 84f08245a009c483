"""Whole labs: a topology goes in, a ready network comes out, and nothing is left of one that failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.emulator.messages import Progress
from testbed.errors import BadInput, NotReady, Unable
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.processes import alive
from testbed.substrate.folder import home
from testbed.substrate.probe import run as probe

PAIR = {
    "name": "pair",
    "nodes": {"a": {"kind": "host"}, "b": {"kind": "host"}},
    "links": {
        "a-b": {
            "endpoints": [
                {"node": "a", "interface": "eth1", "addresses": ["10.0.0.1/30"]},
                {"node": "b", "interface": "eth1", "addresses": ["10.0.0.2/30"]},
            ]
        }
    },
}
ROUTERS = {
    "name": "routers",
    "guest": {"memory": "512MiB"},
    "nodes": {
        "r1": {"kind": "router", "loopbacks": ["10.255.0.1/32"]},
        "r2": {"kind": "router", "loopbacks": ["10.255.0.2/32"]},
    },
    "links": {
        "r1-r2": {
            "endpoints": [
                {"node": "r1", "interface": "eth1", "addresses": ["10.0.0.1/30"]},
                {"node": "r2", "interface": "eth1", "addresses": ["10.0.0.2/30"]},
            ],
            "forward": {"delay": "10ms"},
            "backward": {"delay": "10ms"},
        }
    },
}


def _nothing_of(name: str) -> None:
    assert name not in [lab.name for lab in Lab.all()]
    assert not (home() / "labs" / name).exists()


def test_a_native_lab_carries_packets_between_its_nodes(testbed_home):
    if not (allowed := probe("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    with Lab.up(Topology.model_validate(PAIR), substrate="native") as lab:
        assert lab.topology == Topology.model_validate(PAIR)
        with lab.agent() as agent:
            assert agent.run("a", ["ping", "-c1", "-W2", "10.0.0.2"]).code == 0
    _nothing_of("pair")


@pytest.mark.guest
def test_routers_come_up_ready_and_their_link_delays(uml_works, testbed_home):
    events: list[Progress] = []
    with Lab.up(Topology.model_validate(ROUTERS), substrate="uml", progress=events.append) as lab:
        assert lab.liveness().alive
        assert lab.liveness().reason == ""
        with lab.agent() as agent:
            done = agent.run("r1", ["ping", "-c3", "-i0.1", "-q", "10.255.0.2"])
        assert done.code == 0, done.stdout
        average = float(done.stdout.decode().rsplit("=", 1)[1].split("/")[1])
        assert average >= 20
    assert events
    _nothing_of("routers")


def test_links_to_be_impaired_are_refused_where_the_kernel_cannot(monkeypatch, testbed_home):
    if probe("netem").ok:
        from testbed.substrate import probe as module

        monkeypatch.setattr(module, "run", lambda name: module.Answer(False, "no netem"))
    with pytest.raises(Unable, match=r"r1-r2.*--substrate uml"):
        Lab.up(Topology.model_validate(ROUTERS), substrate="native")
    _nothing_of("routers")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"kind": "bridge", "vlan_filtering": True}, r"s1: vlan_filtering, .* no VLANs apart .*--substrate uml"),
        (
            {"kind": "switch", "datapath": "kernel"},
            r"s1: datapath kernel, .*--substrate uml`, or `datapath: userspace`",
        ),
    ],
)
def test_what_the_kernel_lacks_for_switching_is_refused_before_anything_starts(monkeypatch, testbed_home, node, said):
    from testbed.substrate import probe as module

    monkeypatch.setattr(module, "run", lambda name: module.Answer(False, "this kernel refuses it"))
    with pytest.raises(Unable, match=said):
        Lab.up(Topology.model_validate({"name": "lacking", "nodes": {"s1": node}, "links": {}}), substrate="native")
    _nothing_of("lacking")


def test_programs_that_are_not_installed_are_named_before_anything_starts(monkeypatch, testbed_home):
    monkeypatch.setattr("testbed.substrate.needs.OPEN_VSWITCH", ("ovsdb-none",))
    topology = {"name": "lacking", "nodes": {"s1": {"kind": "switch"}}, "links": {}}
    with pytest.raises(Unable, match=r"has switches \(s1\), and ovsdb-none is not installed: apt-get install"):
        Lab.up(Topology.model_validate(topology), substrate="native")
    _nothing_of("lacking")


def test_a_network_that_does_not_become_ready_is_named_and_taken_away(testbed_home):
    config = "interface eth1\n ip ospf area 0\n ip ospf hello-interval 7\nrouter ospf\n"  # r1 says hello each second
    broken = ROUTERS | {
        "name": "alone",
        "nodes": ROUTERS["nodes"] | {"r2": {"kind": "router", "config": config}},
        "links": {"r1-r2": {"endpoints": ROUTERS["links"]["r1-r2"]["endpoints"]}},
    }
    with pytest.raises(NotReady, match=r"r1.*OSPF"):
        Lab.up(Topology.model_validate(broken), substrate="native", ready_timeout=6.0)
    _nothing_of("alone")


def test_several_guests_are_refused_where_there_is_one_kernel(testbed_home):
    with pytest.raises(
        BadInput, match=r"guests is 2: substrate native has this machine's one kernel; .*--substrate uml"
    ):
        Lab.up(Topology.model_validate(PAIR | {"guest": {"guests": 2}}), substrate="native")
    _nothing_of("pair")


def test_more_guests_than_nodes_are_refused(uml_works, testbed_home):
    with pytest.raises(BadInput, match="guests is 3, and the topology has 2"):
        Lab.up(Topology.model_validate(PAIR | {"guest": {"guests": 3}}), substrate="uml")
    _nothing_of("pair")


def test_more_memory_than_the_machine_has_is_refused_with_both_numbers(uml_works, testbed_home):
    asked = Topology.model_validate(PAIR | {"guest": {"memory": "900GiB", "guests": 2}})
    with pytest.raises(Unable, match=r"2 guests of 921600 MiB need 1843200 MiB, and this machine has \d+ MiB to give"):
        Lab.up(asked, substrate="uml")
    _nothing_of("pair")


def test_too_little_memory_is_refused(uml_works, testbed_home):
    with pytest.raises(BadInput, match="128MiB"):
        Lab.up(Topology.model_validate(PAIR | {"guest": {"memory": "16MiB"}}), substrate="uml")
    _nothing_of("pair")


@pytest.mark.guest
def test_a_guest_has_the_memory_asked_for(uml_works, testbed_home):
    with Lab.up(Topology.model_validate(PAIR | {"guest": {"memory": "200MiB"}}), substrate="uml") as lab:
        with lab.agent() as agent:
            total = agent.run("a", ["sh", "-c", "read -r _ kib _ < /proc/meminfo; echo $kib"]).stdout
        assert 150 * 1024 < int(total) < 200 * 1024


def test_a_name_in_use_is_refused_and_the_first_lab_stays(testbed_home):
    with Lab.up(Topology.model_validate(PAIR), substrate="native") as lab:
        with pytest.raises(BadInput, match="testbed down pair"):
            Lab.up(Topology.model_validate(PAIR), substrate="native")
        assert lab.liveness().alive


def test_an_interrupt_during_up_leaves_nothing(testbed_home):
    script = (
        "import signal; from testbed.lab import Lab; from testbed.model.topology import Topology\n"
        "from testbed.emulator.client import AgentClient\n"
        # A shell starts what runs in its background with SIGINT ignored, and that is inherited.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        # Sent to the process, it might be taken by another thread, and this one would wait for ever.
        "AgentClient.call = lambda *a, **k: (signal.raise_signal(signal.SIGINT), signal.pause())\n"
        f"Lab.up(Topology.model_validate({PAIR!r}), substrate='native')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, check=False
    )
    assert b"KeyboardInterrupt" in done.stderr
    _nothing_of("pair")


def test_a_lab_outlives_the_command_and_the_terminal_that_started_it(testbed_home):
    script = (
        "from testbed.lab import Lab; from testbed.model.topology import Topology\n"
        f"Lab.up(Topology.model_validate({PAIR!r}), substrate='native')"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=True, start_new_session=True)
    lab = Lab.open("pair")
    try:
        keeper = lab.folder.record().keeper
        assert keeper is not None
        assert os.getsid(keeper.pid) == keeper.pid
        os.kill(keeper.pid, signal.SIGHUP)
        os.kill(keeper.pid, signal.SIGINT)
        assert lab.liveness().alive
    finally:
        run = lab.folder.run
        started = time.monotonic()
        lab.down()
    assert time.monotonic() - started < 5
    assert not alive(keeper)
    assert not run.exists()


def test_end_systems_of_a_5g_core_come_up_as_hosts(testbed_home):
    if not (allowed := probe("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    kinds = ("core", "upf", "gnb", "ue", "host")
    nodes = {kind: {"kind": kind} for kind in kinds} | {"lan": {"kind": "bridge"}}
    links = {
        f"{kind}-lan": {
            "endpoints": [
                {"node": kind, "interface": "eth0", "addresses": [f"10.0.0.{number}/24"]},
                {"node": "lan", "interface": f"p{number}"},
            ]
        }
        for number, kind in enumerate(kinds, 1)
    }
    topology = Topology.model_validate({"name": "ends", "nodes": nodes, "links": links})
    with Lab.up(topology, substrate="native") as lab:
        assert lab.topology == topology
        with lab.agent() as agent:
            for number in range(2, 6):
                assert agent.run("core", ["ping", "-c1", "-W2", f"10.0.0.{number}"]).code == 0
    _nothing_of("ends")
