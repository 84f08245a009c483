"""The short forms that a topology file may use, written out before the model sees them.

`core1:eth0` for an endpoint, `impairment:` for both directions, `profile:` to start from a named link,
`config_file:` for a configuration beside the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from testbed.errors import BadInput, nearest
from testbed.model.source import Tree, read_text, read_yaml, shown

PROFILES = Path(__file__).resolve().parents[2] / "netem_profiles"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")


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
    profiles: dict[str, Tree] = {}
    for link in _children(tree, "links"):
        _endpoints(link)
        _try(partial(_impairments, link, beside, profiles), problems)
    return problems


def profile_names(beside: Path | None = None) -> list[str]:
    """Return the link profiles there are: the product's own, and those of a folder and its `netem_profiles`."""
    return sorted({path.stem for folder in _folders(beside) for path in folder.glob("*.yaml")})


def find_profile(name: str, beside: Path | None = None) -> Path | None:
    """Return the file of a link profile, None where there is no such."""
    paths = [folder / f"{name}.yaml" for folder in _folders(beside)] if name and set(name) <= _SAFE else []
    return next((path for path in paths if path.is_file()), None)


def _folders(beside: Path | None) -> list[Path]:
    return [PROFILES] if beside is None else [beside / "netem_profiles", PROFILES]


def _try(step: partial[None], problems: list[str]) -> None:
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


def _impairments(link: Tree, beside: Path, profiles: dict[str, Tree]) -> None:
    """Forward and backward: the profile, overridden by `impairment`, overridden by the direction, key by key."""
    layers = [_profile(link, beside, profiles), link.value.pop("impairment", None)]
    for direction in ("forward", "backward"):
        wanted = [layer for layer in (*layers, link.child(direction)) if layer is not None]
        wrong = next((layer for layer in wanted if not isinstance(layer.value, dict)), None)
        if wrong is not None:
            raise BadInput(f"{wrong.place}: {wrong.where}: {shown(wrong)}expected a mapping, such as {{delay: 10ms}}")
        if wanted:
            merged = {key: value for layer in wanted for key, value in layer.value.items()}
            link.value[direction] = replace(wanted[-1], value=merged)


def _profile(link: Tree, beside: Path, profiles: dict[str, Tree]) -> Tree | None:
    named = link.value.pop("profile", None)
    if named is None:
        return None
    name = named.value
    if not isinstance(name, str):
        raise BadInput(f"{named.place}: {named.where}: {shown(named)}expected a profile's name")
    if name not in profiles:
        profiles[name] = read_yaml(_find(named, name, beside))
    return profiles[name]


def _find(named: Tree, name: str, beside: Path) -> Path:
    found = find_profile(name, beside)
    if found is None:
        known = profile_names(beside)
        hint = nearest(name, known)
        raise BadInput(
            f"{named.place}: {named.where}: {shown(named)}expected a link profile{hint} (known: {', '.join(known)})"
        )
    return found
