"""`testbed radio stacks`: configuration for srsRAN's cells and UEs, and their start."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from testbed import units
from testbed.cli.output import AsJson, print_json, print_table, stdout, to_plain
from testbed.cli.radio_scenario import kept, read, teller
from testbed.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="srsRAN's cells and UEs: their configuration, their start.")

File = Annotated[
    Path, typer.Argument(help="Scenario file (YAML) with a key 'stacks'.", dir_okay=False, metavar="SCENARIO")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the files.", file_okay=False)]


@app.command()
def config(
    file: File,
    out: Out = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all of it, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the configuration of a scenario's cells, UEs and subscribers, and a Compose file; keys are in it."""
    from sdr.stacks import plan

    scenario = read(file)
    texts = _files(scenario)
    if out is None and not dry_run:
        raise BadInput("expected --out DIR, for the files, or --dry-run")
    if out is not None and not dry_run:
        plan.write(out, texts)
    programs = list(plan.started(scenario))
    if as_json:
        print_json(
            {"out": str(out) if out else None, "written": not dry_run, "files": list(texts), "programs": programs}
        )
        return
    rows = [[one.name, one.stack, " ".join([one.program or one.binary, *one.arguments])] for one in programs]
    print_table(["radio", "is", "command, in the folder of its name"], rows)
    stdout.print(f"{'would write' if dry_run else 'written'}: {', '.join(texts)}", markup=False)


@app.command()
def run(
    file: File,
    out: Out = None,
    wait: Annotated[str, typer.Option(help="How long cells may take to be up, and UEs to attach.")] = "60s",
    lasting: Annotated[str | None, typer.Option("--for", help="End after this time; without it, at Ctrl-C.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep what is measured in this SQLite file.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the configuration, start the broker and all programs, wait until the UEs are attached, gather metrics."""
    from sdr.broker.engine import Broker
    from sdr.meanwhile import meanwhile
    from sdr.stacks import launch, plan

    scenario = read(file)
    texts = _files(scenario)
    patience, seconds = _seconds("--wait", wait), _seconds("--for", lasting) if lasting else math.inf
    paths = launch.find(list(plan.started(scenario)))
    samples, tell = kept(store), teller(as_json)
    # The broker goes on until the programs have ended: they would wait for its samples.
    with _folder(out) as folder, Broker(scenario, tell) as broker, meanwhile(broker.run) as check:
        plan.write(folder, texts)
        try:
            with launch.Launch(scenario, paths, folder, launch.Around(samples, tell, check)) as programs:
                programs.start(patience)
                stdout.print("all attached; end: Ctrl-C", markup=False) if not as_json else None
                programs.watch(time.monotonic() + seconds)
        except KeyboardInterrupt:  # the way to end it
            pass
        finally:
            samples.close()
            _show_latest(samples, as_json)


def _files(scenario: Any) -> dict[str, str]:
    from sdr.stacks import compose, plan

    return plan.files(scenario) | compose.files(scenario)


def _seconds(option: str, text: str) -> float:
    try:
        return units.parse(text, units.TIME, "60s")
    except ValueError as error:
        raise BadInput(f"{option}: value {text!r}: {error}") from None


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder for the files: the user's own, which stays, or one that goes."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="testbed-stacks-") as folder:
        yield Path(folder)


def _show_latest(samples: Any, as_json: bool) -> None:
    latest = [one for _, one in sorted(samples.all_latest().items())]
    if as_json:
        print(json.dumps({"samples": to_plain(latest)}), flush=True)
        return
    rows = [[one.entity, one.metric, f"{one.value:g}", one.unit] for one in latest]
    print_table(["of", "measured last", "value", "unit"], rows)
