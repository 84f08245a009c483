"""The management network of a guest: libslirp, a TCP/IP stack in user space, through libvdeslirp with ctypes.

It gives an Ethernet port as a file descriptor. Nothing is routed out of it (`restricted`); only named TCP ports of
addresses in 10.0.2.0/24 can be reached from loopback addresses here, and named UNIX sockets from there, as ports of
10.0.2.4. No rights are needed, nothing on the host changes.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from testbed.errors import AddressInUse, Unable

LIBRARY = "libvdeslirp.so.0"
MTU = 9000
GUEST = "10.0.2.15"
DOOR = "10.0.2.4"
"""Address in the network whose ports are UNIX sockets here."""


class _Config(ctypes.Structure):
    """SlirpConfig of libslirp's libslirp.h, up to its version 4, with room for what later libraries append."""

    _fields_ = (
        ("version", ctypes.c_uint32), ("restricted", ctypes.c_int), ("in_enabled", ctypes.c_bool),
        ("vnetwork", ctypes.c_uint32), ("vnetmask", ctypes.c_uint32), ("vhost", ctypes.c_uint32),
        ("in6_enabled", ctypes.c_bool), ("vprefix_addr6", ctypes.c_uint8 * 16), ("vprefix_len", ctypes.c_uint8),
        ("vhost6", ctypes.c_uint8 * 16), ("vhostname", ctypes.c_char_p), ("tftp_server_name", ctypes.c_char_p),
        ("tftp_path", ctypes.c_char_p), ("bootfile", ctypes.c_char_p), ("vdhcp_start", ctypes.c_uint32),
        ("vnameserver", ctypes.c_uint32), ("vnameserver6", ctypes.c_uint8 * 16), ("vdnssearch", ctypes.c_void_p),
        ("vdomainname", ctypes.c_char_p), ("if_mtu", ctypes.c_size_t), ("if_mru", ctypes.c_size_t),
        ("disable_host_loopback", ctypes.c_bool), ("enable_emu", ctypes.c_bool), ("outbound_addr", ctypes.c_void_p),
        ("outbound_addr6", ctypes.c_void_p), ("disable_dns", ctypes.c_bool), ("disable_dhcp", ctypes.c_bool),
        ("later", ctypes.c_char * 64),
    )  # fmt: skip


def load() -> ctypes.CDLL:
    """Load the library.

    Raises:
        Unable: it is not installed.
    """
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as problem:
        raise Unable(f"the management network needs {LIBRARY} ({problem}): apt-get install libvdeslirp0") from None
    library.vdeslirp_open.restype = ctypes.c_void_p
    for function in (library.vdeslirp_fd, library.vdeslirp_close):
        function.argtypes = [ctypes.c_void_p]
    library.vdeslirp_add_fwd.argtypes = [ctypes.c_void_p, ctypes.c_int] + [ctypes.c_uint32, ctypes.c_int] * 2
    library.vdeslirp_add_unixfwd.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    return library


class Network:
    """One management network; its thread runs inside the library until this process ends."""

    def __init__(self) -> None:
        self._library = load()
        config = _Config()
        self._library.vdeslirp_init(ctypes.byref(config), 1)
        config.version = 4
        config.restricted = 1
        config.in6_enabled = False
        config.disable_dns = config.disable_dhcp = True
        config.if_mtu = config.if_mru = MTU
        self._handle = self._library.vdeslirp_open(ctypes.byref(config))
        if not self._handle:
            raise Unable(f"{LIBRARY} did not start a network; is this Debian's libvdeslirp0 (0.1.1 or later)?")
        self.descriptor: int = self._library.vdeslirp_fd(self._handle)

    def forward(self, listen: str, listen_port: int, address: str, port: int) -> None:
        """Let TCP connections to a loopback address here reach a management address there.

        Raises:
            AddressInUse: the port is taken. Unable: it is not one of loopback.
        """
        if not listen.startswith("127."):
            raise Unable(f"a forward may only listen on loopback, not on {listen}")
        taken = _listens(listen, listen_port)
        if not taken:
            self._library.vdeslirp_add_fwd(self._handle, 0, _packed(listen), listen_port, _packed(address), port)
        if taken or not _listens(listen, listen_port):  # the library answers 0 also where somebody else has the port
            raise AddressInUse(
                f"{listen}:{listen_port} cannot be listened on (forward to {address}:{port}); "
                f"`ss -ltnp src {listen}` shows who has it"
            )

    def open_door(self, port: int, path: str) -> None:
        """Let connections from there to a port of DOOR reach a UNIX socket here.

        Raises:
            Unable: the library refuses.
        """
        address = ctypes.c_uint32(_packed(DOOR))
        if self._library.vdeslirp_add_unixfwd(self._handle, path.encode(), ctypes.byref(address), port) < 0:
            raise Unable(f"{LIBRARY} opens no way from {DOOR}:{port} to {path}")

    def forward_any(self, address: str, port: int, attempts: int = 20) -> int:
        """Like `forward`, from a free port of 127.0.0.1, which is returned."""
        for attempt in range(attempts):
            listen_port = _free_port()
            try:
                self.forward("127.0.0.1", listen_port, address, port)
            except AddressInUse:
                if attempt == attempts - 1:
                    raise
                continue
            return listen_port
        raise AssertionError


def _listens(address: str, port: int) -> bool:
    """Whether this process has a socket that listens there."""
    return any(_is_listener(int(name), (address, port)) for name in os.listdir("/proc/self/fd"))


def _is_listener(descriptor: int, name: tuple[str, int]) -> bool:
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:  # not a socket, or closed since it was listed
        return False
    try:
        listens = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return bool(listens) and borrowed.getsockname() == name
    finally:
        borrowed.detach()


def _packed(address: str) -> int:
    return struct.unpack("=I", socket.inet_aton(address))[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
