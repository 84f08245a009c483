"""Set-up, run for real: Python packages into folders of the tests' own, Debian packages into a machine of overlays."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
# A project that needs no index: its build backend is its own module.
PYPROJECT = """
[build-system]
requires = []
build-backend = "elsewhere"
backend-path = ["."]
"""
MODULE = """
import pathlib, zipfile
def main(): print(__file__)
def build_editable(folder, *_):
    name = "elsewhere-1-py3-none-any.whl"
    files = {
        "elsewhere.pth": str(pathlib.Path(__file__).parent),
        "elsewhere-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: elsewhere\\nVersion: 1\\n",
        "elsewhere-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "elsewhere-1.dist-info/entry_points.txt": "[console_scripts]\\nelsewhere = elsewhere:main\\n",
        "elsewhere-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another project with this one's set-up, and a space in its name."""
    folder = tmp_path / "a folder"
    shutil.copytree(PROJECT / "scripts", folder / "scripts")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "elsewhere.py").write_text(MODULE)
    (folder / "requirements.lock").touch()
    return folder


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [folder / "scripts/setup", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PIP_CONFIG_FILE": "/dev/null"} | environment,
        start_new_session=True,
    )


def set_up(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run it to its end; return its exit code and all it said."""
    with start(folder, *arguments, **environment) as process:
        said = process.communicate(timeout=100)[0]
    return process.returncode, said


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, f"waited 40 s in vain until {what}"
        time.sleep(0.02)


def where(folder: Path) -> str:
    return subprocess.run([folder / ".venv/bin/elsewhere"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.timeout(240)
def test_killed_half_way_mended_then_nothing_to_do_then_another_lock_then_moved(folder: Path, tmp_path: Path):
    with start(folder) as killed:
        wait_for((folder / ".venv/bin/python").exists, "the environment has an interpreter, but no pip yet")
        os.killpg(killed.pid, signal.SIGKILL)
    with open(folder / "scripts/setup") as script:
        fcntl.flock(script, fcntl.LOCK_EX)  # had when the last of the group is gone, which is after its leader
    assert set_up(folder) == (0, "setup: Python packages into .venv\n")
    assert where(folder) == str(folder / "elsewhere.py")
    made = (folder / ".venv/pyvenv.cfg").stat().st_mtime_ns
    assert set_up(folder) == (0, "")
    assert (folder / ".venv/pyvenv.cfg").stat().st_mtime_ns == made
    (folder / "requirements.lock").write_text("# other packages\n")
    assert set_up(folder) == (0, "setup: Python packages into .venv\n")
    assert (folder / ".venv/pyvenv.cfg").stat().st_mtime_ns == made
    moved = folder.rename(tmp_path / "moved")
    assert set_up(moved) == (0, "setup: Python packages into .venv\n")
    assert where(moved) == str(moved / "elsewhere.py")


def test_the_second_of_two_waits_for_the_first(folder: Path):
    with open(folder / "scripts/setup") as script:
        fcntl.flock(script, fcntl.LOCK_EX)
        with start(folder) as second:
            assert second.stdout
            assert second.stdout.readline() == "setup: waiting for another set-up of this folder\n"
            assert not (folder / ".venv").exists()
            fcntl.flock(script, fcntl.LOCK_UN)
            assert second.stdout.readline() == "setup: Python packages into .venv\n"
            os.killpg(second.pid, signal.SIGKILL)


@pytest.mark.timeout(120)
def test_an_index_that_cannot_be_reached_is_said_in_a_few_lines(folder: Path):
    (folder / "requirements.lock").write_text(f"rich==1.0 --hash=sha256:{'0' * 64}\n")
    code, said = set_up(folder, PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
    assert code == 4
    assert "setup: the Python packages of requirements.lock could not be fetched" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 9
    assert not (folder / ".venv/.locked").exists()


def test_a_machine_without_apt_is_told_the_packages_by_name(folder: Path, tmp_path: Path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dirname").symlink_to("/usr/bin/dirname")
    code, said = set_up(folder, PATH=str(programs))
    assert code == 4
    assert "not Debian" in said
    assert {"user-mode-linux", "libvdeslirp0", "frr", "openssh-server", "iperf3"} <= set(said.split())


def test_an_unknown_extra_is_bad_input(folder: Path):
    code, said = set_up(folder, "bunch")
    assert (code, said) == (2, "setup: unknown extra 'bunch' (known: pictures, tests)\n")


# --- Debian packages, in a machine whose disk is this one's with memory laid over ---

CONTROL = "Package: labd\nVersion: 1\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: a daemon\n"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: labd
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
echo "$1" >> /run/labd
"""
# What debhelper writes for a package with a daemon; `hold`, while it is there, keeps it from going on.
POSTINST = """#!/bin/sh
set -e
deb-systemd-helper enable labd.service
update-rc.d labd defaults
echo reached > /mnt/reached
[ ! -e /mnt/hold ] || sleep infinity
invoke-rc.d labd start
"""
MACHINE = """set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/machine"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/machine"
cd "$1/machine"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount --bind "$2" mnt
rm -rf etc/apt/sources.list etc/apt/sources.list.d/* usr/sbin/policy-rc.d
printf '#!/bin/sh\\n# the user owns this\\nexit 0\\n' > usr/sbin/policy-rc.d
chmod 750 usr/sbin/policy-rc.d
exec chroot . bash -eu -c "$3"
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The folder that the machine sees as /mnt: the package of a daemon, and the script under test."""
    package = tmp_path / "labd"
    for name, text in (
        ("DEBIAN/control", CONTROL),
        ("DEBIAN/postinst", POSTINST),
        ("lib/systemd/system/labd.service", SERVICE),
        ("etc/init.d/labd", SCRIPT),
    ):  # fmt: skip
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", package, shared / "labd.deb"], check=True)
    shutil.copy(PROJECT / "scripts/install-packages", shared)
    return shared


def on_machine(shared: Path, script: str) -> str:
    """Run a script as root of such a machine; return what it said."""
    disk = shared.parent / "disk"
    disk.mkdir()
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", MACHINE, "machine", disk, shared]
    done = subprocess.run([*command, script], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


INSTALL = "/mnt/install-packages /mnt/labd.deb"
# Was it started; does it start at the next boot; is the user's policy back, alone, as it was.
LOOK = """
echo "started: $(cat /run/labd 2>/dev/null)"
echo "at boot: $(find /etc/rc[2-5].d /etc/systemd/system -name 'S*labd' -o -name labd.service)"
echo "policy: $(stat -c %a /usr/sbin/policy-rc.d) $(grep -c 'the user owns this' /usr/sbin/policy-rc.d)"
echo "left: $(ls /usr/sbin/policy-rc.d?* /run/systemd/system-preset/* -d /var/lib/testbed-setup* 2>/dev/null)"
echo "package: $(dpkg-query -W -f '${db:Status-Status}' labd)"
"""
CLEAN = "started: \nat boot: \npolicy: 750 1\nleft: \npackage: installed\n"
root = pytest.mark.skipif(os.geteuid() != 0, reason="packages are installed by root")


@root
def test_a_daemon_that_comes_with_a_package_is_neither_started_nor_enabled(shared: Path):
    assert on_machine(shared, INSTALL + LOOK) == CLEAN


@root
def test_without_it_the_daemon_would_have_been_started_and_enabled(shared: Path):
    said = on_machine(shared, "apt-get install -qq /mnt/labd.deb >/dev/null 2>&1" + LOOK)
    assert "started: start\n" in said
    assert "at boot: \n" not in said


@root
def test_killed_while_a_package_is_configured_the_next_run_mends_it(shared: Path):
    kill_all = f"""
touch /mnt/hold
setsid {INSTALL} & group=$!
until [ -e /mnt/reached ]; do sleep 0.1; done
kill -9 $(ps -eo pid= | awk '$1 > 1 && $1 != '$$) 2>/dev/null || true
wait $group 2>/dev/null || true
echo "killed: $(dpkg-query -W -f '${{db:Status-Status}}' labd)"
/mnt/install-packages --interrupted && echo interrupted
rm /mnt/hold
{INSTALL}
/mnt/install-packages --interrupted || echo mended
"""
    said = on_machine(shared, kill_all + LOOK)
    assert said == "killed: half-configured\ninterrupted\nmended\n" + CLEAN


@root
def test_a_package_that_cannot_be_had_is_named_and_the_policy_is_back(shared: Path):
    said = on_machine(
        shared, "/mnt/install-packages no-such-thing 2>&1 || echo code $?" + LOOK.partition('echo "pack')[0]
    )
    assert said == "E: Unable to locate package no-such-thing\ncode 4\n" + CLEAN.partition("package")[0]
