"""The change on the fork's routers: the very same adapters and bytes that the hardware gets, and back again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.base import Adapter, Loaded
from testbed.errors import BadInput, DeviceError
from testbed.model.change import Change
from testbed.model.verdict import DeviceChange

# The fork is thrown away; the timer only must not fire while it is being measured.
REVERT_AFTER = 3600.0


class Rejected(DeviceError):
    """A device did not take the change; it and all others are as they were."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The change, loaded on every device it touches and not active yet."""

    transaction: str
    adapters: Mapping[str, Adapter]
    loaded: Mapping[str, Loaded]


def devices_of(change: Change) -> list[str]:
    """Return the devices a change touches, each once, in the order of its steps."""
    return list(dict.fromkeys(step.device for step in change.steps))


def load(change: Change, adapters: Mapping[str, Adapter], transaction: str) -> Candidate:
    """Render every device's lines and load them.

    Raises:
        Rejected: a device cannot express or did not take a step.
    """
    loaded: dict[str, Loaded] = {}
    for device, adapter in adapters.items():
        steps = [step for step in change.steps if step.device == device]
        try:
            loaded[device] = adapter.load(transaction, adapter.render(steps))
        except (BadInput, DeviceError) as error:
            _forget(adapters, loaded, transaction)
            raise Rejected(f"{device} rejects the change: {error}") from error
    return Candidate(transaction, adapters, loaded)


def _forget(adapters: Mapping[str, Adapter], loaded: Mapping[str, Loaded], transaction: str) -> None:
    for device in loaded:
        adapters[device].forget(transaction)


def commit(candidate: Candidate) -> dict[str, str]:
    """Activate the change on all devices.

    Returns:
        Each device's configuration hash with the change in.

    Raises:
        Rejected: a device rejected a line; all are rolled back.
    """
    for device, adapter in candidate.adapters.items():
        try:
            adapter.commit(candidate.transaction, REVERT_AFTER)
        except DeviceError as error:
            _roll_back_until(candidate, device)
            raise Rejected(f"{device} rejects the change: {error}") from error
    return {device: adapter.config_hash() for device, adapter in candidate.adapters.items()}


def _roll_back_until(candidate: Candidate, rejecting: str) -> None:
    for device, adapter in candidate.adapters.items():
        if device == rejecting:
            return
        adapter.rollback(candidate.transaction)


def roll_back(candidate: Candidate) -> list[str]:
    """Take the change back on all devices and compare their configuration with what it was.

    Returns:
        What did not come back, one line each; empty when the rollback is proven.
    """
    wrong = []
    for device, adapter in candidate.adapters.items():
        try:
            adapter.rollback(candidate.transaction)
        except DeviceError as error:
            wrong.append(str(error))
            continue
        found, wanted = adapter.config_hash(), candidate.loaded[device].before_hash
        if found != wanted:
            wrong.append(f"{device}: configuration is {found[:12]} after the rollback, it was {wanted[:12]}")
    return wrong


def records(candidate: Candidate, after: Mapping[str, str]) -> tuple[DeviceChange, ...]:
    """Return what the change did to each device, for verdict and plan."""
    return tuple(
        DeviceChange(
            device=device,
            adapter=candidate.adapters[device].family,
            lines=loaded.lines,
            rollback=loaded.rollback,
            diff=loaded.diff,
            before_hash=loaded.before_hash,
            after_hash=after.get(device, loaded.before_hash),
        )
        for device, loaded in candidate.loaded.items()
    )
