"""The peer: a ring of hosts in stock Mininet, timed. Runs under Debian's python3, which has Mininet's package."""

import json
import sys
import time

from mininet.link import Link, TCLink  # pyright: ignore[reportMissingImports]
from mininet.net import Mininet  # pyright: ignore[reportMissingImports]


def main() -> None:
    count, shaped = int(sys.argv[1]), sys.argv[2] == "shaped"
    started = time.monotonic()
    net = Mininet(link=TCLink if shaped else Link, controller=None)
    hosts = [net.addHost(f"h{number}") for number in range(count)]
    settings = {"delay": "5ms"} if shaped else {}
    for number, host in enumerate(hosts):
        net.addLink(host, hosts[(number + 1) % count], **settings)
    net.start()
    up = time.monotonic()
    net.stop()
    print(json.dumps({"up_s": up - started, "down_s": time.monotonic() - up}))


main()
