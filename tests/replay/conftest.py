"""Two real routers, started once for all tests that replay on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.inventory import close_all, connect_all
from testbed.model.load import load_inventory
from testbed.replay import api
from tests.adapters.native_devices import pair
from tests.replay import scene
from tests.replay.routers import COSTS, Routers, put_back, write_inventory


@pytest.fixture(scope="session", autouse=True)
def _clean() -> None:
    scene.remove_orphans()


@pytest.fixture(scope="package")
def _routers() -> Iterator[Routers]:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces with an sshd of their own")
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, pair(Path(folder)) as devices:
        inventory = write_inventory(Path(folder), devices)
        sessions = connect_all(load_inventory(inventory), inventory.parent)
        yield Routers({device.name: device for device in devices}, sessions, inventory)
        close_all(sessions)


@pytest.fixture
def routers(_routers: Routers) -> Iterator[Routers]:
    """Both, as they were when they started."""
    if _routers.cost() != COSTS[0]:
        put_back(_routers)
    yield _routers
    assert _routers.left() == ""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with an approver."""
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    api.enrol_new_key("bob", tmp_path / "bob")
    return tmp_path
