from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.inventory import connect, connect_all
from adapters.keys import new_key
from adapters.secrets import private_key, read
from testbed.errors import BadInput
from testbed.model.rack import Device, Inventory, SecretReference


def inventory(tmp_path: Path, **device: object) -> Inventory:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(new_key()[0])
    (tmp_path / "known_hosts").touch()
    fields = {"adapter": "frr", "address": "127.0.0.1", "user": "admin", "key": SecretReference(file="key"), **device}
    return Inventory(name="lab", devices={"core1": Device.model_validate(fields)}, known_hosts="known_hosts")


def test_a_session_is_prepared_without_connecting(tmp_path: Path) -> None:
    adapters = connect_all(inventory(tmp_path), tmp_path)
    assert {name: adapter.family for name, adapter in adapters.items()} == {"core1": "frr"}


def test_unknown_devices_and_adapters_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no device 'core2'; did you mean 'core1'"):
        connect(inventory(tmp_path), "core2", tmp_path)
    with pytest.raises(BadInput, match=r"no adapter called 'fr'; did you mean 'frr'\? \(known: frr, linux\)"):
        registry.find("fr")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    found = inventory(tmp_path)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(BadInput, match=f"mode {mode:04o}, others can read it"):
        connect(found, "core1", tmp_path)


def test_what_is_missing_or_no_key_is_said_without_quoting_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read(SecretReference(file=str(tmp_path / "none")), "key of core1")
    with pytest.raises(BadInput, match="not an unencrypted OpenSSH private key") as caught:
        private_key("TOP-SECRET", "key of core1")
    assert "TOP-SECRET" not in str(caught.value)


def test_a_password_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = SecretReference(env="CORE1_PASSWORD")
    with pytest.raises(BadInput, match="environment variable CORE1_PASSWORD is not set"):
        read(reference, "password of core1")
    monkeypatch.setenv("CORE1_PASSWORD", "hunter2")
    assert read(reference, "password of core1") == "hunter2"
    monkeypatch.setenv("CORE1_PASSWORD", "")
    with pytest.raises(BadInput, match="is empty"):
        read(reference, "password of core1")
