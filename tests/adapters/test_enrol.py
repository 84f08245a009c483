"""Enrolling host keys of real sshds, with the command as an engineer types it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from adapters.keys import new_key
from adapters.ssh import SshTarget, SshTransport
from testbed.errors import BadInput, DeviceError, ExitCode
from tests.adapters.native_devices import NativeDevice, known_hosts_line, private_key_of
from tests.cli.commands import call

Devices = tuple[NativeDevice, NativeDevice]


@pytest.fixture
def inventory(devices: Devices, tmp_path: Path) -> Path:
    """An inventory whose credential nobody has: enrolling must not need it."""
    account = "adapter: frr, address: 127.0.0.1, user: admin, password: {env: NONE}"
    entries = "".join(f"  {device.name}: {{{account}, port: {device.port}}}\n" for device in devices)
    file = tmp_path / "rack.yaml"
    file.write_text(f"name: pair\nknown_hosts: known_hosts\ntimeout: 3s\ndevices:\n{entries}")
    return file


def fingerprint(device: NativeDevice) -> str:
    """As the device's own console prints it."""
    return device.inside("ssh-keygen", "-lf", f"{device.folder}/host_key").split()[1]


def session(device: NativeDevice, known_hosts: Path) -> SshTransport:
    return SshTransport(device.name, SshTarget("127.0.0.1", device.port, "admin", known_hosts, private_key_of(device)))


def test_a_key_with_the_fingerprint_of_the_console_is_enrolled_and_lets_a_session_in(
    devices: Devices, inventory: Path, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    with closing(session(devices[0], known_hosts)) as r1, pytest.raises(BadInput, match="testbed rack enrol INVENTORY"):
        r1.run("true")
    done = call("rack", "enrol", inventory, "r1", "--fingerprint", fingerprint(devices[0]), "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    (row,) = json.loads(done.stdout)["devices"]
    assert (row["device"], row["outcome"], row["fingerprint"]) == ("r1", "enrolled", fingerprint(devices[0]))
    assert known_hosts.read_text() == known_hosts_line(devices[0])
    assert stat.S_IMODE(known_hosts.stat().st_mode) == 0o600
    with closing(session(devices[0], known_hosts)) as r1:
        assert r1.run("echo in").out == "in\n"
    with closing(session(devices[1], known_hosts)) as r2, pytest.raises(DeviceError, match="enrol INVENTORY r2"):
        r2.run("true")
    again = call("rack", "enrol", inventory, "r1")
    assert (again.returncode, "was enrolled" in again.stdout) == (ExitCode.DONE, True)


def test_another_fingerprint_is_refused(devices: Devices, inventory: Path, tmp_path: Path) -> None:
    done = call("rack", "enrol", inventory, "r1", "--fingerprint", fingerprint(devices[1]))
    assert done.returncode == ExitCode.NO
    assert fingerprint(devices[0]) in done.stderr
    assert fingerprint(devices[1]) in done.stderr
    assert not (tmp_path / "known_hosts").exists()


def test_nothing_is_taken_where_nobody_compares(devices: Devices, inventory: Path, tmp_path: Path) -> None:
    done = call("rack", "enrol", inventory, stdin=b"y\ny\n")
    assert done.returncode == ExitCode.BAD_INPUT
    assert "--fingerprint" in done.stderr
    assert all(fingerprint(device) in done.stderr for device in devices)
    assert not (tmp_path / "known_hosts").exists()


def test_a_dry_run_shows_and_changes_nothing(devices: Devices, inventory: Path, tmp_path: Path) -> None:
    done = call("rack", "enrol", inventory, "--dry-run", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    rows = json.loads(done.stdout)["devices"]
    assert [(row["fingerprint"], row["outcome"]) for row in rows] == [
        (fingerprint(device), "would be enrolled") for device in devices
    ]
    assert not (tmp_path / "known_hosts").exists()


def test_a_changed_key_is_refused_until_it_is_replaced_with_the_new_fingerprint(
    devices: Devices, inventory: Path, tmp_path: Path
) -> None:
    known_hosts, other = tmp_path / "known_hosts", known_hosts_line(devices[1])
    old = f"[127.0.0.1]:{devices[0].port} {new_key()[1]}\n"
    known_hosts.write_text(old + other)
    refused = call("rack", "enrol", inventory, "r1", "--fingerprint", fingerprint(devices[0]))
    assert refused.returncode == ExitCode.NO
    assert "THE HOST KEY HAS CHANGED" in refused.stderr
    assert refused.stderr.count("SHA256:") >= 2
    assert call("rack", "enrol", inventory, "r1", "--replace").returncode == ExitCode.BAD_INPUT
    wrong = call("rack", "enrol", inventory, "r1", "--replace", "--fingerprint", fingerprint(devices[1]))
    assert wrong.returncode == ExitCode.NO
    assert known_hosts.read_text() == old + other
    done = call("rack", "enrol", inventory, "r1", "--replace", "--fingerprint", fingerprint(devices[0]))
    assert (done.returncode, "replaced" in done.stdout) == (ExitCode.DONE, True)
    assert known_hosts.read_text() == other + known_hosts_line(devices[0])


def test_at_a_terminal_each_key_is_asked_for(devices: Devices, inventory: Path, tmp_path: Path) -> None:
    code, said = at_a_terminal(b"y\nn\n", "rack", "enrol", str(inventory))
    assert code == ExitCode.NO
    assert all(fingerprint(device) in said for device in devices)
    assert (tmp_path / "known_hosts").read_text() == known_hosts_line(devices[0])


def at_a_terminal(typed: bytes, *words: str) -> tuple[int, str]:
    """Run a command at a pseudo-terminal; its exit code, and what the screen shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "testbed", *words]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, typed)
        screen = bytearray()
        with contextlib.suppress(OSError):  # EIO when the last writer has gone
            while data := os.read(ours, 65536):
                screen += data
    os.close(ours)
    return process.returncode, screen.decode()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["r3"], "no device 'r3' (r1, r2)"),
        (["--fingerprint", f"SHA256:{'A' * 43}"], "name one"),
        (["r1", "--fingerprint", "MD5:00:11"], "expected SHA256:"),
        (["r1", "--fingerprint", "SHA256:short"], "expected SHA256:"),
    ],
)
def test_bad_input_says_what_was_expected(inventory: Path, words: list[str], said: str) -> None:
    done = call("rack", "enrol", inventory, *words)
    assert done.returncode == ExitCode.BAD_INPUT, done.stderr
    assert said in done.stderr


def test_who_does_not_answer_is_named(devices: Devices, inventory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        text = inventory.read_text()
        inventory.write_text(text.replace(f"port: {devices[1].port}", f"port: {port}"))
        done = call("rack", "enrol", inventory, "--dry-run")
    assert done.returncode == ExitCode.UNABLE
    assert f"r2 ([127.0.0.1]:{port}): cannot ask for its host key" in done.stderr
    assert "r1" not in done.stderr
