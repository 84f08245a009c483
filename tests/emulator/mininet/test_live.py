"""What scripts of Mininet's do, on this machine's own kernel: every answer is checked against the kernel's."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import BadInput, Unable
from testbed.substrate import probe
from tests.emulator.segments import BROKEN, COUNTERS, broken

Make = Callable[..., Any]
PROJECT = Path(__file__).resolve().parents[3]
ONE_PING = "ping -c1 -W1 "


@pytest.fixture
def linear(network: Make) -> Any:
    """Three switches in a row with a host each."""
    from mininet.topo import LinearTopo  # pyright: ignore[reportMissingImports]

    return network(LinearTopo(3))


@pytest.fixture
def pair(network: Make) -> Any:
    """Two hosts at one switch."""
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    return network(SingleSwitchTopo(2))


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_hosts_reach_each_other_through_switches_that_learn(linear: Any):
    assert linear.pingAll() == 0


def test_nothing_is_forked_before_a_command_is_asked_for(network: Make):
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    before = children()
    net = network(SingleSwitchTopo(4), autoStaticArp=True)
    assert children() == before
    assert net["h1"].cmd("echo here") == "here\r\n"
    assert net["h1"].pid in map(int, children() - before)


def test_a_setting_of_the_network_needs_no_shell_and_reads_as_in_one(pair: Any):
    first, second = pair.hosts
    second.cmd("true")
    before, order = children(), "sysctl -w net.ipv4.ip_forward=1"
    assert first.cmd(order) == second.cmd(order) == "net.ipv4.ip_forward = 1\r\n"
    assert children() == before
    assert "cannot stat" in first.cmd("sysctl net.ipv4.no_such=1")
    assert first.cmd("cat /proc/sys/net/ipv4/ip_forward") == "1\r\n"


def test_a_host_has_its_own_network_mounts_and_sys(pair: Any):
    host = pair["h1"]
    assert host.cmd("ls /sys/class/net").split() == ["h1-eth0", "lo"]
    host.cmd("mount -t tmpfs none /mnt && touch /mnt/seen-by-h1")
    assert host.cmd("ls /mnt").split() == ["seen-by-h1"]
    assert not Path("/mnt/seen-by-h1").exists()
    assert "seen-by-h1" not in pair["h2"].cmd("ls /mnt")


def settings_of_the_machine() -> dict[str, str]:
    """Those that Mininet raises, and all else of the network that belongs to no interface."""
    places = [Path("/proc/sys/fs/file-max"), Path("/proc/sys/kernel/pty/max")]
    for folder in ("core", "ipv4", "ipv4/neigh/default", "ipv4/route", "ipv6/neigh/default", "ipv6/route"):
        places += [place for place in Path("/proc/sys/net", folder).iterdir() if place.is_file()]
    return {str(place): place.read_text() for place in places if place.stat().st_mode & 0o400}


def test_no_setting_of_the_machine_is_changed(network: Make):
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    before = settings_of_the_machine()
    net = network(SingleSwitchTopo(40), autoStaticArp=True)
    assert net["h1"].cmd("ip neigh").count("PERMANENT") == 39
    assert settings_of_the_machine() == before


@pytest.mark.parametrize(
    ("static", "said"), [(False, "holds 11 addresses, fewer than the pairs of 4 hosts"), (True, "")]
)
def test_a_network_too_large_for_the_machines_arp_table_says_so(
    network: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, static: bool, said: str
):
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    from testbed.emulator.mininet import net as module
    from testbed.emulator.mininet import ovs, switch

    (tmp_path / "limit").write_text("11")
    warned: list[str] = []
    monkeypatch.setattr(module, "_ARP_LIMIT", tmp_path / "limit")
    monkeypatch.setattr(switch, "_said", {ovs.LEARNS})
    monkeypatch.setattr(switch.stock.log, "warn", warned.append)
    network(SingleSwitchTopo(4), autoStaticArp=static)
    assert said in "".join(warned)
    assert bool(warned) == bool(said)


def test_all_ways_to_run_a_command(pair: Any):
    host = pair["h1"]
    assert host.pexec("sh", "-c", "echo out; echo err >&2; exit 3") == ("out\n", "err\n", 3)
    assert host.popen("echo $HOME | wc -l", shell=True).communicate()[0] == b"1\n"
    assert host.popen(["cat", "/proc/self/net/dev"]).communicate()[0].count(b"h1-eth0") == 1
    host.sendCmd("sleep 0.1; echo waited")
    assert host.waiting
    assert host.waitOutput() == "waited\r\n"
    host.sendCmd("sleep 100")
    _until(lambda: "sleep 100" in commands_of(host))  # a shell that has yet to become the program takes no interrupt
    host.sendInt()
    host.waitOutput()
    host.cmd("sleep 50 &")
    _until(lambda: commands_of(host).get("sleep 50") == host.lastPid)


def commands_of(host: Any) -> dict[str, int]:
    """The programs that a node's shell runs, with their process numbers."""
    pids = [int(word) for word in Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()]
    return {Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip(): pid for pid in pids}


