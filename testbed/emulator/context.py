"""What a request's handler gets to work with; the only part of the agent that the probes know.

A handler is `handle(request, context) -> Result`, called in a thread of its own. It raises a class of `testbed.errors`;
the client raises the same one.

The agent reaps every child of the process (it may be PID 1), so a handler never uses `subprocess`: `Context.run` does
it, in a node, and kills what it started when the client goes away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from testbed.emulator.messages import Output, Progress

Event = Progress | Output


class NodeView(Protocol):
    """A node, as far as a handler needs it."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def enter(self) -> AbstractContextManager[None]:
        """Put the calling thread into the node's network namespace, and back at the end.

        A socket belongs to the namespace it was opened in and can be used after leaving. Costs some microseconds.
        """
        ...


class Lab(Protocol):
    """The lab an agent runs, as far as a handler needs it."""

    def node(self, name: str) -> NodeView: ...

    def owner_of(self, address: str) -> str | None: ...


class Run(Protocol):
    """How a command is run in a node, see `Context.run`."""

    def __call__(
        self,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 3600.0,
        on_output: Callable[[Output], None] | None = None,
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Context:
    """One request's view of the lab.

    Attributes:
        lab: the nodes.
        emit: sends an event to the client; may be called from any thread until the handler returns.
        cancelled: set when the client has gone; long work looks at it (or waits on it instead of sleeping) and stops.
        shared: lives as long as the lab; a handler keeps here what outlasts a request (running streams), under its
            own message's name, guarded by `lock`. A value with a `close()` is closed when the lab is taken down.
        run: runs a command in a node and returns its exit code as a shell gives it (128+N, 124 timeout, 127 not
            found); output goes to `on_output` as it comes, or is dropped.
    """

    lab: Lab
    emit: Callable[[Event], None]
    run: Run
    cancelled: threading.Event = field(default_factory=threading.Event)
    shared: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def node(self, name: str) -> NodeView:
        """Return the node called `name`.

        Raises:
            BadInput: no such node; the message lists the known ones.
        """
        return self.lab.node(name)

    def owner_of(self, address: str) -> str | None:
        """Return the node that has this IP address (without prefix length) on an interface or `lo`, or None."""
        return self.lab.owner_of(address)
