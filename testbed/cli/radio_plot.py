"""`testbed radio plot response | constellation | coverage`: pictures of channels, signals and scenarios."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from testbed import units
from testbed.cli.output import AsJson, print_table, stderr, stdout
from testbed.cli.quantity import quantity
from testbed.cli.radio_scenario import Scenario as ScenarioFile
from testbed.cli.radio_scenario import read
from testbed.errors import BadInput, NotReady, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sdr.broker.scenario import Scenario
    from sdr.channel.base import Channel, Samples
    from sdr.pictures.coverage import Losses, Position, Site
    from sdr.radio.carrier import Carrier

app = typer.Typer(no_args_is_help=True, help="Pictures (PNG, SVG), or with --json the numbers in them.")

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Draw into this file: .png or .svg; without, the figures as text.")
]
Rate = Annotated[float | None, quantity("--rate", units.FREQUENCY, "11.52MHz", "Samples per second.", "RATE")]
Doppler = Annotated[
    float | None,
    quantity(
        "--doppler", units.FREQUENCY, "70Hz", "Of a profile: its largest shift [10Hz].", "SHIFT", positive=False
    ),
]  # fmt: skip
Spread = Annotated[
    float | None,
    quantity("--spread", units.TIME, "100ns", "Of a profile such as TDL-A: its delay spread [100ns].", "TIME"),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of what is random [0].")]
_RATE, _DOPPLER = 30.72e6, 10.0
_PERIODS = 5
"""Of the largest Doppler shift, in a picture whose time nobody stated."""
_PATIENCE = 10.0
"""Seconds with a transmit port that gives nothing."""


@app.command()
def response(
    source: Annotated[
        str,
        typer.Argument(help="A profile (TDL-A), impulse responses (.npz) or a scenario (.yaml).", metavar="CHANNEL"),
    ],
    rate: Rate = None,
    doppler: Doppler = None,
    spread: Spread = None,
    duration: Annotated[float | None, quantity("--time", units.TIME, "50ms", "From the start on.", "TIME")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Of a scenario: who transmits.", metavar="RADIO")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Of a scenario: who receives.", metavar="RADIO")] = None,
    seed: Seed = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Draw a channel's impulse response and frequency response through time."""
    from sdr.pictures.response import draw, respond

    _check(out)
    options = {"--rate": rate, "--doppler": doppler, "--spread": spread, "--seed": seed, "--from": from_, "--to": to}
    natural = 0.1
    if source.endswith((".yaml", ".yml")):
        _refuse(options, ("--from", "--to"), "a scenario")
        channel, rate, title = _of_scenario(Path(source), from_, to)
    elif source.endswith(".npz"):
        _refuse(options, ("--rate",), "recorded impulse responses")
        rate, title = rate or _RATE, Path(source).name
        channel, natural = _of_record(Path(source), rate)
    else:
        _refuse(options, ("--rate", "--doppler", "--spread", "--seed"), "a profile")
        rate = rate or _RATE
        channel, title = _of_profile(source, rate, doppler, spread, seed or 0)
        natural = _PERIODS / (doppler or _DOPPLER)
    found = respond(channel, rate, duration or natural)
    title = f"{title} at {rate / 1e6:g} Msample/s"
    rows = [[key.replace("_", " "), _shown(key, value)] for key, value in found.summary().items()]
    _finish(found, lambda: draw(found, title), rows, out, as_json)


def _of_scenario(file: Path, source: str | None, sink: str | None) -> tuple[Channel, float, str]:
    """The channel between two radios' first antennas; by default from the first cell to the first UE."""
    scenario = read(file)
    source, sink = source or next(iter(scenario.cells)), sink or next(iter(scenario.ues))
    for name in (source, sink):
        if name not in scenario.radios:
            raise BadInput(f"{file}: no radio called {name!r}{nearest(name, scenario.radios)}")
    channel = _channel(scenario, source, sink)
    if channel is None:
        raise BadInput(f"{file}: {sink} does not hear {source}; expected a cell and a UE")
    return channel, scenario.rate, f"{source} to {sink}"


def _channel(scenario: Scenario, source: str, sink: str) -> Channel | None:
    from sdr.broker.build import pair_channels

    found = [one for one in scenario.directions() if (one.source, one.sink) == (source, sink)]
    return pair_channels(scenario, found[0])[0, 0] if found else None


def _of_record(file: Path, rate: float) -> tuple[Channel, float]:
    """The channel and its record's length in seconds; of a single update there is no length."""
    from sdr.channel.recorded import Recorded, read

    channel = read(file, rate)
    length = channel.gains.length / rate if isinstance(channel.gains, Recorded) else 0.0
    return channel, length or 0.1


