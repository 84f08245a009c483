"""What this machine's kernel really does, by trying it in a child process that leaves nothing behind.

Run as `python -S -m testbed.substrate.probe NAME`, so nothing but the standard library here. The answer is JSON.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from testbed.kernel import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, unshare
from testbed.substrate.guest_init import PROJECT

_RTM_NEWLINK = 16
_RTM_NEWQDISC = 36
_NLM_F_REQUEST_ACK_CREATE = 0x1 | 0x4 | 0x400
_TC_H_ROOT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it works here, and what was seen."""

    ok: bool
    detail: str


def run(name: str) -> Answer:
    """Try one thing of PROBES in a child process of a bare interpreter."""
    trial = [sys.executable, "-S", "-m", __name__, name]
    child = subprocess.run(trial, cwd=PROJECT, capture_output=True, text=True, timeout=20, check=False)
    try:
        return Answer(**json.loads(child.stdout))
    except json.JSONDecodeError:
        last = child.stderr.strip().splitlines()[-1:] or [f"status {child.returncode}"]
        return Answer(False, f"the trial itself failed: {last[0]}")


def _new_network() -> str:
    """Enter a new network namespace; return with what right."""
    if os.geteuid() == 0:
        unshare(CLONE_NEWNET)
        return "as root"
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    return "in a user namespace"


def _attribute(kind: int, data: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(data), kind) + data).ljust((4 + len(data) + 3) & ~3, b"\0")


def _netlink(kind: int, body: bytes) -> None:
    """Send one rtnetlink request and raise what the kernel answers (RFC 3549)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, _NLM_F_REQUEST_ACK_CREATE, 1, 0) + body)
        code = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


def _add_link(kind: str, options: bytes = b"") -> None:
    info = _attribute(1, kind.encode() + b"\0") + options  # IFLA_INFO_KIND
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(3, b"probe\0")  # IFLA_IFNAME
    _netlink(_RTM_NEWLINK, body + _attribute(18, info))  # IFLA_LINKINFO


def netem() -> str:
    how = _new_network()
    qdisc = struct.pack("=BxxxiIII", socket.AF_UNSPEC, 1, 0, _TC_H_ROOT, 0)
    options = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)  # struct tc_netem_qopt: limit 1000
    _netlink(_RTM_NEWQDISC, qdisc + _attribute(1, b"netem\0") + _attribute(2, options))
    return f"a netem queue was set on a link of a new network namespace, {how}"


def namespaces() -> str:
    flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID
    unshare(flags if os.geteuid() == 0 else flags | CLONE_NEWUSER)
    _add_link("veth")
    return "network, mount and PID namespaces made, a veth pair in them"


def user_namespaces() -> str:
    if os.geteuid() == 0:  # root may always: what an ordinary user may is the question
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    return "an ordinary user can make one, and a network namespace in it"


def vlan_filtering() -> str:
    how = _new_network()
    _add_link("bridge", _attribute(2, _attribute(7, b"\1")))  # IFLA_INFO_DATA, IFLA_BR_VLAN_FILTERING
    return f"a bridge that keeps VLANs apart was made in a new network namespace, {how}"


def sctp() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    return "an SCTP socket was opened"


def openvswitch() -> str:
    """Ask generic netlink for the family `ovs_datapath` (CTRL_CMD_GETFAMILY)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as kernel:
        kernel.bind((0, 0))
        body = struct.pack("=BBH", 3, 1, 0) + _attribute(2, b"ovs_datapath\0")
        kernel.send(struct.pack("=IHHII", 16 + len(body), 0x10, 0x1 | 0x4, 1, 0) + body)
        answer = kernel.recv(4096)
    kind, code = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind == 2 and code:
        raise OSError(-code, os.strerror(-code))
    return "the kernel's Open vSwitch data path answers"


PROBES: dict[str, Callable[[], str]] = {
    "netem": netem,
    "namespaces": namespaces,
    "user-namespaces": user_namespaces,
    "vlan-filtering": vlan_filtering,
    "sctp": sctp,
    "openvswitch": openvswitch,
}


def _main() -> None:
    try:
        answer = {"ok": True, "detail": PROBES[sys.argv[1]]()}
    except OSError as problem:
        answer = {"ok": False, "detail": f"this kernel refuses {sys.argv[1]}: {os.strerror(problem.errno or 0)}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main()