def test_monitor_of_hosts_gives_lines(pair: Any):
    for host in pair.hosts:
        host.sendCmd(f"echo I am {host}")
    heard = {}
    for host, line in pair.monitor(timeoutms=2000):
        assert host is not None, "nothing was said for 2 s"
        heard[host.name] = line.strip()
        if len(heard) == 2:
            break
    assert heard == {"h1": "I am h1", "h2": "I am h2"}


def test_addresses_are_the_kernels(pair: Any):
    host = pair["h1"]
    shown = host.pexec("ip -o addr show h1-eth0")[0]
    assert "inet 10.0.0.1/8" in shown
    assert (host.IP(), pair.get("h2").IP()) == ("10.0.0.1", "10.0.0.2")
    assert host.MAC() == host.intf().updateMAC()
    host.setIP("10.9.0.1", 16)
    assert re.findall(r"inet (\S+)", host.pexec("ip -o addr show h1-eth0")[0]) == ["10.9.0.1/16"]
    host.setMAC("02:00:00:00:00:77")
    assert "02:00:00:00:00:77" in host.pexec("ip link show h1-eth0")[0]
    host.cmd("ifconfig h1-eth0 10.7.0.1/24")
    assert host.intf("h1-eth0").updateIP() == "10.7.0.1"
    uncounted = [
        re.sub(r"(packets|bytes) .*", "", text)
        for text in (host.defaultIntf().ifconfig(), host.cmd("ifconfig h1-eth0"))
    ]
    assert uncounted[0] == uncounted[1]


def test_a_link_goes_down_and_up(linear: Any):
    linear.configLinkStatus("s1", "s2", "down")
    assert linear.ping([linear["h1"], linear["h2"]], timeout="1") == 100
    assert linear.ping([linear["h2"], linear["h3"]]) == 0
    linear.configLinkStatus("s1", "s2", "up")
    linear.waitConnected()
    assert _pings(linear["h1"], linear["h2"])


def _pings(one: Any, other: Any, tries: int = 5) -> bool:
    return any("1 received" in one.cmd(ONE_PING + other.IP()) for _ in range(tries))


def test_a_network_grows_and_shrinks_while_it_runs(pair: Any):
    h3, s2 = pair.addHost("h3", ip="10.0.0.3/8"), pair.addSwitch("s2")
    pair.addLink(s2, pair["s1"])
    link = pair.addLink(h3, s2)
    s2.start([])
    pair["s1"].attach("s1-eth3")
    h3.configDefault()
    assert _pings(h3, pair["h1"])
    pair.delLink(link)
    assert h3.intfList() == []
    assert h3.cmd("ls /sys/class/net").split() == ["lo"]
    pair.delHost(h3)
    assert "h3" not in pair
    assert pair.pingAll() == 0


def test_a_node_of_the_scripts_own_class_routes(network: Make):
    from mininet.node import Node  # pyright: ignore[reportMissingImports]
    from mininet.topo import Topo  # pyright: ignore[reportMissingImports]

    class Router(Node):
        def config(self, **params):
            super().config(**params)
            self.cmd("sysctl net.ipv4.ip_forward=1")

    class Two(Topo):
        def build(self, **_params):
            router = self.addNode("r0", cls=Router, ip="10.1.0.1/24")
            for number in (1, 2):
                way = {"ip": f"10.{number}.0.1/24"}
                host = self.addHost(f"h{number}", ip=f"10.{number}.0.2/24", defaultRoute=f"via 10.{number}.0.1")
                self.addLink(host, router, params2=way)

    net = network(Two())
    assert isinstance(net["r0"], Router)
    assert net["h1"].pexec("ip route")[0].startswith("default via 10.1.0.1 dev h1-eth0")
    assert _pings(net["h1"], net["h2"])


