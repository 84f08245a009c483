"""Mininet's links: veth pairs from one node's namespace straight into the other's; addresses and state over netlink."""

from __future__ import annotations

import errno
from typing import Any

from testbed.emulator import netlink
from testbed.emulator.mininet import rooms, stock
from testbed.emulator.mininet.addresses import mac_bytes, prefixed
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.netlink import NetlinkError, Request, VethEnd
from testbed.errors import BadInput, Unable

MTU = 1500
_NAME_MAX = 15


class Intf(stock.link.Intf):
    """An interface of Mininet's, set over netlink; what only `ifconfig` knows is left to it, in the node's shell."""

    @property
    def room(self) -> Room:
        """The room it is in: its node's."""
        if self.node is None or self.node.room is None:
            raise Unable(f"{self.name}: its node has ended")
        return self.node.room

    def number(self) -> int:
        """Return its index.

        Raises:
            Unable: there is no such interface in the node.
        """
        index = self.room.index(self.name)
        if index is None:
            raise Unable(f"{self.node.name} has no interface {self.name!r} any more")
        return index

    def run(self, *requests: Request) -> str:
        """Carry out messages; return what went wrong in words, nothing when nothing did, as `ifconfig` would."""
        try:
            self.room.send(requests)
        except NetlinkError as error:
            return f"{self.name}: {error.failures[0]}\n"
        return ""

    def ifconfig(self, *args: Any) -> str:
        """Configure as ifconfig(8) would: `up` and `down` without it, all else by it."""
        if args in {("up",), ("down",)}:
            return self.run(netlink.set_link(self.number(), up=args == ("up",)))
        return super().ifconfig(*args)

    def setIP(self, ipstr: str, prefixLen: int | str | None = None) -> str:
        """Give it this IPv4 address instead of those it has, and bring it up.

        Args:
            ipstr: `10.0.0.1`, or with its length `10.0.0.1/8`. prefixLen: needed where the text has none.

        Raises:
            BadInput: not an address, or no prefix length.
        """
        whole = prefixed(ipstr, prefixLen, f"{self.name}: ")
        index = self.number()
        old = [text for text in self.room.addresses(index) if ":" not in text and text != whole]
        requests = [netlink.delete_address(index, text) for text in old]
        requests += [netlink.address(index, whole), netlink.set_link(index, up=True)]
        self.ip, self.prefixLen = whole.split("/")
        return self.run(*requests)

    def setMAC(self, macstr: str) -> str:
        """Give it this hardware address.

        Raises:
            BadInput: not a hardware address.
        """
        mac, index = mac_bytes(macstr, self.name), self.number()
        self.mac = macstr
        try:
            self.room.send([netlink.set_link(index, mac=mac)])
        except NetlinkError as error:
            if error.errno != errno.EBUSY:
                return f"{self.name}: {error.failures[0]}\n"
            down, up = netlink.set_link(index, up=False), netlink.set_link(index, up=True)  # a driver that wants it so
            return self.run(down, netlink.set_link(index, mac=mac), up)
        return ""

    def updateIP(self) -> str | None:
        """Return the first IPv4 address that the kernel has of it, None when there is none."""
        texts = [text for text in self.room.addresses(self.number()) if ":" not in text]
        self.ip = texts[0].partition("/")[0] if texts else ("127.0.0.1" if self.name == "lo" else None)
        return self.ip

    def updateMAC(self) -> str | None:
        """Return the hardware address that the kernel has of it."""
        found = self.room.look(self.number())
        self.mac = found.mac.hex(":") if found and found.mac else None
        return self.mac

    def updateAddr(self) -> tuple[str | None, str | None]:
        """Return IPv4 and hardware address as the kernel has them."""
        return self.updateIP(), self.updateMAC()

    def isUp(self, setUp: bool = False) -> bool:
        """Say whether it is up; with `setUp` bring it up and say whether that worked."""
        if setUp:
            problem = self.ifconfig("up")
            if problem:
                stock.log.error(f"Error setting {problem}")
            return not problem
        found = self.room.look(self.number())
        return found is not None and found.up

    def rename(self, newname: str) -> str:
        """Give it another name."""
        index = self.number()
        check_name(newname)
        problem = self.run(
            netlink.set_link(index, up=False), netlink.set_link(index, name=newname), netlink.set_link(index, up=True)
        )
        if not problem:
            self.room.interfaces.pop(self.name, None)
            self.room.interfaces[newname] = index
            if self.node.nameToIntf.pop(self.name, None) is not None:
                self.node.nameToIntf[newname] = self
            self.name = newname
        return problem

    def delete(self) -> None:
        """Remove it, and with it the other end of its wire."""
        if self.node.room is not None:
            index = self.room.interfaces.pop(self.name, None)
            if index is not None:
                self.room.delete([index])
        self.forget()

    def forget(self) -> None:
        """Take it from its node's books: it is gone, or goes with the node."""
        self.node.delIntf(self)
        self.link = None

    def status(self) -> str:
        """Return OK or MISSING."""
        index = self.room.index(self.name)
        return "OK" if index is not None and self.room.look(index) else "MISSING"


