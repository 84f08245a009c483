"""Is somebody there? Asks a lab's agent, or a guest's kernel itself, and waits for the answer on descriptors."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import zmq

from testbed.emulator.messages import Done, Hello, Welcome, decode_reply, encode
from testbed.substrate.folder import LabFolder

_REQUEST = b"contact1"
_MCONSOLE = struct.Struct("=IiI")  # magic, version, length (arch/um/drivers/mconsole.h)
_MCONSOLE_MAGIC = 0xCAFEBABE


def silent(folder: LabFolder, timeout: float, interrupt: int | None = None) -> list[int]:
    """Say Hello to a lab's agents.

    Args:
        timeout: seconds.
        interrupt: a descriptor; when it becomes readable, the waiting ends.

    Returns:
        Numbers of the guests, from 1, whose agent did not answer.
    """
    keys = folder.read_keys()
    with ExitStack() as opened:
        context = opened.enter_context(zmq.Context())
        waiting = {
            opened.enter_context(_asked(context, endpoint, keys)): number
            for number, endpoint in enumerate(folder.record().endpoints, 1)
        }
        _await_welcomes(waiting, time.monotonic() + timeout, interrupt)
        return sorted(waiting.values())


def _asked(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: dict[str, str]) -> zmq.Socket[bytes]:
    """Return a socket on which an agent's answer to Hello will come."""
    agent = context.socket(zmq.DEALER)
    agent.linger = 0
    agent.curve_serverkey = keys["server_public"].encode()
    agent.curve_publickey = keys["client_public"].encode()
    agent.curve_secretkey = keys["client_secret"].encode()
    agent.set(zmq.RECONNECT_IVL, 25)
    agent.set(zmq.HANDSHAKE_IVL, 2000)
    agent.connect(endpoint)
    agent.send_multipart([_REQUEST, encode(Hello())])
    return agent


def _await_welcomes(waiting: dict[zmq.Socket[bytes], int], end: float, interrupt: int | None) -> None:
    """Take out of `waiting` those who answer until `end` on the monotonic clock."""
    poller = zmq.Poller()
    for readable in (*waiting, *([] if interrupt is None else [interrupt])):
        poller.register(readable, zmq.POLLIN)
    while waiting and (left := end - time.monotonic()) > 0:
        ready = dict(poller.poll(int(left * 1000) + 1))
        answered = [agent for agent in waiting if agent in ready]
        if ready and not answered:
            return
        for agent in answered:
            reply = decode_reply(agent.recv_multipart()[-1])
            if isinstance(reply, Done) and isinstance(reply.result, Welcome):
                poller.unregister(agent)
                del waiting[agent]


def kernel_version(folder: LabFolder, timeout: float) -> str:
    """Ask a User-Mode Linux guest's kernel for its version over its management console; empty when it does not answer.

    The kernel answers from an interrupt, so silence means that the whole guest has stopped.
    """
    marker = folder.record().id
    command = b"version"
    reply_path = folder.run / f"contact-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as console:
        try:
            console.bind(str(reply_path))
            console.connect(str(folder.run / marker / "mconsole"))
            console.send(_MCONSOLE.pack(_MCONSOLE_MAGIC, 2, len(command)) + command.ljust(512, b"\0"))
            if not select.select([console], [], [], timeout)[0]:
                return ""
            return console.recv(1024)[_MCONSOLE.size :].rstrip(b"\0").decode(errors="replace")
        except (FileNotFoundError, ConnectionError):
            return ""
        finally:
            Path(reply_path).unlink(missing_ok=True)
