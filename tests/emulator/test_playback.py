"""Traces played on links: by a wiring that only writes down, and in a real kernel with netem."""

import threading
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.emulator.lower import tracks_of
from testbed.emulator.messages import (
    GetLinks,
    LinkChange,
    LinkPatch,
    LinkState,
    Play,
    PlayStatus,
    StopPlay,
    Track,
)
from testbed.emulator.playback import Player
from testbed.errors import BadInput
from testbed.model.traces.generators import random_walk

from .scenes import pair


class Paper:
    """A wiring that writes down what is set, and wakes who waits for so many changes."""

    def __init__(self) -> None:
        self.batches: list[list[LinkChange]] = []
        self.news = threading.Condition()

    def get(self, names):
        return [LinkState(name=name, up=True, forward=LinkPatch(), backward=LinkPatch()) for name in names]

    def set(self, changes, check_only=False):
        with self.news:
            self.batches.append(list(changes))
            self.news.notify()

    def wait(self, count: int) -> list[LinkChange]:
        with self.news:
            assert self.news.wait_for(lambda: sum(map(len, self.batches)) >= count, timeout=20)
            return [change for batch in self.batches for change in batch]


@pytest.fixture
def paper():
    return Paper()


@pytest.fixture
def player(paper):
    player = Player(paper)
    yield player
    player.close()


def track(link: str, times, delays, lap=None, end: Literal[0, 1] = 0) -> Track:
    patches = tuple(LinkPatch(delay=delay) for delay in delays)
    return Track(link=link, end=end, times=tuple(times), patches=patches, lap=lap)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.floats(0, 0.03), min_size=1, max_size=8).map(sorted), min_size=1, max_size=4))
def test_each_direction_gets_all_its_settings_in_their_order(moments):
    paper = Paper()
    player = Player(paper)  # pyright: ignore[reportArgumentType]
    tracks = [track(f"l{n}", times, range(len(times))) for n, times in enumerate(moments)]
    player.play(tracks, 0.0)
    changes = paper.wait(sum(map(len, moments)))
    player.close()
    for played in tracks:
        assert [change.patch for change in changes if change.link == played.link] == list(played.patches)


def test_what_is_due_together_is_one_batch(paper, player):
    player.play([track(f"l{n}", (0.02, 0.04), (1, 2)) for n in range(50)], 0.0)
    paper.wait(100)
    assert [len(batch) for batch in paper.batches] == [50, 50]


def test_a_lap_begins_anew_until_it_is_stopped(paper, player):
    player.play([track("l", (0.0, 0.002), (1, 2), lap=0.004)], 0.0)
    delays = [change.patch.delay for change in paper.wait(20)]
    assert delays[:20] == [1, 2] * 10
    assert player.state().playing == ("l",)
    player.stop(frozenset({"l"}), restore=False)
    assert player.state().playing == ()


def test_a_new_trace_takes_the_place_of_one_on_the_same_direction_alone(paper, player):
    player.play([track("l", (0.0, 30.0), (1, 2)), track("l", (0.0, 30.0), (3, 4), end=1)], 0.0)
    paper.wait(2)
    player.play([track("l", (0.0,), (5,))], 0.0)
    assert paper.wait(3)[2].patch == LinkPatch(delay=5)
    assert player.state().playing == ("l",)
    player.stop(frozenset(), restore=False)


def test_stopping_gives_back_what_was_before_the_first_trace(paper, player):
    player.play([track("l", (0.0,), (1,))], 0.0)
    paper.wait(1)
    player.stop(frozenset({"other"}), restore=True)
    player.stop(frozenset({"l"}), restore=True)
    assert paper.wait(2)[1] == LinkChange(link="l", end=0, patch=LinkPatch())


def test_what_is_refused_on_the_way_is_told_and_ends_that_trace(player, paper, monkeypatch):
    def refuse(changes, check_only=False):
        raise BadInput("no such thing")

    monkeypatch.setattr(paper, "set", refuse)
    player.play([track("l", (0.0, 0.01), (1, 2))], 0.0)
    seen = threading.Event()
    while not player.state().failed:
        seen.wait(0.005)
    assert player.state().failed == ("l: no such thing",)
    assert player.state().playing == ()


@pytest.mark.guest
def test_a_links_settings_follow_its_trace_and_come_back(guest_client):
    guest_client.call(pair(LinkPatch(delay=0.001, loss=0.25)))
    walk = random_walk(seconds=0.5, step=0.05, seed=3)
    guest_client.call(Play(tracks=tracks_of("wire", walk, [0])))
    pause = threading.Event()
    while (state := guest_client.call(PlayStatus())).playing:
        pause.wait(0.05)
    there = guest_client.call(GetLinks()).links[0]
    assert there.forward.delay == pytest.approx(walk.settings[-1].get("delay"), abs=1e-6)
    assert there.forward.loss == 0.25
    assert there.backward.delay == 0.0
    assert state.applied == len(walk.times)
    assert all(late >= 0 for late in state.late)
    guest_client.call(StopPlay(restore=True))
    assert guest_client.call(GetLinks()).links[0].forward.delay == 0.001


@pytest.mark.guest
def test_a_trace_that_cannot_be_played_is_refused_before_anything_is_set(guest_client):
    guest_client.call(pair(LinkPatch(delay=0.001)))
    good, wrong = LinkPatch(delay=0.5), LinkPatch(loss=2.0)
    with pytest.raises(BadInput, match=r"loss=2\.0"):
        guest_client.call(Play(tracks=(Track(link="wire", times=(0.0, 0.1), patches=(good, wrong)),)))
    with pytest.raises(BadInput, match=r"no link called 'wires'; did you mean 'wire'"):
        guest_client.call(Play(tracks=(Track(link="wires", times=(0.0,), patches=(good,)),)))
    assert guest_client.call(GetLinks()).links[0].forward.delay == 0.001
    assert guest_client.call(PlayStatus()).playing == ()
