"""UEs and gNBs that talk nonsense about sessions: they hear a cause or nothing, and others do not notice."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core5g.nas import sessions as sm
from core5g.nas.codec import encode
from core5g.nas.flows import everything
from core5g.nas.mobility import UplinkTransport
from core5g.nas.values import Ambr
from core5g.ran.sessions import Sessions
from core5g.smf import changes
from core5g.smf.session import State
from tests.core5g.network import FIRST, asynchronous
from tests.core5g.smf.test_sessions import attached
from tests.core5g.userplane import GATEWAYS, heard, udp, whole

KEY = (FIRST, 1)
MESSAGES = [
    sm.SessionRequest(session=1, transaction=1, kind=1),
    sm.SessionRequest(session=2, transaction=2),
    sm.SessionAccept(session=1, kind=1, mode=1, rules=(everything(1),), ambr=Ambr(1, 1)),
    sm.SessionReject(session=1, cause=26),
    sm.ModificationRequest(session=1, transaction=3),
    sm.ModificationComplete(session=1),
    sm.ModificationCommandReject(session=1, cause=31),
    sm.ReleaseComplete(session=1),
    sm.ReleaseCommand(session=1, cause=36),
    sm.SessionStatus(session=1, cause=111),
]  # fmt: skip


class Deaf(Sessions):
    """A UE's sessions that hear nothing."""

    __slots__ = ()

    def downlink(self, transport):
        pass


def garbled(one, at, bit):
    data = bytearray(encode(one))
    data[at % len(data)] ^= 1 << bit
    return bytes(data)


CONTAINERS = (
    st.binary(max_size=80)
    | st.builds(encode, st.sampled_from(MESSAGES))
    | st.builds(lambda one, cut: encode(one)[:cut], st.sampled_from(MESSAGES), st.integers(0, 12))
    | st.builds(garbled, st.sampled_from(MESSAGES), st.integers(0, 60), st.integers(0, 7))
)
TRANSPORTS = st.builds(
    UplinkTransport,
    container=CONTAINERS,
    kind=st.sampled_from([1, 1, 1, 2, 15]),
    session=st.sampled_from([None, 0, 1, 2, 15, 255]),
    request=st.sampled_from([None, 1, 2, 3, 5, 7]),
    dnn=st.sampled_from([None, "internet", "nowhere"]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TRANSPORTS, max_size=12))
def test_whatever_a_ue_says_of_sessions_others_have_theirs(transports):
    @asynchronous
    async def run():
        async with whole() as all_:
            _, other, _ = await attached(all_, "001010000000002")
            ue = all_.net.ue()
            await ue.register()
            for one in transports:
                ue.send(one)
            await ue.deregister()
            await all_.until(lambda: list(all_.smf.sessions) == [("001010000000002", 1)])
            await all_.until(lambda: len(all_.upfs[0].sessions) == 1)
            with all_.program() as program:
                other.send(udp(other.address, GATEWAYS[0].ip, (4000, program.getsockname()[1]), b"here"))
                assert (await heard(program))[0] == b"here"

    run()  # type: ignore[unused-coroutine]  # it runs its own loop


@pytest.mark.parametrize("transfer", [b"", b"\xff", b"\x00" * 40, b"\x60" + bytes(range(30))])
@asynchronous
async def test_a_gnb_whose_answer_cannot_be_read_has_no_packets_and_the_session_can_go(transfer):
    async with whole() as all_:
        gnb, ue = all_.net.gnb, all_.net.ue()
        about = gnb.about

        def garble(number, name, ies):
            for one in ies.get("PDUSessionResourceSetupListSURes") or ():
                one["pDUSessionResourceSetupResponseTransfer"] = transfer
            about(number, name, ies)

        gnb.about = garble
        await ue.register()
        await ue.sessions.establish("internet")
        counts = all_.net.amf.counts, all_.smf.counts
        await all_.until(lambda: counts[0]["ngap_errors"] == 1 or counts[1]["resources_refused"] == 1)
        if counts[0]["ngap_errors"]:  # the whole message was none, so nobody knows of which session it was
            assert all_.smf.sessions[KEY].downlink is None
            await ue.sessions.release(1)
        await all_.until(lambda: not all_.smf.sessions and not ue.sessions.all)
        assert not all_.upfs[0].sessions
        gnb.about = about
        await ue.sessions.establish("internet")
        await all_.until(lambda: KEY in all_.smf.sessions and all_.smf.sessions[KEY].state is State.ACTIVE)


@asynchronous
async def test_a_ue_that_never_answers_loses_its_session_all_the_same():
    """Told five times, then it is over without it."""
    async with whole(again=0.05) as all_:
        ue, _, _ = await attached(all_)
        ue.sessions.__class__ = Deaf
        await changes.release(all_.smf, KEY)
        await all_.until(lambda: not all_.smf.sessions)
        assert all_.smf.counts["silent"] == 1
        assert not all_.net.amf.by_imsi[FIRST].sessions
