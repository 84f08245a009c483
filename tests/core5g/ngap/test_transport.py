"""Associations of both kinds: messages stay whole and in order, and whatever ends one is told once.

This machine's kernel may lack SCTP; then the last test runs all others with it in a guest.
"""

import asyncio
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

from core5g.ngap.errors import NoSctp
from core5g.ngap.transport import connect, listen
from testbed.emulator.messages import Build, WireNode
from testbed.errors import AddressInUse, BadInput, Unable

PROJECT = Path(__file__).resolve().parents[3]


def has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        return False
    return True


KINDS = ["unix", "sctp"] if has_sctp() else ["unix"]


def needs_sctp(test):
    """Leave a test to the guest where this kernel has no SCTP."""
    return test if has_sctp() else None


@pytest.fixture(params=KINDS)
def address(request, tmp_path):
    return f"unix:{tmp_path}/n2" if request.param == "unix" else "sctp:127.0.0.1:0"


class End:
    """What one end has heard."""

    def __init__(self, association):
        self.association, self.heard, self.lost = association, [], []
        self.changed = asyncio.Event()
        association.take, association.lost = self._take, self._lost

    def _take(self, data):
        self.heard.append(data)
        self.changed.set()

    def _lost(self, reason):
        self.lost.append(reason)
        self.changed.set()

    async def until(self, done):
        async with asyncio.timeout(20):
            while not done(self):
                self.changed.clear()
                await self.changed.wait()


async def both(address):
    called = asyncio.get_running_loop().create_future()
    listener = listen(address, lambda one: called.set_result(End(one)))
    gnb = End(await connect(listener.address))
    return listener, gnb, await asyncio.wait_for(called, 5)


def test_messages_of_all_sizes_arrive_whole_and_in_order(address):
    async def run():
        listener, gnb, amf = await both(address)
        sent = [os.urandom(size) for size in (1, 2, 1499, 1500, 65535, 65536, 200_000, 3)]
        for one in sent:
            gnb.association.send(one)
        await amf.until(lambda end: len(end.heard) == len(sent))
        assert amf.heard == sent
        gnb.association.close()
        await amf.until(lambda end: end.lost)
        assert len(amf.lost) == len(gnb.lost) == 1
        listener.close()

    asyncio.run(run())


def test_thousands_go_both_ways_at_once(address):
    async def run():
        listener, gnb, amf = await both(address)
        sent = [struct.pack("!I", number) * 20 for number in range(3000)]
        for one in sent:
            gnb.association.send(one, 5)
            amf.association.send(one, 5)
        for end in (gnb, amf):
            await end.until(lambda end: len(end.heard) == len(sent))
            assert end.heard == sent
        gnb.association.close()
        amf.association.close()
        listener.close()

    asyncio.run(run())


def test_a_peer_that_does_not_read_is_given_up(address):
    async def run():
        listener, gnb, amf = await both(address)
        asyncio.get_running_loop().remove_reader(amf.association._socket)
        for _ in range(200):
            gnb.association.send(bytes(60_000))
        assert len(gnb.lost) == 1
        assert "takes nothing more" in gnb.lost[0]
        amf.association.close()
        listener.close()

    asyncio.run(run())


def test_a_killed_peer_is_noticed_once_and_may_come_again(address):
    async def run():
        called = asyncio.Queue()
        listener = listen(address, lambda one: called.put_nowait(End(one)))
        code = (
            "import asyncio,sys\nfrom core5g.ngap.transport import connect\n"
            "async def run():\n one = await connect(sys.argv[1])\n one.send(b'here')\n await asyncio.sleep(60)\n"
            "asyncio.run(run())"
        )
        peer = await asyncio.create_subprocess_exec(sys.executable, "-c", code, listener.address, cwd=PROJECT)
        amf = await asyncio.wait_for(called.get(), 30)
        await amf.until(lambda end: end.heard)
        peer.kill()
        await peer.wait()
        await amf.until(lambda end: end.lost)
        assert len(amf.lost) == 1
        assert amf.lost[0]
        again = await connect(listener.address)
        second = await asyncio.wait_for(called.get(), 5)
        again.send(b"again")
        await second.until(lambda end: end.heard)
        again.close()
        second.association.close()
        listener.close()

    asyncio.run(run())


