"""PFCP between two ends, over a network that loses, doubles and makes up messages."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.pfcp import codec, node
from core5g.pfcp.codec import Cause, Kind, Message
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.node import NoAnswer, Node, Rejected
from testbed.errors import AddressInUse
from tests.core5g.network import asynchronous

HERE = "127.0.6.1"
ABOUT = {"node_id": "smf", "recovery_time_stamp": 1}


@asynccontextmanager
async def two(handler=None):
    """An asking end and one that answers association requests."""
    asked = []

    def answer(message, peer):
        asked.append(message)
        if handler is not None:
            return handler(message, peer)
        return {"node_id": "upf", "cause": Cause.ACCEPTED}, None

    ends = Node({}), Node({Kind.ASSOCIATION_SETUP_REQUEST: answer})
    for end in ends:
        await end.start(HERE, 0)
    try:
        yield *ends, asked
    finally:
        for end in ends:
            end.stop()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(node, "AGAIN", 0.02)


@asynchronous
async def test_a_question_is_answered_and_a_heartbeat_tells_when_it_began():
    async with two() as (ours, theirs, asked):
        answer = await ours.accepted(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert answer.ies["node_id"] == "upf"
        assert asked[0].ies == ABOUT
        alive = await ours.request(theirs.address, Kind.HEARTBEAT_REQUEST, {"recovery_time_stamp": ours.started})
        assert alive.ies["recovery_time_stamp"] == theirs.started


@asynchronous
async def test_a_question_that_is_lost_is_asked_again(impatient):
    async with two() as (ours, theirs, asked):
        lost = 2
        send = ours._send

        def lossy(data, peer):
            nonlocal lost
            lost -= 1
            if lost < 0:
                send(data, peer)

        ours._send = lossy
        await ours.accepted(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert ours.counts["sent_again"] == 2
        assert len(asked) == 1


@asynchronous
async def test_a_question_whose_answer_is_lost_is_done_once(impatient):
    async with two() as (ours, theirs, asked):
        lost = 2
        send = theirs._send

        def lossy(data, peer):
            nonlocal lost
            lost -= 1
            if lost < 0:
                send(data, peer)

        theirs._send = lossy
        await ours.accepted(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert len(asked) == 1
        assert theirs.counts["answered_again"] == 2


@asynchronous
async def test_nobody_there_is_said_after_all_tries(impatient):
    async with two() as (ours, _, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind((HERE, 0))
            with pytest.raises(NoAnswer, match=r"no answer to association_setup_request after 4 requests"):
                await ours.request(deaf.getsockname(), Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert not ours._asked, "nothing is left of it"


@asynchronous
async def test_who_waits_is_told_when_it_ends():
    async with two() as (ours, _, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind((HERE, 0))
            waiting = asyncio.ensure_future(ours.request(deaf.getsockname(), Kind.HEARTBEAT_REQUEST, {}))
            await asyncio.sleep(0)
            ours.stop()
            with pytest.raises(NoAnswer, match="ends"):
                await waiting


@asynchronous
async def test_what_is_refused_says_why():
    def refuse(message, peer):
        raise PfcpError("full", Cause.NO_RESOURCES, 60)

    async with two(refuse) as (ours, theirs, _):
        with pytest.raises(Rejected, match="no resources") as caught:
            await ours.accepted(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert caught.value.cause == Cause.NO_RESOURCES
        answer = await ours.request(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert answer.ies == {"cause": Cause.NO_RESOURCES, "offending_ie": 60}


@asynchronous
async def test_a_question_that_is_not_for_it_gets_its_cause():
    async with two() as (ours, theirs, _):
        answer = await ours.request(theirs.address, Kind.SESSION_DELETION_REQUEST, {}, 5)
        assert (answer.ies["cause"], answer.seid) == (Cause.SERVICE_NOT_SUPPORTED, 0)


@asynchronous
async def test_an_answer_of_somebody_else_is_not_taken(impatient):
    async with two() as (ours, _, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:  # fmt: skip
            deaf.bind((HERE, 0))
            waiting = asyncio.ensure_future(ours.request(deaf.getsockname(), Kind.HEARTBEAT_REQUEST, {}))
            await asyncio.sleep(0)
            forged = Message(Kind.HEARTBEAT_RESPONSE, 1, {"recovery_time_stamp": 1})
            stranger.sendto(codec.encode(forged), ours.address)
            with pytest.raises(NoAnswer):
                await waiting


@asynchronous
async def test_two_cannot_have_one_address():
    async with two() as (ours, _, _):
        with pytest.raises(AddressInUse, match=HERE):
            await Node({}).start(*ours.address)


WHOLE = codec.encode(Message(Kind.ASSOCIATION_SETUP_REQUEST, 7, ABOUT))


def _flipped(at, bit):
    data = bytearray(WHOLE)
    data[at] ^= 1 << bit
    return bytes(data)


_HOSTILE = (
    st.binary(max_size=200)
    | st.builds(lambda cut: WHOLE[:cut], st.integers(0, len(WHOLE) - 1))
    | st.builds(_flipped, st.integers(0, len(WHOLE) - 1), st.integers(0, 7))
    | st.builds(lambda size: WHOLE + bytes(size), st.integers(1, 60_000))
)


@given(st.lists(_HOSTILE, max_size=20))
def test_whatever_comes_it_goes_on_and_keeps_nothing(datagrams):
    @asynchronous
    async def run():
        async with two() as (ours, theirs, _):
            for one in datagrams:
                theirs.datagram_received(one, ("127.0.6.2", 9))
            await ours.accepted(theirs.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
            assert not theirs._asked
            assert len(theirs._answered) <= len(datagrams) + 1

    run()  # type: ignore[unused-coroutine]  # it runs its own loop
