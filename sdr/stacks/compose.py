"""A Compose file: one service for the broker and one for each radio, all on the network of their host.

On the host's network the scenario's addresses mean the same for every one of them as without containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdr.stacks.plan import Started, stacks_of, started
from testbed.model.dump import dump
from testbed.model.settings import yaml

if TYPE_CHECKING:
    from sdr.broker.scenario import Scenario

NAME = "compose.yaml"


def files(scenario: Scenario) -> dict[str, str]:
    """Return the Compose file, and the scenario for the broker's container: without programs, so without keys.

    Raises:
        BadInput: the scenario says nothing of programs.
    """
    images = stacks_of(scenario).images
    broker = {
        "image": images.testbed,
        "network_mode": "host",
        "volumes": ["./broker:/radio:ro"],
        "command": ["testbed", "radio", "up", "/radio/scenario.yaml"],
    }
    radios = {one.name: _service(one, getattr(images, one.image)) for one in started(scenario)}
    return {
        NAME: yaml({"name": "radio", "services": {"broker": broker, **radios}}),
        "broker/scenario.yaml": dump(scenario.model_copy(update={"stacks": None})),
    }


def _service(one: Started, image: str) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": image,
        "network_mode": "host",
        "depends_on": ["broker"],
        "volumes": [f"./{one.name}:/radio"],
        "working_dir": "/radio",
        "command": [one.binary, *one.arguments],
    }
    if one.kind == "ue":  # it makes its network interface, in its network namespace if it has one
        service |= {"cap_add": ["NET_ADMIN", "SYS_ADMIN"], "devices": ["/dev/net/tun:/dev/net/tun"]}
    return service
