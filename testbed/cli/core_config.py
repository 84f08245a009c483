"""`testbed core config` and `testbed core check`: Open5GS's files made from a topology, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli.output import AsJson, print_json, print_table, stdout
from testbed.errors import BadInput

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the files.", file_okay=False)]


def config(
    topology: Annotated[Path, typer.Argument(help="Topology file with a key 'core'.", dir_okay=False)],
    open5gs: Annotated[str, typer.Option("--open5gs", help="Version: 2.7 or 2.8.", metavar="VERSION")] = "2.7",
    out: Out = None,
    database: Annotated[
        str | None, typer.Option(help="Where UDR and PCF find the subscribers (mongodb://...).", metavar="URI")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all of it, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the configuration of every function of a topology's core, for Open5GS."""
    from core5g.open5gs.render import DATABASE, files
    from testbed.model.load import written_topology

    if out is None and not dry_run:
        raise BadInput("expected --out DIR, for the files, or --dry-run")
    texts = files(written_topology(topology), open5gs, database or DATABASE)
    if out is not None and not dry_run:
        _write(out, texts)
    if as_json:
        print_json({"out": str(out) if out else None, "written": not dry_run, "files": list(texts)})
    else:
        stdout.print(f"{'would write' if dry_run else 'written'}: {', '.join(texts)}", markup=False)


def _write(out: Path, texts: dict[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text)
    except OSError as error:
        raise BadInput(f"--out {out}: expected a folder to write to, but: {error.strerror}") from None


def check(
    path: Annotated[Path, typer.Argument(help="Topology file, or a folder with Open5GS's configuration.")],
    as_json: AsJson = False,
) -> None:
    """Check a 5G core as a whole, of a topology or of an existing Open5GS configuration."""
    from core5g.open5gs.read import read
    from testbed.model.load import load_topology

    if path.is_dir():
        reading = read(path)
        core, notes = reading.core, reading.notes
    else:
        core, notes = load_topology(path).core, ()
    if core is None:
        raise BadInput(f"{path}: expected a topology with a key `core`")
    if as_json:
        print_json({"core": core, "notes": list(notes)})
        return
    for note in notes:
        stdout.print(note, markup=False)
    print_table(["part", "names"], _rows(core))


def _rows(core: Any) -> list[list[str]]:
    parts = ("slices", "dnns", "amfs", "smfs", "upfs", "gnbs", "subscribers")
    return [[part, " ".join(getattr(core, part)) or "none"] for part in parts]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(config)
    app.command()(check)
