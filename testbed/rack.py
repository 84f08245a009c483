"""A rack of emulated hardware: up, down, found again, and its test bench.

A rack is a lab without a control channel. The controller's only way to its devices is SSH, with host keys that were
made before the rack was and are therefore known from the start. `$TESTBED_HOME/racks/<name>/` holds what an engineer
would hold of real hardware: the inventory, the known_hosts file, the administrator's key. The key of the bench, which
cuts cables and pulls plugs, lies beside them and is in no inventory.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, ip_interface
from pathlib import Path
from typing import Literal

import msgspec

from adapters import inventory as inventories
from adapters import secrets, ssh
from adapters.base import Adapter, Completed, Facts
from adapters.keys import new_key
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Build, Progress, SshServer, WireNode
from testbed.errors import AddressInUse, BadInput, DeviceError, NotReady, nearest
from testbed.lab import Lab, OnProgress
from testbed.model.dump import dump
from testbed.model.load import load_inventory, load_topology
from testbed.model.rack import Device, Inventory, SecretReference
from testbed.model.topology import Topology
from testbed.processes import Process, alive, identify
from testbed.substrate.base import Forward
from testbed.substrate.folder import home, write_atomically

PORT = 2022
"""Port of every device on its loopback address here."""

MANAGEMENT = IPv4Network("10.0.2.0/24")

BENCH = "bench"
_BENCH_HOST = 250
Role = Literal["core", "aggregation", "cell-site", "other"]
_ROLES: tuple[tuple[str, Role], ...] = (("core", "core"), ("agg", "aggregation"), ("cell", "cell-site"))


@dataclass(frozen=True, slots=True)
class RackHandle:
    """A rack by its folder. `sessions`: left open by `rack_up` where that was asked; whoever asked closes them."""

    folder: Path
    sessions: Mapping[str, Adapter] | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def inventory_path(self) -> Path:
        return self.folder / "inventory.yaml"

    def inventory(self) -> Inventory:
        return load_inventory(self.inventory_path)

    def adapters(self) -> dict[str, Adapter]:
        """Sessions with all devices, by name; the caller closes them."""
        return inventories.connect_all(self.inventory(), self.folder)

    def lab(self) -> Lab:
        """The lab that it runs in, for its liveness.

        Raises:
            BadInput: it is gone.
        """
        return Lab.open(self.name)


def rack_up(
    path: Path | str,
    progress: OnProgress | None = None,
    *,
    name: str | None = None,
    base: str | None = None,
    substrate: str = "auto",
    ready_timeout: float = 60.0,
    keep_sessions: bool = False,
) -> RackHandle:
    """Bring up a topology's routers as managed devices.

    Args:
        path: a topology file. name: the topology's own if None.
        base: first three numbers of the loopback addresses of the devices, such as `127.77.0`; a free one if None.
        ready_timeout: seconds that routing may take once every process runs.
        keep_sessions: leave the sessions that asked for readiness open, in the handle, for who goes on with the rack.

    Raises:
        BadInput: the file is wrong, or a rack or lab of that name exists.
        AddressInUse: `base` is taken, or all are.
        NotReady: a device does not answer over SSH, or an OSPF neighbour is not Full; the message names each.
    """
    topology, rack, bases = checked(path, name, base)
    _make_folder(rack)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, rack.folder)
        lab = _start(rack, topology, bases, substrate, progress)
        undo.callback(lab.down)
        opened = rack.adapters()
        undo.callback(inventories.close_all, opened)
        _wait_ready(rack.name, opened, topology, progress, time.monotonic() + ready_timeout)
        undo.pop_all()
    if keep_sessions:
        return replace(rack, sessions=opened)
    inventories.close_all(opened)
    return rack


def checked(
    path: Path | str, name: str | None = None, base: str | None = None
) -> tuple[Topology, RackHandle, Iterable[str]]:
    """Read what a rack is to be, for `rack_up` or to say what that would do; nothing is changed.

    Returns:
        Its topology, its handle, and the loopback bases that it may take, best first.

    Raises:
        BadInput: as `rack_up`.
    """
    topology = load_topology(path)
    _refuse_clashes(topology)
    rack = RackHandle(home() / "racks" / (name or topology.name))
    if _in_use(rack):
        raise BadInput(
            f"a rack or lab called {rack.name!r} exists already; take it away (`testbed rack down {rack.name}`, "
            f"`testbed down {rack.name}`) or choose another `--name`"
        )
    return topology, rack, [_checked_base(base)] if base else _free_bases(len(topology.nodes))


def _start(
    rack: RackHandle, topology: Topology, bases: Iterable[str], substrate: str, progress: OnProgress | None
) -> Lab:
    """Start a rack at the first of `bases` that is free when its keeper comes to listen there.

    Between a look at an address and listening on it somebody else, any user of this machine, may take it; only the
    listening decides. Every rack listens on its first address first, so of two at one base one keeps it.
    """
    refusal = "none is free"
    for base in bases:
        addresses = addresses_of(topology, base)
        build, forwards = _equip(rack, topology, addresses), _forwards(addresses)
        try:
            return Lab.up_offline(topology, build, forwards, substrate=substrate, name=rack.name, progress=progress)
        except AddressInUse as taken:
            refusal = str(taken)
    raise AddressInUse(f"no loopback addresses for rack {rack.name}: {refusal}; take a rack down, or name a `--base`")


def rack_down(name: str) -> None:
    """Take a rack away, its lab and its folder, even one half brought up.

    Raises:
        BadInput: no such rack.
    """
    rack = open_rack(name)
    labs = {lab.name: lab for lab in Lab.all()}
    if name in labs and labs[name].kind == "rack":
        labs[name].down()
    shutil.rmtree(rack.folder)


def racks() -> list[RackHandle]:
    """All racks there are, dead ones too, by name."""
    folder = home() / "racks"
    return [RackHandle(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []


def open_rack(name: str) -> RackHandle:
    """Return an existing rack.

    Raises:
        BadInput: there is none of that name; the message lists those there are.
    """
    known = {rack.name: rack for rack in racks()}
    if name in known:
        return known[name]
    there = f"there are: {', '.join(known)}" if known else "there are none; `testbed rack up FILE` makes one"
    raise BadInput(f"no rack called {name!r}{nearest(name, known)} ({there})")


def bench(name: str, *words: str) -> str:
    """Work a rack's patch panel and power strip: `cut LINK`, `power-off DEVICE`, `impair LINK delay=20ms`, ...

    Returns:
        What the bench says.

    Raises:
        BadInput: the bench does not know that command, link or device.
        DeviceError: it cannot be reached, or could not do it.
    """
    rack = open_rack(name)
    place = json.loads((rack.folder / "bench.json").read_text())
    key = secrets.private_key((rack.folder / "bench_key").read_text(), "key of the bench")
    known_hosts = rack.folder / "bench_known_hosts"
    target = ssh.SshTarget(place["address"], PORT, BENCH, known_hosts, key)
    done = ssh.execute(BENCH, target, " ".join(words))
    return _bench_answer(done, words)


def _bench_answer(done: Completed, words: tuple[str, ...]) -> str:
    text = done.out.strip()
    if done.code:
        kind = BadInput if done.code == BadInput.exit_code else DeviceError
        raise kind(f"bench: {' '.join(words)}: {text or f'exit code {done.code}'}")
    return text


# --- making ----------------------------------------------------------------------------------------------------------


def _refuse_clashes(topology: Topology) -> None:
    if BENCH in topology.nodes:
        raise BadInput(f"{topology.name}: a rack has a bench of its own; call node {BENCH!r} something else")
    if not any(node.kind == "router" for node in topology.nodes.values()):
        raise BadInput(f"{topology.name}: a rack needs at least one router; its nodes are hosts and bridges")
    for name, node in topology.nodes.items():
        if node.kind == "switch":
            raise BadInput(f"{topology.name}: {name} is a switch; a rack's devices are routers, hosts and bridges")
        if getattr(node, "exec", ()):
            raise BadInput(f"{topology.name}: {name} has `exec`; a rack's devices take commands over SSH alone")
    for name, address in _managed_prefixes(topology):
        raise BadInput(f"{topology.name}: {name} has {address}, but {MANAGEMENT} is the rack's management network")
    if len(topology.nodes) > 100:
        raise BadInput(f"{topology.name}: {len(topology.nodes)} nodes; a rack has at most 100")


def _managed_prefixes(topology: Topology) -> Iterator[tuple[str, str]]:
    """Addresses that a router would have in the management network too: it could answer on neither."""
    for name, node in topology.nodes.items():
        own = [str(address) for address in getattr(node, "loopbacks", ())]
        own += re.findall(r"^\s*ip address (\S+)", getattr(node, "config", None) or "", re.MULTILINE)
        ends = (end for link in topology.links.values() for end in link.endpoints if end.node == name)
        own += [str(address) for end in ends for address in end.addresses]
        yield from ((name, text) for text in own if _in_management(text))


def _in_management(text: str) -> bool:
    try:
        network = ip_interface(text).network
    except ValueError:
        return False
    return network.version == 4 and network.overlaps(MANAGEMENT)


def _make_folder(rack: RackHandle) -> None:
    """Make the rack's folder, in the place of one whose lab is gone and whose maker died."""
    rack.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if rack.folder.exists() and not _in_use(rack):
        shutil.rmtree(rack.folder)
    try:
        rack.folder.mkdir(mode=0o700)
    except FileExistsError:
        raise BadInput(f"rack {rack.name!r} is just being brought up by another command") from None
    maker = identify(os.getpid())
    assert maker is not None
    _keep(rack, "maker.json", json.dumps([maker.pid, maker.started]))


