"""Builds said by what differs, so that of a large lab in which little changes little is sent.

Who asks and the agent each have a build; where the fingerprints are equal they are the same, and so is what both make
of a revision of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

from msgspec import structs

from testbed.emulator.messages import Build, Revision, WireLink, WireNode, encode
from testbed.errors import BadInput

Named = TypeVar("Named", WireNode, WireLink)


class Given:
    """A build that a lab was given; its `fingerprint` is equal for equal builds, in whatever order they have it."""

    def __init__(self, build: Build) -> None:
        self.build = build

    @cached_property
    def fingerprint(self) -> str:
        """Made when first asked for."""
        ordered = structs.replace(self.build, nodes=_sorted(self.build.nodes), links=_sorted(self.build.links))
        return sha256(encode(ordered)).hexdigest()

    def revision(self, goal: Build) -> Revision:
        """Return what makes this into `goal`, which is in the same guest."""
        (nodes, gone_nodes), (links, gone_links) = (
            _difference(self.build.nodes, goal.nodes),
            _difference(self.build.links, goal.links),
        )
        return Revision(
            base=self.fingerprint,
            nodes=nodes,
            links=links,
            gone_nodes=gone_nodes,
            gone_links=gone_links,
            slices=goal.slices,
            policy=goal.policy,
        )

    def revised(self, revision: Revision) -> Build:
        """Return what a revision makes of this.

        Raises:
            BadInput: it is a revision of something else.
        """
        if revision.base != self.fingerprint:
            raise BadInput("the lab was given something else since it was looked at: `testbed up` again")
        return structs.replace(
            self.build,
            nodes=_revised(self.build.nodes, revision.nodes, revision.gone_nodes),
            links=_revised(self.build.links, revision.links, revision.gone_links),
            slices=revision.slices,
            policy=revision.policy,
        )


def _sorted(items: Iterable[Named]) -> tuple[Named, ...]:
    return tuple(sorted(items, key=lambda item: item.name))


def _difference(old: Iterable[Named], new: Iterable[Named]) -> tuple[tuple[Named, ...], tuple[str, ...]]:
    before, after = ({item.name: item for item in items} for items in (old, new))
    gone = tuple(name for name in before if name not in after)
    return tuple(item for name, item in after.items() if item != before.get(name)), gone


def _revised(old: Iterable[Named], other: Iterable[Named], gone: Iterable[str]) -> tuple[Named, ...]:
    found = {item.name: item for item in old} | {item.name: item for item in other}
    return tuple(item for name, item in found.items() if name not in gone)
