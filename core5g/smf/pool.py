"""Addresses for UEs."""

from __future__ import annotations

from collections import deque
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import TestbedError


class NoAddress(TestbedError):
    """There is none left, or the one that is wanted is taken."""


class Pool:
    """Addresses of one network; its first is the UPF's, its last is for all.

    Attributes:
        network: of all of them. taken: those that UEs have.
    """

    def __init__(self, network: IPv4Network) -> None:
        self.network = network
        self.taken: set[IPv4Address] = set()
        self._next = int(network.network_address) + 2
        self._returned: deque[int] = deque()

    def take(self, wanted: IPv4Address | None = None) -> IPv4Address:
        """Return an address that nobody has; one that was given back is given again last.

        Raises:
            NoAddress: there is none.
        """
        if wanted is None:
            address = self._free()
        elif wanted in self.taken or not self._may_be(wanted):
            raise NoAddress(f"{wanted}: taken already, or not an address for a UE of {self.network}")
        else:
            address = wanted
        self.taken.add(address)
        return address

    def give_back(self, address: IPv4Address) -> None:
        """Have an address free again."""
        if address in self.taken:
            self.taken.remove(address)
            if int(address) < self._next:
                self._returned.append(int(address))

    def _may_be(self, address: IPv4Address) -> bool:
        first = int(self.network.network_address) + 2
        return first <= int(address) < int(self.network.broadcast_address)

    def _free(self) -> IPv4Address:
        while self._next < int(self.network.broadcast_address):
            address = IPv4Address(self._next)
            self._next += 1
            if address not in self.taken:
                return address
        while self._returned:
            address = IPv4Address(self._returned.popleft())
            if address not in self.taken:
                return address
        raise NoAddress(f"{self.network}: all {len(self.taken)} addresses are taken")
