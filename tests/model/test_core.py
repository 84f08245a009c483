"""The 5G core of a topology: what it means, and what a person can get wrong in it, each with its place."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from testbed.converge.difference import applied, difference
from testbed.emulator.lower import build_of
from testbed.errors import BadInput
from testbed.model.core_checks import home_of
from testbed.model.core_places import address_of
from testbed.model.dump import dump
from testbed.model.load import load_topology, loads
from testbed.model.profile import PROFILES
from testbed.model.qos import DSCP, TABLE
from testbed.model.source import read_yaml
from testbed.model.topology import END_SYSTEMS, Topology

METRO = Path(__file__).resolve().parents[2] / "topologies" / "metro5g.yaml"

GOOD = """\
name: small
nodes:
  cp: {kind: core}
  up1: {kind: upf}
  up2: {kind: upf}
  site: {kind: gnb}
  phones: {kind: ue}
  h1: {kind: host}
  lan: {kind: bridge}
links:
  a: {endpoints: [{node: cp, interface: e0, addresses: [10.0.0.1/24]}, "lan:p1"]}
  b: {endpoints: [{node: up1, interface: e0, addresses: [10.0.0.2/24]}, "lan:p2"]}
  c: {endpoints: [{node: up2, interface: e0, addresses: [10.0.0.3/24]}, "lan:p3"]}
  d: {endpoints: [{node: site, interface: e0, addresses: [10.0.0.4/24]}, "lan:p4"], impairment: {rate: 100Mbit}}
  e: {endpoints: [{node: phones, interface: e0}, "site:air"]}
core:
  plmns: ["00101"]
  slices:
    embb: {sst: 1, dnns: [internet], ambr: {down: 100Mbit, up: 50Mbit}}
    urllc: {sst: 1, sd: "000001", dnns: [factory], five_qi: 82, gbr: {down: 1Mbit, up: 1Mbit}}
  dnns:
    internet: {subnets: [10.45.0.0/16], dns: [9.9.9.9]}
    factory: {subnets: [10.46.0.0/24], dns: [9.9.9.9]}
  amfs:
    amf: {node: cp, tacs: [1, 2]}
  smfs:
    smf: {node: cp, upfs: [far, near]}
  upfs:
    far: {node: up1, dnns: {internet: []}}
    near: {node: up2, dnns: {factory: [10.46.0.0/25]}}
  gnbs:
    gnb1: {node: site, id: 1, tac: 1}
  subscribers:
    one: {first: "001010000000001", count: 50, slices: [embb, urllc], derive: {env: SECRET}, node: phones, gnb: gnb1}
