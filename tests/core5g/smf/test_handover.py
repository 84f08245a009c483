"""Connected UEs that go from gNB to gNB with their sessions."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from core5g.nas.values import Tai
from core5g.ran import handover
from core5g.ran.errors import NoService
from core5g.ran.gnb import Gnb
from core5g.security import keys
from core5g.smf.session import State
from tests.core5g.network import CELL, FIRST, asynchronous
from tests.core5g.smf.test_sessions import attached
from tests.core5g.userplane import GATEWAYS, heard, udp, whole

KEY = (FIRST, 1)
WAYS = [handover.by_xn, handover.by_n2]


@asynccontextmanager
async def two_cells(**options):
    """A core and two gNBs."""
    async with whole(**options) as all_:
        other = Gnb(replace(CELL, name="gnb2", number=2), all_.plane(2))
        await other.start(all_.net.address)
        try:
            yield all_, other
        finally:
            other.stop()


def by(all_, host):
    """Tell whether packets go by a gNB."""
    session = all_.smf.sessions[KEY]
    return session.downlink and session.downlink.host == host and not session.lock.locked()


async def both_ways(all_, session, came):
    """Send a packet each way."""
    with all_.program() as program:
        session.send(udp(session.address, GATEWAYS[0].ip, (4000, program.getsockname()[1]), b"up"))
        data, there = await heard(program)
        assert data == b"up"
        program.sendto(b"down", there)
        assert (await asyncio.wait_for(came.get(), 5))[28:] == b"down"


@pytest.mark.parametrize("way", WAYS)
@asynchronous
async def test_a_ue_takes_its_sessions_along(way):
    async with two_cells() as (all_, other):
        ue, session, came = await attached(all_)
        before, address = all_.net.gnb, session.address
        await way(ue, other)
        assert ue.gnb is other
        there = all_.net.amf.by_imsi[FIRST]
        await all_.until(lambda: there.gnb is not None and there.gnb.name == "gnb2")
        await all_.until(lambda: not before.ues)
        await all_.until(lambda: by(all_, "127.0.8.2"))
        assert session.address == address
        await all_.until(lambda: not all_.endpoints[0].receivers)
        await both_ways(all_, session, came)
        assert all_.endpoints[0].counts["end_markers"] == 1
        await way(ue, before)
        await all_.until(lambda: by(all_, "127.0.8.1"))
        await both_ways(all_, session, came)
        await ue.sessions.release(1)
        await ue.deregister()
        await all_.until(lambda: not all_.net.amf.ues)


@pytest.mark.parametrize("way", WAYS)
@asynchronous
async def test_each_gnb_gets_a_key_that_the_one_before_does_not_know(way):
    async with two_cells() as (all_, other):
        ue, _, _ = await attached(all_)
        there = all_.net.amf.by_imsi[FIRST]
        first = ue.key
        await way(ue, other)
        await all_.until(lambda: there.gnb is not None and there.gnb.name == "gnb2")
        assert there.security
        assert ue.key == keys.next_hop(there.security.key, first)
        assert there.hop[0] == 1


@pytest.mark.parametrize("way", WAYS)
@asynchronous
async def test_no_packet_is_lost_on_the_way(way):
    async with two_cells() as (all_, other):
        ue, session, came = await attached(all_)
        with all_.program() as program:
            moving = None
            for number in range(200):
                program.sendto(number.to_bytes(2, "big"), (str(session.address), 4000))
                if number == 50:
                    moving = asyncio.ensure_future(way(ue, other))
                await asyncio.sleep(0)
            assert moving
            await moving
            got = [await asyncio.wait_for(came.get(), 5) for _ in range(200)]
        assert sorted(int.from_bytes(one[28:], "big") for one in got) == list(range(200))


@asynchronous
async def test_a_ue_stays_where_it_is_if_the_other_gnb_is_not_known():
    async with two_cells() as (all_, _):
        ue, session, came = await attached(all_)
        stranger = Gnb(replace(CELL, name="gnb3", number=3))
        with pytest.raises(NoService, match="unknown-targetID"):
            await handover.by_n2(ue, stranger)
        assert ue.gnb is all_.net.gnb
        await both_ways(all_, session, came)


@asynchronous
async def test_a_ue_stays_where_it_is_if_the_other_gnb_refuses():
    async with two_cells() as (all_, other):
        ue, session, came = await attached(all_)
        moving = asyncio.ensure_future(handover.by_n2(ue, other))
        await asyncio.sleep(0)
        other.coming[next(iter(other.coming))] = None  # type: ignore[assignment]  # it will not have heard of it
        with pytest.raises(NoService, match="ho-target-not-allowed"):
            await moving
        assert ue.gnb is all_.net.gnb
        assert all_.net.amf.by_imsi[FIRST].handover is None
        await both_ways(all_, session, came)


@pytest.mark.parametrize("way", WAYS)
@asynchronous
async def test_a_ue_that_is_not_connected_is_not_handed_over(way):
    async with two_cells() as (all_, other):
        ue = all_.net.ue()
        await ue.register()
        with pytest.raises(NoService, match="no session that is active"):
            await way(ue, other)
        ue.idle()
        await all_.until(lambda: ue.number is None)
        with pytest.raises(NoService, match="not connected"):
            await way(ue, other)


@asynchronous
async def test_a_ue_that_comes_to_an_area_registers_there_with_its_sessions():
    async with two_cells() as (all_, other):
        ue, session, came = await attached(all_)
        ue.idle()
        await all_.until(lambda: ue.number is None)
        ue.gnb = other
        await ue.register(kind=2)
        assert ue.sessions.all == {1: session}
        await ue.connect()
        await ue.request_service()
        await all_.until(lambda: all_.smf.sessions[KEY].state is State.ACTIVE)
        await both_ways(all_, session, came)
        assert all_.net.amf.by_imsi[FIRST].area == Tai("00101", 7)