def _of_profile(
    name: str, rate: float, doppler: float | None, spread: float | None, seed: int
) -> tuple[Channel, str]:  # fmt: skip
    from sdr.channel.fading import profile
    from sdr.channel.profiles import find

    doppler = _DOPPLER if doppler is None else doppler
    if find(name).scaled and spread is None:
        spread = 100e-9
    channel = profile(name, rate, [seed], doppler=doppler, spread=spread)
    spreads = f"delay spread {units.show(spread, units.TIME)}, " if spread else ""
    return channel, f"{name}, {spreads}Doppler {units.show(doppler, units.FREQUENCY)}"


@app.command()
def constellation(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A profile between built-in radios (EPA), a recording (.sigmf-meta) or a transmit port (tcp://...); "
            "by default white noise between them.",
        ),
    ] = None,
    modulation: Annotated[str, typer.Option("--modulation", help="qpsk, 16qam, 64qam or 256qam.")] = "16qam",
    snr: Annotated[
        float | None,
        quantity(
            "--snr", units.DECIBEL, "25dB", "Of resource elements between built-in radios [25dB].", "DB", positive=False
        ),
    ] = None,
    rate: Rate = None,
    spacing: Annotated[
        float, quantity("--spacing", units.FREQUENCY, "30kHz", "Of subcarriers [15kHz].", "SPACING")
    ] = 15e3,
    doppler: Doppler = None,
    spread: Spread = None,
    slots: Annotated[int, typer.Option("--slots", min=1, max=10_000, help="To measure.")] = 20,
    seed: Seed = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Draw the points that the built-in receiver finds, and their error over frequency."""
    from sdr.pictures.constellation import MODULATIONS, draw, measure
    from sdr.radio.carrier import Carrier
    from sdr.recording import open_recording

    _check(out)
    order = MODULATIONS.get(modulation.lower())
    if order is None:
        known = ", ".join(MODULATIONS)
        raise BadInput(f"--modulation {modulation}: expected {known}{nearest(modulation, MODULATIONS)}")
    options = {"--rate": rate, "--snr": snr, "--doppler": doppler, "--spread": spread, "--seed": seed}
    carrier = Carrier(round(rate or 11.52e6), round(spacing))
    with ExitStack() as stack:
        if source and source.startswith(("tcp://", "ipc://")):
            _refuse(options, ("--rate",), "a transmit port")
            pieces, title = _of_port(stack, source), source
        elif source and source.endswith(".sigmf-meta"):
            _refuse(options, (), "a recording, whose rate is in it")
            recording = open_recording(Path(source))
            carrier = Carrier(round(recording.rate), round(spacing))
            pieces, title = recording.blocks(carrier.frame), recording.meta.name
        else:
            _refuse(options, tuple(options) if source else ("--rate", "--snr", "--seed"), "white noise alone")
            channel, title = _of_profile(source, carrier.rate, doppler, spread, seed or 0) if source else _white()
            pieces = _built_in(carrier, order, channel, 25.0 if snr is None else snr, seed or 0)
        found = measure(pieces, carrier, order, slots)
    if found.slots < slots:
        stderr.print(f"{found.slots} of {slots} slots: there the samples end")
    rows = [[key, _shown(key, value)] for key, value in found.summary().items()]
    _finish(found, lambda: draw(found, f"{title}, {carrier.rate / 1e6:g} Msample/s"), rows, out, as_json)


def _white() -> tuple[Channel, str]:
    from sdr.channel.paths import Gain

    return Gain(1.0), "White noise"


def _built_in(carrier: Carrier, order: int, channel: Channel, snr: float, seed: int) -> Iterator[Samples]:
    from sdr.pictures.constellation import over_the_air
    from sdr.radio.transmitter import Transmitter

    return over_the_air(Transmitter(carrier, seed % 1008, order, seed), channel, snr, [seed, 1])


def _of_port(stack: ExitStack, address: str) -> Iterator[Samples]:
    import zmq

    from sdr.wire import Inlet

    inlet = stack.enter_context(closing(Inlet(stack.enter_context(zmq.Context()), address)))
    while (samples := inlet.receive(_PATIENCE)) is not None:
        yield samples
    raise NotReady(f"no samples from {address} within {_PATIENCE:g} s; does a transmitter listen there?")


@app.command()
def coverage(
    file: ScenarioFile,
    height: Annotated[float, typer.Option("--height", help="Of who listens above ground, m.")] = 1.5,
    area: Annotated[
        str | None, typer.Option("--area", help="WEST,SOUTH,EAST,NORTH in m; around all radios by default.")
    ] = None,
    element: Annotated[
        float | None,
        quantity(
            "--element", units.DECIBEL, "-40dB", "Power of a resource element over that of a sample of magnitude 1: "
            "draws RSRP.", "DB", positive=False,
        ),
    ] = None,
    sight: Annotated[
        bool | None,
        typer.Option("--sight/--no-sight", help="With or without a line of sight; by default weighed by probability."),
    ] = None,
    drawn: Annotated[
        bool, typer.Option("--drawn", help="With the shadowing and lines of sight that the scenario's seed draws.")
    ] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw which cell is heard best where, and how loudly: what to expect, or with --drawn what the broker has."""
    from sdr.pictures.coverage import cover, draw

    _check(out)
    scenario = read(file)
    cells, users = _sites(file, scenario)
    losses = _losses(file, scenario, sight, drawn)
    found = cover(cells, users, losses, scenario.carrier or 0, height=height, area=_area(area), element=element)
    title = f"{scenario.model} at {units.show(scenario.carrier or 0, units.FREQUENCY)}"
    title += f", seed {scenario.seed}" if drawn else ""
    rows = [[name, f"{100 * share:.1f} % of the area"] for name, share in found.shares().items()]
    rows += [[name, f"hears {one.best} with {one.levels[one.best]:.1f} dBm"] for name, one in found.users.items()]
    _finish(found, lambda: draw(found, title), rows, out, as_json)


