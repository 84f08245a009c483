"""The one process that holds a lab: it starts the guest, carries its management network, and outlives the command line.

Run by a substrate as `python -m testbed.substrate.keeper FOLDER MARKER STATUS`; STATUS is the number of an inherited
pipe. What it is to do is in the folder's `orders.json`. Nothing here polls: it waits on descriptors. Its death, however
it comes, takes the guest with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from testbed.errors import TestbedError
from testbed.substrate import kernel
from testbed.substrate.folder import LabFolder, write_atomically
from testbed.substrate.guest_init import AGENT_PORT, PROJECT
from testbed.substrate.processes import Process, identify, is_child, marked

CONSOLE_LIMIT = 4 * 2**20


class ForwardOrder(Struct, frozen=True):
    """A management port to make reachable; see `testbed.substrate.base.Forward`."""

    listen: str
    listen_port: int
    address: str
    port: int


class Orders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a substrate asks the keeper to start.

    Attributes:
        argv: `{network}` in it becomes the number of the management network's descriptor.
        network: whether there is a management network; `forwards` into it; `channel`: the agent's port is forwarded
            too, and its address becomes the lab's endpoint, which is otherwise `endpoint`.
        must_isolate: without namespaces this cannot run at all; otherwise it runs unsealed, and says so.
        user: user number inside a new user namespace, None for the caller's own.
        seal: host files read-only. drop: give up capabilities. proc: mount /proc and /sys anew.
        writable, tmpfs, visible: see `testbed.substrate.launch.arrange`.
        reap: the guest gets a parent of ours inside its PID namespace.
        directory: where it is started. touch: files made just before it runs.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str = "/"
    network: bool = False
    channel: bool = False
    forwards: tuple[ForwardOrder, ...] = ()
    endpoint: str | None = None
    must_isolate: bool = False
    user: int | None = None
    seal: bool = True
    drop: bool = False
    proc: bool = False
    reap: bool = False
    writable: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    touch: tuple[str, ...] = ()


def write_orders(folder: LabFolder, orders: Orders) -> None:
    write_atomically(folder.path / "orders.json", msgspec.json.encode(orders))


def main() -> None:
    folder, status = LabFolder(Path(sys.argv[1])), int(sys.argv[3])
    if os.fork():  # the command line that started us must not be our parent: nobody would reap us after it
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    starter = Starter(status)
    try:
        Keeper(folder, starter).run()
    except TestbedError as problem:
        folder.update(state="ended", ended=str(problem))
        starter.tell(event="failed", kind=type(problem).__name__, message=str(problem))


class Starter:
    """The command that waits for the lab to come up, as long as it lives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def tell(self, **message: Any) -> None:
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            print("the command that started this lab has ended", flush=True)


