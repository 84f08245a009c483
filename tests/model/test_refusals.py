"""What a person can get wrong in a file: each is refused, with its place, the value and what was expected."""

import pytest

from testbed.errors import BadInput
from testbed.model.load import load, load_change, load_inventory, load_topology, loads
from testbed.model.topology import Topology

GOOD = """\
name: demo
nodes:
  r1: {kind: router, loopbacks: [10.255.0.1/32]}
  r2: {kind: router}
  h1: {kind: host, gateway: 10.0.1.1}
links:
  r1-r2:
    endpoints: [r1:eth1, r2:eth1]
    impairment: {delay: 10ms}
    up: true
  r2-h1:
    endpoints:
      - {node: r2, interface: eth2, addresses: [10.0.1.1/30]}
      - {node: h1, interface: eth0, addresses: [10.0.1.2/30]}
"""

ROUTER = "  r2: {kind: router}"
IMPAIRMENT = "    impairment: {delay: 10ms}"
UP = "    up: true"
END = "      - {node: h1, interface: eth0, addresses: [10.0.1.2/30]}"
SHORT = "    endpoints: [r1:eth1, r2:eth1]"
HOST = "  h1: {kind: host, gateway: 10.0.1.1}"

# What is replaced in GOOD, what by, and what the message must say (after the file's name).
CASES = {
    "misspelt key": (IMPAIRMENT, "    impairment: {dellay: 10ms}", ":9:18: *unknown key 'dellay'*mean 'delay'?"),
    "misspelt short form": (IMPAIRMENT, "    impairmnt: {delay: 10ms}", ":9:5: *unknown key*mean 'impairment'?"),
    "misspelt kind": (ROUTER, "  r2: {kind: routr}", ":4:14: nodes.r2.kind: value 'routr': *mean 'router'?"),
    "no kind": (ROUTER, "  r2: {}", ":4:3: nodes.r2.kind: missing key 'kind': *host, router, bridge, switch"),
    "key of another kind": (ROUTER, "  r2: {kind: bridge, asn: 1}", ":4:22: nodes.r2.asn: unknown key 'asn'"),
    "misspelt word": (ROUTER, "  r2: {kind: router, protocols: [osfp]}", ":4:34: *value 'osfp'*mean 'ospf'?"),
    "no unit": (IMPAIRMENT, "    impairment: {delay: 10}", ":9:25: *value '10': expected a number with a unit"),
    "wrong unit": (IMPAIRMENT, "    impairment: {delay: 10Mbit}", ":9:25: *value '10Mbit': *(s, ms,"),
    "wrong case": (IMPAIRMENT, "    impairment: {rate: 10mbit}", ":9:24: *mean '10Mbit'?"),
    "negative delay": (IMPAIRMENT, "    impairment: {delay: -1ms}", ":9:25: *value '-1ms'*not negative"),
    "loss over all": (IMPAIRMENT, "    impairment: {loss: 100.1%}", ":9:24: *value '100.1%'*from 0% to 100%"),
    "negative loss": (IMPAIRMENT, "    impairment: {loss: -1%}", ":9:24: *value '-1%'*from 0% to 100%"),
    "zero rate": (IMPAIRMENT, "    impairment: {rate: 0bit}", ":9:24: *value '0bit'*rate above zero"),
    "bare zero rate": (IMPAIRMENT, "    impairment: {rate: 0}", ":9:24: *value '0'*rate above zero"),
    "rate of no byte": (IMPAIRMENT, "    impairment: {rate: 7bit}", ":9:24: *value '7bit'*rate above zero"),
    "NaN": (IMPAIRMENT, "    impairment: {delay: .nan}", ":9:25: *value '.nan': expected"),
    "NaN with unit": (IMPAIRMENT, "    impairment: {delay: nan ms}", ":9:25: *value 'nan ms': expected"),
    "infinity": (IMPAIRMENT, "    impairment: {delay: .inf}", ":9:25: *value '.inf': expected"),
    "too many digits": (IMPAIRMENT, "    impairment: {delay: 1e999s}", ":9:25: *value '1e999s': expected"),
    "boolean quantity": (IMPAIRMENT, "    impairment: {delay: true}", ":9:25: *value 'true': expected a quantity"),
    "list quantity": (IMPAIRMENT, "    impairment: {delay: [1ms]}", ":9:25: *expected a quantity"),
    "zero limit": (IMPAIRMENT, "    impairment: {limit: 0}", ":9:25: *value '0': expected at least 1"),
    "quoted number": (IMPAIRMENT, "    impairment: {limit: '5'}", ":9:25: *value '5': expected a whole number"),
    "boolean number": (IMPAIRMENT, "    impairment: {limit: true}", ":9:25: *value 'true': expected a whole number"),
    "distribution": (IMPAIRMENT, "    impairment: {distribution: gauss}", ":9:32: *value 'gauss': expected one of"),
    "jitter over delay": (IMPAIRMENT, "    impairment: {delay: 1ms, jitter: 2ms}", ":9:38: *at most the delay (1ms)"),
    "jitter, no delay": (IMPAIRMENT, "    impairment: {jitter: 2ms}", ":9:26: *'2ms': expected at most the delay"),
    "delay over the kernel's": (IMPAIRMENT, "    impairment: {delay: 2h}", ":9:25: *value '2h': expected at most 1h"),
    "jitter over the kernel's": (IMPAIRMENT, "    impairment: {delay: 5s, jitter: 3s}", ":9:37: *at most 2.147s"),
    "reorder, no delay": (IMPAIRMENT, "    impairment: {reorder: 2%}", ":9:27: *value '2%': expected a delay too"),
    "loss and burst": (
        IMPAIRMENT, "    impairment: {loss: 1%, burst: {p: 1%, r: 1%}}", ":9:35: *either loss (random) or burst"
    ),
    "burst and correlation": (
        IMPAIRMENT, "    impairment: {loss_correlation: 1%, burst: {p: 1%, r: 1%}}", ":9:36: *which has its own"
    ),
    "burst lacks r": (IMPAIRMENT, "    impairment: {burst: {p: 1%}}", ":9:18: *burst.r: missing key 'r'"),
    "no mapping": (IMPAIRMENT, "    impairment: 10ms", ":9:17: *value '10ms': expected a mapping"),
    "open quotes": (HOST, "  h1: {kind: host, exec: [echo 'a]}", ":5:27: nodes.h1.exec[0]: *whose quotes are closed"),
    "daemons, no config": (ROUTER, "  r2: {kind: router, daemons: [ospfd]}", ":4:31: *`config` beside daemons"),
    "unknown daemon": (ROUTER, "  r2: {kind: router, config: '', daemons: [ripd]}", ":4:44: *value 'ripd': *one of"),
    "half a position": (ROUTER, "  r2: {kind: router, position: [1]}", ":4:22: *expected two items"),
    "demand of nobody": (HOST, HOST + "\ndemands: {r1: {r3: 1}}", ":6:20: demands.r1.r3: *a node of this topology"),
    "demand of itself": (HOST, HOST + "\ndemands: {r1: {r1: 1}}", ":6:20: demands.r1.r1: *another node"),
    "negative demand": (HOST, HOST + "\ndemands: {r1: {r2: -1}}", ":6:20: *value '-1': expected at least 0"),
    "quoted boolean": (UP, '    up: "false"', ":10:9: links.r1-r2.up: value 'false': expected true or false"),
    "YAML 1.1 boolean": (UP, "    up: no", ":10:9: *value 'no': expected true or false, without quotes"),
    "number for boolean": (UP, "    up: 1", ":10:9: *value '1': expected true or false"),
    "mtu": (UP, "    mtu: 67", ":10:10: *value '67': expected at least 68"),
    "fractional mtu": (UP, "    mtu: 1500.5", ":10:10: *value '1500.5': expected a whole number"),
    "number for text": (UP, "    medium: 5", ":10:13: *value '5': expected text: put it in quotes"),
    "duplicate key": (UP, "    up: true\n    up: false", ":11:5: links.r1-r2.up: key 'up' a second time*line 10"),
    "duplicate node": (ROUTER, ROUTER + "\n" + ROUTER, ":5:3: nodes.r2: key 'r2' a second time*line 4"),
    "unknown profile": (UP, "    profile: fiber(km=15)", ":10:14: *value 'fiber(km=15)'*mean 'fibre'?"),
    "profile elsewhere": (UP, "    profile: ../../secret", ":10:14: *value '../../secret': expected a link profile"),
    "profile no text": (UP, "    profile: 5", ":10:14: *value '5': expected a profile's name"),
    "missing node": (SHORT, "    endpoints: [r1:eth1, r22:eth1]", ":8:26: *endpoints[1]: value 'r22:eth1'*'r2'?"),
    "no interface": (SHORT, "    endpoints: [r1:eth1, r2]", ":8:26: *missing key 'interface'"),
    "one endpoint": (SHORT, "    endpoints: [r1:eth1]", ":8:5: *endpoints.1: expected two items"),
    "three endpoints": (SHORT, "    endpoints: [r1:e1, r2:e1, h1:e1]", ":8:16: *expected at most 2, found 3"),
    "endpoints no list": (SHORT, "    endpoints: r1:eth1", ":8:16: *value 'r1:eth1': expected a list"),
    "no endpoints": (SHORT + "\n", "", ":7:3: links.r1-r2.endpoints: missing key 'endpoints'"),
    "self-loop": (SHORT, "    endpoints: [r1:eth1, r1:eth2]", ":8:26: *expected another node"),
    "interface twice": (SHORT, "    endpoints: [r1:eth1, r2:eth2]", ":13:31: *value 'eth2'*link r1-r2 uses it"),
    "interface too long": (SHORT, "    endpoints: [r1:eth1, r2:abcdefghijklmnop]", ":8:26: *at most 15"),
    "interface of the system": (SHORT, "    endpoints: [r1:lo, r2:eth1]", ":8:17: *not 'lo'"),
    "address twice": (
        ROUTER, "  r2: {kind: router, loopbacks: [10.0.1.2/32]}", ":14:49: *'10.0.1.2/30'*r2's loopback has it"
    ),
    "other subnet": (END, END.replace("10.0.1.2/30", "10.0.1.6/30"), ":14:49: *an address in 10.0.1.0/30"),
    "other length": (END, END.replace("10.0.1.2/30", "10.0.1.2/29"), ":14:49: *an address in 10.0.1.0/30"),
    "no length": (END, END.replace("10.0.1.2/30", "10.0.1.2"), ":14:49: *with its prefix length"),
    "no address": (END, END.replace("10.0.1.2/30", "10.0.1.300/30"), ":14:49: *with its prefix length"),
    "number for address": (END, END.replace("10.0.1.2/30", "167772162"), ":14:49: *with its prefix length"),
    "network address": (END, END.replace("10.0.1.2/30", "10.0.1.4/30"), ":14:49: *the network 10.0.1.4/30 itself"),
    "broadcast address": (END, END.replace("10.0.1.2/30", "10.0.1.3/30"), ":14:49: *broadcast address"),
    "multicast address": (END, END.replace("10.0.1.2/30", "224.0.0.5/30"), ":14:49: *unicast"),
    "gateway elsewhere": (HOST, HOST.replace("10.0.1.1", "10.9.1.1"), ":5:29: *a subnet of h1 (10.0.1.0/30)"),
    "own gateway": (HOST, HOST.replace("10.0.1.1", "10.0.1.2"), ":5:29: *h1's own"),
    "gateway no address": (HOST, HOST.replace("10.0.1.1", "r2"), ":5:29: *value 'r2': expected an IP address"),
    "bgp without asn": (ROUTER, "  r2: {kind: router, protocols: [bgp]}", ":4:34: *expected `asn` beside"),
    "protocol twice": (ROUTER, "  r2: {kind: router, protocols: [ospf, ospf]}", ":4:40: *each protocol once"),
    "asn": (ROUTER, "  r2: {kind: router, asn: 0}", ":4:27: *value '0': expected at least 1"),
    "two configurations": (
        ROUTER, "  r2: {kind: router, config: 'x', config_file: y}", ":4:35: *either config or config_file"
    ),
    "no configuration file": (ROUTER, "  r2: {kind: router, config_file: y.conf}", ":4:35: *'y.conf'*No such file"),
    "name of a node": (ROUTER, ROUTER + "\n  R3: {kind: bridge}", ":5:3: nodes.R3: expected a name of lower-case"),
    "port with address": (
        ROUTER, "  r2: {kind: bridge}", ":13:48: *no address on a port of bridge r2"
    ),
    "vlan of a host": (END, END.replace("30]}", "30], vlan: 10}"), ":14:69: *expected no VLAN: h1 is a host"),
    "vlan too high": (END, END.replace("30]}", "30], vlan: 4095}"), ":14:69: *value '4095': expected at most 4094"),
    "vlan filtering in quotes": (ROUTER, "  r2: {kind: bridge, vlan_filtering: 'no'}", ":4:38: *true or false"),
    "misspelt key of a switch": (ROUTER, "  r2: {kind: switch, controler: none}", ":4:22: *mean 'controller'?"),
    "datapath": (ROUTER, "  r2: {kind: switch, datapath: kernal}", ":4:32: *value 'kernal': *mean 'kernel'?"),
    "controller": (ROUTER, "  r2: {kind: switch, controller: tcp:6653}", ":4:34: *such as tcp:127.0.0.1:6653"),
    "secure without controller": (
        ROUTER, "  r2: {kind: switch, controller: none, fail_mode: secure}", ":4:51: *expected standalone"
    ),
    "stp beside a controller": (ROUTER, "  r2: {kind: switch, stp: true}", ":4:27: *expected no stp beside"),
    "version of controller testbed": (ROUTER, "  r2: {kind: switch, openflow: OpenFlow10}", ":4:32: *OpenFlow13"),
    "address on a switch": (ROUTER, "  r2: {kind: switch}", ":13:48: *no address on a port of switch r2"),
    "node no mapping": (ROUTER, "  r2: router", ":4:7: nodes.r2: value 'router': expected"),
    "nodes no mapping": (GOOD[GOOD.index("nodes:") :], "nodes: [r1]\n", ":2:8: nodes: expected a mapping"),
    "no nodes": (GOOD[GOOD.index("nodes:") :], "nodes: {}\n", ":2:8: nodes: expected at least 1"),
    "nodes missing": (GOOD[GOOD.index("nodes:") :], "", ":1:1: nodes: missing key 'nodes'"),
    "name missing": ("name: demo\n", "", ":1:1: name: missing key 'name'"),
    "number for name": ("name: demo", "name: 5", ":1:7: name: value '5': expected text: put it in quotes"),
    "memory": ("name: demo", "name: demo\nguest: {memory: 0MiB}", ":2:17: *value '0MiB': expected a size above zero"),
    "guests": ("name: demo", "name: demo\nguest: {guests: 0}", ":2:17: *value '0': expected at least 1"),
    "tag": ("name: demo", "name: !!python/object:os.system demo", ":1:7: *expected a value without a tag"),
    "own tag": ("name: demo", "name: !x demo", ":1:7: *expected a value without a tag"),
    "tab": ("name: demo", "name: demo\n\tx: 1", ":2:1: not YAML"),
    "open bracket": (UP, "    up: [", ":12:14: not YAML"),
    "undefined alias": (UP, "    up: *x", ":10:9: not YAML: *alias 'x'"),
    "alias to itself": ("name: demo", "name: &a [*a]", ":1:7: name[0]: expected no alias to what contains it"),
    "two documents": ("name: demo", "name: demo\n---\nname: demo2", ":2:1: not YAML"),
    "key no text": (UP, "    ? [a]\n    : b", ":10:7: links.r1-r2: expected a key that is plain text"),
    "merge key": (UP, "    <<: {up: true}", ":10:5: links.r1-r2.<<: unknown key"),
}  # fmt: skip


