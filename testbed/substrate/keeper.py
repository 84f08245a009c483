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
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from testbed import kernel, relay
from testbed.errors import TestbedError
from testbed.processes import Process, identify, is_child
from testbed.substrate.folder import Guest, LabFolder, write_atomically
from testbed.substrate.guest_init import AGENT_PORT, PROJECT
from testbed.substrate.processes import marked

CONSOLE_LIMIT = 4 * 2**20
TRUNK_BUFFER = 1 << 20
"""Bytes that may wait between two guests; more makes the sending guest wait. Linux grants at most net.core.wmem_max."""


class ForwardOrder(Struct, frozen=True):
    """A management port to make reachable; see `testbed.substrate.base.Forward`."""

    listen: str
    listen_port: int
    address: str
    port: int


class Orders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a substrate asks the keeper to start: one guest, or natively the agent.

    Attributes:
        argv: `{network}` in it becomes the number of the management network's descriptor, `{trunk2}` that of the wire
            to the lab's second guest, and so on.
        network: whether there is a management network; `forwards` into it; `channel`: the agent's port is forwarded
            too, and its address becomes the lab's endpoint, which is otherwise `endpoint`.
        controllers: doors to keep open for switches, see `door`.
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
    controllers: tuple[str, ...] = ()
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


def write_orders(folder: LabFolder, orders: Sequence[Orders]) -> None:
    write_atomically(folder.path / "orders.json", msgspec.json.encode(orders))


def door(folder: LabFolder, number: int) -> str:
    """Return the path of the UNIX socket behind which a lab's controllers are: the first, second, ... that it names."""
    return str(folder.run / f"controller-{number}")


def open_doors(folder: LabFolder, controllers: Sequence[str]) -> None:
    """Pass connections to each door on to its controller, in the network that this process is in."""
    for number, target in enumerate(controllers):
        say = partial(_tell_of, target)
        relay.Relay(relay.listen_at(door(folder, number)), partial(relay.connect, target), say)


def _tell_of(controller: str, reason: str) -> None:
    print(f"controller {controller}: {reason}", flush=True)


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
    """What it holds while the lab lives."""

    def __init__(self, folder: LabFolder, starter: Starter) -> None:
        self.folder, self.starter = folder, starter
        orders = msgspec.json.decode((folder.path / "orders.json").read_bytes(), type=tuple[Orders, ...])
        self.held = [Held(number, each, folder, starter) for number, each in enumerate(orders, 1)]

    def run(self) -> None:
        self.folder.update(keeper=identify(os.getpid()))
        self._make_run_folder()
        open_doors(self.folder, self.held[0].orders.controllers)  # all guests share them
        for held in self.held:
            held.open_network()
        ports = tuple(port for held in self.held for port in held.ports)
        self.folder.update(guests=tuple(Guest(endpoint=held.endpoint) for held in self.held), ports=ports)
        trunks = open_trunks(len(self.held))
        for held, own in zip(self.held, trunks, strict=True):
            held.launch({number: end.fileno() for number, end in own.items()})
        for end in (end for own in trunks for end in own.values()):
            end.close()  # the guests have them now
        first = self._wait()
        ended = f"{self.folder.record().title(first.number)} ended with status {first.status()}"
        self.folder.update(state="ended", ended=ended, culprit=first.number)
        self.starter.tell(event="ended", message=ended)

    def _make_run_folder(self) -> None:
        self.folder.run.mkdir(mode=0o700)
        (self.folder.run / "owner").write_text(str(self.folder.path))

    def _wait(self) -> Held:
        """Serve the guests until one has ended, and return it; the others go with this process."""
        poller = select.poll()
        serve: dict[int, tuple[Held, Callable[[], bool]]] = {}
        ends: dict[int, Held] = {}
        for held in self.held:
            serve |= {descriptor: (held, act) for descriptor, act in held.served().items()}
            ends[os.pidfd_open(held.launcher.pid)] = held
        for descriptor in (*serve, *ends):
            poller.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poller.poll()]
            for descriptor in ready:
                if descriptor in serve and not serve[descriptor][1]():
                    poller.unregister(descriptor)
            for descriptor in ready:
                if descriptor in ends:
                    ends[descriptor].finish()
                    return ends[descriptor]


def open_trunks(count: int) -> list[dict[int, socket.socket]]:
    """Join every two guests by a socket pair, a wire without any network of the host.

    A pair that keeps packets apart and in order, and blocks (rather than drops) when the other end does not read.

    Returns:
        For each guest, the number of each other one to its own end.
    """
    ends: list[dict[int, socket.socket]] = [{} for _ in range(count)]
    for one, other in combinations(range(count), 2):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TRUNK_BUFFER)
        ends[one][other + 1], ends[other][one + 1] = pair
    return ends


