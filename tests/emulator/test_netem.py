import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.emulator import netem, netlink
from testbed.emulator.netem import Netem
from testbed.emulator.patch import GilbertElliott, LinkPatch
from testbed.errors import BadInput

quick = settings(deadline=None, max_examples=40)
WHOLE = 0xFFFFFFFF
shares = st.integers(0, 10_000).map(lambda n: n / 10_000)
times = st.integers(1, 2_000_000).map(lambda n: n / 1e6)
bursts = st.builds(GilbertElliott, p=shares, r=shares, bad_loss=shares, good_loss=shares)
whole: dict[str, Any] = {
    "delay": times,
    "jitter": times,
    "distribution": st.sampled_from(netem.DISTRIBUTIONS),
    "jitter_correlation": shares,
    "loss_correlation": shares,
    "duplicate": shares,
    "reorder": shares,
    "corrupt": shares,
    "rate": st.none() | st.integers(1, 12_500_000_000).map(lambda n: n * 8.0),
    "limit": st.none() | st.integers(1, 100_000),
}


def make(fields: dict[str, Any]) -> Netem:
    return Netem(**fields)


states = st.fixed_dictionaries({"loss": shares, **whole}).map(make) | st.fixed_dictionaries(
    {"burst": bursts, **whole}
).map(make)


def decode(state: Netem, new_distribution: bool = False) -> Any:
    request = netlink.netem(7, netem.encode(state, 1500, new_distribution))
    message: Any = tcmsg(
        struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0) + request.body
    )
    message.decode()
    assert message.get_attr("TCA_KIND") == "netem"
    return message.get_attr("TCA_OPTIONS")


@quick
@given(states)
def test_another_decoder_reads_what_was_meant(state):
    options = decode(state)
    correlations, reorder = options.get_attr("TCA_NETEM_CORR"), options.get_attr("TCA_NETEM_REORDER")
    assert options["loss"] == round(state.loss * WHOLE)
    assert options["duplicate"] == round(state.duplicate * WHOLE)
    assert correlations["delay_corr"] == round(state.jitter_correlation * WHOLE)
    assert correlations["loss_corr"] == round(state.loss_correlation * WHOLE)
    assert reorder["prob_reorder"] == round(state.reorder * WHOLE)
    assert options["gap"] == (1 if state.reorder else 0)
    assert options.get_attr("TCA_NETEM_CORRUPT")["prob_corrupt"] == round(state.corrupt * WHOLE)
    assert options.get_attr("TCA_NETEM_RATE")["rate"] == min(round((state.rate or 0) / 8), WHOLE)


@quick
@given(states)
def test_what_is_sent_is_what_is_read_back(state):
    again = netem.decode(netem.encode(state, 1500, False), state.distribution)
    assert again._replace(limit=state.limit, burst=None) == state._replace(burst=None)
    assert again.limit == netem.queue_limit(state, 1500)
    if state.burst is not None and again.burst is not None:
        assert structs.astuple(again.burst) == pytest.approx(structs.astuple(state.burst), abs=1e-8)


@quick
@given(states, states)
def test_a_full_patch_forgets_what_was_before(before, after):
    assert netem.merge(before, after.patch(), "l") == after


@quick
@given(states)
def test_everything_goes_back_to_nothing(state):
    nothing = netem.merge(state, Netem().patch(), "l")
    options = decode(nothing, new_distribution=True)
    assert nothing == Netem()
    assert options["loss"] == options["duplicate"] == options["gap"] == 0
    assert options.get_attr("TCA_NETEM_RATE")["rate"] == 0
    assert netem.LOSS not in netlink.attributes(netem.encode(nothing, 1500, False)[24:])


@quick
@given(states, shares)
def test_a_partial_patch_keeps_the_rest(state, duplicate):
    assert netem.merge(state, LinkPatch(duplicate=duplicate), "l") == state._replace(duplicate=duplicate)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (LinkPatch(delay=-0.001), "delay -0.001 s"),
        (LinkPatch(delay=math.nan), "delay nan s"),
        (LinkPatch(delay=math.inf), "delay inf s"),
        (LinkPatch(jitter=3.0), "jitter to 2.147"),
        (LinkPatch(loss=1.01), "loss=1.01"),
        (LinkPatch(loss=math.nan), "loss=nan"),
        (LinkPatch(corrupt=-0.1), "corrupt=-0.1"),
        (LinkPatch(rate=0.0), "rate 0.0 bit/s"),
        (LinkPatch(rate=math.nan), "rate nan"),
        (LinkPatch(limit=0), "limit 0"),
        (LinkPatch(reorder=0.1), "a delay above 0"),
        (LinkPatch(distribution="normall"), "did you mean 'normal'"),
        (LinkPatch(loss=0.1, burst=GilbertElliott(p=0.1, r=0.1)), "both loss and burst"),
        (LinkPatch(burst=GilbertElliott(p=1.1, r=0.1)), "fractions from 0 to 1"),
    ],
)
def test_what_no_link_can_do_is_refused(patch, expected):
    with pytest.raises(BadInput, match=expected) as refusal:
        netem.merge(Netem(), patch, "core1-core2 forward")
    assert "core1-core2 forward" in str(refusal.value)


def test_the_queue_holds_two_bandwidth_delay_products_and_never_less_than_1000():
    assert netem.queue_limit(Netem(delay=0.1, rate=100e6), 1500) == math.ceil(2 * 100e6 * 0.1 / 12000)
    assert netem.queue_limit(Netem(delay=0.001, rate=1e6), 1500) == 1000
    assert netem.queue_limit(Netem(limit=5), 1500) == 5


@pytest.mark.parametrize(("rate", "expected"), [(None, 0), (100e6, 0), (150e6, 0), (151e6, 100_000), (10e9, 100_000)])
def test_only_fast_links_let_packets_go_in_slots_and_a_slow_one_takes_them_away_again(rate, expected):
    options = netlink.attributes(netem.encode(Netem(rate=rate), 1500, False)[24:])
    assert struct.unpack("=qqiiqq", options[netem.SLOT]) == (expected, expected, 0, 0, 0, 0)


@pytest.mark.parametrize("distribution", netem.DISTRIBUTIONS)
def test_a_distribution_has_the_right_mean_and_spread(distribution):
    values = struct.unpack("=4096h", netem.table(distribution))
    mean = sum(values) / 4096 / 8192
    spread = math.sqrt(sum(v * v for v in values) / 4096) / 8192
    assert abs(mean) < 0.1
    # a table ends at four deviations, so that the long tail of Pareto's is cut
    assert spread == pytest.approx(1 / math.sqrt(3) if distribution == "uniform" else 1.0, rel=0.2)
