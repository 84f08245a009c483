"""A script that only stock Mininet was written for, unchanged, in a guest: links there are as TCLink asks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("mininet_package", "uml_works"), pytest.mark.timeout(180)]

PROJECT = Path(__file__).resolve().parents[3]
SCRIPT = """
from mininet.cli import CLI
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo

net = Mininet(topo=SingleSwitchTopo(2), link=TCLink, waitConnected=True)
net.start()
h1, h2 = net.get("h1", "h2")
print("pingall", net.pingAll())
h1.intf().config(delay="20ms", bw=8)
h1.cmd("ping -c1", h2.IP())  # ARP
print("delayed", h1.cmd("ping -c5 -i0.1 -q", h2.IP()))
print("rates", net.iperf(seconds=2))
h1.intf().config(loss=100)
print("lost", h1.cmd("ping -c3 -i0.2 -W1 -q", h2.IP()))
h1.intf().config(loss=0)
h3 = net.addHost("h3")
link = net.addLink(h3, net["s1"], delay="5ms")
net["s1"].attach(link.intf2)
h3.setIP("10.0.0.3/8")
print("added", h3.popen("ping -c3 -W5 -q 10.0.0.2").communicate()[0].decode())
net.configLinkStatus("h2", "s1", "down")
print("down", net.ping([h1, h2], timeout="1"))
net.configLinkStatus("h2", "s1", "up")
CLI(net)
net.stop()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the script printed, by the first word of each piece."""
    file = tmp_path_factory.mktemp("script") / "script.py"
    file.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "mininet", "run", "--substrate", "uml", file],
        input="h1 ping -c1 h3\n", capture_output=True, text=True, timeout=170, cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    pieces = re.split(r"^(pingall|delayed|rates|lost|added|down) ", done.stdout, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True)) | {"typed": done.stdout + done.stderr}


def test_all_hosts_reach_each_other(said: dict[str, str]):
    assert said["pingall"].split()[0] == "0.0"


def test_packets_are_delayed_as_asked(said: dict[str, str]):
    found = re.search(r"= ([\d.]+)/", said["delayed"])
    assert found
    assert 20 <= float(found[1]) < 25


def test_the_rate_is_held(said: dict[str, str]):
    rates = [float(rate) for rate in re.findall(r"([\d.]+) Mbits/sec", said["rates"])]
    assert len(rates) == 2
    assert all(2 <= rate <= 9 for rate in rates)  # how near to 8, the benchmark says


def test_what_is_to_be_lost_is_lost(said: dict[str, str]):
    assert " 0 received" in said["lost"]


def test_a_host_that_joins_while_the_network_runs_is_reached_and_delayed(said: dict[str, str]):
    assert " 3 received" in said["added"]
    found = re.search(r"= ([\d.]+)/", said["added"])
    assert found
    assert 10 <= float(found[1]) < 14


def test_a_link_that_is_down_carries_nothing(said: dict[str, str]):
    assert said["down"].split()[0] == "100.0"


def test_the_cli_takes_what_is_typed(said: dict[str, str]):
    assert "64 bytes from 10.0.0.3" in said["typed"]