def _in_use(rack: RackHandle) -> bool:
    if rack.name in {lab.name for lab in Lab.all()}:
        return True
    try:
        pid, started = json.loads((rack.folder / "maker.json").read_text())
    except (OSError, ValueError):
        return False
    return alive(Process(pid, started))


def _checked_base(base: str) -> str:
    """Racks listen on loopback only."""
    try:
        address = IPv4Address(f"{base}.0")
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise BadInput(f"base {base!r}: expected the first three numbers of a loopback network, such as 127.77.0")
    return base


def addresses_of(topology: Topology, base: str) -> dict[str, tuple[str, str]]:
    """Device to its loopback address here and its management address there; the bench too."""
    routers = [name for name, node in topology.nodes.items() if node.kind == "router"]
    numbered = {name: (f"{base}.{n}", f"10.0.2.{100 + n}") for n, name in enumerate(routers, 1)}
    return numbered | {BENCH: (f"{base}.{_BENCH_HOST}", f"10.0.2.{_BENCH_HOST}")}


def _free_bases(count: int) -> Iterator[str]:
    """Those of 127.77.0 to 127.77.255 on which nothing listens when they are looked at."""
    for third in range(256):
        base = f"127.77.{third}"
        if all(_is_free(f"{base}.{number}") for number in (*range(1, count + 1), _BENCH_HOST)):
            yield base


