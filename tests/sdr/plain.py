"""Radios as ZeroMQ sees them: plain sockets that do what those of srsRAN and GNU Radio do."""

from __future__ import annotations

import socket
import time

import numpy as np
import zmq

WAIT = 10.0
"""Seconds, many times what anything here takes."""


_given: set[str] = set()


def free_address() -> str:
    """An address that nobody has, nor was given before: the kernel may name one twice."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        if address not in _given:
            _given.add(address)
            return address


def plain(context, kind, address):
    """A radio's socket: REP binds, REQ and SUB connect."""
    radio = context.socket(kind)
    radio.linger = 0
    radio.rcvtimeo = radio.sndtimeo = int(WAIT * 1000)
    _bind(radio, address) if kind == zmq.REP else radio.connect(address)
    return radio


def _bind(radio, address):
    """A socket that was closed lets go of its address a little later, and nothing tells when."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return radio.bind(address)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def noise(length, seed=0):
    values = np.random.default_rng(seed).standard_normal(2 * length, dtype=np.float32)
    return values.view(np.complex64)