def refused(path, read=load_topology):
    with pytest.raises(BadInput) as caught:
        read(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def find(message, file, pattern):
    """Whether a line of the message starts with the file and has the pattern's parts, in their order."""
    return any(_has(line, f"{file}{pattern}") for line in message.splitlines())


def _has(line, pattern):
    first, *rest = pattern.split("*")
    at = len(first) if line.startswith(first) else -1
    for part in rest:
        at = line.find(part, at) if at >= 0 else -1
    return at >= 0


def test_the_good_file_is_good(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    assert list(load_topology(tmp_path / "good.yaml").links) == ["r1-r2", "r2-h1"]


@pytest.mark.parametrize("case", CASES)
def test_a_slip_is_refused_where_it_is(case, tmp_path):
    old, new, pattern = CASES[case]
    assert GOOD.count(old) == 1
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace(old, new))
    message = refused(file)
    assert find(message, file, pattern), message


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace(UP, "    up: 'no'").replace(ROUTER, "  r2: {kind: routr}").replace("10ms", "10"))
    lines = refused(file).splitlines()
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in lines] == ["4", "9", "10"]


def test_one_value_for_both_directions_is_told_once(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace("10ms", "-10ms"))
    assert len(refused(file).splitlines()) == 1


def test_a_problem_inside_a_profile_names_the_profile(tmp_path):
    (tmp_path / "netem_profiles").mkdir()
    profile = tmp_path / "netem_profiles" / "mine.yaml"
    profile.write_text("about: Mine.\nsource: me\nimpairment: {delay: 10}\n")
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace(IMPAIRMENT, "    profile: mine"))
    assert refused(file).startswith(f"{profile}:3:21: impairment.delay: value '10': expected a number with a unit")


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        (b"", ":1:1: the file is empty"),
        (b"# nothing\n", ":1:1: the file is empty"),
        (b"- a\n", ":1:1: expected a mapping"),
        (b"text\n", ":1:1: value 'text': expected a mapping"),
        (b"name: caf\xe9\n", ":1:10: byte 0xe9: expected UTF-8 text"),
        (b"name: a\x00b\n", ": not YAML: *special characters"),
        (b"[" * 700, ": expected YAML that is nested less deeply"),
        (b"a: " + b"{a: " * 400 + b"}" * 400, "*nested less deeply"),
    ],
)
def test_what_is_no_topology_at_all_is_refused(data, pattern, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(data)
    message = refused(file)
    assert find(message, file, pattern), message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "none.yaml: expected a readable topology file, but: No such file" in refused(tmp_path / "none.yaml")
    assert "but: Is a directory" in refused(tmp_path)
    assert "expected a readable" in refused("a\0b")


def test_an_alias_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(lines))
    assert "expected aliases that copy at most 100000 values" in refused(file)


