"""Open5GS's files: made from a core, read back, refused where Open5GS cannot or would not do it."""

import io
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from core5g.open5gs.keys import FUNCTIONS
from core5g.open5gs.names import VERSIONS, file_of, name_in, slug_of
from core5g.open5gs.read import read, read_texts
from core5g.open5gs.render import files
from core5g.open5gs.said import said
from testbed.errors import BadInput
from testbed.model.load import Written, loads, written_topology
from testbed.model.topology import Topology
from tests.core5g.open5gs import cores

METRO = Path(__file__).resolve().parents[3] / "topologies" / "metro5g.yaml"
FILES = files(written_topology(METRO))
NO_SHRINK = tuple(phase for phase in Phase if phase not in (Phase.shrink, Phase.explain))
"""Whole topologies take hypothesis minutes to make smaller."""


@pytest.mark.parametrize("version", VERSIONS)
def test_every_function_has_a_file_and_the_bytes_are_the_same_each_time(version):
    texts = files(written_topology(METRO), version)
    for name, text in texts.items():
        assert [key for key in YAML(typ="safe").load(text) if key in FUNCTIONS] == [re.split("[-.]", name)[0]]
    assert sorted(texts) == sorted([*(f"{one}.yaml" for one in FUNCTIONS if one != "upf"), "upf-central.yaml",
                                    "upf-edge.yaml"])  # fmt: skip
    assert files(written_topology(METRO), version) == texts


def test_no_secret_and_no_subscriber_is_in_the_files():
    assert not any("METRO5G_KEYS" in text or "001010000000001" in text for text in FILES.values())


@given(cores.topologies())
@settings(deadline=None, max_examples=40, phases=NO_SHRINK)
def test_what_the_files_can_say_is_read_back(topology):
    assert read_texts(files(Written(topology))).core == said(topology)


def test_the_metro_network_is_read_back(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    reading = read(tmp_path)
    assert reading.core == said(written_topology(METRO).model)
    assert any(fnmatchcase(note, "*amf.yaml:*: amf.security: *not in the model*") for note in reading.notes)


@given(st.sampled_from(["amf", "smf", "upf"]), cores.names)
def test_a_files_name_gives_the_functions(function, name):
    stem = file_of(function, name).removesuffix(".yaml")
    assert name_in(function, stem) == name or name.startswith(f"{function}-")


@given(st.text(), st.sets(cores.names))
def test_any_text_becomes_a_name_of_its_own(text, taken):
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug_of(text, taken))
    assert slug_of(text, taken) not in taken


# --- What Open5GS cannot do ------------------------------------------------------------------------------------------

