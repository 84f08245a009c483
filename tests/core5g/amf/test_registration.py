"""UEs register with the embedded core, or hear why not."""

import asyncio
from dataclasses import replace

import pytest

from core5g.nas import mobility as mm
from core5g.nas.errors import NasError
from core5g.nas.values import Capability, Snssai
from core5g.ran.config import HomeKey
from core5g.ran.errors import NoService
from core5g.security import keys, suci
from core5g.security.milenage import Milenage
from core5g.security.vectors import Usim
from core5g.udm.memory import MemoryHome
from tests.core5g.network import (
    CELL,
    CORE,
    EMBB,
    FIRST,
    KEY,
    OPC,
    OTHER,
    URLLC,
    asynchronous,
    network,
    subscriber,
)
from tests.core5g.security.test_suci import HOMES, public_bytes

SECOND = "001010000000002"


@asynchronous
async def test_a_ue_registers_and_both_sides_have_the_same():
    async with network() as net:
        ue = net.ue()
        await ue.register()
        there = net.amf.by_imsi[FIRST]
        await net.until(lambda: net.amf.counts["registrations"] == 1)
        assert ue.registered
        assert ue.guti == there.guti
        assert ue.slices == (EMBB,), "what it has without asking"
        assert ue.security
        assert there.security
        assert ue.security.key == there.security.key
        assert ue.key == keys.k_gnb(there.security.key, there.start), "K_gNB at its gNB"
        assert (ue.security.ciphering, ue.security.integrity) == (2, 2), "the best that both have"


@pytest.mark.parametrize("scheme", [suci.PROFILE_A, suci.PROFILE_B])
@asynchronous
async def test_a_concealed_identity_is_revealed_by_its_home_alone(scheme):
    home = MemoryHome({FIRST: subscriber()}, {5: (scheme, HOMES[scheme])})
    async with network(home=home) as net:
        ue = net.ue(concealed=HomeKey(scheme, 5, public_bytes(scheme)))
        assert FIRST[5:].encode() not in ue.suci().output
        await ue.register()
        assert FIRST in net.amf.by_imsi
        stranger = net.ue(concealed=HomeKey(scheme, 6, public_bytes(scheme)))
        with pytest.raises(NoService, match="5GMM 3"):
            await stranger.register()


@pytest.mark.parametrize("ciphering", [0, 1, 2, 3])
@pytest.mark.parametrize("integrity", [1, 2, 3])
@asynchronous
async def test_every_pair_of_algorithms(ciphering, integrity):
    async with network(replace(CORE, ciphering=(ciphering,), integrity=(integrity,))) as net:
        ue = net.ue()
        await ue.register()
        assert ue.security
        assert (ue.security.ciphering, ue.security.integrity) == (ciphering, integrity)
        ue.idle()
        await net.until(lambda: ue.number is None)
        await ue.request_service()
        await ue.deregister()


@asynchronous
async def test_a_ue_without_the_cores_algorithms_is_refused():
    async with network(replace(CORE, integrity=(3,))) as net:
        with pytest.raises(NoService, match="5GMM 23"):
            await net.ue(capability=Capability(0xE0, 0x60)).register()


@asynchronous
async def test_integrity_of_nothing_is_never_agreed_on():
    async with network() as net:
        with pytest.raises(NoService, match="5GMM 23"):
            await net.ue(capability=Capability(0x80, 0x80)).register()


@asynchronous
async def test_slices_are_those_that_are_asked_for_and_allowed():
    async with network() as net:
        ue = net.ue(slices=(URLLC, OTHER))
        await ue.register()
        assert ue.slices == (URLLC,)


@pytest.mark.parametrize("asked", [(OTHER,), (Snssai(2),)])
@asynchronous
async def test_without_any_slice_nobody_is_let_in(asked):
    async with network() as net:
        with pytest.raises(NoService, match="5GMM 62"):
            await net.ue(slices=asked).register()
        await net.until(lambda: not net.amf.ues)


@asynchronous
async def test_a_slice_that_the_gnb_lacks_is_not_given():
    async with network(cell=replace(CELL, slices=(EMBB,))) as net:
        with pytest.raises(NoService, match="5GMM 62"):
            await net.ue(slices=(URLLC,)).register()


