"""The peer: a line of stock Mininet's Open vSwitches with a host each, timed. Runs under Debian's python3.

Arguments: how many, and the Python and the script of a controller, or neither: then the switches learn by themselves.
It wants network, mount and PID namespaces of its own. Prints JSON: seconds that the daemons took, which a machine that
Mininet is installed on runs already, and seconds until a ping goes from the first host to the last.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from mininet.net import Mininet  # pyright: ignore[reportMissingImports]
from mininet.node import Controller, OVSSwitch  # pyright: ignore[reportMissingImports]
from mininet.topo import LinearTopo  # pyright: ignore[reportMissingImports]

RUN = "/run/openvswitch"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
QUIET = ("-vconsole:off", "-vsyslog:off", "--detach", "--no-chdir", "--pidfile")


def start_daemons() -> None:
    """Do what Debian's service does, with everything in memory."""
    for command in (
        ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ("mkdir", RUN),
        ("ip", "link", "set", "lo", "up"),
        ("ovsdb-tool", "create", f"{RUN}/conf.db", SCHEMA),
        ("ovsdb-server", f"{RUN}/conf.db", f"--remote=punix:{RUN}/db.sock", *QUIET),
        ("ovs-vsctl", "--no-wait", "init"),
        ("ovs-vswitchd", *QUIET),
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Told(Controller):
    """A controller that Mininet starts, without the look by telnet for another one, for which telnet is needed."""

    def checkListening(self) -> None:
        """The namespace is new: nobody listens in it."""


def main() -> None:
    count, told = int(sys.argv[1]), sys.argv[2:]
    os.environ["OSKEN_HUB_TYPE"] = "native"
    begun = time.monotonic()
    start_daemons()
    started = time.monotonic()
    switch = partial(OVSSwitch, datapath="user", failMode="secure" if told else "standalone", protocols="OpenFlow13")
    command = {"command": told[0], "cargs": f"{told[1]} %d"} if told else {}
    controller = partial(Told, **command) if told else None
    net = Mininet(topo=LinearTopo(k=count), switch=switch, controller=controller)
    net.start()
    net.waitConnected()
    first, last = net.hosts[0], net.hosts[-1]
    while " 0% packet loss" not in first.cmd("ping -c1 -W1", last.IP()):
        continue
    up = time.monotonic()
    net.stop()
    Path("/tmp/c0.log").unlink(missing_ok=True)  # where Mininet has its controller write
    print(json.dumps({"daemons_s": started - begun, "up_s": up - started}))


main()