def test_routes_and_arp_entries(pair: Any):
    host = pair["h1"]
    host.setDefaultRoute("dev h1-eth0")
    host.setDefaultRoute("via 10.0.0.2")
    host.setHostRoute("192.0.2.7", "h1-eth0")
    host.setARP("10.0.0.99", "02:00:00:00:00:99")
    routes = host.pexec("ip route")[0]
    assert re.findall(r"default.*", routes) == ["default via 10.0.0.2 dev h1-eth0 "]
    assert "192.0.2.7 dev h1-eth0 scope link" in routes
    assert "10.0.0.99 dev h1-eth0 lladdr 02:00:00:00:00:99 PERMANENT" in host.pexec("ip neigh")[0]


def test_switches_share_a_namespace_that_is_not_the_callers(linear: Any):
    assert {"s1", "s2", "s3", "s1-eth1"} <= set(linear["s1"].cmd("ls /proc/sys/net/ipv4/conf").split())
    assert not any(name.startswith("s1") for name in os.listdir("/sys/class/net"))


def test_switches_begin_together_and_forward_as_soon_as_the_network_has_started(mininet_works: None):
    """Packets that hosts send unasked would else flood those that are there already, while the others are made."""
    from mininet.nodelib import LinuxBridge  # pyright: ignore[reportMissingImports]
    from mininet.topo import LinearTopo  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet

    class Watched(LinuxBridge):
        def start(self, controllers: Any = ()) -> None:
            super().start(controllers)
            early.append(self.room.look(self.bridge).up)

    early: list[bool] = []
    net = Mininet(LinearTopo(20), switch=Watched, controller=None)
    try:
        net.start()
        ports = [switch.room.look(port.number()) for switch in net.switches for port in switch.data_ports()]
        assert {port.port_state for port in ports} == {3}, "BR_STATE_FORWARDING"
        assert early == [False] * 20
        assert net.ping([net["h1"], net["h20"]]) == 0
        late = net.addSwitch("s21")
        late.start()
        assert early[-1], "one that is added begins at once"
    finally:
        net.stop()


def test_a_switch_forwards_what_a_router_would_not(pair: Any):
    pair["h1"].pexec([sys.executable, "-c", BROKEN.replace("INTERFACE", "h1-eth0")])
    while broken(pair["h2"].cmd(f"cat {COUNTERS}")) < 20:  # at the test's own deadline at the latest
        pass


