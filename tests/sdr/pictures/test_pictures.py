"""Pictures: the numbers in them against arithmetic, and that they become files."""

import json
import re
import struct
from math import log10, pi
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.broker.geometry import way
from sdr.broker.scenario import Scenario
from sdr.channel.base import LATENCY
from sdr.channel.pathloss import Place, find
from sdr.channel.paths import Gain, Still, Taps
from sdr.pictures import constellation, coverage, response
from sdr.radio.carrier import Carrier
from sdr.radio.transmitter import Transmitter
from sdr.recording import Recorder
from testbed.errors import BadInput, ExitCode
from testbed.model.load import loads
from testbed.model.propagation import LIGHT
from tests.cli.commands import call
from tests.model.test_docs import blocks

RATE = 11.52e6
SCENARIO = """\
rate: 11.52MHz
carrier: 3.5GHz
model: UMi
cells:
  gnb: {transmit: tcp://127.0.0.1:2000, receive: tcp://127.0.0.1:2001, position: [0, 0, 10], power: 30dBm}
  other: {transmit: tcp://127.0.0.1:2010, receive: tcp://127.0.0.1:2011, position: [400, 0, 10], power: 24dBm}
ues:
  ue1: {transmit: tcp://127.0.0.1:2101, receive: tcp://127.0.0.1:2100, position: [10, 20, 1.5]}
channels: {gnb: {ue1: {gain: -20dB}}}
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


@given(delays=st.lists(st.floats(0, 60), min_size=2, max_size=2), gain=st.floats(0.05, 1), turn=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_two_paths_have_the_response_of_theory(delays, gain, turn):
    gains = (1.0, gain * np.exp(2j * pi * turn))
    found = response.respond(Taps(delays, Still(gains)), RATE, 0.01)
    assert len(found.times) == 1
    turns = np.outer(found.frequencies / RATE, delays)
    theory = np.abs(np.exp(-2j * pi * turns) @ np.array(gains))
    assert np.abs(10 ** (found.gain[0] / 20) - theory).max() < 0.01


def test_a_path_stands_at_its_delay_with_its_gain():
    found = response.respond(Taps([100.25], Still((0.1,))), RATE, 0.01).summary()
    assert found["strongest_delay"] == pytest.approx(100.25 / RATE, abs=0.13 / RATE)
    assert found["mean_gain"] == pytest.approx(-20, abs=0.03)


def test_what_changes_is_seen_at_its_time_and_what_only_turns_is_still():
    class Rising:
        step = 1000

        def at(self, first, count):
            return np.linspace(first, first + count - 1, count)[:, None].astype(np.complex64) + 1

    found = response.respond(Taps([3], Rising()), RATE, 0.01)
    wanted = 20 * np.log10((found.times * RATE + 3 + LATENCY) / 1000 + 1)  # where it arrives
    assert np.abs(found.gain - wanted[:, None]).max() < 0.02
    assert np.abs(found.impulse.max(axis=1) - wanted).max() < 0.05


def test_a_channel_over_which_nothing_arrives_is_refused():
    with pytest.raises(BadInput, match="nothing arrives"):
        response.respond(Gain(0.0), RATE, 0.1)


def test_the_constellation_has_the_error_of_its_noise():
    carrier = Carrier(3_840_000)
    pieces = constellation.over_the_air(Transmitter(carrier, 5, 4), Gain(1.0), 20.0, [1])
    found = constellation.measure(pieces, carrier, 4, 10)
    assert (found.slots, found.cell, found.points.shape) == (10, 5, (found.points.size,))
    assert found.snr == pytest.approx(20, abs=0.3)
    assert 20 * log10(found.evm) == pytest.approx(-20, abs=0.5)
    assert np.sqrt(np.mean(found.over_frequency**2)) == pytest.approx(found.evm, rel=1e-6)


def test_levels_are_the_power_less_the_loss_and_the_best_cell_is_the_loudest():
    cells = {"a": coverage.Site((0, 0, 25), 30), "b": coverage.Site((500, 100, 10), 33)}
    loss = coverage.path_loss("UMa")
    found = coverage.cover(cells, {"ue": (480, 100, 1.5)}, coverage.Mean(loss), 2e9, area=(-300, -200, 700, 300))
    assert found.users["ue"].best == "b"
    for row, column in ((3, 5), (60, 200), (100, 31)):
        east, north = found.east[column], found.north[row]
        exact = [
            one.power
            - loss(Place(np.hypot(east - one.position[0], north - one.position[1]), one.position[2], 1.5, 2e9))
            for one in cells.values()
        ]
        assert found.levels[:, row, column] == pytest.approx(exact, abs=0.05)
        assert found.best[row, column] == np.argmax(exact)
    assert sum(found.shares().values()) == pytest.approx(1)


def test_the_loss_of_a_model_is_between_those_with_and_without_a_line_of_sight():
    place = Place(200.0, 25.0, 1.5, 3.5e9)
    with_sight, mean, without = (coverage.path_loss("UMa", sight=sight)(place) for sight in (True, None, False))
    assert with_sight < mean < without
    assert coverage.path_loss("free-space")(place) == pytest.approx(20 * log10(4 * pi * place.length * 3.5e9 / LIGHT))
    steep = coverage.path_loss("log-distance", 3.0, 40.0)
    assert steep(place) == pytest.approx(40 + 30 * log10(place.length))


WORDS = {
    "response": ("TDL-A", "--time", "10ms", "--doppler", "100Hz", "--rate", "3.84MHz"),
    "constellation": ("--rate", "1.92MHz", "--slots", "2"),
    "coverage": (),
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_picture_is_a_png_an_svg_and_the_numbers_in_it(kind, tmp_path, scenario):
    words = (*WORDS[kind], *([scenario] if kind == "coverage" else []))
    png, svg = tmp_path / "it.png", tmp_path / "it.svg"
    said = call("radio", "plot", kind, *words, "--out", png)
    assert (said.returncode, said.stdout) == (ExitCode.DONE, f"{png}\n"), said.stderr
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    assert width > 1000 < 1000 * height
    numbers = call("radio", "plot", kind, *words, "--out", svg, "--json")
    assert json.loads(numbers.stdout)
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert call("radio", "plot", kind, *words).stdout.startswith("what")


def test_the_same_picture_is_the_same_file(tmp_path):
    drawn = []
    for name in ("one.svg", "other.svg"):
        call("radio", "plot", "response", "EPA", "--doppler", "0Hz", "--out", tmp_path / name)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]


def test_a_pair_of_a_scenario_and_a_recorded_channel_have_their_gain(scenario, tmp_path):
    scenario.write_text(re.sub(r", (position|power): (\[.*?\]|\w+)", "", SCENARIO))
    pair = json.loads(call("radio", "plot", "response", scenario, "--json").stdout)
    assert (pair["mean_gain"], pair["rate"]) == (pytest.approx(-20, abs=0.01), RATE)
    file = tmp_path / "it.npz"
    np.savez(file, delays=[1e-6], gains=[[1], [0.5], [0.25]], period=1e-3)
    recorded = json.loads(call("radio", "plot", "response", file, "--rate", "1MHz", "--json").stdout)
    assert recorded["duration"] == pytest.approx(2e-3)
    assert (recorded["gain"][0][9], recorded["gain"][-1][9]) == (
        pytest.approx(0, abs=0.05),  # it falls from the first sample on
        pytest.approx(-12.04, abs=0.01),
    )


def test_a_recording_has_a_constellation(tmp_path):
    meta, carrier = tmp_path / "it.sigmf-meta", Carrier(1_920_000)
    with Recorder(meta, carrier.rate) as recorder:
        recorder.take(Transmitter(carrier, 9, 6).read(2 * carrier.frame), 0)
    said = call("radio", "plot", "constellation", meta, "--modulation", "64qam", "--slots", "5", "--json")
    found = json.loads(said.stdout)
    assert (found["cell"], found["slots"], found["bler"]) == (9, 5, 0)


def test_the_scenario_of_the_page_has_a_coverage(scenario):
    (text,) = blocks("radio-pictures.md")
    scenario.write_text(text)
    found = json.loads(call("radio", "plot", "coverage", scenario, "--json").stdout)
    assert {name: one["best"] for name, one in found["users"].items()} == {"ue1": "north", "ue2": "east"}
    rsrp = json.loads(call("radio", "plot", "coverage", scenario, "--json", "--element", "-40dB").stdout)
    assert rsrp["level"][3][5] == pytest.approx(found["level"][3][5] - 40, abs=0.011)
    assert rsrp["users"]["ue1"]["levels"]["west"] == pytest.approx(found["users"]["ue1"]["levels"]["west"] - 40)


def test_a_drawn_coverage_is_what_the_broker_has(scenario):
    (text,) = blocks("radio-pictures.md")
    scenario.write_text(text + "seed: 5\n")
    it = loads(scenario.read_text(), Scenario)
    found = json.loads(call("radio", "plot", "coverage", scenario, "--json", "--drawn").stdout)
    for ue, seen in found["users"].items():
        for cell, level in seen["levels"].items():
            assert level == pytest.approx(it.cells[cell].power - way(it, cell, ue, 0.0, None).loss)


def test_between_radios_a_drawn_coverage_is_what_would_be_drawn_there():
    cells, area = {"small": coverage.Site((120, -350, 10), 20)}, (-400, -600, 600, 100)
    model, seed = find("UMa"), [5, 7]
    drawn = coverage.cover(cells, {}, coverage.Drawn(model, {"small": seed}), 3.5e9, area=area)
    differ = []
    for row, column in np.random.default_rng(1).integers(0, (drawn.north.size, drawn.east.size), (300, 2)):
        at = float(drawn.east[column]), float(drawn.north[row])
        place = Place(max(1.0, np.hypot(at[0] - 120, at[1] + 350)), 10, 1.5, 3.5e9)
        differ.append(drawn.levels[0, row, column] - (20 - model.draw(place, at, seed)[1]))
    assert np.mean(np.abs(differ) < 0.05) > 0.98, "elsewhere than at the edge of a shadow"
    mean = coverage.cover(cells, {}, coverage.Mean(coverage.path_loss("UMa")), 3.5e9, area=area)
    assert np.ptp(drawn.levels - mean.levels) > 20


@pytest.mark.parametrize("sight", [True, False])
def test_a_drawn_coverage_without_shadowing_and_of_one_sight_is_the_expected_one(sight):
    cells, area = {"a": coverage.Site((0, 0, 25), 30)}, (-300, -200, 700, 300)
    drawn = coverage.Drawn(find("UMa"), {"a": [1]}, sight=sight, shadowing=False)
    mean = coverage.Mean(coverage.path_loss("UMa", sight=sight))
    one, other = (coverage.cover(cells, {}, losses, 2e9, area=area) for losses in (drawn, mean))
    assert one.levels == pytest.approx(other.levels)


def test_nothing_is_drawn_for_a_model_that_knows_the_distance_alone(scenario):
    scenario.write_text(blocks("radio-pictures.md")[0].replace("model: UMa", "model: free-space"))
    said = call("radio", "plot", "coverage", scenario, "--drawn")
    assert said.returncode == ExitCode.BAD_INPUT
    assert f"{scenario}: --drawn: model free-space knows the distance alone" in said.stderr


def test_what_cannot_be_drawn_is_refused_with_the_reason(scenario, tmp_path):
    nowhere, flat = tmp_path / "nowhere.yaml", tmp_path / "flat.yaml"
    nowhere.write_text(SCENARIO.replace(", position: [400, 0, 10]", ""))
    flat.write_text(SCENARIO.replace("carrier: 3.5GHz\n", ""))
    for words, wanted in [
        (("response", "TDL-X"), "did you mean"),
        (("response", scenario, "--doppler", "5Hz"), "--doppler says nothing about a scenario"),
        (("response", scenario, "--to", "ue2"), "no radio called 'ue2'; did you mean 'ue1'?"),
        (("response", scenario, "--to", "other"), "other does not hear gnb"),
        (("response", "EPA", "--time", "5"), "expected a number with a unit"),
        (("response", "EPA", "--time", "0s"), "expected more than 0"),
        (("response", scenario, "--seed", "1"), "--seed says nothing about a scenario"),
        (("response", "EPA", "--out", tmp_path / "it.jpg"), "ends in .png or .svg"),
        (("response", "EPA", "--out", tmp_path / "none" / "it.png"), "there is no folder"),
        (("constellation", "--modulation", "64qan"), "did you mean '64qam'?"),
        (("constellation", "--doppler", "5Hz"), "--doppler says nothing about white noise"),
        (("coverage", nowhere), "cells.other has no position"),
        (("coverage", flat), "such as carrier: 3.5GHz"),
        (("coverage", scenario, "--area", "0,0,0,5"), "expected rising numbers"),
        (("coverage", scenario, "--area", "0,0,1"), "expected WEST,SOUTH,EAST,NORTH"),
        (("coverage", scenario, "--height", "100"), "gnb: user's height is 100"),
    ]:
        said = call("radio", "plot", *words)
        assert (said.returncode, said.stdout) == (ExitCode.BAD_INPUT, ""), (words, said.stderr)
        assert wanted in said.stderr.replace("\n", " "), said.stderr
    lost = call("radio", "plot", "constellation", "--snr=-20dB", "--rate", "1.92MHz")
    assert (lost.returncode, "no signal of the built-in transmitter" in lost.stderr) == (ExitCode.NO, True)
