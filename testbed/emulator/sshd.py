"""A device's own management plane: an interface on the management bridge, and an sshd of its own in its namespaces.

The bench is such a host too, but its account runs one forced command: a line of shell that hands the words on to the
agent through a pipe in its file system, so that neither Python nor a namespace is started for a patch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.emulator import netlink, uplink
from testbed.emulator.execute import Children, Process
from testbed.emulator.links import GROUP
from testbed.emulator.netlink import VethEnd
from testbed.errors import Unable

if TYPE_CHECKING:
    from testbed.emulator.nodes import Node

INTERFACE = "mgmt"
PROGRAM = "/usr/sbin/sshd"
INDEX = 99
_HUB_BASE = 5_000
FOLDER = "/run/sshd.d"
_CONFIGURATION = """Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile .ssh/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
StrictModes yes
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
AllowTcpForwarding no
AllowAgentForwarding no
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
MaxStartups 100
MaxSessions 100
LogLevel ERROR
Subsystem sftp internal-sftp
{forced}"""
_BENCH = """#!/bin/sh
# Hands the command to the agent and gives its answer: first a line with exit code and number of lines, then these.
answer=/run/bench/$$
mkfifo -m 600 $answer || exit 4
exec 3<>$answer  # open before it asks, so that the agent finds a reader
trap 'rm -f /run/bench/$$' EXIT
printf '%s %s\\n' $$ "$SSH_ORIGINAL_COMMAND" > /run/bench/request
read -r code lines <&3
while [ $lines -gt 0 ]; do
    IFS= read -r line <&3
    printf '%s\\n' "$line"
    lines=$((lines - 1))
done
exit $code
"""


def connect(node: Node, number: int) -> None:
    """Give a managed node its interface `mgmt` on the management bridge; the bridge is made where there is none.

    Args:
        number: of the node among the managed ones.

    Raises:
        Unable: the kernel refuses.
    """
    server = node.wire.sshd
    assert server is not None
    hub = netlink.Netlink()
    try:
        bridge = uplink.bridge(hub)
        outer = VethEnd(f"m{number}", _HUB_BASE + number, group=GROUP)
        inner = VethEnd(INTERFACE, INDEX, up=False, namespace=node.network)
        hub.run([netlink.veth(outer, inner), netlink.set_link(outer.index, master=bridge)])
    except netlink.NetlinkError as error:
        raise netlink.explain(error, [f"{node.name}: interface {INTERFACE}"] * 2) from None
    finally:
        hub.close()
    text = server.address if "/" in server.address else f"{server.address}/24"
    node.send(
        [netlink.set_link(INDEX, up=True), netlink.address(INDEX, text)], [f"{node.name}: {text} on {INTERFACE}"] * 2
    )


def start(node: Node, children: Children) -> Process:
    """Start the node's sshd.

    Raises:
        Unable: sshd is not installed.
    """
    server = node.wire.sshd
    assert server is not None
    with node.namespaces.enter():
        folder = Path(FOLDER)
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = Path("/run/home", server.user, ".ssh")  # sshd checks who owns the folders from here up to the home
        for path in (keys.parent, keys):
            path.mkdir(mode=0o700, exist_ok=True)
        forced = f"ForceCommand /bin/sh {FOLDER}/bench\n" if server.forced_command else ""
        address = server.address.partition("/")[0]
        _write(folder / "host_key", server.host_key.rstrip() + "\n")
        _write(keys / "authorized_keys", server.authorized_key.rstrip() + "\n")
        _write(folder / "bench", _BENCH)
        _write(
            folder / "config",
            _CONFIGURATION.format(address=address, folder=FOLDER, user=server.user, forced=forced),
        )
    try:
        return children.start(node.namespaces, [PROGRAM, "-D", "-e", "-f", f"{FOLDER}/config"])
    except FileNotFoundError:
        raise Unable(f"{node.name}: {PROGRAM} is not installed; apt-get install openssh-server") from None


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
