"""What of a containerlab file is kept, what is named, and what is refused where."""

from ipaddress import ip_interface

import pytest
from ruamel.yaml import YAML

from testbed.emulator.lower import build_of
from testbed.errors import BadInput
from testbed.exchange.registry import export_to, import_from
from testbed.model.topology import Host, Router
from tests.exchange.labs import DAEMONS, LAB, config, read_lab, write_lab


@pytest.fixture
def read(tmp_path):
    return lambda text=LAB, skip=False: read_lab(tmp_path, text, skip)


def changed(old: str, new: str) -> str:
    assert old in LAB
    return LAB.replace(old, new, 1)


def test_names_are_made_to_fit_and_that_is_said(read):
    imported = read()
    assert imported.format == "containerlab"
    assert imported.topology.name == "two-cells"
    assert list(imported.topology.nodes) == ["core-1", "core-2", "ue1", "ue2", "lan"]
    assert any(note.endswith("two.clab.yml:17:5: node core_1 is called core-1 here") for note in imported.notes)


def test_an_frr_image_is_a_router_with_its_bound_files(read):
    router = read().topology.nodes["core-1"]
    assert isinstance(router, Router)
    assert (router.config, router.daemons) == (config(1), None)
    assert build_of(read().topology).nodes[0].daemons == ("zebra", "staticd", "ospfd")


def test_the_daemons_file_says_what_runs(tmp_path):
    file = write_lab(tmp_path)
    (tmp_path / "daemons").write_text(DAEMONS.replace("bgpd=no", "bgpd=yes"))
    router = import_from(str(file)).topology.nodes["core-2"]
    assert isinstance(router, Router)
    assert router.daemons == ("zebra", "staticd", "ospfd", "bgpd")


def test_a_whole_folder_may_be_bound(tmp_path, read):
    write_lab(tmp_path)
    (tmp_path / "core_1" / "daemons").write_text(DAEMONS)
    (tmp_path / "core_2" / "daemons").write_text(DAEMONS)
    text = changed("        - __clabNodeName__/frr.conf:/etc/frr/frr.conf\n        - daemons:/etc/frr/daemons:ro\n",
                   "        - __clabNodeName__:/etc/frr\n")  # fmt: skip
    assert read(text).topology == read().topology


def test_commands_that_give_addresses_become_addresses_and_the_rest_stays(read):
    topology = read().topology
    ue1 = topology.nodes["ue1"]
    assert isinstance(ue1, Host)
    assert ue1.gateway == "192.168.1.1"
    assert ue1.exec == (
        "sysctl -q -w net.ipv4.tcp_ecn=1",
        "echo UE1 of clab-Two Cells",
        "ip route add 10.9.0.0/16 via 192.168.1.1",
    )
    assert topology.links["ue1-lan"].endpoints[0].addresses == (ip_interface("192.168.1.2/24"),)
    assert topology.nodes["lan"].position == (10.0, 2.5)
    assert [link.mtu for link in topology.links.values()] == [1500, 9500, 9500, 9500]


def test_a_host_between_networks_forwards_as_a_container_does(read):
    text = changed("    - endpoints: [UE2:eth1, core_2:eth2]", "    - endpoints: [UE2:eth1, core_2:eth2]\n"
                   "    - endpoints: [UE2:eth2, UE1:eth2]\n      ipv4: ['', 10.7.0.2/30]")  # fmt: skip
    topology = read(text).topology
    assert [node.exec[1:2] for name, node in topology.nodes.items() if isinstance(node, Host)] == [
        ("sysctl -q -w net.ipv4.ip_forward=1",)
    ] * 2
    assert topology.links["ue2-ue1"].endpoints[1].addresses == (ip_interface("10.7.0.2/30"),)


