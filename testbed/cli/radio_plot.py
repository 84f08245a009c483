"""`testbed radio plot response | constellation | coverage`: pictures of channels, signals and scenarios."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from testbed import units
from testbed.cli.output import AsJson, print_table, stdout
from testbed.cli.quantity import quantity
from testbed.errors import BadInput, NotReady, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sdr.broker.scenario import Scenario
    from sdr.channel.base import Channel, Samples

app = typer.Typer(no_args_is_help=True, help="Pictures (PNG, SVG), or with --json the numbers in them.")

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Draw into this file: .png or .svg; without, the figures as text.")
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", parser=quantity(units.FREQUENCY, "11.52MHz"), help="Samples per second.", metavar="RATE"),
]
Doppler = Annotated[
    float | None,
    typer.Option(
        "--doppler", parser=quantity(units.FREQUENCY, "70Hz"), help="Of a profile: its largest shift [10Hz].",
        metavar="SHIFT",
    ),
]  # fmt: skip
Spread = Annotated[
    float | None,
    typer.Option(
        "--spread", parser=quantity(units.TIME, "100ns"), help="Of a profile such as TDL-A: its delay spread [100ns].",
        metavar="TIME",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is random.")]
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
    duration: Annotated[
        float | None,
        typer.Option(
            "--time", parser=quantity(units.TIME, "50ms"), metavar="TIME", help="From the start on.",
        ),
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Of a scenario: who transmits.", metavar="RADIO")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Of a scenario: who receives.", metavar="RADIO")] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw a channel's impulse response and frequency response through time."""
    from sdr.pictures.response import draw, respond

    _check(out)
    options = {"--rate": rate, "--doppler": doppler, "--spread": spread, "--from": from_, "--to": to}
    if source.endswith((".yaml", ".yml")):
        _refuse(options, ("--from", "--to"), "a scenario")
        channel, rate, title = _of_scenario(Path(source), from_, to)
    elif source.endswith(".npz"):
        _refuse(options, ("--rate",), "recorded impulse responses")
        channel, rate, title = _of_record(Path(source), rate or _RATE)
        duration = duration or channel.gains.length / rate
    else:
        _refuse(options, ("--rate", "--doppler", "--spread"), "a profile")
        rate = rate or _RATE
        channel, title = _of_profile(source, rate, doppler, spread, seed)
        duration = duration or _PERIODS / (_DOPPLER if doppler is None else doppler or _DOPPLER)
    found = respond(channel, rate, duration or 0.1)
    title = f"{title} at {rate / 1e6:g} Msample/s"
    rows = [[key.replace("_", " "), _shown(key, value)] for key, value in found.summary().items()]
    _finish(found, lambda: draw(found, title), rows, out, as_json)


def _of_scenario(file: Path, source: str | None, sink: str | None) -> tuple[Channel, float, str]:
    """The channel between two radios' first antennas; by default from the first cell to the first UE."""
    scenario = _scenario(file)
    source, sink = source or next(iter(scenario.cells)), sink or next(iter(scenario.ues))
    for name in (source, sink):
        if name not in scenario.radios:
            raise BadInput(f"{file}: no radio called {name!r}{nearest(name, scenario.radios)}")
    channel = _channel(scenario, source, sink)
    if channel is None:
        raise BadInput(f"{file}: {sink} does not hear {source}; expected a cell and a UE")
    return channel, scenario.rate, f"{source} to {sink}"


def _channel(scenario: Scenario, source: str, sink: str) -> Channel | None:
    from sdr.broker.engine import plain_channels, port_name

    return plain_channels(scenario).get((port_name(source, "tx"), port_name(sink, "rx")))


