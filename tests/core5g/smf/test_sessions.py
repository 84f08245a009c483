"""PDU sessions, from UE to data network and back, through real tunnels and a real TUN device."""

import asyncio
from dataclasses import replace

import pytest

from core5g.nas import options
from core5g.nas.sessions import IPV4V6, IPV6
from core5g.nas.values import Ambr, Snssai
from core5g.ran.errors import NoService
from core5g.ran.gnb import Gnb
from core5g.smf import changes
from core5g.smf.causes import Cause
from core5g.smf.session import State
from core5g.udm.base import DnnSubscription, SliceSubscription, Subscription
from core5g.udm.memory import MemoryHome
from tests.core5g.network import CELL, EMBB, FIRST, RATE, URLLC, asynchronous, subscriber
from tests.core5g.userplane import GATEWAYS, heard, inbox, udp, whole

KEY = (FIRST, 1)


async def attached(all_, imsi=FIRST):
    """A UE that has a session, and what comes for it."""
    ue = all_.net.ue(imsi)
    await ue.register()
    session = await ue.sessions.establish("internet")
    await all_.until(lambda: all_.smf.sessions[imsi, 1].state is State.ACTIVE)
    return ue, session, inbox(session)


async def idle(all_, ue):
    """Have a UE idle, and its packets wait at the UPF."""
    ue.idle()
    await all_.until(lambda: ue.number is None)
    await all_.until(lambda: all_.smf.sessions[ue.config.imsi, 1].state is State.IDLE)
    await all_.until(lambda: all_.smf.sessions[ue.config.imsi, 1].lock.locked() is False)


@asynchronous
async def test_packets_go_both_ways_and_are_counted():
    async with whole() as all_:
        _, session, came = await attached(all_)
        assert session.address in GATEWAYS[0].network
        with all_.program() as program:
            port = program.getsockname()[1]
            assert session.send(udp(session.address, GATEWAYS[0].ip, (4000, port), b"up"))
            data, there = await heard(program)
            assert (data, there) == (b"up", (str(session.address), 4000))
            program.sendto(b"down", there)
            packet = await asyncio.wait_for(came.get(), 5)
            assert packet[28:] == b"down"
        used = await changes.volume(all_.smf, KEY)
        assert (used.uplink, used.uplink_packets, used.downlink, used.downlink_packets) == (30, 1, 32, 1)


@asynchronous
async def test_what_a_ue_asks_about_its_session_is_answered():
    async with whole() as all_:
        _, session, _ = await attached(all_)
        assert dict(session.options) == {options.MTU_V4: (1400).to_bytes(2, "big")}
        assert session.ambr == RATE
        assert session.flows[1].quality == 9
        assert session.slice == EMBB


@asynchronous
async def test_packets_for_an_idle_ue_wait_call_it_and_come_in_order():
    async with whole() as all_:
        ue, session, came = await attached(all_)
        await idle(all_, ue)
        with all_.program() as program:
            for number in range(5):
                program.sendto(bytes((number,)), (str(session.address), 4000))
            got = [await asyncio.wait_for(came.get(), 5) for _ in range(5)]
        assert [one[28] for one in got] == [0, 1, 2, 3, 4]
        assert ue.counts["pagings"] == 1
        assert all_.smf.counts["downlink_data"] == 1


@asynchronous
async def test_packets_of_an_idle_ue_wait_until_it_is_connected():
    async with whole() as all_:
        ue, session, _ = await attached(all_)
        await idle(all_, ue)
        with all_.program() as program:
            packet = udp(session.address, GATEWAYS[0].ip, (4000, program.getsockname()[1]), b"waited")
            assert not session.send(packet)
            ue.come_back()
            assert (await heard(program))[0] == b"waited"


@asynchronous
async def test_a_session_that_is_given_back_leaves_nothing():
    async with whole() as all_:
        ue, session, _ = await attached(all_)
        taken = all_.smf.anchor.upfs.all[0].pools["internet"].taken
        assert taken == {session.address}
        await ue.sessions.release(1)
        await all_.until(lambda: not all_.smf.sessions)
        assert not taken
        assert not all_.upfs[0].sessions
        assert not all_.upfs[0].datapath.endpoint.receivers
        assert not all_.net.amf.by_imsi[FIRST].sessions
        again = await ue.sessions.establish("internet")
        assert again.address != session.address, "what was given back is given again last"