@asynchronous
async def test_who_is_not_known_is_refused():
    async with network() as net:
        with pytest.raises(NoService, match="5GMM 3"):
            await net.ue("001019999999999").register()
        await net.until(lambda: not net.amf.ues)
        assert net.amf.counts["initial_refused_3"] == 1


@asynchronous
async def test_a_full_core_says_so():
    async with network(replace(CORE, most=1)) as net:
        await net.ue().register()
        with pytest.raises(NoService, match="5GMM 22"):
            await net.ue(SECOND).register()


@asynchronous
async def test_a_sim_with_another_key_does_not_believe_the_network():
    async with network() as net:
        with pytest.raises(NoService, match="AuthenticationReject"):
            await net.ue(sim=Milenage(bytes(16), OPC)).register()
        assert net.amf.counts["authentication_failures_20"] == 3
        assert FIRST not in net.amf.by_imsi


class Liar:
    """A SIM that takes any network for its own, and answers with other keys."""

    def respond(self, rand, autn, network):
        return replace(Usim(Milenage(KEY, OPC)).respond(rand, autn, network), res_star=bytes(16))


@asynchronous
async def test_a_wrong_answer_is_rejected():
    async with network() as net:
        ue = net.ue()
        ue.usim = Liar()  # type: ignore[assignment]
        with pytest.raises(NoService, match="AuthenticationReject"):
            await ue.register()
        assert net.amf.counts["authentications_refused"] == 1


@asynchronous
async def test_a_home_that_lost_its_count_takes_up_the_sims():
    async with network() as net:
        ue = net.ue()
        ue.usim = Usim(Milenage(KEY, OPC), last=100_000 * 32)
        await ue.register()
        assert net.home.subscribers[FIRST].sqn > 100_000 * 32
        assert net.amf.counts["authentication_failures_21"] == 1


@asynchronous
async def test_a_sign_of_life_needs_no_new_challenge():
    async with network() as net:
        ue = net.ue()
        await ue.register()
        sqn, name = net.home.subscribers[FIRST].sqn, ue.guti
        ue.idle()
        await net.until(lambda: ue.number is None)
        await ue.register(mm.PERIODIC)
        assert net.home.subscribers[FIRST].sqn == sqn
        assert ue.guti != name, "every registration gives a new name (TS 33.501, 6.12.3)"
        await net.until(lambda: net.amf.counts["registrations"] == 2)
        assert ue.guti
        assert list(net.amf.temporary) == [ue.guti.tmsi], "the old one is void"


@asynchronous
async def test_a_core_that_lost_its_memory_asks_who_it_is():
    async with network() as net:
        ue = net.ue()
        await ue.register()
        ue.idle()
        await net.until(lambda: ue.number is None)
        net.amf.remove(net.amf.by_imsi[FIRST])
        with pytest.raises(NoService, match="5GMM 9"):
            await ue.request_service()
        await ue.register()
        assert net.amf.by_imsi[FIRST].guti == ue.guti


@asynchronous
async def test_a_subscriber_who_comes_anew_replaces_itself():
    async with network() as net:
        first, second = net.ue(), net.ue()
        second.usim = first.usim
        await first.register()
        await second.register()
        assert net.amf.by_imsi[FIRST].guti == second.guti
        await net.until(lambda: first.number is None)
        await net.until(lambda: len(net.amf.ues) == 1)


@asynchronous
async def test_many_at_once_and_all_are_different():
    async with network(subscribers=200) as net:
        ues = [net.ue(f"{int(FIRST) + n:015d}") for n in range(200)]
        await asyncio.gather(*(ue.register() for ue in ues))
        assert len({ue.guti for ue in ues}) == 200
        assert len(net.amf.by_imsi) == 200
        await asyncio.gather(*(ue.deregister() for ue in ues))
        await net.until(lambda: not net.amf.ues and not net.gnb.ues)
        assert (net.amf.temporary, net.amf.by_imsi, net.gnb.camping) == ({}, {}, {})