def test_a_huge_file_is_refused(tmp_path):
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(64 * 2**20)
    assert "at most 16 MiB" in refused(file)


CHANGE = """\
name: cost
steps:
  - {device: r1, interface: eth1, cost: 40}
expect:
  - {kind: rtt, source: r1, destination: r2, below: 10ms}
"""
STEP = "  - {device: r1, interface: eth1, cost: 40}"
EXPECT = "  - {kind: rtt, source: r1, destination: r2, below: 10ms}"


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (STEP, "  - {device: r1, interface: eth1}", ":3:5: steps[0]: expected at least one setting"),
        (STEP, "  - {device: r1, interface: eth1, cots: 4}", ":3:35: *unknown key 'cots'*mean 'cost'?"),
        (STEP, "  - {device: r1, interface: eth1, enabled: 'false'}", ":3:44: *value 'false': expected true or false"),
        (STEP, "  - {device: r1, interface: eth1, cost: 0}", ":3:41: *value '0': expected at least 1"),
        (STEP, "  - {device: r1, configuraton: 'x'}", ":3:18: *unknown key 'configuraton'*mean 'configuration'?"),
        (STEP, "  - {device: r1, configuration: ' '}", ":3:33: *expected text that is not empty"),
        (STEP, "  - {device: r1, configuration: x, interface: e}", ":3:36: *unknown key 'interface'"),
        (STEP, "  - 5", ":3:5: steps[0]: value '5': expected a mapping"),
        ("steps:\n" + STEP, "steps: []", ":2:8: steps: expected at least 1, found 0"),
        (EXPECT, "  - {kind: rttt, source: r1, destination: r2}", ":5:12: *value 'rttt'*mean 'rtt'?"),
        (EXPECT, "  - {source: r1}", ":5:5: expect[0].kind: missing key 'kind': expected one of reachable, path"),
        (EXPECT, "  - {kind: rtt, source: r1, destination: r2}", ":5:5: expect[0].below: missing key 'below'"),
        (EXPECT, "  - {kind: rtt, source: r1, destination: r2, below: 10}", ":5:53: *number with a unit"),
        (EXPECT, "  - {kind: loss, source: r1, destination: r2, loss: 1%}", ":5:47: *unknown key 'loss'"),
        (EXPECT, "  - {kind: rtt, source: r1, destination: a b, below: 1s}", ":5:42: *a device's name or an IP"),
        (EXPECT, EXPECT.replace("}", ", percentile: 100}"), ":5:71: *value '100': expected less than 100"),
        (EXPECT, EXPECT.replace("}", ", percentile: .nan}"), ":5:71: *value '.nan': expected"),
        (EXPECT, EXPECT.replace("}", ", percentile: '95'}"), ":5:71: *value '95': expected a number"),
        (EXPECT, EXPECT.replace("}", ", percentile: true}"), ":5:71: *value 'true': expected a number"),
        (EXPECT, "  - {kind: path, source: r1, destination: r2}", ":5:5: *expected at least one of via"),
        (EXPECT, "  - {kind: reachable, source: r1, destination: r2, reachable: 'no'}", ":5:63: *true or false"),
        (EXPECT, "  - {kind: nothing-else-changed, except_prefixes: [10.0.0.1/8]}", ":5:52: *a prefix such as"),
        (EXPECT, "  - {kind: adjacency, device: r1, neighbour: r2, protocol: rip}", ":5:60: *value 'rip': *ospf"),
    ],
)
def test_a_slip_in_a_change_is_refused_where_it_is(old, new, pattern, tmp_path):
    assert CHANGE.count(old) == 1
    file = tmp_path / "change.yaml"
    file.write_text(CHANGE.replace(old, new))
    message = refused(file, load_change)
    assert find(message, file, pattern), message


