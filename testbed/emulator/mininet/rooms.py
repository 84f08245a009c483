"""Where nodes live: a network namespace each; one for all switches; and the caller's own, "root" in Mininet's words.

Mininet puts its switches into the root namespace. Ours share one that has no name, so that they see each other as
there, and bridges and wires are gone when the process is, killed or not.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from testbed import processes
from testbed.emulator import netlink
from testbed.emulator.bridges import unfiltered
from testbed.emulator.mininet import family
from testbed.emulator.namespaces import Namespaces, home, new_machine, new_mounts, new_networks
from testbed.emulator.netlink import LinkInfo, Netlink, NetlinkError, Request, explain
from testbed.emulator.nodes import processes_in

if TYPE_CHECKING:
    from testbed.emulator.mininet.vswitch import Vswitch

LOOPBACK = 1
PATIENCE = 10.0
# The kernel gives low numbers to what a script makes by itself. No two of ours are the same, in whatever namespaces:
# the kernel takes a second to open a wire whose ends have the same number (linkwatch_urgent_event).
_indexes = count(1000)
_DOOMED = 0x7E5D
_T = TypeVar("_T")


class Room:
    """A network namespace, an rtnetlink socket of it, and the processes of the nodes in it. Thread-safe.

    Attributes:
        interfaces: name to index of those that were made here. private: its mounts are its own too.
        at_end: what is to be done before the room's processes are ended.
        ways: addresses and ports of controllers that are led to from here. vswitch: its Open vSwitch, once it has one.
    """

    def __init__(self, net: int, socket: Netlink, *, private: bool = False) -> None:
        self.net = net
        self.interfaces: dict[str, int] = {"lo": LOOPBACK}
        self.private = private
        self.used = False
        self.users = 0
        self.at_end: list[Callable[[], object]] = []
        self.ways: set[tuple[str, int]] = set()
        self.vswitch: Vswitch | None = None
        self._namespaces = Namespaces(net)
        self._netlink = socket
        self._lock = threading.RLock()

    # --- interfaces ---

    def new_index(self) -> int:
        """Return a number for a new interface; 0, which lets the kernel choose, in the caller's own namespace."""
        return 0 if self is caller() else next(_indexes)

    def run(self, requests: Sequence[Request], what: str) -> None:
        """Carry out rtnetlink messages; errors are named by `what`.

        Raises:
            Unable: the kernel refuses some, with its reasons; the others were carried out.
        """
        try:
            self.send(requests)
        except NetlinkError as error:
            raise explain(error, [what] * len(requests)) from None

    def send(self, requests: Sequence[Request]) -> None:
        """As `run`, errors as the kernel gives them (NetlinkError)."""
        with self._lock:
            self._netlink.run(requests)

    def index(self, name: str) -> int | None:
        """Return an interface's number, whoever made it; None where there is none of this name."""
        known = self.interfaces.get(name)
        if known is None:
            with self._lock:
                known = self._netlink.index_of(name)
            if known is not None:
                self.interfaces[name] = known
        return known

    def look(self, index: int) -> LinkInfo | None:
        """Return what the kernel says of an interface."""
        with self._lock:
            return self._netlink.look(index)

    def await_link(self, index: int, ready: Callable[[LinkInfo], bool], deadline: float) -> bool:
        """Wait until an interface is as `ready` wants it, until `deadline` (monotonic); say whether it is."""
        found = self.look(index)
        if found is None or ready(found):
            return True
        with self.inside():
            events = Netlink(netlink.LINK_EVENTS)
        try:
            while (found := self.look(index)) is not None and not ready(found):
                if not events.heard(deadline - time.monotonic()):
                    return False
        finally:
            events.close()
        return True

    def addresses(self, index: int) -> list[str]:
        """Return an interface's addresses, such as `10.0.0.1/8`, from the kernel."""
        with self._lock:
            return [text for number, text in self._netlink.addresses() if number == index]

    def delete(self, indexes: Sequence[int]) -> None:
        """Remove interfaces in one kernel transaction; those already gone are passed over."""
        if not indexes:
            return
        requests = [netlink.set_link(index, group=_DOOMED) for index in indexes]
        try:
            self.send([*requests, netlink.delete_group(_DOOMED)])
        except NetlinkError as error:
            if error.errno != 19:  # ENODEV
                raise

    def delete_discipline(self, index: int) -> None:
        """Take an interface's root queueing discipline away where it has one of its own."""
        with contextlib.suppress(NetlinkError):  # it had none
            self.send([netlink.delete_root(index)])

    # --- processes ---

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Put the calling thread into the network namespace, and back at the end."""
        with self._namespaces.enter_net():
            yield

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program here, in a session of its own; `options` are those of subprocess.Popen.

        A private room gets mounts of its own when its first process starts, as Mininet's hosts have. All but what
        runs in the caller's own namespace ends with the script, however that ends.
        """
        options.setdefault("cwd", os.getcwd())
        options.setdefault("start_new_session", True)
        self.used = True

        def spawn() -> subprocess.Popen[Any]:
            if self is not caller():
                family.join()
            fresh = self.private and self._namespaces.mnt is None
            if fresh:
                self._namespaces = Namespaces(self.net, new_mounts(self.net), home().uts)
            with self._namespaces.enter():
                if fresh:
                    subprocess.run(["/bin/mount", "-t", "proc", "proc", "/proc"], check=True)  # that of the family
                return subprocess.Popen(command, **options)

        return _apart(spawn)

    def furnish(self, name: str, folders: Mapping[str, str]) -> int:
        """Give what is started here from now on mounts with folders in memory; return a descriptor of their /run.

        Args:
            name: what its programs take for the machine's. folders: as `new_machine` takes them.
        """

        def make() -> int:
            mnt, uts, run = new_machine(name, folders, {}, self.net)
            self._namespaces = Namespaces(self.net, mnt, uts)
            self.at_end += [partial(os.close, uts), partial(os.close, run)]
            return run

        return _apart(make)

    def close(self) -> None:
        """Let go of the namespaces; processes that still run in them keep them."""
        self._netlink.close()
        os.close(self.net)
        if self._namespaces.mnt is not None:
            os.close(self._namespaces.mnt)


