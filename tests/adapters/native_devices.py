"""Real devices without a guest: FRR routers in namespaces of this machine, each behind an sshd of its own.

A device is one `unshare` process (its PID 1); killing it takes everything away. Its sshd runs in inetd mode: a thread
here listens on loopback and hands every accepted connection to a fresh `sshd -i` inside the device.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from adapters.keys import new_key
from adapters.ssh import SshTarget

_BOOT = r"""
set -e
for place in /etc/frr /run/frr /run/sshd /var/lib/testbed /tmp; do mkdir -p $place 2>/dev/null; done
mkdir -p {folder}/lib
mount -t tmpfs none /etc/frr
mount -t tmpfs none /run
mount -t tmpfs none /var/tmp
mkdir -p /run/frr /run/sshd
mount --bind {folder}/lib /var/lib
mkdir -p /var/lib/testbed
sed 's/^root:.*/admin:*:0:0::\/:\/bin\/sh/' /etc/passwd >{folder}/passwd
mount --bind {folder}/passwd /etc/passwd
hostname {name} 2>/dev/null || true
ip link set lo up
touch /etc/frr/vtysh.conf
cp {folder}/frr.conf /etc/frr/frr.conf
chown -R frr:frr /etc/frr /run/frr
touch {folder}/ready
exec sleep infinity
"""

_START = """
mkdir -p /run/frr && chown frr:frr /run/frr
/usr/lib/frr/zebra -d -A 127.0.0.1 -f /dev/null 2>/dev/null
/usr/lib/frr/ospfd -d -A 127.0.0.1 -f /dev/null
if grep -q '^router bgp' /etc/frr/frr.conf; then /usr/lib/frr/bgpd -d -A 127.0.0.1 -f /dev/null; fi
if grep -q '^router isis' /etc/frr/frr.conf; then /usr/lib/frr/isisd -d -A 127.0.0.1 -f /dev/null; fi
/usr/lib/frr/staticd -d -A 127.0.0.1 -f /dev/null
exec vtysh -b
"""


@dataclass
class NativeDevice:
    """One device, reached at `port` of 127.0.0.1 by the account `admin` and the private key `key`."""

    name: str
    folder: Path
    config: str
    key: str
    public: str
    process: subprocess.Popen[bytes] | None = None
    connections: list[tuple[socket.socket, subprocess.Popen[bytes]]] = field(default_factory=list)
    listener: socket.socket | None = None
    port: int = 0
    host_public: str = ""

    def start(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "authorized").write_text(self.public + "\n")
        host_key, self.host_public = new_key()
        _private(self.folder / "host_key", host_key)
        self.boot()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def boot(self) -> None:
        (self.folder / "frr.conf").write_text(self.config)
        self.run(_BOOT.format(folder=self.folder, name=self.name))
        wait_for((self.folder / "ready").exists, f"{self.name} boots")

    def run(self, script: str) -> None:
        """Run a script as process 1 of namespaces of its own."""
        self.process = subprocess.Popen(
            ["unshare", "-n", "-m", "-u", "-p", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The PID, in this machine's view, of the device's process 1."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def inside(self, *command: str, check: bool = True) -> str:
        """Run a command at the device's console."""
        done = subprocess.run(self._enter(*command), capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 or not check, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def power_on(self) -> None:
        subprocess.run(self._enter("sh", "-c", _START), check=True, stdout=subprocess.DEVNULL, timeout=30)

    def power_off(self) -> None:
        """All of its processes die at once, as by a pulled plug; what was written stays."""
        script = (
            "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $$ ] || kill -9 $p; done; rm -f /run/frr/*"
        )
        self.inside("sh", "-c", script, check=False)

    def cut_connections(self) -> None:
        """Break every SSH connection on the wire, not in the programs."""
        for wire, process in self.connections:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
            wire.close()
            process.wait()
        self.connections.clear()

    def stop(self) -> None:
        if self.listener:
            self.listener.close()
        self.cut_connections()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Take the device's namespaces away, with all that runs in them."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _enter(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", *command]

    def _serve(self, listener: socket.socket) -> None:
        options = ("-o", f"HostKey={self.folder}/host_key", "-o", f"AuthorizedKeysFile={self.folder}/authorized")
        more = ("-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PermitRootLogin=yes", "-o", "PrintMotd=no")
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            command = self._enter("/usr/sbin/sshd", "-i", "-f", "/dev/null", *options, *more)
            wire = connection.fileno()
            process = subprocess.Popen(command, stdin=wire, stdout=wire, stderr=subprocess.DEVNULL)
            self.connections.append((connection, process))


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Poll until `holds()`; fail with `what` was awaited."""
    poll = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        poll.wait(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def configuration(name: str, number: int) -> str:
    return f"""frr defaults traditional
hostname {name}
service integrated-vtysh-config
!
interface lo
 ip address 10.255.0.{number}/32
 ip ospf area 0
exit
!
interface eth1
 description to the other
 ip address 10.0.1.{number}/30
 ip ospf area 0
 ip ospf cost 10
 ip ospf hello-interval 1
 ip ospf retransmit-interval 1
 ip ospf dead-interval 4
 ip ospf network point-to-point
exit
!
router ospf
 ospf router-id 10.255.0.{number}
 timers throttle spf 10 100 1000
 timers throttle lsa all 0
 timers lsa min-arrival 0
exit
!
"""


def plain_pair(folder: Path, name: str) -> Path:
    """Write two routers and a wire as a topology that asks no impairment of this machine's kernel."""
    for number in (1, 2):
        (folder / f"r{number}.conf").write_text(configuration(f"r{number}", number))
    path = folder / "pair.yaml"
    path.write_text(
        f"name: {name}\n"
        "nodes:\n"
        "  r1: {kind: router, config_file: r1.conf}\n"
        "  r2: {kind: router, config_file: r2.conf}\n"
        "links:\n"
        "  r1-r2: {endpoints: [r1:eth1, r2:eth1]}\n"
    )
    return path


@contextmanager
def pair(folder: Path, more: Callable[[int], str] = lambda number: "") -> Iterator[tuple[NativeDevice, NativeDevice]]:
    """Two routers, one link, OSPF full; `more` gives lines of configuration for router 1 and for router 2."""
    private, public = new_key()
    configurations = {f"r{n}": configuration(f"r{n}", n) + more(n) for n in (1, 2)}
    devices = [NativeDevice(name, folder / name, text, private, public) for name, text in configurations.items()]
    try:
        for device in devices:
            device.start()
        ends = [("eth1", "netns", str(device.pid)) for device in devices]
        link = ["ip", "link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1]]
        subprocess.run(link, check=True, timeout=10)
        for device in devices:
            device.inside("ip", "link", "set", "eth1", "up")
            device.power_on()
        wait_for(lambda: "10.255.0.2" in devices[0].inside("ip", "route"), "r1 has learned the way to r2")
        wait_for(lambda: "10.255.0.1" in devices[1].inside("ip", "route"), "r2 has learned the way to r1")
        yield devices[0], devices[1]
    finally:
        for device in devices:
            device.stop()


def known_hosts_line(device: NativeDevice) -> str:
    return f"[127.0.0.1]:{device.port} {device.host_public}\n"


def private_key_of(device: NativeDevice) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(device.key))


def target_of(device: NativeDevice, folder: Path) -> SshTarget:
    """How a device is reached, with a known_hosts file in a folder."""
    (folder / "known_hosts").write_text(known_hosts_line(device))
    key = private_key_of(device)
    return SshTarget("127.0.0.1", device.port, "admin", folder / "known_hosts", key, timeout=5.0)
