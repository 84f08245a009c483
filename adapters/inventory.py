"""From an inventory to sessions with its devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adapters import registry, secrets
from adapters.base import Adapter
from adapters.ssh import SshTarget, SshTransport
from testbed.errors import BadInput, nearest
from testbed.model.rack import Device, Inventory


def connect(inventory: Inventory, device: str, base: Path | None = None) -> Adapter:
    """Prepare a session with one device; the connection itself is made by the first call.

    Args:
        base: folder that relative file names are taken from: the inventory file's own.

    Raises:
        BadInput: no such device or adapter, or its credential cannot be read.
    """
    adapter = registry.find(entry_of(inventory, device).adapter)
    return adapter(SshTransport(device, target(inventory, device, base)))


def entry_of(inventory: Inventory, device: str) -> Device:
    """What the inventory says of a device.

    Raises:
        BadInput: it names no such device; the message lists those it names, and the nearest.
    """
    if device in inventory.devices:
        return inventory.devices[device]
    known = ", ".join(sorted(inventory.devices))
    raise BadInput(f"rack {inventory.name} has no device {device!r}{nearest(device, inventory.devices)} ({known})")


@contextmanager
def sessions(
    inventory: Inventory, base: Path | None = None, opened: Mapping[str, Adapter] | None = None
) -> Iterator[Mapping[str, Adapter]]:
    """Lend sessions with every device: those already open where there are any, else own ones, closed at the end."""
    if opened is not None:
        yield opened
        return
    own = connect_all(inventory, base)
    try:
        yield own
    finally:
        close_all(own)


def close_all(opened: Mapping[str, Adapter]) -> None:
    """Close sessions."""
    for adapter in opened.values():
        adapter.close()


def connect_all(inventory: Inventory, base: Path | None = None) -> dict[str, Adapter]:
    """Prepare a session with every device, by name."""
    return {device: connect(inventory, device, base) for device in inventory.devices}


def target(inventory: Inventory, device: str, base: Path | None = None) -> SshTarget:
    """Where a device is, and the credential that its reference names.

    Raises:
        BadInput: no such device, or its credential cannot be read.
    """
    entry = entry_of(inventory, device)
    if entry.key is None and entry.password is None:
        raise BadInput(f"{device}: the inventory names neither `key` nor `password`")
    key_text = secrets.read(entry.key, f"key of {device}", base) if entry.key else None
    return SshTarget(
        address=entry.address,
        port=entry.port,
        user=entry.user,
        known_hosts=known_hosts(inventory, base),
        key=secrets.private_key(key_text, f"key of {device}") if key_text else None,
        password=secrets.read(entry.password, f"password of {device}", base).strip() if entry.password else None,
        timeout=inventory.timeout,
    )


def known_hosts(inventory: Inventory, base: Path | None = None) -> Path:
    """The file of the devices' host keys; a relative name is taken from the inventory's folder."""
    return (base or Path()) / Path(inventory.known_hosts).expanduser()