def _is_free(address: str) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # looking must not keep another from listening
        try:
            probe.bind((address, PORT))
        except OSError:
            return False
    return True


def _forwards(addresses: Mapping[str, tuple[str, str]]) -> list[Forward]:
    return [Forward(here, PORT, there, 22) for here, there in addresses.values()]


def _equip(rack: RackHandle, topology: Topology, addresses: Mapping[str, tuple[str, str]]) -> Build:
    """Give every device its host key and account, and write down what an administrator knows."""
    admin_private, admin_public = new_key()
    bench_private, bench_public = new_key()
    hosts = {name: new_key() for name in addresses}
    known = {name: f"[{addresses[name][0]}]:{PORT} {public}\n" for name, (_, public) in hosts.items()}
    devices = [name for name in addresses if name != BENCH]
    _keep(rack, "admin_key", admin_private)
    _keep(rack, "bench_key", bench_private)
    _keep(rack, "known_hosts", "".join(known[name] for name in devices))
    _keep(rack, "bench_known_hosts", known[BENCH])
    _keep(rack, "bench.json", json.dumps({"address": addresses[BENCH][0], "port": PORT}))
    _keep(rack, "inventory.yaml", dump(_inventory(rack, addresses, devices)))
    servers = {
        name: SshServer(address=addresses[name][1], host_key=hosts[name][0], user="admin", authorized_key=admin_public)
        for name in devices
    }
    panel = SshServer(
        address=addresses[BENCH][1], host_key=hosts[BENCH][0], user=BENCH, authorized_key=bench_public,
        forced_command=BENCH,
    )  # fmt: skip
    return _managed(build_of(topology), servers, panel)