def _sites(file: Path, scenario: Scenario) -> tuple[dict[str, Site], dict[str, Position]]:
    """A scenario's cells, and those of its UEs that are somewhere."""
    from sdr.broker.geometry import where
    from sdr.pictures.coverage import Site

    nowhere = next((name for name, cell in scenario.cells.items() if not cell.placed), None)
    if nowhere is not None:
        raise BadInput(f"{file}: cells.{nowhere} has no position; expected one in metres, such as [0, 120, 25]")
    if scenario.carrier is None:
        raise BadInput(f"{file}: no carrier; expected one, such as carrier: 3.5GHz")
    cells = {name: Site(where(one, 0.0)[0], one.power) for name, one in scenario.cells.items()}
    users = {name: where(one, 0.0)[0] for name, one in scenario.ues.items() if one.placed}
    return cells, users


def _losses(file: Path, scenario: Scenario, sight: bool | None, drawn: bool) -> Losses:
    from sdr.channel.pathloss import BY_DISTANCE, find
    from sdr.pictures.coverage import Drawn, Mean, path_loss

    if not drawn:
        return Mean(path_loss(scenario.model, scenario.exponent, scenario.reference, sight))
    if scenario.model in BY_DISTANCE:
        raise BadInput(f"{file}: --drawn: model {scenario.model} knows the distance alone; nothing is drawn for it")
    seeds = {name: scenario.seed_of(name, "shadow") for name in scenario.cells}
    given = sight if sight is not None else scenario.other.sight
    return Drawn(find(scenario.model), seeds, given, scenario.shadowing)


def _area(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise BadInput(f"--area {text}: expected WEST,SOUTH,EAST,NORTH in m, such as -500,-500,500,500") from None
    return west, south, east, north


# --- what the commands have in common --------------------------------------------------------------------------------


def _check(out: Path | None) -> None:
    from sdr.pictures.style import check

    if out is not None:
        check(out)


def _refuse(options: Mapping[str, object], known: tuple[str, ...], of: str) -> None:
    for name, value in options.items():
        if value is not None and name not in known:
            raise BadInput(f"{name} says nothing about {of}; leave it out")


_UNITS = {"strongest_delay": units.TIME, "rate": units.FREQUENCY, "spacing": units.FREQUENCY}
_SHOWN: Mapping[str, str] = {
    **dict.fromkeys(("mean_gain", "least_gain", "greatest_gain", "snr"), "{:.2f} dB"),
    "evm": "{:.2%}", "bler": "{:.2%}", "rsrp": "{:.2f} dBFS", "offset": "{:.1f} Hz",
}  # fmt: skip


def _shown(key: str, value: float) -> str:
    if key in _UNITS:
        return units.show(value, _UNITS[key])
    return _SHOWN.get(key, "{}").format(value)


class Found(Protocol):
    """What was worked out, and is drawn."""

    def plain(self) -> dict[str, Any]:
        """Return the numbers drawn, for JSON."""
        ...


def _finish(
    found: Found, picture: Callable[[], Figure], rows: list[list[str]], out: Path | None, as_json: bool
) -> None:
    from sdr.pictures.style import save

    if out is not None:
        save(picture(), out)
    if as_json:
        print(json.dumps(found.plain()))
    elif out is not None:
        stdout.print(f"{out}", markup=False)
    else:
        print_table(["what", "value"], rows)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="plot")
