"""What a UPF answers on N4: rules that can be and that cannot, SMFs that come, go, and talk nonsense."""

import os
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core5g.pfcp import codec
from core5g.pfcp.codec import Cause, Kind, Message
from core5g.pfcp.node import Node, Rejected
from core5g.pfcp.values import Fseid, Fteid, OuterHeader, UeAddress
from core5g.upf.config import NetworkConfig, UpfConfig
from core5g.upf.upf import Upf
from testbed.emulator.namespaces import Namespaces, home, new_networks
from tests.core5g.network import asynchronous

SMF = IPv4Address("127.0.6.1")
UE = IPv4Address("10.45.0.2")
ABOUT = {"node_id": SMF, "recovery_time_stamp": 1}
DOWN_FAR = {"far_id": 2, "apply_action": b"\x0c"}
UP_FAR = {"far_id": 1, "apply_action": b"\x02", "forwarding_parameters": {"destination_interface": 1}}


def up(**changes):
    """The rule of what comes from a gNB."""
    pdi = {"source_interface": 0, "f_teid": Fteid(choose=1), "ue_ip_address": UeAddress(UE)}
    return {"pdr_id": 1, "precedence": 255, "pdi": pdi, "far_id": 1, **changes}


def down(address=UE, **changes):
    """The rule of what comes from the data network."""
    pdi = {"source_interface": 1, "network_instance": "internet", "ue_ip_address": UeAddress(address, True)}
    return {"pdr_id": 2, "precedence": 255, "pdi": pdi, "far_id": 2, **changes}


def request(**changes):
    """A session's establishment."""
    whole = {"node_id": SMF, "f_seid": Fseid(11, SMF), "create_pdr": [up(), down()], "create_far": [UP_FAR, DOWN_FAR]}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


@asynccontextmanager
async def upf(associate=True):
    """A UPF, and an SMF's end of N4."""
    home()
    ((net, kernel),) = new_networks(1, [{}])
    kernel.close()
    where = Namespaces(net)
    network = NetworkConfig("internet", IPv4Interface("10.45.0.1/24"), f"u{os.getpid()}", namespace=where)
    made = Upf(UpfConfig("upf", "127.0.6.2", "127.0.6.2", (network,), 0, 0))
    smf = Node({})
    try:
        await made.start()
        await smf.start(str(SMF), 0)
        if associate:
            await smf.accepted(made.node.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        yield made, smf
    finally:
        smf.stop()
        await made.stop()
        where.close()


async def established(made, smf, **changes):
    return await smf.accepted(made.node.address, Kind.SESSION_ESTABLISHMENT_REQUEST, request(**changes), 0)


@asynchronous
async def test_a_session_comes_and_goes_and_leaves_nothing():
    async with upf() as (made, smf):
        answer = await established(made, smf)
        assert answer.seid == 11
        tunnel = answer.ies["created_pdr"][0]["f_teid"]
        assert tunnel.address == IPv4Address("127.0.6.2")
        assert made.datapath.endpoint.receivers.keys() == {tunnel.teid}
        await smf.accepted(made.node.address, Kind.SESSION_DELETION_REQUEST, {}, answer.ies["f_seid"].seid)
        assert not made.sessions
        assert not made.datapath.endpoint.receivers
        assert not made.datapath.networks["internet"].sessions


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"node_id": None}, Cause.MANDATORY_MISSING),
        ({"f_seid": None}, Cause.MANDATORY_MISSING),
        ({"create_far": None}, Cause.MANDATORY_MISSING),
        ({"create_pdr": None}, Cause.MANDATORY_MISSING),
        ({"node_id": IPv4Address("10.9.9.9")}, Cause.NO_ASSOCIATION),
        ({"create_far": [UP_FAR]}, Cause.RULE_FAILURE),
        ({"create_pdr": [up(qer_id=[4])]}, Cause.RULE_FAILURE),
        ({"create_pdr": [up(urr_id=[4])]}, Cause.RULE_FAILURE),
        ({"create_pdr": [{"pdr_id": 1, "precedence": 1, "far_id": 1}]}, Cause.MANDATORY_MISSING),
        ({"create_far": [{**UP_FAR, "apply_action": b"\x00"}, DOWN_FAR]}, Cause.MANDATORY_INCORRECT),
        ({"create_pdr": [down(pdi={"source_interface": 1, "network_instance": "mars"})]}, Cause.RULE_FAILURE),
        ({"create_pdr": [down(pdi={"source_interface": 1})]}, Cause.RULE_FAILURE),
        ({"create_pdr": [down(pdi={**down()["pdi"], "sdf_filter": ["permit out warp"]})]}, Cause.MANDATORY_INCORRECT),
    ],
)
@asynchronous
async def test_a_session_that_cannot_be_is_refused_whole(changes, cause):
    async with upf() as (made, smf):
        with pytest.raises(Rejected) as caught:
            await established(made, smf, **changes)
        assert caught.value.cause == cause
        assert not made.sessions
        assert not made.datapath.endpoint.receivers
        assert not made.datapath.networks["internet"].sessions


