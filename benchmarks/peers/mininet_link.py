"""The peer: one stock Mininet TCLink, given delays, then rates. Runs under Debian's python3, which has Mininet.

The argument is JSON: `delays` in seconds, `rates` in bit/s, `ping` and `iperf3`: commands that lack only the address.
Prints JSON: what each command said.
"""

import json
import sys

from mininet.link import TCLink  # pyright: ignore[reportMissingImports]
from mininet.net import Mininet  # pyright: ignore[reportMissingImports]


def main() -> None:
    orders = json.loads(sys.argv[1])
    net = Mininet(link=TCLink, controller=None)
    one, other = net.addHost("h1"), net.addHost("h2")
    link = net.addLink(one, other)
    net.start()
    try:
        pings = [ping(orders["ping"], delay, link, one, other) for delay in orders["delays"]]
        link.intf2.config(delay="0ms", max_queue_size=1000)
        rates = [iperf3(orders["iperf3"], rate, link, one, other) for rate in orders["rates"]]
    finally:
        net.stop()
    print(json.dumps({"pings": pings, "iperf3": rates}))


def ping(command, delay, link, one, other):
    for end in (link.intf1, link.intf2):
        end.config(delay=f"{delay * 1e6:.0f}us")
    return one.pexec(*command, other.IP())[0]


def iperf3(command, rate, link, one, other):
    link.intf1.config(bw=rate / 1e6)
    server = other.popen("iperf3", "--server", "--one-off", "--forceflush")
    while b"listening" not in server.stdout.readline():
        continue
    said = one.pexec(*command, other.IP())[0]
    server.communicate()
    return said


main()
