"""Connections passed on between two networks that have nothing but a process or a socket in common.

So switches reach an OpenFlow controller that somebody runs outside their lab: the agent stands in for it where they
are, the keeper holds a UNIX socket for each controller that the topology names, and nothing else is reached that way.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from testbed.errors import Unable

CHUNK = 1 << 16
PATIENCE = 5.0
"""Seconds until a connection that is not answered counts as refused; a switch tries again."""


def endpoint(target: str) -> tuple[str, int]:
    """Return address and port of a controller as a topology names it, such as `tcp:[::1]:6653`."""
    host, _, port = target.partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port)


def listen(host: str, port: int) -> socket.socket:
    """Listen in the calling thread's network.

    Raises:
        Unable: the address is not there, or somebody listens there already.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise Unable(f"{host}:{port} cannot be listened on: {error.strerror}") from None
    return listening


def listen_at(path: str) -> socket.socket:
    """Listen on a UNIX socket that only this user can connect to."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listening.bind(path)
    os.chmod(path, 0o600)
    listening.listen()
    return listening


def connect(place: str) -> socket.socket:
    """Connect to `unix:PATH` or `tcp:ADDRESS:PORT`.

    Raises:
        OSError: nobody answers there.
    """
    if not place.startswith("unix:"):
        opened = socket.create_connection(endpoint(place), timeout=PATIENCE)
        opened.settimeout(None)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        opened.connect(place.removeprefix("unix:"))
    except OSError:
        opened.close()
        raise
    return opened


class Relay:
    """Passes on what connects to a listening socket, in threads of its own, until it is closed."""

    def __init__(
        self, listening: socket.socket, dial: Callable[[], socket.socket], say: Callable[[str], None] | None = None
    ) -> None:
        """Begin.

        Args:
            dial: connects to where it goes; an OSError closes what came. say: is told why, once for each reason in a
                row.
        """
        self._listening, self._dial, self._say = listening, dial, say
        self._said = ""
        self._begin(self._accept)

    def close(self) -> None:
        """Take no more connections; those that are there end with one of their sides."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)

    def _begin(self, run: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, name="relay", daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        with self._listening, suppress(OSError):  # closed
            while True:
                self._begin(self._pass_on, self._listening.accept()[0])

    def _pass_on(self, near: socket.socket) -> None:
        """Carry bytes both ways until one side ends, which ends the other."""
        with near:
            try:
                far = self._dial()
            except OSError as error:
                self._tell(error.strerror or str(error))
                return
            self._tell("")
            with far:
                back = self._begin(_carry, far, near)
                _carry(near, far)
                back.join()

    def _tell(self, reason: str) -> None:
        before, self._said = self._said, reason
        if self._say is not None and reason and reason != before:
            self._say(reason)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # a reset is an end like any other
        while data := source.recv(CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
