"""The short forms that a topology file may use, written out before the model sees them.

`core1:eth0` for an endpoint, `impairment:` for both directions, `profile:` to start from a named link,
`trace:` of both directions, `config_file:` for a configuration beside the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from testbed.errors import BadInput
from testbed.model.measured import written_out
from testbed.model.profile import DIRECTIONS, called, worked_out
from testbed.model.source import Tree, read_text, shown
from testbed.model.traces.spec import anchored, between, read_trace


def topology(tree: Tree, beside: Path) -> list[str]:
    """Write out the short forms of a topology, in place.

    Args:
        tree: the file. beside: the folder that configuration files and profiles are looked for in.

    Returns:
        What is wrong, one line each.
    """
    problems: list[str] = []
    for node in _children(tree, "nodes"):
        _try(partial(_config_file, node, beside), problems)
    for link in _children(tree, "links"):
        _endpoints(link)
        _impairments(link, beside, problems)
        _traces(link, beside, problems)
    return problems


def _try(step: Callable[[], None], problems: list[str]) -> None:
    try:
        step()
    except BadInput as error:
        problems.append(str(error))


def _children(tree: Tree, key: str) -> Iterator[Tree]:
    """The mappings of a mapping; what is neither is left for the model to refuse."""
    group = tree.child(key)
    if group is not None and isinstance(group.value, dict):
        yield from (child for child in group.value.values() if isinstance(child.value, dict))


def _config_file(node: Tree, beside: Path) -> None:
    named = node.child("config_file")
    kind = node.child("kind")
    if named is None or kind is None or kind.value != "router":
        return
    del node.value["config_file"]
    if node.child("config") is not None:
        raise BadInput(f"{named.key}: {named.where}: expected either config or config_file, not both")
    if not isinstance(named.value, str) or not named.value:
        raise BadInput(f"{named.place}: {named.where}: {shown(named)}expected a file's path")
    try:
        text = read_text(beside / named.value, "configuration file")
    except BadInput as error:
        raise BadInput(f"{named.place}: {named.where}: {shown(named)}{error}") from None
    node.value["config"] = replace(named, value=text)


def _endpoints(link: Tree) -> None:
    ends = link.child("endpoints")
    if ends is not None and isinstance(ends.value, list):
        ends.value[:] = [_endpoint(end) for end in ends.value]


def _endpoint(end: Tree) -> Tree:
    """`core1:eth0`; without a colon the interface is what lacks."""
    if not isinstance(end.value, str):
        return end
    node, colon, interface = end.value.partition(":")
    parts = {"node": replace(end, value=node.strip())}
    if colon:
        parts["interface"] = replace(end, value=interface.strip())
    return replace(end, value=parts, text=None)


def _impairments(link: Tree, beside: Path, problems: list[str]) -> None:
    """Forward and backward: the profile, overridden by `impairment`, overridden by the direction, key by key."""
    profile: dict[str, Tree] = {}
    _try(lambda: profile.update(_profile(link.value.pop("profile", None), beside)), problems)
    both = link.value.pop("impairment", None)
    for direction in DIRECTIONS:
        given = [layer for layer in (both, link.child(direction)) if layer is not None]
        link.value.pop(direction, None)
        _try(partial(_direction, link, direction, [profile.get(direction), *given], beside), problems)


def _direction(link: Tree, direction: str, layers: list[Tree | None], beside: Path) -> None:
    wanted = [layer for layer in layers if layer is not None]
    wrong = next((layer for layer in wanted if not isinstance(layer.value, dict)), None)
    if wrong is not None:
        raise BadInput(f"{wrong.place}: {wrong.where}: {shown(wrong)}expected a mapping, such as {{delay: 10ms}}")
    if wanted:
        merged = {key: value for layer in wanted for key, value in written_out(layer, beside).value.items()}
        link.value[direction] = replace(wanted[-1], value=merged)


def _profile(named: Tree | None, beside: Path) -> dict[str, Tree]:
    if named is None:
        return {}
    if not isinstance(named.value, str):
        raise BadInput(f"{named.place}: {named.where}: {shown(named)}expected a profile's name")
    try:
        profile, values = called(named.value, beside)
    except BadInput as error:
        raise BadInput(f"{named.place}: {named.where}: {shown(named)}{error}") from None
    return worked_out(profile, values)


def _traces(link: Tree, beside: Path, problems: list[str]) -> None:
    """One text is for both directions; each is read here, where its place is known."""
    trace = link.child("trace")
    if trace is None:
        return
    if isinstance(trace.value, str):
        trace.value = {direction: replace(trace) for direction in DIRECTIONS}
    elif not isinstance(trace.value, dict):
        del link.value["trace"]
        expected = "expected a trace such as random-walk(seed=1), or a mapping of forward and backward"
        problems.append(f"{trace.place}: {trace.where}: {shown(trace)}{expected}")
        return
    for direction, ends in zip(DIRECTIONS, _ways(link), strict=True):
        one = trace.child(direction)
        if one is not None and isinstance(one.value, str):
            _try(partial(_trace, one, ends, beside), problems)


def _ways(link: Tree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes at a link's ends, forward and backward; empty where they are not written as they should be."""
    ends = link.child("endpoints")
    nodes = [end.value.get("node") for end in ends.value if isinstance(end.value, dict)] if ends is not None else []
    names = tuple(node.value for node in nodes if node is not None and isinstance(node.value, str))
    return (names, names[::-1]) if len(names) == 2 else ((), ())


def _trace(one: Tree, ends: tuple[str, ...], beside: Path) -> None:
    try:
        one.value = anchored(between(one.value, *ends) if ends else one.value, beside)
        read_trace(one.value)
    except BadInput as error:
        raise BadInput(f"{one.place}: {one.where}: {shown(one)}{error}") from None
