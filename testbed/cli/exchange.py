"""`testbed import | export`: other tools' networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import AsJson, print_json, stderr, stdout
from testbed.errors import BadInput

Source = Annotated[
    str,
    typer.Argument(
        help="A file (testbed, containerlab, GraphML, GML), topohub:GROUP/NAME, or FILE.py:TOPO of Mininet.",
        metavar="SOURCE",
    ),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", "-f", help="What the source is, where its name does not tell.")
]
Mininet = Annotated[
    bool, typer.Option("--mininet", help="SOURCE is FILE.py:NAME, a Topo class or a key of the file's `topos`.")
]
SkipUnsupported = Annotated[
    bool, typer.Option("--skip-unsupported", help="Leave out what cannot be kept, with a line for each.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File; standard output when not given.")]


def read_source(source: str, format: str | None = None, skip_unsupported: bool = False):
    """Read a topology in any format; what the user should know of it goes to standard error."""
    from testbed.exchange.registry import import_from

    imported = import_from(source, format, skip_unsupported)
    say(imported.notes)
    return imported.topology


def said_format(format: str | None, mininet: bool) -> str | None:
    """Return the format that a user names, by `--format` or by `--mininet`.

    Raises:
        BadInput: they say different things.
    """
    if mininet and format not in (None, "mininet"):
        raise BadInput(f"--mininet and --format {format}: expected one of them")
    return "mininet" if mininet else format


def read_lab_or_source(source: str):
    """Return the topology of a lab that is up under this name, else of a source."""
    from testbed.lab import Lab

    named = {lab.name: lab for lab in Lab.all()}
    return named[source].topology if source in named else read_source(source)


def say(notes: tuple[str, ...]) -> None:
    """Print lines that are no result."""
    for note in notes:
        stderr.print(note, markup=False)


def import_(
    source: Source,
    out: Out = None,
    format: FormatOption = None,
    skip_unsupported: SkipUnsupported = False,
    as_json: AsJson = False,
) -> None:
    """Turn another tool's network into a topology file. A Mininet source is a program, and it is run."""
    from testbed.exchange.registry import export_to, import_from

    imported = import_from(source, format, skip_unsupported)
    exported = export_to(imported.topology, "testbed")
    if out:
        _write(exported.files, out)
    if as_json:
        print_json({"format": imported.format, "topology": imported.topology, "notes": imported.notes})
        return
    say(imported.notes)
    if out:
        topology = imported.topology
        stdout.print(f"{out}: {len(topology.nodes)} nodes, {len(topology.links)} links", markup=False)
    else:
        print(exported.files[""], end="")


def export(
    source: Annotated[str, typer.Argument(help="A lab's name, or what `import` takes.", metavar="SOURCE")],
    format: Annotated[str, typer.Option("--format", "-f", help="What to write; `graph` draws.")],
    out: Out = None,
    skip_unsupported: SkipUnsupported = False,
    as_json: AsJson = False,
) -> None:
    """Write a topology for another tool. What its format cannot hold is an error, or with --skip-unsupported a line."""
    from testbed.exchange.registry import export_to

    exported = export_to(read_lab_or_source(source), format, skip_unsupported)
    if out:
        _write(exported.files, out)
    elif len(exported.files) > 1:
        raise BadInput(f"{format} writes {len(exported.files)} files that belong together; say where with --out FILE")
    if as_json:
        print_json({"format": format, "files": _named(exported.files, out), "notes": exported.notes})
        return
    say(exported.notes)
    if out:
        for path in _named(exported.files, out):
            stdout.print(path, markup=False)
    else:
        print(exported.files[""], end="")


def _named(files, out: Path | None) -> dict[str, str]:
    """The files by the paths they are written to."""
    return {str(_path(name, out) if out else name): text for name, text in files.items()}


def _path(name: str, out: Path) -> Path:
    return out.parent / name if name else out


def _write(files, out: Path) -> None:
    """Write all files or none."""
    ready: dict[Path, Path] = {}
    folders: list[Path] = []
    try:
        for name, text in files.items():
            path = _path(name, out)
            for folder in (parent for parent in reversed(path.parents) if name and not parent.exists()):
                folder.mkdir()
                folders.append(folder)
            ready[path] = path.with_name(f".{path.name}.new")
            ready[path].write_text(text, encoding="utf-8")
        for path, new in ready.items():
            new.replace(path)
    except OSError as error:
        for new in ready.values():
            new.unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()
        raise BadInput(f"{error.filename or out}: cannot be written: {error.strerror}") from None


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("import")(import_)
    app.command()(export)
