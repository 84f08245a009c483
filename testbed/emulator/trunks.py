"""The wires between the guests of one lab: what both sides, and those that start them, have to agree on."""

TRUNK_MTU = 9216
"""Bytes of IP packet that a wire between two guests carries, the tag of a VLAN included."""
VLAN_TAG = 4
VLANS = 4093
"""How many links can share one wire (IEEE 802.1Q: 12 bits, without 0 and 4095, and one for the controller)."""
CONTROL_VLAN = 4094
"""What switches and the controller in another guest say to each other."""


def trunk_device(guest: int) -> str:
    """Return the name that the wire to another guest has inside a guest: `vec1` leads to the first."""
    return f"vec{guest}"
