"""Traces in topology files: read where they stand, refused with their place, written back."""

import pytest
from msgspec import UNSET

from testbed.emulator.lower import topology_tracks
from testbed.emulator.patch import LinkPatch
from testbed.errors import BadInput
from testbed.model.dump import dump
from testbed.model.load import load_topology, loads
from testbed.model.schema import schema
from testbed.model.topology import LinkTrace, Topology
from testbed.model.traces.generators import daily_load

HEAD = "name: t\nnodes: {a: {kind: host}, b: {kind: host}}\nlinks:\n  a-b:\n    endpoints: [a:eth0, b:eth0]\n"


@pytest.fixture
def read(tmp_path):
    """Read a topology whose link a-b has these further lines."""

    def load(lines: str) -> Topology:
        file = tmp_path / "t.yaml"
        file.write_text(HEAD + "".join(f"    {line}\n" for line in lines.splitlines()))
        return load_topology(file)

    return load


def test_one_text_is_for_both_directions(read):
    topology = read("trace: random-walk(seed=1, seconds=2)")
    one, other = topology_tracks(topology)
    assert (one.end, other.end) == (0, 1)
    assert one.patches == other.patches
    assert "trace: random-walk(seed=1, seconds=2)\n" in dump(topology)


def test_directions_have_their_own_and_files_stand_beside_the_topology(read, tmp_path, monkeypatch):
    (tmp_path / "up.csv").write_text("t_s,delay_ms\n0,1\n1,2\n")
    topology = read("trace: {forward: 'random-walk(seed=1)', backward: 'csv:up.csv', repeat: true}")
    monkeypatch.chdir("/")
    forward, backward = topology_tracks(topology)
    assert (forward.lap, backward.lap) == (60.0, 2.0)
    assert backward.patches == (LinkPatch(delay=0.001), LinkPatch(delay=0.002))
    assert topology.links["a-b"].trace == LinkTrace(
        forward="random-walk(seed=1)", backward=f"csv:{tmp_path}/up.csv", repeat=True
    )


def test_a_link_may_have_a_trace_one_way_alone(read):
    (only,) = topology_tracks(read("trace: {backward: random-walk}"))
    assert only.end == 1


@pytest.mark.parametrize("text", ["random-walk", "{forward: random-walk, repeat: true}", "{backward: leo-pass}"])
def test_what_is_written_is_read_as_the_same(read, text):
    topology = read(f"trace: {text}")
    assert loads(dump(topology), Topology) == topology
    assert Topology.model_validate_json(topology.model_dump_json()) == topology


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trace: leo-pas", "t.yaml:6:12: links.a-b.trace: value 'leo-pas': no trace called 'leo-pas'; did you mean"),
        ("trace: {forward: random-walk(sed=1)}", "t.yaml:6:22: links.a-b.trace.forward: .*did you mean 'seed'"),
        ("trace: {forwards: random-walk}", "t.yaml:6:13: links.a-b.trace.forwards: .*did you mean 'forward'"),
        ("trace: {}", "t.yaml:6:12: links.a-b.trace: expected a trace forward or backward"),
        ("trace: 5", "t.yaml:6:12: links.a-b.trace: value '5': expected a trace such as"),
        ("trace: {forward: 5}", "t.yaml:6:22: links.a-b.trace.forward: value '5': expected"),
        ("trace: {forward: random-walk, repeat: yes}", "t.yaml:6:43: links.a-b.trace.repeat: value 'yes': expected"),
        ("trace: csv:no.csv", "t.yaml:6:12: links.a-b.trace: .*no.csv: expected a readable trace, but"),
        ("trace: csv:bad.csv", r"t.yaml:6:12: links.a-b.trace: .*bad.csv:3: delay: value 'x': expected a number"),
        ("trace: {forward: leo-pass(height=9)}", "height=9: expected a number from 160 to 40000"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(read, tmp_path, text, expected):
    (tmp_path / "bad.csv").write_text("t_s,delay_ms\n0,1\n1,x\n")
    with pytest.raises(BadInput, match=expected):
        read(text)


def test_all_that_is_wrong_is_told_at_once(read):
    with pytest.raises(BadInput) as refusal:
        read("trace: {forward: leo-pas, backward: rain-evnt}\nmtu: 1")
    assert len(str(refusal.value).splitlines()) == 3


def test_a_setting_that_the_link_cannot_have_is_told_before_anything_is_built(read, tmp_path):
    (tmp_path / "z.csv").write_text("t_s,delay_ms\n0,1\n1,0\n")
    topology = read("impairment: {delay: 5ms, reorder: 10%}\ntrace: csv:z.csv")
    with pytest.raises(BadInput, match=r"a-b: trace csv:.*z\.csv: reorder without a delay"):
        topology_tracks(topology)


def test_a_trace_that_sets_loss_takes_the_place_of_bursts(read, tmp_path):
    (tmp_path / "l.csv").write_text("t_s,loss_percent\n0,5\n1,\n2,0\n")
    forward, _ = topology_tracks(read("profile: leo\ntrace: csv:l.csv"))
    assert forward.patches == (LinkPatch(loss=0.05, burst=None), LinkPatch(loss=0.0, burst=None))


def test_waits_are_kept_apart_from_delays(read):
    forward, _ = topology_tracks(read("profile: fibre(km=100)\ntrace: daily-load"))
    assert forward.waits == tuple(setting.get("wait") for setting in daily_load().settings)
    assert {patch.delay for patch in forward.patches} == {UNSET}


def test_the_schema_knows_both_forms():
    described = schema("topology")["$defs"]
    forms = described["Link"]["properties"]["trace"]["anyOf"]
    assert forms[0]["type"] == "string"
    assert {"$ref": "#/$defs/LinkTrace"} in forms
    assert set(described["LinkTrace"]["properties"]) == {"forward", "backward", "repeat"}