@asynchronous
async def test_two_sessions_cannot_have_one_address_or_tunnel():
    async with upf() as (made, smf):
        answer = await established(made, smf)
        with pytest.raises(Rejected, match="rule failure"):
            await established(made, smf)
        theirs = answer.ies["created_pdr"][0]["f_teid"]
        with pytest.raises(Rejected, match="invalid fteid"):
            await established(made, smf, create_pdr=[up(pdi={"source_interface": 0, "f_teid": theirs})])
        assert len(made.sessions) == 1


@asynchronous
async def test_a_change_that_cannot_be_changes_nothing():
    async with upf() as (made, smf):
        seid = (await established(made, smf)).ies["f_seid"].seid
        before = made.sessions[seid].rules
        there = {"outer_header_creation": OuterHeader(9, SMF), "destination_interface": 0}
        for wrong in (
            {"update_far": [{"far_id": 9, "apply_action": b"\x02"}]},
            {"update_far": [{"far_id": 2, "apply_action": b"\x02", "update_forwarding_parameters": there}],
             "remove_far": [{"far_id": 1}]},
            {"remove_pdr": [{"pdr_id": 9}]},
            {"update_pdr": [{"pdr_id": 2, "far_id": 77}]},
        ):  # fmt: skip
            with pytest.raises(Rejected, match="rule failure"):
                await smf.accepted(made.node.address, Kind.SESSION_MODIFICATION_REQUEST, wrong, seid)
        assert made.sessions[seid].rules == before


@asynchronous
async def test_a_session_that_is_not_there_is_said():
    async with upf() as (made, smf):
        for kind in (Kind.SESSION_MODIFICATION_REQUEST, Kind.SESSION_DELETION_REQUEST):
            with pytest.raises(Rejected, match="session not found"):
                await smf.accepted(made.node.address, kind, {}, 4711)


@asynchronous
async def test_an_smf_that_comes_anew_has_no_sessions_and_neither_has_one_that_goes():
    async with upf() as (made, smf):
        await established(made, smf)
        await smf.accepted(made.node.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
        assert not made.sessions
        await established(made, smf)
        await smf.accepted(made.node.address, Kind.ASSOCIATION_RELEASE_REQUEST, {"node_id": SMF})
        assert not made.sessions
        with pytest.raises(Rejected, match="no association"):
            await established(made, smf)
        with pytest.raises(Rejected, match="no association"):
            await smf.accepted(made.node.address, Kind.ASSOCIATION_RELEASE_REQUEST, {"node_id": SMF})


WHOLE = codec.encode(Message(Kind.SESSION_ESTABLISHMENT_REQUEST, 7, request(), 0))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 7), st.booleans()), max_size=30))
def test_sessions_that_are_garbled_on_the_way_do_no_harm(changes):
    """What still is a session is one, what is not is refused; after an association there is nothing left."""

    @asynchronous
    async def run():
        async with upf() as (made, smf):
            for number, (at, bit, cut) in enumerate(changes):
                data = bytearray(WHOLE[:at] if cut else WHOLE)
                if not cut:
                    data[at] ^= 1 << bit
                data[12:15] = (1000 + number).to_bytes(3, "big")  # none that the SMF uses
                made.node.datagram_received(bytes(data), smf.address)
            await smf.accepted(made.node.address, Kind.ASSOCIATION_SETUP_REQUEST, ABOUT)
            assert not made.sessions
            assert not made.datapath.endpoint.receivers
            await established(made, smf)

    run()  # type: ignore[unused-coroutine]  # it runs its own loop
