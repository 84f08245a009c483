"""`testbed validate` on changes that speak of what the twin has not: exit code 2, and nothing starts."""

import pytest

from testbed.errors import ExitCode
from testbed.lab import Lab
from testbed.substrate.folder import LabFolder
from testbed.twin.state import STATE_FILE, MirroredState
from tests.cli.commands import call
from tests.report.samples import square

CHANGE = "name: a-change\nsteps: [{device: r1, interface: eth1, cost: 5}]\nexpect:\n"


@pytest.fixture
def twin(tmp_path, monkeypatch):
    """A twin whose mirror has written its state, with no kernel behind it."""
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    folder = LabFolder.create("a-twin", "twin", "uml")
    state = MirroredState(twin="a-twin", measured=1.0, topology=square())
    (folder.path / STATE_FILE).write_bytes(state.canonical())
    return folder.path.name


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--json"]])
def test_names_the_twin_has_not_end_with_2_and_their_place_in_each_file(twin, tmp_path, more):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(CHANGE + "  - {kind: reachable, source: r1, destination: r33}\n")
    other.write_text(CHANGE + "  - {kind: path, source: r1, destination: r3, avoid_links: [r3-r44]}\n")
    done = call("validate", one, other, "--twin", twin, "--output", tmp_path / "out", *more)
    assert done.returncode == ExitCode.BAD_INPUT
    assert f"{one}:4:48: expect[0].destination: value 'r33': expected a node of the twin" in done.stderr
    assert "did you mean 'r3'?" in done.stderr
    assert f"{other}:4:61: expect[0].avoid_links[0]: value 'r3-r44': expected a link of the twin" in done.stderr
    assert "did you mean 'r3-r4'?" in done.stderr
    assert not (tmp_path / "out").exists()
    assert [lab.name for lab in Lab.all()] == [twin]


def test_a_change_that_a_check_refuses_is_a_verdict(twin, tmp_path):
    file = tmp_path / "change.yaml"
    file.write_text(CHANGE.replace("cost: 5", "cost: 6") + "  - {kind: loss, source: r1, destination: r3, below: 0}\n")
    done = call("validate", file, "--twin", twin, "--output", tmp_path / "out", "--dry-run")
    assert done.returncode == ExitCode.NO
    assert "nothing is below 0" in done.stdout
