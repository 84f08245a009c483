"""Switches told by an OpenFlow controller that runs on the machine, outside their lab."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from testbed.emulator.client import Client
from testbed.emulator.messages import WriteFile
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate.probe import run as probe

HELLO, ECHO_REQUEST, ECHO_REPLY, FLOW_MOD = 0, 2, 3, 14
NORMAL = 0xFFFFFFFA  # OFPP_NORMAL: as a switch that learns


def message(kind: int, number: int = 1, body: bytes = b"") -> bytes:
    """An OpenFlow 1.3 message."""
    return struct.pack("!BBHI", 4, kind, 8 + len(body), number) + body


def learn() -> bytes:
    """One flow for all packets (OpenFlow 1.3.5, 7.3.4.1): pass them on as a switch that learns does."""
    flow = struct.pack("!QQBBHHHIIIHxx", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    output = struct.pack("!HHIH6x", 0, 16, NORMAL, 0)
    return message(FLOW_MOD, 2, flow + struct.pack("!HHxxxx", 1, 4) + struct.pack("!HHxxxx", 4, 24) + output)


class Teacher:
    """A controller of the least kind, in this process, on the machine's own loopback; by TLS where it has a context."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                switch, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(switch,), daemon=True).start()

    def _meet(self, switch: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a switch without a certificate
            self._teach(self._tls.wrap_socket(switch, server_side=True) if self._tls else switch)

    def _teach(self, switch: socket.socket) -> None:
        with switch, switch.makefile("rb") as said:
            switch.sendall(message(HELLO) + learn())
            while len(header := said.read(8)) == 8:
                _, kind, length, number = struct.unpack("!BBHI", header)
                body = said.read(length - 8)
                if kind == ECHO_REQUEST:
                    switch.sendall(message(ECHO_REPLY, number, body))

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    made = Teacher()
    yield made
    made.close()


def pair(port: int, substrate: str, scheme: str = "tcp") -> Topology:
    """Two switches with a host each, told from outside."""
    switch = {"kind": "switch", "controller": f"{scheme}:127.0.0.1:{port}", "datapath": "userspace"}
    links = {"s1-s2": {"endpoints": [{"node": "s1", "interface": "to2"}, {"node": "s2", "interface": "to1"}]}}
    for i in (1, 2):
        host = {"node": f"h{i}", "interface": "eth0", "addresses": [f"10.0.0.{i}/24"]}
        links[f"h{i}-s{i}"] = {"endpoints": [host, {"node": f"s{i}", "interface": "host"}]}
    nodes = {"s1": switch, "s2": switch, "h1": {"kind": "host"}, "h2": {"kind": "host"}}
    return Topology.model_validate(
        {"name": f"told-{substrate}", "guest": {"memory": "256MiB"}, "nodes": nodes, "links": links}
    )


def reaches(agent: Client) -> bool:
    return agent.run("h1", ["ping", "-c1", "-W1", "10.0.0.2"]).code == 0


@pytest.mark.parametrize("substrate", ["native", pytest.param("uml", marks=pytest.mark.guest)])
def test_a_controller_on_this_machine_tells_switches_what_to_do_and_nothing_else_is_reached(
    request, substrate, teacher, testbed_home
):
    if substrate == "uml":
        request.getfixturevalue("uml_works")
    elif not (allowed := probe("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    with Lab.up(pair(teacher.port, substrate), substrate=substrate) as lab, lab.agent() as agent:
        assert not reaches(agent)
        teacher.start()
        deadline = time.monotonic() + 30
        while not reaches(agent):
            assert time.monotonic() < deadline, lab.folder.keeper_log.read_text()
        with socket.create_server(("127.0.0.1", 0)) as other:
            knock = f"exec 3<>/dev/tcp/127.0.0.1/{other.getsockname()[1]}"
            refused = agent.run("s1", ["bash", "-c", knock])
        assert refused.code != 0
        assert b"refused" in refused.stderr


AUTHORITY = ec.generate_private_key(ec.SECP256R1())
TLS = "/run/tls"


def certificate(name: str, key: ec.EllipticCurvePrivateKey = AUTHORITY) -> bytes:
    """Certify a key by the one authority that both sides trust; without one, the authority's own. PEM."""
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "authority"))
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), 1 + len(name), now, now + datetime.timedelta(1))
    constraint = x509.BasicConstraints(ca=key is AUTHORITY, path_length=None)
    signed = made.add_extension(constraint, critical=True).sign(AUTHORITY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def identity(name: str) -> tuple[bytes, bytes]:
    """Return a new private key and its certificate. PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *how), certificate(name, key)


def test_tls_goes_from_end_to_end(tmp_path, testbed_home):
    if not (allowed := probe("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    for file, data in zip(("key", "cert"), identity("controller"), strict=True):
        (tmp_path / file).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    context.load_verify_locations(cadata=certificate("authority").decode())
    context.verify_mode = ssl.CERT_REQUIRED
    teacher = Teacher(context)
    teacher.start()
    with Lab.up(pair(teacher.port, "native", "ssl"), substrate="native") as lab, lab.agent() as agent:
        assert not reaches(agent), "a switch without a certificate is let in"
        key, cert = identity("switch")
        for file, data in (("key", key), ("cert", cert), ("ca", certificate("authority"))):
            agent.call(WriteFile(node="s1", path=f"{TLS}/{file}", data=data, mode=0o600))
        done = agent.run("s1", ["ovs-vsctl", "--timeout=5", "set-ssl", f"{TLS}/key", f"{TLS}/cert", f"{TLS}/ca"])
        assert done.code == 0, done.stderr
        deadline = time.monotonic() + 30
        while not reaches(agent):
            assert time.monotonic() < deadline, lab.folder.keeper_log.read_text()
    teacher.close()