RACK = """\
name: metro
known_hosts: known_hosts
devices:
  r1: {adapter: frr, address: 127.0.0.1, user: admin, key: {file: id}}
"""


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("{file: id}", "{}", ":4:60: devices.r1.key: expected exactly one of env"),
        ("{file: id}", "{file: id, env: X}", ":4:60: devices.r1.key: expected exactly one of env"),
        ("{file: id}", "secret", ":4:60: *expected a mapping"),
        ("user: admin", "user: admin, port: 0", ":4:61: *value '0': expected at least 1"),
        ("user: admin", "user: admin, port: '22'", ":4:61: *value '22': expected a whole number"),
        ("user: admin", "user: admin, role: cor", ":4:61: *value 'cor': *mean 'core'?"),
        ("user: admin", "user: ''", ":4:48: *expected text that is not empty"),
        ("name: metro", "name: metro\ntimeout: 10", ":2:10: timeout: value '10': expected a number with a unit"),
        ("name: metro", "name: metro\npoll_periods: 1s", ":2:1: *unknown key*mean 'poll_period'?"),
    ],
)
def test_a_slip_in_an_inventory_is_refused_where_it_is(old, new, pattern, tmp_path):
    file = tmp_path / "inventory.yaml"
    file.write_text(RACK)
    assert load_inventory(file).devices["r1"].port == 22
    file.write_text(RACK.replace(old, new))
    message = refused(file, load_inventory)
    assert find(message, file, pattern), message


def test_json_of_the_product_is_refused_for_the_same_reasons():
    text = loads(GOOD, Topology).model_dump_json()
    for old, new in [
        ('"delay":0.01', '"delay":-0.01'),
        ('"delay":0.01', '"delay":NaN'),
        ('"delay":0.01', '"delay":1e99'),
        ('"up":true', '"up":"true"'),
        ('"node":"h1"', '"node":"h2"'),
        ('"10.0.1.2/30"', '"10.0.1.6/30"'),
        ('"mtu":1500', '"mtu":1500.5'),
        ('"mtu":1500', '"mtuu":1500'),
    ]:
        assert old in text
        with pytest.raises(ValueError, match="validation error"):
            Topology.model_validate_json(text.replace(old, new, 1))


def test_a_model_that_has_no_short_forms_is_read_too(tmp_path):
    from testbed.model.impairment import Impairment

    (tmp_path / "a.yaml").write_text("delay: 1ms\n")
    assert load(tmp_path / "a.yaml", Impairment) == Impairment(delay=0.001)
