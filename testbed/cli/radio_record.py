"""`testbed radio record | play`: samples from a transmit port into a SigMF recording, and back."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed import units
from testbed.cli.background import until_done
from testbed.cli.output import AsJson, Reporter, print_json, stdout
from testbed.cli.quantity import quantity
from testbed.emulator.messages import Progress
from testbed.errors import BadInput, ExitCode, NotReady, nearest

if TYPE_CHECKING:
    from sdr.wire import Format

Form = Annotated[str, typer.Option("--format", help="Of samples on the wire: fc32 or sc16.")]
_ENDED = {
    "complete": "all",
    "stopped": "stopped",
    "gone": "the transmitter ended",
    "silent": "the transmitter fell silent",
}


def record(
    address: Annotated[str, typer.Argument(help="Of a transmit port: tcp://HOST:PORT or ipc://PATH.")],
    rate: Annotated[float, quantity("--rate", units.FREQUENCY, "11.52MHz", "Its samples/s.", "RATE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="NAME.sigmf-meta; samples go beside it.")],
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="To record; else until Ctrl-C.")] = None,
    carrier: Annotated[
        float | None, quantity("--carrier", units.FREQUENCY, "3.5GHz", "For the file.", "FREQUENCY")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="For the file.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="A recording of that name may be replaced.")] = False,
    patience: Annotated[float, quantity("--patience", units.TIME, "10s", "With silence [10s].", "TIME")] = 10.0,
    form: Form = "fc32",
    as_json: AsJson = False,
) -> None:
    """Record what a transmit port sends, as SigMF: --samples of it, or until it ends or Ctrl-C."""
    import zmq

    from sdr.recording import Recorder
    from sdr.recording.wire import Copier
    from sdr.wire import Inlet

    wire, copier = _format(form), Copier()
    recorder = Recorder(out, rate, carrier=carrier, description=description, replace=replace)
    with recorder, zmq.Context() as context, closing(Inlet(context, address, form=wire)) as inlet, Reporter() as report:
        ended = until_done(
            lambda stop: copier.record(inlet, recorder, samples, patience, stop),
            lambda: _show(report, "samples recorded", copier.count, samples),
        )
        if not copier.count:
            within = f" within {patience:g} s; does a transmitter listen there?" if ended == "silent" else ""
            raise NotReady(f"no samples came from {address}{within}")
        written = recorder.finish()
    if as_json:
        print_json({"meta": str(out), **written.plain(), "rate": rate, "ended": ended})
    else:
        stdout.print(f"{out}: {written.samples} samples, {written.samples / rate:g} s ({_ENDED[ended]})", markup=False)
    if samples is not None and written.samples < samples:
        raise typer.Exit(ExitCode.NO)


def play(
    file: Annotated[Path, typer.Argument(help="NAME.sigmf-meta.", metavar="FILE")],
    at: Annotated[str, typer.Option("--at", help="Where to be a transmit port: tcp://HOST:PORT or ipc://PATH.")],
    hear: Annotated[
        str | None,
        typer.Option("--hear", help="A receive port to ask meanwhile: in a scenario, samples wait for who hears none."),
    ] = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="Over and over again, until Ctrl-C.")] = False,
    frame: Annotated[int, typer.Option("--frame", min=1, max=3_072_000, help="Samples in an answer.")] = 11_520,
    form: Form = "fc32",
    as_json: AsJson = False,
) -> None:
    """Give a SigMF recording to who asks for samples, as a radio's transmit port would."""
    import zmq

    from sdr.recording import open_recording
    from sdr.recording.wire import Copier, drained
    from sdr.wire import Inlet, Outlet

    wire, copier = _format(form), Copier()
    with Reporter() as report, ExitStack() as stack:
        recording = open_recording(file, lambda done, total: report(Progress("bytes checked", done, total)))
        context = stack.enter_context(zmq.Context())
        outlet = stack.enter_context(closing(Outlet(context, at, form=wire)))
        if hear is not None:
            stack.enter_context(drained(stack.enter_context(closing(Inlet(context, hear, form=wire)))))
        if not as_json:
            stdout.print(f"{file}: {recording.samples} samples at {recording.rate:g}/s, at {at}", markup=False)
        ended = until_done(
            lambda stop: copier.play(recording, outlet, frame, repeat, stop),
            lambda: _show(report, "samples played", copier.count, None if repeat else recording.samples),
        )
    if as_json:
        print_json({"meta": str(file), "samples": copier.count, "rate": recording.rate, "ended": ended})
    else:
        stdout.print(f"{copier.count} samples played ({_ENDED[ended]})", markup=False)
    if not repeat and copier.count < recording.samples:
        raise typer.Exit(ExitCode.NO)


def _show(report: Reporter, words: str, done: int, total: int | None) -> None:
    if total is not None:
        report(Progress(words, done, total))
    elif sys.stderr.isatty():
        report(f"{words}: {done}")


def _format(name: str) -> Format:
    from sdr.wire import FORMATS

    if name not in FORMATS:
        raise BadInput(f"--format {name}: expected {' or '.join(FORMATS)}{nearest(name, FORMATS)}")
    return FORMATS[name]


def register(parent: typer.Typer) -> None:
    """Add these commands."""
    parent.command()(record)
    parent.command()(play)