@pytest.mark.parametrize(
    ("defaults", "kind", "group", "node", "image"),
    [
        ("d", "k", "g", "n", "n"),
        ("d", "k", "g", "", "g"),
        ("d", "k", "", "", "k"),
        ("d", "", "", "", "d"),
        ("", "", "", "", None),
    ],
)
def test_the_most_specific_value_wins(tmp_path, defaults, kind, group, node, image):
    """The manual's node -> group -> kind -> defaults."""
    levels = {"defaults": defaults, "kinds": kind, "groups": group}
    lines = {
        key: f"{{{'' if key == 'defaults' else inner + ': {'}image: '{value}'{'' if key == 'defaults' else '}'}}}"
        for (key, value), inner in zip(levels.items(), ("", "linux", "g"), strict=True)
    }
    text = "name: t\ntopology:\n" + "".join(f"  {key}: {line}\n" for key, line in lines.items())
    file = tmp_path / "t.clab.yml"
    file.write_text(f"{text}  nodes: {{a: {{kind: linux, group: g, image: '{node}'}}}}\n")
    notes = [note for note in import_from(str(file)).notes if "image" in note]
    assert [note.split("image ")[1].split(":")[0] for note in notes] == ([image] if image else [])


def test_lists_are_put_together_each_item_once(tmp_path):
    file = tmp_path / "t.clab.yml"
    file.write_text(
        "name: t\ntopology:\n  defaults: {exec: [a, b]}\n  kinds: {linux: {exec: [b, c], group: g}}\n"
        "  groups: {g: {exec: [d]}}\n  nodes: {x: {kind: linux, exec: [a, e]}}\n"
    )
    node = import_from(str(file)).topology.nodes["x"]
    assert isinstance(node, Host)
    assert node.exec == ("a", "b", "c", "d", "e")


def test_environment_variables_are_replaced_as_bash_does(tmp_path, monkeypatch):
    monkeypatch.setenv("PORT", "eth7")
    monkeypatch.delenv("NOWHERE", raising=False)
    file = tmp_path / "t.clab.yml"
    file.write_text(
        "name: ${NOWHERE:-lab}\ntopology:\n  nodes:\n"
        "    a: {kind: linux, exec: [\"echo $$HOME '${NOWHERE+x}${PORT:+y}'\"]}\n"
        "    b: {kind: linux}\n  links:\n    - endpoints: [a:$PORT, 'b:${PORT}']\n"
    )
    topology = import_from(str(file)).topology
    assert topology.name == "lab"
    assert [end.interface for end in topology.links["a-b"].endpoints] == ["eth7", "eth7"]
    host = topology.nodes["a"]
    assert isinstance(host, Host)
    assert host.exec == ("echo $HOME 'y'",)


def place(old: str, new: str, at: str) -> str:
    """The line and column of `at` in the line that the change begins in, or after it."""
    text = changed(old, new)
    begin = text.rindex("\n", 0, max(1, LAB.index(old))) + 1 if "\n" in text[: LAB.index(old)] else 0
    offset = text.index(at, LAB.index(old) if at in text[LAB.index(old) :] and at in new else begin)
    return f"two.clab.yml:{text.count(chr(10), 0, offset) + 1}:{offset - text.rfind(chr(10), 0, offset)}: "


UNSUPPORTED = [
    ("kind: bridge,", "kind: nokia_srlinux,", "nokia_srlinux", "'nokia_srlinux': of node lan: only linux and bridge"),
    ("image: alpine:3", "image: alpine:3\n      env: {A: b}", "env", "env: cannot be kept"),
    ("image: alpine:3", "image: alpine:3\n      ports: ['80:80']", "ports", "ports: cannot be kept"),
    ("image: alpine:3", "image: alpine:3\n      startup-config: x", "startup", "startup-config: cannot be kept"),
    ("image: alpine:3", "image: alpine:3\n      cmd: nginx -g x", "nginx", "a node runs no process"),
    ("UE1:\n", "UE1:\n      binds: [a:/etc/b]\n", "a:/etc/b", "only frr.conf, daemons, vtysh.conf"),
    ("{net.ipv4.tcp_ecn: 1}", "{kernel.hostname: x}", "kernel", "only settings of the network"),
    ("[UE2:eth1, core_2:eth2]", "[UE2:eth1, host:ue2]", "host:ue2", "no ends outside"),
    ("- type: veth", "- type: vxlan", "vxlan", "'vxlan': only veth and veth-stitch"),
    ("interface: eth1}", "interface: eth1, mac: 02:00:00:00:00:01}", "mac", "mac: cannot be kept"),
    ("name: Two Cells", "name: Two Cells\nmgmt: {network: x}", "mgmt", "no management network"),
]


