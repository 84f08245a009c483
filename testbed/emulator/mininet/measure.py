"""Throughput between two nodes by iperf, with every wait bounded."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from testbed.errors import NotReady

PATIENCE = 10.0


def commands(l4_type: str, udp_rate: str, unit: str | None, seconds: float, port: int) -> tuple[list[str], list[str]]:
    """Return the words of iperf's server and client; the client's lack the address at the end."""
    common = ["iperf", "-p", str(port), *(["-u"] if l4_type == "UDP" else []), *(["-f", unit] if unit else [])]
    return [*common, "-s"], [*common, "-t", f"{seconds:g}", *(["-b", udp_rate] if l4_type == "UDP" else []), "-c"]


def throughput(client: Any, server: Any, words: tuple[Sequence[str], Sequence[str]], seconds: float) -> tuple[str, str]:
    """Return what iperf's server and client say.

    Args:
        client, server: nodes. words: as `commands` makes them. seconds: how long the client sends.

    Raises:
        NotReady: the server does not listen, the client does not end, or the server does not report.
    """
    serving = server.popen(list(words[0]), stderr=subprocess.STDOUT)
    try:
        _until(serving, b"listening", f"{server}: iperf does not listen")
        sending = client.popen([*words[1], server.IP()], stderr=subprocess.STDOUT)
        try:
            sent = sending.communicate(timeout=seconds + 3 * PATIENCE)[0]
        except subprocess.TimeoutExpired:
            sending.kill()
            raise NotReady(f"{client}: iperf does not end: {sending.communicate()[0].decode()}") from None
        heard = _until(serving, b"/sec", f"{server}: iperf reports nothing; the client says: {sent.decode()}")
    finally:
        serving.kill()
        serving.communicate()
    return heard.decode(), sent.decode()


def _until(process: subprocess.Popen[bytes], word: bytes, otherwise: str) -> bytes:
    """Read a process's output until a line with `word` is whole."""
    assert process.stdout is not None
    heard, deadline = b"", time.monotonic() + PATIENCE
    poller = select.poll()  # select(2) takes no descriptor from 1024 on
    poller.register(process.stdout, select.POLLIN)
    while word not in heard or not heard.endswith(b"\n"):
        ready = poller.poll(max(deadline - time.monotonic(), 0.0) * 1000)
        piece = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
        if not piece:
            raise NotReady(f"{otherwise}\n{heard.decode()}")
        heard += piece
    return heard
