"""The twin's routers get the configuration that the rack's have, as lines, while they run."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from adapters import frr_config
from adapters.frr import FrrAdapter
from testbed.emulator.client import Client
from testbed.errors import GuestFailed, TestbedError
from testbed.twin.transport import AgentTransport

log = logging.getLogger(__name__)

_LINES = "/run/testbed-mirror.conf"


def bring_in_step(client: Client, router: str, wanted: str) -> str:
    """Make a twin router's running configuration the rack's.

    Args:
        wanted: the rack's running configuration, without management.

    Returns:
        The lines that were sent, empty when nothing was to be done.

    Raises:
        DeviceError, AgentError: the router did not take them; the message has its words.
    """
    transport = AgentTransport(client, router)
    adapter = FrrAdapter(transport)
    now, goal = frr_config.parse(adapter.running_config()), frr_config.parse(wanted)
    lines = frr_config.difference(now, goal)
    if lines.strip():
        transport.write(_LINES, lines.encode())
        done = transport.run(f"exec vtysh -f {_LINES}", timeout=60.0)
        if done.code:
            log.warning("%s: vtysh ended with %s on\n%s\n%s", router, done.code, lines, done.out)
    return lines


def leftover(client: Client, router: str, wanted: str) -> str:
    """What still differs between a twin router's running configuration and the rack's, as a unified diff."""
    now = frr_config.parse(FrrAdapter(AgentTransport(client, router)).running_config())
    goal = frr_config.parse(wanted)
    return frr_config.unified(goal, now, router) if frr_config.digest(now) != frr_config.digest(goal) else ""


class RouterKeeper(threading.Thread):
    """Applies configurations one after the other, so that a slow router never holds up the links."""

    def __init__(self, agent: Callable[[], Client], told: Callable[[str, str], None]) -> None:
        """Args:
        agent: makes a client for this thread. told: called with a router and what was done or went wrong.
        """
        super().__init__(name="routers", daemon=True)
        self._agent = agent
        self._told = told
        self._jobs: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._newest: dict[str, str] = {}
        self._lock = threading.Lock()
        self.differences: dict[str, str] = {}

    def submit(self, router: str, config: str) -> None:
        """Ask for a router to get this configuration; a newer one replaces one that still waits."""
        with self._lock:
            self._newest[router] = config
        self._jobs.put((router, config))

    def busy(self) -> frozenset[str]:
        """Routers whose newest configuration is not in the twin yet."""
        with self._lock:
            return frozenset(self._newest)

    def stop(self) -> None:
        """End after the job at hand."""
        self._jobs.put(None)

    def run(self) -> None:
        with self._agent() as client:
            while (job := self._jobs.get()) is not None:
                self._do(client, *job)

    def _do(self, client: Client, router: str, config: str) -> None:
        with self._lock:
            if self._newest.get(router) != config:
                return
        try:
            lines = bring_in_step(client, router, config)
            self.differences[router] = leftover(client, router, config) if lines else ""
            self._told(router, f"configured as on the rack ({len(lines.splitlines())} lines)" if lines else "in step")
        except GuestFailed as error:
            self._told(router, f"the twin is gone: {error}")
        except TestbedError as error:
            self.differences[router] = str(error)
            self._told(router, f"cannot be configured as on the rack: {error}")
        except Exception as error:
            # A configuration that no model foresaw must not end the keeping of all other routers.
            log.exception("%s: unexpected", router)
            self.differences[router] = f"{type(error).__name__}: {error}"
        with self._lock:
            if self._newest.get(router) == config:
                del self._newest[router]
