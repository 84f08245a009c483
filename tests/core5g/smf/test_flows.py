"""QoS flows: packets of a session that are treated in another way than the rest."""

import asyncio
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.gtpu import header
from core5g.nas.filters import ANY, Filter, of_components, of_text
from core5g.nas.values import Ambr
from core5g.smf import changes
from core5g.smf.session import Flow
from core5g.udm.base import Quality
from testbed.errors import BadInput
from tests.core5g.network import FIRST, asynchronous
from tests.core5g.smf.test_sessions import attached
from tests.core5g.userplane import GATEWAYS, udp, whole

KEY = (FIRST, 1)
FAST = Flow(5, Quality(5), (of_text("permit out udp from any 7000-7010 to assigned"),))


def flows_seen(upf):
    """QFIs of what gNBs and UPF sent each other, as the UPF has counted them."""
    return {key for key, size in upf.datapath.volumes.items() if size}


@asynchronous
async def test_packets_of_a_flow_travel_in_it_both_ways():
    async with whole() as all_:
        _, session, came = await attached(all_)
        await changes.add_flow(all_.smf, KEY, FAST)
        await all_.until(lambda: all_.smf.counts["changes_made"] == 1)
        session.send(udp(session.address, GATEWAYS[0].ip, (4000, 7005), b"fast"))
        session.send(udp(session.address, GATEWAYS[0].ip, (4000, 6999), b"slow"))
        await all_.until(lambda: all_.upfs[0].datapath.endpoint.counts["in"] == 2)
        assert flows_seen(all_.upfs[0]) >= {("in", 5), ("in", 1)}
        with all_.program() as program:
            program.sendto(b"slow", (str(session.address), 4000))
            await asyncio.wait_for(came.get(), 5)
        assert ("out", 5) not in flows_seen(all_.upfs[0])
        with all_.program(port=7000) as program:
            program.sendto(b"fast", (str(session.address), 4000))
            await asyncio.wait_for(came.get(), 5)
        assert ("out", 5) in flows_seen(all_.upfs[0])


@asynchronous
async def test_a_flow_that_is_taken_away_leaves_its_packets_to_the_default_one():
    async with whole() as all_:
        _, session, came = await attached(all_)
        await changes.add_flow(all_.smf, KEY, FAST)
        await changes.remove_flow(all_.smf, KEY, 5)
        await all_.until(lambda: not session.flows.keys() - {1})
        assert session.flow_of(udp(session.address, GATEWAYS[0].ip, (4000, 7005), b"")) == 1
        with all_.program(port=7000) as program:
            program.sendto(b"slow", (str(session.address), 4000))
            await asyncio.wait_for(came.get(), 5)
        assert flows_seen(all_.upfs[0]) == {("out", 1)}
        assert len(all_.upfs[0].sessions[1].rules.pdrs) == 2


@asynchronous
async def test_flows_that_cannot_be_are_refused():
    async with whole() as all_:
        await attached(all_)
        for wrong in (Flow(1, Quality(5), FAST.filters), Flow(64, Quality(5), FAST.filters), Flow(5, Quality(5))):
            with pytest.raises(BadInput, match="flow"):
                await changes.add_flow(all_.smf, KEY, wrong)
        with pytest.raises(BadInput, match="no session 2"):
            await changes.add_flow(all_.smf, (FIRST, 2), FAST)
        with pytest.raises(BadInput, match="flow 9"):
            await changes.remove_flow(all_.smf, KEY, 9)


@asynchronous
async def test_a_guaranteed_flow_is_told_to_ue_and_gnb():
    async with whole() as all_:
        _, session, _ = await attached(all_)
        voice = Flow(2, Quality(1, 2), (of_text("permit out udp from 10.9.0.0/16 to assigned"),), Ambr(64_000, 64_000))
        await changes.add_flow(all_.smf, KEY, voice)
        await all_.until(lambda: all_.smf.counts["changes_made"] == 1)
        told = session.flows[2]
        assert (told.quality, told.guaranteed_downlink, told.maximum_uplink) == (1, 64_000, 64_000)


@asynchronous
async def test_packets_of_a_quality_are_marked_for_the_transport_network():
    """5QI 9 is best effort in this core, 5QI 5 is class 46; both ends of the tunnel mark what they send."""
    async with whole() as all_:
        ue, session, _ = await attached(all_)
        assert session.tos == {1: 0}
        there = all_.upfs[0].sessions[1].rules.fars[2]
        assert there.tos == 0
        voice = Quality(5)
        all_.smf.sessions[KEY].quality = voice
        ue.idle()
        await all_.until(lambda: ue.number is None)
        await ue.request_service()
        await all_.until(lambda: all_.upfs[0].sessions[1].rules.fars[2].tos == 46 << 2)


@given(
    st.builds(
        Filter,
        st.none() | st.integers(0, 255),
        st.builds(
            lambda number, length: IPv4Network((number, length), strict=False),
            st.integers(0, 2**32 - 1),
            st.integers(0, 32),
        ),
        st.just(ANY) | st.tuples(st.integers(0, 100), st.integers(100, 65534)),
        st.just(ANY) | st.tuples(st.integers(0, 100), st.integers(100, 65534)),
    )
)
def test_a_filter_says_the_same_on_every_wire(one):
    assert of_components(one.components()) == one
    assert of_text(one.text()) == one


@given(st.binary(max_size=60))
def test_any_components_are_a_filter_or_none(data):
    found = of_components(data)
    assert found is None or of_components(found.components()) == found


@pytest.mark.parametrize("text", ["", "deny out ip from any to assigned", "permit out ip from 10.0.0.0/40 to assigned",
    "permit out udp from any 9-3 to assigned", "permit out warp from any to assigned", "permit out 999 from any to any",
    "permit out ip from 2001:db8::/32 to assigned"])  # fmt: skip
def test_what_is_no_filter_is_refused_with_an_example(text):
    with pytest.raises(BadInput):
        of_text(text)


@given(st.binary(max_size=80), st.booleans())
def test_filters_look_at_any_bytes(data, downlink):
    one = of_text("permit out udp from 10.0.0.0/8 7000 to assigned 1-9")
    if data:
        one.matches(data, downlink)


def test_headers_are_read_as_they_are_written():
    for qfi in (None, 0, 9, 63):
        data = header.head(7, 3, qfi, downlink=True) + b"abc"
        found = header.read(data)
        assert found is not None
        assert (found.kind, found.teid, found.qfi, data[found.at : found.end]) == (header.PACKET, 7, qfi, b"abc")