def test_an_address_in_use_is_refused(address):
    async def run():
        listener = listen(address, lambda _: None)
        with pytest.raises(AddressInUse):
            listen(listener.address, lambda _: None)
        listener.close()
        with pytest.raises(Unable, match="no AMF there"):
            await connect(listener.address)

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong", ["", "unix:", "tcp:10.0.0.1:1", "sctp:host:1", "sctp:10.0.0.1", "sctp:10.0.0.1:70000"]
)
def test_addresses_that_are_none_are_refused(wrong):
    with pytest.raises(BadInput, match="expected sctp:ADDRESS:PORT"):
        listen(wrong, lambda _: None)


def test_a_path_that_is_too_long_is_named_so():
    async def run():
        with pytest.raises(Unable, match="too long"):
            listen("unix:/tmp/" + "x" * 200, lambda _: None)
        with pytest.raises(Unable, match="too long"):
            await connect("unix:/tmp/" + "x" * 200)

    asyncio.run(run())


def test_a_kernel_without_sctp_says_so(monkeypatch):
    def none(*_):
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(socket, "socket", none)
    with pytest.raises(NoSctp, match="modprobe sctp"):
        listen("sctp:127.0.0.1:0", lambda _: None)


@needs_sctp
def test_messages_over_sctp_say_that_they_are_ngap():
    """PPID 60 (TS 38.412, 7), as a receiver's kernel tells it; messages about a UE do not take stream 0."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)

    async def run():
        server.bind(("127.0.0.1", 0))
        server.listen()
        gnb = await connect(f"sctp:127.0.0.1:{server.getsockname()[1]}")
        taken, _ = server.accept()
        taken.setsockopt(132, 32, 1)  # SCTP_RECVRCVINFO
        found = []
        for about in (0, 7):
            gnb.send(b"x", about)
            _, ancillary, _, _ = taken.recvmsg(100, 1000)
            stream, _, _, ppid = struct.unpack_from("=HHHxxI", ancillary[0][2])
            found.append((stream > 0, socket.ntohl(ppid)))
        assert found == [(False, 60), (True, 60)]
        gnb.close()
        taken.close()

    with server:
        asyncio.run(run())


def test_the_socket_of_a_core_that_was_killed_is_taken_over(tmp_path):
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.bind(f"{tmp_path}/n2")
    left.listen()
    left.close()  # its file stays, as after a SIGKILL

    async def run():
        listener, gnb, amf = await both(f"unix:{tmp_path}/n2")
        gnb.association.send(b"x")
        await amf.until(lambda end: end.heard == [b"x"])
        gnb.association.close()
        with pytest.raises(AddressInUse):
            listen(f"unix:{tmp_path}/n2", lambda _: None)
        listener.close()

    asyncio.run(run())


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "n2").write_text("mine")

    async def run():
        with pytest.raises(AddressInUse):
            listen(f"unix:{tmp_path}/n2", lambda _: None)

    asyncio.run(run())
    assert (tmp_path / "n2").read_text() == "mine"


@pytest.mark.guest
@pytest.mark.timeout(120)
def test_all_of_this_with_sctp_in_a_guest(guest_client):
    guest_client.call(Build(nodes=(WireNode(name="n2-sctp", kind="host"),), links=()))
    ready = 'modprobe sctp; sysctl -qw net.sctp.cookie_hmac_alg=none; ip link set lo up; cd $1; shift; exec "$@"'
    suite = [sys.executable, "-m", "pytest", "--noconftest", "-q", "-p", "no:cacheprovider", "-k", "sctp"]
    suite += ["--basetemp=/tmp/n2-sctp", "tests/core5g/ngap/test_transport.py", "-m", "not guest"]
    ended = guest_client.run("n2-sctp", ["sh", "-c", ready, "sh", str(PROJECT), *suite], timeout=100)
    said = (ended.stdout + ended.stderr).decode()
    print(said[-6000:])
    assert " passed" in said
    assert "failed" not in said
    assert "skipped" not in said
