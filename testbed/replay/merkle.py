"""Merkle trees as RFC 6962, section 2.1, defines them: roots, inclusion proofs, consistency proofs. SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry; the prefix 0x00 keeps a leaf from being read as a node."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees; the prefix 0x01 keeps a node from being read as a leaf."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The perfect subtrees of a growing tree: its root after every entry, without keeping the entries."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        carried, position = leaf, self.size
        while position & 1:
            carried = node_hash(self._subtrees.pop(), carried)
            position >>= 1
        self._subtrees.append(carried)
        self.size += 1

    def copy(self) -> Frontier:
        """Return a frontier that grows on its own."""
        other = Frontier()
        other.size, other._subtrees = self.size, list(self._subtrees)
        return other

    def root(self) -> bytes:
        """Return the root of all leaves so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        *rest, node = self._subtrees
        for left in reversed(rest):
            node = node_hash(left, node)
        return node


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the tree head of leaf hashes (RFC 6962, 2.1)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of one leaf (RFC 6962, 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root(leaves[:split])]


def consistency_proof(leaves: Sequence[bytes], older: int) -> list[bytes]:
    """Prove that the tree of the first `older` leaves is a prefix of this one (RFC 6962, 2.1.2).

    Raises:
        ValueError: the older tree is empty or larger than this one.
    """
    if not 0 < older <= len(leaves):
        raise ValueError(f"expected an older size from 1 to {len(leaves)}, not {older}")
    return _subproof(leaves, older, True)


def _subproof(leaves: Sequence[bytes], older: int, whole: bool) -> list[bytes]:
    if older == len(leaves):
        return [] if whole else [root(leaves)]
    split = _split(len(leaves))
    if older <= split:
        return [*_subproof(leaves[:split], older, whole), root(leaves[split:])]
    return [*_subproof(leaves[split:], older - split, False), root(leaves[:split])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Tell whether `proof` leads from a leaf hash to the root of a tree of `size` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            position, last = _climb_to_left(position, last)
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and node == expected


def verify_consistency(older: int, size: int, older_root: bytes, newer_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` shows the older tree to be a prefix of the newer (RFC 9162, 2.1.4.2)."""
    if not 0 < older <= size:
        return False
    if older == size:
        return not proof and older_root == newer_root
    path = [older_root, *proof] if older & (older - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = older - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    left = right = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            left, right = node_hash(node, left), node_hash(node, right)
            position, last = _climb_to_left(position, last)
        else:
            right = node_hash(right, node)
        position, last = position >> 1, last >> 1
    return last == 0 and left == older_root and right == newer_root


def _climb_to_left(position: int, last: int) -> tuple[int, int]:
    """Skip the levels on which the last node has no sibling."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _split(size: int) -> int:
    """Return the largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1
