"""The limit: netem changes as ready-made bytes, 100 in one send, answers read; prints changes per second."""

from __future__ import annotations

import socket
import sys
import time

from testbed.emulator.netem import Netem, encode
from testbed.emulator.netlink import Netlink, netem

BATCH = 100


def main() -> None:
    seconds = float(sys.argv[1])
    with_tools = Netlink()
    index = with_tools.index_of("eth1")
    assert index is not None
    options = [encode(Netem(delay=0.001 + number / 1e4), 1500, False) for number in range(BATCH)]
    with_tools.run([netem(index, options[0], create=True)])
    requests = [netem(index, each) for each in options]
    done, start = 0, time.monotonic()
    while (spent := time.monotonic() - start) < seconds:
        with_tools.run(requests)
        done += BATCH
    print(done / spent)


socket.setdefaulttimeout(30)
main()
