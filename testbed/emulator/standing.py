"""What controller and agent say about a lab that runs: what was changed since it was built, and changes of routers."""

from __future__ import annotations

from typing import Literal

from testbed.emulator.patch import Message


class Reconfigure(Message, frozen=True):
    """Change the configuration of routers while their daemons run, in order; stops at the first that fails. -> Ok"""

    routers: tuple[RouterChange, ...]


class RouterChange(Message, frozen=True):
    """What becomes of a router's configuration.

    Attributes:
        daemons, config: as of `WireNode`; what it starts with from now on. A new daemon gets all of `config`.
        lines: what to give to the daemons that run.
        given: taken as what the daemons were given, see `RouterText`; None takes what they say afterwards.
    """

    node: str
    daemons: tuple[str, ...]
    config: str
    lines: str
    given: dict[str, str] | None = None


class Observe(Message, frozen=True):
    """What was changed since it was built? -> Observed

    Attributes:
        addresses: tell also what addresses the nodes' kernels have.
        given: fingerprint of what who asks supposes the lab was given last, see `Observed`.
    """

    addresses: bool = False
    given: str = ""


class RouterText(Message, frozen=True):
    """A router's configuration in the daemons' own words: as it was `given` to them, and as it is `running`."""

    given: dict[str, str]
    running: dict[str, str]


class Traced(Message, frozen=True):
    """A direction whose trace plays, or has played to its end and was not stopped. `source` as `Track` has it."""

    link: str
    end: Literal[0, 1]
    source: str
    repeat: bool
