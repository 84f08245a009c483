"""What an ordinary user runs: a guest, sealed like root's where user namespaces are allowed, and a native rack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.substrate import probe
from tests.adapters.native_devices import plain_pair

NOBODY = 65534
PROJECT = Path(__file__).parents[2]

LAB = """
import json, os, signal
from testbed.emulator.messages import Build, WireNode
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate import processes
topology = Topology.model_validate({"name": "mine", "guest": {"memory": "256MiB"}, "nodes": {"n1": {"kind": "host"}}})
lab = Lab.up(topology, substrate="uml")
record = lab.folder.record()
with lab.agent() as agent:
    run = lambda command: agent.run("n1", ["sh", "-c", command])
    owner = run("stat -c %u /").stdout.decode().strip()
    mounted = run("mount -t tmpfs tmpfs /run && touch /run/x").code
    wrote = run(f"mkdir -p /tmp/h; mount -t hostfs -o {os.environ['HOME']} none /tmp/h; touch /tmp/h/written").code
os.kill(record.keeper.pid, signal.SIGKILL)
run_folder = lab.folder.run
lab.down()
left = [process.pid for process in processes.marked(record.id)] + [str(run_folder)] * run_folder.exists()
print(json.dumps({"sealed": record.sealed, "seal": record.seal, "owner": owner, "mounted": mounted,
    "wrote": wrote, "left": left, "labs": [lab.name for lab in Lab.all()]}))
"""

# Enter a user namespace that has all users, forbid more of them in it, become nobody, and run a command.
FORBIDDEN = """
import ctypes, os, sys
started, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(started[1], b"x"); os.read(mapped[0], 1)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
    os.execv(sys.argv[1], sys.argv[1:])
os.read(started[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{child}/{name}", "w").write("0 0 65536")
os.write(mapped[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# A rack on this machine's own kernel: up, seen over SSH by its bench and a device, and down.
RACK = """
import json, sys
from adapters.inventory import close_all
from testbed.lab import Lab
from testbed.rack import bench, rack_down, rack_up
from testbed.substrate import processes
rack = rack_up(sys.argv[1], substrate="native")
record = rack.lab().folder.record()
sessions = rack.adapters()
neighbours = [n.full for session in sessions.values() for n in session.collect().neighbours]
close_all(sessions)
said = bench(rack.name, "status")
rack_down(rack.name)
print(json.dumps({"neighbours": neighbours, "bench": said, "labs": [lab.name for lab in Lab.all()],
    "left": [process.pid for process in processes.marked(record.id)]}))
"""


@pytest.fixture
def user_home() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root; as this user all other tests run")
    if subprocess.run(["test", "-r", str(PROJECT / "testbed")], user=NOBODY, check=False).returncode:
        pytest.skip(f"other users cannot read {PROJECT}")
    home = Path(tempfile.mkdtemp(prefix="testbed-user-"))
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


def _run(script: str, home: Path, *arguments: str, before: tuple[str, ...] = (), user: int | None = None) -> dict:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TESTBED_HOME": str(home / "state")}
    done = subprocess.run(
        [*before, sys.executable, "-c", script, *arguments], cwd=PROJECT, env=environment, capture_output=True,
        text=True, check=False, user=user, group=user, extra_groups=None if user is None else [],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_ordinary_user_s_native_rack_is_managed_over_ssh(user_home: Path):
    if not (allowed := probe.run("user-namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    seen = _run(RACK, user_home, str(plain_pair(user_home, "mine")), user=NOBODY)
    assert seen["neighbours"] == [True, True]
    assert "r1-r2 up" in seen["bench"]
    assert (seen["left"], seen["labs"]) == ([], [])


@pytest.mark.guest
def test_an_ordinary_user_s_guest_is_sealed_and_its_root_is_root(uml_works: None, user_home: Path):
    seen = _run(LAB, user_home, user=NOBODY)
    assert seen["sealed"] is True
    assert "user and mount namespace" in seen["seal"]
    assert (seen["owner"], seen["mounted"]) == ("0", 0)
    assert seen["wrote"] != 0
    assert not (user_home / "written").exists()
    assert (seen["left"], seen["labs"]) == ([], [])


@pytest.mark.guest
def test_where_user_namespaces_are_forbidden_a_guest_runs_and_says_it_is_not_sealed(uml_works: None, user_home: Path):
    seen = _run(LAB, user_home, before=(sys.executable, "-c", FORBIDDEN))
    assert seen["sealed"] is False
    assert "may not make namespaces" in seen["seal"]
    assert (seen["owner"], seen["mounted"]) == ("0", 0)
    assert (seen["left"], seen["labs"]) == ([], [])
