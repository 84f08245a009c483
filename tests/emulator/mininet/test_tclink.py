"""TCLink's parameters: what is named changes, all else stays; what cannot be is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import BadInput, Unable

try:
    from testbed.emulator.mininet.tclink import Shape, merged
except Unable as lack:
    pytest.skip(f"mininet: {lack}", allow_module_level=True)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bw": st.none() | st.integers(1, 10_000),
    "delay": st.none() | st.integers(0, 10_000).map(lambda n: f"{n}us"),
    "jitter": st.none() | st.integers(0, 1000).map(lambda n: f"{n}us"),
    "loss": st.integers(0, 100),
    "max_queue_size": st.none() | st.integers(1, 10_000),
}
CALLS = st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=8)


@given(CALLS)
def test_after_any_calls_each_setting_is_what_was_named_last(calls: list[dict[str, Any]]):
    shape, last = Shape(), dict[str, Any]()
    for named in calls:
        shape = merged(shape, named, "htb", None, "h1-eth0")
        last |= named
    bw, delay = last.get("bw"), last.get("delay")
    assert shape.rate == (None if bw is None else bw * 1e6)
    assert shape.delay == pytest.approx(0.0 if delay is None else int(delay[:-2]) / 1e6)
    assert shape.loss == last.get("loss", 0) / 100
    assert shape.queue == last.get("max_queue_size")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5ms", 0.005), ("1.5 s", 1.5), ("20us", 20e-6), ("3msec", 0.003), (".5sec", 0.5)]
)
def test_times_as_tc_writes_them(text: str, seconds: float):
    assert merged(Shape(), {"delay": text}, "htb", None, "x").delay == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"delay": "5"}, "h1-eth0: delay='5': expected a time with its unit, such as '5ms'; tc reads .* '5us'"),
        ({"delay": 5}, "delay=5: expected a time with its unit"),
        ({"jitter": "fast"}, "jitter='fast': expected a time"),
        ({"bw": 0}, "bw=0: expected a number, Mbit/s, 0.001 to 30000"),
        ({"bw": "10"}, "bw='10': expected a number"),
        ({"bw": True}, "bw=True: expected a number"),
        ({"loss": -1}, "loss=-1: expected a number, percent, 0 to 100"),
        ({"loss": float("nan")}, "loss=nan: expected a number"),
        ({"max_queue_size": 0}, "max_queue_size=0: expected a number, packets"),
    ],
)
def test_what_cannot_be_is_refused(named: dict[str, Any], said: str):
    with pytest.raises(BadInput, match=said):
        merged(Shape(), named, "htb", None, "h1-eth0")
