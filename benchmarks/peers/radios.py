"""Radios for a broker under test: they answer and ask as fast as it goes. Arguments: frame, seconds, addresses.

Addresses: of each radio, what it sends at and what it receives from, separated by commas. When every radio has received
something it prints `begun`, and at the end how many samples all of them received and in how many seconds.
"""

from __future__ import annotations

import struct
import sys
import time

import numpy as np
import zmq

frame, seconds = int(sys.argv[1]), float(sys.argv[2])
addresses = [text.split(",") for text in sys.argv[3:]]
context, poller = zmq.Context(), zmq.Poller()
samples = np.full(frame, 0.25 + 0.25j, np.complex64)
request = struct.pack("<i", frame)  # as GNU Radio's own source asks; srsRAN's brokers look at nothing in it
senders: set[zmq.Socket] = set()
received: dict[zmq.Socket, int] = {}
for transmit, receive in addresses:
    sender, listener = context.socket(zmq.REP), context.socket(zmq.REQ)
    sender.bind(transmit)
    listener.connect(receive)
    listener.send(request)
    senders.add(sender)
    received[listener] = 0
for socket in (*senders, *received):
    poller.register(socket, zmq.POLLIN)


def pass_on(until: float, whole: bool = False) -> None:
    """Answer and ask up to a time, or until every radio has received something."""
    while time.monotonic() < until and not (whole and all(received.values())):
        for socket, _ in poller.poll(100):
            if socket in senders:
                socket.recv()
                socket.send(samples, copy=False)
            else:
                received[socket] += memoryview(socket.recv(copy=False)).nbytes // 8
                socket.send(request)


pass_on(time.monotonic() + 30, whole=True)
if not all(received.values()):
    sys.exit("a radio has received nothing in 30 s")
pass_on(time.monotonic() + 0.5)
print("begun", flush=True)
before, start = sum(received.values()), time.monotonic()
pass_on(start + seconds)
print(sum(received.values()) - before, time.monotonic() - start, flush=True)
context.destroy(0)