def _of_record(file: Path, rate: float) -> tuple[Any, float, str]:
    from sdr.channel.recorded import read

    return read(file, rate), rate, file.name


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
        typer.Option(
            "--snr", parser=quantity(units.DECIBEL, "25dB"), help="Of resource elements between built-in radios.",
            metavar="DB",
        ),
    ] = None,
    rate: Rate = None,
    spacing: Annotated[
        float,
        typer.Option("--spacing", parser=quantity(units.FREQUENCY, "30kHz"), help="Of subcarriers.", metavar="SPACING"),
    ] = 15e3,
    doppler: Doppler = None,
    spread: Spread = None,
    slots: Annotated[int, typer.Option("--slots", min=1, max=10_000, help="To measure.")] = 20,
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw the points that the built-in receiver finds, and their error over frequency."""
    from sdr.pictures.constellation import MODULATIONS, draw, measure, over_the_air
    from sdr.radio.carrier import Carrier
    from sdr.radio.transmitter import Transmitter
    from sdr.recording import open_recording

    _check(out)
    order = MODULATIONS.get(modulation.lower())
    if order is None:
        raise BadInput(
            f"--modulation {modulation}: expected {', '.join(MODULATIONS)}{nearest(modulation, MODULATIONS)}"
        )
    options = {"--rate": rate, "--snr": snr, "--doppler": doppler, "--spread": spread}
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
            if not source:
                _refuse(options, ("--rate", "--snr"), "white noise")
            channel, through = _of_profile(source, carrier.rate, doppler, spread, seed) if source else _white()
            sent = Transmitter(carrier, seed % 1008, order, seed)
            pieces = over_the_air(sent, channel, 25.0 if snr is None else snr, [seed, 1])
            title = f"Built-in radios over {through}"
        found = measure(pieces, carrier, order, slots)
    rows = [[key, _shown(key, value)] for key, value in found.summary().items()]
    _finish(found, lambda: draw(found, f"{title}, {carrier.rate / 1e6:g} Msample/s"), rows, out, as_json)


def _white() -> tuple[Channel, str]:
    from sdr.channel.paths import Gain

    return Gain(1.0), "white noise"


def _of_port(stack: ExitStack, address: str) -> Iterator[Samples]:
    import zmq

    from sdr.wire import Inlet

    inlet = stack.enter_context(closing(Inlet(stack.enter_context(zmq.Context()), address)))
    while (samples := inlet.receive(_PATIENCE)) is not None:
        yield samples
    raise NotReady(f"no samples from {address} within {_PATIENCE:g} s; does a transmitter listen there?")


@app.command()
def coverage(
    file: Annotated[Path, typer.Argument(help="Scenario file (YAML).", dir_okay=False, metavar="SCENARIO")],
    height: Annotated[float, typer.Option("--height", help="Of who listens above ground, m.")] = 1.5,
    area: Annotated[
        str | None, typer.Option("--area", help="WEST,SOUTH,EAST,NORTH in m; around all radios by default.")
    ] = None,
    sight: Annotated[
        bool | None,
        typer.Option("--sight/--no-sight", help="With or without a line of sight; by default weighed by probability."),
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Draw which cell is heard best where, and how loudly, without shadowing."""
    from sdr.pictures.coverage import draw

    _check(out)
    scenario = _scenario(file)
    found = _cover(file, scenario, _area(area), height, sight)
    title = f"{scenario.model} at {units.show(scenario.carrier or 0, units.FREQUENCY)}"
    rows = [[name, f"{100 * share:.1f} % of the area"] for name, share in found.shares().items()]
    rows += [[name, f"hears {one.best} with {one.levels[one.best]:.1f} dBm"] for name, one in found.users.items()]
    _finish(found, lambda: draw(found, title), rows, out, as_json)


def _cover(file: Path, scenario: Scenario, area: Any, height: float, sight: bool | None) -> Any:
    from sdr.pictures.coverage import Site, cover, path_loss

    if scenario.carrier is None:
        raise BadInput(f"{file}: no carrier; expected one, such as carrier: 3.5GHz")
    nowhere = next((name for name, cell in scenario.cells.items() if cell.position is None), None)
    if nowhere is not None:
        raise BadInput(f"{file}: cells.{nowhere} has no position; expected one in metres, such as [0, 120, 25]")
    cells = {name: Site(one.position, one.power) for name, one in scenario.cells.items() if one.position}
    users = {name: one.position for name, one in scenario.ues.items() if one.position}
    loss = path_loss(scenario.model, scenario.exponent, scenario.reference, sight)
    return cover(cells, users, loss, scenario.carrier, height=height, area=area)


def _area(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise BadInput(f"--area {text}: expected WEST,SOUTH,EAST,NORTH in m, such as -500,-500,500,500") from None
    return west, south, east, north


# --- what the commands have in common --------------------------------------------------------------------------------


def _scenario(file: Path) -> Scenario:
    from sdr.broker.scenario import Scenario
    from testbed.model.load import load

    return load(file, Scenario)


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
