import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import DeviceError
from testbed.twin.echo import Batch, EchoLog, PolledEcho, StreamedEcho, command


def reply(seq, rtt_ms, moment):
    return f"[{moment:.6f}] 64 bytes from 10.0.11.2: icmp_seq={seq} ttl=64 time={rtt_ms} ms\n"


def silence(seq, moment):
    return f"[{moment:.6f}] no answer yet for icmp_seq={seq}\n"


HEAD = "PING 10.0.11.2 (10.0.11.2) from 10.0.11.1 eth1: 56(84) bytes of data.\n"


def test_replies_become_round_trips_with_the_controllers_time():
    log = EchoLog(offset=100.0)
    log.feed((HEAD + reply(1, 0.25, 1100.0) + reply(2, 0.35, 1100.2)).encode())
    batch = log.take(1001.0)
    assert batch is not None
    assert (batch.rtts, batch.lost) == ((0.25e-3, 0.35e-3), 0)
    assert batch.measured == pytest.approx(1000.2)
    assert log.take(1001.0) is None


def test_a_packet_is_lost_only_after_its_grace_and_only_once():
    log = EchoLog()
    log.feed((reply(1, 1, 10.0) + silence(2, 10.4)).encode())
    first = log.take(10.5)
    assert first is not None
    assert (len(first.rtts), first.lost) == (1, 0)
    second = log.take(10.7)
    assert second is not None
    assert (second.rtts, second.lost) == ((), 1)
    assert log.take(20.0) is None


def test_a_reply_later_than_the_next_packet_is_no_loss():
    log = EchoLog()
    log.feed((silence(1, 10.2) + silence(2, 10.4) + reply(1, 300, 10.3) + reply(2, 300, 10.5)).encode())
    batch = log.take(12.0)
    assert batch is not None
    assert (batch.rtts, batch.lost) == ((0.3, 0.3), 0)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_on_the_device_moves_neither_ages_nor_losses(jump):
    log, seq = EchoLog(5000.0), 0

    def second(now, clock, answered=4):
        nonlocal seq
        for turn in range(5):
            seq, moment = seq + 1, 5000.0 + now - 1.0 + turn / 5 + clock
            log.feed((reply(seq, 1, moment) if turn < answered else silence(seq, moment)).encode())
        return log.take(now)

    second(10.0, 0.0)
    second(11.0, 0.0)
    before = [second(now, jump) for now in (12.0, 13.0, 14.0)]
    assert [batch.measured for batch in before if batch] == pytest.approx([11.8, 12.8, 13.8], abs=0.3)
    assert sum(batch.lost for batch in before if batch) == 3  # the first was counted before, the last has its grace
    log.offset = 5000.0 + jump  # measured at last
    after = [second(now, jump) for now in (15.0, 16.0)]
    assert [batch.measured for batch in after if batch] == pytest.approx([14.8, 15.8], abs=0.3)
    assert sum(batch.lost for batch in after if batch) == 2


def test_a_packet_that_could_not_be_sent_is_lost():
    log = EchoLog()
    log.feed(b"ping: sendmsg: Network is unreachable\n")
    batch = log.take(5.0)
    assert batch == Batch((), 1, 5.0)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 7))
def test_every_packet_is_counted_once_however_the_output_is_cut(answered, piece):
    lines = [reply(n, 1.5, 10 + n / 5) if ok else silence(n, 10 + n / 5) for n, ok in enumerate(answered, 1)]
    data = (HEAD + "".join(lines)).encode()
    log, rtts, lost = EchoLog(), 0, 0
    for at in range(0, len(data), piece):
        log.feed(data[at : at + piece])
        batch = log.take(10.0)
        rtts, lost = (rtts + len(batch.rtts), lost + batch.lost) if batch else (rtts, lost)
    batch = log.take(1000.0)
    rtts, lost = (rtts + len(batch.rtts), lost + batch.lost) if batch else (rtts, lost)
    assert (rtts, lost) == (answered.count(True), answered.count(False))


def test_what_this_machines_ping_prints_is_understood():
    line = command("lo", "127.0.0.1").replace("-i ", "-c 3 -i ")
    out = subprocess.run(["/bin/sh", "-c", line], capture_output=True, timeout=20, check=False).stdout
    log = EchoLog()
    log.feed(out)
    batch = log.take(sys.float_info.max)
    assert batch is not None
    assert (len(batch.rtts), batch.lost) == (3, 0)
    assert all(0 < rtt < 0.1 for rtt in batch.rtts)


def test_a_destination_that_is_no_address_never_reaches_a_shell():
    with pytest.raises(ValueError, match="does not appear"):
        command("eth1", "10.0.0.1; reboot")