@pytest.mark.parametrize(("old", "new", "at", "said"), UNSUPPORTED, ids=[u[3][:24] for u in UNSUPPORTED])
def test_what_cannot_be_kept_is_an_error_with_its_place_or_is_left_out_with_a_line(read, old, new, at, said):
    text = changed(old, new)
    with pytest.raises(BadInput) as refused:
        read(text)
    lines = str(refused.value).splitlines()
    assert any(place(old, new, at) in one and said in one for one in lines), lines
    assert "--skip-unsupported" in lines[-1]
    assert any(said in note and note.endswith(": left out") for note in read(text, True).notes)


def test_a_daemon_that_cannot_be_run_is_named_by_the_line_of_its_file(tmp_path):
    file = write_lab(tmp_path)
    (tmp_path / "daemons").write_text(DAEMONS.replace("ripd=no", "ripd=yes"))
    with pytest.raises(BadInput, match=r"daemons:4:1: value 'ripd=yes': only zebra, staticd, ospfd, bgpd, isisd"):
        import_from(str(file))


WRONG = [
    ("kind: bridge,", "kindd: bridge,", "kindd", "unknown key 'kindd'; did you mean 'kind'?"),
    ("core_1: {group: routers}", "core_1: {group: router}", "router}", "expected a group; did you mean 'routers'?"),
    ("[core_1:eth1, core_2:eth1]", "[core_1:eth1, core_3:eth1]", "core_3", "did you mean 'core_2'?"),
    ("[core_1:eth1, core_2:eth1]", "[core_1:eth1]", "[", "two of them"),
    ("[core_1:eth1, core_2:eth1]", "[core_1, core_2:eth1]", "core_1", "an endpoint such as r1:eth1"),
    ("core_1:eth2", "core_1:eth1", "core_1", "that no other link uses"),
    ("mtu: 1500", "mtu: big", "big", "a whole number"),
    ("- type: veth", "- type: vet", "vet", "did you mean 'veth'?"),
    ("UE1:\n      exec:\n", "UE1:\n      exec: no\n      binds:\n", "no", "expected a list"),
    ("core_2: {group: routers}", "core_2: routers", "routers", "expected a mapping"),
    ("name: Two Cells", "name: ${NO_SUCH_VARIABLE}", "$", "expected the environment to have NO_SUCH_VARIABLE"),
    ("name: Two Cells", "names: Two Cells", "names", "did you mean 'name'?"),
    ("daemons:/etc", "demons:/etc", "demons", "No such file"),
    ("    - endpoints: [UE2", "    - endpoints: [{{ .x }}:eth1, UE2", "", "render it first"),
    ("via 192.168.1.1\n", "via 10.66.0.1\n", "ip route add default", "in a subnet of ue1 (192.168.1.0/24)"),
]


@pytest.mark.parametrize(("old", "new", "at", "said"), WRONG, ids=[wrong[3][:24] for wrong in WRONG])
def test_bad_input_is_refused_where_it_is(read, old, new, at, said):
    with pytest.raises(BadInput) as refused:
        read(changed(old, new), True)
    lines = str(refused.value).splitlines()
    assert any(place(old, new, at) in one and said in one for one in lines), lines


def test_an_export_is_a_file_with_the_routers_files_beside_it(read):
    topology = read().topology
    files = export_to(topology, "containerlab").files
    assert sorted(files) == ["", *(f"two-cells/core-{n}/{file}" for n in (1, 2) for file in ("daemons", "frr.conf"))]
    assert files["two-cells/core-1/frr.conf"] == config(1)
    nodes = YAML(typ="safe").load(files[""])["topology"]["nodes"]
    assert nodes["ue1"]["kind"] == "linux"
    assert nodes["ue1"]["exec"][:2] == [
        "ip address replace 192.168.1.2/24 dev eth1",
        "ip route replace default via 192.168.1.1",
    ]
    assert nodes["core-1"]["binds"][0] == "two-cells/core-1/frr.conf:/etc/frr/frr.conf"


def test_an_impairment_cannot_be_held_and_is_named():
    topology = import_from("topohub:sndlib/polska").topology
    with pytest.raises(BadInput, match=r"containerlab cannot hold `links.forward`: gdansk-warsaw, .* and 14 more"):
        export_to(topology, "containerlab")
    notes = export_to(topology, "containerlab", skip_unsupported=True).notes
    assert [note.split("`")[1] for note in notes] == [
        "links.forward",
        "links.backward",
        "demands",
        "description",
        "links.medium",
    ]