@asynchronous
async def test_a_ue_that_leaves_has_no_sessions():
    async with whole() as all_:
        ue, _, _ = await attached(all_)
        await ue.deregister()
        await all_.until(lambda: not all_.smf.sessions)
        assert not all_.upfs[0].sessions


@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        ({"dnn": "elsewhere"}, "5GMM 91"),
        ({"one": URLLC}, "5GMM 90"),
        ({"dnn": "internet", "kind": IPV6}, "5GSM 50"),
        ({"dnn": "internet", "kind": 5}, "5GSM 28"),
        ({"dnn": "empty"}, "5GSM 27"),
    ],
)
@asynchronous
async def test_what_cannot_be_is_refused_with_its_cause(wanted, cause):
    dnns = {"internet": DnnSubscription(RATE), "empty": DnnSubscription(RATE)}
    may = Subscription(RATE, (SliceSubscription(EMBB, dnns),))
    async with whole(home=MemoryHome({FIRST: subscriber(subscription=may)})) as all_:
        ue = all_.net.ue()
        await ue.register()
        with pytest.raises(NoService, match=cause):
            await ue.sessions.establish(**wanted)
        assert not ue.sessions.all
        assert not all_.smf.sessions
        assert not all_.net.amf.by_imsi[FIRST].sessions
        assert (await ue.sessions.establish("internet")).address, "others go on"


@asynchronous
async def test_a_ue_that_could_have_both_kinds_of_addresses_gets_one_and_hears_so():
    async with whole() as all_:
        ue = all_.net.ue()
        await ue.register()
        session = await ue.sessions.establish("internet", kind=IPV4V6)
        assert session.address in GATEWAYS[0].network


@asynchronous
async def test_no_more_sessions_than_addresses():
    async with whole(subscribers=300) as all_:
        pool = all_.smf.anchor.upfs.all[0].pools["internet"]
        last = [pool.take() for _ in range(252)][-1]
        ue = all_.net.ue()
        await ue.register()
        await ue.sessions.establish("internet")
        with pytest.raises(NoService, match="5GSM 26"):
            await ue.sessions.establish("internet")
        pool.give_back(last)
        assert (await ue.sessions.establish("internet")).address == last


@asynchronous
async def test_an_address_that_is_promised_is_kept():
    mine = GATEWAYS[0].ip + 77
    may = Subscription(RATE, (SliceSubscription(EMBB, {"internet": DnnSubscription(RATE, address=mine)}),))
    async with whole(home=MemoryHome({FIRST: subscriber(subscription=may)})) as all_:
        _, session, _ = await attached(all_)
        assert session.address == mine


@asynchronous
async def test_the_network_takes_a_session_away():
    async with whole() as all_:
        ue, _, _ = await attached(all_)
        await changes.release(all_.smf, KEY, Cause.REGULAR)
        await all_.until(lambda: not ue.sessions.all)
        await all_.until(lambda: not all_.smf.sessions)
        assert ue.counts["reactivations"] == 0


@asynchronous
async def test_the_network_takes_a_session_away_from_an_idle_ue_by_calling_it():
    async with whole() as all_:
        ue, _, _ = await attached(all_)
        await idle(all_, ue)
        await changes.release(all_.smf, KEY, Cause.REGULAR)
        await all_.until(lambda: not ue.sessions.all and not all_.smf.sessions)
        assert ue.counts["pagings"] == 1


@asynchronous
async def test_a_rate_that_is_changed_holds_for_the_ue_and_at_the_upf():
    async with whole() as all_:
        _, session, _ = await attached(all_)
        slow = Ambr(80_000, 80_000)
        await changes.change_rate(all_.smf, KEY, slow)
        await all_.until(lambda: all_.smf.counts["changes_made"] == 1)
        assert session.ambr == slow
        with all_.program() as program:
            packet = udp(session.address, GATEWAYS[0].ip, (4000, program.getsockname()[1]), bytes(1000))
            for _ in range(100):
                session.send(packet)
            await all_.until(lambda: all_.upfs[0].datapath.endpoint.counts["in"] == 100)
            passed = (await changes.volume(all_.smf, KEY)).uplink_packets
            assert 20 <= passed <= 40, "30 kB at once, and 10 kB a second"
            assert all_.upfs[0].datapath.counts["over_rate"] == 100 - passed


