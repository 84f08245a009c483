import os
import socket
import subprocess
import sys

import pytest

from testbed.errors import Unable
from testbed.substrate import slirp
from testbed.substrate.slirp import Network


@pytest.fixture(scope="module")
def network() -> Network:
    try:
        return Network()
    except Unable as lack:
        pytest.skip(f"management network: {lack}")


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def test_a_forward_listens_on_loopback_alone(network: Network):
    port = network.forward_any("10.0.2.15", 7000)
    assert _answers("127.0.0.1", port)
    assert not _answers("127.0.0.2", port)
    with pytest.raises(Unable, match="loopback"):
        network.forward("0.0.0.0", 0, "10.0.2.15", 7000)


def test_a_forward_may_use_any_address_of_loopback(network: Network):
    with socket.create_server(("127.77.1.9", 0)) as free:
        port = free.getsockname()[1]
    network.forward("127.77.1.9", port, "10.0.2.101", 22)
    assert _answers("127.77.1.9", port)


def test_a_port_that_is_taken_is_refused_with_the_way_to_find_out(network: Network):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unable, match="ss -ltnp"):
        network.forward("127.0.0.1", taken.getsockname()[1], "10.0.2.15", 7000)


def test_a_port_that_another_process_has_is_refused(network: Network):
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        with pytest.raises(Unable, match="cannot be listened on"):
            network.forward("127.0.0.1", int(other.stdout.readline()), "10.0.2.15", 7000)
        other.kill()


def test_many_forwards_take_one_descriptor_each(network: Network):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        network.forward_any("10.0.2.15", 7000)
    assert len(os.listdir("/proc/self/fd")) == before + 20


def test_frames_of_the_guest_are_answered_by_the_network(network: Network):
    """An ARP request for the network's own address, sent as a guest would (RFC 826)."""
    guest, here, there = bytes.fromhex("525400123456"), bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2])
    request = b"\xff" * 6 + guest + bytes.fromhex("0806000108000604" + "0001") + guest + here + bytes(6) + there
    with socket.socket(fileno=os.dup(network.descriptor)) as port:
        port.settimeout(5)
        port.send(request)
        while True:
            frame = port.recv(9100)
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02":
                break
    assert frame[28:32] == there


def test_a_machine_without_the_library_is_told_the_package(monkeypatch):
    monkeypatch.setattr(slirp, "LIBRARY", "libnothing.so.0")
    with pytest.raises(Unable, match="apt-get install libvdeslirp0"):
        slirp.load()
