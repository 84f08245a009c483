"""Traces played on links: by a wiring that only writes down, and in a real kernel with netem."""

import math
import threading
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.emulator.lower import tracks_of
from testbed.emulator.messages import GetLinks, LinkChange, LinkState, SetLinks
from testbed.emulator.netem import Netem
from testbed.emulator.patch import GilbertElliott, LinkPatch
from testbed.emulator.playback import Player
from testbed.emulator.playing import Play, PlayStatus, StopPlay, Track, lateness
from testbed.errors import BadInput
from testbed.model.traces.generators import random_walk
from testbed.model.traces.track import track_of

from .scenes import pair

OWN = Netem(delay=0.1, jitter=0.01, loss=0.02).patch()


class Paper:
    """A wiring that writes down what is set, and wakes who waits for so many changes."""

    def __init__(self) -> None:
        self.batches: list[list[LinkChange]] = []
        self.news = threading.Condition()

    def asked(self, names):
        return [LinkState(name=name, up=True, forward=OWN, backward=OWN) for name in names]

    def impair(self, ways):
        self.impaired = set(ways)

    def work_out(self, changes):
        return changes

    def carry_out(self, changes):
        self.set(changes)

    def set(self, changes, check_only=False):
        with self.news:
            self.batches += [] if check_only else [list(changes)]
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


def play_to_the_end(player, paper, *tracks):
    before = sum(map(len, paper.batches))
    player.play(tracks, 0.0)
    return paper.wait(before + sum(len(track.times) for track in tracks))[before:]


def test_stopping_gives_back_what_the_traces_set_and_nothing_else(paper, player):
    play_to_the_end(player, paper, track("l", (0.0,), (1,)))
    play_to_the_end(player, paper, Track(link="l", times=(0.0,), patches=(LinkPatch(rate=5e6),)))
    player.stop(frozenset({"other"}), restore=True)
    player.stop(frozenset({"l"}), restore=True)
    assert paper.wait(3)[2] == LinkChange(link="l", end=0, patch=LinkPatch(delay=0.1, rate=None))


def test_waits_are_on_top_of_the_links_own_delay(paper, player):
    waiting = Track(
        link="l", times=(0.0, 0.0, 0.0), patches=(LinkPatch(),) * 2 + (LinkPatch(delay=1.0),), waits=(0, 2, 3)
    )
    for _ in range(2):  # of the second run, too: what the first left is not the link's own
        assert [c.patch.delay for c in play_to_the_end(player, paper, waiting)] == pytest.approx([0.1, 2.1, 4.0])


def test_what_a_trace_sets_is_refused_to_others_while_it_plays(paper, player):
    player.play([track("l", (0.0, 30.0), (1, 2))], 0.0)
    wanted = [LinkChange(link="l", patch=LinkPatch(loss=0.5)), LinkChange(link="l", end=1, patch=LinkPatch(delay=2.0))]
    player.claim([*wanted, LinkChange(link="l", up=False)])
    with pytest.raises(
        BadInput, match="l forward: a trace that plays there sets delay; end it first, `testbed trace stop l`"
    ):
        player.claim([LinkChange(link="l", patch=LinkPatch(loss=0.1, delay=0.0))])


def test_what_others_set_after_a_trace_stays_when_its_doing_is_undone(paper, player):
    both = Track(link="l", times=(0.0,), patches=(LinkPatch(delay=1.0, loss=0.5),))
    play_to_the_end(player, paper, both)
    player.claim([LinkChange(link="l", patch=LinkPatch(delay=7.0))], check_only=True)
    player.claim([LinkChange(link="l", patch=LinkPatch(loss=0.7))])
    player.stop(frozenset(), restore=True)
    assert paper.batches[-1] == [LinkChange(link="l", patch=LinkPatch(delay=0.1))]


def test_links_are_made_ready_before_the_first_setting(paper, player):
    player.play([track("l", (30.0,), (1,)), track("m", (30.0,), (1,), end=1)], 0.0)
    assert paper.impaired == {("l", 0), ("m", 1)}


@given(st.dictionaries(st.integers(-500, 10**7), st.integers(1, 50), min_size=1, max_size=20))
def test_lateness_is_that_of_the_settings_one_by_one(late):
    each = sorted(value for value, count in late.items() for _ in range(count))
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    expected = {name: each[math.ceil(len(each) * share - 1e-9) - 1] / 1e6 for name, share in ranks.items()}
    assert lateness(late) == pytest.approx(expected)
    assert lateness({}) == {}


def test_what_is_refused_on_the_way_is_told_and_ends_that_trace(player, paper, monkeypatch):
    def refuse(changes, check_only=False):
        if not check_only:
            raise BadInput("no such thing")

    monkeypatch.setattr(paper, "set", refuse)
    player.play([track("l", (0.0, 0.01), (1, 2))], 0.0)
    seen = threading.Event()
    while not player.state().failed:
        seen.wait(0.005)
    assert player.state().failed == ("l: no such thing",)
    assert player.state().playing == ()


def ended(client):
    """Wait until nothing plays."""
    pause = threading.Event()
    while (state := client.call(PlayStatus())).playing:
        pause.wait(0.05)
    return state


@pytest.mark.guest
def test_a_links_settings_follow_its_trace_and_come_back(guest_client):
    guest_client.call(pair(LinkPatch(delay=0.001, loss=0.25)))
    walk = random_walk(seconds=0.5, step=0.05, seed=3)
    guest_client.call(Play(tracks=tracks_of("wire", walk, [0])))
    state = ended(guest_client)
    there = guest_client.call(GetLinks()).links[0]
    assert there.forward.delay == pytest.approx(walk.settings[-1].get("delay"), abs=1e-6)
    assert there.forward.loss == 0.25
    assert there.backward.delay == 0.0
    assert state.applied == len(walk.times) == sum(state.late.values())
    assert -0.001 < lateness(state.late)["p50"] < 0.5
    guest_client.call(StopPlay(restore=True))
    assert guest_client.call(GetLinks()).links[0].forward.delay == 0.001


@pytest.mark.guest
def test_a_link_under_trace_keeps_its_other_settings_to_itself(guest_client):
    burst = GilbertElliott(p=0.01, r=0.1)
    guest_client.call(pair(LinkPatch(delay=0.01, burst=burst)))
    lossy = track_of([(0.0, {"loss": 0.5, "wait": 0.002}), (60.0, {"loss": 0.0})])
    guest_client.call(Play(tracks=tracks_of("wire", lossy, [0])))
    with pytest.raises(BadInput, match="wire forward: a trace that plays there sets delay; end it first"):
        guest_client.call(SetLinks(changes=(LinkChange(link="wire", patch=LinkPatch(delay=0.5)),)))
    guest_client.call(SetLinks(changes=(LinkChange(link="wire", patch=LinkPatch(rate=8e6)),)))
    with pytest.raises(BadInput, match="no link called 'wires'"):
        guest_client.call(StopPlay(links=("wires",), restore=True))
    now = guest_client.call(GetLinks()).links[0].forward
    assert (now.loss, now.burst, now.delay) == (pytest.approx(0.5), None, pytest.approx(0.012))
    guest_client.call(StopPlay(links=("wire",), restore=True))
    now = guest_client.call(GetLinks()).links[0].forward
    assert (now.loss, now.delay, now.rate) == (0.0, pytest.approx(0.01), 8e6)
    assert now.burst == burst


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
