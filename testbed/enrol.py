"""Enrolling the host keys of an inventory's devices: asked for, compared by a person, written down at once.

A host key is taken only when somebody has compared it with what the device's own console prints: at the prompt, or by
giving the fingerprint that it has to have. Whatever is refused, refuses the whole call and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import paramiko

from adapters import host_keys
from adapters import inventory as inventories
from testbed.errors import BadInput, DeviceError, Refused
from testbed.model.load import load_inventory
from testbed.model.rack import Device
from testbed.substrate.folder import write_atomically

AT_A_TIME = 16
CONSOLE = "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` (or the file of its type) at the device's own console"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device offers, beside what is enrolled. `host`: its name in the known_hosts file."""

    device: str
    host: str
    key: paramiko.PKey
    enrolled: tuple[paramiko.PKey, ...]

    @property
    def changed(self) -> bool:
        """Something else is enrolled for it."""
        return bool(self.enrolled) and self.pending

    @property
    def pending(self) -> bool:
        """Its key is not enrolled."""
        return self.key not in self.enrolled

    @property
    def shown(self) -> str:
        """Type and fingerprint of the offered key."""
        return host_keys.describe(self.key)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The offers of an inventory's devices, in its order. `known_hosts`: the file that they are compared with."""

    inventory: Path
    known_hosts: Path
    offers: tuple[Offer, ...]

    @property
    def pending(self) -> tuple[Offer, ...]:
        return tuple(offer for offer in self.offers if offer.pending)


def survey(inventory: Path, devices: Sequence[str] = ()) -> Enrolment:
    """Ask devices for their host keys, without logging in.

    Args:
        devices: by name; all when empty.

    Raises:
        BadInput: no such inventory or device, or its known_hosts file cannot be read.
        DeviceError: some do not answer; the message names each.
    """
    rack = load_inventory(inventory)
    chosen = {device: inventories.entry_of(rack, device) for device in devices or rack.devices}
    known_hosts = inventories.known_hosts(rack, inventory.parent)
    text = _read(known_hosts)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        answers = list(pool.map(lambda device: _ask(device, chosen[device], rack.timeout, text), chosen))
    if silent := [str(answer) for answer in answers if isinstance(answer, DeviceError)]:
        raise DeviceError("; ".join(silent) + ". Nothing was enrolled; name the devices that do answer")
    return Enrolment(inventory, known_hosts, tuple(answer for answer in answers if isinstance(answer, Offer)))


def check(enrolment: Enrolment, fingerprint: str | None, replace: bool) -> None:
    """See that what is pending may be enrolled at all, before anybody is asked.

    Args:
        fingerprint: what the one device's key has to have, as `ssh-keygen -l` prints it; None: somebody will be asked.
        replace: whether a changed key may take the old one's place; needs the fingerprint.

    Raises:
        BadInput: options that do not go together, or no fingerprint.
        Refused: a key has changed, or its fingerprint is another.
    """
    if replace and fingerprint is None:
        raise BadInput(f"--replace needs --fingerprint SHA256:..., the new key's; get it by {CONSOLE}")
    if fingerprint is not None:
        _check_fingerprint(enrolment, fingerprint)
    if changed := [offer for offer in enrolment.offers if offer.changed and not replace]:
        raise Refused("; ".join(_changed(offer, enrolment) for offer in changed))


def _check_fingerprint(enrolment: Enrolment, wanted: str) -> None:
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", wanted):
        raise BadInput(f"--fingerprint {wanted!r}: expected SHA256: and 43 characters, as `ssh-keygen -l` prints it")
    if len(enrolment.offers) != 1:
        names = ", ".join(offer.device for offer in enrolment.offers)
        raise BadInput(f"--fingerprint is one device's, but {len(enrolment.offers)} are meant ({names}); name one")
    (offer,) = enrolment.offers
    if host_keys.fingerprint(offer.key) != wanted:
        raise Refused(
            f"{offer.device} ({offer.host}) offers {offer.shown}, not {wanted}; nothing was enrolled. Is it the "
            "fingerprint of a key of that type? If so, somebody stands in between, or it is another device"
        )


def _changed(offer: Offer, enrolment: Enrolment) -> str:
    old = ", ".join(host_keys.describe(key) for key in offer.enrolled)
    return (
        f"{offer.device} ({offer.host}): THE HOST KEY HAS CHANGED. Enrolled is {old}, offered was "
        f"{offer.shown}. Find out why; then, with the fingerprint that {CONSOLE} prints: "
        f"`testbed rack enrol {enrolment.inventory} {offer.device} --replace --fingerprint SHA256:...`"
    )


def ask_needed(enrolment: Enrolment) -> BadInput:
    """The error for a call that would have to ask, where nobody can be asked."""
    offers = "; ".join(f"{offer.device} offers {offer.shown}" for offer in enrolment.pending)
    return BadInput(
        f"nobody is at a terminal to compare: {offers}. Compare with {CONSOLE}, then for each `testbed rack enrol "
        f"{enrolment.inventory} DEVICE --fingerprint SHA256:...`"
    )


def enrol(enrolment: Enrolment, accepted: Sequence[Offer]) -> None:
    """Write accepted keys into the known_hosts file, atomically and with mode 0600; other lines stay as they are.

    Raises:
        BadInput: the file cannot be read or written.
    """
    if not accepted:
        return
    text = _read(enrolment.known_hosts)
    for offer in accepted:
        text = host_keys.with_key(text, offer.host, offer.key)
    try:
        write_atomically(enrolment.known_hosts.resolve(), text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise BadInput(f"cannot write the known_hosts file {enrolment.known_hosts}: {error.strerror}") from None


def outcome(offer: Offer, accepted: bool, dry_run: bool = False) -> dict[str, str]:
    """What became of an offer, in words."""
    verb = "replaced" if offer.changed else "enrolled"
    done = verb if accepted else f"would be {verb}" if dry_run else "declined"
    return {
        "device": offer.device,
        "host": offer.host,
        "type": offer.key.get_name(),
        "fingerprint": host_keys.fingerprint(offer.key),
        "outcome": done if offer.pending else "was enrolled",
    }


def _ask(device: str, entry: Device, timeout: float, text: str) -> Offer | DeviceError:
    host = host_keys.host_name(entry.address, entry.port)
    enrolled = tuple(host_keys.known(text, host))
    preferred = [key.get_name() for key in enrolled]
    try:
        key = host_keys.offered(device, entry.address, entry.port, timeout, preferred)
    except DeviceError as error:
        return error
    return Offer(device, host, key, enrolled)


def _read(known_hosts: Path) -> str:
    """The file's text, whatever its bytes; empty when there is none yet."""
    try:
        return known_hosts.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadInput(f"cannot read the known_hosts file {known_hosts}: {error.strerror}") from None
