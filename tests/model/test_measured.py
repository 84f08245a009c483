import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.load import load_topology
from testbed.model.measured import REACH, read_shape, shape_of

TOPOLOGY = """name: t
nodes: {a: {kind: host}, b: {kind: host}}
links:
  a-b:
    endpoints: [a:eth0, b:eth0]
    impairment: {distribution: {csv: rtt.csv, column: rtt, unit: ms}, loss: 1%}
"""


def write(folder: Path, values, header="t,rtt") -> Path:
    path = folder / "rtt.csv"
    path.write_text(f"{header}\n" + "".join(f"{number},{value}\n" for number, value in enumerate(values)))
    return path


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=30, max_size=400).filter(lambda values: max(values) - min(values) > 1e-3))
def test_a_shape_reaches_as_far_as_what_was_measured(values):
    shape = shape_of(values)
    lowest, highest = (shape.delay + shape.jitter * point for point in (shape.points[0], shape.points[-1]))
    assert shape.points == tuple(sorted(shape.points))
    assert all(abs(point) <= REACH + 1e-4 for point in shape.points)
    assert lowest == pytest.approx(min(values), abs=1e-3)
    assert highest == pytest.approx(max(values), abs=1e-3 + (max(values) - min(values)) * (len(values) > 256))


def test_a_shape_has_the_quantiles_of_what_was_measured():
    random.seed(1)
    values = [random.lognormvariate(-5, 0.8) for _ in range(20_000)]
    shape = shape_of(values)
    for share in (0.05, 0.5, 0.95, 0.99):
        there = shape.delay + shape.jitter * shape.points[int(share * len(shape.points))]
        assert there == pytest.approx(sorted(values)[int(share * len(values))], rel=0.05)


def test_a_topology_takes_delay_jitter_and_shape_from_a_file_beside_it(tmp_path):
    write(tmp_path, [5 + number % 50 / 10 for number in range(1000)])
    (tmp_path / "t.yaml").write_text(TOPOLOGY)
    found = load_topology(tmp_path / "t.yaml").links["a-b"].forward
    assert (found.delay, found.loss) == (pytest.approx(7.45e-3), 0.01)
    assert len(found.distribution) == 512


@pytest.mark.parametrize(
    ("values", "edit", "expected"),
    [
        (range(99), ("csv: rtt.csv", "csv: no.csv"), "no.csv: expected a readable CSV file with a header"),
        (range(99), ("column: rtt", "column: rt"), "rtt.csv:1: no column 'rt'; did you mean 'rtt'"),
        (range(99), ("unit: ms", "unit: mms"), "unit 'mms': expected one of s, ms"),
        (range(99), (", unit: ms", ""), "expected exactly csv, column, unit"),
        (range(9), ("", ""), "9 values in column 'rtt'; expected at least 30"),
        ([*range(40), -1], ("", ""), "rtt.csv:42: rtt: value '-1': expected a number that is not negative"),
        ([*range(40), "x"], ("", ""), "rtt.csv:42: rtt: value 'x'"),
        ([*range(40), "nan"], ("", ""), "rtt.csv:42: rtt: value 'nan'"),
        ([3] * 40, ("", ""), "all values are 3ms; say it as `delay`"),
    ],
)
def test_what_is_wrong_with_measurements_is_told_with_its_line(tmp_path, values, edit, expected):
    write(tmp_path, values)
    file = tmp_path / "t.yaml"
    file.write_text(TOPOLOGY.replace(*edit))
    with pytest.raises(BadInput, match=expected) as refusal:
        load_topology(file)
    assert str(refusal.value).startswith(f"{file}:6:32: links.a-b.impairment.distribution: ")


def test_a_column_is_read_in_its_unit(tmp_path):
    path = write(tmp_path, [1, 2] * 20)
    assert read_shape(path, "rtt", "us").delay == pytest.approx(1.5e-6)
