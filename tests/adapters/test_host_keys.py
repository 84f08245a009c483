"""The known_hosts file, as ssh-keygen itself reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import paramiko
import pytest

from adapters import host_keys
from adapters.keys import new_key

HOST = "[192.0.2.1]:2022"


def key() -> paramiko.PKey:
    (found,) = host_keys.known(f"x {new_key()[1]}\n", "x")
    return found


def line(host: str, of: paramiko.PKey) -> str:
    return f"{host} {of.get_name()} {of.get_base64()}"


def test_port_22_goes_without_brackets() -> None:
    assert host_keys.host_name("192.0.2.1", 22) == "192.0.2.1"
    assert host_keys.host_name("192.0.2.1", 2022) == HOST


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    ours = key()
    (tmp_path / "key.pub").write_text(f"{ours.get_name()} {ours.get_base64()}\n")
    said = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
    assert host_keys.fingerprint(ours) in said.stdout.split()


def test_a_key_takes_the_place_of_the_other_ones_and_leaves_every_other_line(tmp_path: Path) -> None:
    old, new, other = key(), key(), key()
    kept = ["# core switches", "", line("core1", other), f"@cert-authority * {line('', other).strip()}", "nonsense"]
    before = "\n".join([*kept, line(HOST, old), line(f"core2,{HOST}", old)])
    after = host_keys.with_key(before, HOST, new)
    assert after.splitlines() == [*kept, line("core2", old), line(HOST, new)]
    assert host_keys.known(after, HOST) == [new]
    assert host_keys.known(after, "core2") == [old]


def test_hashed_names_are_understood(tmp_path: Path) -> None:
    ours = key()
    file = tmp_path / "known_hosts"
    file.write_text(line(HOST, ours) + "\n")
    subprocess.run(["ssh-keygen", "-Hf", file], capture_output=True, check=True)
    assert "192.0.2.1" not in file.read_text()
    assert host_keys.known(file.read_text(), HOST) == [ours]
    assert host_keys.with_key(file.read_text(), HOST, ours) == line(HOST, ours) + "\n"


@pytest.mark.parametrize("text", ["", "\n\n", "# [192.0.2.1]:2022 ssh-ed25519 AAAA", f"{HOST} ssh-ed25519 AAAA", HOST])
def test_a_file_without_the_host_has_no_key_of_it(text: str) -> None:
    assert host_keys.known(text, HOST) == []
