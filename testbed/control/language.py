"""What is asked of the paths, as lines of text: what a plan shows and a transaction sends.

drain s1-s2
restore s1-s2
pin h1 h2 s1-s3 s2-s3
unpin h1 h2
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from testbed.control.messages import Network, Pin, Policy
from testbed.errors import BadInput, nearest

_FEWEST = {"drain": 1, "restore": 1, "pin": 3, "unpin": 2}
"""Words after each first word."""


def text(policy: Policy) -> str:
    """Write a policy, in an order that does not depend on how it came about."""
    return "".join(f"{line}\n" for line in sorted(_lines(policy)))


def _lines(policy: Policy) -> Iterator[str]:
    yield from (f"drain {link}" for link in policy.drained)
    yield from (f"pin {one.source} {one.destination} {' '.join(one.links)}" for one in policy.pins)


def configuration(network: Network, policy: Policy) -> str:
    """Write a policy under a digest of the network that it is for: the same lines do something else in another."""
    digest = hashlib.sha256(msgspec.msgpack.encode(network, order="deterministic")).hexdigest()
    return f"network {digest}\n{text(policy)}"


def applied(policy: Policy, lines: str) -> Policy:
    """Return a policy with lines carried out, in order.

    Raises:
        BadInput: a line is none of this language.
    """
    for line in lines.splitlines():
        word, *rest = line.split() or [""]
        if word not in _FEWEST or len(rest) < _FEWEST[word]:
            raise BadInput(
                f"line {line!r}: expected drain, restore, pin or unpin with its names{nearest(word, _FEWEST)}"
            )
        policy = _with(policy, word, rest)
    return policy


def _with(policy: Policy, word: str, names: list[str]) -> Policy:
    if word in ("drain", "restore"):
        left = tuple(link for link in policy.drained if link not in names)
        return Policy(drained=(*left, *names) if word == "drain" else left, pins=policy.pins)
    left_pins = tuple(pin for pin in policy.pins if [pin.source, pin.destination] != names[:2])
    new = (Pin(source=names[0], destination=names[1], links=tuple(names[2:])),) if word == "pin" else ()
    return Policy(drained=policy.drained, pins=(*left_pins, *new))


def difference(old: Policy, new: Policy) -> str:
    """Return the lines that turn one policy into another."""
    pairs = {(pin.source, pin.destination) for pin in new.pins}
    lines = [f"restore {link}" for link in sorted({*old.drained} - {*new.drained})]
    lines += [f"drain {link}" for link in sorted({*new.drained} - {*old.drained})]
    lines += [f"unpin {pin.source} {pin.destination}" for pin in old.pins if (pin.source, pin.destination) not in pairs]
    lines += [line for line in _lines(Policy(pins=new.pins)) if line not in set(_lines(old))]
    return "".join(f"{line}\n" for line in lines)