class Held:
    """One guest and what is held for it. Numbers count from 1."""

    launcher: subprocess.Popen[bytes]

    def __init__(self, number: int, orders: Orders, folder: LabFolder, starter: Starter) -> None:
        self.number, self.orders, self.folder, self.starter = number, orders, folder, starter
        self.network: int | None = None
        self.endpoint = orders.endpoint
        self.ports: tuple[str, ...] = ()
        self._console = self._report = self._signals = -1
        self._console_size = 0
        self._seen: set[str] = set()

    def open_network(self) -> None:
        """Make the management network, if there is one, with the ports that lead in and the agent's endpoint."""
        if not self.orders.network:
            return
        from testbed.substrate.slirp import GUEST, Network

        network = Network()
        self.network = network.descriptor
        for forward in self.orders.forwards:
            network.forward(forward.listen, forward.listen_port, forward.address, forward.port)
            self.ports += (f"{forward.listen}:{forward.listen_port}",)
        for number, _ in enumerate(self.orders.controllers):
            network.open_door(number + 1, door(self.folder, number))
        if self.orders.channel:
            port = network.forward_any(GUEST, AGENT_PORT)
            self.endpoint = f"tcp://127.0.0.1:{port}"
            self.ports += (f"127.0.0.1:{port}",)

    def launch(self, trunks: dict[int, int]) -> None:
        """Start the launcher.

        Args:
            trunks: number of each other guest to the descriptor of the wire there.
        """
        self._signals = kernel.watch(str(self.folder.guest(self.number)))  # before anybody can give one
        console_read, console_write = os.pipe()
        report_read, report_write = os.pipe()
        known = {f"trunk{number}": descriptor for number, descriptor in trunks.items()}
        passed = [report_write, *trunks.values()]
        if self.network is not None:
            known["network"] = self.network
            passed.append(self.network)
        orders = msgspec.to_builtins(self.orders)
        orders["argv"] = [_filled(part, known) for part in orders["argv"]]
        orders |= {"report": report_write, "keeper": os.getpid()}
        self.launcher = subprocess.Popen(
            [sys.executable, "-S", "-m", "testbed.substrate.launch", self.folder.record().id, json.dumps(orders)],
            stdin=subprocess.DEVNULL, stdout=console_write, stderr=console_write, cwd=PROJECT, pass_fds=passed,
        )  # fmt: skip
        os.close(console_write)
        os.close(report_write)
        self._console, self._report = console_read, report_read

    def served(self) -> dict[int, Callable[[], bool]]:
        """Return what to call when a descriptor is readable; it says whether there may be more."""
        return {
            self._console: self._copy_console,
            self._report: self._read_report,
            self._signals: partial(self._notice, self._signals),
        }

    def finish(self) -> None:
        """Take in what the guest said last."""
        while select.select([self._console], [], [], 0)[0] and self._copy_console():
            continue

    def status(self) -> int:
        """Wait for the launcher's exit status."""
        return self.launcher.wait()

    def _copy_console(self) -> bool:
        data = os.read(self._console, 65536)
        path = self.folder.console(self.number)
        if self._console_size + len(data) > CONSOLE_LIMIT:
            path.replace(path.with_suffix(".old.log"))
            self._console_size = 0
        with path.open("ab") as file:
            file.write(data)
        self._console_size += len(data)
        return bool(data)

    def _read_report(self) -> bool:
        """Take what the launcher says, once: the guest's process and whether the host is sealed, or why it failed."""
        line = os.read(self._report, 65536)
        if not line:
            return False
        said = json.loads(line)
        if "failed" in said:
            self.starter.tell(event="failed", kind="Unable", message=said["failed"])
            return True
        found = [process for pid in (self.launcher.pid, said["pid"]) if (process := identify(pid))]
        self._record(*dict.fromkeys(found), sealed=said["sealed"], seal=said["seal"])
        self.starter.tell(event="launched")
        return True

    def _record(self, *added: Process, **fields: Any) -> None:
        """Add processes of this guest to the record, and set other fields of it."""
        guests = list(self.folder.record().guests)
        own = guests[self.number - 1]
        guests[self.number - 1] = msgspec.structs.replace(own, processes=(*own.processes, *added))
        self.folder.update(guests=tuple(guests), **fields)

    def _notice(self, watch: int) -> bool:
        """Pass on which of the guest's signal files has appeared."""
        os.read(watch, 65536)
        for name in ("booted", "ready", "failed"):
            path = self.folder.guest(self.number) / name
            if name in self._seen or not path.exists():
                continue
            message = path.read_text(errors="replace").strip()
            if name == "failed" and not message:
                continue  # made, but not yet written
            if not self._seen:
                self._record(*self._inner())
            self._seen.add(name)
            self.starter.tell(event=name, kind="GuestFailed", message=message, guest=self.number)
        return True

    def _inner(self) -> list[Process]:
        """The guest kernel itself, which only now is sure to have become what it is."""
        record = self.folder.record()
        outer = record.guests[self.number - 1].processes
        return [process for process in marked(record.id) if process not in outer and is_child(process, outer)]


def _filled(part: str, known: dict[str, int]) -> str:
    for name, descriptor in known.items():
        part = part.replace(f"{{{name}}}", str(descriptor))
    return part


if __name__ == "__main__":
    main()
