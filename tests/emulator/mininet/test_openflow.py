"""Scripts of Mininet's that ask for Open vSwitch or for a controller, on this machine's own kernel."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import BadInput

Make = Callable[..., Any]
LEARNER = f"{sys.executable} -m testbed.control.learning 127.0.0.1"
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def installed(mininet_works: None) -> None:
    for program in ("ovs-vswitchd", "ovsdb-server", "ovs-ofctl"):
        if shutil.which(program) is None:
            pytest.skip(f"Open vSwitch: {program} is not installed")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("Open vSwitch: /dev/net/tun is closed")


def test_switches_that_are_asked_for_are_taught_by_our_controller_and_change_while_they_run(network: Make):
    from mininet.node import Controller, OVSSwitch  # pyright: ignore[reportMissingImports]
    from mininet.topo import LinearTopo  # pyright: ignore[reportMissingImports]

    net = network(LinearTopo(2), switch=OVSSwitch, controller=Controller)
    s1 = net["s1"]
    assert net.pingAll() == 0
    assert re.search(r'in_port="s1-eth1".*actions=output:"s1-eth2"', s1.dpctl("dump-flows"))
    assert s1.vsctl("get Interface s1-eth2 ofport").strip() == "2"
    s1.dpctl("del-flows")
    h3, s3 = net.addHost("h3", ip="10.0.0.3/8"), net.addSwitch("s3")
    net.addLink(h3, s3)
    link = net.addLink(s3, s1)
    s3.start(net.controllers)
    s1.attach(link.intf2)
    h3.configDefault()
    assert net.pingAll() == 0
    s1.detach(link.intf2)
    assert net.ping([h3, net["h1"]], timeout="1") == 100
    assert all(switch.connected() for switch in net.switches)


def test_patch_ports_join_switches_of_open_vswitch(network: Make):
    from mininet.link import OVSLink  # pyright: ignore[reportMissingImports]
    from mininet.topo import LinearTopo  # pyright: ignore[reportMissingImports]

    net = network(LinearTopo(3), link=OVSLink)
    s1, s2, s3 = (net[f"s{number}"] for number in (1, 2, 3))
    joined = {link for link in net.links if {link.intf1.node, link.intf2.node} <= {s1, s2, s3}}
    assert len(joined) == 2
    assert net.pingAll() == 0
    assert s2.vsctl("get Interface s2-eth2 type").strip() == "patch"
    assert s2.vsctl("get Interface s2-eth2 options:peer").strip().strip('"') == "s1-eth2"
    assert "s2-eth2" not in s2.cmd("ls /sys/class/net")
    assert all(link.intf1.isUp() and link.status() == "(OK OK)" for link in joined)
    (last,) = net.linksBetween(s2, s3)
    net.delLink(last)
    assert net.ping([net["h1"], net["h3"]], timeout="1") == 100
    again = net.addLink(s2, s3, cls=OVSLink)
    s2.attach(again.intf1)
    s3.attach(again.intf2)
    assert net.pingAll() == 0
    with pytest.raises(BadInput, match=r"a patch port cannot do ifconfig down; use Link in place of OVSLink"):
        net.configLinkStatus("s2", "s3", "down")


def test_controllers_that_run_elsewhere_are_reached(network: Make):
    """One that a script starts in the machine's own namespace, and the same by its address."""
    from mininet.node import Controller, OVSSwitch, RemoteController  # pyright: ignore[reportMissingImports]

    class Program(Controller):
        def start(self):
            self.cmd(f"PYTHONPATH={PROJECT} OSKEN_HUB_TYPE=native {LEARNER} {self.port} > /dev/null 2>&1 &")

        def stop(self):
            self.cmd("kill %1; wait %1")
            super().stop()

    net = network(controller=None, build=False)
    port = free_port()
    c0 = net.addController("c0", Program, port=port)
    c1 = RemoteController("c1", ip="127.0.0.1", port=port)
    for number, controller in (("1", c0), ("2", c1)):
        switch = type("Led", (OVSSwitch,), {"start": lambda self, _all, c=controller: OVSSwitch.start(self, [c])})
        net.addLink(net.addHost(f"h{number}", ip=f"10.0.0.{number}/8"), net.addSwitch(f"s{number}", cls=switch))
    net.addLink("s1", "s2")
    net.build()
    c0.start()
    for switch in net.switches:
        switch.start([])
    assert net.waitConnected(timeout=20)
    assert net.pingAll() == 0
    assert f"tcp:127.0.0.1:{port}" in net["s2"].vsctl("get-controller s2")
    c1.terminate()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ip": "10.0.0"}, "controller c0: ip='10.0.0': expected an IPv4 address"),
        ({"port": 70000}, "controller c0: port=70000: expected a number, 1 to 65535"),
        ({"port": "6653"}, "controller c0: port='6653': expected a number"),
    ],
)
def test_a_controller_that_has_no_such_address_is_refused(asked: dict[str, Any], said: str):
    from mininet.node import RemoteController  # pyright: ignore[reportMissingImports]

    with pytest.raises(BadInput, match=re.escape(said)):
        RemoteController("c0", **asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"protocols": "OpenFlow10"}, "s1: protocols='OpenFlow10': our own controller speaks OpenFlow13"),
        ({"inNamespace": True}, "s1: inNamespace=True: all switches of Open vSwitch share"),
    ],
)
def test_a_switch_that_cannot_be_is_refused(asked: dict[str, Any], said: str):
    from mininet.node import Controller, OVSSwitch  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet

    net = Mininet(controller=Controller)
    try:
        c0, s1 = net.addController("c0"), net.addSwitch("s1", cls=OVSSwitch, **asked)
        with pytest.raises(BadInput, match=re.escape(said)):
            s1.start([c0])
    finally:
        net.stop()