def _managed(build: Build, servers: Mapping[str, SshServer], panel: SshServer) -> Build:
    nodes = [msgspec.structs.replace(node, sshd=servers.get(node.name)) for node in build.nodes]
    return msgspec.structs.replace(build, nodes=(*nodes, WireNode(name=BENCH, kind="host", sshd=panel)))


def _keep(rack: RackHandle, name: str, text: str) -> None:
    write_atomically(rack.folder / name, text.encode())


def _inventory(rack: RackHandle, addresses: Mapping[str, tuple[str, str]], devices: list[str]) -> Inventory:
    key = SecretReference(file=str(rack.folder / "admin_key"))
    return Inventory(
        name=rack.name,
        known_hosts=str(rack.folder / "known_hosts"),
        devices={
            name: Device(
                adapter="frr", address=addresses[name][0], port=PORT, user="admin", key=key, role=role_of(name)
            )
            for name in devices
        },
    )  # fmt: skip


def role_of(name: str) -> Role:
    """What a name such as `core1` or `cell2` says that a device is for."""
    fitting: list[Role] = [role for prefix, role in _ROLES if name.startswith(prefix)]
    return fitting[0] if fitting else "other"


# --- ready -----------------------------------------------------------------------------------------------------------


def _wait_ready(
    rack: str, sessions: Mapping[str, Adapter], topology: Topology, progress: OnProgress | None, deadline: float
) -> None:
    """Ask the devices, over SSH only, until routing is complete."""
    tell: Callable[[Progress], None] = progress or (lambda event: None)
    pause = threading.Event()
    with ThreadPoolExecutor(len(sessions)) as pool:
        while missing := _missing(sessions, topology, pool):
            ready = len(sessions) - len({line.split(":")[0] for line in missing})
            tell(Progress(text=f"waiting for {missing[0]}", done=ready, total=len(sessions)))
            if time.monotonic() > deadline:
                raise NotReady(f"rack {rack}: not ready: {'; '.join(missing[:8])}")
            pause.wait(0.3)
    tell(Progress(text=f"rack {rack} is ready", done=len(sessions), total=len(sessions)))


def _missing(sessions: Mapping[str, Adapter], topology: Topology, pool: ThreadPoolExecutor) -> list[str]:
    answers = dict(zip(sessions, pool.map(_ask, sessions.values()), strict=True))
    facts = {name: answer for name, answer in answers.items() if isinstance(answer, Facts)}
    silent = [str(answer) for answer in answers.values() if not isinstance(answer, Facts)]
    unrouted = [line for name, said in facts.items() for line in _not_full(said, _wires(topology, name))]
    return silent + unrouted or _incomplete(facts)


def _ask(session: Adapter) -> Facts | str:
    try:
        return session.collect()
    except DeviceError as error:
        return str(error)


def _wires(topology: Topology, node: str) -> set[str]:
    """Interfaces of a node that lead to another router by a link that is up."""
    return {
        end.interface
        for link in topology.links.values()
        if link.up and all(topology.nodes[e.node].kind == "router" for e in link.endpoints)
        for end in link.endpoints
        if end.node == node
    }


def _not_full(facts: Facts, wires: set[str]) -> Iterator[str]:
    full = {neighbour.interface for neighbour in facts.neighbours if neighbour.full}
    for interface in facts.interfaces:
        if interface.name in wires and interface.cost is not None and interface.up and interface.name not in full:
            states = [n.state for n in facts.neighbours if n.interface == interface.name] or ["silent"]
            yield f"{facts.device}: OSPF neighbour on {interface.name} is {', '.join(states)}"


def _incomplete(facts: Mapping[str, Facts]) -> list[str]:
    """Devices whose routes do not yet reach every loopback that an OSPF router announces as its identity."""
    identities = {said.router_id for said in facts.values() if said.router_id}
    announced = {f"{i}/32" for i in identities} & {
        a for said in facts.values() for i in said.interfaces for a in i.addresses
    }
    return [
        f"{name}: no route yet to {', '.join(sorted(lacking))}"
        for name, said in facts.items()
        if said.router_id and (lacking := announced - {route.prefix for route in said.routes})
    ]
