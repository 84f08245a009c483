"""A guest's root, who can mount whatever it likes of the host, can write nothing of it but the lab's own folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from testbed.emulator.client import AgentClient
from testbed.emulator.messages import Build, WireNode
from testbed.lab import Lab

pytestmark = pytest.mark.guest
ATTEMPTS = {
    "write": "echo x > {0}/file",
    "append": "echo x >> {0}/file",
    "create": "touch {0}/new",
    "remove": "rm -f {0}/file",
    "rename": "mv {0}/file {0}/other",
    "make a folder": "mkdir {0}/folder",
    "link": "ln {0}/file {0}/link",
    "symlink": "ln -s file {0}/link",
    "mode": "chmod 777 {0}/file",
    "owner": "chown 12345 {0}/file",
    "time": "touch -d 2001-01-01 {0}/file",
    "truncate": "truncate -s 0 {0}/file",
    "device": "mknod {0}/null c 1 3",
}


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host folder that everybody may write, if the seal did not hold."""
    folder = tmp_path_factory.mktemp("victim")
    folder.chmod(0o777)
    (folder / "file").write_text("precious")
    (folder / "file").chmod(0o666)
    return folder


@pytest.fixture(scope="module")
def attacker(guest_lab: Lab, victim: Path):
    """A node of the shared guest, root there, with the host folder mounted writable."""
    with guest_lab.agent() as agent:
        agent.call(Build(nodes=(WireNode(name="seal-attacker", kind="host"),), links=()))
        mount = f"mkdir -p /run/seal && mount -t hostfs -o {victim} none /run/seal && mount -o remount,rw /"
        done = agent.run("seal-attacker", ["sh", "-c", mount])
        assert done.code == 0, done.stderr
        yield agent


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_host_cannot_be_changed(attacker: AgentClient, victim: Path, attempt: str):
    before = (victim / "file").stat()
    # the mount belongs to the node's own mount namespace, where each command of it runs
    command = f"mountpoint -q /run/seal || mount -t hostfs -o {victim} none /run/seal; " + ATTEMPTS[attempt]
    done = attacker.run("seal-attacker", ["sh", "-c", command.format("/run/seal")])
    assert done.code != 0
    assert [path.name for path in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "precious"
    after = (victim / "file").stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)


def test_what_is_written_to_its_own_folder_arrives(attacker: AgentClient, guest_lab: Lab):
    mount = f"mkdir -p /run/own && mount -t hostfs -o {guest_lab.folder.guest()} none /run/own"
    done = attacker.run("seal-attacker", ["sh", "-c", f"{mount} && echo hello > /run/own/greeting"])
    assert done.code == 0, done.stderr
    assert (guest_lab.folder.guest() / "greeting").read_text() == "hello\n"
    (guest_lab.folder.guest() / "greeting").unlink()


def test_the_lab_s_own_record_and_keys_cannot_be_changed(attacker: AgentClient, guest_lab: Lab):
    folder = guest_lab.folder.path
    before = (folder / "lab.json").read_bytes()
    command = f"mkdir -p /run/lab && mount -t hostfs -o {folder} none /run/lab && echo x > /run/lab/lab.json"
    assert attacker.run("seal-attacker", ["sh", "-c", command]).code != 0
    assert (folder / "lab.json").read_bytes() == before


def test_the_host_s_kernel_settings_cannot_be_changed(attacker: AgentClient):
    path = Path("/proc/sys/kernel/domainname")
    before = path.read_text()
    mount = "mkdir -p /run/hostproc && mount -t hostfs -o /proc none /run/hostproc"
    assert attacker.run("seal-attacker", ["sh", "-c", mount]).code == 0
    command = f"mountpoint -q /run/hostproc || {mount}; echo bad > /run/hostproc/sys/kernel/domainname"
    assert attacker.run("seal-attacker", ["sh", "-c", command]).code != 0
    assert path.read_text() == before


def test_the_guest_kernel_s_own_process_has_lost_root_s_rights(guest_lab: Lab):
    """So that not even code loaded into the guest's kernel can undo the seal."""
    pids = [process.pid for process in guest_lab.folder.record().processes]
    children = subprocess.run(["pgrep", "-P", str(pids[-1])], capture_output=True, text=True, check=True).stdout.split()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{children[0]}/status").read_text().splitlines() if ":\t" in line
    )
    allowed = 1 << 2 if os.geteuid() == 0 else 0  # CAP_DAC_READ_SEARCH
    assert int(status["CapEff"], 16) & ~allowed == 0
    assert int(status["CapBnd"], 16) & ~allowed == 0 or os.geteuid() != 0


def test_the_record_says_that_the_host_is_sealed(guest_lab: Lab):
    record = guest_lab.folder.record()
    assert record.sealed is True
    assert "mount namespace" in record.seal