@asynchronous
async def test_an_area_that_is_not_served_is_refused():
    """A gNB that has two areas, of which one is the AMF's."""
    async with network() as net:
        net.gnb.location = net.gnb.location[0], {  # the cell moves to where the AMF is not
            **net.gnb.location[1], "tAI": {"pLMNIdentity": b"\x00\xf1\x10", "tAC": b"\0\0\x63"},
        }  # fmt: skip
        with pytest.raises(NoService, match="5GMM 12"):
            await net.ue().register()


@asynchronous
async def test_leaving():
    async with network() as net:
        polite, gone = net.ue(), net.ue(SECOND)
        await polite.register()
        await gone.register()
        await polite.deregister()
        await gone.deregister(switch_off=True)
        await net.until(lambda: not net.amf.ues)
        assert net.amf.counts["deregistrations"] == 2
        assert not polite.registered
        assert polite.guti is None


@asynchronous
async def test_who_cannot_prove_who_it_is_cannot_throw_others_out():
    async with network() as net:
        ue, evil = net.ue(), net.ue()
        await ue.register()
        ue.idle()
        await net.until(lambda: ue.number is None)
        evil.guti = ue.guti
        await evil.deregister()
        assert net.amf.by_imsi[FIRST].registered
        await ue.request_service()


@asynchronous
async def test_paging_finds_an_idle_ue_and_no_other():
    async with network() as net:
        from core5g.amf import service

        ue, other = net.ue(), net.ue(SECOND)
        await ue.register()
        await other.register()
        there = net.amf.by_imsi[FIRST]
        assert service.page(net.amf, there) == 0, "it is connected"
        ue.idle()
        await net.until(lambda: there.gnb is None)
        paged = asyncio.get_running_loop().create_future()
        ue.on_page = paged.set_result
        assert service.page(net.amf, there) == 1
        assert await paged is ue
        await ue.request_service(mm.MOBILE_TERMINATED)
        assert there.gnb is not None
        assert other.counts["pagings"] == 0


@asynchronous
async def test_a_replayed_message_is_ignored():
    async with network() as net:
        ue = net.ue()
        sent = []
        forward = net.gnb.uplink
        net.gnb.uplink = lambda number, nas: (sent.append(nas), forward(number, nas))[1]  # type: ignore[assignment]
        await ue.register()
        await net.until(lambda: net.amf.counts["registrations"] == 1)
        assert ue.number
        forward(ue.number, sent[-1])
        forward(ue.number, sent[-1][:-1] + bytes((sent[-1][-1] ^ 1,)))
        await net.until(lambda: net.amf.counts["nas_not_intact"] == 2)
        await ue.deregister()


@asynchronous
async def test_a_ue_does_not_believe_a_changed_capability():
    """Somebody on the way has taken the good algorithms out of the first message (TS 24.501, 5.4.2.3)."""
    async with network() as net:
        ue = net.ue()
        attach = net.gnb.attach

        def weaker(one, nas, cause="mo-Signalling"):
            return attach(one, nas.replace(b"\x2e\x02\xf0\xf0", b"\x2e\x02\xf0\x70"), cause)

        net.gnb.attach = weaker  # type: ignore[method-assign]
        with pytest.raises(NoService, match="5GMM 23"):
            await ue.register()
        assert ue.security is None


@asynchronous
async def test_a_ue_takes_nothing_unprotected_that_it_must_not():
    from core5g.nas.codec import encode

    async with network() as net:
        ue = net.ue()
        await ue.register()
        for message in (mm.RegistrationAccept(), mm.ConfigurationUpdateCommand(), mm.ServiceAccept()):
            ue.downlink(encode(message))
        assert ue.counts["nas_errors"] == 3
        assert ue.security
        with pytest.raises(NasError):
            ue.security.accept(encode(mm.RegistrationAccept()))


@asynchronous
async def test_a_session_in_a_core_without_smf_is_told_as_not_forwarded():
    async with network() as net:
        ue = net.ue()
        await ue.register()
        with pytest.raises(NoService, match="5GMM 90"):
            await ue.sessions.establish()
        assert not ue.sessions.all
