"""Capacity from echoes of several sizes: what a ping would print is made from the arithmetic of a link."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import DeviceError
from testbed.twin.capacity import (
    ECHOES,
    HIGHEST,
    SHELL,
    STAGES,
    TRIES,
    Prober,
    Subject,
    Verdict,
    command,
    frames,
    rate,
    read,
)

SIZES = [size for stage in STAGES for size in stage]


def printed(size, least, received=ECHOES):
    times = f"rtt min/avg/max/mdev = {least * 1e3:.3f}/99.000/99.000/0.100 ms\n" if received else "\n"
    return (
        f"PING 10.0.0.1 (10.0.0.1) from 10.0.0.2 eth1: {size}({size + 28}) bytes of data.\n\n"
        f"--- 10.0.0.1 ping statistics ---\n{ECHOES} packets transmitted, {received} received, 0% packet loss, "
        f"time 205ms\n{times}"
    )


def least(bits, delay=1e-3, stack=1e-9):
    """Round trips over a link of a rate, with stacks that take `stack` seconds a byte."""
    return {size: 2 * delay + 16 * frames(size, 1500) / bits + stack * size for size in SIZES}


class Device:
    """Its shell answers pings as a link of `bits` would; `lost` sizes get no reply. `refused`: there is no shell."""

    def __init__(self, bits):
        self.bits, self.lost, self.lines = bits, set(), []
        self.refused = self.gone = False
        self.shells = 0
        self._pieces = []

    def start(self, line):
        assert line == SHELL
        if self.refused:
            raise DeviceError("r1: starting '/bin/sh' failed: MaxSessions")
        self.shells, self.gone = self.shells + 1, False
        return self

    def send(self, line):
        self.lines.append(line)
        sizes = [int(word) for word in line.split() if word.isdigit() and int(word) in SIZES]
        times = least(self.bits)
        text = "".join(printed(s, times[s], 0 if s in self.lost else ECHOES) for s in sizes)
        end = line.partition("printf '")[2].rstrip("'")
        self._pieces = [text[:50].encode(), (text[50:] + end).encode()]

    def read(self):
        if self.gone:
            raise EOFError("the channel is closed")
        return self._pieces.pop(0) if self._pieces else b""

    def close(self):
        self._pieces = []


def prober(device, count=1, every=60.0):
    return Prober([Subject(f"l{n}", f"eth{n}", "10.0.0.1", 1500) for n in range(count)], device.start, every)


def polled(probing, polls, start=0.0):
    """Take once a second; returns the bursts."""
    return [burst for turn in range(polls) if (burst := probing.take(start + turn)) is not None]


def test_bytes_on_the_wire_count_the_headers_of_every_fragment():
    assert frames(1400, 1500) == 1408 + 34
    assert frames(1472, 1500) == 1480 + 34
    assert frames(1473, 1500) == 1481 + 2 * 34
    assert frames(60000, 9000) == 60008 + 7 * 34


@given(st.floats(1e5, 0.9 * HIGHEST), st.sampled_from([1280, 1500, 9000]))
def test_the_rate_of_a_clean_link_is_found_to_the_bit(bits, mtu):
    times = {size: 3e-3 + 16 * frames(size, mtu) / bits for size in SIZES}
    assert rate(times, mtu) == pytest.approx(bits, rel=1e-6)


def test_what_only_the_stacks_take_is_no_limit():
    assert rate(least(1e10), 1500) == math.inf
    assert rate(dict.fromkeys(SIZES, 2e-3), 1500) == math.inf


def test_echoes_held_up_by_a_busy_processor_are_no_measurement():
    assert rate(least(1e10) | {60000: 9e-3}, 1500) is None


def test_a_slow_link_is_told_by_the_small_sizes_alone():
    small = {size: time for size, time in least(5e6).items() if size in STAGES[0]}
    assert rate(small, 1500) == pytest.approx(5e6, rel=0.01)
    fast = {size: time for size, time in least(1e8).items() if size in STAGES[0]}
    assert rate(fast, 1500) is None


def test_replies_that_are_too_few_are_left_out():
    text = printed(1400, 2e-3) + printed(6000, 3e-3, received=2) + printed(20000, 0, received=0) + "ping: sendmsg: no\n"
    assert read(text) == {1400: pytest.approx(2e-3)}
    assert read("sh: 1: ping: not found\n") == {}


def test_a_rate_is_believed_only_when_it_repeats_and_then_until_another_one_does():
    verdict = Verdict()
    assert not verdict.add(1e8, 1.0)
    assert verdict.believed is None
    assert verdict.add(0.96e8, 2.0)
    assert verdict.believed is not None
    assert verdict.believed.limit == pytest.approx(0.98e8)
    assert not verdict.add(math.inf, 3.0)
    assert verdict.believed.limit == pytest.approx(0.98e8)
    assert verdict.add(math.inf, 4.0)
    assert verdict.believed.limit is None


def test_that_there_is_no_limit_is_believed_at_once_where_none_was_known():
    verdict = Verdict()
    assert verdict.add(math.inf, 1.0)
    assert verdict.believed is not None
    assert verdict.believed.limit is None
    assert not verdict.add(3e7, 2.0)
    assert verdict.believed.limit is None


@given(st.lists(st.none() | st.floats(1e6, 1e9) | st.just(math.inf), min_size=TRIES, max_size=30))
def test_a_link_that_never_repeats_is_left_alone_after_some_tries(rates):
    verdict = Verdict()
    settled = [verdict.add(found, float(moment)) for moment, found in enumerate(rates)]
    assert all(any(settled[turn : turn + TRIES]) for turn in range(len(settled) - TRIES + 1))


def test_a_microwave_link_is_found_in_two_measurements_and_again_when_its_turn_comes():
    device = Device(1e8)
    probing = prober(device)
    polled(probing, 20)
    found = probing.believed()["l0"]
    assert found is not None
    assert found.limit == pytest.approx(1e8, rel=0.02)
    assert len(device.lines) == 4
    device.bits = 4e7
    polled(probing, 90, start=20.0)
    found = probing.believed()["l0"]
    assert found is not None
    assert found.limit == pytest.approx(4e7, rel=0.02)


def test_links_take_turns_and_the_bytes_that_each_burst_puts_on_a_link_are_told():
    device = Device(1e9)
    probing = prober(device, count=2)
    bursts = polled(probing, 40)
    assert [burst.link for burst in bursts] == ["l0"] * 2 + ["l1"] * 2
    assert {burst.octets for burst in bursts} == {ECHOES * sum(frames(s, 1500) for s in stage) for stage in STAGES}
    assert sum(burst.octets for burst in bursts[:2]) == 6 * (1442 + 6178 + 20484 + 61402)


def test_a_slow_link_is_never_sent_the_large_echoes():
    device = Device(5e6)
    polled(prober(device), 20)
    assert len(device.lines) == 2
    assert not any("60000" in line for line in device.lines)


def test_a_link_that_answers_nothing_or_only_small_echoes_keeps_no_belief_and_does_not_hold_up_the_next():
    device = Device(1e8)
    device.lost = {60000}
    probing = prober(device, count=2)
    polled(probing, 60)
    assert probing.believed() == {"l0": None, "l1": None}
    device.lost = set(SIZES)
    polled(probing, 60, start=100.0)
    assert probing.believed() == {"l0": None, "l1": None}


def test_a_shell_that_went_with_its_connection_is_started_again_at_the_next_turn():
    device = Device(1e8)
    probing = prober(device)
    polled(probing, 1)
    device.gone = True
    with pytest.raises(DeviceError, match="not measured for 60 s: the channel is closed"):
        probing.take(2.0)
    polled(probing, 30, start=63.0)
    assert probing.believed()["l0"] is not None
    assert device.shells == 2


def test_a_device_that_allows_no_further_channel_is_an_error_each_turn_only():
    device = Device(1e8)
    device.refused = True
    probing = prober(device)
    with pytest.raises(DeviceError, match="MaxSessions"):
        probing.take(0.0)
    assert probing.take(1.0) is None
    device.refused = False
    polled(probing, 20, start=61.0)
    assert probing.believed()["l0"] is not None


def test_the_command_is_bound_to_the_interface_and_takes_nothing_from_a_shell():
    line = command("eth1; reboot", "10.0.0.1", (1400,))
    assert "-I 'eth1; reboot' 10.0.0.1" in line
    with pytest.raises(ValueError, match="not appear to be"):
        command("eth1", "10.0.0.1; reboot", (1400,))