"""
PLMNS = '  plmns: ["00101"]'
EMBB = "    embb: {sst: 1, dnns: [internet], ambr: {down: 100Mbit, up: 50Mbit}}"
URLLC = '    urllc: {sst: 1, sd: "000001", dnns: [factory], five_qi: 82, gbr: {down: 1Mbit, up: 1Mbit}}'
INTERNET = "    internet: {subnets: [10.45.0.0/16], dns: [9.9.9.9]}"
FACTORY = "    factory: {subnets: [10.46.0.0/24], dns: [9.9.9.9]}"
AMF = "    amf: {node: cp, tacs: [1, 2]}"
SMF = "    smf: {node: cp, upfs: [far, near]}"
FAR = "    far: {node: up1, dnns: {internet: []}}"
NEAR = "    near: {node: up2, dnns: {factory: [10.46.0.0/25]}}"
GNB = "    gnb1: {node: site, id: 1, tac: 1}"
ONE = GOOD.splitlines()[-1]
AMF_TO_GNB = GOOD[GOOD.index(AMF) : GOOD.index(GNB) + len(GNB)]


def line(text):
    return GOOD.splitlines().index(text.splitlines()[0]) + 1


# What is replaced in GOOD, what by, on which line of the replacement the fault is, and what the message must say.
CASES = {
    "unknown dnn of a slice": (
        EMBB,
        EMBB.replace("[internet]", "[internett]"),
        0,
        "*slices.embb.dnns[0]: value 'internett': *'internet'?",
    ),
    "no dnn": (EMBB, EMBB.replace("[internet]", "[]"), 0, "*slices.embb.dnns: expected at least 1*"),
    "S-NSSAI twice": (URLLC, URLLC.replace('sd: "000001", ', ""), 0, "*urllc.sst: *another S-NSSAI than that of embb"),
    "unquoted sd": (URLLC, URLLC.replace('"000001"', "000001"), 0, "*urllc.sd: value '000001': expected text*quotes"),
    "sst": (EMBB, EMBB.replace("sst: 1", "sst: 256"), 0, "*embb.sst: value '256': expected at most 255"),
    "unknown 5QI": (EMBB, EMBB.replace("sst: 1", "sst: 1, five_qi: 11"), 0, "*embb.five_qi: value '11': *5.7.4-1*"),
    "GBR without rate": (
        EMBB,
        EMBB.replace("sst: 1", "sst: 1, five_qi: 1"),
        0,
        "*embb.five_qi: *`gbr` beside a 5QI that is GBR",
    ),
    "rate without GBR": (URLLC, URLLC.replace("82", "9"), 0, "*urllc.gbr: expected no `gbr` beside 5QI 9*"),
    "half a rate": (
        URLLC,
        URLLC.replace("gbr: {down: 1Mbit, up: 1Mbit}", "gbr: {down: 1Mbit}"),
        0,
        "*gbr.up: missing key 'up'",
    ),
    "arp": (
        EMBB,
        EMBB.replace("sst: 1", "sst: 1, arp: {priority: 16}"),
        0,
        "*arp.priority: value '16': expected at most 15",
    ),
    "no unit": (EMBB, EMBB.replace("50Mbit", "50"), 0, "*ambr.up: value '50': expected a number with a unit*"),
    "PLMN twice": (PLMNS, '  plmns: ["00101", "00101"]', 0, "*core.plmns[1]: value '00101': expected each PLMN once"),
    "PLMN unquoted": (PLMNS, "  plmns: [00101]", 0, "*core.plmns[0]: value '00101': expected text: put it in quotes"),
    "PLMN too short": (PLMNS, '  plmns: ["0010"]', 0, "*core.plmns[0]: value '0010': expected a PLMN in quotes*"),
    "PLMNs alike": (
        PLMNS,
        '  plmns: ["00101", "001011"]',
        0,
        "*core.plmns[1]: value '001011': *does not begin like 00101*",
    ),
    "subnets overlap": (
        FACTORY,
        FACTORY.replace("10.46.0.0/24", "10.45.3.0/24, 10.46.0.0/24"),
        0,
        "*factory.subnets[0]: value '10.45.3.0/24': *10.45.0.0/16 of internet",
    ),
    "subnet of the transport network": (
        INTERNET,
        INTERNET.replace("10.45.0.0/16", "10.0.0.0/16"),
        0,
        "*internet.subnets[0]: *does not overlap 10.0.0.1/24 of cp:e0",
    ),
    "long IPv6 prefix": (
        INTERNET,
        INTERNET.replace("10.45.0.0/16", "2001:db8::/80"),
        0,
        "*internet.subnets[0]: *each UE gets a /64",
    ),
    "no prefix": (
        INTERNET,
        INTERNET.replace("10.45.0.0/16", "10.45.0.1/16"),
        0,
        "*internet.subnets[0]: value '10.45.0.1/16': expected a prefix*",
    ),
    "dnn no UPF serves": (
        INTERNET,
        INTERNET + "\n    ims: {subnets: [10.47.0.0/24]}",
        1,
        "*core.dnns.ims: expected a UPF that leads to*",
    ),
    "name of a dnn twice": (
        FACTORY,
        FACTORY.replace("{sub", "{name: internet, sub"),
        0,
        "*factory.name: *another name than that of internet",
    ),
    "AMF on no node": (
        AMF,
        AMF.replace("cp", "cpp"),
        0,
        "*amf.node: value 'cpp': expected a node of kind core; did you mean 'cp'? (known: cp)",
    ),
    "AMF on a host": (AMF, AMF.replace("cp", "h1"), 0, "*amf.node: value 'h1': expected a node of kind core*"),
    "UPF on a gNB": (FAR, FAR.replace("up1", "site"), 0, "*far.node: value 'site': expected a node of kind upf*"),
    "gNB on a UPF": (GNB, GNB.replace("site", "up1"), 0, "*gnb1.node: value 'up1': expected a node of kind gnb*"),
    "UEs on a host": (
        ONE,
        ONE.replace("node: phones", "node: h1"),
        0,
        "*one.node: value 'h1': expected a node of kind ue*",
    ),
    "unknown slice of an AMF": (
        AMF,
        AMF.replace("cp,", "cp, slices: [embbb],"),
        0,
        "*amf.slices[0]: value 'embbb': *mean 'embb'?",
    ),
    "tac": (AMF, AMF.replace("[1, 2]", "[0]"), 0, "*amf.tacs[0]: value '0': expected at least 1"),
    "tac twice": (AMF, AMF.replace("[1, 2]", "[1, 1]"), 0, "*amf.tacs[1]: *each tracking area code once"),
    "AMFs alike": (
        AMF,
        AMF + "\n    amf2: {node: cp, tacs: [1]}",
        1,
        "*amf2.pointer: expected another region, set and pointer than that of amf",
    ),
    "AMFs at one address": (
        AMF,
        AMF + "\n    amf2: {node: cp, pointer: 1, tacs: [1]}",
        1,
        "*amf2.address: *that amf does not have: *38412 (NGAP)",
    ),
    "unknown UPF": (
        SMF,
        SMF.replace("near", "nea"),
        0,
        "*smf.upfs[1]: value 'nea': expected a upf of this core*'near'?",
    ),
    "unknown slice of an SMF": (
        SMF,
        SMF.replace("cp,", "cp, slices: [embbb],"),
        0,
        "*smf.slices[0]: value 'embbb': *mean 'embb'?",
    ),
    "unknown dnn of an SMF": (
        SMF,
        SMF.replace("cp,", "cp, dnns: [ims],"),
        0,
        "*smf.dnns[0]: value 'ims': expected a dnn of this core*",
    ),
    "SMF in no tracking area": (
        SMF,
        SMF.replace("cp,", "cp, tacs: [3],"),
        0,
        "*smf.tacs[0]: value '3': *an AMF has (1, 2)",
    ),
    "SMF without UPF for its dnn": (
        SMF,
        SMF.replace("near]", "near]}\n    two: {node: cp, address: 10.0.0.1, dnns: [factory], upfs: [far]"),
        1,
        "*two.dnns[0]: value 'factory': *its UPFs (far) leads to",
    ),
    "SMF where a UPF is": (NEAR, NEAR.replace("up2", "up1"), 0, "*near.address: *far does not have: *8805 (PFCP)"),
    "UPF no SMF reaches": (
        NEAR,
        NEAR + "\n    lost: {node: up2, dnns: {factory: [10.46.0.128/25]}}",
        1,
        "*upfs.lost: expected an SMF that controls this UPF*",
    ),
    "unknown dnn of a UPF": (
        FAR,
        FAR.replace("internet: []", "internet: [], ims: []"),
        0,
        "*far.dnns.ims: expected a dnn of this core*",
    ),
    "subnet outside": (
        NEAR,
        NEAR.replace("10.46.0.0/25", "10.46.1.0/25"),
        0,
        "*near.dnns.factory[0]: value '10.46.1.0/25': *inside those of factory (10.46.0.0/24)",
    ),
    "subnet of two UPFs": (
        NEAR,
        NEAR.replace("{factory", "{internet: [10.45.9.0/24], factory"),
        0,
        "*near.dnns.internet[0]: *overlap 10.45.0.0/16, which far gives",
    ),
    "UPF in no tracking area": (
        FAR,
        FAR.replace("up1", "up1, tacs: [7]"),
        0,
        "*far.tacs[0]: value '7': *an AMF has (1, 2)",
    ),
    "address of nobody": (
        FAR,
        FAR.replace("up1", "up1, address: 10.0.0.9"),
        0,
        "*far.address: value '10.0.0.9': expected an address of up1 (10.0.0.2)",
    ),
    "TAC on no AMF": (GNB, GNB.replace("tac: 1", "tac: 3"), 0, "*gnb1.tac: value '3': *an AMF has (1, 2)"),
    "gNB's slice no AMF has": (
        AMF_TO_GNB,
        AMF_TO_GNB.replace("cp, tacs", "cp, slices: [embb], tacs").replace("tac: 1}", "tac: 1, slices: [urllc]}"),
        None,
        "*gnb1.slices[0]: value 'urllc': *tracking area 1 (embb)",
    ),
    "unknown slice of a gNB": (
        GNB,
        GNB.replace("tac: 1", "tac: 1, slices: [embb, x]"),
        0,
        "*gnb1.slices[1]: value 'x': expected a slice*",
    ),
    "id too long": (
        GNB,
        GNB.replace("id: 1", "id: 4194304, id_length: 22"),
        0,
        "*gnb1.id: value '4194304': expected an id of 22 bits*",
    ),
    "id_length": (
        GNB,
        GNB.replace("id: 1", "id: 1, id_length: 21"),
        0,
        "*gnb1.id_length: value '21': expected at least 22",
    ),
    "too many cells": (
        GNB,
        GNB.replace("id: 1", "id: 1, cells: 17"),
        0,
        "*gnb1.cells: value '17': expected at most 16: 4 bits*",
    ),
    "gNB id twice": (
        GNB,
        GNB + "\n    gnb2: {node: site, id: 1, tac: 1}",
        1,
        "*gnb2.id: *another id than that of gnb1",
    ),
    "IMSI of no PLMN": (
        ONE,
        ONE.replace("00101000", "00102000"),
        0,
        "*one.first: value '001020000000001': *with a PLMN (00101)",
    ),
    "IMSI unquoted": (
        ONE,
        ONE.replace('"001010000000001"', "001010000000001"),
        0,
        "*one.first: value '001010000000001': expected text*quotes",
    ),
    "IMSI too short": (ONE, ONE.replace("001010000000001", "00101000000001"), 0, "*one.first: *an IMSI of 15 digits*"),
    "range over its digits": (
        ONE,
        ONE.replace("001010000000001", "001019999999990"),
        0,
        "*one.count: value '50': *within 10 digits after the PLMN 00101",
    ),
    "no key": (
        ONE,
        ONE.replace("derive: {env: SECRET}, ", ""),
        0,
        "*subscribers.one: expected keys of these subscribers*",
    ),
    "half a key": (ONE, ONE.replace("derive", "k"), 0, "*subscribers.one: expected `opc` too*"),
    "two keys": (
        ONE,
        ONE.replace("derive", "k: {env: K}, opc: {env: O}, derive"),
        0,
        "*one.derive: expected either `derive`, or*",
    ),
    "key written out": (
        ONE,
        ONE.replace("derive: {env: SECRET}", 'k: "00112233445566778899aabbccddeeff"'),
        0,
        "*one.k: expected where the secret is*not shown)",
    ),
    "secret of two places": (
        ONE,
        ONE.replace("{env: SECRET}", "{env: SECRET, file: x}"),
        0,
        "*one.derive: *exactly one of env*",
    ),
    "ranges overlap": (
        ONE,
        ONE + "\n" + ONE.replace("one", "two").replace('000001"', '000050"'),
        1,
        "*two.first: value '001010000000050': *not in one, which goes up to 001010000000050",
    ),
    "unknown slice of subscribers": (ONE, ONE.replace("urllc", "urlc"), 0, "*one.slices[1]: value 'urlc': *'urllc'?"),
    "unknown gNB": (ONE, ONE.replace("gnb: gnb1", "gnb: gnb2"), 0, "*one.gnb: value 'gnb2': *'gnb1'?"),
    "UEs under no gNB": (ONE, ONE.replace(", gnb: gnb1", ""), 0, "*one.node: value 'phones': expected `gnb` beside*"),
    "slice its gNB lacks": (
        GNB,
        GNB.replace("tac: 1", "tac: 1, slices: [embb]"),
        None,
        "*one.slices[1]: value 'urllc': *that gnb1 has (embb)",
    ),
    "slice no SMF serves there": (
        SMF,
        SMF.replace("cp,", "cp, tacs: [2],"),
        None,
        "*one.slices[0]: value 'embb': *internet an SMF serves in tracking area 1",
    ),
    "more than addresses": (
        NEAR,
        NEAR.replace("10.46.0.0/25", "10.46.0.0/27"),
        None,
        "*one.count: value '50': *at most 29 subscribers*addresses of data network factory*",
    ),
    "more than a UPF takes": (
        FAR,
        FAR.replace("up1", "up1, capacity: 49"),
        None,
        "*one.count: *at most 49 subscribers*UPFs of internet*",
    ),
    "more than an SMF takes": (
        SMF,
        SMF.replace("cp,", "cp, capacity: 49,"),
        None,
        "*one.count: *at most 49 subscribers*SMFs of internet*",
    ),
    "more than an AMF takes": (
        AMF,
        AMF.replace("cp,", "cp, capacity: 49,"),
        None,
        "*one.count: *at most 49 subscribers*AMFs*",
    ),
    "more than a tracking area's AMFs take": (
        AMF,
        "    amf: {node: cp, tacs: [1], capacity: 49}\n    b: {node: cp, address: 10.0.0.1, pointer: 1, tacs: [2]}",
        None,
        "*one.count: *at most 49 subscribers*AMFs of tracking area 1*",
    ),
    "more than the backhaul carries": (
        URLLC,
        URLLC.replace("1Mbit", "3Mbit"),
        None,
        "*gnbs.gnb1: *fit in its link's 100Mbit; *150Mbit",
    ),
    "ambiguous address": (
        "  cp: {kind: core}",
        "  cp: {kind: core, loopbacks: [10.9.0.1/32, 10.9.0.2/32]}",
        None,
        "*amf.node: value 'cp': expected `address` beside it: cp has several (10.9.0.1, 10.9.0.2)",
    ),
    "no address": (
        "interface: e0, addresses: [10.0.0.1/24]",
        "interface: e0",
        None,
        "*amf.node: value 'cp': expected a node with an address*",
    ),
    "misspelt kind": (
        "  up1: {kind: upf}",
        "  up1: {kind: ufp}",
        0,
        "*nodes.up1.kind: *one of core, upf, gnb, ue, host, router, bridge, switch; did you mean 'upf'?",
    ),
    "misspelt key": (AMF, AMF.replace("tacs", "tac"), 0, "*amf.tac: unknown key 'tac'*mean 'tacs'?"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_slip_is_refused_where_it_is(case, tmp_path):
    old, new, offset, pattern = CASES[case]
    assert GOOD.count(old) == 1
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(BadInput) as refused:
        load_topology(file)
    found = [one for one in str(refused.value).splitlines() if fnmatchcase(one, pattern.replace("[", "[[]"))]
    assert found, str(refused.value)
    at = re.match(r".*bad\.yaml:(\d+):(\d+): ", found[0])
    assert at
    if offset is not None:
        assert int(at[1]) == line(old) + offset
    assert "00112233445566778899aabbccddeeff" not in str(refused.value)


def test_what_is_right_is_taken():
    topology = loads(GOOD, Topology)
    assert address_of(topology, "upfs", "near") == "10.0.0.3"
    core = topology.core
    assert core is not None
    assert core.dnns_of(core.smfs["smf"]) == ("internet", "factory")
    assert core.slices_of(core.gnbs["gnb1"]) == ("embb", "urllc")
    assert [core.slices[name].marking for name in ("embb", "urllc")] == [0, 46]
    assert list(core.subscribers["one"].imsis())[-1] == "001010000000050"
    assert home_of(core, "001010000000001") == "00101"


def test_two_upfs_share_a_data_network_in_parts():
    text = GOOD.replace("internet: []", "internet: [10.45.0.0/17], factory: [10.46.0.128/25]")
    assert loads(text, Topology).core is not None


@pytest.mark.parametrize("text", [GOOD, METRO.read_text()])
def test_a_core_is_written_and_read_again(text):
    topology = loads(text, Topology)
    assert loads(dump(topology), Topology) == topology
    assert Topology.model_validate_json(topology.model_dump_json()) == topology


def test_a_change_of_the_core_is_one_difference():
    before, after = loads(GOOD, Topology), loads(GOOD.replace("far: {node", "far: {capacity: 99, node"), Topology)
    without = Topology.model_validate(before.model_dump(mode="json") | {"core": None})
    for one, other in ((before, after), (without, after), (before, without)):
        edits = difference(one, other)
        assert [edit.path for edit in edits] == [("core",)]
        assert applied(edits, one) == other


def test_the_metro_network_comes_up_as_hosts():
    topology = load_topology(METRO)
    assert {node.kind for node in topology.nodes.values()} == {*END_SYSTEMS, "router"}
    build = build_of(topology)
    assert {node.kind for node in build.nodes} == {"host", "router"}
    assert topology.core is not None
    assert sum(one.count for one in topology.core.subscribers.values()) == 100


def test_the_table_is_the_link_profiles():
    """The same table of TS 23.501, typed twice by different hands: milliseconds there, seconds here."""
    choices = read_yaml(PROFILES / "nr-5qi.yaml").plain()["parameters"]["qi"]["choices"]
    there = {int(key): (row["budget"], row["lost"]) for key, row in choices.items()}
    assert there == {key: (round(row.delay * 1000), row.loss) for key, row in TABLE.items()}


def test_every_5qi_has_a_dscp_and_bursts_are_of_the_delay_critical():
    assert DSCP.keys() == TABLE.keys()
    assert all((row.burst is not None) == (row.resource == "delay-critical GBR") for row in TABLE.values())