CANNOT = {
    "UPFs of one data network": (
        "{factory: []}",
        "{factory: [10.46.0.0/25], internet: [10.45.128.0/17]}",
        ("{internet: []", "{internet: [10.45.0.0/17]"),
        "*smf.upfs[1]: *choose addresses by UPF",
    ),
    "tracking areas of a UPF": (
        "node: edge, address",
        "node: edge, tacs: [1], address",
        None,
        "*edge.tacs: *fits, not both",
    ),
    "no DNS": (
        "{subnets: [10.45.0.0/16], dns: [10.0.6.2]}",
        "{subnets: [10.45.0.0/16]}",
        None,
        "*internet.subnets: *`dns` beside it*",
    ),
    "two MTUs": (
        "{subnets: [10.45.0.0/16],",
        "{mtu: 1300, subnets: [10.45.0.0/16],",
        None,
        "*dnns.factory.mtu: *`mtu` of internet*",
    ),
    "SMF elsewhere": (
        "smf: {node: core,",
        "smf: {node: core2, address: 10.9.0.1,",
        ("  core:     {", "  core2:    {kind: core, loopbacks: [10.9.0.1/32]}\n  core:     {"),
        "*smf.node: *expected core: *one node*",
    ),
    "two SMFs of one UPF": (
        "upfs: [central, edge]}",
        "upfs: [central, edge]}\n    two: {node: core, address: 10.0.3.3, upfs: [edge]}",
        ("addresses: [10.0.3.2/29]", "addresses: [10.0.3.2/29, 10.0.3.3/29]"),
        "*two.upfs[0]: *both SMFs would give*",
    ),
    "three DNS": ("dns: [10.0.6.2]", "dns: [10.0.6.2, 9.9.9.9, 1.1.1.1]", None, "*dnns.internet.dns: *at most 2 IPv4*"),
    "seventeen TACs": (
        "tacs: [1, 2]",
        f"tacs: {list(range(1, 18))}",
        None,
        "*amf.tacs: value 17: expected at most 16*",
    ),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_open5gs_cannot_do_is_refused_with_its_place(case, tmp_path):
    old, new, also, pattern = CANNOT[case]
    text = METRO.read_text().replace(old, new)
    text = text.replace(also[0], also[1]) if also else text
    if "two SMFs" in case:
        text = text.replace("    smf: {node: core,", "    smf: {node: core, address: 10.0.3.2,").replace(
            "    amf: {node: core,", "    amf: {node: core, address: 10.0.3.2,"
        )
    file = tmp_path / "metro5g.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        files(written_topology(file))
    found = [x for x in str(refused.value).splitlines() if fnmatchcase(x, pattern.replace("[", "[[]"))]
    assert found, str(refused.value)
    assert re.match(r".*metro5g\.yaml:\d+:\d+: core\.", found[0])


def test_a_version_that_is_not_known_names_those_that_are():
    with pytest.raises(BadInput, match=r"no Open5GS '2\.6'.*known: 2\.7, 2\.8"):
        files(written_topology(METRO), "2.6")


def test_a_topology_without_core_is_refused():
    with pytest.raises(BadInput, match="expected a topology with a key `core`"):
        files(Written(loads("name: x\nnodes: {a: {kind: host}}\n", Topology)))


# --- Files of others -------------------------------------------------------------------------------------------------

AMF = """\
amf:
  sbi: {server: [{address: 127.0.0.5, port: 7777}]}
  ngap: {server: [{address: 127.0.0.5}]}
  guami: [{plmn_id: {mcc: 999, mnc: 70}, amf_id: {region: 2, set: 1}}]
  tai: [{plmn_id: {mcc: 999, mnc: 70}, tac: [1, 3-5]}]
  plmn_support: [{plmn_id: {mcc: 999, mnc: 70}, s_nssai: [{sst: 1}, {sst: 2, sd: 000080}]}]
  amf_name: open5gs-amf0
"""
SMF = """\
smf:
  pfcp:
    server: [{address: 127.0.0.4}]
    client:
      upf:
        - address: 127.0.0.7
  session:
    - subnet: 10.45.0.0/16
      gateway: 10.45.0.1
    - subnet: 2001:db8:cafe::/48
  dns: [8.8.8.8, 2001:4860:4860::8888]
  mtu: 1400
  freeDiameter: /etc/freeDiameter/smf.conf
"""
UPF = """\
upf:
  pfcp:
    server:
      - address: 127.0.0.7
    client:
  gtpu: {server: [{address: 127.0.0.7}]}
  session:
    - subnet: 10.45.0.0/16
      gateway: 10.45.0.1
    - subnet: 2001:db8:cafe::/48
"""
THEIRS = {"amf.yaml": AMF, "smf.yaml": SMF, "upf.yaml": UPF}


def test_a_folder_as_packages_lay_it_out():
    reading = read_texts(THEIRS | {"mme.yaml": "mme: {}\n"})
    core = reading.core
    assert core.plmns == ("99970",)
    assert core.amfs["open5gs-amf0"].tacs == (1, 3, 4, 5)
    assert core.slices.keys() == {"sst1", "sst2-000080"}
    assert core.dnns["any"].subnets == ("10.45.0.0/16", "2001:db8:cafe::/48")
    assert core.smfs["smf"].upfs == ("upf",)
    assert core.upfs["upf"].address == "127.0.0.7"
    assert any("smf.freeDiameter" in note for note in reading.notes)
    assert any(note.startswith("mme.yaml") for note in reading.notes)


def test_a_folder_with_names_of_hosts_as_compose_files_have():
    texts = {name: text.replace("127.0.0.7", "upf.open5gs.org") for name, text in THEIRS.items()}
    core = read_texts({f"configs/{name}": text for name, text in texts.items()}).core
    assert core.upfs["upf"].address is None
    assert core.smfs["smf"].upfs == ("upf",)


WRONG = {
    "misspelt key": ("amf.yaml", "  ngap:", "  ngpa:", "amf.yaml:3:3: amf.ngpa: unknown key 'ngpa': *mean 'ngap'?"),
    "key of another function": ("upf.yaml", "  gtpu:", "  guami:", "upf.yaml:6:3: upf.guami: unknown key*"),
    "UPF nobody listens": (
        "smf.yaml",
        "127.0.0.7",
        "127.0.0.9",
        "smf.yaml:6:20: *upf[0].address: value '127.0.0.9': *(127.0.0.7)",
    ),
    "subnet no UPF has": (
        "upf.yaml",
        "10.45.0.0/16",
        "10.45.0.0/17",
        "smf.yaml:8:15: *session[0].subnet: value '10.45.0.0/16': *UPF of smf has*",
    ),
    "subnet outside": (
        "upf.yaml",
        "10.45.0.0/16",
        "10.99.0.0/16",
        "upf.yaml:8:15: *subnet: value '10.99.0.0/16': *inside those of any*",
    ),
    "no subnet": ("smf.yaml", "subnet: 2001:db8:cafe::/48", "subnet: cafe", "smf.yaml:10:15: *value 'cafe': expected*"),
    "tac": ("amf.yaml", "3-5", "5-3", "amf.yaml:5:49: amf.tai[0].tac[1]: value '5-3': expected a range upwards*"),
    "tac 0": ("amf.yaml", "[1, 3-5]", "0", "amf.yaml:5:45: *value '0': expected at least 1"),
    "mcc": (
        "amf.yaml",
        "[{plmn_id: {mcc: 999, mnc: 70}, amf_id",
        "[{plmn_id: {mcc: x}, amf_id",
        "amf.yaml:4:21: *expected a plmn_id*",
    ),
    "sd": ("amf.yaml", "000080", "00008g", "amf.yaml:6:82: *value '00008g': expected an sd*"),
    "sst": ("amf.yaml", "{sst: 1}", "{sst: 900}", "amf.yaml:6:65: *value '900': expected at most 255"),
    "no list": (
        "smf.yaml",
        "mtu: 1400",
        "mtu: {a: 1}",
        "smf.yaml:12:8: smf.mtu: expected a value, or a list of values",
    ),
    "no mapping": (
        "amf.yaml",
        "  ngap: {server: [{address: 127.0.0.5}]}",
        "  ngap: x",
        "amf.yaml:3:9: amf.ngap: value 'x': expected a mapping*",
    ),
    "slice without SMF": (
        "smf.yaml",
        "  mtu: 1400",
        "  info: [{s_nssai: [{sst: 1, dnn: [internet]}]}]\n  mtu: 1400",
        "amf.yaml:6:69: *expected a data network that an SMF of this slice serves",
    ),
    "dnn without session": (
        "smf.yaml",
        "      gateway: 10.45.0.1\n    - subnet: 2001:db8:cafe::/48",
        "      dnn: internet\n    - subnet: 2001:db8:cafe::/48\n      dnn: ims\n"
        "  info: [{s_nssai: [{sst: 1, dnn: imss}, {sst: 2, sd: 000080, dnn: ims}]}]",
        "smf.yaml:*: *dnn*expected a dnn*",
    ),
    "open bracket": ("upf.yaml", "upf:", "upf: [", "upf.yaml:*not YAML*"),
    "key twice": ("upf.yaml", "  gtpu:", "  pfcp: {}\n  gtpu:", "upf.yaml:6:3: upf.pfcp: key 'pfcp' a second time*"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_folder_is_told_with_its_place(case):
    file, old, new, pattern = WRONG[case]
    assert old in THEIRS[file]
    upf = THEIRS | {file: THEIRS[file].replace(old, new)}
    if case == "dnn without session":
        upf["upf.yaml"] = UPF.replace("      gateway: 10.45.0.1", "      dnn: internet") + "      dnn: ims\n"
    with pytest.raises(BadInput) as refused:
        read_texts(upf)
    found = [one for one in str(refused.value).splitlines() if fnmatchcase(one, pattern.replace("[", "[[]"))]
    assert found, str(refused.value)


def test_a_folder_without_the_functions_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected a folder with Open5GS's configuration"):
        read(tmp_path)
    with pytest.raises(BadInput, match="there is none of smf, upf"):
        read_texts({"amf.yaml": AMF})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
    ["10.0.0.1", "10.0.0.0/8", "1-9", "001", "999"]
)  # fmt: skip
KEYS = {
    "server", "client", "upf", "address", "plmn_id", "mcc", "mnc", "tac", "s_nssai", "sst", "sd", "dnn", "subnet",
    "amf_id", "region", "set", "max", "ue", "global",
}  # fmt: skip
every_key = sorted({key for shape in FUNCTIONS.values() for key in shape} | KEYS)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(every_key), inner, max_size=5),
    max_leaves=25,
)


def _text(value):
    stream = io.StringIO()
    YAML(typ="safe").dump(value, stream)
    return stream.getvalue()


@given(st.sampled_from(sorted(THEIRS)), st.dictionaries(st.sampled_from(["amf", "smf", "upf", "global"]), trees))
@settings(deadline=None, max_examples=300)
def test_any_tree_in_place_of_a_file_is_read_or_refused(file, value):
    try:
        read_texts(THEIRS | {file: _text(value)})
    except BadInput:
        return


@given(st.sampled_from(sorted(THEIRS)), st.data())
@settings(deadline=None, max_examples=300)
def test_any_value_in_place_of_another_is_read_or_refused(file, data):
    """One place of a right file at a time: this comes further than a tree that is wrong all over."""
    whole = YAML(typ="safe").load(THEIRS[file])
    here = whole
    while True:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        below = here[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
            here[key] = data.draw(trees)
            break
        here = below
    try:
        read_texts(THEIRS | {file: _text(whole)})
    except BadInput:
        return
