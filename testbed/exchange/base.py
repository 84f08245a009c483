"""The contract of a format: how it is recognised, read and written, and which keys of a topology it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import BadInput
from testbed.model.base import Model
from testbed.model.source import Place
from testbed.model.topology import Topology

Files = Mapping[str, str]
"""Text by path. The empty path is the file itself; all others lie beside it."""
SKIP = "--skip-unsupported leaves it out"


@dataclass(slots=True)
class Findings:
    """What a reader finds on its way: everything is told at once, each line with file, line and column.

    Attributes:
        wrong: makes the file unusable. unsupported: right, but a topology cannot keep it. notes: what else to know.
    """

    wrong: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, place: Place, text: str) -> None:
        """Note what is wrong."""
        self.wrong.append(f"{place}: {text}")

    def cannot(self, place: Place, text: str) -> None:
        """Note what a topology cannot keep."""
        self.unsupported.append(f"{place}: {text}")

    def note(self, place: Place, text: str) -> None:
        """Note what the reader does with something that is right."""
        self.notes.append(f"{place}: {text}")

    def settle(self, skip: bool) -> tuple[str, ...]:
        """Return the lines that the user is to read.

        Raises:
            BadInput: something is wrong, or something cannot be kept and is not to be skipped.
        """
        if self.wrong:
            raise BadInput("\n".join(self.wrong))
        lost = list(dict.fromkeys(self.unsupported))
        if lost and not skip:
            raise BadInput("\n".join([*lost, f"what cannot be kept is an error; {SKIP}"]))
        return (*(f"{line}: left out" for line in lost), *dict.fromkeys(self.notes))


Read = Callable[[str, Findings], Topology]
"""Reads a source (a path, or what follows the scheme). Raises BadInput, or tells what is wrong by `Findings`."""
Write = Callable[[Topology], Files]


@dataclass(frozen=True, slots=True)
class Format:
    """A format. One that can be read and written gives back what it holds: `read(write(t)) == t`.

    Attributes:
        name: for `--format`. about: one line.
        recognises: whether a source looks like this format; it may look into a file that is there.
        holds: keys of a topology that survive in it, such as `links.forward.delay`; a key stands for all below it.
            Keys that a topology must have are always held.
        renders: keys that are written out into configurations and come back as these.
        drawing: it shows a network to people; that it does not hold all of it is no loss.
    """

    name: str
    about: str
    recognises: Callable[[str], bool] = lambda source: False
    read: Read | None = None
    write: Write | None = None
    holds: frozenset[str] = frozenset()
    renders: frozenset[str] = frozenset()
    drawing: bool = False


EVERYTHING = frozenset(Topology.model_fields)
_ABOUT = frozenset({"description", "guest", "nodes.position", "links.medium"})
"""Keys for people, drawings and the machine below: a network without them is the same network."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a topology a format holds; a line for each key of the network that is lost, and of those about it."""

    topology: Topology
    lost: tuple[str, ...]
    unsaid: tuple[str, ...]


def kept(topology: Topology, form: Format) -> Kept:
    """Reduce a topology to what a format holds."""
    lost: dict[str, list[str]] = defaultdict(list)
    reduced = _reduce(topology, "", "", form.holds | form.renders, lost)
    assert isinstance(reduced, Topology)
    lines = {key: f"{form.name} cannot hold `{key}`{_whose(names)}" for key, names in lost.items()}
    about = {key for key in lines if any(key == known or key.startswith(f"{known}.") for known in _ABOUT)}
    network, unsaid = ([line for key, line in lines.items() if (key in about) == said] for said in (False, True))
    return Kept(reduced, tuple(network), tuple(unsaid))


def _whose(names: list[str]) -> str:
    """Name the nodes or links; a few of many."""
    unique = list(dict.fromkeys(name for name in names if name))
    more = f" and {len(unique) - 4} more" if len(unique) > 4 else ""
    return f": {', '.join(unique[:4])}{more}" if unique else ""


def _reduce(value: Any, path: str, owner: str, holds: frozenset[str], lost: dict[str, list[str]]) -> Any:
    """Copy a value without what is not held; `owner` is the node or link it belongs to."""
    if path in holds:
        return value
    if isinstance(value, tuple):
        return tuple(_reduce(item, path, owner, holds, lost) for item in value)
    if isinstance(value, dict):
        return {key: _reduce(item, path, owner or key, holds, lost) for key, item in value.items()}
    return _reduce_model(value, path, owner, holds, lost) if isinstance(value, Model) else value


def _reduce_model(model: Model, path: str, owner: str, holds: frozenset[str], lost: dict[str, list[str]]) -> Model:
    changed = {}
    for name, info in type(model).model_fields.items():
        value, here = getattr(model, name), f"{path}.{name}".lstrip(".")
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        if here in holds or (not info.is_required() and value == default):
            continue
        if info.is_required() or any(key.startswith(f"{here}.") for key in holds):
            changed[name] = _reduce(value, here, owner, holds, lost)
        else:
            changed[name] = default
            lost[here].append(owner)
    return model.model_copy(update=changed)
