"""Suspicion: it rises soon where a link's loss changes, and hardly ever where it doesn't."""

import itertools
import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.twin.echo import INTERVAL
from testbed.twin.suspicion import AT_ONCE, COOLDOWN, NEWEST, PACKETS, Suspicion, closer, counted

EVERY = INTERVAL


def packets_until_due(suspicion, share, draw, limit):
    """How many packets of a link that loses `share` it takes until a closer look is due; None when not within limit."""
    for number in range(limit):
        suspicion.saw(draw.random() >= share)
        if suspicion.due(EVERY * number):
            return number + 1
    return None


def used_to(share, draw):
    """Of a link that has lost that share for long, and was looked at."""
    suspicion = Suspicion()
    for number in range(3000):
        suspicion.saw(draw.random() >= share)
        if suspicion.due(EVERY * number - 1000.0):
            lost = sum(draw.random() < share for _ in range(PACKETS))
            suspicion.looked(PACKETS - lost, lost)
    return suspicion


def test_the_first_lost_packet_of_a_clean_link_is_enough_however_long_it_was_clean():
    for seen in (0, 1, NEWEST, 1000):
        suspicion = Suspicion()
        for _ in range(seen):
            suspicion.saw(True)
            assert not suspicion.due(0.0)
        suspicion.saw(False)
        assert suspicion.due(0.0)


@pytest.mark.parametrize(("before", "after", "seconds"), [(0.0, 0.5, 1.0), (0.02, 0.5, 2.0), (0.5, 0.0, 3.0)])
def test_a_change_of_loss_is_suspected_soon(before, after, seconds):
    draw = random.Random(7)
    waits = [packets_until_due(used_to(before, draw), after, draw, 200) for _ in range(40)]
    found = sorted(EVERY * packets for packets in waits if packets is not None)
    assert len(found) == len(waits)
    assert found[len(found) // 2] <= seconds


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
def test_a_steady_loss_is_rarely_suspected(share):
    draw = random.Random(3)
    suspicion, looks = used_to(share, draw), 0
    for number in range(5 * 600):
        suspicion.saw(draw.random() >= share)
        if suspicion.due(EVERY * number):
            lost = sum(draw.random() < share for _ in range(PACKETS))
            suspicion.looked(PACKETS - lost, lost)
            looks += 1
    assert looks <= 50  # ten minutes: at most a twelfth of the time that the cooldown would allow


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_a_link_that_flaps_is_looked_at_no_oftener_than_the_cooldown_allows(events):
    suspicion, now, looks = Suspicion(), 0.0, []
    for answered, later in events:
        now += later
        suspicion.saw(answered)
        if suspicion.due(now):
            looks.append(now)
    for first, last in itertools.combinations(range(len(looks)), 2):
        assert last - first + 1 <= AT_ONCE + (looks[last] - looks[first]) / COOLDOWN + 1e-9


def test_a_link_that_was_just_looked_at_and_begins_to_lose_is_looked_at_again():
    suspicion = Suspicion()
    for now in (0.0, 0.5):
        suspicion.saw(False)
        assert suspicion.due(now)
        suspicion.looked(PACKETS, 0)
    suspicion.saw(False)
    assert not suspicion.due(1.0)
    assert suspicion.due(COOLDOWN)


def test_what_this_machines_ping_says_of_a_closer_look_is_understood():
    done = subprocess.run(["/bin/sh", "-c", closer("lo", "127.0.0.1")], capture_output=True, timeout=20, check=False)
    assert counted(done.stdout.decode()) == (PACKETS, 0)


def test_a_closer_look_that_was_cut_short_counts_for_nothing():
    assert counted("PING 10.0.0.1 (10.0.0.1) from 10.0.0.2 eth1: 56(84) bytes of data.\n") == (0, 0)
    assert counted("40 packets transmitted, 0 received, +3 errors, 100% packet loss, time 400ms") == (0, 40)
