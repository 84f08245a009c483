"""`path`: the nodes and links that packets take."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.change import PathIs
from testbed.model.verdict import Measured
from testbed.report import wording
from testbed.validate.expectations.base import Kind
from testbed.validate.scene import Scene, Way


def measure(scene: Scene, expectation: PathIs) -> Measured:
    """Judge the path traced in this round."""
    way = scene.way(expectation.source, expectation.destination)
    holds, why = assess(way, expectation)
    links = "links " + ", ".join(link or "?" for link in way.links)
    return Measured(phase=scene.phase, holds=holds, proof=(way.text, *why, links, *way.proof))


def assess(way: Way, expectation: PathIs) -> tuple[bool | None, list[str]]:
    """Judge a path: every `via` passed, no `avoid` and no `avoid_links` used, the destination reached.

    Returns:
        True, False, or None when a silent hop, or an equal-cost route that other flows take, leaves it open; and why,
        unless it holds.
    """
    wrong = [f"passes {node}" for node in expectation.avoid if node in way.nodes]
    wrong += [f"uses link {link}" for link in expectation.avoid_links if link in way.links]
    some = {there for _, _, there in way.steps} if way.spread else set()
    missing = [f"does not pass {node}" for node in expectation.via if node not in {*way.nodes, *some}]
    known = way.spread or None not in way.nodes
    if not way.reached:
        return False, ["the destination did not answer", *wrong]
    if wrong or (missing and known):
        return False, wrong + (missing if known else [])
    still_open = list(_elsewhere(way, expectation))
    if not known and (missing or expectation.avoid):
        still_open += ["a hop did not answer", *missing]
    if None in way.links and expectation.avoid_links and not way.spread:
        still_open.append("a link on the path cannot be told from its parallels")
    return (None if still_open else True), still_open


def _elsewhere(way: Way, expectation: PathIs) -> Iterator[str]:
    """What equal-cost routes do to flows that are hashed otherwise than the traced one."""
    nodes = {node for one, _, other in way.steps for node in (one, other)}
    links = {link for _, link, _ in way.steps}
    yield from (f"an equal-cost route leads other flows over {node}" for node in expectation.avoid if node in nodes)
    yield from (
        f"an equal-cost route leads other flows over {link}" for link in expectation.avoid_links if link in links
    )
    yield from (f"an equal-cost route leads other flows past {node}" for node in expectation.via if _around(way, node))


def _around(way: Way, node: str) -> bool:
    """Tell whether some flow gets from the source to the end of the traced path without passing a node."""
    source, target = way.nodes[0], way.nodes[-1]
    seen, queue = {source}, [source]
    while queue:
        here = queue.pop()
        onward = {there for one, _, there in way.steps if one == here} - seen - {node}
        seen |= onward
        queue += onward
    return target in seen and target != node


def differs(expectation: PathIs, one: Measured, other: Measured) -> str:
    """Two rounds reproduce each other when the packets took the same nodes."""
    paths = [measured.proof[:1] for measured in (one, other)]
    return "" if paths[0] == paths[1] else wording.rounds(expectation, (one, other))


KIND = Kind(measure, differs, forecast=lambda one, other: None)