def test_the_first_node_leaves_the_caller_where_it_was(mininet_works: None):
    script = """
import os
from testbed.mininet import Mininet
before = os.stat("/proc/thread-self/ns/net").st_ino
net = Mininet(controller=None)
net.addLink(net.addHost("h1"), net.addSwitch("s1"))
net.addLink(net.addHost("h2"), net.addSwitch("s2"))
assert os.stat("/proc/thread-self/ns/net").st_ino == before
net.stop()
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=30)


def test_a_node_in_the_callers_namespace_reaches_hosts_and_leaves_nothing(network: Make):
    from mininet.node import Node  # pyright: ignore[reportMissingImports]
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet

    net = Mininet(topo=SingleSwitchTopo(1))
    root = Node("tbroot", inNamespace=False)
    try:
        root.setIP("10.255.255.1/8", intf=net.addLink(root, net["s1"]).intf1)
        net.start()
        assert "tbroot-eth0" in os.listdir("/sys/class/net")
        answer = subprocess.run(["ping", "-c1", "-W2", "10.0.0.1"], capture_output=True, text=True, check=False)
        assert " 1 received" in answer.stdout
    finally:
        net.stop()
    assert "tbroot-eth0" not in os.listdir("/sys/class/net")


def test_what_a_script_left_running_ends_with_the_network(mininet_works: None):
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet

    net = Mininet(topo=SingleSwitchTopo(2))
    net.start()
    net["h1"].cmd("setsid nohup sleep 4321 > /dev/null 2>&1 &")
    pid = net["h1"].lastPid
    popen = net["h2"].popen("sleep 4321")
    net.stop()
    assert popen.wait(5) == -9
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    popen.stdout.close()
    popen.stderr.close()


@pytest.mark.skipif(not os.access("/sys/fs/cgroup/cpu", os.W_OK), reason="cgroup: no v1 hierarchy `cpu` to write to")
def test_what_a_host_with_limited_cpu_starts_is_limited_and_ends_with_the_script(network: Make):
    from mininet.node import CPULimitedHost  # pyright: ignore[reportMissingImports]
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    name = f"h{os.getpid()}"  # cgroups are the machine's
    net = network(SingleSwitchTopo(1))
    host = net.addHost(name, cls=CPULimitedHost, cpu=0.3)
    with host.popen("sleep 4321") as started:
        assert str(started.pid) in Path(f"/sys/fs/cgroup/cpu/{name}/tasks").read_text().split()
        in_the_family = Path(f"/proc/{started.pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()
        assert len(in_the_family) == 2
        started.kill()
    net.delNode(host)
    for left in Path("/sys/fs/cgroup").glob(f"*/{name}"):  # cgdelete(1) leaves all but the first
        left.rmdir()


KILLED = """
import os, signal
from testbed.mininet import Mininet
from mininet.node import Node
from mininet.topolib import TreeTopo
net = Mininet(topo=TreeTopo(2, 2)); net.start()
root = Node("tbkill", inNamespace=False)
net.addLink(root, net["s1"])
net["h1"].cmd("setsid nohup sleep 87654 > /dev/null 2>&1 &")
net["h2"].popen("sleep 87654")
net["s1"].cmd("sleep 87654 &")
print("ready", flush=True)
signal.pause()
"""


def test_nothing_is_left_of_a_script_that_is_killed(mininet_works: None):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=environment) as script:
        try:
            assert script.stdout is not None
            assert script.stdout.readline() == b"ready\n"
            _until(lambda: len(_sleeping()) == 3)
            assert "tbkill-eth0" in os.listdir("/sys/class/net")
        finally:
            script.kill()
    _until(lambda: not _sleeping() and "tbkill-eth0" not in os.listdir("/sys/class/net"))


def _until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _sleeping() -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "cmdline").read_bytes() == b"sleep\x0087654\0":
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_the_cli_drives_a_running_network(pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from mininet.cli import CLI  # pyright: ignore[reportMissingImports]
    from mininet.log import lg  # pyright: ignore[reportMissingImports]

    orders = tmp_path / "orders"
    orders.write_text(
        "nodes\nnet\nlinks\npingall\nh1 ping -c1 h2\nlink h1 s1 down\npy h1.intf().isUp()\nlink h1 s1 up\ndump\n"
    )
    monkeypatch.setattr(lg.ch, "stream", io.StringIO())
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w"):
        CLI(pair, stdin=stdin, script=str(orders))
    said = lg.ch.stream.getvalue()
    for expected in (
        "available nodes are",
        "h1-eth0:s1-eth1",
        "(OK OK)",
        "1 packets transmitted, 1 received",
        "<Host h1",
    ):
        assert expected in said


def test_iperf_ends_and_says_what_both_ends_saw(pair: Any):
    rates = pair.iperf(seconds=1)
    assert [rate.split()[1][1:] for rate in rates] == ["bits/sec"] * 2
    assert pair.iperf(l4Type="UDP", udpBw="5M", seconds=1)[0] == "5M"
    with pytest.raises(BadInput, match="'TCP' or 'UDP'"):
        pair.iperf(l4Type="SCTP")


# --- TCLink ---


def test_a_rate_is_held_and_changed_while_it_runs(network: Make):
    from mininet.link import TCLink  # pyright: ignore[reportMissingImports]
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    net = network(SingleSwitchTopo(2), link=partial(TCLink, bw=20, max_queue_size=50, use_htb=True))
    shown = net["h1"].cmd("tc class show dev h1-eth0; tc qdisc show dev h1-eth0")
    assert "class htb 5:1 root leaf 10: prio 0 rate 20Mbit ceil 20Mbit burst 15Kb" in shown
    assert "qdisc pfifo 10: parent 5:1 limit 50p" in shown
    rate, unit = net.iperf(seconds=2)[0].split()
    assert unit == "Mbits/sec"
    assert 16 <= float(rate) <= 20.5
    intf = net["h1"].intf()
    intf.config(bw=5)
    shown = net["h1"].cmd("tc class show dev h1-eth0; tc qdisc show dev h1-eth0")
    assert "rate 5Mbit" in shown
    assert "limit 50p" in shown
    intf.config(bw=None, max_queue_size=None)
    assert "htb" not in net["h1"].cmd("tc qdisc show dev h1-eth0")


@pytest.mark.parametrize(("how", "shown"), [({"use_tbf": True, "latency_ms": 20}, "tbf 5: root")])
def test_the_rate_is_held_as_asked(network: Make, how: dict[str, Any], shown: str):
    from mininet.link import TCIntf  # pyright: ignore[reportMissingImports]
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]
    from mininet.util import custom  # pyright: ignore[reportMissingImports]

    net = network(SingleSwitchTopo(2), intf=custom(TCIntf, bw=8, **how))
    said = net["h1"].cmd("tc qdisc show dev h1-eth0")
    assert shown in said
    assert "rate 8Mbit burst 15000b lat 20ms" in said
    net["h1"].intf().config(bw=4, **how)
    assert "rate 4Mbit" in net["h1"].cmd("tc qdisc show dev h1-eth0")


def test_a_delay_that_this_kernel_cannot_give_is_an_error_and_nothing_remains(mininet_works: None):
    from mininet.link import TCLink  # pyright: ignore[reportMissingImports]
    from mininet.topo import SingleSwitchTopo  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet, Node

    if probe.run("netem").ok:
        pytest.skip("this kernel has netem")
    before = set(Node.outToNode), set(os.listdir("/proc/self/fd"))
    with pytest.raises(Unable, match=r"h1-eth0: 10ms delay: .*no netem.*--substrate uml"):
        Mininet(topo=SingleSwitchTopo(2), link=partial(TCLink, delay="10ms"))
    assert (set(Node.outToNode), set(os.listdir("/proc/self/fd"))) == before


def test_a_link_that_cannot_be_as_asked_is_not_made(pair: Any):
    from mininet.link import TCLink  # pyright: ignore[reportMissingImports]

    interfaces = pair["h1"].intfNames()
    with pytest.raises(BadInput, match="h1-eth1: loss=101: expected a number, percent, 0 to 100"):
        pair.addLink("h1", "h2", cls=TCLink, loss=101)
    assert pair["h1"].intfNames() == interfaces
    assert pair["h1"].cmd("ls /sys/class/net").split() == ["h1-eth0", "lo"]
    assert pair.pingAll() == 0


# --- what is refused ---


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda net: net["h1"].setIP("10.0.0.999/8"), "h1-eth0: '10.0.0.999/8' is not an address"),
        (lambda net: net["h1"].intf().setIP("10.0.0.9"), "no prefix length"),
        (lambda net: net["h1"].setMAC("nonsense"), "h1-eth0: 'nonsense' is not a hardware address"),
        (lambda net: net["h1"].setDefaultRoute("dev h9-eth0"), "h1 has no interface 'h9-eth0'"),
        (lambda net: net.addLink(net.addHost("a-name-too-long"), net["h1"]), "expected 1 to 15 characters"),
        (lambda net: net["h1"].popen(), "expected a command"),
        (lambda net: net["s1"].vsctl("show"), "s1: ovs-vsctl show: this switch is a bridge"),
    ],
)
def test_what_cannot_be_is_refused_by_name(pair: Any, order: Callable[[Any], Any], said: str):
    with pytest.raises(BadInput, match=re.escape(said)):
        order(pair)
    assert pair.ping([pair["h1"], pair["h2"]]) == 0


def test_a_switch_with_the_spanning_tree_breaks_a_loop(network: Make):
    from mininet.node import OVSBridge  # pyright: ignore[reportMissingImports]

    from testbed.mininet import Mininet

    net = Mininet(switch=partial(OVSBridge, stp=True), controller=None)
    try:
        ring = [net.addSwitch(f"s{number}") for number in (1, 2, 3)]
        for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
            net.addLink(one, other)
        net.start()
        assert not ring[0].connected()
        assert "listening" in ring[0].cmd("bridge link")
    finally:
        net.stop()
