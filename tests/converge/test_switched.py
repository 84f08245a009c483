"""Labs with switches that are changed, saved and restored by the commands that a user types."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from testbed.control.messages import Pin, Policy
from testbed.converge.observe import as_it_runs
from testbed.converge.plan import planned
from testbed.emulator.lower import build_of
from testbed.emulator.lower_slices import policy_of
from testbed.emulator.messages import Observed
from testbed.emulator.revision import Given
from testbed.emulator.segments import ReadSwitches
from testbed.errors import BadInput, ExitCode
from testbed.lab import Lab
from testbed.model.dump import dump
from testbed.model.load import loads
from testbed.model.steering import Steering
from testbed.model.topology import Topology
from tests.cli.commands import call
from tests.emulator.segments import network, reaches
from tests.emulator.test_switches import LEARNING
from tests.system.killed import begin, finish

RING = [("s1", "s2"), ("s2", "s3"), ("s3", "s1")]
PIN = {"source": "h1", "destination": "h2", "links": ["s1-s2"]}


def ring(**more: Any) -> Topology:
    hosts = {f"h{number}": f"s{number}" for number in (1, 2, 3)}
    tree = network({f"s{number}": {"kind": "switch"} for number in (1, 2, 3)}, RING, hosts).model_dump(mode="json")
    return Topology.model_validate(tree | {"name": "ring"} | more)


def with_cable(topology: Topology) -> Topology:
    tree = topology.model_dump(mode="json")
    tree["links"]["s1-s2"]["mtu"] = 1400
    return Topology.model_validate(tree)


def with_host(topology: Topology) -> Topology:
    tree = topology.model_dump(mode="json")
    tree["nodes"]["h4"] = {"kind": "host"}
    ends = [{"node": "h4", "interface": "eth0", "addresses": ["10.0.0.4/24"]}, {"node": "s3", "interface": "more"}]
    tree["links"]["h4-s3"] = {"endpoints": ends}
    return Topology.model_validate(tree)


@pytest.fixture
def file(native_home: Path, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "ring.yaml"
    path.write_text(dump(ring()))
    assert call("up", path, "--substrate", "native").returncode == ExitCode.DONE
    yield path
    for lab in Lab.all():
        lab.down()


def reached(lab: str, source: str, target: str) -> int:
    with Lab.open(lab).agent() as agent:
        return reaches(agent, source, target)


def test_a_drained_link_is_shown_kept_saved_and_restored(file: Path, tmp_path: Path):
    assert call("switch", "drain", "s1-s2", "--lab", "ring").returncode == ExitCode.DONE
    assert "~ steering: drained s1-s2 -> none" in call("up", file, "--dry-run").stdout
    file.write_text(dump(with_host(ring())))
    done = call("up", file, "--keep-runtime")
    assert (done.returncode, "steering" in done.stdout) == (ExitCode.DONE, False)
    assert reached("ring", "h1", "h4") == 3
    saved = tmp_path / "saved.yaml"
    assert call("save", "ring", saved).returncode == ExitCode.DONE
    assert "drained: [s1-s2]" in saved.read_text()
    assert call("down", "ring").returncode == ExitCode.DONE
    assert call("restore", saved, "--substrate", "native").returncode == ExitCode.DONE
    assert _drained() == ("s1-s2",)
    assert call("up", file).returncode == ExitCode.DONE
    assert _drained() == ()


def _drained() -> tuple[str, ...]:
    with Lab.open("ring").agent() as agent:
        return agent.call(ReadSwitches()).policy.drained


def _refused(before: Topology, goal: Topology) -> str:
    with pytest.raises(BadInput) as told:
        planned(before, Given(build_of(before)), goal, Observed(given=True, policy=Policy()))
    return str(told.value)


def test_in_several_guests_switches_stay_as_they_were_made():
    before = ring(guest={"guests": 2})
    for goal, where in (
        (with_cable(before), "links.s1-s2.mtu"),
        (ring(guest={"guests": 2}, slices={"bulk": {"dscp": 10, "maximum": 1e6}}), "slices.bulk"),
    ):
        said = _refused(before, goal)
        assert said.startswith(where)
        assert "in a lab of 2 guests switches, their slices and what is plugged into them stay" in said


def test_a_controller_that_the_lab_came_up_without_a_way_to_is_refused():
    goal = ring().model_dump(mode="json")
    goal["nodes"]["s1"]["controller"] = "tcp:10.9.9.9:6653"
    said = _refused(ring(), Topology.model_validate(goal))
    assert said.startswith("controller tcp:10.9.9.9:6653: the lab came up without a way to it; `testbed down` first")


@pytest.mark.parametrize(
    ("steering", "said"),
    [
        ({"drained": ["s1-s9"]}, "expected a link between two switches; did you mean 's1-s2'? (known: s1-s2, s2-s3,"),
        ({"drained": ["h1-s1"]}, "expected a link between two switches"),
        ({"drained": ["s1-s2", "s1-s2"]}, "expected each link once"),
        ({"pins": [PIN | {"destination": "h22"}]}, "expected a node; did you mean 'h2'"),
        ({"pins": [PIN | {"links": ["s1-s9"]}]}, "expected a link between two switches"),
        ({"pins": [PIN, PIN]}, "expected one pin for each source and destination"),
    ],
)
def test_steering_that_cannot_be_is_refused(steering: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        ring(steering=steering)


def test_steering_needs_switches_of_our_own_controller():
    tree = network({"s1": LEARNING, "s2": LEARNING}, [("s1", "s2")], {}).model_dump(mode="json")
    with pytest.raises(ValueError, match="expected a switch of our own controller"):
        Topology.model_validate(tree | {"steering": {"drained": ["s1-s2"]}})


def test_what_switches_were_told_is_part_of_a_lab_as_it_runs():
    policy = Policy(drained=("s1-s2",), pins=(Pin(source="h1", destination="h2", links=("s3-s1", "s2-s3")),))
    now = as_it_runs(ring(), Observed(given=True, policy=policy))
    assert policy_of(now.steering) == policy
    assert now.model_copy(update={"steering": Steering()}) == ring()
    assert loads(dump(now), Topology) == now


def other() -> Topology:
    """The ring without its second switch, with a host more, and a slice."""
    hosts = {"h1": "s1", "h3": "s3", "h4": "s3"}
    plain = network({name: {"kind": "switch"} for name in ("s1", "s3")}, [("s3", "s1")], hosts)
    slices = {"bulk": {"dscp": 10, "maximum": 1e6}}
    return Topology.model_validate(plain.model_dump(mode="json") | {"name": "ring", "slices": slices})


def test_a_change_of_switches_that_is_killed_at_any_moment_can_be_made_again(file: Path, tmp_path: Path):
    edited, log, drawn = tmp_path / "edited.yaml", tmp_path / "log", random.Random(9)
    edited.write_text(dump(other()))

    def up(path: Path) -> ForkServerProcess:
        return begin(Path(os.environ["TESTBED_HOME"]), "up", path, log=log)

    began = time.monotonic()
    assert finish(up(edited)) == 0, log.read_text()
    takes = time.monotonic() - began
    for number in range(12):
        goal = (file, edited)[number % 2]
        killed = up(goal)
        killed.join(drawn.uniform(0, 1.2 * takes))
        killed.kill()
        assert finish(killed) in (0, -signal.SIGKILL), log.read_text()
        assert finish(up(goal)) == 0, log.read_text()
        assert "nothing to change" in call("up", goal, "--dry-run").stdout
        assert reached("ring", "h1", "h3") == 3