class Keeper:
    """What it holds while the guest lives."""

    def __init__(self, folder: LabFolder, starter: Starter) -> None:
        self.folder, self.starter = folder, starter
        self.orders = msgspec.json.decode((folder.path / "orders.json").read_bytes(), type=Orders)
        self.run_folder = folder.run
        self.console_size = 0
        self.seen: set[str] = set()

    def run(self) -> None:
        self.folder.update(keeper=identify(os.getpid()))
        self._make_run_folder()
        network, endpoint, ports = self._open_network()
        self.folder.update(endpoint=endpoint, ports=ports)
        watch = kernel.watch(str(self.folder.guest))
        console, report, guest = self._launch(network)
        self._wait(watch, console, report, guest)
        ended = f"the guest ended with status {guest.wait()}"
        self.folder.update(state="ended", ended=ended)
        self.starter.tell(event="ended", message=ended)

    def _make_run_folder(self) -> None:
        self.run_folder.mkdir(mode=0o700)
        (self.run_folder / "owner").write_text(str(self.folder.path))

    def _open_network(self) -> tuple[int | None, str | None, tuple[str, ...]]:
        """Return the network's descriptor, the lab's endpoint, and the ports that lead in."""
        if not self.orders.network:
            return None, self.orders.endpoint, ()
        from testbed.substrate.slirp import GUEST, Network

        network = Network()
        ports = []
        for forward in self.orders.forwards:
            network.forward(forward.listen, forward.listen_port, forward.address, forward.port)
            ports.append(f"{forward.listen}:{forward.listen_port}")
        if not self.orders.channel:
            return network.descriptor, self.orders.endpoint, tuple(ports)
        port = network.forward_any(GUEST, AGENT_PORT)
        return network.descriptor, f"tcp://127.0.0.1:{port}", (*ports, f"127.0.0.1:{port}")

    def _launch(self, network: int | None) -> tuple[int, int, subprocess.Popen[bytes]]:
        """Start the launcher; return the guest's console, the launcher's report, and the launcher."""
        console_read, console_write = os.pipe()
        report_read, report_write = os.pipe()
        orders = msgspec.to_builtins(self.orders)
        orders["argv"] = [part.replace("{network}", str(network)) for part in orders["argv"]]
        orders |= {"report": report_write, "keeper": os.getpid()}
        guest = subprocess.Popen(
            [sys.executable, "-S", "-m", "testbed.substrate.launch", self.folder.record().id, json.dumps(orders)],
            stdin=subprocess.DEVNULL, stdout=console_write, stderr=console_write, cwd=PROJECT,
            pass_fds=[report_write] if network is None else [report_write, network],
        )  # fmt: skip
        os.close(console_write)
        os.close(report_write)
        return console_read, report_read, guest

    def _wait(self, watch: int, console: int, report: int, guest: subprocess.Popen[bytes]) -> None:
        """Serve the guest until it has ended."""
        poller = select.poll()
        serve: dict[int, Callable[[], bool]] = {
            console: lambda: self._copy_console(console),
            report: lambda: self._read_report(report, guest.pid),
            watch: lambda: self._notice(watch),
            os.pidfd_open(guest.pid): lambda: False,
        }
        for descriptor in serve:
            poller.register(descriptor, select.POLLIN)
        serving = True
        while serving:
            for descriptor, _ in poller.poll():
                if serve[descriptor]():
                    continue
                if descriptor in (console, report):
                    poller.unregister(descriptor)
                else:
                    serving = False
        while select.select([console], [], [], 0)[0] and self._copy_console(console):
            continue  # what it said last

    def _copy_console(self, console: int) -> bool:
        data = os.read(console, 65536)
        if self.console_size + len(data) > CONSOLE_LIMIT:
            self.folder.console.replace(self.folder.console.with_suffix(".old.log"))
            self.console_size = 0
        with self.folder.console.open("ab") as file:
            file.write(data)
        self.console_size += len(data)
        return bool(data)

    def _read_report(self, report: int, launcher: int) -> bool:
        """Take what the launcher says, once: the guest's process and whether the host is sealed, or why it failed."""
        line = os.read(report, 65536)
        if not line:
            return False
        said = json.loads(line)
        if "failed" in said:
            self.starter.tell(event="failed", kind="Unable", message=said["failed"])
            return True
        guest: list[Process] = [process for pid in (launcher, said["pid"]) if (process := identify(pid))]
        self.folder.update(guest=tuple(dict.fromkeys(guest)), sealed=said["sealed"], seal=said["seal"])
        self.starter.tell(event="launched")
        return True

    def _notice(self, watch: int) -> bool:
        """Pass on which of the guest's signal files has appeared."""
        os.read(watch, 65536)
        for name in ("booted", "ready", "failed"):
            path = self.folder.guest / name
            if name in self.seen or not path.exists():
                continue
            message = path.read_text(errors="replace").strip()
            if name == "failed" and not message:
                continue  # made, but not yet written
            if not self.seen:
                self._record_guest()
            self.seen.add(name)
            self.starter.tell(event=name, kind="GuestFailed", message=message)
        return True

    def _record_guest(self) -> None:
        """Add the guest kernel itself, which only now is sure to have become what it is."""
        record = self.folder.record()
        inner = [p for p in marked(record.id) if p not in record.guest and is_child(p, record.guest)]
        self.folder.update(guest=(*record.guest, *inner))


if __name__ == "__main__":
    main()