def _apart(function: Callable[[], _T]) -> _T:
    """Run a function in a thread of its own: one that changes its mounts no longer shares its working directory."""
    outcome: list[_T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run, name="start")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]


_caller: list[Room] = []
_fabric: list[Room] = []
_left: list[Room] = []


def caller() -> Room:
    """Return the caller's own namespace."""
    if not _caller:
        _caller.append(Room(home().net, Netlink()))
    return _caller[0]


def new(settings: dict[str, str] | None = None) -> Room:
    """Make a network namespace, its loopback up; `settings` are sysctls below /proc/sys/net."""
    caller()  # which must be looked at before this thread has been anywhere else
    net, socket = new_networks(1, [settings or {}])[0]
    room = Room(net, socket, private=True)
    room.run([netlink.set_link(LOOPBACK, up=True)], "lo up")
    return room


def switching(settings: Mapping[str, str] | None = None) -> Room:
    """Make a room for switches.

    IPv6 is off: their ports have no business with addresses, and each would answer to every multicast.
    """
    return new({"ipv6/conf/default/disable_ipv6": "1", **unfiltered(), **(settings or {})})


def fabric() -> Room:
    """Return the room that all switches share, for one more node of it; `leave` is called when that one ends.

    What asks for an address is answered by the interface that has it and by no other: some lead to a controller
    elsewhere.
    """
    if not _fabric:
        room = switching({"ipv4/conf/all/arp_ignore": "1"})
        room.private = False
        _fabric.append(room)
    _fabric[0].users += 1
    return _fabric[0]


def leave(room: Room) -> None:
    """Give up one node's place in a room; when nobody is left it ends with the next `sweep`."""
    if room is caller():
        return
    room.users -= 1
    if room.users <= 0:
        if room in _fabric:
            _fabric.remove(room)
        _left.append(room)


def sweep() -> None:
    """End every process in the rooms that were left, and let the rooms go."""
    ending = [_left.pop() for _ in range(len(_left))]
    for room in ending:
        for step in room.at_end:
            step()
    networks = {os.fstat(room.net).st_ino for room in ending if room.used}
    if networks:
        processes.kill(processes_in(networks), PATIENCE)
    for room in ending:
        room.close()
