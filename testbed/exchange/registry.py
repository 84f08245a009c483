"""The formats there are, and what is done with any of them: import a source, export a topology."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import BadInput, nearest
from testbed.exchange import containerlab, gml, graphml, mininet, native, topohub
from testbed.exchange.base import SKIP, Files, Findings, Format, kept
from testbed.model.topology import Topology
from testbed.report import graph
from testbed.report.drawio import to_drawio

_DRAWIO = Format(
    name="drawio",
    about="draw.io (diagrams.net)",
    write=lambda topology: {"": to_drawio(topology)},
    drawing=True,
)
_ALL = (topohub.FORMAT, mininet.FORMAT, containerlab.FORMAT, native.FORMAT, graphml.FORMAT, gml.FORMAT, _DRAWIO)
FORMATS: dict[str, Format] = {form.name: form for form in _ALL}
"""In the order in which they are asked whether they recognise a source."""
READABLE = tuple(name for name, form in FORMATS.items() if form.read)
DRAWINGS: dict[str, Callable[[Topology], str]] = {
    "svg": graph.to_svg,
    "mermaid": graph.to_mermaid,
    "graphviz": graph.to_graphviz,
    "json": graph.to_json,
}
"""What `testbed graph` draws, for pages and papers."""
WRITABLE = tuple(name for name, form in FORMATS.items() if form.write)


@dataclass(frozen=True, slots=True)
class Imported:
    """A topology, the format it came in, and a line for each thing that the user should know."""

    topology: Topology
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """Files to write (see `testbed.exchange.base.Files`), and a line for each key that they do not hold."""

    files: Files
    notes: tuple[str, ...] = ()


def find(name: str) -> Format:
    """Return the format of this name.

    Raises:
        BadInput: there is none; the message has the nearest.
    """
    if name in DRAWINGS:
        raise BadInput(f"{name} is a drawing: testbed graph SOURCE --format {name}")
    if name not in FORMATS:
        raise BadInput(f"no format called {name!r}{nearest(name, FORMATS)} (known: {', '.join(FORMATS)})")
    return FORMATS[name]


def import_from(source: str, format: str | None = None, skip_unsupported: bool = False) -> Imported:
    """Read a source in any format.

    Args:
        source: a file, `topohub:GROUP/NAME` or `FILE.py:TOPO`. format: None tells it from the source.
        skip_unsupported: leave out what a topology cannot keep, and say so, instead of refusing it.

    Raises:
        BadInput: it cannot be read; one line for each problem, with file, line and column where there are any.
    """
    chosen = find(format) if format else _recognised(source)
    if chosen.read is None:
        raise BadInput(f"{chosen.name} can be written and not read (readable: {', '.join(READABLE)})")
    findings = Findings()
    topology = chosen.read(source, findings)
    return Imported(topology, chosen.name, findings.settle(skip_unsupported))


def _recognised(source: str) -> Format:
    for form in FORMATS.values():
        if form.recognises(source):
            return form
    if not Path(source).exists():
        raise BadInput(f"{source}: there is no such file, nor does it begin with {topohub.SCHEME!r}")
    if Path(source).is_dir():
        raise BadInput(f"{source}: expected a file; this is a directory")
    raise BadInput(f"{source}: its name does not tell its format; say --format {'|'.join(READABLE)}")


def export_to(topology: Topology, format: str, skip_unsupported: bool = False) -> Exported:
    """Write a topology in a format.

    Args:
        skip_unsupported: leave out what the format does not hold, and say so, instead of refusing it.

    Raises:
        BadInput: the format is not known, cannot be written or does not hold all of the topology.
    """
    chosen = find(format)
    if chosen.write is None:
        raise BadInput(f"{chosen.name} can be read and not written (writable: {', '.join(WRITABLE)})")
    if chosen.drawing:
        return Exported(chosen.write(topology))
    found = kept(topology, chosen)
    if found.lost and not skip_unsupported:
        raise BadInput("\n".join([*found.lost, f"what {format} cannot hold is an error; {SKIP}"]))
    return Exported(chosen.write(found.topology), tuple(f"{line}: left out" for line in (*found.lost, *found.unsaid)))
