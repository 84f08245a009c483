"""The radios on the wire, with the same sockets as the stacks': the transmitter a REP, the receiver a REQ.

A frame is interleaved little-endian float32, I and Q, without header. Who is asked gives one frame for each request.
"""

from __future__ import annotations

import threading
from math import ceil
from typing import Protocol, Self

import numpy as np
import zmq

from sdr.radio.carrier import Samples
from sdr.radio.measurement import Measurement
from testbed.errors import AddressInUse, BadInput, NotReady, Unable

_REQUEST = b"\xff"
"""srsRAN 4G's; nobody looks at it."""
_SAMPLE = 8


class Source(Protocol):
    """What is sent: a `Transmitter`, or something like it."""

    def read(self, n: int) -> Samples: ...


class Listener(Protocol):
    """What samples are given to: a `Receiver`, or something that has one."""

    def feed(self, samples: Samples) -> list[Measurement]: ...


class TransmitPort:
    """Gives a transmitter's samples to whoever asks, from a thread of its own until it is closed; a context manager.

    When the constructor returns, the port answers.

    Args:
        context: of ZeroMQ.
        address: `tcp://host:port` or `ipc://path`, bound.
        transmitter: read by this port alone from now on.
        frame: samples in a reply.

    Raises:
        BadInput: a frame of no samples.
        AddressInUse: somebody listens there. Unable: the address cannot be bound.
    """

    def __init__(self, context: zmq.Context, address: str, transmitter: Source, frame: int = 11_520) -> None:
        if frame < 1:
            raise BadInput(f"frame is {frame}; expected 1 sample or more")
        self._transmitter, self._frame = transmitter, frame
        self._replies = _socket(context, zmq.REP)
        try:
            self._replies.bind(address)
        except zmq.ZMQError as error:
            self._replies.close()
            kind = AddressInUse if error.errno == zmq.EADDRINUSE else Unable
            raise kind(f"cannot listen on {address}: {error.strerror}") from None
        ends = f"inproc://transmit-port-{id(self)}"
        self._end, self._ended = _socket(context, zmq.PAIR), _socket(context, zmq.PAIR)
        self._ended.bind(ends)
        self._end.connect(ends)
        self._thread = threading.Thread(target=self._serve, name=f"transmit {address}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._replies, zmq.POLLIN)
        poller.register(self._ended, zmq.POLLIN)
        samples = self._transmitter.read(self._frame)  # ready before it is asked for
        while self._ended not in dict(poller.poll()):
            self._replies.recv()
            self._replies.send(samples.astype("<c8", copy=False).data)
            samples = self._transmitter.read(self._frame)
        self._replies.close()
        self._ended.close()

    def close(self) -> None:
        """Leave the address, at once."""
        if self._thread.is_alive():
            self._end.send(b"")
            self._thread.join()
        self._end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ReceivePort:
    """Asks a peer for samples and gives them to a receiver; a context manager.

    Args:
        context: of ZeroMQ.
        address: `tcp://host:port` or `ipc://path`, connected to; the peer need not be there yet.
        receiver: fed by this port alone from now on.

    Raises:
        Unable: the address cannot be connected to.
    """

    def __init__(self, context: zmq.Context, address: str, receiver: Listener) -> None:
        self.address, self._receiver = address, receiver
        self._asked = False
        self._requests = _socket(context, zmq.REQ)
        try:
            self._requests.connect(address)
        except zmq.ZMQError as error:
            self._requests.close()
            raise Unable(f"cannot connect to {address}: {error.strerror}") from None

    def take(self, timeout: float) -> list[Measurement]:
        """Ask for one frame, wait for it, and return the slots that became whole.

        Args:
            timeout: seconds.

        Raises:
            NotReady: nothing came in time. What was asked for is still awaited by the next call: no sample is lost.
            BadInput: what came is no whole number of samples, or they are not finite; it is not taken.
        """
        if not self._asked:
            self._requests.send(_REQUEST)
            self._asked = True
        if not self._requests.poll(ceil(timeout * 1000)):
            raise NotReady(f"no samples from {self.address} within {timeout:g} s; does a transmitter listen there?")
        frame = self._requests.recv()
        self._asked = False
        if len(frame) % _SAMPLE:
            raise BadInput(f"{self.address} sent {len(frame)} bytes; expected whole samples of {_SAMPLE} bytes")
        return self._receiver.feed(np.frombuffer(frame, "<c8"))

    def close(self) -> None:
        """Leave the peer."""
        self._requests.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _socket(context: zmq.Context, kind: int) -> zmq.Socket:
    socket = context.socket(kind)
    socket.set(zmq.LINGER, 0)
    return socket
