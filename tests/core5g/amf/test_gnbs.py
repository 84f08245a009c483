"""gNBs call the embedded core; what is wrong with them is said, and no other suffers."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core5g.nas.values import Tai
from core5g.ngap import codec, values
from core5g.ngap.transport import connect
from core5g.ran.config import GnbConfig
from core5g.ran.errors import NoService
from core5g.ran.gnb import Gnb
from tests.core5g.network import AREA, CELL, EMBB, FIRST, OTHER, asynchronous, network


@pytest.mark.parametrize(
    ("cell", "cause"),
    [
        (GnbConfig("b", Tai("99970", 7), (EMBB,)), "misc unknown-PLMN-or-SNPN"),
        (GnbConfig("b", Tai("00101", 8), (EMBB,)), "misc unspecified"),
        (GnbConfig("b", AREA, (OTHER,)), "radioNetwork slice-not-supported"),
    ],
)
@asynchronous
async def test_a_gnb_that_does_not_fit_is_refused(cell, cause):
    async with network() as net:
        with pytest.raises(NoService, match=cause):
            await Gnb(cell).start(net.address)
        await net.ue().register()


@asynchronous
async def test_ues_of_a_gnb_that_is_gone_are_idle_and_come_back_by_another():
    async with network() as net:
        other = Gnb(replace(CELL, name="gnb2", number=2))
        await other.start(net.address)
        ue = net.ue()
        await ue.register()
        net.gnb.stop()
        there = net.amf.by_imsi[FIRST]
        await net.until(lambda: there.gnb is None)
        assert there.registered
        ue.gnb = other
        await ue.request_service()
        assert there.gnb is not None
        assert there.gnb.name == "gnb2"
        other.stop()


@asynchronous
async def test_a_gnb_that_calls_anew_takes_the_place_of_its_old_call():
    async with network() as net:
        again = Gnb(CELL)
        await again.start(net.address)
        await net.until(lambda: len(net.amf.gnbs) == 1)
        await net.ue(gnb=again).register()
        again.stop()


@asynchronous
async def test_a_registration_whose_gnb_dies_ends_and_leaves_nothing():
    async with network() as net:
        ue = net.ue()
        net.gnb.uplink = lambda *_: net.gnb.stop()  # type: ignore[assignment]  # at its first answer
        with pytest.raises(NoService, match="released"):
            await ue.register()
        await net.until(lambda: not net.amf.ues and not net.amf.gnbs)
        await net.until(lambda: net.amf.counts["connections_lost"] == 1)


class Raw:
    """An association whose messages a test writes itself."""

    def __init__(self, association):
        self.association, self.heard = association, asyncio.Queue()
        association.take = lambda data: self.heard.put_nowait(codec.decode(data))

    async def answer(self, data):
        self.association.send(data)
        return await asyncio.wait_for(self.heard.get(), 5)


@asynchronous
async def test_what_a_gnb_must_not_say_is_answered_with_the_standards_cause():
    async with network() as net:
        raw = Raw(await connect(net.address))
        early = await raw.answer(
            codec.encode("NGReset", {"Cause": ("misc", "unspecified"), "ResetType": ("nG-Interface", "reset-all")})
        )
        assert early == ("ErrorIndication", {"Cause": ("protocol", "message-not-compatible-with-receiver-state")})
        assert (await raw.answer(b"\xff")).ies == {"Cause": ("protocol", "transfer-syntax-error")}
        setup = await raw.answer(codec.encode("NGSetupRequest", Gnb(replace(CELL, number=9))._about_us()))
        assert setup.name == "NGSetupResponse"
        location = values.location_value(1, AREA)
        lost = {"AMF-UE-NGAP-ID": 77, "RAN-UE-NGAP-ID": 1, "NAS-PDU": b"x", "UserLocationInformation": location}
        unknown = await raw.answer(codec.encode("UplinkNASTransport", lost))
        assert unknown.ies == {"Cause": ("radioNetwork", "unknown-local-UE-NGAP-ID")}
        first = {
            "RAN-UE-NGAP-ID": 1, "NAS-PDU": b"\x7e\x00\x67", "UserLocationInformation": location,
            "RRCEstablishmentCause": "mo-Data",
        }  # fmt: skip
        assert (await raw.answer(codec.encode("InitialUEMessage", first))).ies == {
            "Cause": ("protocol", "semantic-error")
        }
        reset = await raw.answer(
            codec.encode("NGReset", {"Cause": ("misc", "unspecified"), "ResetType": ("nG-Interface", "reset-all")})
        )
        assert reset.name == "NGResetAcknowledge"
        raw.association.close()
        await net.ue().register()


@asynchronous
async def test_a_reset_makes_its_ues_idle_and_no_others():
    async with network() as net:
        other = Gnb(replace(CELL, name="gnb2", number=2))
        await other.start(net.address)
        here, there = net.ue(), net.ue("001010000000002", gnb=other)
        await here.register()
        await there.register()
        net.gnb.send("NGReset", {"Cause": ("misc", "unspecified"), "ResetType": ("nG-Interface", "reset-all")})
        await net.until(lambda: net.amf.by_imsi[FIRST].gnb is None)
        assert net.amf.by_imsi["001010000000002"].gnb is not None
        other.stop()


VALID = [
    codec.encode("NGSetupRequest", Gnb(replace(CELL, number=9))._about_us()),
    codec.encode(
        "InitialUEMessage",
        {
            "RAN-UE-NGAP-ID": 1,
            "NAS-PDU": bytes.fromhex("7e004179000d0100f110f0ff0000000000000000102e02f0f0"),
            "UserLocationInformation": values.location_value(1, AREA),
            "RRCEstablishmentCause": "mo-Signalling",
        },
    ),
]


@st.composite
def spoiled(draw):
    """A valid message with some bits turned or its end cut off, or any bytes."""
    if draw(st.booleans()):
        return draw(st.binary(min_size=1, max_size=200))
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, 8 * len(data) - 1))
        data[at // 8] ^= 1 << at % 8
    return bytes(data[: draw(st.integers(1, len(data)))])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(spoiled(), min_size=1, max_size=20))
def test_a_hostile_gnb_harms_no_other(messages):
    async def run():
        async with network() as net:
            evil = await connect(net.address)
            for data in [VALID[0], *messages]:
                evil.send(data)
            ue = net.ue()
            await ue.register()
            await ue.deregister()
            evil.close()
            await net.until(lambda: len(net.amf.gnbs) == 1 and not net.amf.ues)

    asyncio.run(run())
