"""A running lab as a file: nothing of it is lost, and what is read back from it is the same again."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.converge.saved import as_json, as_yaml, described
from testbed.emulator.lower import patch_of
from testbed.emulator.messages import LinkChange, LinkState, Observed
from testbed.emulator.standing import Traced
from testbed.errors import BadInput, ExitCode
from testbed.model.load import loads
from testbed.model.topology import LinkTrace, Topology
from tests.cli.commands import call
from tests.converge.conftest import line
from tests.model.generated import impairments, topologies

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def seen(topology: Topology, **changed: object) -> Observed:
    """What an agent tells of a lab that is just as its topology says, but for what is given."""
    links = tuple(
        LinkState(name=name, up=link.up, forward=patch_of(link.forward), backward=patch_of(link.backward))
        for name, link in topology.links.items()
    )
    ends = [end for link in topology.links.values() for end in link.endpoints]
    addresses = {
        name: (
            *(("lo", str(address)) for address in getattr(node, "loopbacks", ())),
            *((end.interface, str(address)) for end in ends if end.node == name for address in end.addresses),
        )
        for name, node in topology.nodes.items()
    }
    return Observed(**({"links": links, "addresses": addresses} | changed))  # pyright: ignore[reportArgumentType]


@settings(SLOW, max_examples=25)  # the writing itself is tested with the models
@given(topologies())
def test_what_was_written_is_read_back_the_same(topology):
    assert loads(as_yaml(topology), Topology) == topology
    assert loads(as_json(topology), Topology) == topology


@SLOW
@given(topologies())
def test_a_lab_in_which_nothing_was_changed_is_its_topology(topology):
    assert described("random", topology, seen(topology)) == topology


@SLOW
@given(topologies(), st.data())
def test_every_setting_of_a_link_that_was_changed_is_kept(topology, data):
    links = {
        name: link.model_copy(
            update={"forward": data.draw(impairments()), "backward": data.draw(impairments()), "up": not link.up}
        )
        for name, link in topology.links.items()
    }
    changed = topology.model_copy(update={"links": links})
    assert described("random", topology, seen(changed)) == changed


def test_a_trace_that_plays_is_kept():
    traces = (Traced(link="a-b", end=1, source="leo-pass(seed=1)", repeat=True),)
    saved = described("line", line(), seen(line(), traces=traces))
    assert saved.links["a-b"].trace == LinkTrace(backward="leo-pass(seed=1)", repeat=True)


def _traced(source: str, *repeats: bool) -> tuple[Traced, ...]:
    return tuple(Traced(link="a-b", end=1 if end else 0, source=source, repeat=it) for end, it in enumerate(repeats))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"dark": ("a",)}, "a: power is off"),
        ({"traces": _traced("", True)}, "a-b: what plays there was not read from a trace"),
        ({"traces": _traced("leo-pass(seed=1)", True, False)}, "a-b: one direction's trace repeats"),
    ],
)
def test_what_no_topology_can_say_is_refused(changed, expected):
    with pytest.raises(BadInput, match=expected):
        described("line", line(), seen(line(), **changed))


def test_a_lab_comes_back_from_its_file_under_another_name(lab, tmp_path):
    with lab.agent() as agent:
        agent.set_links([LinkChange(link="a-b", up=False)])
        assert agent.run("c", ["ip", "address", "add", "10.7.0.1/24", "dev", "eth1"]).code == 0
    done = call("save", lab.name, tmp_path / "saved.json", "--json")
    assert json.loads(done.stdout)["links"] == 2, done.stderr
    done = call("restore", tmp_path / "saved.json", "--name", "again", "--substrate", "native")
    try:
        assert done.returncode == ExitCode.DONE, done.stderr
        one, other = (call("save", name).stdout for name in (lab.name, "again"))
        assert other == one.replace("name: line", "name: again")
        assert "up: false" in one
        assert "10.7.0.1/24" in one
        assert call("restore", tmp_path / "saved.json").returncode == ExitCode.DONE
        assert call("restore", tmp_path / "saved.json").stdout.endswith("nothing to change\n")
    finally:
        call("down", "again")


def test_what_a_nodes_own_commands_add_is_left_to_them(lab, tmp_path):
    goal = line().model_dump(mode="json")
    goal["nodes"]["c"]["exec"] = ["ip address add 10.7.0.1/24 dev eth1"]
    (tmp_path / "goal.json").write_text(as_json(Topology.model_validate(goal)))
    assert call("restore", tmp_path / "goal.json").returncode == ExitCode.DONE
    done = call("save", lab.name)
    assert "not saved: 10.7.0.1/24 on c:eth1" in done.stderr
    assert loads(done.stdout, Topology) == Topology.model_validate(goal)
