"""The way from the management bridge to the network that the keeper holds, for an agent without a kernel of its own.

A guest's kernel has the keeper's network as its interface `vec0`. Natively the agent gets the same Ethernet port as a
descriptor, and carries frames between it and a veth pair into the bridge. A packet socket needs no more than the
namespaces the agent has anyway, where a TAP would need /dev/net/tun, which containers and ordinary users often lack.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import threading

from testbed.emulator import netlink
from testbed.emulator.netlink import VethEnd
from testbed.errors import Unable

BRIDGE = "mgmt"
_PORT, _WIRE = "uplink", "uplink-wire"
_EVERY_PROTOCOL = 3  # ETH_P_ALL
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23  # linux/if_packet.h
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h
_LONGEST_FRAME = 65536


def bridge(hub: netlink.Netlink) -> int:
    """Return the index of the management bridge, which is made where there is none."""
    index = hub.index_of(BRIDGE)
    if index is None:
        hub.run([netlink.bridge(BRIDGE)])
        index = hub.index_of(BRIDGE)
    assert index is not None
    return index


def attach(network: int) -> None:
    """Join the management bridge to the keeper's network, for as long as this process lives.

    Args:
        network: descriptor that gives and takes one Ethernet frame a message.

    Raises:
        Unable: the kernel refuses.
    """
    hub = netlink.Netlink()
    try:
        master = bridge(hub)
        hub.run([netlink.veth(VethEnd(_PORT), VethEnd(_WIRE, up=False))])
        ends = {link.name: link.index for link in hub.links()}
        hub.run([netlink.set_link(ends[_PORT], master=master), netlink.set_link(ends[_WIRE], up=True)])
        _finish_frames(_PORT)
        wire = _packet_socket(_WIRE)
    except (netlink.NetlinkError, OSError) as error:
        raise Unable(f"management network: this kernel gives no packet socket on a veth pair ({error})") from None
    finally:
        hub.close()
    os.set_inheritable(network, False)
    threading.Thread(target=_carry, args=(network, wire), name="uplink", daemon=True).start()


def _finish_frames(interface: str) -> None:
    """Have the kernel write checksums and cut segments before frames leave: no hardware does so behind a veth."""
    value = array.array("I", [_ETHTOOL_STXCSUM, 0])  # struct ethtool_value
    request = struct.pack("16sQ16x", interface.encode(), value.buffer_info()[0])  # struct ifreq
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


def _packet_socket(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)  # takes nothing until it is bound to a protocol
    opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    opened.bind((interface, _EVERY_PROTOCOL))
    return opened


def _carry(network: int, wire: socket.socket) -> None:
    other = {network: wire.fileno(), wire.fileno(): network}
    poller = select.poll()
    for descriptor in other:
        poller.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            frame = os.read(descriptor, _LONGEST_FRAME)
            if not frame:
                return  # the keeper has closed its end; it is about to end this lab
            _pass_on(other[descriptor], frame)


def _pass_on(descriptor: int, frame: bytes) -> None:
    """Give a frame to the other side, or lose it as Ethernet does where there is no room."""
    try:
        os.write(descriptor, frame)
    except (BlockingIOError, InterruptedError):
        return
    except OSError as error:
        print(f"management network: a frame of {len(frame)} bytes was lost: {error}", flush=True)