class Script:
    """A stream that gives what it is told to."""

    def __init__(self, *pieces):
        self.pieces, self.closed = list(pieces), False

    def fileno(self):
        return id(self)

    def read(self):
        if not self.pieces:
            raise EOFError("closed")
        return self.pieces.pop(0)

    def close(self):
        self.closed = True


def test_a_ping_that_ends_is_told_and_started_again():
    streams = [Script(reply(1, 2, 9.0).encode()), Script(reply(1, 4, 12.0).encode())]
    started = iter(streams)
    echo = StreamedEcho("a:eth1", lambda: next(started))
    first = echo.take(10.0, 0.0)
    assert first is not None
    assert first.rtts == (2e-3,)
    with pytest.raises(DeviceError, match="started again"):
        echo.take(11.0, 0.0)
    assert streams[0].closed
    again = echo.take(13.0, 0.0)
    assert again is not None
    assert again.rtts == (4e-3,)
    echo.close()
    assert streams[1].closed


def test_a_ping_that_a_device_refuses_is_told_in_its_own_words():
    said = "ping: cannot flood, minimal interval for user must be >= 200 ms, use -i 0.2 (or higher)"
    echo = StreamedEcho("a:eth1", lambda: Script(f"{said}\n".encode()))
    echo.take(10.0, 0.0)
    with pytest.raises(DeviceError, match=re.escape(said)):
        echo.take(11.0, 0.0)


LOOK = b"--- 10.0.11.2 ping statistics ---\n40 packets transmitted, 28 received, 30% packet loss, time 400ms\n"


def pieces(*answered):
    """What a running ping prints for packets 0.2 s apart, one piece each."""
    lines = [reply(n, 1.5, n / 5) if ok else silence(n, (n + 1) / 5) for n, ok in enumerate(answered, 1)]
    return [line.encode() for line in lines]


def test_a_lost_packet_on_a_clean_link_brings_a_closer_look_whose_packets_count_once():
    closer = Script(b"PING 10.0.11.2\n", LOOK)
    running = Script(*pieces(*[True] * 5, False, *[True] * 6))
    echo = StreamedEcho("a:eth1", lambda: running, lambda: closer)
    assert echo.take(0.0, 0.0) is not None
    heard = [(echo.hear(), len(echo.filenos())) for _ in range(9)]
    assert heard == [(False, 1)] * 5 + [(False, 2)] * 3 + [(True, 1)]
    batch = echo.take(2.5, 0.0)
    assert batch is not None
    assert (len(batch.rtts), batch.answered, batch.lost, batch.packets) == (9, 28, 13, 50)
    assert closer.closed
    later = echo.take(2.6, 0.0)
    assert later is not None
    assert later.packets == 1


def test_a_device_that_allows_no_further_channel_goes_on_with_what_it_has():
    def refused():
        raise DeviceError("a: no further channel")

    echo = StreamedEcho("a:eth1", lambda: running, refused)
    running = Script(*pieces(True, False, True, True, True))
    echo.take(0.0, 0.0)
    assert [echo.hear() for _ in range(3)] == [False] * 3
    batch = echo.take(5.0, 0.0)
    assert batch is not None
    assert (len(batch.rtts), batch.lost) == (3, 1)


def test_a_device_that_stalls_answers_all_at_once_and_a_dead_link_nothing_and_neither_is_suspected():
    def never():
        raise AssertionError("no reason to look")

    stalled = [silence(n, n / 5) for n in range(2, 7)] + [reply(n, 900 - 200 * (n - 2), 1.3) for n in range(2, 7)]
    running = Script(
        *[line.encode() for line in (reply(1, 1, 0.1), *stalled, *(silence(n, n / 5) for n in range(8, 40)))]
    )
    echo = StreamedEcho("a:eth1", lambda: running, never)
    echo.take(0.0, 0.0)
    assert not any(echo.hear() for _ in range(len(running.pieces)))


def test_a_link_so_long_that_packets_are_under_way_when_the_next_is_sent_is_not_suspected():
    def never():
        raise AssertionError("no reason to look")

    running = Script(*[(silence(n, n / 5) + reply(n - 1, 250, n / 5 + 0.05)).encode() for n in range(2, 30)])
    echo = StreamedEcho("a:sat", lambda: running, never)
    echo.take(0.0, 0.0)
    assert not any(echo.hear() for _ in range(27))


def test_a_device_without_streams_is_pinged_at_each_poll():
    from adapters.base import PingResult

    class Pinging:
        def ping(self, destination, source=None, count=20, interval=0.02, dscp=0):
            return PingResult(count, count - 1, (1e-3,) * (count - 1))

    batch = PolledEcho(Pinging(), "10.0.0.1", lambda: 50.0).take(0.0, 0.0)  # type: ignore[arg-type]
    assert batch == Batch((1e-3,) * 4, 1, 50.0)
