"""Which rack and which very devices a plan is for: two racks may carry equal configurations, never equal host keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adapters.base import Adapter
from testbed.errors import BadInput, Refused, nearest
from testbed.model.plan import Identity, Plan
from testbed.model.rack import Inventory


def identify(devices: Iterable[str], inventory: Inventory, adapters: Mapping[str, Adapter]) -> dict[str, Identity]:
    """Return where each device is and the host key that it has just proven to hold.

    Raises:
        DeviceError: a device cannot be reached, or its host key is not the enrolled one.
    """
    return {name: _identity(name, inventory, adapters[name]) for name in devices}


def check_rack(plan: Plan, inventory: Inventory) -> None:
    """Make sure that a plan is for this rack, as far as its name and its list of devices tell.

    Raises:
        Refused: it is for another. BadInput: a device of the plan is not in the inventory.
    """
    if plan.rack != inventory.name:
        raise Refused(
            f"plan {plan.id[:12]} is for the rack {plan.rack}, this is the inventory of the rack {inventory.name}; "
            "give the other inventory, or validate and plan for this rack"
        )
    for device in plan.devices:
        if device.device not in inventory.devices:
            hint = nearest(device.device, inventory.devices)
            raise BadInput(f"the rack {inventory.name} has no device called {device.device!r}{hint}")


def check_device(plan: Plan, device: str, inventory: Inventory, adapter: Adapter) -> None:
    """Make sure that a session is with the very device that the plan was made for.

    Raises:
        Refused: it is another. DeviceError: it cannot be reached.
    """
    planned, found = plan.identities[device], _identity(device, inventory, adapter)
    if found != planned:
        raise Refused(
            f"{device} is another device: plan {plan.id[:12]} is for {_described(planned)}, the rack {inventory.name} "
            f"has {_described(found)}; nothing was sent to it. If it was replaced, validate and plan anew"
        )


def _identity(name: str, inventory: Inventory, adapter: Adapter) -> Identity:
    entry = inventory.devices[name]
    return Identity(address=entry.address, port=entry.port, host_key=adapter.host_key())


def _described(identity: Identity) -> str:
    return f"the one at {identity.address} port {identity.port} with host key {identity.host_key or '(none)'}"
