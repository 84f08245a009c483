from __future__ import annotations

import base64
import dataclasses
import os
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from adapters.keys import new_key
from adapters.secrets import private_key
from adapters.ssh import SshTarget, SshTransport, execute
from testbed.errors import BadInput, DeviceError
from tests.adapters.native_devices import NativeDevice, private_key_of, wait_for

Devices = tuple[NativeDevice, NativeDevice]


def test_output_and_exit_code_come_back_whole(transport: SshTransport) -> None:
    done = transport.run("printf 'one\\n\\n'; printf two >&2; exit 7")
    assert (done.code, done.out) == (7, "one\n\ntwo")
    assert transport.run("true").out == ""
    assert transport.run("printf '\\377\\000x'").out.encode("utf-8", "surrogateescape") == b"\xff\x00x"


def test_a_command_cannot_break_the_session(transport: SshTransport) -> None:
    assert transport.run("if then (").code != 0
    assert transport.run("exit 3; cd /").code == 3
    assert transport.run("cat; read line").code != 0
    assert transport.run("echo 'a'\"b\"\necho c").out == "ab\nc\n"


def test_large_output_and_large_files_pass(transport: SshTransport) -> None:
    data = os.urandom(300_000)
    transport.write("/var/lib/testbed/big", data, mode=0o640)
    back = transport.run("exec base64 -w0 /var/lib/testbed/big", timeout=20).out
    assert base64.b64decode(back) == data
    assert transport.run("stat -c %a /var/lib/testbed/big").out == "640\n"
    transport.run("rm /var/lib/testbed/big")


def test_a_file_that_cannot_be_written_is_an_error(transport: SshTransport) -> None:
    with pytest.raises(DeviceError, match="cannot write /nowhere/file"):
        transport.write("/nowhere/file", b"x")


def test_one_connection_is_reused(transport: SshTransport, devices: Devices) -> None:
    before = len(devices[0].connections)
    for _ in range(5):
        transport.run("true")
        transport.vtysh(("show version", "show interface json"))
    assert len(devices[0].connections) == before + 1


def test_vtysh_answers_each_question(transport: SshTransport) -> None:
    version, empty, interfaces = transport.vtysh(("show version", "show ip prefix-list", "show interface json"))
    assert version.startswith("FRRouting")
    assert empty == ""
    assert interfaces.startswith("{")
    assert interfaces.rstrip().endswith("}")


def test_a_question_vtysh_does_not_know_is_an_error(transport: SshTransport) -> None:
    with pytest.raises(DeviceError, match="rejected 'show no such thing'"):
        transport.vtysh(("show no such thing",))
    assert transport.vtysh(("show version",))[0].startswith("FRRouting")


def test_threads_take_turns(transport: SshTransport) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=lambda n=n: said.append(transport.run(f"echo {n}").out)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [f"{n}\n" for n in range(8)]


def test_a_command_without_end_meets_its_deadline(transport: SshTransport) -> None:
    start = time.monotonic()
    with pytest.raises(DeviceError, match="no answer in time"):
        transport.run("sleep 30", timeout=0.5)
    assert time.monotonic() - start < 15
    assert transport.run("echo again").out == "again\n"


def test_a_lost_connection_is_told_at_once_and_the_next_call_connects_anew(
    transport: SshTransport, devices: Devices
) -> None:
    transport.run("true")
    devices[0].cut_connections()
    start = time.monotonic()
    with pytest.raises(DeviceError, match="the connection is dropped"):
        transport.run("echo lost")
    assert time.monotonic() - start < 15
    assert transport.run("echo found").out == "found\n"


def test_the_host_key_reads_as_openssh_prints_it(transport: SshTransport, devices: Devices) -> None:
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"], input=devices[0].host_public, capture_output=True, text=True, check=True
    ).stdout  # 256 SHA256:... comment (ED25519)
    assert transport.host_key() == f"ssh-ed25519 {printed.split()[1]}"


def test_an_unknown_host_key_is_refused_with_how_to_enrol_it(target: SshTarget, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    with pytest.raises(
        DeviceError, match=r"it offered ssh-ed25519 SHA256:\S{43}\. `testbed rack enrol INVENTORY r1`"
    ) as caught:
        SshTransport("r1", dataclasses.replace(target, known_hosts=empty)).run("true")
    assert str(empty) in str(caught.value)
    assert empty.read_text() == ""


def test_a_changed_host_key_is_refused_loudly(target: SshTarget, tmp_path: Path) -> None:
    changed = tmp_path / "known_hosts"
    changed.write_text(f"[127.0.0.1]:{target.port} {new_key()[1]}\n")
    with pytest.raises(DeviceError, match=r"THE HOST KEY HAS CHANGED.*`testbed rack enrol INVENTORY r1 --replace"):
        SshTransport("r1", dataclasses.replace(target, known_hosts=changed)).run("true")


def test_a_wrong_credential_is_refused_and_never_shown(target: SshTarget) -> None:
    stranger = private_key(new_key()[0], "key")
    with pytest.raises(DeviceError, match="refused user 'admin'"):
        SshTransport("r1", dataclasses.replace(target, key=stranger)).run("true")
    with pytest.raises(DeviceError) as caught:
        SshTransport("r1", dataclasses.replace(target, key=None, password="hunter2")).run("true")
    assert "hunter2" not in str(caught.value) + repr(dataclasses.replace(target, password="hunter2"))


def test_nobody_there_is_told_within_the_timeout(target: SshTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        gone = dataclasses.replace(target, port=mute.getsockname()[1], timeout=0.5)
        start = time.monotonic()
        with pytest.raises(DeviceError, match="cannot connect"):
            SshTransport("r1", gone).run("true")
        assert time.monotonic() - start < 15
    with pytest.raises(DeviceError, match="cannot connect"):
        SshTransport("r1", gone).run("true")


def test_a_missing_known_hosts_file_is_bad_input(target: SshTarget, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no known_hosts file"):
        SshTransport("r1", dataclasses.replace(target, known_hosts=tmp_path / "none")).run("true")


def test_a_single_command_has_a_connection_of_its_own(target: SshTarget, devices: Devices) -> None:
    assert execute("r1", target, "echo out; echo err >&2; exit 4").code == 4
    assert stat.S_IMODE(os.stat(devices[0].folder / "host_key").st_mode) == 0o600
    assert private_key_of(devices[0]).get_name() == "ssh-ed25519"
    wait_for(lambda: execute("r1", target, "echo out").out == "out\n", "an answer")
