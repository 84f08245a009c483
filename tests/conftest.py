"""What all tests share: state of their own, one guest for those that need one, and a count of what was skipped.

`guest_lab` is an empty lab in one User-Mode Linux guest. A test that needs it sends `Build` with nodes and links whose
names no other test uses (prefix them), through `guest_client`:

    @pytest.mark.guest
    def test_something(guest_client):
        guest_client.call(Build(nodes=(WireNode(name="my-test-a", kind="host"), ...), links=(...)))
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from testbed.emulator.client import Client
from testbed.errors import Unable
from testbed.lab import Lab
from testbed.mininet_package import let_in
from testbed.model.topology import GuestOptions
from testbed.substrate.base import StartOptions
from testbed.substrate.folder import LabFolder
from testbed.substrate.registry import find
from testbed.substrate.uml import problems

# How long an example takes is the machine's affair, not a property.
settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")

# A shell starts what runs in its background with SIGINT ignored; tests and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def testbed_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' labs apart from the user's; at the end nothing may be left of them."""
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("TESTBED_HOME")
    os.environ["TESTBED_HOME"] = str(home)
    yield home
    left = [lab.name for lab in Lab.all()]
    for lab in Lab.all():
        lab.down()
    if before is None:
        del os.environ["TESTBED_HOME"]
    else:
        os.environ["TESTBED_HOME"] = before
    assert not left, f"tests left these labs behind: {left}"


@pytest.fixture(scope="session")
def uml_works() -> None:
    """Skip, naming what lacks, where no guest can run."""
    if lacks := problems():
        pytest.skip(f"uml: {'; '.join(lacks)}")


@pytest.fixture(scope="session")
def mininet_package() -> None:
    """Skip where Mininet's own Python package is not installed."""
    try:
        let_in()
    except Unable as lack:
        pytest.skip(f"mininet: {lack}")


@pytest.fixture(scope="session")
def guest_lab(uml_works: None, testbed_home: Path) -> Iterator[Lab]:
    """An empty lab in one guest, shared by all tests of the session."""
    folder = LabFolder.create("shared-guest", "lab", "uml")
    lab = Lab(folder)
    try:
        find("uml").start(folder, StartOptions(GuestOptions()))
        folder.update(state="running")
        yield lab
    finally:
        lab.down()


@pytest.fixture
def guest_client(guest_lab: Lab) -> Iterator[Client]:
    """A client of the shared guest's agent; guest dead or hung is reported with its console's last lines."""
    try:
        client = guest_lab.agent()
    except Unable as problem:
        pytest.fail(f"the shared guest is gone: {problem}")
    with client:
        yield client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what this machine could not test."""
    skipped = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()))
    if skipped:
        terminalreporter.section("not tested on this machine")
    for reason, count in skipped.most_common():
        terminalreporter.line(f"{count:4} {reason}")
