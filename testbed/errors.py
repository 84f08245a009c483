"""The one exception tree. A message says what was wrong, where, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status tells a script."""

    DONE = 0
    NO = 1
    BAD_INPUT = 2
    INCONCLUSIVE = 3
    UNABLE = 4
    BUG = 5


class TestbedError(Exception):
    """Root of every error this product raises on purpose."""

    __test__ = False
    exit_code: ExitCode = ExitCode.NO


class BadInput(TestbedError):
    """What the user wrote cannot be used; nothing was changed."""

    exit_code = ExitCode.BAD_INPUT


class Unable(TestbedError):
    """This machine or a device cannot do what was asked; the message carries the command that mends it."""

    exit_code = ExitCode.UNABLE


class AddressInUse(Unable):
    """Somebody on this machine listens where this was to listen."""


class GuestFailed(TestbedError):
    """A substrate died or hangs; the message carries the last lines of its console."""

    exit_code = ExitCode.UNABLE


class AgentError(TestbedError):
    """The agent refused or failed a request; the message is the agent's own."""


class NotRunning(AgentError):
    """A daemon that was asked does not run in its node."""


class NotReady(TestbedError):
    """A network did not become ready in time; the message names what is missing."""


class CommandFailed(TestbedError):
    """A command that a topology runs in a node failed; the message has its node, itself and what it said."""


class DeviceError(TestbedError):
    """A device could not be reached, refused a command, or answered what cannot be read."""

    exit_code = ExitCode.UNABLE


class Refused(TestbedError):
    """A rule of the product forbids this: a stale plan, an unapproved change, a broken audit log."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word closest to `word`, or an empty string."""
    match = get_close_matches(word, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""
