"""What a lab is now: the topology it was brought up with, and everything that was changed in it since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import TypeAdapter

from adapters import frr_config
from testbed.emulator.lower import impairment_of, patch_of
from testbed.emulator.lower_slices import policy_of, steering_of
from testbed.emulator.messages import LinkState, Observed
from testbed.emulator.patch import LinkPatch
from testbed.emulator.standing import RouterText
from testbed.model.impairment import Impairment
from testbed.model.topology import Link, LinkTrace, Node, Topology

T = TypeVar("T")


_NODE: TypeAdapter[Node] = TypeAdapter(Node)


def reread(text: bytes, like: Topology) -> Topology:
    """Read a topology that was written as JSON; nodes and links that are just as in another one are taken from there.

    That takes a fraction of the time where little differs, and shows what does not at a glance: it is the same object.
    Whether nodes and links fit together was checked when it was written.
    """
    tree, known = msgspec.json.decode(text), like.model_dump(mode="json")
    kept = {
        "nodes": _kept(tree.pop("nodes"), known.pop("nodes"), like.nodes, _NODE.validate_python),
        "links": _kept(tree.pop("links"), known.pop("links"), like.links, Link.model_validate),
    }
    return like.model_copy(update=kept) if tree == known else Topology.model_validate(tree | kept)


def _kept(tree: dict[str, Any], known: dict[str, Any], like: dict[str, T], read: Callable[[Any], T]) -> dict[str, T]:
    return {name: like[name] if known.get(name) == value else read(value) for name, value in tree.items()}


def as_it_runs(saved: Topology, seen: Observed) -> Topology:
    """Return a lab's topology with links and steering as they are now: settings, cut or whole, traces.

    Links that nothing was said of are as they were. A trace that has come to its end counts as playing: it has done
    what was asked. Where nothing was changed it is the same object.
    """
    states = {state.name: state for state in seen.links}
    ways: dict[str, dict[int, tuple[str, bool]]] = {}
    for trace in seen.traces:
        ways.setdefault(trace.link, {})[trace.end] = trace.source, trace.repeat
    now = {name: _link(link, states.get(name), ways.get(name, {})) for name, link in saved.links.items()}
    changed: dict[str, Any] = {}
    if any(now[name] is not link for name, link in saved.links.items()):
        changed["links"] = now
    if seen.policy is not None and policy_of(saved.steering) != seen.policy:
        changed["steering"] = steering_of(seen.policy)
    return saved.model_copy(update=changed) if changed else saved


def _link(link: Link, state: LinkState | None, ways: Mapping[int, tuple[str, bool]]) -> Link:
    changed: dict[str, Any] = {"trace": _trace(ways)}
    if state is not None:
        changed |= {
            "forward": _impairment(link.forward, state.forward),
            "backward": _impairment(link.backward, state.backward),
            "up": state.up,
        }
    differs = {name: value for name, value in changed.items() if value != getattr(link, name)}
    return link.model_copy(update=differs) if differs else link


def _impairment(saved: Impairment, state: LinkPatch) -> Impairment:
    return saved if patch_of(saved) == state else impairment_of(state)


def _trace(ways: Mapping[int, tuple[str, bool]]) -> LinkTrace | None:
    """A trace that nobody named cannot be told; whoever plays it has it."""
    named = {end: source for end, (source, _) in ways.items() if source}
    if not named:
        return None
    repeat = any(ways[end][1] for end in named)
    return LinkTrace(forward=named.get(0), backward=named.get(1), repeat=repeat)


def strayed(seen: Observed) -> dict[str, str]:
    """Return, of routers that were reconfigured by hand, the lines that set them back."""
    changed = {name: text for name, text in seen.routers.items() if text.given != text.running}
    back = {name: back_to(text.given, text.running) for name, text in changed.items()}
    return {name: lines for name, lines in back.items() if lines.strip()}


def back_to(wanted: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the lines that turn what daemons run now into what they ran; both by daemon, in their own words."""
    return frr_config.difference(joined(now), joined(wanted))


def joined(texts: Mapping[str, str]) -> frr_config.Config:
    """Put what the daemons of a router say of themselves together, as vtysh does."""
    found: dict[frr_config.Path, dict[str, None]] = {}
    for config in map(frr_config.parse, texts.values()):
        for path, lines in config.items():
            found.setdefault(path, {}).update(dict.fromkeys(lines))
    return {path: tuple(lines) for path, lines in found.items()}


def running_text(text: RouterText) -> str:
    """Return a router's whole running configuration, as an frr.conf."""
    return frr_config.difference({}, joined(text.running))
