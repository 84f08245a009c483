"""Topo classes of Mininet, unmodified."""

from pathlib import Path

import pytest

from testbed.errors import BadInput
from testbed.exchange.registry import import_from
from testbed.model.impairment import Impairment
from testbed.model.topology import Host

pytestmark = pytest.mark.usefixtures("mininet_package")

FILE = """\
from mininet.topo import Topo
from mininet.link import TCLink

print("a file may print")

class Two(Topo):
    "Two switches."
    def build(self, hosts=1, far='5ms'):
        s1, s2 = self.addSwitch('s1'), self.addSwitch('s2')
        self.addLink(s1, s2, cls=TCLink, bw=10, delay=far, jitter='1ms', loss=2, max_queue_size=50)
        for number in range(hosts):
            for switch in (s1, s2):
                host = self.addHost(f'h{number + 1}{switch}')
                self.addLink(host, switch, params1={'bw': 1}, delay=700)
        self.addHost('gw_1', ip='10.9.0.1/16', defaultRoute='via 10.9.0.2')
        self.addLink('gw_1', s1)

topos = {'two': Two, 'four': (lambda: Two(2))}
"""


@pytest.fixture
def read(tmp_path):
    def go(name=":two", text=FILE, skip=False):
        (tmp_path / "net.py").write_text(text)
        return import_from(f"{tmp_path / 'net.py'}{name}", skip_unsupported=skip)

    return go


def test_hosts_switches_and_links_are_kept_as_mininet_makes_them(read, capsys):
    imported = read()
    topology = imported.topology
    assert imported.format == "mininet"
    assert topology.name == "two"
    assert {name: node.kind for name, node in topology.nodes.items()} == {
        "s1": "bridge", "s2": "bridge", "h1s1": "host", "h1s2": "host", "gw-1": "host",
    }  # fmt: skip
    trunk = topology.links["s1-s2"]
    expected = Impairment(rate=1e7, delay=0.005, jitter=0.001, loss=0.02, limit=50)
    assert (trunk.forward, trunk.backward) == (expected, expected)
    edge = topology.links["h1s1-s1"]
    assert (edge.forward, edge.backward) == (Impairment(rate=1e6, delay=0.0007), Impairment(delay=0.0007))
    assert [end.interface for end in edge.endpoints] == ["h1s1-eth0", "s1-eth2"]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "a file may print\n")


def test_hosts_are_numbered_in_the_order_of_their_names(read):
    topology = read().topology
    addresses = {
        end.node: str(end.addresses[0]) for link in topology.links.values() for end in link.endpoints if end.addresses
    }
    assert addresses == {"gw-1": "10.9.0.1/16", "h1s1": "10.0.0.2/8", "h1s2": "10.0.0.3/8"}
    gateway = topology.nodes["gw-1"]
    assert isinstance(gateway, Host)
    assert gateway.gateway == "10.9.0.2"


@pytest.mark.parametrize(("name", "hosts"), [(":two", 3), (":four", 5), (":Two,3", 7), (":two,hosts=2,far=1ms", 5)])
def test_arguments_are_given_as_to_mn(read, name, hosts):
    topology = read(name).topology
    assert sum(node.kind == "host" for node in topology.nodes.values()) == hosts


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (":tow", ("", ""), "did you mean 'two'?"),
        ("", ("", ""), "it has Two, two, four"),
        (":two", ("def build", "def build)"), "net.py:8:1: the file does not run: SyntaxError"),
        (
            ":two",
            ("self.addLink('gw_1', s1)", "self.addLink('gw_1', 1 / 0)"),
            "net.py:16:1: the file does not run: Zero",
        ),
        (":two", ("print(", "raise SystemExit("), "net.py:4:1: the file does not run: SystemExit"),
        (":two", ("import TCLink", "import TCLinc"), "net.py:2:1: the file does not run: ImportError"),
        (":two", ("from mininet.link", "from minanet.link"), "net.py:2:1: the file does not run: ModuleNotFoundError"),
        (":two", ("'5ms'", "'often'"), "net.py:8:1: s1-s2: delay='often': expected a time"),
        (":two", ("bw=10", "bw='fast'"), "net.py:8:1: s1-s2: bw='fast': expected a number"),
        (":two", ("loss=2", "loss=200"), "a share from 0% to 100%"),
        (":two", ("jitter='1ms'", "jitter='9ms'"), "at most the delay"),
        (":two", ("via 10.9.0.2", "via 10.77.0.2"), "an address in a subnet of gw-1"),
        (":two", ("'four': (lambda: Two(2))", "'four': 4"), ""),
        (":four", ("'four': (lambda: Two(2))", "'four': dict"), "expected a mininet.topo.Topo, not a dict"),
    ],
)
def test_bad_input_is_told_by_line_and_never_with_a_traceback(read, name, change, said):
    old, new = change
    if not said:
        assert read(name, FILE.replace(old, new)).topology.nodes
        return
    with pytest.raises(BadInput) as refused:
        read(name, FILE.replace(old, new, 1))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("bw=10", "bw=10, use_hfsc=True"), "s1-s2: use_hfsc=True: cannot be kept"),
        (("ip='10.9", "mac='02:00:00:00:00:01', ip='10.9"), "gw_1: mac='02:00:00:00:00:01': cannot be kept"),
        (("ip='10.9", "cls=type('Router', (), {}), ip='10.9"), "gw_1: class Router: what its code does"),
        (("via 10.9.0.2", "dev gw_1-eth0"), "only `via ADDRESS` can be kept"),
    ],
)
def test_what_cannot_be_kept_is_named(read, change, said):
    with pytest.raises(BadInput) as refused:
        read(text=FILE.replace(*change))
    assert said in str(refused.value)
    assert any(said in note for note in read(text=FILE.replace(*change), skip=True).notes)


@pytest.mark.skipif(not Path("/usr/share/doc/mininet/examples").exists(), reason="Mininet's examples are not installed")
@pytest.mark.parametrize(
    ("name", "nodes", "links"),
    [("simpleperf.py:SingleSwitchTopo,4", 5, 4), ("multilink.py:simpleMultiLinkTopo,n=3", 3, 6)],
)
def test_debians_examples(name, nodes, links):
    topology = import_from(f"/usr/share/doc/mininet/examples/{name}", skip_unsupported=True).topology
    assert (len(topology.nodes), len(topology.links)) == (nodes, links)
