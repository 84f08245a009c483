"""The two ends of a port: an outlet binds and gives samples when it is asked, an inlet connects and asks for them.

A radio's transmit port is an outlet and its receive port an inlet; towards a radio the broker is the other end of each.
On the wire these are REP and REQ, or PUB and SUB. Here REP is a ROUTER and REQ a DEALER: they speak the same and do not
get stuck. A REQ whose peer died waits for ever, and a REP does not know that another peer asks now.

Nothing here waits but `Inlet.receive` and `Outlet.send`; who serves many ports polls their sockets.
"""

from __future__ import annotations

import struct
import time
from math import ceil
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from sdr.channel.base import Samples
from sdr.wire.formats import FC32, BadFrame, Format
from testbed.errors import AddressInUse, Unable

Style = Literal["request", "publish"]
"""Samples on request (REQ and REP), or published (PUB and SUB)."""

REQUEST = struct.pack("<i", 614_400)
"""srsRAN looks at nothing in a request; GNU Radio's REP sink reads 4 bytes, the most samples it may send."""

# As plain numbers: pyzmq's enumerations cost more than the calls that they are given to.
_NOW = int(zmq.DONTWAIT)
_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)
_MONITORED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class Inlet:
    """Gets samples from a peer that may come late, pause, end and come back.

    Attributes:
        connected: whether the peer is there. asked: how many frames were asked for that have not come.
        publishes: whether the peer sends without being asked, too.
        socket, monitor: readable when there may be something for `take` and for `changes`.
    """

    def __init__(
        self, context: zmq.Context, address: str, style: Style = "request", form: Format = FC32, ahead: int = 1
    ) -> None:
        """Connect to `tcp://host:port` or `ipc://path`; the peer need not be there yet.

        Args:
            ahead: frames that may be asked for before they come; a REP takes one request after the other.

        Raises:
            Unable: the address cannot be connected to.
        """
        self.address = address
        self.connected, self.asked = False, 0
        self._form = form
        self.publishes = style == "publish"
        self._ahead = 1 if self.publishes else ahead
        self.socket = context.socket(zmq.SUB if self.publishes else zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, 20)
        self.socket.set(zmq.RECONNECT_IVL_MAX, 200)
        if self.publishes:
            self.socket.set(zmq.SUBSCRIBE, b"")
        else:
            # A request waits for no peer: one that comes later would get it besides the request made then.
            self.socket.set(zmq.IMMEDIATE, 1)
        self.monitor = self.socket.get_monitor_socket(_MONITORED)
        try:
            self.socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise Unable(f"cannot connect to {address}: {error.strerror}") from None

    def changes(self) -> list[bool]:
        """Return what became of the connection since the last call: True for each time it came, False for it went.

        A request is lost with its connection: after a change samples need to be asked for again.
        """
        found: list[bool] = []
        while self.monitor.poll(0):
            found.append(recv_monitor_message(self.monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED)
        if found:
            self.connected, self.asked = found[-1], 0
        return found

    @property
    def idle(self) -> bool:
        """Whether a frame may be asked for."""
        return self.connected and self.asked < self._ahead

    def ask(self) -> None:
        """Ask for a frame, unless as many as may be have been asked for or the peer is not there."""
        if not self.idle:
            return
        if not self.publishes:
            try:
                self.socket.send(b"", _MORE)
                self.socket.send(REQUEST, _NOW)
            except zmq.Again:  # it is just leaving; its coming back is a change
                return
        self.asked += 1

    def take(self) -> Samples | None:
        """Return the samples of one frame, read-only; None where none is there.

        Raises:
            BadFrame: what came is no frame of samples.
        """
        parts = _message(self.socket)
        if not parts:
            return None
        self.asked = max(0, self.asked - 1)
        if not self.publishes and (len(parts) < 2 or len(parts[0])):
            raise BadFrame("an answer without the empty frame before it: expected a REP socket")
        frames = parts if self.publishes else parts[1:]
        if len(frames) != 1:
            raise BadFrame(f"an answer of {len(frames)} frames: expected one")
        return self._form.read(frames[0].buffer)

    def receive(self, timeout: float) -> Samples | None:
        """Ask for samples and wait for them.

        Args:
            timeout: seconds.

        Returns:
            None when none came in time; the next call goes on waiting for the same.

        Raises:
            BadFrame: see `take`.
        """
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self.monitor, zmq.POLLIN)
        while True:
            if (samples := self.take()) is not None:
                return samples
            self.changes()
            self.ask()
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(ceil(left * 1000)):
                return None

    def close(self) -> None:
        """Leave the peer; nothing can be received any more."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)


class Outlet:
    """Gives samples to a peer that asks for them, whoever it is at the time.

    Attributes:
        wanted: whether samples were asked for and not given yet.
        socket: readable when there may be something for `hear`.
    """

    def __init__(self, context: zmq.Context, address: str, style: Style = "request", form: Format = FC32) -> None:
        """Bind to `tcp://host:port` or `ipc://path`.

        Raises:
            AddressInUse: somebody listens there. Unable: the address cannot be bound.
        """
        self.address = address
        self.wanted = False
        self._form = form
        self._publishes = style == "publish"
        self._envelope: list[bytes] = []
        self.socket = context.socket(zmq.XPUB if self._publishes else zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        if self._publishes:
            self.socket.set(zmq.XPUB_NODROP, 1)
        else:
            self.socket.set(zmq.ROUTER_MANDATORY, 1)
        try:
            self.socket.bind(address)
        except zmq.ZMQError as error:
            self.socket.close(0)
            kind = AddressInUse if error.errno == zmq.EADDRINUSE else Unable
            raise kind(f"cannot listen on {address}: {error.strerror}") from None

    def hear(self) -> bool | None:
        """Read one request.

        Returns:
            True where it is the first of a new peer, False where it is of the one before, None where there is none.
        """
        parts = _message(self.socket)
        if not parts:
            return None
        if self._publishes:
            self.wanted = parts[0].bytes[:1] == b"\x01"
            return self.wanted
        return self._asked_by([part.bytes for part in parts])

    def _asked_by(self, parts: list[bytes]) -> bool:
        """What stands before the request is where the answer goes: the peer, perhaps a number, and an empty frame."""
        envelope = parts[: parts.index(b"") + 1] if b"" in parts else parts[:1]
        new = envelope[:1] != self._envelope[:1]
        self._envelope, self.wanted = envelope, True
        return new

    def give(self, samples: Samples) -> bool:
        """Answer the request that waits.

        The samples are copied: handing them over as they are takes longer, for another thread must then let go of them
        (for 11,520 samples 68 us against 53 us), and copied they can be formed where the last ones were, in the cache.

        Returns:
            False where the peer has gone or, of subscribers, one does not keep up; nothing was given then.
        """
        try:
            for part in self._envelope:
                self.socket.send(part, _MORE)
            self.socket.send(self._form.write(samples), _NOW)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.wanted = self._publishes
            return False
        self.wanted = self._publishes
        return True

    def send(self, samples: Samples, timeout: float) -> bool:
        """Wait until samples are asked for, and give them.

        Args:
            timeout: seconds.

        Returns:
            False when nobody asked in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self.hear() is not None:
                pass
            if self.wanted and self.give(samples):
                return True
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(ceil(left * 1000)):
                return False

    def close(self) -> None:
        """Leave the address and the peer."""
        self.socket.close(0)


def _message(socket: zmq.Socket) -> list[zmq.Frame]:
    """Return the frames of one message, uncopied; none where none is there. (`recv_multipart` takes twice as long.)"""
    try:
        frames = [socket.recv(_NOW, copy=False)]
    except zmq.Again:
        return []
    while frames[-1].more:
        frames.append(socket.recv(_NOW, copy=False))
    return frames