@asynchronous
async def test_sessions_of_a_upf_that_is_gone_are_set_up_anew_elsewhere():
    async with whole(upfs=2) as all_:
        ue, session, _ = await attached(all_)
        assert session.address in GATEWAYS[0].network
        await all_.upfs[0].stop()
        await all_.until(lambda: ue.counts["reactivations"] == 1)
        moved = ue.sessions.all[1]
        assert moved.address in GATEWAYS[1].network
        came = inbox(moved)
        await all_.until(lambda: all_.smf.sessions[KEY].state is State.ACTIVE)
        with all_.program(upf=1) as program:
            moved.send(udp(moved.address, GATEWAYS[1].ip, (4000, program.getsockname()[1]), b"here"))
            data, there = await heard(program)
            assert data == b"here"
            program.sendto(b"and back", there)
            assert (await asyncio.wait_for(came.get(), 5))[28:] == b"and back"


@asynchronous
async def test_a_gnb_that_has_forgotten_a_tunnel_has_its_ue_called():
    async with whole() as all_:
        ue, session, came = await attached(all_)
        del all_.endpoints[0].receivers[session.teid]
        await idle_unknown(all_, ue, session)
        with all_.program() as program:
            program.sendto(b"again", (str(session.address), 4000))
            assert (await asyncio.wait_for(came.get(), 5))[28:] == b"again"


async def idle_unknown(all_, ue, session):
    """Send into a tunnel that is not there, with a UE that its gNB has lost but the core has not."""
    with all_.program() as program:
        program.sendto(b"lost", (str(session.address), 4000))
        await all_.until(lambda: all_.smf.counts["tunnels_lost"] == 1)
    await all_.until(lambda: all_.smf.sessions[KEY].state is State.IDLE)
    ue.idle()
    await all_.until(lambda: ue.number is None)


@asynchronous
async def test_a_ue_may_only_send_from_its_own_address():
    async with whole() as all_:
        _, session, _ = await attached(all_)
        with all_.program() as program:
            ports = (4000, program.getsockname()[1])
            session.send(udp(session.address + 1, GATEWAYS[0].ip, ports, b"spoofed"))
            session.send(udp(session.address, GATEWAYS[0].ip, ports, b"own"))
            assert (await heard(program))[0] == b"own"
        assert all_.upfs[0].datapath.counts["spoofed"] == 1


@asynchronous
async def test_sessions_of_many_ues_are_kept_apart():
    async with whole(subscribers=20) as all_:
        both = [await attached(all_, f"{int(FIRST) + n:015d}") for n in range(20)]
        with all_.program() as program:
            for _, session, _ in both:
                program.sendto(session.address.packed, (str(session.address), 4000))
            for _, session, came in both:
                assert (await asyncio.wait_for(came.get(), 5))[28:] == session.address.packed
                assert came.empty()


@asynchronous
async def test_a_gnb_that_is_gone_leaves_its_ues_idle_and_they_come_back_by_another():
    async with whole() as all_:
        ue, session, came = await attached(all_)
        all_.net.gnb.stop()
        await all_.until(lambda: ue.number is None)
        other = Gnb(replace(CELL, name="gnb2", number=2), all_.plane(2))
        await other.start(all_.net.address)
        ue.gnb = other
        await ue.request_service()
        await all_.until(lambda: all_.smf.sessions[KEY].state is State.ACTIVE)
        with all_.program() as program:
            program.sendto(b"there", (str(session.address), 4000))
            assert (await asyncio.wait_for(came.get(), 5))[28:] == b"there"
        other.stop()


@asynchronous
async def test_a_slice_that_the_ue_did_not_register_for_is_not_forwarded():
    async with whole() as all_:
        ue = all_.net.ue()
        await ue.register()
        with pytest.raises(NoService, match="5GMM 90"):
            await ue.sessions.establish("internet", Snssai(9))
