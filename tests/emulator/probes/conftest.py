"""Three nodes in a row in real network namespaces of this kernel: a - r - b, IPv4 and IPv6, r forwards."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
from pyroute2 import IPRoute

from testbed.emulator.context import Context
from testbed.errors import BadInput
from testbed.kernel import CLONE_NEWNET, setns, unshare


def _open_namespace() -> int:
    with open("/proc/thread-self/ns/net", "rb", buffering=0) as current:
        return os.dup(current.fileno())


def _new_namespace() -> int:
    before = _open_namespace()
    try:
        unshare(CLONE_NEWNET)
        return _open_namespace()
    finally:
        setns(before, CLONE_NEWNET)
        os.close(before)


@dataclass
class FakeNode:
    name: str
    kind: str = "host"
    descriptor: int = field(default_factory=_new_namespace)

    @contextmanager
    def enter(self) -> Iterator[None]:
        before = _open_namespace()
        try:
            setns(self.descriptor, CLONE_NEWNET)
            yield
        finally:
            setns(before, CLONE_NEWNET)
            os.close(before)


@dataclass
class FakeLab:
    """Nodes by name, and who has which address."""

    nodes: dict[str, FakeNode] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def node(self, name: str) -> FakeNode:
        if name not in self.nodes:
            raise BadInput(f"no node called {name!r} (known: {', '.join(self.nodes)})")
        return self.nodes[name]

    def owner_of(self, address: str) -> str | None:
        return self.owners.get(address)

    @contextmanager
    def netlink(self, node: str) -> Iterator[IPRoute]:
        with self.node(node).enter(), IPRoute() as netlink:
            yield netlink

    def write(self, node: str, path: str, text: str) -> None:
        with self.node(node).enter(), open(f"/proc/sys/net/{path}", "w") as setting:
            setting.write(text)

    def set_link(self, node: str, interface: str, state: str) -> None:
        with self.netlink(node) as netlink:
            netlink.link("set", index=next(iter(netlink.link_lookup(ifname=interface))), state=state)


def run(lab: FakeLab) -> Callable[..., int]:
    """`Context.run` with plain subprocesses."""

    def start(node, argv, *, stdin=b"", timeout=3600.0, on_output=None) -> int:
        from testbed.emulator.messages import Output

        with lab.node(node).enter():
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin
        process.stdin.close()

        def pump(name, pipe):
            with pipe:
                while data := pipe.read1(65536):
                    if on_output:
                        on_output(Output(stream=name, data=data))

        pumps = [
            threading.Thread(target=pump, args=pair)
            for pair in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for thread in pumps:
            thread.start()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = 124
        for thread in pumps:
            thread.join()
        return code

    return start


def connect(lab: FakeLab, one: str, other: str, number: int) -> None:
    """Join two nodes by a veth pair `eth-OTHER`/`eth-ONE` with 10.0.N.1/2 and fd00:N::1/2."""
    with lab.netlink(one) as netlink:
        name, peer = f"eth-{other}", f"eth-{one}"
        netlink.link("add", ifname=name, kind="veth", peer={"ifname": peer, "net_ns_fd": lab.node(other).descriptor})
    for node, interface, host in ((one, f"eth-{other}", 1), (other, f"eth-{one}", 2)):
        lab.write(node, f"ipv6/conf/{interface}/accept_dad", "0")
        with lab.netlink(node) as netlink:
            index = next(iter(netlink.link_lookup(ifname=interface)))
            for address, length in ((f"10.0.{number}.{host}", 24), (f"fd00:{number}::{host}", 64)):
                netlink.addr("add", index=index, address=address, prefixlen=length)
                lab.owners[address] = node
            # as on the impaired links of a lab: packets are cut before the wire, so that counters count real packets
            netlink.link("set", index=index, state="up", gso_max_segs=1)


def _build() -> FakeLab:
    lab = FakeLab({name: FakeNode(name) for name in ("a", "r", "b")})
    for node in lab.nodes:
        lab.set_link(node, "lo", "up")
        lab.write(node, "ipv4/icmp_ratemask", "0")
        lab.write(node, "ipv6/icmp/ratelimit", "0")
    connect(lab, "a", "r", 1)
    connect(lab, "r", "b", 2)
    lab.write("r", "ipv4/ip_forward", "1")
    lab.write("r", "ipv6/conf/all/forwarding", "1")
    for node, gateway4, gateway6 in (("a", "10.0.1.2", "fd00:1::2"), ("b", "10.0.2.1", "fd00:2::1")):
        with lab.netlink(node) as netlink:
            netlink.route("add", dst="10.0.0.0/16", gateway=gateway4)
            netlink.route("add", dst="fd00::/16", gateway=gateway6)
    deadline = time.monotonic() + 10
    for node, interface in (("a", "eth-r"), ("r", "eth-a"), ("r", "eth-b"), ("b", "eth-r")):
        while not _usable(lab, node, interface):
            assert time.monotonic() < deadline, f"{node} {interface} did not come up"
            time.sleep(0.01)
    return lab


def _usable(lab: FakeLab, node: str, interface: str) -> bool:
    with lab.netlink(node) as netlink:
        index = next(iter(netlink.link_lookup(ifname=interface)))
        if next(iter(netlink.get_links(index))).get_attr("IFLA_OPERSTATE") != "UP":
            return False
        return not any(address["flags"] & 0x40 for address in netlink.get_addr(index=index))


@pytest.fixture
def lab() -> Iterator[FakeLab]:
    with ExitStack() as stack:
        made = _build()
        for node in made.nodes.values():
            stack.callback(os.close, node.descriptor)
        yield made


@pytest.fixture
def events() -> list:
    return []


@pytest.fixture
def context(lab: FakeLab, events: list) -> Iterator[Context]:
    made = Context(lab=lab, emit=events.append, run=run(lab))
    yield made
    for kept in made.shared.values():
        if hasattr(kept, "close"):
            kept.close()