class OVSIntf(Intf, stock.link.OVSIntf):
    """A patch port of an Open vSwitch: the kernel knows nothing of it, and it is always up."""

    @property
    def peer(self) -> str:
        """Name of the port at the other end."""
        link: Any = self.link
        return (link.intf1 if link.intf2 is self else link.intf2).name

    def number(self) -> int:
        """Refuse.

        Raises:
            BadInput: it has none.
        """
        raise self._not(f"has no interface of the kernel, which `{self.name}` would be")

    def ifconfig(self, *args: str) -> str:
        """Take `up`, which it is.

        Raises:
            BadInput: anything else.
        """
        if args != ("up",):
            raise self._not(f"cannot do ifconfig {' '.join(args)}")
        return ""

    def _not(self, what: str) -> BadInput:
        return BadInput(f"{self.name}: a patch port {what}; use Link in place of OVSLink")

    def isUp(self, setUp: bool = False) -> bool:
        """Say that it is."""
        return True

    def updateIP(self) -> str | None:
        """Return None: it has no address."""
        self.ip = None
        return None

    def updateMAC(self) -> str | None:
        """Return None: it has none."""
        self.mac = None
        return None

    def delete(self) -> None:
        """Remove it."""
        if self.node.room is not None:
            self.node.unpatch(self)
        self.forget()

    def status(self) -> str:
        """Return OK."""
        return "OK"


class Link(stock.link.Link):
    """A link of Mininet's: one message makes the pair, each end in its node, named and addressed."""

    intf1: Any
    intf2: Any

    @classmethod
    def makeIntfPair(
        cls,
        intfname1: str,
        intfname2: str,
        addr1: str | None = None,
        addr2: str | None = None,
        node1: Any = None,
        node2: Any = None,
        deleteIntfs: bool = True,
    ) -> None:
        """Make the pair; an end without a node is in the caller's namespace.

        Raises:
            BadInput: a name or an address that no interface can have. Unable: the kernel refuses, with its reason.
        """
        ends = []
        for name, address, node in ((intfname1, addr1, node1), (intfname2, addr2, node2)):
            check_name(name)
            room = node.room if node is not None else rooms.caller()
            if room is None:
                raise Unable(f"{name}: its node has ended")
            mac = mac_bytes(address, name) if address else None
            ends.append((room, VethEnd(name, room.new_index(), mac, up=False, namespace=room.net)))
        first, second = sorted((end for _, end in ends), key=lambda end: not end.index)  # as the kernel wants them
        rooms.caller().run([netlink.veth(first, second, MTU)], f"link {intfname1} - {intfname2}")
        for room, end in ends:
            if end.index:
                room.interfaces[end.name] = end.index

    def delete(self) -> None:
        """Remove it: deleting one end takes the other away."""
        far = self.intf2
        self.intf1.delete()
        if far.node.room is not None:
            far.node.room.interfaces.pop(far.name, None)
        far.forget()
        self.intf1 = self.intf2 = None


class OVSLink(Link, stock.link.OVSLink):
    """Mininet's link between two Open vSwitches by patch ports; between others a plain link."""

    isPatchLink: bool

    def makeIntfPair(self, *args: Any, **params: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make a plain link's pair; of patch ports there is none."""
        if not self.isPatchLink:
            super().makeIntfPair(*args, **params)

    def delete(self) -> None:
        """Remove it."""
        if not self.isPatchLink:
            super().delete()
            return
        for end in (self.intf1, self.intf2):
            end.delete()
        self.intf1 = self.intf2 = None


def check_name(name: str) -> None:
    """Refuse an interface name the kernel would not take.

    Raises:
        BadInput: too long, empty, or with a character that cannot be in it.
    """
    if not 0 < len(name.encode()) <= _NAME_MAX or "/" in name or any(c.isspace() for c in name):
        raise BadInput(
            f"interface name {name!r}: expected 1 to {_NAME_MAX} characters without '/' or spaces; "
            "give the node a shorter name, or the link intfName1= and intfName2="
        )
