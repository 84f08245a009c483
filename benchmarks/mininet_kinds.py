"""A ring, a line or a tree through Mininet's API, timed: KIND NODES shaped|plain [stock].

A script of Mininet's as `testbed mininet run` takes it, on our engine. With `stock` it runs under Debian's python3, on
Mininet as it is, whose switches are made by brctl. Prints JSON: nodes, bytes of all, seconds up, down, and then, on our
engine, until the kernel has cleared all away.
"""

from __future__ import annotations

import json
import math
import sys
import time
from functools import partial
from pathlib import Path

from mininet.link import Link, TCLink  # pyright: ignore[reportMissingImports]
from mininet.net import Mininet  # pyright: ignore[reportMissingImports]
from mininet.nodelib import LinuxBridge  # pyright: ignore[reportMissingImports]
from mininet.topo import LinearTopo, Topo  # pyright: ignore[reportMissingImports]


class Ring(Topo):
    """Hosts in a ring."""

    def build(self, count=3):
        hosts = [self.addHost(f"h{number}") for number in range(count)]
        for one, other in zip(hosts, hosts[1:] + hosts[:1], strict=True):
            self.addLink(one, other)


class Tree(Topo):
    """A root switch, as many switches below it as each of them has hosts; `count` nodes or some less."""

    def build(self, count=3):
        fanout = int((math.sqrt(4 * count - 3) - 1) / 2)
        root = self.addSwitch("s0")
        for branch in range(1, fanout + 1):
            switch = self.addSwitch(f"s{branch}")
            self.addLink(switch, root)
            for leaf in range(fanout):
                self.addLink(self.addHost(f"h{(branch - 1) * fanout + leaf}"), switch)


KINDS = {"ring": Ring, "line": lambda count: LinearTopo(count // 2), "tree": Tree}


def free() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def clear() -> float:
    """Return seconds until the kernel has taken all namespaces away: it does so in order, so ours is the last."""
    from testbed.emulator import netlink
    from testbed.emulator.mininet import rooms

    started, last, here = time.monotonic(), rooms.new(), rooms.caller()
    near, far = (netlink.VethEnd(f"tb-last{n}", up=False, namespace=room.net) for n, room in enumerate((here, last)))
    here.run([netlink.veth(near, far)], "the last link")
    index = here.index(near.name) or 0
    rooms.leave(last)
    rooms.sweep()
    while here.look(index) is not None:
        time.sleep(0.01)
    return time.monotonic() - started


def main() -> None:
    kind, count, links, *stock = sys.argv[1:]
    link = partial(TCLink, delay="5ms") if links == "shaped" else Link
    topo = KINDS[kind](int(count))
    before, started = free(), time.monotonic()
    net = Mininet(topo=topo, link=link, controller=None, **({"switch": LinuxBridge} if stock else {}))
    net.start()
    up, after = time.monotonic(), free()
    net.stop()
    down = time.monotonic()
    result = {"nodes": len(topo.nodes()), "up_s": up - started, "down_s": down - up, "bytes": before - after}
    if not stock:
        result["cleared_s"] = clear()
    print(json.dumps(result))


main()
