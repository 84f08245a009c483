import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.patch import GilbertElliott, LinkPatch
from testbed.emulator.settings import read_patch, write_patch
from testbed.errors import BadInput

shares = st.integers(0, 10_000).map(lambda n: n / 10_000)
times = st.integers(0, 5_000_000).map(lambda n: n / 1e6)
patches = st.builds(
    LinkPatch,
    delay=times,
    jitter=times,
    loss=shares,
    duplicate=shares,
    distribution=st.sampled_from(["uniform", "normal", "pareto", "paretonormal"]),
    rate=st.none() | st.integers(1, 400_000).map(lambda n: n * 1000.0),
    limit=st.none() | st.integers(1, 100_000),
    burst=st.none() | st.builds(GilbertElliott, p=shares, r=shares, bad_loss=shares, good_loss=shares),
)


@given(patches)
def test_what_is_written_is_read_back(patch):
    again = read_patch(write_patch(patch, only=patch))
    for field in ("distribution", "limit"):
        assert getattr(again, field) == getattr(patch, field)
    for field in ("delay", "jitter", "loss", "duplicate"):
        assert getattr(again, field) == pytest.approx(getattr(patch, field), rel=1e-5)
    assert (again.rate is None) == (patch.rate is None)
    assert again.rate is None or again.rate == pytest.approx(patch.rate, rel=1e-5)
    assert (again.burst is None) == (patch.burst is None)


def test_only_what_is_named_is_set():
    assert read_patch(["loss=1%"]) == LinkPatch(loss=0.01)


def test_zero_and_none_take_away():
    assert read_patch(["loss=0", "rate=none", "burst=none"]) == LinkPatch(loss=0.0, rate=None, burst=None)


def test_what_is_at_rest_is_not_shown():
    assert write_patch(LinkPatch(delay=0.02, loss=0.0, rate=None, distribution="uniform")) == ["delay=20ms"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("dealy=1ms", "did you mean 'delay'"),
        ("delay", "KEY=VALUE"),
        ("delay=10", "with a unit"),
        ("delay=-1ms", "negative"),
        ("delay=nanms", "with a unit"),
        ("loss=101%", "0% to 100%"),
        ("loss=5", "with a unit"),
        ("rate=0bit", "rate=none"),
        ("limit=0", "above 0"),
        ("limit=1.5", "whole number"),
        ("burst=1%", "p/r"),
        ("distribution=norml", "did you mean 'normal'"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_was_expected(word, said):
    with pytest.raises(BadInput, match=said):
        read_patch([word])


def test_a_setting_given_twice_is_refused():
    with pytest.raises(BadInput, match="twice"):
        read_patch(["loss=1%", "loss=2%"])
